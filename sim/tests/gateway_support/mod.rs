//! What the tests of the gateway share: one Binance with a minute of market, a client that signs, and what its sockets heard.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::market::{
    Bar, BarOpen, BookTicker, Funding, MarkPrice, MarketData, MarketUpdate, SymbolId, Timeframe, Trade,
};
use alphaengine_core::units::{Money, NANOS_PER_MILLI, NANOS_PER_MINUTE, Price, Qty, Rate, Timestamp};
use alphaengine_sim::gateway::{ConnectionId, Frame, Gateway, GatewayConfig, Request, Response};
use alphaengine_sim::{MarketFill, SimConfig};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

pub const BTC: SymbolId = SymbolId(0);
pub const ETH: SymbolId = SymbolId(1);
pub const KEY: &str = "testkey";
pub const SECRET: &str = "testsecret";
/// 2026-11-25T12:00:00Z
pub const START: i64 = 1_795_608_000_000;

pub fn price(text: &str) -> Price {
    text.parse().unwrap()
}

pub fn qty(text: &str) -> Qty {
    text.parse().unwrap()
}

pub fn money(text: &str) -> Money {
    text.parse().unwrap()
}

pub fn sign(secret: &str, payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn instruments() -> Instruments {
    let catalog = Catalog::builtin();
    let get = |name: &str| catalog.get(&name.parse().unwrap()).unwrap().clone();
    Instruments::new(vec![get("BTCUSDT"), get("ETHUSDT")]).unwrap()
}

pub fn gateway_config() -> GatewayConfig {
    GatewayConfig { key: KEY.into(), secret: Some(SECRET.into()), ..GatewayConfig::default() }
}

/// Market orders fill at once, at the last price.
pub fn sim_config() -> SimConfig {
    SimConfig { market_fill: MarketFill::LastPrice, slippage: Rate::ZERO, ..SimConfig::default() }
}

/// A Binance and its clock, and a client with the key.
pub struct Exchange {
    pub gateway: Gateway,
    /// Milliseconds.
    pub now: i64,
    pub heard: Vec<(ConnectionId, Frame)>,
    sockets: u64,
}

impl Exchange {
    /// Without any market data.
    pub fn fresh(config: GatewayConfig, sim: SimConfig) -> Exchange {
        Exchange { gateway: Gateway::new(config, sim, &instruments()), now: START, heard: Vec::new(), sockets: 0 }
    }

    /// With ten minutes of history and the opening of a minute, BTCUSDT at 100000 and ETHUSDT at 4000.
    pub fn with(config: GatewayConfig, sim: SimConfig) -> Exchange {
        let mut exchange = Exchange::fresh(config, sim);
        for number in -10..0 {
            for (symbol, price) in [(BTC, "100000"), (ETH, "4000")] {
                let update = minute_bar(START + number * 60_000, symbol, price);
                exchange.gateway.history(&update);
            }
        }
        for symbol in [BTC, ETH] {
            let rate = Rate::from_steps(10_000);
            let funding = MarketData::Funding(Funding { rate, mark: None });
            exchange.gateway.history(&update(START - 4 * 3_600_000, symbol, funding));
        }
        exchange.open(BTC, "100000");
        exchange.open(ETH, "4000");
        exchange.heard.clear();
        exchange
    }

    pub fn new() -> Exchange {
        Exchange::with(gateway_config(), sim_config())
    }

    pub fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.now).unwrap()
    }

    fn listen(&mut self) {
        self.heard.extend(self.gateway.frames());
    }

    /// The market moves in both halves.
    pub fn market(&mut self, symbol: SymbolId, data: MarketData) {
        let update = update(self.now, symbol, data);
        self.gateway.market_moves(self.wall(), &update);
        self.listen();
        self.gateway.market_is_told(self.wall(), &update);
        self.listen();
    }

    pub fn open(&mut self, symbol: SymbolId, at: &str) {
        self.market(symbol, MarketData::BarOpen(BarOpen { price: price(at), timeframe: Timeframe::M1 }));
    }

    /// The minute that holds the time closes.
    pub fn close_minute(&mut self, symbol: SymbolId, [open, high, low, close]: [&str; 4]) {
        let open_time = Timeframe::M1.open_time(self.wall());
        self.now = Timeframe::M1.close_time(open_time).millis();
        let bar = Bar {
            open_time,
            open: price(open),
            high: price(high),
            low: price(low),
            close: price(close),
            volume: qty("100"),
            timeframe: Timeframe::M1,
        };
        self.market(symbol, MarketData::Bar(bar));
        self.now += 1;
    }

    pub fn mark(&mut self, symbol: SymbolId, at: &str) {
        self.market(symbol, MarketData::MarkPrice(MarkPrice { price: price(at) }));
    }

    pub fn trade(&mut self, symbol: SymbolId, id: i64, at: &str, size: &str) {
        let trade = Trade { id, price: price(at), qty: qty(size), is_buyer_maker: false };
        self.market(symbol, MarketData::Trade(trade));
    }

    pub fn quote(&mut self, symbol: SymbolId, bid: &str, ask: &str) {
        let (bid_qty, ask_qty) = (qty("50"), qty("50"));
        let book = BookTicker { update_id: 1, bid: price(bid), bid_qty, ask: price(ask), ask_qty };
        self.market(symbol, MarketData::BookTicker(book));
    }

    pub fn tick(&mut self) {
        self.gateway.tick(self.wall());
        self.listen();
    }

    /// A request as it is.
    pub fn raw(&mut self, method: &str, path: &str, query: &str, body: &str, key: Option<&str>) -> Response {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(key.map(|key| ("x-mbx-apikey".to_owned(), key.to_owned())));
        let request = Request { method, path, query, headers: &headers, body: body.as_bytes() };
        let response = self.gateway.handle(self.wall(), &request);
        self.listen();
        response
    }

    /// A signed request with its parameters in the query.
    pub fn send(&mut self, method: &str, path: &str, params: &str) -> (u16, Value) {
        let stamp = format!("timestamp={}", self.now);
        let query = if params.is_empty() { stamp } else { format!("{params}&{stamp}") };
        let query = format!("{query}&signature={}", sign(SECRET, &query));
        let response = self.raw(method, path, &query, "", Some(KEY));
        (response.status, json(&response))
    }

    /// A signed request that must succeed.
    pub fn ok(&mut self, method: &str, path: &str, params: &str) -> Value {
        let (status, body) = self.send(method, path, params);
        assert_eq!(status, 200, "{method} {path} {params}: {body}");
        body
    }

    /// The code with which a signed request is refused.
    pub fn code(&mut self, method: &str, path: &str, params: &str) -> i64 {
        let (status, body) = self.send(method, path, params);
        assert_ne!(status, 200, "{method} {path} {params}: {body}");
        body["code"].as_i64().unwrap()
    }

    /// A request without key that must succeed.
    pub fn get(&mut self, path: &str, query: &str) -> Value {
        let response = self.raw("GET", path, query, "", None);
        assert_eq!(response.status, 200, "{path}?{query}: {}", json(&response));
        json(&response)
    }

    pub fn connect(&mut self, path: &str, query: &str) -> ConnectionId {
        self.sockets += 1;
        let id = ConnectionId(self.sockets);
        self.gateway.connect(self.wall(), id, path, query).unwrap();
        self.listen();
        id
    }

    pub fn text(&mut self, id: ConnectionId, text: &str) {
        self.gateway.text(self.wall(), id, text);
        self.listen();
    }

    pub fn listen_key(&mut self) -> String {
        let response = self.raw("POST", "/fapi/v1/listenKey", "", "", Some(KEY));
        json(&response)["listenKey"].as_str().unwrap().to_owned()
    }

    /// A private connection with a fresh listen key.
    pub fn listen_to_user(&mut self) -> ConnectionId {
        let key = self.listen_key();
        self.connect("/private/ws", &format!("listenKey={key}"))
    }

    /// What a connection heard since this was last asked.
    pub fn frames(&mut self, id: ConnectionId) -> Vec<Value> {
        let mut texts = Vec::new();
        self.heard.retain(|(to, frame)| match frame {
            Frame::Text(text) if *to == id => {
                texts.push(serde_json::from_str(text).unwrap());
                false
            }
            _ => true,
        });
        texts
    }
}

