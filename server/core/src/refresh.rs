//! Whether a refresh token that comes is a repetition or a theft.
//!
//! The tokens of one registration are a family, and each token is the successor of the one that was
//! exchanged for it. **A token is used when it is exchanged**, and by nothing else: an access token
//! is checked without the store, and of several tabs that renew at once the first to make a request
//! must not cost the others their tokens. The rule: a token can be exchanged any number of times,
//! however late, until a successor of it was used. Who uses a successor has received it, so who
//! then brings the token before it is somebody else: the whole family is revoked.
//!
//! The server gives the same successor however often a token is exchanged, so a family is one chain.
//! Where there are several successors of one token (of the key of a registration, or from an older
//! server), they are siblings and do not close each other.
//!
//! What follows for an honest client that always brings the newest token it has: lost responses
//! never cost it the account, and neither do other tabs that began with the same token. A thief
//! is found as soon as one of the two brings a token whose successor the other has used: when one
//! of them was away while the other went two steps on. As long as both go in step, they are as two
//! tabs, which nobody can tell apart.
//!
//! A [`Family`] is small and bounded: it lists the tokens that can still be exchanged. Start reading
//! at [`Family::present`].

use serde::{Deserialize, Serialize};

use crate::record::{TokenHash, UnixMs};

/// Most tokens of a family that can be exchanged at the same time. One chain needs two, its newest
/// token and the one before; siblings need more. Beyond that the oldest is dropped and is unknown from
/// then on; a client that repeats itself without end therefore holds no more than this.
pub const OPEN_MAX: usize = 64;

/// Most tokens of a family that become old within [`OLD_WINDOW_MS`], because a successor was used:
/// they are kept until they expire, so that a theft is noticed. A tab needs six an hour; repetitions
/// need none. Beyond that the client has to wait.
pub const OLD_MAX: u32 = 120;

/// The time in which [`OLD_MAX`] counts, in milliseconds: an hour.
pub const OLD_WINDOW_MS: u64 = 60 * 60 * 1_000;

/// The family in which the stores keep the recovery code of an account, as its only token: so it lives as
/// long as the tokens that can be exchanged, and goes with the account. It is not one of those itself.
pub const RECOVERY_FAMILY: [u8; 16] = [u8::MAX; 16];

/// How long a token that a server before this rule has replaced counts as repeated and not as
/// stolen, in milliseconds: its successor is not used before its access token, which lives for ten
/// minutes, comes to its end.
pub const UNLISTED_GRACE_MS: u64 = 10 * 60 * 1_000;

/// The tokens of one registration that can still be exchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Oldest first, at most [`OPEN_MAX`].
    pub open: Vec<OpenToken>,
    /// When the current window of [`OLD_WINDOW_MS`] began.
    pub window_at: UnixMs,
    /// How many tokens have become old in that window.
    pub old: u32,
}

/// A token that can be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenToken {
    /// The token.
    pub hash: TokenHash,
    /// The token that it was exchanged for.
    pub parent: Option<TokenHash>,
}

/// A token that somebody brings, as it is stored by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The token.
    pub hash: TokenHash,
    /// When it was first exchanged.
    pub replaced_at: Option<UnixMs>,
    /// Whether it was exchanged under this rule, so that only the list decides. `false`: it was
    /// not exchanged yet, or by a server before this rule, which kept no list.
    pub is_listed: bool,
}

/// What follows from a token that somebody brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The successor is good. These tokens, at most a few, are unknown from now on.
    Renewed {
        /// The tokens that had no more room.
        dropped: Vec<TokenHash>,
    },
    /// A successor of it was used before: the family must be revoked.
    Reused,
    /// The family renews itself too often; nothing has changed.
    TooMany {
        /// When it may renew itself again, in milliseconds from now.
        retry_after_ms: u64,
    },
}

/// What ends when the holder of a token logs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOut {
    /// These tokens, the one that came among them, are unknown from now on. Others can still be exchanged.
    Dropped(Vec<TokenHash>),
    /// Nothing is left that could be exchanged, or a successor of the token was used before: the family
    /// must be revoked.
    Revoked,
}

impl Family {
    /// A family with its first token. `key` is the hash of the key of its registration, which can be
    /// presented like a token until the first token is used.
    pub fn begin(first: TokenHash, key: Option<TokenHash>, now: UnixMs) -> Self {
        let key_itself = key.map(|hash| OpenToken { hash, parent: None });
        let first = OpenToken {
            hash: first,
            parent: key,
        };
        Self {
            open: key_itself.into_iter().chain([first]).collect(),
            window_at: now,
            old: 0,
        }
    }

