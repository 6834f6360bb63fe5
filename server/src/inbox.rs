//! The inbox of this node: takes the notices of other nodes from the broker, in order, and passes
//! each to the part of the node that it concerns.
//!
//! Nothing here waits for long: a notice that needs a look at the log or the store is queued there.
//! A notice about a user or a chat that is not on this node (any more) is outdated and dropped.

use std::sync::Arc;

use nowrong_broker::Inbox;
use nowrong_core::{node::NodeId, record::Notice};
use nowrong_protocol::{CloseCode, UserId};
use tokio_util::sync::CancellationToken;

use crate::node::Node;

/// Takes notices until `stop` is cancelled.
pub async fn serve(node: Arc<Node>, stop: CancellationToken) {
    loop {
        let inbox = tokio::select! {
            inbox = node.env().broker.receive() => inbox,
            () = stop.cancelled() => return,
        };
        match inbox {
            Inbox::Notices(notices) => {
                for (from, notice) in notices {
                    take(&node, from, notice).await;
                }
            }
            Inbox::Lost => {
                tracing::info!("notices of other nodes may be lost; everything is checked");
                node.chats().queue_all_checks();
                node.matching().look_all();
                node.look_at_accounts_soon();
            }
        }
    }
}

async fn take(node: &Node, from: NodeId, notice: Notice) {
    match notice {
        Notice::Matched { ticket, user, chat } => {
            let matching = node.matching();
            matching
                .matched_elsewhere(ticket, user, chat, Some(from))
                .await;
        }
        Notice::TicketBack { ticket, user, end } => {
            node.matching().come_back(ticket, user, end).await;
        }
        Notice::Kick { user, code } => kick(node, from, user, code).await,
        Notice::Depart { user } => depart(node, user).await,
        Notice::Revoked { user, generation } => node.end_older(user, generation),
        about_chat => node.chats().apply_notice(from, about_chat).await,
    }
}

/// The user's connection is on another node now, unless it has come back meanwhile.
async fn kick(node: &Node, from: NodeId, user: UserId, code: CloseCode) {
    if matches!(node.env().broker.place(user).await, Ok(Some(place)) if place == node.env().broker.id())
    {
        return;
    }
    let Some(entry) = node.hub().entry(user) else {
        return;
    };
    let chat = entry.state().chat.as_ref().map(|chat| chat.id);
    if let Some(chat) = chat.and_then(|id| node.chats().held_chat(id)) {
        chat.move_member(user, from);
    }
    node.matching().hand_over(&entry);
    entry.kick(code);
    node.hub().forget_if_idle(user);
}

/// The account is being erased.
async fn depart(node: &Node, user: UserId) {
    let Some(entry) = node.hub().entry(user) else {
        return;
    };
    if let Err(refusal) = node.matching().depart(&entry).await {
        tracing::warn!(code = %refusal.code, "a ticket could not be given up");
    }
    entry.kick(CloseCode::ACCOUNT_GONE);
}
