//! An ApiError is a refusal as Binance words it: HTTP status, code and text (`binance-usdm.md` sections 5 and 6).

use alphaengine_core::exchange::ExchangeError;

use super::json::{JsonText, json};
/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub status: u16,
    pub code: i32,
    pub message: String,
    /// Seconds after which it is worth asking again.
    pub retry_after: Option<i64>,
}

impl ApiError {
    pub fn new(code: i32, message: impl Into<String>) -> ApiError {
        let status = if matches!(code, -2014 | -2015) { 401 } else { 400 };
        ApiError { status, code, message: message.into(), retry_after: None }
    }

    pub fn missing(name: &str) -> ApiError {
        ApiError::new(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }

    pub fn malformed(name: &str) -> ApiError {
        ApiError::new(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    pub fn illegal(name: &str, range: &str) -> ApiError {
        ApiError::new(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }

    pub fn bad_symbol() -> ApiError {
        ApiError::new(-1121, "Invalid symbol.")
    }

    pub fn no_such_order() -> ApiError {
        ApiError::new(-2013, "Order does not exist.")
    }

    pub fn unknown_order() -> ApiError {
        ApiError::new(-2011, "Unknown order sent.")
    }

    /// `{"code":...,"msg":"..."}`
    pub fn body(&self) -> JsonText {
        json!({"code": self.code, "msg": self.message})
    }
}

impl From<ExchangeError> for ApiError {
    fn from(error: ExchangeError) -> ApiError {
        ApiError::new(error.code, error.message)
    }
}
