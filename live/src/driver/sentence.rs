//! Sentences for what goes wrong on the way to a host, the same for HTTP and WebSocket.

use std::error::Error;
use std::io;

/// Why there is no connection to `host`, and what to look at; `option` is where the address comes from.
pub(crate) fn no_connection(host: &str, error: &(dyn Error + 'static), option: &str) -> String {
    let (mut last, mut io_kind) = (String::new(), None);
    let mut tls = false;
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        last = cause.to_string();
        tls = tls || is_tls(&last);
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            io_kind = Some(io.kind());
            // An io::Error that wraps another error does not give it as its source but as its inner one.
            if let Some(inner) = io.get_ref() {
                tls = tls || is_tls(&inner.to_string());
            }
        }
        next = cause.source();
    }
    match io_kind {
        Some(io::ErrorKind::ConnectionRefused) => {
            format!("{host} refused the connection: nothing listens there; check {option} and whether the server runs")
        }
        Some(io::ErrorKind::TimedOut) => {
            format!("no connection to {host} in time: check {option}, the network and the firewall")
        }
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            format!("{host} is not reachable ({last}): check the network and {option}")
        }
        _ if tls => format!(
            "TLS with {host} failed ({last}): check {option} (https or wss only where the server speaks TLS), the clock and the certificates"
        ),
        _ => format!("no connection to {host} ({last}): check {option} and the network"),
    }
}

fn is_tls(text: &str) -> bool {
    ["certificate", "InvalidContentType", "corrupt message", "tls", "TLS", "handshake", "peer is incompatible"]
        .iter()
        .any(|word| text.contains(word))
}
