//! What came of each mutant, a file each: a run that was stopped goes on with those that have none.
//!
//! A mutant that was caught stays caught while its own file is the same: new tests cannot change that. One that
//! survived, or did not build, is tried again as soon as anything in its crate is different.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{draw::hash, list::Mutant};

/// What came of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A test failed.
    Caught,
    /// The tests did not end in their time, as they do without it.
    Hung,
    /// No test noticed.
    Survived,
    /// It does not compile, so it says nothing.
    Unviable,
}

impl Outcome {
    /// For people.
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Hung => "caught (the tests hung)",
            Self::Survived => "SURVIVED",
            Self::Unviable => "does not compile",
        }
    }

    /// Whether the tests noticed it.
    pub const fn is_caught(self) -> bool {
        matches!(self, Self::Caught | Self::Hung)
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    mutant: String,
    line: usize,
    outcome: Outcome,
    file_fingerprint: u64,
    crate_fingerprint: u64,
}

/// The folder of the files.
pub struct Records(PathBuf);

impl Records {
    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder.to_owned()))
    }

    /// Whether what is known of the mutant holds for these sources.
    pub fn is_valid(&self, mutant: &Mutant, of_file: Option<u64>, of_crate: Option<u64>) -> bool {
        let Some(record) = self.read(mutant) else {
            return false;
        };
        let is_same_file = Some(record.file_fingerprint) == of_file;
        let is_same_crate = Some(record.crate_fingerprint) == of_crate;
        is_same_file && (record.outcome.is_caught() || is_same_crate)
    }

    /// What came of the mutant last.
    pub fn outcome(&self, mutant: &Mutant) -> Option<Outcome> {
        self.read(mutant).map(|record| record.outcome)
    }

    /// Writes down what came of it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(
        &self,
        mutant: &Mutant,
        outcome: Outcome,
        file_fingerprint: u64,
        crate_fingerprint: u64,
    ) -> anyhow::Result<()> {
        let record = Record {
            mutant: mutant.name.clone(),
            line: mutant.line,
            outcome,
            file_fingerprint,
            crate_fingerprint,
        };
        fs::write(self.path(mutant), serde_json::to_string_pretty(&record)?)?;
        Ok(())
    }

    fn read(&self, mutant: &Mutant) -> Option<Record> {
        let text = fs::read_to_string(self.path(mutant)).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        (record.mutant == mutant.name).then_some(record)
    }

    fn path(&self, mutant: &Mutant) -> PathBuf {
        let name = hash(0, mutant.name.as_bytes());
        self.0.join(format!("{name:016x}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::tests::mutants;

    #[test]
    fn a_survivor_is_tried_again_when_its_crate_changed() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        let mutant = &mutants()[0];
        assert!(
            !records.is_valid(mutant, Some(1), Some(2)),
            "nothing is known"
        );
        records.write(mutant, Outcome::Survived, 1, 2).unwrap();
        assert!(records.is_valid(mutant, Some(1), Some(2)));
        assert!(!records.is_valid(mutant, Some(1), Some(3)), "a new test");
        records.write(mutant, Outcome::Caught, 1, 2).unwrap();
        assert!(records.is_valid(mutant, Some(1), Some(3)));
        assert!(!records.is_valid(mutant, Some(4), Some(3)), "its own file");
        assert_eq!(records.outcome(mutant), Some(Outcome::Caught));
        assert_eq!(records.outcome(&mutants()[1]), None);
    }
}
