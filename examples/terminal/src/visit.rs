//! One partner after the other, until the person goes. Start reading at [`Visit::converse`].

use anyhow::bail;
use nowrong_client::{Chat, ChatEvent, Client, Error, Ticket};
use nowrong_protocol::ErrorCode;

use crate::{
    command::{HELP, Line},
    input::Input,
    refusal, screen,
};

/// A person who is connected.
pub(crate) struct Visit {
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
    Quit,
}

impl Visit {
    /// Returns when the person goes.
    ///
    /// # Errors
    /// Why the connection ended, in words.
    pub(crate) async fn converse(&mut self) -> anyhow::Result<()> {
        let mut wish = match self.join().await {
            Ok(wish) => wish,
            Err(error) => bail!(refusal::words(&error)),
        };
        loop {
            wish = match wish {
                Wish::Talk(chat) => self.talk(chat).await?,
                Wish::Wait(ticket) => self.wait(ticket).await?,
                Wish::Rest => self.rest().await?,
                Wish::Quit => return Ok(()),
            };
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
                    Line::Quit => return Ok(Wish::Quit),
                    Line::Say(_) | Line::Next | Line::Block => println!("* nobody is here yet"),
                    line @ (Line::Help | Line::Unknown(_)) => explain(&line),
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
                Line::Quit => return Ok(Wish::Quit),
                Line::Say(_) | Line::Leave | Line::Block => println!("* nobody is here"),
                line @ (Line::Help | Line::Unknown(_)) => explain(&line),
            }
        }
    }

    async fn talk(&mut self, mut chat: Chat) -> anyhow::Result<Wish> {
        println!("{}", screen::matched(chat.state()));
        loop {
            let wish = tokio::select! {
                event = chat.next_event() => heard(&chat, event).await,
                line = self.input.line() => typed(&chat, line?).await,
            };
            match wish {
                Ok(None) => {}
                Ok(Some(wish)) => return Ok(wish),
                Err(error) => tell(&error)?,
            }
        }
    }
}

/// Does what the person asks in a chat. Returns what comes after the chat, if it is over.
async fn typed(chat: &Chat, line: Line) -> Result<Option<Wish>, Error> {
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
        Line::Quit => {
            chat.leave().await?;
            Wish::Quit
        }
        Line::Help | Line::Unknown(_) => {
            explain(&line);
            return Ok(None);
        }
    };
    Ok(Some(wish))
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

/// Lists the commands, and says what happened to a line that is not one of them.
fn explain(line: &Line) {
    if let Line::Unknown(typed) = line {
        println!("{}", screen::unknown(typed));
    }
    println!("{HELP}");
}
