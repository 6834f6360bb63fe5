//! Two clients on links in memory, and all of the node behind them, on one thread: what a message costs on its
//! way, counted, and what both are told when the store has erased their chat.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nowrong_broker::local::LocalBroker;
use nowrong_core::chat::ChatRules;
use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, ErrorCode, ServerFrame,
    envelope::Decoder,
    frame::{Body, EndReason, Hello, Next, Send},
    limits::FRAME_BYTES_MAX,
    version::VersionRange,
};
use nowrong_store::{
    Store,
    conformance::{chat, tickets, user, user_id},
};
use nowrong_store_embedded::EmbeddedStore;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    auth::{Holder, connect::issue_connect},
    chat::Chats,
    config::Config,
    counted,
    disk::Disk,
    environment::Environment,
    hub::Hub,
    matching::Matching,
};

mod accounts;

/// Messages that are counted over.
const MESSAGES: u64 = 100;

/// A link in memory: the node's end.
struct Pipe {
    received: mpsc::Receiver<Received>,
    sent: mpsc::Sender<Bytes>,
}

impl Link for Pipe {
    fn transport(&self) -> Transport {
        Transport::WebSocket
    }

    async fn receive(&mut self) -> Result<Received, LinkError> {
        let received = self.received.recv().await;
        let is_bad = matches!(&received, Some(Received::Live(bytes)) if bytes.is_empty());
        assert!(!is_bad, "this panic belongs to the test");
        received.ok_or_else(|| LinkError::new("the client is gone"))
    }

    async fn send(&mut self, _lane: Lane, frames: Bytes) -> Result<(), LinkError> {
        self.sent.send(frames).await.map_err(LinkError::new)
    }

    fn send_datagram(&mut self, _datagram: Bytes) -> bool {
        false
    }

    fn path(&self) -> Option<nowrong_protocol::copies::Path> {
        None
    }

    async fn close(self, _code: Option<CloseCode>) {}
}

/// The client's end.
struct Client {
    to_node: mpsc::Sender<Received>,
    from_node: mpsc::Receiver<Bytes>,
    decoder: Decoder,
}

impl Client {
    /// Connects a user who has an account.
    async fn connect(node: &Arc<Node>, number: u64) -> Self {
        let env = node.env();
        let (user, generation) = (user_id(number), 0);
        let holder = Holder { user, generation };
        let token = issue_connect(&*env.broker, holder, env.clock.now());
        let token = token.await.unwrap().into_exposed();
        let mut client = Self::knock(node, token).await;
        let welcome = client.next(|frame| matches!(frame, ServerFrame::Welcome(_)));
        welcome.await;
        client
    }

    /// Opens a link and says `Hello` with this token.
    async fn knock(node: &Arc<Node>, token: String) -> Self {
        let (to_node, received) = mpsc::channel(8);
        let (sent, from_node) = mpsc::channel(8);
        let texts = TextShare::new(Config::default().limits.texts, Instant::now());
        let texts = Arc::new(Mutex::new(texts));
        tokio::spawn(run(node.clone(), Pipe { received, sent }, texts, true));
        let client = Self {
            to_node,
            from_node,
            decoder: Decoder::new(),
        };
        let hello = Hello {
            versions: VersionRange::SUPPORTED,
            connect_token: token,
            agent: String::new(),
            resume: Vec::new(),
        };
        client.send(hello.into()).await;
        client
    }

    async fn send(&self, frame: ClientFrame) {
        let received = Received::Live(frame.encode());
        self.to_node.send(received).await.unwrap();
    }

    /// Takes frames until the one that is waited for.
    async fn next(&mut self, is_it: impl Fn(&ServerFrame) -> bool) {
        loop {
            while let Some(raw) = self.decoder.next_frame(FRAME_BYTES_MAX).unwrap() {
                let frame = ServerFrame::decode(raw.kind, raw.body).unwrap().unwrap();
                if is_it(&frame) {
                    return;
                }
            }
            let bytes = self.from_node.recv().await.unwrap();
            self.decoder.push(&bytes);
        }
    }
}

/// A node with two accounts that have a chat.
async fn node() -> (Arc<Node>, ChatId) {
    let env = Environment {
        store: Arc::new(EmbeddedStore::in_memory().unwrap()),
        broker: LocalBroker::new(),
        clock: nowrong_base::clock::Clock::default(),
        metrics: Arc::default(),
        disk: Disk::none(),
    };
    let minute = Duration::from_secs(60);
    let rules = ChatRules {
        seat_hold: minute,
        idle_notice: 5 * minute,
        idle_end: 10 * minute,
        grace: minute,
        retention: 60 * minute,
    };
    let hub = Arc::<Hub>::default();
    let chats = Chats::new(env.clone(), hub.clone(), rules);
    let persister = chats.clone();
    tokio::spawn(async move { persister.run_persister(CancellationToken::new()).await });
    let matching = Matching::new(
        env.clone(),
        hub.clone(),
        chats.clone(),
        [].into(),
        Duration::ZERO,
    );
    let record = open(&*env.store, env.clock.now()).await;
    let chat = chats.admit_opened(record).await.unwrap();
    (Node::new(env, hub, chats, matching, 8), chat.id)
}

async fn open(store: &dyn Store, now: u64) -> nowrong_core::record::Chat {
    let hour = 3_600_000;
    for (number, name) in [(1, "Ana"), (2, "Ben")] {
        let mut account = user(number, name);
        (account.created_at, account.expires_at) = (now, now + hour);
        store.create_user(&account).await.unwrap();
    }
    let mut record = chat(1, &[1, 2]);
    (record.started_at, record.expires_at) = (now, now + hour);
    store.open_chat(&record, &tickets()).await.unwrap();
    record
}

