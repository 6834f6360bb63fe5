//! People who come and go: they join, lose patience and cancel, talk a little, leave, block, ask
//! for the next partner, vanish and come back.

use std::{collections::HashSet, sync::Arc, time::Duration};

use nowrong_client::{Chat, ChatEvent, NewAccount, Ticket};
use nowrong_protocol::{ChatId, ErrorCode, TicketId};
use rand::{Rng as _, seq::IndexedRandom as _};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    crew::Crew,
    diary::{Diary, Event},
    guest::{GaveUp, Guest, STUCK, Said, Who},
};

/// The categories in which they look for company.
pub const CATEGORIES: [&str; 3] = ["music", "films", "books"];

/// What they like to talk about.
const INTERESTS: [&str; 4] = ["jazz", "space", "cats", "tea"];

/// One in this many is younger.
const YOUNG_ONE_IN: usize = 4;

/// How long they wait for company, shortest and longest.
const PATIENCE_MS: (u64, u64) = (300, 9_000);

/// One in this many waits for longer, until also people who have met recently may meet: otherwise nobody
/// meets any more once everybody has met.
const PATIENT_ONE_IN: u32 = 4;

/// How long those wait at most.
const LONG_PATIENCE_MS: u64 = 25_000;

/// Most messages in one chat.
const MESSAGES_MAX: u32 = 6;

/// Between two messages, at most.
const PAUSE_MAX_MS: u64 = 1_200;

/// How long a person who vanished stays away at most: shorter than seats and tickets are held.
const AWAY_MAX_MS: u64 = 4_000;

/// How long a person stays to see whether the partner leaves first.
const STAY: Duration = Duration::from_secs(4);

/// How long after a cancel that came too late its match may be reported.
const MATCH_GRACE: Duration = Duration::from_secs(5);

/// A person who comes and goes.
pub struct Wanderer {
    guest: Guest,
    /// The chats that the person was told of.
    met: HashSet<ChatId>,
    /// The ones that are over.
    over: HashSet<ChatId>,
}

/// Registers and connects one.
///
/// # Errors
/// When the servers do not let the person in.
pub async fn arrive(crew: &Arc<Crew>, number: usize) -> anyhow::Result<Wanderer> {
    let mut account = NewAccount::named(format!("Wanda {number}"));
    if number.is_multiple_of(YOUNG_ONE_IN) {
        "13-17".clone_into(&mut account.age_bracket);
    }
    let who = Who::register(crew, number, account).await?;
    let guest = who
        .connect()
        .await
        .map_err(|_| anyhow::anyhow!("a wanderer was not let in"))?;
    Ok(Wanderer {
        guest,
        met: HashSet::new(),
        over: HashSet::new(),
    })
}

impl Wanderer {
    /// Wanders until everybody should be quiet, then goes home; returns the diary.
    pub async fn wander(mut self) -> Diary {
        while !self.guest.who.crew.quiet.is_cancelled() {
            let stepped = match self.open_chat().await {
                Some(chat) => self.dwell(chat).await,
                None => self.seek().await,
            };
            match stepped {
                Ok(wanderer) => self = wanderer,
                Err(diary) => return *diary,
            }
        }
        self.go_home().await
    }

    fn meet(&mut self, chat: &Chat, ticket: Option<TicketId>) {
        if self.met.insert(chat.id()) {
            self.guest.met(chat, ticket);
        }
    }

    /// The chat that the person is in, as the client has it.
    async fn open_chat(&mut self) -> Option<Chat> {
        let chat = self.guest.client.chat().await.ok().flatten()?;
        if self.over.contains(&chat.id()) {
            return None;
        }
        let view = chat.view().await.ok()?;
        view.end.is_none().then_some(chat)
    }

    /// Joins a category and waits a while.
    async fn seek(mut self) -> Result<Self, GaveUp> {
        let random = &mut self.guest.who.random;
        let category = CATEGORIES.choose(random).copied().unwrap_or(CATEGORIES[0]);
        let interest = INTERESTS
            .choose(random)
            .copied()
            .filter(|_| random.random());
        self.guest.who.note(Event::Joining);
        let mut connection = self.guest.client.state();
        connection.mark_unchanged();
        let joining = self.guest.client.join(category, interest.as_slice());
        let joined = timeout(STUCK, joining).await;
        if connection.has_changed().unwrap_or(true) {
            self.guest.who.note(Event::AskedAgain);
        }
        match joined {
            Ok(Ok(ticket)) => {
                self.guest.who.note(Event::Queued(ticket.id()));
                return self.wait(ticket).await;
            }
            Ok(Err(error)) => match error.code() {
                // Something happened that this client was not told about: a new connection will
                // tell.
                Some(ErrorCode::ALREADY_IN_CHAT | ErrorCode::ALREADY_QUEUED) => {
                    self.look_again().await;
                }
                _ if error.close_code().is_some() => {
                    return Err(self.guest.who.give_up(&format!("joining: {error}")));
                }
                _ => {
                    self.guest.who.note(Event::JoinFailed);
                    self.guest.who.pause_to_retry().await;
                }
            },
            Err(_) => return Err(self.guest.who.give_up("joining")),
        }
        Ok(self)
    }

