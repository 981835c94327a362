//! The MarketView is what the engine has heard of the market so far: last prices, marks, books and closed bars.

use crate::attached::{AnyIndicator, IndicatorId, IndicatorKind};
use crate::bars::BarSeries;
use crate::market::{Bar, BookTicker, MarkPrice, SymbolId, Timeframe, Trade};
use crate::units::{Price, Timestamp};

/// How many closed bars of the base timeframe are kept where nobody asks for more.
pub const KEPT_BARS: usize = 512;

/// What has been heard, by symbol.
#[derive(Debug)]
pub struct MarketView {
    symbols: Vec<SymbolView>,
    indicators: Vec<Attached>,
}

#[derive(Debug, Default)]
struct SymbolView {
    last: Price,
    mark: Price,
    book: Option<BookTicker>,
    /// The market has said a price of its own, so quotes need not stand for it.
    is_traded: bool,
    /// The first series is the one that the data bring; the others are built from it.
    series: Vec<BarSeries>,
    /// The first series is built from trades, because the data bring no bars.
    from_trades: bool,
    bars: u64,
}

/// An indicator with the bars that it follows.
#[derive(Debug)]
struct Attached {
    symbol: SymbolId,
    timeframe: Timeframe,
    indicator: AnyIndicator,
}

impl MarketView {
    pub fn new(symbols: usize) -> MarketView {
        MarketView { symbols: (0..symbols).map(|_| SymbolView::default()).collect(), indicators: Vec::new() }
    }

    /// The last price that was traded or, before the first trade or bar, quoted.
    #[inline]
    pub fn last_price(&self, symbol: SymbolId) -> Option<Price> {
        let price = self.symbols[symbol.index()].last;
        price.is_positive().then_some(price)
    }

    pub fn mark_price(&self, symbol: SymbolId) -> Option<Price> {
        let price = self.symbols[symbol.index()].mark;
        price.is_positive().then_some(price)
    }

    pub fn book(&self, symbol: SymbolId) -> Option<&BookTicker> {
        self.symbols[symbol.index()].book.as_ref()
    }

    /// Closed bars of a timeframe, if the data bring it or someone subscribed to it.
    pub fn bars(&self, symbol: SymbolId, timeframe: Timeframe) -> Option<&BarSeries> {
        self.symbols[symbol.index()].series.iter().find(|series| series.timeframe() == timeframe)
    }

    /// The newest values of an indicator, `None` while it warms up. One value, or up to three (see [`IndicatorKind`]).
    pub fn indicator(&self, id: IndicatorId) -> Option<[f64; 3]> {
        self.indicators.get(id.0).and_then(|attached| attached.indicator.values())
    }

    /// Closed bars of the base timeframe that were heard.
    pub fn bars_heard(&self, symbol: SymbolId) -> u64 {
        self.symbols[symbol.index()].bars
    }

    /// From now on bars of this timeframe are built and at least `keep` of them kept.
    pub fn subscribe(&mut self, symbol: SymbolId, timeframe: Timeframe, keep: usize) {
        let view = &mut self.symbols[symbol.index()];
        match view.series.iter_mut().find(|series| series.timeframe() == timeframe) {
            Some(series) => series.keep_at_least(keep),
            None => view.series.push(BarSeries::new(timeframe, keep)),
        }
    }

    /// Says that the data bring bars of this timeframe for the symbol.
    pub fn brings_bars(&mut self, symbol: SymbolId, timeframe: Timeframe) {
        let view = &mut self.symbols[symbol.index()];
        view.series.retain(|series| series.timeframe() != timeframe);
        view.series.insert(0, BarSeries::new(timeframe, KEPT_BARS));
    }

    /// Says that the data bring no bars for the symbol: those of this timeframe are built from trades.
    pub fn brings_trades_only(&mut self, symbol: SymbolId, timeframe: Timeframe) {
        self.brings_bars(symbol, timeframe);
        self.symbols[symbol.index()].from_trades = true;
    }

    pub fn attach(&mut self, symbol: SymbolId, timeframe: Timeframe, kind: &IndicatorKind) {
        self.indicators.push(Attached { symbol, timeframe, indicator: AnyIndicator::new(kind) });
    }

    pub fn indicators(&self) -> usize {
        self.indicators.len()
    }

    #[inline]
    pub fn on_price(&mut self, symbol: SymbolId, price: Price) {
        let view = &mut self.symbols[symbol.index()];
        view.last = price;
        view.is_traded = true;
    }

    #[inline]
    pub fn on_mark(&mut self, symbol: SymbolId, mark: MarkPrice) {
        self.symbols[symbol.index()].mark = mark.price;
    }

    /// Takes a quote. True where its middle is the newest price, because there have been no trades and no bars.
    #[inline]
    pub fn on_book(&mut self, symbol: SymbolId, book: BookTicker) -> bool {
        let view = &mut self.symbols[symbol.index()];
        view.book = Some(book);
        if !view.is_traded {
            view.last = book.mid();
        }
        !view.is_traded
    }

    /// Takes a closed bar of the data. Bars of higher timeframes that close with it are added to `closed`.
    #[inline]
    pub fn on_bar(&mut self, symbol: SymbolId, bar: &Bar, closed: &mut Vec<Bar>) {
        let view = &mut self.symbols[symbol.index()];
        view.last = bar.close;
        view.is_traded = true;
        view.bars += 1;
        let Some((base, higher)) = view.series.split_first_mut() else {
            return;
        };
        base.push(*bar);
        if !higher.is_empty() || !self.indicators.is_empty() {
            for series in higher {
                series.push_finer(bar, |bar| closed.push(bar));
            }
            self.update_indicators(symbol, bar, closed);
        }
    }

    /// Takes a trade where bars are built from trades. Bars that it closes are added to `closed`.
    #[inline]
    pub fn on_trade(&mut self, symbol: SymbolId, at: Timestamp, trade: &Trade, closed: &mut Vec<Bar>) {
        let view = &mut self.symbols[symbol.index()];
        view.last = trade.price;
        view.is_traded = true;
        if view.from_trades {
            for series in &mut view.series {
                if let Some(bar) = series.push_trade(at, trade.price, trade.qty) {
                    closed.push(bar);
                }
            }
            if !closed.is_empty() {
                self.built(symbol, closed);
            }
        }
    }

    /// Bars that were built from trades have closed.
    #[cold]
    fn built(&mut self, symbol: SymbolId, closed: &[Bar]) {
        let Some((first, rest)) = closed.split_first() else {
            return;
        };
        let view = &mut self.symbols[symbol.index()];
        view.bars += u64::from(first.timeframe == view.series[0].timeframe());
        self.update_indicators(symbol, first, rest);
    }

    fn update_indicators(&mut self, symbol: SymbolId, bar: &Bar, closed: &[Bar]) {
        for attached in self.indicators.iter_mut().filter(|attached| attached.symbol == symbol) {
            for bar in std::iter::once(bar).chain(closed) {
                if bar.timeframe == attached.timeframe {
                    attached.indicator.update(bar);
                }
            }
        }
    }
}
