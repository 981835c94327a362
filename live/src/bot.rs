//! The Bot is engine and session side by side: what arrives goes in, what is to be sent comes out. It does no I/O but the
//! engine's log, so a recorded tape drives it exactly as sockets do.

use std::collections::BTreeSet;

use alphaengine_core::command::{OperatorCommand, StopPolicy};
use alphaengine_core::engine::{self, Engine};
use alphaengine_core::exchange::{ExchangeUpdate, Input, Outgoing};
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::market::MarketUpdate;
use alphaengine_core::store::EventLog;
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{Nanos, Timestamp};

use crate::binance::{Session, SessionConfig};
use crate::wire::{Effect, Heard, HttpId, HttpResponse, SocketId, TimerId, TransportError};

/// Something that reached the bot.
#[derive(Debug)]
pub enum News<'a> {
    Http {
        id: HttpId,
        answer: Result<HttpResponse, TransportError>,
    },
    Opened {
        socket: SocketId,
    },
    Frame {
        socket: SocketId,
        text: &'a [u8],
    },
    Closed {
        socket: SocketId,
        why: &'a str,
    },
    /// Something that the driver noticed about the way.
    Link(LinkUpdate),
    Operator(&'a OperatorCommand),
    /// The process is asked to stop: what is open is ended as the policy says, then [`News::End`] follows.
    Stop(StopPolicy),
    /// Nothing arrived, but something is due.
    Wake,
    /// The process is asked to stop and everything was done for it: the last thing that a bot hears.
    End,
}

/// An exchange inside the process, in place of the one behind the session: for trading on paper.
pub trait Venue: Send {
    /// The market moved.
    fn on_market(&mut self, update: &MarketUpdate);
    fn submit(&mut self, at: Timestamp, outgoing: &Outgoing);
    /// Takes what the exchange has to say.
    fn said(&mut self) -> Vec<ExchangeUpdate>;
}

/// Engine and session, and when they want to be woken.
pub struct Bot<S, L> {
    engine: Engine<S, L>,
    session: Session,
    venue: Option<Box<dyn Venue>>,
    timers: BTreeSet<(Timestamp, TimerId)>,
    /// What the session said and nobody carried out yet.
    said: Vec<Effect>,
    /// HTTP requests and socket work for the driver.
    wires: Vec<Effect>,
    requests: Vec<Outgoing>,
    /// What the last news told about the way to the exchange, for the log.
    links: Vec<LinkUpdate>,
    now: Timestamp,
    /// How far the bot's time is before the local clock: that of the process which wrote the store may have been ahead. Its time
    /// goes on from there; if it stood still until ours has caught up, nothing would ever be due.
    lead: Nanos,
}

impl<S: Strategy, L: EventLog> Bot<S, L> {
    pub fn new(engine: Engine<S, L>, session: Session, venue: Option<Box<dyn Venue>>) -> Bot<S, L> {
        Bot {
            engine,
            session,
            venue,
            timers: BTreeSet::new(),
            said: Vec::new(),
            wires: Vec::new(),
            requests: Vec::new(),
            links: Vec::new(),
            now: Timestamp::MIN,
            lead: 0,
        }
    }

    /// Begins to connect.
    pub fn start(&mut self, at: Timestamp) -> Result<(), engine::Error> {
        self.lead = self.engine.state().at.since(at).max(self.lead);
        self.now = self.now.max(at.plus(self.lead));
        self.session.start(self.now);
        self.settle()
    }

    /// Takes one piece of news. Times do not go back: what waited while the bot was woken counts as heard now.
    pub fn hear(&mut self, at: Timestamp, news: News<'_>) -> Result<(), engine::Error> {
        self.now = self.now.max(at.plus(self.lead));
        self.links.clear();
        let at = self.now;
        match news {
            News::Http { id, answer } => self.session.on_http(at, id, answer),
            News::Opened { socket } => self.session.on_opened(at, socket),
            News::Frame { socket, text } => self.session.on_frame(at, socket, text),
            News::Closed { socket, why } => self.session.on_closed(at, socket, why),
            News::Link(update) => self.step(Input::Exchange(&ExchangeUpdate::Link(update)))?,
            News::Operator(command) => self.step(Input::Operator(command))?,
            News::Stop(policy) => self.step(Input::Stop { policy, reason: "the process was asked to stop" })?,
            News::Wake => self.wake()?,
            News::End => {
                self.step(Input::End)?;
                self.session.stop(at);
            }
        }
        self.settle()
    }

