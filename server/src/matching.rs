//! From a ticket to a chat: joins the broker's queue, retries as a ticket widens, and settles offers.
//!
//! The broker only proposes. An offer becomes a match when the store has given both users their
//! seats; otherwise a user who is still free goes back into the queue with the old time. Settling
//! runs in a task of its own, so that a lost connection cannot lose the partner's ticket.
//!
//! With several nodes, only the node of a user enters the user's ticket, also when it is entered
//! again: the node that settles an offer tells the other node the outcome, and if that notice is
//! lost, the next retry finds it out. The steps are those of the model of the matcher in
//! `nowrong-core`.
//!
//! Start reading at [`Matching::join`] and `settle`.

mod settle;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use nowrong_base::{lock::lock, random};
use nowrong_core::{
    matching::{Joined, Offer, TICKETS_MAX, Ticket, next_retry_ms, stage_at},
    record::{AgeBracket, Category, UnixMs, User},
    text::Interests,
};
use nowrong_protocol::{
    ErrorCode, TicketId,
    frame::{Stage, TicketEnded, TicketState, Widened},
    limits::TICKET_HOLD,
};
use tokio_util::task::TaskTracker;

use crate::{
    chat::Chats,
    environment::Environment,
    hub::{Hub, Push, UserEntry, Waiting},
    refusal::Refusal,
};

/// The tickets of this node's users.
pub struct Matching {
    env: Environment,
    hub: Arc<Hub>,
    chats: Arc<Chats>,
    /// The categories in force, read once at the start.
    categories: Arc<[Category]>,
    /// Accounts younger than this are new.
    newcomer_age_ms: u64,
    tickets: Mutex<HashMap<TicketId, Entry>>,
    settling: TaskTracker,
}

/// A ticket's next actions.
struct Entry {
    owner: Arc<UserEntry>,
    retry_at: UnixMs,
    /// Set while the user has no connection: when the ticket is given up.
    held_until: Option<UnixMs>,
    /// Set while this node settles an offer of it: then it is rightly not in the queue.
    is_offered: bool,
    /// Set when notices about it may be lost: the user may have a seat.
    must_look: bool,
}

