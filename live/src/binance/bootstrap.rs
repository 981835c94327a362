//! A Bootstrap asks for the rules and the account before there is an engine, and says what stands in the way.

use std::collections::BTreeMap;

use alphaengine_core::instrument::{Catalog, Instruments, Symbol};
use alphaengine_core::json::Json;
use alphaengine_core::market::SymbolId;
use alphaengine_core::rate_limit::Limits;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Rate, Timestamp};

use super::answer::{self, Because, Verdict};
use super::call::{Answer, Boot, Call, Finished, Purpose};
use super::config::UsedWeight;
use super::hosts::Hosts;
use super::json::Fields;
use super::line::Line;
pub use super::problem::Problem;
use super::query::Query;
use super::sign::ApiKey;
use crate::logging::redact;
use crate::wire::{Effect, HttpId, HttpResponse, TimerId, TransportError};

/// A host that was not reached so often is not reachable.
const ATTEMPTS: u32 = 3;
/// A clock that is further off than this is no drift.
const MOST_CLOCK_OFFSET: Nanos = NANOS_PER_MINUTE;

/// What a session needs to know before it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapResult {
    /// The symbols in the order in which they were named, with their rules. Without a key, brackets are those of the built-in
    /// table, or the strict fallback.
    pub instruments: Instruments,
    pub limits: Limits,
    /// What of the running minute is used up: for [`super::SessionConfig::used_weight`].
    pub used_weight: Option<UsedWeight>,
    /// The exchange's clock minus ours.
    pub clock_offset: Nanos,
    /// Hedge mode; false without a key.
    pub hedge: bool,
    pub multi_assets: bool,
    /// Whether the account may trade; false without a key.
    pub can_trade: bool,
    /// What the account pays, by symbol; empty without a key.
    pub commissions: Vec<CommissionRate>,
    /// Leverage and whether margin is isolated, by symbol; empty without a key.
    pub settings: Vec<(SymbolId, u32, bool)>,
}

/// What the account pays for trades of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommissionRate {
    pub symbol: SymbolId,
    pub maker: Rate,
    pub taker: Rate,
}

/// The state machine that asks. Its effects are HTTP requests and timers only.
#[derive(Debug)]
pub struct Bootstrap {
    host: String,
    symbols: Vec<Symbol>,
    has_key: bool,
    line: Line,
    waiting: usize,
    failed_attempts: u32,
    catalog: Catalog,
    found: BootstrapResult,
    result: Option<Result<BootstrapResult, Problem>>,
}

impl Bootstrap {
    pub fn new(hosts: Hosts, key: Option<ApiKey>, symbols: Vec<Symbol>) -> Bootstrap {
        Bootstrap {
            host: hosts.rest,
            symbols,
            has_key: key.is_some(),
            line: Line::new(key.map(|key| key.signer), Limits::default()),
            waiting: 0,
            failed_attempts: 0,
            catalog: Catalog::default(),
            found: BootstrapResult {
                instruments: Instruments::default(),
                limits: Limits::default(),
                used_weight: None,
                clock_offset: 0,
                hedge: false,
                multi_assets: false,
                can_trade: false,
                commissions: Vec::new(),
                settings: Vec::new(),
            },
            result: None,
        }
    }

    pub fn start(&mut self, at: Timestamp) {
        self.line.measure();
        self.ask(Call::get(Purpose::Boot(Boot::Rules), "/fapi/v1/exchangeInfo", Query::new(), 1));
        self.settle(at);
    }

    fn ask(&mut self, call: Call) {
        self.waiting += 1;
        self.line.call(call);
    }

    pub fn on_http(&mut self, at: Timestamp, id: HttpId, answer: Result<HttpResponse, TransportError>) {
        if self.result.is_some() {
            return;
        }
        let path = self.line.path(id).unwrap_or("");
        if let Some(problem) = self.problem_of(at, path, &answer) {
            self.result = Some(Err(problem));
            return;
        }
        self.line.answered(at, id, answer);
        self.settle(at);
    }

