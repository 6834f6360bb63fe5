//! The durable truth: accounts, categories, chats, seats and messages.
//!
//! These traits belong to their consumers ([`crate::api`], [`crate::chat`], [`crate::matching`]);
//! adapters live below in `store/`. Every adapter passes `conformance`. What all methods share:
//! `Ok` from a writing method means durable (it survives `kill -9` and power loss as far as the
//! medium keeps its word); a method that fails has changed nothing, or its repetition is harmless;
//! reads never return what expired before `now`, whether or not the sweeper was there; dropping a
//! future may leave its write done or not done, never half done.
//!
//! Several nodes share one store. What they do to it together is modelled in
//! `server/core/tests/models`; the rules and actions that are named here are of those models.
//!
//! Message bodies arrive here sealed under the key of their chat ([`ChatKey`]); the store keeps the
//! key apart from the messages and destroys it with the chat, so that no old page or copy of the
//! messages can be read afterwards.

#![forbid(unsafe_code)]

use async_trait::async_trait;
use nowrong_core::record::{
    Category, Chat, ChatEnd, Cursors, Epoch, RefreshToken, StoredMessage, TokenHash, UnixMs, User,
};
use nowrong_protocol::{ChatId, Position, TicketId, UserId};

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod secrets;

/// How long a ticket stays refused that was cancelled or has opened a chat, in milliseconds: a day.
/// What still holds such a ticket then (a queue that was left behind, an offer under way) lapses
/// within minutes.
pub const SPENT_LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No space left, an IO error, or the store was closed. The same call may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Stored bytes are not what was written.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// Everything the server keeps.
pub trait Store: UserStore + CategoryStore + ChatStore + MessageStore {}
impl<T: UserStore + CategoryStore + ChatStore + MessageStore> Store for T {}

/// Accounts, their names, refresh tokens and blocks.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Creates an account and claims its name, atomically. The name of an account that expired
    /// before `user.created_at` is free.
    async fn create_user(&self, user: &User) -> Result<NameClaim, StoreError>;

    /// The account, unless it expired.
    async fn user(&self, id: UserId, now: UnixMs) -> Result<Option<User>, StoreError>;

    /// Replaces the account; claims the new name and frees the old one, atomically. `false` as
    /// [`NameClaim::Taken`] leaves everything as it was. An unknown id is [`NameClaim::Unknown`].
    async fn update_user(&self, user: &User) -> Result<NameClaim, StoreError>;

    /// Moves the expiry of the account forward to `expires_at`, never back, and changes nothing else
    /// of it, in one step. `false` when there is no such account. Idempotent.
    async fn touch(&self, id: UserId, expires_at: UnixMs) -> Result<bool, StoreError>;

    /// Removes the account and all that is its own: name, refresh tokens, blocks, recent partners
    /// (and itself from theirs), its seat. Ids are never used again, so blocks made against it are
    /// moot and go too. Its chat must have been ended before. Idempotent.
    async fn delete_user(&self, id: UserId) -> Result<(), StoreError>;

    /// Stores the first refresh token of a family.
    async fn create_refresh(&self, token: &RefreshToken) -> Result<(), StoreError>;

    /// Replaces the token with hash `used` by `next`, atomically. A token that was replaced less
    /// than `grace_ms` ago may be used once more (the answer got lost; what replaced it first stays
    /// valid too); later use revokes the family. `next` is of the same user and family.
    async fn rotate_refresh(
        &self,
        used: &TokenHash,
        next: &RefreshToken,
        now: UnixMs,
        grace_ms: u64,
    ) -> Result<Rotation, StoreError>;

    /// A refresh token that was issued and is neither expired nor revoked, to fill in `next` of
    /// [`Self::rotate_refresh`]. Replaced tokens are answered too, however long ago: only
    /// `rotate_refresh` judges their use, and it must get to see it.
    async fn refresh(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<RefreshToken>, StoreError>;

    /// Whom a user must not or had better not meet.
    async fn avoid(&self, user: UserId, now: UnixMs) -> Result<Avoid, StoreError>;

    /// Records that `blocker` never wants to meet `blocked` again. Both directions keep them apart:
    /// whatever is opened after this has returned is not a chat of the two.
    async fn block(&self, blocker: UserId, blocked: UserId, now: UnixMs) -> Result<(), StoreError>;
}

/// The categories people choose from.
#[async_trait]
pub trait CategoryStore: Send + Sync + 'static {
    /// All categories, by rank.
    async fn categories(&self) -> Result<Vec<Category>, StoreError>;

    /// Stores `categories` if there are none yet; answers whether it did.
    async fn seed_categories(&self, categories: &[Category]) -> Result<bool, StoreError>;
}

