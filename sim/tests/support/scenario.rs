//! A scenario is a table: what happens, and below each line what the exchange says to it.
//!
//! ```text
//! 0       trade 100 5
//! 1       buy a 2 limit 99
//!           placed
//! 2       trade 98.9 5
//!           a trades 2 @ 99 as maker, fee 0.0396
//! ```
//!
//! A line that begins with a time (in seconds) is played; the lines below it are what was said. [`check`] plays the first kind,
//! writes the second anew and compares the whole text, so that a change of behaviour shows as a difference of text. Whatever the
//! scenario shows, the [`Audit`] looks at every step of it.

use std::fmt::Write;

use alphaengine_core::exchange::{ExchangeUpdate, Execution, Outcome, Outgoing, Request, Setting, Standing};
use alphaengine_core::id::RequestId;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::{Bar, MarketData, SymbolId, Timeframe};
use alphaengine_core::order::{
    OrderSpec, OrderType, PositionSide, SelfTradePrevention, Side, TimeInForce, WorkingType,
};
use alphaengine_core::units::{Qty, Timestamp};
use alphaengine_sim::{SimConfig, SimExchange};

use super::audit::Audit;
use super::{A, B, book, contracts, funding, mark, minute, open, price, qty, rate, seconds, trade, update};

/// Plays the table in an exchange of this kind and compares.
#[track_caller]
pub fn check(config: SimConfig, table: &str) {
    check_with(config, &contracts(), table);
}

/// The same with other contracts.
#[track_caller]
pub fn check_with(config: SimConfig, contracts: &Instruments, table: &str) {
    let table = dedent(table);
    let played = play(Stage::new(config, contracts), &table);
    assert!(played == table, "the exchange said:\n\n{played}\nwhere the table has:\n\n{table}");
}

fn dedent(table: &str) -> String {
    let lines: Vec<&str> = table.lines().map(str::trim_end).skip_while(|line| line.is_empty()).collect();
    let indent = lines.iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start().len()).min();
    let cut = lines.iter().map(|line| line.get(indent.unwrap_or(0)..).unwrap_or(""));
    cut.collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n"
}

fn play(mut stage: Stage, table: &str) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_played = line.starts_with(|first: char| first.is_ascii_digit());
        if !is_played && !line.is_empty() && !line.starts_with('#') {
            continue;
        }
        writeln!(text, "{line}").unwrap();
        if is_played {
            for said in stage.line(seconds(words[0]), &words[1..]) {
                writeln!(text, "          {said}").unwrap();
            }
        }
    }
    text
}

/// An exchange, its auditor, and the number of the next request.
pub struct Stage {
    pub exchange: SimExchange,
    pub audit: Audit,
    requests: u64,
    contracts: usize,
}

impl Stage {
    pub fn new(config: SimConfig, contracts: &Instruments) -> Stage {
        let exchange = SimExchange::new(config, contracts);
        let mut stage = Stage { exchange, audit: Audit::default(), requests: 0, contracts: contracts.len() };
        stage.exchange.open_account(Timestamp::ZERO);
        stage.said();
        stage
    }

    fn line(&mut self, at: Timestamp, words: &[&str]) -> Vec<String> {
        let (symbol, words) = match words {
            ["B", rest @ ..] => (B, rest),
            rest => (A, rest),
        };
        match words {
            ["account"] => return vec![self.account()],
            ["liquidation-price"] => {
                let price = self.exchange.liquidation_price(symbol);
                return vec![price.map_or("none".into(), |price| price.to_string())];
            }
            _ => {}
        }
        match market(at, words) {
            Some(data) => self.market(at, symbol, data),
            None => self.request(at, request(symbol, words)),
        }
        self.said().iter().map(render).collect()
    }

    pub fn market(&mut self, at: Timestamp, symbol: SymbolId, data: MarketData) {
        self.exchange.on_market(&update(at, symbol, data));
    }

    pub fn request(&mut self, at: Timestamp, request: Request) {
        self.requests += 1;
        let outgoing = Outgoing { id: RequestId(self.requests), request };
        self.audit.asked(&outgoing);
        self.exchange.submit(at, &outgoing);
    }

    /// What was said since this was last asked. It has passed the audit.
    pub fn said(&mut self) -> Vec<ExchangeUpdate> {
        let said: Vec<ExchangeUpdate> = self.exchange.said().collect();
        said.iter().for_each(|update| self.audit.heard(update));
        self.audit.check(&self.exchange);
        said
    }

    fn account(&self) -> String {
        let mut text = format!("wallet {}", self.exchange.wallet());
        for symbol in [A, B].into_iter().take(self.contracts) {
            for side in PositionSide::ALL {
                let position = self.exchange.position(symbol, side);
                if position.is_flat() {
                    continue;
                }
                let (held, entry) = (position.qty(), position.entry_price());
                write!(text, ", {}{} {held} @ {entry}", prefix(symbol), side.name()).unwrap();
                let margin = self.exchange.margin(symbol, side);
                if !margin.is_zero() {
                    write!(text, " margin {margin}").unwrap();
                }
            }
        }
        match self.exchange.open_orders() {
            0 => text,
            open => text + &format!(", open orders {open}"),
        }
    }
}