/// `NEW TRADE ACCOUNT_UPDATE ...`: the kinds of events, of orders their execution type, of conditional ones their status.
pub fn kinds(events: &[Value]) -> String {
    let kind = |event: &Value| match event["e"].as_str().unwrap() {
        "ORDER_TRADE_UPDATE" => event["o"]["x"].as_str().unwrap().to_owned(),
        "ALGO_UPDATE" => format!("algo:{}", event["o"]["X"].as_str().unwrap()),
        other => other.to_owned(),
    };
    events.iter().map(kind).collect::<Vec<_>>().join(" ")
}

pub fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

pub fn update(at: i64, symbol: SymbolId, data: MarketData) -> MarketUpdate {
    MarketUpdate { at: Timestamp::from_nanos(at * NANOS_PER_MILLI), symbol, data }
}

/// A flat minute.
pub fn minute_bar(open_time: i64, symbol: SymbolId, at: &str) -> MarketUpdate {
    let open_time = Timestamp::from_millis(open_time).unwrap();
    let price = price(at);
    let bar = Bar {
        open_time,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: qty("10"),
        timeframe: Timeframe::M1,
    };
    MarketUpdate { at: open_time.plus(NANOS_PER_MINUTE - NANOS_PER_MILLI), symbol, data: MarketData::Bar(bar) }
}
