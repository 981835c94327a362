//! What the store derives from events while it writes them: commands, orders at the exchange, the journal, trades, positions,
//! balances, open orders. All of it can be rebuilt from `event_store`.
//!
//! A row that changes several times within a transaction is written once, when it commits.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, ToSql, params};

use super::row::{Column, Scope};
use crate::command::{Actor, Command, Priority, Wish};
use crate::event::{Event, Recorded};
use crate::id::{Asset, ClientOrderId, CommandId};
use crate::ledger;
use crate::market::SymbolId;
use crate::order::PositionSide;
use crate::state::State;
use crate::units::Timestamp;

impl ToSql for Column<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Column::Null => ToSqlOutput::Owned(Value::Null),
            Column::Int(int) => ToSqlOutput::from(*int),
            Column::Text(text) => ToSqlOutput::from(*text),
        })
    }
}

/// Changes that wait for the commit.
#[derive(Debug, Default)]
pub(super) struct Projector {
    commands: BTreeMap<CommandId, CommandRow>,
    orders: BTreeSet<ClientOrderId>,
    /// Open orders that stand in the table.
    shown: BTreeSet<ClientOrderId>,
    symbols: BTreeSet<SymbolId>,
    money_moved: bool,
    last_line: i64,
    /// Rows that were written.
    pub rows: u64,
}

/// What is known of a command within the transaction.
#[derive(Debug)]
struct CommandRow {
    /// `None` for one that an earlier transaction wrote.
    created: Option<NewCommand>,
    status: &'static str,
    exchange_order_id: Option<u64>,
    error: Option<String>,
    finished_at: Option<Timestamp>,
}

#[derive(Debug)]
struct NewCommand {
    kind: &'static str,
    at: Timestamp,
    actor: Actor,
    symbol: Option<SymbolId>,
    key: String,
    client_order_id: Option<ClientOrderId>,
    priority: Priority,
    payload: Vec<u8>,
}

impl Projector {
    /// Reads what a later process must know.
    pub fn load(connection: &Connection) -> rusqlite::Result<Projector> {
        let last_line =
            connection.query_row("SELECT COALESCE(MAX(line_id), 0) FROM journal_line", [], |row| row.get(0))?;
        let mut statement = connection.prepare("SELECT client_order_id FROM projection_order_open")?;
        let shown = statement.query_map([], |row| row.get::<_, String>(0))?;
        let shown = shown.map(|id| Ok(id?.parse().unwrap_or_default())).collect::<rusqlite::Result<_>>()?;
        Ok(Projector { last_line, shown, ..Projector::default() })
    }

    /// Takes an event that was folded into `state` and writes what cannot change any more.
    pub fn take(&mut self, connection: &Connection, recorded: &Recorded, state: &State) -> rusqlite::Result<()> {
        self.take_command(recorded);
        if let Some(id) = recorded.event.client_order_id() {
            self.orders.insert(*id);
        }
        match &recorded.event {
            Event::TradeExecuted(event) => {
                let fill = &event.fill;
                connection
                    .prepare_cached(
                        "INSERT INTO projection_trade VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                    )?
                    .execute(params![
                        recorded.seq as i64,
                        recorded.symbol.map_or("", |symbol| state.symbol_name(symbol)),
                        fill.trade_id as i64,
                        event.traded_at.nanos(),
                        event.client_order_id.as_str(),
                        event.side.name(),
                        event.position_side.name(),
                        fill.price.steps(),
                        fill.qty.steps(),
                        fill.fee.steps(),
                        fill.fee_asset.as_str(),
                        fill.realized.steps(),
                        fill.is_maker,
                        fill.is_liquidation,
                    ])?;
                self.rows += 1;
                self.symbols.extend(recorded.symbol);
            }
            Event::MarginMoved(_) => self.symbols.extend(recorded.symbol),
            _ => {}
        }
        self.journal(connection, recorded, state)
    }

    /// Writes the lines of an event that moved money.
    fn journal(&mut self, connection: &Connection, recorded: &Recorded, state: &State) -> rusqlite::Result<()> {
        let asset = recorded.symbol.map_or(Asset::default(), |symbol| state.margin_asset(symbol));
        // The fold has already accepted the event, so its entry exists.
        let Ok(entry) = ledger::entry(&recorded.event, asset) else {
            return Ok(());
        };
        if entry.lines().is_empty() {
            return Ok(());
        }
        self.money_moved = true;
        let symbol = recorded.symbol.map(|symbol| state.symbol_name(symbol));
        connection.prepare_cached("INSERT INTO journal_entry VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            recorded.seq as i64,
            recorded.at.nanos(),
            recorded.event.event_type(),
            symbol
        ])?;
        let mut statement = connection.prepare_cached("INSERT INTO journal_line VALUES (?1, ?2, ?3, ?4, ?5)")?;
        self.rows += 1 + entry.lines().len() as u64;
        for line in entry.lines() {
            self.last_line += 1;
            statement.execute(params![
                self.last_line,
                recorded.seq as i64,
                line.account as i64,
                line.asset.as_str(),
                line.amount.steps()
            ])?;
        }
        Ok(())
    }

