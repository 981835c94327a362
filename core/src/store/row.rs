//! An EventRow is an event as the columns of `event_store`, with its hash.
//!
//! The hash of a row is SHA-256 over the hash of the row before it (32 zero bytes before the first) and then, for every column
//! from `seq` to `payload_json` in the order of the table, the value as text followed by the byte 0x1f. NULL is the byte 0x00
//! in place of the text.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::Error;
use crate::event::{Event, Recorded, Source};
use crate::exchange::{FundingPayment, TransferReason};
use crate::id::{Asset, CommandId, SessionId};
use crate::instrument::Instruments;
use crate::market::SymbolId;
use crate::mode::Mode;
use crate::planted::{self, Bug};
use crate::units::Timestamp;

/// SHA-256.
pub type Hash = [u8; 32];

/// What is the same in every row of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub exchange: &'static str,
    pub venue: &'static str,
    pub account_id: String,
    pub mode: Mode,
    pub session: SessionId,
}

impl Scope {
    /// Binance USD-M futures; simulated accounts are called `sim`.
    pub fn binance_futures(mode: Mode, session: SessionId, account_id: &str) -> Scope {
        Scope { exchange: "binance", venue: "futures", account_id: account_id.to_owned(), mode, session }
    }
}

/// The dedup key of a trade: what it *is*, wherever it was heard.
pub fn trade_key(symbol: &str, trade_id: u64) -> String {
    format!("binance:futures:{symbol}:trade:{trade_id:020}")
}

/// The dedup key of a funding payment: a position pays or receives once per settlement.
pub fn funding_key(symbol: &str, payment: &FundingPayment) -> String {
    let (side, settled_at) = (payment.position_side.name(), payment.settled_at.millis());
    let id = payment.id.map(|id| format!(":{id:020}")).unwrap_or_default();
    format!("binance:futures:{symbol}:funding:{side}:{settled_at:020}{id}")
}

/// The dedup key of a transfer: the exchange numbers the transfers of each kind, and the two sides of a conversion have one number.
pub fn transfer_key(reason: TransferReason, asset: Asset, id: u64) -> String {
    let reason = match reason {
        TransferReason::Deposit => "deposit",
        TransferReason::Withdraw => "withdraw",
        TransferReason::InsuranceClear => "insurance",
        TransferReason::Opening => "opening",
        TransferReason::Internal => "internal",
        TransferReason::Rebate => "rebate",
        TransferReason::Exchange => "exchange",
        TransferReason::Adjustment => "adjustment",
        TransferReason::Reconciled => "reconciled",
    };
    format!("binance:futures:{reason}:{asset}:{id:020}")
}

/// The dedup key of what is told of a time without a store; `None` for any other event.
pub fn storage_key(event: &Event) -> Option<String> {
    match event {
        Event::StorageDistrusted(event) => Some(format!("storage-distrusted:{}", event.last_resort)),
        // Told again if the session went on to name orders after a commit of this that seemed to fail.
        Event::StorageTrusted(event) => Some(format!("storage-trusted:{}:{}", event.last_resort, event.orders_given)),
        _ => None,
    }
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column<'a> {
    Null,
    Int(i64),
    Text(&'a str),
}

impl<'a> Column<'a> {
    fn maybe_text(text: Option<&'a str>) -> Column<'a> {
        text.map_or(Column::Null, Column::Text)
    }

    fn maybe_int(int: Option<u64>) -> Column<'a> {
        int.map_or(Column::Null, |int| Column::Int(int as i64))
    }
}

/// How the dedup key of an event begins that only this program could tell.
pub(super) const NAMED_BY_PLACE: &str = "event:";

/// The columns of `event_store` before `hash`.
pub const COLUMNS: usize = 17;

/// One row of `event_store`. Texts are borrowed.
#[derive(Debug)]
pub struct EventRow<'a> {
    pub seq: u64,
    pub event_id: &'a str,
    pub event_type: &'a str,
    pub at: Timestamp,
    pub correlation_id: Option<&'a str>,
    pub causation_id: Option<u64>,
    pub command_id: Option<u64>,
    pub source: &'a str,
    pub entity_kind: &'a str,
    pub entity_id: &'a str,
    pub scope: &'a Scope,
    pub symbol: Option<&'a str>,
    pub dedup_key: &'a str,
    pub payload_json: &'a str,
    pub hash: Hash,
}

impl<'a> EventRow<'a> {
    /// All columns but the hash, in the order of the table.
    pub fn columns(&self) -> [Column<'a>; COLUMNS] {
        [
            Column::Int(self.seq as i64),
            Column::Text(self.event_id),
            Column::Text(self.event_type),
            Column::Int(self.at.nanos()),
            Column::maybe_text(self.correlation_id),
            Column::maybe_int(self.causation_id),
            Column::maybe_int(self.command_id),
            Column::Text(self.source),
            Column::Text(self.entity_kind),
            Column::Text(self.entity_id),
            Column::Text(self.scope.exchange),
            Column::Text(self.scope.venue),
            Column::Text(&self.scope.account_id),
            Column::maybe_text(self.symbol),
            Column::Text(self.scope.mode.name()),
            Column::Text(self.dedup_key),
            Column::Text(self.payload_json),
        ]
    }
}

