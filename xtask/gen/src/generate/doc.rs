//! Rust doc comments to TSDoc: links lose their brackets and paths, names take their TypeScript form.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use super::name;

/// The text of the doc comments among `attrs`, in TypeScript's words. Sections about Rust alone
/// (`# Errors`, `# Panics`) are left out.
pub(super) fn text(attrs: &[Attribute]) -> String {
    let lines: Vec<String> = attrs.iter().filter_map(line).collect();
    let prose: Vec<&str> = lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let end = prose
        .iter()
        .position(|line| line.starts_with("# "))
        .unwrap_or(prose.len());
    translate(prose[..end].join("\n").trim())
}

/// `text` as a TSDoc block, each line after `indent`; nothing when there is no text.
pub(super) fn block(text: &str, indent: &str) -> String {
    match text.lines().collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let body: String = lines
                .iter()
                .map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n")
                .collect();
            format!("{indent}/**\n{body}{indent} */\n")
        }
    }
}

fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(ExprLit {
        lit: Lit::Str(text),
        ..
    }) = &pair.value
    else {
        return None;
    };
    pair.path.is_ident("doc").then(|| text.value())
}

/// Every second part between back-ticks is code: it gets its TypeScript name, and loses the
/// brackets of an intra-doc link.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 0 {
            let opened = part.strip_prefix(']').filter(|_| at > 0).unwrap_or(part);
            out.push_str(opened.strip_suffix('[').unwrap_or(opened));
        } else {
            out.push_str(&format!("`{}`", code(part)));
        }
    }
    out.replace("*/", "*\\/")
}

fn code(rust: &str) -> String {
    if rust == "None" {
        return "null".to_owned();
    }
    let parts: Vec<&str> = rust
        .split("::")
        .filter(|part| !matches!(*part, "crate" | "super"))
        .collect();
    let is_constant = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let is_type = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
    let path = match parts.as_slice() {
        [.., kind, constant] if is_constant(constant) && is_type(kind) => {
            format!("{}_{constant}", name::screaming(kind))
        }
        [.., constant] if is_constant(constant) => (*constant).to_owned(),
        parts => parts.join("."),
    };
    let is_field = path.contains('_')
        && path
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_field { name::camel(&path) } else { path }
}
