//! The options of a campaign, as read from the command line.

use std::path::PathBuf;

use alphaengine_core::risk::Limits;
use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos};
use alphaengine_sim::faults::FaultPlan;

use crate::backtest::SceneOptions;
use crate::error::Error;

/// Everything that was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// `name=value` pairs.
    pub params: Vec<String>,
    pub scene: SceneOptions,
    /// Where none is given for positions, what the account's money and leverage allow: a law about limits needs one.
    pub limits: Limits,
    pub seeds: u64,
    pub first_seed: u64,
    /// This plan for every seed, in place of drawn ones.
    pub plan: Option<FaultPlan>,
    /// Codes of the families that may be drawn; empty is all.
    pub families: Vec<&'static str>,
    /// How long the market of a run is.
    pub length: Nanos,
    pub jobs: usize,
    /// Of a hundred seeds, how many run twice more: in their own process and in another one.
    pub double: u64,
    /// How many seeds run without faults as well.
    pub pairs: u64,
    pub shrink: bool,
    pub save: Option<PathBuf>,
}

impl Options {
    /// Whether the seed of this place in the campaign runs again. The first always does.
    pub fn is_doubled(&self, place: u64) -> bool {
        place.saturating_mul(self.double) % 100 < self.double
    }

    /// Whether the seed of this place runs without faults as well: as many as were asked for, spread over the campaign.
    pub fn is_paired(&self, place: u64) -> bool {
        let share = |place: u64| u128::from(place) * u128::from(self.pairs) / u128::from(self.seeds.max(1));
        self.pairs >= self.seeds || share(place) < share(place + 1)
    }
}

/// Reads a span of time: `90s`, `5m`, `2h`.
pub fn length(text: &str) -> Result<Nanos, Error> {
    let units = [("s", NANOS_PER_SECOND), ("m", NANOS_PER_MINUTE), ("h", 60 * NANOS_PER_MINUTE)];
    let read = units.iter().find_map(|(letter, unit)| {
        let number: i64 = text.strip_suffix(letter)?.trim().parse().ok()?;
        number.checked_mul(*unit)
    });
    match read {
        Some(length) if (10 * NANOS_PER_SECOND..=24 * 60 * NANOS_PER_MINUTE).contains(&length) => Ok(length),
        _ => Err(Error::new(format!("option --length: `{text}` is not a span between 10s and 24h"))
            .hint("write 90s, 5m or 2h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_a_unit_and_bounds() {
        assert_eq!(length("5m").unwrap(), 5 * NANOS_PER_MINUTE);
        assert_eq!(length("90s").unwrap(), 90 * NANOS_PER_SECOND);
        for bad in ["5", "m", "9s", "25h", "-5m", "5d", ""] {
            assert!(length(bad).is_err(), "{bad}");
        }
    }
}
