//! An Error is a sentence about what could not be done, and a hint at what to do about it.

use std::fmt;

/// What could not be done. The command prints it and exits with 2.
#[derive(Debug)]
pub struct Error {
    message: String,
    hint: Option<String>,
}

impl Error {
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), hint: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the next step where there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Error {
        self.hint = hint.or(self.hint);
        self
    }

    /// The sentence, without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The next step, where there is one.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The closest of `known` to a mistyped word, if it is close enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() {
        return None;
    }
    let scored = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    let contained = best.contains(word) || word.contains(best);
    (contained || distance <= 1 + word.chars().count() / 3).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_does_not() {
        let known = ["sma_cross", "grid", "buy_and_hold"];
        assert_eq!(nearest("sma-cros", known), Some("sma_cross"));
        assert_eq!(nearest("gird", known), Some("grid"));
        assert_eq!(nearest("ichimoku", known), None);
        assert_eq!(nearest("", known), None, "every word contains the empty one");
    }
}
