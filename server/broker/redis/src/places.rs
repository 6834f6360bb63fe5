//! Where each user is connected: a key per user with the node, which counts only while that node is
//! live. One command each.

use nowrong_broker::BrokerError;
use nowrong_core::node::NodeId;
use nowrong_protocol::{UserId, limits::RETENTION_MAX};

use super::{
    Parts,
    script::{Script, script},
};

static LEAVE: Script = script!("leave_place": "leave.lua");

/// How long a place is kept if the user never leaves it: after that long, it is not needed any
/// more.
const LIFE_MS: u64 = RETENTION_MAX.as_millis() as u64;

pub(super) async fn take(parts: &Parts, user: UserId) -> Result<Option<NodeId>, BrokerError> {
    let mut command = redis::cmd("SET");
    command.arg(key(parts, user)).arg(&parts.id.0);
    command.arg("GET").arg("PX").arg(LIFE_MS);
    let before: Option<Vec<u8>> = parts.connection.query("take_place", &command).await?;
    Ok(node(before).filter(|node| parts.is_other_live(*node)))
}

pub(super) async fn find(parts: &Parts, user: UserId) -> Result<Option<NodeId>, BrokerError> {
    let mut command = redis::cmd("GET");
    command.arg(key(parts, user));
    let held: Option<Vec<u8>> = parts.connection.query("place", &command).await?;
    Ok(node(held).filter(|node| *node == parts.id || parts.is_other_live(*node)))
}

pub(super) async fn leave(parts: &Parts, user: UserId) -> Result<(), BrokerError> {
    let call = LEAVE.call().key(key(parts, user)).arg(&parts.id.0);
    call.run(&parts.connection).await
}

fn key(parts: &Parts, user: UserId) -> String {
    parts.keys.single("place", &user.to_string())
}

/// Anything that is not a node id means no node.
fn node(bytes: Option<Vec<u8>>) -> Option<NodeId> {
    bytes?.try_into().ok().map(NodeId)
}