/// What the market does, or `None` where the words are a request.
fn market(at: Timestamp, words: &[&str]) -> Option<MarketData> {
    let level = |text: &str| text.split_once('x').map(|(p, q)| (price(p), qty(q))).unwrap();
    Some(match words {
        ["trade", p, q] => trade(price(p), qty(q)),
        ["book", bid, ask] => book(level(bid), level(ask)),
        ["open", p] => open(price(p)),
        ["bar", o, h, l, c, volume] => MarketData::Bar(minute(at, [o, h, l, c].map(|text| price(text)), qty(volume))),
        ["mark", p] => mark(price(p)),
        ["mark-bar", o, h, l, c] => MarketData::MarkBar(minute(at, [o, h, l, c].map(|text| price(text)), Qty::ZERO)),
        ["mark-hour", c] => {
            let bar = minute(at, [price(c); 4], Qty::ZERO);
            MarketData::MarkBar(Bar { timeframe: Timeframe::H1, ..bar })
        }
        ["funding", r] => funding(rate(r), None),
        ["funding", r, "at", p] => funding(rate(r), Some(price(p))),
        _ => return None,
    })
}

/// What the market does, as a scenario writes it.
pub fn parse_market(at: Timestamp, line: &str) -> MarketData {
    let words: Vec<&str> = line.split_whitespace().collect();
    market(at, &words).unwrap_or_else(|| panic!("the market does not know `{line}`"))
}

/// One request, as a scenario writes it.
pub fn parse_request(symbol: SymbolId, line: &str) -> Request {
    request(symbol, &line.split_whitespace().collect::<Vec<_>>())
}

fn request(symbol: SymbolId, words: &[&str]) -> Request {
    match words {
        ["buy", name, amount, rest @ ..] => place(symbol, Side::Buy, name, amount, rest),
        ["sell", name, amount, rest @ ..] => place(symbol, Side::Sell, name, amount, rest),
        ["modify", name, side, q, p] => Request::ModifyOrder {
            client_order_id: name.parse().unwrap(),
            symbol,
            side: if *side == "buy" { Side::Buy } else { Side::Sell },
            qty: qty(q),
            price: price(p),
            child: None,
        },
        ["cancel", name, rest @ ..] => Request::CancelOrder {
            client_order_id: name.parse().unwrap(),
            symbol,
            conditional: is_algo(rest),
            child: None,
        },
        ["query", name, rest @ ..] => Request::QueryOrder {
            client_order_id: name.parse().unwrap(),
            symbol,
            conditional: is_algo(rest),
            child: None,
        },
        ["leverage", leverage] => Request::SetLeverage { symbol, leverage: leverage.parse().unwrap() },
        ["isolated"] => Request::SetMarginType { symbol, isolated: true },
        ["cross"] => Request::SetMarginType { symbol, isolated: false },
        ["hedge"] => Request::SetHedgeMode { hedge: true },
        ["one-way"] => Request::SetHedgeMode { hedge: false },
        other => panic!("a scenario does not know {other:?}"),
    }
}

fn is_algo(rest: &[&str]) -> bool {
    match rest {
        [] => false,
        ["algo"] => true,
        other => panic!("a scenario does not know {other:?}"),
    }
}

/// `market`, `limit PRICE [TIF]`, `stop TRIGGER PRICE [TIF]`, `stop-market TRIGGER`, `take-profit ...`,
/// `trailing CALLBACK [from ACTIVATION]`, then flags.
fn place(symbol: SymbolId, side: Side, name: &str, amount: &str, words: &[&str]) -> Request {
    let amount = if amount == "all" { Qty::ZERO } else { qty(amount) };
    let gtc = TimeInForce::Gtc;
    let (order_type, flags) = match words {
        ["market", flags @ ..] => (OrderType::Market, flags),
        ["limit", p, flags @ ..] => (OrderType::Limit { price: price(p), tif: gtc }, flags),
        ["stop", t, p, flags @ ..] => (OrderType::Stop { trigger: price(t), price: price(p), tif: gtc }, flags),
        ["stop-market", t, flags @ ..] => (OrderType::StopMarket { trigger: price(t) }, flags),
        ["take-profit", t, p, flags @ ..] => {
            (OrderType::TakeProfit { trigger: price(t), price: price(p), tif: gtc }, flags)
        }
        ["take-profit-market", t, flags @ ..] => (OrderType::TakeProfitMarket { trigger: price(t) }, flags),
        ["trailing", c, "from", p, flags @ ..] => {
            (OrderType::TrailingStopMarket { activation: Some(price(p)), callback: rate(c) }, flags)
        }
        ["trailing", c, flags @ ..] => (OrderType::TrailingStopMarket { activation: None, callback: rate(c) }, flags),
        other => panic!("a scenario does not know {other:?}"),
    };
    let mut spec = OrderSpec::market(symbol, side, amount).with_type(order_type);
    for flag in flags {
        match *flag {
            "reduce" => spec.reduce_only = true,
            "close" => spec.close_position = true,
            "on-mark" => spec.working_type = WorkingType::Mark,
            "protect" => spec.price_protect = true,
            "long" => spec.position_side = PositionSide::Long,
            "short" => spec.position_side = PositionSide::Short,
            "stp-taker" => spec.stp = SelfTradePrevention::ExpireTaker,
            "stp-maker" => spec.stp = SelfTradePrevention::ExpireMaker,
            "stp-both" => spec.stp = SelfTradePrevention::ExpireBoth,
            "stp-none" => spec.stp = SelfTradePrevention::None,
            word => spec.order_type = with_tif(spec.order_type, tif(word)),
        }
    }
    Request::PlaceOrder { client_order_id: name.parse().unwrap(), spec }
}

