//! What a fault plan does to an account and its exchange from outside: slow replicas, other hands, other rules (`binance-usdm.md` section 7).

use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, PositionSide, Side};
use alphaengine_core::units::{Money, Nanos, Price, Qty, Timestamp};
use serde_json::{Value, json};

use super::encode::decimal;
use super::ledger::OwnTrade;
use super::records::{AlgoRecord, OrderRecord};
use super::{Gateway, Intent};

/// A replica that answers queries is behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    by: Nanos,
    /// In protocol time.
    until: Timestamp,
}

impl Gateway {
    /// Fault: until then, queries of orders, conditional orders, trades and income are answered as of `by` nanoseconds ago, all in
    /// protocol time: younger orders and trades are not there, older ones are as they were. Account and positions are asked of
    /// another service and stay current; orders and cancels go to the matching engine, which lags behind nothing.
    pub fn lag_queries(&mut self, wall: Timestamp, by: Nanos, until: Timestamp) {
        self.hear_time(wall);
        self.lag = Some(Lag { by: by.max(0), until });
    }

    /// Fault: money comes to the account, or with a minus leaves it, whatever the positions need: what they do not have any more
    /// is noticed at the next mark price. No more leaves than the wallet has outside of isolated margins. What was moved.
    pub fn transfer(&mut self, wall: Timestamp, amount: Money) -> Money {
        self.hear_time(wall);
        let most = Money::ZERO.saturating_sub(self.exchange.wallet().max(Money::ZERO));
        let amount = amount.max(most);
        if !amount.is_zero() {
            let now = self.market_now();
            self.exchange.move_money(now, amount);
            self.absorb(None);
        }
        amount
    }

    /// Fault: somebody else buys, or with a minus sells, at the market under a name of the web page. The quantity is rounded to
    /// the contract's step, away from zero where it would be too small to be taken. The number of the order.
    ///
    /// # Errors
    /// Why the exchange refused it, in its words.
    pub fn manual_order(&mut self, wall: Timestamp, symbol: SymbolId, qty: Qty) -> Result<u64, String> {
        self.hear_time(wall);
        if symbol.index() >= self.contracts.len() {
            return Err("there is no such contract here".to_owned());
        }
        let side = if qty.is_negative() { Side::Sell } else { Side::Buy };
        let qty = self.takeable(symbol, qty.abs());
        let spec = OrderSpec::market(symbol, side, qty).position_side(self.manual_side(symbol, side, qty));
        let name = self.make_name();
        let sent = self.send(Intent { name, spec, price_match: "NONE" });
        sent.map_err(|error| format!("{} ({})", error.message, error.code))
    }

    /// Fault: from now on ticks and steps of the symbol are so many times as coarse, and the least quantities and prices with
    /// them. What rests stays as it is.
    pub fn filters(&mut self, wall: Timestamp, symbol: SymbolId, times: u32) {
        self.hear_time(wall);
        let times = i64::from(times.max(1));
        let Some(contract) = self.contracts.get_mut(symbol.index()) else {
            return;
        };
        let instrument = &mut contract.instrument;
        let tick = instrument.price.tick.steps().saturating_mul(times);
        instrument.price.tick = Price::from_steps(tick);
        instrument.price.min = Price::from_steps(round_up(instrument.price.min.steps(), tick));
        for lot in [&mut instrument.lot, &mut instrument.market_lot] {
            let step = lot.step.steps().saturating_mul(times);
            lot.step = Qty::from_steps(step);
            lot.min = Qty::from_steps(round_up(lot.min.steps(), step));
        }
        let instrument = instrument.clone();
        self.show_filters(symbol);
        self.exchange.set_rules(symbol, instrument.price, instrument.lot, instrument.market_lot);
    }

    /// Of which time queries tell; `None` when of now.
    fn replica(&self) -> Option<Timestamp> {
        let lag = self.lag.filter(|lag| self.wall < lag.until)?;
        Some(self.wall.plus(-lag.by))
    }

    /// What a query sees of an order.
    pub(super) fn seen(&self, order: &OrderRecord) -> Option<OrderRecord> {
        match self.replica() {
            None => Some(*order),
            Some(at) => self.records.order_at(at, order),
        }
    }

    /// What a query sees of a conditional order.
    pub(super) fn seen_algo(&self, algo: &AlgoRecord) -> Option<AlgoRecord> {
        match self.replica() {
            None => Some(*algo),
            Some(at) => self.records.algo_at(at, algo),
        }
    }

