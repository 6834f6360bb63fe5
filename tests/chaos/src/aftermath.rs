//! What is left after everybody has left: which people are still counted as waiting, and whom a
//! newcomer meets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use nowrong_client::{Api, Chat, Client, ConnectOptions, NewAccount};
use nowrong_protocol::limits::TICKET_HOLD;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    crew::Crew,
    diary::{Aftermath, Probe},
    wanderer::CATEGORIES,
};

/// How long a queue may take to become empty: a ticket is held after its user lost the connection,
/// and if its node died, the node's lease has to expire first (3 s, checked once a second).
const EMPTY_DEADLINE: Duration = Duration::from_secs(TICKET_HOLD.as_secs() + 5);

/// How often the counts are requested.
const ASK_INTERVAL: Duration = Duration::from_millis(500);

/// How long the first of two probes waits alone: after 15 s a ticket takes anyone.
const ALONE: Duration = Duration::from_secs(17);

/// How long the matching of two waiting people may take.
const MEETING_DEADLINE: Duration = Duration::from_secs(20);

/// Checks the queues of all nodes and lets probes join.
///
/// # Errors
/// When the nodes cannot be asked.
pub async fn inspect(crew: &Arc<Crew>, nodes: &[SocketAddr]) -> anyhow::Result<Aftermath> {
    let waiting = waiting(nodes).await?;
    let mut probing = JoinSet::new();
    for category in CATEGORIES {
        probing.spawn(probe(crew.clone(), category));
    }
    let mut probes = Vec::new();
    while let Some(probe) = probing.join_next().await {
        probes.push(probe??);
    }
    Ok(Aftermath { waiting, probes })
}

/// Who is still counted as waiting when the deadline has passed.
async fn waiting(nodes: &[SocketAddr]) -> anyhow::Result<Vec<(String, String, u32)>> {
    let deadline = Instant::now() + EMPTY_DEADLINE;
    loop {
        let mut all = Vec::new();
        for (number, node) in (1..).zip(nodes) {
            let categories = Api::new(&format!("http://{node}"))?.categories().await;
            let categories = categories.context("the categories of a node")?;
            let waiting = categories
                .into_iter()
                .filter(|category| category.waiting > 0);
            all.extend(
                waiting.map(|category| (format!("node {number}"), category.id, category.waiting)),
            );
        }
        if all.is_empty() || Instant::now() >= deadline {
            return Ok(all);
        }
        sleep(ASK_INTERVAL).await;
    }
}

async fn probe(crew: Arc<Crew>, category: &'static str) -> anyhow::Result<Probe> {
    let first = enter(&crew, category, "one").await?;
    let mut waiting = first.join(category, &[]).await?;
    let alone = timeout(ALONE, waiting.matched()).await;
    let mut probe = Probe {
        category: category.to_owned(),
        met_alone: None,
        meeting: Ok(()),
    };
    if let Ok(met) = alone {
        probe.met_alone =
            Some(met.map_or_else(|error| format!("nobody: {error}"), |chat| partner(&chat)));
        return Ok(probe);
    }
    let second = enter(&crew, category, "two").await?;
    let mut joining = second.join(category, &[]).await?;
    probe.meeting = match timeout(MEETING_DEADLINE, joining.matched()).await {
        Ok(Ok(chat)) if partner(&chat).ends_with("one") => Ok(()),
        Ok(Ok(chat)) => Err(format!("the second met {}", partner(&chat))),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no match within {MEETING_DEADLINE:?}")),
    };
    first.close().await;
    second.close().await;
    Ok(probe)
}

async fn enter(crew: &Crew, category: &str, name: &str) -> anyhow::Result<Client> {
    let account = NewAccount::named(format!("probe {category} {name}"));
    let user = crew.api(0).register(&account).await?;
    Ok(Client::connect(&user, ConnectOptions::default()).await?)
}

fn partner(chat: &Chat) -> String {
    let members = chat.state().members.iter().enumerate();
    let mut others = members.filter(|(index, _)| *index != usize::from(chat.you()));
    others
        .next()
        .map_or_else(String::new, |(_, member)| member.name.clone())
}
