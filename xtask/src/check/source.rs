//! Reads a source file as code, where comments and the insides of strings are blanked out and tests cut off; or as
//! comments, where everything else is.
//!
//! It knows Rust and TypeScript just well enough for that: line and (nested) block comments,
//! strings, raw strings, template strings, character literals against lifetimes.

/// The same text with comments and string contents replaced by spaces; lines keep their numbers.
pub fn code_of(text: &str) -> String {
    kept(text, Kept::Code)
}

/// The same text with everything but comments replaced by spaces; lines keep their numbers.
pub fn comments_of(text: &str) -> String {
    kept(text, Kept::Comments)
}

fn kept(text: &str, kept: Kept) -> String {
    let mut blanker = Blanker {
        kept,
        rest: text,
        before: '\n',
        out: String::with_capacity(text.len()),
    };
    while !blanker.rest.is_empty() {
        blanker.step();
    }
    blanker.out
}

/// What is not blanked out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Code,
    Comments,
}

/// What the next piece of a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Code,
    Comment,
    Quoted,
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
    kept: Kept,
    rest: &'a str,
    /// The character before the rest, or a space after a quotation or comment.
    before: char,
    out: String,
}

impl Blanker<'_> {
    fn step(&mut self) {
        let (piece, length) = self.next_piece();
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        let is_kept = match self.kept {
            Kept::Code => piece == Piece::Code,
            Kept::Comments => piece == Piece::Comment,
        };
        if is_kept {
            self.out.push_str(taken);
        } else {
            let keep_lines = |c| if c == '\n' { '\n' } else { ' ' };
            self.out.extend(taken.chars().map(keep_lines));
        }
        self.before = match piece {
            Piece::Code => taken.chars().next_back().unwrap_or(' '),
            Piece::Comment | Piece::Quoted => ' ',
        };
        self.rest = rest;
    }

    fn next_piece(&self) -> (Piece, usize) {
        let rest = self.rest;
        if rest.starts_with("//") {
            (Piece::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Piece::Comment, block_comment_len(rest))
        } else if let Some(hashes) = raw_string_hashes(rest, self.before) {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            let end = rest[open..].find(&close);
            let length = end.map(|at| open + at + close.len());
            (Piece::Quoted, length.unwrap_or(rest.len()))
        } else if rest.starts_with(['"', '`']) {
            (Piece::Quoted, quoted_len(rest))
        } else if let Some(length) = char_literal_len(rest) {
            (Piece::Quoted, length)
        } else {
            (Piece::Code, rest.chars().next().map_or(1, char::len_utf8))
        }
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
fn raw_string_hashes(text: &str, before: char) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    if (before.is_alphanumeric() && before != 'b') || before == '_' {
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

/// The length of a character literal (or a short single-quoted string); a lifetime is not one.
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
    fn comments_are_what_code_is_not() {
        let check = |text, expected| assert_eq!(comments_of(text), expected, "{text}");
        check("a // b\nc", "  // b\n ");
        check("f(\"// x\") /* y */", "          /* y */");
        check("let bar = '\"'; // z", "               // z");
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
