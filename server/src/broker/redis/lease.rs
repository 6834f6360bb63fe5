//! The lease of this node: what tells the others that it lives, with what it counts. Who does not
//! renew for [`LEASE`] is dead to the others: its tickets are removed, its people no longer counted.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Parts, lock, queue, script::Script, unexpected};
use crate::broker::BrokerError;

static RENEW: Script = queue::script!("lease.lua");

/// How long a node lives in the eyes of the others after it last renewed: three missed renewals.
pub const LEASE: Duration = Duration::from_secs(3);

/// How often a lease is renewed. Counts of other nodes are that old at most.
const RENEWAL: Duration = Duration::from_secs(1);

/// Most tickets of dead nodes that one renewal removes, so that its script stays short.
const REMOVED_MAX: usize = 500;

/// What a node counts, as it tells the others.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    connected: u32,
    chatting: HashMap<String, u32>,
}

/// What all other live nodes count together.
#[derive(Debug, Default)]
pub(super) struct Others(Told);

impl Others {
    pub(super) fn chatting(&self, category: &str) -> u32 {
        self.0.chatting.get(category).copied().unwrap_or(0)
    }

    pub(super) fn connected(&self) -> u32 {
        self.0.connected
    }

    fn add(&mut self, told: Told) {
        self.0.connected = self.0.connected.saturating_add(told.connected);
        for (category, people) in told.chatting {
            let count = self.0.chatting.entry(category).or_default();
            *count = count.saturating_add(people);
        }
    }
}

impl Parts {
    /// Renews until the task is dropped. While Redis is away there is nobody to tell.
    pub(super) async fn hold_lease(&self) {
        let mut ticks = tokio::time::interval(RENEWAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut was_away = false;
        loop {
            ticks.tick().await;
            let renewed = self.renew().await;
            match &renewed {
                Ok(()) if was_away => tracing::info!("redis is back"),
                Err(error) if !was_away => tracing::warn!(%error, "redis is away"),
                _ => {}
            }
            was_away = renewed.is_err();
        }
    }

    /// Tells the others that this node lives and what it counts; learns what they count.
    pub(super) async fn renew(&self) -> Result<(), BrokerError> {
        let told = self.told();
        let told = serde_json::to_string(&told).map_err(|_| unexpected("count"))?;
        let call = queue::keyed(&RENEW, self)
            .key(self.keys.queue("counts"))
            .arg(&self.node)
            .arg(LEASE.as_millis() as u64)
            .arg(told)
            .arg(REMOVED_MAX);
        let told: Vec<String> = call.run(&self.connection).await?;
        let mut others = Others::default();
        for told in told {
            others.add(serde_json::from_str(&told).map_err(|_| unexpected("count"))?);
        }
        *lock(&self.others) = others;
        Ok(())
    }

    fn told(&self) -> Told {
        let counts = lock(&self.counts);
        let owned = |(category, people): (&str, u32)| (category.to_owned(), people);
        Told {
            connected: counts.connected(),
            chatting: counts.categories().map(owned).collect(),
        }
    }
}