impl Matching {
    /// No tickets yet. Accounts younger than `newcomer_age` meet each other first. [`Self::tick`] must be called for tickets to widen.
    pub fn new(
        env: Environment,
        hub: Arc<Hub>,
        chats: Arc<Chats>,
        categories: Arc<[Category]>,
        newcomer_age: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            env,
            hub,
            chats,
            categories,
            newcomer_age_ms: u64::try_from(newcomer_age.as_millis()).unwrap_or(u64::MAX),
            tickets: Mutex::default(),
            settling: TaskTracker::new(),
        })
    }

    /// Lets the user wait in a category. A match follows as a push, at once if a partner is
    /// waiting.
    ///
    /// # Errors
    /// [`Refusal`] when the user is already waiting or chatting, or there is no room.
    pub async fn join(
        self: &Arc<Self>,
        owner: &Arc<UserEntry>,
        ticket: Ticket,
    ) -> Result<TicketState, Refusal> {
        self.chats.learn_end_of(owner).await?;
        self.enter(owner, &ticket, Stage::Interests)?;
        match self
            .env
            .broker
            .join(ticket.clone(), self.env.clock.now())
            .await
        {
            Ok(Joined::Waiting) => {}
            Ok(Joined::Offer { partner, why }) => {
                self.settle_soon(Offer {
                    ticket: ticket.clone(),
                    partner,
                    why,
                });
            }
            Err(error) => {
                self.drop_ticket(&ticket, None);
                return Err(error.into());
            }
        }
        self.ticket_state(&ticket, Stage::Interests).await
    }

    fn check_category(&self, id: &str, bracket: AgeBracket) -> Result<(), Refusal> {
        let category = self.categories.iter().find(|category| category.id == id);
        let category = category.ok_or(ErrorCode::CATEGORY_UNKNOWN)?;
        match category.age_bracket {
            Some(only) if only != bracket => Err(ErrorCode::AGE_BRACKET.into()),
            _ => Ok(()),
        }
    }

    /// A ticket of the user for a category, which nobody knows of yet. Without interests it has those of the
    /// account.
    ///
    /// # Errors
    /// [`Refusal`] when the category is unknown or for another age bracket, an interest is wrong, or the
    /// store cannot be read.
    pub async fn ticket(
        &self,
        user: &User,
        category: String,
        interests: Vec<String>,
    ) -> Result<Ticket, Refusal> {
        self.check_category(&category, user.age_bracket)?;
        let now = self.env.clock.now();
        let interests = if interests.is_empty() {
            user.interests.clone()
        } else {
            Interests::parse(&interests)
                .map_err(|error| Refusal::detailed(ErrorCode::INVALID, error.to_string()))?
                .into_strings()
        };
        let avoid = self.env.store.avoid(user.id, now).await?;
        Ok(Ticket {
            id: TicketId::v7(now, &random::bytes()),
            user: user.id,
            category,
            interests,
            language: user.language.clone(),
            age_bracket: user.age_bracket,
            blocked: avoid.blocked,
            recent: avoid.recent,
            since_ms: now,
            node: self.env.broker.id(),
            is_new_account: now.saturating_sub(user.created_at) < self.newcomer_age_ms,
        })
    }

    /// Adds the ticket to its owner and to the tickets of the node.
    fn enter(&self, owner: &Arc<UserEntry>, ticket: &Ticket, stage: Stage) -> Result<(), Refusal> {
        let mut tickets = lock(&self.tickets);
        let mut state = owner.state();
        if state.is_chatting() {
            return Err(ErrorCode::ALREADY_IN_CHAT.into());
        }
        if state.ticket.is_some() {
            return Err(ErrorCode::ALREADY_QUEUED.into());
        }
        if tickets.len() >= TICKETS_MAX {
            return Err(Refusal::retry_after(ErrorCode::OVERLOADED, 5_000));
        }
        let retry_at = next_retry_ms(ticket.since_ms, self.env.clock.now());
        tickets.insert(
            ticket.id,
            Entry {
                owner: owner.clone(),
                retry_at,
                held_until: None,
                is_offered: false,
                must_look: false,
            },
        );
        state.ticket = Some(Box::new(Waiting {
            ticket: ticket.clone(),
            stage,
        }));
        Ok(())
    }

    /// The ticket as shown to its owner.
    pub async fn ticket_state(
        &self,
        ticket: &Ticket,
        stage: Stage,
    ) -> Result<TicketState, Refusal> {
        Ok(TicketState {
            ticket: ticket.id,
            category: ticket.category.clone(),
            interests: ticket.interests.clone(),
            since_ms: ticket.since_ms,
            stage,
            waiting: self.env.broker.waiting(&ticket.category).await?,
        })
    }

    /// Cancels the user's ticket.
    ///
    /// # Errors
    /// [`Refusal`] with `TICKET_UNKNOWN` when a match came first, also one of an earlier ticket of which
    /// nobody knows. If the user does not know of the match yet, it follows as a push; so does the end of
    /// the ticket, if the chat is already over.
    pub async fn cancel(&self, owner: &Arc<UserEntry>, id: TicketId) -> Result<(), Refusal> {
        let ticket = owner.state().ticket.clone().map(|waiting| waiting.ticket);
        let Some(ticket) = ticket.filter(|ticket| ticket.id == id) else {
            return Err(ErrorCode::TICKET_UNKNOWN.into());
        };
        // The store first: then the ticket opens no chat, even if a queue or an offer still holds
        // it.
        let now = self.env.clock.now();
        if self.env.store.cancel_ticket(owner.user, id, now).await? {
            if let Err(error) = self.env.broker.cancel(id).await {
                tracing::warn!(%error, ticket = %id, "a cancelled ticket stays in the queue");
            }
            if self.find_stray_match(id, owner).await? {
                return Err(ErrorCode::TICKET_UNKNOWN.into());
            }
            self.drop_ticket(&ticket, None);
            return Ok(());
        }
        if !self.is_offered(id) && !self.find_match(id, owner).await {
            self.drop_ticket(&ticket, Some(ErrorCode::CHAT_ENDED));
        }
        Err(ErrorCode::TICKET_UNKNOWN.into())
    }

    /// The user's connection is lost: the ticket is held for a while, out of matching.
    pub async fn pause(&self, owner: &UserEntry) {
        let Some(waiting) = owner.state().ticket.clone() else {
            return;
        };
        let id = waiting.ticket.id;
        if let Some(entry) = lock(&self.tickets).get_mut(&id) {
            entry.held_until = Some(self.env.clock.now() + TICKET_HOLD.as_millis() as u64);
        }
        if let Err(error) = self.env.broker.set_paused(id, true).await {
            tracing::warn!(%error, ticket = %id, "a ticket could not be paused");
        }
    }

    /// The user is back: the ticket takes part in matching again, with its old time.
    pub async fn unpause(&self, owner: &UserEntry) -> Option<TicketState> {
        let waiting = owner.state().ticket.clone()?;
        let id = waiting.ticket.id;
        if let Some(entry) = lock(&self.tickets).get_mut(&id) {
            entry.held_until = None;
            entry.retry_at = self.env.clock.now();
        }
        if let Err(error) = self.env.broker.set_paused(id, false).await {
            tracing::warn!(%error, ticket = %id, "a ticket could not be unpaused");
        }
        self.ticket_state(&waiting.ticket, waiting.stage).await.ok()
    }

    /// The user has come from another node: takes over the ticket that waits there.
    pub async fn take_over(&self, owner: &Arc<UserEntry>) -> Option<TicketState> {
        if owner.state().ticket.is_some() {
            return self.unpause(owner).await;
        }
        let taken = self.env.broker.take_out(owner.user).await;
        let mut ticket = taken.unwrap_or_else(|error| {
            tracing::warn!(%error, "a ticket could not be taken over");
            None
        })?;
        ticket.node = self.env.broker.id();
        let stage = stage_at(ticket.since_ms, self.env.clock.now());
        self.enter(owner, &ticket, stage).ok()?;
        if !self.has_category(&ticket.category) {
            // Shown once more, so that its end, which follows, means something to the client.
            let shown = self.ticket_state(&ticket, stage).await.ok();
            self.end_without_category(&ticket, owner).await;
            return shown;
        }
        self.enter_again(ticket.id, owner).await;
        self.unpause(owner).await
    }

    fn has_category(&self, id: &str) -> bool {
        self.categories.iter().any(|category| category.id == id)
    }

    /// The category of a ticket that was taken over from another node is gone: tells its owner, unless
    /// a match came first.
    async fn end_without_category(&self, ticket: &Ticket, owner: &Arc<UserEntry>) {
        let now = self.env.clock.now();
        let cancelled = self.env.store.cancel_ticket(owner.user, ticket.id, now);
        match cancelled.await {
            Ok(true) => self.drop_ticket(ticket, Some(ErrorCode::CATEGORY_UNKNOWN)),
            // The next retry finds the match, or the store, again.
            Ok(false) => self.look_later(ticket.id),
            Err(error) => {
                tracing::warn!(%error, ticket = %ticket.id, "a ticket without a category stays");
            }
        }
    }

    /// The user is on another node now, which has taken over the ticket.
    pub fn hand_over(&self, owner: &UserEntry) {
        if let Some(waiting) = owner.state().ticket.take() {
            lock(&self.tickets).remove(&waiting.ticket.id);
        }
    }

    /// Ends the user's ticket in any case: the account is being erased.
    pub async fn depart(&self, owner: &Arc<UserEntry>) -> Result<(), Refusal> {
        let Some(waiting) = owner.state().ticket.clone() else {
            return Ok(());
        };
        match self.cancel(owner, waiting.ticket.id).await {
            Err(refusal) if refusal.code != ErrorCode::TICKET_UNKNOWN => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Retries and gives up tickets that are due. Called a few times a second.
    pub async fn tick(self: &Arc<Self>) {
        let now = self.env.clock.now();
        let due: Vec<(TicketId, Arc<UserEntry>, bool)> = lock(&self.tickets)
            .iter_mut()
            .filter_map(|(id, entry)| {
                entry
                    .due(now)
                    .map(|is_over| (*id, entry.owner.clone(), is_over))
            })
            .collect();
        for (id, owner, is_over) in due {
            if is_over {
                self.give_up(id, &owner).await;
            } else {
                self.retry(id, &owner, now).await;
            }
        }
    }

    async fn give_up(&self, id: TicketId, owner: &Arc<UserEntry>) {
        if let Err(refusal) = self.cancel(owner, id).await
            && refusal.code != ErrorCode::TICKET_UNKNOWN
        {
            tracing::warn!(code = %refusal.code, ticket = %id, "a ticket could not be given up");
        }
        self.hub.forget_if_idle(owner.user);
    }

    async fn retry(self: &Arc<Self>, id: TicketId, owner: &Arc<UserEntry>, now: UnixMs) {
        let must_look = lock(&self.tickets)
            .get_mut(&id)
            .is_some_and(Entry::take_look);
        if must_look && self.find_match(id, owner).await {
            return;
        }
        let retried = match self.env.broker.retry(id, now).await {
            Ok(Some(retried)) => retried,
            Ok(None) => return self.look(id, owner).await,
            Err(error) => return tracing::warn!(%error, ticket = %id, "a retry failed"),
        };
        let stage = retried.stage;
        if let Some(offer) = retried.offer {
            return self.settle_soon(offer);
        }
        let is_news = {
            let mut state = owner.state();
            let held = state.ticket.as_mut().filter(|held| held.ticket.id == id);
            let is_news =
                held.is_some_and(|held| std::mem::replace(&mut held.stage, stage) != stage);
            if is_news {
                state.push(Push::Frame(Box::new(Widened { ticket: id, stage }.into())));
            }
            is_news
        };
        if is_news {
            owner.wake();
        }
    }

    /// Forgets a ticket; tells its owner why, unless the owner ended it.
    fn drop_ticket(&self, ticket: &Ticket, code: Option<ErrorCode>) {
        let entry = lock(&self.tickets).remove(&ticket.id);
        let Some(Entry { owner, .. }) = entry else {
            return;
        };
        {
            let mut state = owner.state();
            if state
                .ticket
                .as_ref()
                .is_some_and(|held| held.ticket.id == ticket.id)
            {
                state.ticket = None;
            }
            if let Some(code) = code {
                let ended = TicketEnded {
                    ticket: ticket.id,
                    code,
                };
                state.push(Push::Frame(Box::new(ended.into())));
            }
        }
        owner.wake();
    }

    /// Waits until every offer under way is settled.
    pub async fn settled(&self) {
        self.settling.close();
        self.settling.wait().await;
    }
}

impl Entry {
    /// Whether the seat must be checked first; each request is returned once.
    fn take_look(&mut self) -> bool {
        !self.is_offered && std::mem::take(&mut self.must_look)
    }

    /// The action that is due: `Some(true)` to give the ticket up, `Some(false)` to retry it.
    fn due(&mut self, now: UnixMs) -> Option<bool> {
        if let Some(until) = self.held_until {
            return (now >= until).then_some(true);
        }
        if now < self.retry_at {
            return None;
        }
        let since = self
            .owner
            .state()
            .ticket
            .as_ref()
            .map(|held| held.ticket.since_ms)?;
        self.retry_at = next_retry_ms(since, now);
        Some(false)
    }
}
