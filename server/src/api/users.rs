//! `POST /v1/users`: a new anonymous account.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use nowrong_base::{privacy::Redacted, random};
use nowrong_core::{
    record::{AgeBracket, Registration, User},
    text::{Interests, Language, Name, ReservedNames},
};
use nowrong_protocol::UserId;
use nowrong_store::Registered;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState,
    body::{AGE_BRACKET, Fields, INTERESTS, LANGUAGE, NAME, PROOF},
    caller::{Priced, millis},
    headers::IDEMPOTENCY_KEY,
    problem::{FieldError, Problem, ProblemDocument},
};
use crate::auth::{
    ACCESS_LIFETIME, AuthError, Holder,
    refresh::first_refresh,
    registration::{is_key, registration_key},
};

/// The age bracket that a person declares; only people of the same bracket ever meet.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AgeBracket)]
pub(super) enum Bracket {
    /// 13 to 17 years.
    #[serde(rename = "13-17")]
    Teen,
    /// 18 years and over.
    #[serde(rename = "18+")]
    Adult,
}

impl From<AgeBracket> for Bracket {
    fn from(bracket: AgeBracket) -> Self {
        match bracket {
            AgeBracket::Teen => Self::Teen,
            AgeBracket::Adult => Self::Adult,
        }
    }
}

/// Something to talk about; kept in lower case.
#[derive(ToSchema)]
#[schema(
    as = Interest,
    min_length = 1,
    max_length = 64,
    pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F\\uE000-\\uF8FF\\uFDD0-\\uFDEF\\uFFFC-\\uFFFF]+$",
    example = "jazz"
)]
#[expect(dead_code, reason = "describes an item; interests are read from text")]
pub(super) struct InterestText(String);

/// The fields of a new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Register)]
#[expect(
    dead_code,
    reason = "describes the body; it is read field by field to name every mistake"
)]
pub(super) struct RegisterBody {
    /// The name that others see: 2 to 24 characters. Unique, also among names that look like it.
    #[schema(
        example = "Robin",
        min_length = 2,
        pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F\\uE000-\\uF8FF\\uFDD0-\\uFDEF\\uFFFC-\\uFFFF]+$"
    )]
    name: String,
    /// Language to talk in, as a BCP 47 tag.
    #[schema(
        example = "en",
        max_length = 35,
        pattern = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$"
    )]
    language: String,
    /// What to talk about: at most 10, at most 64 bytes each.
    #[schema(value_type = Option<Vec<InterestText>>, max_items = 10, nullable = false)]
    interests: Option<Vec<String>>,
    /// The bracket of the person's age.
    age_bracket: Bracket,
    /// The solved challenge of a `PROOF_NEEDED`, for the same `Idempotency-Key`: SPEC §2, "Proof of work".
    #[schema(value_type = Option<String>, nullable = false, pattern = "^[A-Za-z0-9_-]{46}\\.[A-Za-z0-9_-]{11}$")]
    proof: Option<String>,
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    /// The name that others see, in Unicode's composed form.
    name: String,
    /// BCP 47 tag.
    language: String,
    /// Lower case, without duplicates.
    interests: Vec<String>,
    /// Declared at registration.
    age_bracket: Bracket,
    /// When the account is erased unless it is used; milliseconds since the Unix epoch.
    expires_at_ms: u64,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            language: user.language,
            interests: user.interests,
            age_bracket: user.age_bracket.into(),
            expires_at_ms: user.expires_at,
        }
    }
}

/// A new account and its tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = Registered)]
pub(super) struct RegisteredView {
    /// The account.
    pub(super) user: UserView,
    /// Send it as `Authorization: Bearer …`.
    pub(super) access_token: String,
    /// Its lifetime, in milliseconds from now.
    pub(super) access_expires_in_ms: u64,
    /// For `POST /v1/auth/refresh`.
    pub(super) refresh_token: String,
}

/// The checked fields of a registration.
struct NewUser {
    name: Name,
    language: Language,
    interests: Interests,
    age_bracket: AgeBracket,
    proof: Option<String>,
}

