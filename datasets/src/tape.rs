//! A Tape merges streams into one feed, in the order of their times.
//!
//! Updates with the same time come in the order of the variants of [`MarketData`], then of the symbols, then of the
//! streams. A bar comes in two halves: its opening price at its opening time, and the closed bar at its closing time.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use alphaengine_core::market::{BarOpen, Feed, MarkPrice, MarketData, MarketUpdate, SymbolId};
use alphaengine_core::units::Timestamp;

use crate::Error;
use crate::chunk::{Chunk, ChunkSource};
use crate::gaps::Gaps;

/// Decoded chunks that wait, per stream.
const CHUNKS_AHEAD: usize = 2;

/// How many rows of each kind a tape has delivered. A bar counts when it has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub bars: u64,
    pub mark_bars: u64,
    pub marks: u64,
    pub funding: u64,
    pub books: u64,
    pub trades: u64,
}

impl Counts {
    pub fn total(&self) -> u64 {
        self.bars + self.mark_bars + self.marks + self.funding + self.books + self.trades
    }

    fn add(&mut self, chunk: &Chunk, items: usize) {
        let items = items as u64;
        match chunk {
            Chunk::Bars(_) => self.bars += items / 2,
            Chunk::MarkBars(_) => self.mark_bars += items,
            Chunk::Marks(_) => self.marks += items,
            Chunk::Funding(_) => self.funding += items,
            Chunk::Books(_) => self.books += items,
            Chunk::Trades(_) => self.trades += items,
        }
    }
}

/// When an item comes: its time, then its place among those of the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    at: i64,
    tie: u32,
}

impl Key {
    const MAX: Key = Key { at: i64::MAX, tie: u32::MAX };

    #[inline]
    fn is_before(self, other: Key) -> bool {
        self.at < other.at || (self.at == other.at && self.tie < other.tie)
    }
}

/// Places of the variants of [`MarketData`] among updates of the same time, already shifted to their bits.
mod rank {
    pub const MARK_PRICE: u32 = 0;
    pub const MARK_BAR: u32 = 1 << 29;
    pub const FUNDING: u32 = 2 << 29;
    pub const BAR: u32 = 3 << 29;
    pub const BAR_OPEN: u32 = 4 << 29;
    pub const BOOK_TICKER: u32 = 5 << 29;
    pub const TRADE: u32 = 6 << 29;
}

/// Streams of one tape, at most: what is left of a key after the rank and the symbol.
const MAX_STREAMS: usize = 1 << 13;

/// With a chunk come the gaps up to its end, so that what a tape tells depends on what it delivered and not on how far ahead
/// its threads are.
enum Message {
    Chunk(Chunk, Gaps),
    End(Gaps),
    Failed(Error),
}

enum Source {
    Memory(std::vec::IntoIter<Chunk>),
    Thread(Receiver<Message>),
    Ended,
}

struct Stream {
    symbol: SymbolId,
    /// Symbol and stream, as the lower bits of keys.
    tie: u32,
    chunk: Chunk,
    /// The next item of the chunk; a bar has two items.
    next: usize,
    items: usize,
    /// Of the next item, or [`Key::MAX`] where the chunk is used up.
    head: Key,
    source: Source,
    /// What the stream is called where its gaps are told.
    name: String,
    gaps: Gaps,
}

/// Streams merged into one feed.
pub struct Tape {
    streams: Vec<Stream>,
    current: usize,
    /// The stream with the least head of the others, and that head: up to it, the current stream goes on.
    runner: usize,
    limit: Key,
    delivered: Counts,
    skipped: Vec<String>,
}

impl Tape {
    /// A tape over streams that are decoded in the background, one thread each. The threads end with the tape.
    pub fn new(sources: Vec<(SymbolId, Box<dyn ChunkSource>)>) -> Result<Tape, Error> {
        if sources.len() > MAX_STREAMS {
            return Err(Error::new(format!("{} streams: a tape merges at most {MAX_STREAMS}", sources.len())));
        }
        let mut streams = Vec::with_capacity(sources.len());
        for (symbol, source) in sources {
            let (sender, receiver) = sync_channel(CHUNKS_AHEAD);
            std::thread::Builder::new()
                .name("decode".to_owned())
                .spawn(move || decode(source, &sender))
                .map_err(|error| Error::new(format!("no thread could be started to read data: {error}")))?;
            streams.push((symbol, Source::Thread(receiver)));
        }
        Ok(Tape::over(streams))
    }

