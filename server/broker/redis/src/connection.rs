//! The connection to Redis of any kind: one server, a Redis Cluster, or the master that sentinels
//! watch.
//!
//! One multiplexed connection to each server carries all commands of the node. When it is lost,
//! which a command reports after an error or without a reply, a task makes a new one; this also
//! finds the new master after a failover. Meanwhile commands wait, each no longer than
//! [`ANSWER_DEADLINE`] in total. At most [`IN_FLIGHT_MAX`] wait at one time; further ones are
//! refused at once.

use std::{fmt, sync::Arc, time::Duration};

use nowrong_base::metrics::CallMetrics;
use nowrong_broker::BrokerError;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    task,
    url::RedisUrl,
    wire::{Source, Wire, is_loss, too_late},
};

/// How long a command may take in total; a nearby Redis replies in less than a millisecond.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// Most commands that wait for a reply at one time: a second of a busy node's work. Each holds its
/// arguments, at most a few kilobytes, except for the seed of a long chat.
pub const IN_FLIGHT_MAX: usize = 10_000;

/// Shortest time between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Oldest Redis that supports everything that the scripts use.
const VERSION_MIN: (u32, u32) = (7, 0);

/// The required policy of a Redis whose memory is full: refuse, not forget.
const POLICY: &str = "noeviction";

/// Why the broker could not be reached at the start. Each is a sentence that names the setting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server responds.
    #[error("`broker`: no Redis answers at {url}: {detail}")]
    Unreachable {
        /// The address, without user and password.
        url: String,
        /// Why.
        detail: String,
    },
    /// A file for TLS cannot be used.
    #[error("{0}")]
    File(String),
    /// The user lacks a right.
    #[error(
        "`broker`: the user of Redis at {url} may not run {command}; README lists what it must be able to run"
    )]
    Forbidden {
        /// The address, without user and password.
        url: String,
        /// The command that was refused, or several.
        command: String,
    },
    /// The user or password is wrong.
    #[error("`broker`: Redis at {url} refuses the user and password of the URL")]
    Unauthorised {
        /// The address, without user and password.
        url: String,
    },
    /// The sentinels do not know the master, or none is up.
    #[error(
        "`broker`: the sentinels of {url} name no master that is up: is the name after the / right?"
    )]
    NoMaster {
        /// The address, without user and password.
        url: String,
    },
    /// The server is too old.
    #[error("`broker`: Redis at {url} is version {version}; 7.0 or later is needed")]
    TooOld {
        /// The address, without user and password.
        url: String,
        /// As it says.
        version: String,
    },
    /// The server would drop logs and tickets to make room.
    #[error(
        "`broker`: Redis at {url} forgets keys when its memory is full: set its maxmemory-policy to noeviction (it is {policy})"
    )]
    Forgetful {
        /// The address, without user and password.
        url: String,
        /// Its current policy.
        policy: String,
    },
    /// Live nodes of another installation use the same keys.
    #[error(
        "`redis.prefix`: nodes with another store ({theirs}; `store` of this one is {ours}) use the same keys of Redis at {url}: set `redis.prefix` of one installation to something else, or `store` of both to the same database"
    )]
    OtherStore {
        /// The address, without user and password.
        url: String,
        /// The identity of their store.
        theirs: String,
        /// The identity of this node's store.
        ours: String,
    },
    /// The server refuses a command.
    #[error("`broker`: Redis cannot be used: {0}")]
    Refused(String),
}

impl ConnectError {
    pub(super) fn refused(error: impl fmt::Display) -> Self {
        let mut detail = error.to_string();
        // Of a command within a script Redis does not always say the name.
        if detail.contains("permissions") || detail.contains("can't run this command") {
            detail.push_str("; README lists what its user must be able to run");
        }
        Self::Refused(detail)
    }
}

/// A command that Redis did not carry out.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Fault(#[from] RedisError);

impl Fault {
    /// The error itself.
    pub(super) fn error(&self) -> &RedisError {
        &self.0
    }

