//! The Status is one line on a terminal: equity, position, orders, streams, weight, latency.

use std::io::{IsTerminal, Write};

use alphaengine_core::link::Route;
use alphaengine_core::order::PositionSide;
use alphaengine_core::store::EventLog;
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::NANOS_PER_MILLI;

use crate::bot::Bot;

/// Shows the line, on a terminal only.
#[derive(Debug)]
pub struct Status {
    is_terminal: bool,
    is_shown: bool,
}

impl Status {
    /// `wanted` is false where the log is read by a program.
    pub fn new(wanted: bool) -> Status {
        Status { is_terminal: wanted && std::io::stderr().is_terminal(), is_shown: false }
    }

    pub fn show<S: Strategy, L: EventLog>(&mut self, bot: &Bot<S, L>) {
        if self.is_terminal {
            let line: String = line(bot).chars().take(160).collect();
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K{line}");
            self.is_shown = true;
        }
    }

    /// Takes the line away, so that what is written next stands alone.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }
}

/// The line itself; also what the service manager shows.
pub fn line<S: Strategy, L: EventLog>(bot: &Bot<S, L>) -> String {
    let engine = bot.engine();
    let (state, figures) = (engine.state(), bot.session().figures());
    let mut positions = Vec::new();
    for (index, _) in state.symbols.iter().enumerate() {
        let symbol = alphaengine_core::market::SymbolId(index as u16);
        for side in PositionSide::ALL {
            let position = state.position(symbol, side);
            if !position.is_flat() {
                positions.push(format!("{} {}", state.symbol_name(symbol), position.qty()));
            }
        }
    }
    let positions = if positions.is_empty() { "flat".to_owned() } else { positions.join(", ") };
    let latency = figures.latency.map_or_else(|| "-".to_owned(), |latency| format!("{} ms", latency / NANOS_PER_MILLI));
    format!(
        "{:?}  equity {}  {positions}  {} open orders  streams {}  weight {}/{}  latency {latency}",
        state.mode,
        engine.account().equity(),
        state.orders.len(),
        streams(&figures.streams_up),
        figures.used_weight,
        figures.weight_limit,
    )
}

fn streams(up: &[Route]) -> String {
    let names: Vec<&str> = up.iter().map(|route| route.name()).collect();
    if names.is_empty() { "down".to_owned() } else { names.join("+").to_lowercase() }
}
