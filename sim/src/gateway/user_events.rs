//! User events: what the private stream pushes, in the shapes of November 2026 (`binance-usdm.md` section 4.5).
//!
//! Of one fill: TRADE_LITE, then ORDER_TRADE_UPDATE, then ACCOUNT_UPDATE. NEW comes before the first fill, for market orders too.

use alphaengine_core::exchange::{
    ExchangeUpdate, Execution, ExpiryReason, Fill, FundingPayment, OrderUpdate, Outcome, TransferReason,
};
use alphaengine_core::id::RequestId;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side, TimeInForce, WorkingType};
use alphaengine_core::units::{Money, Qty, Timestamp};
use serde_json::{Value, json};

use super::Gateway;
use super::encode::{amount, decimal};
use super::ledger::OwnTrade;
use super::records::{AlgoRecord, AlgoStatus, OrderRecord, Status, tif_of};

impl Gateway {
    /// Takes what the exchange has said: books it and tells it. The answer to the request `asked`, if it is among it.
    pub(super) fn absorb(&mut self, asked: Option<RequestId>) -> Option<Outcome> {
        let said: Vec<ExchangeUpdate> = self.exchange.said().collect();
        let mut said = said.into_iter().peekable();
        let mut answer = None;
        while let Some(update) = said.next() {
            // A margin that is told behind a fill or a payment belongs to it.
            let moves_margin = matches!(
                update,
                ExchangeUpdate::Order(OrderUpdate { execution: Execution::Trade(_), .. }) | ExchangeUpdate::Funding(_)
            );
            if moves_margin && let Some(ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet }) = said.peek()
            {
                self.ledger.set_margin(*symbol, *position_side, *wallet);
            }
            match update {
                ExchangeUpdate::Answer { id, outcome } => {
                    if let Outcome::Placed { order_id } = outcome {
                        self.order_placed(order_id);
                    }
                    if Some(id) == asked {
                        answer = Some(outcome);
                    }
                }
                ExchangeUpdate::Order(order) => self.order_changed(&order),
                ExchangeUpdate::Funding(payment) => self.funding_paid(&payment),
                ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet } => {
                    self.ledger.set_margin(symbol, position_side, wallet);
                }
                ExchangeUpdate::Transfer { amount, reason, .. } => self.transferred(amount, reason),
                ExchangeUpdate::Setting { .. } | ExchangeUpdate::Liquidation { .. } | ExchangeUpdate::Link(_) => {}
            }
        }
        answer
    }

    /// The exchange has taken the order that waits for its number.
    fn order_placed(&mut self, order_id: u64) {
        let Some(intent) = self.intent.take() else {
            return;
        };
        let now = self.market_now();
        if intent.spec.order_type.is_conditional() {
            self.records.add_algo(AlgoRecord {
                algo_id: order_id,
                client_algo_id: intent.name,
                spec: intent.spec,
                status: AlgoStatus::New,
                created: now,
                updated: now,
                triggered: None,
                child: None,
                reason: 0,
            });
            self.tell_algo(order_id, now);
        } else {
            self.records.add(OrderRecord {
                order_id,
                client_order_id: intent.name,
                exchange_name: intent.name,
                spec: intent.spec,
                qty: intent.spec.qty,
                filled: Qty::ZERO,
                quote: 0,
                status: Status::New,
                created: now,
                updated: now,
                price_match: intent.price_match,
                algo_id: None,
                modify_id: 0,
                is_liquidation: false,
            });
            self.tell_order(order_id, now, "NEW", None, "0");
        }
    }

    fn order_changed(&mut self, update: &OrderUpdate) {
        let (id, at) = (update.order_id, update.at);
        if self.records.algo(id).is_some_and(|algo| algo.child.is_none()) {
            return self.algo_changed(update);
        }
        match update.execution {
            Execution::New | Execution::Triggered { .. } | Execution::TriggerRejected { .. } => {}
            Execution::Trade(fill) => self.traded(update, &fill),
            Execution::Canceled => {
                self.records.change(id, |order| (order.status, order.updated) = (Status::Canceled, at));
                self.tell_order(id, at, "CANCELED", None, "0");
                self.finish_algo(id, at);
            }
            Execution::Expired(reason) => {
                let status = match reason {
                    ExpiryReason::SelfTradePrevention => Status::ExpiredInMatch,
                    _ => Status::Expired,
                };
                self.records.change(id, |order| (order.status, order.updated) = (status, at));
                self.tell_order(id, at, "EXPIRED", None, expiry_digit(reason));
                self.finish_algo(id, at);
            }
            Execution::Amended { qty, price } => {
                self.modifications += 1;
                let number = self.modifications;
                self.records.change(id, |order| {
                    order.qty = qty;
                    order.spec.qty = qty;
                    if let OrderType::Limit { tif, .. } = order.spec.order_type {
                        order.spec.order_type = OrderType::Limit { price, tif };
                    }
                    (order.updated, order.modify_id) = (at, number);
                });
                self.tell_order(id, at, "AMENDMENT", None, "0");
            }
        }
    }

    fn algo_changed(&mut self, update: &OrderUpdate) {
        let (id, at) = (update.order_id, update.at);
        let become_status = |gateway: &mut Gateway, status| {
            gateway.records.change_algo(id, |algo| {
                (algo.status, algo.updated) = (status, at);
                if status == AlgoStatus::Triggering {
                    algo.triggered = Some(at);
                }
            });
            gateway.tell_algo(id, at);
        };
        match update.execution {
            Execution::Canceled => become_status(self, AlgoStatus::Canceled),
            Execution::Expired(_) => become_status(self, AlgoStatus::Expired),
            Execution::TriggerRejected { code } => {
                become_status(self, AlgoStatus::Triggering);
                self.records.change_algo(id, |algo| algo.reason = code);
                become_status(self, AlgoStatus::Rejected);
            }
            Execution::Triggered { child, qty } => {
                become_status(self, AlgoStatus::Triggering);
                self.records.change_algo(id, |algo| algo.child = Some(child));
                become_status(self, AlgoStatus::Triggered);
                self.child_placed(id, child, qty, at);
            }
            Execution::New | Execution::Trade(_) | Execution::Amended { .. } => {}
        }
    }

    /// The order that a conditional one became.
    fn child_placed(&mut self, algo_id: u64, child: u64, qty: Qty, at: Timestamp) {
        let Some(algo) = self.records.algo(algo_id).copied() else {
            return;
        };
        let order_type = match algo.spec.order_type {
            OrderType::Stop { price, tif, .. } | OrderType::TakeProfit { price, tif, .. } => {
                OrderType::Limit { price, tif }
            }
            _ => OrderType::Market,
        };
        let own_name = self.config.child_keeps_client_id.then_some(algo.client_algo_id);
        let client_order_id = own_name.unwrap_or_else(|| self.make_name());
        self.records.add(OrderRecord {
            order_id: child,
            client_order_id,
            exchange_name: algo.client_algo_id,
            spec: OrderSpec { qty, order_type, ..algo.spec },
            qty,
            filled: Qty::ZERO,
            quote: 0,
            status: Status::New,
            created: at,
            updated: at,
            price_match: "NONE",
            algo_id: Some(algo_id),
            modify_id: 0,
            is_liquidation: false,
        });
        self.tell_order(child, at, "NEW", None, "0");
    }

    /// The child is over, so its conditional order is finished.
    fn finish_algo(&mut self, child: u64, at: Timestamp) {
        let Some(algo_id) = self.records.get(child).and_then(|order| order.algo_id) else {
            return;
        };
        self.records.change_algo(algo_id, |algo| (algo.status, algo.updated) = (AlgoStatus::Finished, at));
        self.tell_algo(algo_id, at);
    }

    fn traded(&mut self, update: &OrderUpdate, fill: &Fill) {
        let (id, at, symbol) = (update.order_id, update.at, update.symbol);
        if self.records.get(id).is_none() {
            // Nobody sent it: the exchange closes a position by force.
            let spec = OrderSpec::market(symbol, update.side, fill.qty).position_side(update.position_side);
            self.records.add(OrderRecord {
                order_id: id,
                client_order_id: update.client_order_id,
                exchange_name: update.client_order_id,
                spec,
                qty: fill.qty,
                filled: Qty::ZERO,
                quote: 0,
                status: Status::New,
                created: at,
                updated: at,
                price_match: "NONE",
                algo_id: None,
                modify_id: 0,
                is_liquidation: true,
            });
        }
        let order = self.records.change(id, |order| {
            order.filled = order.filled.saturating_add(fill.qty);
            order.quote = order.quote.saturating_add(fill.price.exact_notional(fill.qty));
            order.updated = at;
            order.status = if order.filled >= order.qty { Status::Filled } else { Status::PartiallyFilled };
        });
        let client_order_id = order.map_or(update.client_order_id, |order| order.client_order_id);
        let trade = OwnTrade {
            at,
            symbol: self.contracts[symbol.index()].instrument.symbol.clone(),
            id: fill.trade_id,
            order_id: id,
            client_order_id,
            side: update.side,
            position_side: update.position_side,
            price: fill.price,
            qty: fill.qty,
            fee: fill.fee,
            fee_asset: fill.fee_asset,
            realized: fill.realized,
            is_maker: fill.is_maker,
        };
        self.ledger.trade(symbol, trade, fill);
        self.tell_trade_lite(id, at, fill);
        let execution = if fill.is_liquidation { "CALCULATED" } else { "TRADE" };
        self.tell_order(id, at, execution, Some(fill), "0");
        self.tell_account("ORDER", Some((symbol, update.position_side)), Money::ZERO, None);
        if order.is_some_and(|order| order.status == Status::Filled) {
            self.finish_algo(id, at);
        }
    }

    fn funding_paid(&mut self, payment: &FundingPayment) {
        self.ledger.funding(self.market_now(), payment);
        // Cross positions push the balance only.
        let is_isolated = self.exchange.is_isolated(payment.symbol);
        let position = is_isolated.then_some((payment.symbol, payment.position_side));
        self.tell_account("FUNDING_FEE", position, payment.amount, Some(payment.symbol));
    }

    fn transferred(&mut self, amount: Money, reason: TransferReason) {
        let (event, kind) = match reason {
            TransferReason::InsuranceClear => ("INSURANCE_CLEAR", "INSURANCE_CLEAR"),
            TransferReason::Withdraw => ("WITHDRAW", "TRANSFER"),
            _ => ("DEPOSIT", "TRANSFER"),
        };
        self.ledger.transfer(self.market_now(), kind, amount);
        self.tell_account(event, None, amount, None);
    }

    pub(super) fn tell_order(&mut self, id: u64, at: Timestamp, execution: &str, fill: Option<&Fill>, er: &str) {
        if !self.sockets.has_listeners() {
            return;
        }
        if let Some(order) = self.records.get(id).copied() {
            let o = self.order_payload(&order, at, execution, fill, er);
            let event = json!({"e": "ORDER_TRADE_UPDATE", "E": self.market_millis(), "T": at.millis(), "o": o});
            self.tell_user(&event);
        }
    }

    fn order_payload(
        &self,
        order: &OrderRecord,
        at: Timestamp,
        execution: &str,
        fill: Option<&Fill>,
        er: &str,
    ) -> Value {
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
        if let (Some(fill), Some(fields)) = (fill, o.as_object_mut()) {
            fields.insert("N".into(), json!(fill.fee_asset.as_str()));
            fields.insert("n".into(), json!(decimal(fill.fee.steps(), 0)));
        }
        let rest = json!({
            "T": at.millis(), "t": fill.map_or(0, |fill| fill.trade_id), "b": notional(Side::Buy),
            "a": notional(Side::Sell), "m": fill.is_some_and(|fill| fill.is_maker), "R": spec.reduce_only,
            "wt": working_name(spec), "ot": kind, "ps": spec.position_side.name(), "cp": spec.close_position,
            "pP": spec.price_protect, "si": 0, "ss": 0,
            "rp": decimal(fill.map_or(0, |fill| fill.realized.steps()), 0), "V": stp_name(spec),
            "pm": order.price_match, "gtd": good_till(spec), "er": er,
        });
        append(&mut o, rest);
        if order.modify_id > 0 && execution == "AMENDMENT" {
            append(&mut o, json!({"M": order.modify_id}));
        }
        o
    }

    fn tell_trade_lite(&mut self, id: u64, at: Timestamp, fill: &Fill) {
        let Some(order) = self.records.get(id).filter(|_| self.sockets.has_listeners()) else {
            return;
        };
        let contract = &self.contracts[order.spec.symbol.index()];
        let digits = contract.digits;
        let price = order.spec.order_type.price();
        let event = json!({
            "e": "TRADE_LITE", "E": self.market_millis(), "T": at.millis(), "s": contract.name,
            "q": digits.qty(order.qty), "p": price.map_or_else(|| "0".to_owned(), |price| digits.price(price)),
            "m": fill.is_maker, "c": order.client_order_id.as_str(), "S": order.spec.side.name(),
            "L": digits.price(fill.price), "l": digits.qty(fill.qty), "t": fill.trade_id, "i": order.order_id,
        });
        self.tell_user(&event);
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
        let positions: Vec<Value> =
            position.into_iter().map(|(symbol, side)| self.position_payload(symbol, side)).collect();
        let mut a = json!({"m": reason, "B": [balance], "P": positions});
        if let Some(symbol) = of_symbol {
            append(&mut a, json!({"S": self.contracts[symbol.index()].name}));
        }
        let now = self.market_millis();
        self.tell_user(&json!({"e": "ACCOUNT_UPDATE", "E": now, "T": now, "a": a}));
    }

    fn position_payload(&self, symbol: SymbolId, side: PositionSide) -> Value {
        let contract = &self.contracts[symbol.index()];
        let holding = self.ledger.holding(symbol, side);
        let unrealized = holding.position.unrealized(self.exchange.mark_price(symbol)).unwrap_or_default();
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
            append(&mut o, json!({"AP": activation, "cr": callback}));
        }
        self.tell_user(&json!({"e": "ALGO_UPDATE", "T": at.millis(), "E": self.market_millis(), "o": o}));
    }

    pub(super) fn tell_user(&mut self, event: &Value) {
        let kind = event.get("e").and_then(Value::as_str).unwrap_or_default();
        if let Some(key) = self.keys.active(self.wall) {
            self.sockets.publish_user(&key, kind, &event.to_string(), self.config.strict_routes);
        }
    }
}

/// Adds the fields of another object.
pub(super) fn append(object: &mut Value, more: Value) {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
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

fn expiry_digit(reason: ExpiryReason) -> &'static str {
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
