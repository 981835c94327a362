//! A FetchPlan says which files of the archive are wanted, and where they go.

use std::path::PathBuf;
use std::time::Duration;

use alphaengine_core::market::Timeframe;
use alphaengine_core::units::NANOS_PER_DAY;

use crate::Error;
use crate::disk::check_symbol;
use crate::kind::Kind;
use crate::month::Month;

/// Which files of the archive are wanted, and how to get them. [`FetchPlan::new`] fills in the defaults.
#[derive(Debug, Clone)]
pub struct FetchPlan {
    pub base_url: String,
    pub symbols: Vec<String>,
    pub kind: Kind,
    /// For kinds that have timeframes, and only for these.
    pub timeframe: Option<Timeframe>,
    /// The first month.
    pub from: Month,
    /// The last month, which is wanted too.
    pub to: Month,
    /// A file a day instead of a file a month.
    pub daily: bool,
    /// Files go below it under the archive's own paths.
    pub directory: PathBuf,
    /// Downloads at a time.
    pub jobs: usize,
    /// Progress bars on stderr, where that is a terminal.
    pub show_progress: bool,
    /// The wait before a second try; it doubles with each further one.
    pub backoff: Duration,
    /// A download that gives no byte for so long is cut and resumed.
    pub stall: Duration,
}

/// One file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchiveFile {
    /// Its path in the archive, without its name, without slashes at the ends.
    pub folder: String,
    pub name: String,
}

impl FetchPlan {
    /// A plan for the months `from` to `to`, with the defaults for all else.
    pub fn new(symbols: Vec<String>, kind: Kind, timeframe: Option<Timeframe>, from: Month, to: Month) -> FetchPlan {
        FetchPlan {
            base_url: super::ARCHIVE.to_owned(),
            symbols,
            kind,
            timeframe,
            from,
            to,
            daily: false,
            directory: PathBuf::from("data"),
            jobs: 4,
            show_progress: true,
            backoff: Duration::from_millis(500),
            stall: Duration::from_secs(30),
        }
    }

    /// The files of the plan, or why the plan makes no sense.
    pub(super) fn files(&self) -> Result<Vec<ArchiveFile>, Error> {
        if self.symbols.is_empty() {
            return Err(Error::new("no symbol is given").hint("name at least one with --symbol, for example BTCUSDT"));
        }
        if self.from > self.to {
            return Err(Error::new(format!("the first month {} is after the last month {}", self.from, self.to)));
        }
        let span = self.span()?;
        let mut symbols: Vec<&String> = Vec::new();
        for symbol in &self.symbols {
            check_symbol(symbol)?;
            if !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        let rhythm = if self.daily { "daily" } else { "monthly" };
        let mut files = Vec::new();
        for symbol in symbols {
            let mut folder = format!("data/futures/um/{rhythm}/{}/{symbol}", self.kind);
            let stem = match span {
                Some(timeframe) => {
                    folder = format!("{folder}/{timeframe}");
                    timeframe.name()
                }
                None => self.kind.name(),
            };
            for date in self.dates() {
                files.push(ArchiveFile { folder: folder.clone(), name: format!("{symbol}-{stem}-{date}.zip") });
            }
        }
        Ok(files)
    }

    fn span(&self) -> Result<Option<Timeframe>, Error> {
        match self.kind {
            Kind::Recording => {
                return Err(Error::new("the archive has no recordings").hint("fetch klines, trades or aggTrades"));
            }
            Kind::FundingRate if self.daily => {
                return Err(Error::new("the archive has no daily files of fundingRate").hint("fetch monthly ones"));
            }
            _ => {}
        }
        match self.timeframe {
            None if self.kind.has_timeframe() => {
                Err(Error::new(format!("{} need a timeframe", self.kind))
                    .hint("name one with --timeframe, for example 1m"))
            }
            Some(_) if !self.kind.has_timeframe() => Err(Error::new(format!("{} has no timeframes", self.kind))),
            timeframe => Ok(timeframe),
        }
    }

    fn dates(&self) -> Vec<String> {
        let months = self.from.through(self.to);
        if !self.daily {
            return months.map(|month| month.to_string()).collect();
        }
        let days = |month: Month| (0..month.days()).map(move |day| month.start().plus(day * NANOS_PER_DAY));
        months.flat_map(days).map(|day| day.to_string().chars().take(10).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(kind: Kind, timeframe: Option<Timeframe>, from: &str, to: &str) -> FetchPlan {
        let symbols = vec!["BTCUSDT".to_owned(), "BTCUSDT".to_owned()];
        FetchPlan::new(symbols, kind, timeframe, from.parse().unwrap(), to.parse().unwrap())
    }

    fn paths(plan: &FetchPlan) -> Vec<String> {
        plan.files().unwrap().into_iter().map(|file| format!("{}/{}", file.folder, file.name)).collect()
    }

    #[test]
    fn names_are_the_archives() {
        let klines = paths(&plan(Kind::Klines, Some(Timeframe::M1), "2023-12", "2024-01"));
        assert_eq!(klines[0], "data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2023-12.zip");
        assert_eq!(klines.len(), 2, "a symbol that is named twice is fetched once");
        let mut daily = plan(Kind::AggTrades, None, "2024-02", "2024-02");
        daily.daily = true;
        let daily = paths(&daily);
        assert_eq!(daily.len(), 29);
        assert_eq!(daily[28], "data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-02-29.zip");
    }

    #[test]
    fn plans_without_sense_are_refused() {
        assert!(plan(Kind::Klines, None, "2024-01", "2024-01").files().is_err());
        assert!(plan(Kind::Trades, Some(Timeframe::M1), "2024-01", "2024-01").files().is_err());
        assert!(plan(Kind::Trades, None, "2024-02", "2024-01").files().is_err());
        assert!(plan(Kind::Recording, None, "2024-01", "2024-01").files().is_err());
        for symbol in ["", "../BTCUSDT", "BTC/USDT", "BTC USDT", "a.b", "BTC\n"] {
            let mut plan = plan(Kind::Trades, None, "2024-01", "2024-01");
            plan.symbols = vec![symbol.to_owned()];
            assert!(plan.files().is_err(), "{symbol:?}");
        }
    }
}
