//! The sections of a report: outcome, risk, exposure, durations, open trades, costs, execution, symbols.

use std::collections::BTreeMap;

use serde::Serialize;

use super::costs::AssetFees;
use super::daily::{DailyReturns, DayReturn};
use super::equity::EquityCurve;
use super::figure::{days, figure, money_ratio, ratio};
use super::growth::{buy_and_hold, cagr, mean_equity, total_return};
use super::round_trips::RoundTrips;
use super::spans::Spans;
use super::trade_figures::TradeFigures;
use crate::instrument::Instrument;
use crate::market::SymbolId;
use crate::performance::Performance;
use crate::units::{Money, Nanos, Price, Rate};

/// What the run earned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    pub initial_equity: Money,
    pub final_equity: Money,
    /// `E_end - E_0`.
    pub net_profit: Money,
    /// `E_end / E_0 - 1`.
    pub total_return: Option<f64>,
    /// `None` under 30 days.
    pub cagr: Option<f64>,
    /// All capital in the contracts from the first price to the last, in equal parts, after the taker fee of the entry.
    pub buy_and_hold: Option<f64>,
    pub best_day: Option<DayReturn>,
    pub worst_day: Option<DayReturn>,
    /// What fills realised and open positions would, before fees and funding.
    pub gross_pnl: Money,
    /// Deposits less withdrawals after the start. They are in the equity, and so in its returns.
    pub transfers: Money,
    /// What the insurance fund made up for.
    pub insurance: Money,
}

impl Outcome {
    pub fn of(performance: &Performance, returns: Option<&DailyReturns>, symbols: &[SymbolFigures]) -> Outcome {
        let curve = performance.curve();
        let unrealized = performance.ending().map_or(Money::ZERO, |ending| ending.unrealized);
        let held: Vec<f64> = symbols.iter().filter_map(|symbol| symbol.buy_and_hold).collect();
        let rounded = |day: DayReturn| Some(DayReturn { earned: figure(day.earned)?, ..day });
        Outcome {
            initial_equity: curve.initial,
            final_equity: curve.last,
            net_profit: curve.last.saturating_sub(curve.initial),
            total_return: total_return(curve),
            cagr: cagr(curve),
            buy_and_hold: ratio(held.iter().sum(), held.len() as f64),
            best_day: returns.and_then(DailyReturns::best).and_then(rounded),
            worst_day: returns.and_then(DailyReturns::worst).and_then(rounded),
            gross_pnl: performance.trips().realized.saturating_add(unrealized),
            transfers: performance.transfers(),
            insurance: performance.insurance(),
        }
    }
}

/// At what risk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Risk {
    /// Annualised.
    pub volatility: Option<f64>,
    pub sharpe: Option<f64>,
    pub sortino: Option<f64>,
    /// CAGR by the largest drawdown in proportion.
    pub calmar: Option<f64>,
    /// The largest fall below a peak, in money and in proportion to its peak: not necessarily the same one.
    pub max_drawdown: Money,
    pub max_drawdown_ratio: Option<f64>,
    pub drawdowns: u64,
    /// From the peak to the recovery, or to the end.
    pub longest_drawdown_ns: Nanos,
    /// True when the longest one had not ended.
    pub longest_is_ongoing: bool,
    pub mean_drawdown_ns: Option<Nanos>,
    pub under_water_ns: Nanos,
    /// By all the time.
    pub under_water_ratio: Option<f64>,
}

impl Risk {
    pub fn of(curve: &EquityCurve, returns: Option<&DailyReturns>, cagr: Option<f64>) -> Risk {
        let drawdowns = &curve.drawdowns;
        let max_drawdown_ratio = drawdowns.max_ratio.and_then(figure);
        Risk {
            volatility: returns.and_then(DailyReturns::volatility).and_then(figure),
            sharpe: returns.and_then(DailyReturns::sharpe).and_then(figure),
            sortino: returns.and_then(DailyReturns::sortino).and_then(figure),
            calmar: cagr.zip(max_drawdown_ratio).and_then(|(cagr, drawdown)| ratio(cagr, drawdown)),
            max_drawdown: drawdowns.max,
            max_drawdown_ratio,
            drawdowns: drawdowns.count,
            longest_drawdown_ns: drawdowns.longest,
            longest_is_ongoing: drawdowns.longest_is_ongoing,
            mean_drawdown_ns: drawdowns.mean_duration(),
            under_water_ns: drawdowns.under_water,
            under_water_ratio: ratio(days(drawdowns.under_water), days(curve.duration())),
        }
    }
}

/// How much was at stake, and how much was moved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExposureFigures {
    pub in_market_ns: Nanos,
    /// By all the time.
    pub in_market_ratio: Option<f64>,
    /// Notional by equity, over all the time.
    pub mean_leverage: Option<f64>,
    pub max_leverage: Option<f64>,
    /// Bought plus sold.
    pub traded: Money,
    /// `traded` by the mean of the starting balance and all day ends.
    pub turnover: Option<f64>,
    pub turnover_per_day: Option<f64>,
}

impl ExposureFigures {
    pub fn of(curve: &EquityCurve, traded: Money) -> ExposureFigures {
        let exposure = &curve.exposure;
        let turnover = ratio(traded.to_f64(), mean_equity(curve));
        ExposureFigures {
            in_market_ns: exposure.in_market,
            in_market_ratio: ratio(days(exposure.in_market), days(curve.duration())),
            mean_leverage: exposure.mean_leverage.and_then(figure),
            max_leverage: exposure.max_leverage.and_then(figure),
            traded,
            turnover,
            turnover_per_day: turnover.and_then(|turnover| ratio(turnover, days(curve.duration()))),
        }
    }
}

