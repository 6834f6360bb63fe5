//! One partner after the other, until the person goes. Start reading at [`Visit::converse`].

use anyhow::bail;
use nowrong_client::{Chat, ChatEvent, Client, Error, Ticket};
use nowrong_protocol::ErrorCode;

use crate::{
    command::Line,
    input::Input,
    person::{Parting, Person},
    refusal, screen,
};

/// A person who is connected.
pub(crate) struct Visit {
    pub(crate) person: Person,
    pub(crate) client: Client,
    pub(crate) input: Input,
    /// What to talk about.
    pub(crate) category: String,
}

/// What to do next.
enum Wish {
    /// Talk here.
    Talk(Chat),
    /// Wait with this ticket.
    Wait(Ticket),
    /// Nothing until the person asks.
    Rest,
    /// Go.
    Part(Parting),
}

impl Visit {
    /// Returns how the person goes.
    ///
    /// # Errors
    /// Why the connection ended, in words.
    pub(crate) async fn converse(&mut self) -> anyhow::Result<Parting> {
        let mut wish = match self.begin().await {
            Ok(wish) => wish,
            Err(error) => bail!(refusal::words(&error)),
        };
        loop {
            wish = match wish {
                Wish::Talk(chat) => self.talk(chat).await?,
                Wish::Wait(ticket) => self.wait(ticket).await?,
                Wish::Rest => self.rest().await?,
                Wish::Part(parting) => return Ok(parting),
            };
        }
    }

    /// The chat or the place in the queue that the account still has, or a new place.
    async fn begin(&self) -> Result<Wish, Error> {
        if let Some(chat) = self.client.chat().await? {
            let view = chat.view().await?;
            if view.end.is_none() {
                let lines = screen::before(chat.state(), &view.messages);
                lines.iter().for_each(|line| println!("{line}"));
                return Ok(Wish::Talk(chat));
            }
        }
        match self.client.ticket().await? {
            Some(ticket) => Ok(Wish::Wait(ticket)),
            None => self.join().await,
        }
    }

    async fn join(&self) -> Result<Wish, Error> {
        self.client.join(&self.category, &[]).await.map(Wish::Wait)
    }

    async fn wait(&mut self, mut ticket: Ticket) -> anyhow::Result<Wish> {
        println!(
            "* waiting for a partner in {} (/leave, /quit, /help)",
            ticket.state().category
        );
        loop {
            tokio::select! {
                matched = ticket.matched() => return match matched {
                    Ok(chat) => Ok(Wish::Talk(chat)),
                    Err(error) => tell(&error).map(|()| Wish::Rest),
                },
                line = self.input.line() => match line? {
                    Line::Leave => match ticket.cancel().await {
                        Ok(()) => return Ok(Wish::Rest),
                        // A partner came first.
                        Err(error) if error.code() == Some(ErrorCode::TICKET_UNKNOWN) => {}
                        Err(error) => tell(&error)?,
                    },
                    Line::Say(_) | Line::Next | Line::Block => println!("* nobody is here yet"),
                    line => if let Some(parting) = self.person.tend(line).await {
                        // What is not cancelled ends with the account, or because nobody is there.
                        let _ = ticket.cancel().await;
                        return Ok(Wish::Part(parting));
                    },
                },
            }
        }
    }

    async fn rest(&mut self) -> anyhow::Result<Wish> {
        println!("* /next for a partner, /quit to go");
        loop {
            match self.input.line().await? {
                Line::Next => match self.join().await {
                    Ok(wish) => return Ok(wish),
                    Err(error) => tell(&error)?,
                },
                Line::Say(_) | Line::Leave | Line::Block => println!("* nobody is here"),
                line => {
                    if let Some(parting) = self.person.tend(line).await {
                        return Ok(Wish::Part(parting));
                    }
                }
            }
        }
    }

    async fn talk(&mut self, mut chat: Chat) -> anyhow::Result<Wish> {
        println!("{}", screen::matched(chat.state()));
        loop {
            let wish = tokio::select! {
                event = chat.next_event() => heard(&chat, event).await,
                line = self.input.line() => self.typed(&chat, line?).await,
            };
            match wish {
                Ok(None) => {}
                Ok(Some(wish)) => return Ok(wish),
                Err(error) => tell(&error)?,
            }
        }
    }

    /// Does what the person asks in a chat. Returns what comes after the chat, if it is over.
    async fn typed(&mut self, chat: &Chat, line: Line) -> Result<Option<Wish>, Error> {
        let wish = match line {
            Line::Say(text) => {
                say(chat, text);
                return Ok(None);
            }
            Line::Next => Wish::Wait(chat.next().await?),
            Line::Leave => {
                chat.leave().await?;
                Wish::Rest
            }
            Line::Block => {
                chat.block().await?;
                println!("* you will not meet again");
                Wish::Rest
            }
            line => match self.person.tend(line).await {
                None => return Ok(None),
                Some(parting) => {
                    // What is not left ends with the account, or because nobody is there.
                    let _ = chat.leave().await;
                    Wish::Part(parting)
                }
            },
        };
        Ok(Some(wish))
    }
}

/// Shows what happened in a chat. Returns what comes after the chat, if it is over.
async fn heard(chat: &Chat, event: Option<ChatEvent>) -> Result<Option<Wish>, Error> {
    let Some(event) = event else {
        // Nothing more will come. When the connection is over, this is refused with the reason.
        return match chat.leave().await {
            Err(error) if refusal::is_final(&error) => Err(error),
            _ => Ok(Some(Wish::Rest)),
        };
    };
    if let Some(line) = screen::event(chat.state(), &event) {
        println!("{line}");
    }
    match event {
        ChatEvent::Message(message) => chat.read(message.position).await.map(|()| None),
        ChatEvent::Ended { .. } | ChatEvent::Gone => Ok(Some(Wish::Rest)),
        _ => Ok(None),
    }
}

/// Sends without waiting for the ack, so that the person can continue; a failure is printed.
fn say(chat: &Chat, text: String) {
    let chat = chat.clone();
    tokio::spawn(async move {
        match chat.send(text.as_str()).await {
            Ok(_) => println!("you: {text}"),
            Err(Error::Closed { .. }) => {}
            Err(error) => println!("* not sent: {}", refusal::words(&error)),
        }
    });
}

/// Prints why something failed.
///
/// # Errors
/// The same words when the connection is over.
fn tell(error: &Error) -> anyhow::Result<()> {
    if refusal::is_final(error) {
        bail!(refusal::words(error));
    }
    println!("* not done: {}", refusal::words(error));
    Ok(())
}