    /// A timer that was among the effects.
    pub fn on_timer(&mut self, at: Timestamp, timer: TimerId) {
        if self.line.alarmed(timer).is_some() && self.result.is_none() {
            self.settle(at);
        }
    }

    /// What is to be done, in order.
    pub fn effects(&mut self) -> std::vec::IntoIter<Effect> {
        let effects: Vec<Effect> = self.line.effects().collect();
        let wanted = |effect: &Effect| matches!(effect, Effect::Http(_) | Effect::Timer { .. });
        effects.into_iter().filter(wanted).collect::<Vec<_>>().into_iter()
    }

    /// The result, once there is one.
    pub fn result(&self) -> Option<&Result<BootstrapResult, Problem>> {
        self.result.as_ref()
    }

    /// What any answer may say about the host rather than the question.
    fn problem_of(
        &mut self,
        at: Timestamp,
        path: &str,
        answer: &Result<HttpResponse, TransportError>,
    ) -> Option<Problem> {
        let host = self.host.clone();
        let response = match answer {
            // It says nothing about the question. Without an end the start would wait for an exchange that is down, in silence.
            Ok(response) if response.status >= 500 => {
                self.failed_attempts += 1;
                let (path, why) = (path.to_owned(), format!("HTTP {}: {}", response.status, shown(&response.body)));
                return (self.failed_attempts >= ATTEMPTS).then_some(Problem::NoAnswer { host, path, why });
            }
            Ok(response) => {
                self.failed_attempts = 0;
                response
            }
            Err(error) => {
                let (TransportError::NotSent(why) | TransportError::Lost(why)) = error;
                let lower = why.to_ascii_lowercase();
                let names_tls = ["certificate", "tls", "ssl", "handshake"].iter().any(|word| lower.contains(word));
                self.failed_attempts += 1;
                return match error {
                    TransportError::NotSent(_) if names_tls => Some(Problem::Tls { host, why: why.clone() }),
                    _ if self.failed_attempts < ATTEMPTS => None,
                    TransportError::NotSent(_) => Some(Problem::Unreachable { host, why: why.clone() }),
                    TransportError::Lost(_) => {
                        Some(Problem::NoAnswer { host, path: path.to_owned(), why: why.clone() })
                    }
                };
            }
        };
        let is_json = matches!(response.body.trim_ascii_start().first(), Some(b'{' | b'['));
        match (response.status, answer::judge(answer)) {
            (_, Verdict::NotExecuted { because: Because::Limit { status, until_ms, after_s }, .. }) => {
                let after = at.plus(after_s.unwrap_or(60).saturating_mul(NANOS_PER_SECOND));
                let until =
                    until_ms.and_then(Timestamp::from_millis).map_or(after, |until| self.line.clock.local(until));
                Some(Problem::Limited { host, status, until })
            }
            (300..400, _) => {
                let to = redact(response.header("location").unwrap_or("nowhere")).chars().take(200).collect();
                Some(Problem::Redirected { host, to })
            }
            (403, _) if !is_json => Some(Problem::Blocked { host }),
            (200..500, _) if !is_json => {
                Some(Problem::NotJson { host, path: path.to_owned(), start: shown(&response.body) })
            }
            _ => None,
        }
    }

    fn settle(&mut self, at: Timestamp) {
        loop {
            self.line.pump(at);
            let Some(finished) = self.line.finished.pop_front() else { break };
            if let Err(problem) = self.finished(finished) {
                self.result = Some(Err(problem));
                return;
            }
        }
        if self.waiting == 0 && self.line.clock.is_set() && self.result.is_none() {
            self.result = Some(self.conclude(at));
        }
    }

