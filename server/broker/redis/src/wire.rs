//! One connection to Redis: it is made, used, and discarded when it is lost.

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult,
    ServerErrorKind, TlsMode, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use std::time::Duration;

use super::url::{RedisUrl, Shape};

/// How long opening a connection may take.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// A connection that many tasks share.
#[derive(Clone)]
pub(super) enum Wire {
    /// To a single server, or the master that the sentinels named.
    Server(MultiplexedConnection),
    /// To a Redis Cluster: each command goes to the server of its slot.
    Cluster(ClusterConnection),
}

impl Wire {
    pub(super) async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self.clone() {
            Self::Server(mut server) => server.req_packed_command(command).await,
            Self::Cluster(mut cluster) => cluster.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }

    /// Sends a command to every master; the replies come together in one value.
    pub(super) async fn ask_all(&self, command: &Cmd) -> RedisResult<Value> {
        let Self::Cluster(mut cluster) = self.clone() else {
            return self.ask(command).await;
        };
        let everywhere = (MultipleNodeRoutingInfo::AllMasters, None::<ResponsePolicy>);
        let answer = cluster.route_command(command.clone(), RoutingInfo::MultiNode(everywhere));
        answer.await.and_then(Value::extract_error)
    }

    /// Sends several commands about one key at once.
    pub(super) async fn ask_many(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        match self.clone() {
            Self::Server(mut server) => commands.query_async(&mut server).await,
            Self::Cluster(mut cluster) => commands.query_async(&mut cluster).await,
        }
    }

    /// Whether it is lost completely with one server. The connection to a cluster continues with
    /// the other servers.
    pub(super) fn is_one_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

/// Whether the error means that the connection is broken, or leads to a server that is not a
/// master.
pub(super) fn is_loss(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::Parse
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
            )
    )
}

/// Makes connections.
pub(super) struct Source {
    url: RedisUrl,
    answer_deadline: Duration,
    /// Made with the first connection, and kept with its connections to the sentinels.
    sentinels: Option<SentinelClient>,
}

impl Source {
    pub(super) fn new(url: RedisUrl, answer_deadline: Duration) -> Self {
        Self {
            url,
            answer_deadline,
            sentinels: None,
        }
    }

    /// Connects to the server, the cluster, or the current master according to the sentinels.
    pub(super) async fn connect(&mut self) -> RedisResult<Wire> {
        // A sentinel is asked first, and then the server, whether it is a master.
        let connecting = tokio::time::timeout(2 * CONNECT_DEADLINE, self.connect_now());
        connecting.await.unwrap_or_else(|_| Err(too_late()))
    }

    async fn connect_now(&mut self) -> RedisResult<Wire> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(Some(self.answer_deadline));
        match self.url.shape.clone() {
            Shape::Single => {
                let server = self.url.servers[0].clone();
                let client = match self.url.tls.read_again()? {
                    None => Client::open(server)?,
                    Some(files) => Client::build_with_tls(server, files)?,
                };
                let connecting = client.get_multiplexed_async_connection_with_config(&config);
                connecting.await.map(Wire::Server)
            }
            Shape::Sentinel { service } => {
                let sentinels = match &mut self.sentinels {
                    Some(sentinels) => sentinels,
                    none => none.insert(sentinels(&self.url, &service)?),
                };
                let connecting = sentinels.get_async_connection_with_config(&config);
                connecting.await.map(Wire::Server)
            }
            Shape::Cluster => {
                let mut builder = ClusterClientBuilder::new(self.url.servers.clone())
                    .connection_timeout(CONNECT_DEADLINE)
                    .response_timeout(self.answer_deadline)
                    .overall_response_timeout(Some(self.answer_deadline));
                if let Some(files) = self.url.tls.read_again()? {
                    builder = builder.certs(files);
                }
                let client = builder.build()?;
                client.get_async_connection().await.map(Wire::Cluster)
            }
        }
    }
}

/// The sentinels of the URL, which are asked for the master called `service`.
fn sentinels(url: &RedisUrl, service: &str) -> RedisResult<SentinelClient> {
    let addresses = url.servers.iter().map(|server| server.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?;
    let first = &url.servers[0];
    let settings = first.redis_settings();
    builder = builder.set_client_to_redis_db(settings.db());
    if let Some(username) = settings.username() {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if matches!(first.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(files) = url.tls.read_again()? {
        builder = builder
            .set_client_to_redis_certificates(files.clone())
            .set_client_to_sentinel_certificates(files);
    }
    builder.build()
}

/// The error for a reply that did not come in time.
pub(super) fn too_late() -> RedisError {
    RedisError::from((ErrorKind::Io, "no answer in time"))
}
