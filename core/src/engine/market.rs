//! What the engine does when the market speaks. This is the hot loop: nothing here allocates.

use super::{Engine, Error};
use crate::market::{MarketData, MarketUpdate, SymbolId, Timeframe};
use crate::mode::EngineMode;
use crate::store::EventLog;
use crate::strategy::Strategy;
use crate::units::Price;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    #[inline]
    pub(super) fn on_market(&mut self, update: &MarketUpdate) -> Result<(), Error> {
        let symbol = update.symbol;
        self.heard_until = update.at;
        match &update.data {
            MarketData::Trade(trade) => {
                self.market.on_trade(symbol, update.at, trade, &mut self.closed_bars);
                self.revalue(symbol, trade.price);
                self.call(|strategy, ctx| strategy.on_trade(ctx, symbol, trade))?;
                if !self.closed_bars.is_empty() {
                    self.tell_closed_bars(symbol)?;
                }
            }
            MarketData::BookTicker(book) => {
                if self.market.on_book(symbol, *book) {
                    self.revalue(symbol, book.mid());
                }
                self.call(|strategy, ctx| strategy.on_book_ticker(ctx, symbol, book))?;
            }
            MarketData::Bar(bar) if self.state.mode == EngineMode::Booting => self.keep_for_rehearsal(symbol, bar),
            MarketData::Bar(bar) => {
                self.market.on_bar(symbol, bar, &mut self.closed_bars);
                self.revalue(symbol, bar.close);
                self.call(|strategy, ctx| strategy.on_bar(ctx, symbol, bar))?;
                if !self.closed_bars.is_empty() {
                    self.tell_closed_bars(symbol)?;
                }
            }
            MarketData::BarOpen(open) => {
                self.market.on_price(symbol, open.price);
                self.revalue(symbol, open.price);
            }
            MarketData::MarkPrice(mark) => self.on_mark(symbol, mark.price, true)?,
            MarketData::MarkBar(bar) => {
                // Between two marks that are further apart than the bars, the last price is the newer one. The strategy hears
                // them; the account follows the last price, as the simulated exchange does, which takes them for funding only.
                let is_fine = bar.timeframe <= self.base_timeframe(symbol);
                self.on_mark(symbol, bar.close, is_fine)?;
            }
            MarketData::Funding(funding) => {
                self.call(|strategy, ctx| strategy.on_funding(ctx, symbol, funding))?;
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn revalue(&mut self, symbol: SymbolId, price: Price) {
        self.performance.price(symbol, price);
        if self.account.last_price(symbol, price) {
            self.performance.observe(self.now, &self.account);
        }
    }

    /// The bars that the data bring for the symbol; a minute where it is ticks that decide.
    fn base_timeframe(&self, symbol: SymbolId) -> Timeframe {
        let brought = self.config.base_timeframes.get(symbol.index()).copied().flatten();
        brought.unwrap_or(Timeframe::M1)
    }

    fn on_mark(&mut self, symbol: SymbolId, price: Price, values: bool) -> Result<(), Error> {
        self.market.on_mark(symbol, crate::market::MarkPrice { price });
        if values && self.account.mark_price(symbol, price) {
            self.performance.observe(self.now, &self.account);
        }
        self.call(|strategy, ctx| strategy.on_mark_price(ctx, symbol, price))
    }

    /// Higher timeframes that closed with the update, after the strategy saw the update itself.
    #[cold]
    fn tell_closed_bars(&mut self, symbol: SymbolId) -> Result<(), Error> {
        let closed = std::mem::take(&mut self.closed_bars);
        for bar in &closed {
            self.call(|strategy, ctx| strategy.on_bar(ctx, symbol, bar))?;
        }
        self.closed_bars = closed;
        self.closed_bars.clear();
        Ok(())
    }
}
