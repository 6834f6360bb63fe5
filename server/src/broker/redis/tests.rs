//! The conformance suite against real Redis servers, and what only Redis can show.

use std::{sync::Arc, time::Duration};

use nowrong_protocol::ChatId;

use self::server::{Cluster, Server};
use super::*;
use crate::{broker::conformance::queue::ticket, store::Epoch};

mod server;

/// A broker with a namespace of its own.
async fn broker_at(url: &str) -> Arc<RedisBroker> {
    let namespace = hex(&random::bytes::<8>());
    node_at(url, &namespace).await
}

async fn node_at(url: &str, namespace: &str) -> Arc<RedisBroker> {
    let url: RedisUrl = url.parse().expect("a URL of Redis");
    RedisBroker::connect(&url, namespace).await.expect("redis")
}

/// Asks until the answer is `wanted`; what is asked for takes at most a lease and two renewals.
async fn eventually<T, F>(wanted: T, ask: impl Fn() -> F)
where
    T: PartialEq + std::fmt::Debug,
    F: Future<Output = T>,
{
    let asking = async {
        let mut answer = ask().await;
        while answer != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = ask().await;
        }
    };
    let deadline = LEASE + Duration::from_secs(10);
    let is_done = tokio::time::timeout(deadline, asking).await.is_ok();
    assert!(is_done, "{:?} instead of {wanted:?}", ask().await);
}

mod single {
    use super::*;

    crate::broker::conformance::broker_conformance!(Server::start(&[]).await, broker_on);

    async fn broker_on(server: &Server) -> Arc<RedisBroker> {
        broker_at(&server.url()).await
    }

    #[tokio::test]
    async fn scripts_that_redis_forgot_are_learnt_again() {
        let server = Server::start(&[]).await;
        let broker = broker_at(&server.url()).await;
        broker.join(ticket(1, 0), 0).await.expect("join");
        let _: String = server.ask(redis::cmd("SCRIPT").arg("FLUSH"));
        assert!(broker.cancel(ticket(1, 0).id).await.expect("cancel"));
    }

    #[tokio::test]
    async fn g6_a_dead_nodes_tickets_and_people_go_with_its_lease() {
        let server = Server::start(&[]).await;
        let dead = node_at(&server.url(), "one").await;
        let alive = node_at(&server.url(), "one").await;
        for (node, people) in [(&dead, 2), (&alive, 3)] {
            node.count_connected(people).await.expect("count");
            node.count_chatting("music", people).await.expect("count");
        }
        dead.join(ticket(1, 0), 0).await.expect("join");
        let counts = || async {
            let counts = alive.counts("music").await.expect("counts");
            (
                alive.connected().await.expect("connected"),
                counts.online,
                counts.waiting,
            )
        };
        eventually((5, 6, 1), counts).await;
        drop(dead);
        eventually((3, 3, 0), counts).await;
        let joined = alive.join(ticket(2, 10), 10).await.expect("join");
        assert_eq!(joined, Joined::Waiting, "nobody is there");
    }

    #[tokio::test]
    async fn an_outage_fails_fast_and_mends_itself() {
        let mut server = Server::start(&[]).await;
        let broker = broker_at(&server.url()).await;
        let chat = ChatId::from_bytes([1; 16]);
        let seed = || LogSeed {
            epoch: Epoch { number: 1, base: 0 },
            known: Vec::new(),
        };
        broker.open_log(chat, seed()).await.expect("open");
        server.kill();
        let refused = broker.open_log(chat, seed()).await;
        assert!(
            matches!(refused, Err(BrokerError::Unavailable(_))),
            "{refused:?}"
        );
        server.restart().await;
        eventually(true, || async { broker.waiting("music").await.is_ok() }).await;
        let draft = crate::broker::conformance::log::draft(0, 1);
        let appended = broker.append(chat, 1, &draft).await.expect("append");
        assert_eq!(appended, Appended::NoLog, "redis has forgotten");
    }

    #[tokio::test]
    async fn what_one_node_appends_another_reads() {
        let server = Server::start(&[]).await;
        let one = node_at(&server.url(), "x").await;
        let other = node_at(&server.url(), "x").await;
        let chat = ChatId::from_bytes([1; 16]);
        let seed = LogSeed {
            epoch: Epoch { number: 1, base: 0 },
            known: Vec::new(),
        };
        one.open_log(chat, seed).await.expect("open");
        let draft = crate::broker::conformance::log::draft(1, 7);
        one.append(chat, 1, &draft).await.expect("append");
        let read = other.read_log(chat, 1, 0).await.expect("read");
        let message = draft.placed(chat, nowrong_protocol::Position::new(1, 1));
        assert_eq!(read, Some(vec![message]));
    }

    #[tokio::test]
    async fn each_step_is_one_command() {
        let server = Server::start(&[]).await;
        let broker = broker_at(&server.url()).await;
        let chat = ChatId::from_bytes([1; 16]);
        let epoch = Epoch { number: 1, base: 0 };
        let seed = LogSeed {
            epoch,
            known: Vec::new(),
        };
        broker.open_log(chat, seed).await.expect("open");
        let draft = |n| crate::broker::conformance::log::draft(0, n);
        broker.append(chat, 1, &draft(1)).await.expect("append");
        broker.join(ticket(1, 0), 0).await.expect("join");
        broker.join(ticket(2, 0), 0).await.expect("join");
        let renewals = || server.calls("time");
        let (calls, before) = (server.calls("evalsha"), renewals());
        for n in 2..=101 {
            broker.append(chat, 1, &draft(n)).await.expect("append");
        }
        // A renewal asks for the time once, an append never.
        assert_eq!(server.calls("evalsha") - calls, 100 + renewals() - before);
        assert_eq!(server.calls("xadd"), 101);
    }

    #[tokio::test]
    async fn a_wrong_password_is_named_without_it() {
        let server = Server::start(&["--requirepass", "right"]).await;
        for user in ["", ":wrong@"] {
            let url = server.url().replace("redis://", &format!("redis://{user}"));
            let url: RedisUrl = url.parse().expect("a URL");
            let error = RedisBroker::connect(&url, "x")
                .await
                .err()
                .expect("refused");
            let host = server.url();
            let sentence =
                format!("`broker`: Redis at {host} refuses the user and password of the URL");
            assert_eq!(error.to_string(), sentence);
        }
        let url = server.url().replace("redis://", "redis://:right@");
        broker_at(&url).await;
    }
}

mod cluster {
    use super::*;

    #[tokio::test]
    async fn unreachable_servers_are_named() {
        let url: RedisUrl = "redis+cluster://127.0.0.1:1,127.0.0.1:2".parse().unwrap();
        let error = RedisBroker::connect(&url, "x").await.err().expect("nobody");
        let sentence = error.to_string();
        assert!(sentence.starts_with("`broker`: no Redis answers at redis+cluster://127.0.0.1:1,"));
    }

    crate::broker::conformance::broker_conformance!(
        in one test every_promise_holds,
        Cluster::start().await,
        broker_on
    );

    async fn broker_on(cluster: &Cluster) -> Arc<RedisBroker> {
        broker_at(&cluster.url()).await
    }
}