    async fn wait(mut self, mut ticket: Ticket) -> Result<Self, GaveUp> {
        let random = &mut self.guest.who.random;
        let longest = match random.random_ratio(1, PATIENT_ONE_IN) {
            true => LONG_PATIENCE_MS,
            false => PATIENCE_MS.1,
        };
        let patience = random.random_range(PATIENCE_MS.0..=longest);
        let matched = timeout(Duration::from_millis(patience), ticket.matched()).await;
        match matched {
            Ok(Ok(chat)) => self.meet(&chat, Some(ticket.id())),
            // The ticket ended with its node, or in another way that leaves the person free.
            Ok(Err(_)) => self.guest.who.pause_to_retry().await,
            Err(_) => self.cancel(ticket).await,
        }
        Ok(self)
    }

    async fn cancel(&mut self, mut ticket: Ticket) {
        let deadline = Instant::now() + STUCK;
        while Instant::now() < deadline {
            if let Ok(Ok(())) = timeout(STUCK, ticket.cancel()).await {
                self.guest.who.crew.counts.cancelled.add();
                self.guest.who.note(Event::Cancelled(ticket.id()));
                return;
            }
            match timeout(MATCH_GRACE, ticket.matched()).await {
                Ok(Ok(chat)) => return self.meet(&chat, Some(ticket.id())),
                Ok(Err(_)) => return,
                Err(_) => self.guest.who.pause_to_retry().await,
            }
        }
        self.guest.who.note(Event::Stuck(
            "a ticket neither ended nor was matched".to_owned(),
        ));
    }

    /// Talks for a while, then does one of the things that people do.
    async fn dwell(mut self, mut chat: Chat) -> Result<Self, GaveUp> {
        // The chat may have come with the snapshot of a new connection.
        self.meet(&chat, None);
        let count = self.guest.who.random.random_range(0..=MESSAGES_MAX);
        for number in 0..count {
            let pause = Duration::from_millis(self.guest.who.random.random_range(0..=PAUSE_MAX_MS));
            if timeout(pause, ended(&mut chat)).await.is_ok() {
                return self.finish(chat).await;
            }
            match self.guest.say(&chat, format!("hello {number}")).await {
                Said::Sent => {}
                Said::Over => return self.finish(chat).await,
                Said::Stuck => return Err(Box::new(self.guest.who.into_diary())),
            }
        }
        match self.guest.who.random.random_range(0..10) {
            0..=2 => self.leave(chat).await,
            3 | 4 => self.block(chat).await,
            5 => self.next(chat).await,
            6 | 7 => self.vanish(chat).await,
            _ => {
                // The first to lose patience leaves.
                let _ = timeout(STAY, ended(&mut chat)).await;
                self.leave(chat).await
            }
        }
    }

    async fn leave(mut self, chat: Chat) -> Result<Self, GaveUp> {
        self.guest.part(chat.id(), || chat.leave()).await;
        self.close(chat).await
    }

    async fn block(mut self, chat: Chat) -> Result<Self, GaveUp> {
        if self.guest.part(chat.id(), || chat.block()).await {
            self.guest.who.crew.counts.blocked.add();
            self.guest.who.note(Event::Blocked(chat.id()));
        }
        self.close(chat).await
    }

    async fn next(mut self, chat: Chat) -> Result<Self, GaveUp> {
        self.guest.who.note(Event::Parting(chat.id()));
        self.guest.who.note(Event::Joining);
        let asked = timeout(STUCK, chat.next()).await;
        let Ok(Ok(ticket)) = asked else {
            self.guest.who.pause_to_retry().await;
            return self.leave(chat).await;
        };
        self.guest.who.note(Event::Queued(ticket.id()));
        self.guest.who.note(Event::Ended(chat.id()));
        self.guest.who.crew.counts.parted.add();
        self.guest.look_back(&chat).await;
        self.over.insert(chat.id());
        self.wait(ticket).await
    }

    async fn vanish(mut self, chat: Chat) -> Result<Self, GaveUp> {
        self.guest.look_back(&chat).await;
        drop(chat);
        let mut who = self.guest.vanish().await;
        let away = Duration::from_millis(who.random.random_range(0..=AWAY_MAX_MS));
        sleep(away).await;
        self.guest = who.connect().await?;
        Ok(self)
    }

    /// The partner ended it.
    async fn finish(mut self, chat: Chat) -> Result<Self, GaveUp> {
        self.guest.who.note(Event::Ended(chat.id()));
        self.close(chat).await
    }

    async fn close(mut self, chat: Chat) -> Result<Self, GaveUp> {
        self.guest.read_back(&chat).await;
        self.over.insert(chat.id());
        Ok(self)
    }

    /// Drops the link, so that the next one brings a snapshot.
    async fn look_again(&mut self) {
        let _ = self.guest.client.cut().await;
        if timeout(STUCK, self.guest.client.opened()).await.is_err() {
            self.guest.who.note(Event::Stuck("coming back".to_owned()));
        }
    }

    async fn go_home(mut self) -> Diary {
        if let Ok(Some(ticket)) = self.guest.client.ticket().await {
            self.cancel(ticket).await;
        }
        if let Some(chat) = self.open_chat().await {
            match self.leave(chat).await {
                Ok(wanderer) => self = wanderer,
                Err(diary) => return *diary,
            }
        }
        let Guest { who, client } = self.guest;
        client.close().await;
        who.into_diary()
    }
}

/// Waits for the end of a chat.
async fn ended(chat: &mut Chat) {
    while let Some(event) = chat.next_event().await {
        if matches!(event, ChatEvent::Ended { .. } | ChatEvent::Gone) {
            return;
        }
    }
}
