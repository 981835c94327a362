//! The Content of a file: the bytes that readers see, and what of them a loss of power would take back.

use std::collections::BTreeMap;

use super::dice::Dice;

/// What the operating system keeps and drops as one.
const PAGE: usize = 4_096;
/// What the disk writes as one, unless it is torn.
const SECTOR: usize = 512;

/// A file's bytes. For each page that was changed since the last sync the durable bytes are kept.
#[derive(Debug, Clone, Default)]
pub struct Content {
    bytes: Vec<u8>,
    durable_len: usize,
    /// By number of the page. A page in neither of these two maps is durable as it is.
    unsynced: BTreeMap<usize, Page>,
    /// The durable bytes of pages that a failed sync gave up: they are shown until the file is opened again.
    lost: BTreeMap<usize, Box<[u8]>>,
    /// The durable length, where a failed sync gave up another one.
    lost_len: Option<usize>,
}

#[derive(Debug, Clone)]
struct Page {
    /// Its durable bytes, as far as the file was durable.
    durable: Box<[u8]>,
    /// Which of its sectors were written, a bit each.
    written: u8,
}

impl Content {
    /// Bytes that are durable.
    pub fn durable(bytes: Vec<u8>) -> Content {
        Content { durable_len: bytes.len(), bytes, ..Content::default() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For what happens to the medium itself: no sync tells of it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether a loss of power could take something back.
    pub fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty() || !self.lost.is_empty() || self.durable_len != self.bytes.len()
    }

    pub fn write(&mut self, offset: usize, data: &[u8]) {
        self.touch(offset, offset + data.len());
        if self.bytes.len() < offset {
            self.bytes.resize(offset, 0);
        }
        let (over, beyond) = data.split_at(data.len().min(self.bytes.len() - offset));
        if let Some(place) = self.bytes.get_mut(offset..offset + over.len()) {
            place.copy_from_slice(over);
        }
        self.bytes.extend_from_slice(beyond);
    }

    pub fn truncate(&mut self, len: usize) {
        let is_durable = self.durable_len.min(self.bytes.len());
        if len < is_durable {
            self.touch(len, is_durable);
        }
        // What was never durable leaves no trace.
        let gone = len.max(self.durable_len).div_ceil(PAGE);
        drop(self.unsynced.split_off(&gone));
        drop(self.lost.split_off(&gone));
        self.bytes.resize(len, 0);
    }

    /// Makes everything durable that was not given up.
    pub fn sync(&mut self) {
        self.unsynced.clear();
        self.durable_len = self.bytes.len();
        self.lost_len = None;
    }

    /// The sync failed. Linux takes the pages for clean then: no later sync writes them, and the file shows them until it needs
    /// their memory; here, until somebody opens it.
    pub fn fail_sync(&mut self) {
        let given_up = std::mem::take(&mut self.unsynced);
        self.lost.extend(given_up.into_iter().map(|(number, page)| (number, page.durable)));
        if self.durable_len != self.bytes.len() {
            self.lost_len = Some(self.durable_len);
        }
    }

    /// Shows what the disk holds of the pages that a failed sync gave up.
    pub fn forget_lost(&mut self) {
        if let Some(len) = self.lost_len.take() {
            let last = self.unsynced.last_key_value().map_or(0, |(number, _)| (number + 1) * PAGE);
            self.bytes.resize(len.max(last.min(self.bytes.len())), 0);
        }
        for (number, durable) in std::mem::take(&mut self.lost) {
            overwrite(&mut self.bytes, number * PAGE, PAGE, &durable);
        }
    }

    /// The power is gone: of what was written since the last sync a part stands, by sectors, some of them torn.
    pub fn lose_power(&mut self, dice: &mut Dice) {
        self.forget_lost();
        let (written, durable) = (self.bytes.len(), self.durable_len);
        let len = match dice.below(3) {
            0 => written,
            1 => durable,
            _ if written > durable => durable + dice.below((written - durable) / SECTOR + 1) * SECTOR,
            _ => written,
        };
        self.bytes.resize(written.max(durable), 0);
        // In eighths. All or nothing has to come to pass often, however much there is.
        let stands = [0, 1, 4, 7, 8][dice.below(5)];
        for (number, page) in std::mem::take(&mut self.unsynced) {
            for sector in (0..PAGE / SECTOR).filter(|sector| page.written & (1 << sector) != 0) {
                let begin = sector * SECTOR;
                let old = page.durable.get(begin..).unwrap_or_default();
                // Nothing was written where the file was cut off.
                let new = written.saturating_sub(number * PAGE + begin).min(SECTOR);
                let keeps = if dice.below(8) < stands { new } else { 0 };
                let keeps = if dice.below(16) == 0 { dice.below(new) } else { keeps };
                let old = old.get(keeps..).unwrap_or_default();
                overwrite(&mut self.bytes, number * PAGE + begin + keeps, SECTOR - keeps, old);
            }
        }
        self.bytes.resize(len, 0);
        self.durable_len = len;
    }

    /// Keeps the durable bytes of what is about to be changed.
    fn touch(&mut self, begin: usize, end: usize) {
        for number in begin / PAGE..end.div_ceil(PAGE) {
            let first = number * PAGE;
            let Content { bytes, durable_len, unsynced, lost, .. } = self;
            let page = unsynced.entry(number).or_insert_with(|| match lost.remove(&number) {
                // It is dirty again, and all of it.
                Some(durable) => Page { durable, written: u8::MAX },
                None => {
                    let last = (first + PAGE).min(*durable_len).min(bytes.len());
                    Page { durable: bytes.get(first..last).unwrap_or_default().into(), written: 0 }
                }
            });
            let sectors = begin.saturating_sub(first) / SECTOR..(end - first).min(PAGE).div_ceil(SECTOR);
            page.written |= sectors.fold(0, |mask, sector| mask | (1 << sector));
        }
    }
}

/// Puts old bytes back over so much of a file, and zeros where there were none.
fn overwrite(bytes: &mut [u8], offset: usize, len: usize, old: &[u8]) {
    let end = (offset + len).min(bytes.len());
    let Some(place) = bytes.get_mut(offset..end) else { return };
    let have = old.len().min(place.len());
    let (front, rest) = place.split_at_mut(have);
    front.copy_from_slice(&old[..have]);
    rest.fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_loss(content: &Content, seed: u64) -> Vec<u8> {
        let mut content = content.clone();
        content.lose_power(&mut Dice::new(seed));
        assert!(!content.has_unsynced());
        content.bytes
    }

    #[test]
    fn what_was_synced_stands_and_of_the_rest_a_part() {
        let mut content = Content::default();
        content.write(0, &[1; 10_000]);
        content.sync();
        assert!((0..50).all(|seed| after_loss(&content, seed) == [1; 10_000]));
        content.write(5_000, &[2; 3_000]);
        let outcomes: Vec<Vec<u8>> = (0..200).map(|seed| after_loss(&content, seed)).collect();
        for outcome in &outcomes {
            assert_eq!(outcome.len(), 10_000);
            assert!(outcome[..5_000].iter().chain(&outcome[8_000..]).all(|byte| *byte == 1), "nobody wrote there");
        }
        let new = |outcome: &Vec<u8>| outcome.iter().filter(|byte| **byte == 2).count();
        assert!(outcomes.iter().any(|outcome| new(outcome) == 0));
        assert!(outcomes.iter().any(|outcome| new(outcome) == 3_000));
        let torn = |outcome: &Vec<u8>| outcome[5_120..7_680].chunks(SECTOR).any(|sector| sector[0] != sector[511]);
        assert!(outcomes.iter().any(torn), "a sector stands in part");
    }

    #[test]
    fn lengths_are_lost_both_ways() {
        let mut content = Content::default();
        content.write(0, &[1; 6_000]);
        content.sync();
        let mut grown = content.clone();
        grown.write(6_000, &[2; 6_000]);
        let lengths: Vec<usize> = (0..200).map(|seed| after_loss(&grown, seed).len()).collect();
        assert!(lengths.contains(&6_000) && lengths.contains(&12_000));
        assert!(lengths.iter().any(|len| (6_001..12_000).contains(len)));
        content.truncate(100);
        let outcomes: Vec<Vec<u8>> = (0..50).map(|seed| after_loss(&content, seed)).collect();
        assert!(outcomes.iter().all(|outcome| outcome == &[1; 100] || outcome == &[1; 6_000]));
        assert!(outcomes.iter().any(|outcome| outcome.len() == 100));
        assert!(outcomes.iter().any(|outcome| outcome.len() == 6_000));
    }

    #[test]
    fn what_a_failed_sync_gave_up_is_shown_until_the_file_is_opened_and_no_later_sync_brings_it_back() {
        let mut content = Content::durable(vec![1; 9_000]);
        content.write(0, &[2; 100]);
        content.write(9_000, &[2; 100]);
        content.fail_sync();
        assert_eq!((content.bytes[0], content.bytes.len()), (2, 9_100));
        content.write(5_000, &[3; 10]);
        content.sync();
        assert!(content.has_unsynced());
        content.forget_lost();
        assert_eq!((content.bytes[0], content.bytes[5_000]), (1, 3));
        assert_eq!(content.bytes[..9_000].iter().filter(|byte| **byte == 1).count(), 8_990);
        // A page that is written again is dirty again, and all of it.
        let mut content = Content::durable(vec![1; 9_000]);
        content.write(0, &[2; 100]);
        content.fail_sync();
        content.write(4_000, &[3; 10]);
        content.sync();
        content.forget_lost();
        assert_eq!((content.bytes[0], content.bytes[4_000]), (2, 3));
    }
}
