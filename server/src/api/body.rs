//! Request bodies: one JSON object, read field by field so that every mistake is named at once.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use nowrong_core::{
    record::AgeBracket,
    recovery,
    text::{Interest, Interests, InterestsError, Language, Name, ReservedNames},
};
use nowrong_protocol::{ErrorCode, limits::INTERESTS_MAX};
use serde_json::{Map, Value};

use super::{
    BODY_BYTES_MAX,
    problem::{FieldError, Problem},
};

/// How much of an unknown field's name is repeated to its sender, in characters.
const ECHO_CHARS_MAX: usize = 64;

/// The fields of a body that are not read yet, and the faults of those that are.
pub(super) struct Fields {
    unread: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(ErrorCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if announces_too_much(request.headers()) {
            return Err(Problem::new(ErrorCode::BODY_TOO_LARGE));
        }
        let bytes =
            Bytes::from_request(request, state)
                .await
                .map_err(|rejection| match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::BODY_TOO_LARGE),
                    _ => Problem::new(ErrorCode::INVALID).detail("The request body broke off."),
                })?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(unread)) => Ok(Self {
                unread,
                errors: Vec::new(),
            }),
            Ok(_) => {
                Err(Problem::new(ErrorCode::INVALID)
                    .detail("The request body must be a JSON object."))
            }
            Err(error) => Err(Problem::new(ErrorCode::INVALID).detail(format!(
                "The request body is not JSON: line {}, column {}.",
                error.line(),
                error.column()
            ))),
        }
    }
}

/// Whether the headers tell that the body is too large, so that nobody waits for it.
fn announces_too_much(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > BODY_BYTES_MAX as u64)
}

impl Fields {
    /// A mandatory field.
    pub(super) fn required<T>(&mut self, field: Field<T>) -> Option<T> {
        match self.unread.remove(field.name) {
            Some(value) => self.read(field, value),
            None => {
                self.fail(field.name, "is missing");
                None
            }
        }
    }

    /// An optional field.
    pub(super) fn optional<T>(&mut self, field: Field<T>) -> Option<T> {
        let value = self.unread.remove(field.name)?;
        self.read(field, value)
    }

    /// The name, unless nobody can have it.
    pub(super) fn unreserved(&mut self, name: Name, reserved: &ReservedNames) -> Option<Name> {
        if reserved.holds(&name) {
            self.fail(NAME.name, "this name is reserved: nobody can have it");
            return None;
        }
        Some(name)
    }

    /// Refuses a field that people may expect, with the reason.
    pub(super) fn refuse(&mut self, name: &str, reason: &str) {
        if self.unread.remove(name).is_some() {
            self.fail(name, reason);
        }
    }

    /// `value` if every field was valid and none is left over.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Problem> {
        let unknown: Vec<String> = self.unread.keys().map(|name| echo(name)).collect();
        for name in unknown {
            self.fail(&name, "is not a field of this request");
        }
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::fields(self.errors)),
        }
    }

    fn read<T>(&mut self, field: Field<T>, value: Value) -> Option<T> {
        match (field.read)(field.name, value) {
            Ok(value) => Some(value),
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }

    fn fail(&mut self, field: &str, detail: &str) {
        self.errors.extend(wrong(field, detail));
    }
}

type Read<T> = Result<T, Vec<FieldError>>;

/// A known field: its name, and how to read it.
pub(super) struct Field<T> {
    name: &'static str,
    read: fn(&str, Value) -> Read<T>,
}

/// The name of a user.
pub(super) const NAME: Field<Name> = Field {
    name: "name",
    read: |field, value| {
        let text = string(field, value)?;
        Name::parse(&text).map_err(|error| wrong(field, error.to_string()))
    },
};

/// The language of a user.
pub(super) const LANGUAGE: Field<Language> = Field {
    name: "language",
    read: |field, value| {
        let text = string(field, value)?;
        Language::parse(&text).map_err(|error| wrong(field, error.to_string()))
    },
};

/// The interests of a user.
pub(super) const INTERESTS: Field<Interests> = Field {
    name: "interests",
    read: interests,
};

/// The age bracket of a user.
pub(super) const AGE_BRACKET: Field<AgeBracket> = Field {
    name: "age_bracket",
    read: |field, value| {
        serde_json::from_value(value).map_err(|_| wrong(field, "must be \"13-17\" or \"18+\""))
    },
};

/// A refresh token.
pub(super) const REFRESH_TOKEN: Field<String> = Field {
    name: "refresh_token",
    read: string,
};

/// A recovery code, as a person has typed it.
pub(super) const RECOVERY_CODE: Field<[u8; 16]> = Field {
    name: "recovery_code",
    read: |field, value| {
        let text = string(field, value)?;
        recovery::from_text(&text).map_err(|error| wrong(field, error.to_string()))
    },
};

/// A proof of work. What it must be is decided with what was asked for.
pub(super) const PROOF: Field<String> = Field {
    name: "proof",
    read: string,
};

/// Whether all devices are meant.
pub(super) const EVERYWHERE: Field<bool> = Field {
    name: "everywhere",
    read: |field, value| match value {
        Value::Bool(everywhere) => Ok(everywhere),
        _ => Err(wrong(field, "must be true or false")),
    },
};

fn interests(field: &str, value: Value) -> Read<Interests> {
    let Value::Array(items) = value else {
        return Err(wrong(field, "must be a list of strings"));
    };
    let count = items.len();
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    if count > INTERESTS_MAX {
        errors = wrong(field, InterestsError::TooMany { count }.to_string());
    }
    // The others are too many, whatever they say.
    for (index, item) in items.into_iter().take(INTERESTS_MAX).enumerate() {
        let field = format!("{field}[{index}]");
        let read = string(&field, item).and_then(|text| {
            let checked = Interest::parse(&text);
            checked
                .map(|_| text)
                .map_err(|error| wrong(&field, error.to_string()))
        });
        match read {
            Ok(text) => texts.push(text),
            Err(error) => errors.extend(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Interests::parse(&texts).map_err(|error| wrong(field, error.to_string()))
}

fn string(field: &str, value: Value) -> Read<String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(wrong(field, "must be a string")),
    }
}

fn wrong(field: &str, detail: impl Into<String>) -> Vec<FieldError> {
    vec![FieldError {
        field: field.to_owned(),
        detail: detail.into(),
    }]
}

fn echo(name: &str) -> String {
    name.chars().take(ECHO_CHARS_MAX).collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
