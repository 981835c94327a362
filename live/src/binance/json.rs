//! Fields of the exchange's JSON, read with patience: absent fields, numbers as text, text as numbers (`binance-usdm.md` section 12).

use alphaengine_core::id::ClientOrderId;
use alphaengine_core::json::{Json, Object};
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::units::{Error as UnitsError, Money, Price, Qty, Rate, Timestamp, parse_steps};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct ServerTime {
    #[serde(rename = "serverTime")]
    pub server_time: i64,
}

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("not JSON of the expected shape")]
    Shape,
    #[error("field `{0}` is missing or not what it should be")]
    Field(&'static str),
}

/// One object of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(&'a Object<'a>);

impl<'a> Fields<'a> {
    pub fn of(value: &'a Json<'a>) -> Result<Fields<'a>, Malformed> {
        value.as_object().map(Fields).ok_or(Malformed::Shape)
    }

    pub fn value(self, name: &str) -> Option<&'a Json<'a>> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn object(self, name: &'static str) -> Result<Fields<'a>, Malformed> {
        self.value(name).and_then(|value| value.as_object()).map(Fields).ok_or(Malformed::Field(name))
    }

    /// A list; an absent one is empty.
    pub fn list(self, name: &str) -> &'a [Json<'a>] {
        self.value(name).and_then(Json::as_list).unwrap_or(&[])
    }

    /// The names of all fields; one that stands twice comes twice.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.0.names()
    }

    /// A text; an absent one is empty.
    pub fn text(self, name: &str) -> &'a str {
        self.value(name).and_then(Json::as_str).unwrap_or("")
    }

    pub fn whole(self, name: &'static str) -> Result<u64, Malformed> {
        let value = self.value(name).ok_or(Malformed::Field(name))?;
        let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number.ok_or(Malformed::Field(name))
    }

    pub fn flag(self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.as_bool().unwrap_or_else(|| value.as_str() == Some("true")))
    }

    pub fn time(self, name: &'static str) -> Result<Timestamp, Malformed> {
        let millis = i64::try_from(self.whole(name)?).map_err(|_| Malformed::Field(name))?;
        Timestamp::from_millis(millis).ok_or(Malformed::Field(name))
    }

    fn steps(self, name: &'static str) -> Result<i64, Malformed> {
        let value = self.value(name).ok_or(Malformed::Field(name))?;
        let steps = match value {
            Json::Text(text) => parse_steps(text),
            Json::Number(number) => parse_steps(&number.to_string()),
            _ => return Err(Malformed::Field(name)),
        };
        steps.map_err(|_| Malformed::Field(name))
    }

    pub fn price(self, name: &'static str) -> Result<Price, Malformed> {
        self.steps(name).map(Price::from_steps)
    }

    pub fn qty(self, name: &'static str) -> Result<Qty, Malformed> {
        self.steps(name).map(Qty::from_steps)
    }

    pub fn money(self, name: &'static str) -> Result<Money, Malformed> {
        self.steps(name).map(Money::from_steps)
    }

    /// A rate in percent, as `callbackRate` is.
    pub fn percent(self, name: &'static str) -> Result<Rate, Malformed> {
        self.steps(name).map(|steps| Rate::from_steps(steps / 100))
    }

    /// A price that is only to be shown: an average may have more decimals than we keep, which are cut off. Absent it is zero.
    pub fn rough_price(self, name: &str) -> Price {
        let Some(Json::Text(text)) = self.value(name) else {
            return Price::ZERO;
        };
        let kept = text.find('.').map_or(text.len(), |dot| (dot + 9).min(text.len()));
        text.get(..kept).and_then(|text| text.parse().ok()).unwrap_or(Price::ZERO)
    }

    pub fn side(self, name: &'static str) -> Result<Side, Malformed> {
        match self.text(name) {
            "BUY" => Ok(Side::Buy),
            "SELL" => Ok(Side::Sell),
            _ => Err(Malformed::Field(name)),
        }
    }

    /// The side of a position; an absent one is that of one-way mode.
    pub fn position_side(self, name: &'static str) -> Result<PositionSide, Malformed> {
        match self.text(name) {
            "" | "BOTH" => Ok(PositionSide::Both),
            "LONG" => Ok(PositionSide::Long),
            "SHORT" => Ok(PositionSide::Short),
            _ => Err(Malformed::Field(name)),
        }
    }

    /// A client order id. What is longer than the exchange allows is cut: the order is nevertheless real.
    pub fn client_order_id(self, name: &str) -> ClientOrderId {
        short(self.text(name))
    }
}

/// The first bytes of a text that fit.
pub(crate) fn short<const N: usize>(text: &str) -> alphaengine_core::id::ShortText<N> {
    let end = (0..=N.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].parse().unwrap_or_default()
}

/// A quantity that may be larger than we can count: the volume of a bar saturates.
pub(crate) fn volume<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Qty, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    match parse_steps(&text) {
        Ok(steps) => Ok(Qty::from_steps(steps)),
        Err(UnitsError::OutOfRange(_)) if !text.starts_with('-') => Ok(Qty::MAX),
        Err(error) => Err(serde::de::Error::custom(error)),
    }
}
