//! Service life: signals become arrivals, and the service manager hears how the program is.
//!
//! Without `NOTIFY_SOCKET` in the environment (no systemd, or not `Type=notify`) everything here is silent.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::driver::{Queue, Stop};

/// What a shell reports for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// SIGINT and SIGTERM, from now on caught.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Must be called within a tokio runtime.
    pub(crate) fn catch() -> io::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Tells the first and the second signal to the engine's thread. The third ends the process on the spot: it means that
    /// the engine's thread does not react, and an operator must always get out.
    pub(crate) async fn tell(mut self, queue: Arc<Queue>) {
        for stop in [Stop::InOrder, Stop::AtOnce] {
            self.next().await;
            queue.interrupt(stop);
        }
        self.next().await;
        std::process::exit(INTERRUPTED);
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Talks to the service manager. The engine's thread owns it and calls [`pet`](ServiceManager::pet) in its loop, so that the
/// watchdog watches the thread that decides and not some timer beside it.
#[derive(Debug)]
pub struct ServiceManager {
    /// Half of what the manager allows; `None` when it does not watch.
    every: Option<Duration>,
    petted: Option<Instant>,
}

impl ServiceManager {
    /// Reads `WATCHDOG_USEC` and `WATCHDOG_PID` from the environment.
    pub fn from_environment() -> ServiceManager {
        ServiceManager { every: sd_notify::watchdog_enabled().map(|limit| limit / 2), petted: None }
    }

    /// Start-up is finished.
    pub fn ready(&self) {
        notify(NotifyState::Ready);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        notify(NotifyState::Status(line));
    }

    /// The program stops in order.
    pub fn stopping(&self) {
        notify(NotifyState::Stopping);
    }

    /// Shows the watchdog that the caller lives, if that is due. Cheap enough for every round of a loop.
    pub fn pet(&mut self, now: Instant) {
        let Some(every) = self.every else { return };
        if self.petted.is_none_or(|petted| now.duration_since(petted) >= every) {
            notify(NotifyState::Watchdog);
            self.petted = Some(now);
        }
    }

    /// When [`pet`](ServiceManager::pet) is due next: a loop must not sleep longer.
    pub fn next_pet(&self) -> Option<Instant> {
        Some(self.petted? + self.every?)
    }
}

/// A manager that cannot be told is no reason to stop.
fn notify(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
