//! A Connection is the driver with its inbox, and what the exchange said before a session exists.

use std::collections::BTreeSet;

use alphaengine_core::instrument::Symbol;
use alphaengine_live::binance::{ApiKey, Bootstrap, BootstrapResult, Hosts};
use alphaengine_live::clock::{deadline, now};
use alphaengine_live::driver::{Arrival, Driver, DriverConfig, Inbox, Received, Stop};
use alphaengine_live::secrets::SecretText;
use alphaengine_live::wire::Effect;

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
        let mut timers = BTreeSet::new();
        bootstrap.start(now());
        loop {
            for effect in bootstrap.effects() {
                if let Some(Effect::Timer { timer, at }) = self.driver.carry_out(effect) {
                    timers.insert((at, timer));
                }
            }
            if let Some(result) = bootstrap.result() {
                return result.clone().map_err(|problem| Error::new(problem.to_string()).hint(problem.hint()));
            }
            let due = timers.first().copied();
            match self.inbox.recv_until(due.and_then(|(at, _)| deadline(now(), at))) {
                Received::Arrival(at, Arrival::Http { id, answer }) => bootstrap.on_http(at, id, answer),
                Received::Arrival(_, Arrival::Signal(Stop::InOrder | Stop::AtOnce)) => {
                    return Err(Error::new("stopped before it was connected"));
                }
                Received::Arrival(..) => {}
                Received::Deadline => {
                    if let Some((_, timer)) = timers.pop_first() {
                        bootstrap.on_timer(now(), timer);
                    }
                }
                Received::Gone => return Err(Error::new("the network's threads ended, which is a defect")),
            }
        }
    }
}
