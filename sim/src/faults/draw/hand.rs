//! A Hand draws: it knows about what a run has of everything, so that what it aims at comes to pass.

use alphaengine_core::units::{Money, NANOS_PER_MILLI, Qty, SCALE};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Knobs;
use super::family::Family;
use crate::faults::{DiskFile, DiskOp, Fault, FaultPlan, How, On, Planned, Route};

/// The run for which the numbers below hold.
const TYPICAL: u64 = 5 * 60_000;
/// Orders that are sent and taken back in it.
pub(super) const ORDERS: u64 = 40;
pub(super) const CANCELS: u64 = 20;
/// Questions at the start, and of a kind that each round of the reconciler asks.
pub(super) const BOOT: u64 = 20;
pub(super) const ROUNDS: u64 = 10;
/// Frames.
pub(super) const BOOK: u64 = 300;
pub(super) const MARKS: u64 = 300;
pub(super) const PRIVATE: u64 = 100;
/// Operations of the disk.
pub(super) const SYNCS: u64 = 300;
pub(super) const WRITES: u64 = 1_500;

/// A plan as it is drawn.
pub(super) struct Hand<'a> {
    random: ChaCha8Rng,
    pub knobs: &'a Knobs,
    pub plan: FaultPlan,
    /// The family whose situation is drawn.
    code: &'static str,
}

impl<'a> Hand<'a> {
    pub fn new(seed: u64, knobs: &'a Knobs) -> Hand<'a> {
        Hand { random: ChaCha8Rng::seed_from_u64(seed), knobs, plan: FaultPlan::default(), code: "" }
    }

    /// Draws one situation of a family.
    pub fn situation(&mut self, family: &'static Family) {
        self.code = family.code;
        if let Some(draw) = family.draw {
            draw(self);
        }
    }

    /// One entry more.
    pub fn add(&mut self, on: On, fault: Fault) {
        self.plan.0.push(Planned { name: Some(self.code.to_owned()), ..Planned::new(on, fault) });
    }

    // Numbers.

    /// From 0 to below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.random.next_u64()) * u128::from(end.max(1));
        (wide >> 64) as u64
    }

