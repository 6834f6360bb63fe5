//! The tables and their keys. Every query is a lookup or a range over one of them.
//!
//! Keys are raw bytes, big-endian where order matters, so that they sort as their parts do.

use nowrong_core::record::{RefreshToken, UnixMs};
use nowrong_protocol::{ChatId, Position, UserId};
use redb::{Key, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;

use super::{fault::Fault, record};

/// A 16-byte id.
pub(super) type Id = &'static [u8; 16];
/// Two user ids, a hash, or a user and a family.
pub(super) type Wide = &'static [u8; 32];
/// User, family and token hash.
pub(super) type FamilyMember = &'static [u8; 64];
/// Chat, epoch and seq.
pub(super) type MessageKey = &'static [u8; 28];
/// A record of [`record`].
pub(super) type Record = &'static [u8];

/// User id → `UserRecord`.
pub(super) const USERS: TableDefinition<'_, Id, Record> = TableDefinition::new("users");
/// User id → how often the account was revoked; none: never.
pub(super) const GENERATIONS: TableDefinition<'_, Id, u64> = TableDefinition::new("generations");
/// Keyed hash of a skeleton → user id.
pub(super) const NAMES: TableDefinition<'_, Wide, Id> = TableDefinition::new("taken_names");
/// Keyed hash of a skeleton → `RestRecord`: the names that rest.
pub(super) const RESTS: TableDefinition<'_, Wide, Record> = TableDefinition::new("resting_names");
/// Token hash → `RefreshRecord`.
pub(super) const REFRESH: TableDefinition<'_, Wide, Record> = TableDefinition::new("refresh");
/// User, family, token hash: finds the tokens of a family, and of a user.
pub(super) const FAMILIES: TableDefinition<'_, FamilyMember, ()> = TableDefinition::new("families");
/// User, family → `Family`: the tokens that can be exchanged.
pub(super) const OPEN_TOKENS: TableDefinition<'_, Wide, Record> =
    TableDefinition::new("open_tokens");
/// Hash of a registration's key → `RegistrationRecord`. Its expiry entry is that of a token with
/// this hash.
pub(super) const REGISTRATIONS: TableDefinition<'_, Wide, Record> =
    TableDefinition::new("registrations");
/// Blocker, blocked → when.
pub(super) const BLOCKS: TableDefinition<'_, Wide, u64> = TableDefinition::new("blocks");
/// Blocked, blocker: the other direction of [`BLOCKS`].
pub(super) const BLOCKED_BY: TableDefinition<'_, Wide, ()> = TableDefinition::new("blocked_by");
/// User id → `RecentsRecord`.
pub(super) const RECENTS: TableDefinition<'_, Id, Record> = TableDefinition::new("recents");
/// Rank, category id → `Category`.
pub(super) const CATEGORIES: TableDefinition<'_, (u32, &str), Record> =
    TableDefinition::new("categories");
/// Chat id → `ChatRecord`.
pub(super) const CHATS: TableDefinition<'_, Id, Record> = TableDefinition::new("chats");
/// Ids of the chats that have not ended.
pub(super) const ACTIVE: TableDefinition<'_, Id, ()> = TableDefinition::new("active");
/// User id → chat id.
pub(super) const SEATS: TableDefinition<'_, Id, Id> = TableDefinition::new("seats");
/// User id → `SpentRecord`.
pub(super) const SPENT: TableDefinition<'_, Id, Record> = TableDefinition::new("spent");
/// Chat, epoch, seq → `MessageRecord`.
pub(super) const MESSAGES: TableDefinition<'_, MessageKey, Record> =
    TableDefinition::new("messages");
/// Row → messages that are not filed yet, as a list of `JournalRecord`. See `journal`.
pub(super) const JOURNAL: TableDefinition<'_, u64, Record> = TableDefinition::new("journal");
/// Expiry, kind, id: the records that the sweeper removes next. See [`Expiring`].
pub(super) const EXPIRY: TableDefinition<'_, &[u8], ()> = TableDefinition::new("expiry");
/// Facts about the file itself.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The record at `key`.
pub(super) fn load<'k, K, R>(
    table: &impl ReadableTable<K, Record>,
    key: K::SelfType<'k>,
) -> Result<Option<R>, Fault>
where
    K: Key + 'static,
    R: DeserializeOwned,
{
    table
        .get(key)?
        .map(|found| record::decode(found.value()))
        .transpose()
}

/// `first` and `second` in one key.
pub(super) fn pair(first: UserId, second: UserId) -> [u8; 32] {
    concat(&[first.as_bytes(), second.as_bytes()])
}

/// The second id of a [`pair`].
pub(super) fn second(pair: &[u8; 32]) -> UserId {
    UserId::from_bytes(tail(pair))
}

/// The key of a token in [`FAMILIES`].
pub(super) fn family_key(token: &RefreshToken) -> [u8; 64] {
    concat(&[token.user.as_bytes(), &token.family, &token.hash])
}

/// The key of a token's family in [`OPEN_TOKENS`].
pub(super) fn family(user: UserId, family: &[u8; 16]) -> [u8; 32] {
    concat(&[user.as_bytes(), family])
}

/// The token hash in a key of [`FAMILIES`].
pub(super) fn family_hash(key: &[u8; 64]) -> [u8; 32] {
    tail(key)
}

