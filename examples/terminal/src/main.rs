//! A chat in the terminal: `cargo run --bin terminal -- --url http://127.0.0.1:8080 --name Ana`.
//!
//! A line is a message or a [`command`]. Start reading at [`Visit::converse`]; [`screen`] turns events into
//! text.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "the terminal is what this program is for"
)]

use anyhow::Context as _;
use clap::Parser;
use nowrong_client::{Api, Client, ConnectOptions, NewAccount, Transport};

mod command;
mod input;
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
    let mut visit = Visit {
        client,
        input: Input::new(),
        category: args.category,
    };
    let outcome = tokio::select! {
        outcome = visit.converse() => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
    };
    visit.client.close().await;
    // The account is deleted when the person leaves; the server would erase it within a day anyway.
    user.delete().await?;
    outcome
}
