//! Reads a chat back: what the server has of it, and what this client saw.

use std::{collections::HashSet, time::Duration};

use nowrong_client::{Chat, ChatView};
use nowrong_protocol::{Position, frame::Message};
use tokio::time::{Instant, sleep, timeout};

use super::{Guest, STUCK};
use crate::diary::{Event, Line, Reading, Sight};

/// How long a client may take to catch up with the server, once everything is quiet.
const CATCH_UP: Duration = Duration::from_secs(30);

/// How often a client is looked at meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Messages asked for at once.
const PAGE: u16 = 100;

impl Guest {
    /// Writes down what this client saw of a chat, and nothing more.
    pub async fn look_back(&mut self, chat: &Chat) {
        self.write_down(chat, None).await;
    }

    /// Reads back a chat that is over. It may be out of reach by now.
    pub async fn read_back(&mut self, chat: &Chat) {
        let asked = self.who.crew.now();
        let lines = self.history(chat, Duration::ZERO).await;
        let reading = lines.map(|lines| Reading {
            asked,
            lines,
            is_settled: false,
        });
        self.write_down(chat, reading).await;
    }

    /// Reads back a chat that is still open when everything is quiet, and waits for the client to
    /// catch up.
    pub async fn read_back_settled(&mut self, chat: &Chat) {
        let asked = self.who.crew.now();
        let Some(lines) = self.history(chat, STUCK).await else {
            self.who
                .note(Event::Stuck("reading a chat back".to_owned()));
            return self.look_back(chat).await;
        };
        let wanted: HashSet<_> = lines.iter().copied().collect();
        let deadline = Instant::now() + CATCH_UP;
        while Instant::now() < deadline {
            let Ok(view) = chat.view().await else { break };
            if view.unsent == 0 && held(&view).into_iter().collect::<HashSet<_>>() == wanted {
                break;
            }
            sleep(LOOK_INTERVAL).await;
        }
        let reading = Reading {
            asked,
            lines,
            is_settled: true,
        };
        self.write_down(chat, Some(reading)).await;
    }

    async fn write_down(&mut self, chat: &Chat, reading: Option<Reading>) {
        // Messages that were acked on the wire by now need not be in an earlier reading.
        let at = self.who.crew.now();
        // There is nothing to write down about a chat that the client has forgotten.
        let Ok(view) = chat.view().await else { return };
        self.who.diary.sights.push(Sight {
            chat: chat.id(),
            you: chat.you(),
            at,
            held: held(&view),
            wire: view.record,
            reading,
        });
    }

    /// All messages that the server has, oldest first; failures are tried again for this long.
    async fn history(&mut self, chat: &Chat, patience: Duration) -> Option<Vec<Line>> {
        let deadline = Instant::now() + patience;
        let mut pages: Vec<Vec<Line>> = Vec::new();
        let mut before: Option<Position> = None;
        loop {
            match timeout(STUCK, chat.history(before, PAGE)).await {
                Ok(Ok(page)) => {
                    before = page.messages.first().map(|message| message.position);
                    pages.push(page.messages.iter().map(|message| line(message)).collect());
                    if !page.has_more || before.is_none() {
                        break;
                    }
                }
                _ if Instant::now() >= deadline => return None,
                _ => self.who.pause_to_retry().await,
            }
        }
        Some(pages.into_iter().rev().flatten().collect())
    }
}

fn held(view: &ChatView) -> Vec<Line> {
    view.messages.iter().map(line).collect()
}

fn line(message: &Message) -> Line {
    Line {
        member: message.member,
        id: message.client_message_id,
        position: message.position,
    }
}
