//! The topics people choose from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AgeBracket;

/// A topic people are matched in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Lower-case ASCII letters, digits and hyphens.
    pub id: String,
    /// English title.
    pub title: String,
    /// One English sentence.
    pub description: String,
    /// One emoji.
    pub emoji: String,
    /// Only this bracket may join, if set.
    pub age_bracket: Option<AgeBracket>,
    /// Titles by language tag.
    pub titles: BTreeMap<String, String>,
    /// Place in the list, ascending.
    pub rank: u32,
}
