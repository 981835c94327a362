//! Groups of options that several verbs share, and how their values are read.

use std::path::PathBuf;
use std::str::FromStr;

use alphaengine_core::instrument::Symbol;
use alphaengine_core::market::Timeframe;
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{Money, Rate, SCALE, Timestamp};
use clap::Args;

use crate::backtest::{Costs, DataArg, SceneOptions, Window};
use crate::error::Error;

/// Which data, and under which rules.
#[derive(Args)]
pub struct DataArgs {
    /// A data file (CSV, zip, Parquet, recording), a directory, or `sample`; repeatable
    #[arg(long, value_name = "FILE|DIR|sample", default_value = "sample")]
    data: Vec<String>,
    /// Only this symbol; names the symbol of a file whose name does not; repeatable
    #[arg(long)]
    symbol: Vec<String>,
    /// The bars that the strategy sees; finer data are resampled [default: that of the data]
    #[arg(long)]
    timeframe: Option<String>,
    /// From and to, the end excluded: 20250504-20250601, 20250504-, -20250601
    #[arg(long, value_name = "FROM-TO", allow_hyphen_values = true)]
    timerange: Option<String>,
    /// Rules of the exchange: the JSON of GET /fapi/v1/exchangeInfo [default: built-in table]
    #[arg(long, value_name = "FILE")]
    exchange_info: Option<PathBuf>,
    /// Leverage brackets: the JSON of GET /fapi/v1/leverageBracket [default: built-in table]
    #[arg(long, value_name = "FILE")]
    brackets: Option<PathBuf>,
}

/// How the simulated exchange treats an account.
#[derive(Args)]
pub struct ExchangeArgs {
    /// The capital at the start
    #[arg(long, visible_alias = "balance", default_value = "10000", allow_negative_numbers = true)]
    cash: String,
    /// The leverage of every symbol
    #[arg(long, default_value = "20", allow_negative_numbers = true)]
    leverage: String,
    #[arg(long, default_value = "cross", value_parser = ["cross", "isolated"])]
    margin: String,
    /// Positions of both sides at once
    #[arg(long)]
    hedge: bool,
    /// When a market order decided at a bar's close fills: at the next bar's open, or at that very close (optimistic; exists to
    /// compare with other tools)
    #[arg(long, default_value = "next-open", value_parser = ["next-open", "close"])]
    fill: String,
    /// What a market order loses to the spread on bars and trades, in hundredths of a percent [default: 1, with --fill close 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    slippage_bps: Option<String>,
    /// When a resting limit order fills: when the market trades through its price, or when it touches it (optimistic)
    #[arg(long, default_value = "through", value_parser = ["through", "touch"])]
    limit_fill: String,
    /// The share of a bar's volume that a resting order may take; `none` for no cap
    #[arg(long, default_value = "0.1", value_name = "SHARE", allow_negative_numbers = true)]
    volume_cap: String,
    /// What taking costs as a share of the notional; below zero it is a rebate
    #[arg(long, default_value = "0.0005", value_name = "RATE", allow_negative_numbers = true)]
    taker_fee: String,
    /// What making costs as a share of the notional; below zero it is a rebate
    #[arg(long, default_value = "0.0002", value_name = "RATE", allow_negative_numbers = true)]
    maker_fee: String,
    /// Delays: `5ms`, `feed=2ms,entry=5ms,answer=5ms`, `entry=lognormal:5ms:0.4`, `entry=uniform:1ms:9ms`, `entry=rows:FILE`
    #[arg(long, default_value = "0", value_name = "SPEC", allow_hyphen_values = true)]
    latency: String,
    /// Seeds what is drawn by chance: latencies
    #[arg(long, default_value = "1", value_name = "N", allow_negative_numbers = true)]
    seed: String,
    /// Refuse to run without funding rates for every symbol and the whole time
    #[arg(long)]
    require_funding: bool,
}

