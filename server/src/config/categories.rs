//! The categories that a start brings into force: the built-in ones, or those from a file of the
//! operator.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use nowrong_core::record::{AgeBracket, Category};
use nowrong_protocol::limits::CATEGORY_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// Most categories of a file: the list is sent as a whole.
pub const CATEGORIES_MAX: usize = 500;

const TITLE_CHARS_MAX: usize = 60;
const DESCRIPTION_CHARS_MAX: usize = 200;
/// Longest emoji in bytes: a family with skin tones takes this many.
const EMOJI_BYTES_MAX: usize = 48;

const BUILT_IN: &str = include_str!("../../categories.toml");

impl Config {
    /// The categories that the configuration asks for.
    ///
    /// # Errors
    /// [`ConfigError::File`] with the first fault in the operator's file.
    pub fn read_categories(&self) -> Result<Vec<Category>, ConfigError> {
        let Some(path) = &self.categories else {
            return Ok(built_in());
        };
        read(path)
    }
}

/// Reads a file of categories.
///
/// # Errors
/// [`ConfigError::File`] with its first fault.
pub fn read(path: &Path) -> Result<Vec<Category>, ConfigError> {
    let text = super::read(path)?;
    parse(&text).map_err(|detail| file_error(path, detail))
}

/// The text of a file with these categories.
///
/// # Errors
/// When they cannot be written as TOML.
pub fn to_toml(categories: &[Category]) -> Result<String, toml::ser::Error> {
    let category = categories.iter().cloned().map(Entry::from).collect();
    toml::to_string(&File { category })
}

/// The built-in categories.
pub fn built_in() -> Vec<Category> {
    parse(BUILT_IN).expect("a test reads the built-in categories")
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    title: String,
    description: String,
    emoji: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_bracket: Option<AgeBracket>,
    #[serde(default)]
    titles: BTreeMap<String, String>,
}

impl From<Category> for Entry {
    fn from(category: Category) -> Self {
        Self {
            id: category.id,
            title: category.title,
            description: category.description,
            emoji: category.emoji,
            age_bracket: category.age_bracket,
            titles: category.titles,
        }
    }
}

/// Reads the text of a category file.
///
/// # Errors
/// One sentence that names the category.
pub fn parse(text: &str) -> Result<Vec<Category>, String> {
    let file: File =
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    if file.category.is_empty() || file.category.len() > CATEGORIES_MAX {
        return Err(format!("it must hold 1 to {CATEGORIES_MAX} categories"));
    }
    let mut seen = BTreeSet::new();
    for entry in &file.category {
        entry
            .check()
            .map_err(|detail| format!("category `{}`: {detail}", entry.id))?;
        if !seen.insert(&entry.id) {
            return Err(format!("category `{}` is listed twice", entry.id));
        }
    }
    Ok((0..)
        .zip(file.category)
        .map(|(rank, entry)| entry.at(rank))
        .collect())
}

impl Entry {
    fn check(&self) -> Result<(), &'static str> {
        let is_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_tag = |tag: &str| {
            (2..=35).contains(&tag.len())
                && tag
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let checks = [
            (
                (1..=CATEGORY_BYTES_MAX).contains(&self.id.len()) && self.id.bytes().all(is_id),
                "its id must be 1 to 48 lower-case letters, digits and hyphens",
            ),
            (
                is_line(&self.title, TITLE_CHARS_MAX),
                "its title must be 1 to 60 characters",
            ),
            (
                is_line(&self.description, DESCRIPTION_CHARS_MAX),
                "its description must be 1 to 200 characters",
            ),
            (
                !self.emoji.is_ascii() && self.emoji.len() <= EMOJI_BYTES_MAX,
                "its emoji must be one emoji",
            ),
            (
                self.titles.keys().all(|tag| is_tag(tag)),
                "a key of its titles is not a language tag",
            ),
            (
                self.titles
                    .values()
                    .all(|title| is_line(title, TITLE_CHARS_MAX)),
                "each of its titles must be 1 to 60 characters",
            ),
        ];
        let failed = checks.into_iter().find(|(is_good, _)| !is_good);
        failed.map_or(Ok(()), |(_, detail)| Err(detail))
    }

    fn at(mut self, rank: u32) -> Category {
        self.titles
            .entry("en".to_owned())
            .or_insert_with(|| self.title.clone());
        Category {
            id: self.id,
            title: self.title,
            description: self.description,
            emoji: self.emoji,
            age_bracket: self.age_bracket,
            titles: self.titles,
            rank,
        }
    }
}

fn is_line(text: &str, chars_max: usize) -> bool {
    let is_shown = !text.trim().is_empty() && !text.chars().any(char::is_control);
    is_shown && text.chars().count() <= chars_max
}

fn file_error(path: &Path, detail: String) -> ConfigError {
    ConfigError::File {
        path: path.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::{built_in, parse, to_toml};

    #[test]
    fn what_is_printed_can_be_read_back() {
        let mut categories = built_in();
        categories[1].age_bracket = Some(nowrong_core::record::AgeBracket::Teen);
        let text = to_toml(&categories).unwrap();
        assert_eq!(parse(&text), Ok(categories));
    }

    #[test]
    fn there_are_twenty_good_ones_with_titles_in_many_languages() {
        let categories = built_in();
        assert_eq!(categories.len(), 20);
        for category in &categories {
            for tag in ["en", "de", "es", "fr", "pt"] {
                assert!(category.titles.contains_key(tag), "{} {tag}", category.id);
            }
        }
        assert!(categories.is_sorted_by_key(|category| category.rank));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_in_one_sentence() {
        let good = "[[category]]\nid='a'\ntitle='A'\ndescription='B'\nemoji='🎵'\n";
        assert_eq!(parse(good).map(|all| all.len()), Ok(1));
        let cases = [
            (String::new(), "missing field `category`"),
            ("category = []".to_owned(), "must hold 1 to 500"),
            (good.repeat(2), "category `a` is listed twice"),
            (
                good.replace("'a'", "'A b'"),
                "category `A b`: its id must be",
            ),
            (
                good.replace("'a'", &format!("'{}'", "a".repeat(49))),
                "its id must be",
            ),
            (good.replace("'A'", "' '"), "its title must be"),
            (
                good.replace("'B'", &format!("'{}'", "b".repeat(201))),
                "its description must be",
            ),
            (good.replace('🎵', "x"), "its emoji must be"),
            (format!("{good}age_bracket='all'"), "unknown variant `all`"),
            (format!("{good}titles={{'d e'='A'}}"), "not a language tag"),
            (format!("{good}titles={{de=''}}"), "each of its titles"),
            (format!("{good}colour='red'"), "unknown field `colour`"),
        ];
        for (text, expected) in cases {
            let error = parse(&text).expect_err(&text);
            assert!(error.contains(expected), "{text}\nsays {error}");
        }
    }
}
