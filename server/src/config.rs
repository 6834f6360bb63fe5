//! The settings of an operator: the typed configuration, and where each value came from.
//!
//! Four layers, each over the one before: defaults (with `PORT`), a TOML file, the environment
//! (`NOWRONG_…`), flags. [`layers::merge`] puts them together and [`Config::from_values`] checks every
//! value, both without IO; [`load`] reads the file around them. Unknown keys are refused in the file
//! and in flags, and warned of in the environment. Every error is one sentence that names the key and
//! where its value came from. The keys are listed in [`keys`].

use std::{
    ffi::OsString,
    net::SocketAddr,
    num::NonZero,
    path::{Path, PathBuf},
    time::Duration,
};

pub mod addresses;
mod advice;
pub mod categories;
pub mod cli;
mod environment;
pub mod keys;
pub mod layers;
mod paths;
mod print;
pub mod shown;
#[cfg(test)]
mod tests;
mod values;

pub use addresses::{Addresses, Origin, WEBSOCKET_PATH, WEBTRANSPORT_PATH, host_of};
use layers::{Layer, Source, Values};
use nowrong_base::{clock::MachineShift, files};
use nowrong_core::{limiter::Rate, network::TrustedProxies, proof::ProofRule, text::ReservedNames};
pub use print::to_toml;
use shown::{lines, one_line};

/// Everything an operator can set. Built by [`load`] or [`Config::default`], always checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What this node does. Default [`Role::All`].
    pub role: Role,
    /// Threads that serve connections and requests; `None`, the default, means one per core.
    /// Threads that wait for the disk are not included.
    pub threads: Option<NonZero<usize>>,
    /// Where REST and WebSocket listen (TCP). Default `127.0.0.1:8080`.
    pub listen_http: SocketAddr,
    /// Where WebTransport listens (UDP); `None` turns it off. Default `127.0.0.1:4433`: this machine
    /// only. In production `0.0.0.0:443` or `[::]:443` together with `public_url.*` and `tls.*`.
    pub listen_quic: Option<SocketAddr>,
    /// Whether small writes over WebTransport are sent again, in datagrams, to clients whose link
    /// loses packets. Default true.
    pub fast_path: bool,
    /// Where `GET /metrics` is served (TCP), only for Prometheus; `None`, the default, turns it
    /// off.
    pub listen_metrics: Option<SocketAddr>,
    /// Where all data is kept, or, with a store elsewhere, only what belongs to this node.
    pub data: Data,
    /// Who coordinates the nodes.
    pub broker: BrokerChoice,
    /// The store.
    pub store: StoreChoice,
    /// Whether a start brings the store's collections up to date. Default true.
    pub migrate_at_start: bool,
    /// The proxies in front of REST and WebSocket that are believed about who is behind them. Default:
    /// none.
    pub trusted_proxies: TrustedProxies,
    /// Whether connections from a trusted proxy to `listen_http` begin with PROXY protocol version 2.
    /// Default false.
    pub proxy_protocol: bool,
    /// The addresses that clients are told to connect to, where they differ from the listen
    /// addresses.
    pub public_url: PublicUrl,
    /// Web origins that may use this server; empty means the server's own on this machine.
    pub origins: Vec<Origin>,
    /// Where the certificate comes from.
    pub tls: Tls,
    /// A folder of static files to serve at `/`.
    pub web_root: Option<PathBuf>,
    /// What is never served, whatever `web_root` leads to while the server runs: the places of the data, keys
    /// and other private files at the start. Empty without `web_root`.
    pub never_served: Vec<PathBuf>,
    /// Inline scripts that pages may run, as `sha256-…` of the Content-Security-Policy.
    pub script_hashes: Vec<String>,
    /// Names that nobody can have.
    pub reserved_names: ReservedNames,
    /// A file of categories that replaces the built-in ones.
    pub categories: Option<PathBuf>,
    /// How the log is written.
    pub log: LogSettings,
    /// How much one client and all together may use.
    pub limits: ClientLimits,
    /// Least room on the disk of the embedded store, in bytes: with less, the node takes nothing new. Default 256 MB.
    pub disk_free_min: u64,
    /// Longest life of a chat and its messages. At most 24 h.
    pub retention: Duration,
    /// How long an ended chat can still be read.
    pub grace: Duration,
    /// An account that was not used for this long is erased.
    pub account_idle: Duration,
    /// Accounts younger than this meet each other first; zero: nobody counts as new. Default one hour.
    pub newcomer_age: Duration,
    /// How long the seat of a member without a connection is held.
    pub seat_hold: Duration,
    /// A chat in which nothing was said for this long gets a notice.
    pub idle_notice: Duration,
    /// A chat in which nothing was said for this long ends.
    pub idle_end: Duration,
    /// Longest time of a graceful stop.
    pub drain: Duration,
    /// A signing key older than this is replaced: at the next start, or on MongoDB while nodes run.
    pub signing_key_age: Duration,
    /// A clock that is off by more than this makes the node stand aside. Default one minute.
    pub clock_off_max: Duration,
    /// How long a leap of the machine's clock must last before the embedded store erases by it.
    /// Default ten minutes.
    pub clock_hold: Duration,
    /// Makes the machine's clock look wrong: for tests.
    pub clock_ahead: MachineShift,
}