    /// A tape over chunks in memory: each entry is one stream, ordered by time.
    ///
    /// # Panics
    ///
    /// When there are more than 8192 streams.
    pub fn from_chunks(streams: Vec<(SymbolId, Vec<Chunk>)>) -> Tape {
        assert!(streams.len() <= MAX_STREAMS, "a tape merges at most {MAX_STREAMS} streams");
        let streams = streams.into_iter().map(|(symbol, chunks)| (symbol, Source::Memory(chunks.into_iter())));
        Tape::over(streams.collect())
    }

    fn empty() -> Tape {
        Tape {
            streams: Vec::new(),
            current: 0,
            runner: 0,
            limit: Key::MAX,
            delivered: Counts::default(),
            skipped: Vec::new(),
        }
    }

    fn over(streams: Vec<(SymbolId, Source)>) -> Tape {
        let streams = streams.into_iter().enumerate().map(|(index, (symbol, source))| Stream {
            symbol,
            tie: u32::from(symbol.0) << 13 | index as u32,
            chunk: Chunk::Marks(Vec::new()),
            next: 0,
            items: 0,
            head: Key::MAX,
            source,
            name: String::new(),
            gaps: Gaps::default(),
        });
        Tape { streams: streams.collect(), ..Tape::empty() }
    }

    #[must_use]
    pub(crate) fn with_skipped(mut self, skipped: Vec<String>) -> Tape {
        self.skipped = skipped;
        self
    }

    /// Names the streams, in their order.
    #[must_use]
    pub(crate) fn with_names(mut self, names: Vec<String>) -> Tape {
        for (stream, name) in self.streams.iter_mut().zip(names) {
            stream.name = name;
        }
        self
    }

    /// What was delivered so far.
    pub fn counts(&self) -> Counts {
        let mut counts = self.delivered;
        for stream in &self.streams {
            counts.add(&stream.chunk, stream.next);
        }
        counts
    }

    /// What a user should know about what was delivered so far, in sentences: what recordings hold beside it, and which bars are
    /// missing. Gaps of trades, books and funding are not told, for nothing says when the next one should come; chunks in
    /// memory are taken to be whole.
    pub fn notes(&self) -> Vec<String> {
        let gaps = self.streams.iter().filter_map(|stream| stream.gaps.sentence(&stream.name));
        self.skipped.iter().cloned().chain(gaps).collect()
    }

    /// Chooses the stream to go on with; false at the end.
    #[inline]
    fn choose(&mut self) -> Result<bool, Error> {
        match self.streams.get(self.current).map(|stream| stream.head) {
            // The runner goes on. Of two streams, the one that ran is the other one.
            Some(head) if head != Key::MAX && self.streams.len() == 2 => {
                (self.current, self.runner) = (self.runner, self.current);
                self.limit = head;
                Ok(true)
            }
            Some(head) if head != Key::MAX => {
                self.scan();
                Ok(true)
            }
            _ => self.refill(),
        }
    }

    /// Finds the least two heads.
    fn scan(&mut self) {
        let (mut best, mut current, mut limit, mut runner) = (Key::MAX, 0, Key::MAX, 0);
        for (index, stream) in self.streams.iter().enumerate() {
            if stream.head.is_before(best) {
                (limit, runner, best, current) = (best, current, stream.head, index);
            } else if stream.head.is_before(limit) {
                (limit, runner) = (stream.head, index);
            }
        }
        (self.current, self.runner, self.limit) = (current, runner, limit);
    }

    /// Gets the next chunks where they are used up; false at the end.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) -> Result<bool, Error> {
        for stream in &mut self.streams {
            if stream.next < stream.items || matches!(stream.source, Source::Ended) {
                continue;
            }
            self.delivered.add(&stream.chunk, stream.items);
            if let Err(error) = stream.refill() {
                self.streams.iter_mut().for_each(Stream::end);
                return Err(error);
            }
        }
        self.scan();
        Ok(self.streams.iter().any(|stream| stream.head != Key::MAX))
    }
}

impl Feed for Tape {
    type Error = Error;

    #[inline]
    fn next_into(&mut self, update: &mut MarketUpdate) -> Result<bool, Error> {
        loop {
            if let Some(stream) = self.streams.get_mut(self.current)
                && stream.head.is_before(self.limit)
            {
                stream.take(update);
                return Ok(true);
            }
            if !self.choose()? {
                return Ok(false);
            }
        }
    }
}

