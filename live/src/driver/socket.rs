//! One WebSocket of the driver: connect, hand over what comes, send what is asked at the pace that Binance allows, close.
//!
//! Pings are answered by the protocol layer: a pong with the ping's payload is queued when the ping is read and leaves before the
//! next read, whether or not anything else is sent. A connection that is silent is not noticed here; that is what the session's
//! deadlines are for, and on the account's route its comparison with what REST tells.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::inbox::{Arrival, MarketRefusal, Queue};
use super::sentence::no_connection;
use crate::wire::SocketId;

/// Ten messages a second may go out on a connection, pongs included (`binance-usdm.md` section 4.1); two are left for pongs.
const TEXTS_A_SECOND: usize = 8;
/// A little more than a second, since the other side counts by its own clock and after a journey of uneven length.
const SECOND: Duration = Duration::from_millis(1_100);
/// How long a closing handshake may take.
const GOODBYE: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Whether frames of a socket may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Market,
    Account,
}

impl Route {
    /// A socket carries market data if its URL says so by a path segment `public` or `market`. Everything else is treated as
    /// account data: in doubt nothing is left out.
    pub(crate) fn of(url: &str) -> Route {
        let path = url.split_once('?').map_or(url, |(path, _)| path);
        let path = path.split_once("://").map_or(path, |(_, rest)| rest);
        let market = path.split('/').skip(1).any(|segment| matches!(segment, "public" | "market"));
        let account = path.split('/').skip(1).any(|segment| segment == "private");
        if market && !account { Route::Market } else { Route::Account }
    }
}

/// What one socket needs to live.
pub(crate) struct Life {
    pub(crate) socket: SocketId,
    pub(crate) url: String,
    pub(crate) texts: mpsc::Receiver<String>,
    /// Fires with the reason when the socket shall be closed.
    pub(crate) end: oneshot::Receiver<String>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_message: usize,
    pub(crate) market_patience: Duration,
}

impl Life {
    /// From connecting to the end; returns why it ended.
    pub(crate) async fn live(mut self) -> String {
        let mut asked = pin!(async {
            match (&mut self.end).await {
                Ok(why) => why,
                Err(_) => "the driver stopped".to_owned(),
            }
        });
        let opened = tokio::select! {
            opened = connect(&self.url, self.connect_timeout, self.max_message) => opened,
            why = &mut asked => return why,
        };
        let ws = match opened {
            Ok(ws) => ws,
            Err(why) => return why,
        };
        self.queue.tell(Arrival::Opened { socket: self.socket });
        let (mut sink, stream) = ws.split();
        let route = Route::of(&self.url);
        let mut reading = pin!(read(stream, self.socket, route, &self.queue, self.market_patience));
        // A closing comes before whatever else is ready, so that nothing is sent after it.
        let why = tokio::select! {
            biased;
            why = &mut asked => why,
            why = write(&mut sink, &mut self.texts) => why,
            why = &mut reading => return why,
        };
        // What is still on its way is handed over while the two sides part.
        let goodbye = async {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            tokio::join!(sink.send(Message::Close(Some(frame))), &mut reading)
        };
        let _ = timeout(GOODBYE, goodbye).await;
        why
    }
}

async fn connect(url: &str, patience: Duration, max_message: usize) -> Result<Socket, String> {
    let request = url.into_client_request().map_err(|_| "the WebSocket URL is not valid: check --ws-url".to_owned())?;
    let uri = request.uri();
    if !matches!(uri.scheme_str(), Some("ws" | "wss")) {
        return Err("the WebSocket URL must begin with ws:// or wss://: check --ws-url".to_owned());
    }
    let host = uri.host().ok_or_else(|| "the WebSocket URL names no host: check --ws-url".to_owned())?.to_owned();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("wss") { 443 } else { 80 });
    let name = format!("{host}:{port}");
    let tcp = match dial(host.trim_matches(['[', ']']), port, patience).await {
        Ok(tcp) => tcp,
        Err(error) => return Err(no_connection(&name, &error, "--ws-url")),
    };
    let _ = tcp.set_nodelay(true); // Only a matter of latency.
    let config = WebSocketConfig::default().max_message_size(Some(max_message)).max_frame_size(Some(max_message));
    match timeout(patience, client_async_tls_with_config(request, tcp, Some(config), None)).await {
        Ok(Ok((ws, _))) => Ok(ws),
        Ok(Err(Error::Http(response))) => {
            let status = response.status().as_u16();
            Err(format!("{name} answered {status} instead of opening a WebSocket: check --ws-url and the path"))
        }
        Ok(Err(Error::Io(error))) => Err(no_connection(&name, &error, "--ws-url")),
        Ok(Err(Error::Tls(error))) => Err(no_connection(&name, &error, "--ws-url")),
        Ok(Err(error)) => Err(format!("the WebSocket handshake with {name} failed: {}", sentence(&error))),
        Err(_) => Err(format!("{name} accepted the connection but did not open the WebSocket in time")),
    }
}

