//! The address of Redis, as given in the setting `broker`.

use std::{fmt, str::FromStr};

use redis::{ConnectionInfo, IntoConnectionInfo as _};

use super::tls::TlsFiles;

/// The error for a URL of another form.
const WANTED: &str = "must be redis://host:port, redis+cluster://host:port,host:port or \
                      redis+sentinel://host:port,host:port/service (with TLS: rediss…)";

/// The error for a URL with options: the driver passes over nearly all of them, also passwords.
const NO_OPTIONS: &str = "must have nothing behind a ? (but protocol=resp3): user and password stand before the @, \
                          files for TLS in `redis.tls_ca`, `redis.tls_cert` and `redis.tls_key`";

/// Port of a Redis Sentinel that is named without one.
const SENTINEL_PORT: u16 = 26_379;

/// The address of Redis: `redis://[user:password@]host[:port][/database]`,
/// `redis+cluster://[user:password@]host:port,host:port…`, or
/// `redis+sentinel://[user:password@]host:port,host:port…/service[/database]`, where the hosts are
/// sentinels, asked without a password, and user, password and database are those of the Redis that
/// they watch. Each is `rediss…` with TLS. Prints without user and password.
#[derive(Clone)]
pub struct RedisUrl {
    pub(super) shape: Shape,
    /// The servers to begin with.
    pub(super) servers: Vec<ConnectionInfo>,
    /// The printed form.
    shown: String,
    /// Files for TLS.
    pub(super) tls: TlsFiles,
}

/// How many servers there are, and how the master is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One server.
    Single,
    /// A Redis Cluster.
    Cluster,
    /// Sentinels that watch a master of this name.
    Sentinel {
        /// The name.
        service: String,
    },
}

impl FromStr for RedisUrl {
    type Err = String;

    /// Parses without looking anything up.
    fn from_str(text: &str) -> Result<Self, String> {
        let options = text.split_once('?').map(|(_, options)| options);
        let mut options = options.into_iter().flat_map(|all| all.split('&'));
        if !options.all(|option| option.starts_with("protocol=")) {
            return Err(NO_OPTIONS.to_owned());
        }
        Self::parse(text).ok_or_else(|| WANTED.to_owned())
    }
}

impl RedisUrl {
    /// The same with these files for TLS.
    #[must_use]
    pub fn with_tls(self, tls: TlsFiles) -> Self {
        Self { tls, ..self }
    }

    /// Whether it asks for TLS.
    pub fn is_encrypted(&self) -> bool {
        self.shown.starts_with("rediss")
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (format!("{user}@"), place),
            None => (String::new(), rest),
        };
        let (plain, kind) = match scheme.split_once('+') {
            Some((plain, kind)) => (plain, Some(kind)),
            None => (scheme, None),
        };
        if !matches!(plain, "redis" | "rediss") {
            return None;
        }
        let server = |host: &str| {
            let is_named = !host.is_empty() && !host.starts_with([':', '/']);
            let url = format!("{plain}://{user}{host}");
            is_named.then(|| url.into_connection_info().ok()).flatten()
        };
        let (shape, servers) = match kind {
            None => (Shape::Single, vec![server(place)?]),
            Some("cluster") => {
                let servers: Option<Vec<_>> = place.split(',').map(server).collect();
                (Shape::Cluster, servers?)
            }
            Some("sentinel") => sentinel(place, server)?,
            Some(_) => return None,
        };
        Some(Self {
            shape,
            servers,
            shown: format!("{scheme}://{place}"),
            tls: TlsFiles::default(),
        })
    }
}

/// Reads `host:port,host:port/service[/database]`.
fn sentinel(
    place: &str,
    server: impl Fn(&str) -> Option<ConnectionInfo>,
) -> Option<(Shape, Vec<ConnectionInfo>)> {
    let (hosts, name) = place.split_once('/')?;
    let (service, database) = match name.split_once('/') {
        Some((service, database)) => (service, format!("/{database}")),
        None => (name, String::new()),
    };
    let servers = hosts.split(',').map(|host| {
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port {
            server(&format!("{host}{database}"))
        } else {
            server(&format!("{host}:{SENTINEL_PORT}{database}"))
        }
    });
    let servers: Option<Vec<_>> = servers.collect();
    let shape = Shape::Sentinel {
        service: service.to_owned(),
    };
    (!service.is_empty() && !hosts.contains(",,")).then_some((shape, servers?))
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        let secrets = |url: &Self| -> Vec<_> {
            let settings = url.servers.iter().map(ConnectionInfo::redis_settings);
            settings
                .map(|settings| {
                    let owned = |text: Option<&str>| text.map(str::to_owned);
                    (owned(settings.username()), owned(settings.password()))
                })
                .collect()
        };
        self.shown == other.shown && self.tls == other.tls && secrets(self) == secrets(other)
    }
}

impl Eq for RedisUrl {}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_refused_since_the_driver_passes_over_them() {
        for text in [
            "redis://h?password=s3cret",
            "redis://h/0?p%61ssword=s3cret",
            "redis+cluster://a:1,b:2?protocol=resp3&user=me",
            "redis+sentinel://a/main?db=3",
        ] {
            let error = text.parse::<RedisUrl>().expect_err(text);
            assert!(error.contains("before the @"), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{text}: {error}");
        }
        assert!("redis://h/0?protocol=resp3".parse::<RedisUrl>().is_ok());
    }

    #[test]
    fn a_url_prints_without_its_secrets() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            (
                "rediss://ann:s3cret@redis.example/2",
                "rediss://redis.example/2",
            ),
            ("redis+cluster://:pw@a:1,b:2", "redis+cluster://a:1,b:2"),
            (
                "redis+sentinel://:p@a,b:2/main",
                "redis+sentinel://a,b:2/main",
            ),
        ] {
            let url: RedisUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("RedisUrl({shown})"));
        }
    }

    #[test]
    fn the_name_of_a_sentinel_url_is_that_of_the_master() {
        let url: RedisUrl = "rediss+sentinel://ann:pw@a,b:7/main/3".parse().unwrap();
        let service = "main".to_owned();
        assert_eq!(url.shape, Shape::Sentinel { service });
        let addresses: Vec<_> = url.servers.iter().map(|s| s.addr().to_string()).collect();
        assert_eq!(addresses, ["a:26379", "b:7"]);
        for server in &url.servers {
            let settings = server.redis_settings();
            assert_eq!(settings.username(), Some("ann"));
            assert_eq!(settings.password(), Some("pw"));
            assert_eq!(settings.db(), 3);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_is_wanted() {
        for text in [
            "",
            "redis",
            "http://a",
            "redis://",
            "redis+cluster://a:1,,b:2",
            "redis+other://a:1",
            "redis+sentinel://a:1",
            "redis+sentinel://a:1/",
            "redis+sentinel://a:1,,b:1/main",
            "redis+sentinel://a:1/main/x",
            "redis://a:b",
        ] {
            let error = text.parse::<RedisUrl>().expect_err(text);
            assert!(error.starts_with("must be redis://"), "{text}: {error}");
        }
    }
}
