//! An Indicator turns a stream of prices or bars into numbers, one step at a time and without looking back.
//!
//! Every update costs the same however long the period is (window extremes: on average), and allocates nothing: all room is
//! taken when an indicator is made. Indicators speak `f64`, which is right for a signal and wrong for money. What a strategy
//! compares exactly is kept exactly: [`Sma::compare`] and [`Channel`] count in steps of price.
//!
//! ```
//! use alphaengine_core::indicator::{Indicator, Period, Sma};
//! use alphaengine_core::units::Price;
//!
//! let mut average = Sma::new(Period::new(3)?);
//! assert_eq!(average.update(Price::whole(10)), None);
//! assert_eq!(average.update(Price::whole(20)), None);
//! assert_eq!(average.update(Price::whole(60)), Some(30.0));
//! assert_eq!(average.update(Price::whole(10)), Some(30.0));
//! # Ok::<(), alphaengine_core::indicator::PeriodError>(())
//! ```

mod atr;
mod bollinger;
mod donchian;
mod ema;
mod extreme;
mod macd;
mod ring;
mod rolling_std;
mod rsi;
mod sma;
mod smoother;
mod stochastic;
mod vwap;

pub use atr::{Atr, TrueRange};
pub use bollinger::{Bands, Bollinger};
pub use donchian::{Channel, Donchian};
pub use ema::Ema;
pub use macd::{Macd, MacdValue};
pub use rolling_std::RollingStd;
pub use rsi::Rsi;
pub use sma::Sma;
pub use stochastic::{Stochastic, StochasticValue};
pub use vwap::Vwap;

/// Something that follows a stream and has a value once it has seen enough of it.
pub trait Indicator {
    /// What it is fed: a `Price` (usually the close), or a whole `Bar`.
    type Input;
    type Output;

    /// Takes the next input and gives the value after it; `None` while warming up.
    fn update(&mut self, input: Self::Input) -> Option<Self::Output>;

    /// The value after the last input; `None` while warming up.
    fn value(&self) -> Option<Self::Output>;

    /// How many inputs it takes until there is a value.
    fn warm_up(&self) -> usize;

    fn is_ready(&self) -> bool {
        self.value().is_some()
    }
}

/// How many inputs an indicator looks back on: 1 to [`Period::MAX`].
///
/// It is checked once, here, so that no indicator needs to fail.
///
/// ```
/// use alphaengine_core::indicator::Period;
/// assert_eq!(Period::new(14).map(Period::get), Ok(14));
/// assert_eq!(Period::new(0).unwrap_err().to_string(), "a period of 0 is out of range: use 1 to 1048576");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u32);

impl Period {
    /// Two years of one-minute bars. Above it a window costs more memory than a slip of the keyboard should.
    pub const MAX: usize = 1 << 20;

    pub const fn new(inputs: usize) -> Result<Period, PeriodError> {
        if inputs == 0 || inputs > Period::MAX { Err(PeriodError { inputs }) } else { Ok(Period(inputs as u32)) }
    }

    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<usize> for Period {
    type Error = PeriodError;

    fn try_from(inputs: usize) -> Result<Period, PeriodError> {
        Period::new(inputs)
    }
}

/// A period that no indicator can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a period of {inputs} is out of range: use 1 to {}", Period::MAX)]
pub struct PeriodError {
    pub inputs: usize,
}
