//! A Table holds rows as columns, under the archive's names, until they go to a Parquet file.

use alphaengine_core::market::{Bar, BookTicker, Funding, Trade};
use alphaengine_core::units::{Price, Rounding, SCALE, Timestamp, format_steps, steps_from_f64};
use polars::prelude::{Column, DataFrame, NamedFrom, PolarsResult, Series};

use crate::chunk::Timed;
use crate::kind::Kind;

/// The columns of a kind. Decimals stand between id and time, except in bars and fundings, where the time comes first.
#[derive(Debug)]
pub(super) struct Layout {
    id: Option<&'static str>,
    decimals: &'static [&'static str],
    pub time: &'static str,
    time_first: bool,
    /// Price times quantity. It follows from the others and is there for readers elsewhere.
    quote_qty: bool,
    mark_price: bool,
    is_buyer_maker: bool,
}

impl Layout {
    const BARS: Layout = Layout {
        id: None,
        decimals: &["open", "high", "low", "close", "volume"],
        time: "open_time",
        time_first: true,
        quote_qty: false,
        mark_price: false,
        is_buyer_maker: false,
    };

    /// `None` for a recording, which holds several streams.
    pub fn of(kind: Kind) -> Option<Layout> {
        Some(match kind {
            Kind::Klines | Kind::MarkPriceKlines => Layout::BARS,
            Kind::FundingRate => {
                Layout { time: "calc_time", decimals: &["last_funding_rate"], mark_price: true, ..Layout::BARS }
            }
            Kind::BookTicker => Layout {
                id: Some("update_id"),
                decimals: &["best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty"],
                time: "transaction_time",
                time_first: false,
                ..Layout::BARS
            },
            Kind::Trades => Layout {
                id: Some("id"),
                decimals: &["price", "qty"],
                time: "time",
                time_first: false,
                quote_qty: true,
                is_buyer_maker: true,
                ..Layout::BARS
            },
            Kind::AggTrades => Layout {
                id: Some("agg_trade_id"),
                decimals: &["price", "quantity"],
                time: "transact_time",
                time_first: false,
                is_buyer_maker: true,
                ..Layout::BARS
            },
            Kind::Recording => return None,
        })
    }

    /// Whether a column holds exact decimals.
    pub fn is_decimal(&self, name: &str) -> bool {
        self.decimals.contains(&name) || (self.mark_price && name == "mark_price")
    }
}

/// Rows as columns. Decimals are kept in steps.
#[derive(Debug)]
pub(super) struct Table {
    pub layout: Layout,
    times: Vec<i64>,
    ids: Vec<i64>,
    decimals: Vec<Vec<i64>>,
    quote_qty: Vec<f64>,
    marks: Vec<Option<i64>>,
    flags: Vec<bool>,
}

impl Table {
    pub fn new(layout: Layout) -> Table {
        let decimals = vec![Vec::new(); layout.decimals.len()];
        let (times, ids, quote_qty) = (Vec::new(), Vec::new(), Vec::new());
        Table { layout, times, ids, decimals, quote_qty, marks: Vec::new(), flags: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn clear(&mut self) {
        self.times.clear();
        self.ids.clear();
        self.decimals.iter_mut().for_each(Vec::clear);
        self.quote_qty.clear();
        self.marks.clear();
        self.flags.clear();
    }

    pub fn bar(&mut self, bar: &Bar) {
        let prices = [bar.open, bar.high, bar.low, bar.close].map(Price::steps);
        self.row(bar.open_time, &[prices[0], prices[1], prices[2], prices[3], bar.volume.steps()]);
    }

    pub fn funding(&mut self, Timed { at, row }: &Timed<Funding>) {
        self.row(*at, &[row.rate.steps()]);
        self.marks.push(row.mark.map(Price::steps));
    }

    pub fn book(&mut self, Timed { at, row }: &Timed<BookTicker>) {
        self.ids.push(row.update_id);
        self.row(*at, &[row.bid.steps(), row.bid_qty.steps(), row.ask.steps(), row.ask_qty.steps()]);
    }

    pub fn trade(&mut self, Timed { at, row }: &Timed<Trade>) {
        self.ids.push(row.id);
        self.row(*at, &[row.price.steps(), row.qty.steps()]);
        self.flags.push(row.is_buyer_maker);
        if self.layout.quote_qty {
            let exact = row.price.notional(row.qty, Rounding::HalfEven);
            self.quote_qty.push(exact.map_or_else(|_| row.price.to_f64() * row.qty.to_f64(), |m| float(m.steps())));
        }
    }

    fn row(&mut self, at: Timestamp, steps: &[i64]) {
        self.times.push(at.millis());
        self.decimals.iter_mut().zip(steps).for_each(|(column, steps)| column.push(*steps));
    }

    /// Whether every decimal comes back from a float as it was.
    pub fn fits_floats(&self) -> bool {
        let fits = |steps: &i64| steps_from_f64(float(*steps)) == Ok(*steps);
        self.decimals.iter().flatten().all(fits) && self.marks.iter().flatten().all(fits)
    }

    /// The rows as a frame; decimals as floats, or as text.
    pub fn frame(&self, text: bool) -> PolarsResult<DataFrame> {
        let mut columns = Vec::new();
        let time = || Column::new(self.layout.time.into(), &self.times);
        if self.layout.time_first {
            columns.push(time());
        }
        if let Some(id) = self.layout.id {
            columns.push(Column::new(id.into(), &self.ids));
        }
        for (name, steps) in self.layout.decimals.iter().zip(&self.decimals) {
            columns.push(decimals(name, steps.iter().map(|steps| Some(*steps)), text));
        }
        if self.layout.quote_qty {
            columns.push(Column::new("quote_qty".into(), &self.quote_qty));
        }
        if self.marks.iter().any(Option::is_some) {
            columns.push(decimals("mark_price", self.marks.iter().copied(), text));
        }
        if !self.layout.time_first {
            columns.push(time());
        }
        if self.layout.is_buyer_maker {
            columns.push(Column::new("is_buyer_maker".into(), &self.flags));
        }
        DataFrame::new(self.len(), columns)
    }
}

/// Decimals as floats, or as text.
pub(super) fn decimals(name: &str, steps: impl Iterator<Item = Option<i64>>, text: bool) -> Column {
    let series = if text {
        let written = steps.map(|steps| steps.map(|steps| format_steps(steps, &mut [0; 24]).to_owned()));
        Series::new(name.into(), written.collect::<Vec<Option<String>>>())
    } else {
        Series::new(name.into(), steps.map(|steps| steps.map(float)).collect::<Vec<Option<f64>>>())
    };
    series.into()
}

/// The float nearest to the decimal: what reading its text would give.
fn float(steps: i64) -> f64 {
    /// Up to here an integer is a float exactly, and one division rounds once.
    const EXACT: u64 = 1 << 53;
    if steps.unsigned_abs() <= EXACT {
        return steps as f64 / SCALE as f64;
    }
    format_steps(steps, &mut [0; 24]).parse().unwrap_or(f64::NAN)
}
