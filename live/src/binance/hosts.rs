//! Hosts: where the exchange is. Everything that differs between production and testnet stands here.

use alphaengine_core::link::Route;

/// `binance-usdm.md` section 1.1.
pub const PRODUCTION_REST: &str = "https://fapi.binance.com";
pub const PRODUCTION_STREAM: &str = "wss://fstream.binance.com";
/// `binance-usdm.md` section 1.2: testnet and demo are one backend.
pub const TESTNET_REST: &str = "https://demo-fapi.binance.com";
pub const TESTNET_STREAM: &str = "wss://demo-fstream.binance.com";

/// The events that the private stream carries, named because leaving them out is not known to mean "all" (section 1.3).
const PRIVATE_EVENTS: &str =
    "ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE/ACCOUNT_CONFIG_UPDATE/MARGIN_CALL/listenKeyExpired";

/// The two addresses of an exchange, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// `https://fapi.binance.com`
    pub rest: String,
    /// `wss://fstream.binance.com`
    pub stream: String,
}

impl Hosts {
    pub fn production() -> Hosts {
        Hosts { rest: PRODUCTION_REST.to_owned(), stream: PRODUCTION_STREAM.to_owned() }
    }

    pub fn testnet() -> Hosts {
        Hosts { rest: TESTNET_REST.to_owned(), stream: TESTNET_STREAM.to_owned() }
    }

    /// The same with other addresses where some are given.
    pub fn with(mut self, rest: Option<&str>, stream: Option<&str>) -> Hosts {
        let trim = |url: &str| url.trim_end_matches('/').to_owned();
        self.rest = rest.map_or(self.rest, trim);
        self.stream = stream.map_or(self.stream, trim);
        self
    }

    /// The path of a route.
    pub(crate) const fn path(route: Route) -> &'static str {
        match route {
            Route::Public => "/public",
            Route::Market => "/market",
            Route::Private => "/private",
        }
    }

    /// The address of a connection that carries these streams, whose names are percent-encoded already.
    pub(crate) fn streams_url(&self, route: Route, streams: &[String]) -> String {
        format!("{}{}/stream?streams={}", self.stream, Hosts::path(route), streams.join("/"))
    }

    /// The address of the account's own events.
    pub(crate) fn private_url(&self, listen_key: &str) -> String {
        let key = super::query::encoded(listen_key);
        format!("{}{}/ws?listenKey={key}&events={PRIVATE_EVENTS}", self.stream, Hosts::path(Route::Private))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_route_is_one_path_and_overrides_lose_their_last_slash() {
        let hosts = Hosts::production().with(Some("http://127.0.0.1:9001/"), None);
        assert_eq!(hosts.rest, "http://127.0.0.1:9001");
        let streams = ["btcusdt@kline_1m".to_owned(), "btcusdt@markPrice@1s".to_owned()];
        assert_eq!(
            hosts.streams_url(Route::Market, &streams),
            "wss://fstream.binance.com/market/stream?streams=btcusdt@kline_1m/btcusdt@markPrice@1s"
        );
        assert!(hosts.private_url("K1").starts_with("wss://fstream.binance.com/private/ws?listenKey=K1&events=ORDER_"));
    }
}
