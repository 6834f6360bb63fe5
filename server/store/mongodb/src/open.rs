//! Connecting: turns a connection string into a database on which the store can keep its promises,
//! or into one sentence that says why not.
//!
//! A connection string contains a password, and the driver's messages may quote it, so only those parts of
//! them are passed on that cannot: the causes that the network and TLS report ([`causes`]).

use std::{path::PathBuf, time::Duration};

use mongodb::{
    Client, Database,
    bson::{Bson, Document, doc},
    error::{Error, ErrorKind},
    options::{
        Acknowledgment, ClientOptions, ConnectionString, HostInfo, ReadConcern, ReadPreference,
        SelectionCriteria, Tls, WriteConcern,
    },
};
use nowrong_base::{files, privacy::Redacted, secret::ClusterSecret};
use tokio::time::timeout;

use super::fault::describe;

/// The database, if the connection string names none.
const DATABASE: &str = "nowrong";

/// Oldest server with everything that the store needs: snapshot reads and fast time-to-live
/// deletion.
const OLDEST: (u32, u32) = (6, 0);

/// How many connections may be set up at once: a node that starts under load needs its pool soon.
const CONNECTING_MAX: u32 = 8;

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongoOptions {
    /// The connection string.
    pub url: Redacted<String>,
    /// Most connections to one server.
    pub connections_max: u32,
    /// How long a call may take, and the search for a server.
    pub timeout: Duration,
    /// The secret that the nodes share; the names in the database depend on it.
    pub secret: ClusterSecret,
}

/// Why the store cannot be used. One sentence each, which names the setting and never quotes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not a connection string.
    #[error(
        "`store` is not a MongoDB connection string such as mongodb://user:password@host:27017/nowrong"
    )]
    Malformed,
    /// The name of a `mongodb+srv` string cannot be resolved.
    #[error("`store` names a host that DNS does not know as a MongoDB cluster")]
    Unknown,
    /// No server responds there.
    #[error("`store`: no MongoDB primary answers at {hosts} within {timeout:?}{cause}")]
    Unreachable {
        /// Hosts and ports.
        hosts: String,
        /// For how long it was tried.
        timeout: Duration,
        /// What the driver reported, and what to look at.
        cause: String,
    },
    /// A file for TLS cannot be used.
    #[error("`store`: a file for TLS in the connection string cannot be used: {0}")]
    TlsFile(String),
    /// It refuses the user name or password.
    #[error("`store`: the MongoDB at {hosts} refuses the user name or password")]
    Refused {
        /// Hosts and ports.
        hosts: String,
    },
    /// It is too old for the store.
    #[error("`store`: the MongoDB at {hosts} is version {version}; 6.0 or later is needed")]
    TooOld {
        /// Hosts and ports.
        hosts: String,
        /// What it says it is.
        version: String,
    },
    /// It cannot do transactions.
    #[error(
        "`store`: the MongoDB at {hosts} is not a replica set; start it with --replSet and run rs.initiate(), one member is enough"
    )]
    NotReplicated {
        /// Hosts and ports.
        hosts: String,
    },
    /// Any other reason.
    #[error("`store`: the MongoDB at {hosts} cannot be used: {detail}")]
    Other {
        /// Hosts and ports.
        hosts: String,
        /// Why, without quoting data.
        detail: String,
    },
}

impl MongoOptions {
    /// Where the data is, without user and password: hosts and the name of the database.
    pub fn place(&self) -> String {
        let Ok(string) = ConnectionString::parse(self.url.expose()) else {
            return "unknown".to_owned();
        };
        let hosts = match &string.host_info {
            HostInfo::HostIdentifiers(hosts) => {
                let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
                hosts.join(",")
            }
            HostInfo::DnsRecord(name) => name.clone(),
            _ => "unknown".to_owned(),
        };
        let database = string.default_database.as_deref().unwrap_or(DATABASE);
        format!("{hosts}/{database}")
    }
}

/// Whether `text` can be a connection string; this does not check whether a server is there.
pub fn is_connection_string(text: &str) -> bool {
    ConnectionString::parse(text).is_ok()
}

/// The file with a private key that a connection string names, if it does, as the driver reads it: the
/// names of options in any case, every character escaped or not.
pub fn key_file(text: &str) -> Option<PathBuf> {
    match ConnectionString::parse(text).ok()?.tls? {
        Tls::Enabled(options) => options.cert_key_file_path,
        Tls::Disabled => None,
    }
}

