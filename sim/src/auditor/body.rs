//! The body of an answer, which is read once, and only if somebody asks what it says.

use std::cell::OnceCell;

use alphaengine_core::json::Json;
use alphaengine_core::units::Timestamp;

#[derive(Debug)]
pub(super) struct Body<'a> {
    pub bytes: &'a [u8],
    json: OnceCell<Option<Json<'a>>>,
}

impl<'a> Body<'a> {
    pub fn of(bytes: &'a [u8]) -> Body<'a> {
        Body { bytes, json: OnceCell::new() }
    }

    /// What it says; nothing when it is no JSON.
    pub fn json(&self) -> Option<&Json<'a>> {
        self.json.get_or_init(|| Json::read(self.bytes).ok()).as_ref()
    }

    /// The orders that it shows, one or a list.
    pub fn elements(&self) -> &[Json<'a>] {
        self.json().map_or(&[], |json| json.as_list().unwrap_or(std::slice::from_ref(json)))
    }

    /// The error code, where it is an error.
    pub fn code(&self) -> Option<i64> {
        self.json().and_then(code)
    }

    /// What is said of an error.
    pub fn message(&self) -> Option<&str> {
        self.json()?.get("msg")?.as_str()
    }

    /// The exchange's clock in the answer to a question after it.
    pub fn server_time(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.json()?.get("serverTime")?.as_i64()?)
    }
}

/// The error code in an element, where it is one.
pub(super) fn code(element: &Json<'_>) -> Option<i64> {
    let code = element.get("code")?;
    code.as_i64().or_else(|| code.as_str()?.parse().ok()).filter(|code| *code < 0)
}
