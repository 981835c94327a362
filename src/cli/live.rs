//! `alphaengine live`: one strategy against Binance USD-M Futures, its testnet, or on paper.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use alphaengine_core::command::StopPolicy;
use alphaengine_core::units::{Money, NANOS_PER_SECOND, Nanos};
use alphaengine_live::binance::StreamsWanted;
use alphaengine_live::logging::{self, LogConfig};
use clap::Parser;

use super::args::{LimitArgs, named, positive_money, symbols, timeframe, whole};
use super::table::json_text;
use super::{Exit, print};
use crate::Strategies;
use crate::error::Error;
use crate::live::{LiveJob, LiveOptions, Paper, Place};

#[derive(Parser)]
#[command(group = clap::ArgGroup::new("place").required(true).args(["testnet", "production", "paper"]))]
pub struct Args {
    /// Trade on Binance's testnet (Demo Trading) with the testnet key
    #[arg(long)]
    testnet: bool,
    /// Trade real money with the production key
    #[arg(long)]
    production: bool,
    /// Follow the real market and trade on paper: the simulated exchange inside takes the orders; no key needed
    #[arg(long)]
    paper: bool,
    /// Do not ask before trading real money
    #[arg(long)]
    yes: bool,
    /// The strategy (`alphaengine strategies` lists them)
    #[arg(long, default_value = "sma_cross")]
    strategy: String,
    /// A parameter of the strategy, e.g. fast=10; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// A symbol to trade; repeatable
    #[arg(long, default_value = "BTCUSDT")]
    symbol: Vec<String>,
    /// The bars that the strategy sees
    #[arg(long, default_value = "1m")]
    timeframe: String,
    /// What is listened to, separated by commas: bars, mark, book, trades, depth
    #[arg(long, default_value = "bars,mark,book,trades", value_name = "LIST")]
    streams: String,
    /// Where the keys are
    #[arg(long, default_value = "config/secrets.yaml", value_name = "FILE")]
    secrets: PathBuf,
    /// The event store [default: data/alphaengine_test.db or data/alphaengine_prod.db; on paper a new file]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Another REST host, e.g. http://127.0.0.1:9001
    #[arg(long, value_name = "URL")]
    rest_url: Option<String>,
    /// Another stream host, e.g. ws://127.0.0.1:9001
    #[arg(long, value_name = "URL")]
    ws_url: Option<String>,
    /// Set this leverage on every symbol at the start [default: leave it as it is]
    #[arg(long)]
    leverage: Option<String>,
    /// How long the exchange may take an order, in milliseconds; short, so that a lost order is soon known to be lost
    #[arg(long, default_value = "2000", value_name = "MS")]
    recv_window: String,
    /// Dead man's switch: the exchange cancels the regular orders of the symbols that were traded when it hears
    /// nothing from us for so many seconds
    #[arg(long, value_name = "SECONDS")]
    countdown: Option<String>,
    /// Send the orders of one decision in one request
    #[arg(long)]
    batch: bool,
    /// What becomes of orders and positions when the process is asked to stop
    #[arg(long, default_value = "keep", value_parser = ["keep", "cancel", "close"])]
    on_stop: String,
    /// Write everything that arrives to a tape in this directory (`alphaengine replay` runs it again)
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Human or machine
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    log_format: String,
    /// The capital on paper
    #[arg(long, default_value = "10000", allow_negative_numbers = true)]
    cash: String,
    /// Drive a stepped exchange (`exchange serve --speed step`) until its data end
    #[arg(long)]
    stepped: bool,
    /// Seeds the jitter of reconnects
    #[arg(long, default_value = "1", value_name = "N")]
    seed: String,
    #[command(flatten)]
    limits: LimitArgs,
    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn live(args: Args, strategies: &Strategies) -> Result<Exit, Error> {
    let json_log = args.log_format == "json";
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let format = if json_log {
        logging::Format::Json
    } else {
        logging::Format::Human { colour, over_status: std::io::stderr().is_terminal() }
    };
    let log = logging::init(LogConfig { format, level: logging::Level::INFO });
    let _log = log.map_err(|error| Error::new(error.to_string()))?;
    match trade(args, strategies) {
        Err(error) if json_log => {
            // Who reads the log as JSON reads every line so.
            logging::last_words(error.message(), error.next_step());
            Ok(Exit::Told)
        }
        ended => ended,
    }
}

fn trade(args: Args, strategies: &Strategies) -> Result<Exit, Error> {
    let entry = strategies.find(&args.strategy)?;
    let (json, yes) = (args.json, args.yes);
    let options = args.options()?;
    if matches!(options.place, Place::Production) && !yes {
        confirm(&options)?;
    }
    let outcome = (entry.live)(LiveJob::prepare(entry, options)?)?;
    print(&if json { json_text(&outcome.json()) } else { outcome.table() })?;
    Ok(Exit::Done)
}

/// Real money is traded only when somebody says so.
fn confirm(options: &LiveOptions) -> Result<(), Error> {
    let refused = || {
        Error::new("production trades real money, and nobody said yes")
            .hint("answer yes, or pass --yes where nobody can answer")
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused());
    }
    let names: Vec<&str> = options.symbols.iter().map(|symbol| symbol.as_str()).collect();
    let mut out = std::io::stderr().lock();
    let _ = write!(out, "This trades {} with real money. Type yes to go on: ", names.join(" "));
    let _ = out.flush();
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(refused()),
    }
}

