//! The conformance suite with real Redis servers, and tests that only Redis needs.

use std::{sync::Arc, time::Duration};

use nowrong_broker::{
    AppendOutcome, LogRead,
    conformance::{
        Conforming,
        log::{draft, memory, seed},
        queue::ticket,
    },
};
use nowrong_core::limiter::Rate;
use nowrong_protocol::{ChatId, Position};
use services::{
    redis::Cluster,
    shared::{Setting, find},
};
use tempfile::TempDir;

use super::{
    testing::{Server, broker_at, connect, eventually, node_at},
    *,
};

mod clocks;
mod commands;
mod failover;
mod nodes;
mod realm;
mod rights;
mod slow;

const CHAT: ChatId = ChatId::from_bytes([1; 16]);

/// Lets a test change the replication id, as a failover does.
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

impl Conforming for RedisBroker {
    const HOLDS_MESSAGES: bool = true;
    const HOLDS_DEPOSITS: bool = true;
}

mod single {
    use super::*;

    nowrong_broker::broker_conformance!(Server::start(&[]), broker_on);

    async fn broker_on(server: &Server) -> Arc<RedisBroker> {
        broker_at(&server.url()).await
    }

    #[tokio::test]
    async fn scripts_that_redis_forgot_are_learnt_again() {
        let server = Server::start(&[]);
        let broker = broker_at(&server.url()).await;
        let anna = ticket(&*broker, 1, 0);
        broker.join(anna.clone(), 0).await.expect("join");
        server.ask(&["SCRIPT", "FLUSH"]);
        assert!(broker.cancel(anna.id).await.expect("cancel"));
    }

    #[tokio::test]
    async fn g6_a_dead_nodes_tickets_and_people_go_with_its_lease() {
        let server = Server::start(&[]);
        let dead = node_at(&server.url(), "one").await;
        let alive = node_at(&server.url(), "one").await;
        for (node, people) in [(&dead, 2), (&alive, 3)] {
            node.count_connected(people).await.expect("count");
            node.count_chatting("music", people).await.expect("count");
        }
        dead.join(ticket(&*dead, 1, 0), 0).await.expect("join");
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
        let joined = alive.join(ticket(&*alive, 2, 10), 10).await.expect("join");
        assert_eq!(joined, Joined::Waiting, "nobody is there");
    }

    #[tokio::test]
    async fn g6_a_requeued_ticket_goes_with_its_own_node() {
        let server = Server::start(&[]);
        let dead = node_at(&server.url(), "one").await;
        let alive = node_at(&server.url(), "one").await;
        let anna = ticket(&*dead, 1, 0);
        alive.requeue(anna.clone()).await.expect("requeue");
        let waiting = || async { alive.waiting("music").await.expect("waiting") };
        assert_eq!(waiting().await, 1);
        drop(dead);
        eventually(0, waiting).await;
    }

    #[tokio::test]
    async fn a_node_finds_the_tickets_that_stand_in_its_name() {
        let server = Server::start(&[]);
        let one = node_at(&server.url(), "one").await;
        let other = node_at(&server.url(), "one").await;
        let mut expected = Vec::new();
        for number in 1..=5 {
            let ticket = ticket(&*one, number, 0);
            expected.push(ticket.id);
            one.requeue(ticket).await.expect("requeue");
        }
        other.requeue(ticket(&*other, 6, 0)).await.expect("requeue");
        one.set_paused(expected[1], true).await.expect("pause");
        one.cancel(expected.remove(3)).await.expect("cancel");
        expected.sort_unstable();
        let first = one.own_tickets(None, 3).await.expect("tickets");
        assert_eq!(first, expected[..3]);
        let rest = one.own_tickets(Some(first[2]), 3).await.expect("tickets");
        assert_eq!(rest, expected[3..]);
    }

    #[tokio::test]
    async fn an_outage_is_said_in_time_and_mends_itself() {
        let mut server = Server::start(&[]);
        let broker = broker_at(&server.url()).await;
        let before = memory(&*broker).await;
        assert!(broker.open_log(CHAT, seed(1, 0)).await.expect("open"));
        server.redis.kill().expect("kill");
        let asked = tokio::time::Instant::now();
        let refused = broker.append(CHAT, 1, &draft(0, 1), true).await;
        assert!(
            matches!(refused, Err(BrokerError::Unavailable(_))),
            "{refused:?}"
        );
        assert!(broker.check().await.is_err(), "not ready");
        assert!(asked.elapsed() < 3 * ANSWER_DEADLINE);
        server.redis.restart().expect("restart");
        eventually(true, || async { broker.check().await.is_ok() }).await;
        let placed = broker
            .append(CHAT, 1, &draft(0, 1), true)
            .await
            .expect("append");
        let after = memory(&*broker).await;
        assert_ne!(after, before, "redis has forgotten");
        assert_eq!(placed.outcome, AppendOutcome::NoLog(after));
    }

