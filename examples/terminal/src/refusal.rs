//! What went wrong, in words for a person. Pure: it prints nothing.
//!
//! Start reading at [`words`]. What the server and libraries say to developers is left out; of a refused
//! form, the fields that the person has filled in are named.

use std::time::Duration;

use nowrong_client::{ApiError, Error, api::Problem};
use nowrong_protocol::{CloseCode, ErrorCode};

const LOGGED_OUT: &str = "You are not logged in any more: --recover brings you back if you have a \
    recovery code, --name begins again.";
const MISUNDERSTOOD: &str =
    "This program and the server do not understand each other: update the older one of them.";
const SHUT_OUT: &str = "The server does not allow this program here: ask the people who run it.";
const FULL: &str = "The server has no room right now.";
const FAILED: &str = "Something failed inside the server.";

/// Why requests fail. [`refused`] adds when to try again.
const REFUSALS: [(ErrorCode, &str); 28] = [
    (ErrorCode::INVALID, "Something in this is not valid."),
    (
        ErrorCode::CHAT_UNKNOWN,
        "This chat is gone: /next finds another partner.",
    ),
    (
        ErrorCode::CHAT_ENDED,
        "This chat has ended: /next finds another partner.",
    ),
    (
        ErrorCode::TEXT_EMPTY,
        "There is nothing to see in this message: write something.",
    ),
    (
        ErrorCode::TEXT_TOO_LONG,
        "This message is too long: send it in parts.",
    ),
    (
        ErrorCode::BODY_UNKNOWN,
        "The server does not take such a message: send text.",
    ),
    (
        ErrorCode::ALREADY_IN_CHAT,
        "You are in a chat already: /leave ends it.",
    ),
    (
        ErrorCode::ALREADY_QUEUED,
        "You are waiting already: /leave stops that.",
    ),
    (
        ErrorCode::TICKET_UNKNOWN,
        "You are not waiting any more: /next waits again.",
    ),
    (
        ErrorCode::CATEGORY_UNKNOWN,
        "There is no such category: choose another one with --category.",
    ),
    (
        ErrorCode::AGE_BRACKET,
        "This category is for people of another age: choose another one with --category.",
    ),
    (ErrorCode::MESSAGE_UNKNOWN, "This message is gone."),
    (
        ErrorCode::MESSAGE_NOT_YOURS,
        "Only the person who wrote a message can delete it.",
    ),
    (
        ErrorCode::CHAT_FULL,
        "This chat is full: /next finds another partner.",
    ),
    (
        ErrorCode::NAME_TAKEN,
        "This name, or one that looks like it, is taken: choose another one with --name.",
    ),
    (ErrorCode::UNAUTHENTICATED, LOGGED_OUT),
    (ErrorCode::REFRESH_REFUSED, LOGGED_OUT),
    (ErrorCode::NOT_FOUND, MISUNDERSTOOD),
    (ErrorCode::METHOD_NOT_ALLOWED, MISUNDERSTOOD),
    (
        ErrorCode::BODY_TOO_LARGE,
        "This is too much at once: make it shorter.",
    ),
    (ErrorCode::UNSUPPORTED_MEDIA_TYPE, MISUNDERSTOOD),
    (ErrorCode::ORIGIN_REFUSED, SHUT_OUT),
    (
        ErrorCode::PROOF_NEEDED,
        "A new account costs this machine some work, which did not succeed: try again.",
    ),
    (
        ErrorCode::RATE_LIMITED,
        "That was too much in a short time.",
    ),
    (
        ErrorCode::STORAGE_UNAVAILABLE,
        "The server cannot keep anything right now.",
    ),
    (ErrorCode::DRAINING, "The server is going away."),
    (ErrorCode::INTERNAL, FAILED),
    (ErrorCode::OVERLOADED, FULL),
];

