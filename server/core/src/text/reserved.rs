//! Names that nobody can have, because people would take their bearer for somebody with authority here.
//!
//! A name is compared by what it looks like ([`Name::skeleton`]), without marks, and without what stands around or
//! between its letters: `Аdmin`, `ADM1N`, `a.d.m.i.n`, `_admin_` and `admin 2` are one. Words that are nobody's real
//! name are also refused as a part of a name (`admin_anna`, `Anna (Moderator)`), but never inside of another word.

use std::collections::HashSet;

use unicode_normalization::char::is_combining_mark;

use super::name::{Name, NameError, skeleton_of};

/// Most reserved names of an operator: each is compared by hash, so this only bounds the memory.
pub const RESERVED_MAX: usize = 1_000;

/// Nobody has these as a name, nor as a part of it.
const PARTS: &[&str] = &[
    "admin",
    "administrador",
    "administrateur",
    "administrator",
    "moderador",
    "moderateur",
    "moderator",
    "nowrong",
    "official",
    "support",
    "sysadmin",
    "webmaster",
    "админ",
    "администратор",
    "модератор",
    "поддержка",
    "管理员",
    "管理員",
    "管理者",
    "客服",
];

/// Nobody has these as a name. As a part of one they may be somebody's: Mod, Help and Staff are names of people.
const WHOLE: &[&str] = &[
    "admins",
    "bot",
    "help",
    "helpdesk",
    "host",
    "mod",
    "moderators",
    "mods",
    "operator",
    "owner",
    "root",
    "security",
    "server",
    "service",
    "staff",
    "system",
    "team",
];

/// The names that nobody can have: those that are built in, and those of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedNames {
    whole: HashSet<String>,
    parts: HashSet<String>,
}

/// What is wrong with a list of reserved names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReservedError {
    /// It is longer than it may be.
    #[error("has at most {RESERVED_MAX} names, not {count}")]
    TooMany {
        /// Its length.
        count: usize,
    },
    /// One of them cannot be a name, so it need not be reserved.
    #[error("has an entry that cannot be a name: {0}")]
    NotAName(NameError),
    /// One of them has no letter, so nothing could be compared with it.
    #[error("has an entry without a letter")]
    NoLetter,
}

impl Default for ReservedNames {
    fn default() -> Self {
        let all = |words: &[&str]| words.iter().map(|word| plain(word)).collect();
        Self {
            whole: all(WHOLE),
            parts: all(PARTS),
        }
    }
}

impl ReservedNames {
    /// The built-in names and these: nobody can have one of them as a whole.
    ///
    /// # Errors
    /// [`ReservedError`].
    pub fn with(more: &[String]) -> Result<Self, ReservedError> {
        if more.len() > RESERVED_MAX {
            return Err(ReservedError::TooMany { count: more.len() });
        }
        let mut reserved = Self::default();
        for name in more {
            let name = Name::parse(name).map_err(ReservedError::NotAName)?;
            let letters = letters(name.as_str());
            if letters.is_empty() {
                return Err(ReservedError::NoLetter);
            }
            reserved.whole.insert(plain(&letters));
        }
        Ok(reserved)
    }

    /// Whether nobody can have this name. The cost is within a few times that of its skeleton.
    pub fn holds(&self, name: &Name) -> bool {
        let name = name.as_str();
        let is_whole = |word: &str| {
            let word = plain(word);
            self.whole.contains(&word) || self.parts.contains(&word)
        };
        readings(&letters(name)).any(|reading| is_whole(&reading))
            || words(name)
                .any(|word| readings(word).any(|reading| self.parts.contains(&plain(&reading))))
    }
}

/// What a word looks like, without its marks.
fn plain(word: &str) -> String {
    let seen = skeleton_of(word);
    seen.chars().filter(|c| !is_combining_mark(*c)).collect()
}

/// A word as it may be meant: as it stands, without the digits and signs around it, and with digits and signs for letters.
fn readings(word: &str) -> impl Iterator<Item = String> {
    let bare = word.trim_matches(|c: char| !c.is_alphabetic());
    let bare = (bare != word).then(|| bare.to_owned());
    let meant: String = word.chars().map(meant).collect();
    let meant = (meant != word).then_some(meant);
    [Some(word.to_owned()), bare, meant].into_iter().flatten()
}

/// The letter that a digit or a sign is written for. `0`, `1` and `|` look like letters, and have the skeleton of one.
fn meant(c: char) -> char {
    match c {
        '4' | '@' => 'a',
        '3' | '€' => 'e',
        '!' => 'i',
        '5' | '$' => 's',
        '7' => 't',
        c => c,
    }
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '@' | '€' | '!' | '$' | '|')
}

/// The name without what stands around and between its letters and digits.
fn letters(name: &str) -> String {
    name.chars().filter(|c| is_letter(*c)).collect()
}

