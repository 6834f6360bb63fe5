//! Tries every row of the frames in every role, over both transports.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use e2e::PATIENCE;
use nowrong_client::{NewAccount, RawConnection, Transport, User};
use nowrong_protocol::{
    ChatId, ClientFrame, CloseCode, Position, ServerFrame, TicketId,
    frame::{
        Block, Bye, Cancel, Delete, Delivered, History, Join, Lane, LaneCopy, Leave, Next, Ping,
        Pong, Presence, PresenceState, Read, Resume, Typing,
    },
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    AT_ONCE,
    cast::{Actor, Door, World},
    scene::{Scene, bye, message, revoke},
    table::{At, Outcome, ROWS, Role, Row},
};

/// How long a signal may take before it is sent again: a datagram may be lost.
const AGAIN: Duration = Duration::from_millis(200);

/// Frames after which the scene is over, unless they were refused.
const ENDING: [&str; 4] = ["Leave", "Next", "Block", "Bye"];

/// Tries everything, several roles side by side.
///
/// # Panics
/// When something did not come out as the table says; names each such cell.
pub(super) async fn try_all(world: World) {
    let world = Arc::new(world);
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for transport in [Transport::WebTransport, Transport::WebSocket] {
        for role in Role::ALL {
            if role == Role::OtherNode && !world.is_cluster() {
                continue;
            }
            let (world, turns) = (world.clone(), turns.clone());
            tasks.spawn(async move {
                let _turn = turns.acquire().await;
                try_role(&world, role, transport).await
            });
        }
    }
    let mut wrong = Vec::new();
    while let Some(found) = tasks.join_next().await {
        wrong.extend(found.unwrap());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn try_role(world: &Arc<World>, role: Role, transport: Transport) -> Vec<String> {
    let seen = match role {
        Role::Nobody => Box::pin(nobodys(world, transport)).await,
        Role::Foreigner => Box::pin(foreigners(world, transport)).await,
        Role::Erased => Box::pin(erased(world, transport)).await,
        Role::Revoked => Box::pin(revoked(world, transport)).await,
        _ => Box::pin(acted(world, role, transport)).await,
    };
    assert_eq!(seen.len(), ROWS.len(), "every row was tried");
    let wrong = ROWS.iter().zip(seen).filter_map(|(row, seen)| {
        let expected = row.expected[role as usize];
        (seen != Ok(expected)).then(|| {
            let Row { frame, at, .. } = row;
            format!("{frame} at {at:?} by {role:?} over {transport:?}: expected {expected:?}, saw {seen:?}")
        })
    });
    wrong.collect()
}

/// What was seen; `Err` in words where it fits no outcome.
type Seen = Result<Outcome, String>;

/// The roles that act in a scene. It lasts until a frame ends it.
async fn acted(world: &World, role: Role, transport: Transport) -> Vec<Seen> {
    let (mut scene, mut seen) = (None, Vec::new());
    for row in ROWS {
        if row.frame == "Cancel" {
            seen.push(Box::pin(cancelled(world, role, transport)).await);
            continue;
        }
        let mut current = match scene.take() {
            Some(scene) => scene,
            None => Box::pin(Scene::set(world, role, transport)).await,
        };
        let expected = row.expected[role as usize];
        let outcome = Box::pin(act(world, &mut current, row, (role, expected))).await;
        let is_refused = matches!(outcome, Ok(Outcome::Fails(_)));
        if !ENDING.contains(&row.frame) || is_refused {
            scene = Some(current);
        }
        seen.push(outcome);
    }
    seen
}

/// One cell.
async fn act(
    world: &World,
    scene: &mut Scene,
    row: &Row,
    (role, expected): (Role, Outcome),
) -> Seen {
    forget(scene).await;
    if row.frame == "Hello" {
        return hello(world, scene, scene.position(row.at)).await;
    }
    let about = about(world, scene, row);
    let frame = frame(row.frame, about);
    match expected {
        Outcome::Shows => shows(scene, frame).await,
        Outcome::Nothing => {
            scene.actor.tell(frame).await;
            nothing(scene, row.frame, role).await
        }
        Outcome::Ends => {
            scene.actor.link.send(frame);
            let ended = scene.actor.link.closed(PATIENCE).await;
            ended
                .map(|()| Outcome::Ends)
                .map_err(|error| error.to_string())
        }
        _ => replied(scene, frame, (row.frame, role)).await,
    }
}

/// What came before does not count.
async fn forget(scene: &mut Scene) {
    scene.watcher.fence().await;
    for frame in scene.watcher.seen.drain(..) {
        if let ServerFrame::ReadCursor(cursor) = frame {
            scene.cursor = Some((cursor.delivered, cursor.read));
        }
    }
    scene.actor.seen.clear();
}

/// A frame with a reply.
async fn replied(scene: &mut Scene, frame: ClientFrame, (name, role): (&str, Role)) -> Seen {
    let ping = match &frame {
        ClientFrame::Ping(ping) => Some(ping.nonce),
        _ => None,
    };
    scene.actor.link.send(frame);
    let outcome = loop {
        let frame = scene.actor.receive(PATIENCE).await;
        let frame = frame.map_err(|error| error.to_string())?;
        let head = match &frame {
            ServerFrame::Ack(ack) => ack.position,
            _ => scene.head,
        };
        if let Some(outcome) = outcome(&frame, scene.chat, ping) {
            scene.head = head;
            break outcome?;
        }
    };
    match (outcome, push_of(name)) {
        (Outcome::Does(_), Some(push)) if role.is_member() => {
            let is_push = |frame: &ServerFrame| (frame.name() == push).then_some(());
            scene.watcher.wait(push, is_push).await;
        }
        (Outcome::Fails(_), _) => {
            nothing(scene, name, role).await?;
        }
        _ => {}
    }
    Ok(outcome)
}

/// What a frame means as a reply; `None` when it is something else.
fn outcome(frame: &ServerFrame, chat: ChatId, ping: Option<u32>) -> Option<Seen> {
    Some(Ok(match frame {
        ServerFrame::Ack(_) => Outcome::Does("Ack"),
        ServerFrame::Done(_) => Outcome::Does("Done"),
        ServerFrame::Queued(_) => Outcome::Does("Queued"),
        ServerFrame::Pong(pong) if Some(pong.nonce) == ping => Outcome::Does("Pong"),
        ServerFrame::Fail(fail) => Outcome::Fails(fail.code),
        ServerFrame::Bye(bye) => Outcome::Closes(bye.code),
        ServerFrame::Page(page) => {
            let mut foreign = page.messages.iter().filter(|it| it.0.chat != chat);
            if foreign.next().is_some() {
                return Some(Err("a page with messages of another chat".to_owned()));
            }
            Outcome::Does("Page")
        }
        _ => return None,
    }))
}

/// What the other member sees of a frame that is carried out.
fn push_of(frame: &str) -> Option<&'static str> {
    Some(match frame {
        "Send" => "Message",
        "Delete" => "Deleted",
        "Leave" | "Next" | "Block" => "Ended",
        "Typing" => "MemberTyping",
        "Presence" => "MemberPresence",
        "Delivered" | "Read" => "ReadCursor",
        _ => return None,
    })
}

/// A signal that the other member gets.
async fn shows(scene: &mut Scene, frame: ClientFrame) -> Seen {
    let push = push_of(frame.name()).unwrap_or("nothing");
    let position = match &frame {
        ClientFrame::Delivered(it) => Some(it.position),
        ClientFrame::Read(it) => Some(it.position),
        _ => None,
    };
    let is_it = |seen: &ServerFrame| match (seen, &frame) {
        (ServerFrame::ReadCursor(it), ClientFrame::Read(_)) => Some(it.read) == position,
        (ServerFrame::ReadCursor(it), _) => Some(it.delivered) == position,
        _ => seen.name() == push,
    };
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until {
        scene.actor.tell(frame.clone()).await;
        scene.watcher.fence().await;
        if !scene.watcher.seen.iter().any(is_it) {
            let _ = scene.watcher.receive(AGAIN).await;
        }
        if scene.watcher.seen.iter().any(is_it) {
            return Ok(Outcome::Shows);
        }
    }
    Err(format!(
        "{push} did not come; there came {:?}",
        scene.watcher.seen
    ))
}

/// Nothing came of it: neither for its sender, nor for the other member.
async fn nothing(scene: &mut Scene, frame: &str, role: Role) -> Seen {
    scene.watcher.fence().await;
    let known = scene.cursor;
    let is_news = |seen: &&ServerFrame| match seen {
        ServerFrame::ReadCursor(it) => known != Some((it.delivered, it.read)),
        ServerFrame::Message(_)
        | ServerFrame::Deleted(_)
        | ServerFrame::Ended(_)
        | ServerFrame::MemberTyping(_)
        | ServerFrame::MemberPresence(_) => true,
        _ => false,
    };
    // What a member did before may still be under way to the other node.
    let is_of_this = |seen: &&ServerFrame| !role.is_member() || push_of(frame) == Some(seen.name());
    let mut news = scene.watcher.seen.iter().filter(is_news).filter(is_of_this);
    match news.next() {
        Some(news) => Err(format!("the other member got {news:?}")),
        None => Ok(Outcome::Nothing),
    }
}

/// A new connection that resumes the chat; from here on it is the actor's.
async fn hello(world: &World, scene: &mut Scene, position: Position) -> Seen {
    let chat = scene.chat;
    let (user, door) = (scene.actor.user.clone(), scene.actor.door);
    let resume = vec![Resume { chat, position }];
    let entered = Box::pin(Actor::enter(world, user, door, resume)).await;
    let (mut actor, welcome) = match entered {
        Ok(entered) => entered,
        Err(code) => return Ok(Outcome::Closes(code)),
    };
    actor.fence().await;
    let is_gone =
        |frame: &ServerFrame| matches!(frame, ServerFrame::Gone(gone) if gone.chat == chat);
    let is_gone = actor.seen.iter().any(is_gone);
    let held = welcome.chat.map(|held| held.0);
    let is_there = held.as_ref().is_some_and(|held| held.chat == chat);
    scene.actor = actor;
    match (is_there, is_gone) {
        (true, false) => {
            let resumed = held.map(|held| held.resumed).unwrap_or_default();
            let is_known = resumed == Position::START || resumed <= scene.head;
            let odd = || format!("resumed at {resumed}, beyond the newest message");
            is_known.then_some(Outcome::Resumes).ok_or_else(odd)
        }
        (false, true) => Ok(Outcome::Welcomes),
        other => Err(format!("Welcome with (chat, gone) {other:?}")),
    }
}

/// A ticket is given up: by its owner, or by somebody who has learned its id.
async fn cancelled(world: &World, role: Role, transport: Transport) -> Seen {
    let door = match role {
        Role::OtherNode => (0, 1),
        _ => (0, 0),
    };
    let door = Door {
        issuer: door.0,
        node: door.1,
        transport,
    };
    let mut waiting = Box::pin(Actor::arrive(world, door)).await;
    let ticket = waiting.join(&world.category()).await;
    if role.is_owner() {
        return cancel(&mut waiting, ticket).await;
    }
    let mut scene = Box::pin(Scene::set(world, role, transport)).await;
    let seen = cancel(&mut scene.actor, ticket).await;
    // The ticket of the other person is still there.
    let own = cancel(&mut waiting, ticket).await?;
    match own {
        Outcome::Does("Done") => seen,
        other => Err(format!("the ticket was lost: {other:?}")),
    }
}

async fn cancel(actor: &mut Actor, ticket: TicketId) -> Seen {
    let request = actor.request();
    actor.link.send(Cancel { request, ticket });
    let reply = |frame: &ServerFrame| outcome(frame, ChatId::from_bytes([0; 16]), None);
    actor.wait("a reply", reply).await
}

/// The account is erased while all rows of one frame are sent.
async fn erased(world: &World, transport: Transport) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut rows = ROWS.iter().peekable();
    while let Some(row) = rows.next() {
        let mut group = vec![row];
        while let Some(next) = rows.next_if(|next| next.frame == row.frame) {
            group.push(next);
        }
        let outcome = Box::pin(erased_during(world, transport, &group)).await;
        seen.extend(group.iter().map(|_| outcome.clone()));
    }
    seen
}

