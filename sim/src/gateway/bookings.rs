//! Bookings: what the exchange said becomes records, the ledger and user events, in the order in which it was said.

use alphaengine_core::exchange::{
    ExchangeUpdate, Execution, ExpiryReason, Fill, FundingPayment, OrderUpdate, Outcome, TransferReason,
};
use alphaengine_core::id::RequestId;
use alphaengine_core::order::{OrderSpec, OrderType};
use alphaengine_core::units::{Money, Qty, Timestamp};

use super::Gateway;
use super::ledger::OwnTrade;
use super::records::{AlgoRecord, AlgoStatus, OrderRecord, Status};
use super::user_events::expiry_digit;

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
        if fill.is_liquidation {
            self.tell_liquidation(update, fill);
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
}