/// What a node does. A node with a role other than [`Role::All`] is a part of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    All,
    /// Connections of clients; of HTTP only the WebSocket and the health of the node.
    Realtime,
    /// REST: accounts, categories, and the addresses of nodes that accept connections.
    Rest,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::All, Self::Realtime, Self::Rest];

    /// Its name, as in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Realtime => "realtime",
            Self::Rest => "rest",
        }
    }

    /// Whether clients connect to such a node.
    pub const fn takes_clients(self) -> bool {
        !matches!(self, Self::Rest)
    }
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In the data folder, or in memory.
    Embedded,
    /// On MongoDB.
    #[cfg(feature = "mongodb")]
    MongoDb(nowrong_store_mongodb::MongoOptions),
}

/// Where all data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In memory: lost when the process ends.
    Memory,
    /// In this folder.
    Folder(PathBuf),
}

/// Who coordinates the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerChoice {
    /// No coordination: there is only one node.
    Local,
    /// Redis, or a Redis Cluster, and the prefix of all keys there.
    #[cfg(feature = "redis")]
    Redis(
        nowrong_broker_redis::RedisUrl,
        nowrong_broker_redis::KeyPrefix,
    ),
}

impl Config {
    /// Where the data is, without user and password: for people.
    pub fn store_place(&self) -> String {
        match (&self.store, &self.data) {
            #[cfg(feature = "mongodb")]
            (StoreChoice::MongoDb(options), _) => format!("mongodb {}", options.place()),
            (StoreChoice::Embedded, Data::Memory) => "memory: lost at the end".to_owned(),
            (StoreChoice::Embedded, Data::Folder(folder)) => {
                format!("embedded in {}", folder.display())
            }
        }
    }

    /// Who coordinates the nodes, without user and password: for people.
    pub fn broker_place(&self) -> String {
        match &self.broker {
            BrokerChoice::Local => "local".to_owned(),
            #[cfg(feature = "redis")]
            BrokerChoice::Redis(url, _) => url.to_string(),
        }
    }
}

/// The addresses that clients are told to connect to; `None` is derived from the listen address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicUrl {
    /// `https://host:port/path`.
    pub webtransport: Option<String>,
    /// `ws://` or `wss://` URL.
    pub websocket: Option<String>,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// A development certificate for this machine and these names.
    Development {
        /// More host names or addresses.
        names: Vec<String>,
    },
    /// PEM files, reloaded when they change.
    Pem {
        /// The chain, the node's own certificate first.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// How the log is written, to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Its form.
    pub format: LogFormat,
    /// Least severe level that is written.
    pub level: LogLevel,
}

impl LogSettings {
    /// The filter for `tracing_subscriber::EnvFilter`. Libraries are silent: some of them write
    /// addresses of clients, which no log of ours may hold.
    pub fn directives(self) -> String {
        format!("off,nowrong={}", self.level.as_str())
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The levels of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the usual five")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// Its name, as in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How much one client and all together may use. A prefix is an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Most connections of this node; further clients get `OVERLOADED`.
    pub connections_max: u32,
    /// Most connections of one prefix: many people share one address behind a mobile network.
    pub connections_per_prefix_max: u32,
    /// New connections of one prefix.
    pub handshakes: Rate,
    /// New accounts of one prefix.
    pub register: Rate,
    /// The work that a new account costs its device.
    pub proof: ProofRule,
    /// Other REST calls of one prefix; each route counts for itself.
    pub requests: Rate,
    /// All REST calls of one account together.
    pub account: Rate,
    /// Bytes of the texts that the people of one prefix send to this node.
    pub texts: Rate,
}

impl Default for Config {
    fn default() -> Self {
        layers::merge(Vec::new())
            .and_then(|values| Self::from_values(&values))
            .expect("a test reads every default")
    }
}

/// A configuration and where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration in force.
    pub config: Config,
    /// The same as text, with sources: for `nowrong config`.
    pub values: Values,
    /// What was not used, and other advice: a sentence each.
    pub warnings: Vec<String>,
}

/// Why the configuration cannot be used. One sentence each, in which nothing that was written there can
/// change a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key that does not exist.
    #[error(
        "unknown key `{}` ({source_of_it}); did you mean `{nearest}`?",
        one_line(key)
    )]
    Unknown {
        /// As written.
        key: String,
        /// Where it was written.
        source_of_it: Source,
        /// The known key that is spelled most like it.
        nearest: &'static str,
    },
    /// A value that cannot be used.
    #[error("`{key}` {} ({source_of_it})", one_line(detail))]
    Invalid {
        /// Which key.
        key: &'static str,
        /// The fault; it completes the sentence that the key begins.
        detail: String,
        /// Where the value came from.
        source_of_it: Source,
    },
    /// A file that cannot be used.
    #[error("cannot use the file {}: {}", one_line(&path.to_string_lossy()), lines(detail))]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// An environment variable or flag that cannot be read as `KEY=VALUE`.
    #[error("{}", one_line(.0))]
    Malformed(String),
}

/// Reads the file that flags or environment name, and merges all layers.
///
/// `environment` is every variable of the process; those that begin with `NOWRONG_` count.
///
/// # Errors
/// [`ConfigError`]: the first thing that is wrong.
pub fn load(
    flags: &cli::Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let environment = environment::read(environment)?;
    let mut all: Vec<Layer> = vec![environment.port];
    let file = flags.config.clone().or(environment.file);
    if let Some(path) = &file {
        all.push(layers::file(path, &read(path)?)?);
    }
    all.push(environment.layer);
    all.push(flags.layer()?);
    let values = layers::merge(all)?;
    let mut config = Config::from_values(&values)?;
    config.check_paths(&values, file.as_deref())?;
    Ok(Loaded {
        config,
        values,
        warnings: environment.warnings,
    })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    files::read_text(path).map_err(|error| ConfigError::File {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}
