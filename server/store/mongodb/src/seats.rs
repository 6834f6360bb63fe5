//! Seats, and the tickets that are spent on them: one document per user, which both openings and
//! cancels write. So of two simultaneous decisions about a user, one comes first and the other sees
//! it.

use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};
use nowrong_core::record::{Chat, UnixMs};
use nowrong_protocol::{ChatId, TicketId, UserId};
use nowrong_store::{Opening, SPENT_LIFETIME_MS};

use super::{
    Shared,
    fault::{Fault, is_duplicate, readable},
    record::{
        CHATS, ChatRecord, KEYS, KeyRecord, SeatRecord, block_key, by_key, chat_key, date,
        ticket_key, user_key,
    },
    transaction::Transaction,
};

impl Transaction {
    pub(super) async fn open_chat(
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
        let seats = self.shared.seats.clone();
        let wanted: Vec<Bson> = members.iter().map(|(user, _)| user_key(*user)).collect();
        let found = self.all(&seats, doc! { "_id": { "$in": wanted } }).await?;
        for (user, _) in &members {
            let other = found.iter().find_map(|seat| seat.other_chat(*user, chat));
            // Nobody has a seat in a chat that was erased.
            if let Some(other) = other
                && self.is_there(other).await?
            {
                return Ok(Opening::Seated(*user));
            }
        }
        let is_spent = |(user, ticket): &&(UserId, TicketId)| {
            let mut seats = found.iter().filter(|seat| seat.user() == *user);
            seats.any(|seat| seat.is_spent(*ticket, chat.started_at))
        };
        if let Some((user, _)) = members.iter().find(is_spent) {
            // Spent on this same chat, if the answer to an earlier attempt was lost.
            return Ok(match self.is_there(chat.id).await? {
                true => Opening::Opened,
                false => Opening::Spent(*user),
            });
        }
        let users: Vec<UserId> = members.iter().map(|(user, _)| *user).collect();
        if self.has_block(&users).await? {
            return Ok(Opening::Blocked);
        }
        let taken = members.into_iter().map(|(user, ticket)| {
            let old = found.iter().find(|seat| seat.user() == user);
            SeatRecord::taken(user, ticket, chat, old)
        });
        let taken: Vec<SeatRecord> = taken.collect();
        self.put(&seats, &taken).await?;
        self.write_chat(&users, chat).await?;
        Ok(Opening::Opened)
    }

    /// Whether the chat was opened, neither it nor its key was erased since, and it can be opened.
    async fn is_there(&mut self, chat: ChatId) -> Result<bool, Fault> {
        let id = doc! { "_id": chat_key(chat) };
        let keys = self.shared.keys.clone();
        let chats = self.shared.chats.clone();
        let Some(key) = readable(KEYS, self.one(&keys, id.clone()).await)? else {
            return Ok(false);
        };
        let Some(chat) = readable(CHATS, self.one(&chats, id).await)? else {
            return Ok(false);
        };
        let chat = chat.into_chat(&key, Vec::new(), &self.shared.vault);
        Ok(chat.await?.is_some())
    }

    /// Whether one of `users` has blocked another.
    ///
    /// The snapshot may be older than a block that has just been made. But a block writes the seat
    /// of the blocker ([`Self::mark_block`]), and so does the opening: the second commit conflicts
    /// with the first, and if that is the opening, it starts again and sees the block. So no chat
    /// opens after a block has returned; a chat that was opened before continues until the caller
    /// of the block leaves it.
    async fn has_block(&mut self, users: &[UserId]) -> Result<bool, Fault> {
        let blocks = self.shared.blocks.clone();
        let (pairs, others) = (users.iter().enumerate(), |index| {
            users.iter().skip(index + 1)
        });
        let keys = pairs.flat_map(|(index, user)| {
            others(index).map(|other| Bson::Document(block_key(*user, *other)))
        });
        let keys: Vec<Bson> = keys.collect();
        let found = self.all(&blocks, doc! { "_id": { "$in": keys } }).await?;
        Ok(!found.is_empty())
    }

    /// Writes the seat of a user who has just blocked another, so that an opening that has not seen
    /// the block conflicts with this write. The written value is meaningless; a new document may be
    /// removed at once.
    pub(super) async fn mark_block(&mut self, blocker: UserId, now: UnixMs) -> Result<(), Fault> {
        let mark = doc! {
            "$inc": { "marks": 1_i64 },
            "$max": { "expiresAt": date(now) },
            "$setOnInsert": { "chat": Bson::Null },
        };
        let seat = doc! { "_id": user_key(blocker) };
        let update = self.shared.seats.update_one(seat, mark).upsert(true);
        update.session(&mut self.session).await?;
        Ok(())
    }

    /// Writes everything of a new chat except the seats.
    async fn write_chat(&mut self, users: &[UserId], chat: &Chat) -> Result<(), Fault> {
        self.remember(users, chat.started_at).await?;
        let (chats, keys) = (self.shared.chats.clone(), self.shared.keys.clone());
        let key = KeyRecord::wrapped(chat, &self.shared.vault)?;
        self.put(&keys, &[key]).await?;
        let chat = ChatRecord::wrapped(chat, &self.shared.vault)?;
        self.put(&chats, &[chat]).await
    }
}

impl Shared {
    /// One write of one document: it decides by the stored value, and returns that value.
    pub(super) async fn cancel_ticket(
        &self,
        user: UserId,
        ticket: TicketId,
        now: UnixMs,
    ) -> Result<bool, Fault> {
        let (seat, cancel) = (doc! { "_id": user_key(user) }, cancel(ticket, now));
        loop {
            let update = self.seats.find_one_and_update(seat.clone(), cancel.clone());
            let update = update.upsert(true).hint(by_key());
            match update.return_document(ReturnDocument::After).await {
                // Another caller has just made the document: now it exists.
                Err(error) if is_duplicate(&error) => {}
                outcome => return Ok(outcome?.is_some_and(|seat| !seat.has_opened(ticket))),
            }
        }
    }
}

/// Cancels `ticket`, unless it has opened a chat, or a later one has.
fn cancel(ticket: TicketId, now: UnixMs) -> Vec<Document> {
    let until = date(now.saturating_add(SPENT_LIFETIME_MS));
    let ticket = ticket_key(ticket);
    // A missing or expired value is null, which is less than any ticket.
    let is_alive = doc! { "$gt": ["$expiresAt", date(now)] };
    let alive = |field: &str| doc! { "$cond": [&is_alive, field, Bson::Null] };
    let has_opened = doc! { "$gte": ["$matched", ticket.clone()] };
    let newest = doc! { "$max": ["$cancelled", ticket] };
    let later = doc! { "$max": ["$expiresAt", until] };
    vec![
        doc! { "$set": {
            "chat": { "$ifNull": ["$chat", Bson::Null] },
            "freeAt": { "$ifNull": ["$freeAt", "$expiresAt"] },
            "matched": alive("$matched"),
            "cancelled": alive("$cancelled"),
        } },
        doc! { "$set": {
            "cancelled": { "$cond": [&has_opened, "$cancelled", newest] },
            "expiresAt": { "$cond": [&has_opened, "$expiresAt", later] },
        } },
    ]
}

/// Frees the seats of `users` in one of `chats`: filter and update. The spent tickets stay.
pub(super) fn free(users: Vec<Bson>, chats: &[Bson]) -> (Document, Document) {
    let seats = doc! { "_id": { "$in": users }, "chat": { "$in": chats } };
    let nobodys = doc! { "$set": { "chat": Bson::Null, "freeAt": Bson::Null } };
    (seats, nobodys)
}
