//! The Audit keeps books of its own from what was asked and what the exchange said, and holds the exchange to its laws.

use std::collections::BTreeMap;

use alphaengine_core::exchange::{ExchangeUpdate, Execution, Fill, OrderUpdate, Outcome, Outgoing, Request};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide};
use alphaengine_core::units::{Money, Price, Qty, Rounding, Timestamp};
use alphaengine_sim::SimExchange;

#[derive(Debug, Default)]
pub struct Audit {
    asked: BTreeMap<RequestId, (ClientOrderId, OrderSpec)>,
    open: BTreeMap<ClientOrderId, Open>,
    books: BTreeMap<(SymbolId, PositionSide), Book>,
    trade_ids: BTreeMap<SymbolId, u64>,
    order_ids: u64,
    transfers: u64,
    /// What the account must hold, in wallet and isolated margins together.
    balance: Money,
}

/// An order that the exchange has accepted and not ended.
#[derive(Debug)]
pub struct Open {
    /// Of a conditional order, the id in the algo service, and after it has fired that of its child.
    pub id: u64,
    /// As it was asked for, with the price of its last amendment.
    pub spec: OrderSpec,
    pub qty: Qty,
    pub filled: Qty,
    /// A conditional order that has not fired.
    pub waits: bool,
    /// When it last fired, filled or was amended.
    pub changed_at: Timestamp,
}

/// One position by its fills.
#[derive(Debug, Default)]
struct Book {
    qty: Qty,
    /// Signed quantity times price over all fills, in steps of 1e-16.
    paid: i128,
    realized: Money,
    margin: Money,
    /// Fills that closed something: each may have rounded by half a step.
    closings: i128,
}

impl Audit {
    /// Takes note of a request before it is sent.
    pub fn asked(&mut self, outgoing: &Outgoing) {
        if let Request::PlaceOrder { client_order_id, spec } = outgoing.request {
            self.asked.insert(outgoing.id, (client_order_id, spec));
        }
    }