/// The key of a message.
pub(super) fn message_key(chat: ChatId, position: Position) -> [u8; 28] {
    concat(&[
        chat.as_bytes(),
        &position.epoch.to_be_bytes(),
        &position.seq.to_be_bytes(),
    ])
}

/// The chat in a message's key.
pub(super) fn chat(key: &[u8; 28]) -> ChatId {
    ChatId::from_bytes(key.first_chunk().copied().unwrap_or_default())
}

/// The position in a message's key.
pub(super) fn position(key: &[u8; 28]) -> Position {
    let (head, seq) = key.split_at(20);
    let epoch = head.last_chunk().copied().unwrap_or_default();
    let seq = seq.first_chunk().copied().unwrap_or_default();
    Position::new(u32::from_be_bytes(epoch), u64::from_be_bytes(seq))
}

/// The smallest and the largest key of `N` bytes that begin with `prefix`.
pub(super) fn bounds<const N: usize>(prefix: &[u8]) -> ([u8; N], [u8; N]) {
    let (mut low, mut high) = ([0; N], [0xff; N]);
    low[..prefix.len()].copy_from_slice(prefix);
    high[..prefix.len()].copy_from_slice(prefix);
    (low, high)
}

/// An expiring record, as the sweeper finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiring {
    /// An account, with everything that belongs to it.
    User(UserId),
    /// A refresh token.
    Refresh([u8; 32]),
    /// The oldest recent partner of a user.
    Recents(UserId),
    /// A chat with its messages and its key.
    Chat(ChatId),
    /// A message that expires before its chat does. Other messages have no entry of their own.
    Message([u8; 28]),
    /// The spent tickets of a user.
    Spent(UserId),
    /// A name that rests.
    Rest([u8; 32]),
}

impl Expiring {
    /// The key in [`EXPIRY`] for this record, expiring at `at`.
    pub(super) fn key(&self, at: UnixMs) -> Vec<u8> {
        let (kind, id): (u8, &[u8]) = match self {
            Self::User(id) => (1, id.as_bytes()),
            Self::Refresh(hash) => (2, hash),
            Self::Recents(id) => (3, id.as_bytes()),
            Self::Chat(id) => (4, id.as_bytes()),
            Self::Message(key) => (5, key),
            Self::Spent(id) => (6, id.as_bytes()),
            Self::Rest(name) => (7, name),
        };
        [&at.to_be_bytes()[..], &[kind], id].concat()
    }

    /// The record that a key of [`EXPIRY`] names.
    pub(super) fn from_key(key: &[u8]) -> Result<Self, Fault> {
        let unreadable = || Fault::Corrupt("an expiry entry cannot be read".to_owned());
        let (&kind, id) = key
            .get(8..)
            .and_then(<[u8]>::split_first)
            .ok_or_else(unreadable)?;
        let expiring = match kind {
            1 => exact(id).map(|id| Self::User(UserId::from_bytes(id))),
            2 => exact(id).map(Self::Refresh),
            3 => exact(id).map(|id| Self::Recents(UserId::from_bytes(id))),
            4 => exact(id).map(|id| Self::Chat(ChatId::from_bytes(id))),
            5 => exact(id).map(Self::Message),
            6 => exact(id).map(|id| Self::Spent(UserId::from_bytes(id))),
            7 => exact(id).map(Self::Rest),
            _ => None,
        };
        expiring.ok_or_else(unreadable)
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// `parts`, which are `N` bytes together, in one array.
fn concat<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let mut at = 0;
    for part in parts {
        out[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    debug_assert_eq!(at, N, "the parts fill the key");
    out
}

/// The last `N` bytes of a longer key.
fn tail<const N: usize>(key: &[u8]) -> [u8; N] {
    key.last_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_keys_sort_by_chat_then_epoch_then_seq() {
        let chat = |byte| ChatId::from_bytes([byte; 16]);
        let ordered = [
            message_key(chat(1), Position::new(1, 300)),
            message_key(chat(1), Position::new(2, 5)),
            message_key(chat(1), Position::new(256, 1)),
            message_key(chat(2), Position::new(1, 1)),
        ];
        assert!(ordered.is_sorted());
        assert_eq!(position(&ordered[2]), Position::new(256, 1));
        let (low, high) = bounds::<28>(&[1; 16]);
        assert!(low < ordered[0] && ordered[2] < high && high < ordered[3]);
    }

    #[test]
    fn expiry_keys_sort_by_time_and_name_what_expires() {
        let all = [
            Expiring::User(UserId::from_bytes([1; 16])),
            Expiring::Refresh([2; 32]),
            Expiring::Recents(UserId::from_bytes([3; 16])),
            Expiring::Chat(ChatId::from_bytes([4; 16])),
            Expiring::Message([5; 28]),
            Expiring::Spent(UserId::from_bytes([6; 16])),
            Expiring::Rest([7; 32]),
        ];
        let keys: Vec<_> = (all.iter().zip(250..)).map(|(it, at)| it.key(at)).collect();
        assert!(keys.is_sorted());
        for (key, expiring) in keys.iter().zip(all) {
            assert_eq!(Expiring::from_key(key).unwrap(), expiring);
        }
        assert!(Expiring::from_key(&keys[0][..9]).is_err());
        assert!(Expiring::from_key(&[]).is_err());
    }
}
