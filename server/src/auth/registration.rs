//! The key under which a registration can be sent again, in the header `Idempotency-Key`.
//!
//! The client makes it up, so it is as good as a password for the account until the account's first
//! refresh token is exchanged: it must be random and is used once. The store knows only hashes.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use nowrong_core::record::{AgeBracket, RegistrationKey, UnixMs, User};

/// How long a registration can be sent again: longer than a phone is usually without a network, and
/// short, because the key names an account that its owner may have erased meanwhile.
pub const KEY_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Shortest key, in characters: 16 of base64 are 96 random bits.
pub const KEY_CHARS_MIN: usize = 16;

/// Longest key, in characters: a UUID has 36, 32 bytes in base64 have 44.
pub const KEY_CHARS_MAX: usize = 64;

/// Whether `text` can be a key: printable ASCII without spaces, of a bounded length.
pub fn is_key(text: &str) -> bool {
    (KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The key with this text, for this new account.
pub fn registration_key(text: &str, user: &User, now: UnixMs) -> RegistrationKey {
    let bracket = [u8::from(user.age_bracket == AgeBracket::Adult)];
    let interests = user.interests.iter().map(String::as_bytes);
    let fields = [text, user.name.as_str(), user.language.as_str()];
    let request = fields
        .map(str::as_bytes)
        .into_iter()
        .chain([&bracket[..]])
        .chain(interests);
    RegistrationKey {
        // Never the hash of a refresh token.
        hash: hash([b"registration".as_slice(), text.as_bytes()]),
        request: hash(request),
        expires_at: now.saturating_add(KEY_LIFETIME.as_millis() as u64),
    }
}

/// SHA-256 of these parts, each after its length.
fn hash<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::UserId;

    use super::*;

    fn user() -> User {
        User {
            id: UserId::from_bytes([1; 16]),
            name: "Robin".to_owned(),
            skeleton: "robin".to_owned(),
            language: "en".to_owned(),
            interests: vec!["ab".to_owned(), "c".to_owned()],
            age_bracket: AgeBracket::Adult,
            created_at: 5,
            expires_at: 6,
            generation: 0,
        }
    }

    #[test]
    fn keys_are_bounded_and_printable() {
        let good = [
            "x".repeat(16),
            "x".repeat(64),
            "!~-_=+/abcdefghij".to_owned(),
        ];
        let bad = [
            "",
            "x",
            "a b c d e f g h i j",
            "äöüäöüäöüäöüäöüä",
            "abcdefghijklmnop\n",
        ];
        assert!(good.iter().all(|key| is_key(key)));
        assert!(!bad.iter().any(|key| is_key(key)));
        assert!(!is_key(&"x".repeat(15)) && !is_key(&"x".repeat(65)));
    }

    #[test]
    fn the_request_is_what_the_client_chose_and_the_key_itself() {
        let text = "0123456789abcdef";
        let key = registration_key(text, &user(), 7);
        assert_eq!(key.expires_at, 7 + 3_600_000);
        let again = User {
            id: UserId::from_bytes([2; 16]),
            created_at: 9,
            expires_at: 10,
            ..user()
        };
        assert_eq!(registration_key(text, &again, 7), key);
        let others: [fn(&mut User); 4] = [
            |user| user.name = "robin".to_owned(),
            |user| user.language = "de".to_owned(),
            |user| user.interests = vec!["a".to_owned(), "bc".to_owned()],
            |user| user.age_bracket = AgeBracket::Teen,
        ];
        for change in others {
            let mut other = user();
            change(&mut other);
            let other = registration_key(text, &other, 7);
            assert_eq!(other.hash, key.hash);
            assert_ne!(other.request, key.request);
        }
        let other = registration_key("fedcba9876543210", &user(), 7);
        assert!(other.hash != key.hash && other.request != key.request);
    }
}
