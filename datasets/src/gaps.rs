//! Gaps are the bars that a stream lacks between its first and its last one.

use alphaengine_core::units::Timestamp;

/// Bars that are missing in one stream. What it lacks before its first bar and after its last one is no gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gaps {
    /// Spans of missing bars that follow each other.
    pub spans: u64,
    /// Bars that are missing in all of them.
    pub missing: u64,
    /// The first one of the greatest length.
    pub longest: Option<Gap>,
}

/// Missing bars that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub missing: u64,
    /// When the bar before them closed.
    pub from: Timestamp,
    /// When the bar after them opens.
    pub to: Timestamp,
}

impl Gaps {
    /// What is missing in the stream of this name, in a sentence; nothing where it is whole.
    pub fn sentence(&self, name: &str) -> Option<String> {
        let Gap { from, to, .. } = self.longest?;
        let bars = if self.missing == 1 { "1 bar is".to_owned() } else { format!("{} bars are", self.missing) };
        Some(match self.spans {
            1 => format!("{name}: {bars} missing, from {from} to {to}"),
            spans => format!("{name}: {bars} missing in {spans} spans, the longest from {from} to {to}"),
        })
    }

    pub(crate) fn add(&mut self, gap: Gap) {
        self.spans += 1;
        self.missing = self.missing.saturating_add(gap.missing);
        if self.longest.is_none_or(|longest| longest.missing < gap.missing) {
            self.longest = Some(gap);
        }
    }
}
