//! A client's knowledge of a chat apart from its messages, and the difference to the current state.

use nowrong_protocol::{
    ServerFrame,
    frame::{Deleted, Ended, Idle},
};

use super::{
    members::{MemberState, SeenMember},
    state::State,
};

/// What one connection has told its client about the members of a chat, deletions, and the end.
#[derive(Debug, Default)]
pub struct View {
    members: Vec<SeenMember>,
    deleted: usize,
    idle: u32,
    has_end: bool,
}

impl State {
    /// The view of a client that has just received [`Self::shown`]; deletions and the end are still
    /// unseen.
    pub fn view(&self) -> View {
        View {
            members: self.members().iter().map(MemberState::seen).collect(),
            deleted: 0,
            idle: if self.idle.value == 0 {
                self.idle.version
            } else {
                self.idle.before()
            },
            has_end: false,
        }
    }

    /// Appends to `out` everything that the client of `me` does not know yet, and updates the view.
    pub fn changes(&self, me: u8, view: &mut View, out: &mut Vec<ServerFrame>) {
        let chat = self.chat;
        let deleted = self.messages.deleted.iter().skip(view.deleted);
        out.extend(deleted.map(|&position| Deleted { chat, position }.into()));
        view.deleted = self.messages.deleted.len();
        let seen = view.members.iter_mut();
        for ((index, member), seen) in (0..).zip(self.members()).zip(seen) {
            if index != me {
                member.changes(chat, index, seen, out);
            }
        }
        if let Some(&ends_at_ms) = self.idle.unseen(&mut view.idle) {
            out.push(Idle { chat, ends_at_ms }.into());
        }
        if let (Some(end), false) = (self.end, view.has_end) {
            view.has_end = true;
            let ended = Ended {
                chat,
                reason: end.reason,
                member: end.member,
                expires_at_ms: end.expires_at,
            };
            out.push(ended.into());
        }
    }
}
