//! The long-lived tasks of a server: listeners, the persister, the inbox, and work at intervals.

use std::{sync::Arc, time::Duration};

use nowrong_core::record::UnixMs;
use nowrong_store::{Advice, Store};
use tokio::net::TcpListener;

use super::{
    CERTIFICATE_TICK, Running, Wrapping,
    http::HttpServer,
    retention::{AUDIT_TICK, Auditor},
};
use crate::{
    auth::keys::shared::REREAD_INTERVAL,
    day_keys,
    disk::DISK_TICK,
    inbox,
    node::presence_interval,
    timekeeper::{IDENTITY_TICK, LOOK_TICK},
    transport::{Entrance, webtransport},
};

/// How often accounts are looked at, while a look at them is due.
const ACCOUNT_TICK: Duration = Duration::from_secs(1);

/// How often chats are checked: seats, idle notices, ends. People see these times in seconds.
const CHAT_TICK: Duration = Duration::from_secs(1);

/// How often tickets are checked: a retry may be late by this much.
const TICKET_TICK: Duration = Duration::from_millis(200);

/// How often the queue is searched for tickets that no node has.
const QUEUE_SWEEP_TICK: Duration = Duration::from_secs(5);

/// How often expired records are removed. Reads do not see them anyway.
const SWEEP_TICK: Duration = Duration::from_secs(5);

/// How often the store is asked for advice: what it tells of changes within days.
const ADVICE_TICK: Duration = Duration::from_secs(60 * 60);

/// Most records removed in one transaction of the sweeper.
const SWEEP_BATCH: usize = 1_000;

impl Running {
    pub(super) fn spawn_all(
        &self,
        entrance: Entrance,
        listener: TcpListener,
        rest: HttpServer,
        watched: Option<TcpListener>,
    ) {
        self.spawn_metrics(watched, rest.pseudonyms.clone());
        self.spawn_http("REST", listener, rest);
        if let Some(endpoint) = self.endpoint.clone() {
            self.spawn("WebTransport", webtransport::serve(entrance, endpoint));
        }
        let (chats, stop) = (self.node.chats().clone(), self.stop_persist.clone());
        let persister = async move { chats.run_persister(stop).await };
        self.tasks.spawn("persister", &self.stop_persist, persister);
        let (chats, stop) = (self.node.chats().clone(), self.stop.clone());
        self.spawn("rechecks", async move { chats.run_rechecks(stop).await });
        let inbox = inbox::serve(self.node.clone(), self.stop.clone());
        self.spawn("inbox", inbox);
        self.spawn_store_watch();
        self.spawn_ticks();
        self.tasks.close();
    }