async fn erased_during(world: &World, transport: Transport, group: &[&Row]) -> Seen {
    let mut scene = Box::pin(Scene::set(world, Role::Erased, transport)).await;
    let (user, chat) = (scene.actor.user.clone(), scene.chat);
    let code = if group[0].frame == "Hello" {
        let token = user.connect().await.unwrap().connect_token;
        let position = scene.position(group[0].at);
        let door = scene.actor.door;
        let hello = (token, vec![Resume { chat, position }]);
        let entering = Box::pin(Actor::enter_with(world, user.clone(), door, hello));
        let (erased, entered) = tokio::join!(user.delete(), entering);
        erased.unwrap();
        match entered {
            Ok((mut late, _)) => bye(&mut late).await,
            Err(code) => Some(code),
        }
    } else {
        for row in group {
            let about = about(world, &mut scene, row);
            scene.actor.link.send(frame(row.frame, about));
        }
        let (erased, code) = tokio::join!(user.delete(), bye(&mut scene.actor));
        erased.unwrap();
        code
    };
    let is_account_gone = user.me().await.is_err();
    let ended = |frame: &ServerFrame| matches!(frame, ServerFrame::Ended(_)).then_some(());
    scene.watcher.wait("the end of the chat", ended).await;
    // A client that says `Bye` first hears nothing more.
    let is_expected = code == Some(CloseCode::ACCOUNT_GONE) || group[0].frame == "Bye";
    match is_expected && is_account_gone {
        true => Ok(Outcome::Vanishes),
        false => Err(format!(
            "the link ended with {code:?}, account gone: {is_account_gone}"
        )),
    }
}

