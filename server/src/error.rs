//! Why a server could not start, or ended.

use std::io;
use std::net::SocketAddr;

/// A sentence with a next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is in use by another program: stop it, or choose another port (0 takes a free one)")]
    PortInUse(SocketAddr),
    #[error("{0} needs rights that this user does not have: choose a port above 1023")]
    PortPrivileged(SocketAddr),
    #[error("{0} is not an address of this machine: use 127.0.0.1, or 0.0.0.0 for all of its addresses")]
    NotOurAddress(SocketAddr),
    #[error("could not listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("could not start the server's thread: {0}")]
    Thread(io::Error),
    #[error("the server's thread ended by a mistake in the program: its last words are on stderr, please report them")]
    Died,
    #[error("the data hold nothing: name a dataset with updates for these symbols and this span")]
    NoData,
    #[error("the data end at {last}, inside the history that was asked for: ask for less history, or give more data")]
    AllHistory { last: alphaengine_core::units::Timestamp },
    #[error("reading the market data: {0}")]
    Feed(String),
}

impl Error {
    /// What a failed bind means for who asked for `address`.
    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::AddrInUse => Error::PortInUse(address),
            io::ErrorKind::PermissionDenied => Error::PortPrivileged(address),
            io::ErrorKind::AddrNotAvailable => Error::NotOurAddress(address),
            _ => Error::Listen { address, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_port_says_no_to_is_a_sentence_with_a_next_step() {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        for (kind, sentence) in [
            (io::ErrorKind::AddrInUse, "127.0.0.1:80 is in use by another program: stop it, or choose another port"),
            (io::ErrorKind::PermissionDenied, "127.0.0.1:80 needs rights that this user does not have: choose a port"),
            (io::ErrorKind::AddrNotAvailable, "127.0.0.1:80 is not an address of this machine: use 127.0.0.1"),
            (io::ErrorKind::OutOfMemory, "could not listen on 127.0.0.1:80: out of memory"),
        ] {
            let error = Error::listen(address, kind.into()).to_string();
            assert!(error.starts_with(sentence), "{error}");
        }
    }
}
