//! A bot that replies kindly, so that one person alone can try a server: `cargo run --bin bot --
//! --url http://127.0.0.1:8080`.
//!
//! One account waits in each category. It says that it is a bot. Its texts are in [`manners`];
//! start reading at [`attend`], which is one bot's life.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "it tells whoever started it what it does"
)]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use clap::Parser;
use nowrong_client::{Api, ApiError, Category, Chat, Client, ConnectOptions, NewAccount, User};
use nowrong_protocol::{ErrorCode, frame::Body};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

mod manners;

/// How often a bot repeats that it is typing: the signal lapses after 5 s.
const TYPING_INTERVAL: Duration = Duration::from_secs(3);

/// Company for one person alone.
#[derive(Clone, Parser)]
struct Args {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A category to wait in; can be given several times. The default is all categories.
    #[arg(long = "category", value_name = "ID")]
    categories: Vec<String>,
    /// How many bots wait in each category.
    #[arg(long, default_value_t = 1)]
    instances: u32,
    /// The language that the bots claim to speak.
    #[arg(long, default_value = "en")]
    language: String,
    /// The age bracket of the people they meet: 13-17 or 18+.
    #[arg(long, default_value = "18+")]
    age: String,
}

/// The state that the bots of one process share.
#[derive(Clone)]
struct Crew {
    api: Api,
    args: Args,
    /// Their names, so that two bots that meet leave each other.
    names: Arc<Mutex<HashSet<String>>>,
    stop: watch::Receiver<bool>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (stopper, stop) = watch::channel(false);
    let crew = Crew {
        api: Api::new(&args.url)?,
        args,
        names: Arc::default(),
        stop,
    };
    let categories = chosen(&crew).await?;
    let mut bots = JoinSet::new();
    for category in &categories {
        for _ in 0..crew.args.instances {
            bots.spawn(attend(crew.clone(), category.clone()));
        }
    }
    println!(
        "{} bots wait in {} categories; Ctrl-C sends them home",
        bots.len(),
        categories.len()
    );
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
        Some(ended) = bots.join_next() => ended??,
    }
    stopper.send_replace(true);
    while let Some(ended) = bots.join_next().await {
        ended??;
    }
    Ok(())
}

async fn chosen(crew: &Crew) -> anyhow::Result<Vec<Category>> {
    let (all, wanted) = (crew.api.categories().await?, &crew.args.categories);
    if let Some(unknown) = wanted
        .iter()
        .find(|id| all.iter().all(|category| category.id != **id))
    {
        let ids: Vec<_> = all.iter().map(|category| category.id.as_str()).collect();
        bail!(
            "there is no category `{unknown}`; there are: {}",
            ids.join(", ")
        );
    }
    let is_wanted = |category: &Category| wanted.is_empty() || wanted.contains(&category.id);
    Ok(all.into_iter().filter(is_wanted).collect())
}

/// One bot: waits, chats, waits again, until it is sent home; then it leaves nothing behind.
async fn attend(crew: Crew, category: Category) -> anyhow::Result<()> {
    let mut stop = crew.stop.clone();
    let life = async {
        let user = register(&crew, &category).await?;
        let client = Client::connect(&user, ConnectOptions::default()).await?;
        anyhow::Ok((user, client))
    };
    let (user, client) = tokio::select! {
        born = life => born?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let outcome = tokio::select! {
        outcome = receive_guests(&crew, &client, &category) => outcome,
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    };
    if let Ok(Some(chat)) = client.chat().await {
        // It may have ended by itself.
        let _ = chat.leave().await;
    }
    client.close().await;
    user.delete().await?;
    outcome
}

/// Registers under the first free name, and waits when the server limits registrations.
async fn register(crew: &Crew, category: &Category) -> anyhow::Result<User> {
    let mut names = manners::names();
    loop {
        let Some(name) = names.next() else {
            bail!("all names for bots are taken")
        };
        let account = NewAccount {
            name: name.clone(),
            language: crew.args.language.clone(),
            interests: Vec::new(),
            age_bracket: category
                .age_bracket
                .clone()
                .unwrap_or_else(|| crew.args.age.clone()),
        };
        if !crew
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name)
        {
            continue;
        }
        match register_patiently(&crew.api, &account).await {
            Err(error) if error.code() == Some(ErrorCode::NAME_TAKEN) => {}
            registered => return Ok(registered?),
        }
    }
}

async fn register_patiently(api: &Api, account: &NewAccount) -> Result<User, ApiError> {
    loop {
        match api.register(account).await {
            Err(ApiError::Refused(problem)) if problem.code == ErrorCode::RATE_LIMITED => {
                let wait = Duration::from_millis(problem.retry_after_ms.max(1_000));
                tokio::time::sleep(wait).await;
            }
            registered => return registered,
        }
    }
}

async fn receive_guests(crew: &Crew, client: &Client, category: &Category) -> anyhow::Result<()> {
    loop {
        let mut ticket = client.join(&category.id, &[]).await?;
        let chat = match ticket.matched().await {
            Ok(chat) => chat,
            // The ticket was lost with a connection: get another one.
            Err(error) if error.code().is_some() => continue,
            Err(error) => return Err(error.into()),
        };
        if is_with_bot(crew, &chat) {
            chat.block().await?;
        } else {
            chat_with(chat).await?;
        }
    }
}

fn is_with_bot(crew: &Crew, chat: &Chat) -> bool {
    let names = crew.names.lock().unwrap_or_else(PoisonError::into_inner);
    let others = chat.state().members.iter().enumerate();
    let mut others = others.filter(|(index, _)| *index != usize::from(chat.you()));
    others.any(|(_, member)| names.contains(&member.name))
}

/// Talks until the guest has left.
async fn chat_with(mut chat: Chat) -> anyhow::Result<()> {
    let greeting = manners::greeting(&chat.state().category);
    if !say(&mut chat, &greeting).await? {
        return Ok(());
    }
    let mut turn = 0;
    while let Some(message) = chat.next_message().await {
        chat.read(message.position).await?;
        let Body::Text(text) = message.body else {
            continue;
        };
        if !say(&mut chat, &manners::reply(&text, turn)).await? {
            return Ok(());
        }
        turn += 1;
    }
    Ok(())
}

/// Types for as long as a person would, then sends; `false` when the chat ended meanwhile.
async fn say(chat: &mut Chat, text: &str) -> anyhow::Result<bool> {
    let mut left = manners::typing_time(text);
    while !left.is_zero() {
        chat.typing(true).await?;
        let pause = left.min(TYPING_INTERVAL);
        tokio::time::sleep(pause).await;
        left -= pause;
    }
    chat.typing(false).await?;
    match chat.send(text).await {
        Ok(_) => Ok(true),
        Err(error) if error.code().is_some_and(|code| !code.is_temporary()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