/// Before `Hello`.
async fn nobodys(world: &World, transport: Transport) -> Vec<Seen> {
    let mut seen = Vec::new();
    for row in ROWS {
        let mut link = world.open(0, transport).await;
        let frame = strangest(row);
        let is_datagram = frame.lane() == Lane::Datagram;
        link.send(frame);
        if is_datagram && transport == Transport::WebTransport {
            // It was dropped, if `Hello` still is what the server waits for.
            link.send(RawConnection::hello("none"));
        }
        let code = link.receive_bye(PATIENCE).await.map(|bye| bye.code);
        seen.push(match (code, is_datagram, transport) {
            (Ok(CloseCode::OUT_OF_PHASE), true, Transport::WebSocket)
            | (Ok(CloseCode::TOKEN_REFUSED), true, Transport::WebTransport) => Ok(Outcome::Unheard),
            (Ok(code), ..) => Ok(Outcome::Closes(code)),
            (Err(error), ..) => Err(error.to_string()),
        });
    }
    seen
}

/// After a `Hello` with the token of another installation. All rows at once: each link stays open for a while,
/// since who is told `Bye` closes it.
async fn foreigners(world: &Arc<World>, transport: Transport) -> Vec<Seen> {
    let account = NewAccount::named(world.name());
    let user = world.elsewhere.api().register(&account).await.unwrap();
    let tokens = connect_tokens(&user).await;
    with_each(world, transport, tokens).await
}

