//! A Server listens, accepts, and runs the market, on one thread of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::Feed;
use alphaengine_core::units::Timestamp;
use alphaengine_sim::faults::Faults;
use alphaengine_sim::gateway::Gateway;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::config::{ServerConfig, Speed, Start};
use crate::error::Error;
use crate::exchange::{Exchange, wall};
use crate::http;
use crate::market::{self, Anchor};
use crate::replay::Replay;
use crate::wire::WiredStream;

/// How long the timer sleeps at most, and how long an accept loop in trouble waits.
const A_WHILE: Duration = Duration::from_secs(1);

/// A running exchange. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

/// What is left of a stopped server: the gateway with its account and the market where it was. [`Server::restart`] goes on
/// with them, as an exchange does that restarts and keeps its accounts.
pub struct Parts {
    pub gateway: Gateway,
    instruments: Instruments,
    replay: Replay,
    faults: Faults,
    anchor: Anchor,
}

/// What the server's tasks share.
pub(crate) struct Shared {
    exchange: Mutex<Exchange>,
    pub(crate) speed: Speed,
    pub(crate) anchor: Anchor,
    idle_at_end: bool,
    end: Mutex<Option<Result<(), String>>>,
    ended: Condvar,
    stop: Notify,
}

impl Shared {
    /// The exchange, for a moment: the lock is never held while waiting.
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One instant of the market, both halves.
    pub(crate) fn market_passes(&self) {
        let passed = self.exchange().market_passes();
        if let Err(error) = passed {
            self.ends_with(Err(match error {
                Error::Feed(what) => what,
                other => other.to_string(),
            }));
        }
    }

    pub(crate) fn data_are_over(&self) {
        if !self.idle_at_end {
            self.ends_with(Ok(()));
        }
    }

    /// The first end is the one that is told.
    fn ends_with(&self, how: Result<(), String>) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.get_or_insert(how);
        self.ended.notify_all();
    }
}

