//! What a fault makes of the answer to a request.

use super::fault::Fault;
use crate::gateway::Response;

impl Fault {
    /// The answer that takes the place of the exchange's. Names of headers are in lower case.
    pub fn replacement(&self) -> Option<Response> {
        let of = |status: u16, kind: &str, body: String| {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            Some(Response { status, headers, body: body.into_bytes() })
        };
        match self {
            Fault::Status { code, headers, body, .. } => {
                let headers = headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
                Some(Response { status: *code, headers, body: body.clone().into_bytes() })
            }
            Fault::Error { code, message, status, .. } => {
                of(*status, "application/json", serde_json::json!({ "code": code, "msg": message }).to_string())
            }
            Fault::Html { status, .. } => of(
                *status,
                "text/html",
                format!("<html><head><title>{status}</title></head><body>{status}</body></html>"),
            ),
            Fault::Redirect { status, location } => {
                let headers = vec![("location".to_owned(), location.clone())];
                Some(Response { status: *status, headers, body: Vec::new() })
            }
            _ => None,
        }
    }

    /// Whether the exchange carries the request out all the same.
    pub fn is_executed(&self) -> bool {
        match self {
            Fault::Status { executed, .. } | Fault::Error { executed, .. } | Fault::Html { executed, .. } => *executed,
            Fault::Redirect { .. } => false,
            _ => true,
        }
    }
}
