//! The durable, authoritative data: accounts, categories, chats, seats and messages.
//!
//! These traits belong to their consumers (`api`, `chat` and `matching` of the server);
//! adapters live below in `store/`. Every adapter passes `conformance`. These rules hold for all
//! methods: `Ok` from a writing method means durable (it survives `kill -9`, and power loss if the
//! medium really stored it); a method that fails has changed nothing, or can be repeated without
//! harm; reads never return records that expired before `now`, even if the sweeper has not removed
//! them yet; dropping a future may leave its write done or not done, never half done.
//!
//! Several nodes may share one store. Their interplay is modelled in `server/core/tests/models`;
//! the rules and actions named here are those of the models.
//!
//! Message bodies arrive here sealed under the key of their chat
//! ([`ChatKey`](nowrong_core::record::ChatKey)); the store keeps the key separate from the messages and
//! destroys it with the chat, so that no old page or copy of the messages can be read afterwards.

#![forbid(unsafe_code)]

use async_trait::async_trait;
use nowrong_core::record::{
    Category, Chat, ChatEnd, Cursors, Epoch, Generation, RefreshToken, Registration, StoredMessage,
    TokenHash, UnixMs, User,
};
use nowrong_protocol::{ChatId, Position, TicketId, UserId};

mod anchor;
#[cfg(feature = "conformance")]
pub mod conformance;
mod overdue;
pub mod secrets;
pub mod wrapping;

pub use anchor::{Advice, Anchor, StoreId};
pub use overdue::Overdue;

/// How long a spent ticket (cancelled, or used to open a chat) stays refused, in milliseconds: a
/// day. A queue or an offer that still holds such a ticket expires within minutes.
pub const SPENT_LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;

/// How long a name rests after its owner has left it, in milliseconds: a day. An account that was erased
/// leaves its name then, one that expired when it expired, one that was renamed with the change. Until then nobody else
/// can take it, or one that looks like it; an account that was renamed may take it back.
pub const NAME_REST_MS: u64 = 24 * 60 * 60 * 1_000;

/// Why a call to the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No space left, an IO error, or the store was closed. The same call may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Stored bytes differ from the written ones.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// All traits of a store.
pub trait Store: UserStore + CategoryStore + ChatStore + MessageStore + Anchor {}
impl<T: UserStore + CategoryStore + ChatStore + MessageStore + Anchor> Store for T {}

