//! What the public is told when the market moves, in the shapes of `binance-usdm.md` section 4.2.

use alphaengine_core::exchange::{Fill, OrderUpdate};
use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId};
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};

use super::candles::{Candle, Interval};
use super::encode::amount;
use super::json::json;
use super::tape::{Ladder, News, Print};
use super::topic::Topic;
use super::{Contract, Gateway};

/// Running candles are pushed this often while they change.
const CANDLE_PACE: Nanos = 250 * NANOS_PER_MILLI;
const TICKER_PACE: Nanos = NANOS_PER_SECOND;
const MARK_PACE: Nanos = NANOS_PER_SECOND;
const SLOW_MARK_PACE: Nanos = 3 * NANOS_PER_SECOND;

/// When a contract's slower streams were pushed last, in market time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    candle: Option<Timestamp>,
    ticker: Option<Timestamp>,
    mark: Option<Timestamp>,
    slow_mark: Option<Timestamp>,
}

/// Whether it is time again.
fn is_due(last: &mut Option<Timestamp>, now: Timestamp, pace: Nanos) -> bool {
    let is_due = last.is_none_or(|last| now.since(last) >= pace);
    if is_due {
        *last = Some(now);
    }
    is_due
}

impl Gateway {
    /// Tells what an update changed. `before` is the book before it, where somebody follows its changes.
    pub(super) fn tell_public(&mut self, update: &MarketUpdate, news: News, before: Option<Ladder>) {
        let symbol = update.symbol;
        // The clock of the events is this update's, whatever the exchange has heard since.
        let at = update.at;
        if let Some(open_time) = news.closed_before {
            self.tell_closed_candles(symbol, open_time, at);
        }
        if let Some(print) = news.print {
            self.tell_print(symbol, &print);
        }
        if news.book {
            self.tell_book(symbol, at, before);
        }
        if news.mark {
            self.tell_mark(symbol, at);
        }
        if news.candle {
            self.tell_candles(symbol, at, news.closed);
            let pace = &mut self.contracts[symbol.index()].pace;
            if is_due(&mut pace.ticker, at, TICKER_PACE) {
                self.tell_tickers(symbol, at);
            }
        }
        if let MarketData::Funding(_) = update.data {
            self.tell_mark(symbol, at);
        }
    }

    fn tell_print(&mut self, symbol: SymbolId, print: &Print) {
        let contract = &self.contracts[symbol.index()];
        let (name, digits) = (&contract.name, contract.digits);
        let (time, trade) = (print.at.millis(), &print.trade);
        let (id, price, qty) = (trade.id, digits.price(trade.price), digits.qty(trade.qty));
        let is_maker = trade.is_buyer_maker;
        let key = (Some(symbol), Topic::AggTrade);
        if self.sockets.has(&key) {
            let payload = format!(
                r#"{{"e":"aggTrade","E":{time},"s":"{name}","a":{id},"p":"{price}","q":"{qty}","nq":"{qty}","f":{id},"l":{id},"T":{time},"m":{is_maker},"st":1}}"#
            );
            self.sockets.publish(&key, &payload);
        }
        let key = (Some(symbol), Topic::Trade);
        if self.sockets.has(&key) {
            let payload = format!(
                r#"{{"e":"trade","E":{time},"T":{time},"s":"{name}","t":{id},"p":"{price}","q":"{qty}","X":"MARKET","m":{is_maker},"st":1}}"#
            );
            self.sockets.publish(&key, &payload);
        }
    }

    fn tell_book(&mut self, symbol: SymbolId, at: Timestamp, before: Option<Ladder>) {
        self.tell_quote(symbol, at);
        let (contract, tape) = (&self.contracts[symbol.index()], &self.tapes[symbol.index()]);
        if tape.book.is_none() {
            return;
        }
        let (name, time) = (&contract.name, at.millis());
        let id = tape.change_id();
        let depth = |bids: &[(Price, Qty)], asks: &[(Price, Qty)]| {
            let (first, before) = (id - 9, id - 10);
            let (bids, asks) = (levels(bids, contract), levels(asks, contract));
            format!(
                r#"{{"e":"depthUpdate","E":{time},"T":{time},"s":"{name}","ps":"{name}","st":1,"U":{first},"u":{id},"pu":{before},"b":{bids},"a":{asks}}}"#
            )
        };
        let ladder = tape.ladder(&contract.instrument);
        if let Some(before) = before {
            let changes = ladder.changes_from(&before);
            self.sockets.publish(&(Some(symbol), Topic::Depth), &depth(&changes.bids, &changes.asks));
        }
        for count in [5, 10, 20] {
            let key = (Some(symbol), Topic::PartialDepth(count));
            if self.sockets.has(&key) {
                let top = |side: &[(Price, Qty)]| side.iter().take(usize::from(count)).copied().collect::<Vec<_>>();
                let payload = depth(&top(&ladder.bids), &top(&ladder.asks));
                self.sockets.publish(&key, &payload);
            }
        }
    }

