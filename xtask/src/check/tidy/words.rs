//! Habits of wording that make fluent strangers stumble, in comments and in documents, as far as a pattern
//! can find them.
//!
//! What stood here before the rule is counted by file in `xtask/words.txt`. Their sum may only fall: with
//! `UPDATE_WORDS=1` the check writes down what is left.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{super::source, Finding};

const FILE: &str = "xtask/words.txt";

/// The variable that has the counts written down.
const UPDATE: &str = "UPDATE_WORDS";

/// A habit, and what to write instead. Patterns are whole words in lower case.
const HABITS: [(&str, &str); 15] = [
    ("answers", "a function *returns*, a server *replies*"),
    ("is no", "*is not a*"),
    ("are no", "*are not*"),
    ("is none", "*is not one*, or say what it is"),
    ("are none", "*are not*, or say what they are"),
    ("for who", "a noun before *who*"),
    ("to who", "a noun before *who*"),
    ("of who", "a noun before *who*"),
    ("by who", "a noun before *who*"),
    ("with who", "a noun before *who*"),
    ("whoever", "a noun: *a client that*, *the node that*"),
    ("anew", "*again*"),
    ("for ever", "*forever*, or say for how long"),
    ("of late", "*lately*, or say since when"),
    ("dearest", "*most expensive*"),
];

/// What may follow `is no` and `are no`: a comparison says something else. So does *there is no*.
const COMPARISONS: [&str; 7] = [
    "longer", "more", "less", "later", "older", "sooner", "other",
];

/// How many habits each file has that stood before the rule.
type Counts = BTreeMap<PathBuf, usize>;

/// Checks every comment and document.
///
/// # Errors
/// When the counts cannot be read or written.
pub(super) fn check(root: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<Finding>> {
    let allowed = read(root)?;
    let (mut findings, mut left) = (Vec::new(), Counts::new());
    for path in paths.iter().filter(|path| is_read(path)) {
        let Ok(text) = std::fs::read_to_string(root.join(path)) else {
            continue;
        };
        let found = habits(&prose(path, &text));
        if found.is_empty() {
            continue;
        }
        left.insert(path.clone(), found.len());
        if found.len() > allowed.get(path).copied().unwrap_or(0) {
            findings.extend(found.into_iter().map(|(line, what)| Finding {
                path: path.clone(),
                line,
                what,
            }));
        }
    }
    if std::env::var_os(UPDATE).is_some() && may_replace(&allowed, &left) {
        write(root, &left)?;
        return Ok(Vec::new());
    }
    if let Some((path, known)) = too_high(&allowed, &left) {
        let what = format!(
            "{} has fewer than {known}: run with {UPDATE}=1",
            path.display()
        );
        findings.push(Finding {
            path: FILE.into(),
            line: 1,
            what,
        });
    }
    Ok(findings)
}

/// Whether all files together have no more than before: one that was moved or split takes its own along.
fn may_replace(allowed: &Counts, left: &Counts) -> bool {
    left.values().sum::<usize>() <= allowed.values().sum()
}

/// A file that has fewer habits than the list says.
fn too_high<'a>(allowed: &'a Counts, left: &Counts) -> Option<(&'a PathBuf, usize)> {
    let mut counts = allowed.iter().map(|(path, known)| (path, *known));
    counts.find(|(path, known)| left.get(*path).copied().unwrap_or(0) < *known)
}

/// Comments of code, and documents. What this check and its list hold are the habits themselves.
fn is_read(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    let is_text = ["rs", "ts", "tsx", "md"]
        .iter()
        .any(|known| ending == *known);
    let is_ours = path.ends_with("check/tidy/words.rs");
    let is_generated = path
        .components()
        .any(|part| part.as_os_str() == "generated");
    is_text && !is_ours && !is_generated
}

/// The words for people: comments, or a document without what is shown as code.
fn prose(path: &Path, text: &str) -> String {
    if path.extension().is_none_or(|ending| ending != "md") {
        return without_code(&source::comments_of(text));
    }
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        lines.push(if is_fenced || is_fence { "" } else { line });
    }
    without_code(&lines.join("\n"))
}

