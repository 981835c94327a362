//! A driver carries bytes between the session and the world: HTTP with reqwest, WebSockets with tokio-tungstenite.
//!
//! It decides nothing. It runs on threads of its own; the session and the engine run on one other thread, call
//! [`Driver::carry_out`], which never waits, and take what arrives from the [`Inbox`].
//!
//! # Overflow policy
//!
//! There is one queue to the engine's thread.
//!
//! - **Account frames** (every socket whose URL path has no segment `public` or `market`) and **HTTP answers** are never left out.
//!   [`DriverConfig::account_queue`] of them wait in the queue; when it is full their readers wait, and TCP makes the server wait.
//! - **Openings, closings and signals** are never left out and never wait; there are only as many as were asked for. Signals
//!   overtake everything.
//! - **Market frames** have [`DriverConfig::market_queue`] places. When they are taken, a frame that states a whole present (best bid
//!   and ask, mark price, a bar that is still open) takes the place of the newest one of the same stream that waits, and joins at the
//!   end of the queue. Any other frame (trades, differences of the book, closed bars) waits for a place, and with it its socket.
//!   After [`DriverConfig::market_patience`] the socket is closed with a reason: the session reconnects and fills the gap.
//!   Every frame left out is counted and told by [`Arrival::Conflated`].
//! - What one socket sent arrives in the order in which it was sent, its [`Arrival::Closed`] last.
//!
//! # Limits
//!
//! A body without a length (closed by the end of the connection) that is cut short looks whole from here; Binance sends a length
//! or chunks. A time-out counts as lost even if no byte had left.

#![allow(clippy::disallowed_methods, reason = "a driver lives in real time")]

mod http;
mod inbox;
mod sentence;
mod socket;
mod stream_key;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use self::inbox::{Arrival, Inbox, Received, Stop};
use crate::logging::redact;
use crate::secrets::SecretText;
use crate::service::Signals;
use crate::wire::{Effect, HttpRequest, SocketId, TransportError};
pub use tokio_tungstenite::tungstenite::Bytes;

use self::http::Http;
pub(crate) use self::inbox::Queue;
use self::socket::Life;

/// What a driver needs to know.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// The base URL of the REST interface: `https://fapi.binance.com`.
    pub rest: String,
    /// Goes into the header `X-MBX-APIKEY` of requests that ask for it.
    pub api_key: Option<SecretText>,
    /// For the TCP and TLS connection of a request; for the TCP connection and again for the handshake of a WebSocket.
    pub connect_timeout: Duration,
    /// Places for market frames in the queue.
    pub market_queue: usize,
    /// Places for account frames and HTTP answers in the queue.
    pub account_queue: usize,
    /// How long a market frame that may not be left out waits for a place before its socket is closed.
    pub market_patience: Duration,
    /// The longest HTTP body, in bytes; exchangeInfo has about 2 MB.
    pub max_body: usize,
    /// The longest WebSocket message, in bytes.
    pub max_message: usize,
    /// Reads at one time, and as many writes beside them; more wait for their turn.
    pub requests_in_flight: usize,
    /// Requests under way or waiting for their turn; more are refused as not sent.
    pub requests_waiting: usize,
    /// Whether SIGINT and SIGTERM become [`Arrival::Signal`].
    pub signals: bool,
}

impl DriverConfig {
    pub fn new(rest: impl Into<String>) -> DriverConfig {
        DriverConfig {
            rest: rest.into(),
            api_key: None,
            connect_timeout: Duration::from_secs(3),
            market_queue: 8_192,
            account_queue: 8_192,
            market_patience: Duration::from_secs(5),
            max_body: 64 << 20,
            max_message: 16 << 20,
            requests_in_flight: 16,
            requests_waiting: 1_024,
            signals: false,
        }
    }
}

/// Why a driver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a base URL: write something like https://fapi.binance.com for --rest-url")]
    BadUrl(String),
    #[error("the API key holds characters that no HTTP header can carry: copy it again into config/secrets.yaml")]
    BadKey,
    #[error("TLS cannot be set up ({0}): install the system's certificates (package ca-certificates)")]
    Tls(String),
    #[error("the driver's threads cannot start ({0}): check the limits on processes and open files (ulimit -a)")]
    Threads(std::io::Error),
    #[error("SIGINT and SIGTERM cannot be caught ({0}): check what the process is allowed to do (seccomp, container)")]
    Signals(std::io::Error),
}

/// The sockets and the threads they live on. Dropping it ends them all.
pub struct Driver {
    runtime: Option<Runtime>,
    http: Arc<Http>,
    /// Room for requests under way or waiting for their turn.
    line: Arc<Semaphore>,
    sockets: Arc<Mutex<BTreeMap<SocketId, Handle>>>,
    queue: Arc<Queue>,
    config: DriverConfig,
}

/// How the engine's thread reaches the task of a socket.
struct Handle {
    texts: mpsc::Sender<String>,
    end: Option<oneshot::Sender<String>>,
}

/// Texts that wait for their turn on one socket. At eight a second this is far more than a session ever asks for.
const TEXTS_WAITING: usize = 256;

