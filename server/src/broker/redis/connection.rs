//! The connection to Redis, whatever its shape: one server, or a Redis Cluster.
//!
//! One multiplexed connection to each server carries all commands of the node. It reconnects by
//! itself; while it cannot, each command fails within [`ANSWER_DEADLINE`]. Nothing is queued beyond
//! [`IN_FLIGHT_MAX`] commands: what comes on top waits for its turn and then for its answer, within
//! the same bound.

use std::{fmt, str::FromStr, time::Duration};

use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
};

/// How long a command may take in all; a Redis near by answers in less than a millisecond.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// How long opening a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// Most commands that wait for their answer at one time: a second of a busy node's work.
pub const IN_FLIGHT_MAX: usize = 10_000;

/// Longest pause between two tries to reconnect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Oldest Redis that has all that the scripts use.
const VERSION_MIN: (u32, u32) = (7, 0);

/// Where Redis is: `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS, or
/// `redis+cluster://host:port,host:port…` (`rediss+cluster://…` with TLS) for a Redis Cluster.
/// Prints without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    is_cluster: bool,
    servers: Vec<String>,
}

/// Why the broker could not be reached at the start. Each is a sentence that names the setting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers.
    #[error("`broker`: no Redis answers at {url}: {detail}")]
    Unreachable {
        /// Where, without user and password.
        url: String,
        /// Why.
        detail: String,
    },
    /// The user or password is wrong.
    #[error("`broker`: Redis at {url} refuses the user and password of the URL")]
    Unauthorised {
        /// Where, without user and password.
        url: String,
    },
    /// The server is too old.
    #[error("`broker`: Redis at {url} is version {version}; 7.0 or later is needed")]
    TooOld {
        /// Where, without user and password.
        url: String,
        /// As it says.
        version: String,
    },
    /// The server refuses what is asked of it.
    #[error("`broker`: Redis cannot be used: {0}")]
    Refused(String),
}