/// The words of a name: what stands between signs and blanks, and what begins with a capital after a small letter.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c| !is_letter(c)).flat_map(|word| {
        let mut starts = vec![0];
        let pairs = word.char_indices().zip(word.chars().skip(1));
        starts.extend(pairs.filter_map(|((at, small), capital)| {
            let is_start = small.is_lowercase() && capital.is_uppercase();
            is_start.then_some(at + small.len_utf8())
        }));
        let ends = starts.clone().into_iter().skip(1).chain([word.len()]);
        let ranges = starts.into_iter().zip(ends);
        ranges.map(move |(start, end)| &word[start..end])
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn is_reserved(name: &str) -> bool {
        ReservedNames::default().holds(&Name::parse(name).expect(name))
    }

    #[test]
    fn words_of_authority_are_nobodys_name_however_they_are_written() {
        for name in [
            "admin",
            "Admin",
            "ADMIN",
            "Аdmin",
            "аdmіn",
            "adm1n",
            "ADM|N",
            "ａｄｍｉｎ",
            "𝐀𝐝𝐦𝐢𝐧",
            "ad\u{200B}min",
            "a\u{202E}dmin",
            "a.d.m.i.n",
            "a d m i n",
            "_admin_",
            "~ admin ~",
            "admin1",
            "admin 007",
            "2admin",
            "ádmin",
            "@dmin",
            "4dm!n",
            "admin_anna",
            "Anna (Admin)",
            "AnnaAdmin",
            "adminAnna",
            "Chat Moderator",
            "m0derat0r",
            "Official Robin",
            "supp0rt",
            "5upport",
            "$UPPORT",
            "NoWrong",
            "no wrong",
            "N0-WR0NG",
            "nowrong team",
            "mod",
            "M0D",
            "Mod 3",
            "bot",
            "Bot2",
            "системный администратор",
            "АДМИН",
            "管理员",
            "staff",
            "5taff",
            "system",
            "ѕуstеm",
            "help!",
        ] {
            assert!(is_reserved(name), "{name}");
        }
    }

    #[test]
    fn names_of_people_are_theirs() {
        for name in [
            "Robin",
            "Anna",
            "Adminah",
            "Administra",
            "Supporter",
            "Modesty",
            "Mod Anna",
            "Frank Staff",
            "Helping Hand",
            "Rootbeer",
            "Teamo",
            "Mei",
            "Abbott",
            "Botond",
            "Bernard Offic",
            "Serverin",
            "Nowro",
            "李雷",
            "Виктор",
            "123",
            "!!",
            "👩 💻",
            "علی",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn an_operator_reserves_more_within_bounds() {
        let more = ["Acme Chat".to_owned(), "Ann".to_owned()];
        let reserved = ReservedNames::with(&more).unwrap();
        let holds = |name: &str| reserved.holds(&Name::parse(name).unwrap());
        for name in ["acme chat", "ACMECHAT", "acme-chat 2", "Аnn", "admin"] {
            assert!(holds(name), "{name}");
        }
        for name in ["Acme", "Acme Chats", "Ann Lee", "Anna"] {
            assert!(!holds(name), "{name}");
        }
        let with = |more: &[&str]| {
            let more: Vec<String> = more.iter().map(ToString::to_string).collect();
            ReservedNames::with(&more)
        };
        let short = NameError::TooShort { length: 1 };
        assert_eq!(with(&["a"]), Err(ReservedError::NotAName(short)));
        assert_eq!(with(&["--"]), Err(ReservedError::NoLetter));
        let count = RESERVED_MAX + 1;
        assert_eq!(
            with(&vec!["ab"; count]),
            Err(ReservedError::TooMany { count })
        );
        assert!(with(&vec!["ab"; RESERVED_MAX]).is_ok());
    }

    /// Nanoseconds for all that is done with a name: the best of many runs, which other programs disturb least.
    #[expect(clippy::disallowed_methods, reason = "it measures time")]
    fn cost(raw: &str) -> f64 {
        let reserved = ReservedNames::default();
        let once = || {
            let begun = Instant::now();
            for _ in 0..20 {
                if let Ok(name) = Name::parse(std::hint::black_box(raw)) {
                    std::hint::black_box((name.skeleton(), reserved.holds(&name)));
                }
            }
            begun.elapsed().as_secs_f64()
        };
        (0..25).map(|_| once()).fold(f64::INFINITY, f64::min)
    }

    /// Every request has one price: no name may make its request many times as dear as another. The
    /// worst that was found costs 21 plain ones.
    #[test]
    fn the_costliest_name_costs_a_bounded_number_of_plain_ones() {
        let plain = cost("Robin Hood");
        for (what, raw) in [
            ("ligatures", "\u{FDFA}".repeat(24)),
            ("ligatures and digits", "1\u{FDFA}4".repeat(8)),
            ("words", "aB@".repeat(8)),
            ("marks", "a\u{323}\u{307}\u{335}\u{336}".repeat(12)),
            ("mathematical", "𝐀𝐛4".repeat(8)),
            ("padding", format!("{}Robin", "\u{200B}".repeat(318))),
            ("too long", "\u{FDFA}".repeat(320)),
        ] {
            let ratio = cost(&raw) / plain;
            assert!(ratio < 60.0, "{what}: {ratio}");
        }
    }

    proptest! {
        #[test]
        fn what_is_reserved_is_so_in_capitals_and_with_a_tail(name in "\\PC{2,24}") {
            if let Ok(name) = Name::parse(&name) {
                let reserved = ReservedNames::default();
                let is_held = reserved.holds(&name);
                let wrapped = Name::parse(&format!("_{}_", name.as_str()));
                if let (true, Ok(wrapped)) = (is_held, wrapped) {
                    prop_assert!(reserved.holds(&wrapped));
                }
            }
        }
    }
}