/// Turns events into rows and carries the hash chain along. Its buffers are used again for every row.
#[derive(Debug)]
pub struct Encoder {
    scope: Scope,
    /// `binance:futures:SYMBOL:`, by symbol.
    prefixes: Vec<String>,
    symbols: Vec<String>,
    last_hash: Hash,
    event_id: String,
    correlation: String,
    entity: String,
    dedup: String,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

impl Encoder {
    /// Begins a chain.
    pub fn new(scope: Scope, instruments: &Instruments) -> Encoder {
        Encoder::after(scope, instruments, [0; 32])
    }

    /// Goes on with a chain.
    pub fn after(scope: Scope, instruments: &Instruments, last_hash: Hash) -> Encoder {
        let symbols: Vec<String> = instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect();
        let prefix = |symbol: &String| format!("{}:{}:{symbol}:", scope.exchange, scope.venue);
        Encoder {
            prefixes: symbols.iter().map(prefix).collect(),
            symbols,
            scope,
            last_hash,
            event_id: String::new(),
            correlation: String::new(),
            entity: String::new(),
            dedup: String::new(),
            payload: Vec::new(),
            bytes: Vec::new(),
        }
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The hash of the last row.
    pub fn last_hash(&self) -> Hash {
        self.last_hash
    }

    /// Goes on after a row that another encoder made.
    pub(super) fn follow(&mut self, hash: Hash) {
        self.last_hash = hash;
    }

    /// Goes on with another session.
    pub(super) fn enter(&mut self, session: SessionId, mode: Mode) {
        (self.scope.session, self.scope.mode) = (session, mode);
    }

    pub fn symbol(&self, symbol: SymbolId) -> &str {
        self.symbols.get(symbol.index()).map_or("", String::as_str)
    }

    /// The row of an event, chained to the one before.
    pub fn encode(&mut self, recorded: &Recorded) -> Result<EventRow<'_>, Error> {
        let unreadable = |problem: String| Error::Unreadable { seq: recorded.seq, problem };
        self.payload.clear();
        recorded.event.write_payload(&mut self.payload).map_err(|error| unreadable(error.to_string()))?;
        self.write_keys(recorded);
        self.event_id.clear();
        let _ = write!(self.event_id, "{}-{:012}", self.scope.session, recorded.seq);
        self.correlation.clear();
        if let Some(CommandId(command)) = recorded.command {
            let _ = write!(self.correlation, "cmd-{command}");
        }
        let symbol = recorded.symbol.and_then(|symbol| self.symbols.get(symbol.index())).map(String::as_str);
        let row = EventRow {
            seq: recorded.seq,
            event_id: &self.event_id,
            event_type: recorded.event.event_type(),
            at: recorded.at,
            correlation_id: recorded.command.map(|_| self.correlation.as_str()),
            causation_id: (recorded.causation != 0).then_some(recorded.causation),
            command_id: recorded.command.map(|command| command.0),
            source: recorded.source.name(),
            entity_kind: entity_kind(&recorded.event),
            entity_id: &self.entity,
            scope: &self.scope,
            symbol,
            dedup_key: &self.dedup,
            payload_json: std::str::from_utf8(&self.payload).map_err(|error| unreadable(error.to_string()))?,
            hash: [0; 32],
        };
        let hash = chain(&self.last_hash, &row.columns(), &mut self.bytes);
        self.last_hash = hash;
        Ok(EventRow { hash, ..row })
    }

