//! A market for runs of minutes: bars walked second by second into quotes, and a synthetic one made of a seed.
//!
//! A bar says four prices and a volume. Within a run of five minutes that is four moments in which something could trade, so
//! [`walk`] makes a quote of every second: from the open to the nearer extreme, to the other one, to the close, each leg as long as
//! its way; one tick wide; its sizes a share of the volume. It is a declared guess, as every path inside a bar is.

use alphaengine_core::instrument::{Instrument, Instruments};
use alphaengine_core::market::{Bar, BarOpen, BookTicker, MarketData, MarketUpdate, SymbolId, Timeframe};
use alphaengine_core::params::Params;
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{Money, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};
use alphaengine_live::binance::StreamsWanted;
use alphaengine_sim::SimConfig;

use crate::Scenario;

/// Numbers of a seed: SplitMix64. The same on every machine.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub const fn below(&mut self, end: u64) -> u64 {
        // The upper half of a product: without the bias of a remainder that anybody could measure.
        ((self.roll() as u128 * end as u128) >> 64) as u64
    }

    /// Mean 0, bell-shaped, within four times `deviation`.
    const fn about_zero(&mut self, deviation: i64) -> i64 {
        let bits = self.roll();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        // The sum of four uniform numbers of 16 bits has a deviation of 65,536 / sqrt(3).
        ((sum as i128 - 131_070) * deviation as i128 / 37_837) as i64
    }
}

/// A bar second by second: its opening, a quote a second, the closed bar.
pub fn walk(symbol: SymbolId, bar: &Bar, instrument: &Instrument, out: &mut Vec<MarketUpdate>) {
    let mut say = |at: Timestamp, data: MarketData| out.push(MarketUpdate { at, symbol, data });
    let seconds = bar.timeframe.nanos() / NANOS_PER_SECOND;
    let path = Path::of(bar, seconds - 1);
    let sizes = Sizes::of(bar, seconds, instrument);
    say(bar.open_time, MarketData::BarOpen(BarOpen { price: bar.open, timeframe: bar.timeframe }));
    let mut before = bar.open;
    for second in 0..seconds {
        let price = path.at(second);
        let at = bar.open_time.plus(second * NANOS_PER_SECOND);
        say(at, MarketData::BookTicker(quote(at, price, price >= before, sizes, instrument)));
        before = price;
    }
    say(bar.close_time(), MarketData::Bar(*bar));
}

/// One tick wide; the price is that of the side which was taken last.
fn quote(at: Timestamp, price: Price, rises: bool, sizes: Sizes, instrument: &Instrument) -> BookTicker {
    let tick = instrument.price.tick.max(Price::STEP);
    let price = price.floor_to_tick(tick).max(tick.saturating_add(tick));
    let (bid, ask) = if rises { (price.saturating_sub(tick), price) } else { (price, price.saturating_add(tick)) };
    let (bid_qty, ask_qty) = if rises { (sizes.large, sizes.small) } else { (sizes.small, sizes.large) };
    BookTicker { update_id: at.millis(), bid, bid_qty, ask, ask_qty }
}

/// What lies on a side: more where the market goes away from.
#[derive(Clone, Copy)]
struct Sizes {
    small: Qty,
    large: Qty,
}

impl Sizes {
    fn of(bar: &Bar, seconds: i64, instrument: &Instrument) -> Sizes {
        let least = instrument.lot.min.max(instrument.lot.step).max(Qty::STEP);
        let share = |parts: i64| {
            Qty::from_steps(bar.volume.steps() / parts.max(1)).floor_to_step(instrument.lot.step).max(least)
        };
        Sizes { small: share(3 * seconds), large: share(seconds) }
    }
}

/// The way of a price through a bar: corners at their seconds.
struct Path([(i64, Price); 4]);

impl Path {
    fn of(bar: &Bar, last: i64) -> Path {
        let Bar { open, high, low, close, .. } = *bar;
        let high_first = high.saturating_sub(open) <= open.saturating_sub(low);
        let (first, second) = if high_first { (high, low) } else { (low, high) };
        let legs = [(open, first), (first, second), (second, close)];
        let lengths = legs.map(|(from, to)| i128::from(to.saturating_sub(from).abs().steps()));
        let whole = lengths.iter().sum::<i128>().max(1);
        let after = |way: i128| (i128::from(last) * way / whole) as i64;
        Path([(0, open), (after(lengths[0]), first), (after(lengths[0] + lengths[1]), second), (last, close)])
    }

