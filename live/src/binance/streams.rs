//! A Stream is one subscription: its name on the wire, what it carries, and how long it may be silent.

use alphaengine_core::instrument::Instruments;
use alphaengine_core::link::Route;
use alphaengine_core::market::SymbolId;
use alphaengine_core::units::{Nanos, Timestamp};

use super::config::{Deadline, Silence, StreamsWanted};
use super::query::encoded;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    BookTicker,
    Depth,
    Bars,
    MarkPrice,
    Trades,
}

#[derive(Debug, Clone)]
pub(crate) struct Stream {
    /// As it stands in the wrapper of a frame.
    pub name: String,
    /// As it stands in an address.
    pub encoded: String,
    pub kind: Kind,
    pub symbol: SymbolId,
    pub route: Route,
    patience: Deadline,
    /// Whether a connection is complete only when this stream has said something. Marks and books speak by themselves; bars and
    /// trades speak when somebody trades, and are waited for only where nothing else is heard on their route.
    pub must_speak: bool,
}

impl Stream {
    /// When this stream is silent for too long, if it was heard last at `heard`.
    pub fn deadline(&self, opened: Timestamp, heard: Option<Timestamp>) -> Timestamp {
        let after = |since: Timestamp, span: Option<Nanos>| span.map_or(Timestamp::MAX, |span| since.plus(span));
        match heard {
            None => after(opened, self.patience.first_by),
            Some(heard) => after(heard, self.patience.silent_for),
        }
    }
}

/// Every stream that is wanted, of every symbol.
pub(crate) fn wanted(instruments: &Instruments, wanted: &StreamsWanted, silence: &Silence) -> Vec<Stream> {
    let kinds = [
        (wanted.book_ticker, Kind::BookTicker, Route::Public, "bookTicker".to_owned(), silence.book_ticker),
        (wanted.depth, Kind::Depth, Route::Public, "depth@100ms".to_owned(), silence.depth),
        (true, Kind::Bars, Route::Market, format!("kline_{}", wanted.timeframe), silence.bars),
        (wanted.mark_price, Kind::MarkPrice, Route::Market, "markPrice@1s".to_owned(), silence.mark_price),
        (wanted.agg_trades, Kind::Trades, Route::Market, "aggTrade".to_owned(), silence.agg_trades),
    ];
    let mut streams = Vec::new();
    for (symbol, instrument) in instruments.iter() {
        let lower = instrument.symbol.as_str().to_ascii_lowercase();
        for (_, kind, route, suffix, patience) in kinds.iter().filter(|(is_wanted, ..)| *is_wanted) {
            streams.push(Stream {
                name: format!("{lower}@{suffix}"),
                encoded: format!("{}@{suffix}", encoded(&lower)),
                kind: *kind,
                symbol,
                route: *route,
                patience: *patience,
                must_speak: false,
            });
        }
    }
    for route in Route::ALL {
        let speaks = |stream: &Stream| stream.route == route && stream.patience.first_by.is_some();
        let alone = |stream: &Stream| matches!(stream.kind, Kind::BookTicker | Kind::Depth | Kind::MarkPrice);
        let has_alone = streams.iter().any(|stream| speaks(stream) && alone(stream));
        for stream in &mut streams {
            stream.must_speak |= speaks(stream) && (alone(stream) || !has_alone);
        }
    }
    streams
}

/// Finds a stream by the name in a frame.
#[derive(Debug)]
pub(crate) struct Directory(Vec<Entry>);

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    name: String,
    pub kind: Kind,
    pub symbol: SymbolId,
    /// Its place among the streams of its route.
    pub place: usize,
}

impl Directory {
    pub fn new(streams: &[Stream]) -> Directory {
        let mut places = [0; 3];
        let mut entries: Vec<Entry> = Vec::with_capacity(streams.len());
        for stream in streams {
            let place = places[stream.route as usize];
            places[stream.route as usize] += 1;
            entries.push(Entry { name: stream.name.clone(), kind: stream.kind, symbol: stream.symbol, place });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Directory(entries)
    }

    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Entry> {
        let index = self.0.binary_search_by(|entry| entry.name.as_bytes().cmp(name)).ok()?;
        self.0.get(index)
    }
}

#[cfg(test)]
mod tests {
    use alphaengine_core::instrument::Catalog;

    use super::*;

    /// The streams of one symbol whose first word is waited for.
    fn waited_for(streams: StreamsWanted, silence: Silence) -> Vec<String> {
        let btc = Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone();
        let instruments = Instruments::new(vec![btc]).unwrap();
        let streams = wanted(&instruments, &streams, &silence).into_iter();
        streams.filter(|stream| stream.must_speak).map(|stream| stream.name).collect()
    }

    #[test]
    fn a_route_waits_for_what_speaks_by_itself_and_for_trades_only_where_there_is_nothing_else() {
        let all = StreamsWanted { agg_trades: true, ..StreamsWanted::default() };
        assert_eq!(waited_for(all, Silence::default()), ["btcusdt@bookTicker", "btcusdt@markPrice@1s"]);
        let bars = StreamsWanted { mark_price: false, book_ticker: false, ..StreamsWanted::default() };
        assert_eq!(waited_for(bars, Silence::default()), ["btcusdt@kline_1m"]);
        assert_eq!(waited_for(all, Silence::ALLOWED), [""; 0]);
    }
}
