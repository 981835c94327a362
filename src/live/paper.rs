//! A PaperVenue trades on paper: the simulated exchange stands inside the process and follows the live market.

use alphaengine_core::exchange::{ExchangeUpdate, Outgoing};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::MarketUpdate;
use alphaengine_core::units::Timestamp;
use alphaengine_live::bot::Venue;
use alphaengine_sim::{SimConfig, SimExchange};

/// The exchange, opened with the first thing that the market says.
pub struct PaperVenue {
    exchange: SimExchange,
    is_open: bool,
}

impl PaperVenue {
    pub fn new(config: SimConfig, instruments: &Instruments) -> PaperVenue {
        PaperVenue { exchange: SimExchange::new(config, instruments), is_open: false }
    }
}

impl Venue for PaperVenue {
    fn on_market(&mut self, update: &MarketUpdate) {
        if !std::mem::replace(&mut self.is_open, true) {
            self.exchange.open_account(update.at);
        }
        self.exchange.on_market(update);
    }

    fn submit(&mut self, at: Timestamp, outgoing: &Outgoing) {
        self.exchange.submit(at, outgoing);
    }

    fn said(&mut self) -> Vec<ExchangeUpdate> {
        self.exchange.said().collect()
    }
}