    fn at(&self, second: i64) -> Price {
        // The last corner that is not after this second; corners of one second are passed at once.
        let begun = self.0.iter().rposition(|(at, _)| *at <= second).unwrap_or(0);
        let (from_at, from) = self.0[begun];
        let Some((to_at, to)) = self.0.get(begun + 1) else { return from };
        let way =
            i128::from(to.saturating_sub(from).steps()) * i128::from(second - from_at) / i128::from(to_at - from_at);
        Price::from_steps(from.steps() + way as i64)
    }
}

/// Minutes of a martingale: bars of one minute of every symbol, walked. Nothing in it can be learnt.
pub fn synthetic(instruments: &Instruments, seed: u64, opening: Timestamp, minutes: i64) -> Vec<MarketUpdate> {
    let mut updates = Vec::new();
    for (symbol, instrument) in instruments.iter() {
        let mut dice = Dice::new(seed ^ u64::from(symbol.0) << 32);
        let mut price = start_price(instrument);
        for minute in 0..minutes {
            let bar = synthetic_bar(&mut dice, price, opening.plus(minute * NANOS_PER_MINUTE), instrument);
            price = bar.close;
            walk(symbol, &bar, instrument, &mut updates);
        }
    }
    in_order(&mut updates);
    updates
}

/// The order of a tape: by time, then by kind, then by symbol.
pub fn in_order(updates: &mut [MarketUpdate]) {
    updates.sort_by_key(|update| (update.at, rank(&update.data), update.symbol));
}

const fn rank(data: &MarketData) -> u8 {
    match data {
        MarketData::MarkPrice(_) => 0,
        MarketData::MarkBar(_) => 1,
        MarketData::Funding(_) => 2,
        MarketData::Bar(_) => 3,
        MarketData::BarOpen(_) => 4,
        MarketData::BookTicker(_) => 5,
        MarketData::Trade(_) => 6,
    }
}

/// A price at which the smallest lot is worth about a tenth of a least order.
fn start_price(instrument: &Instrument) -> Price {
    let least = instrument.min_notional.steps().max(1);
    let lots = instrument.lot.min.max(instrument.lot.step).max(Qty::STEP).steps();
    let price = i128::from(least) * 100_000_000 / i128::from(lots) / 10;
    let price = Price::from_steps(i64::try_from(price).unwrap_or(i64::MAX / 1_000_000));
    let highest = if instrument.price.max.is_positive() { instrument.price.max } else { Price::MAX };
    price
        .max(instrument.price.min.saturating_add(instrument.price.min))
        .min(highest)
        .floor_to_tick(instrument.price.tick)
}

fn synthetic_bar(dice: &mut Dice, open: Price, open_time: Timestamp, instrument: &Instrument) -> Bar {
    let tick = instrument.price.tick.max(Price::STEP);
    // A deviation of 0.05 % a minute, in six steps of 0.02 % each.
    let deviation = (open.steps() / 5_000).max(tick.steps());
    let (mut high, mut low, mut close) = (open, open, open);
    for _ in 0..6 {
        let moved = Price::from_steps(close.steps().saturating_add(dice.about_zero(deviation)));
        close = moved.floor_to_tick(tick).max(Price::from_steps(10 * tick.steps()));
        (high, low) = (high.max(close), low.min(close));
    }
    let step = instrument.lot.step.max(Qty::STEP).steps();
    let volume = Qty::from_steps(step.saturating_mul(20_000 + dice.below(80_000) as i64));
    Bar { open_time, open, high, low, close, volume, timeframe: Timeframe::M1 }
}

impl Scenario {
    /// A run of so many minutes on a synthetic market, after an hour of history.
    pub fn synthetic(strategy: &str, params: Params, instruments: Instruments, seed: u64, minutes: i64) -> Scenario {
        const HISTORY: i64 = 60;
        /// 2026-11-25T12:00:00Z: in no hour of funding.
        const OPENING: Timestamp = Timestamp::from_nanos(1_795_608_000 * NANOS_PER_SECOND);
        let updates = synthetic(&instruments, seed, OPENING.plus(-HISTORY * NANOS_PER_MINUTE), HISTORY + minutes);
        let (history, market): (Vec<_>, Vec<_>) = updates.into_iter().partition(|update| update.at < OPENING);
        let history = history.into_iter().filter(|update| !matches!(update.data, MarketData::BookTicker(_))).collect();
        Scenario {
            strategy: strategy.to_owned(),
            params,
            timeframe: Timeframe::M1,
            streams: StreamsWanted::default(),
            sim: SimConfig::default(),
            limits: limits(),
            history,
            market,
            converge_within: CONVERGE_WITHIN,
            instruments,
        }
    }
}

