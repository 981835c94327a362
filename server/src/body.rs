//! An AnswerBody is the body of an answer, whole or broken off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::faults::How;
use crate::wire::Wire;

/// The connection is dropped on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped by a fault")]
pub(crate) struct Dropped;

/// Announces its full length, whatever becomes of it.
pub(crate) struct AnswerBody {
    rest: Option<Bytes>,
    length: u64,
    broken: Option<Broken>,
}

struct Broken {
    wire: Arc<Wire>,
    how: How,
    flushed: bool,
}

impl AnswerBody {
    pub(crate) fn whole(bytes: Vec<u8>) -> AnswerBody {
        let length = bytes.len() as u64;
        AnswerBody { rest: (length > 0).then(|| Bytes::from(bytes)), length, broken: None }
    }

    /// `keep` bytes arrive (half of them where it is not said, and never all), then the connection ends in this way.
    pub(crate) fn broken(mut bytes: Vec<u8>, keep: Option<usize>, how: How, wire: Arc<Wire>) -> AnswerBody {
        let length = bytes.len() as u64;
        bytes.truncate(keep.unwrap_or(bytes.len() / 2).min(bytes.len().saturating_sub(1)));
        let rest = (!bytes.is_empty()).then(|| Bytes::from(bytes));
        AnswerBody { rest, length, broken: Some(Broken { wire, how, flushed: false }) }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        let Some(broken) = &mut self.broken else { return Poll::Ready(None) };
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
