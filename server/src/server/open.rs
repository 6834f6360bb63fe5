//! Opens the parts that a start needs: store, broker, keys, certificates, listeners. Each failure
//! is one sentence that says what to do.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use nowrong_base::{clock::Clock, metrics::Metrics, privacy::PseudonymKey};
use nowrong_broker::{Broker, local::LocalBroker};
use nowrong_certs::{Fault, Identity};
use nowrong_core::{
    clock::Bounds,
    record::{Category, UnixMs},
};
use nowrong_quic::{Endpoint, QuicKey};
use nowrong_store::{Store, StoreId, secrets::SecretStore, wrapping::WrappingStore};
use nowrong_store_embedded::EmbeddedStore;
use tokio::net::TcpListener;

use super::categories;
use crate::{
    auth::{
        AccessTokens,
        keys::{SigningKeys, shared::SharedKeys},
    },
    config::{self, Config, Data, StoreChoice, Tls},
    day_keys::{KeyPlace, NodeKeys},
    disk::Disk,
    environment::Environment,
    timekeeper::{self, Timekeeper},
    transport::webtransport,
};

/// Everything that a start opens before the listeners.
pub(super) struct Opened {
    pub(super) env: Environment,
    pub(super) categories: Arc<[Category]>,
    pub(super) identity: Identity,
    /// The keys that sign access tokens.
    pub(super) access: Arc<AccessTokens>,
    /// The key that turns addresses into pseudonyms.
    pub(super) pseudonyms: Arc<PseudonymKey>,
    /// Keeps the time of the node.
    pub(super) timekeeper: Arc<Timekeeper>,
    /// The store and the keys with which it wraps, if it does.
    pub(super) wrapping: Option<Wrapping>,
}

impl Opened {
    /// Opens the store and the broker, and reads the data that a start needs.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let clock = Clock::with_machine(config.clock_ahead.clone());
        let metrics = Arc::new(Metrics::default());
        let Stores {
            store,
            secrets,
            wrapping,
        } = store(config, &clock, &metrics).await?;
        // Before anything is written, and before the others see this node.
        let start = timekeeper::Start::learn(&*store, &clock, bounds(config)).await?;
        // A user who may only read would be noticed by the first person who registers.
        store
            .check()
            .await
            .context("`store` cannot be written to")?;
        let store_id = store.identity().await.context(
            "`store`: its identity cannot be read; its user needs the right listCollections, which the role readWrite has",
        )?;
        let env = Environment {
            broker: broker(&config.broker, store_id, &metrics).await?,
            store,
            clock,
            disk: disk(config, &metrics),
            metrics,
        };
        env.broker
            .check()
            .await
            .context("`broker` cannot be used")?;
        if let Some(wrapping) = &wrapping {
            wrapping.begin(config, env.broker.clone()).await?;
        }
        let timekeeper = Timekeeper::start(start, env.clone(), store_id).await;
        let identity = identity(config, &env.clock)?;
        let (access, pseudonyms) = access(config, secrets, env.clock.now()).await?;
        // Last, since it may change what is stored.
        let categories = categories::at_start(config, &*env.store).await?;
        Ok(Self {
            env,
            categories,
            identity,
            access: Arc::new(access),
            pseudonyms: Arc::new(pseudonyms),
            timekeeper,
            wrapping,
        })
    }
}

/// The disk of the embedded store; a store elsewhere looks after itself.
fn disk(config: &Config, metrics: &Metrics) -> Arc<Disk> {
    match (&config.store, &config.data) {
        (StoreChoice::Embedded, Data::Folder(folder)) => {
            Disk::watched(folder, config.disk_free_min, metrics)
        }
        _ => Disk::none(),
    }
}

/// The store alone, for a command that needs nothing else.
pub async fn store_alone(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let (clock, metrics) = (Clock::default(), Metrics::default());
    Ok(store(config, &clock, &metrics).await?.store)
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        off_max_ms: config.clock_off_max.as_millis() as u64,
        hold_ms: config.clock_hold.as_millis() as u64,
    }
}

