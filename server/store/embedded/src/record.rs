//! Records in the file: one version byte, then the fields in the encoding of the wire.
//!
//! A record that gains fields gets a new version byte, and [`decode`] still reads the old one; an
//! unknown version byte is an error, never a guess.

use bytes::Bytes;
use nowrong_core::{
    record::{AgeBracket, ChatEnd, Epoch, RefreshToken, UnixMs},
    refresh::Presented,
};
use nowrong_protocol::{ChatId, ClientMessageId, Position, TicketId, UserId, codec, frame::Why};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::fault::Fault;

/// The version that is written.
const VERSION: u8 = 1;

/// Longest record in bytes, as [`codec::decode`] counts: a row of the journal has up to 64 messages, and each
/// of them up to 8,000 bytes of text.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// The bytes of `record`.
pub(super) fn encode<R: Serialize>(record: &R) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.push(VERSION);
    codec::encode_into(record, &mut out);
    out
}

/// The record that `bytes` hold.
pub(super) fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, Fault> {
    match bytes.split_first() {
        Some((&VERSION, fields)) => codec::decode_within::<RECORD_BYTES_MAX, R>(fields)
            .map_err(|error| Fault::Corrupt(format!("a record cannot be read: {error}"))),
        Some((version, _)) => Err(Fault::Corrupt(format!(
            "a record has version {version}, this server reads up to {VERSION}"
        ))),
        None => Err(Fault::Corrupt("a record is empty".to_owned())),
    }
}

/// An account without its id, which is the key of the record. Who it is, is sealed under its key, which the
/// vault holds: an account without a key is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UserRecord {
    /// The keyed hash of its skeleton, under which its name is taken.
    pub(super) name: [u8; 32],
    /// A sealed [`Person`].
    pub(super) sealed: Bytes,
    pub(super) expires_at: UnixMs,
}

/// A name that rests, whose keyed hash is the key of the record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RestRecord {
    pub(super) until: UnixMs,
    /// A keyed hash of the name and of the account that left it, which may take it back.
    pub(super) owner: [u8; 32],
}

/// Who an account is.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) skeleton: String,
    pub(super) language: String,
    pub(super) interests: Vec<String>,
    pub(super) age_bracket: AgeBracket,
    pub(super) created_at: UnixMs,
}

/// A chat without its id, which is the key of the record, and without its key, which the vault holds. Who its
/// members are, is sealed under that key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ChatRecord {
    pub(super) category: String,
    pub(super) members: Vec<MemberRecord>,
    /// A sealed [`People`].
    pub(super) sealed: Bytes,
    pub(super) epochs: Vec<Epoch>,
    pub(super) started_at: UnixMs,
    pub(super) expires_at: UnixMs,
    pub(super) end: Option<ChatEnd>,
}

/// A member of a chat.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MemberRecord {
    pub(super) user: UserId,
    pub(super) delivered: Position,
    pub(super) read: Position,
}

/// Who the members of a chat are, and what they have in common.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct People {
    /// Name and language of each member.
    pub(super) members: Vec<(String, String)>,
    pub(super) why: Why,
}

/// A message that is not filed yet, a [`MessageRecord`] or a reference to one; a row of the journal holds
/// several.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JournalRecord<M> {
    pub(super) chat: ChatId,
    pub(super) position: Position,
    pub(super) message: M,
}

/// A message without its chat and position, which are the key of the record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MessageRecord {
    pub(super) member: u8,
    pub(super) client_message_id: ClientMessageId,
    pub(super) at: UnixMs,
    pub(super) reply_to: Option<Position>,
    pub(super) sealed: Bytes,
    pub(super) is_deleted: bool,
    pub(super) expires_at: UnixMs,
}

/// A refresh token and its uses. Tokens that were exchanged stay until they expire, so that a theft
/// is noticed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RefreshRecord {
    pub(super) token: RefreshToken,
    /// When it was first exchanged.
    pub(super) replaced_at: Option<UnixMs>,
    /// Whether only the list of its family decides (`Presented::is_listed`). An older server wrote
    /// here whether the token had been exchanged twice, after which it took it no more either.
    pub(super) is_listed: bool,
}

impl RefreshRecord {
    /// The token as somebody brings it.
    pub(super) fn presented(&self) -> Presented {
        Presented {
            hash: self.token.hash,
            replaced_at: self.replaced_at,
            is_listed: self.is_listed,
        }
    }
}

/// A registration that can be sent again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RegistrationRecord {
    pub(super) user: UserId,
    pub(super) family: [u8; 16],
    /// The hash of key and request.
    pub(super) request: [u8; 32],
    pub(super) expires_at: UnixMs,
}

/// The newest tickets of one user that can no longer open a chat; all earlier ones cannot either.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SpentRecord {
    pub(super) matched: Option<TicketId>,
    pub(super) cancelled: Option<TicketId>,
    pub(super) expires_at: UnixMs,
}

/// The recent partners of one user, newest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RecentsRecord {
    pub(super) partners: Vec<(UserId, UnixMs)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_encoding() {
        let record = RecentsRecord {
            partners: vec![(UserId::from_bytes([7; 16]), 9)],
        };
        let read: RecentsRecord = decode(&encode(&record)).unwrap();
        assert_eq!(read.partners, record.partners);
    }

    #[test]
    fn a_record_of_another_version_or_cut_short_is_corrupt() {
        let mut bytes = encode(&(1_u64, "text"));
        assert!(matches!(
            decode::<(u64, String)>(&bytes[..bytes.len() - 1]),
            Err(Fault::Corrupt(_))
        ));
        assert!(matches!(
            decode::<(u64, String)>(&[]),
            Err(Fault::Corrupt(_))
        ));
        bytes[0] = VERSION + 1;
        let error = decode::<(u64, String)>(&bytes).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