    /// Writes what the event is about, and what it is.
    fn write_keys(&mut self, recorded: &Recorded) {
        let (entity, dedup) = (&mut self.entity, &mut self.dedup);
        entity.clear();
        dedup.clear();
        let prefix = recorded.symbol.and_then(|symbol| self.prefixes.get(symbol.index())).map_or("", String::as_str);
        let symbol = recorded.symbol.and_then(|symbol| self.symbols.get(symbol.index())).map_or("", String::as_str);
        match &recorded.event {
            Event::TradeExecuted(event) => {
                entity.push_str(event.client_order_id.as_str());
                dedup.push_str(prefix);
                dedup.push_str("trade:");
                push_padded(dedup, event.fill.trade_id, 20);
                if planted::has(Bug::NoFillDedup) {
                    // Wrong: so the key names where the trade was told, and not what it is.
                    let _ = write!(dedup, ":{}", recorded.seq);
                }
                return;
            }
            Event::FundingApplied(event) => {
                let payment = &event.payment;
                let _ = write!(entity, "{symbol}:{}", payment.position_side.name());
                dedup.push_str(&funding_key(symbol, payment));
                return;
            }
            Event::TransferBooked(event) => {
                let _ = write!(entity, "{}", event.asset);
                dedup.push_str(&transfer_key(event.reason, event.asset, event.id));
                return;
            }
            Event::OrderRequested(event) => {
                entity.push_str(event.client_order_id.as_str());
                dedup.push_str("order:");
                dedup.push_str(event.client_order_id.as_str());
                return;
            }
            Event::OperatorCommandFinished(event) => {
                entity.push_str(&event.key);
                dedup.push_str("operator-end:");
                dedup.push_str(&event.key);
                return;
            }
            event @ (Event::StorageDistrusted(_) | Event::StorageTrusted(_)) => {
                entity.push_str(self.scope.session.as_str());
                dedup.push_str(&storage_key(event).unwrap_or_default());
                return;
            }
            Event::DriftDetected(event) => entity.push_str(&event.subject),
            Event::LinkChanged(event) => entity.push_str(event.link.subject()),
            Event::PositionAdopted(event) => {
                let _ = write!(entity, "{symbol}:{}", event.position_side.name());
            }
            Event::OperatorCommandReceived(event) => {
                entity.push_str(&event.who);
                dedup.push_str("operator:");
                dedup.push_str(&event.key);
                return;
            }
            event => match event.client_order_id() {
                Some(id) => entity.push_str(id.as_str()),
                None if recorded.symbol.is_some() => entity.push_str(symbol),
                None => entity.push_str(self.scope.session.as_str()),
            },
        }
        // What no one else could tell us is named by its place.
        dedup.push_str(NAMED_BY_PLACE);
        dedup.push_str(self.scope.session.as_str());
        dedup.push(':');
        push_padded(dedup, recorded.seq, 12);
    }
}

fn push_padded(text: &mut String, number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text.push_str(std::str::from_utf8(&digits[20 - width.min(20)..]).unwrap_or(""));
}

const fn entity_kind(event: &Event) -> &'static str {
    match event {
        Event::SessionStarted(_)
        | Event::SessionStopped(_)
        | Event::EngineModeChanged(_)
        | Event::DayClosed(_)
        | Event::ReconcileStarted(_)
        | Event::ReconcileFinished(_)
        | Event::ConfigUpdated(_) => "SESSION",
        Event::StorageDistrusted(_) | Event::StorageTrusted(_) | Event::StoreRecovered(_) => "STORE",
        Event::LinkChanged(_) => "LINK",
        Event::DriftDetected(event) => event.kind.entity_kind(),
        Event::TransferBooked(_) => "BALANCE",
        Event::FundingApplied(_) | Event::MarginMoved(_) | Event::LiquidationStarted(_) | Event::PositionAdopted(_) => {
            "POSITION"
        }
        Event::LeverageSet(_)
        | Event::MarginTypeSet(_)
        | Event::HedgeModeSet(_)
        | Event::SettingRequested(_)
        | Event::SettingRejected(_) => "SETTING",
        Event::TimerSet(_) | Event::TimerFired(_) | Event::StrategyStateSaved(_) => "STRATEGY",
        Event::OperatorCommandReceived(_) | Event::OperatorCommandFinished(_) => "OPERATOR",
        _ => "ORDER",
    }
}

/// The hash of a row with these columns after a row with the hash `previous`.
pub(super) fn chain(previous: &Hash, columns: &[Column<'_>; COLUMNS], bytes: &mut Vec<u8>) -> Hash {
    bytes.clear();
    bytes.extend_from_slice(previous);
    let mut digits = [0; 20];
    for column in columns {
        match column {
            Column::Null => bytes.push(0),
            Column::Int(int) => bytes.extend_from_slice(number(*int, &mut digits).as_bytes()),
            Column::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        }
        bytes.push(0x1f);
    }
    Sha256::digest(bytes.as_slice()).into()
}

/// An integer as decimal text.
fn number(value: i64, buffer: &mut [u8; 20]) -> &str {
    let mut end = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        end -= 1;
        buffer[end] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        end -= 1;
        buffer[end] = b'-';
    }
    std::str::from_utf8(&buffer[end..]).unwrap_or("")
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

pub(super) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// What a row says, as read from a file.
#[derive(Debug)]
pub(super) struct StoredRow<'a> {
    pub seq: u64,
    pub event_type: &'a str,
    pub at: Timestamp,
    pub source: &'a str,
    pub causation_id: Option<u64>,
    pub command_id: Option<u64>,
    pub symbol: Option<&'a str>,
    pub payload_json: &'a str,
}

impl StoredRow<'_> {
    /// The event again. `symbols` are those of its session, by id.
    pub fn decode(&self, symbols: &[String]) -> Result<Recorded, Error> {
        let unreadable = |problem: String| Error::Unreadable { seq: self.seq, problem };
        let symbol = match self.symbol {
            None => None,
            Some(name) => {
                let index = symbols.iter().position(|symbol| symbol == name);
                let index = index.ok_or_else(|| unreadable(format!("its session has no symbol {name}")))?;
                Some(SymbolId(index as u16))
            }
        };
        let event =
            Event::from_payload(self.event_type, self.payload_json).map_err(|error| unreadable(error.to_string()))?;
        let source = Source::from_name(self.source);
        Ok(Recorded {
            seq: self.seq,
            at: self.at,
            source: source.ok_or_else(|| unreadable(format!("unknown source {}", self.source)))?,
            command: self.command_id.map(CommandId),
            causation: self.causation_id.unwrap_or(0),
            symbol,
            event: event.with_symbol(symbol),
        })
    }
}
