//! Matching in a cluster: several nodes, a queue in Redis, which forgets, and seats in the store,
//! which does not.
//!
//! # The system
//!
//! A user is connected to a node, which keeps the user's [`Ticket`] and tries it against the queue. A
//! try is one script: it takes an acceptable ticket out as an [`Offer`], or enters its own. The node
//! that got the offer settles it: the store opens the chat and gives both seats, or refuses. Tickets
//! name their node, and count only while that node's lease lasts. Redis may lose the queue, go back
//! to an older one, or have two masters for a while; a node may be slow, stop, or come back under a
//! new identity.
//!
//! # How to read it
//!
//! [`Action`] lists the steps, each atomic; between two steps of a node anything may happen.
//! `steps.rs` has the effect of each action, `properties.rs` the properties. Each [`Rule`] can be
//! switched off; `tests.rs` shows what breaks then. The tries of the model are less careful than
//! the real ones: any acceptable ticket may be chosen, and a ticket may be tried at any time, even
//! while another node settles it.

use crate::checker::Model;

mod properties;
mod steps;
mod tests;

const USERS: usize = 3;
const NODES: usize = 2;

/// Counts the tickets of a user, from 1. Later ones are greater, as with ids of version 7.
type Count = u8;

/// The rules of matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Both seats and the chat are written in one transaction of the store.
    OpenAtomically,
    /// A seat claimed for a chat that does not exist lapses. Only matters without
    /// [`Rule::OpenAtomically`], and then it is switched off here.
    KeepClaims,
    /// A seat is given only to a user without an active chat.
    OneSeat,
    /// A cancel is a write to the user's seat in the store, and opening refuses a cancelled ticket
    /// and all earlier ones.
    CancelInStore,
    /// Opening a chat spends both tickets in the same write: neither opens a second one.
    SpendTicket,
    /// Opening checks the blocks again.
    CheckBlocksAtOpen,
    /// A try only takes a ticket of the same age bracket.
    CheckAges,
    /// Only the node of a ticket enters it, also when it is entered again: the node that settles a
    /// failed offer tells that node.
    OwnerEnters,
    /// A ticket that is not in the queue is entered again by its node, which cannot know why.
    EnterAgain,
    /// A node that starts has a new identity, and so a new lease.
    FreshIdentity,
    /// A try removes the tickets whose lease has lapsed, instead of offering them.
    SkipLapsed,
    /// The queue is good only under the replication id under which it was filled.
    BindQueueToMaster,
    /// A ticket that is entered again keeps its old time.
    KeepTime,
    /// A newer ticket of a user replaces the older one, never the other way round. Not needed: a
    /// user has one seat, however many tickets.
    OneTicket,
}

/// One step of one part of the system. `n` is a node, `u` a user, `i` an offer of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The user asks for a partner; the node makes a ticket.
    Enter { u: usize },
    /// The script tries the ticket: it takes out a `partner`, or enters the ticket if there is no
    /// partner.
    Try {
        n: usize,
        u: usize,
        partner: Option<usize>,
    },
    /// The store opens the chat of an offer, or refuses.
    Open { n: usize, i: usize },
    /// Only without [`Rule::OpenAtomically`]: a seat is claimed, the lower user's first; then the chat
    /// is written.
    OpenStep { n: usize, i: usize },
    /// Only without [`Rule::KeepClaims`]: a claim lapses.
    LapseClaim { u: usize },
    /// The node learns that its user has a seat.
    Told { n: usize, u: usize },
    /// The node notices that its user has gone, and drops the ticket.
    Notice { n: usize, u: usize },
    /// The user gives the ticket up.
    Cancel { u: usize },
    /// A member ends the chat.
    Leave { u: usize },
    /// A user without a connection gets one.
    Connect { u: usize, n: usize },
    /// The user never wants to meet the other again.
    Block { u: usize, other: usize },
    /// The node renews its lease.
    Renew { n: usize },
    /// The lease of a dead node lapses.
    Lapse { n: usize, life: u8 },
    /// Fault: a node is so slow that its lease lapses.
    Pause { n: usize },
    /// Fault: a user is connected to another node; the old one has not noticed.
    Move { u: usize },
    /// Fault: a node loses its memory and starts again.
    Crash { n: usize },
    /// Fault: another master takes over, with an empty queue or an old one.
    Failover,
    /// The node notices the failover.
    Redirect { n: usize },
    /// Only without [`Rule::BindQueueToMaster`]: the replica gets the queue as it is now.
    Replicate,
}