/// Why connections end. [`ended`] adds whether to start again.
const ENDS: [(CloseCode, &str); 20] = [
    (CloseCode::GOING_AWAY, "The server is going away."),
    (
        CloseCode::SLOW,
        "The connection was too slow for all that came.",
    ),
    (CloseCode::IDLE, "The connection was silent for too long."),
    (
        CloseCode::HELLO_LATE,
        "The connection took too long to begin.",
    ),
    (
        CloseCode::FRAME_LATE,
        "The connection stopped in the middle of something.",
    ),
    (
        CloseCode::TOKEN_REFUSED,
        "The server did not let this connection in.",
    ),
    (CloseCode::OVERLOADED, FULL),
    (CloseCode::INTERNAL, FAILED),
    (
        CloseCode::RESUME,
        "The server has lost the newest messages.",
    ),
    (CloseCode::CLIENT_LEFT, "You have left."),
    (CloseCode::BAD_FRAME, MISUNDERSTOOD),
    (CloseCode::FRAME_TOO_LARGE, MISUNDERSTOOD),
    (CloseCode::OUT_OF_PHASE, MISUNDERSTOOD),
    (CloseCode::WRONG_LANE, MISUNDERSTOOD),
    (CloseCode::VERSION_UNSUPPORTED, MISUNDERSTOOD),
    (CloseCode::ORIGIN_REFUSED, SHUT_OUT),
    (
        CloseCode::REPLACED,
        "Your account is used elsewhere now, and no longer here.",
    ),
    (
        CloseCode::ACCOUNT_GONE,
        "Your account is gone: --name begins a new one.",
    ),
    (CloseCode::TOO_MANY_UNKNOWN, MISUNDERSTOOD),
    (
        CloseCode::FLOODING,
        "This program sent far too much: the server has ended the connection.",
    ),
];

/// What a person is told about this error: sentences that say what can be done.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::Refused {
            code, retry_after, ..
        } => refused(*code, *retry_after),
        Error::Lost | Error::NoReply => {
            "The connection failed meanwhile: it may have happened or not.".to_owned()
        }
        Error::OutboxFull => "Too many messages wait to be sent: let them go first.".to_owned(),
        Error::Closed { code: Some(code) } => ended(*code),
        Error::Closed { code: None } => "The connection is lost: start again.".to_owned(),
        Error::Link(_) => {
            "No connection could be opened: try again, or another way with --over.".to_owned()
        }
        Error::Api(error) => words_of_api(error),
        _ => "Something went wrong: try again.".to_owned(),
    }
}

/// The same for an error of REST.
pub(crate) fn words_of_api(error: &ApiError) -> String {
    match error {
        ApiError::Refused(problem) => {
            let retry_after = Duration::from_millis(problem.retry_after_ms);
            refused(problem.code, retry_after) + &fields(problem)
        }
        ApiError::BadAddress(address) => format!(
            "{address:?} is not an address of a server: give one with --url, such as http://127.0.0.1:8080."
        ),
        _ => "The server cannot be reached: is it running, and is its address (--url) right?"
            .to_owned(),
    }
}

/// Whether the connection is over with this error: there is nothing more to ask.
pub(crate) fn is_final(error: &Error) -> bool {
    matches!(error, Error::Closed { .. } | Error::Link(_) | Error::Api(_))
}

fn refused(code: ErrorCode, retry_after: Duration) -> String {
    let why = known(&REFUSALS, code).unwrap_or(match code.is_temporary() {
        true => "The server cannot do this right now.",
        false => {
            "The server does not do this, for a reason that this program does not know: update it."
        }
    });
    match code.is_temporary() || !retry_after.is_zero() {
        true => format!("{why} Try again in {}.", wait(retry_after)),
        false => why.to_owned(),
    }
}

fn ended(code: CloseCode) -> String {
    let why = known(&ENDS, code).unwrap_or("The server has ended the connection.");
    match code.should_reconnect() {
        true => format!("{why} Start again in a moment."),
        false => why.to_owned(),
    }
}

