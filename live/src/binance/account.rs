//! An Account answers the engine's questions about itself: several calls are joined into one snapshot, trades get the names of
//! their orders, and income becomes payments and transfers.

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::exchange::{ExchangeError, ExchangeUpdate, Execution, OrderUpdate, Outcome, Setting};
use alphaengine_core::id::{RequestId, order_sequence};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::json::Json;
use alphaengine_core::market::SymbolId;
use alphaengine_core::rate_limit::Urgency;
use alphaengine_core::snapshot::{AccountSnapshot, BalanceSnapshot, PositionSnapshot};
use alphaengine_core::units::{Money, NANOS_PER_DAY, NANOS_PER_MILLI, Timestamp};

use super::call::{Answer, Call, Part, Purpose, ROUND_WORTH};
use super::figures::Strangers;
use super::json::{Fields, Malformed, short};
use super::line::Line;
use super::owners::{Owners, is_liquidation};
use super::query::Query;
use super::rows::{conditional, income, make_fees_positive, regular, trade};

/// Asking for each symbol costs 1, for all 40 (`binance-usdm.md` section 3.3).
const ALL_SYMBOLS_WEIGHT: u32 = 40;
/// Rows of a page of trades or income.
const PAGE: usize = 1_000;
/// The exchange takes at most seven days between two times, and forgets trades after three months (section 7.2).
const WINDOW: i64 = 7 * NANOS_PER_DAY;
const KEPT: i64 = 89 * NANOS_PER_DAY;
const ALL_CONDITIONAL: &str = "/fapi/v1/allAlgoOrders";
/// "Order does not exist."
const ORDER_NOT_THERE: i32 = -2013;
/// From so many unknown orders on, a page of orders is cheaper than a question for each.
const ONE_BY_ONE: usize = 5;

#[derive(Debug, Default)]
pub(crate) struct Account {
    snapshots: BTreeMap<RequestId, SnapshotJob>,
    trades: BTreeMap<RequestId, TradesJob>,
    /// The last trade of the page that was read last, with its time.
    pub newest_trade: Option<(SymbolId, u64, Timestamp)>,
}

#[derive(Debug)]
struct SnapshotJob {
    waiting: usize,
    snapshot: AccountSnapshot,
    elsewhere: BTreeSet<String>,
    /// Symbols with an open order that nobody owned when it was read: it may be the child of one of our conditional orders.
    orphaned: BTreeSet<SymbolId>,
    failure: Option<Outcome>,
}

#[derive(Debug)]
struct TradesJob {
    symbol: SymbolId,
    /// The span that was asked for, when it was one.
    until: Option<Timestamp>,
    rows: Vec<OrderUpdate>,
    more: bool,
    waiting: usize,
    /// Whether the parents of fired orders were asked for.
    asked_parents: bool,
}

/// What answers are read with.
pub(crate) struct Around<'a> {
    pub line: &'a mut Line,
    pub instruments: &'a Instruments,
    pub owners: &'a mut Owners,
    pub strangers: &'a mut Strangers,
}

impl Around<'_> {
    pub fn answer(&mut self, id: RequestId, outcome: Outcome) {
        self.line.exchange(ExchangeUpdate::Answer { id, outcome });
    }
}

/// The outcome of a question that was not answered.
pub(crate) fn failure(answer: &Answer) -> Option<Outcome> {
    match answer {
        Answer::Accepted(_) => None,
        Answer::Refused(error) => Some(Outcome::Rejected(error.clone())),
        Answer::Unknown(reason) => Some(Outcome::Unknown { reason: reason.clone() }),
    }
}

fn rows_of(answer: &Answer) -> Result<Vec<Json<'_>>, Outcome> {
    if let Some(outcome) = failure(answer) {
        return Err(outcome);
    }
    let Answer::Accepted(body) = answer else { return Ok(Vec::new()) };
    match Json::read(body) {
        Ok(Json::List(rows)) => Ok(rows),
        Ok(row @ Json::Object(_)) => Ok(vec![row]),
        _ => Err(Outcome::Unknown { reason: "the answer is not JSON".to_owned() }),
    }
}