/// The size of the model.
#[derive(Clone, Copy, Debug, Hash, PartialEq)]
struct Bounds {
    /// The age brackets of the users.
    ages: [u8; USERS],
    /// How many of the users take part.
    users: usize,
    /// Most tickets of a user.
    tickets: Count,
    cancels: u8,
    leaves: u8,
    blocks: u8,
    pauses: u8,
    moves: u8,
    crashes: u8,
    failovers: u8,
}

/// The model, with all rules or without one of them.
#[derive(Clone, Debug)]
struct Matcher {
    bounds: Bounds,
    without: Vec<Rule>,
}

#[derive(Clone, Debug, Hash, PartialEq)]
struct State {
    store: Store,
    /// The queue of the master, by user.
    queue: Vec<Ticket>,
    /// The queue of a replaced master, as long as some node has not noticed the change.
    deposed: Vec<Ticket>,
    /// Only without [`Rule::BindQueueToMaster`].
    replica: Vec<Ticket>,
    /// Which nodes hold a lease, and in which of their lives they took it.
    leases: Vec<(usize, u8)>,
    nodes: [Node; NODES],
    users: [User; USERS],
    /// How many actions of each bounded kind may still happen.
    left: Bounds,
    /// The property that broke when a ticket was offered or a chat opened.
    broken: Option<&'static str>,
}

#[derive(Clone, Debug, Default, Hash, PartialEq)]
struct Store {
    seats: [Seat; USERS],
    /// The newest ticket of each user that was cancelled or has opened a chat.
    spent: [Count; USERS],
    /// Active chats.
    chats: Vec<[usize; 2]>,
    blocks: Vec<[usize; 2]>,
}

#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
enum Seat {
    #[default]
    Free,
    /// Only without [`Rule::OpenAtomically`].
    Claimed,
    /// In a chat with this user.
    With(usize),
}

/// A user's place in the queue.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    user: usize,
    count: Count,
    /// Its node, and in which of its lives the node made it.
    node: usize,
    life: u8,
    /// The users whom its user had blocked, or been blocked by, when it was made.
    avoids: [bool; USERS],
    /// Whether it was entered again with a later time.
    is_late: bool,
}

/// Two tickets proposed to each other.
#[derive(Clone, Debug, Hash, PartialEq)]
struct Offer {
    tickets: [Ticket; 2],
    /// Only without [`Rule::OpenAtomically`]: how many seats are claimed.
    claimed: usize,
}

#[derive(Clone, Debug, Default, Hash, PartialEq)]
struct Node {
    life: u8,
    /// The tickets of its users.
    tickets: [Option<Ticket>; USERS],
    /// Which of them have been in the queue.
    entered: [bool; USERS],
    offers: Vec<Offer>,
    is_on_deposed: bool,
}

#[derive(Clone, Debug, Default, Hash, PartialEq)]
struct User {
    node: Option<usize>,
    is_willing: bool,
    /// The count of the newest ticket.
    tickets: Count,
    /// The newest ticket that the user was told is cancelled.
    cancelled: Count,
    /// The newest ticket that has opened a chat.
    matched: Count,
}

