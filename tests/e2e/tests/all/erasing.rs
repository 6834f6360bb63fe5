//! Erasing an account while another connection of it gets in: afterwards nothing of it is left running,
//! and nobody meets it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::{Duration, SystemTime};

use e2e::{Cluster, Person, ServerOptions, TestServer, within};
use nowrong_client::{Chat, LinkOptions, NewAccount, RawConnection, Ticket, Transport};
use nowrong_protocol::{
    ChatId, CloseCode, ServerFrame,
    frame::{Bye, Join, Pong},
    limits::RETENTION_MAX,
};

/// How often it is tried: the two meet at another moment each time.
const TRIES: usize = 40;

/// How long a connection may outlive its account.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Waits for company all the time.
struct Waiter {
    person: Person,
    ticket: Ticket,
    last: Option<ChatId>,
}

impl Waiter {
    async fn arrive(server: &TestServer, name: &str) -> Self {
        let person = Person::arrive(server, name, Transport::WebSocket.into());
        let person = person.await.unwrap();
        Self {
            ticket: person.client.join("music", &["jazz"]).await.unwrap(),
            person,
            last: None,
        }
    }

    /// The chat that has begun since the last call, if any.
    async fn news(&mut self) -> Option<Chat> {
        let chat = within("the chat", self.person.client.chat()).await.unwrap();
        let chat = chat.filter(|chat| self.last != Some(chat.id()))?;
        self.last = Some(chat.id());
        Some(chat)
    }

    /// If somebody came, then before the account was erased, and the chat is over. Waits on.
    async fn wait_on(&mut self, erased_at: u64) {
        let Some(mut chat) = self.news().await else {
            return;
        };
        let view = chat.view().await.unwrap();
        let started_at = view.state.expires_at_ms - RETENTION_MAX.as_millis() as u64;
        assert!(started_at <= erased_at, "{started_at} {erased_at}");
        while chat.view().await.unwrap().end.is_none() {
            within("news", chat.next_event()).await;
        }
        self.ticket = self.person.client.join("music", &["jazz"]).await.unwrap();
    }
}

/// Says `Hello` and asks for company until the server says `Bye`, which it returns.
pub(super) async fn get_in(mut link: RawConnection, connect_token: String) -> Option<Bye> {
    link.send(RawConnection::hello(connect_token));
    loop {
        match link.receive(GONE_WITHIN).await.ok()? {
            ServerFrame::Welcome(_) => link.send(Join {
                request: 1,
                category: "music".to_owned(),
                interests: vec!["jazz".to_owned()],
            }),
            ServerFrame::Ping(ping) => link.send(Pong { nonce: ping.nonce }),
            ServerFrame::Bye(bye) => return Some(bye),
            _ => {}
        }
    }
}

/// Erases a new account at `home` while `door` lets a connection of it in; returns when it was erased.
pub(super) async fn race(number: usize, home: &TestServer, door: &TestServer) -> u64 {
    let account = NewAccount::named(format!("Mallory {number}"));
    let api = home.api();
    let user = api.register(&account).await.unwrap();
    let connect = user.at(&door.api()).connect().await.unwrap();
    let mut endpoint = connect.endpoint;
    endpoint.websocket = format!("ws://{}/v1/websocket", door.http());
    let options = LinkOptions {
        transport: Transport::WebSocket,
        ..LinkOptions::default()
    };
    let link = RawConnection::open(&endpoint, &options).await.unwrap();
    let erase = async {
        for _ in 0..number % 8 {
            api.categories().await.unwrap();
        }
        user.delete().await.unwrap();
        SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
    };
    let (erased_at, end) = tokio::join!(erase, get_in(link, connect.connect_token));
    let code = end.map(|bye| bye.code);
    assert_eq!(code, Some(CloseCode::ACCOUNT_GONE), "try {number}");
    erased_at
}

/// `home` erases the accounts, `door` lets the other connections in.
async fn erase_and_get_in(home: &TestServer, door: &TestServer) {
    let mut ben = Waiter::arrive(home, "Ben").await;
    let mut erased_at = 0;
    for number in 0..TRIES {
        erased_at = race(number, home, door).await;
        ben.wait_on(erased_at).await;
    }
    // Somebody whose account exists meets Ben.
    let mut cem = Waiter::arrive(home, "Cem").await;
    let met = within("a match", cem.ticket.matched()).await.unwrap();
    while within("the match", ben.ticket.matched())
        .await
        .unwrap()
        .id()
        != met.id()
    {
        ben.wait_on(erased_at).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_let_in_while_the_account_is_erased_is_sent_away_and_meets_nobody() {
    let server = TestServer::start_with(ServerOptions::default()).await;
    let server = server.unwrap();
    erase_and_get_in(&server, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_by_another_node_than_the_one_that_erases() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let [home, door] = &cluster.nodes;
    erase_and_get_in(home, door).await;
}
