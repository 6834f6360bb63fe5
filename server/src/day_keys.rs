//! The day keys of this node: makes them, keeps them in its data folder and shares them through the
//! broker, as `nowrong_core::day_keys` decides. Needed for a store that wraps (MongoDB).
//!
//! A key opens from the moment at which the node has it. It wraps only after it is in the data folder
//! and, where there are other nodes, with the broker as well: so neither the death of any process nor
//! an empty Redis loses a key that something was wrapped with. Every [`TICK`] a node leaves its keys
//! with the broker where they are missing, and takes those that it lacks. Both places hold them sealed
//! under the secret of the cluster. Start reading at [`NodeKeys::begin`] and [`NodeKeys::tick`].

use std::{
    path::Path,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use nowrong_base::{clock::Clock, lock::lock, random, seal::SealingKey, secret::ClusterSecret};
use nowrong_broker::{Broker, BrokerError, Deposit};
use nowrong_core::{
    day_keys::{DayKey, DayKeyId},
    record::UnixMs,
};
use nowrong_store::{
    StoreError,
    wrapping::{Asked, DayKeys, WrappingStore},
};
use tokio::time::Instant;

use file::KeyFile;
use state::State;

mod file;
mod sealed;
mod state;
#[cfg(test)]
mod tests;

/// How often keys are shared: after Redis was emptied, they are back within this time.
pub const TICK: Duration = Duration::from_secs(5);

/// How long a start waits for the keys of nodes that serve: three times [`TICK`], since they bring them
/// back that often.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often a start that waits looks.
const LOOK: Duration = Duration::from_millis(500);

/// Least time between two questions to the broker on behalf of readers: many records may name the same
/// unknown key.
const ASK_PAUSE: Duration = Duration::from_millis(500);

/// The shelf of the broker on which the keys lie.
const SHELF: &str = "day-keys";

/// How long a key whose time is over is left with the broker by a node that still needs it.
const OVERDUE: Duration = Duration::from_secs(10 * 60);

/// Most accounts that are looked at in one step of a walk.
const WALK_BATCH: usize = 500;

/// Most steps of a walk in one tick: 5,000 accounts each five seconds.
const WALK_STEPS: usize = 10;

/// The day keys of this node.
pub struct NodeKeys {
    clock: Clock,
    under: SealingKey,
    home: OnceLock<Home>,
    state: Mutex<State>,
    /// When the broker was asked last, and what came of it. Held while it is asked.
    asked: tokio::sync::Mutex<Option<(Instant, Asked)>>,
    /// Whether the last tick failed.
    is_failing: AtomicBool,
    /// Held while the file is written.
    writing: tokio::sync::Mutex<()>,
}

/// Where a node finds and leaves its keys.
pub struct KeyPlace<'a> {
    /// The data folder; `None`: the node keeps everything in memory.
    pub folder: Option<&'a Path>,
    /// Passes the keys on.
    pub broker: Arc<dyn Broker>,
    /// Whether other nodes use the same broker.
    pub is_shared: bool,
}

/// Where the keys are kept.
struct Home {
    file: Option<KeyFile>,
    broker: Arc<dyn Broker>,
    is_shared: bool,
}

impl Home {
    /// Whether other nodes have come up. One that has not yet told its capacity may have no key either.
    fn others_serve(&self) -> bool {
        let own = self.broker.id();
        let nodes = self.broker.nodes();
        nodes
            .iter()
            .any(|node| node.id != own && node.status.capacity > 0)
    }
}

