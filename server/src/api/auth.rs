//! `/v1/auth`: new tokens for an old one, and the end of tokens.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use nowrong_protocol::{ErrorCode, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState,
    body::{EVERYWHERE, Fields, REFRESH_TOKEN},
    caller::{Priced, millis},
    problem::{Problem, ProblemDocument},
};
use crate::auth::{
    ACCESS_LIFETIME, AuthError, Holder,
    refresh::{Brought, rotate_refresh},
    token::token_hash,
};

/// A refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refresh)]
#[expect(
    dead_code,
    reason = "describes the body; it is read field by field to name every mistake"
)]
pub(super) struct RefreshBody {
    /// From the registration or the last refresh.
    refresh_token: String,
}

/// New tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Refreshed {
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    /// Its lifetime, in milliseconds from now.
    access_expires_in_ms: u64,
    /// Replaces the token that was sent: keep it before you use it.
    refresh_token: String,
}

/// Refresh tokens
///
/// Exchanges a refresh token for new tokens. When the response is lost, or several tabs renew at
/// once, the same refresh token can be sent again, any number of times and however late: each
/// response has the same refresh token and a good access token. That ends when this next refresh
/// token is itself exchanged. A token that comes after that is taken for stolen: all tokens of the
/// account are revoked. A refresh token lives as long as the account.
#[utoipa::path(
    post,
    path = "/v1/auth/refresh",
    tag = "Account",
    operation_id = "refresh",
    request_body = RefreshBody,
    responses(
        (status = 200, description = "New tokens.", body = Refreshed),
        (status = 401, description = "The token is unknown, expired or revoked, or was replaced and its successor used.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong; each is named.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn refresh(
    State(api): State<Arc<ApiState>>,
    _priced: Priced,
    mut fields: Fields,
) -> Result<Json<Refreshed>, Problem> {
    let token = fields.required(REFRESH_TOKEN);
    let token = fields.finish(token)?;
    let refused = || Problem::new(ErrorCode::REFRESH_REFUSED);
    let now = api.env.clock.now();
    let rotated = rotate_refresh(&*api.env.store, &token, api.expiry(), now).await;
    let brought = rotated.map_err(|error| match error {
        AuthError::Refused => refused(),
        other => other.into(),
    })?;
    let (mut user, refresh_token) = match brought {
        Brought::Exchanged(user, token) => (user, token),
        Brought::Stolen(user) => {
            api.end_revoked(user).await;
            return Err(refused());
        }
    };
    let access_token = api.access.issue(Holder::from(&user), now)?.into_exposed();
    api.touch(&mut user).await?;
    Ok(Json(Refreshed {
        access_token,
        access_expires_in_ms: millis(ACCESS_LIFETIME),
        refresh_token: refresh_token.into_exposed(),
    }))
}

/// What to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogOut)]
#[expect(
    dead_code,
    reason = "describes the body; it is read field by field to name every mistake"
)]
pub(super) struct LogOutBody {
    /// The newest refresh token of this device.
    refresh_token: String,
    /// Whether all devices of the account are logged out, not only this one. Default: false.
    #[schema(value_type = Option<bool>, nullable = false)]
    everywhere: Option<bool>,
}

/// Log out
///
/// Ends the refresh token, those before it and those after it. When it was the last one of the account
/// that could be exchanged, or with `everywhere`, all tokens of the account end: access tokens and
/// connections too, at once. Otherwise the access token of this device lapses by itself. The account
/// stays until it is erased for not being used. **Nobody can come back to an account without tokens**,
/// so ask the person before, or erase the account instead. The response is the same for a token that
/// is unknown.
#[utoipa::path(
    post,
    path = "/v1/auth/logout",
    tag = "Account",
    operation_id = "logOut",
    request_body = LogOutBody,
    responses(
        (status = 204, description = "The token is not good any more."),
        (status = 422, description = "Fields are wrong; each is named.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn log_out(
    State(api): State<Arc<ApiState>>,
    _priced: Priced,
    mut fields: Fields,
) -> Result<StatusCode, Problem> {
    let token = fields.required(REFRESH_TOKEN);
    let everywhere = fields.optional(EVERYWHERE).unwrap_or(false);
    let hash = token_hash(&fields.finish(token)?);
    let now = api.env.clock.now();
    if let Some(user) = api.env.store.log_out(&hash, everywhere, now).await? {
        api.end_revoked(user).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

impl ApiState {
    /// The tokens of the account are revoked, whatever comes of this: ends the connections that were opened
    /// with them.
    pub(super) async fn end_revoked(&self, user: UserId) {
        if let Err(error) = self.departure.end_revoked(user).await {
            tracing::warn!(%error, "tokens are revoked, but a connection that they opened goes on for now");
        }
    }
}
