//! Reads a source file as code: comments and the insides of strings are blanked out, tests cut off.
//!
//! It knows Rust and TypeScript just well enough for that: line and (nested) block comments,
//! strings, raw strings, template strings, character literals against lifetimes.

/// The same text with comments and string contents replaced by spaces; lines keep their numbers.
pub fn code_of(text: &str) -> String {
    let mut blanker = Blanker {
        rest: text,
        out: String::with_capacity(text.len()),
    };
    while !blanker.rest.is_empty() {
        blanker.step();
    }
    blanker.out
}

/// The part of a Rust file before its inline tests.
pub fn before_tests(text: &str) -> &str {
    match text.find("\n#[cfg(test)]\nmod tests {") {
        Some(start) => &text[..start],
        None => text,
    }
}

/// Where each Rust function with a body begins, by line from 1, and how many lines it has. `code` is
/// without comments and string contents.
pub fn function_lines(code: &str) -> Vec<(usize, usize)> {
    let starts = code.match_indices("fn ").map(|(at, _)| at);
    let is_word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let functions = starts.filter(|at| is_word(*at)).filter_map(|at| {
        let length = body_end(&code[at..])?;
        let line = code[..at].matches('\n').count() + 1;
        Some((line, code[at..at + length].matches('\n').count() + 1))
    });
    functions.collect()
}

/// The end of the first block in braces, unless a `;` ends the declaration before it.
fn body_end(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '[' | '(' => brackets += 1,
            ']' | ')' => brackets = brackets.saturating_sub(1),
            ';' if depth == 0 && brackets == 0 => return None,
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at + 1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

struct Blanker<'a> {
    rest: &'a str,
    out: String,
}

impl Blanker<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(end);
        } else if self.rest.starts_with("/*") {
            self.blank(block_comment_len(self.rest));
        } else if let Some(hashes) = raw_string_hashes(self.rest, &self.out) {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            let end = self.rest[open..]
                .find(&close)
                .map(|at| open + at + close.len());
            self.blank(end.unwrap_or(self.rest.len()));
        } else if self.rest.starts_with(['"', '`']) {
            self.blank(quoted_len(self.rest));
        } else if let Some(length) = char_literal_len(self.rest) {
            self.blank(length);
        } else {
            let width = self.rest.chars().next().map_or(1, char::len_utf8);
            self.out.push_str(&self.rest[..width]);
            self.rest = &self.rest[width..];
        }
    }

    /// Replaces the next `length` bytes by as many lines of spaces.
    fn blank(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length.min(self.rest.len()));
        let keep_lines = |c| if c == '\n' { '\n' } else { ' ' };
        self.out.extend(gone.chars().map(keep_lines));
        self.rest = rest;
    }
}

fn block_comment_len(text: &str) -> usize {
    let mut depth = 0;
    for (at, _) in text.char_indices() {
        if text[at..].starts_with("/*") {
            depth += 1;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return at + 2;
            }
        }
    }
    text.len()
}

/// The number of `#` of a raw string that starts here, unless the `r` ends an identifier.
fn raw_string_hashes(text: &str, before: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let is_word = |c: char| (c.is_alphanumeric() && c != 'b') || c == '_';
    if before.chars().next_back().is_some_and(is_word) {
        return None;
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn quoted_len(text: &str) -> usize {
    let quote = text.chars().next();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if Some(c) == quote {
            return at + 1;
        }
    }
    text.len()
}

/// The length of a character literal (or a short single-quoted string); a lifetime is none.
fn char_literal_len(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let line = &inside[..inside.find('\n').unwrap_or(inside.len())];
    if inside.starts_with('\\') {
        return line[2..].find('\'').map(|at| at + 4);
    }
    let first = inside.chars().next()?;
    if inside[first.len_utf8()..].starts_with('\'') {
        return Some(first.len_utf8() + 2);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(code_of(text), expected, "{text}");
    }

    #[test]
    fn blanks_comments_and_strings_only() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("x\"y", z)"#, "f(      , z)");
        check("r#\"a \" b\"# + c", "           + c");
        check("let bar = '\"'; d", "let bar =    ; d");
        check("fn a<'b>(c: &'b str)", "fn a<'b>(c: &'b str)");
        check("'\\'' + '\\u{41}' + a", "     +          + a");
        check("`a ${b}` + c", "         + c");
        check("\"never closed", "             ");
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let code =
            "trait A {\n fn a(b: [u8; 2]);\n fn c(&self) {\n  d(|| { 1 });\n }\n}\nconst fn e() {}";
        assert_eq!(function_lines(code), [(3, 3), (7, 1)]);
        assert_eq!(function_lines("defn x {}"), []);
    }

    #[test]
    fn tests_are_cut_off() {
        assert_eq!(before_tests("a\n#[cfg(test)]\nmod tests {\n}"), "a");
        assert_eq!(
            before_tests("a\n#[cfg(test)]\nfn b() {}"),
            "a\n#[cfg(test)]\nfn b() {}"
        );
    }
}
