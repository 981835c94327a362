//! Plays a tape through a [`SimWorld`] to a trader and writes down what reached him, and when.

use alphaengine_core::exchange::{Input, Outgoing, Request};
use alphaengine_core::id::RequestId;
use alphaengine_core::market::{MarketData, MarketUpdate};
use alphaengine_core::units::{NANOS_PER_SECOND, Timestamp};
use alphaengine_sim::{Error, SimConfig, SimWorld};

use super::audit::Audit;
use super::scenario::{parse_market, render};
use super::{A, contracts, seconds, update};

pub type Failure = Error<std::convert::Infallible>;

/// One thing that reached the trader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub at: Timestamp,
    /// When it happened in the market; of everything else, when it was heard.
    pub happened: Timestamp,
    pub text: String,
}

/// Updates of the first contract, a line each, that begins with the time in seconds.
pub fn tape(table: &str) -> Vec<MarketUpdate> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (at, what) = line.split_once(' ').unwrap();
            let at = seconds(at);
            update(at, A, parse_market(at, what))
        })
        .collect()
}

/// Plays the tape. The trader is called with everything that reaches him, and is woken at the times in `wakes`.
pub fn play(
    config: SimConfig,
    tape: Vec<MarketUpdate>,
    wakes: &[Timestamp],
    mut trader: impl FnMut(Timestamp, &Input<'_>) -> Vec<Request>,
) -> Result<Vec<Heard>, Failure> {
    let mut world = SimWorld::new(config, &contracts(), tape.into_iter());
    let mut audit = Audit::default();
    let mut heard: Vec<Heard> = Vec::new();
    let mut requests = 0;
    loop {
        let now = heard.last().map_or(Timestamp::MIN, |heard| heard.at);
        let wake_at = wakes.iter().copied().find(|wake| *wake > now).unwrap_or(Timestamp::MAX);
        let Some((at, input)) = world.next(wake_at)? else {
            return Ok(heard);
        };
        let happened = if let Input::Market(update) = input { update.at } else { at };
        if let Input::Exchange(update) = input {
            audit.heard(update);
        }
        heard.push(Heard { at, happened, text: describe(&input) });
        let sent = trader(at, &input);
        if let Input::End = input {
            audit.check(world.exchange());
        }
        for request in sent {
            requests += 1;
            let outgoing = Outgoing { id: RequestId(requests), request };
            audit.asked(&outgoing);
            world.submit(at, outgoing);
        }
    }
}

/// The log as a table: seconds, and what was heard. Settings and the deposit are left out.
pub fn table(heard: &[Heard]) -> String {
    let is_news = |heard: &&Heard| {
        !["Deposit", "leverage is", "margin is", "mode is"].iter().any(|old| heard.text.starts_with(old))
    };
    let line = |heard: &Heard| format!("{:<8}{}\n", seconds_of(heard.at), heard.text);
    heard.iter().filter(is_news).map(line).collect()
}

fn seconds_of(at: Timestamp) -> String {
    (at.nanos() as f64 / NANOS_PER_SECOND as f64).to_string()
}

fn describe(input: &Input<'_>) -> String {
    match input {
        Input::Market(update) => match update.data {
            MarketData::Trade(trade) => format!("trade {}", trade.price),
            MarketData::BookTicker(book) => format!("book {} {}", book.bid, book.ask),
            MarketData::BarOpen(open) => format!("open {}", open.price),
            MarketData::Bar(bar) => format!("bar {} {} {} {}", bar.open, bar.high, bar.low, bar.close),
            MarketData::MarkPrice(mark) => format!("mark {}", mark.price),
            MarketData::MarkBar(bar) => format!("mark-bar {}", bar.close),
            MarketData::Funding(funding) => format!("funding {}", funding.rate),
        },
        Input::Exchange(update) => render(update),
        Input::Operator(_) => "operator".into(),
        Input::Ready => "ready".into(),
        Input::Wake => "wake".into(),
        Input::Stop { .. } => "stop".into(),
        Input::End => "end".into(),
    }
}
