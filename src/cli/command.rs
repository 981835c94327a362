//! `alphaengine command`: say something to a running bot, through its store.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alphaengine_core::command::{OperatorCommand, OperatorOrder};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side, TimeInForce};
use alphaengine_core::store::commands::{self, CommandOutcome, CommandStatus, Ticket};
use alphaengine_core::store::{self, StoreReader};
use alphaengine_core::units::{Price, Qty};
use alphaengine_live::clock::now;
use clap::{Parser, Subcommand};
use serde_json::json;

use super::args::{LimitArgs, whole};
use super::table::json_text;
use super::{Exit, print};
use crate::error::Error;
use crate::runs::store_error;

#[derive(Parser)]
pub struct Args {
    #[command(subcommand)]
    order: Word,
    /// The bot's store
    #[arg(long, default_value = "data/alphaengine_test.db", value_name = "FILE", global = true)]
    store: PathBuf,
    /// Wait until it is done, for so many seconds at most; exit 1 when it failed or nobody took it
    #[arg(long, value_name = "SECONDS", global = true)]
    wait: Option<String>,
    /// A name for this command: the same name again is the same command [default: a new one]
    #[arg(long, global = true)]
    key: Option<String>,
    /// Who says it, for the record
    #[arg(long, default_value = "operator", global = true)]
    who: String,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Word {
    /// Only cancels and closes may leave, until `resume`
    Pause,
    /// End a pause or SAFE
    Resume,
    /// Go to SAFE, as if a limit of loss had been met
    Safe,
    /// Cancel every open order of a symbol
    CancelAll { symbol: String },
    /// Close every position of a symbol at market
    Close { symbol: String },
    /// Place an order: at market, or with a price a limit order
    Order(Placing),
    /// Set the leverage of a symbol
    SetLeverage { symbol: String, leverage: String },
    /// Compare the account with the exchange now
    Reconcile,
    /// Derive the tables of the store anew from its events
    RebuildProjection,
    /// Put these risk limits in the place of all that were set
    SetLimits(LimitArgs),
    /// Stop in order
    Stop {
        #[arg(value_parser = ["keep", "cancel", "close"], default_value = "keep")]
        policy: String,
    },
}

#[derive(clap::Args)]
struct Placing {
    symbol: String,
    #[arg(value_parser = ["buy", "sell"])]
    side: String,
    /// In the base asset
    qty: String,
    /// A limit order at this price
    #[arg(long)]
    price: Option<String>,
    #[arg(long)]
    reduce_only: bool,
    /// In hedge mode, the position that it acts on
    #[arg(long, value_parser = ["long", "short"])]
    position_side: Option<String>,
}

/// Between two looks at what became of a command.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub fn command(args: Args) -> Result<Exit, Error> {
    let wait: Option<u64> = args.wait.as_deref().map(|text| whole("--wait", text)).transpose()?;
    let order = args.order.read(&commands::symbols(&args.store).map_err(no_bot)?)?;
    let key = args.key.unwrap_or_else(new_key);
    let said = OperatorCommand { key: key.clone(), who: args.who, order };
    let ticket = commands::submit(&args.store, &said, now()).map_err(store_error)?;
    let Some(wait) = wait else {
        print(&show(args.json, &key, None))?;
        return Ok(Exit::Done);
    };
    let outcome = wait_for(&args.store, &ticket, Duration::from_secs(wait))?;
    print(&show(args.json, &key, Some(&outcome)))?;
    Ok(if outcome.status == CommandStatus::Ack { Exit::Done } else { Exit::No })
}

/// A store that is not there is a bot that is not there.
fn no_bot(error: store::Error) -> Error {
    let is_elsewhere = matches!(error, store::Error::Missing { .. } | store::Error::NotAStore { .. });
    let hint = "name the store of the bot with --store FILE; `alphaengine live` says which it is";
    store_error(error).maybe_hint(is_elsewhere.then(|| hint.to_owned()))
}

