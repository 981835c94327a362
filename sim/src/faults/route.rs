//! A Route is the kind of stream connection that a path asks for (`binance-usdm.md` section 1.1).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a stream connection belongs. Everything un-routed and the request socket are `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    Public,
    Market,
    Private,
    Other,
}

impl Route {
    pub const ALL: [Route; 4] = [Route::Public, Route::Market, Route::Private, Route::Other];

    pub const fn name(self) -> &'static str {
        match self {
            Route::Public => "public",
            Route::Market => "market",
            Route::Private => "private",
            Route::Other => "other",
        }
    }

    /// The route of a request path: its first segment.
    pub fn of_path(path: &str) -> Route {
        let first = path.trim_start_matches('/').split('/').next();
        let found = Route::ALL.into_iter().find(|route| Some(route.name()) == first);
        found.unwrap_or(Route::Other)
    }

    pub fn parse(name: &str) -> Option<Route> {
        Route::ALL.into_iter().find(|route| route.name() == name)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
