//! The one table of codes: why a connection ended, and why a request failed.
//!
//! Rust, TypeScript and `SPEC.md` take it from here. The range decides what a client does with a
//! number that it does not know: close codes 4000-4499 mean reconnect, 4500-4999 mean stop; error
//! codes 100-499 are permanent, 500-599 temporary. Close codes are also WebSocket close codes (RFC
//! 6455 §7.4.2).

use serde::{Deserialize, Serialize};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The number on the wire.
    pub number: u16,
    /// Its name in logs, metrics, TypeScript and SPEC.
    pub name: &'static str,
    /// What a peer is told.
    pub text: &'static str,
}

macro_rules! codes {
    ($kind:ident, $table:ident { $($number:literal $name:ident $text:literal;)* }) => {
        impl $kind {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// The row of this code, if this version knows it.
            pub fn info(self) -> Option<&'static CodeInfo> {
                $table.iter().find(|row| row.number == self.0)
            }

            /// Its name, or `"UNKNOWN"`.
            pub fn name(self) -> &'static str {
                self.info().map_or("UNKNOWN", |row| row.name)
            }

            /// What a person is told, or a neutral sentence.
            pub fn text(self) -> &'static str {
                self.info().map_or("An unknown code from a newer version.", |row| row.text)
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} {}", self.0, self.name())
            }
        }

        /// The rows, by number.
        pub const $table: &[CodeInfo] = &[
            $(CodeInfo { number: $number, name: stringify!($name), text: $text },)*
        ];
    };
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// Whether a client should connect again by itself: decided by the range alone.
    pub const fn should_reconnect(self) -> bool {
        self.0 < 4_500
    }
}

codes! { CloseCode, CLOSE_CODES {
    4000 GOING_AWAY "The server is going away; reconnect.";
    4001 SLOW "The connection did not keep up with its messages; reconnect and resume.";
    4002 IDLE "The client was silent for too long; reconnect.";
    4003 HELLO_LATE "No Hello arrived in time; reconnect.";
    4004 FRAME_LATE "A frame was started but not finished in time; reconnect.";
    4005 TOKEN_REFUSED "The connect token is unknown, used, expired or revoked; ask for a new one and reconnect.";
    4006 OVERLOADED "The server has no room right now; reconnect after the time given.";
    4007 INTERNAL "Something failed inside the server; reconnect.";
    4008 RESUME "The chat continues from an older message than the newest one shown; reconnect and resume.";
    4500 CLIENT_LEFT "The client ended the connection.";
    4501 BAD_FRAME "A frame could not be decoded; the client has a bug.";
    4502 FRAME_TOO_LARGE "A frame is longer than allowed; the client has a bug.";
    4503 OUT_OF_PHASE "A frame arrived at a time when it is not allowed; the client has a bug.";
    4504 WRONG_LANE "A frame arrived on a lane where it does not belong; the client has a bug.";
    4505 VERSION_UNSUPPORTED "Client and server have no protocol version in common; update the client.";
    4506 ORIGIN_REFUSED "This web origin may not connect here; the operator must list it.";
    4507 REPLACED "The same user connected from elsewhere.";
    4508 ACCOUNT_GONE "The account no longer exists; register again.";
    4509 TOO_MANY_UNKNOWN "Too many frames of unknown types; the client has a bug.";
    4510 FLOODING "Frames arrived far faster than allowed.";
}}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// Whether the same request may succeed later: decided by the range alone.
    pub const fn is_temporary(self) -> bool {
        self.0 >= 500
    }
}

codes! { ErrorCode, ERROR_CODES {
    100 INVALID "The request has an invalid field.";
    101 CHAT_UNKNOWN "There is no such chat, or it is not yours.";
    102 CHAT_ENDED "The chat has ended.";
    103 TEXT_EMPTY "The text has no visible character.";
    104 TEXT_TOO_LONG "The text is too long.";
    105 BODY_UNKNOWN "This kind of message body is not supported.";
    106 ALREADY_IN_CHAT "You are in a chat; leave it first.";
    107 ALREADY_QUEUED "You are already waiting; cancel first.";
    108 TICKET_UNKNOWN "There is no such ticket, or it was matched already.";
    109 CATEGORY_UNKNOWN "There is no such category.";
    110 AGE_BRACKET "This category is for another age bracket.";
    111 MESSAGE_UNKNOWN "There is no such message.";
    112 MESSAGE_NOT_YOURS "Only its sender can delete a message.";
    113 CHAT_FULL "The chat has reached the maximum number of messages or of bytes.";
    200 NAME_TAKEN "This name, or one that looks like it, is taken.";
    201 UNAUTHENTICATED "The access token is missing, malformed, expired or revoked.";
    202 REFRESH_REFUSED "The refresh token is unknown, used, expired or revoked; register again.";
    203 NOT_FOUND "There is nothing at this address.";
    204 METHOD_NOT_ALLOWED "This address does not support that method.";
    205 BODY_TOO_LARGE "The request body is too large.";
    206 UNSUPPORTED_MEDIA_TYPE "The request body must be application/json.";
    207 ORIGIN_REFUSED "This web origin may not call here; the operator must list it.";
    208 PROOF_NEEDED "A new account costs some work: solve the challenge and send the same request with the proof.";
    500 RATE_LIMITED "Too many requests; try again after the time given.";
    501 STORAGE_UNAVAILABLE "The server cannot store anything right now; try again.";
    502 DRAINING "The server is going away; reconnect and try again.";
    503 INTERNAL "Something failed inside the server; try again.";
    504 OVERLOADED "The server has no room right now; try again.";
}}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_an_error_code_says_whether_to_ask_again() {
        let temporary = [ErrorCode(500), ErrorCode::OVERLOADED, ErrorCode(u16::MAX)];
        assert!(temporary.into_iter().all(ErrorCode::is_temporary));
        let lasting = [ErrorCode(0), ErrorCode::INVALID, ErrorCode(499)];
        assert!(!lasting.into_iter().any(ErrorCode::is_temporary));
    }

    #[test]
    fn the_range_of_a_close_code_says_whether_to_come_back() {
        let again = [CloseCode::GOING_AWAY, CloseCode::RESUME, CloseCode(4_499)];
        assert!(again.into_iter().all(CloseCode::should_reconnect));
        let stays = [CloseCode(4_500), CloseCode::REPLACED, CloseCode(u16::MAX)];
        assert!(!stays.into_iter().any(CloseCode::should_reconnect));
    }
}
