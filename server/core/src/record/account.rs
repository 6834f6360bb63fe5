//! Accounts and their tokens.

use nowrong_protocol::UserId;
use serde::{Deserialize, Serialize};

use super::UnixMs;

/// An anonymous account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The name as shown, NFC.
    pub name: String,
    /// The confusable skeleton of the name, which must be unique.
    pub skeleton: String,
    /// BCP 47 tag.
    pub language: String,
    /// Normalised interests.
    pub interests: Vec<String>,
    /// The bracket that the person declared. Never shown to others, never widened.
    pub age_bracket: AgeBracket,
    /// When it was created.
    pub created_at: UnixMs,
    /// When it is erased unless it is used.
    pub expires_at: UnixMs,
    /// What was issued for the account under an earlier generation counts no more. The stores keep it
    /// apart: only a revocation changes it.
    #[serde(skip)]
    pub generation: Generation,
}

/// Counts the revocations of an account: 0 at first.
pub type Generation = u64;

/// Age brackets: only users of equal brackets may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AgeBracket {
    /// 13 to 17 years.
    #[serde(rename = "13-17")]
    Teen,
    /// 18 years and over.
    #[serde(rename = "18+")]
    Adult,
}

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// A refresh token, by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// All tokens that descend from one registration.
    pub family: [u8; 16],
    /// Whose.
    pub user: UserId,
    /// When it can no longer be used.
    pub expires_at: UnixMs,
}

/// A new account with its first refresh token: they are stored in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The account; it begins at its `created_at`.
    pub user: User,
    /// Its first refresh token, of a family of its own.
    pub token: RefreshToken,
    /// The key under which the same request may be sent again.
    pub key: Option<RegistrationKey>,
}

/// The key that a client has made for one registration, by its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationKey {
    /// The hash of the key.
    pub hash: TokenHash,
    /// A hash of key and request, to notice that another request comes with the same key. Nobody
    /// who does not have the key can guess the request from it.
    pub request: [u8; 32],
    /// When it is forgotten.
    pub expires_at: UnixMs,
}
