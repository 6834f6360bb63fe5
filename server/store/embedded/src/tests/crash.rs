//! `kill -9` at random moments: every acked message is there after the next start.
//!
//! The test starts its own binary again as a child that appends and prints each acked position.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use nowrong_protocol::Position;
use nowrong_store::{
    ChatStore, MessageStore,
    conformance::{NOW, at_once, chat, chat_id, message, tickets},
};

use crate::{EmbeddedStore, journal::Filing, open};

use super::RESTLESS;

const DIR: &str = "NOWRONG_CRASH_DIR";
const RESTLESSLY: &str = "NOWRONG_CRASH_RESTLESSLY";
const ROUNDS: u64 = 12;
const CHATS: u64 = 8;

/// Chat → acked positions.
type Acked = BTreeMap<u64, BTreeSet<(u32, u64)>>;

#[tokio::test]
async fn what_was_acked_survives_kill_9() {
    let seed = RandomState::new().build_hasher().finish();
    println!("seed {seed:#x}");
    let dir = tempfile::tempdir().unwrap();
    let mut acked = Acked::new();
    for round in 0..ROUNDS {
        let lines = (seed.rotate_left(5 * round as u32) % 400) as usize;
        append_until_killed(dir.path(), lines, round % 3 > 0, &mut acked);
        verify(dir.path(), &acked).await;
    }
    let sum: usize = acked.values().map(BTreeSet::len).sum();
    println!("{sum} acked messages survived {ROUNDS} kills");
}

/// Lets a child append, kills it when it has acked `lines` messages, and notes all acks.
fn append_until_killed(dir: &Path, lines: usize, is_restless: bool, acked: &mut Acked) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .envs(is_restless.then_some((RESTLESSLY, "1")))
        .args(["--exact", "--ignored", "--nocapture"])
        .arg(
            concat!(module_path!(), "::child")
                .split_once("::")
                .unwrap()
                .1,
        )
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen <= lines {
        let line = output
            .next()
            .expect("the child appends until it is killed")
            .unwrap();
        seen += usize::from(note(&line, acked));
    }
    child.kill().unwrap();
    for line in output {
        note(&line.unwrap(), acked);
    }
    child.wait().unwrap();
}

/// Reads `acked CHAT EPOCH SEQ`, and skips the output of the test harness.
fn note(line: &str, acked: &mut Acked) -> bool {
    let Some((_, position)) = line.split_once("acked ") else {
        return false;
    };
    let parts: Vec<u64> = position
        .split(' ')
        .filter_map(|part| part.parse().ok())
        .collect();
    let [chat, epoch, seq] = parts[..] else {
        return false;
    };
    assert!(
        acked.entry(chat).or_default().insert((epoch as u32, seq)),
        "acked twice: {line}"
    );
    true
}

async fn verify(dir: &Path, acked: &Acked) {
    let store = EmbeddedStore::open(dir).unwrap();
    for (number, positions) in acked {
        let found = store.chat(chat_id(*number), NOW).await.unwrap();
        let found = found.expect("a chat with acked messages is there, with its key");
        assert_eq!(found.key, chat(*number, &[]).key);
        let messages = store
            .messages_after(found.id, Position::START, 1_000_000, NOW)
            .await
            .unwrap();
        let stored: BTreeSet<_> = messages
            .iter()
            .map(|it| (it.position.epoch, it.position.seq))
            .collect();
        let lost: Vec<_> = positions.difference(&stored).collect();
        assert!(lost.is_empty(), "chat {number} lost {lost:?}");
        let seqs: Vec<_> = messages.iter().map(|it| it.position.seq).collect();
        assert_eq!(
            seqs,
            (1..=seqs.len() as u64).collect::<Vec<_>>(),
            "no gap, none twice"
        );
    }
    store.close().await;
}

/// The child: appends to a few chats at once until it is killed. Does nothing on its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by what_was_acked_survives_kill_9"]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let filing = match std::env::var_os(RESTLESSLY) {
        Some(_) => RESTLESS,
        None => Filing::default(),
    };
    let store = Arc::new(open::folder(Path::new(&dir), filing).unwrap());
    at_once(1..=CHATS, |number| {
        append_for_ever(Arc::clone(&store), number)
    })
    .await;
}

async fn append_for_ever(store: Arc<EmbeddedStore>, number: u64) {
    store
        .open_chat(&chat(number, &[2 * number, 2 * number + 1]), &tickets())
        .await
        .unwrap();
    let last = store.chat(chat_id(number), NOW).await.unwrap().unwrap();
    let last = last.epochs.last().unwrap().number;
    let epoch = store
        .begin_epoch(chat_id(number), last, NOW)
        .await
        .unwrap()
        .unwrap();
    for seq in epoch.base + 1.. {
        store
            .append(&[message(number, epoch.number, seq)])
            .await
            .unwrap();
        // One write of one line: either it is in the pipe completely, or it was not acked.
        let line = format!("acked {number} {} {seq}\n", epoch.number);
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .unwrap();
    }
}
