//! The Delays of the wire are what the plan leaves open.

use alphaengine_core::units::{NANOS_PER_MILLI, Nanos};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Drawn from a seed; in an instant world all of them are zero.
#[derive(Debug)]
pub(crate) struct Delays {
    rng: ChaCha8Rng,
    is_instant: bool,
}

impl Delays {
    pub fn new(seed: u64, is_instant: bool) -> Delays {
        Delays { rng: ChaCha8Rng::seed_from_u64(seed), is_instant }
    }

    /// From the bot to the exchange, or an answer on its way back.
    pub fn request(&mut self) -> Nanos {
        self.between(2, 30)
    }

    /// A frame.
    pub fn frame(&mut self) -> Nanos {
        self.between(1, 12)
    }

    fn between(&mut self, from_ms: u32, to_ms: u32) -> Nanos {
        if self.is_instant {
            return 0;
        }
        let span = u64::from(to_ms - from_ms) * NANOS_PER_MILLI as u64;
        i64::from(from_ms) * NANOS_PER_MILLI + (self.rng.next_u64() % span) as i64
    }
}
