//! The house style, as far as a program can see it. Each rule says where it was broken and why.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::{files::files, source};
use crate::output::say;

mod document;
mod threats;
mod words;

/// Longest source file in lines, tests apart: beyond it a file has more than one subject.
const FILE_LINES_MAX: usize = 600;

/// Longest function in lines, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Words that say nothing: an identifier with one of them wants the name of what it does.
const FORBIDDEN_WORDS: [&str; 6] = ["manager", "managers", "helper", "helpers", "util", "utils"];

/// Identifiers that others chose.
const FOREIGN: [&str; 5] = [
    "futures_util",
    "hyper_util",
    "tokio_util",
    // The redis crate's names for a connection that reconnects by itself.
    "ConnectionManager",
    "ConnectionManagerConfig",
];

/// Left-overs of work in progress.
const LEFT_OVERS: [&str; 4] = ["todo!(", "unimplemented!(", "dbg!(", "debugger;"];

/// Folders that only exist on the machine of the person who wrote them down, in two halves so that this
/// file passes its own rule.
const MACHINE_PATHS: [(&str, &str); 4] = [
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("/wo", "rk/"),
    ("/Us", "ers/"),
];

/// One broken rule.
#[derive(Debug, PartialEq)]
struct Finding {
    path: PathBuf,
    line: usize,
    what: String,
}

/// Reads every file of the repository.
///
/// # Errors
/// Lists every finding.
pub fn tidy(root: &Path) -> anyhow::Result<()> {
    let paths = files(root)?;
    let mut findings = Vec::new();
    for path in &paths {
        // A file that is not UTF-8 is a picture or a corpus: nothing to read.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            findings.extend(check_file(path, &text));
        }
    }
    findings.extend(document::check(root, &paths)?);
    findings.extend(words::check(root, &paths)?);
    findings.extend(threats::check(root, &paths)?);
    for finding in &findings {
        say!(
            "   {}:{}: {}",
            finding.path.display(),
            finding.line,
            finding.what
        );
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    say!("   {} files are tidy", paths.len());
    Ok(())
}

fn check_file(path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line: usize, what: String| {
        findings.push(Finding {
            path: path.to_owned(),
            line,
            what,
        });
    };
    if is_kept_as_found(path) {
        return findings;
    }
    check_machine_paths(text, &mut report);
    if is_source(path) {
        check_header(path, text, &mut report);
        check_length(path, text, &mut report);
        let code = source::code_of(text);
        check_code(&code, &mut report);
        if !is_test(path) {
            check_functions(source::before_tests(&code), &mut report);
        }
    }
    findings
}

/// Lock files, test data and corpora hold what other programs wrote.
fn is_kept_as_found(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_lock = name == "Cargo.lock" || name == "package-lock.json";
    is_lock || path.components().any(|part| part.as_os_str() == "corpus")
}

fn is_source(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["rs", "ts", "tsx"].iter().any(|known| extension == *known)
}

fn check_machine_paths(text: &str, report: &mut impl FnMut(usize, String)) {
    for (index, line) in text.lines().enumerate() {
        for (front, back) in MACHINE_PATHS {
            let path = format!("{front}{back}");
            // Inside a longer path or a URL it is somebody else's folder of that name.
            let starts_here =
                |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.');
            if line.match_indices(&path).any(|(at, _)| starts_here(at)) {
                report(index + 1, format!("`{path}…` exists on one machine only"));
            }
        }
    }
}

fn check_header(path: &Path, text: &str, report: &mut impl FnMut(usize, String)) {
    if path.extension().is_some_and(|extension| extension == "rs") && !text.starts_with("//!") {
        report(
            1,
            "a module opens with `//!`: what it owns and where to start reading".to_owned(),
        );
    }
}

fn check_length(path: &Path, text: &str, report: &mut impl FnMut(usize, String)) {
    let is_generated = path
        .components()
        .any(|part| part.as_os_str() == "generated");
    let lines = source::before_tests(text).lines().count();
    if lines > FILE_LINES_MAX && !is_test(path) && !is_generated {
        let what = format!("{lines} lines without tests, over {FILE_LINES_MAX}: split by subject");
        report(lines, what);
    }
}

