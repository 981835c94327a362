//! Locks that open files hold against each other: SQLite's ladder on the database, and the slots of its shared memory.

use super::Failure;

/// How far an open file has locked the database. <https://sqlite.org/lockingv3.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    pub const ALL: [Level; 5] = [Level::None, Level::Shared, Level::Reserved, Level::Pending, Level::Exclusive];

    /// The level that is reached from here when others are at theirs, and whether it is the one that was wanted.
    pub fn climb(self, wanted: Level, others: &[Level]) -> (Level, Result<(), Failure>) {
        let highest = others.iter().copied().max().unwrap_or_default();
        if self >= wanted {
            return (self, Ok(()));
        }
        match wanted {
            Level::Shared if highest < Level::Pending => (Level::Shared, Ok(())),
            Level::Reserved if highest < Level::Reserved => (Level::Reserved, Ok(())),
            Level::Exclusive if highest == Level::None => (Level::Exclusive, Ok(())),
            // Nobody new comes in, so it is enough to wait for the readers that are there.
            Level::Exclusive if highest == Level::Shared && self >= Level::Reserved => {
                (Level::Pending, Err(Failure::Busy))
            }
            _ => (self, Err(Failure::Busy)),
        }
    }
}

/// The slots of the shared memory that one open file holds, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slots {
    shared: u32,
    exclusive: u32,
}

impl Slots {
    pub fn take(&mut self, mask: u32, is_exclusive: bool, others: &[Slots]) -> Result<(), Failure> {
        let theirs = others.iter().fold(Slots::default(), |all, slots| Slots {
            shared: all.shared | slots.shared,
            exclusive: all.exclusive | slots.exclusive,
        });
        let in_the_way = if is_exclusive { theirs.shared | theirs.exclusive } else { theirs.exclusive };
        if in_the_way & mask != 0 {
            return Err(Failure::Busy);
        }
        if is_exclusive {
            self.exclusive |= mask;
        } else {
            self.shared |= mask;
        }
        Ok(())
    }

    pub fn release(&mut self, mask: u32) {
        self.shared &= !mask;
        self.exclusive &= !mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_and_waits_for_the_readers() {
        use Level::{Exclusive, None, Pending, Reserved, Shared};
        for (own, wanted, others, reached, is_busy) in [
            (None, Shared, &[Shared, Reserved][..], Shared, false),
            (None, Shared, &[Pending], None, true),
            (None, Shared, &[Exclusive], None, true),
            (Shared, Reserved, &[Shared], Reserved, false),
            (Shared, Reserved, &[Reserved], Shared, true),
            (Reserved, Exclusive, &[Shared, None], Pending, true),
            (Pending, Exclusive, &[None], Exclusive, false),
            (Shared, Exclusive, &[], Exclusive, false),
            (Shared, Exclusive, &[Shared], Shared, true),
            (Exclusive, Shared, &[], Exclusive, false),
        ] {
            let (level, ended) = own.climb(wanted, others);
            assert_eq!((level, ended.is_err()), (reached, is_busy), "{own:?} to {wanted:?} beside {others:?}");
        }
    }

    #[test]
    fn a_slot_is_held_by_many_readers_or_by_one_writer() {
        let (mut reader, mut writer) = (Slots::default(), Slots::default());
        reader.take(0b1000, false, &[writer]).unwrap();
        writer.take(0b1000, false, &[reader]).unwrap();
        writer.release(0b1000);
        assert!(writer.take(0b1100, true, &[reader]).is_err());
        reader.release(0b1000);
        writer.take(0b1100, true, &[reader]).unwrap();
        assert!(reader.take(0b0100, false, &[writer]).is_err());
        assert!(reader.take(0b0001, true, &[writer]).is_ok());
    }
}
