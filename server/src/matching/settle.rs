//! Settling offers: the store opens the chat or refuses, and both users' nodes learn of it.

use std::sync::Arc;

use nowrong_base::{lock::lock, random};
use nowrong_core::{
    matching::{Offer, Ticket},
    node::NodeId,
    record::{self, ChatMember, Epoch, Notice, User},
};
use nowrong_protocol::{ChatId, ErrorCode, Position, TicketId, UserId};
use nowrong_store::Opening;

use super::Matching;
use crate::{
    chat::{Chat, Sealer},
    hub::{Push, UserEntry},
    refusal::Refusal,
};

impl Matching {
    /// Settles an offer in a task that no connection can cancel.
    pub(super) fn settle_soon(self: &Arc<Self>, offer: Offer) {
        for ticket in [&offer.ticket, &offer.partner] {
            if let Some(entry) = lock(&self.tickets).get_mut(&ticket.id) {
                entry.is_offered = true;
            }
        }
        let matching = self.clone();
        self.settling
            .spawn(async move { matching.settle(offer).await });
    }

    /// Action `Open`, and its consequences.
    async fn settle(&self, offer: Offer) {
        let settled = self.try_open(&offer).await.unwrap_or_else(|refusal| {
            tracing::warn!(code = %refusal.code, "an offer could not be settled");
            Settled::Unknown
        });
        match settled {
            Settled::Opened(record) => self.open(&offer, record).await,
            // Both tickets go back, and each node reads again whom its user must not meet.
            Settled::Blocked | Settled::Unknown => {
                self.give_back([offer.ticket, offer.partner]).await;
            }
            Settled::Refused(user) => {
                for ticket in [offer.ticket, offer.partner] {
                    if ticket.user == user {
                        self.end(&ticket, ErrorCode::ALREADY_IN_CHAT).await;
                    } else {
                        self.give_back([ticket]).await;
                    }
                }
            }
        }
    }

    async fn try_open(&self, offer: &Offer) -> Result<Settled, Refusal> {
        let [one, other] = match self.members(offer).await? {
            Ok(members) => members,
            Err(gone) => return Ok(Settled::Refused(gone)),
        };
        let record = self.record(offer, vec![one, other])?;
        let tickets = [offer.ticket.id, offer.partner.id];
        Ok(match self.env.store.open_chat(&record, &tickets).await? {
            Opening::Opened => Settled::Opened(record),
            Opening::Seated(user) | Opening::Spent(user) => Settled::Refused(user),
            Opening::Blocked => Settled::Blocked,
        })
    }

    async fn open(&self, offer: &Offer, record: record::Chat) {
        let chat = match self.chats.admit_opened(record).await {
            Ok(chat) => chat,
            Err(refusal) => {
                // It exists in the store: each node finds it there, now or with a retry.
                tracing::error!(code = %refusal.code, "an opened chat could not be taken in");
                for ticket in [&offer.ticket, &offer.partner] {
                    self.end(ticket, ErrorCode::INTERNAL).await;
                }
                return;
            }
        };
        self.tell_match(&[&offer.ticket, &offer.partner], &chat);
        self.chats.count_members(&chat).await;
    }

    /// Tells the owners of the tickets that they are in the chat. Every seat that is taken is so before
    /// anyone is told, so that each member sees the other one there.
    fn tell_match(&self, tickets: &[&Ticket; 2], chat: &Arc<Chat>) {
        let here = self.env.broker.id();
        let is_here = |ticket: &&&Ticket| ticket.node == here;
        for ticket in tickets.iter().filter(|ticket| !is_here(ticket)) {
            chat.expect_member_on(ticket.user, ticket.node);
        }
        for ticket in tickets.iter().filter(is_here) {
            self.take_seat(ticket.user, chat);
        }
        for ticket in tickets.iter().filter(is_here) {
            self.take_match(ticket.id, ticket.user, chat);
        }
        for ticket in tickets.iter().filter(|ticket| !is_here(ticket)) {
            let matched = Notice::Matched {
                ticket: ticket.id,
                user: ticket.user,
                chat: chat.id,
            };
            self.env.broker.tell(&[ticket.node], matched);
        }
    }

    /// Takes the seat of a user who is connected here; `false` when the user is not.
    fn take_seat(&self, user: UserId, chat: &Chat) -> bool {
        let owner = self.hub.entry(user);
        let is_connected = owner.is_some_and(|owner| owner.state().connection.is_some());
        if is_connected && let Some(member) = chat.member(user) {
            chat.take_seat(member);
        }
        is_connected
    }

