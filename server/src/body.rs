//! An AnswerBody is the body of an answer: whole, slow or broken off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alphaengine_sim::faults::How;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Sleep;

use crate::wire::Wire;

/// The connection is dropped on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped by a fault")]
pub(crate) struct Dropped;

/// Announces its full length, whatever becomes of it.
pub(crate) struct AnswerBody {
    rest: Option<Bytes>,
    length: u64,
    slow: Option<Slow>,
    broken: Option<Broken>,
}

/// A body in pieces with pauses before them.
struct Slow {
    piece: usize,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

struct Broken {
    wire: Arc<Wire>,
    how: How,
    flushed: bool,
}

impl AnswerBody {
    pub(crate) fn whole(bytes: Vec<u8>) -> AnswerBody {
        let length = bytes.len() as u64;
        AnswerBody { rest: (length > 0).then(|| Bytes::from(bytes)), length, slow: None, broken: None }
    }

    /// In ten pieces, over `span` in all.
    pub(crate) fn slow(bytes: Vec<u8>, span: Duration) -> AnswerBody {
        let (piece, pause) = (bytes.len().div_ceil(10).max(1), span / 10);
        let slow = Slow { piece, pause, sleep: Box::pin(tokio::time::sleep(pause)) };
        AnswerBody { slow: Some(slow), ..AnswerBody::whole(bytes) }
    }

    /// `keep` bytes arrive (half of them where it is not said, and never all), then the connection ends in this way.
    pub(crate) fn broken(mut bytes: Vec<u8>, keep: Option<usize>, how: How, wire: Arc<Wire>) -> AnswerBody {
        let length = bytes.len() as u64;
        bytes.truncate(keep.unwrap_or(bytes.len() / 2).min(bytes.len().saturating_sub(1)));
        let rest = (!bytes.is_empty()).then(|| Bytes::from(bytes));
        AnswerBody { rest, length, slow: None, broken: Some(Broken { wire, how, flushed: false }) }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        let body = &mut *self;
        if let (Some(slow), Some(rest)) = (&mut body.slow, &mut body.rest) {
            ready!(slow.sleep.as_mut().poll(cx));
            slow.sleep = Box::pin(tokio::time::sleep(slow.pause));
            let piece = rest.split_to(slow.piece.min(rest.len()));
            if rest.is_empty() {
                body.rest = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(rest) = body.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        let Some(broken) = &mut body.broken else { return Poll::Ready(None) };
        if broken.how == How::Timeout {
            return Poll::Pending;
        }
        // A body that waits is flushed; one that fails is not. So wait once.
        if !broken.flushed {
            broken.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if broken.how == How::Reset {
            broken.wire.end_with_reset();
        }
        Poll::Ready(Some(Err(Dropped)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
