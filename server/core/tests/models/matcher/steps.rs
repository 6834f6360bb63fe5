//! The effect of each action. `None`: it cannot happen, or changes nothing.

use super::{properties::*, *};

/// Most offers that a node of the model settles at a time.
const OFFERS_MAX: usize = 2;

impl Matcher {
    pub(super) fn perform(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Enter { u } => self.enter(s, u),
            Action::Try { n, u, partner } => self.try_ticket(s, n, u, partner),
            Action::Open { n, i } => self.open(s, n, i),
            Action::OpenStep { n, i } => self.open_step(s, n, i),
            Action::LapseClaim { u } => lapse_claim(s, u),
            Action::Told { n, u } => told(s, n, u),
            Action::Notice { n, u } => notice(s, n, u),
            Action::Cancel { u } => self.cancel(s, u),
            Action::Leave { u } => leave(s, u),
            Action::Connect { u, n } => connect(s, u, n),
            Action::Block { u, other } => block(s, u, other),
            Action::Renew { n } => self.renew(s, n),
            Action::Lapse { n, life } => lapse(s, n, life),
            Action::Pause { n } => pause(s, n),
            Action::Move { u } => move_away(s, u),
            Action::Crash { n } => crash(s, n),
            Action::Failover => self.failover(s),
            Action::Redirect { n } => redirect(s, n),
            Action::Replicate => replicate(s),
        }
    }

    fn enter(&self, s: &mut State, u: usize) -> Option<()> {
        let user = &mut s.users[u];
        let n = user.node?;
        let is_free = s.store.seats[u] == Seat::Free && s.nodes[n].tickets[u].is_none();
        if !user.is_willing || !is_free || user.tickets >= self.bounds.tickets {
            return None;
        }
        user.tickets += 1;
        let avoids = std::array::from_fn(|other| s.store.is_blocked(u, other));
        s.nodes[n].tickets[u] = Some(Ticket {
            user: u,
            count: user.tickets,
            node: n,
            life: s.nodes[n].life,
            avoids,
            is_late: false,
        });
        Some(())
    }

    fn try_ticket(&self, s: &mut State, n: usize, u: usize, partner: Option<usize>) -> Option<()> {
        let mut ticket = s.nodes[n].tickets[u].clone()?;
        let mut settled = s.nodes[n].offers.iter().flat_map(|offer| &offer.tickets);
        if settled.any(|other| *other == ticket) {
            return None;
        }
        let before = s.queue_of(n).clone();
        let is_known = !s.nodes[n].entered[u] || before.contains(&ticket);
        if !is_known && !self.has(Rule::EnterAgain) {
            return None;
        }
        let leases = s.leases.clone();
        let queue = s.queue_of_mut(n);
        if self.has(Rule::SkipLapsed) {
            queue.retain(|other| self.is_alive(&leases, other));
        }
        match partner {
            Some(partner) => {
                let at = queue
                    .iter()
                    .position(|other| other.user == partner && self.fits(&ticket, other))?;
                let partner = queue.remove(at);
                queue.retain(|other| other.user != u);
                if !leases.contains(&(partner.node, partner.life)) {
                    s.broken = Some(GHOST);
                }
                let node = &mut s.nodes[n];
                if node.offers.len() >= OFFERS_MAX {
                    return None;
                }
                node.offers.push(Offer {
                    tickets: [ticket, partner],
                    claimed: 0,
                });
            }
            None if queue.iter().any(|other| self.fits(&ticket, other)) => return None,
            None => {
                ticket.is_late = !is_known && !self.has(Rule::KeepTime);
                s.nodes[n].entered[u] = true;
                self.put(s.queue_of_mut(n), ticket);
            }
        }
        (*s.queue_of(n) != before).then_some(())
    }

    /// Enters a ticket, unless its user has a newer one.
    fn put(&self, queue: &mut Vec<Ticket>, ticket: Ticket) {
        if self.has(Rule::OneTicket) {
            if queue
                .iter()
                .any(|other| other.user == ticket.user && other.count > ticket.count)
            {
                return;
            }
            queue.retain(|other| other.user != ticket.user);
        } else {
            queue.retain(|other| (other.user, other.count) != (ticket.user, ticket.count));
        }
        queue.push(ticket);
        queue.sort();
    }

    pub(super) fn is_alive(&self, leases: &[(usize, u8)], ticket: &Ticket) -> bool {
        let is_its = |(n, life): &(usize, u8)| {
            *n == ticket.node && (*life == ticket.life || !self.has(Rule::FreshIdentity))
        };
        leases.iter().any(is_its)
    }

    fn fits(&self, a: &Ticket, b: &Ticket) -> bool {
        let ages = self.bounds.ages;
        let are_of_age = ages[a.user] == ages[b.user] || !self.has(Rule::CheckAges);
        a.user != b.user && are_of_age && !a.avoids[b.user] && !b.avoids[a.user]
    }

    fn open(&self, s: &mut State, n: usize, i: usize) -> Option<()> {
        let offer = s.nodes[n].offers.remove(i);
        let mut tickets = offer.tickets;
        tickets.sort();
        if tickets.iter().any(|ticket| !self.may_sit(s, ticket)) {
            for ticket in &tickets {
                if !self.may_sit(s, ticket) {
                    drop_ticket(s, n, ticket);
                }
            }
        } else if self.are_blocked(s, &tickets) {
            refresh(s, &tickets);
        } else {
            self.sit(s, n, &tickets);
            return Some(());
        }
        self.return_tickets(s, n, &tickets);
        Some(())
    }

    fn may_sit(&self, s: &State, ticket: &Ticket) -> bool {
        let is_free = s.store.seats[ticket.user] == Seat::Free || !self.has(Rule::OneSeat);
        let is_spent = ticket.count <= s.store.spent[ticket.user];
        is_free && !is_spent
    }

    fn are_blocked(&self, s: &State, tickets: &[Ticket; 2]) -> bool {
        let [a, b] = tickets;
        s.store.is_blocked(a.user, b.user) && self.has(Rule::CheckBlocksAtOpen)
    }

    /// Without its rule, the node that settles enters the surviving ticket, even if it is another
    /// node's.
    fn return_tickets(&self, s: &mut State, n: usize, tickets: &[Ticket; 2]) {
        if self.has(Rule::OwnerEnters) {
            return;
        }
        for ticket in tickets {
            if self.may_sit(s, ticket) {
                self.put(s.queue_of_mut(n), ticket.clone());
            }
        }
    }

    /// Writes the chat and both seats.
    fn sit(&self, s: &mut State, n: usize, tickets: &[Ticket; 2]) {
        let [a, b] = tickets;
        let ages = self.bounds.ages;
        if ages[a.user] != ages[b.user] {
            s.broken = Some(WRONG_AGE);
        }
        if s.store.is_blocked(a.user, b.user) {
            s.broken = Some(BLOCKED_MET);
        }
        if tickets
            .iter()
            .any(|ticket| ticket.count <= s.users[ticket.user].cancelled)
        {
            s.broken = Some(BOTH_WON);
        }
        if tickets
            .iter()
            .any(|ticket| ticket.count <= s.users[ticket.user].matched)
        {
            s.broken = Some(USED_TWICE);
        }
        s.store.seats[a.user] = Seat::With(b.user);
        s.store.seats[b.user] = Seat::With(a.user);
        s.store.chats.push([a.user, b.user]);
        s.store.chats.sort_unstable();
        for ticket in tickets {
            s.users[ticket.user].matched = ticket.count;
            if self.has(Rule::SpendTicket) {
                s.store.spent[ticket.user] = ticket.count.max(s.store.spent[ticket.user]);
            }
            drop_ticket(s, n, ticket);
        }
    }

    fn open_step(&self, s: &mut State, n: usize, i: usize) -> Option<()> {
        let offer = s.nodes[n].offers[i].clone();
        let mut tickets = offer.tickets;
        tickets.sort();
        let Some(ticket) = tickets.get(offer.claimed) else {
            s.nodes[n].offers.remove(i);
            self.sit(s, n, &tickets);
            return Some(());
        };
        if self.may_sit(s, ticket) {
            s.store.seats[ticket.user] = Seat::Claimed;
            s.nodes[n].offers[i].claimed += 1;
            return Some(());
        }
        for claimed in &tickets[..offer.claimed] {
            s.store.seats[claimed.user] = Seat::Free;
        }
        s.nodes[n].offers.remove(i);
        drop_ticket(s, n, ticket);
        self.return_tickets(s, n, &tickets);
        Some(())
    }

    fn cancel(&self, s: &mut State, u: usize) -> Option<()> {
        s.left.cancels = s.left.cancels.checked_sub(1)?;
        let n = s.users[u].node?;
        let ticket = s.nodes[n].tickets[u].clone()?;
        let queue = s.queue_of_mut(n);
        let waiting = queue.len();
        queue.retain(|other| other.user != u);
        let was_waiting = queue.len() < waiting;
        let has_won = if self.has(Rule::CancelInStore) {
            s.store.seats[u] == Seat::Free
        } else {
            was_waiting
        };
        if !has_won {
            return None;
        }
        if self.has(Rule::CancelInStore) {
            s.store.spent[u] = ticket.count;
        }
        s.users[u].cancelled = ticket.count;
        s.users[u].is_willing = false;
        s.nodes[n].forget(u);
        Some(())
    }

    fn renew(&self, s: &mut State, n: usize) -> Option<()> {
        if !self.has(Rule::FreshIdentity) {
            s.leases.retain(|(other, _)| *other != n);
        }
        s.leases.push((n, s.nodes[n].life));
        s.leases.sort_unstable();
        Some(())
    }

    fn failover(&self, s: &mut State) -> Option<()> {
        s.left.failovers = s.left.failovers.checked_sub(1)?;
        s.deposed = std::mem::replace(&mut s.queue, std::mem::take(&mut s.replica));
        for node in &mut s.nodes {
            node.is_on_deposed = true;
        }
        Some(())
    }
}

