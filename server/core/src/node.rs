//! Nodes: the name of one run of one server process, and what nodes know of each other.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One run of one node, random at its start: a node that starts again gets another id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 8]);

/// The text is not the 16 hex digits of a node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a node has 16 hex digits")]
pub struct NotANodeId;

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        // A sign would pass as a number.
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number
            .map(|number| Self(number.to_be_bytes()))
            .ok_or(NotANodeId)
    }
}

/// Where clients reach a node, as `POST /v1/connect` returns it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEndpoint {
    /// URL of its WebTransport, if it has one.
    pub webtransport: Option<String>,
    /// URL of its WebSocket; empty for a node that takes no clients.
    pub websocket: String,
    /// Hash of its development certificate.
    pub certificate_hash: Option<String>,
}

/// The status that a node publishes for the placement of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Where clients reach it.
    pub endpoint: NodeEndpoint,
    /// Most users that may be connected to it.
    pub capacity: u32,
    /// Whether it is about to stop and accepts no new clients.
    pub is_draining: bool,
}

/// A node, as seen by the placement of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The node.
    pub id: NodeId,
    /// Users that are connected to it.
    pub connected: u32,
    /// The status that it published.
    pub status: NodeStatus,
}

impl NodeView {
    /// Whether new clients may be sent to it.
    pub fn takes_clients(&self) -> bool {
        let status = &self.status;
        !status.is_draining
            && !status.endpoint.websocket.is_empty()
            && self.connected < status.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_as_what_it_is_read_from() {
        let id = NodeId([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(id.to_string(), "00010203fcfdfeff");
        assert_eq!("00010203FCFDFEFF".parse(), Ok(id));
        assert_eq!(format!("{id:?}"), "NodeId(00010203fcfdfeff)");
        for bad in [
            "",
            "0",
            "+0010203fcfdfeff",
            "00010203fcfdfeff0",
            "0001020 fcfdfeff",
        ] {
            assert_eq!(bad.parse::<NodeId>(), Err(NotANodeId), "{bad:?}");
        }
    }
}
