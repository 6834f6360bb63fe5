//! Two nodes on one MongoDB and one Redis: partners on different nodes, people who move between them,
//! a node that dies, a Redis that forgets.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{collections::BTreeMap, time::Duration};

use e2e::{Cluster, PATIENCE, ServerOptions, TestServer, eventually};
use nowrong_client::{LinkOptions, NewAccount, RawConnection, Transport, User};
use nowrong_protocol::{
    ChatId, ClientFrame, ClientMessageId, CloseCode, Position, ServerFrame, TicketId,
    frame::{
        Body, ChatState, Delete, EndReason, Join, Leave, Pong, Read, Resume, SeatState, Send,
        Typing, Welcome,
    },
};

/// Two people, each connected to a node of their own.
async fn people(cluster: &Cluster) -> [Someone; 2] {
    let [first, second] = &cluster.nodes;
    [
        Someone::arrive(first, "Ana").await,
        Someone::arrive(second, "Ben").await,
    ]
}

/// The same, matched with each other.
async fn pair(cluster: &Cluster) -> [Someone; 2] {
    let [mut ana, mut ben] = people(cluster).await;
    ana.join().await;
    ben.join().await;
    ana.matched().await;
    ben.matched().await;
    assert_eq!(ana.chat, ben.chat);
    [ana, ben]
}

/// A user with a connection to a certain node, and what came over it of the chat.
struct Someone {
    user: User,
    connection: RawConnection,
    chat: ChatId,
    you: u8,
    requests: u32,
    held: BTreeMap<u64, (Position, String)>,
}

async fn connect(user: &User, node: &TestServer, resume: Vec<Resume>) -> (RawConnection, Welcome) {
    let connect = user.connect().await.unwrap();
    let mut endpoint = connect.endpoint;
    endpoint.websocket = format!("ws://{}/v1/websocket", node.http());
    let options = LinkOptions {
        transport: Transport::WebSocket,
        ..LinkOptions::default()
    };
    let mut connection = RawConnection::open(&endpoint, &options).await.unwrap();
    let mut hello = RawConnection::hello(connect.connect_token);
    hello.resume = resume;
    connection.send(hello);
    match connection.receive(PATIENCE).await.unwrap() {
        ServerFrame::Welcome(welcome) => (connection, welcome),
        other => panic!("{other:?}"),
    }
}

impl Someone {
    async fn arrive(node: &TestServer, name: &str) -> Self {
        let user = node.api().register(&NewAccount::named(name)).await;
        let user = user.unwrap();
        let (connection, _) = connect(&user, node, Vec::new()).await;
        Self {
            user,
            connection,
            chat: ChatId::from_bytes([0; 16]),
            you: 0,
            requests: 0,
            held: BTreeMap::new(),
        }
    }

    /// Goes on over another node, from what is held. The user asks the node where they registered for
    /// the token, unless that is gone.
    async fn move_to(&mut self, node: &TestServer) -> Welcome {
        let last = self.held.values().next_back();
        let resume = Resume {
            chat: self.chat,
            position: last.map_or(Position::START, |(position, _)| *position),
        };
        let (connection, welcome) = connect(&self.user, node, vec![resume]).await;
        self.connection = connection;
        if let Some(chat) = &welcome.chat {
            self.take(chat);
        }
        welcome
    }

    /// What lies beyond the resume point is void.
    fn take(&mut self, chat: &ChatState) {
        self.chat = chat.chat;
        self.you = chat.you;
        self.held.retain(|seq, _| *seq <= chat.resumed.seq);
    }

    fn request(&mut self) -> u32 {
        self.requests += 1;
        self.requests
    }

    /// Sends, and sees that it goes out while nothing is waited for.
    async fn tell(&mut self, frame: impl Into<ClientFrame>) {
        self.connection.send(frame);
        let while_it_goes = Duration::from_millis(50);
        self.connection.flush(while_it_goes).await.unwrap();
    }

