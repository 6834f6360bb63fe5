//! The records that every layer of the server uses: accounts, categories, chats, messages, and the
//! notices between nodes.
//!
//! They are plain data with the rules that follow from the data alone. The adapters of store and
//! broker decide how they are stored and sent; `api` and `chat` decide what a client sees of them.
//! No record is shown to a client as it is.

mod account;
mod category;
mod chat;
mod message;
mod notice;
mod time;

pub use account::{
    AgeBracket, Generation, RefreshToken, Registration, RegistrationKey, TokenHash, User,
};
pub use category::Category;
pub use chat::{Chat, ChatEnd, ChatKey, ChatMember, Cursors, Epoch, Survivors};
pub use message::{Draft, KnownMessage, StoredMessage};
pub use notice::{Notice, Signal};
pub use time::UnixMs;
