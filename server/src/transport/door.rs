//! The door: how many connections, and how many new ones, one network may have.
//!
//! A network is an IPv4 address or an IPv6 /64, known by its pseudonym only. Many people share the
//! address of a mobile network or an office, so the bounds are wide: they keep one machine from taking the
//! whole server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use nowrong_base::{
    clock::Clock,
    lock::lock,
    privacy::{self, ClientIp, PseudonymKey},
};
use nowrong_broker::{Broker, LimitRule};
use nowrong_core::{
    limiter::{Grant, Rate},
    pace::TextShare,
    record::UnixMs,
};

use crate::config::ClientLimits;

type Pseudonym = [u8; 16];

/// For fewer networks than this that are gone, it is not worth looking for those that owe nothing any more.
const OWING_MIN: usize = 1_024;

/// Counts connections by network. The map holds networks with at least one connection, and those that have sent so
/// much text that they owe something, for ten minutes at most: as many as leave in that time, and as many again.
pub struct Door {
    broker: Arc<dyn Broker>,
    clock: Clock,
    pseudonyms: Arc<PseudonymKey>,
    handshakes: LimitRule,
    connections_max: u32,
    texts: Rate,
    networks: Mutex<Networks>,
    /// The networks that were refused, and until when.
    refused: Mutex<HashMap<Pseudonym, UnixMs>>,
}

#[derive(Default)]
struct Networks {
    known: HashMap<Pseudonym, Network>,
    /// At how many known ones those that owe nothing any more are looked for.
    known_max: usize,
}

/// What a network has.
struct Network {
    connections: u32,
    /// What its people may still write.
    texts: Arc<Mutex<TextShare>>,
}

impl Networks {
    /// Forgets the networks that have no connection and owe nothing, when it is time to look for them.
    fn tidy(&mut self, now: Instant) {
        if self.known.len() >= self.known_max {
            let is_needed =
                |network: &Network| network.connections > 0 || !lock(&network.texts).is_full(now);
            self.known.retain(|_, network| is_needed(network));
            self.known_max = 2 * self.known.len().max(OWING_MIN);
        }
    }
}

/// Most refused networks that are remembered. Of one that is not, the next client costs a handshake before it
/// is refused.
const REFUSED_MAX: usize = 4_096;

/// Delay for a network that has all its connections, in milliseconds: one of them may end at any time.
const CROWDED_RETRY_MS: u64 = 5_000;

/// Why a network gets no further connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The limit, by its name in metrics.
    pub limit: &'static str,
    /// Earliest time to try again, in milliseconds.
    pub retry_after_ms: u64,
}

/// A connection that was let in; counted until this is dropped.
pub struct Pass {
    door: Arc<Door>,
    networks: Vec<Pseudonym>,
    texts: Arc<Mutex<TextShare>>,
}

impl Pass {
    /// What all people of the network may write together.
    pub fn texts(&self) -> Arc<Mutex<TextShare>> {
        self.texts.clone()
    }
}

