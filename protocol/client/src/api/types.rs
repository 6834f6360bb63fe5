//! The bodies of REST requests and responses. `openapi.json` of the server describes the same
//! bodies.

use nowrong_protocol::{ErrorCode, UserId};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The fields of a new account.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NewAccount {
    /// 2 to 24 graphemes; unique, also against names that look alike.
    pub name: String,
    /// A BCP 47 tag, such as `en`.
    pub language: String,
    /// What to talk about; at most 10.
    pub interests: Vec<String>,
    /// `13-17` or `18+`.
    pub age_bracket: String,
}

impl NewAccount {
    /// An adult who speaks English and names no interests.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            language: "en".to_owned(),
            interests: Vec::new(),
            age_bracket: "18+".to_owned(),
        }
    }
}

/// What to change in an account; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AccountChange {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Other interests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interests: Option<Vec<String>>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// The name as shown.
    pub name: String,
    /// A BCP 47 tag.
    pub language: String,
    /// Normalised interests.
    pub interests: Vec<String>,
    /// `13-17` or `18+`.
    pub age_bracket: String,
}

/// The body of a registration.
#[derive(Serialize)]
pub(super) struct Registering<'a> {
    #[serde(flatten)]
    pub(super) account: &'a NewAccount,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<&'a str>,
}

#[derive(Deserialize)]
pub(super) struct Registered {
    pub(super) user: Account,
    #[serde(flatten)]
    pub(super) tokens: Tokens,
}

/// The tokens of an account.
#[derive(Clone, Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(<redacted>)")
    }
}

#[derive(Serialize)]
pub(super) struct RefreshToken<'a> {
    pub(super) refresh_token: &'a str,
}

#[derive(Deserialize, Serialize)]
pub(super) struct RecoveryCode {
    pub(super) recovery_code: String,
}

#[derive(Serialize)]
pub(super) struct LogOut<'a> {
    pub(super) refresh_token: &'a str,
    pub(super) everywhere: bool,
}

#[derive(Deserialize)]
pub(super) struct Categories {
    pub(super) categories: Vec<Category>,
}

/// A topic people are matched in.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Category {
    /// The id by which a user joins it.
    pub id: String,
    /// English title.
    pub title: String,
    /// One English sentence.
    pub description: String,
    /// One emoji.
    pub emoji: String,
    /// Only this bracket may join, if set.
    #[serde(default)]
    pub age_bracket: Option<String>,
    /// How many people are waiting in it or chatting from it.
    #[serde(default)]
    pub online: u32,
    /// How many people wait in it.
    #[serde(default)]
    pub waiting: u32,
}

/// Where to connect, and with what.
#[derive(Clone, Deserialize)]
pub struct Connect {
    /// Single use, lives 30 s: for the first frame.
    pub connect_token: String,
    /// The node's addresses.
    pub endpoint: Endpoint,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// The addresses of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Endpoint {
    /// `https://host:port/path`; empty when it has no WebTransport.
    #[serde(default, deserialize_with = "empty_if_null")]
    pub webtransport: String,
    /// `ws://` or `wss://` URL; empty when it has no WebSocket.
    #[serde(default, deserialize_with = "empty_if_null")]
    pub websocket: String,
    /// SHA-256 of the certificate for WebTransport, when it is a development one.
    #[serde(default, deserialize_with = "hash")]
    pub certificate_hash: Option<[u8; 32]>,
}

fn empty_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Base64 of 32 bytes.
fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let bad = || D::Error::custom("certificate_hash is not the base64 of 32 bytes");
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
    bytes
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map(Some)
        .ok_or_else(bad)
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Deserialize, thiserror::Error)]
#[error("{title}")]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// The number of the error, as on the realtime connection.
    #[serde(deserialize_with = "error_code")]
    pub code: ErrorCode,
    /// What went wrong, for a person.
    pub title: String,
    /// More, for a developer; may be empty.
    #[serde(default)]
    pub detail: String,
    /// The invalid fields, if that is the problem.
    #[serde(default)]
    pub errors: Vec<FieldProblem>,
    /// Earliest time to try again, in milliseconds; 0 when it does not matter.
    #[serde(default)]
    pub retry_after_ms: u64,
    /// What to solve, when a proof of work is needed: [`Api::register`](crate::Api::register) does so.
    #[serde(default)]
    pub challenge: Option<Challenge>,
}

/// A proof of work that the server asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Challenge {
    /// The challenge, as it is sent back.
    pub text: String,
}

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FieldProblem {
    /// Its name.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

fn error_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ErrorCode, D::Error> {
    u16::deserialize(deserializer).map(ErrorCode)
}
