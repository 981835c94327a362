//! A Verdict is what an answer means: executed, refused, not executed, or unknown (`binance-usdm.md` sections 5 and 6).
//!
//! The text of the body decides before the status does. Whatever is not known to be a refusal is unknown: a request that may
//! have been executed is never sent again.

use alphaengine_core::exchange::ExchangeError;
use alphaengine_core::rate_limit::Report;
use serde::Deserialize;

use crate::logging::redact;
use crate::wire::{HttpResponse, TransportError};

/// What an answer means for the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A body of the expected kind follows.
    Accepted,
    /// The exchange said no, and would say so again.
    Refused(ExchangeError),
    /// Definitely not executed: it may be sent again, under the same client order id.
    NotExecuted { error: ExchangeError, because: Because },
    /// Nobody knows whether it was executed.
    Unknown(String),
}

/// Why a request was not executed, and so what comes before it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// A pause.
    Overload,
    /// Our time was off: ask for theirs.
    Clock,
    /// Too many orders in ten seconds or a minute.
    OrderLimit,
    /// Too much weight (429), or banned (418), until then: milliseconds at the exchange, or seconds from now.
    Limit { status: u16, until_ms: Option<i64>, after_s: Option<i64> },
}

/// The form in which the exchange says no.
#[derive(Deserialize)]
struct Complaint<'a> {
    #[serde(deserialize_with = "number_or_text")]
    code: i32,
    #[serde(borrow, default)]
    msg: std::borrow::Cow<'a, str>,
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Code {
        Number(i32),
        Text(String),
    }
    match Code::deserialize(deserializer)? {
        Code::Number(code) => Ok(code),
        Code::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// The code and message in a body, if it is a complaint. Codes of refusals are negative; `{"code":200}` is a success.
pub fn complaint(body: &[u8]) -> Option<ExchangeError> {
    let complaint: Complaint<'_> = serde_json::from_slice(body).ok()?;
    (complaint.code < 0).then(|| error(complaint.code, &complaint.msg))
}

/// A refusal goes into events, and a server or a gateway before it may quote our request, signature and all.
pub fn error(code: i32, message: &str) -> ExchangeError {
    ExchangeError { code, message: redact(message).chars().take(300).collect::<String>().into() }
}

/// Judges what came back.
pub fn judge(answer: &Result<HttpResponse, TransportError>) -> Verdict {
    match answer {
        Err(TransportError::NotSent(why)) => {
            Verdict::NotExecuted { error: error(0, &format!("not sent: {why}")), because: Because::Overload }
        }
        Err(TransportError::Lost(why)) => Verdict::Unknown(format!("answer lost: {why}")),
        Ok(response) => judge_response(response),
    }
}

fn judge_response(response: &HttpResponse) -> Verdict {
    let status = response.status;
    let complaint = complaint(&response.body);
    match (status, complaint) {
        (418 | 429, complaint) => limited(response, complaint),
        // A redirect is refused, never followed: it would post an order a second time.
        (300..400, _) => {
            let to: String = redact(response.header("location").unwrap_or("nowhere")).chars().take(100).collect();
            Verdict::Refused(error(i32::from(status), &format!("redirect to {to} refused")))
        }
        (_, Some(complaint)) => judge_code(status, complaint),
        (200..300, None) => Verdict::Accepted,
        (408, None) => Verdict::Unknown("408: the exchange timed out".into()),
        (403, None) => {
            Verdict::Refused(error(403, &format!("blocked by the exchange's firewall: {}", start(response))))
        }
        (400..500, None) => Verdict::Refused(error(i32::from(status), &start(response))),
        (503, None) => judge_text(response),
        _ => Verdict::Unknown(format!("{status}: {}", start(response))),
    }
}

/// The 503s without a code (section 5): only the text tells them apart.
fn judge_text(response: &HttpResponse) -> Verdict {
    let text = String::from_utf8_lossy(&response.body);
    if text.contains("Unknown error") || text.contains("unknown error") {
        return Verdict::Unknown("503: unknown error".into());
    }
    if text.contains("Service Unavailable") || text.contains("Request throttled") {
        return Verdict::NotExecuted { error: error(503, &start(response)), because: Because::Overload };
    }
    Verdict::Unknown(format!("503: {}", start(response)))
}

fn judge_code(status: u16, complaint: ExchangeError) -> Verdict {
    let unknown = |complaint: &ExchangeError| Verdict::Unknown(complaint.to_string());
    let text = &*complaint.message;
    match complaint.code {
        // Also where its text is that of 503 D, which section 5 calls a failure: an order that was taken all the same and is sent
        // again is a second position once the first is filled, and a question costs next to nothing.
        -1000 | -1001 | -1006 | -1007 | -1010 => unknown(&complaint),
        -1003 => Verdict::NotExecuted {
            because: Because::Limit { status: 429, until_ms: banned_until(text), after_s: None },
            error: complaint,
        },
        -1008 => Verdict::NotExecuted { error: complaint, because: Because::Overload },
        -1015 => Verdict::NotExecuted { error: complaint, because: Because::OrderLimit },
        -1021 | -5028 => Verdict::NotExecuted { error: complaint, because: Because::Clock },
        // Very likely the first attempt was accepted; or the order is just changing its state. Only a query tells.
        -4116 | -4117 | -4083 | -2012 => unknown(&complaint),
        _ if status == 503 && text.to_ascii_lowercase().contains("unknown error") => unknown(&complaint),
        _ if status >= 500 => unknown(&complaint),
        _ => Verdict::Refused(complaint),
    }
}

/// The refusal of one element of a batch, or why nobody knows.
pub fn judge_code_of_batch(complaint: ExchangeError) -> Result<ExchangeError, String> {
    match judge_code(400, complaint) {
        Verdict::Refused(error) | Verdict::NotExecuted { error, .. } => Ok(error),
        Verdict::Unknown(reason) => Err(reason),
        Verdict::Accepted => Err("no answer".to_owned()),
    }
}

fn limited(response: &HttpResponse, complaint: Option<ExchangeError>) -> Verdict {
    let status = response.status;
    let complaint = complaint.unwrap_or_else(|| error(-1003, &format!("{status}: too many requests")));
    if complaint.code == -1015 {
        return Verdict::NotExecuted { error: complaint, because: Because::OrderLimit };
    }
    let after_s = response.header("retry-after").and_then(|text| text.trim().parse().ok()).filter(|after| *after >= 0);
    let until_ms = banned_until(&complaint.message);
    Verdict::NotExecuted { error: complaint, because: Because::Limit { status, until_ms, after_s } }
}

/// The milliseconds in "IP banned until 1750000000000".
fn banned_until(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once("until ")?;
    let digits: &str = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
    digits.parse().ok().filter(|_| digits.len() >= 13)
}

fn start(response: &HttpResponse) -> String {
    let text = String::from_utf8_lossy(&response.body[..response.body.len().min(400)]);
    redact(&text).chars().filter(|c| !c.is_control()).take(120).collect()
}

/// What the headers say that was used.
pub fn report(response: &HttpResponse) -> Report {
    let number = |name: &str| response.header(name).and_then(|text| text.trim().parse().ok());
    Report {
        weight_1m: number("x-mbx-used-weight-1m"),
        orders_10s: number("x-mbx-order-count-10s"),
        orders_1m: number("x-mbx-order-count-1m"),
    }
}

/// Whether a refusal means that the key or the account is shut out, rather than this one request (class STOP of section 6).
pub const fn is_access_lost(code: i32) -> bool {
    matches!(code, -1002 | -1099 | -2014 | -2015 | -2017 | -4088 | -4109 | -4402 | -4403)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row for each class of sections 5 and 6.
    const CLASSES: &[(u16, &str, &str)] = &[
        (200, r#"{"orderId":1}"#, "accepted"),
        (200, r#"{"code":200,"msg":"done"}"#, "accepted"),
        (200, r#"{"code":"200","msg":"success"}"#, "accepted"),
        (200, r#"[{"code":-2022,"msg":"in a batch"}]"#, "accepted"),
        (307, "", "refused 307"),
        (400, r#"{"code":-2019,"msg":"Margin is insufficient."}"#, "refused -2019"),
        (400, r#"{"code":-2011,"msg":"Unknown order sent."}"#, "refused -2011"),
        (400, r#"{"code":-9999,"msg":"new"}"#, "refused -9999"),
        (400, r#"{"code":-1021,"msg":"Timestamp for this request was 1000ms ahead"}"#, "not executed: clock"),
        (400, r#"{"code":-5028,"msg":"too old"}"#, "not executed: clock"),
        (400, r#"{"code":-1015,"msg":"Too many new orders."}"#, "not executed: orders"),
        (400, r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#, "unknown"),
        (400, r#"{"code":-1007,"msg":"Timeout waiting for response"}"#, "unknown"),
        (401, r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#, "refused -2015"),
        (403, "<html>403</html>", "refused 403"),
        (404, "not found", "refused 404"),
        (408, "", "unknown"),
        (408, r#"{"code":-1007,"msg":"Timeout"}"#, "unknown"),
        (418, r#"{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1750000000123."}"#, "banned"),
        (429, r#"{"code":-1003,"msg":"Too many requests"}"#, "limited"),
        (429, r#"{"code":-1015,"msg":"Too many new orders."}"#, "not executed: orders"),
        (429, "", "limited"),
        (500, "", "unknown"),
        (500, r#"{"code":-1000,"msg":"An unknown error occured"}"#, "unknown"),
        (502, "<html>Bad Gateway</html>", "unknown"),
        (503, r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#, "unknown"),
        (503, "Unknown error, please check your request or try again later.", "unknown"),
        (503, "Service Unavailable.", "not executed: overload"),
        (503, r#"{"code":-1008,"msg":"Request throttled by system-level protection"}"#, "not executed: overload"),
        (503, r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#, "unknown"),
        (503, "Internal error; unable to process your request. Please try again.", "unknown"),
        (503, "<html>anything else</html>", "unknown"),
        (504, "", "unknown"),
    ];

    #[test]
    fn every_class_of_answer_has_its_verdict() {
        for (status, body, expected) in CLASSES {
            let response = HttpResponse { status: *status, headers: Vec::new(), body: body.as_bytes().to_vec() };
            let found = match judge(&Ok(response)) {
                Verdict::Accepted => "accepted".to_owned(),
                Verdict::Refused(error) => format!("refused {}", error.code),
                Verdict::Unknown(_) => "unknown".to_owned(),
                Verdict::NotExecuted { because: Because::Overload, .. } => "not executed: overload".to_owned(),
                Verdict::NotExecuted { because: Because::Clock, .. } => "not executed: clock".to_owned(),
                Verdict::NotExecuted { because: Because::OrderLimit, .. } => "not executed: orders".to_owned(),
                Verdict::NotExecuted { because: Because::Limit { until_ms: Some(1_750_000_000_123), .. }, .. } => {
                    "banned".to_owned()
                }
                Verdict::NotExecuted { because: Because::Limit { .. }, .. } => "limited".to_owned(),
            };
            assert_eq!(&found, expected, "{status} {body}");
        }
    }

    #[test]
    fn no_verdict_quotes_a_signature() {
        let location = "https://other/fapi/v1/order?symbol=BTCUSDT&signature=canary&x=1";
        let quote = format!("moved to {location}");
        let coded = format!(r#"{{"code":-1100,"msg":"{quote}"}}"#);
        for (status, body) in
            [(307, ""), (400, &*quote), (403, &quote), (500, &quote), (503, &quote), (400, &coded), (503, &coded)]
        {
            let headers = vec![("location".to_owned(), location.to_owned())];
            let verdict = judge(&Ok(HttpResponse { status, headers, body: body.as_bytes().to_vec() }));
            let told = format!("{verdict:?}");
            assert!(!told.contains("canary") && told.contains("[redacted]"), "{told}");
        }
    }

    #[test]
    fn what_was_not_sent_was_not_executed_and_what_was_lost_is_unknown() {
        let not_sent = judge(&Err(TransportError::NotSent("connection refused".into())));
        assert!(matches!(not_sent, Verdict::NotExecuted { because: Because::Overload, .. }));
        assert!(matches!(judge(&Err(TransportError::Lost("reset".into()))), Verdict::Unknown(_)));
    }

    #[test]
    fn retry_after_is_seconds() {
        let headers = vec![("retry-after".to_owned(), "7".to_owned())];
        let response = HttpResponse { status: 429, headers, body: Vec::new() };
        let expected = Because::Limit { status: 429, until_ms: None, after_s: Some(7) };
        assert!(matches!(judge(&Ok(response)), Verdict::NotExecuted { because, .. } if because == expected));
    }
}
