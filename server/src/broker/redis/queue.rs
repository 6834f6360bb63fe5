//! Tickets in Redis. Arriving is trying: one script searches, takes the partner out or lets the ticket
//! wait. The rules are those of `nowrong_core::matching`, in Lua (`queue.lua`); both pass the same
//! conformance suite. What comes out is an offer: the store's seats decide.

use nowrong_core::{
    matching::{Joined, Offer, Retried, TICKETS_MAX, Ticket, stage_at, why},
    text::primary_language,
};
use nowrong_protocol::{TicketId, UserId, limits::INTERESTS_MAX};
use serde::{Deserialize, Serialize};

use super::{
    Parts, hex,
    script::{Call, Script},
    unexpected,
};
use crate::{broker::BrokerError, store::UnixMs};

/// A script of the queue: what all share, then its own.
macro_rules! script {
    ($file:literal) => {
        $crate::broker::redis::script::Script::new(concat!(
            include_str!("queue.lua"),
            include_str!($file)
        ))
    };
}
pub(super) use script;

static JOIN: Script = script!("join.lua");
static RETRY: Script = script!("retry.lua");
static REQUEUE: Script = script!("requeue.lua");
static CANCEL: Script = script!("cancel.lua");
static PAUSE: Script = script!("pause.lua");

/// Declares the keys that every script of the queue has.
pub(super) fn keyed<'a>(script: &'a Script, parts: &Parts) -> Call<'a> {
    ["lines", "tickets", "users", "nodes", "waiting"]
        .iter()
        .fold(script.call(), |call, name| call.key(parts.keys.queue(name)))
}

pub(super) async fn join(
    parts: &Parts,
    ticket: &Ticket,
    now: UnixMs,
) -> Result<Joined, BrokerError> {
    let call = keyed(&JOIN, parts).arg(now).arg(TICKETS_MAX);
    let answer: Vec<String> = with_ticket(call, parts, ticket)?
        .run(&parts.connection)
        .await?;
    match answer.first().map(String::as_str) {
        Some("waiting") => Ok(Joined::Waiting),
        Some("full") => Err(BrokerError::Full("tickets")),
        Some("offer") => {
            let partner = unpack(answer.get(1))?;
            let why = why(ticket, &partner);
            Ok(Joined::Offer { partner, why })
        }
        _ => Err(unexpected("verdict")),
    }
}

pub(super) async fn retry(
    parts: &Parts,
    id: TicketId,
    now: UnixMs,
) -> Result<Option<Retried>, BrokerError> {
    let call = keyed(&RETRY, parts).arg(now).arg(name(id));
    let answer: Vec<String> = call.run(&parts.connection).await?;
    if answer.is_empty() {
        return Ok(None);
    }
    let ticket = unpack(answer.first())?;
    let stage = stage_at(ticket.since_ms, now);
    let offer = match answer.get(1) {
        None => None,
        partner => {
            let partner = unpack(partner)?;
            let why = why(&ticket, &partner);
            Some(Offer {
                ticket,
                partner,
                why,
            })
        }
    };
    Ok(Some(Retried { stage, offer }))
}

pub(super) async fn requeue(parts: &Parts, ticket: &Ticket) -> Result<(), BrokerError> {
    let call = keyed(&REQUEUE, parts).arg(TICKETS_MAX);
    let is_there: bool = with_ticket(call, parts, ticket)?
        .run(&parts.connection)
        .await?;
    is_there.then_some(()).ok_or(BrokerError::Full("tickets"))
}

pub(super) async fn cancel(parts: &Parts, id: TicketId) -> Result<bool, BrokerError> {
    keyed(&CANCEL, parts)
        .arg(name(id))
        .run(&parts.connection)
        .await
}

pub(super) async fn set_paused(
    parts: &Parts,
    id: TicketId,
    is_paused: bool,
) -> Result<Option<Ticket>, BrokerError> {
    let call = keyed(&PAUSE, parts).arg(name(id)).arg(u8::from(is_paused));
    let text: Option<String> = call.run(&parts.connection).await?;
    text.map(|text| unpack(Some(&text))).transpose()
}

pub(super) async fn waiting(parts: &Parts, category: &str) -> Result<u32, BrokerError> {
    let mut command = redis::cmd("HGET");
    command.arg(parts.keys.queue("waiting")).arg(category);
    let count: Option<u32> = parts.connection.query(&command).await?;
    Ok(count.unwrap_or(0))
}

fn name(id: TicketId) -> String {
    hex(id.as_bytes())
}

fn ids(users: &[UserId]) -> Vec<u8> {
    users.iter().flat_map(|user| *user.as_bytes()).collect()
}

/// Adds what `ticket_from` of `queue.lua` reads.
fn with_ticket<'a>(
    call: Call<'a>,
    parts: &Parts,
    ticket: &Ticket,
) -> Result<Call<'a>, BrokerError> {
    let interests = &ticket.interests[..ticket.interests.len().min(INTERESTS_MAX)];
    Ok(call
        .arg(ticket.since_ms)
        .arg(name(ticket.id))
        .arg(ticket.user.as_bytes())
        .arg(&ticket.category)
        .arg(ticket.age_bracket)
        .arg(primary_language(&ticket.language).to_ascii_lowercase())
        .arg(ids(&ticket.blocked))
        .arg(ids(&ticket.recent))
        .arg(&parts.node)
        .arg(pack(ticket)?)
        .arg(interests))
}

/// A ticket as it travels through Redis, for the node that meets it.
#[derive(Serialize, Deserialize)]
struct Packed {
    id: TicketId,
    user: UserId,
    category: String,
    interests: Vec<String>,
    language: String,
    age_bracket: u8,
    blocked: Vec<UserId>,
    recent: Vec<UserId>,
    since_ms: u64,
}

fn pack(ticket: &Ticket) -> Result<String, BrokerError> {
    let Ticket {
        id,
        user,
        category,
        interests,
        language,
        age_bracket,
        blocked,
        recent,
        since_ms,
    } = ticket.clone();
    let packed = Packed {
        id,
        user,
        category,
        interests,
        language,
        age_bracket,
        blocked,
        recent,
        since_ms,
    };
    serde_json::to_string(&packed).map_err(|_| unexpected("ticket"))
}

fn unpack(text: Option<&String>) -> Result<Ticket, BrokerError> {
    let packed = text.and_then(|text| serde_json::from_str::<Packed>(text).ok());
    let Packed {
        id,
        user,
        category,
        interests,
        language,
        age_bracket,
        blocked,
        recent,
        since_ms,
    } = packed.ok_or_else(|| unexpected("ticket"))?;
    Ok(Ticket {
        id,
        user,
        category,
        interests,
        language,
        age_bracket,
        blocked,
        recent,
        since_ms,
    })
}
