//! What the store derives from events while it writes them: commands, orders at the exchange, the journal, trades, positions,
//! balances, open orders. All of it can be rebuilt from `event_store`.
//!
//! A row that changes several times within a transaction is written once, when it commits.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, ToSql, params};

use super::row::{Column, Scope};
use crate::command::{Actor, Command, Priority, Wish};
use crate::event::{Event, Recorded, SettingRequested};
use crate::exchange::Setting;
use crate::id::{Asset, ClientOrderId, CommandId};
use crate::ledger;
use crate::market::SymbolId;
use crate::order::PositionSide;
use crate::state::State;
use crate::units::{Money, Timestamp};

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
    /// Commands that were sent and not answered.
    unanswered: BTreeMap<CommandId, About>,
    orders: BTreeSet<ClientOrderId>,
    /// Open orders that stand in the table.
    shown: BTreeSet<ClientOrderId>,
    symbols: BTreeSet<SymbolId>,
    money_moved: bool,
    /// Balances that stand in the table.
    balances: BTreeMap<(Asset, ledger::Account), Money>,
    last_line: i64,
    /// The journal stands already: a rebuild writes all but it.
    is_rebuild: bool,
    /// Rows that were written.
    pub rows: u64,
}

/// What a command that waits for its answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Place(ClientOrderId),
    Cancel(ClientOrderId),
    Modify(ClientOrderId),
    /// The name of the setting, and the symbol where it is not of the whole account.
    Set(String, Option<String>),
    /// What an operator wants, until the engine says that it is done.
    Operator,
}

/// What is known of a command within the transaction.
#[derive(Debug, Default)]
struct CommandRow {
    /// `None` for one that an earlier transaction wrote.
    created: Option<NewCommand>,
    status: &'static str,
    exchange_order_id: Option<u64>,
    result: Option<String>,
    error: Option<String>,
    finished_at: Option<Timestamp>,
}

#[derive(Debug)]
struct NewCommand {
    kind: String,
    at: Timestamp,
    actor: Actor,
    actor_id: Option<String>,
    symbol: Option<SymbolId>,
    key: String,
    client_order_id: Option<ClientOrderId>,
    priority: Priority,
    payload: Vec<u8>,
    /// Whether a request left for the exchange.
    is_sent: bool,
}

/// Commands that were sent and not answered. The schema has an index for it.
const UNANSWERED: &str =
    "SELECT command_id, command_type, symbol, payload_json FROM command_store WHERE status = 'SENT'";

impl Projector {
    /// Reads what a later process must know.
    pub fn load(connection: &Connection) -> rusqlite::Result<Projector> {
        let last_line =
            connection.query_row("SELECT COALESCE(MAX(line_id), 0) FROM journal_line", [], |row| row.get(0))?;
        let mut statement = connection.prepare("SELECT client_order_id FROM projection_order_open")?;
        let shown = statement.query_map([], |row| row.get::<_, String>(0))?;
        let shown = shown.map(|id| Ok(id?.parse().unwrap_or_default())).collect::<rusqlite::Result<_>>()?;
        let mut statement = connection.prepare(UNANSWERED)?;
        let sent = statement.query_map([], |row| {
            let about = About::read(&row.get::<_, String>(1)?, row.get(2)?, &row.get::<_, String>(3)?);
            Ok(about.map(|about| (row.get::<_, i64>(0).map(|id| CommandId(id as u64)), about)))
        })?;
        let mut unanswered = BTreeMap::new();
        for sent in sent {
            if let Some((command, about)) = sent? {
                unanswered.insert(command?, about);
            }
        }
        Ok(Projector { last_line, shown, unanswered, ..Projector::default() })
    }

    /// One that writes everything once more but the journal.
    pub fn again(&self) -> Projector {
        Projector { last_line: self.last_line, is_rebuild: true, rows: self.rows, ..Projector::default() }
    }

    /// The same, after the rebuild.
    pub fn done(self) -> Projector {
        Projector { is_rebuild: false, ..self }
    }

