//! What a request asks and what it costs, read from its bytes as `binance-usdm.md` sections 2 and 3 describe them.

use alphaengine_core::id::ClientOrderId;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::json::Json;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos, Qty};

use super::body::{Body, code};

/// The receive window of a request that states none (section 2.3).
const DEFAULT_RECV_WINDOW: Nanos = 5_000 * NANOS_PER_MILLI;

/// What a request wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ask {
    /// One order, or those of a batch, in their order.
    Place(Vec<Placing>),
    Modify(Option<ClientOrderId>),
    /// A cancel by name; of the child of a conditional order only the number is known.
    Cancel(Option<ClientOrderId>),
    CancelAll(Option<SymbolId>),
    Query(Option<ClientOrderId>),
    /// A setting of the account or a symbol.
    Set,
    Time,
    Other,
}

impl Ask {
    /// Whether it changes an order, so that the wish for it has to be on the disk before it leaves.
    pub fn rests_on_an_intent(&self) -> bool {
        matches!(self, Ask::Place(_) | Ask::Modify(_) | Ask::Cancel(_))
    }
}

/// An order as it is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placing {
    pub name: ClientOrderId,
    pub symbol: Option<SymbolId>,
    pub side: Option<Side>,
    pub qty: Qty,
    pub position_side: PositionSide,
    pub reduce_only: bool,
    pub close_position: bool,
}

impl Placing {
    /// Whether it can only make a position smaller, whatever anybody meant by it (section 6.3).
    pub fn only_reduces(&self) -> bool {
        let against = match self.position_side {
            PositionSide::Both => false,
            PositionSide::Long => self.side == Some(Side::Sell),
            PositionSide::Short => self.side == Some(Side::Buy),
        };
        self.reduce_only || self.close_position || against
    }
}

/// What a request uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cost {
    pub weight: u32,
    pub orders_10s: u32,
    pub orders_1m: u32,
}

/// Reads what a request wants.
pub(super) fn ask(method: &str, path: &str, query: &str, instruments: &Instruments) -> Ask {
    let name = |key: &str| parameter(query, key).and_then(|name| name.parse().ok());
    match (method, path) {
        ("POST", "/fapi/v1/order") => Ask::Place(vec![placing(query, "newClientOrderId", instruments)]),
        ("POST", "/fapi/v1/algoOrder") => Ask::Place(vec![placing(query, "clientAlgoId", instruments)]),
        ("POST", "/fapi/v1/batchOrders") => Ask::Place(batch(query, instruments)),
        ("PUT", "/fapi/v1/order") => Ask::Modify(name("origClientOrderId")),
        ("PUT", "/fapi/v1/batchOrders") => Ask::Modify(None),
        ("DELETE", "/fapi/v1/order") => Ask::Cancel(name("origClientOrderId")),
        ("DELETE", "/fapi/v1/algoOrder") => Ask::Cancel(name("clientAlgoId")),
        ("DELETE", "/fapi/v1/batchOrders") => Ask::Cancel(None),
        ("DELETE", "/fapi/v1/allOpenOrders" | "/fapi/v1/algoOpenOrders") => {
            Ask::CancelAll(parameter(query, "symbol").and_then(|symbol| instruments.id(symbol)))
        }
        ("GET", "/fapi/v1/order") => Ask::Query(name("origClientOrderId")),
        ("GET", "/fapi/v1/algoOrder") => Ask::Query(name("clientAlgoId")),
        ("POST", "/fapi/v1/leverage" | "/fapi/v1/marginType" | "/fapi/v1/positionSide/dual") => Ask::Set,
        ("GET", "/fapi/v1/time") => Ask::Time,
        _ => Ask::Other,
    }
}

fn placing(query: &str, name_key: &str, instruments: &Instruments) -> Placing {
    placing_of(|key| parameter(query, key), name_key, instruments)
}

fn placing_of<'a>(get: impl Fn(&str) -> Option<&'a str>, name_key: &str, instruments: &Instruments) -> Placing {
    Placing {
        name: get(name_key).and_then(|name| name.parse().ok()).unwrap_or_default(),
        symbol: get("symbol").and_then(|symbol| instruments.id(symbol)),
        side: match get("side") {
            Some("BUY") => Some(Side::Buy),
            Some("SELL") => Some(Side::Sell),
            _ => None,
        },
        qty: get("quantity").and_then(|qty| qty.parse().ok()).unwrap_or(Qty::ZERO),
        position_side: match get("positionSide") {
            Some("LONG") => PositionSide::Long,
            Some("SHORT") => PositionSide::Short,
            _ => PositionSide::Both,
        },
        reduce_only: get("reduceOnly").is_some_and(|flag| flag.eq_ignore_ascii_case("true")),
        close_position: get("closePosition").is_some_and(|flag| flag.eq_ignore_ascii_case("true")),
    }
}

