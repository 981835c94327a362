//! The export of a run: its store as tables that a notebook opens, with ISO times in UTC and exact decimals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alphaengine_core::event::{Event, Recorded, TradeExecuted};
use alphaengine_core::id::{Asset, ClientOrderId};
use alphaengine_core::ledger;
use alphaengine_core::market::SymbolId;
use alphaengine_core::mode::Mode;
use alphaengine_core::order::OrderSpec;
use alphaengine_core::position::Position;
use alphaengine_core::report::RoundTrips;
use alphaengine_core::store::{SessionRow, StoreReader};
use alphaengine_core::units::{Money, Qty, Timestamp};
use alphaengine_datasets::sheet::{Cell, Sheet};

pub use alphaengine_datasets::sheet::Format;

use crate::backtest::data_error;
use crate::error::Error;
use crate::runs::store_error;

/// Writes the tables of a store's run into a directory, which is made if it is not there. The files that were written.
pub fn export(store: &Path, directory: &Path, format: Format) -> Result<Vec<PathBuf>, Error> {
    let reader = StoreReader::open(store).map_err(store_error)?;
    let sessions = reader.sessions().map_err(store_error)?;
    let session = sessions.last().ok_or_else(|| Error::new(format!("{}: no run began in it", store.display())))?;
    let summary = reader.report().map_err(store_error)?;
    // A live session has no end at which it would be reported on: its tables are what there is.
    let is_live = [Mode::Testnet, Mode::Production].iter().any(|mode| mode.name() == session.mode);
    if summary.is_none() && !is_live {
        let problem = format!("{}: its run did not come to an end, so there is no report to export", store.display());
        return Err(Error::new(problem).hint("`alphaengine store sql` shows what is in it"));
    }
    let is_new = !directory.exists();
    std::fs::create_dir_all(directory).map_err(|error| {
        Error::new(format!("{}: cannot be made: {error}", directory.display()))
            .hint("name a directory where you may write")
    })?;
    let summary_path = directory.join("summary.json");
    let draft = directory.join("summary.json.tmp");
    let drafted = summary.as_ref().map_or(Ok(()), |summary| write_draft(summary, &draft));
    let written = drafted.and_then(|()| {
        let mut written = write_tables(&reader, session, directory, format)?;
        if summary.is_none() {
            return Ok(written);
        }
        // Last: where the summary is, all is.
        std::fs::rename(&draft, &summary_path).map_err(|error| unwritable(&summary_path, &error))?;
        written.push(summary_path);
        Ok(written)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
        if is_new {
            // Only where it is empty, which is where nothing took its place.
            let _ = std::fs::remove_dir(directory);
        }
    }
    written
}

fn write_draft(summary: &serde_json::Value, draft: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(summary).map_err(|error| Error::new(error.to_string()))?;
    std::fs::write(draft, text + "\n").map_err(|error| unwritable(draft, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(format!("{}: this file cannot be written: {error}", path.display()))
        .hint("check that there is room and that you may write there")
}

fn write_tables(
    reader: &StoreReader,
    session: &SessionRow,
    directory: &Path,
    format: Format,
) -> Result<Vec<PathBuf>, Error> {
    let sheet =
        |name: &str, columns| Sheet::create(directory, name, format, columns).map_err(|error| data_error(&error));
    let mut tables = Tables {
        names: session.instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect(),
        assets: session
            .instruments
            .iter()
            .map(|(_, instrument)| instrument.margin_asset.parse().unwrap_or_default())
            .collect(),
        orders: BTreeMap::new(),
        positions: BTreeMap::new(),
        trips: RoundTrips::new(session.instruments.len()),
        order_sheet: sheet("orders", ORDERS)?,
        fill_sheet: sheet("fills", FILLS)?,
        trade_sheet: sheet("trades", TRADES)?,
        event_sheet: sheet("events", EVENTS)?,
        ledger_sheet: sheet("ledger", LEDGER)?,
        funding_sheet: sheet("funding", FUNDING)?,
    };
    for recorded in reader.events().map_err(store_error)? {
        let recorded = recorded.map_err(store_error)?;
        tables.take(&recorded).map_err(|error| data_error(&error))?;
    }
    let mut equity = sheet("equity", EQUITY)?;
    for point in reader.curve().map_err(store_error)? {
        let cells = [
            time(point.at),
            money(point.equity),
            money(point.wallet),
            money(point.low),
            money(point.drawdown),
            money(point.notional),
        ];
        equity.row(cells).map_err(|error| data_error(&error))?;
    }
    let mut sheets = tables.finish().map_err(|error| data_error(&error))?;
    sheets.push(equity);
    // All or none: tables of two runs side by side would look like one export.
    sheets.iter_mut().try_for_each(Sheet::seal).map_err(|error| data_error(&error))?;
    sheets.into_iter().map(|sheet| sheet.finish().map(|(path, _)| path).map_err(|error| data_error(&error))).collect()
}

const EQUITY: &[&str] = &["time", "equity", "wallet", "low", "drawdown", "notional"];
const ORDERS: &[&str] = &[
    "requested_at",
    "client_order_id",
    "order_id",
    "symbol",
    "side",
    "position_side",
    "type",
    "qty",
    "price",
    "trigger",
    "reduce_only",
    "close_position",
    "status",
    "filled",
    "average_price",
    "fee",
    "finished_at",
    "reason",
];
const FILLS: &[&str] = &[
    "time",
    "heard_at",
    "symbol",
    "trade_id",
    "client_order_id",
    "side",
    "position_side",
    "price",
    "qty",
    "notional",
    "fee",
    "fee_asset",
    "realized",
    "is_maker",
    "is_liquidation",
];
const TRADES: &[&str] = &[
    "opened_at",
    "closed_at",
    "symbol",
    "direction",
    "qty",
    "entry_price",
    "exit_price",
    "gross_pnl",
    "fees",
    "funding",
    "net_pnl",
    "fills",
    "duration_s",
];
const EVENTS: &[&str] =
    &["seq", "time", "event_type", "source", "symbol", "command_id", "causation_id", "payload_json"];
const LEDGER: &[&str] = &["entry", "time", "event_type", "symbol", "account", "asset", "amount"];
const FUNDING: &[&str] = &["time", "symbol", "position_side", "rate", "mark", "position", "amount"];

type Written = Result<(), alphaengine_datasets::Error>;

/// The tables that events become, one pass over the log.
struct Tables {
    names: Vec<String>,
    assets: Vec<Asset>,
    orders: BTreeMap<ClientOrderId, OrderRow>,
    positions: BTreeMap<(SymbolId, u8), Position>,
    trips: RoundTrips,
    order_sheet: Sheet,
    fill_sheet: Sheet,
    trade_sheet: Sheet,
    event_sheet: Sheet,
    ledger_sheet: Sheet,
    funding_sheet: Sheet,
}

/// An order as far as it is known.
struct OrderRow {
    requested_at: Timestamp,
    symbol: SymbolId,
    spec: OrderSpec,
    order_id: u64,
    qty: Qty,
    status: &'static str,
    filled: Qty,
    /// In steps of 1e-16.
    notional: i128,
    fee: Money,
}

impl Tables {
    fn name(&self, symbol: Option<SymbolId>) -> &str {
        symbol.and_then(|symbol| self.names.get(symbol.index())).map_or("", String::as_str)
    }

    fn take(&mut self, recorded: &Recorded) -> Written {
        self.take_event(recorded)?;
        self.take_ledger(recorded)?;
        match &recorded.event {
            Event::OrderRequested(event) => {
                let row = OrderRow {
                    requested_at: recorded.at,
                    symbol: event.spec.symbol,
                    spec: event.spec,
                    order_id: 0,
                    qty: event.spec.qty,
                    status: "REQUESTED",
                    filled: Qty::ZERO,
                    notional: 0,
                    fee: Money::ZERO,
                };
                self.orders.insert(event.client_order_id, row);
                Ok(())
            }
            Event::OrderPlaced(event) => {
                if let Some(order) = self.orders.get_mut(&event.client_order_id) {
                    order.order_id = event.order_id;
                    order.status = if order.filled.is_positive() { order.status } else { "NEW" };
                }
                Ok(())
            }
            Event::OrderOutcomeUnknown(event) => self.set_status(&event.client_order_id, "UNKNOWN"),
            Event::OrderTriggered(event) => {
                if let Some(order) = self.orders.get_mut(&event.client_order_id) {
                    order.qty = event.qty;
                }
                self.set_status(&event.client_order_id, "TRIGGERED")
            }
            Event::OrderAmended(event) => {
                if let Some(order) = self.orders.get_mut(&event.client_order_id) {
                    order.qty = event.qty;
                }
                Ok(())
            }
            Event::TradeExecuted(event) => self.take_fill(recorded, event),
            Event::OrderRejected(event) => {
                self.end(&event.client_order_id, recorded.at, "REJECTED", &event.error.to_string())
            }
            Event::OrderProvenAbsent(event) => {
                self.end(&event.client_order_id, recorded.at, "REJECTED", "it never reached the exchange")
            }
            Event::OrderCanceled(event) => self.end(&event.client_order_id, recorded.at, "CANCELED", ""),
            Event::OrderExpired(event) => {
                self.end(&event.client_order_id, recorded.at, "EXPIRED", &format!("{:?}", event.reason))
            }
            Event::FundingApplied(event) => {
                let payment = &event.payment;
                self.trips.fund(payment);
                let symbol = self.name(recorded.symbol).to_owned();
                self.funding_sheet.row([
                    time(payment.settled_at),
                    symbol.into(),
                    payment.position_side.name().into(),
                    payment.rate.map(|rate| rate.to_string()).unwrap_or_default().into(),
                    payment.mark.map(|mark| mark.to_string()).unwrap_or_default().into(),
                    payment.position.to_string().into(),
                    money(payment.amount),
                ])
            }
            _ => Ok(()),
        }
    }

    fn take_event(&mut self, recorded: &Recorded) -> Written {
        let mut payload = Vec::new();
        // What came out of JSON goes back into it.
        let _ = recorded.event.write_payload(&mut payload);
        let number = |number: u64| if number == 0 { Cell::from("") } else { Cell::from(number.to_string()) };
        let symbol = self.name(recorded.symbol).to_owned();
        self.event_sheet.row([
            recorded.seq.to_string().into(),
            time(recorded.at),
            recorded.event.event_type().into(),
            recorded.source.name().into(),
            symbol.into(),
            number(recorded.command.map_or(0, |command| command.0)),
            number(recorded.causation),
            String::from_utf8_lossy(&payload),
        ])
    }

    fn take_ledger(&mut self, recorded: &Recorded) -> Written {
        let asset = recorded.symbol.and_then(|symbol| self.assets.get(symbol.index())).copied().unwrap_or_default();
        let Ok(entry) = ledger::entry(&recorded.event, asset) else {
            return Ok(());
        };
        let symbol = self.name(recorded.symbol).to_owned();
        for line in entry.lines() {
            self.ledger_sheet.row([
                recorded.seq.to_string().into(),
                time(recorded.at),
                recorded.event.event_type().into(),
                Cell::from(symbol.as_str()),
                line.account.name().into(),
                line.asset.to_string().into(),
                money(line.amount),
            ])?;
        }
        Ok(())
    }

    fn take_fill(&mut self, recorded: &Recorded, event: &TradeExecuted) -> Written {
        let Some(symbol) = recorded.symbol else {
            return Ok(());
        };
        let fill = &event.fill;
        let name = self.name(Some(symbol)).to_owned();
        let notional = fill.price.notional(fill.qty, alphaengine_core::units::Rounding::HalfEven);
        self.fill_sheet.row([
            time(event.traded_at),
            time(recorded.at),
            name.clone().into(),
            fill.trade_id.to_string().into(),
            event.client_order_id.to_string().into(),
            event.side.name().into(),
            event.position_side.name().into(),
            fill.price.to_string().into(),
            fill.qty.to_string().into(),
            notional.map_or(Cell::from(""), money),
            money(fill.fee),
            fill.fee_asset.to_string().into(),
            money(fill.realized),
            fill.is_maker.to_string().into(),
            fill.is_liquidation.to_string().into(),
        ])?;
        self.take_trip(symbol, &name, event)?;
        let Some(order) = self.orders.get_mut(&event.client_order_id) else {
            return Ok(());
        };
        order.filled = order.filled.saturating_add(fill.qty);
        order.notional = order.notional.saturating_add(fill.price.exact_notional(fill.qty));
        order.fee = order.fee.saturating_add(fill.fee);
        order.status = "PARTIALLY_FILLED";
        if order.filled >= order.qty { self.end(&event.client_order_id, recorded.at, "FILLED", "") } else { Ok(()) }
    }

    /// Follows round trips with the same rules as the report.
    fn take_trip(&mut self, symbol: SymbolId, name: &str, event: &TradeExecuted) -> Written {
        let fill = &event.fill;
        let position = self.positions.entry((symbol, event.position_side as u8)).or_default();
        // A log that was written folds; a number that does not fit would have stopped it.
        let _ = position.fill(event.side.signed(fill.qty), fill.price);
        let is_same = self.assets.get(symbol.index()) == Some(&fill.fee_asset);
        let fee = if is_same { fill.fee } else { Money::ZERO };
        let Some(trip) = self.trips.fill(symbol, event, fee, position.qty()) else {
            return Ok(());
        };
        self.trade_sheet.row([
            time(trip.opened_at),
            time(trip.closed_at),
            name.to_owned().into(),
            if trip.is_long { "LONG" } else { "SHORT" }.into(),
            trip.qty.to_string().into(),
            trip.entry_price.to_string().into(),
            trip.exit_price.to_string().into(),
            money(trip.gross),
            money(trip.fees),
            money(trip.funding),
            money(trip.pnl()),
            trip.fills.to_string().into(),
            (trip.closed_at.since(trip.opened_at) as f64 / 1e9).to_string().into(),
        ])
    }

    fn set_status(&mut self, id: &ClientOrderId, status: &'static str) -> Written {
        if let Some(order) = self.orders.get_mut(id) {
            order.status = status;
        }
        Ok(())
    }

    /// An order is over: its row is written.
    fn end(&mut self, id: &ClientOrderId, at: Timestamp, status: &'static str, reason: &str) -> Written {
        match self.orders.remove(id) {
            Some(order) => self.write_order(id, &OrderRow { status, ..order }, Some(at), reason),
            None => Ok(()),
        }
    }

    fn write_order(&mut self, id: &ClientOrderId, order: &OrderRow, end: Option<Timestamp>, reason: &str) -> Written {
        let name = self.name(Some(order.symbol)).to_owned();
        let spec = &order.spec;
        let price = |price: Option<alphaengine_core::units::Price>| {
            price.map_or(Cell::from(""), |price| price.to_string().into())
        };
        let average = average_price(order);
        self.order_sheet.row([
            time(order.requested_at),
            id.to_string().into(),
            if order.order_id == 0 { "".into() } else { order.order_id.to_string().into() },
            name.into(),
            spec.side.name().into(),
            spec.position_side.name().into(),
            spec.order_type.name().into(),
            order.qty.to_string().into(),
            price(spec.order_type.price()),
            price(spec.order_type.trigger()),
            spec.reduce_only.to_string().into(),
            spec.close_position.to_string().into(),
            order.status.into(),
            order.filled.to_string().into(),
            price(average),
            money(order.fee),
            end.map_or(Cell::from(""), time),
            reason.to_owned().into(),
        ])
    }

    /// Orders that are still open come last.
    fn finish(mut self) -> Result<Vec<Sheet>, alphaengine_datasets::Error> {
        for (id, order) in std::mem::take(&mut self.orders) {
            self.write_order(&id, &order, None, "")?;
        }
        let Tables { order_sheet, fill_sheet, trade_sheet, event_sheet, ledger_sheet, funding_sheet, .. } = self;
        Ok(vec![order_sheet, fill_sheet, trade_sheet, event_sheet, ledger_sheet, funding_sheet])
    }
}

fn average_price(order: &OrderRow) -> Option<alphaengine_core::units::Price> {
    use alphaengine_core::units::{Price, Rounding, div_round};
    if !order.filled.is_positive() {
        return None;
    }
    let price = div_round(order.notional, i128::from(order.filled.steps()), Rounding::HalfEven);
    i64::try_from(price).ok().map(Price::from_steps)
}

fn time(at: Timestamp) -> Cell<'static> {
    at.to_string().into()
}

fn money(amount: Money) -> Cell<'static> {
    amount.to_string().into()
}