impl Server {
    /// Listens and opens the market.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the data hold nothing behind the history.
    pub fn start<F: Feed + Send + 'static>(
        config: ServerConfig,
        instruments: &Instruments,
        feed: F,
    ) -> Result<Server, Error> {
        // Before the data are read, which may take a while.
        let listener = listen(config.address)?;
        let mut gateway = Gateway::new(config.gateway, config.sim, instruments);
        let now = wall();
        let since = Instant::now();
        let replay = Replay::open(feed, config.history, config.start, now, |update| gateway.history(update))?;
        let market = match config.start {
            Start::Now => now,
            Start::Recording => replay.opening(),
        };
        let parts = Parts {
            gateway,
            instruments: instruments.clone(),
            replay,
            faults: Faults::new(config.faults),
            anchor: Anchor { wall: since, market },
        };
        Server::run(listener, config.speed, config.idle_at_end, parts)
    }

    /// Goes on with what [`Server::stop`] gave back. Of `config` only address, speed and what to do at the end count. Market time
    /// went on in the meantime: what was missed happens at once.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn restart(config: &ServerConfig, parts: Parts) -> Result<Server, Error> {
        Server::run(listen(config.address)?, config.speed, config.idle_at_end, parts)
    }

    fn run(listener: TcpListener, speed: Speed, idle_at_end: bool, parts: Parts) -> Result<Server, Error> {
        let address = listener.local_addr().map_err(Error::Thread)?;
        let Parts { gateway, instruments, replay, faults, anchor } = parts;
        let shared = Arc::new(Shared {
            exchange: Mutex::new(Exchange::new(gateway, instruments, replay, faults)),
            speed,
            anchor,
            idle_at_end,
            end: Mutex::new(None),
            ended: Condvar::new(),
            stop: Notify::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let for_thread = Arc::clone(&shared);
        let body = move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = for_thread.stop.notified() => {}
                    () = serve(&for_thread, listener, address) => {}
                }
                // Whoever is connected is told by a reset.
                for_thread.exchange().reset_all();
            });
            // The tasks, their connections and their hold on the exchange end here, before the thread does.
            drop(runtime);
        };
        let thread = std::thread::Builder::new().name("exchange".to_owned()).spawn(body).map_err(Error::Thread)?;
        Ok(Server { shared, address, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the gateway, or changes it. What it has to say afterwards is sent.
    pub fn with_gateway<T>(&self, look: impl FnOnce(&mut Gateway) -> T) -> T {
        let mut exchange = self.shared.exchange();
        let seen = look(&mut exchange.gateway);
        exchange.flush();
        seen
    }

    /// Waits until the server is over: when the data are, and it was not asked to idle then.
    ///
    /// # Errors
    /// When the data could not be read on: the server still answers. When its thread has ended by a panic.
    pub fn wait(&self) -> Result<(), Error> {
        while !self.wait_for(A_WHILE)? {}
        Ok(())
    }

    /// As [`Server::wait`], for at most `span`. True when the server is over.
    ///
    /// # Errors
    /// As [`Server::wait`].
    pub fn wait_for(&self, span: Duration) -> Result<bool, Error> {
        let end = self.shared.end.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.ended.wait_timeout_while(end, span, |end| end.is_none());
        let (end, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*end {
            None if self.thread.as_ref().is_none_or(JoinHandle::is_finished) => Err(Error::Died),
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(Error::Feed(error.clone())),
        }
    }

    /// Resets all connections, frees the port, and gives back the exchange.
    pub fn stop(mut self) -> Parts {
        self.halt();
        let mut shared = Arc::clone(&self.shared);
        drop(self);
        // The thread is over and nobody else holds the exchange; only its very last drop may still be under way.
        let shared = loop {
            match Arc::try_unwrap(shared) {
                Ok(shared) => break shared,
                Err(still_held) => shared = still_held,
            }
            std::thread::yield_now();
        };
        let mut exchange = shared.exchange.into_inner().unwrap_or_else(PoisonError::into_inner);
        exchange.forget_connections();
        let Exchange { gateway, instruments, replay, faults, .. } = exchange;
        Parts { gateway, instruments, replay, faults, anchor: shared.anchor }
    }

    fn halt(&mut self) {
        self.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told so on its own.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt();
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).map_err(|source| Error::listen(address, source))?;
    listener.set_nonblocking(true).map_err(|source| Error::listen(address, source))?;
    Ok(listener)
}

/// Everything at once, for ever.
async fn serve(shared: &Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let market = async {
        market::run(shared).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = market => {}
        () = keep_time(shared) => {}
        () = accept(shared, listener, address) => {}
    }
}

/// Calls the gateway when something is due by the wall clock.
async fn keep_time(shared: &Shared) {
    let changed = Arc::clone(&shared.exchange().changed);
    loop {
        let sooner = changed.notified();
        let next = shared.exchange().gateway.next_tick();
        tokio::select! {
            () = tokio::time::sleep(until(next).min(A_WHILE)) => {}
            () = sooner => {}
        }
        if shared.exchange().gateway.next_tick() <= wall() {
            shared.exchange().tick();
            // A tick that asks for another one at once must not keep everybody else from their turn.
            tokio::task::yield_now().await;
        }
    }
}

fn until(at: Timestamp) -> Duration {
    Duration::from_nanos(u64::try_from(at.since(wall())).unwrap_or(0))
}

/// Takes connections; during an outage the port is closed.
async fn accept(shared: &Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let changed = Arc::clone(&shared.exchange().changed);
    let mut listener = tokio::net::TcpListener::from_std(listener).ok();
    loop {
        let something = changed.notified();
        let outage = shared.exchange().outage_until;
        if let Some(until) = outage {
            listener = None;
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {
                    shared.exchange().outage_until.take_if(|until| *until <= Instant::now());
                }
                () = something => {}
            }
            continue;
        }
        let Some(open) = &listener else {
            listener = listen(address)
                .and_then(|new| tokio::net::TcpListener::from_std(new).map_err(|source| Error::listen(address, source)))
                .ok();
            if listener.is_none() {
                tokio::time::sleep(A_WHILE / 10).await;
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => match accepted {
                Ok((stream, _)) => take(shared, stream),
                // Out of descriptors, most likely: others have to end first.
                Err(_) => tokio::time::sleep(A_WHILE / 10).await,
            },
            () = something => {}
        }
    }
}

/// Serves a connection in a task of its own.
fn take(shared: &Arc<Shared>, stream: TcpStream) {
    let _: io::Result<()> = stream.set_nodelay(true);
    let (connection, wire) = shared.exchange().accepted();
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let stream = TokioIo::new(WiredStream::new(stream, Arc::clone(&wire)));
        let answer = service_fn(|request| http::answer(Arc::clone(&shared), Arc::clone(&wire), request));
        let served = http1::Builder::new().pipeline_flush(true).serve_connection(stream, answer).with_upgrades();
        tokio::select! {
            biased;
            () = wire.is_cut() => {}
            // An error here is a client that went away, or a fault that was asked for.
            _ = served => {}
        }
        shared.exchange().is_gone(connection);
    });
}
