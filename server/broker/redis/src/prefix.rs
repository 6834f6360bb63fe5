//! The prefix of all keys of an installation.

use std::{fmt, str::FromStr};

/// Longest prefix: each of the keys of a person and a chat begins with it.
const LENGTH_MAX: usize = 32;

/// The prefix of all keys: lower case letters, digits, `-`, `_` and `.`. So it never ends early at the
/// `:` behind it, and never holds the braces by which a Redis Cluster finds the slot of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

/// The text cannot be a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {LENGTH_MAX} characters: lower case letters, digits, -, _ and .")]
pub struct NotAPrefix;

impl FromStr for KeyPrefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let is_good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        match (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_good) {
            true => Ok(Self(text.to_owned())),
            false => Err(NotAPrefix),
        }
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_no_characters_that_mean_something_in_a_key() {
        for good in ["nowrong", "a", "staging-2", "eu_west.1", &"x".repeat(32)] {
            assert_eq!(good.parse::<KeyPrefix>().unwrap().to_string(), good);
        }
        let bad = [
            "",
            "A",
            "a:b",
            "{a}",
            "a b",
            "a*",
            "ä",
            "a\n",
            "a\0",
            &"x".repeat(33),
        ];
        for bad in bad {
            assert_eq!(bad.parse::<KeyPrefix>(), Err(NotAPrefix), "{bad:?}");
        }
    }
}
