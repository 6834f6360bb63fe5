//! Announces this node for the placement of clients: its addresses, and whether it is about to
//! stop.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use nowrong_broker::Broker;
use nowrong_certs::Identity;
use nowrong_core::node::{NodeEndpoint, NodeStatus};

use crate::config::{Addresses, Config, Role};

/// For how many announcements, one a second, another node must have the same addresses before it is
/// said: a node that was killed and started again is announced twice until its lease ends.
const TWIN_TICKS: u32 = 6;

/// Announces this node.
pub(super) struct Announcer {
    broker: Arc<dyn Broker>,
    addresses: Addresses,
    identity: Identity,
    role: Role,
    capacity: u32,
    /// Held during an announcement, so that a tick never takes back what `leave` announced.
    is_leaving: Mutex<bool>,
    /// Announcements in a row while another node had the same addresses.
    twin_ticks: AtomicU32,
}

impl Announcer {
    /// Makes the first announcement.
    pub(super) fn start(
        broker: Arc<dyn Broker>,
        addresses: &Addresses,
        identity: Identity,
        config: &Config,
    ) -> Arc<Self> {
        let announcer = Self {
            broker,
            addresses: addresses.clone(),
            identity,
            role: config.role,
            capacity: config.limits.connections_max,
            is_leaving: Mutex::new(false),
            twin_ticks: AtomicU32::new(0),
        };
        announcer.announce();
        Arc::new(announcer)
    }

    /// Announces the current state: a development certificate gets a new hash from time to time.
    pub(super) fn announce(&self) {
        self.tell(|_| {});
        self.look_for_twins();
    }

    /// Says once that another node announces an address of this one: clients who are sent to one of
    /// them arrive at the other.
    fn look_for_twins(&self) {
        let (own, nodes) = (self.broker.id(), self.broker.nodes());
        let mut others = nodes.iter().filter(|node| node.id != own);
        if !others.any(|other| self.shares_address(&other.status)) {
            return self.twin_ticks.store(0, Ordering::Relaxed);
        }
        if self.twin_ticks.fetch_add(1, Ordering::Relaxed) + 1 == TWIN_TICKS {
            tracing::warn!(
                "another node tells its clients an address of this node: give each node a `public_url.webtransport` and a `public_url.websocket` of its own"
            );
        }
    }

    fn shares_address(&self, other: &NodeStatus) -> bool {
        let NodeEndpoint {
            webtransport,
            websocket,
            ..
        } = &other.endpoint;
        let has_same_quic = webtransport.is_some() && *webtransport == self.addresses.webtransport;
        let has_same_http = *websocket == self.addresses.websocket;
        // A node without clients announces no address.
        self.role.takes_clients() && !other.is_draining && (has_same_quic || has_same_http)
    }

    /// From now on no client should be sent here. The other nodes know it one renewal of the lease
    /// later.
    pub(super) fn leave(&self) {
        self.tell(|is_leaving| *is_leaving = true);
    }

    fn tell(&self, change: impl FnOnce(&mut bool)) {
        let hash = self.identity.pinned_hash().map(|hash| hash.to_base64());
        let endpoint = match self.role.takes_clients() {
            true => self.addresses.endpoint(hash),
            false => NodeEndpoint::default(),
        };
        let mut is_leaving = self
            .is_leaving
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut is_leaving);
        self.broker.set_status(NodeStatus {
            endpoint,
            capacity: self.capacity,
            is_draining: *is_leaving,
        });
    }
}

#[cfg(test)]
mod tests {
    use nowrong_broker::local::LocalBroker;

    use super::*;

    fn started(identity: Identity, role: Role) -> (Arc<dyn Broker>, Arc<Announcer>) {
        let config = Config {
            role,
            ..Config::default()
        };
        let addresses = config.addresses(config.listen_http, config.listen_quic);
        let broker: Arc<dyn Broker> = LocalBroker::new();
        let announcer = Announcer::start(broker.clone(), &addresses, identity, &config);
        (broker, announcer)
    }

    fn development(folder: &std::path::Path) -> Identity {
        let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        Identity::development_in(folder, &[], now).unwrap()
    }

    #[test]
    fn clients_are_told_the_hash_of_a_certificate_that_no_browser_knows() {
        let folder = tempfile::tempdir().unwrap();
        let identity = development(folder.path());
        let (broker, _) = started(identity.clone(), Role::All);
        let told = broker.nodes().remove(0);
        assert!(told.takes_clients());
        assert_eq!(
            told.status.endpoint.certificate_hash,
            Some(identity.hash().to_base64())
        );
        let file = |name: &str| folder.path().join(name);
        let known = Identity::pem(&file("certificate.pem"), &file("key.pem")).unwrap();
        let (broker, _) = started(known, Role::All);
        assert_eq!(broker.nodes()[0].status.endpoint.certificate_hash, None);
    }

    #[test]
    fn nobody_is_sent_to_a_node_that_leaves_or_serves_rest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let identity = development(folder.path());
        let (broker, _) = started(identity.clone(), Role::Rest);
        assert!(!broker.nodes()[0].takes_clients());
        let (broker, announcer) = started(identity, Role::Realtime);
        announcer.leave();
        assert!(!broker.nodes()[0].takes_clients());
        announcer.announce();
        assert!(!broker.nodes()[0].takes_clients(), "for good");
    }
}