fn wait_for(store: &Path, ticket: &Ticket, most: Duration) -> Result<CommandOutcome, Error> {
    let begun = Instant::now();
    let gone = || Error::new(format!("{}: the command `{}` is not in the store any more", store.display(), ticket.key));
    loop {
        let outcome = StoreReader::open(store).and_then(|reader| reader.outcome(ticket)).map_err(store_error)?;
        let outcome = outcome.ok_or_else(gone)?;
        if outcome.status.is_final() || begun.elapsed() >= most {
            return Ok(outcome);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn show(json: bool, key: &str, outcome: Option<&CommandOutcome>) -> String {
    let status = outcome.map_or("NEW", |outcome| outcome.status.name());
    let error = outcome.and_then(|outcome| outcome.error.as_deref());
    if json {
        return json_text(&json!({"key": key, "status": status, "error": error}));
    }
    let meaning = match (status, error) {
        ("NEW", _) if outcome.is_some() => "NEW: no bot took it; is one running on this store?".to_owned(),
        ("NEW", _) => "NEW: waits for the bot".to_owned(),
        ("SENT", _) => "SENT: the bot has it and is not done yet".to_owned(),
        ("ACK", _) => "ACK: done".to_owned(),
        (status, error) => format!("{status}: {}", error.unwrap_or("no reason was given")),
    };
    format!("{key}  {meaning}\n")
}

/// A name that no other command has.
fn new_key() -> String {
    format!("{}-{}", now().nanos(), std::process::id())
}

impl Word {
    fn read(self, instruments: &Instruments) -> Result<OperatorOrder, Error> {
        let symbol = |name: &str| find(instruments, name);
        Ok(match self {
            Word::Pause => OperatorOrder::Pause,
            Word::Resume => OperatorOrder::Resume,
            Word::Safe => OperatorOrder::Safe,
            Word::CancelAll { symbol: name } => OperatorOrder::CancelAll { symbol: symbol(&name)? },
            Word::Close { symbol: name } => OperatorOrder::Close { symbol: symbol(&name)? },
            Word::Order(placing) => OperatorOrder::PlaceOrder { spec: placing.read(instruments)? },
            Word::SetLeverage { symbol: name, leverage } => {
                let unusable =
                    |_| Error::new(format!("argument LEVERAGE: `{leverage}` is not a whole number in its range"));
                OperatorOrder::SetLeverage { symbol: symbol(&name)?, leverage: leverage.parse().map_err(unusable)? }
            }
            Word::Reconcile => OperatorOrder::Reconcile,
            Word::RebuildProjection => OperatorOrder::RebuildProjection,
            Word::SetLimits(limits) => OperatorOrder::UpdateConfig { limits: limits.limits()? },
            Word::Stop { policy } => OperatorOrder::Stop { policy: super::live::stop_policy(&policy) },
        })
    }
}

impl Placing {
    fn read(self, instruments: &Instruments) -> Result<OrderSpec, Error> {
        let symbol = find(instruments, &self.symbol)?;
        let side = if self.side == "buy" { Side::Buy } else { Side::Sell };
        let qty: Qty = self.qty.parse().map_err(|error| Error::new(format!("argument QTY: {error}")))?;
        let mut spec = OrderSpec::market(symbol, side, qty).position_side(match self.position_side.as_deref() {
            Some("long") => PositionSide::Long,
            Some(_) => PositionSide::Short,
            None => PositionSide::Both,
        });
        if let Some(price) = &self.price {
            let price: Price = price.parse().map_err(|error| Error::new(format!("option --price: {error}")))?;
            spec = spec.with_type(OrderType::Limit { price, tif: TimeInForce::Gtc });
        }
        Ok(if self.reduce_only { spec.reduce_only() } else { spec })
    }
}

fn find(instruments: &Instruments, name: &str) -> Result<SymbolId, Error> {
    let name = name.to_uppercase();
    instruments.id(&name).ok_or_else(|| {
        let known: Vec<&str> = instruments.iter().map(|(_, instrument)| instrument.symbol.as_str()).collect();
        Error::new(format!("the bot does not trade {name}; it trades {}", known.join(" ")))
    })
}
