//! User names and the skeleton by which they are unique.

use nowrong_protocol::limits::{NAME_BYTES_MAX, NAME_GRAPHEMES_MAX, NAME_GRAPHEMES_MIN};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;

use super::{Unit, chars, text_type};

/// Longest raw name that is looked at, in bytes: a valid name padded with spaces and invisible
/// characters still fits; beyond that the work is not worthwhile.
const RAW_BYTES_MAX: usize = 8 * NAME_BYTES_MAX;

/// Most marks on one letter of a name. Burmese and Tibetan names stack up to five.
const MARKS_MAX: usize = 6;

/// A user name: NFC, 2-24 graphemes, at most 120 bytes, no invisible or control characters, single
/// spaces inside only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(String);

text_type!(Name, NameError);

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Fewer graphemes than a name needs.
    #[error("a name needs at least {NAME_GRAPHEMES_MIN} characters, this one has {length}")]
    TooShort {
        /// Its graphemes.
        length: usize,
    },
    /// It is longer than a name may be.
    #[error("a name has at most {max} {unit}, this one has {length}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        max: usize,
        /// The unit of both.
        unit: Unit,
    },
    /// A control, private-use or undefined character.
    #[error("a name cannot have the character U+{:04X}", u32::from(*.character))]
    Forbidden {
        /// The first of them.
        character: char,
    },
    /// A mark with no letter under it, or too many on one letter.
    #[error("a name has letters with at most {MARKS_MAX} marks each, and begins with a letter")]
    Marks,
}

impl Name {
    /// The name in `raw`: invisible characters and outer spaces are dropped, the rest is checked.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong first.
    pub fn parse(raw: &str) -> Result<Self, NameError> {
        check_bytes(raw, RAW_BYTES_MAX)?;
        let visible: String = raw.chars().filter(|c| !chars::is_ignorable(*c)).collect();
        let name: String = chars::collapse_blanks(&visible).nfc().collect();
        check_bytes(&name, NAME_BYTES_MAX)?;
        if let Some(character) = name.chars().find(|c| chars::is_meaningless(*c)) {
            return Err(NameError::Forbidden { character });
        }
        check_marks(&name)?;
        check_graphemes(&name)?;
        Ok(Self(name))
    }

    /// The form in which names must be unique: equal for names that differ only in case or that
    /// look alike (Unicode Technical Standard 39, section 4), so that nobody can pose as somebody
    /// else.
    ///
    /// A name of one foreign script is folded to lower case before its look-alikes are mapped, so
    /// that it is unique without regard to case; a name with a Latin letter, or that could be read
    /// as Latin as a whole, keeps the case in which it looks Latin. `i`, `I`, `l`, `1` are one.
    pub fn skeleton(&self) -> String {
        skeleton_of(&self.0)
    }
}

/// The skeleton of a name, or of a part of one.
pub(super) fn skeleton_of(name: &str) -> String {
    let seen: String = unicode_security::skeleton(name).collect();
    let reads_latin = name.chars().any(is_latin)
        || seen
            .chars()
            .filter(|c| c.is_alphabetic())
            .all(|c| c.is_ascii());
    let folded: String = if reads_latin {
        name.chars().flat_map(fold_latin).collect()
    } else {
        name.chars().flat_map(fold).collect()
    };
    let alike: String = unicode_security::skeleton(&folded).collect();
    let lower: String = alike.to_lowercase().chars().map(plain_letter).collect();
    let skeleton: String = unicode_security::skeleton(&lower).collect();
    skeleton.to_lowercase().replace('i', "l")
}

fn check_bytes(name: &str, max: usize) -> Result<(), NameError> {
    if name.len() > max {
        return Err(NameError::TooLong {
            length: name.len(),
            max,
            unit: Unit::Bytes,
        });
    }
    Ok(())
}