/// Accounts, their names, refresh tokens and blocks.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Creates an account and claims its name, atomically. A name that has rested for [`NAME_REST_MS`] by
    /// `user.created_at` is free.
    async fn create_user(&self, user: &User) -> Result<NameClaim, StoreError>;

    /// Creates an account, claims its name, stores its first refresh token and the key of the
    /// request, all in one step: after any failure either all of it is there or nothing. The same
    /// key with the same request again, however many at once, is [`Registered::Again`] and stores
    /// the new token as one more successor of the key, until one of these successors is exchanged.
    async fn register(&self, registration: &Registration) -> Result<Registered, StoreError>;

    /// The account, unless it expired.
    async fn user(&self, id: UserId, now: UnixMs) -> Result<Option<User>, StoreError>;

    /// Replaces the account; claims the new name, atomically, and lets the old one rest. Its expiry never
    /// moves back, and its generation stays. [`NameClaim::Taken`] leaves everything as it was. An unknown id is
    /// [`NameClaim::Unknown`].
    async fn update_user(&self, user: &User, now: UnixMs) -> Result<NameClaim, StoreError>;

    /// Moves the expiry of these accounts, their names and those of their refresh tokens that can be
    /// exchanged forward to `expires_at`, never back, and changes nothing else. Returns those that
    /// do not exist. Idempotent. A call that fails has moved some of them, and never an account
    /// without its name.
    async fn touch(&self, ids: &[UserId], expires_at: UnixMs) -> Result<Vec<UserId>, StoreError>;

    /// The generations of those of these accounts that exist, expired or not, in no order.
    async fn generations(&self, ids: &[UserId]) -> Result<Vec<(UserId, Generation)>, StoreError>;

    /// Removes the account and everything that belongs to it: its name, which rests from now on without a word of
    /// whose it was, refresh tokens, blocks, recent partners (and itself from theirs), its seat. Ids are never used again, so blocks against it
    /// are pointless and removed too. Its spent tickets, ids without a name, stay until they expire:
    /// no chat opens with one of them that is still under way. Its chat must have been ended before.
    /// Idempotent.
    async fn delete_user(&self, id: UserId, now: UnixMs) -> Result<(), StoreError>;

    /// Stores the first refresh token of a family.
    async fn create_refresh(&self, token: &RefreshToken) -> Result<(), StoreError>;

    /// Exchanges the token with hash `used` for `next`, atomically, if
    /// [`Family::present`](nowrong_core::refresh::Family::present) says so; otherwise changes nothing,
    /// or revokes the family and raises the generation of its account, in one step. `next` is of the same
    /// user and family, and may be the one that was stored for `used` before. The token that was used
    /// lives as long as `next` from now on: the response may be lost.
    async fn rotate_refresh(
        &self,
        used: &TokenHash,
        next: &RefreshToken,
        now: UnixMs,
    ) -> Result<Rotation, StoreError>;

    /// Ends the chain of the refresh token with this hash, as
    /// [`Family::log_out`](nowrong_core::refresh::Family::log_out) says; with `everywhere` all tokens of
    /// its account. Returns the account if that has revoked its tokens, which raises its generation in the
    /// same step. An unknown or expired token changes nothing. Idempotent.
    async fn log_out(
        &self,
        hash: &TokenHash,
        everywhere: bool,
        now: UnixMs,
    ) -> Result<Option<UserId>, StoreError>;

    /// Stores the hash of a recovery code of the account, in place of the one before, if any. It lives as
    /// long as the account. `false`: there is no such account. Idempotent.
    async fn put_recovery(&self, user: UserId, hash: &TokenHash) -> Result<bool, StoreError>;

    /// Removes the recovery code of the account, if it has one. Idempotent.
    async fn delete_recovery(&self, user: UserId) -> Result<(), StoreError>;

    /// Finds the account with this recovery code; revokes all of its tokens, raises its generation, and
    /// stores `first`, whose user is filled in, as the first token of a family, in one step. The code
    /// stays. `None`: no account that has not expired has this code.
    async fn recover(
        &self,
        hash: &TokenHash,
        first: &RefreshToken,
        now: UnixMs,
    ) -> Result<Option<User>, StoreError>;

    /// A refresh token that was issued and is neither expired nor revoked, to fill in `next` of
    /// [`Self::rotate_refresh`]. Tokens that were exchanged are returned too, however old: only
    /// `rotate_refresh` judges their use, and it must learn of it.
    async fn refresh(
        &self,
        hash: &TokenHash,
        now: UnixMs,
    ) -> Result<Option<RefreshToken>, StoreError>;

    /// The users whom a user must not or should not meet.
    async fn avoid(&self, user: UserId, now: UnixMs) -> Result<Avoid, StoreError>;

    /// Records that `blocker` never wants to meet `blocked` again. A block in either direction
    /// keeps the two apart: no chat of the two is opened after this has returned.
    async fn block(&self, blocker: UserId, blocked: UserId, now: UnixMs) -> Result<(), StoreError>;
}

/// The categories people choose from.
#[async_trait]
pub trait CategoryStore: Send + Sync + 'static {
    /// All categories, by rank.
    async fn categories(&self) -> Result<Vec<Category>, StoreError>;

    /// Makes these the only categories, and `by` the one who decides from now on, in one step. `false`:
    /// refused, because `by` is the file and the database decides. Idempotent.
    async fn put_categories(
        &self,
        categories: &[Category],
        by: CategorySource,
    ) -> Result<bool, StoreError>;
}

/// Who decides which categories there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CategorySource {
    /// The file of the configuration, at each start: until an operator changes the database.
    File,
    /// The database: an operator has changed it, and files only differ from it.
    Database,
}

/// Chats and seats.
#[async_trait]
pub trait ChatStore: Send + Sync + 'static {
    /// Claims a seat for every member, creates the chat with its key and spends the tickets, in one
    /// step; `tickets[i]` is that of `chat.members[i]`. The members remember each other as recent
    /// partners for 7 days, at most 50. Checks, lower user id first, for a seat in another chat
    /// (one that expired before `chat.started_at` is free), then for a spent ticket, then for a
    /// block. A spent ticket makes itself and all earlier ones of its user unusable: ids of version
    /// 7 are ordered. Opening the same chat again is [`Opening::Opened`] and changes nothing. Rules
    /// `OpenAtomically`, `OneSeat`, `SpendTicket`, `CheckBlocksAtOpen`.
    async fn open_chat(&self, chat: &Chat, tickets: &[TicketId]) -> Result<Opening, StoreError>;

    /// Cancels a ticket (rule `CancelInStore`): no chat opens with it or with an earlier one, even
    /// if a queue or an offer still holds it, for [`SPENT_LIFETIME_MS`]. `false`: it has opened a
    /// chat, or a later ticket of the user has. Idempotent. If a cancel and an opening happen at
    /// once, exactly one wins.
    async fn cancel_ticket(
        &self,
        user: UserId,
        ticket: TicketId,
        now: UnixMs,
    ) -> Result<bool, StoreError>;

    /// The chat, ended or not, until it expires. If the node that began its last epoch has not set
    /// its base, this call sets it (action `SetBase`).
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

    /// Begins the epoch after `last`, if that is the newest one: increments it, then sets its base,
    /// the seq of the last surviving message (actions `BumpEpoch`, `SetBase`; rules `BumpThenBase`,
    /// `BaseOfSurvivors`). Only the caller that gets the epoch has begun it. `None`: there is no
    /// such chat, or it has another epoch by now; load it again. If this call fails, the epoch may
    /// have begun, and the next reader of the chat sets the base.
    async fn begin_epoch(
        &self,
        id: ChatId,
        last: u32,
        now: UnixMs,
    ) -> Result<Option<Epoch>, StoreError>;

    /// Moves cursors forward, never back, all in one write; cursors of a missing chat or member are
    /// ignored. May be lost in a crash.
    async fn save_cursors(&self, cursors: &[Cursors]) -> Result<(), StoreError>;

    /// Ends the chat: frees its seats, sets the expiry of the chat and all its messages to
    /// `end.expires_at`, never later than it was. Idempotent: the first end stays. Returns the end
    /// in force.
    async fn end_chat(&self, id: ChatId, end: &ChatEnd) -> Result<Option<ChatEnd>, StoreError>;
}

