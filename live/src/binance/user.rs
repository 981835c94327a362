//! User events become exchange updates (`binance-usdm.md` section 4.5). What is not known is counted, never fatal.

use std::collections::{BTreeMap, VecDeque};

use alphaengine_core::exchange::{ExchangeUpdate, Execution, ExpiryReason, Fill, OrderUpdate};
use alphaengine_core::id::{ClientOrderId, order_sequence};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::json::Json;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::PositionSide;
use alphaengine_core::units::{Money, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};

use super::alarm::Alarm;
use super::figures::Strangers;
use super::hearing::Hearing;
use super::json::{Fields, Malformed, short};
use super::line::Line;
use super::orders::likely_expiry;
use super::owners::{Owners, is_liquidation};

/// The last frames that were heard, so that a frame that two connections deliver counts once.
const REMEMBERED: usize = 256;
/// So long an event of an order without a known name waits for the trigger that names its parent.
const ORPHAN_WAITS: Nanos = NANOS_PER_SECOND;
const HOUR: Nanos = 60 * NANOS_PER_MINUTE;

#[derive(Debug)]
pub(crate) struct User {
    heard: VecDeque<Vec<u8>>,
    pub hedge: bool,
    /// Signed positions as far as events and snapshots told.
    pub(super) positions: BTreeMap<(SymbolId, PositionSide), Qty>,
    /// Close-position orders that fired, until their child tells its quantity: by (symbol, child).
    unsized_triggers: BTreeMap<(SymbolId, u64), OrderUpdate>,
    /// Frames with events of children whose parent is not known yet.
    orphans: Vec<(Timestamp, Vec<u8>)>,
    /// From when on to ask for income, while that is wanted.
    pub income_since: Option<Timestamp>,
    pub hearing: Hearing,
}

/// What an event asks of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    None,
    ListenKeyExpired,
    /// The exchange closes its connections soon.
    Shutdown,
}

/// The parts of the session that events read and change.
pub(crate) struct Around<'a> {
    pub line: &'a mut Line,
    pub instruments: &'a Instruments,
    pub owners: &'a mut Owners,
    pub strangers: &'a mut Strangers,
    pub mark: &'a dyn Fn(SymbolId) -> Option<Price>,
}

impl User {
    pub fn new(hedge: bool) -> User {
        User {
            heard: VecDeque::new(),
            hedge,
            positions: BTreeMap::new(),
            unsized_triggers: BTreeMap::new(),
            orphans: Vec::new(),
            income_since: None,
            hearing: Hearing::default(),
        }
    }

    /// Takes one frame of the private stream, bare or wrapped.
    pub fn frame(&mut self, around: &mut Around<'_>, at: Timestamp, frame: &[u8]) -> (Consequence, Option<i64>) {
        let value = match Json::read(frame) {
            Ok(value) => value,
            Err(error) => {
                around.strangers.malformed(format_args!("account event: {error}"));
                return (Consequence::None, None);
            }
        };
        let event = unwrapped(&value);
        if event.get("e").is_none() {
            // An answer to a control frame.
            return (Consequence::None, None);
        }
        if self.heard.iter().any(|known| known == frame) {
            around.strangers.duplicates += 1;
            return (Consequence::None, None);
        }
        if self.heard.len() == REMEMBERED {
            self.heard.pop_front();
        }
        self.heard.push_back(frame.to_vec());
        let consequence = match Fields::of(event).and_then(|event| self.event(around, at, event, frame)) {
            Ok(consequence) => consequence,
            Err(error) => {
                let name = event.get("e").and_then(Json::as_str).unwrap_or("event");
                around.strangers.malformed(format_args!("{name}: {error}"));
                Consequence::None
            }
        };
        let event_time = event.get("E").and_then(|time| time.as_i64().or_else(|| time.as_str()?.parse().ok()));
        (consequence, event_time)
    }

    fn event(
        &mut self,
        around: &mut Around<'_>,
        at: Timestamp,
        event: Fields<'_>,
        frame: &[u8],
    ) -> Result<Consequence, Malformed> {
        match event.text("e") {
            "ORDER_TRADE_UPDATE" => self.order(around, at, event, Some(frame))?,
            "ALGO_UPDATE" => self.conditional(around, at, event)?,
            "ACCOUNT_UPDATE" => self.account(around, at, event)?,
            "ACCOUNT_CONFIG_UPDATE" => self.config(around, event)?,
            "MARGIN_CALL" => self.margin_call(around, event)?,
            "listenKeyExpired" => return Ok(Consequence::ListenKeyExpired),
            "serverShutdown" => return Ok(Consequence::Shutdown),
            // The same trade comes again with its fee; the reason of a refused trigger stands in ALGO_UPDATE.
            "TRADE_LITE" | "CONDITIONAL_ORDER_TRIGGER_REJECT" | "STRATEGY_UPDATE" | "GRID_UPDATE" => {}
            _ => around.strangers.events += 1,
        }
        Ok(Consequence::None)
    }

