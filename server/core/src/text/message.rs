//! The text of a message.

use nowrong_protocol::limits::{TEXT_BYTES_MAX, TEXT_GRAPHEMES_MAX};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::{Unit, chars, text_type};

/// Longest raw text that is looked at, in bytes: more than four times the permitted result is not
/// typing.
const RAW_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX;

/// Most marks and joiners after one letter; further ones are dropped. Every script and every flag
/// emoji needs fewer; stacks that cover neighbouring lines need more.
const EXTENDING_MAX: usize = 8;

/// The text of a message: NFC, no bidi or other controls except line feed and tab, no tall stacks
/// of marks, at least one visible character, at most 8,000 bytes and 2,000 graphemes. White space
/// stays as the writer typed it.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageText(String);

text_type!(MessageText, MessageTextError);

impl std::fmt::Debug for MessageText {
    /// Prints only its length: no log contains what people write.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageText(<{} bytes>)", self.0.len())
    }
}

/// What is wrong with the text of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageTextError {
    /// It has no visible character.
    #[error("the text has no visible character")]
    Empty,
    /// It is longer than a text may be.
    #[error("a text has at most {max} {unit}, this one has {length}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        max: usize,
        /// The unit of both.
        unit: Unit,
    },
}

impl MessageText {
    /// The text in `raw`, without characters that would spoil a reader's page.
    ///
    /// # Errors
    /// [`MessageTextError`] when nothing is left, or too much.
    pub fn parse(raw: &str) -> Result<Self, MessageTextError> {
        check(raw.len(), RAW_BYTES_MAX, Unit::Bytes)?;
        let text = clean(raw);
        check(text.len(), TEXT_BYTES_MAX, Unit::Bytes)?;
        // A grapheme has at least one byte, so most texts need no count.
        if text.len() > TEXT_GRAPHEMES_MAX {
            let graphemes = text.graphemes(true).count();
            check(graphemes, TEXT_GRAPHEMES_MAX, Unit::Graphemes)?;
        }
        let is_visible = |c| !chars::is_blank(c) && !chars::is_ignorable(c);
        if text.chars().any(is_visible) {
            Ok(Self(text))
        } else {
            Err(MessageTextError::Empty)
        }
    }
}

fn check(length: usize, max: usize, unit: Unit) -> Result<(), MessageTextError> {
    if length > max {
        return Err(MessageTextError::TooLong { length, max, unit });
    }
    Ok(())
}

fn clean(raw: &str) -> String {
    if raw.bytes().all(is_plain) {
        return raw.to_owned();
    }
    clean_unicode(raw)
}

/// Printable ASCII, line feed and tab: bytes that [`clean_unicode`] leaves as they are, and most of
/// what people type.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t')
}

/// NFC without controls and tall stacks of marks. Dropping the end of a run of marks cannot undo
/// NFC: the remaining marks keep the next letter from composing with the one before.
fn clean_unicode(raw: &str) -> String {
    let lines = raw.replace("\r\n", "\n").replace('\r', "\n");
    let mut run = 0;
    let mut is_short = |c: char| {
        run = if chars::is_extending(c) { run + 1 } else { 0 };
        run <= EXTENDING_MAX
    };
    let kept = lines.chars().filter(|c| !is_stripped(*c));
    kept.nfc().filter(|c| is_short(*c)).collect()
}

