//! Errors as RFC 9457 problem documents, made from the protocol's one table of codes.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use axum::{
    Router,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use nowrong_broker::BrokerError;
use nowrong_protocol::{ErrorCode, code::ERROR_CODES};
use nowrong_store::StoreError;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::{ApiState, proof::ChallengeView};
use crate::{auth::AuthError, disk::DISK_RETRY_MS};

/// Most fields that one problem names.
pub(super) const ERRORS_MAX: usize = 50;

/// Retry delay when no node accepts clients, in milliseconds: `Retry-After` counts whole seconds.
const NO_NODE_RETRY_MS: u64 = 1_000;

/// Why a request failed; it becomes a [`ProblemDocument`].
#[derive(Clone, Debug)]
pub struct Problem {
    code: ErrorCode,
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after_ms: Option<u64>,
    challenge: Option<Box<ChallengeView>>,
}

/// Why a request failed (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument<'a> {
    /// Address of a page about this kind of problem, relative to the server.
    #[serde(rename = "type")]
    #[schema(example = "/problems/name-taken")]
    kind: String,
    /// The kind of problem in one sentence.
    #[schema(example = "This name, or one that looks like it, is taken.")]
    title: &'a str,
    /// HTTP status.
    #[schema(example = 409, minimum = 400, maximum = 599)]
    status: u16,
    /// This problem in one sentence.
    detail: &'a str,
    /// Number of the error in the protocol's table; 500 and above may succeed later.
    #[schema(example = 200)]
    code: u16,
    /// Name of the error in the protocol's table.
    #[schema(example = "NAME_TAKEN")]
    name: &'a str,
    /// Every field that is wrong, at most 50.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// Earliest time to try again, in milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
    /// With `PROOF_NEEDED`: what to solve.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    challenge: Option<&'a ChallengeView>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its name; an item of a list has its index, as in `interests[2]`.
    #[schema(example = "name")]
    pub field: String,
    /// What is wrong with it.
    #[schema(example = "a name needs at least 2 characters, this one has 1")]
    pub detail: String,
}

