//! From a ticket to a chat: joins the broker's queue, retries as a ticket widens, and settles offers.
//!
//! The broker only proposes. An offer becomes a match when the store has given both users their
//! seats; else whoever is free goes back into the queue with the old time. Settling runs in a task of
//! its own, so that a lost connection cannot lose the partner's ticket.
//!
//! Start reading at [`Matching::join`] and `settle`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use nowrong_core::{
    matching::{Joined, Ticket, next_retry_ms},
    text::Interests,
};
use nowrong_protocol::{
    ChatId, ErrorCode, Position, TicketId, UserId,
    frame::{Stage, TicketEnded, TicketState, Widened},
    limits::TICKET_HOLD,
};
use tokio_util::task::TaskTracker;

use crate::{
    broker::{Broker, Offer},
    chat::{Chats, Sealer},
    clock::Clock,
    hub::{Hub, Push, UserEntry, Waiting, lock},
    random,
    refusal::Refusal,
    store::{
        AgeBracket, Category, Chat as ChatRecord, ChatMember, Epoch, Opening, Store, UnixMs, User,
    },
};

/// Most tickets of the users of one node.
pub const TICKETS_MAX: usize = 100_000;

/// What matching stands on.
#[derive(Clone)]
pub struct MatchingParts {
    /// Users of the node.
    pub hub: Arc<Hub>,
    /// Seats and chats.
    pub store: Arc<dyn Store>,
    /// The queue.
    pub broker: Arc<dyn Broker>,
    /// Chats of the node.
    pub chats: Arc<Chats>,
    /// The time.
    pub clock: Clock,
    /// The categories, read once at the start.
    pub categories: Arc<[Category]>,
    /// Longest life of a chat, in milliseconds.
    pub retention_ms: u64,
}

/// The tickets of this node's users.
pub struct Matching {
    parts: MatchingParts,
    tickets: Mutex<HashMap<TicketId, Entry>>,
    settling: TaskTracker,
}

/// When something is due for a ticket.
struct Entry {
    owner: Arc<UserEntry>,
    retry_at: UnixMs,
    /// Set while the user has no connection: when the ticket is given up.
    held_until: Option<UnixMs>,
}