    /// Moves the user to the chat; `false` when the user is not here. A chat that has ended
    /// meanwhile does not matter to a user who has another ticket or chat by now.
    fn take_match(&self, ticket: TicketId, user: UserId, chat: &Arc<Chat>) -> bool {
        lock(&self.tickets).remove(&ticket);
        let Some(owner) = self.hub.entry(user) else {
            return false;
        };
        {
            let mut state = owner.state();
            if chat.has_ended() && state.has_moved_on(ticket, chat.id) {
                return true;
            }
            state.ticket = None;
            state.chat = Some(chat.as_current());
            state.push(Push::Matched(ticket, chat.id));
        }
        let is_connected = self.take_seat(user, chat);
        owner.wake();
        is_connected
    }

    /// Another node (`by`, if known) opened a chat with a ticket of one of our users. That node has
    /// the partner.
    pub async fn matched_elsewhere(
        &self,
        ticket: TicketId,
        user: UserId,
        chat: ChatId,
        by: Option<NodeId>,
    ) {
        let chat = match self.chats.load_chat(chat).await {
            Ok(Some(chat)) => chat,
            Ok(None) => return,
            Err(refusal) => {
                self.look_later(ticket);
                return tracing::warn!(code = %refusal.code, "a match could not be taken in");
            }
        };
        for partner in chat.users().filter(|partner| *partner != user) {
            if let Some(node) = by {
                chat.expect_member_on(partner, node);
            }
        }
        if !self.take_match(ticket, user, &chat) {
            self.pass_on(ticket, user, chat.id).await;
        }
        self.chats.count_members(&chat).await;
    }

    /// The user of a match has moved on to another node.
    async fn pass_on(&self, ticket: TicketId, user: UserId, chat: ChatId) {
        let broker = &self.env.broker;
        if let Ok(Some(place)) = broker.place(user).await
            && place != broker.id()
        {
            broker.tell(&[place], Notice::Matched { ticket, user, chat });
        }
    }

    /// The members of the chat, with their current names, or the user whose account no longer
    /// exists.
    async fn members(&self, offer: &Offer) -> Result<Result<[ChatMember; 2], UserId>, Refusal> {
        let now = self.env.clock.now();
        let user = |ticket: &Ticket| self.env.store.user(ticket.user, now);
        let (one, other) = tokio::try_join!(user(&offer.ticket), user(&offer.partner))?;
        Ok(match (one, other) {
            (Some(one), Some(other)) => Ok([one, other].map(member)),
            (None, _) => Err(offer.ticket.user),
            (_, None) => Err(offer.partner.user),
        })
    }

    /// The chat that the offer opens.
    fn record(&self, offer: &Offer, members: Vec<ChatMember>) -> Result<record::Chat, Refusal> {
        let now = self.env.clock.now();
        Ok(record::Chat {
            id: ChatId::v7(now, &random::bytes()),
            category: offer.ticket.category.clone(),
            members,
            why: offer.why.clone(),
            key: Sealer::new_key().map_err(|_| ErrorCode::INTERNAL)?,
            epochs: vec![Epoch { number: 1, base: 0 }],
            started_at: now,
            expires_at: self.chats.latest_expiry(now),
            end: None,
        })
    }

    /// An offer failed: each ticket goes back, through its own node.
    async fn give_back<const N: usize>(&self, tickets: [Ticket; N]) {
        for ticket in tickets {
            if ticket.node == self.env.broker.id() {
                self.come_back(ticket.id, ticket.user, None).await;
            } else {
                self.tell_back(&ticket, None);
            }
        }
    }

    /// The store refuses a ticket permanently: its node finds out why.
    async fn end(&self, ticket: &Ticket, code: ErrorCode) {
        if ticket.node == self.env.broker.id() {
            self.come_back(ticket.id, ticket.user, Some(code)).await;
        } else {
            self.tell_back(ticket, Some(code));
        }
    }

    fn tell_back(&self, ticket: &Ticket, end: Option<ErrorCode>) {
        let notice = Notice::TicketBack {
            ticket: ticket.id,
            user: ticket.user,
            end,
        };
        self.env.broker.tell(&[ticket.node], notice);
    }

    /// An offer with a ticket of this node failed. Without `end` the ticket goes back into the
    /// queue. With `end` the store refused it: the user is in a chat, or the ticket is over.
    pub async fn come_back(&self, ticket: TicketId, user: UserId, end: Option<ErrorCode>) {
        let Some(owner) = self.hub.entry(user) else {
            return;
        };
        if let Some(entry) = lock(&self.tickets).get_mut(&ticket) {
            entry.is_offered = false;
        }
        match end {
            None => self.enter_again(ticket, &owner).await,
            Some(code) => {
                if !self.find_match(ticket, &owner).await {
                    self.drop_held(ticket, &owner, code);
                }
            }
        }
    }

    /// Whether this node is settling an offer of the ticket, or no longer has the ticket.
    pub(super) fn is_offered(&self, id: TicketId) -> bool {
        lock(&self.tickets)
            .get(&id)
            .is_none_or(|entry| entry.is_offered)
    }

