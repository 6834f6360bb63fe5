//! Language tags: the part of BCP 47 (RFC 5646) that chooses a language to talk in.

use super::text_type;

/// Longest raw tag that is looked at, in bytes: the longest that RFC 5646 §4.4.1 asks to support.
const RAW_BYTES_MAX: usize = 35;

/// A language tag: language, then script and region if given, each in its usual case (`en`,
/// `pt-BR`, `zh-Hant-TW`). Later parts of a tag (variants, extensions) are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Language(String);

text_type!(Language, LanguageError);

/// What is wrong with a language tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LanguageError {
    /// Not a tag of language, script and region.
    #[error("a language is a tag such as en, pt-BR or zh-Hant-TW")]
    Malformed,
    /// Longer than any tag in use.
    #[error("a language tag has at most {RAW_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
}

impl Language {
    /// The tag in `raw`.
    ///
    /// # Errors
    /// [`LanguageError`] when it is not a tag.
    pub fn parse(raw: &str) -> Result<Self, LanguageError> {
        let raw = raw.trim_matches(' ');
        if raw.len() > RAW_BYTES_MAX {
            return Err(LanguageError::TooLong { bytes: raw.len() });
        }
        let is_subtag =
            |s: &str| (1..=8).contains(&s.len()) && is_all(s, u8::is_ascii_alphanumeric);
        if !raw.split('-').all(is_subtag) {
            return Err(LanguageError::Malformed);
        }
        let mut subtags = raw.split('-').peekable();
        let language = subtags.next().filter(|s| is_language(s));
        let mut tag = language
            .ok_or(LanguageError::Malformed)?
            .to_ascii_lowercase();
        if let Some(script) =
            subtags.next_if(|s| s.len() == 4 && is_all(s, u8::is_ascii_alphabetic))
        {
            tag.push('-');
            tag.push_str(&script[..1].to_ascii_uppercase());
            tag.push_str(&script[1..].to_ascii_lowercase());
        }
        if let Some(region) = subtags.next_if(|s| is_region(s)) {
            tag.push('-');
            tag.push_str(&region.to_ascii_uppercase());
        }
        Ok(Self(tag))
    }

    /// The language without script and region: what two people must share to talk.
    pub fn primary(&self) -> &str {
        primary(&self.0)
    }
}

/// The primary subtag of a tag.
pub fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

/// ISO 639 codes have two or three letters.
fn is_language(subtag: &str) -> bool {
    matches!(subtag.len(), 2 | 3) && is_all(subtag, u8::is_ascii_alphabetic)
}

/// ISO 3166-1 codes have two letters, UN M.49 codes three digits.
fn is_region(subtag: &str) -> bool {
    (subtag.len() == 2 && is_all(subtag, u8::is_ascii_alphabetic))
        || (subtag.len() == 3 && is_all(subtag, u8::is_ascii_digit))
}

fn is_all(subtag: &str, is_one: impl Fn(&u8) -> bool) -> bool {
    subtag.bytes().all(|byte| is_one(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_brought_to_their_usual_case() {
        for (raw, tag, primary) in [
            ("en", "en", "en"),
            ("EN-us", "en-US", "en"),
            (" pt-br ", "pt-BR", "pt"),
            ("ZH-hANT-tw", "zh-Hant-TW", "zh"),
            ("es-419", "es-419", "es"),
            ("yue-HK", "yue-HK", "yue"),
            ("ca-ES-valencia", "ca-ES", "ca"),
            ("de-u-co-phonebk", "de", "de"),
            ("sl-rozaj", "sl", "sl"),
            // As long as a tag may be.
            ("de-1994-1996-1901-fonipa-u-co-phone", "de", "de"),
        ] {
            let language = Language::parse(raw).expect(raw);
            assert_eq!((language.as_str(), language.primary()), (tag, primary));
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for raw in [
            "", "e", "english", "en_US", "-en", "en-", "en--US", "1n", "日本", "en US", "x-a", "eñ",
        ] {
            assert_eq!(
                Language::parse(raw),
                Err(LanguageError::Malformed),
                "{raw:?}"
            );
        }
        let long = "en-".repeat(20);
        assert_eq!(
            Language::parse(&long),
            Err(LanguageError::TooLong { bytes: 60 })
        );
    }

    proptest! {
        #[test]
        fn any_input_gives_a_stable_tag_or_an_error(raw in "[a-zA-Z0-9-]{0,20}|\\PC{0,12}") {
            if let Ok(language) = Language::parse(&raw) {
                prop_assert!(language.as_str().len() <= "zho-Hant-419".len());
                prop_assert_eq!(Language::parse(language.as_str()), Ok(language));
            }
        }
    }
}