impl Account {
    /// Asks for every part of a snapshot.
    pub fn ask_snapshot(&mut self, around: &mut Around<'_>, at: Timestamp, id: RequestId) {
        let mut calls = Vec::new();
        let count = around.instruments.len() as u32;
        for (part, path) in [(Part::Orders, "/fapi/v1/openOrders"), (Part::Conditional, "/fapi/v1/openAlgoOrders")] {
            let purpose = Purpose::Snapshot { id, part };
            if count < ALL_SYMBOLS_WEIGHT {
                for (_, instrument) in around.instruments.iter() {
                    let query = Query::new().with("symbol", &instrument.symbol);
                    calls.push(Call::signed(purpose.clone(), path, query, 1));
                }
            } else {
                calls.push(Call::signed(purpose, path, Query::new(), ALL_SYMBOLS_WEIGHT));
            }
        }
        for (part, path) in [
            (Part::Account, "/fapi/v3/account"),
            (Part::Positions, "/fapi/v3/positionRisk"),
            (Part::Settings, "/fapi/v1/symbolConfig"),
            (Part::Mode, "/fapi/v1/accountConfig"),
        ] {
            calls.push(Call::signed(Purpose::Snapshot { id, part }, path, Query::new(), 5));
        }
        let job = SnapshotJob {
            waiting: calls.len(),
            snapshot: AccountSnapshot::default(),
            elsewhere: BTreeSet::new(),
            orphaned: BTreeSet::new(),
            failure: None,
        };
        self.snapshots.insert(id, job);
        calls.into_iter().for_each(|call| around.line.call(call.useless_after(at.plus(ROUND_WORTH))));
    }

    /// Joins one part. The snapshot when it was the last.
    pub fn part(
        &mut self,
        around: &mut Around<'_>,
        at: Timestamp,
        id: RequestId,
        part: Part,
        answer: &Answer,
    ) -> Option<AccountSnapshot> {
        let job = self.snapshots.get_mut(&id)?;
        match rows_of(answer) {
            Ok(rows) => {
                for row in &rows {
                    if let Err(error) = Fields::of(row).and_then(|row| job.read(around, part, row)) {
                        around.strangers.malformed(format_args!("{part:?} of the snapshot: {error}"));
                        let reason = format!("{part:?} of the snapshot could not be read: {error}");
                        job.failure.get_or_insert(Outcome::Unknown { reason });
                    }
                }
            }
            Err(outcome) => {
                job.failure.get_or_insert(outcome);
            }
        }
        for symbol in std::mem::take(&mut job.orphaned) {
            job.waiting += 1;
            let query = Query::new().with("symbol", &around.instruments.get(symbol).symbol).with("limit", PAGE);
            let call = Call::signed(Purpose::Snapshot { id, part: Part::Parents(symbol) }, ALL_CONDITIONAL, query, 5);
            around.line.call(call.useless_after(at.plus(ROUND_WORTH)));
        }
        job.waiting = job.waiting.saturating_sub(1);
        if job.waiting > 0 {
            return None;
        }
        let mut job = self.snapshots.remove(&id)?;
        if job.failure.is_none() {
            job.name_orders(around.owners);
        }
        job.snapshot.elsewhere = job.elsewhere.into_iter().collect();
        let outcome = job.failure.unwrap_or_else(|| Outcome::Snapshot(Box::new(job.snapshot.clone())));
        let complete = matches!(outcome, Outcome::Snapshot(_));
        around.answer(id, outcome);
        complete.then_some(job.snapshot)
    }

    /// Asks for a page of our own trades.
    pub fn ask_trades(
        &mut self,
        around: &mut Around<'_>,
        at: Timestamp,
        id: RequestId,
        symbol: SymbolId,
        from_id: u64,
        since: Timestamp,
    ) {
        let mut query = Query::new().with("symbol", &around.instruments.get(symbol).symbol);
        let mut until = None;
        if from_id > 0 {
            query.put("fromId", from_id);
        } else {
            let server = around.line.clock.server(at);
            let since = since.max(server.plus(-KEPT));
            query.put("startTime", since.millis());
            let end = since.plus(WINDOW - NANOS_PER_MILLI);
            if end < server {
                query.put("endTime", end.millis());
                until = Some(end);
            }
        }
        query.put("limit", PAGE);
        let job = TradesJob { symbol, until, rows: Vec::new(), more: false, waiting: 0, asked_parents: false };
        self.trades.insert(id, job);
        let call = Call::signed(Purpose::Trades(id), "/fapi/v1/userTrades", query, 5);
        around.line.call(call.useless_after(at.plus(ROUND_WORTH)));
    }

