//! Sealing of message bodies: AES-256-GCM under the key of the chat (NIST SP 800-38D).
//!
//! The store, its old pages and its copies hold sealed bytes only; when the key is destroyed with
//! the chat, everything said in it is lost. The nonce is random (96 bits; a chat has at most 10,000
//! messages) and comes first. The chat, the sender and the sender's id are authenticated, so that
//! sealed bytes cannot be moved to another message.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use nowrong_base::random;
use nowrong_core::record::{ChatKey, StoredMessage};
use nowrong_protocol::{ChatId, ClientMessageId, codec, frame::Body};

/// Why sealed bytes could not be opened: another key, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed body cannot be opened")]
pub struct SealError;

/// The message to which a sealed body belongs.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The chat.
    pub chat: ChatId,
    /// Index of the sender.
    pub member: u8,
    /// The sender's id of the message.
    pub client_message_id: ClientMessageId,
}

impl Owner {
    fn aad(&self) -> [u8; 33] {
        let mut aad = [0; 33];
        aad[..16].copy_from_slice(self.chat.as_bytes());
        aad[16] = self.member;
        aad[17..].copy_from_slice(self.client_message_id.as_bytes());
        aad
    }
}

/// Seals and opens the bodies of one chat.
pub struct Sealer(LessSafeKey);

impl Sealer {
    /// A fresh random key.
    ///
    /// # Errors
    /// [`SealError`] when the system has no randomness.
    pub fn new_key() -> Result<ChatKey, SealError> {
        let key = random::try_bytes().map_err(|_| SealError)?;
        Ok(ChatKey(key))
    }

    /// The sealer of a chat with this key.
    ///
    /// # Panics
    /// Never: every 32 bytes are an AES-256 key.
    pub fn new(key: &ChatKey) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &key.0).expect("32 bytes are an AES-256 key");
        Self(LessSafeKey::new(key))
    }

    /// Seals a body.
    ///
    /// # Errors
    /// [`SealError`] when the system has no randomness.
    pub fn seal(&self, owner: Owner, body: &Body) -> Result<Bytes, SealError> {
        let nonce: [u8; NONCE_LEN] = random::try_bytes().map_err(|_| SealError)?;
        let mut sealed = Vec::with_capacity(128);
        sealed.extend_from_slice(&nonce);
        codec::encode_into(body, &mut sealed);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner.aad()),
                &mut sealed[NONCE_LEN..],
            )
            .map_err(|_| SealError)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed.into())
    }

    /// Opens the body of a stored message.
    ///
    /// # Errors
    /// [`SealError`] when the key is another one or the bytes were changed.
    pub fn open(&self, message: &StoredMessage) -> Result<Body, SealError> {
        if message.is_deleted {
            return Ok(Body::Deleted);
        }
        let owner = Owner {
            chat: message.chat,
            member: message.member,
            client_message_id: message.client_message_id,
        };
        let (nonce, sealed) = message
            .sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut sealed = sealed.to_vec();
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(owner.aad()), &mut sealed)
            .map_err(|_| SealError)?;
        codec::decode(plain).map_err(|_| SealError)
    }
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::Position;

    use super::*;

    fn stored(sealer: &Sealer, body: &Body) -> StoredMessage {
        let owner = Owner {
            chat: ChatId::from_bytes([1; 16]),
            member: 1,
            client_message_id: ClientMessageId::from_bytes([2; 16]),
        };
        StoredMessage {
            chat: owner.chat,
            position: Position::new(1, 1),
            member: owner.member,
            client_message_id: owner.client_message_id,
            at: 0,
            reply_to: None,
            sealed: sealer.seal(owner, body).unwrap(),
            is_deleted: false,
            expires_at: 0,
        }
    }

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let sealer = Sealer::new(&ChatKey([7; 32]));
        let body = Body::Text("hello".into());
        let message = stored(&sealer, &body);
        assert_eq!(sealer.open(&message), Ok(body));
        assert!(!message.sealed.windows(5).any(|window| window == b"hello"));

        let moved = StoredMessage {
            member: 0,
            ..message.clone()
        };
        assert_eq!(sealer.open(&moved), Err(SealError));
        let other_key = Sealer::new(&ChatKey([8; 32]));
        assert_eq!(other_key.open(&message), Err(SealError));
        let cut = StoredMessage {
            sealed: message.sealed.slice(..5),
            ..message
        };
        assert_eq!(sealer.open(&cut), Err(SealError));
    }
}
