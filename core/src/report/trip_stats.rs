//! TripStats adds up closed trades without keeping them.

use super::round_trip::RoundTrip;
use crate::units::Money;

/// Sums over closed trades. PnL is net of fees and funding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TripStats {
    pub wins: u64,
    pub losses: u64,
    /// Trades that earned exactly 0.
    pub draws: u64,
    /// What the wins earned.
    pub won: Money,
    /// What the losses lost: not positive.
    pub lost: Money,
    pub fees: Money,
    pub funding: Money,
    pub best: Option<RoundTrip>,
    pub worst: Option<RoundTrip>,
    pub longest_win_streak: u64,
    pub longest_loss_streak: u64,
    /// The streak now: wins positive, losses negative. A draw ends it.
    streak: i64,
    /// Running mean of the PnL and sum of squared distances from it (Welford).
    mean: f64,
    squares: f64,
}

impl TripStats {
    pub fn add(&mut self, trip: &RoundTrip) {
        let pnl = trip.pnl();
        self.fees = self.fees.saturating_add(trip.fees);
        self.funding = self.funding.saturating_add(trip.funding);
        if pnl.is_positive() {
            self.wins += 1;
            self.won = self.won.saturating_add(pnl);
            self.streak = self.streak.max(0) + 1;
            self.longest_win_streak = self.longest_win_streak.max(self.streak.unsigned_abs());
        } else if pnl.is_negative() {
            self.losses += 1;
            self.lost = self.lost.saturating_add(pnl);
            self.streak = self.streak.min(0) - 1;
            self.longest_loss_streak = self.longest_loss_streak.max(self.streak.unsigned_abs());
        } else {
            self.draws += 1;
            self.streak = 0;
        }
        if self.best.is_none_or(|best| pnl > best.pnl()) {
            self.best = Some(*trip);
        }
        if self.worst.is_none_or(|worst| pnl < worst.pnl()) {
            self.worst = Some(*trip);
        }
        let distance = pnl.to_f64() - self.mean;
        self.mean += distance / self.count() as f64;
        self.squares += distance * (pnl.to_f64() - self.mean);
    }

    pub fn count(&self) -> u64 {
        self.wins + self.losses + self.draws
    }

    pub fn pnl(&self) -> Money {
        self.won.saturating_add(self.lost)
    }

    /// The sample deviation of the PnL; `None` for fewer than two trades.
    pub fn deviation(&self) -> Option<f64> {
        let count = self.count();
        (count > 1).then(|| (self.squares / (count - 1) as f64).sqrt())
    }
}
