//! Tickets in Redis. A ticket tries as soon as it joins: one script searches, then takes the
//! partner out or lets the ticket wait. The rules are those of `nowrong_core::matching`, in Lua
//! (`queue.lua`); both pass the same conformance suite. The result is only an offer: the store's
//! seats decide.

use nowrong_broker::BrokerError;
use nowrong_core::{
    matching::{Joined, Offer, Retried, TICKETS_MAX, Ticket, stage_at, why},
    record::UnixMs,
    text::primary_language,
};
use nowrong_protocol::{
    TicketId, UserId,
    codec::{self, DecodeError},
    limits::{FRAME_BYTES_MAX, INTERESTS_MAX},
};

use super::{
    Parts, hex,
    script::{Call, Script, script},
    unexpected,
};

static JOIN: Script = script!("join": "memory.lua", "queue.lua", "join.lua");
static RETRY: Script = script!("retry": "memory.lua", "queue.lua", "retry.lua");
static REQUEUE: Script = script!("requeue": "memory.lua", "queue.lua", "requeue.lua");
static CANCEL: Script = script!("cancel": "memory.lua", "queue.lua", "cancel.lua");
static TAKE_OUT: Script = script!("take_out": "memory.lua", "queue.lua", "take_out.lua");
static PAUSE: Script = script!("set_paused": "memory.lua", "queue.lua", "pause.lua");

/// Longest ticket that a node can read back: about 4,000 blocked users. A user who blocks more
/// cannot wait.
const TICKET_BYTES_MAX: usize = FRAME_BYTES_MAX - 1_024;

/// The keys that every script of the queue has.
const NAMES: [&str; 6] = ["lines", "tickets", "users", "nodes", "waiting", "memory"];

/// Declares the keys that every script of the queue has.
pub(super) fn keyed<'a>(script: &'a Script, parts: &Parts) -> Call<'a> {
    let keys = NAMES.iter().map(|name| parts.keys.queue(name));
    keys.fold(script.call(), Call::key)
}

