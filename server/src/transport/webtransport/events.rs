//! The rare events of a session, beside the bytes of its live lane: the bulk lane, datagrams, the end.
//!
//! The live lane wakes the connection with every message, and each poll of a stream takes the lock of its
//! QUIC connection. So these events are polled only after they themselves were woken.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use nowrong_base::dormant::Dormant;
use nowrong_quic::{Connection, SendStream};

use super::session::{LaneReader, Lanes, Stream, Watch, datagram};
use crate::connection::LinkError;

/// What happens in a session beside its live lane.
pub(super) enum SessionEvent {
    /// The client has opened its bulk lane.
    BulkOpened(SendStream),
    /// Bytes of the bulk lane.
    Bulk(Bytes),
    /// The bulk lane is over. The client may open another one.
    BulkEnded,
    /// A datagram.
    Datagram(Bytes),
}

/// All events beside the live lane.
pub(super) struct SessionEvents([Dormant<Result<SessionEvent, LinkError>>; 3]);

impl SessionEvents {
    pub(super) fn new(quic: Connection, lanes: Lanes, watch: Watch) -> Self {
        let datagrams = stream::unfold(quic, async |quic| {
            let datagram = datagram(&quic).await;
            Some((datagram.map(SessionEvent::Datagram), quic))
        });
        // Boxed: such a stream has room for its state twice, once of its own and once in its future.
        let bulk = Box::new(Bulk { lanes, open: None });
        let bulk = stream::unfold(bulk, async |mut bulk| Some((bulk.next().await, bulk)));
        // The watch outlives the end that it reports: to stop the client's control and QPACK streams is an
        // error of HTTP/3, with which a client would close before it has read our close code.
        let end = stream::unfold(Box::new(watch), async |mut watch| {
            Some((Err(watch.ended().await), watch))
        });
        Self([
            Dormant::new(datagrams),
            Dormant::new(bulk),
            Dormant::new(end),
        ])
    }

    /// The next event.
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
