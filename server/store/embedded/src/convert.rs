//! Conversion of a file of an earlier version, in which accounts and the people of chats were in clear.
//!
//! The keys that it makes are in the vault before the new file is in its place. If a crash comes in between, the
//! next conversion finds them there and uses them again.

use nowrong_core::record::{Chat, ChatEnd, ChatKey, ChatMember, Epoch, UnixMs, User};
use nowrong_protocol::{ChatId, UserId, frame::Why};
use redb::{ReadTransaction, ReadableTable as _, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    fault::Fault,
    record::{self, ChatRecord, UserRecord},
    renewal::copy_unsealed,
    sealed, table,
    transaction::SCHEMA,
    vault::{Key, KeyChanges, KeyId, Vault},
};

/// Whether a file with this version of the tables can be converted.
pub(super) fn is_convertible(version: u64) -> bool {
    // The first one has the same tables as the second, except for missing ones.
    (1..SCHEMA).contains(&version)
}

/// Writes all records into a new file, sealed, and their keys into the vault.
pub(super) fn all(
    read: &ReadTransaction,
    write: &WriteTransaction,
    vault: &mut Vault,
) -> Result<(), Fault> {
    let mut keys = NewKeys {
        vault,
        made: KeyChanges::new(),
    };
    convert_users(read, write, &mut keys)?;
    convert_chats(read, write, &keys)?;
    copy_unsealed(read, write)?;
    write.open_table(table::META)?.insert("schema", SCHEMA)?;
    let NewKeys { vault, made } = keys;
    vault.apply(&made)
}

/// The keys of the vault, and those that it gets.
struct NewKeys<'v> {
    vault: &'v mut Vault,
    made: KeyChanges,
}

impl NewKeys<'_> {
    /// The key of this owner; a new one if there is none.
    fn take(&mut self, id: KeyId) -> Result<Key, Fault> {
        if let Some(key) = self.vault.keys().find(id) {
            return Ok(key);
        }
        let key = sealed::new_key()?;
        self.made.insert(id, Some(key.clone()));
        Ok(key)
    }
}

fn convert_users(
    read: &ReadTransaction,
    write: &WriteTransaction,
    keys: &mut NewKeys<'_>,
) -> Result<(), Fault> {
    let mut users = write.open_table(table::USERS)?;
    let mut names = write.open_table(table::NAMES)?;
    let old = match read.open_table(table::USERS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        other => other?,
    };
    let names_key = keys.take(KeyId::Names)?;
    for entry in old.iter()? {
        let (id, user) = entry?;
        let user: User = record::decode(user.value())?;
        let key = keys.take(KeyId::User(UserId::from_bytes(*id.value())))?;
        let name = sealed::name_hash(&names_key, &user.skeleton);
        let record = UserRecord::seal(&user, name, &key)?;
        names.insert(&name, id.value())?;
        users.insert(id.value(), &record::encode(&record)[..])?;
    }
    Ok(())
}

fn convert_chats(
    read: &ReadTransaction,
    write: &WriteTransaction,
    keys: &NewKeys<'_>,
) -> Result<(), Fault> {
    let mut chats = write.open_table(table::CHATS)?;
    let old = match read.open_table(table::CHATS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        other => other?,
    };
    for entry in old.iter()? {
        let (id, chat) = entry?;
        let chat: OldChat = record::decode(chat.value())?;
        let chat = chat.into_chat(ChatId::from_bytes(*id.value()));
        // A chat without its key cannot be read, and its people will not be either.
        let key = keys.vault.keys().find(KeyId::Chat(chat.id));
        let key = key.map_or_else(sealed::new_key, Ok)?;
        let record = ChatRecord::seal(&chat, &key)?;
        chats.insert(id.value(), &record::encode(&record)[..])?;
    }
    Ok(())
}

/// A chat as earlier versions stored it.
#[derive(Serialize, Deserialize)]
pub(super) struct OldChat {
    pub(super) category: String,
    pub(super) members: Vec<ChatMember>,
    pub(super) why: Why,
    pub(super) epochs: Vec<Epoch>,
    pub(super) started_at: UnixMs,
    pub(super) expires_at: UnixMs,
    pub(super) end: Option<ChatEnd>,
}

impl OldChat {
    fn into_chat(self, id: ChatId) -> Chat {
        Chat {
            id,
            category: self.category,
            members: self.members,
            why: self.why,
            // Not part of the record.
            key: ChatKey([0; 32]),
            epochs: self.epochs,
            started_at: self.started_at,
            expires_at: self.expires_at,
            end: self.end,
        }
    }
}
