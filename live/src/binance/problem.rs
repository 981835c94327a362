//! A Problem is why a session cannot begin: one sentence, and a hint what to do.

use alphaengine_core::exchange::ExchangeError;
use alphaengine_core::units::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{host} refused the key ({error})")]
    KeyRefused { host: String, error: ExchangeError },
    #[error("our clock is {offset_ms} ms away from the exchange's")]
    ClockOff { offset_ms: i64 },
    #[error("{host} does not list the symbol {symbol}")]
    UnknownSymbol { host: String, symbol: String, nearest: Option<String> },
    #[error("{symbol} cannot be traded now: its status is {status}")]
    NotTrading { symbol: String, status: String },
    #[error("{host} is not reachable: {why}")]
    Unreachable { host: String, why: String },
    #[error("no encrypted connection to {host}: {why}")]
    Tls { host: String, why: String },
    #[error("the account may not trade")]
    MayNotTrade,
    #[error("the account is in multi-assets mode, in which its margin is not only in the margin asset")]
    MultiAssets,
    #[error("{host} lets nothing through (HTTP {status}) until {until}")]
    Limited { host: String, status: u16, until: Timestamp },
    #[error("the firewall of {host} blocked the request (HTTP 403)")]
    Blocked { host: String },
    #[error("{host} redirects to {to}")]
    Redirected { host: String, to: String },
    #[error("{path} of {host} did not answer in the exchange's language: {start}")]
    NotJson { host: String, path: String, start: String },
    #[error("{path} of {host} says what cannot be used: {why}")]
    BadRules { host: String, path: String, why: String },
    #[error("{host} refused {path}: {error}")]
    Refused { host: String, path: String, error: ExchangeError },
    #[error("{host} did not answer {path}: {why}")]
    NoAnswer { host: String, path: String, why: String },
}

impl Problem {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Problem::KeyRefused { error, .. } if error.code == -1022 => {
                "the signature does not fit: compare the secret, or the private key, with the one of this API key"
                    .into()
            }
            Problem::KeyRefused { .. } => {
                "usually a testnet key is used on production or the other way round; else add this \
                machine's IP address to the key's list and permit it futures trading"
                    .into()
            }
            Problem::ClockOff { .. } => "set the clock of this machine with NTP (`timedatectl set-ntp true`)".into(),
            Problem::UnknownSymbol { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Problem::UnknownSymbol { nearest: None, .. } => "symbols are written like BTCUSDT".into(),
            Problem::NotTrading { .. } => "choose another symbol, or wait until it trades".into(),
            Problem::Unreachable { .. } => {
                "check the network, the name and the port; `--rest-url` chooses another host".into()
            }
            Problem::Tls { .. } => {
                "check the date of this machine and whether something on the way replaces certificates".into()
            }
            Problem::MayNotTrade => {
                "look for a notice on the exchange's account page; a new account may need a transfer".into()
            }
            Problem::MultiAssets => "switch the futures account to single-asset mode in its preferences".into(),
            Problem::Limited { .. } => {
                "wait until then; other programs behind the same address use the same limit".into()
            }
            Problem::Blocked { .. } => "wait some minutes; the exchange may not serve this address or country".into(),
            Problem::Redirected { .. } => "use the address to which it redirects, if that is the exchange's".into(),
            Problem::NotJson { .. } => "check that the address is that of Binance USD-M futures (`--rest-url`)".into(),
            Problem::BadRules { .. } => {
                "the exchange may have changed its rules' form: look for a newer version".into()
            }
            Problem::Refused { .. } => "see the code in the exchange's list of errors".into(),
            Problem::NoAnswer { .. } => "try again; the exchange may be overloaded".into(),
        }
    }
}