/// Tries the addresses of a host one after the other. Each gets its share of the time, so that one that swallows everything (an
/// IPv6 route that leads nowhere) leaves the next a chance.
async fn dial(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + patience;
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let addresses: Vec<_> = timeout_at(deadline, lookup_host((host, port))).await.map_err(|_| late())??.collect();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for (at, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = late(),
        }
    }
    Err(failure)
}

/// Hands over frames until the connection ends; returns why it did.
async fn read(
    mut stream: SplitStream<Socket>,
    socket: SocketId,
    route: Route,
    queue: &Queue,
    patience: Duration,
) -> String {
    loop {
        let text = match stream.next().await {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(frame))) => {
                // Reading on sends our half of the handshake; the server then drops the connection.
                let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = stream.next().await {} }).await;
                return match frame {
                    Some(CloseFrame { code, reason }) if reason.is_empty() => {
                        format!("closed by the server: code {code}")
                    }
                    Some(CloseFrame { code, reason }) => format!("closed by the server: code {code}, {reason}"),
                    None => "closed by the server".to_owned(),
                };
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => return sentence(&error),
            None => return "the connection ended".to_owned(),
        };
        let handed = match route {
            Route::Account => {
                queue.account(Arrival::Frame { socket, text }).await.map_err(|_| MarketRefusal::NobodyReads)
            }
            Route::Market => queue.market(socket, text, patience).await,
        };
        match handed {
            Ok(()) => {}
            Err(MarketRefusal::NobodyReads) => return "nobody reads any more".to_owned(),
            Err(MarketRefusal::Stalled) => {
                return format!(
                    "overrun: market frames that may not be left out found no room for {patience:?}, because the engine is too slow"
                );
            }
        }
    }
}

/// Sends texts, at most [`TEXTS_A_SECOND`]; returns only when sending fails.
async fn write(sink: &mut SplitSink<Socket, Message>, texts: &mut mpsc::Receiver<String>) -> String {
    let mut sent: VecDeque<Instant> = VecDeque::with_capacity(TEXTS_A_SECOND);
    loop {
        let Some(text) = texts.recv().await else { return pending().await };
        if sent.len() >= TEXTS_A_SECOND
            && let Some(oldest) = sent.pop_front()
        {
            sleep_until(oldest + SECOND).await;
        }
        if let Err(error) = sink.send(Message::text(text)).await {
            return sentence(&error);
        }
        sent.push_back(Instant::now());
    }
}

/// A WebSocket error as a sentence without the URL.
fn sentence(error: &Error) -> String {
    match error {
        Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
            io::ErrorKind::UnexpectedEof => "the connection ended without a close frame".to_owned(),
            _ => format!("the connection failed: {error}"),
        },
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the connection ended without a close frame".to_owned()
        }
        Error::Capacity(error) => format!("a message was too long: {error}"),
        Error::Protocol(error) => format!("the server broke the WebSocket protocol: {error}"),
        Error::Utf8(_) => "the server sent a text that is not UTF-8".to_owned(),
        Error::ConnectionClosed | Error::AlreadyClosed => "the connection ended".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_and_market_paths_carry_market_data() {
        for (url, route) in [
            ("wss://fstream.binance.com/public/stream?streams=btcusdt@bookTicker", Route::Market),
            ("wss://fstream.binance.com/market/ws/btcusdt@aggTrade", Route::Market),
            ("ws://127.0.0.1:9001/prefix/public/ws", Route::Market),
            ("wss://fstream.binance.com/private/ws?listenKey=public", Route::Account),
            ("wss://fstream.binance.com/private/ws/market", Route::Account),
            ("wss://fstream.binance.com/ws/abc", Route::Account),
            ("wss://ws-fapi.binance.com/ws-fapi/v1", Route::Account),
            ("ws://public/ws", Route::Account),
            ("", Route::Account),
        ] {
            assert_eq!(Route::of(url), route, "{url}");
        }
    }
}