impl Model for Matcher {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let user = |u: usize| User {
            node: Some(u % NODES),
            is_willing: u < self.bounds.users,
            ..User::default()
        };
        State {
            store: Store::default(),
            queue: Vec::new(),
            deposed: Vec::new(),
            replica: Vec::new(),
            leases: (0..NODES).map(|n| (n, 0)).collect(),
            nodes: Default::default(),
            users: std::array::from_fn(user),
            left: self.bounds,
            broken: None,
        }
    }

    fn actions(&self, s: &State) -> Vec<Action> {
        let mut actions = Vec::with_capacity(48);
        for u in 0..self.bounds.users {
            self.user_actions(s, u, &mut actions);
        }
        for n in 0..NODES {
            self.node_actions(s, n, &mut actions);
        }
        let is_dead = |(n, life): &&(usize, u8)| s.nodes[*n].life != *life;
        let leases = s.leases.iter().filter(is_dead);
        actions.extend(leases.map(|(n, life)| Action::Lapse { n: *n, life: *life }));
        if s.left.failovers > 0 {
            actions.push(Action::Failover);
        }
        if !self.has(Rule::BindQueueToMaster) {
            actions.push(Action::Replicate);
        }
        actions
    }

    fn apply(&self, s: &mut State, action: Action) -> bool {
        self.perform(s, action).is_some()
    }

    fn broken(&self, s: &State) -> Option<&'static str> {
        properties::broken(s)
    }

    fn is_guaranteed(&self, action: Action) -> bool {
        !matches!(
            action,
            Action::Cancel { .. }
                | Action::Leave { .. }
                | Action::Block { .. }
                | Action::Pause { .. }
                | Action::Move { .. }
                | Action::Crash { .. }
                | Action::Failover
                | Action::Replicate
        )
    }

    fn is_goal(&self, s: &State) -> bool {
        properties::is_settled(self, s)
    }

    fn is_at_bound(&self, s: &State) -> bool {
        s.users
            .iter()
            .any(|user| user.tickets >= self.bounds.tickets)
    }
}

impl Matcher {
    fn has(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }

    fn user_actions(&self, s: &State, u: usize, actions: &mut Vec<Action>) {
        if s.users[u].node.is_none() {
            return actions.extend((0..NODES).map(|n| Action::Connect { u, n }));
        }
        actions.push(Action::Enter { u });
        if s.left.cancels > 0 {
            actions.push(Action::Cancel { u });
        }
        if s.left.leaves > 0 {
            actions.push(Action::Leave { u });
        }
        if s.left.moves > 0 {
            actions.push(Action::Move { u });
        }
        if s.left.blocks > 0 {
            let others = u + 1..self.bounds.users;
            actions.extend(others.map(|other| Action::Block { u, other }));
        }
        if !self.has(Rule::KeepClaims) {
            actions.push(Action::LapseClaim { u });
        }
    }

    fn node_actions(&self, s: &State, n: usize, actions: &mut Vec<Action>) {
        let node = &s.nodes[n];
        for ticket in node.tickets.iter().flatten() {
            let u = ticket.user;
            actions.extend([Action::Told { n, u }, Action::Notice { n, u }]);
            let others = s.queue_of(n).iter().map(|ticket| Some(ticket.user));
            let partners = others.filter(|other| *other != Some(u)).chain([None]);
            actions.extend(partners.map(|partner| Action::Try { n, u, partner }));
        }
        for i in 0..node.offers.len() {
            actions.push(if self.has(Rule::OpenAtomically) {
                Action::Open { n, i }
            } else {
                Action::OpenStep { n, i }
            });
        }
        if !s.leases.contains(&(n, node.life)) {
            actions.push(Action::Renew { n });
        }
        if s.left.pauses > 0 {
            actions.push(Action::Pause { n });
        }
        if s.left.crashes > 0 {
            actions.push(Action::Crash { n });
        }
        if node.is_on_deposed {
            actions.push(Action::Redirect { n });
        }
    }
}

impl State {
    /// The queue that the node sees.
    fn queue_of(&self, n: usize) -> &Vec<Ticket> {
        if self.nodes[n].is_on_deposed {
            &self.deposed
        } else {
            &self.queue
        }
    }

    fn queue_of_mut(&mut self, n: usize) -> &mut Vec<Ticket> {
        if self.nodes[n].is_on_deposed {
            &mut self.deposed
        } else {
            &mut self.queue
        }
    }
}
