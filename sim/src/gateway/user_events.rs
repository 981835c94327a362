//! User events: what the private stream pushes, in the shapes of November 2026 (`binance-usdm.md` section 4.5).
//!
//! Of one fill: TRADE_LITE, then ORDER_TRADE_UPDATE, then ACCOUNT_UPDATE. NEW comes before the first fill, for market orders too.

use alphaengine_core::exchange::{ExpiryReason, Fill};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side, TimeInForce, WorkingType};
use alphaengine_core::units::{Money, Rounding, Timestamp};

use super::Gateway;
use super::encode::{amount, decimal};
use super::json::{JsonText, json};
use super::records::{AlgoStatus, OrderRecord, tif_of};

impl Gateway {
    pub(super) fn tell_order(&mut self, id: u64, at: Timestamp, execution: &str, fill: Option<&Fill>, er: &str) {
        if !self.sockets.has_listeners() {
            return;
        }
        if let Some(order) = self.records.get(id).copied() {
            let o = self.order_payload(&order, at, execution, fill, er);
            self.tell_user("ORDER_TRADE_UPDATE", &json!({"E": self.market_millis(), "T": at.millis(), "o": o}));
        }
    }

    fn order_payload(
        &self,
        order: &OrderRecord,
        at: Timestamp,
        execution: &str,
        fill: Option<&Fill>,
        er: &str,
    ) -> JsonText {
        let spec = &order.spec;
        let contract = &self.contracts[spec.symbol.index()];
        let digits = contract.digits;
        let notional = |side| amount(self.exchange.order_notional(spec.symbol, side));
        let kind = if order.is_liquidation { "LIQUIDATION" } else { spec.order_type.name() };
        let fill_price = fill.map_or_else(|| "0".to_owned(), |fill| digits.price(fill.price));
        let mut o = json!({
            "s": contract.name, "c": order.client_order_id.as_str(), "S": spec.side.name(), "o": kind,
            "f": tif_name(spec), "q": digits.qty(order.qty),
            "p": spec.order_type.price().map_or_else(|| "0".to_owned(), |price| digits.price(price)),
            "ap": digits.price(order.average_price()), "sp": "0", "x": execution, "X": order.status.name(),
            "i": order.order_id, "l": fill.map_or_else(|| "0".to_owned(), |fill| digits.qty(fill.qty)),
            "z": digits.qty(order.filled), "L": fill_price,
        });
        if let Some(fill) = fill {
            o.append(&json!({"N": fill.fee_asset.as_str(), "n": decimal(fill.fee.steps(), 0)}));
        }
        o.append(&json!({
            "T": at.millis(), "t": fill.map_or(0, |fill| fill.trade_id), "b": notional(Side::Buy),
            "a": notional(Side::Sell), "m": fill.is_some_and(|fill| fill.is_maker), "R": spec.reduce_only,
            "wt": working_name(spec), "ot": kind, "ps": spec.position_side.name(), "cp": spec.close_position,
            "pP": spec.price_protect, "si": 0, "ss": 0,
            "rp": decimal(fill.map_or(0, |fill| fill.realized.steps()), 0), "V": stp_name(spec),
            "pm": order.price_match, "gtd": good_till(spec), "er": er,
        }));
        if order.modify_id > 0 && execution == "AMENDMENT" {
            o.append(&json!({"M": order.modify_id}));
        }
        o
    }

    pub(super) fn tell_trade_lite(&mut self, id: u64, at: Timestamp, fill: &Fill) {
        let Some(order) = self.records.get(id).filter(|_| self.sockets.has_listeners()) else {
            return;
        };
        let contract = &self.contracts[order.spec.symbol.index()];
        let digits = contract.digits;
        let price = order.spec.order_type.price();
        let event = json!({
            "E": self.market_millis(), "T": at.millis(), "s": contract.name,
            "q": digits.qty(order.qty), "p": price.map_or_else(|| "0".to_owned(), |price| digits.price(price)),
            "m": fill.is_maker, "c": order.client_order_id.as_str(), "S": order.spec.side.name(),
            "L": digits.price(fill.price), "l": digits.qty(fill.qty), "t": fill.trade_id, "i": order.order_id,
        });
        self.tell_user("TRADE_LITE", &event);
    }

    /// The balance, and one position if it changed. `change` is what came besides profits and fees.
    pub(super) fn tell_account(
        &mut self,
        reason: &str,
        position: Option<(SymbolId, PositionSide)>,
        change: Money,
        of_symbol: Option<SymbolId>,
    ) {
        if !self.sockets.has_listeners() {
            return;
        }
        let balance = json!({
            "a": self.exchange.config().asset.as_str(), "wb": amount(self.ledger.wallet()),
            "cw": amount(self.ledger.cross_wallet()), "bc": amount(change),
        });
        let positions: Vec<JsonText> =
            position.into_iter().map(|(symbol, side)| self.position_payload(symbol, side)).collect();
        let mut a = json!({"m": reason, "B": [balance], "P": positions});
        if let Some(symbol) = of_symbol {
            a.append(&json!({"S": self.contracts[symbol.index()].name}));
        }
        let now = self.market_millis();
        self.tell_user("ACCOUNT_UPDATE", &json!({"E": now, "T": now, "a": a}));
    }

