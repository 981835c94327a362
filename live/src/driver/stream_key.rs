//! A stream key says which stream a market frame belongs to, if a newer frame of that stream makes it worthless.
//!
//! It is read from the first bytes of a frame, without parsing the JSON: `{"stream":"btcusdt@bookTicker",...` on a combined
//! connection, `{"e":"bookTicker",..."s":"BTCUSDT"` on a bare one (`binance-usdm.md` sections 4.1 and 4.2). A frame that is
//! not understood has no key and is never left out.

use std::ops::Range;

/// Names a stream within the text of the frame it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamKey {
    kind: Kind,
    /// The stream's name on a combined connection, else the symbol.
    name: Range<usize>,
    /// Only for bars on a bare connection.
    interval: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Combined,
    BookTicker,
    MarkPrice,
    Bar,
}

impl StreamKey {
    /// The key of a frame that states a whole present and not a difference: the best bid and ask, the mark price, a bar that is
    /// still open. `None` for everything else: trades, differences of the book, closed bars, and the all-market streams, which
    /// spread their symbols over several messages.
    pub(crate) fn of(text: &[u8]) -> Option<StreamKey> {
        if text.starts_with(br#"{"stream":""#) { combined(text) } else { bare(text) }
    }

    /// Whether two frames, each with its text, belong to one stream.
    pub(crate) fn same(&self, text: &[u8], other: &StreamKey, other_text: &[u8]) -> bool {
        self.kind == other.kind
            && text.get(self.name.clone()) == other_text.get(other.name.clone())
            && text.get(self.interval.clone()) == other_text.get(other.interval.clone())
    }
}

fn combined(text: &[u8]) -> Option<StreamKey> {
    let name = text_after(text, br#"{"stream":""#)?;
    let stream = text.get(name.clone())?;
    let at = stream.iter().position(|&byte| byte == b'@')?;
    if at == 0 || stream.first() == Some(&b'!') {
        return None;
    }
    let topic = stream.get(at + 1..)?;
    let whole = topic == b"bookTicker"
        || topic == b"markPrice"
        || topic == b"markPrice@1s"
        || (topic.starts_with(b"kline_") && is_open_bar(text));
    whole.then_some(StreamKey { kind: Kind::Combined, name, interval: 0..0 })
}

fn bare(text: &[u8]) -> Option<StreamKey> {
    let head = br#"{"e":""#;
    if !text.starts_with(head) {
        return None;
    }
    let event = text.get(text_after(text, head)?)?;
    let name = text_after(text, br#""s":""#)?;
    match event {
        b"bookTicker" => Some(StreamKey { kind: Kind::BookTicker, name, interval: 0..0 }),
        b"markPriceUpdate" => Some(StreamKey { kind: Kind::MarkPrice, name, interval: 0..0 }),
        b"kline" if is_open_bar(text) => {
            Some(StreamKey { kind: Kind::Bar, name, interval: text_after(text, br#""i":""#)? })
        }
        _ => None,
    }
}

fn is_open_bar(text: &[u8]) -> bool {
    find(text, br#""x":false"#).is_some() && find(text, br#""x":true"#).is_none()
}

/// Where the string stands that begins after the first `mark`.
fn text_after(text: &[u8], mark: &[u8]) -> Option<Range<usize>> {
    let start = find(text, mark)? + mark.len();
    let length = text.get(start..)?.iter().position(|&byte| byte == b'"')?;
    Some(start..start + length)
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAR: &str = r#"{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":0,"T":1,"s":"BTCUSDT","i":"1m","x":false,"q":"1"}}"#;

    fn same(a: &str, b: &str) -> Option<bool> {
        let (x, y) = (StreamKey::of(a.as_bytes())?, StreamKey::of(b.as_bytes())?);
        Some(x.same(a.as_bytes(), &y, b.as_bytes()))
    }

    #[test]
    fn a_whole_present_has_a_key() {
        for text in [
            r#"{"stream":"btcusdt@bookTicker","data":{}}"#,
            r#"{"stream":"btcusdt@markPrice","data":{}}"#,
            r#"{"stream":"btcusdt@markPrice@1s","data":{}}"#,
            r#"{"stream":"btcusdt@kline_1m","data":{"k":{"x":false}}}"#,
            r#"{"e":"bookTicker","u":1,"s":"BNBUSDT"}"#,
            r#"{"e":"markPriceUpdate","E":1,"s":"BTCUSDT","i":"1.0"}"#,
            BAR,
        ] {
            assert_eq!(same(text, text), Some(true), "{text}");
        }
    }

    #[test]
    fn differences_trades_closed_bars_and_unknown_frames_have_none() {
        for text in [
            r#"{"stream":"btcusdt@aggTrade","data":{}}"#,
            r#"{"stream":"btcusdt@depth@100ms","data":{}}"#,
            r#"{"stream":"btcusdt@kline_1m","data":{"k":{"x":true}}}"#,
            r#"{"stream":"btcusdt@kline_1m","data":{}}"#,
            r#"{"stream":"!markPrice@arr@1s","data":[]}"#,
            r#"{"stream":"!bookTicker","data":{"s":"BTCUSDT"}}"#,
            r#"{"stream":"btcusdt@forceOrder","data":{}}"#,
            r#"{"e":"aggTrade","s":"BTCUSDT"}"#,
            r#"{"e":"depthUpdate","s":"BTCUSDT"}"#,
            r#"{"result":null,"id":1}"#,
            r#"{"stream":"unterminated"#,
            "",
            "{",
        ] {
            assert_eq!(StreamKey::of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(StreamKey::of(BAR.replace("false", "true").as_bytes()), None);
    }

    #[test]
    fn symbol_interval_and_topic_tell_streams_apart() {
        assert_eq!(same(BAR, &BAR.replace("1m", "5m")), Some(false));
        assert_eq!(same(BAR, &BAR.replace("BTC", "ETH")), Some(false));
        assert_eq!(
            same(r#"{"stream":"btcusdt@bookTicker","data":{}}"#, r#"{"stream":"btcusdt@markPrice","data":{}}"#),
            Some(false)
        );
    }
}
