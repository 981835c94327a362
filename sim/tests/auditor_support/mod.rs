//! What the tests of the auditor share: a stage on which a bot is played by hand before a real gateway, one event and one request
//! at a time, so that each test can leave out or add the one thing that breaks a law.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod recovery;
mod trading;

use alphaengine_core::command::Actor;
use alphaengine_core::event::{
    CancelRequested, EngineModeChanged, Event, OrderPlaced, OrderRequested, ReconcileFinished, Recorded,
    SessionStarted, Source, TradeExecuted, TransferBooked,
};
use alphaengine_core::exchange::{Fill, TransferReason};
use alphaengine_core::id::{ClientOrderId, CommandId, SessionId};
use alphaengine_core::market::SymbolId;
use alphaengine_core::mode::{EngineMode, Mode};
use alphaengine_core::order::{OrderSpec, OrderType, Side};
use alphaengine_core::risk::Limits;
use alphaengine_core::state::State;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Timestamp};
use alphaengine_sim::auditor::{Auditor, Invariant, Rules, Seen};
use alphaengine_sim::gateway::{Frame, OwnTrade, Response};

use crate::gateway_support::{BTC, Exchange, KEY, SECRET, instruments, qty, sign};

pub const WINDOW_MS: i64 = 2_000;

/// What becomes of a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// There and back.
    Clear,
    /// It arrives, and the answer is lost.
    AnswerLost,
    /// It never arrives, and nothing comes back.
    Lost,
}

/// A bot, played by hand.
pub struct Stage {
    pub exchange: Exchange,
    pub auditor: Auditor,
    pub log: Vec<Recorded>,
    pub state: State,
    pub step: u64,
    commands: u64,
    requests: u64,
    fills_seen: usize,
}

pub fn name(text: &str) -> ClientOrderId {
    text.parse().unwrap()
}

pub fn session() -> SessionId {
    "0123456789abcdef".parse().unwrap()
}

pub fn rules(exchange: &Exchange) -> Rules {
    Rules {
        instruments: instruments(),
        recv_window: WINDOW_MS * NANOS_PER_MILLI,
        weight_per_minute: 2_400,
        orders_per_10s: 300,
        orders_per_minute: 1_200,
        limits: Limits::default(),
        converge_within: 60 * NANOS_PER_SECOND,
        opening_wallet: exchange.gateway.wallet_total(),
    }
}

/// A market order of BTCUSDT.
pub fn buy(size: &str) -> OrderSpec {
    OrderSpec::market(BTC, Side::Buy, qty(size))
}

pub fn sell(size: &str) -> OrderSpec {
    OrderSpec::market(BTC, Side::Sell, qty(size))
}

impl Stage {
    /// Before the first process.
    pub fn bare(change: impl FnOnce(&mut Rules)) -> Stage {
        let exchange = Exchange::new();
        let mut rules = rules(&exchange);
        change(&mut rules);
        Stage {
            auditor: Auditor::new(rules),
            exchange,
            log: Vec::new(),
            state: State::new(&instruments()),
            step: 0,
            commands: 0,
            requests: 0,
            fills_seen: 0,
        }
    }