/// Connects and checks whether the server is suitable. `tune` may change the options at the end.
pub(super) async fn connect(
    options: &MongoOptions,
    tune: impl FnOnce(&mut ClientOptions),
) -> Result<Database, OpenError> {
    let url = options.url.expose();
    let string = ConnectionString::parse(url).map_err(|_| OpenError::Malformed)?;
    // A name is resolved here; the driver's own time limit for that is longer than ours.
    let parsed = timeout(options.timeout, ClientOptions::parse(string)).await;
    let parsed = parsed.map_err(|_| OpenError::Unknown)?;
    let mut parsed = parsed.map_err(|error| match *error.kind {
        ErrorKind::DnsResolve { .. } => OpenError::Unknown,
        _ => OpenError::Malformed,
    })?;
    settle(&mut parsed, options);
    tune(&mut parsed);
    let hosts: Vec<_> = parsed.hosts.iter().map(ToString::to_string).collect();
    let hosts = hosts.join(", ");
    let name = parsed.default_database.clone();
    look_at_files(&parsed)?;
    let client = Client::with_options(parsed).map_err(|error| match &*error.kind {
        ErrorKind::InvalidTlsConfig { message, .. } => OpenError::TlsFile(message.clone()),
        ErrorKind::Io(error) => OpenError::TlsFile(error.to_string()),
        _ => OpenError::Malformed,
    })?;
    let database = client.database(name.as_deref().unwrap_or(DATABASE));
    let looked = timeout(options.timeout * 2, look(&database)).await;
    let judged = match looked {
        Err(_) => Err(OpenError::Unreachable {
            hosts: hosts.clone(),
            timeout: options.timeout * 2,
            cause: advise_about(&[]),
        }),
        Ok(Err(error)) => Err(refusal(&error, &hosts, options)),
        Ok(Ok((hello, version))) => judge(&hello, &version, &hosts),
    };
    match judged {
        Ok(()) => {
            advise(&database).await;
            Ok(database)
        }
        Err(error) => {
            client.shutdown().immediate(true).await;
            Err(error)
        }
    }
}