    fn finished(&mut self, finished: Finished) -> Result<(), Problem> {
        let Finished { purpose, answer, .. } = finished;
        let Purpose::Boot(part) = purpose else { return Ok(()) };
        self.waiting = self.waiting.saturating_sub(1);
        let (host, path) = (self.host.clone(), part.path().to_owned());
        let body = match answer {
            Answer::Accepted(body) => body,
            Answer::Refused(error) if matches!(error.code, -2014 | -2015 | -1022 | -1002 | -2017 | -2008) => {
                return Err(Problem::KeyRefused { host, error });
            }
            Answer::Refused(error) if error.code == -1021 => {
                let offset_ms = self.line.clock.offset() / NANOS_PER_MILLI;
                return Err(Problem::ClockOff { offset_ms });
            }
            Answer::Refused(error) => return Err(Problem::Refused { host, path, error }),
            Answer::Unknown(why) => return Err(Problem::NoAnswer { host, path, why }),
        };
        let not_json = || Problem::NotJson { host: host.clone(), path: path.clone(), start: shown(&body) };
        let bad = |why: String| Problem::BadRules { host: host.clone(), path: path.clone(), why };
        let value = Json::read(&body).map_err(|_| not_json())?;
        match part {
            Boot::Rules => return self.rules(&value, bad),
            Boot::Brackets => {
                let wanted = only(&value, &self.symbols);
                self.catalog.read_brackets(&wanted.to_string()).map_err(|error| bad(error.to_string()))?;
            }
            Boot::Account => {
                let fields = Fields::of(&value).map_err(|error| bad(error.to_string()))?;
                self.found.hedge = fields.flag("dualSidePosition");
                self.found.multi_assets = fields.flag("multiAssetsMargin");
                // Absent means that nothing is said against it.
                self.found.can_trade = fields.value("canTrade").is_none() || fields.flag("canTrade");
            }
            Boot::Settings => {
                for row in value.as_list().unwrap_or(std::slice::from_ref(&value)) {
                    let Ok(row) = Fields::of(row) else { continue };
                    let symbol = self.symbols.iter().position(|symbol| symbol.as_str() == row.text("symbol"));
                    let leverage = row.whole("leverage").ok().and_then(|leverage| u32::try_from(leverage).ok());
                    if let (Some(symbol), Some(leverage)) = (symbol, leverage) {
                        let isolated = row.text("marginType").eq_ignore_ascii_case("isolated");
                        self.found.settings.push((SymbolId(symbol as u16), leverage, isolated));
                    }
                }
            }
            Boot::Commission(symbol) => {
                let fields = Fields::of(&value).map_err(|error| bad(error.to_string()))?;
                let rate = |name| fields.money(name).map(|money| Rate::from_steps(money.steps()));
                let read = rate("makerCommissionRate").and_then(|maker| Ok((maker, rate("takerCommissionRate")?)));
                let (maker, taker) = read.map_err(|error| bad(error.to_string()))?;
                self.found.commissions.push(CommissionRate { symbol, maker, taker });
            }
        }
        Ok(())
    }