impl Matching {
    /// No tickets yet. [`Self::tick`] must be called for tickets to widen.
    pub fn new(parts: MatchingParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            tickets: Mutex::default(),
            settling: TaskTracker::new(),
        })
    }

    /// Has the user wait in a category. A match follows as a push, at once when a partner waits.
    ///
    /// # Errors
    /// [`Refusal`] when the user waits or chats already, the category is unknown or for another age
    /// bracket, or there is no room.
    pub async fn join(
        self: &Arc<Self>,
        owner: &Arc<UserEntry>,
        user: &User,
        category: String,
        interests: Vec<String>,
    ) -> Result<TicketState, Refusal> {
        self.check_category(&category, user.age_bracket)?;
        let ticket = self.ticket(user, category, interests).await?;
        self.enter(owner, &ticket)?;
        match self
            .parts
            .broker
            .join(ticket.clone(), self.parts.clock.now())
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
        let category = self
            .parts
            .categories
            .iter()
            .find(|category| category.id == id);
        let category = category.ok_or(ErrorCode::CATEGORY_UNKNOWN)?;
        match category.age_bracket {
            Some(only) if only != bracket => Err(ErrorCode::AGE_BRACKET.into()),
            _ => Ok(()),
        }
    }

    async fn ticket(
        &self,
        user: &User,
        category: String,
        interests: Vec<String>,
    ) -> Result<Ticket, Refusal> {
        let now = self.parts.clock.now();
        let interests = if interests.is_empty() {
            user.interests.clone()
        } else {
            Interests::parse(&interests)
                .map_err(|error| Refusal::detailed(ErrorCode::INVALID, error.to_string()))?
                .into_strings()
        };
        let avoid = self.parts.store.avoid(user.id, now).await?;
        Ok(Ticket {
            id: TicketId::v7(now, &random::bytes()),
            user: user.id,
            category,
            interests,
            language: user.language.clone(),
            age_bracket: user.age_bracket as u8,
            blocked: avoid.blocked,
            recent: avoid.recent,
            since_ms: now,
            node: self.parts.broker.id(),
        })
    }

    /// Notes the ticket with its owner and among the tickets of the node.
    fn enter(&self, owner: &Arc<UserEntry>, ticket: &Ticket) -> Result<(), Refusal> {
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
        let retry_at = next_retry_ms(ticket.since_ms, ticket.since_ms);
        tickets.insert(
            ticket.id,
            Entry {
                owner: owner.clone(),
                retry_at,
                held_until: None,
            },
        );
        state.ticket = Some(Waiting {
            ticket: ticket.clone(),
            stage: Stage::Interests,
            is_given_up: false,
        });
        Ok(())
    }

    /// The ticket as its owner is shown it.
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
            waiting: self.parts.broker.waiting(&ticket.category).await?,
        })
    }

    /// Gives the user's ticket up.
    ///
    /// # Errors
    /// [`Refusal`] with `TICKET_UNKNOWN` when a match came first.
    pub async fn cancel(&self, owner: &UserEntry, id: TicketId) -> Result<(), Refusal> {
        let ticket = owner.state().ticket.clone().map(|waiting| waiting.ticket);
        let Some(ticket) = ticket.filter(|ticket| ticket.id == id) else {
            return Err(ErrorCode::TICKET_UNKNOWN.into());
        };
        // The store first: whatever queue or offer still holds the ticket, it opens no chat then.
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        if store.cancel_ticket(ticket.user, id, now).await? {
            if let Err(error) = self.parts.broker.cancel(id).await {
                tracing::warn!(%error, ticket = %id, "a cancelled ticket stays in the queue");
            }
            self.drop_ticket(&ticket, None);
            return Ok(());
        }
        if let Some(waiting) = owner.state().ticket.as_mut() {
            waiting.is_given_up = true;
        }
        Err(ErrorCode::TICKET_UNKNOWN.into())
    }

    /// The user's connection is gone: the ticket is held for a while, out of matching.
    pub async fn pause(&self, owner: &UserEntry) {
        let Some(waiting) = owner.state().ticket.clone() else {
            return;
        };
        let id = waiting.ticket.id;
        if let Some(entry) = lock(&self.tickets).get_mut(&id) {
            entry.held_until = Some(self.parts.clock.now() + TICKET_HOLD.as_millis() as u64);
        }
        if let Err(error) = self.parts.broker.set_paused(id, true).await {
            tracing::warn!(%error, ticket = %id, "a ticket could not be paused");
        }
    }

    /// The user is back: the ticket is in matching again, with its old time.
    pub async fn unpause(&self, owner: &UserEntry) -> Option<TicketState> {
        let waiting = owner.state().ticket.clone()?;
        let id = waiting.ticket.id;
        if let Some(entry) = lock(&self.tickets).get_mut(&id) {
            entry.held_until = None;
            entry.retry_at = self.parts.clock.now();
        }
        if let Err(error) = self.parts.broker.set_paused(id, false).await {
            tracing::warn!(%error, ticket = %id, "a ticket could not be taken up again");
        }
        self.ticket_state(&waiting.ticket, waiting.stage).await.ok()
    }

    /// Ends the user's ticket, whatever became of it: the account is being erased.
    pub async fn depart(&self, owner: &UserEntry) -> Result<(), Refusal> {
        let Some(waiting) = owner.state().ticket.clone() else {
            return Ok(());
        };
        match self.cancel(owner, waiting.ticket.id).await {
            Err(refusal) if refusal.code != ErrorCode::TICKET_UNKNOWN => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Retries and gives up what is due. Called a few times a second.
    pub async fn tick(self: &Arc<Self>) {
        let now = self.parts.clock.now();
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

    async fn give_up(&self, id: TicketId, owner: &UserEntry) {
        if let Err(refusal) = self.cancel(owner, id).await
            && refusal.code != ErrorCode::TICKET_UNKNOWN
        {
            tracing::warn!(code = %refusal.code, ticket = %id, "a ticket could not be given up");
        }
        self.parts.hub.forget_if_idle(owner.user);
    }

    async fn retry(self: &Arc<Self>, id: TicketId, owner: &UserEntry, now: UnixMs) {
        let retried = match self.parts.broker.retry(id, now).await {
            Ok(Some(retried)) => retried,
            Ok(None) => return,
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

    /// Settles an offer in a task that no connection can cancel.
    fn settle_soon(self: &Arc<Self>, offer: Offer) {
        let matching = self.clone();
        self.settling
            .spawn(async move { matching.settle(offer).await });
    }

    async fn settle(self: &Arc<Self>, offer: Offer) {
        let record = match self.record(&offer).await {
            Ok(record) => record,
            Err(refusal) => {
                tracing::warn!(code = %refusal.code, "an offer could not be settled");
                self.requeue(offer.ticket).await;
                return self.requeue(offer.partner).await;
            }
        };
        let tickets = [offer.ticket.id, offer.partner.id];
        match self.parts.store.open_chat(&record, &tickets).await {
            Ok(Opening::Opened) => self.open(offer, record).await,
            Ok(Opening::Seated(user)) => {
                self.part(offer, user, ErrorCode::ALREADY_IN_CHAT).await;
            }
            Ok(Opening::Spent(user)) => {
                self.part(offer, user, ErrorCode::TICKET_UNKNOWN).await;
            }
            Ok(Opening::Blocked) => {
                for ticket in [offer.ticket, offer.partner] {
                    let ticket = self.refreshed(ticket).await;
                    self.requeue(ticket).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "seats could not be claimed");
                self.requeue(offer.ticket).await;
                self.requeue(offer.partner).await;
            }
        }
    }

    /// Drops the ticket of `user`, whom the store refused, and puts the other one back.
    async fn part(&self, offer: Offer, user: UserId, code: ErrorCode) {
        for ticket in [offer.ticket, offer.partner] {
            if ticket.user == user {
                self.drop_ticket(&ticket, Some(code));
            } else {
                self.requeue(ticket).await;
            }
        }
    }

    /// The ticket with the blocks of now. With the old ones the worst is another offer in vain.
    async fn refreshed(&self, mut ticket: Ticket) -> Ticket {
        let now = self.parts.clock.now();
        match self.parts.store.avoid(ticket.user, now).await {
            Ok(avoid) => (ticket.blocked, ticket.recent) = (avoid.blocked, avoid.recent),
            Err(error) => tracing::warn!(%error, ticket = %ticket.id, "blocks could not be read"),
        }
        ticket
    }

    async fn open(&self, offer: Offer, record: ChatRecord) {
        let chat = match self.parts.chats.opened(record).await {
            Ok(chat) => chat,
            Err(refusal) => {
                // The chat exists in the store; who connects again takes it up from there.
                return tracing::error!(code = %refusal.code, "an opened chat could not be taken in");
            }
        };
        for ticket in [&offer.ticket, &offer.partner] {
            if let Some(member) = chat.member(ticket.user)
                && self
                    .parts
                    .hub
                    .entry(ticket.user)
                    .is_some_and(|e| e.state().connection.is_some())
            {
                chat.take_seat(member);
            }
        }
        for ticket in [&offer.ticket, &offer.partner] {
            lock(&self.tickets).remove(&ticket.id);
            let Some(owner) = self.parts.hub.entry(ticket.user) else {
                continue;
            };
            {
                let mut state = owner.state();
                state.ticket = None;
                state.chat = Some(chat.clone());
                state.push(Push::Matched(ticket.id, chat.clone()));
            }
            owner.wake();
        }
    }

    /// The chat that the offer would open.
    async fn record(&self, offer: &Offer) -> Result<ChatRecord, Refusal> {
        let now = self.parts.clock.now();
        let mut members = Vec::with_capacity(2);
        for ticket in [&offer.ticket, &offer.partner] {
            let user = self.parts.store.user(ticket.user, now).await?;
            let user = user.ok_or(ErrorCode::INTERNAL)?;
            members.push(ChatMember {
                user: user.id,
                name: user.name,
                language: user.language,
                delivered: Position::START,
                read: Position::START,
            });
        }
        Ok(ChatRecord {
            id: ChatId::v7(now, &random::bytes()),
            category: offer.ticket.category.clone(),
            members,
            why: offer.why.clone(),
            key: Sealer::new_key().map_err(|_| ErrorCode::INTERNAL)?,
            epochs: vec![Epoch { number: 1, base: 0 }],
            started_at: now,
            expires_at: now + self.parts.retention_ms,
            end: None,
        })
    }

    /// Puts a ticket back with its old time, unless its owner gave it up or is gone. What happened to
    /// the owner while the offer was settled is caught up with: a cancel, or a lost connection.
    async fn requeue(&self, ticket: Ticket) {
        if !self.is_wanted(&ticket) {
            return self.drop_ticket(&ticket, Some(ErrorCode::TICKET_UNKNOWN));
        }
        let id = ticket.id;
        if let Err(error) = self.parts.broker.requeue(ticket.clone()).await {
            tracing::warn!(%error, ticket = %id, "a ticket could not be put back");
            return self.drop_ticket(&ticket, Some(ErrorCode::OVERLOADED));
        }
        let is_held = lock(&self.tickets).get_mut(&id).is_some_and(|entry| {
            entry.retry_at = 0;
            entry.held_until.is_some()
        });
        if is_held && let Err(error) = self.parts.broker.set_paused(id, true).await {
            tracing::warn!(%error, ticket = %id, "a ticket could not be paused");
        }
        if !self.is_wanted(&ticket) && matches!(self.parts.broker.cancel(id).await, Ok(true)) {
            self.drop_ticket(&ticket, Some(ErrorCode::TICKET_UNKNOWN));
        }
    }

    /// Whether the owner still waits with this ticket.
    fn is_wanted(&self, ticket: &Ticket) -> bool {
        self.parts.hub.entry(ticket.user).is_some_and(|owner| {
            let state = owner.state();
            let held = state.ticket.as_ref();
            held.is_some_and(|held| held.ticket.id == ticket.id && !held.is_given_up)
        })
    }

    /// Forgets a ticket; tells its owner why, if it ended against the owner's will.
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
    /// Whether something is due: `Some(true)` to give the ticket up, `Some(false)` to retry it.
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