impl Problem {
    /// A problem of this kind, with the kind's own text as its detail.
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            status: status(code),
            detail: Cow::Borrowed(code.text()),
            errors: Vec::new(),
            retry_after_ms: None,
            challenge: None,
        }
    }

    /// With something to solve.
    pub(super) fn challenge(mut self, challenge: ChallengeView) -> Self {
        self.challenge = Some(Box::new(challenge));
        self
    }

    /// With a sentence about this one case.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With another HTTP status than the code's own.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Fields that are wrong: 422, since the body itself could be read.
    pub(super) fn fields(mut errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors
            .iter()
            .take(5)
            .map(|error| error.field.as_str())
            .collect();
        let more = if errors.len() > names.len() {
            " and others"
        } else {
            ""
        };
        let detail = format!("These fields are wrong: {}{more}.", names.join(", "));
        errors.truncate(ERRORS_MAX);
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            errors,
            ..Self::new(ErrorCode::INVALID).detail(detail)
        }
    }

    /// The name is taken.
    pub(super) fn name_taken() -> Self {
        let taken = FieldError {
            field: "name".to_owned(),
            detail: "this name, or one that looks like it, is taken".to_owned(),
        };
        Self {
            errors: vec![taken],
            ..Self::new(ErrorCode::NAME_TAKEN)
        }
    }

    fn document(&self) -> ProblemDocument<'_> {
        ProblemDocument {
            kind: format!("/problems/{}", slug(self.code.name())),
            title: self.code.text(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code.0,
            name: self.code.name(),
            errors: &self.errors,
            retry_after_ms: self.retry_after_ms,
            challenge: self.challenge.as_deref(),
        }
    }

    /// The node goes away; another one, or this one after its restart, will handle the next
    /// request.
    pub(super) fn draining() -> Self {
        Self {
            retry_after_ms: Some(NO_NODE_RETRY_MS),
            ..Self::new(ErrorCode::DRAINING)
        }
    }

    /// This node has as many connections as it can have.
    pub fn crowded() -> Self {
        Self {
            retry_after_ms: Some(NO_NODE_RETRY_MS),
            ..Self::new(ErrorCode::OVERLOADED).detail("This node has no room for more connections.")
        }
    }

    /// No node takes clients now.
    pub(super) fn no_node() -> Self {
        Self {
            retry_after_ms: Some(NO_NODE_RETRY_MS),
            ..Self::new(ErrorCode::OVERLOADED).detail("No node takes clients now.")
        }
    }

    /// The disk has no room for anything new.
    pub(super) fn disk_full() -> Self {
        Self {
            retry_after_ms: Some(DISK_RETRY_MS.into()),
            ..Self::new(ErrorCode::STORAGE_UNAVAILABLE)
                .detail("The disk of the server is nearly full: it takes nothing new for now.")
        }
    }

    /// Too many requests.
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(ErrorCode::RATE_LIMITED)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(ms) = self.retry_after_ms {
            headers.insert(header::RETRY_AFTER, ms.div_ceil(1_000).into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(store: StoreError) -> Self {
        error!(error = %store, "a request failed at the store");
        Self::new(match store {
            StoreError::Corrupt(_) => ErrorCode::INTERNAL,
            _ => ErrorCode::STORAGE_UNAVAILABLE,
        })
    }
}

impl From<BrokerError> for Problem {
    fn from(broker: BrokerError) -> Self {
        error!(error = %broker, "a request failed at the broker");
        Self::new(ErrorCode::OVERLOADED)
    }
}

impl From<AuthError> for Problem {
    fn from(auth: AuthError) -> Self {
        match auth {
            AuthError::Refused => Self::new(ErrorCode::UNAUTHENTICATED),
            AuthError::TooOften { retry_after_ms } => Self::rate_limited(retry_after_ms),
            AuthError::Store(store) => store.into(),
            AuthError::Broker(broker) => broker.into(),
            AuthError::Keys(_) | AuthError::Randomness(_) => {
                error!(error = %auth, "a request failed");
                Self::new(ErrorCode::INTERNAL)
            }
        }
    }
}

/// The pages that `type` points to.
pub(super) fn router() -> Router<Arc<ApiState>> {
    Router::new().route("/problems/{kind}", get(page))
}

/// The answer for a known address with another method; axum adds `Allow`.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(ErrorCode::METHOD_NOT_ALLOWED)
}

/// As [`not_found`], for a router that serves nothing else.
pub(super) async fn nowhere() -> Problem {
    not_found()
}

/// The answer for an unknown address.
pub(super) fn not_found() -> Problem {
    Problem::new(ErrorCode::NOT_FOUND)
}

async fn page(Path(kind): Path<String>) -> Result<Html<String>, Problem> {
    let row = ERROR_CODES
        .iter()
        .find(|row| slug(row.name) == kind)
        .ok_or_else(not_found)?;
    let code = ErrorCode(row.number);
    let mut page = String::from(include_str!("assets/head.html"));
    let again = if code.is_temporary() {
        "The same request may succeed later."
    } else {
        "The same request will not succeed later."
    };
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<title>{name}</title></head><body><main><h1>{name}</h1><p>{text}</p><p>{again}</p>\
         <p>Error {number} · HTTP {status}</p></main></body></html>",
        name = row.name,
        text = row.text,
        number = row.number,
        status = status(code).as_u16(),
    );
    Ok(Html(page))
}

fn slug(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::NAME_TAKEN => StatusCode::CONFLICT,
        ErrorCode::UNAUTHENTICATED | ErrorCode::REFRESH_REFUSED => StatusCode::UNAUTHORIZED,
        ErrorCode::NOT_FOUND => StatusCode::NOT_FOUND,
        ErrorCode::METHOD_NOT_ALLOWED => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::BODY_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::ORIGIN_REFUSED => StatusCode::FORBIDDEN,
        ErrorCode::PROOF_NEEDED => StatusCode::PRECONDITION_REQUIRED,
        ErrorCode::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
        code if code.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}
