//! A Connection is the driver with its inbox, and what the exchange said before a session exists.

use std::time::{SystemTime, UNIX_EPOCH};

use alphaengine_core::instrument::Symbol;
use alphaengine_core::units::Timestamp;
use alphaengine_live::binance::{ApiKey, Bootstrap, BootstrapResult, Hosts};
use alphaengine_live::driver::{Arrival, Driver, DriverConfig, Inbox, Received, Stop};
use alphaengine_live::secrets::SecretText;

use crate::error::Error;

/// Sockets, ready to be used.
pub struct Connection {
    pub driver: Driver,
    pub inbox: Inbox,
}

impl Connection {
    pub fn open(hosts: &Hosts, api_key: Option<SecretText>) -> Result<Connection, Error> {
        let config = DriverConfig { api_key, signals: true, ..DriverConfig::new(hosts.rest.clone()) };
        let (driver, inbox) = Driver::start(config).map_err(|error| Error::new(error.to_string()))?;
        Ok(Connection { driver, inbox })
    }

    /// Asks for the rules and, with a key, for the account.
    pub fn bootstrap(
        &self,
        hosts: &Hosts,
        key: Option<ApiKey>,
        symbols: Vec<Symbol>,
    ) -> Result<BootstrapResult, Error> {
        let mut bootstrap = Bootstrap::new(hosts.clone(), key, symbols);
        bootstrap.start(now());
        loop {
            for effect in bootstrap.effects() {
                let _ = self.driver.carry_out(effect);
            }
            if let Some(result) = bootstrap.result() {
                return result.map_err(|problem| Error::new(problem.to_string()).maybe_hint(problem.hint()));
            }
            match self.inbox.recv_until(None) {
                Received::Arrival(at, Arrival::Http { id, answer }) => bootstrap.on_http(at, id, answer),
                Received::Arrival(_, Arrival::Signal(Stop::InOrder | Stop::AtOnce)) => {
                    return Err(Error::new("stopped before it was connected"));
                }
                Received::Arrival(..) | Received::Deadline => {}
                Received::Gone => return Err(Error::new("the network's threads ended, which is a defect")),
            }
        }
    }
}

/// The local clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
