//! Mutants that no test can notice, each with the reason: `xtask/mutants.toml`.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::Deserialize;

use crate::list::Mutant;

const FILE: &str = "xtask/mutants.toml";

/// The list, by name.
#[derive(Debug, Default)]
pub struct Equivalents(BTreeMap<String, String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rust: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    mutant: String,
    reason: String,
}

impl Equivalents {
    /// Reads the list.
    ///
    /// # Errors
    /// When it cannot be read, or an entry has no reason.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(root.join(FILE)).context(FILE)?;
        Self::parse(&text).context(FILE)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text)?;
        let entries = file.rust.into_iter();
        Ok(Self(
            entries.map(|entry| (entry.mutant, entry.reason)).collect(),
        ))
    }

    /// Why the mutant changes nothing, if the list says so.
    pub fn reason(&self, mutant: &Mutant) -> Option<&str> {
        self.0.get(&mutant.name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::tests::mutants;

    #[test]
    fn an_entry_names_a_mutant_and_a_reason() {
        let text = "[[rust]]\nmutant = 'a/b.rs: replace < with > in f'\nreason = 'none'\n";
        let equivalents = Equivalents::parse(text).unwrap();
        assert_eq!(equivalents.reason(&mutants()[0]), Some("none"));
        assert_eq!(equivalents.reason(&mutants()[1]), None);
        assert!(Equivalents::parse("[[rust]]\nmutant = 'a'\n").is_err());
    }
}