/// What an account of ten thousand might be held to: wide enough to trade, narrow enough to be met.
fn limits() -> Limits {
    Limits {
        max_position: Some(Money::whole(1_500)),
        max_order: Some(Money::whole(600)),
        max_open_orders: Some(16),
        ..Limits::default()
    }
}

/// How long a run may take to be well again after its last fault: a ban of minutes and a reconnect at the slowest pace fit in.
pub const CONVERGE_WITHIN: Nanos = 10 * NANOS_PER_MINUTE;

#[cfg(test)]
mod tests {
    use alphaengine_core::instrument::Catalog;

    use super::*;

    fn instruments() -> Instruments {
        let catalog = Catalog::builtin();
        let instrument = |name: &str| catalog.get(&name.parse().unwrap()).unwrap().clone();
        Instruments::new(vec![instrument("BTCUSDT"), instrument("ETHUSDT")]).unwrap()
    }

    fn bar(prices: [i64; 4]) -> Bar {
        let [open, high, low, close] = prices.map(Price::whole);
        Bar { open_time: Timestamp::ZERO, open, high, low, close, volume: Qty::whole(60), timeframe: Timeframe::M1 }
    }

    fn walked(bar: Bar) -> Vec<MarketUpdate> {
        let mut out = Vec::new();
        walk(SymbolId(0), &bar, instruments().get(SymbolId(0)), &mut out);
        out
    }

    /// The price that was taken last, as each quote shows it.
    fn prices(bar: Bar) -> Vec<i64> {
        let touched = |book: &BookTicker| if book.bid_qty > book.ask_qty { book.ask } else { book.bid };
        let books = walked(bar).into_iter().filter_map(|update| match update.data {
            MarketData::BookTicker(book) => Some(touched(&book).steps() / 100_000_000),
            _ => None,
        });
        books.collect()
    }

    #[test]
    fn a_bar_is_walked_through_its_four_prices_the_nearer_extreme_first() {
        for (given, first_extreme) in
            [([100, 104, 88, 90], 104), ([100, 120, 97, 110], 97), ([100, 100, 100, 100], 100)]
        {
            let prices = prices(bar(given));
            assert_eq!((prices.len(), prices[0], prices[59]), (60, given[0], given[3]), "{given:?}");
            assert_eq!(prices.iter().max(), Some(&given[1]), "{given:?}");
            assert_eq!(prices.iter().min(), Some(&given[2]), "{given:?}");
            let place = |price: i64| prices.iter().position(|at| *at == price).unwrap();
            let other = if first_extreme == given[1] { given[2] } else { given[1] };
            assert!(place(first_extreme) <= place(other), "{given:?}");
        }
    }

    #[test]
    fn a_walk_opens_and_closes_its_bar_and_quotes_one_tick_wide_in_between() {
        let updates = walked(bar([100, 104, 88, 90]));
        assert!(matches!(updates[0].data, MarketData::BarOpen(_)));
        assert!(matches!(updates[61].data, MarketData::Bar(_)));
        assert!(updates.windows(2).all(|pair| pair[0].at <= pair[1].at));
        for update in &updates[1..61] {
            let MarketData::BookTicker(book) = update.data else { panic!("{update:?}") };
            assert_eq!(book.ask.saturating_sub(book.bid).to_string(), "0.1");
            assert!(book.bid_qty.is_positive() && book.ask_qty.is_positive());
        }
    }

    #[test]
    fn a_seed_is_a_market_in_order_and_another_seed_another_one() {
        let market = synthetic(&instruments(), 1, Timestamp::ZERO, 3);
        assert_eq!(market, synthetic(&instruments(), 1, Timestamp::ZERO, 3));
        assert_ne!(market, synthetic(&instruments(), 2, Timestamp::ZERO, 3));
        assert_eq!(market.len(), 2 * 3 * 62);
        assert!(market.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }
}