fn text(chat: ChatId, number: u64) -> ClientFrame {
    ClientFrame::from(Send {
        request: number as u32,
        chat,
        client_message_id: ClientMessageId::v7(number, &[1; 10]),
        reply_to: None,
        body: Body::Text("a message of usual length, and no more".into()),
    })
}

/// Ana says something; Ben has it, then Ana has her ack.
async fn say(ana: &mut Client, ben: &mut Client, message: ClientFrame) {
    ana.send(message).await;
    ben.next(|frame| matches!(frame, ServerFrame::Message(_)))
        .await;
    ana.next(|frame| matches!(frame, ServerFrame::Ack(_))).await;
}

#[tokio::test]
async fn a_connection_that_panics_departs_like_any_other() {
    let (node, _chat) = node().await;
    let ana = Client::connect(&node, 1).await;
    assert_eq!(node.connections(), 1);
    let bad = Received::Live(Bytes::new());
    ana.to_node.send(bad).await.unwrap();
    let gone = async {
        while node.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(30);
    timeout(patience, gone).await.expect("it departs");
}

#[test]
fn a_message_takes_few_locks_and_few_allocations() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (node, chat) = runtime.block_on(node());
    let (mut ana, mut ben) = runtime.block_on(async {
        (
            Client::connect(&node, 1).await,
            Client::connect(&node, 2).await,
        )
    });
    // Buffers have their size then.
    runtime.block_on(say(&mut ana, &mut ben, text(chat, 1)));
    let messages: Vec<_> = (2..MESSAGES + 2).map(|number| text(chat, number)).collect();
    let before = (counted::chat_locks(), counted::user_locks());
    let begun = Instant::now();
    let allocations = allocation_counter::measure(|| {
        runtime.block_on(async {
            for message in messages {
                say(&mut ana, &mut ben, message).await;
            }
        });
    });
    let per_message = |count: u64| count as f64 / MESSAGES as f64;
    let locks = (
        per_message(counted::chat_locks() - before.0),
        per_message(counted::user_locks() - before.1),
    );
    let allocated = per_message(allocations.count_total);
    println!(
        "a message: {} locks of its chat, {} of users, {allocated} allocations; {:?}",
        locks.0,
        locks.1,
        begun.elapsed() / MESSAGES as u32
    );
    assert!(locks.0 <= CHAT_LOCKS_MAX, "{locks:?}");
    assert!(locks.1 <= USER_LOCKS_MAX, "{locks:?}");
    assert!(allocated <= ALLOCATIONS_MAX, "{allocated}");
}

/// Locks of the chat: two of the send (before and after its position is given out), one for each of three
/// pulls (the sender's after the send and for the ack, the partner's), two of the persister.
const CHAT_LOCKS_MAX: f64 = 7.0;

/// Locks of users: one for each wake.
const USER_LOCKS_MAX: f64 = 2.0;

/// Allocations on the thread of the node and of both clients, but not on that of the store: 23 and a little, since
/// messages that come together share some.
const ALLOCATIONS_MAX: f64 = 26.0;

/// How long the end of an erased chat may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn g1_a_message_in_a_chat_that_the_store_erased_is_not_acked_and_the_chat_ends_for_both() {
    for is_log_lost in [false, true] {
        let (node, chat) = node().await;
        let chats = node.chats().clone();
        tokio::spawn(async move { chats.run_rechecks(CancellationToken::new()).await });
        let mut ana = Client::connect(&node, 1).await;
        let mut ben = Client::connect(&node, 2).await;
        say(&mut ana, &mut ben, text(chat, 1)).await;
        let (store, over) = (&node.env().store, node.env().clock.now() + 3_600_000);
        while store.sweep(over, 1_000).await.unwrap() > 0 {}
        if is_log_lost {
            node.env().broker.close_log(chat).await.unwrap();
        }
        ana.send(text(chat, 2)).await;
        let (has_failed, has_ended) = (Cell::new(false), Cell::new(false));
        let is_over = |frame: &ServerFrame| match frame {
            ServerFrame::Ack(ack) => panic!("{ack:?}"),
            ServerFrame::Fail(fail) => {
                assert_eq!((fail.request, fail.code), (2, ErrorCode::CHAT_ENDED));
                has_failed.set(true);
            }
            ServerFrame::Ended(ended) => {
                assert_eq!((ended.reason, ended.member), (EndReason::Expired, None));
                has_ended.set(true);
            }
            _ => {}
        };
        let hers = ana.next(|frame| {
            is_over(frame);
            has_failed.get() && has_ended.get()
        });
        timeout(PATIENCE, hers).await.unwrap();
        let his = ben.next(|frame| matches!(frame, ServerFrame::Ended(_)));
        timeout(PATIENCE, his).await.unwrap();
    }
}

#[tokio::test]
async fn whose_category_is_gone_cannot_go_on_in_it_and_keeps_the_chat() {
    let (node, chat) = node().await;
    let mut ana = Client::connect(&node, 1).await;
    let mut ben = Client::connect(&node, 2).await;
    ana.send(Next { request: 7, chat }.into()).await;
    let refused = ana.next(|frame| match frame {
        ServerFrame::Fail(fail) => {
            assert_eq!((fail.request, fail.code), (7, ErrorCode::CATEGORY_UNKNOWN));
            true
        }
        ServerFrame::Ended(ended) => panic!("{ended:?}"),
        _ => false,
    });
    timeout(PATIENCE, refused).await.unwrap();
    say(&mut ana, &mut ben, text(chat, 1)).await;
}
