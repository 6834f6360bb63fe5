//! The documents of the collections, and their keys.
//!
//! Ids are BSON UUIDs, times BSON dates, counts 64-bit integers: always the same types, because
//! documents are compared field by field, type first. A key of several fields is ordered by them in
//! turn, so all keys with the same first field form a range.

use mongodb::{
    bson::{Binary, Bson, DateTime, Document, doc, spec::BinarySubtype},
    options::Hint,
};
use nowrong_core::record::UnixMs;
use nowrong_protocol::{ChatId, TicketId, UserId};

pub(super) use self::{account::*, chat::*, seat::*};

mod account;
mod chat;
mod seat;

pub(super) const USERS: &str = "Users";
pub(super) const USERNAMES: &str = "Usernames";
pub(super) const CATEGORIES: &str = "Categories";
pub(super) const CHATS: &str = "ChatSessions";
pub(super) const KEYS: &str = "ChatKeys";
pub(super) const SEATS: &str = "Seats";
pub(super) const MESSAGES: &str = "Messages";
pub(super) const TOKENS: &str = "RefreshTokens";
pub(super) const FAMILIES: &str = "RefreshFamilies";
pub(super) const BLOCKS: &str = "Blocks";
pub(super) const PARTNERS: &str = "Partners";
pub(super) const SECRETS: &str = "SharedSecrets";
pub(super) const CHECKS: &str = "_checks";

/// Key of the document of [`CHECKS`] that says that nothing is stored in clear any more.
pub(super) const CONVERTED: &str = "wrapped";

/// A time as a BSON date.
pub(super) fn date(at: UnixMs) -> DateTime {
    DateTime::from_millis(i64::try_from(at).unwrap_or(i64::MAX))
}

/// A BSON date as a time.
pub(super) fn unix_ms(at: DateTime) -> UnixMs {
    u64::try_from(at.timestamp_millis()).unwrap_or(0)
}

/// An id as a BSON UUID.
pub(super) fn uuid(bytes: &[u8; 16]) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Uuid,
        bytes: bytes.to_vec(),
    })
}

pub(super) fn user_key(id: UserId) -> Bson {
    uuid(id.as_bytes())
}

pub(super) fn chat_key(id: ChatId) -> Bson {
    uuid(id.as_bytes())
}

pub(super) fn ticket_key(id: TicketId) -> Bson {
    uuid(id.as_bytes())
}

pub(super) fn binary(bytes: &[u8]) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    }
}

/// The index of the keys. Named as a hint where a filter also contains the expiry, because the
/// index of the expiry would find more and collections are not sharded by it.
pub(super) fn by_key() -> Hint {
    Hint::Keys(doc! { "_id": 1 })
}

/// Matches documents that have not expired.
pub(super) fn alive(now: UnixMs) -> Document {
    doc! { "$gt": date(now) }
}

/// Matches expired documents.
pub(super) fn due(now: UnixMs) -> Document {
    doc! { "$lte": date(now) }
}

/// All keys whose first field `name` is `first`.
pub(super) fn keys_of(name: &str, first: &Bson) -> Document {
    let (mut from, mut to) = (Document::new(), Document::new());
    from.insert(name, first.clone());
    to.insert(name, first.clone());
    to.insert("~", Bson::MaxKey);
    doc! { "$gte": from, "$lte": to }
}