    /// exchangeInfo. Only the wanted symbols are read: hundreds of others may have forms that are new.
    fn rules(&mut self, info: &Json<'_>, bad: impl Fn(String) -> Problem) -> Result<(), Problem> {
        let listed = info.get("symbols").and_then(|list| Some((list, list.as_list()?)));
        let Some((list, entries)) = listed else {
            return Err(bad("there is no list `symbols`".into()));
        };
        let names: Vec<&str> = entries.iter().filter_map(|entry| entry.get("symbol")?.as_str()).collect();
        for symbol in &self.symbols {
            if !names.contains(&symbol.as_str()) {
                return Err(Problem::UnknownSymbol {
                    host: self.host.clone(),
                    symbol: symbol.to_string(),
                    nearest: nearest(symbol.as_str(), &names).map(str::to_owned),
                });
            }
        }
        let wanted = format!(r#"{{"symbols":{}}}"#, only(list, &self.symbols));
        self.catalog = Catalog::from_exchange_info(&wanted).map_err(|error| bad(error.to_string()))?;
        for symbol in &self.symbols {
            let instrument =
                self.catalog.get(symbol).map_err(|_| bad(format!("{symbol} has no price or lot filter")))?;
            if instrument.status != "TRADING" {
                let (symbol, status) = (symbol.to_string(), instrument.status.clone());
                return Err(Problem::NotTrading { symbol, status });
            }
        }
        self.found.limits = limits(info);
        if self.has_key {
            self.ask(Call::signed(Purpose::Boot(Boot::Account), Boot::Account.path(), Query::new(), 5));
            self.ask(Call::signed(Purpose::Boot(Boot::Brackets), Boot::Brackets.path(), Query::new(), 1));
            self.ask(Call::signed(Purpose::Boot(Boot::Settings), Boot::Settings.path(), Query::new(), 5));
            for index in 0..self.symbols.len() {
                let part = Boot::Commission(SymbolId(index as u16));
                let query = Query::new().with("symbol", &self.symbols[index]);
                self.ask(Call::signed(Purpose::Boot(part), part.path(), query, 20));
            }
        }
        Ok(())
    }

    fn conclude(&mut self, at: Timestamp) -> Result<BootstrapResult, Problem> {
        let offset = self.line.clock.offset();
        if offset.abs() > MOST_CLOCK_OFFSET {
            return Err(Problem::ClockOff { offset_ms: offset / NANOS_PER_MILLI });
        }
        if self.has_key && !self.found.can_trade {
            return Err(Problem::MayNotTrade);
        }
        if self.found.multi_assets {
            return Err(Problem::MultiAssets);
        }
        let builtin = if self.has_key { Catalog::default() } else { Catalog::builtin() };
        let bad = |why: String| Problem::BadRules { host: self.host.clone(), path: Boot::Rules.path().into(), why };
        let mut instruments = Vec::with_capacity(self.symbols.len());
        for symbol in &self.symbols {
            let mut instrument = self.catalog.get(symbol).map_err(|error| bad(error.to_string()))?.clone();
            if let Ok(known) = builtin.get(symbol) {
                instrument.brackets = known.brackets.clone();
            }
            instruments.push(instrument);
        }
        let mut found = self.found.clone();
        found.instruments = Instruments::new(instruments).map_err(|error| bad(error.to_string()))?;
        found.clock_offset = offset;
        let at = self.line.clock.server(at);
        found.used_weight = Some(UsedWeight { weight: self.line.limiter.used_weight(at), at });
        found.commissions.sort_by_key(|rate| rate.symbol);
        found.settings.sort_by_key(|(symbol, ..)| *symbol);
        Ok(found)
    }
}

/// The entries of a list that speak of these symbols; an object stays as it is.
fn only<'a>(list: &Json<'a>, symbols: &[Symbol]) -> Json<'a> {
    let Some(entries) = list.as_list() else { return list.clone() };
    let wanted = |entry: &&Json<'_>| {
        let name = entry.get("symbol").and_then(Json::as_str).unwrap_or("");
        symbols.iter().any(|symbol| symbol.as_str() == name)
    };
    Json::List(entries.iter().filter(wanted).cloned().collect())
}

fn limits(info: &Json<'_>) -> Limits {
    let mut limits = Limits::default();
    for limit in info.get("rateLimits").and_then(Json::as_list).unwrap_or(&[]) {
        let Ok(fields) = Fields::of(limit) else { continue };
        let (Ok(number), Ok(most)) = (fields.whole("intervalNum"), fields.whole("limit")) else { continue };
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        match (fields.text("rateLimitType"), fields.text("interval"), number) {
            ("REQUEST_WEIGHT", "MINUTE", 1) => limits.weight_1m = most,
            ("ORDERS", "MINUTE", 1) => limits.orders_1m = most,
            ("ORDERS", "SECOND", 10) => limits.orders_10s = most,
            _ => {}
        }
    }
    limits
}

fn shown(body: &[u8]) -> String {
    redact(String::from_utf8_lossy(&body[..body.len().min(80)]).trim()).into_owned()
}

/// The listed name that takes the fewest edits, when they are few.
fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    let mut best: BTreeMap<usize, &'a str> = BTreeMap::new();
    for name in names {
        best.entry(distance(wanted, name)).or_insert(name);
    }
    best.into_iter().next().filter(|(edits, _)| *edits <= 3).map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_ascii_uppercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, c) in one.to_ascii_uppercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (place, d) in other.iter().enumerate() {
            let cost = if c == *d { diagonal } else { 1 + diagonal.min(row[place]).min(row[place + 1]) };
            diagonal = std::mem::replace(&mut row[place + 1], cost);
        }
    }
    row[other.len()]
}