    /// A page of trades came: whose orders were they?
    pub fn trades(&mut self, around: &mut Around<'_>, at: Timestamp, id: RequestId, answer: &Answer) {
        let Some(job) = self.trades.get_mut(&id) else { return };
        let rows = match rows_of(answer) {
            Ok(rows) => rows,
            Err(outcome) => {
                self.trades.remove(&id);
                return around.answer(id, outcome);
            }
        };
        // A week without trades leaves the engine no last trade to go on from.
        if let (true, Some(until)) = (rows.is_empty(), job.until) {
            let symbol = job.symbol;
            return self.ask_trades(around, at, id, symbol, 0, until.plus(NANOS_PER_MILLI));
        }
        job.more = rows.len() >= PAGE || job.until.is_some();
        let symbol = job.symbol;
        let read: Result<Vec<OrderUpdate>, Malformed> =
            rows.iter().map(|row| trade(Fields::of(row)?, symbol, around.instruments)).collect();
        let mut updates = match read {
            Ok(updates) => updates,
            Err(error) => {
                around.strangers.malformed(format_args!("trade: {error}"));
                self.trades.remove(&id);
                return around.answer(id, Outcome::Unknown { reason: format!("a trade could not be read: {error}") });
            }
        };
        make_fees_positive(&mut updates);
        self.newest_trade = updates.last().and_then(|update| match update.execution {
            Execution::Trade(fill) => Some((symbol, fill.trade_id, update.at)),
            _ => None,
        });
        job.rows = updates;
        let unknown = job.unknown(around.owners);
        if unknown.len() > ONE_BY_ONE {
            let query = Query::new()
                .with("symbol", &around.instruments.get(symbol).symbol)
                .with("orderId", unknown.first().copied().unwrap_or(0))
                .with("limit", PAGE);
            job.waiting = 1;
            let purpose = Purpose::Owner { id, order_id: 0 };
            return around.line.call(Call::signed(purpose, "/fapi/v1/allOrders", query, 5));
        }
        job.ask_owners(around, id, unknown);
        self.finish_trades(around, id);
    }

    /// The answer to a question after one order, or with number 0 a page of them.
    pub fn owner(&mut self, around: &mut Around<'_>, id: RequestId, order_id: u64, answer: &Answer) {
        let Some(job) = self.trades.get_mut(&id) else { return };
        job.waiting = job.waiting.saturating_sub(1);
        let symbol = job.symbol;
        match rows_of(answer) {
            Ok(rows) => {
                for row in rows.iter().filter_map(|row| Fields::of(row).ok()) {
                    let Ok(number) = row.whole("orderId") else { continue };
                    let name = row.client_order_id("clientOrderId");
                    around.owners.learn(symbol, number, name);
                    // The child of a conditional order may carry a name of its own.
                    let fired = !matches!(row.text("origType"), "" | "LIMIT" | "MARKET" | "LIQUIDATION");
                    let is_known = around.owners.parent(symbol, number).is_some() || order_sequence(&name).is_some();
                    if fired && !is_known && !std::mem::replace(&mut job.asked_parents, true) {
                        job.waiting += 1;
                        let query =
                            Query::new().with("symbol", &around.instruments.get(symbol).symbol).with("limit", PAGE);
                        around.line.call(Call::signed(Purpose::Parents(id), ALL_CONDITIONAL, query, 5));
                    }
                }
            }
            // The exchange forgot it (section 7.2): the number has to do as a name.
            Err(Outcome::Rejected(error)) if order_id > 0 && error.code == ORDER_NOT_THERE => {
                around.owners.learn(symbol, order_id, short(&format!("order-{order_id}")));
            }
            // Whoever is only busy, or limits us, has not said whose it is: under a wrong name it would miss its order.
            Err(outcome) => {
                self.trades.remove(&id);
                return around.answer(id, outcome);
            }
        }
        let unknown = job.unknown(around.owners);
        if order_id == 0 {
            job.ask_owners(around, id, unknown);
        } else if job.waiting == 0 {
            for number in unknown {
                around.owners.learn(symbol, number, short(&format!("order-{number}")));
            }
        }
        self.finish_trades(around, id);
    }

