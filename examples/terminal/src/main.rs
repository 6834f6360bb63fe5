//! A chat in the terminal: `cargo run --bin terminal -- --url http://127.0.0.1:8080 --name Ana`.
//!
//! A line is a message; `/next`, `/leave` and `/quit` are commands. Start reading at [`converse`];
//! [`screen`] turns events into text.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "the terminal is what this program is for"
)]

use anyhow::{Context, bail};
use clap::Parser;
use nowrong_client::{
    Api, Chat, ChatEvent, Client, ConnectOptions, Error, NewAccount, Ticket, Transport,
};
use nowrong_protocol::ErrorCode;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

mod screen;

/// Chat with a stranger.
#[derive(Parser)]
struct Args {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Your name, 2 to 24 characters.
    #[arg(long)]
    name: String,
    /// What to talk about.
    #[arg(long, default_value = "music")]
    category: String,
    /// Your language.
    #[arg(long, default_value = "en")]
    language: String,
    /// An interest; can be given several times.
    #[arg(long = "interest", value_name = "INTEREST")]
    interests: Vec<String>,
    /// Your age bracket: 13-17 or 18+.
    #[arg(long, default_value = "18+")]
    age: String,
    /// How to connect.
    #[arg(long, value_enum, default_value_t = Over::Auto)]
    over: Over,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Over {
    Auto,
    Webtransport,
    Websocket,
}

impl From<Over> for Transport {
    fn from(over: Over) -> Self {
        match over {
            Over::Auto => Self::Auto,
            Over::Webtransport => Self::WebTransport,
            Over::Websocket => Self::WebSocket,
        }
    }
}

type Input = Lines<BufReader<Stdin>>;

/// What to do after a chat or instead of waiting.
enum Wish {
    /// Wait with this ticket.
    Wait(Ticket),
    /// Nothing until the person asks.
    Rest,
    /// Quit.
    Quit,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let account = NewAccount {
        name: args.name.clone(),
        language: args.language.clone(),
        interests: args.interests.clone(),
        age_bracket: args.age.clone(),
    };
    let user = Api::new(&args.url)?.register(&account).await;
    let user = user.map_err(|error| anyhow::anyhow!(screen::refusal(&error)))?;
    let options = ConnectOptions {
        is_watched: true,
        ..Transport::from(args.over).into()
    };
    let client = Client::connect(&user, options).await?;
    println!(
        "* connected over {}",
        screen::transport(client.opened().await?)
    );
    let outcome = tokio::select! {
        outcome = converse(&client, &args.category) => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
    };
    client.close().await;
    // The account is deleted when the person leaves; the server would erase it within a day anyway.
    user.delete().await?;
    outcome
}

/// One partner after the other, until the person quits.
async fn converse(client: &Client, category: &str) -> anyhow::Result<()> {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut wish = Wish::Wait(join(client, category).await?);
    loop {
        wish = match wish {
            Wish::Wait(ticket) => wait(ticket, &mut input).await?,
            Wish::Rest => rest(client, category, &mut input).await?,
            Wish::Quit => return Ok(()),
        };
    }
}

async fn join(client: &Client, category: &str) -> anyhow::Result<Ticket> {
    match client.join(category, &[]).await {
        Ok(ticket) => Ok(ticket),
        Err(error) if error.code() == Some(ErrorCode::CATEGORY_UNKNOWN) => {
            bail!("there is no category `{category}`; see /v1/categories")
        }
        Err(error) => Err(error.into()),
    }
}

async fn wait(mut ticket: Ticket, input: &mut Input) -> anyhow::Result<Wish> {
    println!(
        "* waiting for a partner in {} (/leave, /quit)",
        ticket.state().category
    );
    loop {
        tokio::select! {
            chat = ticket.matched() => return talk(chat?, input).await,
            line = input.next_line() => match line?.as_deref().map(str::trim) {
                None | Some("/quit") => return Ok(Wish::Quit),
                Some("/leave") => match ticket.cancel().await {
                    Ok(()) => return Ok(Wish::Rest),
                    Err(error) if error.code() == Some(ErrorCode::TICKET_UNKNOWN) => {}
                    Err(error) => return Err(error.into()),
                },
                Some(_) => println!("* nobody is here yet"),
            },
        }
    }
}

async fn rest(client: &Client, category: &str, input: &mut Input) -> anyhow::Result<Wish> {
    println!("* /next for a partner, /quit to go");
    loop {
        match input.next_line().await?.as_deref().map(str::trim) {
            None | Some("/quit") => return Ok(Wish::Quit),
            Some("/next") => return Ok(Wish::Wait(join(client, category).await?)),
            Some(_) => println!("* nobody is here"),
        }
    }
}

async fn talk(mut chat: Chat, input: &mut Input) -> anyhow::Result<Wish> {
    println!("{}", screen::matched(chat.state()));
    loop {
        tokio::select! {
            event = chat.next_event() => {
                let Some(event) = event else { bail!("the connection is closed") };
                if let Some(line) = screen::event(chat.state(), &event) {
                    println!("{line}");
                }
                match event {
                    ChatEvent::Message(message) => chat.read(message.position).await?,
                    ChatEvent::Ended { .. } | ChatEvent::Gone => return Ok(Wish::Rest),
                    _ => {}
                }
            }
            line = input.next_line() => match line?.as_deref().map(str::trim) {
                None | Some("/quit") => return quit(&chat).await,
                Some("/next") => return Ok(Wish::Wait(chat.next().await?)),
                Some("/leave") => {
                    chat.leave().await?;
                    return Ok(Wish::Rest);
                }
                Some("") => {}
                Some(text) => say(&chat, text.to_owned()),
            },
        }
    }
}

async fn quit(chat: &Chat) -> anyhow::Result<Wish> {
    chat.leave().await?;
    Ok(Wish::Quit)
}

/// Sends without waiting for the ack, so that the person can continue; a failure is printed.
fn say(chat: &Chat, text: String) {
    let chat = chat.clone();
    tokio::spawn(async move {
        match chat.send(text.as_str()).await {
            Ok(_) => println!("you: {text}"),
            Err(Error::Closed { .. }) => {}
            Err(error) => println!("* not sent: {error}"),
        }
    });
}
