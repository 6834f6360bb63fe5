//! A node's knowledge of one chat, and what each connection must still tell its client about it.
//!
//! [`State`] is the node's copy of a chat: its [`Messages`], its members, how it ends. A connection
//! holds a [`Reader`], which remembers what its client was told; [`State::pull`] appends the
//! difference. So there is no queue towards a client, and replay after a resume is the same code as
//! live delivery. Promises G1 to G4 depend on it. Start reading at [`State::pull`].

mod members;
mod messages;
mod reader;
mod state;
#[cfg(test)]
mod tests;
mod view;

pub use members::{Home, MemberState};
pub use messages::{Messages, Progress, Rebuilt, STORE_PATIENCE_MS};
pub use reader::{Pulled, Reader, Sent};
pub use state::{ChatRules, Due, Heard, HeardReply, OwnMessage, State};
pub use view::View;
