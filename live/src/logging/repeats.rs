//! Repeats are held back and counted, so that a storm of one message hides no other.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a message is remembered after it was first said.
pub(crate) const SPAN: Duration = Duration::from_secs(10);
/// Lines that agree in everything: said once in [`SPAN`].
const SAME_LINE: u32 = 1;
/// Lines that differ in their fields only, such as fills of several orders: said so often in [`SPAN`].
const SAME_MESSAGE: u32 = 20;
/// More different messages than this are not remembered, and so all are said.
const REMEMBERED: usize = 2_048;

/// What was said lately. It reads no clock.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    known: BTreeMap<String, Known>,
    /// The keys of `known`, oldest first.
    order: VecDeque<(Instant, String)>,
}

#[derive(Debug)]
struct Known {
    said: u32,
    held: u64,
}

impl Repeats {
    /// Whether a line is to be said. `message` names its origin, level and message, `line` also its fields.
    pub(crate) fn say(&mut self, now: Instant, message: &str, line: &str) -> bool {
        // The two kinds of keys are kept apart by a first letter.
        self.within(now, format!("L{line}"), SAME_LINE) && self.within(now, format!("M{message}"), SAME_MESSAGE)
    }

    /// The lines held back whose time is over, each with how many; with `all`, those whose time is not over as well.
    pub(crate) fn held(&mut self, now: Instant, all: bool) -> Vec<(String, u64)> {
        let mut told = Vec::new();
        while let Some((since, _)) = self.order.front() {
            if !all && now.duration_since(*since) < SPAN {
                break;
            }
            let Some((_, key)) = self.order.pop_front() else { break };
            if let Some(known) = self.known.remove(&key)
                && known.held > 0
            {
                told.push((key.get(1..).unwrap_or_default().to_owned(), known.held));
            }
        }
        told
    }

    fn within(&mut self, now: Instant, key: String, limit: u32) -> bool {
        if let Some(known) = self.known.get_mut(&key) {
            if known.said >= limit {
                known.held += 1;
                return false;
            }
            known.said += 1;
            return true;
        }
        if self.known.len() < REMEMBERED {
            self.order.push_back((now, key.clone()));
            self.known.insert(key, Known { said: 1, held: 0 });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_said_once_and_then_counted() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert!(repeats.say(start, "m", "m a=1"));
        for _ in 0..5 {
            assert!(!repeats.say(start, "m", "m a=1"));
        }
        assert_eq!(repeats.held(start + SPAN / 2, false), vec![]);
        assert_eq!(repeats.held(start + SPAN, false), vec![("m a=1".to_owned(), 5)]);
        assert!(repeats.say(start + SPAN, "m", "m a=1"));
    }

    #[test]
    fn lines_with_other_fields_are_said_until_they_become_a_storm() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let said = (0..100).filter(|n| repeats.say(start, "filled", &format!("filled id={n}"))).count();
        assert_eq!(said, SAME_MESSAGE as usize);
        assert_eq!(repeats.held(start, true), vec![("filled".to_owned(), 80)]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        for n in 0..10 * REMEMBERED {
            assert!(repeats.say(start, &n.to_string(), &n.to_string()));
        }
        assert!(repeats.known.len() <= REMEMBERED && repeats.order.len() <= REMEMBERED);
    }
}
