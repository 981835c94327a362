//! A Kind is what a file holds. The names are the public archive's.

use std::fmt;
use std::str::FromStr;

/// What a file or a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Klines,
    MarkPriceKlines,
    FundingRate,
    BookTicker,
    Trades,
    AggTrades,
    /// Raw frames, one `nanoseconds json` a line: several streams in one file.
    Recording,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::Klines,
        Kind::MarkPriceKlines,
        Kind::FundingRate,
        Kind::BookTicker,
        Kind::Trades,
        Kind::AggTrades,
        Kind::Recording,
    ];

    /// What the archive has, and what can be asked for by name: a recording is told by its content.
    pub const ARCHIVED: [Kind; 6] =
        [Kind::Klines, Kind::MarkPriceKlines, Kind::FundingRate, Kind::BookTicker, Kind::Trades, Kind::AggTrades];

    /// Its name in the archive's paths.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Klines => "klines",
            Kind::MarkPriceKlines => "markPriceKlines",
            Kind::FundingRate => "fundingRate",
            Kind::BookTicker => "bookTicker",
            Kind::Trades => "trades",
            Kind::AggTrades => "aggTrades",
            Kind::Recording => "recording",
        }
    }

    /// Whether its files come in timeframes.
    pub const fn has_timeframe(self) -> bool {
        matches!(self, Kind::Klines | Kind::MarkPriceKlines)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        let known = Kind::ARCHIVED.map(Kind::name).join(" ");
        let found = Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("`{text}` is not a kind of data; known are {known}"))
    }
}
