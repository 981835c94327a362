//! Params are what a request says, wherever it says it: in the query, in the body, in a DELETE's body, or in a frame.
//!
//! Unknown parameters are ignored. A parameter that stands in both places is taken from the query (`binance-usdm.md` 2.2).

use alphaengine_core::units::Timestamp;
use serde_json::Value;

use super::error::ApiError;

/// Names and values in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub fn of_request(query: &str, body: &[u8]) -> Params {
        let mut pairs = decode_pairs(query);
        // A body that is no form is as good as none: JSON bodies are not accepted.
        if let Ok(body) = std::str::from_utf8(body)
            && !body.trim_start().starts_with(['{', '['])
        {
            pairs.extend(decode_pairs(body.trim()));
        }
        Params(pairs)
    }

    /// The fields of an object; texts as they are, everything else as JSON.
    pub fn of_json(object: &Value) -> Params {
        let fields = object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        Params(fields.map(|(name, value)| (name.clone(), plain(value))).collect())
    }

    /// The value, unless it is empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        found.filter(|value| !value.is_empty())
    }

    /// The value under the first of these names that there is.
    pub fn either(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing(name))
    }

    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| ApiError::illegal(name, "^[0-9]{1,20}$"));
        self.text(name).map(parse).transpose()
    }

    /// At least 1 and at most `most`.
    pub fn limit(&self, standard: usize, most: usize) -> Result<usize, ApiError> {
        match self.integer("limit")? {
            None => Ok(standard.min(most)),
            Some(limit) if limit < 1 => Err(ApiError::malformed("limit")),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
        }
    }

    /// In any spelling: `true`, `True`, `TRUE`, `1`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" => Ok(true),
            "false" | "0" | "off" => Ok(false),
            _ => Err(ApiError::malformed(name)),
        };
        self.text(name).map(parse).transpose()
    }

    pub fn millis(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let millis = self.integer(name)?;
        // A time beyond all times is as good as the last one.
        Ok(millis.map(|millis| Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX)))
    }

    /// A decimal number of a kind.
    pub fn decimal<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        if let Ok(value) = text.parse() {
            return Ok(Some(value));
        }
        if let Some(value) = without_exponent(text).and_then(|text| text.parse().ok()) {
            return Ok(Some(value));
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
        if is_plain && text.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::new(-1111, "Precision is over the maximum defined for this asset."));
        }
        Err(ApiError::illegal(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$"))
    }

    /// Every pair but the signature, sorted by name and joined: what a frame signs.
    pub fn sorted_payload(&self) -> String {
        let mut pairs: Vec<&(String, String)> = self.0.iter().filter(|(name, _)| name != "signature").collect();
        pairs.sort();
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

/// A number in scientific notation, exactly, as plain digits: some clients write `1e-05`.
fn without_exponent(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent = exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() <= 20)?;
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 30 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let zeros = "0".repeat(52);
    // Where the point falls, counted in the digits with enough zeros on either side.
    let padded = format!("{zeros}{digits}{zeros}");
    let point = usize::try_from(52 + i32::try_from(whole.len()).ok()? + exponent).ok()?;
    let (whole, fraction) = padded.split_at_checked(point)?;
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{}{point}{fraction}", if whole.is_empty() { "0" } else { whole }))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `a=1&b=2`, decoded.
pub(super) fn decode_pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Percent-decoding; `+` is a space, as in forms. What is no escape stays as it is.
pub(super) fn decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte =
            escaped.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use alphaengine_core::units::Price;

    use super::*;

    #[test]
    fn the_query_wins_over_the_body_and_both_are_decoded() {
        let params = Params::of_request("symbol=BTCUSDT&ids=%5B1%2C2%5D", b"symbol=ETHUSDT&name=a+b");
        assert_eq!(params.text("symbol"), Some("BTCUSDT"));
        assert_eq!(params.text("ids"), Some("[1,2]"));
        assert_eq!(params.text("name"), Some("a b"));
        assert_eq!(params.required("nothing").unwrap_err().code, -1102);
    }

    #[test]
    fn numbers_and_flags_in_every_spelling() {
        let params = Params::of_request("a=True&b=FALSE&c=maybe&p=1e-2&q=0.123456789&r=x&n=12&m=1x&e=", b"");
        assert_eq!(params.flag("a").unwrap(), Some(true));
        assert_eq!(params.flag("b").unwrap(), Some(false));
        assert_eq!(params.flag("c").unwrap_err().code, -1130);
        assert_eq!(params.decimal::<Price>("p").unwrap(), Some("0.01".parse().unwrap()));
        assert_eq!(params.decimal::<Price>("q").unwrap_err().code, -1111);
        assert_eq!(params.decimal::<Price>("r").unwrap_err().code, -1100);
        assert_eq!(params.integer("n").unwrap(), Some(12));
        assert_eq!(params.integer("m").unwrap_err().code, -1100);
        assert_eq!(params.text("e"), None);
    }

    #[test]
    fn scientific_notation_is_read_exactly() {
        let plain = |text| without_exponent(text).unwrap_or_default();
        assert_eq!(plain("1e-05"), "0.00001");
        assert_eq!(plain("1.0E-8"), "0.00000001");
        assert_eq!(plain("-12.5e+3"), "-12500");
        assert_eq!(plain("0.00012e2"), "0.012");
        for broken in ["e5", "1e", "1e99", "1x2e3", "."] {
            assert_eq!(plain(broken), "", "{broken}");
        }
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%E6%B5%8B"), "\u{6d4b}");
    }
}