    /// When [`News::Wake`] is due on the local clock.
    pub fn wake_at(&self) -> Timestamp {
        let timer = self.timers.first().map_or(Timestamp::MAX, |(at, _)| *at);
        match timer.min(self.engine.wake_at()) {
            Timestamp::MAX => Timestamp::MAX,
            due => due.plus(-self.lead),
        }
    }

    /// What the driver has to carry out, in order: HTTP requests and socket work only.
    pub fn effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.wires.drain(..)
    }

    /// What the last news told about the way to the exchange.
    pub fn links(&self) -> &[LinkUpdate] {
        &self.links
    }

    pub fn engine(&self) -> &Engine<S, L> {
        &self.engine
    }

    pub fn engine_mut(&mut self) -> &mut Engine<S, L> {
        &mut self.engine
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The bot's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn is_on_paper(&self) -> bool {
        self.venue.is_some()
    }

    pub fn into_engine(self) -> Engine<S, L> {
        self.engine
    }

    /// Puts another engine and another session in the place of these. Of what was to be sent only the ends of sockets are left, and
    /// the bot's time goes on. [`Bot::start`] follows.
    pub fn begin_anew(&mut self, engine: Engine<S, L>, config: SessionConfig) {
        self.engine = engine;
        let earlier = std::mem::replace(&mut self.session, Session::new(config.clone()));
        self.session = Session::after(earlier, config);
        self.wires.append(&mut self.said);
        self.wires.retain(|effect| matches!(effect, Effect::Close { .. }));
        self.timers.clear();
        self.requests.clear();
        self.links.clear();
    }

    fn wake(&mut self) -> Result<(), engine::Error> {
        while let Some((due, timer)) = self.timers.first().copied()
            && due <= self.now
        {
            self.timers.pop_first();
            self.session.on_timer(self.now, timer);
            self.settle()?;
        }
        if self.engine.wake_at() <= self.now { self.step(Input::Wake) } else { Ok(()) }
    }

    /// Carries out what the session said until it says no more.
    fn settle(&mut self) -> Result<(), engine::Error> {
        loop {
            let mut said = std::mem::take(&mut self.said);
            said.extend(self.session.effects());
            if said.is_empty() {
                self.said = said;
                return Ok(());
            }
            let done = said.drain(..).try_for_each(|effect| self.carry_out(effect));
            self.said = said;
            done?;
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), engine::Error> {
        match effect {
            Effect::Timer { timer, at } => {
                self.timers.insert((at, timer));
                Ok(())
            }
            Effect::Input(Heard::Market(update)) => self.on_market(&update),
            Effect::Input(Heard::Exchange(update)) => {
                if let ExchangeUpdate::Link(link) = &update {
                    self.links.push(link.clone());
                }
                self.step(Input::Exchange(&update))
            }
            Effect::Input(Heard::Ready) => {
                self.tell_venue()?;
                self.step(Input::Ready)
            }
            wire => {
                self.wires.push(wire);
                Ok(())
            }
        }
    }

    /// What the inner exchange did because of a market update is told before the update itself, as in a backtest.
    fn on_market(&mut self, update: &MarketUpdate) -> Result<(), engine::Error> {
        if let Some(venue) = &mut self.venue {
            venue.on_market(update);
            self.tell_venue()?;
        }
        self.step(Input::Market(update))
    }

    fn tell_venue(&mut self) -> Result<(), engine::Error> {
        loop {
            let said = self.venue.as_mut().map(|venue| venue.said()).unwrap_or_default();
            if said.is_empty() {
                return Ok(());
            }
            said.iter().try_for_each(|update| self.step_once(Input::Exchange(update)))?;
        }
    }

    fn step(&mut self, input: Input<'_>) -> Result<(), engine::Error> {
        self.step_once(input)?;
        if self.venue.is_some() { self.tell_venue() } else { Ok(()) }
    }

    /// One step of the engine; its requests leave at once, because what they rest on is durable.
    fn step_once(&mut self, input: Input<'_>) -> Result<(), engine::Error> {
        let at = self.now;
        self.requests.extend(self.engine.step(at, input)?);
        if self.requests.is_empty() {
            return Ok(());
        }
        for outgoing in self.requests.drain(..) {
            match &mut self.venue {
                Some(venue) => venue.submit(at, &outgoing),
                None => self.session.on_request(at, &outgoing),
            }
        }
        self.session.flush(at);
        Ok(())
    }
}