    #[tokio::test]
    async fn g2_a_log_without_its_ids_gives_no_position() {
        let server = Server::start(&[]);
        let broker = broker_at(&server.url()).await;
        let here = memory(&*broker).await;
        assert!(broker.open_log(CHAT, seed(1, 0)).await.expect("open"));
        broker
            .append(CHAT, 1, &draft(0, 1), true)
            .await
            .expect("append");
        let ids = broker.parts.keys.chat(CHAT, "ids");
        // As an eviction does.
        server.ask(&["DEL", &ids]);
        let placed = broker
            .append(CHAT, 1, &draft(0, 1), true)
            .await
            .expect("append");
        assert_eq!(placed.outcome, AppendOutcome::NoLog(here.clone()));
        // The next epoch opens it again.
        let next = LogSeed {
            incarnation: Some(here),
            ..seed(2, 1)
        };
        assert!(broker.open_log(CHAT, next).await.expect("open"));
        let placed = broker
            .append(CHAT, 2, &draft(0, 2), true)
            .await
            .expect("append");
        assert_eq!(placed.outcome, AppendOutcome::New(Position::new(2, 2)));
    }

    #[tokio::test]
    async fn g1_what_redis_kept_of_another_memory_is_not_there() {
        let server = Server::start(&DEBUG);
        let broker = broker_at(&server.url()).await;
        let before = memory(&*broker).await;
        assert!(broker.open_log(CHAT, seed(7, 0)).await.expect("open"));
        broker
            .append(CHAT, 7, &draft(0, 1), true)
            .await
            .expect("append");
        let anna = ticket(&*broker, 1, 0);
        broker.join(anna.clone(), 0).await.expect("join");
        // Another replication id, but the same keys: as after a failover.
        server.ask(&["DEBUG", "CHANGE-REPL-ID"]);
        let after = memory(&*broker).await;
        assert_ne!(after, before);
        let no_log = AppendOutcome::NoLog(after.clone());
        let placed = broker
            .append(CHAT, 7, &draft(0, 2), true)
            .await
            .expect("append");
        assert_eq!(placed.outcome, no_log);
        let read = broker.read_log(CHAT, 7, 0).await.expect("read");
        assert_eq!(read.outcome, LogRead::NoLog(after.clone()));
        let named = |incarnation| LogSeed {
            incarnation,
            ..seed(2, 5)
        };
        let open = async |seed| broker.open_log(CHAT, seed).await.expect("open");
        assert!(!open(named(Some(before))).await, "begun in another memory");
        assert!(open(named(Some(after))).await, "the older log gives way");
        let placed = broker
            .append(CHAT, 2, &draft(0, 2), true)
            .await
            .expect("append");
        assert_eq!(placed.outcome, AppendOutcome::New(Position::new(2, 6)));
        let retried = broker.retry(anna.id, 20).await.expect("retry");
        assert_eq!(retried, None, "the queue is empty");
        assert_eq!(broker.waiting("music").await.expect("waiting"), 0);
    }

    #[tokio::test]
    async fn what_one_node_appends_another_reads() {
        let server = Server::start(&[]);
        let one = node_at(&server.url(), "x").await;
        let other = node_at(&server.url(), "x").await;
        one.open_log(CHAT, seed(1, 0)).await.expect("open");
        let draft = Draft {
            reply_to: Some(Position::new(1, 1)),
            sealed: (0..=255).collect(),
            ..draft(1, 7)
        };
        one.append(CHAT, 1, &draft, true).await.expect("append");
        let read = other.read_log(CHAT, 1, 0).await.expect("read");
        let message = draft.placed(CHAT, Position::new(1, 1));
        let messages = LogRead::Messages {
            messages: vec![message],
            head: 1,
            is_trimmed: false,
        };
        assert_eq!(read.outcome, messages);
    }

