//! Mishaps: what a plan does to the exchange as a whole, to the disk and to the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos};
use alphaengine_sim::auditor::Invariant;
use alphaengine_sim::faults::{DiskFile, Fault, How, Route};

use super::World;
use super::agenda::Happening;
use super::process::down_for;

impl<S: Strategy> World<'_, S> {
    /// Lets a fault happen that concerns no single request, frame or operation.
    pub(super) fn mishap(&mut self, fault: &Fault) {
        let now = self.now;
        self.trace.note(now, || format!("!! {}", serde_json::to_string(fault).unwrap_or_default()));
        match fault {
            Fault::CloseSocket { route, how } => self.close_route(*route, *how),
            Fault::HalfOpen { route } => {
                for id in self.venue.of_route(*route) {
                    if let Some(connection) = self.venue.connections.get_mut(&id) {
                        connection.is_silent = true;
                    }
                }
                self.tell_stream(*route);
            }
            Fault::Say { route, text } => {
                let text: Arc<str> = text.as_str().into();
                self.venue.of_route(*route).into_iter().for_each(|id| self.deliver(id, Arc::clone(&text), 0));
            }
            Fault::Outage { seconds: length } => {
                self.venue.outage_until = now.plus(seconds(*length));
                Route::ALL.into_iter().for_each(|route| self.close_route(route, How::Reset));
            }
            Fault::ExpireListenKeys => self.venue.gateway.expire_listen_keys(now),
            Fault::Ban { seconds: length } => self.venue.gateway.ban(now.plus(seconds(*length))),
            Fault::Throttle { seconds: length } => self.venue.gateway.throttle(now.plus(seconds(*length))),
            Fault::Clock { shift_ms } => {
                self.clock_shift_ms = self.clock_shift_ms.saturating_add(*shift_ms);
                self.venue.gateway.shift_clock(*shift_ms);
            }
            Fault::Lag { ms, seconds: length } => {
                let by = i64::try_from(*ms).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND / 1_000);
                self.venue.gateway.lag_queries(now, by, now.plus(seconds(*length)));
            }
            Fault::ManualOrder { amount } => {
                let found = self.scenario.instruments.id(&amount.symbol);
                if let Some(symbol) = found
                    && let Err(refusal) = self.venue.gateway.manual_order(now, symbol, amount.qty)
                {
                    self.trace.note(now, || format!("   refused: {refusal}"));
                }
            }
            Fault::Transfer { amount } => {
                let moved = self.venue.gateway.transfer(now, *amount);
                self.meter.transferred(moved);
            }
            Fault::Filters { symbol, times } => {
                if let Some(symbol) = self.scenario.instruments.id(symbol) {
                    self.venue.gateway.filters(now, symbol, *times);
                }
            }
            Fault::BitFlip { file, bit } => {
                self.disk_lied = true;
                self.disk.flip_bit(&path_of(*file), *bit);
            }
            Fault::Truncate { file, keep } => {
                self.disk_lied = true;
                self.crash(down_for(fault));
                self.disk.truncate(&path_of(*file), *keep);
            }
            Fault::Remove { file } => {
                self.disk_lied = true;
                self.crash(down_for(fault));
                self.disk.remove_file(&path_of(*file));
            }
            Fault::OldBackup => {
                if let Some(image) = self.process.backup.clone() {
                    self.disk_lied = true;
                    self.crash(down_for(fault));
                    // As a backup should be: the database with its log, and without the head mark, which stays where it is.
                    self.disk.restore(&image, &[Path::new("bot.db"), Path::new("bot.db-wal")]);
                }
            }
            Fault::StuckReader { seconds: length } => self.read_and_hold(seconds(*length)),
            Fault::SecondInstance => self.second_instance(),
            Fault::Crash { .. } => self.crash(down_for(fault)),
            Fault::PowerLoss { seed, .. } => {
                self.disk.lose_power(*seed ^ self.options.seed);
                self.crash(down_for(fault));
            }
            // Those of a request, a frame or an operation are carried out where they happen.
            _ => {}
        }
        self.flush_frames();
    }

    fn close_route(&mut self, route: Route, how: How) {
        if how == How::Close {
            let doors: &[&str] = if route == Route::Other { &["legacy", "ws-api"] } else { &[route.name()] };
            doors.iter().for_each(|door| self.venue.gateway.close_route(door));
            return self.flush_frames();
        }
        let why = if how == How::Reset { "the connection was reset" } else { "the connection ended early" };
        self.venue.of_route(route).into_iter().for_each(|id| self.end_connection(id, why));
    }

    /// Somebody reads the store in one long transaction.
    fn read_and_hold(&mut self, length: Nanos) {
        if !self.is_trading() || self.process.reader.is_some() {
            return;
        }
        let reader = rusqlite::Connection::open(path_of(DiskFile::Db));
        let held = reader.and_then(|reader| {
            reader.execute_batch("BEGIN; SELECT COUNT(*) FROM event_store;")?;
            Ok(reader)
        });
        if let Ok(held) = held {
            self.process.reader = Some(held);
            self.agenda.put(self.now.plus(length), Happening::ReaderLeaves);
        }
    }

    /// A second process opens the store while the first one has it.
    fn second_instance(&mut self) {
        if !self.is_trading() {
            return;
        }
        let opened = self.open_second();
        self.auditor.check(Invariant::I25, self.now, self.steps, opened.is_err(), || {
            "a second process opened the store while the first one had it".to_owned()
        });
    }
}

fn path_of(file: DiskFile) -> PathBuf {
    match file {
        DiskFile::Db => "bot.db",
        DiskFile::Wal => "bot.db-wal",
        DiskFile::Head => "bot.db.head",
        DiskFile::Other => "bot.db-journal",
    }
    .into()
}

fn seconds(count: u64) -> Nanos {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND)
}