impl NewUser {
    fn read(mut fields: Fields, reserved: &ReservedNames) -> Result<Self, Problem> {
        let name = fields.required(NAME);
        let name = name.and_then(|name| fields.unreserved(name, reserved));
        let language = fields.required(LANGUAGE);
        let interests = fields.optional(INTERESTS).unwrap_or_default();
        let age_bracket = fields.required(AGE_BRACKET);
        let proof = fields.optional(PROOF);
        let all = name.zip(language).zip(age_bracket);
        fields.finish(all.map(|((name, language), age_bracket)| Self {
            name,
            language,
            interests,
            age_bracket,
            proof,
        }))
    }

    fn into_user(self, api: &ApiState) -> Result<User, Problem> {
        let now = api.env.clock.now();
        Ok(User {
            id: UserId::v7(now, &random::try_bytes().map_err(AuthError::from)?),
            skeleton: self.name.skeleton(),
            name: self.name.into_string(),
            language: self.language.into_string(),
            interests: self.interests.into_strings(),
            age_bracket: self.age_bracket,
            created_at: now,
            expires_at: api.expiry(),
            generation: 0,
        })
    }
}

/// Register
///
/// Makes an anonymous account. It is erased when it has not been used for 24 hours; a connection
/// and every request with its access token count as use. With the header `Idempotency-Key` the same
/// request can be sent again when its response was lost: for an hour, until the first refresh token
/// of the account is exchanged, each response has the same account and good tokens. Without the
/// header, a registration whose response was lost holds its name until it is erased.
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "Account",
    operation_id = "register",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A random value that the client makes for this one registration: 16 to 64 printable ASCII characters without spaces, such as a UUID. Until the first refresh of the account it is as secret as a token.", min_length = 16, max_length = 64, pattern = "^[!-~]{16,64}$"),
    ),
    request_body = RegisterBody,
    responses(
        (status = 201, description = "The account exists.", body = RegisteredView),
        (status = 409, description = "The name is taken, or rests for a day after its owner left it.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong, each is named; or the `Idempotency-Key` is wrong, came before with another request, or has served.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, description = "A proof of work is needed: the problem has the challenge. Solve it and send the same request with `proof`, under the same `Idempotency-Key`.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many accounts from one network.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The server has no room for new accounts now; `Retry-After` says when to try again.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn register(
    State(api): State<Arc<ApiState>>,
    Priced(ip): Priced,
    headers: HeaderMap,
    fields: Fields,
) -> Result<impl IntoResponse, Problem> {
    let key = idempotency_key(&headers)?;
    if api.env.disk.is_full() {
        api.env.metrics.count_refusal("disk");
        return Err(Problem::disk_full());
    }
    let user = NewUser::read(fields, &api.reserved_names)?;
    api.check_proof(ip, key, user.proof.as_deref())?;
    api.take("register", api.limits.register, ip).await?;
    let user = user.into_user(&api)?;
    let (user, refresh_token) = api.store_registration(user, key).await?;
    let access_token = api
        .access
        .issue(Holder::from(&user), api.env.clock.now())?
        .into_exposed();
    let registered = RegisteredView {
        user: user.into(),
        access_token,
        access_expires_in_ms: millis(ACCESS_LIFETIME),
        refresh_token: refresh_token.into_exposed(),
    };
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, "/v1/me")],
        Json(registered),
    ))
}

impl ApiState {
    /// Stores a new account with its first refresh token; or finds the account that the same request
    /// has made before, and stores another token for it.
    async fn store_registration(
        &self,
        user: User,
        key: Option<&str>,
    ) -> Result<(User, Redacted<String>), Problem> {
        let (text, token) = first_refresh(&user)?;
        let key = key.map(|key| registration_key(key, &user, user.created_at));
        let registration = Registration { user, token, key };
        match self.env.store.register(&registration).await? {
            Registered::New => {
                self.count_account();
                Ok((registration.user, text))
            }
            Registered::Again(user) => Ok((user, text)),
            Registered::NameTaken => Err(Problem::name_taken()),
            Registered::KeyOfOther => Err(wrong_key("came before with another request")),
            Registered::KeySpent => Err(wrong_key(
                "has served: its account was used or erased since; make a new key",
            )),
        }
    }
}

/// The key under which the request may come again.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| is_key(key));
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(wrong_key(
            "must be one value of 16 to 64 printable ASCII characters without spaces",
        )),
    }
}

fn wrong_key(detail: &str) -> Problem {
    Problem::fields(vec![FieldError {
        field: "Idempotency-Key".to_owned(),
        detail: detail.to_owned(),
    }])
}
