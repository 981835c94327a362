//! Redacting takes signatures, listen keys and API keys out of a text before anyone sees it.

use std::borrow::Cow;

const REDACTED: &str = "[redacted]";
/// What follows one of these names and an equals sign or colon is taken out.
const NAMES: [&str; 8] =
    ["signature", "listenkey", "api_key", "apikey", "api_secret", "apisecret", "secret_key", "secretkey"];
/// The listen key stands in the path of a private stream.
const PATH: &str = "/private/ws/";
/// Keys, listen keys and HMAC signatures have 64 letters and digits; hardly anything else has so many in a row.
const LONG_RUN: usize = 60;

/// The text without what nobody may read; borrowed if there was nothing.
///
/// ```
/// use alphaengine_live::logging::redact;
/// assert_eq!(redact("GET /fapi/v1/order?symbol=BTCUSDT&signature=c8db&x=1"), "GET /fapi/v1/order?symbol=BTCUSDT&signature=[redacted]&x=1");
/// assert_eq!(redact("nothing to hide"), "nothing to hide");
/// ```
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut done, mut at) = (0, 0);
    while at < text.len() {
        match secret_at(text.as_bytes(), at) {
            Some((start, end)) => {
                // Both ends stand beside ASCII, so they are boundaries of characters.
                out.push_str(text.get(done..start).unwrap_or_default());
                out.push_str(REDACTED);
                (done, at) = (end, end);
            }
            None => at += 1,
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// The range of a secret whose name, or which itself, begins at `at`.
fn secret_at(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    for name in NAMES {
        if starts_with_ignoring_case(rest, name)
            && let Some(start) = after_sign(text, at + name.len())
        {
            let end = end_of_value(text, start);
            return (end > start).then_some((start, end));
        }
    }
    if rest.starts_with(PATH.as_bytes()) {
        let start = at + PATH.len();
        let end = end_of_value(text, start);
        return (end > start).then_some((start, end));
    }
    let starts_run = at == 0 || !text.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
    if starts_run {
        let run = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        return (run >= LONG_RUN).then_some((at, at + run));
    }
    None
}

fn starts_with_ignoring_case(text: &[u8], name: &str) -> bool {
    text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
}

/// Where the value begins after `=`, `: `, `":"` or the like; `None` if no such sign follows.
fn after_sign(text: &[u8], mut at: usize) -> Option<usize> {
    let mut signed = false;
    while let Some(byte) = text.get(at) {
        match byte {
            b'=' | b':' => signed = true,
            b' ' | b'"' | b'\'' | b'\\' => {}
            _ => break,
        }
        at += 1;
    }
    signed.then_some(at)
}

fn end_of_value(text: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"&\"'\\,;?()[]{}<>".contains(byte);
    let length = text.get(start..).and_then(|rest| rest.iter().position(ends));
    length.map_or(text.len(), |length| start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_go_and_the_rest_stays() {
        let long = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdefABCDEF01234";
        for (text, expected) in [
            ("signature=abc", "signature=[redacted]"),
            ("?a=1&signature=ab%2Bc%3D&b=2", "?a=1&signature=[redacted]&b=2"),
            (r#"{"listenKey":"abc","x":1}"#, r#"{"listenKey":"[redacted]","x":1}"#),
            (r#""{\"listenKey\":\"abc\"}""#, r#""{\"listenKey\":\"[redacted]\"}""#),
            ("X-MBX-APIKEY: abc def", "X-MBX-APIKEY: [redacted] def"),
            ("api_key: abc", "api_key: [redacted]"),
            ("wss://h/private/ws/abc?x=1", "wss://h/private/ws/[redacted]?x=1"),
            ("wss://h/private/ws?listenKey=abc&events=A/B", "wss://h/private/ws?listenKey=[redacted]&events=A/B"),
            ("the listen key and the signature", "the listen key and the signature"),
            ("signature= ", "signature= "),
            ("ähm signature=ü, ö", "ähm signature=[redacted], ö"),
            (long, "[redacted]"),
            (&format!("[{long}]"), "[[redacted]]"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,200}") {
            let once = redact(&text).into_owned();
            proptest::prop_assert!(once.is_char_boundary(once.len()));
        }

        #[test]
        fn a_named_value_never_stays(before in "[ -~]{0,20}", value in "[a-zA-Z0-9%/+]{12,90}") {
            let text = format!("{before} signature={value}");
            proptest::prop_assert!(!redact(&text).contains(&value));
        }
    }
}
