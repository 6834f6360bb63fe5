//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use toml::Value;

use super::{
    ConfigError,
    layers::{Entry, Layer, Source},
};

/// Anonymous, ephemeral, realtime chat: the NoWrong server.
#[derive(Debug, Parser)]
#[command(name = "nowrong", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the server. Needs no arguments.
    Serve(Flags),
    /// Prints the configuration in force as TOML, with the source of each value.
    Config(Flags),
    /// Shows or changes the structure of the collections in MongoDB.
    Migrate {
        /// What to do.
        #[command(subcommand)]
        action: MigrateAction,
    },
    /// Prints the categories in force, as the text of a file.
    Categories(Box<CategoriesFlags>),
    /// Makes a new key that signs access tokens; also while servers run. It signs in five minutes. The key
    /// before is refused ten minutes later, when the last of its tokens has lapsed: nobody is logged out.
    RotateKeys(Box<Flags>),
    /// Prints the OpenAPI document of the REST interface.
    Openapi,
}

/// The command `categories`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CategoriesFlags {
    /// What else to do.
    #[command(subcommand)]
    pub action: Option<CategoriesAction>,
    /// The configuration.
    #[command(flatten)]
    pub flags: Flags,
}

/// What to do with the categories.
#[derive(Debug, Subcommand)]
pub enum CategoriesAction {
    /// Puts the categories of a file into the database, from where each node takes them at its next
    /// start. From now on the database decides, and the key `categories` does not.
    Import {
        /// The file.
        file: PathBuf,
        /// The configuration.
        #[command(flatten)]
        flags: Flags,
    },
}

/// What to do with the collections.
#[derive(Debug, Subcommand)]
pub enum MigrateAction {
    /// Runs the missing steps.
    Up(Flags),
    /// Undoes the newest step; data of people stays.
    Down(Flags),
    /// Prints every step and whether it is done.
    Status(Flags),
}

/// Flags that set the configuration. Each is also a key of the file and an environment variable:
/// `--log-level`, `log.level`, `NOWRONG_LOG__LEVEL`.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// TOML file with the configuration (also `NOWRONG_CONFIG`).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// "all", or in a cluster "realtime" or "rest" [default: all].
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Address and port of REST and WebSocket (TCP) [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub listen_http: Option<String>,
    /// Address and port of WebTransport (UDP), or "off" [default: 127.0.0.1:4433].
    #[arg(long, value_name = "ADDRESS")]
    pub listen_quic: Option<String>,
    /// Folder in which everything is kept, or "memory" [default: ./data].
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<String>,
    /// "embedded", or a MongoDB connection string; with a password better as `NOWRONG_STORE`, which
    /// other users of the machine cannot see [default: embedded].
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// "local", or the URL of the Redis that all nodes share; with a password better as
    /// `NOWRONG_BROKER` [default: local].
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// Folder of static files to serve at /.
    #[arg(long, value_name = "FOLDER")]
    pub web_root: Option<String>,
    /// A web origin that may use this server, such as `https://chat.example`; may be repeated.
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
    /// PEM file of the certificate chain.
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// PEM file of its key.
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// "text" or "json" [default: text].
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// "error", "warn", "info", "debug" or "trace" [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Makes the machine's clock look ahead: for tests [default: 0s].
    #[arg(long, value_name = "TIME")]
    pub clock_ahead: Option<String>,
    /// Any other key, such as limits.connections_max=500; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Flags {
    /// The layer of the flags.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] when `--set` has no `=`.
    pub fn layer(&self) -> Result<Layer, ConfigError> {
        let named = [
            ("role", "--role", &self.role),
            ("listen_http", "--listen-http", &self.listen_http),
            ("listen_quic", "--listen-quic", &self.listen_quic),
            ("data", "--data", &self.data),
            ("store", "--store", &self.store),
            ("broker", "--broker", &self.broker),
            ("web_root", "--web-root", &self.web_root),
            ("tls.cert", "--tls-cert", &self.tls_cert),
            ("tls.key", "--tls-key", &self.tls_key),
            ("log.format", "--log-format", &self.log_format),
            ("log.level", "--log-level", &self.log_level),
            ("clock_ahead", "--clock-ahead", &self.clock_ahead),
        ];
        let mut layer: Layer = named
            .into_iter()
            .filter_map(|(key, flag, value)| Some(entry(key, flag, value.clone()?)))
            .collect();
        if !self.origins.is_empty() {
            layer.push(entry("origins", "--origin", self.origins.join(",")));
        }
        for pair in &self.set {
            // Not quoted: it may be a value without its key, such as a URL with a password.
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                ConfigError::Malformed("--set takes KEY=VALUE, and one has no `=`".to_owned())
            })?;
            layer.push(entry(key, "--set", value.to_owned()));
        }
        Ok(layer)
    }
}

fn entry(key: &str, flag: &str, value: String) -> (String, Entry) {
    let source = Source::Flag(flag.to_owned());
    let value = Value::String(value);
    (key.to_owned(), Entry { value, source })
}