fn check_graphemes(name: &str) -> Result<(), NameError> {
    let length = name.graphemes(true).count();
    if length < NAME_GRAPHEMES_MIN {
        return Err(NameError::TooShort { length });
    }
    if length > NAME_GRAPHEMES_MAX {
        return Err(NameError::TooLong {
            length,
            max: NAME_GRAPHEMES_MAX,
            unit: Unit::Graphemes,
        });
    }
    Ok(())
}

fn check_marks(name: &str) -> Result<(), NameError> {
    // A mark at the very start or after a space has no letter to sit on.
    let mut marks = MARKS_MAX;
    for c in name.chars() {
        marks = match c {
            ' ' => MARKS_MAX,
            c if !is_combining_mark(c) => 0,
            _ if marks == MARKS_MAX => return Err(NameError::Marks),
            _ => marks + 1,
        };
    }
    Ok(())
}

/// Whether a letter is Latin: Basic Latin to Latin Extended-B, IPA, Latin Extended Additional, and
/// the full-width forms.
fn is_latin(c: char) -> bool {
    c.is_alphabetic()
        && matches!(c, '\0'..='\u{02AF}' | '\u{1E00}'..='\u{1EFF}' | '\u{FF21}'..='\u{FF5A}')
}

/// Lower case without regard to the place in a word: Greek has a final sigma.
fn fold(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })
}

/// Lower case for Latin letters only; others keep the case in which they look Latin.
fn fold_latin(c: char) -> impl Iterator<Item = char> {
    let lower = is_latin(c).then(|| c.to_lowercase());
    let kept = lower.is_none().then_some(c);
    lower.into_iter().flatten().chain(kept)
}