    /// Runs a task that must not end before the stop.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.spawn(name, &self.stop, task);
    }

    /// Ends, and so raises the alarm, when the store can never work again in this process.
    fn spawn_store_watch(&self) {
        let (env, stop) = (self.node.env().clone(), self.stop.clone());
        self.spawn("store", async move {
            tokio::select! {
                () = env.store.failed() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    fn spawn_ticks(&self) {
        let chats = self.node.chats().clone();
        self.every("chats", CHAT_TICK, move || {
            let chats = chats.clone();
            async move { chats.tick().await }
        });
        let matching = self.node.matching().clone();
        self.every("tickets", TICKET_TICK, move || {
            let matching = matching.clone();
            async move { matching.tick().await }
        });
        let matching = self.node.matching().clone();
        self.every("queue sweeper", QUEUE_SWEEP_TICK, move || {
            let matching = matching.clone();
            async move { matching.sweep().await }
        });
        let announcer = self.announcer.clone();
        self.every("announcer", CERTIFICATE_TICK, move || {
            announcer.announce();
            std::future::ready(())
        });
        let (access, clock) = (self.access.clone(), self.clock().clone());
        self.every("signing keys", REREAD_INTERVAL, move || {
            let (access, now) = (access.clone(), clock.now());
            async move {
                if let Err(error) = access.reread(now).await {
                    tracing::warn!(%error, "the shared signing keys could not be read");
                }
            }
        });
        let (node, idle) = (self.node.clone(), self.account_idle);
        self.every("presence", presence_interval(idle), move || {
            let node = node.clone();
            async move { node.note_presence(idle).await }
        });
        let node = self.node.clone();
        self.every("accounts", ACCOUNT_TICK, move || {
            let node = node.clone();
            async move { node.look_at_accounts_if_due().await }
        });
        let (env, timekeeper) = (self.node.env().clone(), self.timekeeper.clone());
        let wrapping = self.wrapping.clone();
        self.every("sweeper", SWEEP_TICK, move || {
            let (env, timekeeper) = (env.clone(), timekeeper.clone());
            let wrapping = wrapping.clone();
            async move {
                if let Some(horizon) = timekeeper.horizon().await {
                    sweep(&*env.store, horizon).await;
                    if let Some(Wrapping { keys, store }) = &wrapping {
                        keys.tidy(&**store, horizon).await;
                    }
                }
            }
        });
        self.spawn_disk_watch();
        self.spawn_auditor();
        if let Some(Wrapping { keys, .. }) = self.wrapping.clone() {
            self.every("day keys", day_keys::TICK, move || {
                let keys = keys.clone();
                async move { keys.tick().await }
            });
        }
        let env = self.node.env().clone();
        self.every("store advice", ADVICE_TICK, move || {
            let env = env.clone();
            async move { tell(env.store.advice().await) }
        });
        self.spawn_timekeeper();
    }

    fn spawn_disk_watch(&self) {
        let disk = self.node.env().disk.clone();
        self.every("disk", DISK_TICK, move || {
            let disk = disk.clone();
            async move {
                // Some disks are far away. A look that panics is the next one's matter.
                let _ = tokio::task::spawn_blocking(move || disk.look()).await;
            }
        });
    }

    /// The first look comes after a tick: a start may have much to sweep.
    fn spawn_auditor(&self) {
        let env = self.node.env().clone();
        let auditor = Arc::new(Auditor::registered(&env.metrics));
        let timekeeper = self.timekeeper.clone();
        let mut is_first = true;
        self.every("retention", AUDIT_TICK, move || {
            let (env, timekeeper) = (env.clone(), timekeeper.clone());
            let auditor = auditor.clone();
            let waits = std::mem::take(&mut is_first);
            async move {
                if !waits && let Some(horizon) = timekeeper.horizon().await {
                    auditor.look(&*env.store, horizon).await;
                }
            }
        });
    }

    fn spawn_timekeeper(&self) {
        let timekeeper = self.timekeeper.clone();
        self.every("timekeeper", LOOK_TICK, move || {
            let timekeeper = timekeeper.clone();
            async move { timekeeper.look().await }
        });
        let timekeeper = self.timekeeper.clone();
        self.every("identity", IDENTITY_TICK, move || {
            let timekeeper = timekeeper.clone();
            async move { timekeeper.check_identity().await }
        });
    }

    /// Calls `act` at once and then at intervals, until the stop.
    fn every<F>(
        &self,
        name: &'static str,
        interval: Duration,
        mut act: impl FnMut() -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => act().await,
                    () = stop.cancelled() => return,
                }
            }
        });
    }
}

fn tell(advice: Vec<Advice>) {
    for one in advice {
        match one {
            Advice::Warning(sentence) => tracing::warn!("{sentence}"),
            Advice::Note(sentence) => tracing::info!("{sentence}"),
        }
    }
}

async fn sweep(store: &dyn Store, now: UnixMs) {
    loop {
        match store.sweep(now, SWEEP_BATCH).await {
            Ok(removed) if removed >= SWEEP_BATCH => {}
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "expired records could not be removed"),
        }
    }
}