/// After a stolen refresh token was noticed: the link of the owner ends, the chat does not, and connect tokens
/// from before open nothing.
async fn revoked(world: &Arc<World>, transport: Transport) -> Vec<Seen> {
    let mut scene = Box::pin(Scene::set(world, Role::Revoked, transport)).await;
    let user = scene.actor.user.clone();
    let tokens = connect_tokens(&user).await;
    revoke(&user).await;
    let code = bye(&mut scene.actor).await;
    let seen = with_each(world, transport, tokens).await;
    scene.watcher.fence().await;
    let has_ended = |frame: &ServerFrame| matches!(frame, ServerFrame::Ended(_));
    if code == Some(CloseCode::TOKEN_REFUSED) && !scene.watcher.seen.iter().any(has_ended) {
        return seen;
    }
    let odd = format!(
        "the link ended with {code:?}, and the watcher saw {:?}",
        scene.watcher.seen
    );
    seen.iter().map(|_| Err(odd.clone())).collect()
}

/// A connect token for each row.
async fn connect_tokens(user: &User) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in ROWS {
        tokens.push(user.connect().await.unwrap().connect_token);
    }
    tokens
}

/// Every row, each on a link of its own with one of the tokens.
async fn with_each(world: &Arc<World>, transport: Transport, tokens: Vec<String>) -> Vec<Seen> {
    let opening = ROWS.iter().zip(tokens);
    let tasks: Vec<_> = opening
        .map(|opened| tokio::spawn(refused(world.clone(), transport, opened)))
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen
}

