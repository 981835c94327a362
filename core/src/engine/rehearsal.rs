//! The Rehearsal: a live session hears bars of the past before its strategy starts, and lets the strategy hear them as if they
//! had just closed. Indicators and averages warm up in the same way and order as in a backtest; what the strategy says to
//! the past goes nowhere.

use super::{Engine, Error};
use crate::market::{Bar, SymbolId};
use crate::store::EventLog;
use crate::strategy::Strategy;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// Keeps a bar that was heard while the engine boots; of each symbol one less than the strategy needs, so that its first
    /// decision is about the present.
    #[cold]
    pub(super) fn keep_for_rehearsal(&mut self, symbol: SymbolId, bar: &Bar) {
        self.market.on_price(symbol, bar.close);
        self.revalue(symbol, bar.close);
        let most = self.strategy.warm_up().saturating_sub(1);
        let kept = self.rehearsal.iter().filter(|(of, _)| *of == symbol).count();
        if kept >= most
            && let Some(oldest) = self.rehearsal.iter().position(|(of, _)| *of == symbol)
        {
            self.rehearsal.remove(oldest);
        }
        if most > 0 {
            self.rehearsal.push_back((symbol, *bar));
        }
    }

    /// Plays the kept bars to the strategy.
    pub(super) fn rehearse(&mut self) -> Result<(), Error> {
        for (symbol, bar) in std::mem::take(&mut self.rehearsal) {
            self.market.on_bar(symbol, &bar, &mut self.closed_bars);
            self.rehearse_bar(symbol, &bar)?;
            for closed in std::mem::take(&mut self.closed_bars) {
                self.rehearse_bar(symbol, &closed)?;
            }
        }
        Ok(())
    }

    /// What it subscribes to holds; orders, timers and what it would remember are not meant for the past.
    fn rehearse_bar(&mut self, symbol: SymbolId, bar: &Bar) -> Result<(), Error> {
        self.ask(|strategy, ctx| strategy.on_bar(ctx, symbol, bar));
        self.outbox.commands.clear();
        self.outbox.timers.clear();
        self.outbox.saved.clear();
        self.take_commands()
    }
}
