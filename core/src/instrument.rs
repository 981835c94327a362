//! An Instrument is a symbol with the rules under which it trades: filters and leverage brackets.
//!
//! Read from the exchange's own JSON (`binance-usdm.md` sections 3.2 and 8.5), or from the small built-in table
//! `builtin/`, so that the sample runs alone. Rules change without notice: a run records which ones it used.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::market::SymbolId;
use crate::units::{Money, Price, Qty, Rate};

/// The name of a contract. Not only `[A-Z0-9_]`: the exchange lists names in Chinese since 2025-10-09.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(std::sync::Arc<str>);

impl Symbol {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Symbol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Symbol, Error> {
        let clean =
            |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '\\' | '.' | ':' | '"' | '\'');
        if text.is_empty() || text.len() > 40 || !text.chars().all(clean) {
            return Err(Error::BadSymbol(text.chars().take(40).collect()));
        }
        Ok(Symbol(text.into()))
    }
}

impl TryFrom<String> for Symbol {
    type Error = Error;

    fn try_from(text: String) -> Result<Symbol, Error> {
        text.parse()
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> String {
        symbol.0.as_ref().to_owned()
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why rules could not be read, or a symbol not be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a symbol: at most 40 bytes without spaces, slashes, dots or quotes")]
    BadSymbol(String),
    #[error("unknown symbol {symbol}; known are {known}")]
    UnknownSymbol { symbol: String, known: String },
    #[error("{what} is not JSON: {source}")]
    NotJson { what: &'static str, source: serde_json::Error },
    #[error("{what}: {place}: {problem}")]
    BadRules { what: &'static str, place: String, problem: String },
    #[error("a session can hold at most {0} symbols")]
    TooMany(usize),
}

/// Smallest and largest value and the grid between them. A zero disables a bound or the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceFilter {
    pub min: Price,
    pub max: Price,
    pub tick: Price,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotFilter {
    pub min: Qty,
    pub max: Qty,
    pub step: Qty,
}

/// One step of the leverage table: positions with a notional in `(floor, cap]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bracket {
    pub floor: Money,
    pub cap: Money,
    pub max_leverage: u32,
    /// Maintenance margin ratio.
    pub mmr: Rate,
    /// Maintenance amount: margin = notional * mmr - cum, so that it is continuous at the floors.
    pub cum: Money,
}

/// A contract and its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    pub symbol: Symbol,
    pub base_asset: String,
    pub margin_asset: String,
    /// Only `TRADING` takes orders; any other word is "not tradable".
    pub status: String,
    pub price: PriceFilter,
    pub lot: LotFilter,
    pub market_lot: LotFilter,
    pub min_notional: Money,
    pub max_orders: u32,
    /// A buy may not be priced above mark * up, a sell not below mark * down.
    pub percent_up: Rate,
    pub percent_down: Rate,
    /// How far from the mark a market order may go.
    pub market_take_bound: Rate,
    /// A protected trigger fires only while last and mark are this close.
    pub trigger_protect: Rate,
    pub liquidation_fee: Rate,
    /// Ascending and without holes; never empty.
    pub brackets: Vec<Bracket>,
}

impl Instrument {
    /// The bracket of a position with this notional; beyond the last cap, the last bracket.
    pub fn bracket(&self, notional: Money) -> &Bracket {
        let found = self.brackets.iter().find(|bracket| notional <= bracket.cap);
        found.unwrap_or_else(|| &self.brackets[self.brackets.len() - 1])
    }

    /// The highest leverage of the first bracket.
    pub fn max_leverage(&self) -> u32 {
        self.brackets[0].max_leverage
    }

    /// The largest notional that may be held at `leverage`.
    pub fn max_notional(&self, leverage: u32) -> Money {
        let allowed = self.brackets.iter().rev().find(|bracket| bracket.max_leverage >= leverage);
        allowed.map_or(Money::ZERO, |bracket| bracket.cap)
    }
}

/// The symbols of a session, in the order in which they were named. A [`SymbolId`] is an index into them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instruments(Vec<Instrument>);

impl Instruments {
    pub fn new(instruments: Vec<Instrument>) -> Result<Instruments, Error> {
        const MOST: usize = u16::MAX as usize;
        if instruments.len() > MOST {
            return Err(Error::TooMany(MOST));
        }
        Ok(Instruments(instruments))
    }

    #[inline]
    pub fn get(&self, id: SymbolId) -> &Instrument {
        &self.0[id.index()]
    }

    pub fn id(&self, symbol: &str) -> Option<SymbolId> {
        self.0.iter().position(|instrument| instrument.symbol.as_str() == symbol).map(|index| SymbolId(index as u16))
    }

    pub fn iter(&self) -> impl Iterator<Item = (SymbolId, &Instrument)> {
        self.0.iter().enumerate().map(|(index, instrument)| (SymbolId(index as u16), instrument))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Rules of many symbols, by name: what an exchangeInfo and a bracket file say, or the built-in table.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    instruments: BTreeMap<Symbol, Instrument>,
}

impl Catalog {
    /// The built-in table. Its filters and brackets are from the captures named in `builtin/README.md`.
    pub fn builtin() -> Catalog {
        let mut catalog = Catalog::from_exchange_info(include_str!("builtin/exchange-info.json"))
            .unwrap_or_else(|error| unreachable!("the built-in exchangeInfo is tested: {error}"));
        catalog
            .read_brackets(include_str!("builtin/brackets.json"))
            .unwrap_or_else(|error| unreachable!("the built-in brackets are tested: {error}"));
        catalog
    }

    /// Reads the answer of `GET /fapi/v1/exchangeInfo`. Contracts without complete filters (not yet listed) are left out.
    /// Until brackets are read, an instrument has the one bracket of [`fallback_bracket`].
    pub fn from_exchange_info(json: &str) -> Result<Catalog, Error> {
        let what = "exchangeInfo";
        let root: Value = serde_json::from_str(json).map_err(|source| Error::NotJson { what, source })?;
        let bad = |place: String, problem: String| Error::BadRules { what, place, problem };
        let Some(symbols) = root.get("symbols").and_then(Value::as_array) else {
            return Err(bad("top level".into(), "no list `symbols`".into()));
        };
        let mut instruments = BTreeMap::new();
        for (index, entry) in symbols.iter().enumerate() {
            let name = entry.get("symbol").and_then(Value::as_str).unwrap_or("");
            let place = || format!("symbols[{index}] ({name})");
            let entry: SymbolEntry =
                SymbolEntry::deserialize(entry).map_err(|error| bad(place(), error.to_string()))?;
            if let Some(instrument) = entry.instrument().map_err(|problem| bad(place(), problem))? {
                instruments.insert(instrument.symbol.clone(), instrument);
            }
        }
        Ok(Catalog { instruments })
    }

    /// Reads leverage brackets: the answer of `GET /fapi/v1/leverageBracket` (a list, or one object), or a dump of tiers
    /// keyed by `BASE/QUOTE:SETTLE` whose `info` holds the exchange's own bracket. Symbols without an instrument are skipped.
    pub fn read_brackets(&mut self, json: &str) -> Result<(), Error> {
        let what = "leverage brackets";
        let root: Value = serde_json::from_str(json).map_err(|source| Error::NotJson { what, source })?;
        for (name, rows) in bracket_tables(&root) {
            let bad = |problem: String| Error::BadRules { what, place: name.clone(), problem };
            let symbol: Symbol = name.parse()?;
            let Some(instrument) = self.instruments.get_mut(&symbol) else {
                continue;
            };
            let mut brackets = Vec::with_capacity(rows.len());
            for row in rows {
                let row = row.get("info").unwrap_or(row);
                brackets.push(BracketEntry::deserialize(row).map_err(|error| bad(error.to_string()))?.bracket());
            }
            brackets.sort_by_key(|bracket| bracket.floor);
            check_brackets(&brackets).map_err(bad)?;
            instrument.brackets = brackets;
        }
        Ok(())
    }

    pub fn get(&self, symbol: &Symbol) -> Result<&Instrument, Error> {
        self.instruments.get(symbol).ok_or_else(|| {
            let known: Vec<&str> = self.instruments.keys().map(Symbol::as_str).take(12).collect();
            let more = if self.instruments.len() > known.len() { " ..." } else { "" };
            Error::UnknownSymbol { symbol: symbol.to_string(), known: known.join(" ") + more }
        })
    }

    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.instruments.keys()
    }
}

/// The bracket of a contract whose brackets are not known: 20x, 5 % maintenance margin. Deliberately stricter than any
/// major contract of the exchange, so that a missing table does not flatter a backtest.
pub fn fallback_bracket() -> Bracket {
    Bracket {
        floor: Money::ZERO,
        cap: Money::MAX,
        max_leverage: 20,
        mmr: Rate::from_steps(Rate::ONE.steps() / 20),
        cum: Money::ZERO,
    }
}

/// The (symbol, rows) pairs of any of the three shapes.
fn bracket_tables(root: &Value) -> Vec<(String, &[Value])> {
    let listed = |entry: &Value| entry.get("symbol").and_then(Value::as_str).map(str::to_owned);
    fn brackets(entry: &Value) -> Option<&[Value]> {
        entry.get("brackets").and_then(Value::as_array).map(Vec::as_slice)
    }
    match root {
        Value::Array(entries) => entries.iter().filter_map(|entry| Some((listed(entry)?, brackets(entry)?))).collect(),
        Value::Object(_) if root.get("brackets").is_some() => listed(root).zip(brackets(root)).into_iter().collect(),
        Value::Object(entries) => entries
            .iter()
            .filter_map(|(pair, tiers)| Some((contract_of_pair(pair)?, tiers.as_array()?.as_slice())))
            .collect(),
        _ => Vec::new(),
    }
}

/// `BTC/USDT:USDT` -> `BTCUSDT`; `None` for contracts with a delivery date.
fn contract_of_pair(pair: &str) -> Option<String> {
    let (base, rest) = pair.split_once('/')?;
    let (quote, settle) = rest.split_once(':')?;
    (!settle.contains('-')).then(|| format!("{base}{quote}"))
}

fn check_brackets(brackets: &[Bracket]) -> Result<(), String> {
    if brackets.is_empty() {
        return Err("no brackets".into());
    }
    if !brackets[0].floor.is_zero() {
        return Err(format!("the first bracket begins at {}, not at 0", brackets[0].floor));
    }
    for (number, pair) in brackets.windows(2).enumerate() {
        let (low, high) = (&pair[0], &pair[1]);
        if low.cap != high.floor {
            return Err(format!("bracket {} ends at {} and the next begins at {}", number + 1, low.cap, high.floor));
        }
    }
    match brackets.iter().find(|bracket| bracket.max_leverage == 0 || bracket.mmr.is_negative()) {
        Some(bracket) => Err(format!("bracket from {} has no leverage or a negative margin ratio", bracket.floor)),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SymbolEntry {
    symbol: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    base_asset: String,
    #[serde(default)]
    margin_asset: String,
    #[serde(default)]
    trigger_protect: Rate,
    #[serde(default)]
    liquidation_fee: Rate,
    #[serde(default)]
    market_take_bound: Rate,
    #[serde(default)]
    filters: Vec<FilterEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterEntry {
    filter_type: String,
    min_price: Option<Price>,
    max_price: Option<Price>,
    tick_size: Option<Price>,
    min_qty: Option<Qty>,
    max_qty: Option<Qty>,
    step_size: Option<Qty>,
    notional: Option<Money>,
    limit: Option<u32>,
    multiplier_up: Option<Rate>,
    multiplier_down: Option<Rate>,
}

impl FilterEntry {
    fn lot(&self) -> Option<LotFilter> {
        Some(LotFilter { min: self.min_qty?, max: self.max_qty?, step: self.step_size? })
    }
}

impl SymbolEntry {
    fn instrument(self) -> Result<Option<Instrument>, String> {
        let symbol: Symbol = self.symbol.parse().map_err(|error: Error| error.to_string())?;
        let find = |name: &str| self.filters.iter().find(|filter| filter.filter_type == name);
        let (Some(price), Some(lot)) = (find("PRICE_FILTER"), find("LOT_SIZE")) else {
            return Ok(None);
        };
        let (Some(min), Some(max), Some(tick)) = (price.min_price, price.max_price, price.tick_size) else {
            return Err("PRICE_FILTER lacks minPrice, maxPrice or tickSize".into());
        };
        let Some(lot) = lot.lot() else {
            return Err("LOT_SIZE lacks minQty, maxQty or stepSize".into());
        };
        let percent = find("PERCENT_PRICE");
        Ok(Some(Instrument {
            symbol,
            base_asset: self.base_asset,
            margin_asset: if self.margin_asset.is_empty() { "USDT".into() } else { self.margin_asset },
            status: self.status,
            price: PriceFilter { min, max, tick },
            lot,
            market_lot: find("MARKET_LOT_SIZE").and_then(FilterEntry::lot).unwrap_or(lot),
            min_notional: find("MIN_NOTIONAL").and_then(|filter| filter.notional).unwrap_or(Money::ZERO),
            max_orders: find("MAX_NUM_ORDERS").and_then(|filter| filter.limit).unwrap_or(200),
            percent_up: percent.and_then(|filter| filter.multiplier_up).unwrap_or(Rate::ZERO),
            percent_down: percent.and_then(|filter| filter.multiplier_down).unwrap_or(Rate::ZERO),
            market_take_bound: self.market_take_bound,
            trigger_protect: self.trigger_protect,
            liquidation_fee: self.liquidation_fee,
            brackets: vec![fallback_bracket()],
        }))
    }
}

/// Bracket numbers are JSON numbers on the wire and text in dumps; both are read through their decimal form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BracketEntry {
    #[serde(deserialize_with = "whole_number")]
    initial_leverage: u32,
    notional_floor: Money,
    #[serde(deserialize_with = "cap")]
    notional_cap: Money,
    maint_margin_ratio: Rate,
    cum: Money,
}

fn whole_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = Money::deserialize(deserializer)?;
    let is_whole = value.steps() % crate::units::SCALE == 0;
    let whole = u32::try_from(value.steps() / crate::units::SCALE).ok().filter(|_| is_whole);
    whole.ok_or_else(|| serde::de::Error::custom(format_args!("`{value}` is not a whole number")))
}

/// The exchange writes 2^63 - 1 for "no cap", which is more than a Money can be: the largest Money is no cap either.
fn cap<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.parse::<Money>() {
        Err(crate::units::Error::OutOfRange(_)) if !text.starts_with('-') => Ok(Money::MAX),
        _ => Money::deserialize(value).map_err(serde::de::Error::custom),
    }
}

impl BracketEntry {
    fn bracket(self) -> Bracket {
        Bracket {
            floor: self.notional_floor,
            cap: self.notional_cap,
            max_leverage: self.initial_leverage,
            mmr: self.maint_margin_ratio,
            cum: self.cum,
        }
    }
}
