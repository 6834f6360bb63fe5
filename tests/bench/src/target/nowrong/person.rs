//! A person who uses NoWrong, for the phases where frames are handled one by one: opening and
//! matching.

use std::time::Duration;

use anyhow::{Context as _, bail};
use nowrong_client::User;
use nowrong_protocol::{
    ClientFrame, ServerFrame,
    frame::{ChatState, Join},
};
use tokio::time::timeout;

use crate::{
    dialect::{
        Dialect, Event,
        nowrong::{self, JOIN_REQUEST},
    },
    drive::{Connected, Peer},
    wire::Wire,
};

/// A default category of the server.
const CATEGORY: &str = "music";

/// How long an answer may take before the run is abandoned.
const PATIENCE: Duration = Duration::from_secs(20);

/// A person who is connected.
pub struct Person {
    /// The account.
    pub user: User,
    /// The connection.
    pub wire: Wire,
    /// The dialect spoken on it.
    pub dialect: nowrong::NoWrong,
}

impl Person {
    /// Waits for a frame that `wanted` accepts. Other events are kept in `others`.
    ///
    /// # Errors
    /// When the server ends the connection, or nothing comes in time.
    pub async fn frame<T>(
        &mut self,
        others: &mut Vec<Event>,
        mut wanted: impl FnMut(ServerFrame) -> Option<T>,
    ) -> anyhow::Result<T> {
        let waiting = async {
            loop {
                let bytes = self.wire.receive().await?;
                let (mut events, mut found) = (Vec::new(), None);
                self.dialect.receive(&bytes, &mut events)?;
                for event in events {
                    match event {
                        Event::Frame(frame) if found.is_none() => found = wanted(*frame),
                        Event::Ended(why) => bail!(why),
                        other => others.push(other),
                    }
                }
                if let Some(found) = found {
                    return Ok(found);
                }
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .context("no answer in time")?
    }

    /// Waits until the server has let this person in; returns the events that came with the
    /// `Welcome`.
    ///
    /// # Errors
    /// When it does not.
    pub async fn welcomed(&mut self) -> anyhow::Result<Vec<Event>> {
        let mut others = Vec::new();
        let is_welcome = |frame| matches!(frame, ServerFrame::Welcome(_)).then_some(());
        self.frame(&mut others, is_welcome).await?;
        Ok(others)
    }

    /// Asks for a partner.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn join(&mut self, category: &str, interests: Vec<String>) -> anyhow::Result<()> {
        let join = Join {
            request: JOIN_REQUEST,
            category: category.to_owned(),
            interests,
        };
        self.wire.send(ClientFrame::from(join).encode()).await
    }

    /// Waits for the match, and enters its chat.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn matched(&mut self) -> anyhow::Result<ChatState> {
        let mut refusal = None;
        let mut others = Vec::new();
        let chat = self.frame(&mut others, |frame| match frame {
            ServerFrame::Matched(matched) => Some(Some(matched.chat.0)),
            ServerFrame::Fail(fail) => {
                refusal = Some(fail.code);
                Some(None)
            }
            _ => None,
        });
        let chat = chat.await?;
        let chat = chat.with_context(|| format!("joining was refused: {refusal:?}"))?;
        self.dialect.enter(chat.chat);
        Ok(chat)
    }
}

impl Connected for Person {
    fn parts(&mut self) -> (&mut Wire, &mut dyn Dialect) {
        (&mut self.wire, &mut self.dialect)
    }
}

impl From<Person> for Peer {
    fn from(person: Person) -> Self {
        Self {
            wire: person.wire,
            dialect: Box::new(person.dialect),
        }
    }
}

/// Matches two people with each other, through an interest made from the number of their pair that
/// nobody else has.
///
/// # Errors
/// When they are not matched with each other.
pub async fn bring_together(one: &mut Person, two: &mut Person, pair: u32) -> anyhow::Result<()> {
    let interest = vec![format!("pair {pair}")];
    one.join(CATEGORY, interest.clone()).await?;
    two.join(CATEGORY, interest).await?;
    let (ones, twos) = (one.matched().await?, two.matched().await?);
    if ones.chat != twos.chat {
        bail!("people were matched with others than they should: the machine is too slow");
    }
    Ok(())
}
