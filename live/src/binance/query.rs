//! A Query is the parameter string of a request, percent-encoded as it is signed and sent (`binance-usdm.md` section 2.2).

use std::fmt::{Display, Write};

/// Parameters in the order in which they were put.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(String);

impl Query {
    pub fn new() -> Query {
        Query::default()
    }

    pub fn with(mut self, name: &str, value: impl Display) -> Query {
        self.put(name, value);
        self
    }

    pub fn put(&mut self, name: &str, value: impl Display) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        // Writing to a string does not fail.
        let _ = write!(Encoder(&mut self.0), "{value}");
    }

    /// Puts a value that is encoded already.
    pub fn put_encoded(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(value);
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// Percent-encodes a text: everything but the unreserved characters of RFC 3986.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let _ = Encoder(&mut out).write_str(text);
    out
}

struct Encoder<'a>(&'a mut String);

impl Write for Encoder<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => self.0.push(char::from(byte)),
                _ => {
                    self.0.push('%');
                    self.0.push(char::from(HEX[usize::from(byte >> 4)]));
                    self.0.push(char::from(HEX[usize::from(byte & 15)]));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_parameters_keep_their_order() {
        let query = Query::new().with("symbol", "测试USDT").with("list", "[1,\"a\"]").with("n", 5);
        assert_eq!(query.as_str(), "symbol=%E6%B5%8B%E8%AF%95USDT&list=%5B1%2C%22a%22%5D&n=5");
    }
}
