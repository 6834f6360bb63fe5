//! What becomes of messages that the store does not take.

use nowrong_base::lock::lock;
use nowrong_broker::local::LocalBroker;
use nowrong_protocol::{
    ClientMessageId, ErrorCode,
    frame::{Body, Send},
};
use nowrong_store_mongodb::{
    migration,
    testing::{garble, open, shared},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::refusal::Refusal;

/// A node without connections.
pub(super) struct Alone {
    store: Arc<dyn Store>,
    pub(super) chats: Arc<Chats>,
    pub(super) clock: Clock,
}

impl Alone {
    pub(super) fn on(store: Arc<dyn Store>) -> Self {
        let clock = Clock::default();
        let env = Environment {
            store: store.clone(),
            broker: LocalBroker::new(),
            clock: clock.clone(),
            metrics: Arc::default(),
            disk: Disk::none(),
        };
        let chats = Chats::new(env, Arc::default(), RULES);
        Self {
            store,
            chats,
            clock,
        }
    }

    pub(super) async fn open(&self, number: u64) -> Arc<Chat> {
        let mut record = chat(number, &[2 * number, 2 * number + 1]);
        record.started_at = self.clock.now();
        record.expires_at = self.clock.now() + RULES.retention.as_millis() as u64;
        self.store.open_chat(&record, &tickets()).await.unwrap();
        self.chats.admit_opened(record).await.unwrap()
    }

    pub(super) async fn say(&self, chat: &Arc<Chat>, number: u8) -> Result<u64, Refusal> {
        self.say_text(chat, number.into(), "hello").await
    }

    /// The first member says this, as their message of this number.
    pub(super) async fn say_text(
        &self,
        chat: &Arc<Chat>,
        number: u32,
        text: &str,
    ) -> Result<u64, Refusal> {
        let mut id = [number as u8; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let send = Send {
            request: number,
            chat: chat.id,
            client_message_id: ClientMessageId::from_bytes(id),
            reply_to: None,
            body: Body::Text(text.into()),
        };
        let sent = self.chats.send_message(chat, 0, send).await?;
        Ok(sent.position.seq)
    }

    /// Hands everything that waits to the store, once.
    pub(super) async fn persist(&self) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.chats.run_persister(stop).await;
    }
}

fn durable(chat: &Chat) -> u64 {
    lock(&chat.state).messages.progress().durable
}

#[tokio::test]
async fn while_the_store_refuses_a_chat_gives_out_no_position() {
    let node = Alone::on(Arc::new(EmbeddedStore::in_memory().unwrap()));
    let (chat, other) = (node.open(1).await, node.open(2).await);
    node.store.close().await;
    assert_eq!(node.say(&chat, 1).await, Ok(1));
    assert_eq!(node.say(&chat, 2).await, Ok(2), "nobody knows yet");
    node.persist().await;
    let refused = node.say(&chat, 3).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::STORAGE_UNAVAILABLE);
    assert!(refused.retry_after_ms > 0);
    assert_eq!(lock(&chat.state).messages.head.seq, 2);
    assert_eq!(node.say(&other, 1).await, Ok(1), "another chat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_is_corrupt_in_the_store_does_not_keep_others_from_it() {
    let options = shared();
    let store = open(&options).await;
    migration::up(store.database()).await.unwrap();
    let node = Alone::on(Arc::new(store));
    let chats = [node.open(1).await, node.open(2).await, node.open(3).await];
    garble(options.url.expose(), chats[1].id).await;
    for chat in &chats {
        assert_eq!(node.say(chat, 1).await, Ok(1));
    }
    node.persist().await;
    assert_eq!(chats.each_ref().map(|chat| durable(chat)), [1, 0, 1]);
}