    /// The conditional orders of a symbol, with what they became.
    pub fn parents(&mut self, around: &mut Around<'_>, id: RequestId, answer: &Answer) {
        let Some(job) = self.trades.get_mut(&id) else { return };
        job.waiting = job.waiting.saturating_sub(1);
        let rows = match rows_of(answer) {
            Ok(rows) => rows,
            Err(outcome) => {
                self.trades.remove(&id);
                return around.answer(id, outcome);
            }
        };
        for row in rows.iter().filter_map(|row| Fields::of(row).ok()) {
            if let Ok(child) = row.whole("actualOrderId") {
                around.owners.learn_child(job.symbol, child, row.client_order_id("clientAlgoId"));
            }
        }
        self.finish_trades(around, id);
    }

    fn finish_trades(&mut self, around: &mut Around<'_>, id: RequestId) {
        if self.trades.get(&id).is_none_or(|job| job.waiting > 0) {
            return;
        }
        let Some(mut job) = self.trades.remove(&id) else { return };
        for update in &mut job.rows {
            update.client_order_id = around.owners.name(job.symbol, update.order_id).unwrap_or_default();
            if let Execution::Trade(fill) = &mut update.execution {
                fill.is_liquidation = is_liquidation(update.client_order_id.as_str());
            }
        }
        around.answer(id, Outcome::Trades { trades: job.rows, more: job.more });
    }

    /// Asks for a page of income; for the engine, or with no id to pass the rows on at once.
    pub fn ask_income(&mut self, line: &mut Line, at: Timestamp, id: Option<RequestId>, since: Timestamp) {
        let since = since.max(line.clock.server(at).plus(-KEPT));
        let query = Query::new().with("startTime", since.millis()).with("limit", PAGE);
        let call = Call::signed(Purpose::Income(id), "/fapi/v1/income", query, 30);
        line.call(call.useless_after(at.plus(ROUND_WORTH)));
    }

    pub fn income(&mut self, around: &mut Around<'_>, id: Option<RequestId>, hedge: bool, answer: &Answer) {
        let rows = match rows_of(answer) {
            Ok(rows) => rows,
            Err(outcome) => {
                if let Some(id) = id {
                    around.answer(id, outcome);
                }
                return;
            }
        };
        let more = rows.len() >= PAGE;
        let mut until = Timestamp::MIN;
        let mut updates: Vec<(Timestamp, ExchangeUpdate)> = Vec::new();
        for row in &rows {
            match Fields::of(row)
                .and_then(|row| Ok((row.time("time")?, income(row, hedge, around.instruments, around.strangers)?)))
            {
                Ok((at, update)) => {
                    until = until.max(at);
                    updates.extend(update.map(|update| (at, update)));
                }
                Err(error) => {
                    around.strangers.malformed(format_args!("income: {error}"));
                    if let Some(id) = id {
                        let reason = format!("a row of income could not be read: {error}");
                        return around.answer(id, Outcome::Unknown { reason });
                    }
                }
            }
        }
        // Oldest first, whatever the order of the page.
        updates.sort_by_key(|(at, _)| *at);
        let rows = updates.into_iter().map(|(_, update)| update);
        match id {
            Some(id) => {
                let rows = rows.collect();
                around.answer(id, Outcome::Income { rows, until, more });
            }
            None => rows.for_each(|update| around.line.exchange(update)),
        }
    }
}

impl TradesJob {
    /// Orders without a known name, ascending.
    fn unknown(&self, owners: &Owners) -> BTreeSet<u64> {
        let numbers = self.rows.iter().map(|row| row.order_id);
        numbers.filter(|number| owners.name(self.symbol, *number).is_none()).collect()
    }

    fn ask_owners(&mut self, around: &mut Around<'_>, id: RequestId, unknown: BTreeSet<u64>) {
        for order_id in unknown {
            self.waiting += 1;
            let query =
                Query::new().with("symbol", &around.instruments.get(self.symbol).symbol).with("orderId", order_id);
            let purpose = Purpose::Owner { id, order_id };
            around.line.call(Call::signed(purpose, "/fapi/v1/order", query, 1).urgency(Urgency::Poll));
        }
    }
}