/// The store, and the same store as the place of shared secrets if nodes can share it.
struct Stores {
    store: Arc<dyn Store>,
    secrets: Option<Arc<dyn SecretStore>>,
    wrapping: Option<Wrapping>,
}

/// A store that wraps, and the keys with which it does.
#[derive(Clone)]
pub(super) struct Wrapping {
    pub(super) keys: Arc<NodeKeys>,
    pub(super) store: Arc<dyn WrappingStore>,
}

impl Wrapping {
    /// Makes sure that this node belongs to the data, gets its keys, and leaves nothing in clear.
    async fn begin(&self, config: &Config, broker: Arc<dyn Broker>) -> anyhow::Result<()> {
        let knows = self.store.knows_secret().await;
        if !knows.context("`store`: what it says of `cluster_secret` cannot be read")? {
            bail!(
                "`cluster_secret` is not the one with which the database in `store` was begun: set that one on every node, or drop the database, whose data lives for a day at most, and remove `day-keys` from the data folders"
            );
        }
        let folder = match &config.data {
            Data::Memory => None,
            Data::Folder(folder) => Some(folder.as_path()),
        };
        let place = KeyPlace {
            folder,
            broker,
            is_shared: config.broker != config::BrokerChoice::Local,
        };
        let has_accounts = self.store.has_accounts().await;
        let has_accounts = has_accounts.context("`store`: the accounts cannot be read")?;
        self.keys.begin(place, !has_accounts).await?;
        let wrapped = self.store.wrap_clear().await;
        let wrapped = wrapped.context(
            "`store`: what an older version has stored in clear cannot be wrapped; start again",
        )?;
        if wrapped > 0 {
            tracing::info!(
                documents = wrapped,
                "wrapped what an older version has stored"
            );
        }
        Ok(())
    }
}

async fn store(
    config: &Config,
    #[cfg_attr(not(feature = "mongodb"), expect(unused_variables))] clock: &Clock,
    metrics: &Metrics,
) -> anyhow::Result<Stores> {
    let embedded = match (&config.store, &config.data) {
        #[cfg(feature = "mongodb")]
        (StoreChoice::MongoDb(options), _) => {
            return mongodb(config, options, clock, metrics).await;
        }
        (StoreChoice::Embedded, Data::Memory) => EmbeddedStore::in_memory()?,
        (StoreChoice::Embedded, Data::Folder(folder)) => EmbeddedStore::open(folder)?,
    };
    Ok(Stores {
        store: Arc::new(embedded.with_metrics(metrics)),
        secrets: None,
        wrapping: None,
    })
}

#[cfg(feature = "mongodb")]
async fn mongodb(
    config: &Config,
    options: &nowrong_store_mongodb::MongoOptions,
    clock: &Clock,
    metrics: &Metrics,
) -> anyhow::Result<Stores> {
    use nowrong_store_mongodb::{MongoStore, migration};
    let keys = NodeKeys::new(&options.secret, clock.clone());
    let store = MongoStore::open(options, keys.clone()).await?;
    let store = Arc::new(store.with_metrics(metrics));
    if config.migrate_at_start {
        migration::up(store.database()).await?;
    } else {
        migration::require(store.database()).await?;
    }
    Ok(Stores {
        secrets: Some(store.clone()),
        wrapping: Some(Wrapping {
            keys,
            store: store.clone(),
        }),
        store,
    })
}

async fn broker(
    broker: &config::BrokerChoice,
    #[cfg_attr(not(feature = "redis"), expect(unused_variables))] store: Option<StoreId>,
    #[cfg_attr(not(feature = "redis"), expect(unused_variables))] metrics: &Metrics,
) -> anyhow::Result<Arc<dyn Broker>> {
    Ok(match broker {
        config::BrokerChoice::Local => LocalBroker::new(),
        #[cfg(feature = "redis")]
        config::BrokerChoice::Redis(url, prefix) => {
            let realm = nowrong_broker_redis::Realm {
                prefix: prefix.clone(),
                store: store.map_or_else(String::new, |store| store.to_string()),
            };
            nowrong_broker_redis::RedisBroker::connect(url, &realm, metrics).await?
        }
    })
}

