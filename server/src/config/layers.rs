//! The layers and how they are merged. Pure: text in, values with their sources out.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    ConfigError,
    keys::{KEYS, Key},
    shown::one_line,
};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was not set.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", one_line(&path.to_string_lossy())),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The entries of one source: dotted keys as written, in order.
pub type Layer = Vec<(String, Entry)>;

/// A value and its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// As TOML; from the environment and flags always a string.
    pub value: Value,
    /// Where it came from.
    pub source: Source,
}

/// Every known key that has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(BTreeMap<&'static str, Entry>);

impl Values {
    /// The entry of a key, if it has one.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }

    /// An error about a key.
    pub(super) fn invalid(&self, key: &'static str, detail: impl Into<String>) -> ConfigError {
        let source = self.entry(key).map(|entry| entry.source.clone());
        ConfigError::Invalid {
            key,
            detail: detail.into(),
            source_of_it: source.unwrap_or(Source::Default),
        }
    }
}

/// Applies `layers` over the defaults, later ones over earlier ones.
///
/// # Errors
/// [`ConfigError::Unknown`] for the first key that does not exist.
pub fn merge(layers: Vec<Layer>) -> Result<Values, ConfigError> {
    let mut values = defaults();
    for (name, entry) in layers.into_iter().flatten() {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            return Err(ConfigError::Unknown {
                nearest: nearest(&name),
                key: name,
                source_of_it: entry.source,
            });
        };
        values.insert(key.name, entry);
    }
    Ok(Values(values))
}

/// The layer of a TOML file.
///
/// # Errors
/// [`ConfigError::File`] when it is not TOML.
pub fn file(path: &Path, text: &str) -> Result<Layer, ConfigError> {
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| ConfigError::File {
            path: path.to_owned(),
            detail: place_and_reason(text, &error),
        })?;
    let mut layer = Layer::new();
    flatten("", table, &Source::File(path.to_owned()), &mut layer);
    Ok(layer)
}

/// Where and why a text is not TOML, without the text: its line may hold a password.
fn place_and_reason(text: &str, error: &toml::de::Error) -> String {
    let reason = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return reason.to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {reason}")
}

fn defaults() -> BTreeMap<&'static str, Entry> {
    KEYS.iter()
        .filter_map(|key| Some((key.name, default_of(key)?)))
        .collect()
}

fn default_of(key: &Key) -> Option<Entry> {
    let value = key.default?.parse().expect("a test parses every default");
    Some(Entry {
        value,
        source: Source::Default,
    })
}

fn flatten(prefix: &str, table: Table, source: &Source, layer: &mut Layer) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Table(table) => flatten(&key, table, source, layer),
            value => layer.push((
                key,
                Entry {
                    value,
                    source: source.clone(),
                },
            )),
        }
    }
}

/// The known key whose spelling is closest to `name`; the last part also counts if it matches
/// completely.
pub(super) fn nearest(name: &str) -> &'static str {
    let distance = |key: &&Key| {
        let last = key.name.rsplit('.').next().unwrap_or(key.name);
        strsim::damerau_levenshtein(name, key.name).min(strsim::damerau_levenshtein(name, last))
    };
    KEYS.iter().min_by_key(distance).map_or("", |key| key.name)
}