impl Stream {
    /// Writes the next item, which the caller knows is there.
    #[inline]
    fn take(&mut self, update: &mut MarketUpdate) {
        let next = self.next;
        self.next = next + 1;
        update.at = Timestamp::from_nanos(self.head.at);
        update.symbol = self.symbol;
        let following = match &self.chunk {
            Chunk::Trades(rows) => {
                update.data = MarketData::Trade(rows[next].row);
                rows.get(next + 1).map(|row| (row.at, rank::TRADE))
            }
            Chunk::Books(rows) => {
                update.data = MarketData::BookTicker(rows[next].row);
                rows.get(next + 1).map(|row| (row.at, rank::BOOK_TICKER))
            }
            Chunk::Bars(bars) => {
                let bar = &bars[next / 2];
                if next.is_multiple_of(2) {
                    update.data = MarketData::BarOpen(BarOpen { price: bar.open, timeframe: bar.timeframe });
                    Some((bar.close_time(), rank::BAR))
                } else {
                    update.data = MarketData::Bar(*bar);
                    bars.get(next / 2 + 1).map(|bar| (bar.open_time, rank::BAR_OPEN))
                }
            }
            Chunk::MarkBars(bars) => {
                update.data = MarketData::MarkBar(bars[next]);
                bars.get(next + 1).map(|bar| (bar.close_time(), rank::MARK_BAR))
            }
            Chunk::Marks(rows) => {
                update.data = MarketData::MarkPrice(MarkPrice { price: rows[next].row });
                rows.get(next + 1).map(|row| (row.at, rank::MARK_PRICE))
            }
            Chunk::Funding(rows) => {
                update.data = MarketData::Funding(rows[next].row);
                rows.get(next + 1).map(|row| (row.at, rank::FUNDING))
            }
        };
        self.head = following.map_or(Key::MAX, |(at, rank)| Key { at: at.nanos(), tie: rank | self.tie });
    }

    /// Replaces a used-up chunk by the next one, if there is one.
    fn refill(&mut self) -> Result<(), Error> {
        self.next = 0;
        self.items = 0;
        self.head = Key::MAX;
        let chunk = loop {
            let chunk = match &mut self.source {
                Source::Memory(chunks) => chunks.next(),
                Source::Thread(receiver) => match receiver.recv() {
                    Ok(Message::Chunk(chunk, gaps)) => {
                        self.gaps = gaps;
                        Some(chunk)
                    }
                    Ok(Message::End(gaps)) => {
                        self.gaps = gaps;
                        None
                    }
                    Ok(Message::Failed(error)) => return Err(error),
                    Err(_) => return Err(Error::new("reading stopped: the reader of a file failed unexpectedly")),
                },
                Source::Ended => None,
            };
            match chunk {
                Some(chunk) if chunk.is_empty() => {}
                other => break other,
            }
        };
        let Some(chunk) = chunk else {
            self.end();
            return Ok(());
        };
        let (rank, at) = match &chunk {
            Chunk::Bars(_) => (rank::BAR_OPEN, chunk.first_at()),
            Chunk::MarkBars(bars) => (rank::MARK_BAR, bars.first().map(|bar| bar.close_time())),
            Chunk::Marks(_) => (rank::MARK_PRICE, chunk.first_at()),
            Chunk::Funding(_) => (rank::FUNDING, chunk.first_at()),
            Chunk::Books(_) => (rank::BOOK_TICKER, chunk.first_at()),
            Chunk::Trades(_) => (rank::TRADE, chunk.first_at()),
        };
        if let Some(at) = at {
            self.head = Key { at: at.nanos(), tie: rank | self.tie };
        }
        self.items = if matches!(chunk, Chunk::Bars(_)) { 2 * chunk.len() } else { chunk.len() };
        self.chunk = chunk;
        Ok(())
    }

    fn end(&mut self) {
        self.chunk = Chunk::Marks(Vec::new());
        (self.next, self.items, self.head) = (0, 0, Key::MAX);
        self.source = Source::Ended;
    }
}

/// The background thread of a stream. It ends when the stream does, or when nobody receives any more.
fn decode(mut source: Box<dyn ChunkSource>, sender: &SyncSender<Message>) {
    loop {
        let (message, is_last) = match source.next_chunk() {
            Ok(Some(chunk)) => (Message::Chunk(chunk, source.gaps()), false),
            Ok(None) => (Message::End(source.gaps()), true),
            Err(error) => (Message::Failed(error), true),
        };
        if sender.send(message).is_err() || is_last {
            return;
        }
    }
}
