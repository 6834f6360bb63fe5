//! `match`: thousands join one category from all nodes; each must be matched once, and soon.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::bail;
use nowrong_bench::{
    joining::{Match, join_all, since_both_were_there},
    target::nowrong::Person,
};
use nowrong_protocol::ChatId;
use tokio::time::timeout;

use super::Say;
use crate::{
    cluster::{Cluster, Shape},
    crowd::Entrances,
    wanderer::CATEGORIES,
};

/// How long each connection is listened to at the end, for a match that must not come.
const LISTENING: Duration = Duration::from_millis(1);

/// Lets `users` join one category at `rate` a second.
///
/// # Errors
/// When a person was matched twice or not at all, or the servers could not be used.
pub async fn run(
    shape: &Shape,
    users: u32,
    (rate, seed): (f64, u64),
    say: Say,
) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(shape).await?;
    let entrances = Entrances::of(&mut cluster)?;
    let started = Instant::now();
    let people = entrances.enter_all(users).await?;
    say(format!(
        "{users} people are connected to {} nodes after {:.1?}",
        shape.nodes,
        started.elapsed()
    ));
    let category = [CATEGORIES[0].to_owned()];
    let mut matched = join_all(people, &category, rate, seed).await?;
    let again = matched_again(&mut matched).await;
    let latencies = since_both_were_there(matched.iter().map(|(one, _)| one));
    say(format!(
        "{} of {users} matched at {rate}/s; from when both had joined: p50 {:.1} ms · p99 {:.1} ms · max {:.1} ms",
        matched.len(),
        latencies.quantile_ms(0.5),
        latencies.quantile_ms(0.99),
        latencies.max_ms()
    ));
    let mut wrong = twice(matched.iter().map(|(one, _)| one));
    if again > 0 {
        wrong.push(format!("{again} people were told of a second match"));
    }
    // One person may be left over.
    if matched.len() as u32 + 1 < users {
        wrong.push(format!(
            "{} people were not matched",
            users - matched.len() as u32
        ));
    }
    match wrong.first() {
        Some(first) => bail!("{first} ({} findings)", wrong.len()),
        None => Ok(()),
    }
}

/// How many people get another match after their first.
async fn matched_again(matched: &mut [(Match, Person)]) -> usize {
    let mut again = 0;
    for (_, person) in matched {
        let more = timeout(LISTENING, person.matched()).await;
        again += usize::from(matches!(more, Ok(Ok(_))));
    }
    again
}

/// People in two chats, and chats without exactly two people, by what everybody was shown. Pure.
fn twice<'a>(matches: impl Iterator<Item = &'a Match>) -> Vec<String> {
    let mut chats: HashMap<&str, HashSet<ChatId>> = HashMap::new();
    let mut told: HashMap<ChatId, usize> = HashMap::new();
    for one in matches {
        *told.entry(one.chat.chat).or_default() += 1;
        for member in &one.chat.members {
            chats.entry(&member.name).or_default().insert(one.chat.chat);
        }
    }
    let twice = chats.iter().filter(|(_, chats)| chats.len() > 1);
    let twice = twice.map(|(name, chats)| format!("{name} is in {} chats", chats.len()));
    let half = told.iter().filter(|(_, told)| **told != 2);
    twice
        .chain(half.map(|(chat, told)| format!("{told} of 2 were told of {chat}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::{
        Framed, Position,
        frame::{ChatState, Member, SeatState, Why},
    };

    use super::*;

    fn shown(chat: u8, names: [&str; 2]) -> Match {
        let member = |name: &str| {
            Framed(Member {
                name: name.to_owned(),
                language: "en".to_owned(),
                seat: SeatState::Taken,
                held_until_ms: 0,
                delivered: Position::START,
                read: Position::START,
            })
        };
        let chat = ChatState {
            chat: ChatId::from_bytes([chat; 16]),
            category: String::new(),
            members: names.map(member).to_vec(),
            you: 0,
            why: Framed(Why::default()),
            head: Position::START,
            resumed: Position::START,
            unread: 0,
            started_at_ms: 0,
            expires_at_ms: 0,
        };
        Match {
            chat,
            due: Duration::ZERO,
            at: Duration::ZERO,
        }
    }

    #[test]
    fn who_is_in_two_chats_is_found_by_what_the_partners_were_shown() {
        let good = [shown(1, ["Ana", "Ben"]), shown(1, ["Ana", "Ben"])];
        assert_eq!(twice(good.iter()), Vec::<String>::new());
        let mut bad = good.to_vec();
        bad.extend([shown(2, ["Cleo", "Ben"]), shown(2, ["Cleo", "Ben"])]);
        assert_eq!(twice(bad.iter()), ["Ben is in 2 chats"]);
        let alone = [shown(1, ["Ana", "Ben"])];
        assert_eq!(twice(alone.iter()).len(), 1);
    }
}
