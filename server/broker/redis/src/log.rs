//! The log of a chat: `meta` (epoch, newest seq, memory), `ids` (the sent messages and their
//! positions), `log`, a stream of the newest sealed messages for nodes that missed one, and
//! `nodes`, the nodes that follow the chat. All expire with the chat. Each call is one command.

use nowrong_broker::{
    AppendOutcome, BrokerError, Incarnation, LogRead, LogSeed, Placed, READ_MAX, Reading,
};
use nowrong_core::{
    chat_log::TAIL_FRAMES_MAX,
    node::NodeId,
    record::{Draft, StoredMessage},
};
use nowrong_protocol::{
    ChatId, ClientMessageId, Position, codec,
    limits::{CHAT_MESSAGES_MAX, RETENTION_MAX},
};

use super::{
    Parts,
    script::{Call, Script, script},
    unexpected,
};

static OPEN: Script = script!("open_log": "memory.lua", "open.lua");
static READ: Script = script!("read_log": "memory.lua", "read.lua");
static APPEND: Script = script!("append": "memory.lua", "append.lua");

/// How long an open log is kept at most: no chat exists longer.
const LIFE_MS: u64 = RETENTION_MAX.as_millis() as u64;

pub(super) async fn open(parts: &Parts, chat: ChatId, seed: &LogSeed) -> Result<bool, BrokerError> {
    let mut known = Vec::with_capacity(2 * seed.known.len());
    for message in &seed.known {
        let Position { epoch, seq } = message.position;
        known.push(field(message.member, message.client_message_id));
        known.push(format!("{epoch} {seq} {}", message.at).into_bytes());
    }
    let memory = seed.incarnation.as_ref().map_or("", |memory| &memory.0);
    keyed(&OPEN, &NAMES, parts, chat)
        .arg(seed.epoch.number)
        .arg(seed.epoch.base)
        .arg(LIFE_MS)
        .arg(memory)
        .arg(&parts.id.0)
        .arg(known)
        .run(&parts.connection)
        .await
}

pub(super) async fn append(
    parts: &Parts,
    chat: ChatId,
    epoch: u32,
    draft: &Draft,
    takes_new: bool,
) -> Result<Placed, BrokerError> {
    let most = if takes_new { CHAT_MESSAGES_MAX } else { 0 };
    let call = keyed(&APPEND, &NAMES, parts, chat)
        .arg(epoch)
        .arg(field(draft.member, draft.client_message_id))
        .arg(draft.at)
        .arg(codec::encode(draft))
        .arg(most)
        .arg(TAIL_FRAMES_MAX)
        .arg(&parts.id.0);
    let (verdict, nodes, told): (String, Vec<Vec<u8>>, Vec<String>) =
        call.run(&parts.connection).await?;
    Ok(Placed {
        outcome: outcome(&verdict, &told)?,
        elsewhere: elsewhere(parts, &nodes),
    })
}

pub(super) async fn read(
    parts: &Parts,
    chat: ChatId,
    epoch: u32,
    after: u64,
) -> Result<Reading, BrokerError> {
    let call = keyed(&READ, &["meta", "log", "nodes"], parts, chat)
        .arg(epoch)
        .arg(after)
        .arg(READ_MAX)
        .arg(&parts.id.0);
    let (verdict, told, nodes, entries): (String, String, Vec<Vec<u8>>, Vec<Vec<u8>>) =
        call.run(&parts.connection).await?;
    let outcome = match verdict.as_str() {
        "none" => LogRead::NoLog(Incarnation(told)),
        "log" => {
            let head = told.parse().map_err(|_| unexpected("position"))?;
            let messages = run(chat, epoch, after, &entries)?;
            LogRead::Messages {
                is_trimmed: messages.is_empty() && head > after,
                messages,
                head,
            }
        }
        _ => return Err(unexpected("verdict")),
    };
    let elsewhere = elsewhere(parts, &nodes);
    Ok(Reading { outcome, elsewhere })
}

pub(super) async fn unfollow(parts: &Parts, chat: ChatId) -> Result<(), BrokerError> {
    let mut command = redis::cmd("SREM");
    command.arg(parts.keys.chat(chat, "nodes")).arg(&parts.id.0);
    Ok(parts.connection.query("unfollow", &command).await?)
}

pub(super) async fn close(parts: &Parts, chat: ChatId) -> Result<(), BrokerError> {
    let mut command = redis::cmd("UNLINK");
    for name in NAMES {
        command.arg(parts.keys.chat(chat, name));
    }
    Ok(parts.connection.query("close_log", &command).await?)
}

const NAMES: [&str; 4] = ["meta", "ids", "log", "nodes"];

fn keyed<'a>(script: &'a Script, names: &[&str], parts: &Parts, chat: ChatId) -> Call<'a> {
    let keys = names.iter().map(|name| parts.keys.chat(chat, name));
    keys.fold(script.call(), Call::key)
}

fn field(member: u8, id: ClientMessageId) -> Vec<u8> {
    let mut field = vec![member];
    field.extend_from_slice(id.as_bytes());
    field
}

/// The other live nodes that follow the chat.
fn elsewhere(parts: &Parts, nodes: &[Vec<u8>]) -> Vec<NodeId> {
    let nodes = nodes
        .iter()
        .filter_map(|bytes| bytes.as_slice().try_into().ok());
    nodes
        .map(NodeId)
        .filter(|node| parts.is_other_live(*node))
        .collect()
}

fn outcome(verdict: &str, told: &[String]) -> Result<AppendOutcome, BrokerError> {
    let number = |index: usize| -> Option<u64> { told.get(index)?.parse().ok() };
    let position = || Some(Position::new(u32::try_from(number(1)?).ok()?, number(0)?));
    let outcome = match verdict {
        "new" => position().map(AppendOutcome::New),
        "again" => position()
            .zip(number(2))
            .map(|(position, at)| AppendOutcome::Again(position, at)),
        "full" => Some(AppendOutcome::Full),
        "none" => told
            .first()
            .map(|memory| AppendOutcome::NoLog(Incarnation(memory.clone()))),
        _ => None,
    };
    outcome.ok_or_else(|| unexpected("verdict"))
}

/// The messages after `after` without a gap. `entries` are alternately seqs and messages.
fn run(
    chat: ChatId,
    epoch: u32,
    after: u64,
    entries: &[Vec<u8>],
) -> Result<Vec<StoredMessage>, BrokerError> {
    let mut messages = Vec::with_capacity(entries.len() / 2);
    for (expected, entry) in (after + 1..).zip(entries.chunks_exact(2)) {
        if entry[0] != expected.to_string().into_bytes() {
            break;
        }
        let draft: Draft = codec::decode(&entry[1]).map_err(|_| unexpected("message"))?;
        messages.push(draft.placed(chat, Position::new(epoch, expected)));
    }
    Ok(messages)
}