/// The keys that sign access tokens and the key for pseudonyms. Both are shared with other nodes,
/// if any; a single node keeps the latter in memory, wherever its store is.
async fn access(
    config: &Config,
    secrets: Option<Arc<dyn SecretStore>>,
    now: UnixMs,
) -> anyhow::Result<(AccessTokens, PseudonymKey)> {
    let age = config.signing_key_age;
    if let Some(secrets) = secrets {
        let shared = SharedKeys::new(secrets, age);
        let read = shared.read(now).await;
        let (keys, pseudonyms) = read.context("`store`: the shared secrets cannot be used")?;
        let pseudonyms = if config.broker == config::BrokerChoice::Local {
            PseudonymKey::generate()?
        } else {
            pseudonyms
        };
        return Ok((AccessTokens::shared(keys, shared), pseudonyms));
    }
    let access = match &config.data {
        Data::Memory => AccessTokens::new(SigningKeys::in_memory(now)?),
        Data::Folder(folder) => {
            let keys = SigningKeys::in_folder(folder, age, now)?;
            AccessTokens::in_folder(keys, folder.clone())
        }
    };
    Ok((access, PseudonymKey::generate()?))
}

/// The QUIC endpoint, unless it is off or a node of this role accepts no clients.
pub(super) fn quic(config: &Config, identity: &Identity) -> anyhow::Result<Option<Endpoint>> {
    let address = config.listen_quic;
    let Some(address) = address.filter(|_| config.role.takes_clients()) else {
        return Ok(None);
    };
    let key = match &config.data {
        Data::Memory => QuicKey::in_memory(),
        Data::Folder(folder) => {
            QuicKey::in_folder(folder).context("the QUIC key in the data folder cannot be used")?
        }
    };
    webtransport::bind(address, identity, &key).map(Some)
}

fn identity(config: &Config, clock: &Clock) -> anyhow::Result<Identity> {
    let now = clock.system();
    let (cert, key) = match (&config.tls, &config.data) {
        (Tls::Pem { cert, key }, _) => (cert, key),
        (Tls::Development { names }, Data::Memory) => {
            return Ok(Identity::development(names, now)?);
        }
        (Tls::Development { names }, Data::Folder(folder)) => {
            return Ok(Identity::development_in(folder, names, now)?);
        }
    };
    let host = config.public_url.webtransport.as_deref();
    let identity = Identity::pem_for(cert, key, host.and_then(config::host_of).as_deref())
        .context("`tls.cert` and `tls.key` cannot be used")?;
    match identity.fault(now) {
        None => {}
        Some(fault @ (Fault::Nameless | Fault::OtherPurpose)) => {
            bail!("`tls.cert`: the certificate in {} {fault}", cert.display())
        }
        // The node starts: WebSocket works without this certificate, the next one is taken up by
        // itself, and the clock of this machine may be what is wrong.
        Some(Fault::OtherName) => tracing::warn!(
            names = identity.inspection().names.join(", "),
            "`tls.cert` does not cover the host of `public_url.webtransport`: clients refuse WebTransport"
        ),
        Some(fault) => tracing::warn!("`tls.cert`: the certificate in {} {fault}", cert.display()),
    }
    Ok(identity)
}

pub(super) async fn http(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "REST cannot listen on TCP {address}: is the port taken? Set listen_http to a free one"
        )
    })
}

/// Binds the listener of the metrics, if it is set.
pub(super) async fn metrics(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("metrics cannot listen on TCP {address}: set listen_metrics to a free port")
    })?;
    Ok(Some(listener))
}