    /// Both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True once in `of` times.
    pub fn once_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// A number of a typical run, for this one; at least 1.
    pub fn scaled(&self, typical: u64) -> u64 {
        (typical.saturating_mul(self.millis()) / TYPICAL).max(1)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.knobs.length / NANOS_PER_MILLI).unwrap_or(0).max(1_000)
    }

    fn symbols(&self) -> u64 {
        self.knobs.symbols.len().max(1) as u64
    }

    /// How many frames of a kind the symbols have together.
    pub fn of_symbols(&self, each: u64) -> u64 {
        each * self.symbols()
    }

    // When.

    /// Which of about so many that fit, in a typical run. Small numbers are likelier, so that most are reached.
    pub fn nth(&mut self, typical: u64) -> u64 {
        let part = self.pick(&[8, 4, 3, 2]);
        let most = self.scaled(typical) * 4 / 5 / part * 2;
        self.between(1, most.max(2))
    }

    /// A moment in the first four fifths, after the first seconds.
    pub fn moment(&mut self) -> u64 {
        let length = self.millis();
        self.between((length / 60).min(3_000), length * 4 / 5)
    }

    pub fn at(&mut self) -> On {
        At::ms(self.moment())
    }

    /// A moment at which something begins that lasts up to so long, and how long it does, both in milliseconds.
    pub fn span(&mut self, shortest_ms: u64, longest_ms: u64) -> (u64, u64) {
        let at = self.moment();
        let room = (self.millis() * 19 / 20).saturating_sub(at);
        let lasts = self.between(shortest_ms, longest_ms);
        (at, lasts.min(room).max(1_000))
    }

    /// A step in the first four fifths.
    pub fn step(&mut self) -> u64 {
        let most = self.knobs.steps * 4 / 5;
        self.between(1, most.max(1))
    }

    // What.

    pub fn symbol(&mut self) -> String {
        if self.knobs.symbols.is_empty() {
            return "BTCUSDT".to_owned();
        }
        let index = self.index(self.knobs.symbols.len());
        self.knobs.symbols[index].clone()
    }

    /// How an answer gets lost.
    pub fn how(&mut self) -> How {
        self.pick(&[How::Reset, How::Eof, How::Timeout])
    }

    /// How a socket ends.
    pub fn end(&mut self) -> How {
        self.pick(&[How::Reset, How::Eof, How::Close])
    }

    pub fn stream(&mut self) -> Route {
        self.pick(&[Route::Public, Route::Market, Route::Private])
    }

    /// Bought or sold: the exchange makes the least order of what is too little.
    pub fn qty(&mut self) -> Qty {
        let thousandths = self.between(1, 20) as i64 * (SCALE / 1_000);
        Qty::from_steps(if self.once_in(2) { thousandths } else { -thousandths })
    }

    /// So many to so many hundredths of the account's money.
    pub fn money(&mut self, least: u64, most: u64) -> Money {
        let hundredths = i128::from(self.between(least, most));
        let steps = i128::from(self.knobs.cash.steps()) * hundredths / 100;
        Money::from_steps(i64::try_from(steps).unwrap_or(i64::MAX).max(1))
    }

    // Requests.

    /// The sending of orders: nearly always the ordinary way.
    pub fn orders(&mut self) -> On {
        let path = self.pick(&[ORDER, ORDER, ORDER, ORDER, ORDER, ORDER, ALGO_ORDER, BATCH]);
        let typical = if path == ORDER { ORDERS } else { 4 };
        let nth = self.nth(typical);
        request("POST", path, nth)
    }

    pub fn cancels(&mut self) -> On {
        let path = self.pick(&[ORDER, ORDER, ORDER, ALGO_ORDER, "/fapi/v1/allOpenOrders"]);
        let typical = if path == ORDER { CANCELS } else { 3 };
        let nth = self.nth(typical);
        request("DELETE", path, nth)
    }

    /// What is asked again and again.
    pub fn questions(&mut self) -> On {
        let path = self.pick(QUESTIONS);
        let typical = self.of_symbols(ROUNDS);
        let nth = self.nth(typical);
        request("GET", path, nth)
    }

    /// Any request that changes or asks something.
    pub fn requests(&mut self) -> On {
        match self.below(4) {
            0 | 1 => self.orders(),
            2 => self.cancels(),
            _ => self.questions(),
        }
    }

    // The disk.

    pub fn disk(&mut self, op: DiskOp, file: Option<DiskFile>, typical: u64) -> On {
        let nth = self.nth(typical);
        On { disk: Some(op), file, nth: Some(nth), ..On::default() }
    }

    /// The file that is written most.
    pub fn wal(&mut self, op: DiskOp) -> On {
        let typical = if op == DiskOp::Sync { SYNCS } else { WRITES };
        self.disk(op, Some(DiskFile::Wal), typical)
    }

    /// For some of the operations and not for all: from one number to another.
    pub fn for_a_while(&mut self, on: On, typical: u64, longest: u64) -> On {
        let after = self.nth(typical);
        let lasts = self.between(1, longest);
        On { nth: None, after: Some(after), until: Some(after + lasts), ..on }
    }
}

pub(super) const ORDER: &str = "/fapi/v1/order";
pub(super) const ALGO_ORDER: &str = "/fapi/v1/algoOrder";
pub(super) const BATCH: &str = "/fapi/v1/batchOrders";

/// What a reconciler asks, and what the times of waiting do.
const QUESTIONS: &[&str] = &[
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
    "/fapi/v3/account",
    "/fapi/v3/positionRisk",
    "/fapi/v1/symbolConfig",
    "/fapi/v1/accountConfig",
    "/fapi/v1/userTrades",
    "/fapi/v1/income",
    "/fapi/v1/klines",
    "/fapi/v1/time",
];

/// One moment of the market.
pub(super) struct At;

impl At {
    pub fn ms(at: u64) -> On {
        On { at_ms: Some(at), ..On::default() }
    }

    pub fn step(step: u64) -> On {
        On { step: Some(step), ..On::default() }
    }
}

pub(super) fn request(method: &str, path: &str, nth: u64) -> On {
    On { method: Some(method.to_owned()), path: Some(path.to_owned()), nth: Some(nth), ..On::default() }
}

pub(super) fn frame(route: Route, contains: Option<&str>, nth: u64) -> On {
    On { route: Some(route), contains: contains.map(str::to_owned), nth: Some(nth), ..On::default() }
}
