//! Tickets in the queue that no node has, because the answer to a join or a cancel was lost.

use nowrong_base::lock::lock;
use nowrong_broker::BrokerError;
use nowrong_protocol::TicketId;

use super::Matching;

/// Tickets checked in one step.
const STEP: usize = 1_000;

impl Matching {
    /// Takes those tickets of this node out of the queue that the node does not have. Called every
    /// few seconds.
    ///
    /// A ticket is added to the node before it is entered into the queue, so one that is only in
    /// the queue has no owner. If its owner comes back with it at this moment, no harm is done: its
    /// next retry enters it again.
    pub async fn sweep(&self) {
        if let Err(error) = self.sweep_all().await {
            tracing::debug!(%error, "the queue could not be swept");
        }
    }

    async fn sweep_all(&self) -> Result<(), BrokerError> {
        let broker = &self.env.broker;
        let mut after = None;
        loop {
            let entered = broker.own_tickets(after, STEP).await?;
            for id in entered.iter().copied().filter(|id| !self.has(*id)) {
                if broker.cancel(id).await? {
                    tracing::info!(ticket = %id, "a ticket without an owner left the queue");
                }
            }
            after = entered.last().copied();
            if entered.len() < STEP {
                return Ok(());
            }
        }
    }

    fn has(&self, id: TicketId) -> bool {
        lock(&self.tickets).contains_key(&id)
    }
}
