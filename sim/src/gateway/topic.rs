//! A Topic is one stream of market data, whatever name it was asked for by (`binance-usdm.md` section 4.2).

use alphaengine_core::market::SymbolId;

use super::candles::Interval;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    AggTrade,
    Trade,
    BookTicker,
    Depth,
    PartialDepth(u8),
    /// Every 3 s, or every second.
    MarkPrice {
        fast: bool,
    },
    Kline(Interval),
    ContinuousKline(Interval),
    Ticker,
    MiniTicker,
    ForceOrder,
    ContractInfo,
}

/// Topic of one symbol, or with `None` of all.
pub(super) type Key = (Option<SymbolId>, Topic);

impl Topic {
    /// Whether it is served on `/public` (book data) and not on `/market`.
    pub fn is_public(self) -> bool {
        matches!(self, Topic::Trade | Topic::BookTicker | Topic::Depth | Topic::PartialDepth(_))
    }

    /// Reads a stream's name. `find` knows the symbols by their lower-case names. What does not exist is `None`: the exchange
    /// takes note of it and stays silent.
    pub fn parse(name: &str, find: impl Fn(&str) -> Option<SymbolId>) -> Option<Key> {
        if let Some(rest) = name.strip_prefix('!') {
            let mut parts = rest.split('@');
            let (kind, is_array, speed) = (parts.next()?, parts.next(), parts.next());
            let topic = match (kind, is_array) {
                ("bookTicker", _) => Topic::BookTicker,
                ("markPrice", Some("arr")) => Topic::MarkPrice { fast: speed == Some("1s") },
                ("ticker", Some("arr")) => Topic::Ticker,
                ("miniTicker", Some("arr")) => Topic::MiniTicker,
                ("forceOrder", Some("arr")) => Topic::ForceOrder,
                ("contractInfo", _) => Topic::ContractInfo,
                _ => return None,
            };
            return Some((None, topic));
        }
        let mut parts = name.split('@');
        let (symbol, kind, speed) = (parts.next()?, parts.next()?, parts.next());
        if let Some(interval) = kind.strip_prefix("continuousKline_") {
            let (pair, contract) = symbol.rsplit_once('_')?;
            let interval = Interval::parse(interval)?;
            let symbol = find(pair).filter(|_| contract == "perpetual")?;
            return Some((Some(symbol), Topic::ContinuousKline(interval)));
        }
        let symbol = find(symbol)?;
        let topic = match kind {
            "aggTrade" => Topic::AggTrade,
            "trade" => Topic::Trade,
            "bookTicker" => Topic::BookTicker,
            "markPrice" => Topic::MarkPrice { fast: speed == Some("1s") },
            "ticker" => Topic::Ticker,
            "miniTicker" => Topic::MiniTicker,
            "forceOrder" => Topic::ForceOrder,
            "depth" | "rpiDepth" => Topic::Depth,
            "depth5" => Topic::PartialDepth(5),
            "depth10" => Topic::PartialDepth(10),
            "depth20" => Topic::PartialDepth(20),
            kind => Topic::Kline(Interval::parse(kind.strip_prefix("kline_")?)?),
        };
        Some((Some(symbol), topic))
    }
}

#[cfg(test)]
mod tests {
    use alphaengine_core::market::Timeframe;

    use super::*;

    #[test]
    fn every_documented_name_is_known_and_others_are_silent() {
        let find = |name: &str| (name == "btcusdt").then_some(SymbolId(3));
        let topic = |name| Topic::parse(name, find);
        let of = |topic| Some((Some(SymbolId(3)), topic));
        assert_eq!(topic("btcusdt@aggTrade"), of(Topic::AggTrade));
        assert_eq!(topic("btcusdt@kline_1m"), of(Topic::Kline(Interval::Fixed(Timeframe::M1))));
        assert_eq!(topic("btcusdt@kline_1M"), of(Topic::Kline(Interval::Month)));
        assert_eq!(topic("btcusdt@depth@0ms"), of(Topic::Depth));
        assert_eq!(topic("btcusdt@depth20@100ms"), of(Topic::PartialDepth(20)));
        assert_eq!(topic("btcusdt@markPrice@1s"), of(Topic::MarkPrice { fast: true }));
        assert_eq!(topic("btcusdt@markPrice"), of(Topic::MarkPrice { fast: false }));
        assert_eq!(topic("!markPrice@arr@1s"), Some((None, Topic::MarkPrice { fast: true })));
        assert_eq!(topic("!bookTicker"), Some((None, Topic::BookTicker)));
        let continuous = Topic::ContinuousKline(Interval::Fixed(Timeframe::H1));
        assert_eq!(topic("btcusdt_perpetual@continuousKline_1h"), of(continuous));
        for silent in ["", "0", "btcusdt", "btcusdt@kline_1s", "ethusdt@aggTrade", "btcusdt@nothing", "!nothing@arr"] {
            assert_eq!(topic(silent), None, "{silent}");
        }
    }
}
