//! The tests that the threat model names exist.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context as _;

use super::Finding;

/// The document, from the root.
const FILE: &str = "docs/threat-model.md";

/// Fewer words are not the name of a test: `unsafe`, `nosniff`, `kid`.
const WORDS_MIN: usize = 4;

/// Names the tests that no file in `paths` has.
///
/// # Errors
/// When the document cannot be read.
pub(super) fn check<P: AsRef<Path>>(root: &Path, paths: &[P]) -> anyhow::Result<Vec<Finding>> {
    let document = std::fs::read_to_string(root.join(FILE)).context(FILE)?;
    let mut tests = BTreeSet::new();
    for path in paths {
        let is_code = |kind| path.as_ref().extension().is_some_and(|it| it == kind);
        if (is_code("rs") || is_code("py"))
            && let Ok(text) = std::fs::read_to_string(root.join(path))
        {
            tests.extend(functions(&text).map(str::to_owned));
        }
    }
    Ok(unknown(&document, &tests))
}

fn unknown(document: &str, tests: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in document.lines().enumerate() {
        let named = line.split('`').skip(1).step_by(2);
        for name in named.filter(|name| is_name_of_test(name) && !tests.contains(*name)) {
            findings.push(Finding {
                path: FILE.into(),
                line: index + 1,
                what: format!("there is no test `{name}`"),
            });
        }
    }
    findings
}

fn is_name_of_test(name: &str) -> bool {
    let is_word = |it: &str| {
        it.bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
    };
    name.split('_').count() >= WORDS_MIN && name.split('_').all(is_word)
}

/// The names of all functions of a Rust or Python file. Of those in a list of conformance, each is a function too.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    let after = |keyword| text.split(keyword).skip(1);
    after("fn ").chain(after("def ")).map(|rest| {
        let end = rest.find(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_does_not_exist_is_named_with_its_line() {
        let code = "#[test]\nfn a_wolf_is_seen_here() {}\nasync def test_a_wolf_is_heard():\n";
        let tests = functions(code).map(str::to_owned).collect();
        let document =
            "`a_wolf_is_seen_here`, `test_a_wolf_is_heard`, `unsafe`\n\n`no_wolf_is_seen_here`";
        let found = unknown(document, &tests);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 3);
        assert!(found[0].what.contains("no_wolf_is_seen_here"));
    }
}
