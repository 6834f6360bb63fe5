//! Connect tokens of this node: each is taken once, before it expires.

use std::collections::{BTreeSet, HashMap};

use nowrong_core::record::{TokenHash, UnixMs};
use nowrong_protocol::{UserId, limits::CONNECT_TOKEN_LIFETIME};

use crate::BrokerError;

/// Most connect tokens that are valid at one time: over 3,000 connects a second for their 30 s.
/// Beyond that, new ones are refused until some expire.
pub const TOKENS_MAX: usize = 100_000;

/// The valid tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    users: HashMap<TokenHash, (UserId, UnixMs)>,
    by_expiry: BTreeSet<(UnixMs, TokenHash)>,
}

impl Tokens {
    /// Stores a token, and drops expired ones to make room: a token lives 30 s at most, so
    /// `expires_at` is at most that far away.
    pub(super) fn put(
        &mut self,
        hash: TokenHash,
        user: UserId,
        expires_at: UnixMs,
    ) -> Result<(), BrokerError> {
        let lifetime_ms = CONNECT_TOKEN_LIFETIME.as_millis() as u64;
        self.drop_expired(expires_at.saturating_sub(lifetime_ms));
        self.remove(&hash);
        if self.users.len() >= TOKENS_MAX {
            return Err(BrokerError::Full("connect tokens"));
        }
        self.users.insert(hash, (user, expires_at));
        self.by_expiry.insert((expires_at, hash));
        Ok(())
    }

    /// Removes the token; returns its user, unless it is unknown or expired.
    pub(super) fn take(&mut self, hash: &TokenHash, now: UnixMs) -> Option<UserId> {
        let (user, expires_at) = self.remove(hash)?;
        (now < expires_at).then_some(user)
    }

    fn remove(&mut self, hash: &TokenHash) -> Option<(UserId, UnixMs)> {
        let token = self.users.remove(hash)?;
        self.by_expiry.remove(&(token.1, *hash));
        Some(token)
    }

    fn drop_expired(&mut self, now: UnixMs) {
        while let Some((expires_at, hash)) = self.by_expiry.first().copied()
            && expires_at <= now
        {
            self.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> TokenHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        hash
    }

    #[test]
    fn g10_tokens_are_bounded_and_expired_ones_make_room() {
        let user = UserId::from_bytes([1; 16]);
        let mut tokens = Tokens::default();
        for n in 0..TOKENS_MAX as u64 {
            tokens.put(hash(n), user, 30_000 + n % 2).expect("room");
        }
        let refused = tokens.put(hash(u64::MAX), user, 59_999);
        assert!(matches!(refused, Err(BrokerError::Full(_))));
        tokens
            .put(hash(0), user, 59_999)
            .expect("the same token again needs no room");
        tokens
            .put(hash(u64::MAX), user, 60_000)
            .expect("half have expired");
        assert_eq!(tokens.users.len(), TOKENS_MAX / 2 + 2);
        assert_eq!(tokens.users.len(), tokens.by_expiry.len());
    }
}