    /// Booted, compared and running.
    pub fn new() -> Stage {
        Stage::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Rules)) -> Stage {
        let mut stage = Stage::bare(change);
        stage.boot();
        stage
    }

    pub fn boot(&mut self) {
        self.began();
        self.start_session();
        let amount = self.exchange.gateway.wallet_total();
        let asset = "USDT".parse().unwrap();
        self.logs(None, None, TransferBooked { id: 0, asset, amount, reason: TransferReason::Deposit });
        self.compared();
        self.mode(EngineMode::Running);
        self.commits();
        self.steps();
    }

    pub fn began(&mut self) {
        let seq = self.log.last().map_or(0, |last| last.seq);
        self.see(Seen::ProcessBegan { session: session(), seq });
    }

    pub fn start_session(&mut self) {
        let started = SessionStarted {
            session: session(),
            mode: Mode::Chaos,
            strategy: "by hand".into(),
            config: serde_json::json!({}),
        };
        self.logs(None, None, started);
    }

    pub fn compared(&mut self) {
        let complete_until = self.at();
        self.logs(None, None, ReconcileFinished { drifts: 0, complete_until, trades_known: Vec::new() });
    }

    pub fn mode(&mut self, to: EngineMode) {
        let from = self.state.mode;
        self.logs(None, None, EngineModeChanged { from, to, reason: "by hand".into() });
    }

    pub fn at(&self) -> Timestamp {
        self.exchange.wall()
    }

    pub fn see(&mut self, seen: Seen<'_>) {
        let at = self.exchange.wall();
        self.auditor.see(at, self.step, seen);
    }

    pub fn wait_ms(&mut self, millis: i64) {
        self.exchange.now += millis;
        self.exchange.tick();
    }

    /// An event, in the state and in the log.
    pub fn logs(&mut self, command: Option<u64>, symbol: Option<SymbolId>, event: impl Into<Event>) {
        let recorded = self.recorded(command, symbol, event.into());
        self.state.apply(&recorded).unwrap();
        self.appends(recorded);
    }

    /// An event in the log only: the state may not take it.
    pub fn forces(&mut self, command: Option<u64>, symbol: Option<SymbolId>, event: impl Into<Event>) {
        let recorded = self.recorded(command, symbol, event.into());
        self.appends(recorded);
    }

    pub fn recorded(&self, command: Option<u64>, symbol: Option<SymbolId>, event: Event) -> Recorded {
        Recorded {
            seq: self.log.last().map_or(1, |last| last.seq + 1),
            at: self.at(),
            source: Source::Bot,
            command: command.map(CommandId),
            causation: 0,
            symbol,
            event,
        }
    }

    pub fn appends(&mut self, recorded: Recorded) {
        self.log.push(recorded.clone());
        self.see(Seen::Logged { events: &[recorded] });
    }

    pub fn commits(&mut self) {
        self.see(Seen::Committed { ok: true });
    }

    pub fn steps(&mut self) {
        self.step += 1;
        let reconciled = self.state.mode != EngineMode::Booting;
        let (mode, state) = (self.state.mode, self.state.clone());
        self.see(Seen::Stepped { mode, reconciled, state: &state });
    }

    /// The intent to place an order, durable.
    pub fn wants(&mut self, id: &str, spec: OrderSpec) -> u64 {
        self.commands += 1;
        let command = self.commands;
        self.wants_by(command, id, spec);
        command
    }

    /// The same for a given command.
    pub fn wants_by(&mut self, command: u64, id: &str, spec: OrderSpec) {
        let wanted = OrderRequested { client_order_id: name(id), actor: Actor::Strategy, spec };
        self.logs(Some(command), Some(spec.symbol), wanted);
        self.commits();
    }

    pub fn wants_cancel(&mut self, id: &str) {
        self.commands += 1;
        let wanted = CancelRequested { client_order_id: name(id), actor: Actor::Strategy };
        self.logs(Some(self.commands), Some(BTC), wanted);
        self.commits();
    }

    /// Sends an order as its intent says, and hears the answer.
    pub fn sends(&mut self, id: &str, spec: &OrderSpec, way: Way) -> Option<Response> {
        let (path, params) = order_params(id, spec);
        self.asks("POST", path, &params, Some(true), way)
    }

    /// One signed request, there and, where the way is clear, back.
    pub fn asks(
        &mut self,
        method: &str,
        path: &str,
        params: &str,
        durable: Option<bool>,
        way: Way,
    ) -> Option<Response> {
        let (id, query) = self.hands_over(method, path, params, durable);
        let response = match way {
            Way::Lost => None,
            Way::Clear | Way::AnswerLost => Some(self.arrives(id, method, path, &query)),
        };
        let got = response.filter(|_| way == Way::Clear);
        self.gets(id, got.as_ref());
        got
    }

    /// The request leaves, signed.
    pub fn hands_over(&mut self, method: &str, path: &str, params: &str, durable: Option<bool>) -> (u64, String) {
        self.requests += 1;
        let stamp = format!("recvWindow={WINDOW_MS}&timestamp={}", self.exchange.now);
        let query = if params.is_empty() { stamp } else { format!("{params}&{stamp}") };
        let query = format!("{query}&signature={}", sign(SECRET, &query));
        let id = self.requests;
        self.see(Seen::Sent { id, method, path, query: &query, durable });
        (id, query)
    }

    pub fn arrives(&mut self, id: u64, method: &str, path: &str, query: &str) -> Response {
        let response = self.exchange.raw(method, path, query, "", Some(KEY));
        let (status, headers, body) = (response.status, &response.headers, &response.body);
        self.see(Seen::Answered { id, method, path, query, status, headers, body });
        self.hears();
        response
    }

    pub fn gets(&mut self, id: u64, response: Option<&Response>) {
        match response {
            Some(response) => {
                let (status, headers, body) = (Some(response.status), &response.headers, &response.body);
                self.see(Seen::Got { id, status, headers, body });
            }
            None => self.see(Seen::Got { id, status: None, headers: &[], body: &[] }),
        }
    }

    /// What the exchange says on streams, all of it delivered.
    pub fn hears(&mut self) {
        let heard: Vec<_> = self.exchange.heard.drain(..).collect();
        for (_, frame) in heard {
            if let Frame::Text(text) = frame {
                self.see(Seen::Said { route: "private", text: &text });
                self.see(Seen::Delivered { route: "private", text: &text });
            }
        }
    }

    /// The market is at this price, and whatever fills by it is booked.
    pub fn market(&mut self, price: &str) {
        self.exchange.open(BTC, price);
        self.hears();
    }

    /// An order from the wish to its booked fills, as it should be.
    pub fn trades(&mut self, id: &str, spec: OrderSpec) {
        let command = self.wants(id, spec);
        let response = self.sends(id, &spec, Way::Clear).unwrap();
        assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
        self.placed(command, id, &response);
        self.books();
        self.commits();
        self.steps();
    }

    /// Books that the exchange has an order.
    pub fn placed(&mut self, command: u64, id: &str, response: &Response) {
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let order_id = body["orderId"].as_u64().or_else(|| body["algoId"].as_u64()).unwrap();
        self.logs(Some(command), Some(BTC), OrderPlaced { client_order_id: name(id), order_id });
    }

    /// Books every fill of the exchange that is not booked.
    pub fn books(&mut self) {
        for trade in self.unbooked() {
            self.logs(None, Some(BTC), executed(&trade));
        }
    }

    /// Fills that were not asked for yet.
    pub fn unbooked(&mut self) -> Vec<OwnTrade> {
        let fills = self.exchange.gateway.fills()[self.fills_seen..].to_vec();
        self.fills_seen += fills.len();
        fills
    }

    pub fn quiet(&mut self) {
        let at = self.at();
        self.auditor.quiet(at, self.step, &self.log, &self.state, &self.exchange.gateway);
    }

    /// The laws that were broken, each once: `I1 I3`.
    pub fn broken(&self) -> String {
        let mut codes: Vec<Invariant> = self.auditor.violations().iter().map(|violation| violation.invariant).collect();
        codes.sort();
        codes.dedup();
        codes.iter().map(|invariant| invariant.code()).collect::<Vec<_>>().join(" ")
    }

    /// The run was as it should be, and the law was looked at.
    #[track_caller]
    pub fn is_clean(&self, invariant: Invariant) {
        assert_eq!(self.auditor.violations(), [], "{:#?}", self.auditor.violations());
        assert!(self.auditor.checks()[&invariant] > 0, "{invariant} was never checked");
    }

    /// The law was broken.
    #[track_caller]
    pub fn breaks(&self, laws: &str) {
        assert_eq!(self.broken(), laws, "{:#?}", self.auditor.violations());
    }
}