/// Chats and seats.
#[async_trait]
pub trait ChatStore: Send + Sync + 'static {
    /// Claims a seat for every member, creates the chat with its key and spends the tickets, in one
    /// step; `tickets[i]` is that of `chat.members[i]`. The members remember each other as recent
    /// partners for 7 days, at most 50. Looks, lower user id first, for a seat in another chat (one
    /// that expired before `chat.started_at` is free), then for a spent ticket, then for a block.
    /// A ticket that is spent refuses itself and all before it: ids of version 7 are ordered. Opening
    /// the same chat again is [`Opening::Opened`] and changes nothing. Rules `OpenAtomically`,
    /// `OneSeat`, `SpendTicket`, `CheckBlocksAtOpen`.
    async fn open_chat(&self, chat: &Chat, tickets: &[TicketId]) -> Result<Opening, StoreError>;

    /// Gives a ticket up (rule `CancelInStore`): no chat opens with it or with one before it, whatever
    /// queue or offer still holds it, for [`SPENT_LIFETIME_MS`]. `false`: it has opened a chat, or a
    /// later one of the user has. Idempotent. Of a cancel and an opening at once, one wins.
    async fn cancel_ticket(
        &self,
        user: UserId,
        ticket: TicketId,
        now: UnixMs,
    ) -> Result<bool, StoreError>;

    /// The chat, ended or not, until it expires. If whoever began its last epoch has not set its base,
    /// this does (action `SetBase`).
    async fn chat(&self, id: ChatId, now: UnixMs) -> Result<Option<Chat>, StoreError>;

    /// The chat in which the user has a seat.
    async fn seat(&self, user: UserId, now: UnixMs) -> Result<Option<ChatId>, StoreError>;

    /// Chats that have not ended, by id, after `after`, at most `limit`: for a start.
    async fn active_chats(
        &self,
        after: Option<ChatId>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<Chat>, StoreError>;

    /// Begins the epoch after `last`, if that is the newest one: counts it up, then sets its base, the
    /// seq of the last message that survives (actions `BumpEpoch`, `SetBase`; rules `BumpThenBase`,
    /// `BaseOfSurvivors`). Only who gets the epoch from here has begun it. `None`: there is no such
    /// chat, or it has another epoch by now; load it again. When this fails it may have been begun, and
    /// the next one who reads the chat sets the base.
    async fn begin_epoch(
        &self,
        id: ChatId,
        last: u32,
        now: UnixMs,
    ) -> Result<Option<Epoch>, StoreError>;

    /// Moves cursors forward, never back, all in one write; those of a chat or member that is not
    /// there are left out. May be lost in a crash.
    async fn save_cursors(&self, cursors: &[Cursors]) -> Result<(), StoreError>;

    /// Ends the chat: frees its seats, sets the expiry of the chat and all its messages to
    /// `end.expires_at`, never later than it was. Idempotent: the first end stays. Answers the end
    /// that holds.
    async fn end_chat(&self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, StoreError>;
}

/// Messages, sealed.
///
/// Readers leave out what is void: what stands where a later epoch goes on in its place (rule
/// `IgnoreVoid`). Messages are read first, then the epochs (rule `MessagesThenEpochs`).
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Stores messages, all or none, idempotent on (chat, position): the first one stays, deleted
    /// or not. Those of a chat come in ascending order. Then looks at the epochs again (actions
    /// `Insert`, `Recheck`): only what is in no chat of [`Stored::void`] may be acked. A message of
    /// a chat that is gone counts as expired: `Ok`, and nothing is kept. Calls from many tasks are
    /// committed together.
    async fn append(&self, messages: &[StoredMessage]) -> Result<Stored, StoreError>;

    /// Messages with a position after `after`, ascending, at most `limit`; fewer when there are no more.
    async fn messages_after(
        &self,
        chat: ChatId,
        after: Position,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError>;

    /// Messages with a position before `before` (or the newest), ascending, at most `limit`: the
    /// ones nearest to it; fewer when there are no more.
    async fn messages_before(
        &self,
        chat: ChatId,
        before: Option<Position>,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<StoredMessage>, StoreError>;

    /// Marks a message deleted and erases its body. `false` when there is none. Idempotent.
    async fn delete_message(&self, chat: ChatId, position: Position) -> Result<bool, StoreError>;

    /// Removes what expired before `now`, at most about `limit` records; destroys the keys of
    /// expired chats. Answers how many records it removed.
    async fn sweep(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError>;

    /// Whether the store can be written to right now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Flushes and closes; later calls are [`StoreError::Unavailable`].
    async fn close(&self);
}

/// Whether a name could be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameClaim {
    /// It is claimed.
    Claimed,
    /// Another account has it, or one that looks like it.
    Taken,
    /// There is no such account.
    Unknown,
}

/// What became of the use of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The next token is stored.
    Rotated,
    /// An old token was used again: the family is revoked.
    Reused,
    /// Never issued, expired, or revoked.
    Unknown,
}

/// Whom a user must not or had better not meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Avoid {
    /// Blocked by the user, or blocking the user: never.
    pub blocked: Vec<UserId>,
    /// Recent partners, newest first: rather not.
    pub recent: Vec<UserId>,
}

/// What became of opening a chat. Unless it is open, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is open.
    Opened,
    /// This user has a seat in another chat.
    Seated(UserId),
    /// This user's ticket was cancelled or has opened a chat before, or a later one has.
    Spent(UserId),
    /// One of them has blocked another.
    Blocked,
}

/// What became of messages that were to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Chats that have another epoch by now, or another message at one of the positions: what was just
    /// written of them may be void, and must not be acked. Each once, in no order.
    pub void: Vec<ChatId>,
}
