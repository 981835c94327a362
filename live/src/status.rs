//! The Status is one line on a terminal: equity, position, orders, streams, weight, latency.
//!
//! A thread of its own writes it: a terminal that is stopped, or a remote one that hangs, must not hold up whoever trades.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use alphaengine_core::link::Route;
use alphaengine_core::order::PositionSide;
use alphaengine_core::units::NANOS_PER_MILLI;

use crate::trader::{Factory, Trader};

/// How long the end waits until the line is taken away.
const FAREWELL: Duration = Duration::from_millis(200);

/// Shows the line, on a terminal only.
#[derive(Debug)]
pub struct Status {
    /// `None` where there is no terminal.
    terminal: Option<SyncSender<Order>>,
    is_shown: bool,
}

#[derive(Debug)]
enum Order {
    Show(String),
    Clear(SyncSender<()>),
}

impl Status {
    /// `wanted` is false where the log is read by a program.
    pub fn new(wanted: bool) -> Status {
        if wanted && std::io::stderr().is_terminal() {
            Status::on(std::io::stderr())
        } else {
            Status { terminal: None, is_shown: false }
        }
    }

    /// Without a thread there is no line: nothing else rests on it.
    fn on(terminal: impl Write + Send + 'static) -> Status {
        let (orders, receive) = sync_channel(1);
        let name = "alphaengine-status".to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || write_all(terminal, &receive));
        Status { terminal: thread.ok().map(|_| orders), is_shown: false }
    }

    pub fn show(&mut self, line: impl FnOnce() -> String) {
        if self.terminal.is_some() {
            self.put(line().chars().take(160).collect());
        }
    }

    /// A line for which there is no room is left out; the next one is newer.
    fn put(&mut self, line: String) {
        if let Some(terminal) = &self.terminal {
            self.is_shown |= terminal.try_send(Order::Show(line)).is_ok();
        }
    }

    /// Takes the line away, so that what is written next stands alone.
    pub fn clear(&mut self) {
        if let Some(terminal) = self.terminal.as_ref().filter(|_| std::mem::take(&mut self.is_shown)) {
            let (done, wait) = sync_channel(1);
            if terminal.try_send(Order::Clear(done)).is_ok() {
                let _ = wait.recv_timeout(FAREWELL);
            }
        }
    }
}

/// A write that fails is forgotten: the line says nothing that is not in the store.
fn write_all(mut terminal: impl Write, orders: &Receiver<Order>) {
    for order in orders {
        let (line, done) = match order {
            Order::Show(line) => (line, None),
            Order::Clear(done) => (String::new(), Some(done)),
        };
        let _ = write!(terminal, "\r\x1b[2K{line}").and_then(|()| terminal.flush());
        if let Some(done) = done {
            let _ = done.try_send(());
        }
    }
}

/// The line itself; also what the service manager shows.
pub fn line<F: Factory>(trader: &Trader<F>) -> String {
    let engine = trader.engine();
    let (state, figures) = (engine.state(), trader.bot().session().figures());
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
    // An exchange whose time runs faster than ours (`exchange serve --speed 60`) speaks from the future.
    let latency = figures.latency.filter(|latency| *latency >= 0);
    let latency = latency.map_or_else(|| "-".to_owned(), |latency| format!("{} ms", latency / NANOS_PER_MILLI));
    let store = trader.is_distrusting().map_or_else(String::new, |problem| format!("NO STORE ({problem})  "));
    let loss = state.lost.map_or_else(String::new, |loss| format!("{loss}  "));
    format!(
        "{store}{loss}{:?}  equity {}  {positions}  {} open orders  streams {}  weight {}/{}  latency {latency}",
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A terminal that takes nothing while its lock is held.
    #[derive(Clone, Default)]
    struct Terminal(Arc<Mutex<Vec<u8>>>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_that_is_stopped_holds_nobody_up() {
        let terminal = Terminal::default();
        let mut status = Status::on(terminal.clone());
        let stopped = terminal.0.lock().unwrap();
        for number in 0..100 {
            status.put(format!("line {number}"));
        }
        status.clear();
        assert!(stopped.is_empty());
        drop(stopped);
    }

    #[test]
    fn a_line_is_shown_and_taken_away() {
        let terminal = Terminal::default();
        let mut status = Status::on(terminal.clone());
        status.put("all is well".into());
        while terminal.0.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        status.clear();
        let written = String::from_utf8(terminal.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written, "\r\x1b[2Kall is well\r\x1b[2K");
    }
}
