//! The market's task moves the replay on: with the clock, or as fast as it is heard.

use std::time::{Duration, Instant};

use alphaengine_core::units::{Nanos, Timestamp};

use crate::config::Speed;
use crate::exchange::QUEUE;
use crate::server::Shared;

/// Marks are told so often although nothing happens.
const A_SECOND: Duration = Duration::from_secs(1);
/// How long the fastest market waits for the slowest consumer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two clocks side by side: when ours showed `wall`, the market's showed `market`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub(crate) wall: Instant,
    pub(crate) market: Timestamp,
}

impl Anchor {
    /// The market's time now.
    fn now(&self, times: u32) -> Timestamp {
        let passed = Nanos::try_from(self.wall.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        self.market.plus(passed.saturating_mul(Nanos::from(times)))
    }

    /// How long until the market's time is `at`.
    fn until(&self, at: Timestamp, times: u32) -> Duration {
        let after = at.since(self.market).max(0) / Nanos::from(times.max(1));
        let due = self.wall + Duration::from_nanos(u64::try_from(after).unwrap_or(0));
        due.saturating_duration_since(Instant::now())
    }
}

/// Runs the market until its data are over.
pub(crate) async fn run(shared: &Shared) {
    match shared.speed {
        Speed::Stepped => return,
        Speed::Times(times) => while_timed(shared, times).await,
        Speed::Max => as_fast_as_heard(shared).await,
    }
    shared.data_are_over();
}

async fn while_timed(shared: &Shared, times: u32) {
    loop {
        let (next, moment) = {
            let exchange = shared.exchange();
            (exchange.replay.next_at(), exchange.next_moment())
        };
        let Some(at) = next else { return };
        let moment = moment.filter(|moment| *moment < at);
        let wait = shared.anchor.until(moment.unwrap_or(at), times);
        if let (true, Some(moment)) = (wait.is_zero(), moment) {
            shared.exchange().moments_until(moment);
        } else if wait.is_zero() {
            shared.market_passes();
            tokio::task::yield_now().await;
        } else if wait <= A_SECOND {
            tokio::time::sleep(wait).await;
        } else {
            tokio::time::sleep(A_SECOND).await;
            let at = shared.anchor.now(times);
            shared.exchange().market_stands(at);
        }
    }
}

async fn as_fast_as_heard(shared: &Shared) {
    let changed = shared.exchange().changed.clone();
    loop {
        let next = changed.notified();
        if shared.exchange().has_connections() {
            break;
        }
        next.await;
    }
    while shared.exchange().replay.next_at().is_some() {
        let full_since = Instant::now();
        while shared.exchange().room() < QUEUE / 2 && full_since.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        shared.market_passes();
        tokio::task::yield_now().await;
    }
}
