//! Reconcile compares the state with what the exchange says the account is. It only names differences; when to believe them and
//! what to do about them, the engine decides.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::exchange::Setting;
use crate::id::{Asset, ClientOrderId};
use crate::market::SymbolId;
use crate::order::{OrderStatus, PositionSide};
use crate::snapshot::{AccountSnapshot, OrderSnapshot};
use crate::state::State;
use crate::units::{Money, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};

/// What kind of thing state and exchange differ about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DriftKind {
    /// An order that the state has open is not open at the exchange.
    OrderMissing,
    /// An order is open at the exchange that the state does not have.
    OrderForeign,
    /// An order was filled further than its booked trades say.
    OrderFilled,
    /// An order has another price or quantity.
    OrderChanged,
    Position,
    /// The isolated margin of a position.
    Margin,
    Balance,
    Setting,
    /// A symbol that the session does not trade has positions or orders.
    Elsewhere,
}

impl DriftKind {
    /// The kind of the entity in the log.
    pub const fn entity_kind(self) -> &'static str {
        match self {
            DriftKind::OrderMissing | DriftKind::OrderForeign | DriftKind::OrderFilled | DriftKind::OrderChanged => {
                "ORDER"
            }
            DriftKind::Position | DriftKind::Margin => "POSITION",
            DriftKind::Balance => "BALANCE",
            DriftKind::Setting => "SETTING",
            DriftKind::Elsewhere => "ACCOUNT",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Drift {
    OrderMissing { id: ClientOrderId },
    OrderForeign { order: OrderSnapshot },
    OrderFilled { id: ClientOrderId, ours: Qty, theirs: Qty },
    OrderChanged { id: ClientOrderId, qty: Qty, price: Price },
    Position { symbol: SymbolId, position_side: PositionSide, ours: Qty, theirs: Qty, entry_price: Price },
    Margin { symbol: SymbolId, position_side: PositionSide, ours: Money, theirs: Money },
    Balance { asset: Asset, ours: Money, theirs: Money },
    Setting { symbol: Option<SymbolId>, setting: Setting },
    Elsewhere { symbol: String },
}

impl Drift {
    pub const fn kind(&self) -> DriftKind {
        match self {
            Drift::OrderMissing { .. } => DriftKind::OrderMissing,
            Drift::OrderForeign { .. } => DriftKind::OrderForeign,
            Drift::OrderFilled { .. } => DriftKind::OrderFilled,
            Drift::OrderChanged { .. } => DriftKind::OrderChanged,
            Drift::Position { .. } => DriftKind::Position,
            Drift::Margin { .. } => DriftKind::Margin,
            Drift::Balance { .. } => DriftKind::Balance,
            Drift::Setting { .. } => DriftKind::Setting,
            Drift::Elsewhere { .. } => DriftKind::Elsewhere,
        }
    }

    /// Whether it must be seen in two snapshots before it is believed: stream, trades and snapshot race.
    pub const fn needs_second_look(&self) -> bool {
        matches!(self, Drift::OrderForeign { .. } | Drift::Position { .. } | Drift::Margin { .. })
    }

    /// Whether two snapshots show the same difference. Of an order of somebody else only its symbol and its
    /// name have to agree.
    pub fn is_same(&self, other: &Drift) -> bool {
        match (self, other) {
            (Drift::OrderForeign { order }, Drift::OrderForeign { order: other }) => {
                order.client_order_id == other.client_order_id && order.spec.symbol == other.spec.symbol
            }
            _ => self == other,
        }
    }
}

/// How long a balance has to differ before the difference is believed: the rows that explain it may be told up to ten seconds
/// after the balance, and what is believed before them is booked twice.
const BALANCE_SETTLES_AFTER: Nanos = 15 * NANOS_PER_SECOND;
/// A balance that goes on changing without a reason is believed all the same after this, so that no boot waits for ever.
const BALANCE_WAITS_AT_MOST: Nanos = NANOS_PER_MINUTE;

/// Differences of balances that wait for the rows that may explain them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsettled(BTreeMap<Asset, Waiting>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    amount: Money,
    /// Since when it differs by this amount.
    since: Timestamp,
    /// Since when it differs at all.
    began: Timestamp,
}

impl Unsettled {
    /// Forgets what a snapshot shows to agree again.
    pub fn keep_only(&mut self, drifts: &[Drift]) {
        let differs =
            |asset: &Asset| drifts.iter().any(|drift| matches!(drift, Drift::Balance { asset: of, .. } if of == asset));
        self.0.retain(|asset, _| differs(asset));
    }