    /// Action `Told`, or rule `EnterAgain`: the ticket is not in the queue, for an unknown reason.
    pub(super) async fn look(&self, id: TicketId, owner: &Arc<UserEntry>) {
        if !self.is_offered(id) && !self.find_match(id, owner).await {
            self.enter_again(id, owner).await;
        }
    }

    /// Whether the user of a ticket has a seat; if so, moves the user to that chat. Also `true`
    /// when this cannot be found out: the next retry checks again.
    pub(super) async fn find_match(&self, id: TicketId, owner: &Arc<UserEntry>) -> bool {
        let now = self.env.clock.now();
        let seat = match self.env.store.seat(owner.user, now).await {
            Ok(Some(seat)) => seat,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(%error, ticket = %id, "a seat could not be looked up");
                self.look_later(id);
                return true;
            }
        };
        self.matched_elsewhere(id, owner.user, seat, None).await;
        true
    }

    /// Whether an earlier ticket of the user has opened a chat: one of a join that failed here and that the
    /// queue took all the same. Asked after the user's ticket was cancelled, which has spent every earlier one
    /// too, so that none opens a chat from now on.
    pub(super) async fn find_stray_match(
        &self,
        id: TicketId,
        owner: &Arc<UserEntry>,
    ) -> Result<bool, Refusal> {
        let now = self.env.clock.now();
        let Some(seat) = self.env.store.seat(owner.user, now).await? else {
            return Ok(false);
        };
        if self.chats.load_chat(seat).await?.is_none() {
            return Ok(false);
        }
        self.matched_elsewhere(id, owner.user, seat, None).await;
        Ok(true)
    }

    /// Lets the next retry of a ticket begin with a look at the seat of its user.
    pub(super) fn look_later(&self, id: TicketId) {
        if let Some(entry) = lock(&self.tickets).get_mut(&id) {
            entry.must_look = true;
        }
    }

    /// Notices to this node may be lost, and a queue may hold tickets that were taken out of it:
    /// every ticket begins its next retry with a look at the seat of its user.
    pub fn look_all(&self) {
        for entry in lock(&self.tickets).values_mut() {
            entry.must_look = true;
        }
    }

    /// Puts a ticket back with its old time, unless its owner gave it up. A cancel or a lost
    /// connection of the owner that happened meanwhile takes effect now.
    pub(super) async fn enter_again(&self, id: TicketId, owner: &Arc<UserEntry>) {
        let Some(ticket) = self.refreshed(id, owner).await else {
            return;
        };
        if let Err(error) = self.env.broker.requeue(ticket).await {
            // The next retry tries again.
            return tracing::warn!(%error, ticket = %id, "a ticket could not be put back");
        }
        let is_held = lock(&self.tickets).get_mut(&id).is_some_and(|entry| {
            entry.retry_at = 0;
            entry.held_until.is_some()
        });
        if is_held && let Err(error) = self.env.broker.set_paused(id, true).await {
            tracing::warn!(%error, ticket = %id, "a ticket could not be paused");
        }
        if !is_waiting(owner, id)
            && let Err(error) = self.env.broker.cancel(id).await
        {
            tracing::warn!(%error, ticket = %id, "a ticket could not be taken out again");
        }
    }

    /// The ticket with which the owner still waits, with the current list of users to avoid.
    async fn refreshed(&self, id: TicketId, owner: &UserEntry) -> Option<Ticket> {
        let now = self.env.clock.now();
        let avoid = self.env.store.avoid(owner.user, now).await;
        let avoid = avoid.map_err(|error| tracing::warn!(%error, "blocks could not be read"));
        let mut state = owner.state();
        let held = state.ticket.as_mut().filter(|held| held.ticket.id == id)?;
        let avoid = avoid.ok()?;
        held.ticket.blocked = avoid.blocked;
        held.ticket.recent = avoid.recent;
        Some(held.ticket.clone())
    }

    fn drop_held(&self, id: TicketId, owner: &UserEntry, code: ErrorCode) {
        let held = owner.state().ticket.clone();
        if let Some(held) = held.filter(|held| held.ticket.id == id) {
            self.drop_ticket(&held.ticket, Some(code));
        }
    }
}

/// The outcome of an offer.
enum Settled {
    /// The store has opened this chat.
    Opened(record::Chat),
    /// One of them has blocked the other.
    Blocked,
    /// This user cannot be matched with this ticket: the account no longer exists, the user is in a
    /// chat, or the ticket is spent.
    Refused(UserId),
    /// Unknown: the store failed.
    Unknown,
}

fn member(user: User) -> ChatMember {
    ChatMember {
        user: user.id,
        name: user.name,
        language: user.language,
        delivered: Position::START,
        read: Position::START,
    }
}

/// Whether the owner still waits with this ticket.
fn is_waiting(owner: &UserEntry, id: TicketId) -> bool {
    let state = owner.state();
    state
        .ticket
        .as_ref()
        .is_some_and(|held| held.ticket.id == id)
}