    /// Takes an event that was folded into `state` and writes what cannot change any more.
    pub fn take(&mut self, connection: &Connection, recorded: &Recorded, state: &State) -> rusqlite::Result<()> {
        self.take_command(recorded, state);
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
            Event::MarginMoved(_) | Event::PositionAdopted(_) => self.symbols.extend(recorded.symbol),
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
        if self.is_rebuild {
            return Ok(());
        }
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

    fn take_command(&mut self, recorded: &Recorded, state: &State) {
        if let Some(command) = recorded.command
            && let Some(created) = NewCommand::of(recorded, command)
        {
            let (status, error) = match &recorded.event {
                Event::CommandRefused(event) => ("FAILED", Some(event.refusal.to_string())),
                // Where nobody follows what comes of an operator's word, it is done at once; the orders to which it leads are
                // commands of their own.
                Event::OperatorCommandReceived(event) if !event.pending => ("ACK", None),
                _ => ("SENT", None),
            };
            let finished_at = (status != "SENT").then_some(recorded.at);
            if let Some(about) = About::of(recorded, state) {
                self.unanswered.insert(command, about);
            }
            let row = CommandRow { created: Some(created), status, error, finished_at, ..CommandRow::default() };
            self.commands.insert(command, row);
        } else if !self.unanswered.is_empty() {
            self.take_answer(recorded, state);
        }
    }

    /// Ends the commands of which the event says how they ended.
    fn take_answer(&mut self, recorded: &Recorded, state: &State) {
        let own = recorded.command.unwrap_or_default();
        match &recorded.event {
            Event::OrderPlaced(event) => self.answered(own, recorded.at, Ok(Some(event.order_id))),
            Event::OrderRejected(event) => self.answered(own, recorded.at, Err(event.error.to_string())),
            Event::OrderProvenAbsent(_) => {
                self.answered(own, recorded.at, Err("the order never reached the exchange".into()));
            }
            // An order of which there is news is at the exchange, whether its acknowledgement was heard or not.
            Event::TradeExecuted(event) => self.answered(own, recorded.at, Ok(Some(event.order_id))),
            Event::OrderTriggered(_) | Event::OrderCanceled(_) | Event::OrderExpired(_) => {
                self.answered(own, recorded.at, Ok(None));
            }
            Event::OrderAmended(event) => {
                self.answered(own, recorded.at, Ok(None));
                if let Some(modify) = self.first(&About::Modify(event.client_order_id)) {
                    self.answered(modify, recorded.at, Ok(None));
                }
            }
            Event::OperatorCommandFinished(event) => {
                self.answered(own, recorded.at, event.error.clone().map_or(Ok(None), Err));
                if let Some(row) = self.commands.get_mut(&own) {
                    row.result = Some(event.result.to_string());
                }
            }
            Event::CancelRejected(event) => self.answered(own, recorded.at, Err(event.error.to_string())),
            Event::ModifyRejected(event) => self.answered(own, recorded.at, Err(event.error.to_string())),
            Event::SettingRejected(event) => self.answered(own, recorded.at, Err(event.error.to_string())),
            Event::LeverageSet(_) | Event::MarginTypeSet(_) | Event::HedgeModeSet(_) => {
                let symbol = recorded.symbol.map(|symbol| state.symbol_name(symbol).to_owned());
                let about = About::Set(setting_name(&recorded.event).to_owned(), symbol);
                while let Some(set) = self.first(&about) {
                    self.answered(set, recorded.at, Ok(None));
                }
            }
            _ => {}
        }
        if let Some(id) = recorded.event.client_order_id()
            && !state.orders.contains_key(id)
        {
            self.order_is_over(id, recorded);
        }
    }

    /// What was still asked of an order that is over has its answer: the order was cancelled, or there was nothing to change.
    fn order_is_over(&mut self, id: &ClientOrderId, recorded: &Recorded) {
        let is_canceled = matches!(recorded.event, Event::OrderCanceled(_));
        while let Some(cancel) = self.first(&About::Cancel(*id)) {
            let end = if is_canceled { Ok(None) } else { Err("the order was over before".into()) };
            self.answered(cancel, recorded.at, end);
        }
        while let Some(modify) = self.first(&About::Modify(*id)) {
            self.answered(modify, recorded.at, Err("the order was over before".into()));
        }
    }

    /// The oldest unanswered command about this.
    fn first(&self, about: &About) -> Option<CommandId> {
        self.unanswered.iter().find(|(_, waiting)| *waiting == about).map(|(command, _)| *command)
    }

    /// The end of a command: what the exchange calls its order, or why it failed. The first end counts.
    fn answered(&mut self, command: CommandId, at: Timestamp, end: Result<Option<u64>, String>) {
        if self.unanswered.remove(&command).is_none() {
            return;
        }
        let row = self.commands.entry(command).or_default();
        row.finished_at = Some(at);
        match end {
            Ok(exchange_order_id) => (row.status, row.exchange_order_id) = ("ACK", exchange_order_id),
            Err(error) => (row.status, row.error) = ("FAILED", Some(error)),
        }
    }

    /// Writes everything that waits.
    pub fn flush(&mut self, connection: &Connection, state: &State, scope: &Scope) -> rusqlite::Result<()> {
        for (command, row) in std::mem::take(&mut self.commands) {
            self.rows += row.write(connection, command, state, scope)?;
        }
        self.flush_orders(connection, state)?;
        self.flush_positions(connection, state)?;
        if std::mem::take(&mut self.money_moved) {
            self.flush_balances(connection, state)?;
        }
        Ok(())
    }

    /// Writes the balances that changed.
    fn flush_balances(&mut self, connection: &Connection, state: &State) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare_cached("INSERT OR REPLACE INTO projection_balance VALUES (?1, ?2, ?3, ?4)")?;
        for asset in state.ledger.assets() {
            for account in ledger::Account::ALL {
                let balance = state.ledger.balance(asset, account);
                if self.balances.insert((asset, account), balance) != Some(balance) {
                    statement.execute(params![asset.as_str(), account.name(), balance.steps(), state.seq as i64])?;
                }
            }
        }
        Ok(())
    }