    /// Takes what the exchange says, and objects to what cannot be.
    pub fn heard(&mut self, update: &ExchangeUpdate) {
        match update {
            ExchangeUpdate::Answer { id, outcome } => {
                let asked = self.asked.remove(id);
                if let (Some((name, spec)), Outcome::Placed { order_id }) = (asked, outcome) {
                    assert!(*order_id > self.order_ids, "order ids increase");
                    self.order_ids = *order_id;
                    let waits = spec.order_type.is_conditional();
                    let known = self.open.insert(
                        name,
                        Open {
                            id: *order_id,
                            spec,
                            qty: spec.qty,
                            filled: Qty::ZERO,
                            waits,
                            changed_at: Timestamp::MIN,
                        },
                    );
                    assert!(known.is_none(), "{name} was accepted while it was open");
                }
            }
            ExchangeUpdate::Order(order) => {
                let name = order.client_order_id;
                if let Execution::Trade(fill) = order.execution {
                    self.trade(order, &fill);
                    return;
                }
                let open = self.open.get_mut(&name);
                let open = open.unwrap_or_else(|| panic!("{name} is not open: {order:?}"));
                assert_eq!(order.order_id, open.id, "{name} goes by its id");
                match order.execution {
                    Execution::Amended { qty, price } => {
                        assert!(qty > open.filled && price.is_positive(), "{order:?} of {open:?}");
                        assert!(!open.waits, "what waits for its trigger cannot be amended");
                        open.changed_at = order.at;
                        open.qty = qty;
                        if let OrderType::Limit { price: old, .. }
                        | OrderType::Stop { price: old, .. }
                        | OrderType::TakeProfit { price: old, .. } = &mut open.spec.order_type
                        {
                            *old = price;
                        }
                    }
                    Execution::Triggered { qty, child } => {
                        assert!(child > self.order_ids, "order ids increase");
                        self.order_ids = child;
                        assert!(open.waits && open.filled.is_zero(), "{order:?} of {open:?}");
                        open.waits = false;
                        open.id = child;
                        open.changed_at = order.at;
                        open.qty = qty;
                    }
                    Execution::TriggerRejected { .. } => {
                        assert!(open.waits, "{order:?} of {open:?}");
                        self.open.remove(&name);
                    }
                    _ => {
                        self.open.remove(&name);
                    }
                }
            }
            ExchangeUpdate::Funding(payment) => {
                let held = self.books.get(&(payment.symbol, payment.position_side)).map_or(Qty::ZERO, |book| book.qty);
                assert_eq!(payment.position, held, "funding is charged on what is held");
                let (mark, rate) = (payment.mark.unwrap(), payment.rate.unwrap());
                let charged = mark.fee(held, rate, Rounding::HalfEven).unwrap();
                assert_eq!(payment.amount, Money::ZERO.checked_sub(charged).unwrap());
                self.balance = self.balance.checked_add(payment.amount).unwrap();
            }
            ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet } => {
                self.books.entry((*symbol, *position_side)).or_default().margin = *wallet;
            }
            ExchangeUpdate::Transfer { id, amount, .. } => {
                assert_eq!(*id, self.transfers, "transfers are numbered without gaps");
                self.transfers += 1;
                self.balance = self.balance.checked_add(*amount).unwrap();
            }
            ExchangeUpdate::Liquidation { margin_balance, maintenance, .. } => {
                assert!(margin_balance <= maintenance, "nobody is liquidated who carries himself");
            }
            ExchangeUpdate::Setting { .. } | ExchangeUpdate::Link(_) => {}
        }
    }

    fn trade(&mut self, update: &OrderUpdate, fill: &Fill) {
        let OrderUpdate { client_order_id: name, symbol, position_side: position, side, .. } = *update;
        assert!(fill.qty.is_positive() && fill.price.is_positive(), "{name}: {fill:?}");
        let last = self.trade_ids.entry(symbol).or_default();
        assert_eq!(fill.trade_id, *last + 1, "trades are numbered without gaps");
        *last = fill.trade_id;
        let book = self.books.entry((symbol, position)).or_default();
        let (before, signed) = (book.qty, side.signed(fill.qty));
        book.qty = before.checked_add(signed).unwrap();
        book.paid += fill.price.exact_notional(signed);
        book.realized = book.realized.checked_add(fill.realized).unwrap();
        let is_closing = before.signum() * signed.signum() < 0;
        book.closings += i128::from(is_closing);
        assert!(is_closing || fill.realized.is_zero(), "only what closes realises: {fill:?}");
        self.balance = self.balance.checked_add(fill.realized).unwrap().checked_sub(fill.fee).unwrap();
        let is_flipped = before.signum() * book.qty.signum() < 0;
        match position {
            PositionSide::Both => {}
            PositionSide::Long => assert!(!book.qty.is_negative(), "a long is not short"),
            PositionSide::Short => assert!(!book.qty.is_positive(), "a short is not long"),
        }
        if fill.is_liquidation {
            assert!(name.as_str().starts_with("autoclose-"), "{name}");
            assert!(book.qty.is_zero(), "a liquidation closes the position");
            return;
        }
        let open = self.open.get_mut(&name).unwrap_or_else(|| panic!("{name} is not open: {fill:?}"));
        assert!(!open.waits, "{name} trades without having fired");
        assert_eq!(update.order_id, open.id, "{name} goes by its id");
        open.filled = open.filled.checked_add(fill.qty).unwrap();
        open.changed_at = update.at;
        assert!(open.filled <= open.qty, "{name} filled {} of {}", open.filled, open.qty);
        if open.spec.only_reduces() {
            assert!(is_closing && !is_flipped, "{name} only reduces, but made {before} to {}", book.qty);
        }
        if open.filled == open.qty {
            self.open.remove(&name);
        }
    }

    /// The exchange's own account must be what the updates add up to.
    pub fn check(&self, exchange: &SimExchange) {
        let mut balance = exchange.wallet();
        for ((symbol, side), book) in &self.books {
            let position = exchange.position(*symbol, *side);
            assert_eq!(position.qty(), book.qty, "a position is the sum of its fills");
            let margin = exchange.margin(*symbol, *side);
            assert_eq!(margin, book.margin, "an isolated margin is what was told");
            assert!(margin.is_zero() || margin.is_positive() && !position.is_flat(), "{margin} for {position:?}");
            balance = balance.checked_add(margin).unwrap();
            // What was realised and what is still in the position are together what the fills brought.
            let any_price = Price::whole(100);
            let brought = any_price.exact_notional(book.qty) - book.paid;
            let accounted = book.realized.exact() + position.exact_unrealized(any_price);
            assert!((brought - accounted).abs() <= book.closings * Money::STEP.exact(), "{brought} is not {accounted}");
        }
        assert_eq!(balance, self.balance, "cash is conserved: deposits, realised profit, fees and funding");
        assert_eq!(
            exchange.open_orders(),
            self.open.len(),
            "every order that was accepted is open or was told to be over"
        );
    }

    /// The orders that are open, by name.
    pub fn open(&self) -> &BTreeMap<ClientOrderId, Open> {
        &self.open
    }
}
