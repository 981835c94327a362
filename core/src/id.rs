//! Ids are short inline texts: they are copied, compared and printed without touching the heap.
//!
//! Everything that this program names is derived from (session, sequence), so that the same run gives the same names and
//! two runs never share one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::hex;

/// A text of at most `N` bytes, stored inline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortText<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> ShortText<N> {
    pub fn as_str(&self) -> &str {
        // The bytes came from a `str` and were cut nowhere.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("")
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for ShortText<N> {
    fn default() -> Self {
        ShortText { bytes: [0; N], len: 0 }
    }
}

/// A text that does not fit an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is longer than {most} bytes")]
pub struct TooLong {
    pub text: String,
    pub most: usize,
}

impl<const N: usize> FromStr for ShortText<N> {
    type Err = TooLong;

    fn from_str(text: &str) -> Result<Self, TooLong> {
        if text.len() > N || N > usize::from(u8::MAX) {
            return Err(TooLong { text: text.chars().take(60).collect(), most: N });
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(ShortText { bytes, len: text.len() as u8 })
    }
}

impl<const N: usize> fmt::Display for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> Serialize for ShortText<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for ShortText<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of an asset: `USDT`, `BNB`.
pub type Asset = ShortText<12>;

/// The name that we give an order; unique for ever, at most 36 bytes of `[.A-Z:/a-z0-9_-]` (`binance-usdm.md` section 3.3).
/// Orders that the exchange makes itself (`autoclose-...`) carry one too.
pub type ClientOrderId = ShortText<36>;

/// The first digits of a session's configuration hash.
pub type SessionId = ShortText<16>;

/// The id of whatever this text describes: the beginning of its SHA-256, in hexadecimal.
pub fn session_id(description: &str) -> SessionId {
    hex(&Sha256::digest(description)[..8]).parse().unwrap_or_default()
}

/// The client order id of the `sequence`-th order of a session: `ae-<session>-<sequence>`, zero-padded, so that ids sort in
/// the order in which they were given.
pub fn client_order_id(session: &SessionId, sequence: u64) -> ClientOrderId {
    let mut id = ClientOrderId::default();
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        id.bytes[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    put(b"ae-");
    put(session.as_str().as_bytes());
    put(b"-");
    let mut digits = [b'0'; 12];
    let mut rest = sequence;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    assert!(rest == 0, "a session gives fewer than 10^12 orders");
    put(&digits);
    id.len = len as u8;
    id
}

/// The session and the sequence from which [`client_order_id`] made a name; `None` for a name of other origin.
pub fn order_sequence(id: &ClientOrderId) -> Option<(SessionId, u64)> {
    let (session, sequence) = id.as_str().strip_prefix("ae-")?.rsplit_once('-')?;
    Some((session.parse().ok()?, sequence.parse().ok()?))
}

/// The name under which a trade is booked of whose order only the exchange's number is known.
pub fn order_by_number(order_id: u64) -> ClientOrderId {
    format!("order-{order_id}").parse().unwrap_or_default()
}

/// Numbers the commands of a store, from 1, across sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub u64);

/// Numbers the requests of a process, from 1, to match answers to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_order_ids_sort_as_they_were_given_and_fit_the_exchange() {
        let session: SessionId = "0123456789abcdef".parse().unwrap();
        let (ninth, tenth) = (client_order_id(&session, 9), client_order_id(&session, 10));
        assert_eq!(ninth.as_str(), "ae-0123456789abcdef-000000000009");
        assert!(ninth < tenth);
        assert!(ninth.as_str().len() <= 36);
        assert_eq!(order_sequence(&tenth), Some((session, 10)));
        assert_eq!(order_sequence(&"autoclose-1750000000000".parse().unwrap()), None);
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused() {
        assert!("thirteen char".parse::<Asset>().is_err());
        assert_eq!("USDT".parse::<Asset>().unwrap().to_string(), "USDT");
    }
}