    /// ORDER_TRADE_UPDATE, with its frame when it may wait.
    fn order(
        &mut self,
        around: &mut Around<'_>,
        at: Timestamp,
        event: Fields<'_>,
        frame: Option<&[u8]>,
    ) -> Result<(), Malformed> {
        let o = event.object("o")?;
        let Some(symbol) = around.instruments.id(o.text("s")) else {
            around.strangers.symbols += 1;
            return Ok(());
        };
        around.strangers.count_fields(o, ORDER_FIELDS);
        let order_id = o.whole("i")?;
        self.hearing.heard(symbol, order_id, o.whole("t").unwrap_or(0));
        let named = o.text("c");
        if named.len() > 36 {
            around.strangers.long_ids += 1;
        }
        let parent = around.owners.parent(symbol, order_id);
        let own = around.owners.name(symbol, order_id);
        // A child may carry a name of its own, and its event may overtake the trigger that links the two.
        let is_ours = order_sequence(&short(named)).is_some();
        let is_child = !matches!(o.text("ot"), "" | "LIMIT" | "MARKET" | "LIQUIDATION");
        if let Some(frame) = frame
            && parent.is_none()
            && own.is_none()
            && is_child
            && !is_ours
            && !named.is_empty()
            && !is_liquidation(named)
        {
            self.orphans.push((at.plus(ORPHAN_WAITS), frame.to_vec()));
            around.line.alarm(at.plus(ORPHAN_WAITS), Alarm::Orphans);
            return Ok(());
        }
        let client_order_id: ClientOrderId = parent.unwrap_or_else(|| short(named));
        if parent.is_none() {
            around.owners.learn(symbol, order_id, client_order_id);
        }
        let qty = o.qty("q")?;
        if let Some(mut trigger) = self.unsized_triggers.remove(&(symbol, order_id)) {
            trigger.execution = Execution::Triggered { child: order_id, qty };
            around.line.exchange(ExchangeUpdate::Order(trigger));
        }
        let when = o.time("T").or_else(|_| event.time("T")).or_else(|_| event.time("E"))?;
        let execution = match o.text("x") {
            "NEW" => Execution::New,
            "TRADE" | "CALCULATED" => match self.fill(around, symbol, o)? {
                Some(fill) => Execution::Trade(fill),
                None => return Ok(()),
            },
            "CANCELED" => Execution::Canceled,
            "EXPIRED" => Execution::Expired(expiry(o)),
            "AMENDMENT" => Execution::Amended { qty, price: o.price("p")? },
            _ => {
                around.strangers.values += 1;
                return Ok(());
            }
        };
        around.line.exchange(ExchangeUpdate::Order(OrderUpdate {
            at: when,
            client_order_id,
            order_id,
            symbol,
            side: o.side("S")?,
            position_side: o.position_side("ps")?,
            execution,
        }));
        Ok(())
    }

    fn fill(&mut self, around: &Around<'_>, symbol: SymbolId, o: Fields<'_>) -> Result<Option<Fill>, Malformed> {
        let (trade_id, qty) = (o.whole("t")?, o.qty("l")?);
        if qty.is_zero() {
            return Ok(None);
        }
        // Both are absent when there is no fee.
        let fee = if o.value("n").is_some() { o.money("n")? } else { Money::ZERO };
        let fee_asset = match o.text("N") {
            "" => short(&around.instruments.get(symbol).margin_asset),
            asset => short(asset),
        };
        let realized = if o.value("rp").is_some() { o.money("rp")? } else { Money::ZERO };
        Ok(Some(Fill {
            trade_id,
            price: o.price("L")?,
            qty,
            fee,
            fee_asset,
            is_maker: o.flag("m"),
            is_liquidation: is_liquidation(o.text("c")) || o.text("x") == "CALCULATED" || o.text("o") == "LIQUIDATION",
            realized,
        }))
    }

