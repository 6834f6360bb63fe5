//! Seats, and the tickets that are spent on them. A seat names an active chat; the spent tickets of
//! a user are a separate record, which outlives the seat.

use nowrong_core::record::{Chat, UnixMs};
use nowrong_protocol::{ChatId, TicketId, UserId};
use nowrong_store::{Opening, SPENT_LIFETIME_MS};
use redb::ReadableTable;

use super::{
    fault::Fault,
    record::{self, ChatRecord, SpentRecord},
    table::{Expiring, load, pair},
    transaction::Transaction,
    vault::{Key, KeyId},
};

impl Transaction<'_> {
    pub(super) fn open_chat(
        &mut self,
        chat: &Chat,
        tickets: &[TicketId],
    ) -> Result<Opening, Fault> {
        debug_assert_eq!(
            chat.members.len(),
            tickets.len(),
            "a ticket for each member"
        );
        let members = chat.members.iter().map(|member| member.user);
        let mut members: Vec<_> = members.zip(tickets.iter().copied()).collect();
        members.sort_unstable();
        for (user, _) in &members {
            if self.is_seated_elsewhere(*user, chat)? {
                return Ok(Opening::Seated(*user));
            }
        }
        if self.chats.read()?.get(chat.id.as_bytes())?.is_some() && self.has_key(chat.id) {
            return Ok(Opening::Opened);
        }
        for (user, ticket) in &members {
            if self.spent(*user, chat.started_at)?.is_spent(*ticket) {
                return Ok(Opening::Spent(*user));
            }
        }
        let users: Vec<_> = members.iter().map(|(user, _)| *user).collect();
        if self.has_block(&users)? {
            return Ok(Opening::Blocked);
        }
        for (user, ticket) in members {
            self.spend(user, chat.started_at, |spent| spent.matched(ticket))?;
        }
        self.seat_all(&users, chat)?;
        Ok(Opening::Opened)
    }

    /// Whether the user has a seat in another chat that has not expired when `chat` starts.
    fn is_seated_elsewhere(&self, user: UserId, chat: &Chat) -> Result<bool, Fault> {
        let seat = self.seats.read()?.get(user.as_bytes())?;
        let Some(other) = seat.map(|seat| ChatId::from_bytes(*seat.value())) else {
            return Ok(false);
        };
        let record: Option<ChatRecord> = load(self.chats.read()?, other.as_bytes())?;
        let is_live = record.is_some_and(|record| record.is_active(chat.started_at));
        Ok(other != chat.id && is_live && self.has_key(other))
    }

    /// Whether one of `users` has blocked another.
    fn has_block(&self, users: &[UserId]) -> Result<bool, Fault> {
        for blocker in users {
            for blocked in users.iter().filter(|other| *other != blocker) {
                if self
                    .blocks
                    .read()?
                    .get(&pair(*blocker, *blocked))?
                    .is_some()
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn seat_all(&mut self, users: &[UserId], chat: &Chat) -> Result<(), Fault> {
        for user in users {
            self.seats
                .write()?
                .insert(user.as_bytes(), chat.id.as_bytes())?;
            for partner in users.iter().filter(|partner| *partner != user) {
                self.remember(*user, *partner, chat.started_at)?;
            }
        }
        self.active.write()?.insert(chat.id.as_bytes(), ())?;
        let key = Key::new(chat.key.0);
        self.put_chat(chat.id, &ChatRecord::seal(chat, &key)?)?;
        self.create_key(KeyId::Chat(chat.id), key);
        self.move_expiry(Expiring::Chat(chat.id), None, Some(chat.expires_at))
    }

    /// Frees the seats in a chat that ends.
    pub(super) fn free_seats(&mut self, id: ChatId, record: &ChatRecord) -> Result<(), Fault> {
        self.active.write()?.remove(id.as_bytes())?;
        for member in &record.members {
            let user = member.user.as_bytes();
            let seat = self.seats.read()?.get(user)?.map(|seat| *seat.value());
            if seat.as_ref() == Some(id.as_bytes()) {
                self.seats.write()?.remove(user)?;
            }
        }
        Ok(())
    }

    pub(super) fn cancel_ticket(
        &mut self,
        user: UserId,
        ticket: TicketId,
        now: UnixMs,
    ) -> Result<bool, Fault> {
        if self.spent(user, now)?.has_opened(ticket) {
            return Ok(false);
        }
        self.spend(user, now, |spent| spent.cancelled(ticket))?;
        Ok(true)
    }

    fn spent(&self, user: UserId, now: UnixMs) -> Result<SpentRecord, Fault> {
        let spent: Option<SpentRecord> = load(self.spent.read()?, user.as_bytes())?;
        Ok(spent.filter(|it| it.expires_at > now).unwrap_or_default())
    }

    fn spend(
        &mut self,
        user: UserId,
        now: UnixMs,
        change: impl FnOnce(&mut SpentRecord),
    ) -> Result<(), Fault> {
        let mut spent = self.spent(user, now)?;
        self.remove_spent(user)?;
        change(&mut spent);
        spent.expires_at = spent.expires_at.max(now.saturating_add(SPENT_LIFETIME_MS));
        self.spent
            .write()?
            .insert(user.as_bytes(), &record::encode(&spent)[..])?;
        self.move_expiry(Expiring::Spent(user), None, Some(spent.expires_at))
    }

    /// Forgets the spent tickets of the user.
    pub(super) fn remove_spent(&mut self, user: UserId) -> Result<(), Fault> {
        let old: Option<SpentRecord> = load(self.spent.read()?, user.as_bytes())?;
        let Some(spent) = old else {
            return Ok(());
        };
        self.spent.write()?.remove(user.as_bytes())?;
        self.move_expiry(Expiring::Spent(user), Some(spent.expires_at), None)
    }
}

impl SpentRecord {
    /// Whether this ticket, or a later one, was cancelled or has opened a chat.
    fn is_spent(&self, ticket: TicketId) -> bool {
        self.has_opened(ticket) || self.cancelled.is_some_and(|cancelled| ticket <= cancelled)
    }

    /// Whether this ticket, or a later one, has opened a chat.
    fn has_opened(&self, ticket: TicketId) -> bool {
        self.matched.is_some_and(|matched| ticket <= matched)
    }

    fn matched(&mut self, ticket: TicketId) {
        self.matched = self.matched.max(Some(ticket));
    }

    fn cancelled(&mut self, ticket: TicketId) {
        self.cancelled = self.cancelled.max(Some(ticket));
    }
}