fn tif(word: &str) -> TimeInForce {
    match (word, word.strip_prefix("gtd:")) {
        ("gtc", _) => TimeInForce::Gtc,
        ("ioc", _) => TimeInForce::Ioc,
        ("fok", _) => TimeInForce::Fok,
        ("gtx", _) => TimeInForce::Gtx,
        (_, Some(until)) => TimeInForce::Gtd { until: seconds(until) },
        _ => panic!("a scenario does not know {word:?}"),
    }
}

fn with_tif(order_type: OrderType, tif: TimeInForce) -> OrderType {
    match order_type {
        OrderType::Limit { price, .. } => OrderType::Limit { price, tif },
        OrderType::Stop { trigger, price, .. } => OrderType::Stop { trigger, price, tif },
        OrderType::TakeProfit { trigger, price, .. } => OrderType::TakeProfit { trigger, price, tif },
        other => panic!("{} has no time in force", other.name()),
    }
}

fn prefix(symbol: SymbolId) -> &'static str {
    if symbol == A { "" } else { "B " }
}

/// Where an order stands that was asked about.
fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Open => "open",
        Standing::Filled => "over: filled",
        Standing::Canceled => "over: canceled",
        Standing::Expired(_) => "over: expired",
        Standing::Rejected => "over: rejected",
    }
}

/// One update as a line.
pub fn render(update: &ExchangeUpdate) -> String {
    match update {
        ExchangeUpdate::Answer { outcome, .. } => match outcome {
            Outcome::Placed { .. } => "placed".into(),
            Outcome::Done => "done".into(),
            Outcome::Rejected(error) => format!("refused {}", error.code),
            Outcome::Unknown { reason } => format!("unknown: {reason}"),
            Outcome::Found { filled, standing, .. } => {
                format!("found {}, filled {filled}", standing_name(*standing))
            }
            Outcome::NotFound => "not found".into(),
            Outcome::Snapshot(_) | Outcome::Trades { .. } | Outcome::Income { .. } => "told".into(),
        },
        ExchangeUpdate::Order(order) => {
            let name = format!("{}{}", prefix(order.symbol), order.client_order_id);
            match order.execution {
                Execution::New => format!("{name} is new"),
                Execution::Trade(fill) => {
                    let role = match (fill.is_liquidation, fill.is_maker) {
                        (true, _) => "in liquidation",
                        (false, true) => "as maker",
                        (false, false) => "as taker",
                    };
                    let realized =
                        if fill.realized.is_zero() { String::new() } else { format!(", realized {}", fill.realized) };
                    format!("{name} trades {} @ {} {role}, fee {}{realized}", fill.qty, fill.price, fill.fee)
                }
                Execution::Canceled => format!("{name} is canceled"),
                Execution::Expired(reason) => format!("{name} expires: {reason:?}"),
                Execution::Amended { qty, price } => format!("{name} is now {qty} @ {price}"),
                Execution::Triggered { qty, .. } => format!("{name} fires {qty}"),
                Execution::TriggerRejected { code } => format!("{name} is refused as it fires: {code}"),
            }
        }
        ExchangeUpdate::Funding(payment) => {
            let (side, amount, mark) = (payment.position_side.name(), payment.amount, payment.mark.unwrap());
            format!("{}funding {amount} on {side} {} @ {mark}", prefix(payment.symbol), payment.position)
        }
        ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet } => {
            format!("{}margin of {} is {wallet}", prefix(*symbol), position_side.name())
        }
        ExchangeUpdate::Setting { setting, .. } => match setting {
            Setting::Leverage { leverage } => format!("leverage is {leverage}"),
            Setting::MarginType { isolated } => format!("margin is {}", if *isolated { "isolated" } else { "cross" }),
            Setting::HedgeMode { hedge } => format!("mode is {}", if *hedge { "hedge" } else { "one-way" }),
        },
        ExchangeUpdate::Transfer { amount, reason, .. } => format!("{reason:?} {amount}"),
        ExchangeUpdate::Liquidation { symbol, mark, margin_balance, maintenance } => {
            let symbol = symbol.map_or("account ", prefix);
            format!("{symbol}liquidation @ {mark}: balance {margin_balance}, maintenance {maintenance}")
        }
        ExchangeUpdate::Link(link) => format!("{link:?}"),
    }
}
