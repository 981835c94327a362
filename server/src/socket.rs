//! A socket's task carries frames between a stream connection and the exchange until one of them ends it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::exchange::Outgoing;
use crate::server::Shared;
use crate::wire::{Wire, WiredStream};

/// How long a peer may take to answer a close frame.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves connection `id` from its upgrade to its end.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    upgrade: OnUpgrade,
    id: u64,
    frames: mpsc::Receiver<Outgoing>,
    wire: Arc<Wire>,
) {
    tokio::select! {
        biased;
        () = wire.is_cut() => {}
        () = upgraded(&shared, upgrade, id, frames) => {}
    }
    shared.exchange().disconnect(id);
}

async fn upgraded(shared: &Shared, upgrade: OnUpgrade, id: u64, mut frames: mpsc::Receiver<Outgoing>) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok((stream, early)) = raw(upgraded) else { return };
    let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, None).await;
    let (mut sink, mut stream) = socket.split();
    let write = async {
        while let Some(outgoing) = frames.recv().await {
            if let Outgoing::Text { due: Some(due), .. } = outgoing {
                // What was told before it is not held up.
                sink.flush().await?;
                tokio::time::sleep_until(due.into()).await;
            }
            let is_last = matches!(outgoing, Outgoing::Close { .. });
            sink.feed(message(outgoing)).await?;
            if is_last || frames.is_empty() {
                sink.flush().await?;
            }
            if is_last {
                break;
            }
        }
        Ok::<(), tokio_tungstenite::tungstenite::Error>(())
    };
    let read = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Text(text) => shared.exchange().text(id, text.as_str()),
                Message::Binary(bytes) => shared.exchange().text(id, &String::from_utf8_lossy(&bytes)),
                Message::Pong(_) => shared.exchange().pong(id),
                // Pings are answered by the library. After a close frame the stream ends by itself.
                Message::Ping(_) | Message::Close(_) | Message::Frame(_) => {}
            }
        }
    };
    let (mut write, mut read) = (std::pin::pin!(write), std::pin::pin!(read));
    tokio::select! {
        biased;
        // We have said goodbye: the peer's answer ends the connection, or our patience does.
        _ = &mut write => { let _ = tokio::time::timeout(FAREWELL, read).await; }
        () = &mut read => {}
    }
}

/// The stream below an upgraded connection, and what was read of it already.
fn raw(upgraded: Upgraded) -> Result<(WiredStream, Vec<u8>), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<WiredStream>>()?;
    Ok((parts.io.into_inner(), parts.read_buf.to_vec()))
}

fn message(outgoing: Outgoing) -> Message {
    match outgoing {
        Outgoing::Text { text, .. } => Message::text(&*text),
        Outgoing::Ping(payload) => Message::Ping(payload.into()),
        Outgoing::Close { code, reason } => {
            Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
        }
    }
}