fn batch(query: &str, instruments: &Instruments) -> Vec<Placing> {
    let list = parameter(query, "batchOrders").map(decoded).unwrap_or_default();
    let Ok(Json::List(orders)) = Json::read(list.as_bytes()) else {
        return Vec::new();
    };
    let read =
        |order: &Json<'_>| placing_of(|key| order.get(key).and_then(Json::as_str), "newClientOrderId", instruments);
    orders.iter().map(read).collect()
}

/// The value of a parameter, as it stands.
pub(super) fn parameter<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key).map(|(_, value)| value))
}

pub(super) fn recv_window(query: &str) -> Nanos {
    let millis = parameter(query, "recvWindow").and_then(|millis| millis.parse::<i64>().ok());
    millis.map_or(DEFAULT_RECV_WINDOW, |millis| millis.saturating_mul(NANOS_PER_MILLI))
}

/// Takes percent-encoding away.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = if *first == b'%' { after.get(..2) } else { None };
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the exchange counts for a request: the tables of section 3, for everything that a trading session asks.
pub(super) fn cost(method: &str, path: &str, query: &str) -> Cost {
    let limit = || parameter(query, "limit").and_then(|limit| limit.parse::<u32>().ok()).unwrap_or(500);
    let by_symbol = |one, all| if parameter(query, "symbol").is_some() { one } else { all };
    let weight = match (method, path) {
        ("POST" | "PUT", "/fapi/v1/order") | ("POST", "/fapi/v1/algoOrder" | "/fapi/v1/order/test") => {
            return Cost { weight: 0, orders_10s: 1, orders_1m: 1 };
        }
        ("POST" | "PUT", "/fapi/v1/batchOrders") => return Cost { weight: 5, orders_10s: 5, orders_1m: 1 },
        (_, "/fapi/v1/fundingRate" | "/fapi/v1/fundingInfo") => 0,
        (_, "/fapi/v1/depth") => match limit() {
            0..=50 => 2,
            51..=100 => 5,
            101..=500 => 10,
            _ => 20,
        },
        (
            _,
            "/fapi/v1/klines"
            | "/fapi/v1/markPriceKlines"
            | "/fapi/v1/premiumIndexKlines"
            | "/fapi/v1/continuousKlines",
        ) => match limit() {
            0..100 => 1,
            100..500 => 2,
            500..=1_000 => 5,
            _ => 10,
        },
        (_, "/fapi/v1/premiumIndex") => by_symbol(1, 10),
        (_, "/fapi/v1/aggTrades" | "/fapi/v1/commissionRate") => 20,
        (_, "/fapi/v1/trades" | "/fapi/v1/allOrders" | "/fapi/v1/userTrades" | "/fapi/v1/allAlgoOrders") => 5,
        (_, "/fapi/v1/ticker/bookTicker") => by_symbol(2, 5),
        (_, "/fapi/v1/openOrders" | "/fapi/v1/openAlgoOrders") => by_symbol(1, 40),
        (_, "/fapi/v1/income") => 30,
        (_, "/fapi/v1/countdownCancelAll") => 10,
        (_, "/fapi/v3/account" | "/fapi/v2/account" | "/fapi/v3/balance" | "/fapi/v2/balance") => 5,
        (_, "/fapi/v3/positionRisk" | "/fapi/v2/positionRisk" | "/fapi/v1/accountConfig" | "/fapi/v1/symbolConfig") => {
            5
        }
        ("GET", "/fapi/v1/positionSide/dual" | "/fapi/v1/multiAssetsMargin" | "/fapi/v1/feeBurn") => 30,
        _ => 1,
    };
    Cost { weight, ..Cost::default() }
}

pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// What an answer to a placing tells the one who placed (sections 5, 6 and 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Not answered yet.
    Pending,
    Accepted,
    /// Definitely not executed.
    Refused,
    /// Nobody can know.
    Unknown,
    /// The documents do not decide: an error page of a gateway.
    Unclear,
}

/// What an answer means for each of the orders that a request placed.
pub(super) fn outcomes(status: Option<u16>, body: &Body<'_>, orders: usize) -> Vec<Outcome> {
    let Some(status) = status else {
        return vec![Outcome::Unknown; orders];
    };
    match (status, body.json()) {
        (200..300, Some(Json::List(elements))) if elements.len() == orders => elements
            .iter()
            .map(|element| code(element).map_or(Outcome::Accepted, |code| by_code(400, code, "")))
            .collect(),
        _ => vec![outcome(status, body); orders],
    }
}

