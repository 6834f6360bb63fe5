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
use clap::{ArgGroup, Parser};
use nowrong_client::{Api, Client, ConnectOptions, Error, NewAccount, Transport};

mod command;
mod input;
mod person;
mod refusal;
mod screen;
mod visit;

use input::Input;
use person::{Parting, Person};
use visit::Visit;

/// Chat with a stranger.
#[derive(Parser)]
#[command(group = ArgGroup::new("account").required(true).args(["name", "recover"]))]
struct Args {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A new account with this name, 2 to 24 characters.
    #[arg(long)]
    name: Option<String>,
    /// The account of a recovery code, which you are then asked for.
    #[arg(long, conflicts_with_all = ["language", "interests", "age"])]
    recover: bool,
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

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(args));
    // Nothing but a read of standard input can be left, which would last until the next line.
    runtime.shutdown_background();
    outcome
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut input = Input::new();
    let person = arrive(&args, &mut input).await?;
    let client = match connect(&person, args.over).await {
        Ok(client) => client,
        Err(error) => return part(&person, Err(anyhow!(refusal::words(&error)))).await,
    };
    let mut visit = Visit {
        person,
        client,
        input,
        category: args.category,
    };
    let outcome = tokio::select! {
        outcome = visit.converse() => outcome,
        interrupted = tokio::signal::ctrl_c() => match interrupted {
            Ok(()) => Ok(Parting::Quit),
            Err(error) => Err(anyhow::Error::new(error).context("cannot wait for Ctrl-C")),
        },
    };
    visit.client.close().await;
    part(&visit.person, outcome).await
}

/// The person with a new account, or with that of a recovery code.
async fn arrive(args: &Args, input: &mut Input) -> anyhow::Result<Person> {
    let api = Api::new(&args.url).map_err(|error| anyhow!(refusal::words_of_api(&error)))?;
    let Some(name) = &args.name else {
        // Not an argument: other users of the machine can read those.
        println!("* type your recovery code:");
        let code = input.text().await?;
        let code = code.context("no recovery code came: type it on one line")?;
        let person = Person::recover(&api, code.trim()).await?;
        println!("* welcome back, {}", person.user().account().name);
        return Ok(person);
    };
    let account = NewAccount {
        name: name.clone(),
        language: args.language.clone(),
        interests: args.interests.clone(),
        age_bracket: args.age.clone(),
    };
    Person::register(&api, &account).await
}

async fn connect(person: &Person, over: Over) -> Result<Client, Error> {
    let options = ConnectOptions {
        is_watched: true,
        ..Transport::from(over).into()
    };
    let client = Client::connect(person.user(), options).await?;
    let transport = client.opened().await?;
    println!("* connected over {}", screen::transport(transport));
    Ok(client)
}

/// Says goodbye. Why the visit failed comes before why the goodbye did.
async fn part(person: &Person, outcome: anyhow::Result<Parting>) -> anyhow::Result<()> {
    match outcome {
        Ok(parting) => person.part(parting).await,
        Err(error) => {
            // Where this fails too, the server erases what is not used within a day.
            let _ = person.part(Parting::Quit).await;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_new_or_recovered() {
        let parse = |flags: &[&str]| Args::try_parse_from([&["terminal"][..], flags].concat());
        let good: [&[&str]; 2] = [&["--name", "Ana"], &["--recover"]];
        for flags in good {
            assert!(parse(flags).is_ok(), "{flags:?}");
        }
        let bad: [&[&str]; 4] = [
            &[],
            &["--name", "Ana", "--recover"],
            &["--recover", "--age", "18+"],
            &["--recover", "3GK7-Q2YD"],
        ];
        for flags in bad {
            assert!(parse(flags).is_err(), "{flags:?}");
        }
    }
}