impl Args {
    fn options(self) -> Result<LiveOptions, Error> {
        let place = if self.paper {
            let cash: Money = positive_money("--cash", &self.cash)?;
            let leverage = self.leverage.as_deref().map(|text| whole("--leverage", text)).transpose()?;
            Place::Paper(Paper { cash, leverage: leverage.unwrap_or(20) })
        } else if self.production {
            Place::Production
        } else {
            Place::Testnet
        };
        let recv_window_ms: u32 = whole("--recv-window", &self.recv_window)?;
        if !(1..=60_000).contains(&recv_window_ms) {
            return Err(Error::new(format!("option --recv-window: {recv_window_ms} is not between 1 and 60000"))
                .hint("1000 to 5000 is usual"));
        }
        Ok(LiveOptions {
            store: match &self.store {
                Some(path) => PathBuf::from(named("--store", &path.to_string_lossy())?),
                None => place.default_store(),
            },
            params: self.param,
            symbols: symbols(&self.symbol)?,
            timeframe: timeframe(&self.timeframe)?,
            streams: streams(&self.streams, timeframe(&self.timeframe)?)?,
            limits: self.limits.limits()?,
            leverage: self.leverage.as_deref().map(|text| whole("--leverage", text)).transpose()?,
            secrets: self.secrets,
            rest_url: url("--rest-url", self.rest_url, ["http://", "https://"])?,
            ws_url: url("--ws-url", self.ws_url, ["ws://", "wss://"])?,
            recv_window_ms,
            countdown: self.countdown.as_deref().map(countdown).transpose()?,
            batch_orders: self.batch,
            record: self.record,
            on_stop: stop_policy(&self.on_stop),
            stepped: self.stepped,
            seed: whole("--seed", &self.seed)?,
            json_log: self.log_format == "json",
            place,
        })
    }
}

/// One of the words that the command line lets through.
pub fn stop_policy(word: &str) -> StopPolicy {
    match word {
        "cancel" => StopPolicy::Cancel,
        "close" => StopPolicy::Close,
        _ => StopPolicy::Keep,
    }
}

fn streams(text: &str, timeframe: alphaengine_core::market::Timeframe) -> Result<StreamsWanted, Error> {
    let mut wanted =
        StreamsWanted { timeframe, mark_price: false, book_ticker: false, agg_trades: false, depth: false };
    for word in text.split(',').map(str::trim) {
        match word {
            "bars" => {}
            "mark" => wanted.mark_price = true,
            "book" => wanted.book_ticker = true,
            "trades" => wanted.agg_trades = true,
            "depth" => wanted.depth = true,
            other => {
                return Err(Error::new(format!("option --streams: `{other}` is not a stream"))
                    .hint("write some of bars,mark,book,trades,depth; bars are always among them"));
            }
        }
    }
    Ok(wanted)
}

fn url(option: &str, given: Option<String>, schemes: [&str; 2]) -> Result<Option<String>, Error> {
    let Some(url) = given else { return Ok(None) };
    if schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
        return Ok(Some(url.trim_end_matches('/').to_owned()));
    }
    Err(Error::new(format!("option {option}: `{url}` does not begin with {} or {}", schemes[0], schemes[1]))
        .hint(format!("write {}127.0.0.1:9001", schemes[0])))
}

fn countdown(text: &str) -> Result<Nanos, Error> {
    let seconds: u32 = whole("--countdown", text)?;
    if seconds < 5 {
        return Err(Error::new(format!(
            "option --countdown: {seconds} s is too short: it is refreshed at a third of it"
        ))
        .hint("give 5 or more; 60 is usual"));
    }
    Ok(i64::from(seconds) * NANOS_PER_SECOND)
}