impl Store {
    pub(super) fn is_blocked(&self, a: usize, b: usize) -> bool {
        self.blocks.contains(&[a.min(b), a.max(b)])
    }
}

impl Node {
    fn forget(&mut self, u: usize) {
        self.tickets[u] = None;
        self.entered[u] = false;
    }
}

/// The node that settles drops the ticket if it is its own.
fn drop_ticket(s: &mut State, n: usize, ticket: &Ticket) {
    if s.nodes[n].tickets[ticket.user].as_ref() == Some(ticket) {
        s.nodes[n].forget(ticket.user);
    }
}

/// Tickets that were refused because of a block get the current blocks.
fn refresh(s: &mut State, tickets: &[Ticket; 2]) {
    for ticket in tickets {
        let u = ticket.user;
        let avoids = std::array::from_fn(|other| s.store.is_blocked(u, other));
        let kept = s.nodes[ticket.node].tickets[u].as_mut();
        if let Some(kept) = kept.filter(|kept| *kept == ticket) {
            kept.avoids = avoids;
        }
    }
}

fn lapse_claim(s: &mut State, u: usize) -> Option<()> {
    let seat = &mut s.store.seats[u];
    (*seat == Seat::Claimed).then(|| *seat = Seat::Free)
}

fn told(s: &mut State, n: usize, u: usize) -> Option<()> {
    let ticket = s.nodes[n].tickets[u].clone()?;
    let is_over = matches!(s.store.seats[u], Seat::With(_)) || ticket.count <= s.store.spent[u];
    is_over.then(|| remove(s, n, u))
}

