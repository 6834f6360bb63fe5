//! The common basis of all parts of a server.

use std::sync::Arc;

use nowrong_base::{clock::Clock, metrics::Metrics};
use nowrong_broker::Broker;
use nowrong_store::Store;

use crate::disk::Disk;

/// The outside world of a server, as its parts see it. Cheap to clone; each part keeps one.
#[derive(Clone)]
pub struct Environment {
    /// The durable data.
    pub store: Arc<dyn Store>,
    /// Coordination with the other nodes.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Clock,
    /// Where parts register their metrics.
    pub metrics: Arc<Metrics>,
    /// The room for what is new.
    pub disk: Arc<Disk>,
}
