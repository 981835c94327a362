//! Market frames become market updates: the fast path. Numbers are read from text into fixed point, exactly.

use alphaengine_core::market::{Bar, BookTicker, MarkPrice, MarketData, MarketUpdate, SymbolId, Timeframe, Trade};
use alphaengine_core::units::{Price, Qty, Timestamp};
use serde::Deserialize;

use super::json::volume;
use super::streams::Kind;

/// A frame of a combined stream, cut into the stream's name and the payload without parsing either.
///
/// The exchange writes `{"stream":"btcusdt@aggTrade","data":{...}}`. Other spacing and order are accepted by the slow path.
#[inline]
pub(crate) fn unwrap(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = frame.strip_prefix(b"{\"stream\":\"")?;
    let end = rest.iter().position(|byte| *byte == b'"' || *byte == b'\\')?;
    let (name, rest) = rest.split_at(end);
    let data = rest.strip_prefix(b"\",\"data\":")?.trim_ascii_end().strip_suffix(b"}")?;
    Some((name, data))
}

/// What a market frame says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Said {
    /// Pass it on.
    Update(MarketUpdate),
    Closed(Bar),
    /// A bar forms; nothing is passed on.
    Forming {
        open_time: Timestamp,
    },
    Trade(MarketUpdate, Trade),
    /// Heard before, or out of order.
    Old,
}

/// The newest that was heard of one symbol, so that two connections deliver each message once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest {
    book: i64,
    mark: i64,
    pub mark_price: Option<Price>,
}

impl Default for Newest {
    fn default() -> Newest {
        Newest { book: i64::MIN, mark: i64::MIN, mark_price: None }
    }
}

/// Reads a payload whose stream, and so kind and symbol, are known. The second value is the exchange's event time in milliseconds.
#[inline]
pub(crate) fn decode(
    kind: Kind,
    symbol: SymbolId,
    timeframe: Timeframe,
    data: &[u8],
    newest: &mut Newest,
) -> Result<(Said, i64), serde_json::Error> {
    match kind {
        Kind::BookTicker => {
            let frame: BookFrame = serde_json::from_slice(data)?;
            if frame.u <= newest.book {
                return Ok((Said::Old, frame.event_time));
            }
            newest.book = frame.u;
            let book = BookTicker {
                update_id: frame.u,
                bid: frame.b,
                bid_qty: frame.bid_qty,
                ask: frame.a,
                ask_qty: frame.ask_qty,
            };
            let at = millis(frame.time.unwrap_or(frame.event_time));
            let update = MarketUpdate { at, symbol, data: MarketData::BookTicker(book) };
            Ok((Said::Update(update), frame.event_time))
        }
        Kind::MarkPrice => {
            let frame: MarkFrame = serde_json::from_slice(data)?;
            if frame.event_time <= newest.mark {
                return Ok((Said::Old, frame.event_time));
            }
            newest.mark = frame.event_time;
            newest.mark_price = Some(frame.p);
            let data = MarketData::MarkPrice(MarkPrice { price: frame.p });
            let update = MarketUpdate { at: millis(frame.event_time), symbol, data };
            Ok((Said::Update(update), frame.event_time))
        }
        Kind::Trades => {
            let frame: TradeFrame = serde_json::from_slice(data)?;
            let trade = Trade { id: frame.a, price: frame.p, qty: frame.q, is_buyer_maker: frame.m };
            let update = MarketUpdate { at: millis(frame.time), symbol, data: MarketData::Trade(trade) };
            Ok((Said::Trade(update, trade), frame.event_time))
        }
        Kind::Bars => {
            let frame: BarFrame = serde_json::from_slice(data)?;
            let k = frame.k;
            let open_time = millis(k.t);
            if !k.x {
                return Ok((Said::Forming { open_time }, frame.event_time));
            }
            let bar = Bar { open_time, open: k.o, high: k.h, low: k.l, close: k.c, volume: k.v, timeframe };
            Ok((Said::Closed(bar), frame.event_time))
        }
        Kind::Depth => Ok((Said::Old, 0)),
    }
}

/// Times outside of what can be told saturate: nothing is lost but the time of a message that is broken anyway.
#[inline]
pub(crate) fn millis(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap_or(if millis < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[derive(Deserialize)]
struct BookFrame {
    #[serde(rename = "E", default)]
    event_time: i64,
    #[serde(rename = "T")]
    time: Option<i64>,
    u: i64,
    b: Price,
    #[serde(rename = "B")]
    bid_qty: Qty,
    a: Price,
    #[serde(rename = "A")]
    ask_qty: Qty,
}

#[derive(Deserialize)]
struct MarkFrame {
    #[serde(rename = "E")]
    event_time: i64,
    p: Price,
}

#[derive(Deserialize)]
struct TradeFrame {
    #[serde(rename = "E")]
    event_time: i64,
    #[serde(rename = "T")]
    time: i64,
    a: i64,
    p: Price,
    q: Qty,
    m: bool,
}

#[derive(Deserialize)]
struct BarFrame {
    #[serde(rename = "E")]
    event_time: i64,
    k: BarFields,
}

#[derive(Deserialize)]
struct BarFields {
    t: i64,
    o: Price,
    h: Price,
    l: Price,
    c: Price,
    #[serde(deserialize_with = "volume")]
    v: Qty,
    x: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(kind: Kind, data: &str, newest: &mut Newest) -> Said {
        decode(kind, SymbolId(0), Timeframe::M1, data.as_bytes(), newest).unwrap().0
    }

    #[test]
    fn a_book_ticker_is_heard_once_however_many_connections_tell_it() {
        let mut newest = Newest::default();
        let frame = r#"{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000","ps":"BNBUSDT","st":1}"#;
        let Said::Update(update) = say(Kind::BookTicker, frame, &mut newest) else { panic!() };
        assert_eq!(update.at.millis(), 1568014460891);
        let MarketData::BookTicker(book) = update.data else { panic!() };
        assert_eq!((book.bid.to_string(), book.ask_qty.to_string()), ("25.3519".into(), "40.66".into()));
        assert_eq!(say(Kind::BookTicker, frame, &mut newest), Said::Old);
    }

    #[test]
    fn only_a_closed_bar_is_a_bar_and_its_volume_saturates() {
        let mut newest = Newest::default();
        let frame = |x: bool, v: &str| {
            format!(
                r#"{{"e":"kline","E":1638747660000,"s":"BTCUSDT","k":{{"t":1638747600000,"T":1638747659999,"s":"BTCUSDT","i":"1m","f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"{v}","n":100,"x":{x},"q":"1.0000","V":"500","Q":"0.500","B":"0"}}}}"#
            )
        };
        assert!(matches!(say(Kind::Bars, &frame(false, "1000"), &mut newest), Said::Forming { .. }));
        let Said::Closed(bar) = say(Kind::Bars, &frame(true, "123456789012345"), &mut newest) else { panic!() };
        assert_eq!((bar.close.to_string(), bar.volume), ("0.002".into(), Qty::MAX));
        assert_eq!(bar.close_time().millis(), 1638747659999);
    }

    #[test]
    fn a_wrapper_is_cut_without_parsing() {
        let (name, data) = unwrap(br#"{"stream":"btcusdt@aggTrade","data":{"a":1}}"#).unwrap();
        assert_eq!((name, data), (&b"btcusdt@aggTrade"[..], &br#"{"a":1}"#[..]));
        for broken in ["", "{}", r#"{"stream":"x"#, r#"{"stream":"x","data":"#, r#"{"stream":"x"}"#] {
            assert_eq!(unwrap(broken.as_bytes()), None);
        }
    }
}