fn notice(s: &mut State, n: usize, u: usize) -> Option<()> {
    s.nodes[n].tickets[u].as_ref()?;
    (s.users[u].node != Some(n)).then(|| remove(s, n, u))
}

/// The node drops its ticket, from the queue too.
fn remove(s: &mut State, n: usize, u: usize) {
    let ticket = s.nodes[n].tickets[u].clone();
    s.nodes[n].forget(u);
    s.queue_of_mut(n).retain(|other| {
        ticket
            .as_ref()
            .is_none_or(|ticket| (other.user, other.count) != (ticket.user, ticket.count))
    });
}

fn leave(s: &mut State, u: usize) -> Option<()> {
    s.left.leaves = s.left.leaves.checked_sub(1)?;
    let Seat::With(partner) = s.store.seats[u] else {
        return None;
    };
    let members = [u.min(partner), u.max(partner)];
    s.store.chats.retain(|chat| *chat != members);
    for member in members {
        s.store.seats[member] = Seat::Free;
    }
    Some(())
}

fn connect(s: &mut State, u: usize, n: usize) -> Option<()> {
    s.users[u].node = Some(n);
    Some(())
}

fn block(s: &mut State, u: usize, other: usize) -> Option<()> {
    s.left.blocks = s.left.blocks.checked_sub(1)?;
    // A user may block a partner during a chat: a chat that was opened before is not undone here.
    (!s.store.is_blocked(u, other)).then(|| s.store.blocks.push([u, other]))
}

fn lapse(s: &mut State, n: usize, life: u8) -> Option<()> {
    let leases = s.leases.len();
    s.leases.retain(|lease| *lease != (n, life));
    (s.leases.len() < leases).then_some(())
}

fn pause(s: &mut State, n: usize) -> Option<()> {
    s.left.pauses = s.left.pauses.checked_sub(1)?;
    lapse(s, n, s.nodes[n].life)
}

fn move_away(s: &mut State, u: usize) -> Option<()> {
    s.left.moves = s.left.moves.checked_sub(1)?;
    s.users[u].node = Some(1 - s.users[u].node?);
    Some(())
}

fn crash(s: &mut State, n: usize) -> Option<()> {
    s.left.crashes = s.left.crashes.checked_sub(1)?;
    s.nodes[n] = Node {
        life: s.nodes[n].life + 1,
        ..Node::default()
    };
    for user in &mut s.users {
        user.node = user.node.filter(|node| *node != n);
    }
    forget_deposed(s);
    Some(())
}

fn redirect(s: &mut State, n: usize) -> Option<()> {
    s.nodes[n].is_on_deposed = false;
    forget_deposed(s);
    Some(())
}

fn forget_deposed(s: &mut State) {
    if s.nodes.iter().all(|node| !node.is_on_deposed) {
        s.deposed.clear();
    }
}

fn replicate(s: &mut State) -> Option<()> {
    (s.replica != s.queue).then(|| s.replica = s.queue.clone())
}
