//! Data are what a campaign cuts its windows from: a recording in memory, and everything else that a scenario needs.

use alphaengine_chaos::Scenario;
use alphaengine_chaos::market::{CONVERGE_WITHIN, Dice, in_order, walk};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::{Bar, Feed, MarketData, MarketUpdate, Timeframe};
use alphaengine_core::params::Params;
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos, Timestamp};
use alphaengine_live::binance::StreamsWanted;
use alphaengine_sim::SimConfig;

use crate::backtest::{Scene, SceneOptions, data_error};
use crate::error::Error;
use crate::registry::{Entry, Needs};

/// Updates that are held in memory, at most; about half a gigabyte.
const MOST_UPDATES: usize = 5_000_000;
/// Bars before a window that a client can ask for, at least.
const LEAST_HISTORY: i64 = 60;
/// Updates that a window must have: one without any is a hole in the data.
const LEAST_UPDATES: usize = 10;

/// A recording and what is done on it.
pub struct Data {
    pub strategy: String,
    pub params: Params,
    pub instruments: Instruments,
    pub timeframe: Timeframe,
    pub sim: SimConfig,
    pub is_synthetic: bool,
    pub warnings: Vec<String>,
    limits: Limits,
    needs: Needs,
    updates: Vec<MarketUpdate>,
    /// By symbol: there are bars and nothing finer.
    only_bars: Vec<bool>,
    length: Nanos,
    /// When the earliest and the latest window may open.
    from: Timestamp,
    to: Timestamp,
}

impl Data {
    /// Reads the data that windows of this length are cut from.
    pub fn prepare(
        entry: &Entry,
        scene: SceneOptions,
        params: &[String],
        limits: Limits,
        length: Nanos,
    ) -> Result<Data, Error> {
        let mut data = Data::read(entry, scene, params, limits)?;
        data.length = length;
        let bars = LEAST_HISTORY.max(data.needs.warm_up as i64 + 2);
        let (Some(first), Some(last)) = (data.updates.first(), data.updates.last()) else {
            return Err(Error::new("there are no data").hint("`alphaengine data check FILE` says what a file holds"));
        };
        let unit = NANOS_PER_MINUTE;
        // The history in front, on whole minutes, and the window behind it.
        data.from = first.at.plus(bars.saturating_mul(data.timeframe.nanos())).plus(unit - 1).floor_to(unit);
        data.to = last.at.plus(1).plus(-length).floor_to(unit);
        if data.to < data.from {
            return Err(Error::new(format!(
                "the data from {} to {} are too short: {bars} bars of {} come before a window of {}",
                first.at,
                last.at,
                data.timeframe,
                super::text::span(length)
            ))
            .hint("use more data, a finer --timeframe or a shorter --length"));
        }
        Ok(data)
    }

    /// Reads all data, for one run over the whole of them.
    pub fn read(entry: &Entry, scene: SceneOptions, params: &[String], limits: Limits) -> Result<Data, Error> {
        if scene.costs.latency != "0" {
            return Err(Error::new(
                "option --latency: where faults are injected, the way to the exchange has its own delays",
            )
            .hint("leave it out; a plan may have faults of the kinds delay and delay_frame"));
        }
        let scene = Scene::prepare(scene)?;
        let params = entry.params(params, &scene.instruments)?;
        let needs = entry.needs(&params, &scene.instruments)?;
        let timeframe = timeframe(&scene)?;
        let updates = updates(&scene)?;
        let has = |fits: fn(&MarketData) -> bool| -> Vec<bool> {
            let mut has = vec![false; scene.instruments.len()];
            updates.iter().filter(|update| fits(&update.data)).for_each(|update| has[update.symbol.index()] = true);
            has
        };
        let bars = has(|data| matches!(data, MarketData::Bar(_)));
        let finer = has(|data| matches!(data, MarketData::BookTicker(_) | MarketData::Trade(_)));
        let data = Data {
            strategy: entry.info.name.to_owned(),
            params,
            timeframe,
            sim: scene.sim.clone(),
            is_synthetic: scene.is_synthetic,
            warnings: scene.warnings.clone(),
            limits,
            needs,
            only_bars: bars.iter().zip(&finer).map(|(bars, finer)| *bars && !finer).collect(),
            updates,
            length: 0,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            instruments: scene.instruments,
        };
        if data.sim.hedge && !data.needs.knows_hedge_mode {
            let problem = format!("option --hedge: {} trades one position a symbol", data.strategy);
            return Err(Error::new(problem).hint("leave --hedge out"));
        }
        Ok(data)
    }

    pub fn symbols(&self) -> Vec<String> {
        self.instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect()
    }

    /// Whether quotes are made of bars.
    pub fn is_walked(&self) -> bool {
        self.only_bars.iter().any(|only_bars| *only_bars)
    }

    pub fn updates(&self) -> usize {
        self.updates.len()
    }

    /// The experiment of a seed: its window, with the history that comes before.
    pub fn scenario(&self, seed: u64) -> Result<Scenario, Error> {
        let mut dice = Dice::new(seed);
        // A hole in the data is passed over.
        for _ in 0..100 {
            let opening = self.opening(&mut dice);
            let market = self.window(opening);
            if market.len() >= LEAST_UPDATES {
                return Ok(self.scenario_of(market, self.history(opening)));
            }
        }
        Err(Error::new("the data have holes nearly everywhere: no window with a market was found")
            .hint("`alphaengine data check FILE` names the gaps"))
    }