fn is_test(path: &Path) -> bool {
    let is_in_tests = path.components().any(|part| part.as_os_str() == "tests");
    is_in_tests || path.ends_with("tests.rs") || path.to_string_lossy().contains(".test.")
}

fn check_functions(code: &str, report: &mut impl FnMut(usize, String)) {
    for (line, length) in source::function_lines(code) {
        if length > FUNCTION_LINES_MAX {
            report(
                line,
                format!("a function of {length} lines, over {FUNCTION_LINES_MAX}"),
            );
        }
    }
}

fn check_code(code: &str, report: &mut impl FnMut(usize, String)) {
    for (index, line) in code.lines().enumerate() {
        for left in LEFT_OVERS.iter().filter(|left| line.contains(**left)) {
            report(index + 1, format!("`{left}` is left over"));
        }
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        for identifier in words.filter(|word| !FOREIGN.contains(word)) {
            if let Some(word) = forbidden_word(identifier) {
                report(
                    index + 1,
                    format!("`{identifier}`: `{word}` says nothing, name what it does"),
                );
            }
        }
    }
}

/// The first forbidden word among the parts of a snake_case or camelCase identifier.
fn forbidden_word(identifier: &str) -> Option<String> {
    let mut snake = String::with_capacity(identifier.len() + 4);
    for c in identifier.chars() {
        if c.is_uppercase() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    let mut parts = snake.split('_');
    parts
        .find(|part| FORBIDDEN_WORDS.contains(part))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[(usize, &str)]) {
        let findings = check_file(Path::new(path), text);
        let found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.line, &finding.what))
            .collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, what), (expected_line, expected_what)) in found.iter().zip(expected) {
            assert_eq!(line, expected_line);
            assert!(what.contains(expected_what), "{what}");
        }
    }

    #[test]
    fn a_module_opens_with_its_header() {
        check("a.rs", "//! A.\n", &[]);
        check("a.rs", "fn a() {}\n", &[(1, "//!")]);
        check("a.ts", "let a = 1;\n", &[]);
    }

    #[test]
    fn forbidden_words_are_found_in_identifiers_only() {
        check("a.rs", "//! A manager.\nuse futures_util::x;\n", &[]);
        check(
            "a.rs",
            "//! A.\nstruct ChatManager;\nfn string_utils() {}\n",
            &[(2, "ChatManager"), (3, "string_utils")],
        );
        check(
            "a.ts",
            "const inputHelper = 'x';\nconst futile = 1;\n",
            &[(1, "inputHelper")],
        );
    }

    #[test]
    fn left_overs_are_found_outside_strings() {
        check(
            "a.rs",
            "//! A.\nfn a() { todo!() }\nconst B: &str = \"dbg!(\";\n",
            &[(2, "todo!(")],
        );
    }

    #[test]
    fn folders_of_one_machine_are_found_in_any_text() {
        let (front, back) = MACHINE_PATHS[0];
        check(
            "a.md",
            &format!("see {front}{back}me/x\n"),
            &[(1, "one machine")],
        );
        check(
            "a.md",
            &format!("see https://example.org{front}{back}\n"),
            &[],
        );
    }

    #[test]
    fn long_functions_are_found_but_those_of_tests_do_not_count() {
        let long = format!("//! A.\nfn a() {{\n{}}}\n", "b();\n".repeat(70));
        check("a.rs", &long, &[(2, "72 lines")]);
        check("a/tests/b.rs", &long, &[]);
    }

    #[test]
    fn long_files_are_found_but_tests_do_not_count() {
        let long = "fn a() {}\n".repeat(601);
        check("a.rs", &format!("//! A.\n{long}"), &[(602, "602 lines")]);
        check(
            "a.rs",
            &format!("//! A.\n\n#[cfg(test)]\nmod tests {{\n{long}}}"),
            &[],
        );
    }
}