    #[tokio::test]
    async fn g8_every_key_expires() {
        let server = Server::start(&[]);
        let broker = broker_at(&server.url()).await;
        broker.open_log(CHAT, seed(1, 0)).await.expect("open");
        broker
            .append(CHAT, 1, &draft(0, 1), true)
            .await
            .expect("append");
        let anna = ticket(&*broker, 1, 0);
        broker.join(anna.clone(), 0).await.expect("join");
        broker.take_place(anna.user).await.expect("take");
        let rule = LimitRule {
            name: "test",
            rate: Rate {
                burst: 1,
                period_ms: 1_000,
            },
        };
        broker.take(rule, &[1; 16], 0).await.expect("take");
        let hash = [1; 32];
        let token = broker.put_connect_token(hash, anna.user, Duration::from_secs(30), 0);
        token.await.expect("put");
        broker.parts.renew().await.expect("renew");
        let lasting = "local lasting = {} \
            for _, key in ipairs(redis.call('KEYS', '*')) do \
              local left = redis.call('PTTL', key) \
              if left < 0 or left > 86400000 then lasting[#lasting + 1] = key end \
            end \
            return table.concat(lasting, ' ')";
        assert_eq!(server.ask(&["EVAL", lasting, "0"]), "");
        let keys: usize = server.ask(&["DBSIZE"]).parse().expect("a number");
        assert_eq!(
            keys,
            4 + 8 + 4,
            "a chat, the queue, and one of each other kind"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error() {
        let server = Server::start(&[]);
        let broker = node_at(&server.url(), "x").await;
        broker.open_log(CHAT, seed(1, 0)).await.expect("open");
        broker
            .append(CHAT, 1, &draft(0, 1), true)
            .await
            .expect("append");
        let log = broker.parts.keys.chat(CHAT, "log");
        server.ask(&["DEL", &log]);
        server.ask(&["XADD", &log, "1-1", "m", "no message"]);
        let read = broker.read_log(CHAT, 1, 0).await;
        assert!(matches!(read, Err(BrokerError::Unavailable(_))), "{read:?}");
    }

    #[tokio::test]
    async fn a_ticket_that_no_node_could_read_is_refused() {
        let server = Server::start(&[]);
        let broker = broker_at(&server.url()).await;
        let blocks = |count| Ticket {
            blocked: vec![UserId::from_bytes([9; 16]); count],
            ..ticket(&*broker, 1, 0)
        };
        let refused = broker.join(blocks(5_000), 0).await;
        assert!(matches!(refused, Err(BrokerError::Full(_))), "{refused:?}");
        broker.join(blocks(4_000), 0).await.expect("join");
        let bob = broker.join(ticket(&*broker, 2, 0), 0).await.expect("join");
        assert!(matches!(bob, Joined::Offer { .. }), "{bob:?}");
    }

    #[tokio::test]
    async fn a_wrong_password_is_named_without_it() {
        let server = Server::start(&["--requirepass", "right"]);
        let host = server.url();
        for user in ["", ":wrong@"] {
            let url = host.replace("redis://", &format!("redis://{user}"));
            let error = connect(&url, "x").await.err().expect("refused");
            let sentence =
                format!("`broker`: Redis at {host} refuses the user and password of the URL");
            assert_eq!(error.to_string(), sentence);
        }
        broker_at(&host.replace("redis://", "redis://:right@")).await;
    }

    #[tokio::test]
    async fn a_redis_that_evicts_is_refused() {
        let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
        let error = connect(&server.url(), "x").await.err().expect("refused");
        let sentence = format!(
            "`broker`: Redis at {} forgets keys when its memory is full: set its \
             maxmemory-policy to noeviction (it is allkeys-lru)",
            server.url()
        );
        assert_eq!(error.to_string(), sentence);
    }

    #[tokio::test]
    async fn a_redis_that_hides_its_configuration_is_used() {
        let server = Server::start(&["--rename-command", "CONFIG", ""]);
        broker_at(&server.url()).await;
    }
}

mod cluster {
    use super::*;

    struct Servers {
        cluster: Cluster,
        _folder: TempDir,
    }

    impl Servers {
        fn start() -> Self {
            let program = find(Setting::RedisProgram).expect("the program redis-server");
            let folder = TempDir::new().expect("a folder");
            let cluster = Cluster::start(program.as_ref(), folder.path()).expect("it starts");
            Self {
                cluster,
                _folder: folder,
            }
        }
    }

    #[tokio::test]
    async fn unreachable_servers_are_named() {
        let url = "redis+cluster://127.0.0.1:1,127.0.0.1:2";
        let error = connect(url, "x").await.err().expect("nobody");
        let sentence = error.to_string();
        assert!(sentence.starts_with("`broker`: no Redis answers at redis+cluster://127.0.0.1:1,"));
    }

    nowrong_broker::broker_conformance!(
        in one test every_promise_holds,
        Servers::start(),
        broker_on
    );

    async fn broker_on(servers: &Servers) -> Arc<RedisBroker> {
        broker_at(&servers.cluster.url()).await
    }
}
