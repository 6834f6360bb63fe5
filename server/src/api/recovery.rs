//! Recovery codes: a person writes one down, and comes back with it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use nowrong_protocol::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState,
    body::{Fields, RECOVERY_CODE},
    caller::{Caller, Priced, millis},
    problem::{Problem, ProblemDocument},
    users::RegisteredView,
};
use crate::auth::{
    ACCESS_LIFETIME, Holder,
    recovery::{code_hash, first_after_recovery, new_code},
};

/// A new recovery code.
#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCode)]
pub(super) struct RecoveryCodeView {
    /// To be written down: it is never shown again. 26 symbols and a check symbol, in groups.
    #[schema(example = "3GK7-Q2YD-0M5X-9RTB-V8CE-H41N-ZA*")]
    recovery_code: String,
}

/// The code of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Recover)]
#[expect(
    dead_code,
    reason = "describes the body; it is read field by field to name every mistake"
)]
pub(super) struct RecoverBody {
    /// As it was written down: case, hyphens and spaces count for nothing, O is 0, I and L are 1.
    #[schema(example = "3GK7-Q2YD-0M5X-9RTB-V8CE-H41N-ZA*", max_length = 128)]
    recovery_code: String,
}

/// Make a recovery code
///
/// With it, and without any token, the account can be entered by `POST /v1/auth/recover` as long as it
/// exists. It replaces the code before, if there is one. A person who knows it has the account: show it once,
/// and keep it nowhere.
#[utoipa::path(
    post,
    path = "/v1/me/recovery",
    tag = "Account",
    operation_id = "makeRecoveryCode",
    security(("bearer" = [])),
    responses(
        (status = 201, description = "The code.", body = RecoveryCodeView),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn make(
    State(api): State<Arc<ApiState>>,
    Caller(user): Caller,
) -> Result<impl IntoResponse, Problem> {
    let (text, hash) = new_code()?;
    if !api.env.store.put_recovery(user.id, &hash).await? {
        return Err(Problem::new(ErrorCode::UNAUTHENTICATED));
    }
    let recovery_code = text.into_exposed();
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(RecoveryCodeView { recovery_code }),
    ))
}

/// Remove the recovery code
///
/// The account can be entered with tokens alone from now on.
#[utoipa::path(
    delete,
    path = "/v1/me/recovery",
    tag = "Account",
    operation_id = "removeRecoveryCode",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The account has no recovery code."),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove(
    State(api): State<Arc<ApiState>>,
    Caller(user): Caller,
) -> Result<StatusCode, Problem> {
    api.env.store.delete_recovery(user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Recover an account
///
/// Gives new tokens for a recovery code, and ends everything else that the account has: all other tokens,
/// and the connections that they opened. Its chat and its place in the queue are held for a while, as for
/// everybody who loses the connection. The code stays good, so a lost response costs nothing.
#[utoipa::path(
    post,
    path = "/v1/auth/recover",
    tag = "Account",
    operation_id = "recover",
    request_body = RecoverBody,
    responses(
        (status = 200, description = "The account, and new tokens.", body = RegisteredView),
        (status = 401, description = "No account has this code.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "The code has a typing mistake, or fields are wrong; each is named.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn recover(
    State(api): State<Arc<ApiState>>,
    _priced: Priced,
    mut fields: Fields,
) -> Result<Json<RegisteredView>, Problem> {
    let code = fields.required(RECOVERY_CODE);
    let hash = code_hash(&fields.finish(code)?);
    let unknown =
        || Problem::new(ErrorCode::REFRESH_REFUSED).detail("No account has this recovery code.");
    let now = api.env.clock.now();
    let (refresh_token, first) = first_after_recovery(api.expiry())?;
    let found = api.env.store.recover(&hash, &first, now).await?;
    let mut user = found.ok_or_else(unknown)?;
    api.end_revoked(user.id).await;
    let access_token = api.access.issue(Holder::from(&user), now)?.into_exposed();
    api.touch(&mut user).await?;
    Ok(Json(RegisteredView {
        user: user.into(),
        access_token,
        access_expires_in_ms: millis(ACCESS_LIFETIME),
        refresh_token: refresh_token.into_exposed(),
    }))
}
