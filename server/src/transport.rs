//! The transports: [`webtransport`] and [`websocket`] accept clients and make each of them a
//! [`Link`](crate::connection::Link).
//!
//! They check the `Origin` and hold each phase before the conversation to a deadline. A transport
//! never decides what bytes mean.

pub mod door;
pub mod websocket;
pub mod webtransport;

use std::sync::Arc;

use nowrong_base::privacy::ClientIp;

use self::door::{Closed, Door, Pass};
use crate::{config::Addresses, node::Node};

/// What both transports let clients into. Cheap to clone.
#[derive(Clone)]
pub struct Entrance {
    /// The node that serves them.
    pub node: Arc<Node>,
    /// Who may come in.
    pub door: Arc<Door>,
    /// Which web origins may connect.
    pub addresses: Arc<Addresses>,
    /// Whether links that lose packets get copies of their live lane.
    pub has_fast_path: bool,
}

impl Entrance {
    /// Lets a client in as [`Door::enter`] does, and counts whom it refuses.
    async fn enter(&self, client: ClientIp) -> Result<Pass, Closed> {
        let entered = self.door.enter(client).await;
        if let Err(closed) = &entered {
            self.count_refusal(closed.limit);
        }
        entered
    }

    /// Counts that a limit refused a client.
    fn count_refusal(&self, limit: &'static str) {
        self.node.env().metrics.count_refusal(limit);
    }

    /// Whether a client of this web origin may connect. No origin means no browser: such a client
    /// proves itself by its connect token alone, as every client does.
    fn is_origin_allowed(&self, origin: Option<&str>) -> bool {
        self.addresses.allows(origin)
    }
}