    /// Whether this is the kind of error.
    pub(super) fn is(&self, kind: ErrorKind) -> bool {
        self.0.kind() == kind
    }
}

impl From<Fault> for BrokerError {
    fn from(Fault(error): Fault) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A way to Redis, shared by all tasks of the node.
#[derive(Clone)]
pub(super) struct Connection {
    live: watch::Receiver<Option<Live>>,
    /// The newest connection that a command found lost.
    lost: watch::Sender<u64>,
    turns: Arc<Semaphore>,
    answer_deadline: Duration,
    calls: CallMetrics,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

/// The current connection, working as far as is known.
#[derive(Clone)]
struct Live {
    number: u64,
    wire: Wire,
}

impl Connection {
    /// Connects, and checks that the server can be used. Each command may take `answer_deadline`.
    pub(super) async fn open(
        url: &RedisUrl,
        answer_deadline: Duration,
        calls: CallMetrics,
    ) -> Result<Self, ConnectError> {
        url.tls.read().map_err(ConnectError::File)?;
        let mut source = Source::new(url.clone(), answer_deadline);
        let wire = source
            .connect()
            .await
            .map_err(|error| explain(url, &error))?;
        check_version(url, &wire).await?;
        check_policy(url, &wire).await?;
        let (now_live, live) = watch::channel(Some(Live { number: 1, wire }));
        let (lost, now_lost) = watch::channel(0);
        let mut keeper = Keeper {
            source,
            live: now_live,
            lost: now_lost,
            number: 1,
        };
        let keeper =
            tokio::spawn(
                async move { while !task::has_ended("redis keeper", keeper.keep()).await {} },
            );
        Ok(Self {
            live,
            lost,
            turns: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            answer_deadline,
            calls,
            _keeper: Arc::new(AbortOnDropHandle::new(keeper)),
        })
    }

    /// Sends one command and waits for its reply. `call` names it in metrics.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        call: &'static str,
        command: &Cmd,
    ) -> Result<T, Fault> {
        let reply = self.within_deadline(|wire| async move { wire.ask(command).await });
        let reply = self.calls.measure(call, reply).await?;
        Ok(T::from_redis_value(reply).map_err(RedisError::from)?)
    }

    /// Sends one command to every master.
    pub(super) async fn query_all(&self, call: &'static str, command: &Cmd) -> Result<(), Fault> {
        let reply = self.within_deadline(|wire| async move { wire.ask_all(command).await });
        self.calls.measure(call, reply).await?;
        Ok(())
    }

    /// Sends several commands that share a key.
    pub(super) async fn query_many(
        &self,
        call: &'static str,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, Fault> {
        let replies = self.within_deadline(|wire| async move { wire.ask_many(commands).await });
        Ok(self.calls.measure(call, replies).await?)
    }

    async fn within_deadline<T, F>(&self, ask: impl FnOnce(Wire) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let full = || RedisError::from((ErrorKind::Client, "too many commands wait"));
        let _turn = self.turns.try_acquire().map_err(|_| full())?;
        let deadline = Instant::now() + self.answer_deadline;
        let Live { number, wire } = self.live(deadline).await.ok_or_else(too_late)?;
        let answer = timeout_at(deadline, ask(wire)).await;
        let answer = answer.unwrap_or_else(|_| Err(too_late()));
        if answer.as_ref().is_err_and(is_loss) {
            self.lost.send_if_modified(|lost| {
                let is_news = *lost < number;
                *lost = number.max(*lost);
                is_news
            });
        }
        answer
    }