pub(super) async fn join(
    parts: &Parts,
    ticket: &Ticket,
    now: UnixMs,
) -> Result<Joined, BrokerError> {
    let call = keyed(&JOIN, parts).arg(now).arg(TICKETS_MAX);
    let answer: Vec<Vec<u8>> = with_ticket(call, ticket)?.run(&parts.connection).await?;
    match answer.first().map(Vec::as_slice) {
        Some(b"waiting") => Ok(Joined::Waiting),
        Some(b"full") => Err(BrokerError::Full("tickets")),
        Some(b"offer") => {
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
    let answer: Vec<Vec<u8>> = call.run(&parts.connection).await?;
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
    let is_there: bool = with_ticket(call, ticket)?.run(&parts.connection).await?;
    is_there.then_some(()).ok_or(BrokerError::Full("tickets"))
}

pub(super) async fn cancel(parts: &Parts, id: TicketId) -> Result<bool, BrokerError> {
    keyed(&CANCEL, parts)
        .arg(name(id))
        .run(&parts.connection)
        .await
}

pub(super) async fn take_out(parts: &Parts, user: UserId) -> Result<Option<Ticket>, BrokerError> {
    let call = keyed(&TAKE_OUT, parts).arg(user.as_bytes());
    let ticket: Option<Vec<u8>> = call.run(&parts.connection).await?;
    ticket.map(|ticket| unpack(Some(&ticket))).transpose()
}

pub(super) async fn set_paused(
    parts: &Parts,
    id: TicketId,
    is_paused: bool,
) -> Result<Option<Ticket>, BrokerError> {
    let call = keyed(&PAUSE, parts).arg(name(id)).arg(u8::from(is_paused));
    let ticket: Option<Vec<u8>> = call.run(&parts.connection).await?;
    ticket.map(|ticket| unpack(Some(&ticket))).transpose()
}

pub(super) async fn waiting(parts: &Parts, category: &str) -> Result<u32, BrokerError> {
    let mut command = redis::cmd("HGET");
    command.arg(parts.keys.queue("waiting")).arg(category);
    let count: Option<u32> = parts.connection.query("waiting", &command).await?;
    Ok(count.unwrap_or(0))
}

pub(super) async fn own_tickets(
    parts: &Parts,
    after: Option<TicketId>,
    limit: usize,
) -> Result<Vec<TicketId>, BrokerError> {
    let line = format!("n\0{}\0", parts.id);
    let from = match after {
        Some(id) => format!("({line}{}", name(id)),
        None => format!("[{line}"),
    };
    let to = [b"[", line.as_bytes(), b"\xff"].concat();
    let mut command = redis::cmd("ZRANGEBYLEX");
    command.arg(parts.keys.queue("lines")).arg(from).arg(to);
    command.arg("LIMIT").arg(0).arg(limit);
    let members: Vec<Vec<u8>> = parts.connection.query("own_tickets", &command).await?;
    let ids = members
        .iter()
        .map(|member| id_of(member.get(line.len()..)?));
    let ids: Option<Vec<_>> = ids.collect();
    ids.ok_or_else(|| unexpected("ticket"))
}

/// The inverse of [`name`].
fn id_of(name: &[u8]) -> Option<TicketId> {
    let number = u128::from_str_radix(std::str::from_utf8(name).ok()?, 16).ok()?;
    Some(TicketId::from_bytes(number.to_be_bytes()))
}

fn name(id: TicketId) -> String {
    hex(id.as_bytes())
}

fn ids(users: &[UserId]) -> Vec<u8> {
    users.iter().flat_map(|user| *user.as_bytes()).collect()
}

/// Adds the arguments that `ticket_from` of `queue.lua` reads.
fn with_ticket<'a>(call: Call<'a>, ticket: &Ticket) -> Result<Call<'a>, BrokerError> {
    let interests = &ticket.interests[..ticket.interests.len().min(INTERESTS_MAX)];
    let packed = codec::encode(ticket);
    if packed.len() > TICKET_BYTES_MAX {
        return Err(BrokerError::Full("users that one user blocks"));
    }
    Ok(call
        .arg(ticket.since_ms)
        .arg(name(ticket.id))
        .arg(ticket.user.as_bytes())
        .arg(&ticket.category)
        .arg(ticket.age_bracket as u8)
        .arg(primary_language(&ticket.language).to_ascii_lowercase())
        .arg(ids(&ticket.blocked))
        .arg(ids(&ticket.recent))
        .arg(ticket.node.to_string())
        .arg(packed)
        .arg(u8::from(ticket.is_new_account))
        .arg(interests))
}

fn unpack(bytes: Option<&Vec<u8>>) -> Result<Ticket, BrokerError> {
    let ticket = bytes.and_then(|bytes| codec::decode(bytes).or_else(|_| of_earlier(bytes)).ok());
    ticket.ok_or_else(|| unexpected("ticket"))
}

/// The ticket of a node of an earlier version, which does not say whether the account is new: then it is not.
fn of_earlier(bytes: &[u8]) -> Result<Ticket, DecodeError> {
    codec::decode(&[bytes, &[0]].concat())
}

#[cfg(test)]
mod tests {
    use nowrong_core::record::AgeBracket;

    use super::*;

    #[test]
    fn a_ticket_of_an_earlier_version_is_not_of_a_new_account() {
        let ticket = Ticket {
            id: TicketId::from_bytes([1; 16]),
            user: UserId::from_bytes([2; 16]),
            category: "music".to_owned(),
            interests: vec!["jazz".to_owned()],
            language: "en".to_owned(),
            age_bracket: AgeBracket::Adult,
            blocked: vec![UserId::from_bytes([3; 16])],
            recent: Vec::new(),
            since_ms: 1_800_000_000_000,
            node: nowrong_core::node::NodeId([4; 8]),
            is_new_account: true,
        };
        let packed = codec::encode(&ticket);
        assert_eq!(unpack(Some(&packed)).unwrap(), ticket);
        let (_, earlier) = packed.split_last().unwrap();
        let earlier = unpack(Some(&earlier.to_vec())).unwrap();
        let expected = Ticket {
            is_new_account: false,
            ..ticket
        };
        assert_eq!(earlier, expected);
        assert!(unpack(Some(&packed[..packed.len() - 2].to_vec())).is_err());
    }
}