/// Messages, sealed.
///
/// Readers leave out void messages, whose place belongs to a later epoch (rule `IgnoreVoid`).
/// Messages are read first, then the epochs (rule `MessagesThenEpochs`).
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Stores messages, all or none, idempotent on (chat, position): the first message at a
    /// position stays, deleted or not. The messages of a chat must be in ascending order. Then
    /// checks the epochs again, and that each chat still exists and can be read (actions `Insert`,
    /// `Recheck`; rules `RecheckEpoch`, `RecheckChat`): only messages of chats that are neither in
    /// [`Stored::void`] nor in [`Stored::gone`] may be acked. Calls from many tasks are committed
    /// together.
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

    /// Removes records that expired before `now`, at most about `limit`; destroys the keys of
    /// expired chats. Returns how many records it removed.
    async fn sweep(&self, now: UnixMs, limit: usize) -> Result<usize, StoreError>;

    /// Counts what expired at or before `before` and is still stored, at most about `limit` of each kind, the oldest
    /// first. Looks at the records themselves, not only at what the sweeper looks at. Soon after a sweep by
    /// `before` all counts are 0.
    async fn overdue(&self, before: UnixMs, limit: usize) -> Result<Overdue, StoreError>;

    /// Whether the store can be written to right now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Returns when the store can never work again in this process, because a part of it has ended,
    /// or [`Self::close`] has closed it. A store that can always recover never returns.
    async fn failed(&self) {
        std::future::pending().await
    }

    /// Flushes and closes; later calls are [`StoreError::Unavailable`].
    async fn close(&self);
}

/// Whether a name could be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameClaim {
    /// The name is claimed.
    Claimed,
    /// Another account has it, or one that looks like it; or had it until less than [`NAME_REST_MS`] ago.
    Taken,
    /// There is no such account.
    Unknown,
}

/// The outcome of a registration. Unless the account exists, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The account and its token are stored.
    New,
    /// The same request came before: this account exists, and the token is stored for it.
    Again(User),
    /// Another account has the name, or one that looks like it; or had it until less than [`NAME_REST_MS`] ago.
    NameTaken,
    /// The key came before with another request.
    KeyOfOther,
    /// The key has served: a token of its account was exchanged, or the account is gone.
    KeySpent,
}

/// The outcome of using a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The next token is stored.
    Rotated,
    /// A successor of the token was used before: the family is revoked, and the generation of the account
    /// raised.
    Reused,
    /// Never issued, expired, dropped, or revoked.
    Unknown,
    /// The family renews itself too often; nothing was changed.
    TooMany {
        /// Earliest time to try again, in milliseconds from now.
        retry_after_ms: u64,
    },
}

/// The users whom a user must not or should not meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Avoid {
    /// Blocked by the user, or blocking the user: never.
    pub blocked: Vec<UserId>,
    /// Recent partners, newest first: rather not.
    pub recent: Vec<UserId>,
}

/// The outcome of opening a chat. Unless it is open, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The chat is open.
    Opened,
    /// This user has a seat in another chat.
    Seated(UserId),
    /// This user's ticket, or a later one, was cancelled or has opened a chat before.
    Spent(UserId),
    /// One of them has blocked another.
    Blocked,
}

/// The outcome of storing messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Chats that have another epoch by now, or another message at one of the positions: the
    /// messages just written to them may be void, and must not be acked. Each once, in no order.
    pub void: Vec<ChatId>,
    /// Chats that were erased, or whose key was, or that had expired when one of the messages was
    /// accepted: nobody can read them any more, so no message of them may be acked. Each once, in no
    /// order, and none of them is in `void`.
    pub gone: Vec<ChatId>,
}
