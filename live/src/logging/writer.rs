//! The writer is a thread that writes lines, so that whoever logs never waits for a terminal, a pipe or a disk.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait; more are left out and counted.
const WAITING: usize = 4_096;
/// How often the thread wakes when nothing is logged, to tell what was held back.
const IDLE: Duration = Duration::from_secs(1);
/// How long the end of the program waits for the last lines.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often the end of the program looks for room in the queue.
const RETRY: Duration = Duration::from_millis(5);

enum Order {
    Line(String),
    Flush(SyncSender<()>),
}

/// What takes lines.
#[derive(Clone)]
pub(crate) struct Lines {
    orders: SyncSender<Order>,
    left_out: Arc<AtomicU64>,
}

impl Lines {
    /// Never waits.
    pub(crate) fn write(&self, line: String) {
        match self.orders.try_send(Order::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Keeps the log alive; dropping it tells what was held back and waits a moment for the last lines.
pub struct LogGuard {
    lines: Lines,
    last_words: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        for line in (self.last_words)() {
            self.lines.write(line);
        }
        let (done, wait) = sync_channel(1);
        let mut flush = Order::Flush(done);
        let deadline = Instant::now() + FAREWELL;
        // A log that cannot be written in time is given up.
        while let Err(TrySendError::Full(unsent)) = self.lines.orders.try_send(flush) {
            if Instant::now() >= deadline {
                return;
            }
            flush = unsent;
            thread::sleep(RETRY);
        }
        let _ = wait.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Starts the thread. `held` gives the lines that are due when nothing else happens, `all` at the end.
pub(crate) fn start(
    out: Box<dyn Write + Send>,
    note: impl Fn(u64) -> String + Send + 'static,
    held: impl Fn(bool) -> Vec<String> + Clone + Send + Sync + 'static,
) -> io::Result<(Lines, LogGuard)> {
    let (orders, receive) = sync_channel(WAITING);
    let left_out = Arc::new(AtomicU64::new(0));
    let lines = Lines { orders, left_out: Arc::clone(&left_out) };
    let due = held.clone();
    thread::Builder::new()
        .name("alphaengine-log".to_owned())
        .spawn(move || write_all(out, &receive, &left_out, &note, &|| due(false)))?;
    let guard = LogGuard { lines: lines.clone(), last_words: Box::new(move || held(true)) };
    Ok((lines, guard))
}

fn write_all(
    mut out: Box<dyn Write + Send>,
    orders: &Receiver<Order>,
    left_out: &AtomicU64,
    note: &dyn Fn(u64) -> String,
    due: &dyn Fn() -> Vec<String>,
) {
    // A write that fails is forgotten: there is nowhere left to complain.
    let mut write = |line: &str| {
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    };
    loop {
        let order = orders.recv_timeout(IDLE);
        if let Ok(Order::Line(line)) = &order {
            write(line);
        }
        let lost = left_out.swap(0, Ordering::Relaxed);
        if lost > 0 {
            write(&note(lost));
        }
        match order {
            Ok(Order::Line(_)) => {}
            Ok(Order::Flush(done)) => {
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => due().iter().for_each(|line| write(line)),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