impl Driver {
    /// Starts the driver's threads; nothing is connected yet.
    pub fn start(config: DriverConfig) -> Result<(Driver, Inbox), Error> {
        let http = Arc::new(Http::new(&config)?);
        let queue = Queue::new(config.market_queue, config.account_queue);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(4) // Names are resolved there.
            .thread_name("alphaengine-io")
            .enable_all()
            .build()
            .map_err(Error::Threads)?;
        if config.signals {
            let _inside = runtime.enter();
            let signals = Signals::catch().map_err(Error::Signals)?;
            runtime.spawn(signals.tell(Arc::clone(&queue)));
        }
        let driver = Driver {
            runtime: Some(runtime),
            http,
            line: Arc::new(Semaphore::new(config.requests_waiting.clamp(1, Semaphore::MAX_PERMITS))),
            sockets: Arc::default(),
            queue: Arc::clone(&queue),
            config,
        };
        Ok((driver, Inbox::new(queue)))
    }

    /// Carries out an effect that needs a socket, without waiting, and gives back those that are the engine thread's own:
    /// [`Effect::Timer`] and [`Effect::Input`].
    #[must_use = "timers and inputs come back and are the caller's to carry out"]
    pub fn carry_out(&self, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::Http(request) => self.ask(request),
            Effect::Open { socket, url } => self.open(socket, url),
            Effect::Send { socket, text } => self.send(socket, text),
            Effect::Close { socket } => self.close(socket, "closed as asked"),
            own @ (Effect::Timer { .. } | Effect::Input(_)) => return Some(own),
        }
        None
    }

    fn ask(&self, request: HttpRequest) {
        let (http, queue) = (Arc::clone(&self.http), Arc::clone(&self.queue));
        let place = Arc::clone(&self.line).try_acquire_owned();
        let waiting = self.config.requests_waiting;
        self.spawn(async move {
            let id = request.id;
            let answer = match &place {
                Ok(_) => http_answer(http, request).await,
                Err(_) => Err(TransportError::NotSent(format!("{waiting} requests are waiting already"))),
            };
            // Whoever hears the answer finds the place free.
            drop(place);
            // Without a reader there is nobody to tell.
            let _ = queue.account(Arrival::Http { id, answer }).await;
        });
    }

    fn open(&self, socket: SocketId, url: String) {
        let (texts, receive) = mpsc::channel(TEXTS_WAITING);
        let (end, ended) = oneshot::channel();
        let life = Life {
            socket,
            url,
            texts: receive,
            end: ended,
            queue: Arc::clone(&self.queue),
            connect_timeout: self.config.connect_timeout,
            max_message: self.config.max_message,
            market_patience: self.config.market_patience,
        };
        self.sockets().insert(socket, Handle { texts, end: Some(end) });
        let (sockets, queue) = (Arc::clone(&self.sockets), Arc::clone(&self.queue));
        self.spawn(async move {
            // In a task of its own, so that even a panic in a library ends in a closing that the session hears of.
            let why = match tokio::spawn(life.live()).await {
                Ok(why) => why,
                Err(failure) => format!("the socket's task failed: {failure}"),
            };
            sockets.lock().unwrap_or_else(PoisonError::into_inner).remove(&socket);
            // A reason may quote the server.
            queue.tell(Arrival::Closed { socket, why: redact(&why).into_owned() });
        });
    }

    /// A text for a socket that is gone is dropped: its closing is on the way.
    fn send(&self, socket: SocketId, text: String) {
        let full = self
            .sockets()
            .get(&socket)
            .is_some_and(|handle| matches!(handle.texts.try_send(text), Err(mpsc::error::TrySendError::Full(_))));
        if full {
            self.close(socket, "too many texts wait to be sent");
        }
    }

    fn close(&self, socket: SocketId, why: &str) {
        if let Some(end) = self.sockets().get_mut(&socket).and_then(|handle| handle.end.take()) {
            // If nobody listens any more the socket is closing already.
            let _ = end.send(why.to_owned());
        }
    }

    /// Waits until the requests under way are answered, so that what was said last is heard: dropping the driver ends them.
    pub fn farewell(&self, patience: Duration) {
        let all = u32::try_from(self.config.requests_waiting.max(1)).unwrap_or(u32::MAX);
        if let Some(runtime) = &self.runtime {
            // A timer belongs to a runtime, so it is made inside.
            let _ =
                runtime.block_on(async { tokio::time::timeout(patience, self.line.acquire_many(all)).await.is_ok() });
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }

    fn sockets(&self) -> MutexGuard<'_, BTreeMap<SocketId, Handle>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a task of its own, so that even a panic in a library ends in an answer; what became of the request is then unknown.
async fn http_answer(http: Arc<Http>, request: HttpRequest) -> Result<crate::wire::HttpResponse, TransportError> {
    match tokio::spawn(async move { http.ask(&request).await }).await {
        Ok(answer) => answer,
        Err(failure) => Err(TransportError::Lost(format!("the request's task failed: {failure}"))),
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Tasks end at their next pause; a name that is being resolved is not waited for.
            runtime.shutdown_background();
        }
        self.queue.end();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("config", &self.config).finish_non_exhaustive()
    }
}