    async fn join(&mut self) -> TicketId {
        let request = self.request();
        self.connection.send(Join {
            request,
            category: "music".to_owned(),
            interests: Vec::new(),
        });
        let queued = self.wait("the queue", |frame| match frame {
            ServerFrame::Queued(queued) => Some(queued.ticket.0.ticket),
            _ => None,
        });
        queued.await
    }

    async fn matched(&mut self) {
        let chat = self.wait("a match", |frame| match frame {
            ServerFrame::Matched(matched) => Some(matched.chat.0.clone()),
            _ => None,
        });
        let chat = chat.await;
        self.take(&chat);
        let seats: Vec<_> = chat.members.iter().map(|member| member.0.seat).collect();
        assert_eq!(seats, [SeatState::Taken; 2]);
    }

    /// Sends, and waits for the ack; sends again what is refused for the moment.
    async fn say(&mut self, text: &str) -> Position {
        let client_message_id = ClientMessageId::from_bytes(rand::random());
        loop {
            let request = self.request();
            self.connection.send(Send {
                request,
                chat: self.chat,
                client_message_id,
                reply_to: None,
                body: Body::Text(text.to_owned()),
            });
            let acked = self.wait("an ack", |frame| match frame {
                ServerFrame::Ack(ack) if ack.request == request => Some(Ok(ack.position)),
                ServerFrame::Fail(fail) if fail.request == request => Some(Err(fail.code)),
                _ => None,
            });
            match acked.await {
                Ok(position) => {
                    self.hold(position, text.to_owned());
                    return position;
                }
                Err(code) => assert!(code.is_temporary(), "{code}"),
            }
        }
    }

    fn hold(&mut self, position: Position, text: String) {
        let before = self.held.insert(position.seq, (position, text));
        assert!(before.is_none(), "{position} twice");
    }

    /// Waits until as many messages are held, without a gap.
    async fn holds(&mut self, count: usize) {
        while self.held.len() < count {
            self.wait("a message", |frame| {
                matches!(frame, ServerFrame::Message(_)).then_some(())
            })
            .await;
        }
        let seqs: Vec<_> = self.held.keys().copied().collect();
        assert_eq!(seqs, (1..=count as u64).collect::<Vec<_>>());
    }