/// What a session may risk.
#[derive(Args)]
pub struct LimitArgs {
    /// Largest notional of a symbol's position, its open orders included
    #[arg(long, value_name = "MONEY", allow_negative_numbers = true, help_heading = "Risk limits")]
    max_position: Option<String>,
    /// Largest notional of one order
    #[arg(long, value_name = "MONEY", allow_negative_numbers = true, help_heading = "Risk limits")]
    max_order: Option<String>,
    /// Most open orders
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Risk limits")]
    max_open_orders: Option<String>,
    /// Loss since midnight UTC after which nothing opens until the next; live, until `command resume`
    #[arg(long, value_name = "MONEY", allow_negative_numbers = true, help_heading = "Risk limits")]
    max_daily_loss: Option<String>,
    /// Fall of the equity from its highest point after which nothing opens any more
    #[arg(long, value_name = "MONEY", allow_negative_numbers = true, help_heading = "Risk limits")]
    max_drawdown: Option<String>,
    /// Equity below which nothing opens any more
    #[arg(long, value_name = "MONEY", allow_negative_numbers = true, help_heading = "Risk limits")]
    min_balance: Option<String>,
}

impl ExchangeArgs {
    /// Together with the data: everything that a simulated exchange is made of.
    pub fn scene(self, data: DataArgs) -> Result<SceneOptions, Error> {
        let close_fill = self.fill == "close";
        let slippage = match &self.slippage_bps {
            Some(text) => basis_points(text)?,
            None if close_fill => Rate::ZERO,
            None => Rate::from_steps(SCALE / 10_000),
        };
        Ok(SceneOptions {
            data: data
                .data
                .iter()
                .map(|text| named("--data", text).map(DataArg::read))
                .collect::<Result<Vec<_>, _>>()?,
            symbols: symbols(&data.symbol)?,
            timeframe: data.timeframe.as_deref().map(timeframe).transpose()?,
            window: data.timerange.as_deref().map(timerange).transpose()?.unwrap_or_default(),
            cash: positive_money("--cash", &self.cash)?,
            leverage: whole("--leverage", &self.leverage)?,
            isolated: self.margin == "isolated",
            hedge: self.hedge,
            costs: Costs {
                close_fill,
                slippage,
                touch_fill: self.limit_fill == "touch",
                volume_cap: volume_cap(&self.volume_cap)?,
                taker_fee: rate("--taker-fee", &self.taker_fee)?,
                maker_fee: rate("--maker-fee", &self.maker_fee)?,
                latency: self.latency,
            },
            seed: whole("--seed", &self.seed)?,
            require_funding: self.require_funding,
            exchange_info: data.exchange_info,
            brackets: data.brackets,
        })
    }
}

impl LimitArgs {
    pub fn limits(&self) -> Result<Limits, Error> {
        Ok(Limits {
            max_position: optional_money("--max-position", self.max_position.as_deref())?,
            max_order: optional_money("--max-order", self.max_order.as_deref())?,
            max_open_orders: self
                .max_open_orders
                .as_deref()
                .map(|text| whole("--max-open-orders", text))
                .transpose()?,
            max_daily_loss: optional_money("--max-daily-loss", self.max_daily_loss.as_deref())?,
            max_drawdown: optional_money("--max-drawdown", self.max_drawdown.as_deref())?,
            min_balance: optional_money("--min-balance", self.min_balance.as_deref())?,
        })
    }
}

/// Symbols as the exchange writes them, in capitals; one that is named twice is meant once.
pub fn symbols(given: &[String]) -> Result<Vec<Symbol>, Error> {
    let mut symbols: Vec<Symbol> = Vec::new();
    for text in given {
        let symbol = text.to_uppercase().parse();
        let symbol = symbol.map_err(|error| Error::new(format!("option --symbol: {error}")))?;
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    Ok(symbols)
}

/// A name of a file, which may be anything but empty.
pub fn named<'a>(option: &str, text: &'a str) -> Result<&'a str, Error> {
    if text.is_empty() { Err(Error::new(format!("option {option}: the name is empty"))) } else { Ok(text) }
}

