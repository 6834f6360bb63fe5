//! Interests: what people would like to talk about.

use nowrong_protocol::limits::{INTEREST_BYTES_MAX, INTERESTS_MAX};
use unicode_normalization::UnicodeNormalization;

use super::{chars, text_type};

/// Longest raw interest that is looked at, in bytes.
const RAW_BYTES_MAX: usize = 8 * INTEREST_BYTES_MAX;

/// Most bytes of an unfinished normal form. A character can grow eighteen-fold (U+FDFA), and what is composed
/// and still this long never becomes short enough.
const UNFINISHED_BYTES_MAX: usize = 4 * INTEREST_BYTES_MAX;

/// An interest: NFKC, lower case, single spaces inside only, 1-64 bytes. Two people share an
/// interest when their values are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interest(String);

text_type!(Interest, InterestError);

/// What is wrong with an interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InterestError {
    /// It has no visible character.
    #[error("an interest cannot be empty")]
    Empty,
    /// More bytes than an interest may have.
    #[error("an interest has at most {INTEREST_BYTES_MAX} bytes, this one has more")]
    TooLong,
    /// A control, private-use or undefined character.
    #[error("an interest cannot have the character U+{:04X}", u32::from(*.character))]
    Forbidden {
        /// The first of them.
        character: char,
    },
}

impl Interest {
    /// The interest in `raw`, in bounded time: nothing is read on once it is known to be too long.
    ///
    /// # Errors
    /// [`InterestError`] says what is wrong first.
    pub fn parse(raw: &str) -> Result<Self, InterestError> {
        if raw.len() > RAW_BYTES_MAX {
            return Err(InterestError::TooLong);
        }
        let interest = normal_form(&chars::collapse_blanks(raw))?;
        if let Some(character) = interest.chars().find(|c| chars::is_meaningless(*c)) {
            return Err(InterestError::Forbidden { character });
        }
        match interest.len() {
            0 => Err(InterestError::Empty),
            bytes if bytes > INTEREST_BYTES_MAX => Err(InterestError::TooLong),
            _ => Ok(Self(interest)),
        }
    }
}

/// `toNFKC_Casefold` (Unicode Standard, section 3.13) with lower case instead of folding: lower
/// case can undo the normal form and vice versa, so both are applied twice. Of ASCII only the case
/// changes.
fn normal_form(raw: &str) -> Result<String, InterestError> {
    if raw.is_ascii() {
        return Ok(raw.to_ascii_lowercase());
    }
    let once = fold(&fold(raw)?)?;
    bounded(chars::collapse_blanks(&once).nfkc())
}

fn fold(text: &str) -> Result<String, InterestError> {
    let visible = text.nfkc().filter(|c| !chars::is_ignorable(*c));
    bounded(visible.flat_map(char::to_lowercase).nfkc())
}

fn bounded(characters: impl Iterator<Item = char>) -> Result<String, InterestError> {
    let mut text = String::new();
    for character in characters {
        text.push(character);
        if text.len() > UNFINISHED_BYTES_MAX {
            return Err(InterestError::TooLong);
        }
    }
    Ok(text)
}

/// The interests of a user or a ticket: no two equal, at most 10, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interests(Vec<Interest>);

/// What is wrong with a list of interests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InterestsError {
    /// More than a list may have, duplicates included.
    #[error("there can be at most {INTERESTS_MAX} interests, these are {count}")]
    TooMany {
        /// How many were given.
        count: usize,
    },
    /// One of them is wrong.
    #[error("interest {}: {error}", .index + 1)]
    Wrong {
        /// Its index in the list.
        index: usize,
        /// What is wrong with it.
        error: InterestError,
    },
}

impl Interests {
    /// The interests in `raw`; of equal ones the first is kept.
    ///
    /// # Errors
    /// [`InterestsError`] says which is wrong first.
    pub fn parse<S: AsRef<str>>(raw: &[S]) -> Result<Self, InterestsError> {
        if raw.len() > INTERESTS_MAX {
            return Err(InterestsError::TooMany { count: raw.len() });
        }
        let mut list = Vec::with_capacity(raw.len());
        for (index, raw) in raw.iter().enumerate() {
            let parsed = Interest::parse(raw.as_ref());
            let interest = parsed.map_err(|error| InterestsError::Wrong { index, error })?;
            if !list.contains(&interest) {
                list.push(interest);
            }
        }
        Ok(Self(list))
    }

    /// The interests, in the order given.
    pub fn as_slice(&self) -> &[Interest] {
        &self.0
    }