/// Reads the files for TLS before the driver does, which would wait for a pipe.
fn look_at_files(parsed: &ClientOptions) -> Result<(), OpenError> {
    let Some(Tls::Enabled(tls)) = &parsed.tls else {
        return Ok(());
    };
    for path in [&tls.ca_file_path, &tls.cert_key_file_path]
        .into_iter()
        .flatten()
    {
        files::read(path)
            .map_err(|error| OpenError::TlsFile(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// Sets the options that the store requires, regardless of the connection string, and defaults.
fn settle(parsed: &mut ClientOptions, options: &MongoOptions) {
    let journaled = WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(options.timeout)
        .build();
    parsed.write_concern = Some(journaled);
    parsed.read_concern = Some(ReadConcern::majority());
    parsed.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    parsed.retry_writes = Some(true);
    parsed.retry_reads = Some(true);
    parsed.app_name = Some("nowrong".to_owned());
    parsed.max_pool_size.get_or_insert(options.connections_max);
    parsed.max_connecting.get_or_insert(CONNECTING_MAX);
    parsed.connect_timeout.get_or_insert(options.timeout);
    // A little shorter than a call, so that the more specific error of the selection is reported.
    let selection = options.timeout * 4 / 5;
    parsed.server_selection_timeout.get_or_insert(selection);
}

/// The parameter of the server that ends the transactions of a node that died.
const TRANSACTION_LIFETIME: &str = "transactionLifetimeLimitSeconds";

/// The server's description of itself, in two replies; the second needs the password.
async fn look(database: &Database) -> Result<(Document, String), Error> {
    let admin = database.client().database("admin");
    let hello = admin.run_command(doc! { "hello": 1 }).await?;
    let build = admin.run_command(doc! { "buildInfo": 1 }).await?;
    let version = build.get_str("version").unwrap_or("unknown");
    Ok((hello, version.to_owned()))
}

/// Logs a setting of the server that is bad for a cluster. Without the right to read it, logs
/// nothing.
async fn advise(database: &Database) {
    let admin = database.client().database("admin");
    let ask = doc! { "getParameter": 1, TRANSACTION_LIFETIME: 1 };
    let Ok(answer) = admin.run_command(ask).await else {
        return;
    };
    if let Some(Bson::Int32(seconds @ 11..)) = answer.get(TRANSACTION_LIFETIME) {
        tracing::info!(
            "a node that dies in the middle of a step keeps chats locked for up to {seconds} s: set {TRANSACTION_LIFETIME} to 10 on each MongoDB server"
        );
    }
}

fn judge(hello: &Document, version: &str, hosts: &str) -> Result<(), OpenError> {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let hosts = hosts.to_owned();
    if found < OLDEST {
        let version = version.to_owned();
        return Err(OpenError::TooOld { hosts, version });
    }
    if !hello.contains_key("setName") && !is_router(hello) {
        return Err(OpenError::NotReplicated { hosts });
    }
    Ok(())
}

/// Whether the server is the router of a sharded cluster.
pub(super) fn is_router(hello: &Document) -> bool {
    hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid")
}

fn refusal(error: &Error, hosts: &str, options: &MongoOptions) -> OpenError {
    let (hosts, timeout) = (hosts.to_owned(), options.timeout);
    match &*error.kind {
        ErrorKind::Authentication { .. } => OpenError::Refused { hosts },
        ErrorKind::ServerSelection { message, .. } if is_too_old(message) => OpenError::TooOld {
            hosts,
            version: "too old for this driver".to_owned(),
        },
        ErrorKind::ServerSelection { message, .. } => OpenError::Unreachable {
            hosts,
            timeout,
            cause: advise_about(&causes(message, options.url.expose())),
        },
        ErrorKind::Io(error) => OpenError::Unreachable {
            hosts,
            timeout,
            cause: advise_about(&[error.kind().to_string()]),
        },
        ErrorKind::ConnectionPoolCleared { .. } => OpenError::Unreachable {
            hosts,
            timeout,
            cause: advise_about(&[]),
        },
        kind => OpenError::Other {
            hosts,
            detail: describe(kind),
        },
    }
}

/// Most characters of a cause that are passed on.
const CAUSE_CHARS_MAX: usize = 200;

/// What the driver says about each server that it tried: the errors of the network and of TLS in the
/// text of a failed selection, each once. Nothing of it comes from the connection string; should a
/// cause hold its password nevertheless, it is left out.
fn causes(message: &str, url: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in message.split("Error: Kind: I/O error: ").skip(1) {
        let cause = part.split(", labels: ").next().unwrap_or_default();
        let cause: String = cause.chars().take(CAUSE_CHARS_MAX).collect();
        let is_safe = password_of(url).is_none_or(|password| !cause.contains(password));
        if is_safe && !found.contains(&cause) {
            found.push(cause);
        }
    }
    found
}

fn password_of(url: &str) -> Option<&str> {
    let (user, _host) = url.split_once("://")?.1.rsplit_once('@')?;
    let (_name, password) = user.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

/// The causes as the end of a sentence, with what to look at.
fn advise_about(causes: &[String]) -> String {
    let said = causes.join("; ");
    let speaks_of = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let advice = if speaks_of(&["certificate", "TLS", "tls", "corrupt message", "handshake"]) {
        "look at `tls`, `tlsCAFile` and `tlsCertificateKeyFile` of the connection string"
    } else if speaks_of(&["end of file", "reset", "closed"]) {
        "does the server ask for TLS (`tls=true`)?"
    } else {
        "is it running, and is its replica set initiated?"
    };
    let colon = if said.is_empty() { "" } else { ": " };
    format!("{colon}{said}; {advice}")
}

/// Whether the driver rejected a server because of its wire version: it has no error kind for that.
fn is_too_old(message: &str) -> bool {
    message.contains("wire version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_that_the_driver_reported_is_kept_without_the_password() {
        let message = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ { Address: h:1, Type: Unknown, Error: Kind: I/O error: invalid peer certificate: UnknownIssuer, labels: {}, source: None, server response: None }, { Address: h:2, Type: Unknown, Error: Kind: I/O error: invalid peer certificate: UnknownIssuer, labels: {} } ] }";
        let url = "mongodb://ann:s3cret@h:1,h:2/";
        let cause = "invalid peer certificate: UnknownIssuer".to_owned();
        let found = causes(message, url);
        assert_eq!(found, [cause]);
        assert!(advise_about(&found).ends_with("of the connection string"));
        let quoting = message.replace("UnknownIssuer", "s3cret");
        assert!(causes(&quoting, url).is_empty());
        assert!(advise_about(&[]).starts_with("; is it running"));
    }

    #[test]
    fn old_and_single_servers_are_refused() {
        let set = doc! { "setName": "rs" };
        let judge = |hello: &Document, version| judge(hello, version, "h:1");
        assert_eq!(judge(&set, "6.0.5"), Ok(()));
        assert_eq!(judge(&set, "10.1.0-rc0"), Ok(()));
        assert_eq!(judge(&doc! { "msg": "isdbgrid" }, "7.0.1"), Ok(()));
        assert!(matches!(
            judge(&set, "5.0.9"),
            Err(OpenError::TooOld { .. })
        ));
        assert!(matches!(
            judge(&set, "nonsense"),
            Err(OpenError::TooOld { .. })
        ));
        let single = judge(&Document::new(), "6.0.5");
        assert!(matches!(single, Err(OpenError::NotReplicated { .. })));
    }
}
