//! The two directions of a stream.

use std::{
    future::Future,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;

/// No more can be read from a stream.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReadError(quinn::ReadError);

impl ReadError {
    /// Whether the client gave up this stream alone; otherwise the connection is over.
    pub fn is_reset(&self) -> bool {
        matches!(self.0, quinn::ReadError::Reset(_))
    }
}

/// No more can be written to a stream.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct WriteError(quinn::WriteError);

/// What the server writes to a stream. Dropped without [`Self::finish`], the stream is finished as well.
pub struct SendStream(quinn::SendStream);

impl SendStream {
    pub(crate) fn new(stream: quinn::SendStream) -> Self {
        Self(stream)
    }

    /// Writes all of these bytes, without a copy; waits while the client does not take them.
    ///
    /// # Errors
    /// [`WriteError`] when the stream was stopped or finished, or the connection is over.
    ///
    /// # Cancel safety
    /// None: a part of the bytes may have been written.
    #[inline]
    pub fn write_chunk(
        &mut self,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        let writing = self.0.write_chunk(bytes);
        writing.map(|written| written.map_err(WriteError))
    }

    /// Ends the stream after what was written.
    ///
    /// # Errors
    /// [`WriteError`] when it has ended already.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        let finished = self.0.finish();
        finished.map_err(|error| WriteError(error.into()))
    }

    /// Resolves when the client has acknowledged everything up to the end, does not want it, or is gone.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.stopped().map(drop)
    }
}

/// What the client writes to a stream. Dropped, the client is asked to stop.
pub struct RecvStream(quinn::RecvStream);

impl RecvStream {
    pub(crate) fn new(stream: quinn::RecvStream) -> Self {
        Self(stream)
    }

    /// The next bytes in their order, at most `max_bytes` and without a copy; `None` after the last ones.
    ///
    /// # Errors
    /// [`ReadError`] when the client gave up the stream or the connection is over.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[inline]
    pub fn read_chunk(
        &mut self,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Option<Bytes>, ReadError>> + Send {
        self.0.read_chunk(max_bytes, true).map(|read| match read {
            Ok(chunk) => Ok(chunk.map(|chunk| chunk.bytes)),
            Err(error) => Err(ReadError(error)),
        })
    }

    /// The same into a buffer: how many bytes came; 0 after the last ones.
    ///
    /// # Errors
    /// As [`Self::read_chunk`].
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, ReadError>> {
        self.0.poll_read(cx, buffer).map_err(ReadError)
    }
}