/// The letter that a small capital stands for: the look-alikes of lower-case Cyrillic and Greek
/// letters are small capitals, which a reader cannot tell from the letter itself.
fn plain_letter(c: char) -> char {
    match c {
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴄ' => 'c',
        'ᴅ' => 'd',
        'ᴇ' => 'e',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ɪ' => 'i',
        'ᴊ' => 'j',
        'ᴋ' | 'ĸ' => 'k',
        'ʟ' => 'l',
        'ᴍ' | 'ʍ' => 'm',
        'ɴ' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ʀ' => 'r',
        'ᴛ' => 't',
        'ᴜ' => 'u',
        'ᴠ' => 'v',
        'ᴡ' => 'w',
        'ʏ' => 'y',
        'ᴢ' => 'z',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skeleton(name: &str) -> String {
        Name::parse(name).expect(name).skeleton()
    }

    #[test]
    fn names_are_brought_to_their_normal_form() {
        for (raw, name) in [
            ("Anna", "Anna"),
            ("  Anna  \u{3000}Maria ", "Anna Maria"),
            ("Zoe\u{308}", "Zoë"),
            ("An\u{200B}na\u{202E}\u{FEFF}", "Anna"),
            ("علی\u{200C}رضا", "علیرضا"),
            ("李雷", "李雷"),
            ("👩\u{200D}💻 dev", "👩💻 dev"),
            ("\u{2800}Bo\u{2800}", "Bo"),
            ("မြွှေ့စု", "မြွှေ့စု"),
        ] {
            assert_eq!(Name::parse(raw).expect(raw).as_str(), name);
        }
    }

    #[test]
    fn the_error_names_what_is_wrong() {
        let too_long = |length, max, unit| NameError::TooLong { length, max, unit };
        let cases = [
            (String::new(), NameError::TooShort { length: 0 }),
            (
                " \t\n\u{3164}".to_owned(),
                NameError::TooShort { length: 0 },
            ),
            ("x".to_owned(), NameError::TooShort { length: 1 }),
            ("e\u{301}".to_owned(), NameError::TooShort { length: 1 }),
            ("x".repeat(25), too_long(25, 24, Unit::Graphemes)),
            ("가각".repeat(24), too_long(144, 120, Unit::Bytes)),
            ("x".repeat(5_000), too_long(5_000, 960, Unit::Bytes)),
            (
                "a\u{7}b".to_owned(),
                NameError::Forbidden { character: '\u{7}' },
            ),
            (
                "a\u{85}b\u{9B}".to_owned(),
                NameError::Forbidden {
                    character: '\u{9B}',
                },
            ),
            (
                "a\u{E000}".to_owned(),
                NameError::Forbidden {
                    character: '\u{E000}',
                },
            ),
            (
                "a\u{FFFD}".to_owned(),
                NameError::Forbidden {
                    character: '\u{FFFD}',
                },
            ),
            (
                "a\u{1FFFE}".to_owned(),
                NameError::Forbidden {
                    character: '\u{1FFFE}',
                },
            ),
            ("\u{301}abc".to_owned(), NameError::Marks),
            ("ab \u{301}c".to_owned(), NameError::Marks),
            (format!("bb{}", "\u{335}".repeat(7)), NameError::Marks),
        ];
        for (raw, error) in cases {
            assert_eq!(Name::parse(&raw), Err(error), "{raw:?}");
        }
        let text = NameError::Forbidden { character: '\u{7}' }.to_string();
        assert_eq!(text, "a name cannot have the character U+0007");
    }

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        let groups: &[&[&str]] = &[
            &[
                "Anna",
                "anna",
                "ANNA",
                "Аnna",
                "АNNА",
                "𝐀nna",
                "Ａｎｎａ",
                "An\u{200B}na",
            ],
            &["Bob", "Вob", "ВОВ", "B0B", "ʙob"],
            &["Mila", "MlLA", "mi1a", "m|la", "rnila"],
            &["Zoë", "ZOË", "zoe\u{308}"],
            &["Виктор", "виктор", "ВИКТОР"],
            &["Νίκος", "νίκος"],
            &["Nick", "Νick", "nіck"],
            &["Ørsted", "ørsted"],
            &["Straße", "straße"],
        ];
        for alike in groups {
            for name in *alike {
                assert_eq!(
                    skeleton(name),
                    skeleton(alike[0]),
                    "{name} and {}",
                    alike[0]
                );
            }
        }
    }

    #[test]
    fn names_that_differ_have_different_skeletons() {
        let names = [
            "Anna",
            "Hanna",
            "Ana",
            "Nina",
            "Vina",
            "Bob",
            "Rob",
            "Виктор",
            "Νίκος",
            "Zoe",
            "Zoë",
            "Anna Maria",
            "李雷",
            "李磊",
            "دانا",
            "🐙🐙",
            "Max",
            "Hana",
        ];
        let skeletons: std::collections::BTreeSet<_> = names.iter().map(|n| skeleton(n)).collect();
        assert_eq!(skeletons.len(), names.len());
    }

    proptest! {
        #[test]
        fn any_input_gives_a_name_within_bounds_or_an_error(raw in "\\PC{0,40}|(?s).{0,60}") {
            if let Ok(name) = Name::parse(&raw) {
                let length = name.as_str().graphemes(true).count();
                prop_assert!((NAME_GRAPHEMES_MIN..=NAME_GRAPHEMES_MAX).contains(&length));
                prop_assert!(name.as_str().len() <= NAME_BYTES_MAX);
                prop_assert!(!name.as_str().chars().any(|c| chars::is_ignorable(c) || c.is_control()));
                prop_assert_eq!(Name::parse(name.as_str()), Ok(name.clone()));
                prop_assert!(!name.skeleton().is_empty());
            }
        }

        #[test]
        fn ascii_names_are_unique_without_regard_to_case(raw in "[!-~]{2,24}") {
            let name = Name::parse(&raw).expect("printable ASCII within bounds");
            prop_assert_eq!(name.skeleton(), skeleton(&raw.to_uppercase()));
            prop_assert_eq!(name.skeleton(), skeleton(&raw.to_lowercase()));
        }

        #[test]
        fn names_of_one_script_are_unique_without_regard_to_case(
            raw in "ж[а-я]{1,20}|ψ[α-ω]{1,20}|ն[ա-ֆ]{1,20}"
        ) {
            prop_assert_eq!(skeleton(&raw.to_uppercase()), skeleton(&raw));
        }
    }
}