    /// One run over all data, as a backtest has it.
    pub fn whole(&self) -> Result<Scenario, Error> {
        let has = |fits: fn(&MarketData) -> bool| self.updates.iter().any(|update| fits(&update.data));
        let mut scenario = self.scenario_of(self.updates.clone(), Vec::new());
        // What the data do not have the strategy shall not hear: our exchange would make quotes and marks of bars.
        scenario.streams.book_ticker = has(|data| matches!(data, MarketData::BookTicker(_)));
        scenario.streams.mark_price = has(|data| matches!(data, MarketData::MarkPrice(_) | MarketData::MarkBar(_)));
        Ok(scenario)
    }

    fn scenario_of(&self, market: Vec<MarketUpdate>, history: Vec<MarketUpdate>) -> Scenario {
        let agg_trades = market.iter().any(|update| matches!(update.data, MarketData::Trade(_)));
        let timeframe = self.timeframe;
        Scenario {
            strategy: self.strategy.clone(),
            params: self.params.clone(),
            instruments: self.instruments.clone(),
            timeframe,
            streams: StreamsWanted { timeframe, mark_price: true, book_ticker: true, agg_trades, depth: false },
            sim: self.sim.clone(),
            limits: self.limits,
            history,
            market,
            converge_within: CONVERGE_WITHIN,
        }
    }

    /// A whole minute; with bars of a length like that of the window, one such that a bar closes inside it.
    fn opening(&self, dice: &mut Dice) -> Timestamp {
        let (minute, bar) = (NANOS_PER_MINUTE, self.timeframe.nanos());
        let minutes = (self.to.since(self.from) / minute) as u64 + 1;
        let drawn = self.from.plus(dice.below(minutes) as i64 * minute);
        if bar <= self.length {
            return drawn;
        }
        let close = self.timeframe.open_time(drawn).plus(bar);
        let before = 1 + dice.below((self.length / minute - 1).max(1) as u64) as i64;
        close.plus(-before * minute).max(self.from).min(self.to)
    }

    /// What the market says from `opening` on.
    fn window(&self, opening: Timestamp) -> Vec<MarketUpdate> {
        let end = opening.plus(self.length);
        let is_walked = |update: &MarketUpdate| {
            self.only_bars[update.symbol.index()] && matches!(update.data, MarketData::Bar(_) | MarketData::BarOpen(_))
        };
        let mut market: Vec<MarketUpdate> =
            self.between(opening, end).iter().filter(|update| !is_walked(update)).copied().collect();
        let mut walked = Vec::new();
        // A bar that is open at the end closes behind it.
        for update in self.between(opening, end.plus(self.timeframe.nanos())) {
            if let (true, MarketData::Bar(bar)) = (is_walked(update), &update.data)
                && bar.open_time < end
            {
                self.walk(update, bar, &mut walked);
            }
        }
        market.extend(walked.into_iter().filter(|update| update.at >= opening && update.at < end));
        in_order(&mut market);
        market
    }

    fn walk(&self, update: &MarketUpdate, bar: &Bar, out: &mut Vec<MarketUpdate>) {
        walk(update.symbol, bar, self.instruments.get(update.symbol), out);
    }

    /// Candles, marks and funding before a window; trades only where there are no candles.
    fn history(&self, opening: Timestamp) -> Vec<MarketUpdate> {
        let bars = LEAST_HISTORY.max(self.needs.warm_up as i64 + 2);
        let begin = opening.plus(-bars.saturating_mul(self.timeframe.nanos()));
        let past = self.between(begin, opening);
        let has_bars = past.iter().any(|update| matches!(update.data, MarketData::Bar(_)));
        let kept = |update: &&MarketUpdate| match update.data {
            MarketData::BookTicker(_) | MarketData::Trade(_) => !has_bars,
            _ => true,
        };
        past.iter().filter(kept).copied().collect()
    }

    fn between(&self, from: Timestamp, to: Timestamp) -> &[MarketUpdate] {
        let place = |at: Timestamp| self.updates.partition_point(|update| update.at < at);
        &self.updates[place(from)..place(to).max(place(from))]
    }
}

/// The bars that all symbols have; without bars, those that are made of trades and quotes.
fn timeframe(scene: &Scene) -> Result<Timeframe, Error> {
    let mut found: Vec<Timeframe> = scene.timeframes.iter().flatten().copied().collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [] => Ok(scene.options.timeframe.unwrap_or(Timeframe::M1)),
        [one] => Ok(*one),
        several => {
            let coarsest = several[several.len() - 1];
            Err(Error::new("the symbols have bars of different lengths")
                .hint(format!("give them one with --timeframe {coarsest}")))
        }
    }
}

fn updates(scene: &Scene) -> Result<Vec<MarketUpdate>, Error> {
    let mut tape = scene.open_data()?;
    let mut updates = Vec::new();
    let mut update = MarketUpdate::NOTHING;
    while tape.next_into(&mut update).map_err(|error| data_error(&error))? {
        if updates.len() == MOST_UPDATES {
            return Err(Error::new(format!(
                "the data have more than {MOST_UPDATES} rows, more than are held in memory"
            ))
            .hint("name a part of them with --timerange"));
        }
        updates.push(update);
    }
    Ok(updates)
}
