//! Carries out the requests of a client. Every request gets one reply; signals and cursors get
//! none.

use nowrong_base::lock::lock;
use nowrong_core::{
    matching::Ticket,
    pace::{Verdict, text_bytes},
    record::User,
};
use nowrong_protocol::{
    ChatId, ClientFrame, ErrorCode, Framed, Position, ServerFrame,
    frame::{
        Block, Cancel, Delete, Done, EndReason, History, Join, Lane, Leave, Next, Queued, Send,
    },
    limits::{CATEGORY_BYTES_MAX, INTERESTS_MAX, UNACKED_SENDS_MAX},
};

use super::{Attending, Connection, Link, following::Following};
use crate::refusal::Refusal;

type Reply = Result<ServerFrame, Refusal>;

impl<L: Link> Connection<L> {
    /// Carries out one frame; its reply goes on the lane on which it came.
    pub(super) async fn request(&mut self, frame: ClientFrame, lane: Lane) {
        let now = std::time::Instant::now();
        let (verdict, limit) = match self.pace(|pace| pace.take(&frame, now)) {
            // A network may be many people: its lock is taken for texts alone.
            Verdict::Granted => match text_bytes(&frame) {
                0 => (Verdict::Granted, "texts"),
                bytes => (lock(&self.texts).take(bytes, now), "texts"),
            },
            refused => (refused, "pace"),
        };
        match verdict {
            Verdict::Granted => {}
            Verdict::RetryAfter(ms) => {
                self.node.env().metrics.count_refusal(limit);
                if let Some(request) = request_id(&frame) {
                    let fail = Refusal::retry_after(ErrorCode::RATE_LIMITED, ms).into_fail(request);
                    self.write(lane, &fail.into());
                }
                return;
            }
            Verdict::Flooding => return self.end_flood(now),
        }
        let Some((request, reply)) = self.carry_out(frame).await else {
            return;
        };
        match reply {
            Ok(frame) => self.write(lane, &frame),
            Err(refusal) => self.write(lane, &refusal.into_fail(request).into()),
        }
    }

    /// The reply with the id of its request; `None` when there is none (yet).
    async fn carry_out(&mut self, frame: ClientFrame) -> Option<(u32, Reply)> {
        let Some(request) = request_id(&frame) else {
            self.take_signal(&frame);
            return None;
        };
        if let ClientFrame::Send(send) = frame {
            let sent = self.send_message(send).await;
            return sent.err().map(|refusal| (request, Err(refusal)));
        }
        // Rare, and larger than a send.
        let reply = Box::pin(self.reply(frame)).await?;
        Some((request, reply))
    }

    /// The reply to a frame that is neither a message nor a signal.
    async fn reply(&mut self, frame: ClientFrame) -> Option<Reply> {
        Some(match frame {
            ClientFrame::Join(join) => self.join(join).await,
            ClientFrame::Cancel(cancel) => self.cancel(cancel).await,
            ClientFrame::Delete(delete) => self.delete(delete).await,
            ClientFrame::Leave(Leave { request, chat }) => {
                let left = self.leave(chat).await;
                left.map(|()| Done { request }.into())
            }
            ClientFrame::Next(next) => self.next(next).await,
            ClientFrame::Block(block) => self.block(block).await,
            ClientFrame::History(history) => self.history(history).await,
            _ => return None,
        })
    }

    async fn send_message(&mut self, send: Send) -> Result<(), Refusal> {
        let chats = self.node.chats().clone();
        let Ok(following) = self.following_mut(send.chat) else {
            // Boxed because it is rare: otherwise each send would have room for it.
            return Box::pin(self.send_in_ended(&send)).await;
        };
        if following.unacked() >= UNACKED_SENDS_MAX {
            return Err(Refusal::retry_after(ErrorCode::OVERLOADED, 1_000));
        }
        let request = send.request;
        let sent = chats
            .send_message(&following.chat, following.me, send)
            .await?;
        following.sent(request, sent);
        Ok(())
    }

    /// A message that comes again for a chat that has ended, while the client is in another one or in none.
    async fn send_in_ended(&mut self, send: &Send) -> Result<(), Refusal> {
        let chats = self.node.chats().clone();
        let user = self.attending()?.entry.user;
        let ended = chats.load_ended_chat(send.chat, user).await?;
        let (chat, me) = ended.ok_or(ErrorCode::CHAT_UNKNOWN)?;
        let sent = chats
            .find_in_ended(&chat, me, send.client_message_id)
            .await?;
        let settling = self.attending()?.settling_in(&chat, me)?;
        if settling.unacked() >= UNACKED_SENDS_MAX {
            return Err(Refusal::retry_after(ErrorCode::OVERLOADED, 1_000));
        }
        settling.sent(send.request, sent);
        Ok(())
    }

    async fn join(&mut self, join: Join) -> Reply {
        if join.category.len() > CATEGORY_BYTES_MAX {
            return Err(ErrorCode::CATEGORY_UNKNOWN.into());
        }
        if join.interests.len() > INTERESTS_MAX {
            let detail = format!("interests: at most {INTERESTS_MAX}");
            return Err(Refusal::detailed(ErrorCode::INVALID, detail));
        }
        let user = self.account().await?;
        let ticket = self.node.matching();
        let ticket = ticket
            .ticket(&user, join.category, join.interests.clone())
            .await?;
        self.attending()?.interests = join.interests;
        self.queue(join.request, ticket).await
    }

