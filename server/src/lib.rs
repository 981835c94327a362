//! Our own Binance on a socket.