    /// ALGO_UPDATE: the life of a conditional order until its trigger.
    fn conditional(&mut self, around: &mut Around<'_>, at: Timestamp, event: Fields<'_>) -> Result<(), Malformed> {
        let o = event.object("o")?;
        let Some(symbol) = around.instruments.id(o.text("s")) else {
            around.strangers.symbols += 1;
            return Ok(());
        };
        around.strangers.count_fields(o, ALGO_FIELDS);
        let order_id = o.whole("aid")?;
        self.hearing.heard_conditional(symbol, order_id);
        let client_order_id = o.client_order_id("caid");
        let closes = o.flag("cp") || o.flag("R");
        let mut update = OrderUpdate {
            at: event.time("T").or_else(|_| event.time("E"))?,
            client_order_id,
            order_id,
            symbol,
            side: o.side("S")?,
            position_side: o.position_side("ps")?,
            execution: Execution::New,
        };
        update.execution = match o.text("X") {
            // A trailing order says so twice, the second time when it is activated: both are true.
            "NEW" => Execution::New,
            "TRIGGERING" | "TRIGGERED" => {
                let Ok(child) = o.whole("ai") else { return Ok(()) };
                let is_news = around.owners.learn_child(symbol, child, client_order_id);
                if is_news {
                    let qty = o.qty("q").unwrap_or(Qty::ZERO);
                    update.execution = Execution::Triggered { child, qty };
                    if qty.is_positive() {
                        around.line.exchange(ExchangeUpdate::Order(update));
                    } else {
                        self.unsized_triggers.insert((symbol, child), update);
                    }
                    self.release_orphans(around, at);
                }
                return Ok(());
            }
            // Its child was filled or cancelled, which the child's own events tell.
            "FINISHED" => return Ok(()),
            "CANCELED" => Execution::Canceled,
            "EXPIRED" if closes => Execution::Expired(ExpiryReason::ReduceOnly),
            "EXPIRED" => Execution::Expired(ExpiryReason::GoodTillDate),
            "REJECTED" => Execution::TriggerRejected { code: code_of_reason(o.text("rm")) },
            _ => {
                around.strangers.values += 1;
                return Ok(());
            }
        };
        around.line.exchange(ExchangeUpdate::Order(update));
        Ok(())
    }

    /// Events that waited for a trigger go on when their parent is known or their time is over.
    pub fn release_orphans(&mut self, around: &mut Around<'_>, at: Timestamp) {
        for (due, frame) in std::mem::take(&mut self.orphans) {
            let Ok(value) = Json::read(&frame) else { continue };
            let Ok(event) = Fields::of(unwrapped(&value)) else { continue };
            let known = event.object("o").ok().is_some_and(|o| {
                let symbol = around.instruments.id(o.text("s"));
                symbol.zip(o.whole("i").ok()).is_some_and(|(symbol, id)| around.owners.parent(symbol, id).is_some())
            });
            if !known && due > at {
                self.orphans.push((due, frame));
            } else if let Err(error) = self.order(around, at, event, None) {
                around.strangers.malformed(format_args!("ORDER_TRADE_UPDATE: {error}"));
            }
        }
    }

    /// What a snapshot says of positions.
    pub fn positions_are(&mut self, positions: impl Iterator<Item = (SymbolId, PositionSide, Qty)>) {
        self.positions = positions.map(|(symbol, side, qty)| ((symbol, side), qty)).collect();
    }
}

/// The event of a frame, bare or wrapped.
fn unwrapped<'a>(frame: &'a Json<'a>) -> &'a Json<'a> {
    frame.get("data").filter(|data| data.as_object().is_some()).unwrap_or(frame)
}

/// The nominal time of a settlement, which the exchange carries out within some seconds after it.
pub(crate) fn settlement(at: Timestamp) -> Timestamp {
    at.floor_to(HOUR)
}

fn expiry(o: Fields<'_>) -> ExpiryReason {
    let number;
    let reason = match o.value("er") {
        Some(Json::Number(code)) => {
            number = code.to_string();
            number.as_str()
        }
        _ => o.text("er"),
    };
    match reason {
        _ if o.text("X") == "EXPIRED_IN_MATCH" => ExpiryReason::SelfTradePrevention,
        "1" | "3" => ExpiryReason::SelfTradePrevention,
        "2" => ExpiryReason::IocRemainder,
        "4" | "6" => ExpiryReason::ReduceOnly,
        "5" => ExpiryReason::Liquidation,
        "9" => ExpiryReason::MarketRemainder,
        _ => likely_expiry(o.text("o"), o.text("f")),
    }
}

/// The code that the matching engine would have given for the reason of a refused trigger.
fn code_of_reason(reason: &str) -> i32 {
    let reason = reason.to_ascii_lowercase();
    if reason.contains("reduce") {
        -2022
    } else if reason.contains("margin") || reason.contains("balance") {
        -2019
    } else {
        -2010
    }
}

const ORDER_FIELDS: &[&str] = &[
    "s", "c", "S", "o", "f", "q", "p", "ap", "sp", "x", "X", "i", "l", "z", "L", "N", "n", "T", "t", "b", "a", "m",
    "R", "wt", "ot", "ps", "cp", "AP", "cr", "pP", "si", "ss", "rp", "V", "pm", "gtd", "er", "M",
];
const ALGO_FIELDS: &[&str] = &[
    "caid", "aid", "at", "o", "s", "S", "ps", "f", "q", "X", "ai", "ap", "aq", "act", "tp", "p", "V", "wt", "pm", "cp",
    "pP", "R", "tt", "gtd", "rm", "ia", "iq", "AP", "cr",
];
