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

/// The account that makes the request, by its access token. Every such request counts as a use of
/// the account.
pub(super) struct Caller(pub(super) User);

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<ApiState>) -> Result<Self, Problem> {
        let refused = || Problem::new(ErrorCode::UNAUTHENTICATED);
        let token = bearer(parts).ok_or_else(refused)?;
        let now = api.env.clock.now();
        let id = api.access.authenticate(token, now).await?;
        let gone = || refused().detail("The account of this token no longer exists.");
        let mut user = api.env.store.user(id, now).await?.ok_or_else(gone)?;
        api.touch(&mut user).await?;
        Ok(Self(user))
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
            Grant::RetryAfter(ms) => {
                self.env.metrics.count_refusal(name);
                Err(Problem::rate_limited(ms))
            }
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
    /// write is a commit. A write that fails is made with the next use: it fails no request.
    pub(super) async fn touch(&self, user: &mut User) -> Result<(), Problem> {
        let expires_at = self.expiry();
        if expires_at.saturating_sub(user.expires_at) < millis(self.account_idle) / 16 {
            return Ok(());
        }
        match self.env.store.touch(&[user.id], expires_at).await {
            Ok(gone) if gone.is_empty() => user.expires_at = expires_at,
            Ok(_) => return Err(Problem::new(ErrorCode::UNAUTHENTICATED)),
            Err(error) => tracing::warn!(%error, "the use of an account could not be noted"),
        }
        Ok(())
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
