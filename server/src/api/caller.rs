//! The caller of a request: the account behind an access token, the network behind a limit.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use nowrong_base::privacy::ClientIp;
use nowrong_broker::LimitRule;
use nowrong_core::{
    limiter::{Grant, Rate},
    record::User,
};
use nowrong_protocol::ErrorCode;

use super::{ApiState, problem::Problem};

/// The account that makes the request, by its access token.
pub(super) struct Caller(pub(super) User);

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<ApiState>) -> Result<Self, Problem> {
        let refused = || Problem::new(ErrorCode::UNAUTHENTICATED);
        let token = bearer(parts).ok_or_else(refused)?;
        let now = api.env.clock.now();
        let id = api.access.authenticate(token, now).await?;
        let user = api.env.store.user(id, now).await?;
        user.map(Self)
            .ok_or_else(|| refused().detail("The account of this token no longer exists."))
    }
}

impl ApiState {
    /// Takes one unit from the limit of the client's network.
    pub(super) async fn take(
        &self,
        name: &'static str,
        rate: Rate,
        ip: ClientIp,
    ) -> Result<(), Problem> {
        let rule = LimitRule { name, rate };
        let key = ip.limiter_key(&self.pseudonyms);
        match self
            .env
            .broker
            .take(rule, &key, self.env.clock.now())
            .await?
        {
            Grant::Granted => Ok(()),
            Grant::RetryAfter(ms) => Err(Problem::rate_limited(ms)),
        }
    }

    /// When an account that is used now will be erased, unless it is used again.
    pub(super) fn expiry(&self) -> u64 {
        self.env
            .clock
            .now()
            .saturating_add(millis(self.account_idle))
    }

    /// Notes that an account is used. At most 16 writes are made per idle lifetime, because each
    /// write is a commit.
    pub(super) async fn touch(&self, user: User) -> Result<(), Problem> {
        let expires_at = self.expiry();
        if expires_at.saturating_sub(user.expires_at) < millis(self.account_idle) / 16 {
            return Ok(());
        }
        let is_there = self.env.store.touch(user.id, expires_at).await?;
        is_there
            .then_some(())
            .ok_or_else(|| Problem::new(ErrorCode::UNAUTHENTICATED))
    }
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