    fn take_command(&mut self, recorded: &Recorded) {
        let Some(command) = recorded.command else {
            return;
        };
        if let Some(created) = NewCommand::of(recorded) {
            let refused = match &recorded.event {
                Event::CommandRefused(event) => Some(event.refusal.to_string()),
                _ => None,
            };
            let status = if refused.is_some() { "FAILED" } else { "SENT" };
            let finished_at = refused.is_some().then_some(recorded.at);
            let row =
                CommandRow { created: Some(created), status, exchange_order_id: None, error: refused, finished_at };
            self.commands.insert(command, row);
            return;
        }
        let (status, error, exchange_order_id) = match &recorded.event {
            Event::OrderPlaced(event) => ("ACK", None, Some(event.order_id)),
            Event::OrderRejected(event) => ("FAILED", Some(event.error.to_string()), None),
            Event::OrderProvenAbsent(_) => ("FAILED", Some("the order never reached the exchange".to_owned()), None),
            _ => return,
        };
        let row = self.commands.entry(command).or_insert(CommandRow {
            created: None,
            status,
            exchange_order_id: None,
            error: None,
            finished_at: None,
        });
        row.status = status;
        row.error = error;
        row.exchange_order_id = exchange_order_id.or(row.exchange_order_id);
        row.finished_at = Some(recorded.at);
    }

    /// Writes everything that waits.
    pub fn flush(&mut self, connection: &Connection, state: &State, scope: &Scope) -> rusqlite::Result<()> {
        for (command, row) in std::mem::take(&mut self.commands) {
            self.rows += row.write(connection, command, state, scope)?;
        }
        self.flush_orders(connection, state)?;
        self.flush_positions(connection, state)?;
        if std::mem::take(&mut self.money_moved) {
            let mut statement =
                connection.prepare_cached("INSERT OR REPLACE INTO projection_balance VALUES (?1, ?2, ?3, ?4)")?;
            for asset in state.ledger.assets() {
                for account in ledger::Account::ALL {
                    let balance = state.ledger.balance(asset, account).steps();
                    statement.execute(params![asset.as_str(), account.name(), balance, state.seq as i64])?;
                }
            }
        }
        Ok(())
    }

