//! A Wire is one TCP connection on which things can go wrong on purpose: reset, silence, the plug pulled.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What may be done to a connection from outside of its task.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    resets: AtomicBool,
    silent: AtomicBool,
    cut: Notify,
}

impl Wire {
    /// From now on the end of the connection is a reset instead of a FIN.
    pub(crate) fn end_with_reset(&self) {
        self.resets.store(true, Ordering::Relaxed);
    }

    /// Half open: nothing is read any more, what is written gets lost, and the peer hears of neither.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// Ends the connection's task, and with it the connection.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Returns once the connection has been cut.
    pub(crate) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }
}

/// The stream of a connection, seen through its wire.
pub(crate) struct WiredStream {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl WiredStream {
    pub(crate) fn new(stream: TcpStream, wire: Arc<Wire>) -> WiredStream {
        WiredStream { stream, wire }
    }

    /// With a linger time of zero, closing sends a reset. Where the option fails, a FIN is the next best thing.
    fn arm_reset(&self) -> bool {
        self.wire.resets.load(Ordering::Relaxed) && self.stream.set_zero_linger().is_ok()
    }
}

impl Drop for WiredStream {
    fn drop(&mut self) {
        self.arm_reset();
    }
}

impl AsyncRead for WiredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Nobody needs to be woken: a silent connection ends by being cut, which its task waits for beside this.
        if self.wire.is_silent() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for WiredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.wire.is_silent() {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.is_silent() || self.arm_reset() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
