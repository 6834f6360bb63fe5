//! What a session hears beside its live lane, and rarely: the bulk lane, datagrams, its end.
//!
//! The live lane wakes the connection with every message, and each look at a stream takes the lock of its
//! QUIC connection. So these are polled only when they themselves have news.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use nowrong_quic::{Connection, Dormant, SendStream};

use super::session::{LaneReader, Lanes, Stream, Watch, datagram};
use crate::connection::LinkError;

/// News of a session beside its live lane.
pub(super) enum SessionEvent {
    /// The client has opened its bulk lane.
    BulkOpened(SendStream),
    /// Bytes of it.
    Bulk(Bytes),
    /// It is over. The client may open another one.
    BulkEnded,
    /// A datagram.
    Datagram(Bytes),
}

/// All that can come beside the live lane.
pub(super) struct SessionEvents([Dormant<Result<SessionEvent, LinkError>>; 3]);

impl SessionEvents {
    pub(super) fn new(quic: Connection, lanes: Lanes, watch: Watch) -> Self {
        let datagrams = stream::unfold(quic, async |quic| {
            let datagram = datagram(&quic).await;
            Some((datagram.map(SessionEvent::Datagram), quic))
        });
        // Boxed: each of these futures has room for its state twice.
        let bulk = Box::new(Bulk { lanes, open: None });
        let bulk = stream::unfold(bulk, async |mut bulk| Some((bulk.next().await, bulk)));
        // The watch outlives the end that it tells of: letting go of the client's control and QPACK
        // streams would be an error of HTTP/3, which a client takes before it has read why we close.
        let end = stream::unfold(Box::new(watch), async |mut watch| {
            Some((Err(watch.ended().await), watch))
        });
        Self([
            Dormant::new(datagrams),
            Dormant::new(bulk),
            Dormant::new(end),
        ])
    }

    /// The next news.
    ///
    /// # Errors
    /// [`LinkError`] when the session is over.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<SessionEvent, LinkError> {
        let [datagrams, bulk, end] = &mut self.0;
        let next = tokio::select! {
            next = datagrams.next() => next,
            next = bulk.next() => next,
            next = end.next() => next,
        };
        next.unwrap_or_else(|| Err(LinkError::new("the session is over")))
    }

    /// Resolves when the session is over.
    pub(super) async fn ended(&mut self) {
        while self.next().await.is_ok() {}
    }
}

/// The lanes that the client opens after its live lane, one at a time.
struct Bulk {
    lanes: Lanes,
    open: Option<LaneReader>,
}

impl Bulk {
    async fn next(&mut self) -> Result<SessionEvent, LinkError> {
        let Some(open) = &mut self.open else {
            let Stream { send, receive } = self.lanes.next().await?;
            self.open = Some(receive);
            return Ok(SessionEvent::BulkOpened(send));
        };
        match open.read_to_end_or_reset().await? {
            Some(bytes) => Ok(SessionEvent::Bulk(bytes)),
            None => {
                self.open = None;
                Ok(SessionEvent::BulkEnded)
            }
        }
    }
}