impl ConnectError {
    pub(super) fn refused(error: impl fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    /// Parses without looking anything up.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "must be redis://host:port, rediss://host:port (TLS) or redis+cluster://host:port,host:port";
        let (scheme, rest) = text.split_once("://").ok_or(wanted)?;
        let (scheme, is_cluster) = match scheme {
            "redis" | "rediss" => (scheme, false),
            "redis+cluster" => ("redis", true),
            "rediss+cluster" => ("rediss", true),
            _ => return Err(wanted.to_owned()),
        };
        let (user, hosts) = match rest.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), rest),
        };
        let hosts: Vec<&str> = if is_cluster {
            hosts.split(',').collect()
        } else {
            vec![hosts]
        };
        let servers: Vec<String> = hosts
            .iter()
            .map(|host| format!("{scheme}://{user}{host}"))
            .collect();
        let is_good = |url: &String| Client::open(url.as_str()).is_ok();
        if hosts.iter().any(|host| host.is_empty()) || !servers.iter().all(is_good) {
            return Err(wanted.to_owned());
        }
        Ok(Self {
            is_cluster,
            servers,
        })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.servers[0]
            .split_once("://")
            .map_or("redis", |(scheme, _)| scheme);
        let cluster = if self.is_cluster { "+cluster" } else { "" };
        write!(f, "{scheme}{cluster}://")?;
        for (index, server) in self.servers.iter().enumerate() {
            let rest = server.split_once("://").map_or("", |(_, rest)| rest);
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// A way to Redis, shared by all tasks of the node.
#[derive(Clone)]
pub(super) enum Connection {
    /// One server.
    Single(ConnectionManager),
    /// A Redis Cluster: each command goes to the server of its slot.
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects, and sees that the server can be used.
    pub(super) async fn open(url: &RedisUrl) -> Result<Self, ConnectError> {
        let explain = |error| explain(url, &error);
        let connection = if url.is_cluster {
            Self::cluster(url).await.map_err(explain)?
        } else {
            Self::single(url).await.map_err(explain)?
        };
        let info: String = match &connection {
            Self::Single(_) => connection.query(redis::cmd("INFO").arg("server")).await,
            Self::Cluster(_) => connection.query_any(redis::cmd("INFO").arg("server")).await,
        }
        .map_err(explain)?;
        check_version(url, &info)?;
        Ok(connection)
    }

    async fn single(url: &RedisUrl) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWER_DEADLINE))
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_number_of_retries(0)
            .set_max_delay(RECONNECT_PAUSE_MAX)
            .set_concurrency_limit(IN_FLIGHT_MAX);
        let client = Client::open(url.servers[0].as_str())?;
        Ok(Self::Single(
            ConnectionManager::new_with_config(client, config).await?,
        ))
    }

    async fn cluster(url: &RedisUrl) -> RedisResult<Self> {
        let servers = url.servers.iter().map(String::as_str);
        let client = ClusterClientBuilder::new(servers)
            .connection_timeout(CONNECT_DEADLINE)
            .response_timeout(ANSWER_DEADLINE)
            .overall_response_timeout(Some(ANSWER_DEADLINE))
            .connection_concurrency_limit(IN_FLIGHT_MAX)
            .build()?;
        Ok(Self::Cluster(client.get_async_connection().await?))
    }

    /// Sends one command and waits for its answer.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let answer = async {
            match self.clone() {
                Self::Single(mut single) => command.query_async(&mut single).await,
                Self::Cluster(mut cluster) => command.query_async(&mut cluster).await,
            }
        };
        match tokio::time::timeout(ANSWER_DEADLINE, answer).await {
            Ok(answered) => answered,
            Err(_) => Err(RedisError::from((ErrorKind::Io, "no answer in time"))),
        }
    }

    /// Sends a command without a key to any one server.
    async fn query_any<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
        let Self::Cluster(mut cluster) = self.clone() else {
            return self.query(command).await;
        };
        let anywhere = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        let answer = cluster.route_command(command.clone(), anywhere).await?;
        T::from_redis_value(answer).map_err(RedisError::from)
    }
}

fn explain(url: &RedisUrl, error: &RedisError) -> ConnectError {
    let url = url.to_string();
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            ConnectError::Unauthorised { url }
        }
        _ if error.code() == Some("NOAUTH") || error.code() == Some("WRONGPASS") => {
            ConnectError::Unauthorised { url }
        }
        _ => ConnectError::Unreachable {
            url,
            detail: error.to_string(),
        },
    }
}

fn check_version(url: &RedisUrl, info: &str) -> Result<(), ConnectError> {
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .unwrap_or("unknown")
        .trim();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let is_new = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= VERSION_MIN;
    if is_new {
        return Ok(());
    }
    Err(ConnectError::TooOld {
        url: url.to_string(),
        version: version.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_prints_without_its_secrets() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            (
                "rediss://ann:s3cret@redis.example/2",
                "rediss://redis.example/2",
            ),
            ("redis+cluster://:pw@a:1,b:2", "redis+cluster://a:1,b:2"),
        ] {
            let url: RedisUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("RedisUrl({shown})"));
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
            "redis://a:b",
        ] {
            let error = text.parse::<RedisUrl>().expect_err(text);
            assert!(error.starts_with("must be redis://"), "{text}: {error}");
        }
    }

    #[test]
    fn an_old_server_is_named() {
        let url = "redis://a".parse().unwrap();
        assert!(check_version(&url, "x:1\r\nredis_version:7.0.15\r\n").is_ok());
        assert!(check_version(&url, "redis_version:10.2\r\n").is_ok());
        let error = check_version(&url, "redis_version:6.2.1\r\n").expect_err("too old");
        assert_eq!(
            error.to_string(),
            "`broker`: Redis at redis://a is version 6.2.1; 7.0 or later is needed"
        );
    }
}