/// A fill as the log books it.
pub fn executed(trade: &OwnTrade) -> TradeExecuted {
    TradeExecuted {
        client_order_id: trade.client_order_id,
        order_id: trade.order_id,
        side: trade.side,
        position_side: trade.position_side,
        traded_at: trade.at,
        fill: Fill {
            trade_id: trade.id,
            price: trade.price,
            qty: trade.qty,
            fee: trade.fee,
            fee_asset: trade.fee_asset,
            is_maker: trade.is_maker,
            is_liquidation: false,
            realized: trade.realized,
        },
    }
}

/// The endpoint and the parameters of an order of BTCUSDT.
pub fn order_params(id: &str, spec: &OrderSpec) -> (&'static str, String) {
    let (side, size) = (spec.side.name(), spec.qty);
    let reduce = if spec.reduce_only { "&reduceOnly=true" } else { "" };
    match spec.order_type {
        OrderType::Limit { price, .. } => (
            "/fapi/v1/order",
            format!(
                "symbol=BTCUSDT&side={side}&type=LIMIT&quantity={size}&price={price}&timeInForce=GTC{reduce}&newClientOrderId={id}"
            ),
        ),
        OrderType::StopMarket { trigger } => (
            "/fapi/v1/algoOrder",
            format!(
                "algoType=CONDITIONAL&symbol=BTCUSDT&side={side}&type=STOP_MARKET&quantity={size}&triggerPrice={trigger}{reduce}\
                 &clientAlgoId={id}"
            ),
        ),
        _ => (
            "/fapi/v1/order",
            format!("symbol=BTCUSDT&side={side}&type=MARKET&quantity={size}{reduce}&newClientOrderId={id}"),
        ),
    }
}
