//! A Signer proves that a request is ours (`binance-usdm.md` section 2.2). What it signs with is shown nowhere.

use std::fmt;

use alphaengine_core::store::hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::query::encoded;

/// A key of the exchange: the part that is sent and the part that signs.
#[derive(Clone)]
pub struct ApiKey {
    /// Goes with each request in the header `X-MBX-APIKEY`.
    pub id: String,
    pub signer: Signer,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// Signs with HMAC-SHA256 or with Ed25519.
#[derive(Clone)]
pub struct Signer(Kind);

#[derive(Clone)]
enum Kind {
    Hmac(Hmac<Sha256>),
    Ed25519(Box<SigningKey>),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// A key that cannot sign. The key itself is not quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the secret is empty")]
    Empty,
    #[error(
        "the private key is not an Ed25519 key in PKCS#8 PEM form: make one with `openssl genpkey -algorithm ed25519`"
    )]
    NotEd25519,
}

impl Signer {
    /// A signer with the secret that was shown when the key was made.
    pub fn hmac(secret: &str) -> Result<Signer, Error> {
        if secret.is_empty() {
            return Err(Error::Empty);
        }
        // Any length is a key for HMAC; the error of the type cannot come.
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| Error::Empty)?;
        Ok(Signer(Kind::Hmac(mac)))
    }

    /// A signer with a private key in PKCS#8 PEM form (`-----BEGIN PRIVATE KEY-----`).
    pub fn ed25519(pem: &str) -> Result<Signer, Error> {
        let key = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| Error::NotEd25519)?;
        Ok(Signer(Kind::Ed25519(Box::new(key))))
    }

    /// The signature of a query string, encoded to stand in it.
    pub fn sign(&self, payload: &str) -> String {
        match &self.0 {
            Kind::Hmac(mac) => {
                let mut mac = mac.clone();
                mac.update(payload.as_bytes());
                hex(&mac.finalize().into_bytes())
            }
            Kind::Ed25519(key) => encoded(&STANDARD.encode(key.sign(payload.as_bytes()).to_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    #[test]
    fn hmac_reproduces_the_example_of_the_exchange() {
        let signer = Signer::hmac("2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9").unwrap();
        let payload = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000\
                       &timestamp=1591702613943";
        assert_eq!(signer.sign(payload), "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9");
    }

    #[test]
    fn ed25519_reproduces_the_first_vector_of_rfc_8032() {
        let signer = Signer::ed25519(PEM).unwrap();
        let signature = "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==";
        assert_eq!(signer.sign(""), encoded(signature));
    }

    #[test]
    fn neither_key_nor_signer_shows_anything() {
        let key = ApiKey { id: "canary-id".into(), signer: Signer::hmac("canary-secret").unwrap() };
        assert_eq!(format!("{key:?} {:?}", key.signer), "ApiKey(..) Signer(..)");
        let error = Signer::ed25519("canary").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