    /// The interests as plain text, in the order given.
    pub fn into_strings(self) -> Vec<String> {
        self.0.into_iter().map(Interest::into_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn interests_are_brought_to_their_normal_form() {
        for (raw, interest) in [
            ("Jazz", "jazz"),
            ("  Board \n Games ", "board games"),
            ("ＭＵＳＩＣ", "music"),
            ("ﬁlm", "film"),
            ("Ⅳ", "iv"),
            ("İstanbul", "i\u{307}stanbul"),
            ("C\u{200B}++", "c++"),
            ("ΌΣΟΣ", "όσοσ"),
        ] {
            assert_eq!(Interest::parse(raw).expect(raw).as_str(), interest);
        }
    }

    #[test]
    fn the_error_names_what_is_wrong() {
        for (raw, error) in [
            (" \u{200D} ".to_owned(), InterestError::Empty),
            ("x".repeat(65), InterestError::TooLong),
            ("ﷺ".repeat(3), InterestError::TooLong),
            ("ﷺ".repeat(170), InterestError::TooLong),
            ("x".repeat(9_000), InterestError::TooLong),
            (
                "a\0".to_owned(),
                InterestError::Forbidden { character: '\0' },
            ),
        ] {
            assert_eq!(Interest::parse(&raw), Err(error), "{raw:?}");
        }
    }

    #[test]
    fn a_list_has_no_two_equal_and_names_the_wrong_one() {
        let list = Interests::parse(&["Jazz", "films", "ＪＡＺＺ"]).expect("good");
        assert_eq!(list.into_strings(), ["jazz", "films"]);
        let many = vec!["a"; 11];
        assert_eq!(
            Interests::parse(&many),
            Err(InterestsError::TooMany { count: 11 })
        );
        let wrong = Interests::parse(&["ok", ""]).expect_err("the second is empty");
        assert_eq!(wrong.to_string(), "interest 2: an interest cannot be empty");
    }

    #[test]
    fn the_normal_form_of_every_character_is_stable() {
        // The planes in between have no assigned characters.
        for c in ('\0'..='\u{32FFF}').chain('\u{E0000}'..='\u{E0FFF}') {
            if let Ok(interest) = Interest::parse(&c.to_string())
                && interest.as_str().chars().ne([c])
            {
                assert_eq!(Interest::parse(interest.as_str()), Ok(interest), "{c:?}");
            }
        }
    }

    #[test]
    fn what_is_padded_or_composed_is_still_short_enough() {
        let padded = format!("{}jazz{}", " ".repeat(250), "\u{200B}".repeat(80));
        assert_eq!(
            Interest::parse(&padded).expect("four letters").as_str(),
            "jazz"
        );
        // As long as it can be, written with as many bytes as it can be.
        let longest = "e\u{301}".repeat(32);
        assert_eq!(
            Interest::parse(&longest).expect("64 bytes").as_str(),
            "é".repeat(32)
        );
        let longest = "\u{1100}\u{1161}\u{11A8}".repeat(21);
        assert_eq!(
            Interest::parse(&longest).expect("63 bytes").as_str(),
            "각".repeat(21)
        );
    }

    /// As [`normal_form`], without bounds and short cuts.
    fn whole_form(raw: &str) -> String {
        let fold = |text: &str| -> String {
            let visible = text.nfkc().filter(|c| !chars::is_ignorable(*c));
            visible.flat_map(char::to_lowercase).nfkc().collect()
        };
        let once = fold(&fold(raw));
        chars::collapse_blanks(&once).nfkc().collect()
    }

    proptest! {
        #[test]
        fn bounds_and_short_cuts_change_no_interest(
            raw in "[ -~]{0,70}|\\PC{0,40}|(?s).{0,70}|[\u{1100}-\u{11FF}\u{300}-\u{36F}a-z ]{0,80}"
        ) {
            let whole = whole_form(&raw);
            match Interest::parse(&raw) {
                Ok(interest) => prop_assert_eq!(interest.as_str(), whole),
                Err(InterestError::Empty) => prop_assert!(whole.is_empty()),
                Err(InterestError::TooLong) => prop_assert!(whole.len() > INTEREST_BYTES_MAX),
                Err(InterestError::Forbidden { character }) => prop_assert!(whole.contains(character)),
            }
        }

        #[test]
        fn any_input_gives_an_interest_within_bounds_or_an_error(raw in "\\PC{0,40}|(?s).{0,70}") {
            if let Ok(interest) = Interest::parse(&raw) {
                prop_assert!((1..=INTEREST_BYTES_MAX).contains(&interest.as_str().len()));
                prop_assert_eq!(Interest::parse(interest.as_str()), Ok(interest));
            }
        }
    }
}
