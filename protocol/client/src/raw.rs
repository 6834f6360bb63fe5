//! A connection without rules, for tests: it sends what it is told, right or wrong, and returns
//! what comes back. Nothing happens by itself, not even a `Pong`.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use nowrong_protocol::{
    ClientFrame, CloseCode, ServerFrame,
    envelope::{Decoder, decode_datagram, split_frame},
    frame::{Bye, Hello, Lane, Welcome},
    limits::{DATAGRAM_BYTES_MAX, FRAME_BYTES_MAX},
    version::VersionRange,
};

use crate::{ApiError, Endpoint, LinkError, LinkOptions, Received, Transport, User, link::Link};

/// A bare link that speaks frames and bytes.
pub struct RawConnection {
    link: Link,
    live: Decoder,
    bulk: Decoder,
    frames: VecDeque<ServerFrame>,
}

/// Why a raw connection did not do what a test asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// The link was lost, or could not be opened.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server refused over REST.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The server sent bytes that are not frames.
    #[error("the server sent something that is not a frame: {0}")]
    Garbled(String),
    /// Nothing arrived in time.
    #[error("nothing arrived within {0:?}")]
    Silence(Duration),
    /// Something other than the expected frame arrived.
    #[error("unexpected: {0:?}")]
    Unexpected(Box<ServerFrame>),
}

impl RawConnection {
    /// Opens a link, and sends nothing on it.
    ///
    /// # Errors
    /// [`RawError::Link`].
    pub async fn open(endpoint: &Endpoint, options: &LinkOptions) -> Result<Self, RawError> {
        let link = Link::open(endpoint, options).await?;
        Ok(Self {
            link,
            live: Decoder::new(),
            bulk: Decoder::new(),
            frames: VecDeque::new(),
        })
    }

    /// Opens a link for a user and sends `Hello` on it; returns the `Welcome` too.
    ///
    /// # Errors
    /// [`RawError`]; [`RawError::Unexpected`] with a `Bye` when the server refuses.
    pub async fn welcomed(user: &User, options: &LinkOptions) -> Result<(Self, Welcome), RawError> {
        let connect = user.connect().await?;
        let mut connection = Self::open(&connect.endpoint, options).await?;
        connection.send(Self::hello(connect.connect_token));
        match connection.receive(Duration::from_secs(10)).await? {
            ServerFrame::Welcome(welcome) => Ok((connection, welcome)),
            other => Err(RawError::Unexpected(Box::new(other))),
        }
    }

    /// A valid `Hello` with this token that resumes nothing.
    pub fn hello(connect_token: impl Into<String>) -> Hello {
        Hello {
            versions: VersionRange::SUPPORTED,
            connect_token: connect_token.into(),
            agent: "raw".to_owned(),
            resume: Vec::new(),
        }
    }

    /// The transport it uses; never [`Transport::Auto`].
    pub fn transport(&self) -> Transport {
        self.link.transport()
    }

    /// Queues a frame on its lane; it is sent while [`Self::receive`] or [`Self::flush`] waits.
    pub fn send(&mut self, frame: impl Into<ClientFrame>) {
        let frame = frame.into();
        match frame.lane() {
            Lane::Datagram => self.link.signal(frame.encode_datagram(), frame.encode()),
            lane => self.link.queue(lane, frame.encode()),
        }
    }

    /// Queues any bytes on a lane. [`Lane::Datagram`] is one datagram, or one WebSocket message.
    pub fn send_bytes(&mut self, lane: Lane, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        match lane {
            Lane::Datagram => self.link.signal(bytes.clone(), bytes),
            lane => self.link.queue(lane, bytes),
        }
    }

    /// The next frame, from any lane. Frames of unknown types are skipped.
    ///
    /// # Errors
    /// [`RawError::Silence`] after `timeout`, [`RawError::Link`] when the server closed.
    pub async fn receive(&mut self, timeout: Duration) -> Result<ServerFrame, RawError> {
        let next = tokio::time::timeout(timeout, self.next_frame()).await;
        next.unwrap_or(Err(RawError::Silence(timeout)))
    }

    /// The `Bye` that the server sends, skipping other frames.
    ///
    /// # Errors
    /// As for [`Self::receive`]; a server that closes without a `Bye` is [`RawError::Link`].
    pub async fn receive_bye(&mut self, timeout: Duration) -> Result<Bye, RawError> {
        let bye = async {
            loop {
                if let ServerFrame::Bye(bye) = self.next_frame().await? {
                    return Ok(bye);
                }
            }
        };
        let bye = tokio::time::timeout(timeout, bye).await;
        bye.unwrap_or(Err(RawError::Silence(timeout)))
    }

    /// Sends what is queued, for this long, and keeps what comes in.
    ///
    /// # Errors
    /// [`RawError::Link`] when the server closed.
    pub async fn flush(&mut self, time: Duration) -> Result<(), RawError> {
        let reading = async {
            loop {
                self.read().await?;
            }
        };
        tokio::time::timeout(time, reading).await.unwrap_or(Ok(()))
    }

    /// Waits until the server has closed the link.
    ///
    /// # Errors
    /// [`RawError::Silence`] when it has not within `timeout`.
    pub async fn closed(&mut self, timeout: Duration) -> Result<(), RawError> {
        match self.flush(timeout).await {
            Err(RawError::Link(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(RawError::Silence(timeout)),
        }
    }

    /// Closes the link with this code and without a `Bye`.
    pub async fn close(self, code: CloseCode) {
        self.link.close(code).await;
    }

    async fn next_frame(&mut self) -> Result<ServerFrame, RawError> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), RawError> {
        match self.link.receive().await? {
            Received::Live(bytes) => self.live.push(&bytes),
            Received::Bulk(bytes) => self.bulk.push(&bytes),
            Received::Datagram(bytes) => {
                let raw = decode_datagram(&bytes, DATAGRAM_BYTES_MAX).map_err(garbled)?;
                let frame = ServerFrame::decode(raw.kind, raw.body).map_err(garbled)?;
                // The lane brings the same bytes as a copy.
                let is_copy = |frame: &ServerFrame| matches!(frame, ServerFrame::LaneCopy(_));
                self.frames.extend(frame.filter(|frame| !is_copy(frame)));
            }
            Received::Message(mut message) => {
                while !message.is_empty() {
                    let split = split_frame(&message, FRAME_BYTES_MAX).map_err(garbled)?;
                    let (raw, width) = split.ok_or_else(|| garbled("a message ends in a frame"))?;
                    self.frames
                        .extend(ServerFrame::decode(raw.kind, raw.body).map_err(garbled)?);
                    message = message.slice(width..);
                }
            }
            Received::Violation(code) => return Err(garbled(code)),
        }
        for lane in [&mut self.live, &mut self.bulk] {
            while let Some(raw) = lane.next_frame(FRAME_BYTES_MAX).map_err(garbled)? {
                self.frames
                    .extend(ServerFrame::decode(raw.kind, raw.body).map_err(garbled)?);
            }
        }
        Ok(())
    }
}

fn garbled(error: impl std::fmt::Display) -> RawError {
    RawError::Garbled(error.to_string())
}
