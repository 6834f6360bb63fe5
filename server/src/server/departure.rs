//! Removes a user from everything that is running, here and on the node of the user's connection,
//! before and after the account is erased; and ends connections whose tokens were revoked.

use std::sync::Arc;

use async_trait::async_trait;
use nowrong_core::record::Notice;
use nowrong_protocol::{CloseCode, TicketId, UserId};
use nowrong_store::StoreError;

use crate::{api::Departure, node::Node, refusal::Refusal};

/// Not older than any ticket: who cancels it cancels all of them, because tickets are ordered.
const LAST_TICKET: TicketId = TicketId::from_bytes([u8::MAX; 16]);

/// Removes a user from everything that runs on this node, before and after the account is erased.
pub(super) struct NodeDeparture(pub(super) Arc<Node>);

#[async_trait]
impl Departure for NodeDeparture {
    async fn depart(&self, user: UserId) -> Result<(), StoreError> {
        let env = self.0.env();
        // From here on no chat opens with this user, whatever is queued or offered.
        env.store
            .cancel_ticket(user, LAST_TICKET, env.clock.now())
            .await?;
        if let Some(entry) = self.0.hub().entry(user) {
            self.0
                .matching()
                .depart(&entry)
                .await
                .map_err(unavailable)?;
        }
        self.0
            .chats()
            .end_chat_of(user)
            .await
            .map_err(unavailable)?;
        if let Some(entry) = self.0.hub().entry(user) {
            entry.kick(CloseCode::ACCOUNT_GONE);
        }
        let place = env.broker.place(user).await;
        let place = place.map_err(|error| unavailable(error.into()))?;
        if let Some(other) = place.filter(|place| *place != env.broker.id()) {
            env.broker.tell(&[other], Notice::Depart { user });
        }
        Ok(())
    }

    async fn end_revoked(&self, user: UserId) -> Result<(), StoreError> {
        let broker = &self.0.env().broker;
        let known = self.0.env().store.generations(&[user]).await?;
        // An account that is gone is the business of the node that erased it.
        let Some((_, generation)) = known.first().copied() else {
            return Ok(());
        };
        self.0.end_older(user, generation);
        let nodes = broker.nodes().into_iter().map(|node| node.id);
        let mut others: Vec<_> = nodes.filter(|node| *node != broker.id()).collect();
        // The list of nodes is a second old; where a user is, is known at once.
        if let Ok(Some(place)) = broker.place(user).await
            && place != broker.id()
            && !others.contains(&place)
        {
            others.push(place);
        }
        broker.tell(&others, Notice::Revoked { user, generation });
        Ok(())
    }
}

fn unavailable(refusal: Refusal) -> StoreError {
    StoreError::Unavailable(refusal.code.to_string())
}
