//! The configuration in force as TOML, for `nowrong config`. The output can be read back.

use std::fmt::Write as _;

use super::{
    keys::{KEYS, Key},
    layers::Values,
};

/// One line per key, with its source; secrets are redacted, keys without a value commented out.
pub fn to_toml(values: &Values) -> String {
    KEYS.iter().map(|key| line(key, values)).collect()
}

fn line(key: &Key, values: &Values) -> String {
    let mut out = String::new();
    let Key { name, text, .. } = key;
    // Writing to a String cannot fail.
    let _ = match values.entry(name) {
        None => writeln!(out, "# {name} =  # unset: {text}"),
        Some(entry) if key.is_secret || may_hold_secret(entry.value.as_str()) => {
            writeln!(out, "# {name} = \"<redacted>\"  # {}", entry.source)
        }
        Some(entry) => writeln!(out, "{name} = {}  # {}", entry.value, entry.source),
    };
    out
}

/// Whether a value is a URL with a user or password in it. Options behind a `?` may hold secrets as
/// well (a password of a key file, a session token), in any spelling that the driver decodes.
fn may_hold_secret(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.contains("://") && value.contains(['@', '?']))
}