impl Door {
    /// A door without connections.
    pub fn new(
        broker: Arc<dyn Broker>,
        clock: Clock,
        pseudonyms: Arc<PseudonymKey>,
        limits: &ClientLimits,
    ) -> Arc<Self> {
        let handshakes = LimitRule {
            name: "handshakes",
            rate: limits.handshakes,
        };
        let connections_max = limits.connections_per_prefix_max;
        Arc::new(Self {
            broker,
            clock,
            pseudonyms,
            handshakes,
            connections_max,
            texts: limits.texts,
            networks: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// Whether this client's network was refused, and would be now. It costs no question to the broker.
    pub fn refused_lately(&self, client: ClientIp) -> bool {
        let refused = lock(&self.refused);
        if refused.is_empty() {
            return false;
        }
        let until = refused.get(&client.limiter_key(&self.pseudonyms));
        until.is_some_and(|until| self.clock.now() < *until)
    }

    fn remember_refusal(&self, network: Pseudonym, closed: Closed) {
        let (now, mut refused) = (self.clock.now(), lock(&self.refused));
        if refused.len() >= REFUSED_MAX {
            refused.retain(|_, until| now < *until);
        }
        if refused.len() < REFUSED_MAX {
            refused.insert(network, now.saturating_add(closed.retry_after_ms));
        }
    }

    /// Lets a client in, unless its network has too many connections or opens them too fast. A
    /// broker that does not reply lets everyone in: the other bounds still hold.
    ///
    /// # Errors
    /// [`Closed`]: which limit it is, and when to come back.
    pub async fn enter(self: &Arc<Self>, client: ClientIp) -> Result<Pass, Closed> {
        let networks: Vec<_> = client.networks(&self.pseudonyms).collect();
        let entered = self.try_enter(&networks).await;
        if let Err(closed) = &entered {
            self.remember_refusal(client.limiter_key(&self.pseudonyms), *closed);
        }
        entered.map(|texts| Pass {
            door: self.clone(),
            networks: networks.into_iter().map(|network| network.key).collect(),
            texts,
        })
    }

    async fn try_enter(
        &self,
        around: &[privacy::Network],
    ) -> Result<Arc<Mutex<TextShare>>, Closed> {
        let granted = self
            .broker
            .take_of_all(self.handshakes, around, self.clock.now())
            .await;
        if let Ok(Grant::RetryAfter(retry_after_ms)) = granted {
            return Err(Closed {
                limit: self.handshakes.name,
                retry_after_ms,
            });
        }
        let mut networks = lock(&self.networks);
        let now = Instant::now();
        networks.tidy(now);
        if around
            .iter()
            .any(|network| self.is_crowded(&networks, network))
        {
            return Err(Closed {
                limit: "connections_per_prefix_max",
                retry_after_ms: CROWDED_RETRY_MS,
            });
        }
        let mut texts = None;
        for network in around {
            let known = networks
                .known
                .entry(network.key)
                .or_insert_with(|| Network {
                    connections: 0,
                    texts: Arc::new(Mutex::new(TextShare::new(self.texts, now))),
                });
            known.connections += 1;
            // The narrowest network comes first, and its people share what they write.
            texts.get_or_insert_with(|| known.texts.clone());
        }
        Ok(texts.unwrap_or_else(|| Arc::new(Mutex::new(TextShare::new(self.texts, now)))))
    }

    fn is_crowded(&self, networks: &Networks, network: &privacy::Network) -> bool {
        let known = networks.known.get(&network.key);
        let max = self.connections_max.saturating_mul(network.share);
        known.map_or(0, |known| known.connections) >= max
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut networks = lock(&self.door.networks);
        for key in &self.networks {
            if let Some(known) = networks.known.get_mut(key) {
                known.connections -= 1;
                if known.connections == 0 && lock(&known.texts).is_full(Instant::now()) {
                    networks.known.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use nowrong_broker::local::LocalBroker;
    use nowrong_core::limiter::Rate;

    use super::*;
    use crate::config::Config;

    fn door(connections: u32, handshakes: u32) -> Arc<Door> {
        let limits = ClientLimits {
            connections_per_prefix_max: connections,
            handshakes: Rate {
                burst: handshakes,
                period_ms: 3_600_000,
            },
            ..Config::default().limits
        };
        let pseudonyms = Arc::new(PseudonymKey::generate().unwrap());
        Door::new(LocalBroker::new(), Clock::default(), pseudonyms, &limits)
    }

    fn client(address: &str) -> ClientIp {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[tokio::test]
    async fn a_network_has_so_many_connections_and_gets_room_back() {
        let door = door(2, 100);
        let first = door.enter(client("2001:db8::1")).await;
        let second = door.enter(client("2001:db8::2")).await;
        assert!(first.is_ok() && second.is_ok());
        let closed = door.enter(client("2001:db8::3")).await.err();
        assert_eq!(
            closed.map(|closed| closed.limit),
            Some("connections_per_prefix_max"),
            "the same /64"
        );
        assert!(
            door.enter(client("2001:db8:0:1::3")).await.is_ok(),
            "another one"
        );
        drop(first);
        assert!(door.enter(client("2001:db8::3")).await.is_ok());
        drop(second);
        assert!(lock(&door.networks).known.is_empty(), "nobody is left");
    }

    #[tokio::test]
    async fn many_networks_inside_one_have_together_what_that_one_may() {
        let address = |n: u32| client(&format!("2001:db8:0:{n:x}::1"));
        let crowded = door(2, 100);
        let mut passes = Vec::new();
        for n in 0..8 {
            passes.push(crowded.enter(address(n)).await.ok().unwrap());
        }
        let closed = crowded.enter(address(8)).await.err().unwrap();
        assert_eq!(closed.limit, "connections_per_prefix_max", "the same /56");
        assert!(crowded.enter(address(0x100)).await.is_ok(), "another one");
        drop(passes);
        assert!(lock(&crowded.networks).known.is_empty(), "nobody is left");
        let busy = door(100, 2);
        for n in 0..8 {
            assert!(busy.enter(address(n)).await.is_ok());
        }
        let closed = busy.enter(address(8)).await.err().unwrap();
        assert_eq!(closed.limit, "handshakes", "the same /56");
        assert!(busy.enter(address(0x100)).await.is_ok(), "another one");
    }

    #[tokio::test]
    async fn a_network_opens_so_many_at_once() {
        let door = door(100, 3);
        for _ in 0..3 {
            assert!(door.enter(client("192.0.2.1")).await.is_ok());
        }
        let closed = door.enter(client("192.0.2.1")).await.err().unwrap();
        assert_eq!(closed.limit, "handshakes");
        assert!(
            (1..=1_200_000).contains(&closed.retry_after_ms),
            "{closed:?}"
        );
        assert!(door.enter(client("192.0.2.2")).await.is_ok());
    }
}