    async fn queue(&mut self, request: u32, ticket: Ticket) -> Reply {
        let entry = self.attending()?.entry.clone();
        let ticket = self.node.matching().join(&entry, ticket).await?;
        Ok(Queued {
            request,
            ticket: Framed(ticket),
        }
        .into())
    }

    /// The account of the user. One that is gone ends the connection and its chat.
    async fn account(&mut self) -> Result<User, Refusal> {
        let entry = self.attending()?.entry.clone();
        let node = self.node.clone();
        let now = node.env().clock.now();
        let account = node.env().store.user(entry.user, now).await?;
        let Some(account) = account else {
            node.end_account(&entry).await?;
            return Err(ErrorCode::UNAUTHENTICATED.into());
        };
        match entry.kick_older(account.generation) {
            true => Err(ErrorCode::UNAUTHENTICATED.into()),
            false => Ok(account),
        }
    }

    async fn cancel(&mut self, cancel: Cancel) -> Reply {
        let entry = self.attending()?.entry.clone();
        self.node.matching().cancel(&entry, cancel.ticket).await?;
        Ok(Done {
            request: cancel.request,
        }
        .into())
    }

    async fn delete(&mut self, delete: Delete) -> Reply {
        let following = self.following(delete.chat)?;
        let (chat, me) = (following.chat.clone(), following.me);
        self.node
            .chats()
            .delete_message(&chat, me, delete.position)
            .await?;
        Ok(Done {
            request: delete.request,
        }
        .into())
    }

    async fn leave(&mut self, chat: ChatId) -> Result<(), Refusal> {
        let following = self.following(chat)?;
        let (chat, me) = (following.chat.clone(), following.me);
        self.node
            .chats()
            .end_chat(&chat, EndReason::Left, Some(me))
            .await
    }

    async fn next(&mut self, next: Next) -> Reply {
        let category = self.following(next.chat)?.chat.category.clone();
        let user = self.account().await?;
        let interests = self.attending()?.interests.clone();
        // Made while there is still a chat: if it cannot be, nothing has ended.
        let matching = self.node.matching();
        let ticket = matching.ticket(&user, category, interests).await?;
        self.leave(next.chat).await?;
        self.queue(next.request, ticket).await
    }

    async fn block(&mut self, block: Block) -> Reply {
        let following = self.following(block.chat)?;
        let (chat, user) = (following.chat.clone(), self.attending()?.entry.user);
        let now = self.node.env().clock.now();
        for partner in chat.users().filter(|other| *other != user) {
            self.node.env().store.block(user, partner, now).await?;
        }
        self.leave(block.chat).await?;
        Ok(Done {
            request: block.request,
        }
        .into())
    }

    async fn history(&mut self, history: History) -> Reply {
        let chat = self.following(history.chat)?.chat.clone();
        let History {
            request,
            before,
            limit,
            ..
        } = history;
        Ok(self
            .node
            .chats()
            .read_page(&chat, request, before, limit)
            .await?
            .into())
    }

    /// Takes a cursor or signal: the latest wins, and one about another chat is dropped.
    fn take_signal(&mut self, frame: &ClientFrame) {
        match frame {
            ClientFrame::Delivered(cursor) => {
                self.advance(cursor.chat, cursor.position, Position::START);
            }
            ClientFrame::Read(cursor) => {
                self.advance(cursor.chat, cursor.position, cursor.position);
            }
            ClientFrame::Typing(typing) => {
                if let Ok(following) = self.following(typing.chat) {
                    following.chat.set_typing(following.me, typing.is_typing);
                }
            }
            ClientFrame::Presence(presence) => {
                if let Ok(following) = self.following(presence.chat) {
                    following.chat.set_presence(following.me, presence.state);
                }
            }
            _ => {}
        }
    }

    fn advance(&mut self, chat: ChatId, delivered: Position, read: Position) {
        if let Ok(following) = self.following(chat) {
            following.chat.advance(following.me, delivered, read);
        }
    }

    fn attending(&mut self) -> Result<&mut Attending, Refusal> {
        self.user.as_mut().ok_or_else(|| ErrorCode::INTERNAL.into())
    }

    fn following(&mut self, chat: ChatId) -> Result<&Following, Refusal> {
        self.following_mut(chat).map(|following| &*following)
    }

    fn following_mut(&mut self, chat: ChatId) -> Result<&mut Following, Refusal> {
        let following = self.attending()?.following.as_mut();
        following
            .filter(|following| following.chat.id == chat)
            .ok_or_else(|| ErrorCode::CHAT_UNKNOWN.into())
    }
}

/// The id of a request; `None` for a frame without a reply.
fn request_id(frame: &ClientFrame) -> Option<u32> {
    Some(match frame {
        ClientFrame::Send(frame) => frame.request,
        ClientFrame::Join(frame) => frame.request,
        ClientFrame::Cancel(frame) => frame.request,
        ClientFrame::Delete(frame) => frame.request,
        ClientFrame::Leave(frame) => frame.request,
        ClientFrame::Next(frame) => frame.request,
        ClientFrame::Block(frame) => frame.request,
        ClientFrame::History(frame) => frame.request,
        _ => return None,
    })
}
