//! TradeFigures are the figures of closed trades: of all, of a side or of a symbol.

use serde::Serialize;

use super::figure::{figure, ratio};
use super::round_trip::RoundTrip;
use super::trip_stats::TripStats;
use crate::units::Money;

/// Figures of closed trades. PnL is net of fees and funding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TradeFigures {
    pub trades: u64,
    pub wins: u64,
    pub losses: u64,
    /// Trades that earned exactly 0: no wins and no losses.
    pub draws: u64,
    /// Wins by all trades.
    pub win_rate: Option<f64>,
    pub pnl: Money,
    /// What the wins won by what the losses lost; `None` without losses.
    pub profit_factor: Option<f64>,
    /// The mean PnL of a trade, in money.
    pub expectancy: Option<f64>,
    /// `(1 + average win / average loss) * win rate - 1`: what a trade earns for one unit lost by a losing one. `None` without
    /// losses.
    pub expectancy_ratio: Option<f64>,
    /// `sqrt(n) * mean / deviation` of the PnL; `None` for fewer than two trades or when all earned the same.
    pub sqn: Option<f64>,
    pub average_win: Option<f64>,
    /// Negative.
    pub average_loss: Option<f64>,
    pub longest_win_streak: u64,
    pub longest_loss_streak: u64,
    pub best: Option<RoundTrip>,
    pub worst: Option<RoundTrip>,
    /// Paid positive, in the contract's asset.
    pub fees: Money,
    /// Received positive.
    pub funding: Money,
}

impl TradeFigures {
    pub fn of(stats: &TripStats) -> TradeFigures {
        let count = stats.count();
        let (pnl, wins, losses) = (stats.pnl(), stats.wins as f64, stats.losses as f64);
        let win_rate = ratio(wins, count as f64);
        let average_win = ratio(stats.won.to_f64(), wins);
        let average_loss = ratio(stats.lost.to_f64(), losses);
        let expectancy = ratio(pnl.to_f64(), count as f64);
        let expectancy_ratio = || {
            let average_win = if stats.wins > 0 { stats.won.to_f64() / wins } else { 0.0 };
            let payoff = average_win * losses / -stats.lost.to_f64();
            figure((1.0 + payoff) * wins / count as f64 - 1.0)
        };
        let sqn = || {
            let (mean, deviation) = (pnl.to_f64() / count as f64, stats.deviation()?);
            // Money has steps of 1e-8: a deviation far below is the noise of floating point.
            (deviation > 1e-10 + 1e-12 * mean.abs()).then(|| (count as f64).sqrt() * mean / deviation).and_then(figure)
        };
        TradeFigures {
            trades: count,
            wins: stats.wins,
            losses: stats.losses,
            draws: stats.draws,
            win_rate,
            pnl,
            profit_factor: ratio(stats.won.to_f64(), -stats.lost.to_f64()),
            expectancy,
            expectancy_ratio: expectancy_ratio(),
            sqn: sqn(),
            average_win,
            average_loss,
            longest_win_streak: stats.longest_win_streak,
            longest_loss_streak: stats.longest_loss_streak,
            best: stats.best,
            worst: stats.worst,
            fees: stats.fees,
            funding: stats.funding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::SymbolId;
    use crate::units::{Price, Qty, Timestamp};

    fn stats(pnls: &[i64]) -> TripStats {
        let mut stats = TripStats::default();
        for pnl in pnls {
            stats.add(&RoundTrip {
                symbol: SymbolId(0),
                is_long: true,
                opened_at: Timestamp::ZERO,
                closed_at: Timestamp::ZERO,
                qty: Qty::ONE,
                entry_price: Price::ONE,
                exit_price: Price::ONE,
                gross: Money::whole(pnl + 1),
                fees: Money::whole(3),
                funding: Money::whole(2),
                fills: 2,
            });
        }
        stats
    }

    #[test]
    fn of_five_trades() {
        let figures = TradeFigures::of(&stats(&[10, 30, 0, -20, -5]));
        assert_eq!((figures.wins, figures.losses, figures.draws, figures.trades), (2, 2, 1, 5));
        assert_eq!((figures.win_rate, figures.pnl), (Some(0.4), Money::whole(15)));
        assert_eq!((figures.profit_factor, figures.expectancy), (Some(1.6), Some(3.0)));
        assert_eq!((figures.average_win, figures.average_loss), (Some(20.0), Some(-12.5)));
        // (1 + 20 / 12.5) * 0.4 - 1
        assert_eq!(figures.expectancy_ratio, Some(0.04));
        // Squared distances from 3: 49 + 729 + 9 + 529 + 64 = 1380; sqrt(5) * 3 / sqrt(345).
        assert_eq!(figures.sqn, figure(5f64.sqrt() * 3.0 / 345f64.sqrt()));
        assert_eq!((figures.fees, figures.funding), (Money::whole(15), Money::whole(10)));
        assert_eq!(figures.best.unwrap().pnl(), Money::whole(30));
        assert_eq!(figures.worst.unwrap().pnl(), Money::whole(-20));
    }

    #[test]
    fn without_trades_and_without_losses() {
        let none = TradeFigures::of(&TripStats::default());
        assert_eq!((none.win_rate, none.profit_factor, none.expectancy, none.sqn), (None, None, None, None));
        assert_eq!((none.expectancy_ratio, none.average_win, none.average_loss), (None, None, None));
        assert!(none.best.is_none() && none.worst.is_none());
        let wins = TradeFigures::of(&stats(&[7, 7]));
        assert_eq!((wins.win_rate, wins.profit_factor, wins.expectancy_ratio), (Some(1.0), None, None));
        assert_eq!((wins.expectancy, wins.sqn), (Some(7.0), None));
        let losses = TradeFigures::of(&stats(&[-7]));
        assert_eq!((losses.profit_factor, losses.expectancy_ratio, losses.sqn), (Some(0.0), Some(-1.0), None));
    }

    #[test]
    fn streaks_end_at_draws() {
        let streaks = |pnls: &[i64]| {
            let stats = stats(pnls);
            (stats.longest_win_streak, stats.longest_loss_streak)
        };
        assert_eq!(streaks(&[1, 1, 1, -1, -1, 1]), (3, 2));
        assert_eq!(streaks(&[1, 1, 0, 1]), (2, 0));
        assert_eq!(streaks(&[-1, 0, -1, -1]), (0, 2));
        assert_eq!(streaks(&[]), (0, 0));
    }
}
