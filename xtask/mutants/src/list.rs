//! The mutants that there are: asks cargo-mutants, which knows what can be changed in a line of Rust.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::subject::SUBJECTS;

/// One change.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The package it is in.
    pub package: String,
    /// The file it is in, from the root.
    pub file: String,
    /// What is changed, without the line: it stays the same when something is added above it. The second
    /// change of one name has ` #2` at its end.
    pub name: String,
    /// The line, for people.
    pub line: usize,
    /// What is replaced.
    span: Span,
    /// By what.
    replacement: String,
}

/// From a place to another, which is not part of it.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

/// Line and column from 1, in characters.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    column: usize,
}

/// What cargo-mutants says of one.
#[derive(Deserialize)]
struct Listed {
    name: String,
    package: String,
    file: String,
    span: Span,
    replacement: String,
}

/// All mutants of the subjects, or those in lines that changed since the revision `against`.
///
/// # Errors
/// When cargo-mutants or git fails, or says what is not understood.
pub fn list(root: &Path, program: &Path, against: Option<&str>) -> anyhow::Result<Vec<Mutant>> {
    let mut command = Command::new(program);
    command
        .current_dir(root)
        .args(["mutants", "--list", "--json"]);
    for subject in SUBJECTS {
        command.args(["--package", subject.package]);
    }
    if let Some(revision) = against {
        let diff = read(
            Command::new("git")
                .current_dir(root)
                .args(["diff", revision]),
        )?;
        let path = std::env::temp_dir().join(format!("mutants-{}.diff", std::process::id()));
        std::fs::write(&path, diff)?;
        command.arg("--in-diff").arg(&path);
        let listed = read(&mut command);
        std::fs::remove_file(&path)?;
        return parse(&listed?);
    }
    parse(&read(&mut command)?)
}

fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}", errors.trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn parse(json: &str) -> anyhow::Result<Vec<Mutant>> {
    // Without a change in any line it says nothing at all.
    if json.trim().is_empty() {
        return Ok(Vec::new());
    }
    let listed: Vec<Listed> = serde_json::from_str(json).context("what cargo-mutants listed")?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mutant = |listed: Listed| {
        let mut name = without_place(&listed.name);
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name = format!("{name} #{count}");
        }
        Mutant {
            package: listed.package,
            file: listed.file,
            name,
            line: listed.span.start.line,
            span: listed.span,
            replacement: listed.replacement,
        }
    };
    Ok(listed.into_iter().map(mutant).collect())
}

/// `a.rs:1:2: replace …` without `:1:2`.
fn without_place(name: &str) -> String {
    let Some((place, what)) = name.split_once(": ") else {
        return name.to_owned();
    };
    let file = place.split(':').next().unwrap_or(place);
    format!("{file}: {what}")
}

impl Mutant {
    /// The text of its file with the change.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.replacement.len());
        let mut at = Place { line: 1, column: 1 };
        for c in text.chars() {
            if at == self.span.start {
                out.push_str(&self.replacement);
            }
            if at < self.span.start || at >= self.span.end {
                out.push(c);
            }
            at = if c == '\n' {
                Place {
                    line: at.line + 1,
                    column: 1,
                }
            } else {
                Place {
                    column: at.column + 1,
                    ..at
                }
            };
        }
        out
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const JSON: &str = r#"[
        {"name": "a/b.rs:2:5: replace < with > in f", "package": "p", "file": "a/b.rs", "genre": "x",
         "span": {"start": {"line": 2, "column": 5}, "end": {"line": 2, "column": 6}},
         "replacement": ">", "function": null},
        {"name": "a/b.rs:3:5: replace < with > in f", "package": "p", "file": "a/b.rs", "genre": "x",
         "span": {"start": {"line": 1, "column": 3}, "end": {"line": 3, "column": 2}},
         "replacement": "", "function": null}
    ]"#;

    pub(crate) fn mutants() -> Vec<Mutant> {
        parse(JSON).unwrap()
    }

    #[test]
    fn names_have_no_lines_and_are_unique() {
        let mutants = mutants();
        let names: Vec<_> = mutants.iter().map(|mutant| &mutant.name).collect();
        let name = "a/b.rs: replace < with > in f";
        assert_eq!(names, [name, &format!("{name} #2")]);
        assert_eq!(mutants[0].line, 2);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_change_is_made_in_its_place() {
        let [first, second] = &mutants()[..] else {
            panic!("there are two")
        };
        let text = "fn é() {\nlet a<b\n}}\n";
        assert_eq!(
            first.apply(text),
            "fn é() {\nlet >a<b\n}}\n".replace(">a", ">")
        );
        assert_eq!(second.apply(text), "fn}\n");
    }
}