/// Mean and median of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    pub mean_ns: Option<Nanos>,
    pub median_ns: Option<Nanos>,
}

impl Span {
    fn of(spans: &Spans) -> Span {
        Span { mean_ns: spans.mean(), median_ns: spans.median() }
    }
}

/// How long closed trades were held, from the first fill to flat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Durations {
    pub all: Span,
    pub winners: Span,
    pub losers: Span,
}

impl Durations {
    pub fn of(trips: &RoundTrips) -> Durations {
        Durations {
            all: Span::of(&trips.held),
            winners: Span::of(&trips.held_by_winners),
            losers: Span::of(&trips.held_by_losers),
        }
    }
}

/// Trades that the end of the run left open; they are in no figure of closed trades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Open {
    pub trades: u64,
    /// Net of fees and funding, the open positions at their last prices.
    pub pnl: Money,
    pub fees: Money,
    pub funding: Money,
    /// Funding that arrived when its trade was over already.
    pub unattributed_funding: Money,
}

impl Open {
    pub fn of(performance: &Performance) -> Open {
        let nothing = Open {
            trades: 0,
            pnl: performance.ending().map_or(Money::ZERO, |ending| ending.unrealized),
            fees: Money::ZERO,
            funding: Money::ZERO,
            unattributed_funding: performance.trips().unattributed_funding,
        };
        performance.trips().open().fold(nothing, |open, (_, _, trip)| Open {
            trades: open.trades + 1,
            pnl: open.pnl.saturating_add(trip.pnl()),
            fees: open.fees.saturating_add(trip.fees),
            funding: open.funding.saturating_add(trip.funding),
            ..open
        })
    }
}

/// What it cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostFigures {
    /// In the account's asset, paid positive: the sum of the next three.
    pub fees: Money,
    pub taker_fees: Money,
    pub maker_fees: Money,
    pub liquidation_fees: Money,
    /// By asset, those in the account's asset too.
    pub fees_by_asset: Vec<AssetFees>,
    /// Received less paid.
    pub funding: Money,
    pub funding_paid: Money,
    pub funding_received: Money,
    /// By the gross PnL; `None` where that is not positive.
    pub fees_of_gross: Option<f64>,
    pub funding_of_gross: Option<f64>,
}

impl CostFigures {
    pub fn of(performance: &Performance, gross_pnl: Money) -> CostFigures {
        let costs = performance.costs();
        let fees = costs.fees(performance.asset());
        CostFigures {
            fees: fees.total(),
            taker_fees: fees.taker,
            maker_fees: fees.maker,
            liquidation_fees: fees.liquidation,
            fees_by_asset: costs.all_fees().to_vec(),
            funding: costs.funding(),
            funding_paid: costs.funding_paid,
            funding_received: costs.funding_received,
            fees_of_gross: money_ratio(fees.total(), gross_pnl),
            funding_of_gross: money_ratio(costs.funding(), gross_pnl),
        }
    }
}

/// What became of orders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExecutionFigures {
    pub orders: u64,
    pub fills: u64,
    /// Orders that were filled completely.
    pub filled: u64,
    pub rejected: u64,
    pub canceled: u64,
    pub expired: u64,
    /// Orders that were not over at the end.
    pub open: u64,
    /// Orders filled completely by all orders that are over.
    pub fill_ratio: Option<f64>,
    /// The part of the traded notional that rested in the book.
    pub maker_ratio: Option<f64>,
    pub liquidations: u64,
    /// Refused orders, and refused cancels and modifications, by the exchange's code.
    pub rejects: BTreeMap<i32, u64>,
    pub change_rejects: BTreeMap<i32, u64>,
    /// Our own refusals by their reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// From an order's request to its first answer; nearest rank.
    pub latency_p50_ns: Option<Nanos>,
    pub latency_p99_ns: Option<Nanos>,
}

impl ExecutionFigures {
    pub fn of(performance: &Performance) -> ExecutionFigures {
        let counts = performance.execution();
        let open = performance.ending().map_or(0, |ending| ending.open_orders);
        let filled = counts.filled(open);
        ExecutionFigures {
            orders: counts.orders,
            fills: counts.fills,
            filled,
            rejected: counts.rejected,
            canceled: counts.canceled,
            expired: counts.expired,
            open,
            fill_ratio: ratio(filled as f64, counts.orders.saturating_sub(open) as f64),
            maker_ratio: performance.costs().maker_ratio().and_then(figure),
            liquidations: counts.liquidations,
            rejects: counts.rejects.clone(),
            change_rejects: counts.change_rejects.clone(),
            refusals: counts.refusals.clone(),
            latency_p50_ns: counts.latency.quantile(50, 100),
            latency_p99_ns: counts.latency.quantile(99, 100),
        }
    }
}

/// One symbol's closed trades and prices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SymbolFigures {
    pub symbol: String,
    /// `None` where no price was said.
    pub first_price: Option<Price>,
    pub last_price: Option<Price>,
    /// All capital in this contract from the first price to the last, after the taker fee of the entry.
    pub buy_and_hold: Option<f64>,
    #[serde(flatten)]
    pub trades: TradeFigures,
}

impl SymbolFigures {
    pub fn of(performance: &Performance, id: SymbolId, instrument: &Instrument, taker_fee: Rate) -> SymbolFigures {
        let prices = performance.prices(id);
        SymbolFigures {
            symbol: instrument.symbol.as_str().to_owned(),
            first_price: prices.first.is_positive().then_some(prices.first),
            last_price: prices.last.is_positive().then_some(prices.last),
            buy_and_hold: buy_and_hold(prices.first.to_f64(), prices.last.to_f64(), taker_fee),
            trades: TradeFigures::of(&performance.trips().by_symbol[id.index()]),
        }
    }
}
