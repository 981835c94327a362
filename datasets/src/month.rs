//! A Month is a calendar month in UTC, as the archive's file names carry it: `2024-09`.

use std::fmt;
use std::str::FromStr;

use alphaengine_core::units::Timestamp;

/// A calendar month in UTC, between 1970-01 and 2261-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    /// 1 to 12.
    month: i8,
}

impl Month {
    const FIRST: Month = Month { year: 1970, month: 1 };
    const LAST: Month = Month { year: 2261, month: 12 };

    /// `None` where there is no such month.
    pub fn new(year: i16, month: i8) -> Option<Month> {
        let new = Month { year, month };
        ((1..=12).contains(&month) && (Month::FIRST..=Month::LAST).contains(&new)).then_some(new)
    }

    /// The month that holds `at`; the nearest one outside the range.
    pub fn of(at: Timestamp) -> Month {
        let (year, month, _) = at.date();
        Month { year, month }.clamp(Month::FIRST, Month::LAST)
    }

    /// The month after this one.
    #[must_use]
    pub fn next(self) -> Month {
        if self.month == 12 { Month { year: self.year + 1, month: 1 } } else { Month { month: self.month + 1, ..self } }
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        Timestamp::from_date(self.year, self.month, 1).unwrap_or(Timestamp::MAX)
    }

    /// The first instant after it.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    pub fn contains(self, at: Timestamp) -> bool {
        self.start() <= at && at < self.end()
    }

    /// How many days it has.
    pub fn days(self) -> i64 {
        self.end().day() - self.start().day()
    }

    /// The months from this one to `last`, both included.
    pub fn through(self, last: Month) -> impl Iterator<Item = Month> {
        std::iter::successors(Some(self), |month| Some(month.next())).take_while(move |month| *month <= last)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Month, String> {
        let bad =
            || format!("`{text}` is not a month: write one as 2024-09, between {} and {}", Month::FIRST, Month::LAST);
        let digits = text.len() == 7
            && text.bytes().enumerate().all(|(i, b)| if i == 4 { b == b'-' } else { b.is_ascii_digit() });
        if !digits {
            return Err(bad());
        }
        let year = text[..4].parse().map_err(|_| bad())?;
        let month = text[5..].parse().map_err(|_| bad())?;
        Month::new(year, month).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_count_and_print() {
        let month: Month = "2023-12".parse().unwrap();
        assert_eq!(month.next().to_string(), "2024-01");
        assert_eq!(month.next().next().days(), 29);
        assert_eq!(month.through("2024-02".parse().unwrap()).count(), 3);
        assert!(month.contains(month.start()) && !month.contains(month.end()));
        assert_eq!(Month::of(month.end()), month.next());
        for bad in ["2024-13", "2024-00", "2024-1", "202409", "2024-09-01", "1969-12", "９024-1", "+024-09", "9999-01"]
        {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }
}