    /// Notes a difference that a snapshot shows which was asked for at this time. True once it may be believed: it was there
    /// before, and for long enough.
    pub fn is_settled(&mut self, asset: Asset, amount: Money, asked_at: Timestamp) -> bool {
        let new = Waiting { amount, since: asked_at, began: asked_at };
        let Some(waiting) = self.0.get_mut(&asset) else {
            self.0.insert(asset, new);
            return false;
        };
        if waiting.amount != amount {
            *waiting = Waiting { began: waiting.began, ..new };
        }
        let is_settled = asked_at.since(waiting.since) >= BALANCE_SETTLES_AFTER
            || asked_at.since(waiting.began) >= BALANCE_WAITS_AT_MOST;
        if is_settled {
            self.0.remove(&asset);
        }
        is_settled
    }

    /// When the next one may be believed; `None` where none waits.
    pub fn due(&self) -> Option<Timestamp> {
        self.0.values().map(|waiting| waiting.since.plus(BALANCE_SETTLES_AFTER)).min()
    }
}

/// What was moved, or was on its way, since a snapshot was asked for: the snapshot is no judge of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    pub orders: BTreeSet<ClientOrderId>,
    /// Symbols of which positions moved.
    pub positions: BTreeSet<SymbolId>,
    pub money: bool,
    pub settings: bool,
}

impl Touched {
    /// Whether a snapshot says nothing of such a difference, of those that need a second look.
    pub fn covers(&self, drift: &Drift) -> bool {
        match drift {
            Drift::OrderForeign { order } => self.orders.contains(&order.client_order_id),
            Drift::Position { symbol, .. } => self.positions.contains(symbol),
            Drift::Margin { symbol, .. } => self.money || self.positions.contains(symbol),
            _ => false,
        }
    }
}

/// Every difference between the state and a snapshot, what was touched left out.
pub fn compare(state: &State, snapshot: &AccountSnapshot, touched: &Touched) -> Vec<Drift> {
    let mut drifts = Vec::new();
    if !touched.settings {
        let differs = |(symbol, setting): &&(Option<SymbolId>, Setting)| !state.has_setting(*symbol, *setting);
        let drift =
            |(symbol, setting): &(Option<SymbolId>, Setting)| Drift::Setting { symbol: *symbol, setting: *setting };
        drifts.extend(snapshot.settings.iter().filter(differs).map(drift));
    }
    compare_orders(state, snapshot, touched, &mut drifts);
    compare_positions(state, snapshot, touched, &mut drifts);
    if !touched.money {
        compare_balances(state, snapshot, &mut drifts);
    }
    drifts.extend(snapshot.elsewhere.iter().map(|symbol| Drift::Elsewhere { symbol: symbol.clone() }));
    drifts
}

fn compare_orders(state: &State, snapshot: &AccountSnapshot, touched: &Touched, drifts: &mut Vec<Drift>) {
    // The exchange keeps names apart by symbol (`binance-usdm.md` section 7.1): somebody else may use one name twice.
    for order in snapshot.orders.iter().filter(|order| !touched.orders.contains(&order.client_order_id)) {
        if state.orders.get(&order.client_order_id).is_none_or(|known| known.symbol != order.spec.symbol) {
            drifts.push(Drift::OrderForeign { order: *order });
        }
    }
    for order in state.orders.values().filter(|order| !touched.orders.contains(&order.client_order_id)) {
        let id = order.client_order_id;
        let Some(found) = snapshot.order(order.symbol, &id) else {
            drifts.push(Drift::OrderMissing { id });
            continue;
        };
        if found.filled > order.filled {
            drifts.push(Drift::OrderFilled { id, ours: order.filled, theirs: found.filled });
        }
        // Of a close-position order nobody knows the size before it fires.
        let qty = if order.spec.close_position { order.qty } else { found.spec.qty };
        let price = found.spec.order_type.price().unwrap_or(Price::ZERO);
        let was_sent = matches!(order.status, OrderStatus::New | OrderStatus::PartiallyFilled | OrderStatus::Triggered);
        if was_sent && (qty != order.qty || price != order.spec.order_type.price().unwrap_or(Price::ZERO)) {
            drifts.push(Drift::OrderChanged { id, qty, price });
        }
    }
}