fn known<C: Copy + PartialEq>(table: &[(C, &'static str)], code: C) -> Option<&'static str> {
    let row = table.iter().find(|(known, _)| *known == code)?;
    Some(row.1)
}

/// The wrong fields of a form, a line for each.
fn fields(problem: &Problem) -> String {
    if problem.code != ErrorCode::INVALID {
        return String::new();
    }
    let fields = problem.errors.iter();
    let fields = fields.map(|wrong| format!("\n  {}: {}", wrong.field, wrong.detail));
    fields.collect()
}

/// A time to wait, never shorter than it is.
fn wait(time: Duration) -> String {
    let seconds = time.as_millis().div_ceil(1_000);
    let (count, unit) = match seconds {
        0 => return "a moment".to_owned(),
        1..=90 => (seconds, "second"),
        91..=5_400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3_600), "hour"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use nowrong_client::api::FieldProblem;
    use nowrong_protocol::code::{CLOSE_CODES, CodeInfo, ERROR_CODES};

    use super::*;

    /// What belongs to developers.
    const JARGON: [&str; 8] = [
        "token", "frame", "client", "protocol", "field", "request", "ticket", "Hello",
    ];

    fn is_for_a_person(row: &CodeInfo, said: &str) {
        assert!(said.ends_with('.') && said.len() < 200, "{said}");
        assert!(!said.contains(row.name), "{said}");
        for word in JARGON {
            assert!(!said.contains(word), "{word} in {said}");
        }
    }

    #[test]
    fn every_code_that_is_known_has_words_of_its_own_table() {
        for row in ERROR_CODES {
            let code = ErrorCode(row.number);
            let said = known(&REFUSALS, code).unwrap_or_else(|| panic!("no words for {code}"));
            is_for_a_person(row, said);
        }
        for row in CLOSE_CODES {
            let code = CloseCode(row.number);
            let said = known(&ENDS, code).unwrap_or_else(|| panic!("no words for {code}"));
            is_for_a_person(row, said);
        }
        assert_eq!(REFUSALS.len(), ERROR_CODES.len(), "each code once");
        assert_eq!(ENDS.len(), CLOSE_CODES.len(), "each code once");
    }

    #[test]
    fn details_for_developers_are_left_out() {
        for row in ERROR_CODES {
            let error = Error::Refused {
                code: ErrorCode(row.number),
                retry_after: Duration::from_secs(7),
                detail: "at line 12".to_owned(),
            };
            let said = words(&error);
            assert!(!said.contains("at line 12"), "{said}");
            assert!(said.ends_with("Try again in 7 seconds."), "{said}");
        }
    }

    #[test]
    fn temporary_refusals_say_when_to_try_again() {
        for (ms, expected) in [
            (0, "a moment"),
            (1, "1 second"),
            (1_001, "2 seconds"),
            (90_000, "90 seconds"),
            (90_001, "2 minutes"),
            (5_400_000, "90 minutes"),
            (86_400_000, "24 hours"),
        ] {
            let said = refused(ErrorCode::RATE_LIMITED, Duration::from_millis(ms));
            assert!(
                said.ends_with(&format!(" Try again in {expected}.")),
                "{said}"
            );
        }
        let lasting = refused(ErrorCode::CHAT_FULL, Duration::ZERO);
        assert!(!lasting.contains("Try again"), "{lasting}");
    }

    #[test]
    fn codes_of_a_newer_version_get_words_too() {
        let later = refused(ErrorCode(599), Duration::ZERO);
        assert!(later.ends_with("Try again in a moment."), "{later}");
        assert!(refused(ErrorCode(499), Duration::ZERO).ends_with("update it."));
        assert!(ended(CloseCode(4_499)).ends_with("Start again in a moment."));
        assert_eq!(
            ended(CloseCode(4_999)),
            "The server has ended the connection."
        );
    }

    #[test]
    fn a_refused_form_names_what_is_wrong() {
        let problem = |code| Problem {
            status: 422,
            code,
            title: String::new(),
            detail: "These fields are wrong: name.".to_owned(),
            errors: vec![FieldProblem {
                field: "name".to_owned(),
                detail: "is too short".to_owned(),
            }],
            retry_after_ms: 0,
            challenge: None,
        };
        let said = |code| words_of_api(&ApiError::Refused(Box::new(problem(code))));
        let invalid = "Something in this is not valid.\n  name: is too short";
        assert_eq!(said(ErrorCode::INVALID), invalid);
        assert!(!said(ErrorCode::NAME_TAKEN).contains("too short"));
    }
}