    /// The connection, if there is one in time.
    async fn live(&self, deadline: Instant) -> Option<Live> {
        let mut live = self.live.clone();
        let found = timeout_at(deadline, live.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone()
    }
}

/// Connects again whenever the connection is lost.
struct Keeper {
    source: Source,
    live: watch::Sender<Option<Live>>,
    lost: watch::Receiver<u64>,
    /// The number of the newest connection.
    number: u64,
}

impl Keeper {
    /// Works until the last [`Connection`] is dropped. May be called again after a panic: until there
    /// is a new connection, the lost one counts as lost.
    async fn keep(&mut self) {
        let mut tries = interval(RECONNECT_PAUSE);
        tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Self {
            source,
            live,
            lost,
            number,
        } = self;
        while lost.wait_for(|lost| *lost >= *number).await.is_ok() {
            live.send_if_modified(|live| live.take_if(|live| live.wire.is_one_server()).is_some());
            let wire = loop {
                tries.tick().await;
                match source.connect().await {
                    Ok(wire) => break wire,
                    Err(error) => tracing::debug!(%error, "redis cannot be reached"),
                }
            };
            *number += 1;
            tracing::info!("connected to redis again");
            let number = *number;
            live.send_replace(Some(Live { number, wire }));
        }
    }
}

/// Why Redis cannot be used, as the sentence of a start.
pub(super) fn explain(url: &RedisUrl, error: &RedisError) -> ConnectError {
    let url = url.to_string();
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => ConnectError::Forbidden {
            url,
            command: refused_command(error),
        },
        ErrorKind::AuthenticationFailed => ConnectError::Unauthorised { url },
        _ if error.code() == Some("NOAUTH") || error.code() == Some("WRONGPASS") => {
            ConnectError::Unauthorised { url }
        }
        ErrorKind::MasterNameNotFoundBySentinel => ConnectError::NoMaster { url },
        _ => ConnectError::Unreachable {
            url,
            detail: error.to_string(),
        },
    }
}

/// The command that Redis refused, from `User ann has no permissions to run the 'info' command`.
fn refused_command(error: &RedisError) -> String {
    let text = error.detail().unwrap_or_default();
    let quoted = text.split('\'').nth(1).filter(|name| name.len() < 40);
    quoted.map_or_else(|| "a command".to_owned(), str::to_uppercase)
}

async fn check_version(url: &RedisUrl, wire: &Wire) -> Result<(), ConnectError> {
    let info = wire.ask_all(redis::cmd("INFO").arg("server")).await;
    let info = info.map_err(|error| explain(url, &error))?;
    let texts = texts(info);
    let lines = texts.iter().flat_map(|text| text.lines());
    let mut versions = lines.filter_map(|line| line.strip_prefix("redis_version:"));
    match versions.find(|version| !is_new_enough(version)) {
        None => Ok(()),
        Some(version) => Err(ConnectError::TooOld {
            url: url.to_string(),
            version: version.trim().to_owned(),
        }),
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version
        .trim()
        .split('.')
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= VERSION_MIN
}

/// A Redis that evicts keys would drop the ids of a log while its positions continue: a message
/// sent again would appear twice. Where the setting cannot be read, as with some providers, there
/// is only a warning.
async fn check_policy(url: &RedisUrl, wire: &Wire) -> Result<(), ConnectError> {
    let ask = redis::cmd("CONFIG")
        .arg("GET")
        .arg("maxmemory-policy")
        .clone();
    let answer = match wire.ask_all(&ask).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, "`broker`: cannot see whether maxmemory-policy is noeviction, as it must be");
            return Ok(());
        }
    };
    let texts = texts(answer);
    let mut policies = texts
        .windows(2)
        .filter(|pair| pair[0] == "maxmemory-policy");
    match policies.find(|pair| pair[1] != POLICY) {
        None => Ok(()),
        Some(pair) => Err(ConnectError::Forgetful {
            url: url.to_string(),
            policy: pair[1].clone(),
        }),
    }
}

/// The texts of a reply, at any depth, in their order.
fn texts(value: Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(&bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text],
        Value::Array(values) => values.into_iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs
            .into_iter()
            .flat_map(|(key, value)| [texts(key), texts(value)].concat())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_too_old() {
        for (version, is_good) in [
            ("7.0.15", true),
            ("10.2", true),
            ("6.2.1", false),
            ("7", true),
            ("unknown", false),
        ] {
            assert_eq!(is_new_enough(version), is_good, "{version}");
        }
    }
}
