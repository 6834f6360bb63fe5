//! Whether a licence expression (SPDX 2.3, annex D) can be met with the licences we accept.
//!
//! `OR` needs one side, `AND` both; `AND` binds tighter. The old `A/B` means `A OR B`.

/// What we accept: permissive licences only. `deny.toml` lists the same for cargo-deny.
pub const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Whether `expression` can be met; an empty or malformed one cannot.
pub fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = Words(spaced.split_whitespace().collect());
    let verdict = either(&mut words);
    verdict == Some(true) && words.0.is_empty()
}

/// The words that are left to read, in order.
struct Words<'a>(std::collections::VecDeque<&'a str>);

impl<'a> Words<'a> {
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.0.front() == Some(&word);
        if is_next {
            self.0.pop_front();
        }
        is_next
    }

    fn next(&mut self) -> Option<&'a str> {
        self.0.pop_front()
    }
}

fn either(words: &mut Words<'_>) -> Option<bool> {
    let mut verdict = both(words)?;
    while words.take("OR") {
        verdict |= both(words)?;
    }
    Some(verdict)
}

fn both(words: &mut Words<'_>) -> Option<bool> {
    let mut verdict = one(words)?;
    while words.take("AND") {
        verdict &= one(words)?;
    }
    Some(verdict)
}

fn one(words: &mut Words<'_>) -> Option<bool> {
    if words.take("(") {
        let verdict = either(words)?;
        return words.take(")").then_some(verdict);
    }
    let mut licence = words.next()?.to_owned();
    if words.take("WITH") {
        licence = format!("{licence} WITH {}", words.next()?);
    }
    Some(ALLOWED.contains(&licence.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for (expression, allowed) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("Unlicense OR MIT", true),
            ("MIT OR Apache-2.0 OR LGPL-2.1-or-later", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
            ("ISC AND (GPL-3.0 OR AGPL-3.0)", false),
            ("GPL-3.0", false),
            ("GPL-3.0 AND MIT OR MPL-2.0", false),
            ("MPL-2.0 OR GPL-3.0 AND MIT", false),
            ("", false),
            ("(MIT", false),
            ("MIT MIT", false),
        ] {
            assert_eq!(is_allowed(expression), allowed, "{expression}");
        }
    }
}
