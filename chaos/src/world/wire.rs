//! The wire between bot and exchange: requests and answers, connections and frames, with what goes wrong on the way.
//!
//! Requests travel apart, so a fast one overtakes a slow one. The frames of one connection keep their order, as TCP does.

use std::sync::Arc;

use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos, Timestamp};
use alphaengine_live::bot::News;
use alphaengine_live::wire::{Effect, HttpId, HttpRequest, HttpResponse, SocketId, TransportError};
use alphaengine_sim::auditor::Seen;
use alphaengine_sim::faults::{Fault, How, Route, Subject, Way};
use alphaengine_sim::gateway::{ConnectionId, Frame, Request, Response};

use super::agenda::{Happening, Life};
use super::venue::Connection;
use super::{KEY, World};

/// How long a client waits for a connection to be opened.
const CONNECT_TIMEOUT: Nanos = 10_000 * NANOS_PER_MILLI;

impl<S: Strategy> World<'_, S> {
    // From the bot.

    /// Carries out what the bot asked for.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        let life = self.process.life;
        for effect in effects {
            // A crash while the first ones left takes the rest along.
            if self.process.life != life || self.process.is_down() {
                return;
            }
            match effect {
                Effect::Http(request) => self.send_request(life, request),
                Effect::Open { socket, url } => self.send_connect(life, socket, url),
                Effect::Send { socket, text } => {
                    if let Some(connection) = self.venue.of_socket(life, socket) {
                        let at = self.now.plus(self.delays.frame());
                        self.agenda.put(at, Happening::Text { connection, text });
                    }
                }
                Effect::Close { socket } => {
                    if let Some(connection) = self.venue.of_socket(life, socket) {
                        let at = self.now.plus(self.delays.frame());
                        self.agenda.put(at, Happening::HangUp { connection });
                    }
                    let why = "closed as asked".to_owned();
                    self.agenda.put(self.now, Happening::Closed { life, socket, why });
                }
                Effect::Timer { .. } | Effect::Input(_) => {}
            }
        }
    }

    fn send_request(&mut self, life: Life, request: HttpRequest) {
        let now = self.now;
        let (method, path) = (request.method.name(), request.path);
        let durable = self.are_intents_durable();
        let seen = Seen::Sent { id: number(life, request.id), method, path, query: &request.query, durable };
        self.auditor.see(now, self.steps, seen);
        self.trace.note(now, || format!("-> {method} {path}?{}", request.query));
        self.trace.bytes(request.query.as_bytes());
        let faults = self.due_on_request(method, path);
        if self.process.life != life || self.process.is_down() {
            return;
        }
        let deadline = now.plus(request.timeout);
        let id = request.id;
        if self.venue.is_out(now) {
            let error = TransportError::NotSent("the connection was refused".into());
            let at = now.plus(self.delays.request());
            return self.agenda.put(at, Happening::Answer { life, id, answer: Err(error) });
        }
        let mut at = now.plus(self.delays.request());
        for fault in &faults {
            match fault {
                Fault::Delay { ms, of: Way::Request } => at = at.plus(millis(*ms)),
                Fault::DropRequest { how } => {
                    let (at, error) = lost(*how, at, deadline);
                    return self.agenda.put(at, Happening::Answer { life, id, answer: Err(error) });
                }
                _ => {}
            }
        }
        // Whoever has waited so long has given up, and the request arrives nevertheless.
        let is_given_up = at > deadline;
        if is_given_up {
            let error = TransportError::Lost("no complete answer in time".into());
            self.agenda.put(deadline, Happening::Answer { life, id, answer: Err(error) });
        }
        self.agenda.put(at, Happening::Request { life, request: Box::new(request), deadline, is_given_up, faults });
    }

    /// Whether what the bot wanted so far survives a loss of power; `None` where nobody can say: the disk lied, or there is no store.
    fn are_intents_durable(&self) -> Option<bool> {
        if self.is_disk_doubtful() || !self.is_trading() {
            return None;
        }
        Some(self.watch.borrow().uncommitted == 0 && !self.disk.has_unsynced(self.process.wal()))
    }

    /// What goes wrong with a request. What concerns the whole world or the process happens at once.
    fn due_on_request(&mut self, method: &str, path: &str) -> Vec<Fault> {
        let due = self.faults.lock().on_request(method, path);
        let (of_request, others): (Vec<Fault>, Vec<Fault>) =
            due.into_iter().partition(|fault| fault.subject() == Subject::Request);
        others.iter().for_each(|fault| self.mishap(fault));
        of_request
    }

    // At the exchange.

    pub(super) fn request_arrives(
        &mut self,
        life: Life,
        request: HttpRequest,
        deadline: Timestamp,
        is_given_up: bool,
        faults: &[Fault],
    ) {
        let now = self.now;
        let id = request.id;
        if self.venue.is_out(now) {
            if !is_given_up {
                let error = TransportError::Lost("the connection was reset".into());
                self.agenda.put(now.plus(self.delays.request()), Happening::Answer { life, id, answer: Err(error) });
            }
            return;
        }
        let replaced = faults.iter().find_map(Fault::replacement);
        let mut response = if faults.iter().all(Fault::is_executed) {
            self.handle(life, &request)
        } else {
            Response { status: 200, headers: Vec::new(), body: Vec::new() }
        };
        if is_given_up {
            return;
        }
        let mut at = now.plus(self.delays.request());
        if let Some(replaced) = replaced {
            response = replaced;
        }
        for fault in faults {
            match fault {
                Fault::Delay { ms, of: Way::Answer } | Fault::SlowBody { ms } => at = at.plus(millis(*ms)),
                Fault::DropAnswer { how } | Fault::TruncateBody { how, .. } => {
                    let (at, error) = lost(*how, at, deadline);
                    return self.agenda.put(at, Happening::Answer { life, id, answer: Err(error) });
                }
                Fault::StallBody { .. } => {
                    let (at, error) = lost(How::Timeout, at, deadline);
                    return self.agenda.put(at, Happening::Answer { life, id, answer: Err(error) });
                }
                Fault::Headers { set, remove } => {
                    response.headers.retain(|(name, _)| !remove.contains(name) && !set.contains_key(name));
                    response.headers.extend(set.iter().map(|(name, value)| (name.to_lowercase(), value.clone())));
                }
                _ => {}
            }
        }
        if at > deadline {
            let error = TransportError::Lost("no complete answer in time".into());
            return self.agenda.put(deadline, Happening::Answer { life, id, answer: Err(error) });
        }
        let Response { status, headers, body } = response;
        let answer = HttpResponse { status, headers, body };
        self.agenda.put(at, Happening::Answer { life, id, answer: Ok(answer) });
    }

    fn handle(&mut self, life: Life, request: &HttpRequest) -> Response {
        let headers = [("x-mbx-apikey".to_owned(), KEY.to_owned())];
        let (method, path, query) = (request.method.name(), request.path, request.query.as_str());
        let asked = Request { method, path, query, headers: if request.with_key { &headers } else { &[] }, body: b"" };
        let response = self.venue.gateway.handle(self.now, &asked);
        let (status, headers, body) = (response.status, response.headers.as_slice(), response.body.as_slice());
        let seen = Seen::Answered { id: number(life, request.id), method, path, query, status, headers, body };
        self.auditor.see(self.now, self.steps, seen);
        self.flush_frames();
        response
    }

    /// Hands what the gateway has to say to the connections.
    pub(super) fn flush_frames(&mut self) {
        loop {
            // A fault on a frame can make the gateway say more.
            let frames: Vec<(ConnectionId, Frame)> = self.venue.gateway.frames().collect();
            if frames.is_empty() {
                return;
            }
            for (id, frame) in frames {
                match frame {
                    Frame::Text(text) => self.say(id, text),
                    Frame::Ping(_) => {
                        // The client's protocol layer answers by itself.
                        if self.venue.connections.get(&id).is_some_and(|known| !known.is_silent) {
                            let at = self.now.plus(self.delays.frame()).plus(self.delays.frame());
                            self.agenda.put(at, Happening::Pong { connection: id });
                        }
                    }
                    Frame::Close { code, reason } => {
                        self.end_connection(id, &format!("closed by the exchange: {code} {reason}"))
                    }
                }
            }
        }
    }

    fn say(&mut self, id: ConnectionId, text: Arc<str>) {
        let Some(route) = self.venue.connections.get(&id).map(|connection| connection.route) else { return };
        self.auditor.see(self.now, self.steps, Seen::Said { route: route.name(), text: &text });
        let (mut copies, mut later, mut delay) = (1, false, 0);
        let due = self.faults.lock().on_frame(route, &text);
        for fault in due {
            match fault {
                Fault::LoseFrame => copies = 0,
                Fault::DuplicateFrame => copies *= 2,
                Fault::Reorder => later = true,
                Fault::DelayFrame { ms } => delay += millis(ms),
                other => self.mishap(&other),
            }
        }
        let Some(connection) = self.venue.connections.get_mut(&id) else { return };
        if later && copies > 0 && connection.held.is_none() {
            connection.held = Some(text);
            return;
        }
        let held = connection.held.take();
        for text in std::iter::repeat_n(text, copies).chain(held) {
            self.deliver(id, text, delay);
        }
    }

    /// Puts a frame on its way, behind those before it.
    pub(super) fn deliver(&mut self, id: ConnectionId, text: Arc<str>, delay: Nanos) {
        let at = self.now.plus(self.delays.frame()).plus(delay);
        let Some(connection) = self.venue.connections.get_mut(&id) else { return };
        if connection.is_silent {
            return;
        }
        connection.last_arrival = connection.last_arrival.max(at);
        let (at, life, socket) = (connection.last_arrival, connection.life, connection.socket);
        self.agenda.put(at, Happening::Frame { life, socket, text });
    }

    /// A connection ends at the exchange, and the bot learns of it, behind the last frame.
    pub(super) fn end_connection(&mut self, id: ConnectionId, why: &str) {
        let Some(connection) = self.venue.drop_connection(id) else { return };
        self.tell_stream(connection.route);
        // Whoever is deaf does not hear that either.
        if !connection.is_silent {
            let at = self.now.plus(self.delays.frame()).max(connection.last_arrival);
            let (life, socket, why) = (connection.life, connection.socket, why.to_owned());
            self.agenda.put(at, Happening::Closed { life, socket, why });
        }
    }

    /// Tells whether the bot hears this route: one connection that is not deaf is enough, whatever became of earlier ones.
    pub(super) fn tell_stream(&mut self, route: Route) {
        let fresh = self.venue.is_heard(route, self.process.life);
        self.auditor.see(self.now, self.steps, Seen::StreamTruth { route: route.name(), fresh });
    }

    // Connections.

    fn send_connect(&mut self, life: Life, socket: SocketId, url: String) {
        let path = path_of(&url).0.to_owned();
        let faults = self.due_on_request("GET", &path);
        if self.process.life != life || self.process.is_down() {
            return;
        }
        self.trace.note(self.now, || format!("-> connect {path} as {}", socket.0));
        let mut at = self.now.plus(self.delays.request());
        for fault in &faults {
            if let Fault::Delay { ms, .. } = fault {
                at = at.plus(millis(*ms));
            }
        }
        let dropped = faults.iter().find_map(|fault| match fault {
            Fault::DropRequest { how } | Fault::DropAnswer { how } | Fault::TruncateBody { how, .. } => Some(*how),
            Fault::StallBody { .. } => Some(How::Timeout),
            _ => None,
        });
        if let Some(how) = dropped {
            let (at, error) = lost(how, at, self.now.plus(CONNECT_TIMEOUT));
            return self.agenda.put(at, Happening::Closed { life, socket, why: error.to_string() });
        }
        if self.venue.is_out(self.now) {
            return self.agenda.put(at, Happening::Closed { life, socket, why: "the connection was refused".into() });
        }
        self.agenda.put(at, Happening::Connect { life, socket, url, faults });
    }

    pub(super) fn connect_arrives(&mut self, life: Life, socket: SocketId, url: &str, faults: &[Fault]) {
        let now = self.now;
        let back = now.plus(self.delays.request());
        let closed = |why: String| Happening::Closed { life, socket, why };
        if self.process.life != life || self.process.is_down() {
            return;
        }
        if self.venue.is_out(now) {
            return self.agenda.put(back, closed("the connection was reset".into()));
        }
        if let Some(response) = faults.iter().find_map(Fault::replacement) {
            return self.agenda.put(back, closed(format!("the exchange answered HTTP {}", response.status)));
        }
        let (path, query) = path_of(url);
        let route = Route::of_path(path);
        let id = self.venue.number();
        let connection = Connection { life, socket, route, is_silent: false, held: None, last_arrival: back };
        self.venue.connections.insert(id, connection);
        if let Err(response) = self.venue.gateway.connect(now, id, path, query) {
            self.venue.connections.remove(&id);
            self.agenda.put(back, closed(format!("the exchange answered HTTP {}", response.status)));
        } else {
            self.agenda.put(back, Happening::Opened { life, socket });
            self.tell_stream(route);
        }
        self.flush_frames();
    }

    // To the bot.

    pub(super) fn answer_arrives(&mut self, life: Life, id: HttpId, answer: Result<HttpResponse, TransportError>) {
        if self.process.life != life {
            return;
        }
        let number = number(life, id);
        let got: (Option<u16>, &[(String, String)], &[u8]) = match &answer {
            Ok(response) => (Some(response.status), &response.headers, &response.body),
            Err(_) => (None, &[], &[]),
        };
        let (status, headers, body) = got;
        let seen = match &answer {
            Err(TransportError::NotSent(_)) => Seen::NotSent { id: number },
            _ => Seen::Got { id: number, status, headers, body },
        };
        self.auditor.see(self.now, self.steps, seen);
        self.trace.note(self.now, || match &answer {
            Ok(response) => format!("<- {} {}: {}", id.0, response.status, shown(&response.body)),
            Err(error) => format!("<- {} {error}", id.0),
        });
        self.hear(News::Http { id, answer });
    }

    pub(super) fn opened(&mut self, life: Life, socket: SocketId) {
        if self.process.life == life {
            self.trace.note(self.now, || format!("<- opened {}", socket.0));
            self.hear(News::Opened { socket });
        }
    }

    pub(super) fn closed(&mut self, life: Life, socket: SocketId, why: &str) {
        if self.process.life == life {
            self.trace.note(self.now, || format!("<- closed {}: {why}", socket.0));
            self.hear(News::Closed { socket, why });
        }
    }

    pub(super) fn frame_arrives(&mut self, life: Life, socket: SocketId, text: &str) {
        if self.process.life != life {
            return;
        }
        let route = self.venue.of_socket(life, socket).and_then(|id| self.venue.connections.get(&id));
        let route = route.map_or("", |connection| connection.route.name());
        self.auditor.see(self.now, self.steps, Seen::Delivered { route, text });
        self.trace.note(self.now, || format!("<- frame {}: {}", socket.0, shown(text.as_bytes())));
        self.hear(News::Frame { socket, text: text.as_bytes() });
    }
}

/// A number for the auditor that no other request of the run has.
fn number(life: Life, id: HttpId) -> u64 {
    life.0 << 32 | id.0
}

/// When, and how, a lost exchange is noticed.
fn lost(how: How, at: Timestamp, deadline: Timestamp) -> (Timestamp, TransportError) {
    match how {
        How::Timeout => (deadline, TransportError::Lost("no complete answer in time".into())),
        How::Reset => (at.min(deadline), TransportError::Lost("the connection was reset".into())),
        How::Eof | How::Close => (at.min(deadline), TransportError::Lost("the connection ended early".into())),
    }
}

fn millis(ms: u64) -> Nanos {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_MILLI)
}

/// Path and query of a URL.
fn path_of(url: &str) -> (&str, &str) {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.find('/').map_or("/", |slash| &after[slash..]);
    path.split_once('?').unwrap_or((path, ""))
}

/// The beginning of a text, for the trace.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(400).collect();
    if chars.next().is_some() { format!("{start}...") } else { start }
}