    fn position_payload(&self, symbol: SymbolId, side: PositionSide) -> JsonText {
        let contract = &self.contracts[symbol.index()];
        let holding = self.ledger.holding(symbol, side);
        // Rounded as REST rounds it.
        let exact = holding.position.exact_unrealized(self.exchange.mark_price(symbol));
        let unrealized = Money::saturating_from_exact(exact, Rounding::Floor);
        json!({
            "s": contract.name, "pa": contract.digits.qty(holding.position.qty()),
            "ep": contract.digits.price(holding.position.entry_price()),
            "bep": contract.digits.price(holding.break_even()), "cr": amount(holding.realized),
            "up": amount(unrealized), "mt": if self.exchange.is_isolated(symbol) { "isolated" } else { "cross" },
            "iw": amount(holding.margin), "ps": side.name(), "ma": self.exchange.config().asset.as_str(),
        })
    }

    pub(super) fn tell_algo(&mut self, algo_id: u64, at: Timestamp) {
        let Some(algo) = self.records.algo(algo_id).copied().filter(|_| self.sockets.has_listeners()) else {
            return;
        };
        let spec = &algo.spec;
        let contract = &self.contracts[spec.symbol.index()];
        let digits = contract.digits;
        let child = algo.child.and_then(|child| self.records.get(child));
        let trailing = trailing_texts(spec, digits);
        let mut o = json!({
            "caid": algo.client_algo_id.as_str(), "aid": algo.algo_id, "at": "CONDITIONAL",
            "o": spec.order_type.name(), "s": contract.name, "S": spec.side.name(), "ps": spec.position_side.name(),
            "f": tif_name(spec), "q": digits.qty(spec.qty), "X": algo.status.name(),
            "ai": algo.child.map_or_else(String::new, |child| child.to_string()),
            "ap": child.map_or_else(|| "0.00000".to_owned(), |child| digits.price(child.average_price())),
            "aq": child.map_or_else(|| "0.00000".to_owned(), |child| digits.qty(child.filled)),
            "act": child.map_or("0", |child| child.spec.order_type.name()),
            "tp": spec.order_type.trigger().map_or_else(|| "0".to_owned(), |price| digits.price(price)),
            "p": spec.order_type.price().map_or_else(|| "0".to_owned(), |price| digits.price(price)),
            "V": stp_name(spec), "wt": working_name(spec), "pm": "NONE", "cp": spec.close_position,
            "pP": spec.price_protect, "R": spec.reduce_only,
            "tt": algo.triggered.map_or(0, Timestamp::millis), "gtd": good_till(spec),
            "rm": refusal_text(algo.reason), "ia": trailing.as_ref().is_some_and(|(activation, _)| activation.is_empty() || algo.status != AlgoStatus::New),
        });
        if let Some((activation, callback)) = trailing {
            o.append(&json!({"AP": activation, "cr": callback}));
        }
        self.tell_user("ALGO_UPDATE", &json!({"T": at.millis(), "E": self.market_millis(), "o": o}));
    }

    /// Tells an event of this kind, which stands before its fields as `e`.
    pub(super) fn tell_user(&mut self, kind: &str, fields: &JsonText) {
        if let Some(key) = self.keys.active(self.wall) {
            let mut event = json!({"e": kind});
            event.append(fields);
            self.sockets.publish_user(&key, kind, event.as_str(), self.config.strict_routes);
        }
    }
}

pub(super) fn tif_name(spec: &OrderSpec) -> &'static str {
    match tif_of(spec) {
        TimeInForce::Gtc => "GTC",
        TimeInForce::Ioc => "IOC",
        TimeInForce::Fok => "FOK",
        TimeInForce::Gtx => "GTX",
        TimeInForce::Gtd { .. } => "GTD",
    }
}

pub(super) fn good_till(spec: &OrderSpec) -> i64 {
    if let TimeInForce::Gtd { until } = tif_of(spec) { until.millis() } else { 0 }
}

pub(super) fn working_name(spec: &OrderSpec) -> &'static str {
    match spec.working_type {
        WorkingType::Contract => "CONTRACT_PRICE",
        WorkingType::Mark => "MARK_PRICE",
    }
}

pub(super) fn stp_name(spec: &OrderSpec) -> &'static str {
    use alphaengine_core::order::SelfTradePrevention as Stp;
    match spec.stp {
        Stp::ExpireTaker => "EXPIRE_TAKER",
        Stp::ExpireMaker => "EXPIRE_MAKER",
        Stp::ExpireBoth => "EXPIRE_BOTH",
        Stp::None => "NONE",
    }
}

/// Activation price and callback rate (in percent) of a trailing order.
pub(super) fn trailing_texts(spec: &OrderSpec, digits: super::encode::Digits) -> Option<(String, String)> {
    match spec.order_type {
        OrderType::TrailingStopMarket { activation, callback } => {
            let activation = activation.map_or_else(String::new, |price| digits.price(price));
            Some((activation, decimal(callback.steps().saturating_mul(100), 1)))
        }
        _ => None,
    }
}

pub(super) fn expiry_digit(reason: ExpiryReason) -> &'static str {
    match reason {
        ExpiryReason::SelfTradePrevention => "1",
        ExpiryReason::IocRemainder => "2",
        ExpiryReason::ReduceOnly => "4",
        ExpiryReason::Liquidation => "5",
        ExpiryReason::GoodTillDate => "0",
        ExpiryReason::MarketRemainder => "9",
    }
}

/// Why a child was refused, as ALGO_UPDATE words it.
fn refusal_text(code: i32) -> String {
    match code {
        0 => String::new(),
        -2019 => "Margin is insufficient".into(),
        -2022 => "Reduce Only reject".into(),
        -5021 => "FOK order reject".into(),
        -5022 => "GTX order reject".into(),
        code => format!("Rejected with code {code}"),
    }
}