impl NodeKeys {
    /// Still without keys: nothing can be wrapped or opened before [`Self::begin`].
    pub fn new(secret: &ClusterSecret, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            under: SealingKey::new(secret.derive("day keys").expose()),
            home: OnceLock::new(),
            state: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
            is_failing: AtomicBool::new(false),
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// Takes in the keys of the data folder and of the other nodes, and makes one where there is none
    /// for today. `is_new`: nothing is stored yet.
    ///
    /// # Errors
    /// One sentence: the file cannot be used, the secret is not that of the file or of the other nodes, or
    /// no key came from nodes that serve.
    pub async fn begin(&self, place: KeyPlace<'_>, is_new: bool) -> anyhow::Result<()> {
        let KeyPlace {
            folder,
            broker,
            is_shared,
        } = place;
        let file = folder.map(KeyFile::in_folder);
        if file.is_none() && !is_shared {
            tracing::warn!(
                "`data` is memory: what this node stores in MongoDB cannot be read after its end, because the day keys end with it; set `data` to a folder"
            );
        }
        if let Some(file) = &file {
            self.read(file)?;
        }
        let home = Home {
            file,
            broker,
            is_shared,
        };
        let home = self.home.get_or_init(|| home);
        self.share(home).await.context("`broker` cannot be used")?;
        if is_shared {
            self.wait_for_others(home, is_new).await?;
        }
        self.make_due()?;
        self.save(home)
            .await
            .context("`data`: the day keys cannot be written")?;
        self.share(home).await.context("`broker` cannot be used")?;
        match self.wrapping() {
            Some(_) => Ok(()),
            None => bail!("`broker`: it did not keep the day key that this node left there"),
        }
    }

    fn read(&self, file: &KeyFile) -> anyhow::Result<()> {
        let path = file.path();
        let all = file.read();
        let all = all.with_context(|| {
            format!(
                "cannot use the day keys in {}: if other nodes run, remove the file, for they have the keys too",
                path.display()
            )
        })?;
        let now = self.clock.now();
        let mut state = lock(&self.state);
        for sealed in all {
            let Some(key) = sealed::open(&self.under, &sealed) else {
                bail!(
                    "`cluster_secret` is not the one with which {} was written, or the file is damaged: set that one; if other nodes run, remove the file, for they have the keys too; otherwise remove it together with the data in MongoDB",
                    path.display()
                );
            };
            state.take_in(key, sealed, now);
        }
        state.saved = state.ids();
        Ok(())
    }

    /// A node that comes to others must have a key of theirs: without one it could read nothing. After
    /// Redis was emptied, they may take some seconds to bring their keys and even their leases.
    async fn wait_for_others(&self, home: &Home, is_new: bool) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let (has_any, strange) = {
                let state = lock(&self.state);
                (!state.ring.keys().is_empty(), state.strange)
            };
            let others_serve = home.others_serve();
            // What nobody uses any more may have been left under a secret that was given up.
            if !has_any && strange > 0 && others_serve {
                bail!(
                    "`cluster_secret` is not that of the other nodes: their day keys in Redis cannot be opened with it"
                );
            }
            if has_any || (is_new && !others_serve) {
                return Ok(());
            }
            if Instant::now() > until && !others_serve {
                tracing::warn!(
                    "no day key is left in the data folder, in Redis or with another node: what was stored before cannot be read any more"
                );
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "other nodes are running, but none of their day keys came through `broker` within {PATIENCE:?}: start this node again when one of them reaches Redis, or stop them all"
                );
            }
            tokio::time::sleep(LOOK).await;
            self.share(home).await.context("`broker` cannot be used")?;
        }
    }

    /// Shares, makes and saves what is due. Call it each [`TICK`].
    pub async fn tick(&self) {
        let Some(home) = self.home.get() else { return };
        let renewed = self.renew(home).await;
        let was_failing = self.is_failing.swap(renewed.is_err(), Ordering::Relaxed);
        match renewed {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the day keys could not be shared or kept; the ones that are known go on");
            }
            Ok(()) if was_failing => tracing::info!("the day keys are shared and kept again"),
            _ => {}
        }
    }

    async fn renew(&self, home: &Home) -> anyhow::Result<()> {
        let shared = self.share(home).await;
        self.make_due()?;
        self.save(home).await?;
        shared?;
        // A key that was just made is left with the broker at once.
        let is_all_shared = {
            let state = lock(&self.state);
            state.ids().is_subset(&state.shared)
        };
        if !is_all_shared {
            self.share(home).await?;
        }
        Ok(())
    }

    /// Leaves the keys with the broker where they are missing, and takes in those that are there.
    async fn share(&self, home: &Home) -> Result<(), BrokerError> {
        let own = self.deposits();
        let found = home.broker.exchange(SHELF, &own).await?;
        let now = self.clock.now();
        let mut state = lock(&self.state);
        state.strange = 0;
        for sealed in found {
            match sealed::open(&self.under, &sealed) {
                Some(key) => {
                    state.take_in(key, sealed, now);
                    if state.ring.get(key.id).is_some() {
                        state.shared.insert(key.id);
                    }
                }
                None => state.strange += 1,
            }
        }
        Ok(())
    }

    fn deposits(&self) -> Vec<Deposit> {
        let now = self.clock.now();
        let state = lock(&self.state);
        let deposit = |key: &DayKey| {
            let left = Duration::from_millis(key.dies_at().saturating_sub(now));
            Some(Deposit {
                name: key.id.0,
                sealed: state.sealed.get(&key.id)?.clone(),
                lifetime: left.max(OVERDUE),
            })
        };
        state.ring.keys().iter().filter_map(deposit).collect()
    }

    /// Makes a key if one is due.
    fn make_due(&self) -> Result<(), random::NoRandomness> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let Some(wraps_from) = state.ring.next(now) else {
            return Ok(());
        };
        let key = DayKey {
            id: DayKeyId(random::try_bytes()?),
            bytes: random::try_bytes()?,
            wraps_from,
        };
        let sealed = sealed::seal(&self.under, &key)?;
        if state.take_in(key, sealed, now) {
            tracing::info!(day_key = %key.id, "made a day key");
        }
        Ok(())
    }

    /// Writes the file if it does not hold exactly the keys of the ring.
    async fn save(&self, home: &Home) -> std::io::Result<()> {
        let _writing = self.writing.lock().await;
        let (all, ids) = {
            let state = lock(&self.state);
            let ids = state.ids();
            if ids == state.saved {
                return Ok(());
            }
            (state.all_sealed(), ids)
        };
        if let Some(file) = home.file.clone() {
            let written = tokio::task::spawn_blocking(move || file.write(&all)).await;
            written.map_err(std::io::Error::other)??;
        }
        lock(&self.state).saved = ids;
        Ok(())
    }

    /// Wraps again what lives on, then destroys the keys whose time is over at `horizon`: a time that is
    /// surely past ([`Timekeeper::horizon`](crate::timekeeper::Timekeeper::horizon)).
    pub async fn tidy(&self, store: &dyn WrappingStore, horizon: UnixMs) {
        if let Err(error) = self.walk(store, horizon).await {
            tracing::warn!(%error, "accounts could not be wrapped again");
        }
        let destroyed = lock(&self.state).destroy(horizon);
        if destroyed > 0 {
            tracing::info!(keys = destroyed, "destroyed day keys");
        }
        if let Some(home) = self.home.get()
            && let Err(error) = self.save(home).await
        {
            tracing::warn!(%error, "destroyed day keys are still in the data folder");
        }
    }

    /// Goes on with the walk over all accounts, if one is due.
    async fn walk(&self, store: &dyn WrappingStore, now: UnixMs) -> Result<(), StoreError> {
        for _ in 0..WALK_STEPS {
            let walk = lock(&self.state).walk_to_do(now);
            let Some(walk) = walk else { return Ok(()) };
            let after = store.rewrap(walk.after, WALK_BATCH).await?;
            lock(&self.state).walked(walk, after);
        }
        Ok(())
    }
}

#[async_trait]
impl DayKeys for NodeKeys {
    fn wrapping(&self) -> Option<DayKey> {
        let now = self.clock.now();
        lock(&self.state).wrapping(now)
    }

    fn get(&self, id: DayKeyId) -> Option<DayKey> {
        lock(&self.state).ring.get(id).copied()
    }

    async fn ask(&self) -> Asked {
        let Some(home) = self.home.get() else {
            return Asked::Unanswered;
        };
        if !home.is_shared {
            return Asked::Alone;
        }
        let mut asked = self.asked.lock().await;
        match *asked {
            Some((at, asked)) if at.elapsed() < ASK_PAUSE => asked,
            _ => {
                let answer = match self.share(home).await {
                    Ok(()) => Asked::Answered,
                    Err(_) => Asked::Unanswered,
                };
                *asked = Some((Instant::now(), answer));
                answer
            }
        }
    }
}

impl std::fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = lock(&self.state);
        f.debug_list().entries(state.ring.keys()).finish()
    }
}
