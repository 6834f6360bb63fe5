//! `GET /v1/me/export`: what the server holds of the caller, as one JSON document.
//!
//! It is made in memory: a chat has at most some 8 MB of text, an account has one chat, and
//! [`AT_ONCE_MAX`] documents are made at the same time.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use nowrong_core::{
    limiter::Rate,
    record::{Chat, StoredMessage, User},
};
use nowrong_protocol::{ChatId, ClientMessageId, ErrorCode, Position, frame::Body};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::{
    ApiState,
    caller::Caller,
    problem::{Problem, ProblemDocument},
    users::UserView,
};
use crate::chat::Sealer;

/// How often one account may ask: each time a whole chat is read.
const EXPORTS: Rate = Rate {
    burst: 6,
    period_ms: 60 * 60 * 1_000,
};

/// Most documents that a node makes at the same time: each takes up to some 30 MB for a moment. Who comes then waits
/// until the deadline of the request.
const AT_ONCE_MAX: usize = 2;

/// Most messages read from the store at once.
const READ_MAX: usize = 128;

/// The turns of those who ask at the same time.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }
}

/// What the server holds of an account. Besides, it holds hashes of its tokens and of its name, and for some minutes
/// counts of its requests.
#[derive(Serialize, ToSchema)]
#[schema(as = Export)]
pub(super) struct ExportView {
    /// When the document was made; milliseconds since the Unix epoch.
    exported_at_ms: u64,
    /// The account.
    user: UserView,
    /// When the account was made; milliseconds since the Unix epoch.
    created_at_ms: u64,
    /// How many people the account has blocked, or was blocked by: they never meet. Who they are is not told.
    blocks: usize,
    /// How many recent partners are remembered, so that others come first.
    recent_partners: usize,
    /// The chat that the account is in. One that has ended can be read over a connection until it is erased.
    #[schema(nullable)]
    chat: Option<ExportedChat>,
}

/// A chat, as far as its member can read it.
#[derive(Serialize, ToSchema)]
pub(super) struct ExportedChat {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: ChatId,
    /// The id of its category.
    category: String,
    /// When it began; milliseconds since the Unix epoch.
    started_at_ms: u64,
    /// When it is erased at the latest; milliseconds since the Unix epoch.
    expires_at_ms: u64,
    /// The interests that the members share.
    shared_interests: Vec<String>,
    /// The members, as each other sees them. Messages name them by their index.
    members: Vec<ExportedMember>,
    /// The index of the account among the members.
    me: usize,
    /// All messages, from the first one.
    messages: Vec<ExportedMessage>,
}

/// A member of a chat.
#[derive(Serialize, ToSchema)]
pub(super) struct ExportedMember {
    /// The name at the time of the match.
    name: String,
    /// BCP 47 tag.
    language: String,
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(super) struct ExportedMessage {
    /// Where it stands.
    position: ExportedPosition,
    /// The index of its sender.
    member: u8,
    /// The id that its sender gave it.
    #[schema(value_type = String, format = "uuid")]
    client_message_id: ClientMessageId,
    /// When the server accepted it; milliseconds since the Unix epoch.
    at_ms: u64,
    /// The message that it replies to.
    #[schema(nullable)]
    reply_to: Option<ExportedPosition>,
    /// Its text; null when it was deleted.
    #[schema(nullable)]
    text: Option<String>,
}

/// Where a message stands in its chat.
#[derive(Serialize, ToSchema)]
pub(super) struct ExportedPosition {
    /// From 1; it changes when the log of the chat is rebuilt.
    epoch: u32,
    /// From 1, without a gap.
    seq: u64,
}

impl From<Position> for ExportedPosition {
    fn from(position: Position) -> Self {
        Self {
            epoch: position.epoch,
            seq: position.seq,
        }
    }
}

/// All of your data
///
/// The account, and the chat that it is in with all of its messages. The partner's messages are among them, as they can
/// be read in the chat.
#[utoipa::path(
    get,
    path = "/v1/me/export",
    tag = "Account",
    operation_id = "exportMe",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "What the server holds.", body = ExportView),
        (status = 401, description = "The access token is missing, wrong or expired.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from one network, or for one account: six exports an hour.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn export(
    State(api): State<Arc<ApiState>>,
    Extension(turns): Extension<Turns>,
    Caller(user): Caller,
) -> Result<Json<ExportView>, Problem> {
    api.spend("export", EXPORTS, user.id.as_bytes()).await?;
    let turn = turns.0.acquire().await;
    let _turn = turn.map_err(|_| Problem::new(ErrorCode::OVERLOADED))?;
    let now = api.env.clock.now();
    let avoid = api.env.store.avoid(user.id, now).await?;
    let chat = match api.env.store.seat(user.id, now).await? {
        Some(id) => chat_of(&api, &user, id).await?,
        None => None,
    };
    Ok(Json(ExportView {
        exported_at_ms: now,
        created_at_ms: user.created_at,
        user: user.into(),
        blocks: avoid.blocked.len(),
        recent_partners: avoid.recent.len(),
        chat,
    }))
}

/// The chat of a seat; `None` when it was erased meanwhile.
async fn chat_of(api: &ApiState, user: &User, id: ChatId) -> Result<Option<ExportedChat>, Problem> {
    let Some(chat) = api.env.store.chat(id, api.env.clock.now()).await? else {
        return Ok(None);
    };
    let mut members = chat.members.iter();
    let Some(me) = members.position(|member| member.user == user.id) else {
        return Ok(None);
    };
    let messages = messages(api, &chat).await?;
    let named = chat.members.into_iter().map(|member| ExportedMember {
        name: member.name,
        language: member.language,
    });
    Ok(Some(ExportedChat {
        id,
        category: chat.category,
        started_at_ms: chat.started_at,
        expires_at_ms: chat.expires_at,
        shared_interests: chat.why.shared_interests,
        members: named.collect(),
        me,
        messages,
    }))
}

async fn messages(api: &ApiState, chat: &Chat) -> Result<Vec<ExportedMessage>, Problem> {
    let (sealer, store) = (Sealer::new(&chat.key), &api.env.store);
    let (mut all, mut after) = (Vec::new(), Position::START);
    loop {
        let now = api.env.clock.now();
        let page = store.messages_after(chat.id, after, READ_MAX, now).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.position;
        all.extend(page.into_iter().filter_map(|it| exported(&sealer, it)));
        // Opening a long chat takes a while.
        tokio::task::yield_now().await;
    }
}

/// A message as the members see it. What cannot be opened is left out, as it is over a connection.
fn exported(sealer: &Sealer, stored: StoredMessage) -> Option<ExportedMessage> {
    let text = match sealer.open(&stored).ok()? {
        Body::Text(text) => Some(text),
        _ => None,
    };
    Some(ExportedMessage {
        position: stored.position.into(),
        member: stored.member,
        client_message_id: stored.client_message_id,
        at_ms: stored.at,
        reply_to: stored.reply_to.map(Into::into),
        text,
    })
}
