//! The records that every layer of the server speaks of: accounts, categories, chats, messages, and what
//! nodes tell each other.
//!
//! They are plain data with the rules that follow from the data alone. How they are stored and sent is
//! decided by the adapters of the store and the broker; what they mean to a client is decided by `api` and
//! `chat`. Nothing here is shown to a client as it is.

mod account;
mod category;
mod chat;
mod message;
mod notice;
mod time;

pub use account::{AgeBracket, RefreshToken, TokenHash, User};
pub use category::Category;
pub use chat::{Chat, ChatEnd, ChatKey, ChatMember, Cursors, Epoch, Survivors};
pub use message::{Draft, KnownMessage, StoredMessage};
pub use notice::{Notice, Signal};
pub use time::UnixMs;
