//! `/v1/me`: the caller's own account.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use nowrong_core::{limiter::Rate, record::User, text::ReservedNames};
use nowrong_protocol::ErrorCode;
use nowrong_store::NameClaim;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ApiState,
    body::{Fields, INTERESTS, LANGUAGE, NAME},
    caller::Caller,
    problem::{Problem, ProblemDocument},
    users::{InterestText, UserView},
};

/// How often an account may take another name: five times, and once more for each fifth of a day. A try that finds the
/// name taken counts too: nobody asks with it, again and again, whether a certain person is here.
const RENAMES: Rate = Rate {
    burst: 5,
    period_ms: 24 * 60 * 60 * 1_000,
};

/// The parts of an account that can be changed; a field that is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Change)]
#[expect(
    dead_code,
    reason = "describes the body; it is read field by field to name every mistake"
)]
pub(super) struct ChangeBody {
    /// The name that others see: 2 to 24 characters.
    #[schema(
        example = "Robin",
        min_length = 2,
        nullable = false,
        pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F\\uE000-\\uF8FF\\uFDD0-\\uFDEF\\uFFFC-\\uFFFF]+$"
    )]
    name: Option<String>,
    /// Language to talk in, as a BCP 47 tag.
    #[schema(
        example = "en",
        max_length = 35,
        nullable = false,
        pattern = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$"
    )]
    language: Option<String>,
    /// What to talk about: at most 10, at most 64 bytes each.
    #[schema(value_type = Option<Vec<InterestText>>, max_items = 10, nullable = false)]
    interests: Option<Vec<String>>,
}

/// Your account
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "Account",
    operation_id = "me",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The account.", body = UserView),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(Caller(user): Caller) -> Json<UserView> {
    Json(user.into())
}

/// Change your account
///
/// The age bracket cannot be changed. A running chat keeps the name it began with. Another name can be taken five times
/// a day, and a name that was taken counts. Nobody else can take the old one for 24 hours.
#[utoipa::path(
    patch,
    path = "/v1/me",
    tag = "Account",
    operation_id = "changeMe",
    security(("bearer" = [])),
    request_body = ChangeBody,
    responses(
        (status = 200, description = "The account as it is now.", body = UserView),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken, or rests for a day after its owner left it.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong; each is named.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account; or too many names in a day.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn change(
    State(api): State<Arc<ApiState>>,
    Caller(user): Caller,
    fields: Fields,
) -> Result<Json<UserView>, Problem> {
    let old_name = user.name.clone();
    let user = changed(user, fields, &api.reserved_names)?;
    if user.name != old_name {
        api.spend("rename", RENAMES, user.id.as_bytes()).await?;
    }
    match api
        .env
        .store
        .update_user(&user, api.env.clock.now())
        .await?
    {
        NameClaim::Claimed => Ok(Json(user.into())),
        NameClaim::Taken => Err(Problem::name_taken()),
        NameClaim::Unknown => Err(Problem::new(ErrorCode::UNAUTHENTICATED)),
    }
}

fn changed(mut user: User, mut fields: Fields, reserved: &ReservedNames) -> Result<User, Problem> {
    let name = fields.optional(NAME);
    let another = name.filter(|name| name.as_str() != user.name);
    if let Some(name) = another.and_then(|name| fields.unreserved(name, reserved)) {
        user.skeleton = name.skeleton();
        user.name = name.into_string();
    }
    if let Some(language) = fields.optional(LANGUAGE) {
        user.language = language.into_string();
    }
    if let Some(interests) = fields.optional(INTERESTS) {
        user.interests = interests.into_strings();
    }
    fields.refuse("age_bracket", "cannot be changed; register again");
    fields.finish(Some(user))
}

/// Erase your account
///
/// Ends its chat, and removes the account with everything that belongs to it. Nobody can take its name for 24 hours.
#[utoipa::path(
    delete,
    path = "/v1/me",
    tag = "Account",
    operation_id = "eraseMe",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The account is erased."),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn erase(
    State(api): State<Arc<ApiState>>,
    Caller(user): Caller,
) -> Result<StatusCode, Problem> {
    api.departure.depart(user.id).await?;
    api.env
        .store
        .delete_user(user.id, api.env.clock.now())
        .await?;
    // What began meanwhile ends too. The account is gone whatever becomes of that: a request that comes again
    // would find none, and what is left ends with the round that notes who is here.
    if let Err(error) = api.departure.depart(user.id).await {
        tracing::warn!(%error, "an account is erased, but its last connection or chat goes on for now");
    }
    Ok(StatusCode::NO_CONTENT)
}
