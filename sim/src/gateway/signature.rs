//! Who asks, and whether he may: key, timestamp, signature (`binance-usdm.md` section 2).

use alphaengine_core::store::hex;
use alphaengine_core::units::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::error::ApiError;
use super::request::Params;

/// The standard `recvWindow`.
const RECV_WINDOW: i64 = 5_000;

/// Checks the key of a request.
pub(super) fn check_key(sent: Option<&str>, key: &str) -> Result<(), ApiError> {
    let Some(sent) = sent.filter(|sent| !sent.is_empty()) else {
        return Err(ApiError::new(-2014, "API-key format invalid."));
    };
    if !sent.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(ApiError::new(-2014, "API-key format invalid."));
    }
    if sent == key { Ok(()) } else { Err(ApiError::new(-2015, "Invalid API-key, IP, or permissions for action.")) }
}

/// Accepts when `timestamp < now + 1000` and `now - timestamp <= recvWindow`.
pub(super) fn check_time(now: Timestamp, params: &Params) -> Result<(), ApiError> {
    let timestamp = params.integer("timestamp")?.ok_or_else(|| ApiError::missing("timestamp"))?;
    let window = params.decimal::<alphaengine_core::units::Money>("recvWindow")?;
    let window = window.map_or(RECV_WINDOW, |window| window.steps() / alphaengine_core::units::SCALE);
    let now = now.millis();
    if timestamp >= now.saturating_add(1_000) {
        return Err(ApiError::new(-1021, "Timestamp for this request was 1000ms ahead of the server's time."));
    }
    if now.saturating_sub(timestamp) > window {
        return Err(ApiError::new(-1021, "Timestamp for this request is outside of the recvWindow."));
    }
    Ok(())
}

/// Checks a signature over `payload`. Without a secret every signature is good: the key is of a kind that is not checked here.
pub(super) fn check_signature(secret: Option<&str>, payload: &str, signature: &str) -> Result<(), ApiError> {
    let Some(secret) = secret else {
        return Ok(());
    };
    let expected = sign(secret, payload);
    if expected.eq_ignore_ascii_case(signature) {
        Ok(())
    } else {
        Err(ApiError::new(-1022, "Signature for this request is not valid."))
    }
}

/// Checks a signature over what was sent, or over what that decodes to: whether values are signed with or without their escapes is
/// not said for these endpoints (`binance-usdm.md` section 2.2), and clients do both.
pub(super) fn check_request(secret: Option<&str>, query: &str, body: &[u8], signature: &str) -> Result<(), ApiError> {
    let payload = payload(query, body);
    let decoded = super::request::decode(&payload);
    check_signature(secret, &payload, signature)
        .or_else(|error| if decoded == payload { Err(error) } else { check_signature(secret, &decoded, signature) })
}

/// HMAC-SHA256 in lower-case hex.
pub(super) fn sign(secret: &str, payload: &str) -> String {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(payload.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// What a request signs: the query and the body as sent, without `signature`, with nothing between them.
pub(super) fn payload(query: &str, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    without_signature(query) + &without_signature(&body)
}

fn without_signature(text: &str) -> String {
    let pairs: Vec<&str> = text.split('&').filter(|pair| !pair.starts_with("signature=")).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";
    const PAYLOAD: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943";
    const SIGNATURE: &str = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9";

    #[test]
    fn the_documented_vector() {
        assert_eq!(sign(SECRET, PAYLOAD), SIGNATURE);
        let query = format!("{PAYLOAD}&signature={SIGNATURE}");
        for (query, body) in [(query.as_str(), ""), ("", query.as_str())] {
            let payload = payload(query, body.as_bytes());
            assert_eq!(check_signature(Some(SECRET), &payload, &SIGNATURE.to_uppercase()), Ok(()));
        }
        let wrong = check_signature(Some(SECRET), &payload(&query, b"price=1"), SIGNATURE);
        assert_eq!(wrong.unwrap_err().code, -1022);
    }

    #[test]
    fn escapes_may_be_signed_or_not() {
        let query = "ids=%5B1%2C2%5D&timestamp=1";
        for payload in [query, "ids=[1,2]&timestamp=1"] {
            assert_eq!(check_request(Some(SECRET), query, b"", &sign(SECRET, payload)), Ok(()));
        }
        assert!(check_request(Some(SECRET), query, b"", &sign(SECRET, "ids=[1]&timestamp=1")).is_err());
    }

    #[test]
    fn a_timestamp_is_good_inside_its_window_only() {
        let code = |now: i64, text: &str| {
            let now = Timestamp::from_millis(now).unwrap();
            check_time(now, &Params::of_request(text, b"")).map_or_else(|error| error.code, |()| 0)
        };
        assert_eq!(code(10_000, "timestamp=10999"), 0);
        assert_eq!(code(10_000, "timestamp=11000"), -1021);
        assert_eq!(code(10_000, "timestamp=5000"), 0);
        assert_eq!(code(10_001, "timestamp=5000"), -1021);
        assert_eq!(code(10_001, "timestamp=5000&recvWindow=6000"), 0);
        assert_eq!(code(10_001, "recvWindow=6000"), -1102);
    }

    #[test]
    fn keys_are_told_apart_from_no_keys() {
        let code = |sent| check_key(sent, "abc").map_or_else(|error| (error.status, error.code), |()| (200, 0));
        assert_eq!(code(Some("abc")), (200, 0));
        assert_eq!(code(Some("abd")), (401, -2015));
        assert_eq!(code(Some("a b")), (401, -2014));
        assert_eq!(code(None), (401, -2014));
    }
}