    fn tell_quote(&mut self, symbol: SymbolId, at: Timestamp) {
        let (contract, tape) = (&self.contracts[symbol.index()], &self.tapes[symbol.index()]);
        let (name, digits, time) = (&contract.name, contract.digits, at.millis());
        let Some(book) = tape.book else {
            return;
        };
        let id = tape.change_id();
        for key in [(Some(symbol), Topic::BookTicker), (None, Topic::BookTicker)] {
            if self.sockets.has(&key) {
                let (bid, ask) = (digits.price(book.bid), digits.price(book.ask));
                let (bid_qty, ask_qty) = (digits.qty(book.bid_qty), digits.qty(book.ask_qty));
                let payload = format!(
                    r#"{{"e":"bookTicker","u":{id},"E":{time},"T":{time},"s":"{name}","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}","ps":"{name}","st":1}}"#
                );
                self.sockets.publish(&key, &payload);
            }
        }
    }

    /// Mark and quote as they stand.
    pub(super) fn repeat_prices(&mut self, symbol: SymbolId, at: Timestamp) {
        if self.tapes[symbol.index()].mark_price().is_positive() {
            self.tell_mark(symbol, at);
            self.tell_quote(symbol, at);
        }
    }

    fn tell_mark(&mut self, symbol: SymbolId, at: Timestamp) {
        let pace = &mut self.contracts[symbol.index()].pace;
        let is_fast = is_due(&mut pace.mark, at, MARK_PACE);
        let is_slow = is_due(&mut pace.slow_mark, at, SLOW_MARK_PACE);
        for (fast, is_due) in [(true, is_fast), (false, is_slow)] {
            let topic = Topic::MarkPrice { fast };
            let keys = [(Some(symbol), topic), (None, topic)];
            if !is_due || !keys.iter().any(|key| self.sockets.has(key)) {
                continue;
            }
            let (contract, tape) = (&self.contracts[symbol.index()], &self.tapes[symbol.index()]);
            let price = contract.digits.price(tape.mark_price());
            let payload = json!({
                "e": "markPriceUpdate", "E": at.millis(), "s": contract.name, "p": price, "ap": price, "i": price,
                "P": price, "r": super::encode::decimal(tape.funding_rate().steps(), 8),
                "T": tape.next_funding(at).millis(), "st": 1,
            })
            .into_string();
            self.sockets.publish(&keys[0], &payload);
            self.sockets.publish(&keys[1], &format!("[{payload}]"));
        }
    }

    fn tell_tickers(&mut self, symbol: SymbolId, at: Timestamp) {
        for topic in [Topic::Ticker, Topic::MiniTicker] {
            let keys = [(Some(symbol), topic), (None, topic)];
            if !keys.iter().any(|key| self.sockets.has(key)) {
                continue;
            }
            let payload = self.ticker_event(symbol, at, topic == Topic::MiniTicker).into_string();
            self.sockets.publish(&keys[0], &payload);
            self.sockets.publish(&keys[1], &format!("[{payload}]"));
        }
    }

    /// `<s>@forceOrder`: the account's own liquidations are the only ones that there are.
    pub(super) fn tell_liquidation(&mut self, update: &OrderUpdate, fill: &Fill) {
        let contract = &self.contracts[update.symbol.index()];
        let (price, qty, time) = (contract.digits.price(fill.price), contract.digits.qty(fill.qty), update.at.millis());
        let payload = json!({"e": "forceOrder", "E": time, "o": {"s": contract.name, "S": update.side.name(),
            "o": "LIMIT", "f": "IOC", "q": qty, "p": price, "ap": price, "X": "FILLED", "l": qty, "z": qty, "T": time}})
        .into_string();
        for symbol in [Some(update.symbol), None] {
            self.sockets.publish(&(symbol, Topic::ForceOrder), &payload);
        }
    }

