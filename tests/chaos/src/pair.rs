//! Two people who chat from beginning to end, whatever happens.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use nowrong_client::{Chat, NewAccount};
use rand::Rng as _;
use tokio::time::{sleep, timeout};

use crate::{
    crew::Crew,
    diary::{Diary, Event},
    guest::{GaveUp, Guest, STUCK, Said, Slowest, Who},
};

/// Where pairs meet; nobody else is there.
pub const CATEGORY: &str = "deep-talk";

/// One of the two.
pub struct Member {
    guest: Guest,
    chat: Chat,
    said: u32,
}

/// Brings two people together, through an interest that nobody else has.
///
/// # Errors
/// When they do not meet.
pub async fn meet(crew: &Arc<Crew>, pair: usize) -> anyhow::Result<[Member; 2]> {
    let mut guests = Vec::with_capacity(2);
    for (letter, number) in [("Ana", 2 * pair), ("Ben", 2 * pair + 1)] {
        let account = NewAccount::named(format!("{letter} {pair}"));
        let who = Who::register(crew, number, account).await?;
        guests.push(who.connect().await.map_err(|_| stuck("connecting"))?);
    }
    let interest = format!("pair {pair}");
    let mut tickets = Vec::with_capacity(2);
    for guest in &mut guests {
        guest.who.note(Event::Joining);
        let ticket = guest.client.join(CATEGORY, &[&interest]).await?;
        guest.who.note(Event::Queued(ticket.id()));
        tickets.push(ticket);
    }
    let mut members = Vec::with_capacity(2);
    for (mut guest, mut ticket) in guests.into_iter().zip(tickets) {
        let chat = timeout(STUCK, ticket.matched())
            .await
            .context("no match came")??;
        guest.met(&chat, Some(ticket.id()));
        members.push(Member {
            guest,
            chat,
            said: 0,
        });
    }
    members.try_into().map_err(|_| stuck("pairing"))
}

fn stuck(what: &str) -> anyhow::Error {
    anyhow::anyhow!("{what} took too long before anything was broken")
}

impl Member {
    /// Says one thing after the other until everybody should be quiet.
    ///
    /// # Errors
    /// The diary of a person who gave up.
    pub async fn talk(mut self) -> Result<Self, GaveUp> {
        let crew = self.guest.who.crew.clone();
        let longest = crew.pause_max.as_millis() as u64;
        while !crew.quiet.is_cancelled() {
            self = self.say_next().await?;
            let pause = Duration::from_millis(self.guest.who.random.random_range(0..=longest));
            tokio::select! {
                () = sleep(pause) => {}
                () = crew.quiet.cancelled() => {}
            }
        }
        Ok(self)
    }

    /// Says one last thing, now that nothing is broken any more.
    ///
    /// # Errors
    /// The diary of a person who gave up.
    pub async fn last_word(self) -> Result<Self, GaveUp> {
        self.say_next().await
    }

    /// Reads everything back; returns the diary, and the message that took longest.
    pub async fn read_back(mut self) -> (Diary, Slowest) {
        self.guest.read_back_settled(&self.chat).await;
        let Guest { who, client } = self.guest;
        client.close().await;
        let slowest = who.slowest();
        (who.into_diary(), slowest)
    }

    async fn say_next(mut self) -> Result<Self, GaveUp> {
        self.said += 1;
        let text = format!("message {} of {}", self.said, self.chat.you());
        match self.guest.say(&self.chat, text).await {
            Said::Sent => Ok(self),
            Said::Stuck => Err(Box::new(self.guest.who.into_diary())),
            Said::Over => {
                // Neither member of a pair ever leaves: the checker knows this.
                self.guest.who.note(Event::Ended(self.chat.id()));
                self.guest.look_back(&self.chat).await;
                Err(Box::new(self.guest.who.into_diary()))
            }
        }
    }
}
