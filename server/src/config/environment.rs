//! The layer of the environment: `NOWRONG_…` variables, and the `PORT` of hosting platforms. Pure.
//!
//! Others set variables too: Kubernetes makes `NOWRONG_SERVICE_HOST`, `NOWRONG_PORT` and more for a
//! Service called `nowrong`. So a variable that names no key is a warning, never an error; and an
//! empty variable counts as not set, since this is how Compose hands on one that was not set.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use toml::Value;

use super::{
    ConfigError,
    keys::KEYS,
    layers::{Entry, Layer, Source, nearest},
};

const PREFIX: &str = "NOWRONG_";

/// The variable that names the file; not a key itself.
const FILE_VARIABLE: &str = "NOWRONG_CONFIG";

/// The variable in which hosting platforms name the port that they forward to.
const PORT_VARIABLE: &str = "PORT";

/// What the variables of the process say.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// The file that they name.
    pub(super) file: Option<PathBuf>,
    /// `PORT`: the lowest layer, because it is not meant for this program alone.
    pub(super) port: Layer,
    /// The keys that they set.
    pub(super) layer: Layer,
    /// A sentence for each group of variables that is not used. Values are never quoted: a misspelt
    /// name may have a password as its value.
    pub(super) warnings: Vec<String>,
}

/// Reads all variables of the process.
///
/// # Errors
/// [`ConfigError::Malformed`] when the value of a key is not UTF-8.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Environment, ConfigError> {
    let mut environment = Environment::default();
    let mut links = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        if value.is_empty() {
            continue;
        }
        if name == PORT_VARIABLE {
            environment.take_port(value.to_str());
        } else if name == FILE_VARIABLE {
            environment.file = Some(PathBuf::from(value));
        } else if let Some(rest) = name.strip_prefix(PREFIX) {
            let key = rest.to_lowercase().replace("__", ".");
            if KEYS.iter().any(|known| known.name == key) {
                environment.layer.push(entry(key, name, value)?);
            } else if is_service_link(rest) {
                links.push(name.to_owned());
            } else {
                environment.warn_of(name, &key);
            }
        }
    }
    environment.warn_of_links(links);
    Ok(environment)
}

impl Environment {
    fn take_port(&mut self, value: Option<&str>) {
        let Some(port) = value.and_then(|value| value.trim().parse().ok()) else {
            let warning = "the variable PORT is not a port number and not used";
            return self.warnings.push(warning.to_owned());
        };
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let value = Value::String(address.to_string());
        let source = Source::Environment(PORT_VARIABLE.to_owned());
        let entry = Entry { value, source };
        self.port.push(("listen_http".to_owned(), entry));
    }

    fn warn_of(&mut self, name: &str, key: &str) {
        let nearest = nearest(key).to_uppercase().replace('.', "__");
        self.warnings.push(format!(
            "the variable {name} is not a key and not used; did you mean {PREFIX}{nearest}?"
        ));
    }

    fn warn_of_links(&mut self, mut links: Vec<String>) {
        links.sort_unstable();
        if !links.is_empty() {
            self.warnings.push(format!(
                "variables that Kubernetes sets for its Services are not used: {} (`enableServiceLinks: false` in the pod keeps them away)",
                links.join(", ")
            ));
        }
    }
}

fn entry(key: String, name: &str, value: OsString) -> Result<(String, Entry), ConfigError> {
    let value = value
        .into_string()
        .map_err(|_| ConfigError::Malformed(format!("the value of {name} is not UTF-8")))?;
    let (value, source) = (Value::String(value), Source::Environment(name.to_owned()));
    Ok((key, Entry { value, source }))
}

/// Whether Kubernetes (or `docker --link`, from which it has the names) sets such a variable for a
/// Service whose name begins with `nowrong`.
fn is_service_link(rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    let is_number = |part: &str| part.parse::<u16>().is_ok();
    let is_protocol = |part: &str| matches!(part, "TCP" | "UDP" | "SCTP");
    let names_port = parts
        .windows(3)
        .any(|it| it[0] == "PORT" && is_number(it[1]) && is_protocol(it[2]));
    let names_service = parts
        .windows(2)
        .any(|it| it[0] == "SERVICE" && matches!(it[1], "HOST" | "PORT"));
    names_port || names_service || parts.last() == Some(&"PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Environment {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        super::read(pairs).unwrap()
    }

    #[test]
    fn what_kubernetes_sets_for_services_is_one_warning() {
        let links = [
            ("NOWRONG_SERVICE_HOST", "10.96.0.10"),
            ("NOWRONG_SERVICE_PORT", "8080"),
            ("NOWRONG_SERVICE_PORT_HTTP", "8080"),
            ("NOWRONG_PORT", "tcp://10.96.0.10:8080"),
            ("NOWRONG_PORT_8080_TCP", "tcp://10.96.0.10:8080"),
            ("NOWRONG_PORT_4433_UDP_ADDR", "10.96.0.10"),
            ("NOWRONG_NODE_A_PORT", "tcp://10.96.0.11:8080"),
            ("NOWRONG_DATA_SERVICE_HOST", "10.96.0.12"),
        ];
        let environment = read(&links);
        assert!(environment.layer.is_empty() && environment.port.is_empty());
        assert_eq!(environment.warnings.len(), 1, "{:?}", environment.warnings);
        for (name, value) in links {
            assert!(environment.warnings[0].contains(name), "{name}");
            let is_quoted = value.contains('.') && environment.warnings[0].contains(value);
            assert!(!is_quoted, "{name}");
        }
    }

    #[test]
    fn an_unknown_variable_is_a_warning_with_the_nearest_one_and_without_its_value() {
        let environment = read(&[
            ("NOWRONG_STROE", "mongodb://ann:s3cret@h"),
            ("NOWRONG_LOG_LEVEL", "debug"),
            ("NOWRONGLY", "x"),
            ("OTHER", "y"),
        ]);
        assert!(environment.layer.is_empty());
        let expected = [
            "the variable NOWRONG_STROE is not a key and not used; did you mean NOWRONG_STORE?",
            "the variable NOWRONG_LOG_LEVEL is not a key and not used; did you mean NOWRONG_LOG__LEVEL?",
        ];
        assert_eq!(environment.warnings, expected);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = read(&[
            ("NOWRONG_STORE", ""),
            ("NOWRONG_CONFIG", ""),
            ("NOWRONG_WHATEVER", ""),
            ("PORT", ""),
        ]);
        assert!(environment.layer.is_empty() && environment.port.is_empty());
        assert_eq!(environment.file, None);
        assert!(environment.warnings.is_empty());
    }

    #[test]
    fn blanks_around_a_port_do_not_count() {
        for value in ["3000", " 3000", "3000\n", "\t3000 "] {
            let environment = read(&[("PORT", value)]);
            let (key, entry) = &environment.port[0];
            assert_eq!(key, "listen_http");
            assert_eq!(entry.value.as_str(), Some("0.0.0.0:3000"), "{value:?}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_a_warning() {
        for value in ["http", "70000", "-1", "30 00", " ", "tcp://10.0.0.1:80"] {
            let environment = read(&[("PORT", value)]);
            assert!(environment.port.is_empty(), "{value}");
            assert_eq!(environment.warnings.len(), 1, "{value}");
        }
    }
}
