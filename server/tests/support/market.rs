//! A made-up market for runs without data: two symbols whose prices swing, with bars, trades, quotes and mark prices.
#![allow(clippy::expect_used, reason = "a test that cannot run should say so at once")]

use std::convert::Infallible;

use alphaengine_core::instrument::{Catalog, Instruments, Symbol};
use alphaengine_core::market::{
    Bar, BarOpen, BookTicker, Feed, Funding, MarkPrice, MarketData, MarketUpdate, SymbolId, Timeframe, Trade,
};
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Price, Qty, Rate, Timestamp};

/// The symbols of the made-up market.
pub fn instruments() -> Instruments {
    let catalog = Catalog::builtin();
    let symbol = |name: &str| catalog.get(&name.parse::<Symbol>().expect("a symbol")).expect("built in").clone();
    Instruments::new(vec![symbol("BTCUSDT"), symbol("ETHUSDT")]).expect("two symbols")
}

/// 2024-01-01 00:00 UTC, when the made-up market begins.
pub fn begin() -> Timestamp {
    Timestamp::from_date(2024, 1, 1).expect("a date")
}

/// Endless, or as many minutes as are asked for.
pub struct Swings {
    second: i64,
    end: i64,
    bars_only: bool,
    /// The updates of one second, the next one last.
    ready: Vec<MarketUpdate>,
}

impl Swings {
    pub fn minutes(minutes: i64) -> Swings {
        Swings { second: 0, end: minutes * 60, bars_only: false, ready: Vec::new() }
    }

    pub fn endless() -> Swings {
        Swings::minutes(i64::MAX / 60)
    }

    /// Without trades and quotes.
    pub fn bars_only(self) -> Swings {
        Swings { bars_only: true, ..self }
    }

    /// A triangle of 10 minutes, 0.5 % high, in ticks of 0.10.
    fn price(symbol: SymbolId, second: i64) -> Price {
        let base = if symbol.0 == 0 { 600_000 } else { 30_000 };
        let phase = second.rem_euclid(600);
        let height = if phase < 300 { phase } else { 600 - phase };
        Price::from_steps((base + base * height / 60_000) * 10_000_000)
    }

    fn bar(symbol: SymbolId, minute: i64) -> Bar {
        let prices = (0..60).map(|second| Swings::price(symbol, minute * 60 + second));
        Bar {
            open_time: begin().plus(minute * NANOS_PER_MINUTE),
            open: Swings::price(symbol, minute * 60),
            high: prices.clone().max().expect("sixty"),
            low: prices.min().expect("sixty"),
            close: Swings::price(symbol, minute * 60 + 59),
            volume: Qty::from_steps(600 * 100_000_000),
            timeframe: Timeframe::M1,
        }
    }

    fn say(&mut self, second: i64) {
        let at = begin().plus(second * NANOS_PER_SECOND);
        let mut said = Vec::new();
        for symbol in [SymbolId(0), SymbolId(1)] {
            let price = Swings::price(symbol, second);
            let mut tell = |at, data| said.push(MarketUpdate { at, symbol, data });
            if second % 60 == 0 || !self.bars_only {
                tell(at, MarketData::MarkPrice(MarkPrice { price }));
            }
            if second % 28_800 == 0 {
                tell(at, MarketData::Funding(Funding { rate: Rate::from_steps(10_000), mark: Some(price) }));
            }
            if second % 60 == 0 {
                tell(at, MarketData::BarOpen(BarOpen { price, timeframe: Timeframe::M1 }));
            }
            if !self.bars_only {
                let (bid, size) = (Price::from_steps(price.steps() - 10_000_000), Qty::from_steps(1_000_000_000));
                let book = BookTicker { update_id: second + 1, bid, bid_qty: size, ask: price, ask_qty: size };
                tell(at, MarketData::BookTicker(book));
                let trade = Trade { id: second + 1, price, qty: size, is_buyer_maker: second % 2 == 0 };
                tell(at, MarketData::Trade(trade));
            }
            if second % 60 == 59 {
                let closing = at.plus(NANOS_PER_SECOND - NANOS_PER_MILLI);
                tell(closing, MarketData::Bar(Swings::bar(symbol, second / 60)));
            }
        }
        // By time; what is said at one time stays in order.
        said.sort_by_key(|update| update.at);
        said.reverse();
        self.ready = said;
    }
}

impl Feed for Swings {
    type Error = Infallible;

    fn next_into(&mut self, update: &mut MarketUpdate) -> Result<bool, Infallible> {
        while self.ready.is_empty() && self.second < self.end {
            self.say(self.second);
            self.second += 1;
        }
        let next = self.ready.pop();
        Ok(next.map(|next| *update = next).is_some())
    }
}