pub fn timeframe(text: &str) -> Result<Timeframe, Error> {
    text.parse().map_err(|error| Error::new(format!("option --timeframe: {error}")))
}

/// A number that counts something.
pub fn whole<T: FromStr>(option: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::new(format!("option {option}: `{text}` is not a whole number in its range")))
}

pub fn positive_money(option: &str, text: &str) -> Result<Money, Error> {
    let money: Money = text.parse().map_err(|error| Error::new(format!("option {option}: {error}")))?;
    if !money.is_positive() {
        return Err(Error::new(format!("option {option}: {money} is not positive")));
    }
    Ok(money)
}

pub fn optional_money(option: &str, text: Option<&str>) -> Result<Option<Money>, Error> {
    text.map(|text| positive_money(option, text)).transpose()
}

/// Fees may be negative (a rebate), but nobody charges or pays ten percent.
fn rate(option: &str, text: &str) -> Result<Rate, Error> {
    let rate: Rate = text.parse().map_err(|error| Error::new(format!("option {option}: {error}")))?;
    if rate.abs() > Rate::from_steps(SCALE / 10) {
        return Err(Error::new(format!("option {option}: {rate} is more than 10 %"))
            .hint("a rate is a share: 0.0005 is five hundredths of a percent"));
    }
    Ok(rate)
}

fn basis_points(text: &str) -> Result<Rate, Error> {
    let rate: Rate = text.parse().map_err(|error| Error::new(format!("option --slippage-bps: {error}")))?;
    if rate.is_negative() || rate > Rate::whole(1_000) {
        return Err(Error::new(format!("option --slippage-bps: {rate} is not between 0 and 1000")));
    }
    Ok(Rate::from_steps(rate.steps() / 10_000))
}

fn volume_cap(text: &str) -> Result<Option<Rate>, Error> {
    if text == "none" {
        return Ok(None);
    }
    let cap: Rate = text.parse().map_err(|error| Error::new(format!("option --volume-cap: {error}")))?;
    if !cap.is_positive() || cap > Rate::ONE {
        return Err(Error::new(format!("option --volume-cap: {cap} is not above 0 and at most 1")));
    }
    Ok(Some(cap))
}

/// Reads `FROM-TO` where either side may be left out. A time may have dashes of its own: the one between the two sides is the
/// first with a time, or nothing, on either side.
fn timerange(text: &str) -> Result<Window, Error> {
    let bad = |problem: String| {
        Error::new(format!("option --timerange: {problem}"))
            .hint("write it as 20250504-20250601; the end is not included")
    };
    let side = |text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse::<Timestamp>().map(Some).map_err(|error| bad(error.to_string())),
    };
    let split = |at: usize| Ok(Window { from: side(&text[..at])?, to: side(&text[at + 1..])? });
    let dashes: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    let first = dashes.first().ok_or_else(|| bad(format!("`{text}` has no `-`")))?;
    let window = dashes.iter().find_map(|at| split(*at).ok()).map_or_else(|| split(*first), Ok)?;
    match (window.from, window.to) {
        (Some(from), Some(to)) if from >= to => Err(bad(format!("{from} is not before {to}"))),
        _ => Ok(window),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timerange_may_be_open_on_either_side() {
        let window = timerange("20250504-20250601").unwrap();
        assert_eq!(window.from.unwrap().to_string(), "2025-05-04T00:00:00.000Z");
        assert_eq!(window.to.unwrap().to_string(), "2025-06-01T00:00:00.000Z");
        assert!(timerange("20250504-").unwrap().to.is_none());
        assert!(timerange("-20250601").unwrap().from.is_none());
        for dashed in ["2025-05-04-2025-06-01", "2025-05-04 - 20250601"] {
            assert_eq!(timerange(dashed).unwrap(), window, "{dashed}");
        }
        assert!(timerange("2025-05-04-").unwrap().to.is_none());
        assert!(timerange("20250601-20250504").is_err());
        assert!(timerange("20250604").is_err());
        assert!(timerange("20251304-20260101").is_err());
    }
}