/// Controls except line feed and tab, bidi controls, deprecated format characters, the byte order
/// mark, annotations.
fn is_stripped(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || chars::is_bidi_control(c)
        || matches!(c, '\u{206A}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0001}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_cleaned_and_otherwise_left_alone() {
        let zalgo = format!("z{}a", "\u{335}".repeat(50));
        let calm = format!("z{}a", "\u{335}".repeat(8));
        for (raw, text) in [
            ("hi", "hi"),
            ("  two  spaces\tand a tab ", "  two  spaces\tand a tab "),
            ("one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
            ("evil\u{202E}gpj.exe\u{2066}", "evilgpj.exe"),
            ("a\0b\u{1B}[31mc\u{9B}d", "ab[31mcd"),
            ("cafe\u{301}", "café"),
            (
                "👩\u{200D}👩\u{200D}👧 ❤\u{FE0F}",
                "👩\u{200D}👩\u{200D}👧 ❤\u{FE0F}",
            ),
            (
                "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
                "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            ),
            ("می\u{200C}خواهم", "می\u{200C}خواهم"),
            ("<b>&amp;</b>", "<b>&amp;</b>"),
            (&zalgo, &calm),
        ] {
            assert_eq!(MessageText::parse(raw).expect(raw).as_str(), text);
        }
    }

    #[test]
    fn a_tower_of_marks_is_cut_even_when_joiners_divide_it() {
        let divided = "z".to_owned() + &"\u{335}\u{200C}\u{335}".repeat(30);
        let text = MessageText::parse(&divided).expect("a letter with marks");
        assert_eq!(text.as_str().chars().count(), 1 + EXTENDING_MAX);
    }

    #[test]
    fn the_error_names_what_is_wrong() {
        let too_long = |length, max, unit| MessageTextError::TooLong { length, max, unit };
        for (raw, error) in [
            (String::new(), MessageTextError::Empty),
            (
                " \n\t\u{2800}\u{3164}\u{200D}\u{202E}".to_owned(),
                MessageTextError::Empty,
            ),
            ("x".repeat(2_001), too_long(2_001, 2_000, Unit::Graphemes)),
            (
                "👩\u{200D}👧".repeat(728),
                too_long(8_008, 8_000, Unit::Bytes),
            ),
            ("x".repeat(40_000), too_long(40_000, 32_000, Unit::Bytes)),
        ] {
            assert_eq!(MessageText::parse(&raw), Err(error));
        }
        assert!(MessageText::parse(&"x".repeat(2_000)).is_ok());
        assert!(MessageText::parse(&"𝒳".repeat(2_000)).is_ok());
    }

    #[test]
    fn a_text_is_not_in_its_debug_form() {
        let text = MessageText::parse("my secret").expect("good");
        assert_eq!(format!("{text:?}"), "MessageText(<9 bytes>)");
    }

    proptest! {
        #[test]
        fn ascii_is_cleaned_as_any_text(raw in "[\\x00-\\x7F]{0,60}|[ -~\\n\\t]{0,60}") {
            prop_assert_eq!(clean(&raw), clean_unicode(&raw));
        }

        #[test]
        fn any_input_gives_a_text_within_bounds_or_an_error(raw in any_text()) {
            if let Ok(text) = MessageText::parse(&raw) {
                prop_assert!(text.as_str().len() <= TEXT_BYTES_MAX);
                prop_assert!(text.as_str().graphemes(true).count() <= TEXT_GRAPHEMES_MAX);
                prop_assert!(!text.as_str().chars().any(is_stripped));
                prop_assert!(unicode_normalization::is_nfc(text.as_str()));
                prop_assert_eq!(MessageText::parse(text.as_str()), Ok(text));
            }
        }

        #[test]
        fn marks_and_letters_that_compose_stay_stable(
            raw in "[aeo가각\u{1100}-\u{1112}\u{1161}-\u{1175}\u{11A8}\u{9C7}\u{9BE}\u{300}-\u{345}\u{200C}\u{34F}]{0,60}"
        ) {
            if let Ok(text) = MessageText::parse(&raw) {
                prop_assert!(unicode_normalization::is_nfc(text.as_str()));
                prop_assert_eq!(MessageText::parse(text.as_str()), Ok(text));
            }
        }
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "(?s).{0,200}",
            "\\PC{0,200}",
            ("(?s).{1,6}", 0..3_000_usize).prop_map(|(part, times)| part.repeat(times)),
        ]
    }
}