fn outcome(status: u16, body: &Body<'_>) -> Outcome {
    if matches!(status, 300..400 | 403 | 418 | 429) {
        return Outcome::Refused;
    }
    if let Some(code) = body.code() {
        return by_code(status, code, body.message().unwrap_or(""));
    }
    let is_json = body.json().is_some();
    let text = || String::from_utf8_lossy(body.bytes);
    match status {
        // A body that was cut off tells nothing.
        200..300 if !is_json => Outcome::Unknown,
        200..300 => Outcome::Accepted,
        408 => Outcome::Unknown,
        400..500 => Outcome::Refused,
        503 if is_failure(&text()) => Outcome::Refused,
        503 if text().to_ascii_lowercase().contains("unknown error") => Outcome::Unknown,
        _ if is_json => Outcome::Unknown,
        _ => Outcome::Unclear,
    }
}

fn by_code(status: u16, code: i64, message: &str) -> Outcome {
    match code {
        -1001 if status == 503 && is_failure(message) => Outcome::Refused,
        // The name is taken: very likely by the first attempt.
        -1000 | -1001 | -1006 | -1007 | -1010 | -4083 | -4116 => Outcome::Unknown,
        _ if status == 503 && message.to_ascii_lowercase().contains("unknown error") => Outcome::Unknown,
        -1008 | -1003 | -1015 | -1021 | -5028 => Outcome::Refused,
        _ if status >= 500 => Outcome::Unclear,
        _ => Outcome::Refused,
    }
}

/// The 503s of section 5 that say "not executed": variants B, C and D.
fn is_failure(text: &str) -> bool {
    ["Service Unavailable", "unable to process your request", "Request throttled"]
        .iter()
        .any(|said| text.contains(said))
}

/// An event of the user stream about a regular order (section 4.5).
#[derive(Debug, serde::Deserialize)]
pub(super) struct OrderFrame<'a> {
    #[serde(borrow)]
    pub o: OrderNews<'a>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct OrderNews<'a> {
    #[serde(rename = "c")]
    pub name: std::borrow::Cow<'a, str>,
    #[serde(rename = "i")]
    pub order_id: u64,
    #[serde(rename = "X")]
    pub status: &'a str,
    #[serde(rename = "q")]
    pub qty: &'a str,
    #[serde(rename = "z")]
    pub filled: &'a str,
    #[serde(rename = "R", default)]
    pub reduce_only: bool,
    #[serde(rename = "ps", default)]
    pub position_side: &'a str,
}

/// The payload of a frame: combined streams wrap it.
pub(super) fn order_frame(text: &str) -> Option<OrderFrame<'_>> {
    serde_json::from_str(payload(text)).ok()
}

/// An event about a conditional order.
#[derive(Debug, serde::Deserialize)]
pub(super) struct AlgoFrame<'a> {
    #[serde(borrow)]
    pub o: AlgoNews<'a>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct AlgoNews<'a> {
    #[serde(rename = "caid")]
    pub name: std::borrow::Cow<'a, str>,
    #[serde(rename = "X")]
    pub status: &'a str,
    /// The number of the child, as text; empty before it fires.
    #[serde(rename = "ai", default)]
    pub child: std::borrow::Cow<'a, str>,
}

pub(super) fn algo_frame(text: &str) -> Option<AlgoFrame<'_>> {
    serde_json::from_str(payload(text)).ok()
}

fn payload(text: &str) -> &str {
    const WRAPPER: &str = "\"data\":";
    if !text.starts_with("{\"stream\"") && !text.starts_with("{\"data\"") {
        return text;
    }
    match text.find(WRAPPER) {
        Some(start) if text.starts_with("{\"stream\"") => {
            text[start + WRAPPER.len()..].strip_suffix('}').unwrap_or(text)
        }
        // `{"data":{...},"stream":"..."}`
        Some(start) => {
            let rest = &text[start + WRAPPER.len()..];
            rest.rfind(",\"stream\"").map_or(text, |end| &rest[..end])
        }
        None => text,
    }
}

/// Whether an order in this status is over (section 4.5).
pub(super) fn is_over(status: &str) -> bool {
    matches!(status, "FILLED" | "CANCELED" | "EXPIRED" | "EXPIRED_IN_MATCH" | "REJECTED")
}

/// The same of a conditional order. That it fired is no end.
pub(super) fn is_algo_over(status: &str) -> bool {
    matches!(status, "CANCELED" | "EXPIRED" | "REJECTED" | "FINISHED")
}
