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
use crate::peer::Peer;

/// The network that makes the request, which has paid for it: each route has a limit of its own. It comes
/// before a token is looked at, and before a body is read.
pub(super) struct Priced(pub(super) ClientIp);

impl FromRequestParts<Arc<ApiState>> for Priced {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<ApiState>) -> Result<Self, Problem> {
        let Ok(Peer(ip)) = Peer::from_request_parts(parts, api).await;
        let (name, share) = price(parts);
        let mut rate = api.limits.requests;
        rate.burst = rate.burst.saturating_mul(share);
        // As rare as a registration, and a client without a code can only try.
        if name == "recover" {
            rate = api.limits.register;
        }
        api.take(name, rate, ip).await?;
        Ok(Self(ip))
    }
}

/// The account that makes the request, by its access token. Every such request counts as a use of
/// the account. It has two prices: that of [`Priced`], and one for the account, of all routes together.
pub(super) struct Caller(pub(super) User);

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<ApiState>) -> Result<Self, Problem> {
        Priced::from_request_parts(parts, api).await?;
        let refused = || Problem::new(ErrorCode::UNAUTHENTICATED);
        let token = bearer(parts).ok_or_else(refused)?;
        let now = api.env.clock.now();
        let holder = api.access.authenticate(token, now).await?;
        let id = holder.user;
        api.spend("account", api.limits.account, id.as_bytes())
            .await?;
        let gone = || refused().detail("The account of this token no longer exists.");
        let mut user = api.env.store.user(id, now).await?.ok_or_else(gone)?;
        if user.generation != holder.generation {
            return Err(refused().detail("This token was revoked: refresh your tokens."));
        }
        api.touch(&mut user).await?;
        Ok(Self(user))
    }
}

impl ApiState {
    /// Takes one unit from the limits of the networks of the client.
    pub(super) async fn take(
        &self,
        name: &'static str,
        rate: Rate,
        ip: ClientIp,
    ) -> Result<(), Problem> {
        let networks: Vec<_> = ip.networks(&self.pseudonyms).collect();
        let (broker, now) = (&self.env.broker, self.env.clock.now());
        let taken = broker.take_of_all(LimitRule { name, rate }, &networks, now);
        self.granted(name, taken.await?)
    }

    /// Takes one unit of what an account may do, on all nodes together.
    pub(super) async fn spend(
        &self,
        name: &'static str,
        rate: Rate,
        key: &[u8; 16],
    ) -> Result<(), Problem> {
        let rule = LimitRule { name, rate };
        let taken = self.env.broker.take(rule, key, self.env.clock.now());
        self.granted(name, taken.await?)
    }

    fn granted(&self, name: &'static str, grant: Grant) -> Result<(), Problem> {
        match grant {
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

/// How often a page may ask who is there, for each other request: it asks every few seconds, it costs the node
/// little, and many people share the address of a mobile network.
const LOOKS: u32 = 10;

/// The name of a route's limit, and how many times the usual number it allows.
fn price(parts: &Parts) -> (&'static str, u32) {
    match (parts.method.as_str(), parts.uri.path()) {
        ("GET", "/v1/categories") => ("categories", LOOKS),
        ("POST", "/v1/users") => ("register_body", 1),
        ("POST", "/v1/auth/refresh") => ("refresh", 1),
        ("POST", "/v1/auth/logout") => ("log_out", 1),
        ("POST", "/v1/auth/recover") => ("recover", 1),
        ("POST", "/v1/me/recovery") => ("make_recovery_code", 1),
        ("DELETE", "/v1/me/recovery") => ("remove_recovery_code", 1),
        ("POST", "/v1/connect") => ("connect", 1),
        ("PATCH", "/v1/me") => ("change_account", 1),
        ("DELETE", "/v1/me") => ("erase_account", 1),
        ("GET", "/v1/me") => ("show_account", 1),
        ("GET", "/v1/me/export") => ("export_account", 1),
        _ => ("other", 1),
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
