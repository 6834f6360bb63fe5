//! The document about a user's seat.

use mongodb::bson::{DateTime, Uuid};
use nowrong_core::record::{Chat, UnixMs};
use nowrong_protocol::{ChatId, TicketId, UserId};
use nowrong_store::SPENT_LIFETIME_MS;
use serde::{Deserialize, Serialize};

use super::{date, unix_ms};

/// The seat of a user, if any, and the user's spent tickets. The document stays when the seat is
/// free.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SeatRecord {
    #[serde(rename = "_id")]
    user: Uuid,
    chat: Option<Uuid>,
    /// When the chat expires; if missing, it expires with the document.
    free_at: Option<DateTime>,
    /// The newest ticket that has opened a chat.
    matched: Option<Uuid>,
    /// The newest one that was cancelled.
    cancelled: Option<Uuid>,
    expires_at: DateTime,
}

impl SeatRecord {
    /// A seat in `chat`, by `ticket`, after `old`.
    pub(crate) fn taken(user: UserId, ticket: TicketId, chat: &Chat, old: Option<&Self>) -> Self {
        let spent_until = date(chat.started_at.saturating_add(SPENT_LIFETIME_MS));
        let until = spent_until.max(date(chat.expires_at));
        let old = old.filter(|old| old.is_alive(chat.started_at));
        Self {
            user: Uuid::from_bytes(*user.as_bytes()),
            chat: Some(Uuid::from_bytes(*chat.id.as_bytes())),
            free_at: Some(date(chat.expires_at)),
            matched: Some(Uuid::from_bytes(*ticket.as_bytes())),
            cancelled: old.and_then(|old| old.cancelled),
            expires_at: old.map_or(until, |old| old.expires_at.max(until)),
        }
    }

    pub(crate) fn user(&self) -> UserId {
        UserId::from_bytes(self.user.bytes())
    }

    /// The chat, unless the seat is free.
    pub(crate) fn chat(&self, now: UnixMs) -> Option<ChatId> {
        let chat = self.chat.map(|chat| ChatId::from_bytes(chat.bytes()));
        let free_at = self.free_at.unwrap_or(self.expires_at);
        chat.filter(|_| unix_ms(free_at) > now)
    }

    /// The other chat, if any, that this seat keeps `user` in when `chat` starts.
    pub(crate) fn other_chat(&self, user: UserId, chat: &Chat) -> Option<ChatId> {
        let other = self.chat(chat.started_at);
        other.filter(|other| self.user() == user && *other != chat.id)
    }

    fn is_alive(&self, now: UnixMs) -> bool {
        unix_ms(self.expires_at) > now
    }

    /// Whether this ticket, or a later one, was cancelled or has opened a chat.
    pub(crate) fn is_spent(&self, ticket: TicketId, now: UnixMs) -> bool {
        let is_cancelled = self.cancelled.is_some_and(|newest| covers(newest, ticket));
        self.is_alive(now) && (is_cancelled || self.has_opened(ticket))
    }

    /// Whether this ticket, or a later one, has opened a chat.
    pub(crate) fn has_opened(&self, ticket: TicketId) -> bool {
        self.matched.is_some_and(|newest| covers(newest, ticket))
    }
}

fn covers(newest: Uuid, ticket: TicketId) -> bool {
    *ticket.as_bytes() <= newest.bytes()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::Bson;

    use super::*;
    use crate::record::user_key;

    #[test]
    fn ids_are_sixteen_bytes_of_the_uuid_kind() {
        let user = UserId::from_bytes([7; 16]);
        let seat = SeatRecord {
            user: Uuid::from_bytes(*user.as_bytes()),
            chat: Some(Uuid::from_bytes([8; 16])),
            free_at: None,
            matched: None,
            cancelled: None,
            expires_at: date(9),
        };
        let document = mongodb::bson::serialize_to_document(&seat).unwrap();
        assert_eq!(document.get("_id"), Some(&user_key(user)));
        assert_eq!(document.get("expiresAt"), Some(&Bson::DateTime(date(9))));
    }
}