    fn flush_orders(&mut self, connection: &Connection, state: &State) -> rusqlite::Result<()> {
        let mut write = connection.prepare_cached(
            "INSERT OR REPLACE INTO projection_order_open VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut remove = connection.prepare_cached("DELETE FROM projection_order_open WHERE client_order_id = ?1")?;
        for id in std::mem::take(&mut self.orders) {
            match state.orders.get(&id) {
                Some(order) => {
                    self.shown.insert(id);
                    write.execute(params![
                        id.as_str(),
                        state.symbol_name(order.symbol),
                        order.spec.side.name(),
                        order.spec.order_type.name(),
                        order.status.name(),
                        order.spec.order_type.price().map(|price| price.steps()),
                        order.spec.order_type.trigger().map(|price| price.steps()),
                        order.qty.steps(),
                        order.filled.steps(),
                        state.seq as i64
                    ])?;
                }
                None if self.shown.remove(&id) => {
                    remove.execute([id.as_str()])?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn flush_positions(&mut self, connection: &Connection, state: &State) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare_cached("INSERT OR REPLACE INTO projection_position VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for symbol in std::mem::take(&mut self.symbols) {
            for side in PositionSide::ALL {
                let position = state.position(symbol, side);
                if side != PositionSide::Both && position.is_flat() && !state.hedge {
                    continue;
                }
                statement.execute(params![
                    state.symbol_name(symbol),
                    side.name(),
                    position.qty().steps(),
                    position.entry_price().steps(),
                    state.margin(symbol, side).steps(),
                    state.seq as i64
                ])?;
            }
        }
        Ok(())
    }
}

impl NewCommand {
    /// The command that an event records, if it records one.
    fn of(recorded: &Recorded) -> Option<NewCommand> {
        let command = recorded.command.map_or(0, |command| command.0);
        let (kind, actor, key, client_order_id, wish) = match &recorded.event {
            Event::OrderRequested(event) => {
                let id = event.client_order_id;
                ("PLACE", event.actor, id.to_string(), Some(id), Some(Wish::Place(event.spec)))
            }
            Event::CancelRequested(event) => {
                let id = event.client_order_id;
                let wish = Wish::Cancel { client_order_id: id };
                ("CANCEL", event.actor, format!("cancel:{id}:{command}"), None, Some(wish))
            }
            Event::ModifyRequested(event) => {
                ("MODIFY", event.actor, format!("modify:{}:{command}", event.client_order_id), None, None)
            }
            Event::SettingRequested(_) => ("SET", Actor::Strategy, format!("set:{command}"), None, None),
            Event::CommandRefused(event) => {
                let key = event.client_order_id.map_or_else(|| format!("refused:{command}"), |id| id.to_string());
                ("REFUSED", event.actor, key, None, None)
            }
            _ => return None,
        };
        let priority = wish.map_or(Priority::Normal, |wish| Command { actor, client_order_id, wish }.priority());
        let mut payload = Vec::new();
        recorded.event.write_payload(&mut payload).ok()?;
        let (at, symbol) = (recorded.at, recorded.symbol);
        Some(NewCommand { kind, at, actor, symbol, key, client_order_id, priority, payload })
    }
}

impl CommandRow {
    /// Writes the command; how many rows.
    fn write(
        &self,
        connection: &Connection,
        command: CommandId,
        state: &State,
        scope: &Scope,
    ) -> rusqlite::Result<u64> {
        let finished_at = self.finished_at.map(Timestamp::nanos);
        let result = self.exchange_order_id.map(|id| format!("{{\"order_id\":{id}}}"));
        let exchange_order_id = self.exchange_order_id.map(|id| id as i64);
        let Some(created) = &self.created else {
            connection
                .prepare_cached(
                    "UPDATE command_store SET status = ?2, result_json = COALESCE(?3, result_json), last_error = ?4,
                     finished_at = ?5 WHERE command_id = ?1",
                )?
                .execute(params![command.0 as i64, self.status, result, self.error, finished_at])?;
            if exchange_order_id.is_some() {
                connection
                    .prepare_cached("UPDATE command_to_exchange SET exchange_order_id = ?2 WHERE command_id = ?1")?
                    .execute(params![command.0 as i64, exchange_order_id])?;
            }
            return Ok(1);
        };
        let sent_at = (created.kind != "REFUSED").then_some(created.at.nanos());
        connection
            .prepare_cached(
                "INSERT INTO command_store VALUES
                 (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            )?
            .execute(params![
                command.0 as i64,
                created.kind,
                created.at.nanos(),
                created.actor.name(),
                scope.session.as_str(),
                scope.exchange,
                scope.venue,
                scope.account_id,
                created.symbol.map(|symbol| state.symbol_name(symbol)),
                scope.mode.name(),
                created.key,
                self.status,
                created.priority as i64,
                std::str::from_utf8(&created.payload).unwrap_or("{}"),
                result,
                self.error,
                sent_at,
                finished_at
            ])?;
        if let Some(id) = created.client_order_id {
            connection.prepare_cached("INSERT INTO command_to_exchange VALUES (?1, ?2, ?3)")?.execute(params![
                command.0 as i64,
                id.as_str(),
                exchange_order_id
            ])?;
        }
        Ok(1 + u64::from(created.client_order_id.is_some()))
    }
}