    /// The running candles, and of those that end with it the last push.
    fn tell_candles(&mut self, symbol: SymbolId, at: Timestamp, is_closed: bool) {
        let pace = &mut self.contracts[symbol.index()].pace;
        let is_by_time = self.tapes[symbol.index()].is_driven_by_trades();
        let is_due = is_due(&mut pace.candle, at, CANDLE_PACE);
        if is_by_time && !is_due {
            return;
        }
        for topic in self.sockets.topics_of(Some(symbol)) {
            let Some(interval) = interval_of(topic) else {
                continue;
            };
            let candles = &self.tapes[symbol.index()].candles;
            let base = Interval::Fixed(candles.base());
            let (Some(candle), Some(last)) = (candles.running_of(interval), candles.last()) else {
                continue;
            };
            let open_time = interval.open_time(last.open_time);
            let ends = is_closed && interval.end(open_time) == base.end(last.open_time);
            let candle = Candle { open_time, ..candle };
            self.tell_candle(symbol, at, topic, interval, &candle, ends);
        }
    }

    /// The last pushes of the candles from the one that opened at `open_time` to the one before the running one.
    fn tell_closed_candles(&mut self, symbol: SymbolId, open_time: Timestamp, at: Timestamp) {
        let topics = self.sockets.topics_of(Some(symbol));
        if topics.iter().all(|topic| interval_of(*topic).is_none()) {
            return;
        }
        let candles = &self.tapes[symbol.index()].candles;
        let base = Interval::Fixed(candles.base());
        let closed = candles.select(base, Some(open_time), None, usize::from(u16::MAX));
        for row in closed.iter().filter(|row| base.end(row.open_time) <= at) {
            for topic in &topics {
                let Some(interval) = interval_of(*topic) else {
                    continue;
                };
                let open_time = interval.open_time(row.open_time);
                if interval.end(open_time) != base.end(row.open_time) {
                    continue;
                }
                let candles = &self.tapes[symbol.index()].candles;
                if let Some(candle) = candles.select(interval, Some(open_time), Some(open_time), 1).first().copied() {
                    self.tell_candle(symbol, at, *topic, interval, &candle, true);
                }
            }
        }
    }

    fn tell_candle(
        &mut self,
        symbol: SymbolId,
        at: Timestamp,
        topic: Topic,
        interval: Interval,
        candle: &Candle,
        is_closed: bool,
    ) {
        let contract = &self.contracts[symbol.index()];
        let (name, time, digits) = (&contract.name, at.millis(), contract.digits);
        let head = match topic {
            Topic::ContinuousKline(_) => {
                format!(r#""e":"continuous_kline","E":{time},"ps":"{name}","ct":"PERPETUAL""#)
            }
            _ => format!(r#""e":"kline","E":{time},"s":"{name}""#),
        };
        let (start, end) = (candle.open_time.millis(), interval.close_time(candle.open_time).millis());
        let [open, close, high, low] =
            [candle.open, candle.close, candle.high, candle.low].map(|price| digits.price(price));
        let (volume, taken) = (digits.qty(candle.volume), digits.qty(candle.taken));
        let (quote, taken_quote) = (amount(candle.quote), amount(candle.taken_quote));
        let (first, last, trades) = (candle.first_trade, candle.last_trade, candle.trades);
        let interval = interval.name();
        let payload = format!(
            r#"{{{head},"k":{{"t":{start},"T":{end},"s":"{name}","i":"{interval}","f":{first},"L":{last},"o":"{open}","c":"{close}","h":"{high}","l":"{low}","v":"{volume}","n":{trades},"x":{is_closed},"q":"{quote}","V":"{taken}","Q":"{taken_quote}","B":"0"}}}}"#
        );
        self.sockets.publish(&(Some(symbol), topic), &payload);
    }
}

fn interval_of(topic: Topic) -> Option<Interval> {
    match topic {
        Topic::Kline(interval) | Topic::ContinuousKline(interval) => Some(interval),
        _ => None,
    }
}

/// `[["price","qty"],...]`
pub(super) fn levels(side: &[(Price, Qty)], contract: &Contract) -> String {
    let digits = contract.digits;
    let level = |(price, qty): &(Price, Qty)| format!(r#"["{}","{}"]"#, digits.price(*price), digits.qty(*qty));
    let levels: Vec<String> = side.iter().map(level).collect();
    format!("[{}]", levels.join(","))
}
