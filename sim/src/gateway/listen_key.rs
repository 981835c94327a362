//! ListenKeys: the key of the private stream. One is alive at a time, for an hour after it was last asked for or kept alive
//! (`binance-usdm.md` section 3.5).

use alphaengine_core::store::hex;
use alphaengine_core::units::{Nanos, Timestamp};
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::json::{JsonText, json};
use super::{Call, Gateway};

/// The account's key.
#[derive(Debug, Default)]
pub(super) struct ListenKeys {
    key: Option<(String, Timestamp)>,
    made: u64,
}

impl ListenKeys {
    /// The key that is alive, or a new one; it lives on for `life`.
    pub fn create(&mut self, now: Timestamp, life: Nanos) -> String {
        let key = self.active(now).unwrap_or_else(|| {
            self.made += 1;
            hex(&Sha256::digest(format!("listen key {} at {}", self.made, now.nanos())))
        });
        self.key = Some((key.clone(), now.plus(life)));
        key
    }

    pub fn active(&self, now: Timestamp) -> Option<String> {
        self.key.as_ref().filter(|(_, until)| now < *until).map(|(key, _)| key.clone())
    }

    /// Takes the key away if its time has come, or at once.
    pub fn expire(&mut self, now: Timestamp, at_once: bool) -> Option<String> {
        let is_over = self.key.as_ref().is_some_and(|(_, until)| at_once || now >= *until);
        if is_over { self.key.take().map(|(key, _)| key) } else { None }
    }

    pub fn expires(&self) -> Timestamp {
        self.key.as_ref().map_or(Timestamp::MAX, |(_, until)| *until)
    }
}

pub(super) fn create(gateway: &mut Gateway, _: &Call<'_>) -> Result<JsonText, ApiError> {
    let key = gateway.keys.create(gateway.wall, gateway.config.listen_key_life);
    Ok(json!({"listenKey": key}))
}

pub(super) fn keep(gateway: &mut Gateway, _: &Call<'_>) -> Result<JsonText, ApiError> {
    if gateway.keys.active(gateway.wall).is_none() {
        return Err(ApiError::new(-1125, "This listenKey does not exist."));
    }
    let key = gateway.keys.create(gateway.wall, gateway.config.listen_key_life);
    Ok(json!({"listenKey": key}))
}

pub(super) fn delete(gateway: &mut Gateway, _: &Call<'_>) -> Result<JsonText, ApiError> {
    gateway.keys.expire(gateway.wall, true);
    Ok(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn a_live_key_is_given_again_and_lives_on() {
        let mut keys = ListenKeys::default();
        let first = keys.create(at(0), 60);
        assert_eq!(first.len(), 64);
        assert_eq!(keys.create(at(50), 60), first);
        assert_eq!(keys.active(at(109)), Some(first.clone()));
        assert_eq!(keys.active(at(110)), None);
        assert_eq!(keys.expire(at(109), false), None);
        assert_eq!(keys.expire(at(110), false), Some(first.clone()));
        assert_ne!(keys.create(at(111), 60), first);
    }
}
