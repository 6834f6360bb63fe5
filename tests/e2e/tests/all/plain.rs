//! A person whose client does nothing by itself, and so can do what no honest client does.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::Duration;

use e2e::{PATIENCE, TestServer};
use nowrong_client::{LinkOptions, NewAccount, RawConnection, Transport};
use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, Position, ServerFrame,
    frame::{Body, Fail, Join, Leave, Next, Pong, Send},
};

/// A person without a client that does anything by itself.
pub(super) struct Plain {
    connection: RawConnection,
    pub(super) chat: ChatId,
    /// The texts that were shown, with their positions.
    pub(super) shown: Vec<(u64, Body)>,
}

impl Plain {
    pub(super) async fn arrive(server: &TestServer, name: &str) -> Self {
        let user = server.api().register(&NewAccount::named(name)).await;
        let connect = user.unwrap().connect().await.unwrap();
        let options = LinkOptions {
            transport: Transport::WebSocket,
            ..LinkOptions::default()
        };
        let connection = RawConnection::open(&connect.endpoint, &options).await;
        let mut connection = connection.unwrap();
        connection.send(RawConnection::hello(connect.connect_token));
        let mut plain = Self {
            connection,
            chat: ChatId::from_bytes([0; 16]),
            shown: Vec::new(),
        };
        plain
            .wait(|frame| matches!(frame, ServerFrame::Welcome(_)).then_some(()))
            .await;
        plain.join(1, &[]).await;
        plain
    }

    /// Queues with these interests.
    pub(super) async fn join(&mut self, request: u32, interests: &[&str]) {
        let join = Join {
            request,
            category: "music".to_owned(),
            interests: interests.iter().map(|it| (*it).to_owned()).collect(),
        };
        self.tell(join.into()).await;
    }

    /// The reply to a `Join` or `Next`.
    pub(super) async fn queued(&mut self, request: u32) -> Result<(), Fail> {
        let reply = |frame: &ServerFrame| match frame {
            ServerFrame::Queued(queued) if queued.request == request => Some(Ok(())),
            ServerFrame::Fail(fail) if fail.request == request => Some(Err(fail.clone())),
            ServerFrame::Ended(ended) => panic!("{ended:?}"),
            _ => None,
        };
        self.wait(reply).await
    }

    /// Sends, and sees that it goes out while nothing is waited for.
    pub(super) async fn tell(&mut self, frame: ClientFrame) {
        self.connection.send(frame);
        let while_it_goes = Duration::from_millis(50);
        self.connection.flush(while_it_goes).await.unwrap();
    }

    pub(super) async fn matched(&mut self) {
        let matched = |frame: &ServerFrame| match frame {
            ServerFrame::Matched(matched) => Some(matched.chat.0.chat),
            _ => None,
        };
        self.chat = self.wait(matched).await;
    }

    /// The same text is the same message.
    pub(super) async fn say(&mut self, request: u32, text: &str) {
        self.reply_to(request, None, text).await;
    }

    /// The same, as a reply to the message at `to`.
    pub(super) async fn reply_to(&mut self, request: u32, to: Option<Position>, text: &str) {
        let mut id = [7; 16];
        id[..text.len()].copy_from_slice(text.as_bytes());
        let send = Send {
            request,
            chat: self.chat,
            client_message_id: ClientMessageId::from_bytes(id),
            reply_to: to,
            body: Body::Text(text.to_owned()),
        };
        self.tell(send.into()).await;
    }

    /// The reply to a `Send`.
    pub(super) async fn reply(&mut self, request: u32) -> Result<Position, Fail> {
        let reply = |frame: &ServerFrame| match frame {
            ServerFrame::Ack(ack) if ack.request == request => Some(Ok(ack.position)),
            ServerFrame::Fail(fail) if fail.request == request => Some(Err(fail.clone())),
            _ => None,
        };
        self.wait(reply).await
    }

    /// Ends the chat.
    pub(super) async fn leave(&mut self, request: u32) {
        let chat = self.chat;
        self.tell(Leave { request, chat }.into()).await;
    }

    /// Ends the chat, and queues again.
    pub(super) async fn next(&mut self, request: u32) {
        let chat = self.chat;
        self.tell(Next { request, chat }.into()).await;
    }

    /// Waits for `Queued`, whatever comes before.
    pub(super) async fn is_queued(&mut self, request: u32) {
        let is_it = |frame: &ServerFrame| match frame {
            ServerFrame::Queued(queued) => (queued.request == request).then_some(()),
            ServerFrame::Fail(fail) => panic!("{fail:?}"),
            _ => None,
        };
        self.wait(is_it).await;
    }

    /// Waits for the end of the chat.
    pub(super) async fn ended(&mut self) {
        self.wait(|frame| matches!(frame, ServerFrame::Ended(_)).then_some(()))
            .await;
    }

    /// Waits until this many texts were shown.
    pub(super) async fn sees(&mut self, count: usize) {
        while self.shown.len() < count {
            self.wait(|frame| matches!(frame, ServerFrame::Message(_)).then_some(()))
                .await;
        }
    }

    async fn wait<T>(&mut self, found: impl Fn(&ServerFrame) -> Option<T>) -> T {
        loop {
            let frame = self.connection.receive(PATIENCE).await.unwrap();
            match &frame {
                ServerFrame::Message(message) => {
                    let shown = (message.position.seq, message.body.clone());
                    self.shown.push(shown);
                }
                ServerFrame::Ping(ping) => {
                    let nonce = ping.nonce;
                    self.connection.send(Pong { nonce });
                }
                _ => {}
            }
            if let Some(found) = found(&frame) {
                return found;
            }
        }
    }
}
