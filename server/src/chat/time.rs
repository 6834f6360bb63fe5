//! The effects of time on chats: seats that lapse, silence, the end of a chat's lifetime.

use std::{sync::Arc, time::Duration};

use nowrong_core::{
    chat::Due,
    node::NodeId,
    record::{Cursors, UnixMs},
};
use nowrong_protocol::frame::EndReason;

use super::{Chat, Chats, followers::CHECK_EVERY};

/// Chats that are checked without a pause when all chats are checked: this takes some tens of
/// microseconds, and a message waits no longer than that.
const TICK_CHATS: usize = 64;

/// Most cursors in one write: a few hundred kilobytes.
const CURSORS_AT_ONCE: usize = 1_000;

/// One check of all chats.
struct Tick {
    now: UnixMs,
    /// The live nodes, including this one.
    live: Vec<NodeId>,
    /// Whether the broker still says where users are.
    is_anyone_known: bool,
}

impl Tick {
    fn has_others(&self) -> bool {
        self.live.len() > 1
    }
}

impl Chats {
    /// Does everything that is due by time. Called about once a second.
    pub async fn tick(&self) {
        let mut tick = Tick {
            now: self.env.clock.now(),
            live: self.env.broker.nodes().iter().map(|node| node.id).collect(),
            is_anyone_known: true,
        };
        let chats = self.all_chats();
        self.save_cursors(&chats).await;
        for some in chats.chunks(TICK_CHATS) {
            for chat in some {
                chat.hold_lost_seats(&tick.live, self.rules.held_until(tick.now));
                self.queue_overdue(chat, &tick);
                self.end_if_due(chat, &mut tick).await;
                self.count_members(chat).await;
                self.let_go_chat(chat, tick.now).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Stores the cursors that have moved since the last time. If that fails, they are stored when
    /// they move again.
    async fn save_cursors(&self, chats: &[Arc<Chat>]) {
        let dirty = |chat: &Arc<Chat>| chat.state().take_dirty_cursors();
        let mut cursors: Vec<Cursors> = Vec::new();
        for some in chats.chunks(TICK_CHATS) {
            cursors.extend(some.iter().flat_map(dirty));
            tokio::task::yield_now().await;
        }
        for some in cursors.chunks(CURSORS_AT_ONCE) {
            if let Err(error) = self.env.store.save_cursors(some).await {
                tracing::warn!(%error, cursors = some.len(), "cursors could not be stored");
            }
        }
    }

    /// Queues overdue work for a chat: messages that are not durable, a lasting gap, its end if the store
    /// has erased it, a check for lost notices of other nodes. Wakes members whose sends wait for too long.
    fn queue_overdue(&self, chat: &Arc<Chat>, tick: &Tick) {
        let (is_behind, has_late, is_due) = {
            let mut state = chat.state();
            let is_torn = state.messages.is_torn() || state.messages.is_void();
            let is_lost = state.messages.is_gone() && state.end.is_none();
            let has_late = state.messages.note_time(tick.now);
            let is_shared = tick.has_others() && state.may_be_shared();
            let is_due = is_shared && state.is_check_due(tick.now, CHECK_EVERY);
            let is_behind = state.messages.has_unpersisted();
            (is_behind, has_late, is_torn || is_lost || is_due)
        };
        if has_late {
            chat.wake_all();
        }
        if is_behind {
            self.persister.enqueue(chat);
        }
        if is_due {
            self.rechecks.enqueue(chat);
        }
    }

    async fn end_if_due(&self, chat: &Arc<Chat>, tick: &mut Tick) {
        // This node may have missed the return of a member on another node: that node ends the chat
        // first.
        let patience = if tick.has_others() {
            2 * CHECK_EVERY
        } else {
            Duration::ZERO
        };
        let due = chat
            .state()
            .due_end(&self.rules, patience, chat.expires_at, tick.now);
        match due {
            Due::Nothing => {}
            Due::IdleNotice => {
                chat.state().set_idle_notice(&self.rules);
                chat.wake_all();
            }
            Due::End(EndReason::Gone, Some(member)) => self.end_gone(chat, member, tick).await,
            Due::End(reason, member) => self.try_end(chat, reason, member).await,
        }
    }

    /// Ends the chat unless the member is found somewhere. If that cannot be found out, no other
    /// member is looked up in this tick: each lookup may take as long as the broker's deadline.
    async fn end_gone(&self, chat: &Arc<Chat>, member: u8, tick: &mut Tick) {
        if !tick.is_anyone_known {
            return;
        }
        match self.is_member_gone(chat, member, &tick.live).await {
            Ok(true) => self.try_end(chat, EndReason::Gone, Some(member)).await,
            Ok(false) => {}
            Err(refusal) => {
                tick.is_anyone_known = false;
                tracing::warn!(code = %refusal.code, "it is unknown which members are gone");
            }
        }
    }

    async fn try_end(&self, chat: &Arc<Chat>, reason: EndReason, member: Option<u8>) {
        if let Err(refusal) = self.end_chat(chat, reason, member).await {
            tracing::warn!(code = %refusal.code, chat = %chat.id, "a chat could not be ended");
            if reason == EndReason::Expired {
                // It is over whether or not the store can note it: nobody can read it any more. So this is
                // also how long a message waits that the store never takes.
                self.apply_end(chat, self.erased_now()).await;
            }
        }
    }

    /// Drops a chat that can no longer be read, or whose members are all on other nodes.
    async fn let_go_chat(&self, chat: &Arc<Chat>, now: UnixMs) {
        let (is_erased, is_left) = {
            let state = chat.state();
            let is_erased = state.end.is_some_and(|end| now >= end.expires_at);
            let is_left = state.are_all_elsewhere() && !state.messages.has_unpersisted();
            (is_erased, is_left)
        };
        let let_go = match (is_erased, is_left) {
            (true, _) => self.env.broker.close_log(chat.id).await,
            (false, true) => self.env.broker.unfollow(chat.id).await,
            (false, false) => return,
        };
        self.forget_chat(chat);
        if is_erased {
            // A send that still waits for its ack will not get it.
            chat.state().messages.set_gone();
            chat.wake_all();
        }
        if let Err(error) = let_go {
            tracing::warn!(%error, chat = %chat.id, "a log could not be released");
        }
    }
}
