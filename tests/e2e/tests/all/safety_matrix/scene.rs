//! A scene: two people in a chat, somebody who acts in a role, and somebody who would see it.

use e2e::{PATIENCE, within};
use nowrong_client::{Api, Transport, User};
use nowrong_protocol::{
    ChatId, ClientMessageId, ErrorCode, Position, ServerFrame,
    frame::{Block, Body, Delete, Leave, Send},
};

use super::{
    cast::{Actor, Door, World},
    table::{At, Role},
};

/// What stands before a role begins to act.
pub(super) struct Scene {
    /// Who acts.
    pub(super) actor: Actor,
    /// The other member of the chat, who would see it.
    pub(super) watcher: Actor,
    /// The chat of the owner and the partner.
    pub(super) chat: ChatId,
    /// Its newest message.
    pub(super) head: Position,
    /// What the watcher was last told of how far the other one has read.
    pub(super) cursor: Option<(Position, Position)>,
    /// For a stranger: the partners of both, whose chats go on meanwhile.
    _others: Vec<Actor>,
}

impl Scene {
    /// The scene for this role, whose link is of this kind. In a cluster, owner and partner are on different
    /// nodes.
    pub(super) async fn set(world: &World, role: Role, transport: Transport) -> Self {
        let acts = |issuer: usize, node: usize| Door {
            issuer,
            node,
            transport,
        };
        let [owner, partner] = match role {
            Role::Owner | Role::Erased | Role::Revoked => [acts(0, 0), Door::websocket(1)],
            Role::OtherNode => [acts(0, 1), Door::websocket(0)],
            Role::Partner | Role::ExPartner | Role::Blocked => [Door::websocket(0), acts(1, 1)],
            Role::Stranger => [Door::websocket(0), Door::websocket(1)],
            Role::Foreigner | Role::Nobody => unreachable!("they meet nobody"),
        };
        let (mut owner, mut partner, chat) = Box::pin(pair(world, owner, partner)).await;
        say(&mut owner, chat).await;
        say(&mut partner, chat).await;
        let head = say(&mut owner, chat).await;
        knows_all(&mut partner, chat).await;
        let (actor, watcher, others) = match role {
            Role::Stranger => {
                let (stranger, other, _) =
                    Box::pin(pair(world, acts(1, 1), Door::websocket(0))).await;
                (stranger, owner, vec![partner, other])
            }
            Role::ExPartner | Role::Blocked => {
                end(&mut owner, &mut partner, chat, role).await;
                (partner, owner, Vec::new())
            }
            Role::Partner => (partner, owner, Vec::new()),
            _ => (owner, partner, Vec::new()),
        };
        Self {
            actor,
            watcher,
            chat,
            head,
            cursor: None,
            _others: others,
        }
    }

    /// The position of a row.
    pub(super) fn position(&self, at: At) -> Position {
        at.position(self.head)
    }
}

/// Two people who have just met.
async fn pair(world: &World, first: Door, second: Door) -> (Actor, Actor, ChatId) {
    let category = world.category();
    let (mut first, mut second) = tokio::join!(
        Box::pin(Actor::arrive(world, first)),
        Box::pin(Actor::arrive(world, second))
    );
    first.join(&category).await;
    second.join(&category).await;
    let chat = second.matched().await;
    assert_eq!(first.matched().await, chat);
    (first, second, chat)
}

/// A message with this text.
pub(super) fn message(request: u32, chat: ChatId, reply_to: Option<Position>) -> Send {
    Send {
        request,
        chat,
        client_message_id: ClientMessageId::from_bytes(rand::random()),
        reply_to,
        body: Body::Text("a text of the matrix".to_owned()),
    }
}

async fn say(actor: &mut Actor, chat: ChatId) -> Position {
    let request = actor.request();
    actor.link.send(message(request, chat, None));
    let acked = |frame: &ServerFrame| match frame {
        ServerFrame::Ack(ack) if ack.request == request => Some(ack.position),
        _ => None,
    };
    actor.wait("an ack", acked).await
}

/// Waits until the partner's node knows that the owner's first message is stored.
async fn knows_all(partner: &mut Actor, chat: ChatId) {
    let ask = async {
        loop {
            let request = partner.request();
            let position = Position::new(1, 1);
            partner.link.send(Delete {
                request,
                chat,
                position,
            });
            let refused = |frame: &ServerFrame| match frame {
                ServerFrame::Fail(fail) if fail.request == request => Some(fail.code),
                _ => None,
            };
            let code = partner.wait("a refusal", refused).await;
            if code == ErrorCode::MESSAGE_NOT_YOURS {
                return;
            }
            assert_eq!(code, ErrorCode::MESSAGE_UNKNOWN);
        }
    };
    within("the message is known to be stored", ask).await;
}

/// The owner ends the chat, as the role says; both learn of it.
async fn end(owner: &mut Actor, partner: &mut Actor, chat: ChatId, role: Role) {
    let request = owner.request();
    match role {
        Role::Blocked => owner.link.send(Block { request, chat }),
        _ => owner.link.send(Leave { request, chat }),
    }
    let ended = |frame: &ServerFrame| matches!(frame, ServerFrame::Ended(_)).then_some(());
    owner.wait("the end", ended).await;
    partner.wait("the end", ended).await;
}

/// Somebody uses a refresh token whose successor was used: all of the account are revoked.
pub(super) async fn revoke(user: &User) {
    let api: &Api = user.api();
    let first = user.refresh_token().await;
    let second = api.user(&first).await.unwrap().refresh_token().await;
    api.user(&second).await.unwrap();
    let stolen = within("a refusal", api.user(&first)).await.unwrap_err();
    assert_eq!(stolen.code(), Some(ErrorCode::REFRESH_REFUSED));
}

/// Waits for `Bye`; returns its code.
pub(super) async fn bye(actor: &mut Actor) -> Option<nowrong_protocol::CloseCode> {
    loop {
        match actor.receive(PATIENCE).await {
            Ok(ServerFrame::Bye(bye)) => return Some(bye.code),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}