/// The text without what stands between backticks on one line.
fn without_code(text: &str) -> String {
    let line = |line: &str| {
        let pieces = line.split('`').enumerate();
        let words = pieces.filter(|(index, _)| index % 2 == 0);
        words
            .map(|(_, words)| words)
            .collect::<Vec<_>>()
            .join(" ` ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The habits of a text, each with its line from 1. One that spans two lines counts for the first.
fn habits(prose: &str) -> Vec<(usize, String)> {
    let words: Vec<_> = words(prose).collect();
    let mut found = Vec::new();
    for at in 0..words.len() {
        for (habit, better) in HABITS {
            let length = habit.split(' ').count();
            let Some(here) = words.get(at..at + length) else {
                continue;
            };
            if !here
                .iter()
                .map(|(_, word)| word.as_str())
                .eq(habit.split(' '))
            {
                continue;
            }
            let next = words.get(at + length).map_or("", |(_, word)| word.as_str());
            let is_comparison = habit.ends_with(" no") && COMPARISONS.contains(&next);
            let before = at.checked_sub(1).and_then(|before| words.get(before));
            let is_there_is = before.is_some_and(|(_, word)| word == "there")
                && (habit.starts_with("is ") || habit.starts_with("are "));
            if !is_comparison && !is_there_is {
                found.push((here[0].0, format!("`{habit}`: {better}")));
            }
        }
    }
    found
}

/// The words in lower case, each with its line. Punctuation is a word of its own: a habit does not go
/// beyond it.
fn words(prose: &str) -> impl Iterator<Item = (usize, String)> {
    (1..).zip(prose.lines()).flat_map(|(number, line)| {
        let line = line
            .trim_start()
            .trim_start_matches(['/', '!', '*', '#', '>']);
        let is_word = |c: char| c.is_alphanumeric() || c == '\'' || c == '-';
        let mut words = Vec::new();
        for token in line.split_whitespace() {
            let word = token.trim_matches(|c| !is_word(c)).to_lowercase();
            let ends_here = token.ends_with(|c: char| !is_word(c));
            words.push((number, word));
            if ends_here {
                words.push((number, String::new()));
            }
        }
        words
    })
}

fn read(root: &Path) -> anyhow::Result<Counts> {
    let text = std::fs::read_to_string(root.join(FILE)).context(FILE)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &str| {
        let (count, path) = line.split_once(' ').context("a line is `count path`")?;
        let count = count
            .parse()
            .with_context(|| format!("`{count}` is not a number"))?;
        Ok((PathBuf::from(path), count))
    };
    lines
        .map(entry)
        .collect::<anyhow::Result<_>>()
        .context(FILE)
}

fn write(root: &Path, left: &Counts) -> anyhow::Result<()> {
    let path = root.join(FILE);
    let head = std::fs::read_to_string(&path)?;
    let head = head.lines().filter(|line| line.starts_with('#'));
    let lines = left.iter().filter(|(_, count)| **count > 0);
    let lines = lines.map(|(path, count)| format!("{count} {}", path.display()));
    let lines: Vec<_> = head.map(str::to_owned).chain(lines).collect();
    if std::fs::write(&path, lines.join("\n") + "\n").is_err() {
        bail!("cannot write {FILE}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let cut = |(line, what): (usize, String)| {
            let habit = what.split('`').nth(1).unwrap_or_default();
            (line, habit.to_owned())
        };
        habits(&prose(Path::new(path), text))
            .into_iter()
            .map(cut)
            .collect()
    }

    fn check(path: &str, text: &str, expected: &[(usize, &str)]) {
        let found = found(path, text);
        let found: Vec<_> = found
            .iter()
            .map(|(line, what)| (*line, what.as_str()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn habits_are_found_in_comments_only() {
        check(
            "a.rs",
            "//! It answers a number.\nfn answers() {}\n",
            &[(1, "answers")],
        );
        check(
            "a.ts",
            "const a = 'answers'; // For who waits.\n",
            &[(1, "for who")],
        );
        check("a.rs", "/// `answers` is a name.\n", &[]);
    }

    #[test]
    fn habits_go_over_lines_but_not_over_stops() {
        check("a.rs", "/// This is\n/// no matter.\n", &[(1, "is no")]);
        check("a.rs", "/// What it is. No matter.\n", &[]);
        check("a.rs", "/// It is no longer there, and are no more.\n", &[]);
        check(
            "a.rs",
            "/// There is no end. Is there? There are none.\n",
            &[],
        );
    }

    #[test]
    fn documents_are_read_without_what_they_show_as_code() {
        check(
            "a.md",
            "It answers.\n```\nit answers\n```\nAnew.\n",
            &[(1, "answers"), (5, "anew")],
        );
    }

    #[test]
    fn a_count_may_fall_but_not_stand() {
        let counts = |count| Counts::from([(PathBuf::from("a.rs"), count)]);
        assert!(too_high(&counts(2), &counts(2)).is_none());
        assert_eq!(too_high(&counts(2), &counts(1)), Some((&"a.rs".into(), 2)));
        assert_eq!(
            too_high(&counts(2), &Counts::new()),
            Some((&"a.rs".into(), 2))
        );
    }
}
