//! Params are a strategy's settings: declared once with default, range and help, set from text by the user.

use std::collections::BTreeMap;
use std::fmt;

use crate::units::{Rate, parse_steps};

/// The declaration of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    pub name: &'static str,
    pub help: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Int {
        default: i64,
        min: i64,
        max: i64,
    },
    /// In steps of 1e-8.
    Decimal {
        default: i64,
        min: i64,
        max: i64,
    },
    Choice {
        of: &'static [&'static str],
    },
}

impl Param {
    /// A whole number between `min` and `max`, both allowed.
    pub const fn int(name: &'static str, default: i64, min: i64, max: i64, help: &'static str) -> Param {
        Param { name, help, kind: Kind::Int { default, min, max } }
    }

    /// A decimal number between two bounds, both allowed. Written as text, so that it is exact; a text that is not a number
    /// is a mistake in the strategy and stops the build of its parameters.
    pub fn decimal(
        name: &'static str,
        default: &'static str,
        min: &'static str,
        max: &'static str,
        help: &'static str,
    ) -> Param {
        let steps = |text: &str| parse_steps(text).unwrap_or_else(|error| panic!("parameter `{name}`: {error}"));
        Param { name, help, kind: Kind::Decimal { default: steps(default), min: steps(min), max: steps(max) } }
    }

    /// One of several words; the first is the default.
    pub const fn choice(name: &'static str, of: &'static [&'static str], help: &'static str) -> Param {
        Param { name, help, kind: Kind::Choice { of } }
    }

    fn default(&self) -> Value {
        match &self.kind {
            Kind::Int { default, .. } => Value::Int(*default),
            Kind::Decimal { default, .. } => Value::Decimal(Rate::from_steps(*default)),
            Kind::Choice { of } => Value::Choice(of.first().copied().unwrap_or("")),
        }
    }

    /// The default as text.
    pub fn default_text(&self) -> String {
        self.default().to_string()
    }

    /// What may be given, as text: `1 to 500`, `long | long_short`.
    pub fn range(&self) -> String {
        match &self.kind {
            Kind::Int { min, max, .. } => format!("{min} to {max}"),
            Kind::Decimal { min, max, .. } => format!("{} to {}", Rate::from_steps(*min), Rate::from_steps(*max)),
            Kind::Choice { of } => of.join(" | "),
        }
    }

    fn read(&self, text: &str) -> Result<Value, Error> {
        let out_of_range = || Error::OutOfRange { name: self.name, text: text.to_owned(), range: self.range() };
        match &self.kind {
            Kind::Int { min, max, .. } => {
                let value: i64 = text.parse().map_err(|_| out_of_range())?;
                (*min..=*max).contains(&value).then_some(Value::Int(value)).ok_or_else(out_of_range)
            }
            Kind::Decimal { min, max, .. } => {
                let steps = parse_steps(text).map_err(|_| out_of_range())?;
                let value = Value::Decimal(Rate::from_steps(steps));
                (*min..=*max).contains(&steps).then_some(value).ok_or_else(out_of_range)
            }
            Kind::Choice { of } => {
                of.iter().find(|word| **word == text).map(|word| Value::Choice(word)).ok_or_else(out_of_range)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Int(i64),
    Decimal(Rate),
    Choice(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => value.fmt(f),
            Value::Decimal(value) => value.fmt(f),
            Value::Choice(word) => word.fmt(f),
        }
    }
}

/// What is wrong with a parameter that the user gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unknown parameter `{name}` of {strategy}; it has {known}")]
    Unknown { strategy: String, name: String, known: String },
    #[error("parameter `{name}`: `{text}` is not allowed; give {range}")]
    OutOfRange { name: &'static str, text: String, range: String },
    #[error("`{0}` is not a parameter: write name=value")]
    NotAPair(String),
    #[error("parameter `{0}` is given twice")]
    Twice(String),
}

/// The values of a strategy's parameters. Asking for one that was not declared, or as another kind, is a mistake in the
/// strategy and panics with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    values: BTreeMap<&'static str, Value>,
}

impl Params {
    /// Reads `name=value` pairs against the declarations; what is not given has its default.
    pub fn read(strategy: &str, declared: &[Param], given: &[String]) -> Result<Params, Error> {
        let mut values: BTreeMap<&'static str, Value> =
            declared.iter().map(|param| (param.name, param.default())).collect();
        let mut seen = Vec::new();
        for pair in given {
            let (name, text) = pair.split_once('=').ok_or_else(|| Error::NotAPair(pair.clone()))?;
            let (name, text) = (name.trim(), text.trim());
            let param = declared.iter().find(|param| param.name == name).ok_or_else(|| Error::Unknown {
                strategy: strategy.to_owned(),
                name: name.to_owned(),
                known: declared.iter().map(|param| param.name).collect::<Vec<_>>().join(" "),
            })?;
            if seen.contains(&param.name) {
                return Err(Error::Twice(name.to_owned()));
            }
            seen.push(param.name);
            values.insert(param.name, param.read(text)?);
        }
        Ok(Params { values })
    }

    pub fn int(&self, name: &str) -> i64 {
        match self.get(name) {
            Value::Int(value) => value,
            other => panic!("parameter `{name}` is not a whole number: {other}"),
        }
    }

    /// A whole number that counts something.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.int(name)).unwrap_or(0)
    }

    /// A decimal as a rate; a quantity or an amount has the same steps (`Qty::from_steps(rate.steps())`).
    pub fn decimal(&self, name: &str) -> Rate {
        match self.get(name) {
            Value::Decimal(value) => value,
            other => panic!("parameter `{name}` is not a decimal: {other}"),
        }
    }

    pub fn choice(&self, name: &str) -> &'static str {
        match self.get(name) {
            Value::Choice(word) => word,
            other => panic!("parameter `{name}` is not a choice: {other}"),
        }
    }

    fn get(&self, name: &str) -> Value {
        *self.values.get(name).unwrap_or_else(|| panic!("parameter `{name}` was not declared"))
    }

    /// Names and values as text, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.values.iter().map(|(name, value)| (*name, value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<Param> {
        vec![
            Param::int("fast", 10, 1, 500, "bars of the fast average"),
            Param::decimal("qty", "0", "0", "1000", "fixed quantity"),
            Param::choice("mode", &["long", "long_short"], "which sides"),
        ]
    }

    fn read(given: &[&str]) -> Result<Params, String> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        Params::read("test", &declared(), &given).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_and_given_values() {
        let params = read(&["fast=20", "qty=0.001"]).unwrap();
        assert_eq!((params.int("fast"), params.choice("mode")), (20, "long"));
        assert_eq!(params.decimal("qty").to_string(), "0.001");
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence() {
        assert_eq!(read(&["quick=3"]).unwrap_err(), "unknown parameter `quick` of test; it has fast qty mode");
        assert_eq!(read(&["fast=0"]).unwrap_err(), "parameter `fast`: `0` is not allowed; give 1 to 500");
        assert_eq!(
            read(&["mode=short"]).unwrap_err(),
            "parameter `mode`: `short` is not allowed; give long | long_short"
        );
        assert_eq!(read(&["fast"]).unwrap_err(), "`fast` is not a parameter: write name=value");
        assert_eq!(read(&["fast=1", "fast=2"]).unwrap_err(), "parameter `fast` is given twice");
    }
}