    /// The order that a query means, as it is seen.
    pub(super) fn query_order(&self, symbol: SymbolId, id: Option<u64>, name: Option<&str>) -> Option<OrderRecord> {
        let newest = self.find_order(symbol, id, name)?;
        if let (Some(_), None, Some(name)) = (self.replica(), id, name) {
            // An older order may have had the name when the newest was not there yet.
            let of_name = self.records.all().rev().filter(|order| order.spec.symbol == symbol);
            let mut of_name = of_name.filter(|order| order.client_order_id.as_str() == name);
            return of_name.find_map(|order| self.seen(order));
        }
        self.seen(newest)
    }

    /// What a query sees as open, oldest first.
    pub(super) fn seen_open(&self) -> Vec<OrderRecord> {
        match self.replica() {
            None => self.records.open().copied().collect(),
            Some(_) => {
                self.records.all().filter_map(|order| self.seen(order)).filter(|order| order.status.is_open()).collect()
            }
        }
    }

    /// What a query sees as untriggered, oldest first.
    pub(super) fn seen_open_algos(&self) -> Vec<AlgoRecord> {
        match self.replica() {
            None => self.records.open_algos().copied().collect(),
            Some(_) => {
                let seen = self.records.all_algos().filter_map(|algo| self.seen_algo(algo));
                seen.filter(|algo| algo.status == super::records::AlgoStatus::New).collect()
            }
        }
    }

    /// The trades that a query sees, oldest first.
    pub(super) fn seen_trades(&self) -> &[OwnTrade] {
        self.ledger.trades_at(self.replica().unwrap_or(Timestamp::MAX))
    }

    /// Until when a query sees money move.
    pub(super) fn seen_until(&self) -> Timestamp {
        self.replica().unwrap_or(Timestamp::MAX)
    }

    /// The quantity, rounded to the step, and at least what a market order must have.
    fn takeable(&self, symbol: SymbolId, qty: Qty) -> Qty {
        let instrument = &self.contract(symbol).instrument;
        let lot = instrument.market_lot;
        let step = lot.step.steps().max(1);
        let rounded = qty.steps() / step * step;
        let price = i128::from(self.exchange.mark_price(symbol).steps());
        let scale = i128::from(alphaengine_core::units::SCALE);
        // A quantity whose notional is the least one, rounded up.
        let worth = i128::from(instrument.min_notional.steps()) * scale / price.max(1) + 1;
        let worth = if price == 0 { 0 } else { i64::try_from(worth).unwrap_or(i64::MAX) };
        Qty::from_steps(rounded.max(lot.min.steps()).max(round_up(worth, step)))
    }

    /// In hedge mode, an order closes what there is against it, else it opens its own side.
    fn manual_side(&self, symbol: SymbolId, side: Side, qty: Qty) -> PositionSide {
        if !self.exchange.is_hedged() {
            return PositionSide::Both;
        }
        let (own, other) = match side {
            Side::Buy => (PositionSide::Long, PositionSide::Short),
            Side::Sell => (PositionSide::Short, PositionSide::Long),
        };
        if self.exchange.position(symbol, other).qty().abs() >= qty { other } else { own }
    }

    /// An `exchangeInfo` that was given says the new filters too.
    fn show_filters(&mut self, symbol: SymbolId) {
        let contract = &self.contracts[symbol.index()];
        let (name, instrument, digits) = (contract.name.as_str(), &contract.instrument, contract.digits);
        let lot = |lot: &alphaengine_core::instrument::LotFilter| json!({"minQty": digits.qty(lot.min), "stepSize": digits.qty(lot.step)});
        let price = json!({"tickSize": digits.price(instrument.price.tick),
            "minPrice": decimal(instrument.price.min.steps(), digits.price)});
        let changes = [
            ("PRICE_FILTER", price),
            ("LOT_SIZE", lot(&instrument.lot)),
            ("MARKET_LOT_SIZE", lot(&instrument.market_lot)),
        ];
        let given = self.config.exchange_info.as_mut().and_then(|given| given.get_mut("symbols"));
        let symbols = given.and_then(Value::as_array_mut).into_iter().flatten();
        let symbols = symbols.filter(|symbol| symbol.get("symbol").and_then(Value::as_str) == Some(name));
        let filters = symbols.filter_map(|symbol| symbol.get_mut("filters")?.as_array_mut()).flatten();
        for filter in filters {
            let kind = filter.get("filterType").and_then(Value::as_str).unwrap_or_default();
            let change = changes.iter().find(|(of, _)| *of == kind).and_then(|(_, change)| change.as_object());
            if let (Some(filter), Some(change)) = (filter.as_object_mut(), change) {
                filter.extend(change.clone());
            }
        }
    }
}

/// The least multiple of `step` that is not smaller.
fn round_up(steps: i64, step: i64) -> i64 {
    if step <= 0 {
        return steps;
    }
    match steps.rem_euclid(step) {
        0 => steps,
        rest => steps.saturating_add(step - rest),
    }
}