impl SnapshotJob {
    fn read(&mut self, around: &mut Around<'_>, part: Part, row: Fields<'_>) -> Result<(), Malformed> {
        let symbol = around.instruments.id(row.text("symbol"));
        match part {
            Part::Orders => match symbol {
                Some(symbol) => {
                    let order = regular(row, symbol, around.owners)?;
                    if around.owners.may_be_child(symbol, order.order_id, &order.client_order_id) {
                        self.orphaned.insert(symbol);
                    }
                    self.snapshot.orders.push(order);
                }
                None => self.is_elsewhere(row),
            },
            Part::Parents(symbol) => {
                if let Ok(child) = row.whole("actualOrderId") {
                    around.owners.learn_child(symbol, child, row.client_order_id("clientAlgoId"));
                }
            }
            Part::Conditional => match symbol {
                Some(symbol) => self.snapshot.orders.push(conditional(row, symbol)?),
                None => self.is_elsewhere(row),
            },
            Part::Account => {
                for asset in row.list("assets") {
                    let asset = Fields::of(asset)?;
                    let wallet = asset.money("walletBalance")?;
                    let name = asset.text("asset");
                    let is_ours = around.instruments.iter().any(|(_, it)| it.margin_asset == name);
                    if !wallet.is_zero() || is_ours {
                        self.snapshot.balances.push(BalanceSnapshot { asset: short(name), wallet });
                    }
                }
                // Only symbols with a position or an open order are listed.
                for position in row.list("positions") {
                    let position = Fields::of(position)?;
                    if around.instruments.id(position.text("symbol")).is_none() {
                        self.is_elsewhere(position);
                    }
                }
            }
            Part::Positions => {
                let qty = row.qty("positionAmt")?;
                match symbol {
                    Some(symbol) if !qty.is_zero() => self.snapshot.positions.push(PositionSnapshot {
                        symbol,
                        position_side: row.position_side("positionSide")?,
                        qty,
                        entry_price: row.rough_price("entryPrice"),
                        margin: if row.value("isolatedWallet").is_some() {
                            row.money("isolatedWallet")?
                        } else {
                            Money::ZERO
                        },
                    }),
                    None if !qty.is_zero() => self.is_elsewhere(row),
                    _ => {}
                }
            }
            Part::Settings => {
                if let Some(symbol) = symbol {
                    let leverage = u32::try_from(row.whole("leverage")?).map_err(|_| Malformed::Field("leverage"))?;
                    let isolated = row.text("marginType").eq_ignore_ascii_case("isolated");
                    self.snapshot.settings.push((Some(symbol), Setting::Leverage { leverage }));
                    self.snapshot.settings.push((Some(symbol), Setting::MarginType { isolated }));
                }
            }
            Part::Mode => {
                row.value("dualSidePosition").ok_or(Malformed::Field("dualSidePosition"))?;
                let hedge = row.flag("dualSidePosition");
                self.snapshot.settings.push((None, Setting::HedgeMode { hedge }));
            }
        }
        Ok(())
    }

    /// Orders of the matching engine get the names under which we know them. Whose an order is, is learnt only now: had the question
    /// after its parent failed, it has to be asked again.
    fn name_orders(&mut self, owners: &mut Owners) {
        for order in self.snapshot.orders.iter_mut().filter(|order| !order.spec.order_type.is_conditional()) {
            let (symbol, number) = (order.spec.symbol, order.order_id);
            if let Some(parent) = owners.parent(symbol, number) {
                order.client_order_id = parent;
            } else {
                owners.learn(symbol, number, order.client_order_id);
                if owners.may_be_child(symbol, number, &order.client_order_id) {
                    owners.learn_foreign(symbol, number, order.client_order_id);
                }
            }
        }
    }

    fn is_elsewhere(&mut self, row: Fields<'_>) {
        let name = row.text("symbol");
        if !name.is_empty() {
            self.elsewhere.insert(name.to_owned());
        }
    }
}

/// An error of our own making: the answer could not be understood.
pub(crate) fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "the answer could not be read".to_owned() }
}

/// A refusal of one element of a batch.
pub(crate) fn refusal(row: Fields<'_>) -> Option<ExchangeError> {
    let code = row.value("code")?;
    let code = code.as_i64().or_else(|| code.as_str()?.parse().ok())?;
    let code = i32::try_from(code).ok().filter(|code| *code < 0)?;
    Some(super::answer::error(code, row.text("msg")))
}