    /// Exchanges `token` for `next`, if it can be exchanged. `next` may be the successor that it was
    /// exchanged for before.
    pub fn present(&mut self, token: &Presented, next: TokenHash, now: UnixMs) -> Exchange {
        let known = self.open.iter().find(|open| open.hash == token.hash);
        let known = known.copied();
        if known.is_none() && !token.may_join(now) {
            return Exchange::Reused;
        }
        let parent = known.and_then(|open| open.parent);
        if let Some(parent) = parent.filter(|parent| self.is_open(parent)) {
            if let Err(retry_after_ms) = self.count_old(now) {
                return Exchange::TooMany { retry_after_ms };
            }
            self.open.retain(|open| open.hash != parent);
        }
        if known.is_none() {
            let (hash, parent) = (token.hash, None);
            self.open.push(OpenToken { hash, parent });
        }
        if !self.is_open(&next) {
            self.open.push(OpenToken {
                hash: next,
                parent: Some(token.hash),
            });
        }
        Exchange::Renewed {
            dropped: self.drop_oldest(&token.hash),
        }
    }

    /// Ends the chain of `token`: the token, those before it and those after it that can be exchanged.
    /// Siblings go on.
    pub fn log_out(&mut self, token: &Presented, now: UnixMs) -> LogOut {
        if !self.is_open(&token.hash) && !token.may_join(now) {
            return LogOut::Revoked;
        }
        let mut chain = vec![token.hash];
        while let Some(parent) = self.parent_of(chain.last()) {
            chain.push(parent);
        }
        let mut after = vec![token.hash];
        while let Some(hash) = after.pop() {
            let next = self.open.iter().filter(|it| it.parent == Some(hash));
            let next: Vec<_> = next.map(|it| it.hash).collect();
            chain.extend(&next);
            after.extend(&next);
        }
        self.open.retain(|open| !chain.contains(&open.hash));
        match self.open.is_empty() {
            true => LogOut::Revoked,
            false => LogOut::Dropped(chain),
        }
    }

    /// The token before this one, if it can still be exchanged.
    fn parent_of(&self, hash: Option<&TokenHash>) -> Option<TokenHash> {
        let known = self.open.iter().find(|open| Some(&open.hash) == hash);
        let parent = known.and_then(|open| open.parent);
        parent.filter(|parent| self.is_open(parent))
    }

    fn is_open(&self, hash: &TokenHash) -> bool {
        self.open.iter().any(|open| open.hash == *hash)
    }

    /// Counts a token that becomes old; `Err` is the time to wait, in milliseconds.
    fn count_old(&mut self, now: UnixMs) -> Result<(), u64> {
        let window_ends = self.window_at.saturating_add(OLD_WINDOW_MS);
        // A window that begins later than now was begun by a clock that was wrong.
        if now >= window_ends || now < self.window_at {
            (self.window_at, self.old) = (now, 0);
        }
        if self.old >= OLD_MAX {
            return Err(window_ends.saturating_sub(now).max(1));
        }
        self.old += 1;
        Ok(())
    }

    /// Drops the oldest tokens beyond [`OPEN_MAX`]: first the successors of `kept`, which was just
    /// exchanged again because their responses were lost; never `kept` itself, nor the newest.
    fn drop_oldest(&mut self, kept: &TokenHash) -> Vec<TokenHash> {
        let mut dropped = Vec::new();
        while self.open.len() > OPEN_MAX {
            let old = &self.open[..self.open.len() - 1];
            let lost = old.iter().position(|open| open.parent == Some(*kept));
            let oldest = || old.iter().position(|open| open.hash != *kept);
            let Some(index) = lost.or_else(oldest) else {
                break;
            };
            dropped.push(self.open.remove(index).hash);
        }
        dropped
    }
}

impl Presented {
    /// Whether a token that is not in the list may join it: it is of a server before this rule, and
    /// no successor of it can have been used yet.
    fn may_join(&self, now: UnixMs) -> bool {
        let is_recent = |at: UnixMs| now < at.saturating_add(UNLISTED_GRACE_MS);
        !self.is_listed && self.replaced_at.is_none_or(is_recent)
    }
}

#[cfg(test)]
mod tests;