async fn refused(
    world: Arc<World>,
    transport: Transport,
    (row, token): (&'static Row, String),
) -> Seen {
    let mut link = world.open(0, transport).await;
    link.send(RawConnection::hello(token));
    let code = link.receive_bye(PATIENCE).await.map(|bye| bye.code);
    link.send(strangest(row));
    let after = link.closed(PATIENCE).await;
    match (code, after) {
        (Ok(code), Ok(())) => Ok(Outcome::Closes(code)),
        (code, after) => Err(format!("{code:?}, then {after:?}")),
    }
}

/// The frame of a row, about a chat that nobody has.
fn strangest(row: &Row) -> ClientFrame {
    let head = Position::new(1, 3);
    let about = About {
        request: 1,
        chat: ChatId::from_bytes([7; 16]),
        at: (row.at != At::Plain).then(|| row.at.position(head)),
        head,
        category: "room-0".to_owned(),
    };
    frame(row.frame, about)
}

/// What a frame is about.
struct About {
    request: u32,
    chat: ChatId,
    at: Option<Position>,
    head: Position,
    /// For `Join`: one in which nobody is.
    category: String,
}

fn about(world: &World, scene: &mut Scene, row: &Row) -> About {
    About {
        request: scene.actor.request(),
        chat: scene.chat,
        at: (row.at != At::Plain).then(|| scene.position(row.at)),
        head: scene.head,
        category: match row.frame {
            "Join" => world.category(),
            _ => String::new(),
        },
    }
}

/// A frame with this name.
fn frame(name: &str, about: About) -> ClientFrame {
    let About {
        request, chat, at, ..
    } = about;
    let position = at.unwrap_or(about.head);
    match name {
        "Bye" => Bye {
            code: CloseCode::CLIENT_LEFT,
            retry_after_ms: 0,
            reason: String::new(),
        }
        .into(),
        "Ping" => Ping { nonce: request }.into(),
        "Pong" => Pong { nonce: request }.into(),
        "LaneCopy" => LaneCopy {
            offset: 0,
            bytes: Bytes::from_static(b"x"),
        }
        .into(),
        "Hello" => RawConnection::hello("none").into(),
        "Join" => Join {
            request,
            category: about.category,
            interests: Vec::new(),
        }
        .into(),
        "Cancel" => Cancel {
            request,
            ticket: TicketId::from_bytes(*chat.as_bytes()),
        }
        .into(),
        "Send" => message(request, chat, at).into(),
        "Delivered" => Delivered { chat, position }.into(),
        "Read" => Read { chat, position }.into(),
        "Delete" => Delete {
            request,
            chat,
            position,
        }
        .into(),
        "Leave" => Leave { request, chat }.into(),
        "Next" => Next { request, chat }.into(),
        "Block" => Block { request, chat }.into(),
        "History" => History {
            request,
            chat,
            before: at,
            limit: 10,
        }
        .into(),
        "Typing" => Typing {
            chat,
            is_typing: true,
        }
        .into(),
        "Presence" => Presence {
            chat,
            state: PresenceState::Away,
        }
        .into(),
        other => panic!("{other}: say here what such a frame holds"),
    }
}