    fn flush_orders(&mut self, connection: &Connection, state: &State) -> rusqlite::Result<()> {
        if self.orders.is_empty() {
            return Ok(());
        }
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
        if self.symbols.is_empty() {
            return Ok(());
        }
        let mut statement =
            connection.prepare_cached("INSERT OR REPLACE INTO projection_position VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        // One-way mode shows one row a symbol; rows of hedge mode must not outlive their positions.
        let mut remove =
            connection.prepare_cached("DELETE FROM projection_position WHERE symbol = ?1 AND position_side = ?2")?;
        for symbol in std::mem::take(&mut self.symbols) {
            for side in PositionSide::ALL {
                let position = state.position(symbol, side);
                if side != PositionSide::Both && position.is_flat() && !state.hedge {
                    remove.execute(params![state.symbol_name(symbol), side.name()])?;
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

impl About {
    /// What the command is about that an event records; `None` for one that is not sent to the exchange.
    fn of(recorded: &Recorded, state: &State) -> Option<About> {
        Some(match &recorded.event {
            Event::OrderRequested(event) => About::Place(event.client_order_id),
            Event::CancelRequested(event) => About::Cancel(event.client_order_id),
            Event::ModifyRequested(event) => About::Modify(event.client_order_id),
            Event::OperatorCommandReceived(event) if event.pending => About::Operator,
            Event::SettingRequested(_) => {
                let symbol = recorded.symbol.map(|symbol| state.symbol_name(symbol).to_owned());
                About::Set(setting_name(&recorded.event).to_owned(), symbol)
            }
            _ => return None,
        })
    }

    /// The same from the columns of `command_store`.
    fn read(kind: &str, symbol: Option<String>, payload: &str) -> Option<About> {
        let payload: serde_json::Value = serde_json::from_str(payload).ok()?;
        let order = || payload.get("client_order_id")?.as_str()?.parse().ok();
        // An operator's command carries the operator's key.
        if payload.get("key").is_some() {
            return Some(About::Operator);
        }
        Some(match kind {
            "PLACE" => About::Place(order()?),
            "CANCEL" => About::Cancel(order()?),
            "MODIFY" => About::Modify(order()?),
            setting => About::Set(setting.to_owned(), symbol),
        })
    }
}

/// The type of the command that an event about a setting asks for or answers.
fn setting_name(event: &Event) -> &'static str {
    match event {
        Event::LeverageSet(_) | Event::SettingRequested(SettingRequested { setting: Setting::Leverage { .. } }) => {
            "SET_LEVERAGE"
        }
        Event::MarginTypeSet(_) | Event::SettingRequested(SettingRequested { setting: Setting::MarginType { .. } }) => {
            "SET_MARGIN_TYPE"
        }
        _ => "SET_HEDGE_MODE",
    }
}

impl NewCommand {
    /// The command that an event records, if it records one.
    fn of(recorded: &Recorded, command: CommandId) -> Option<NewCommand> {
        let command = command.0;
        let (mut actor_id, mut order, mut is_sent, mut priority) = (None, None, true, Priority::Normal);
        let (kind, actor, key) = match &recorded.event {
            Event::OrderRequested(event) => {
                let id = event.client_order_id;
                order = Some(id);
                let wish = Wish::Place(event.spec);
                priority = Command { actor: event.actor, client_order_id: order, wish }.priority();
                ("PLACE", event.actor, id.to_string())
            }
            Event::CancelRequested(event) => {
                priority = Priority::Cancel;
                ("CANCEL", event.actor, format!("cancel:{}:{command}", event.client_order_id))
            }
            Event::ModifyRequested(event) => {
                ("MODIFY", event.actor, format!("modify:{}:{command}", event.client_order_id))
            }
            Event::SettingRequested(_) => (setting_name(&recorded.event), Actor::Strategy, format!("set:{command}")),
            Event::CommandRefused(event) => {
                (order, is_sent) = (event.client_order_id, false);
                let key = order.map_or_else(|| format!("refused:{command}"), |id| id.to_string());
                (event.wish.as_str(), event.actor, key)
            }
            Event::OperatorCommandReceived(event) => {
                (actor_id, is_sent, priority) = (Some(event.who.clone()), false, event.order.priority());
                (event.order.name(), Actor::User, format!("operator:{}", event.key))
            }
            _ => return None,
        };
        let mut payload = Vec::new();
        recorded.event.write_payload(&mut payload).ok()?;
        Some(NewCommand {
            kind: kind.to_owned(),
            at: recorded.at,
            actor,
            actor_id,
            symbol: recorded.symbol,
            key,
            client_order_id: order,
            priority,
            payload,
            is_sent,
        })
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
        let result = self.exchange_order_id.map(|id| format!("{{\"order_id\":{id}}}")).or_else(|| self.result.clone());
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
        let sent_at = (created.is_sent || self.status == "SENT").then_some(created.at.nanos());
        // What another process handed in stands here already, under a number of its own, until it is taken.
        if created.actor_id.is_some() {
            connection
                .prepare_cached("DELETE FROM command_store WHERE idempotency_key = ?1 AND command_id < 0")?
                .execute([&created.key])?;
        }
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
                created.actor_id.as_deref().unwrap_or(scope.session.as_str()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_without_an_answer_are_found_without_reading_those_that_have_one() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection, std::path::Path::new("memory")).unwrap();
        let plan = format!("EXPLAIN QUERY PLAN {UNANSWERED}");
        let plan: String = connection.query_row(&plan, [], |row| row.get(3)).unwrap();
        assert!(plan.contains("USING INDEX command_unanswered"), "{plan}");
    }
}
