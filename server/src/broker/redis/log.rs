//! The log of a chat: `meta` (epoch, newest seq), `ids` (what was sent, where it stands), and `log`, a
//! stream of the newest sealed messages for nodes that missed one. All three die with the chat.

use nowrong_core::chat_log::TAIL_FRAMES_MAX;
use nowrong_protocol::{
    ChatId, ClientMessageId, Position,
    limits::{CHAT_MESSAGES_MAX, RETENTION_MAX},
};

use super::{Parts, script::Script, unexpected};
use crate::{
    broker::{Appended, BrokerError, Draft, LogSeed, READ_MAX},
    store::StoredMessage,
};

static OPEN: Script = Script::new(include_str!("open.lua"));
static READ: Script = Script::new(include_str!("read.lua"));
static APPEND: Script = Script::new(include_str!("append.lua"));

/// How long an open log is kept at most: a chat does not live longer.
const LIFE_MS: u64 = RETENTION_MAX.as_millis() as u64;

pub(super) async fn open(parts: &Parts, chat: ChatId, seed: &LogSeed) -> Result<(), BrokerError> {
    let mut known = Vec::with_capacity(2 * seed.known.len());
    for message in &seed.known {
        if message.position.seq > seed.epoch.base {
            continue;
        }
        let Position { epoch, seq } = message.position;
        known.push(field(message.member, message.client_message_id));
        known.push(format!("{epoch} {seq} {}", message.at).into_bytes());
    }
    let call = keyed(OPEN.call(), parts, chat)
        .arg(seed.epoch.number)
        .arg(seed.epoch.base)
        .arg(LIFE_MS)
        .arg(known);
    let _: u8 = call.run(&parts.connection).await?;
    Ok(())
}

pub(super) async fn append(
    parts: &Parts,
    chat: ChatId,
    epoch: u32,
    draft: &Draft,
) -> Result<Appended, BrokerError> {
    let message = serde_json::to_vec(&draft.clone().placed(chat, Position::START))
        .map_err(|_| unexpected("message"))?;
    let call = keyed(APPEND.call(), parts, chat)
        .arg(epoch)
        .arg(field(draft.member, draft.client_message_id))
        .arg(draft.at)
        .arg(message)
        .arg(CHAT_MESSAGES_MAX)
        .arg(TAIL_FRAMES_MAX);
    verdict(call.run(&parts.connection).await?)
}

pub(super) async fn read(
    parts: &Parts,
    chat: ChatId,
    epoch: u32,
    after: u64,
) -> Result<Option<Vec<StoredMessage>>, BrokerError> {
    let call = READ
        .call()
        .key(parts.keys.chat(chat, "meta"))
        .key(parts.keys.chat(chat, "log"))
        .arg(epoch)
        .arg(after)
        .arg(READ_MAX);
    let answer: Option<Vec<String>> = call.run(&parts.connection).await?;
    let Some(answer) = answer else {
        return Ok(None);
    };
    let mut messages = Vec::with_capacity(answer.len() / 2);
    for (expected, entry) in (after + 1..).zip(answer.chunks_exact(2)) {
        if entry[0].parse() != Ok(expected) {
            break;
        }
        let message: StoredMessage =
            serde_json::from_str(&entry[1]).map_err(|_| unexpected("message"))?;
        messages.push(StoredMessage {
            position: Position::new(epoch, expected),
            ..message
        });
    }
    Ok(Some(messages))
}

pub(super) async fn close(parts: &Parts, chat: ChatId) -> Result<(), BrokerError> {
    let mut command = redis::cmd("UNLINK");
    for name in NAMES {
        command.arg(parts.keys.chat(chat, name));
    }
    Ok(parts.connection.query(&command).await?)
}

const NAMES: [&str; 3] = ["meta", "ids", "log"];

fn keyed<'a>(
    call: super::script::Call<'a>,
    parts: &Parts,
    chat: ChatId,
) -> super::script::Call<'a> {
    NAMES
        .iter()
        .fold(call, |call, name| call.key(parts.keys.chat(chat, name)))
}

fn field(member: u8, id: ClientMessageId) -> Vec<u8> {
    let mut field = vec![member];
    field.extend_from_slice(id.as_bytes());
    field
}

/// Reads `{verdict, seq, epoch, time}`.
fn verdict(answer: Vec<String>) -> Result<Appended, BrokerError> {
    let number = |index: usize| -> Option<u64> { answer.get(index)?.parse().ok() };
    let position = || Some(Position::new(u32::try_from(number(2)?).ok()?, number(1)?));
    let placed = || position().ok_or_else(|| unexpected("position"));
    Ok(match answer.first().map(String::as_str) {
        Some("new") => Appended::New(placed()?),
        Some("again") => {
            let at = number(3).ok_or_else(|| unexpected("position"))?;
            Appended::Again(placed()?, at)
        }
        Some("full") => Appended::Full,
        Some("none") => Appended::NoLog,
        _ => return Err(unexpected("verdict")),
    })
}