    /// Waits for a frame, taking in the messages on the way.
    async fn wait<T>(&mut self, what: &str, found: impl Fn(&ServerFrame) -> Option<T>) -> T {
        loop {
            let frame = self.connection.receive(PATIENCE).await;
            let frame = frame.unwrap_or_else(|error| panic!("{what}: {error}"));
            match &frame {
                ServerFrame::Message(message) => {
                    let Body::Text(text) = &message.body else {
                        panic!("{message:?}")
                    };
                    self.hold(message.position, text.clone());
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

fn assert_same(ana: &Someone, ben: &Someone) {
    assert_eq!(ana.held, ben.held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_partners_on_two_nodes_see_one_order_and_what_the_other_does() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [mut ana, mut ben] = pair(&cluster).await;
    for round in 0..20 {
        let (one, other) = (format!("Ana {round}"), format!("Ben {round}"));
        tokio::join!(ana.say(&one), ben.say(&other));
    }
    ana.holds(40).await;
    ben.holds(40).await;
    assert_same(&ana, &ben);

    let chat = ana.chat;
    let is_typing = true;
    ana.tell(Typing { chat, is_typing }).await;
    let types = |frame: &ServerFrame| match frame {
        ServerFrame::MemberTyping(typing) => Some((typing.member, typing.is_typing)),
        _ => None,
    };
    assert_eq!(ben.wait("typing", types).await, (ana.you, true));

    let last = ben.held.values().next_back().unwrap().0;
    let position = last;
    ben.tell(Read { chat, position }).await;
    let read = |frame: &ServerFrame| match frame {
        ServerFrame::ReadCursor(cursor) if cursor.read == last => Some(cursor.member),
        _ => None,
    };
    assert_eq!(ana.wait("the cursor", read).await, ben.you);

    let position = ana.say("forget this").await;
    ben.holds(41).await;
    let request = ana.request();
    let delete = Delete {
        request,
        chat,
        position,
    };
    ana.tell(delete).await;
    let deleted = |frame: &ServerFrame| match frame {
        ServerFrame::Deleted(deleted) => Some(deleted.position),
        _ => None,
    };
    assert_eq!(ben.wait("the deletion", deleted).await, position);

    let request = ben.request();
    ben.tell(Leave { request, chat }).await;
    let ended = |frame: &ServerFrame| match frame {
        ServerFrame::Ended(ended) => Some((ended.reason, ended.member)),
        _ => None,
    };
    let expected = (EndReason::Left, Some(ben.you));
    assert_eq!(ana.wait("the end", ended).await, expected);
    assert_eq!(ben.wait("the end", ended).await, expected);
    // Both are free again, on both nodes.
    ana.join().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_moving_between_nodes_in_mid_chat_loses_and_repeats_nothing() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [mut ana, mut ben] = pair(&cluster).await;
    for round in 0..6 {
        ana.say(&format!("Ana {round}")).await;
        let node = &cluster.nodes[round % 2];
        let welcome = ben.move_to(node).await;
        assert!(welcome.chat.is_some());
        ben.say(&format!("Ben {round}")).await;
        let said = 2 * (round + 1);
        ana.holds(said).await;
        ben.holds(said).await;
        assert_same(&ana, &ben);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_a_user_speaks_over_one_connection_of_all_nodes() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [mut ana, mut ben] = pair(&cluster).await;
    let (second, welcome) = connect(&ana.user, &cluster.nodes[1], Vec::new()).await;
    assert_eq!(welcome.chat.unwrap().chat, ana.chat);
    let bye = ana.connection.receive_bye(PATIENCE).await.unwrap();
    assert_eq!(bye.code, CloseCode::REPLACED);
    ana.connection = second;
    ben.say("are you there?").await;
    ana.holds(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_goes_on_where_its_user_goes_on() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [mut ana, mut ben] = people(&cluster).await;
    let ticket = ana.join().await;
    let welcome = ana.move_to(&cluster.nodes[1]).await;
    assert_eq!(welcome.ticket.unwrap().ticket, ticket);
    ben.join().await;
    ana.matched().await;
    ben.matched().await;
    ana.say("hello").await;
    ben.holds(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_acked_messages_survive_the_death_of_a_node_and_a_redis_that_forgets() {
    let mut cluster = Cluster::start(&[]).await.unwrap();
    let [mut ana, mut ben] = pair(&cluster).await;
    ana.say("one").await;
    ben.say("two").await;
    // A user who registered there can still get a token: by the other's API.
    cluster.nodes[1].kill().await.unwrap();
    cluster.nodes[1].restart().await.unwrap();
    let held = |frame: &ServerFrame| match frame {
        ServerFrame::Seat(seat) => Some((seat.member, seat.state)),
        _ => None,
    };
    let seat = ana.wait("the partner's seat is held", held).await;
    assert_eq!(seat, (ben.you, SeatState::Held));
    ben.move_to(&cluster.nodes[0]).await;
    ben.say("three").await;
    ana.holds(3).await;
    ben.holds(3).await;
    assert_same(&ana, &ben);

    ben.move_to(&cluster.nodes[1]).await;
    ben.say("four").await;
    ana.holds(4).await;
    cluster.redis.kill().unwrap();
    cluster.redis.restart().unwrap();
    ana.say("five").await;
    let position = ben.say("six").await;
    assert!(position.epoch > 1, "{position}");
    ana.holds(6).await;
    ben.holds(6).await;
    assert_same(&ana, &ben);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_acked_messages_survive_when_all_nodes_begin_again_and_redis_is_empty() {
    let mut cluster = Cluster::start(&[]).await.unwrap();
    let [mut ana, mut ben] = pair(&cluster).await;
    ana.say("one").await;
    ben.say("two").await;
    for node in &mut cluster.nodes {
        node.kill().await.unwrap();
    }
    cluster.redis.ask(&["FLUSHALL"]).unwrap();
    // Each finds its keys in its own folder.
    let [first, second] = &mut cluster.nodes;
    let (first, second) = tokio::join!(first.restart(), second.restart());
    first.and(second).unwrap();
    ana.move_to(&cluster.nodes[1]).await;
    ben.move_to(&cluster.nodes[0]).await;
    ana.say("three").await;
    ana.holds(3).await;
    ben.holds(3).await;
    assert_same(&ana, &ben);
    // Redis forgets again, and a node without a folder takes the keys of those that run.
    cluster.redis.ask(&["FLUSHALL"]).unwrap();
    let flags: Vec<&str> = cluster.flags.iter().map(String::as_str).collect();
    let third = TestServer::start_with(ServerOptions::flags(&flags)).await;
    let third = third.unwrap();
    ben.move_to(&third).await;
    ben.say("four").await;
    ana.holds(4).await;
    assert_same(&ana, &ben);
}

/// Where the node that the user registered at sends the user now.
async fn sent_to(user: &User) -> String {
    user.connect().await.unwrap().endpoint.websocket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_sent_to_its_own_node_else_to_that_of_its_partner() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [first, second] = cluster.nodes.each_ref().map(TestServer::websocket);
    let [mut ana, ben] = pair(&cluster).await;
    // The nodes learn of each other within a second.
    let is_sent = async |user: &User, node: &str| (sent_to(user).await == node).then_some(());
    eventually("Ana's own node", || is_sent(&ana.user, first)).await;
    ana.move_to(&cluster.nodes[1]).await;
    eventually("Ana's new node", || is_sent(&ana.user, second)).await;
    ana.move_to(&cluster.nodes[0]).await;
    drop(ben.connection);
    eventually("the partner's node", || is_sent(&ben.user, first)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_erased_at_one_node_leaves_the_queue_and_the_connection_of_another() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [mut ana, mut ben] = people(&cluster).await;
    ana.move_to(&cluster.nodes[1]).await;
    ana.join().await;
    // Ana registered at the first node, which is asked to erase her.
    ana.user.delete().await.unwrap();
    let bye = ana.connection.receive_bye(PATIENCE).await.unwrap();
    assert_eq!(bye.code, CloseCode::ACCOUNT_GONE);
    let mut cem = Someone::arrive(&cluster.nodes[0], "Cem").await;
    ben.join().await;
    cem.join().await;
    ben.matched().await;
    cem.matched().await;
    assert_eq!(ben.chat, cem.chat);
}

/// How many people wait or chat, as a node says.
async fn online(node: &TestServer) -> u32 {
    let categories = node.api().categories().await.unwrap();
    categories.iter().map(|category| category.online).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_node_that_slept_lets_go_of_those_who_went_on_elsewhere() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [sleeper, awake] = &cluster.nodes;
    // All register at the node that stays awake: it gives them their tokens.
    let mut ana = Someone::arrive(awake, "Ana").await;
    let mut ben = Someone::arrive(awake, "Ben").await;
    let mut cem = Someone::arrive(awake, "Cem").await;
    ana.join().await;
    ben.join().await;
    ana.matched().await;
    ben.matched().await;
    for someone in [&mut ana, &mut ben, &mut cem] {
        someone.move_to(sleeper).await;
    }
    ana.say("one").await;
    ben.holds(1).await;

    let is_cem_at = async |node: &TestServer| {
        let is_there = sent_to(&cem.user).await == node.websocket();
        is_there.then_some(())
    };
    eventually("both nodes live", || is_cem_at(sleeper)).await;
    sleeper.signal("-STOP").await.unwrap();
    eventually("one counts as dead", || is_cem_at(awake)).await;
    for someone in [&mut ana, &mut ben] {
        assert!(someone.move_to(awake).await.chat.is_some());
    }
    ben.say("two").await;
    ana.holds(2).await;

    sleeper.signal("-CONT").await.unwrap();
    eventually("it is back", || is_cem_at(sleeper)).await;
    let are_two = async |node| (online(node).await == 2).then_some(());
    eventually("its people count once", || are_two(awake)).await;
    eventually("it sees that too", || are_two(sleeper)).await;
    ana.say("three").await;
    ben.holds(3).await;
    assert_same(&ana, &ben);
}
