//! A chat in the terminal: `cargo run --bin terminal -- --url http://127.0.0.1:8080 --name Ana`.
//!
//! A line is a message or a [`command`]. Start reading at [`Visit::converse`]; [`screen`] turns events into text,
//! [`refusal`] errors.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "the terminal is what this program is for"
)]

use anyhow::{Context as _, anyhow};
use clap::Parser;
use nowrong_client::{Api, ApiError, Client, ConnectOptions, Error, NewAccount, Transport, User};

mod command;
mod input;
mod refusal;
mod screen;
mod visit;

use input::Input;
use visit::Visit;

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

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let account = NewAccount {
        name: args.name.clone(),
        language: args.language.clone(),
        interests: args.interests.clone(),
        age_bracket: args.age.clone(),
    };
    let api = Api::new(&args.url).map_err(told)?;
    let user = api.register(&account).await.map_err(told)?;
    let outcome = visit(&user, args).await;
    // The account is deleted when the person leaves; the server would erase it within a day anyway.
    let deleted = user.delete().await.map_err(told);
    outcome.and(deleted)
}

/// Connects, and stays until the person goes.
async fn visit(user: &User, args: Args) -> anyhow::Result<()> {
    let client = connect(user, args.over).await;
    let mut visit = Visit {
        client: client.map_err(|error| anyhow!(refusal::words(&error)))?,
        input: Input::new(),
        category: args.category,
    };
    let outcome = tokio::select! {
        outcome = visit.converse() => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
    };
    visit.client.close().await;
    outcome
}

async fn connect(user: &User, over: Over) -> Result<Client, Error> {
    let options = ConnectOptions {
        is_watched: true,
        ..Transport::from(over).into()
    };
    let client = Client::connect(user, options).await?;
    let transport = client.opened().await?;
    println!("* connected over {}", screen::transport(transport));
    Ok(client)
}

fn told(error: ApiError) -> anyhow::Error {
    anyhow!(refusal::words_of_api(&error))
}
