//! Text from people, parsed once: names, interests, language tags, message texts.
//!
//! A value of one of these types is within its bounds and in its normal form, and need not be
//! checked again. Parsing a parsed value yields the same value. Nothing here renders or escapes: a
//! text is plain, and a page shows it as text. Start reading at [`Name`].

mod chars;
mod interest;
mod language;
mod message;
mod name;
mod reserved;

pub use interest::{Interest, InterestError, Interests, InterestsError};
pub use language::primary as primary_language;
pub use language::{Language, LanguageError};
pub use message::{MessageText, MessageTextError};
pub use name::{Name, NameError};
pub use reserved::{RESERVED_MAX, ReservedError, ReservedNames};

/// The unit of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of UTF-8.
    Bytes,
    /// Graphemes: what people count as characters.
    Graphemes,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Graphemes => "characters",
        })
    }
}

/// Gives a newtype over `String` its accessors; the field stays private, so only `parse` makes one.
macro_rules! text_type {
    ($name:ident, $error:ident) => {
        impl $name {
            /// The text in its normal form.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text in its normal form.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(raw: &str) -> Result<Self, Self::Err> {
                Self::parse(raw)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}
use text_type;