fn compare_positions(state: &State, snapshot: &AccountSnapshot, touched: &Touched, drifts: &mut Vec<Drift>) {
    for symbol in (0..state.symbols.len()).map(|index| SymbolId(index as u16)) {
        if touched.positions.contains(&symbol) {
            continue;
        }
        for position_side in PositionSide::ALL {
            let is_it = |position: &&crate::snapshot::PositionSnapshot| {
                position.symbol == symbol && position.position_side == position_side
            };
            let found = snapshot.positions.iter().find(is_it);
            let (ours, theirs) =
                (state.position(symbol, position_side).qty(), found.map_or(Qty::ZERO, |found| found.qty));
            if ours != theirs {
                let entry_price = found.map_or(Price::ZERO, |found| found.entry_price);
                drifts.push(Drift::Position { symbol, position_side, ours, theirs, entry_price });
            }
            let (ours, theirs) = (state.margin(symbol, position_side), found.map_or(Money::ZERO, |found| found.margin));
            if ours != theirs && !touched.money {
                drifts.push(Drift::Margin { symbol, position_side, ours, theirs });
            }
        }
    }
}

/// An asset that the snapshot does not name is not held.
fn compare_balances(state: &State, snapshot: &AccountSnapshot, drifts: &mut Vec<Drift>) {
    let mut assets: BTreeSet<Asset> = state.ledger.assets().collect();
    assets.extend(snapshot.balances.iter().map(|balance| balance.asset));
    for asset in assets {
        let ours = state.ledger.holdings(asset);
        let found = snapshot.balances.iter().find(|balance| balance.asset == asset);
        let theirs = found.map_or(Money::ZERO, |balance| balance.wallet);
        if ours != theirs {
            drifts.push(Drift::Balance { asset, ours, theirs });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Actor;
    use crate::event::{
        Event, LeverageSet, OrderPlaced, OrderRequested, Recorded, Source, TradeExecuted, TransferBooked,
    };
    use crate::exchange::{Fill, TransferReason};
    use crate::id::CommandId;
    use crate::instrument::{Catalog, Instruments};
    use crate::order::{OrderSpec, Side};
    use crate::snapshot::{BalanceSnapshot, PositionSnapshot};

    const BTC: SymbolId = SymbolId(0);

    fn usdt() -> Asset {
        "USDT".parse().unwrap()
    }

    fn name() -> ClientOrderId {
        "ae-0123456789abcdef-000000000001".parse().unwrap()
    }

    fn spec() -> OrderSpec {
        OrderSpec::limit(BTC, Side::Buy, Qty::whole(3), Price::whole(95))
    }

    /// 1,000 USDT, a long of 2, leverage 10, and an order to buy 3 at 95 of which 1 is filled.
    fn state() -> State {
        let instrument = Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone();
        let mut state = State::new(&Instruments::new(vec![instrument]).unwrap());
        let trade = |client_order_id, trade_id, price| {
            let (fee, fee_asset, realized) = (Money::ZERO, usdt(), Money::ZERO);
            let (price, qty, is_maker, is_liquidation) = (Price::whole(price), Qty::ONE, false, false);
            let fill = Fill { trade_id, price, qty, fee, fee_asset, is_maker, is_liquidation, realized };
            let (side, position_side, traded_at) = (Side::Buy, PositionSide::Both, Timestamp::ZERO);
            TradeExecuted { client_order_id, order_id: 7, side, position_side, traded_at, fill }
        };
        let amount = Money::whole(1_000);
        let events: Vec<Event> = vec![
            TransferBooked { id: 1, asset: usdt(), amount, reason: TransferReason::Opening }.into(),
            LeverageSet { leverage: 10 }.into(),
            OrderRequested { client_order_id: name(), actor: Actor::Strategy, spec: spec() }.into(),
            OrderPlaced { client_order_id: name(), order_id: 7 }.into(),
            trade("other".parse().unwrap(), 1, 100).into(),
            trade(name(), 2, 95).into(),
        ];
        for event in events {
            let (seq, at, source) = (state.seq + 1, Timestamp::ZERO, Source::Sim);
            let command = Some(CommandId(1));
            state.apply(&Recorded { seq, at, source, command, causation: 0, symbol: Some(BTC), event }).unwrap();
        }
        state
    }

    fn order() -> OrderSnapshot {
        let (client_order_id, filled, created_at) = (name(), Qty::ONE, Timestamp::ZERO);
        OrderSnapshot { client_order_id, order_id: 7, spec: spec(), filled, created_at }
    }

    fn position(qty: i64) -> PositionSnapshot {
        let (qty, entry_price) = (Qty::whole(qty), "97.5".parse().unwrap());
        PositionSnapshot { symbol: BTC, position_side: PositionSide::Both, qty, entry_price, margin: Money::ZERO }
    }

    fn balance(wallet: i64) -> BalanceSnapshot {
        BalanceSnapshot { asset: usdt(), wallet: Money::whole(wallet) }
    }

    /// What the exchange says when all is well.
    fn agreeing() -> AccountSnapshot {
        AccountSnapshot {
            orders: vec![order()],
            positions: vec![position(2)],
            balances: vec![balance(1_000)],
            settings: vec![
                (Some(BTC), Setting::Leverage { leverage: 10 }),
                (None, Setting::HedgeMode { hedge: false }),
            ],
            elsewhere: vec![],
        }
    }

    fn changed(change: impl FnOnce(&mut AccountSnapshot)) -> AccountSnapshot {
        let mut snapshot = agreeing();
        change(&mut snapshot);
        snapshot
    }

    fn kinds(snapshot: &AccountSnapshot, touched: &Touched) -> Vec<DriftKind> {
        compare(&state(), snapshot, touched).iter().map(Drift::kind).collect()
    }

    #[test]
    fn each_difference_is_named_and_nothing_else() {
        use DriftKind as K;
        let foreign = OrderSnapshot { client_order_id: "web_1".parse().unwrap(), ..order() };
        let larger = OrderSnapshot { spec: OrderSpec { qty: Qty::whole(4), ..spec() }, ..order() };
        let dearer =
            OrderSnapshot { spec: OrderSpec::limit(BTC, Side::Buy, Qty::whole(3), Price::whole(96)), ..order() };
        let further = OrderSnapshot { filled: Qty::whole(2), ..order() };
        let behind = OrderSnapshot { filled: Qty::ZERO, ..order() };
        let short = PositionSnapshot { position_side: PositionSide::Short, ..position(-1) };
        let isolated = PositionSnapshot { margin: Money::ONE, ..position(2) };
        let bnb = BalanceSnapshot { asset: "BNB".parse().unwrap(), wallet: Money::ONE };
        let table: [(AccountSnapshot, &[DriftKind]); 15] = [
            (agreeing(), &[]),
            (changed(|it| it.orders.clear()), &[K::OrderMissing]),
            (changed(|it| it.orders.push(foreign)), &[K::OrderForeign]),
            (changed(|it| it.orders = vec![larger]), &[K::OrderChanged]),
            (changed(|it| it.orders = vec![dearer]), &[K::OrderChanged]),
            (changed(|it| it.orders = vec![further]), &[K::OrderFilled]),
            // The snapshot is older than a fill that was heard.
            (changed(|it| it.orders = vec![behind]), &[]),
            (changed(|it| it.positions = vec![position(3)]), &[K::Position]),
            (changed(|it| it.positions.clear()), &[K::Position]),
            (changed(|it| it.positions.push(short)), &[K::Position]),
            (changed(|it| it.positions = vec![isolated]), &[K::Margin]),
            (changed(|it| it.balances = vec![balance(999)]), &[K::Balance]),
            (changed(|it| it.balances.push(bnb)), &[K::Balance]),
            (changed(|it| it.settings = vec![(None, Setting::HedgeMode { hedge: true })]), &[K::Setting]),
            (changed(|it| it.elsewhere = vec!["DOGEUSDT".into()]), &[K::Elsewhere]),
        ];
        for (snapshot, expected) in table {
            assert_eq!(kinds(&snapshot, &Touched::default()), expected, "{snapshot:?}");
        }
        let nothing = AccountSnapshot::default();
        assert_eq!(kinds(&nothing, &Touched::default()), [K::OrderMissing, K::Position, K::Balance]);
    }

    #[test]
    fn what_was_touched_is_not_judged() {
        let nothing = changed(|it| {
            it.orders.clear();
            it.positions.clear();
            it.balances.clear();
            it.settings = vec![(Some(BTC), Setting::Leverage { leverage: 3 })];
        });
        let touched =
            Touched { orders: BTreeSet::from([name()]), positions: BTreeSet::from([BTC]), money: true, settings: true };
        assert_eq!(kinds(&nothing, &touched), []);
        assert_eq!(kinds(&nothing, &Touched { orders: BTreeSet::new(), ..touched.clone() }), [DriftKind::OrderMissing]);
        assert_eq!(kinds(&nothing, &Touched { positions: BTreeSet::new(), ..touched.clone() }), [DriftKind::Position]);
        assert_eq!(kinds(&nothing, &Touched { money: false, ..touched.clone() }), [DriftKind::Balance]);
        assert_eq!(kinds(&nothing, &Touched { settings: false, ..touched }), [DriftKind::Setting]);
    }
}
