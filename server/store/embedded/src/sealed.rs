//! What is sealed in the file: who an account is, under a key of its own; who the members of a chat are and
//! what they have in common, under the key of the chat. Messages arrive sealed.
//!
//! Pages of the file that are free keep their bytes; what was sealed in them cannot be read once its key is
//! destroyed. Names are found by a keyed hash, so that no table holds one.

use aws_lc_rs::hmac;
use nowrong_base::{random, seal::SealingKey};
use nowrong_core::record::{Chat, ChatKey, ChatMember, Generation, User};
use nowrong_protocol::{ChatId, UserId};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    fault::Fault,
    record::{self, ChatRecord, MemberRecord, People, Person, UserRecord},
    vault::Key,
};

/// A fresh random key.
pub(super) fn new_key() -> Result<Key, Fault> {
    let key = random::try_bytes();
    key.map(Key::new)
        .map_err(|error| Fault::Medium(error.to_string()))
}

/// The keyed hash of a skeleton: equal for names that look alike.
pub(super) fn name_hash(key: &Key, skeleton: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let mut hash = [0; 32];
    hash.copy_from_slice(hmac::sign(&key, skeleton.as_bytes()).as_ref());
    hash
}

/// The keyed hash of a name, given as its [`name_hash`], and of the account that left it.
pub(super) fn owner_hash(key: &Key, name: &[u8; 32], owner: UserId) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let mut both = hmac::Context::with_key(&key);
    both.update(name);
    both.update(owner.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(both.sign().as_ref());
    hash
}

impl UserRecord {
    /// The record of an account, whose name has this hash.
    pub(super) fn seal(user: &User, name: [u8; 32], key: &Key) -> Result<Self, Fault> {
        let person = Person {
            name: user.name.clone(),
            skeleton: user.skeleton.clone(),
            language: user.language.clone(),
            interests: user.interests.clone(),
            age_bracket: user.age_bracket,
            created_at: user.created_at,
        };
        let sealed = seal(key, &about_user(user.id), &person)?.into();
        let expires_at = user.expires_at;
        Ok(Self {
            name,
            sealed,
            expires_at,
        })
    }

    /// The account with this id and key, of this generation.
    pub(super) fn open(
        &self,
        id: UserId,
        key: &Key,
        generation: Generation,
    ) -> Result<User, Fault> {
        let Person {
            name,
            skeleton,
            language,
            interests,
            age_bracket,
            created_at,
        } = open(key, &about_user(id), &self.sealed)?;
        Ok(User {
            id,
            name,
            skeleton,
            language,
            interests,
            age_bracket,
            created_at,
            expires_at: self.expires_at,
            generation,
        })
    }
}

impl ChatRecord {
    /// The record of a chat, which has this key.
    pub(super) fn seal(chat: &Chat, key: &Key) -> Result<Self, Fault> {
        let named = |member: &ChatMember| (member.name.clone(), member.language.clone());
        let people = People {
            members: chat.members.iter().map(named).collect(),
            why: chat.why.clone(),
        };
        let seat = |member: &ChatMember| MemberRecord {
            user: member.user,
            delivered: member.delivered,
            read: member.read,
        };
        Ok(Self {
            category: chat.category.clone(),
            members: chat.members.iter().map(seat).collect(),
            sealed: seal(key, &about_chat(chat.id), &people)?.into(),
            epochs: chat.epochs.clone(),
            started_at: chat.started_at,
            expires_at: chat.expires_at,
            end: chat.end,
        })
    }

    /// The chat with this id and key.
    pub(super) fn open(self, id: ChatId, key: ChatKey) -> Result<Chat, Fault> {
        let people: People = open(&Key::new(key.0), &about_chat(id), &self.sealed)?;
        let members = self.members.into_iter().zip(people.members);
        let member = |(seat, (name, language)): (MemberRecord, (String, String))| ChatMember {
            user: seat.user,
            name,
            language,
            delivered: seat.delivered,
            read: seat.read,
        };
        Ok(Chat {
            id,
            category: self.category,
            members: members.map(member).collect(),
            why: people.why,
            key,
            epochs: self.epochs,
            started_at: self.started_at,
            expires_at: self.expires_at,
            end: self.end,
        })
    }
}

/// What a sealed account is bound to: it opens in its own record alone.
fn about_user(id: UserId) -> Vec<u8> {
    [b"user ", &id.as_bytes()[..]].concat()
}

/// The same for the people of a chat. A message of the chat is sealed about 33 bytes, so never about this.
fn about_chat(id: ChatId) -> Vec<u8> {
    [b"people of ", &id.as_bytes()[..]].concat()
}

fn seal(key: &Key, about: &[u8], value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(256);
    let sealed = SealingKey::new(key.expose()).seal_into(about, &record::encode(value), &mut out);
    sealed.map_err(|error| Fault::Medium(error.to_string()))?;
    Ok(out)
}

fn open<T: DeserializeOwned>(key: &Key, about: &[u8], sealed: &[u8]) -> Result<T, Fault> {
    let opened = SealingKey::new(key.expose()).open(about, sealed);
    let opened =
        opened.ok_or_else(|| Fault::Corrupt("a sealed record does not open".to_owned()))?;
    record::decode(&opened)
}
