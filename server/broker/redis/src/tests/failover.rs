//! A Redis whose master is lost: behind sentinels, and in a Redis Cluster.

use nowrong_core::record::Notice;
use services::redis::Watched;

use super::*;

/// How long a failover may take: the servers notice after one second.
const FAILOVER: Duration = Duration::from_secs(30);

/// Chats enough that every master of a cluster has some.
const CHATS: u8 = 24;

/// Asks until there is an answer; until then each call must fail in time with
/// [`BrokerError::Unavailable`].
async fn until_it_answers<T>(ask: impl AsyncFn() -> Result<T, BrokerError>) -> T {
    let asking = async {
        loop {
            let asked = tokio::time::Instant::now();
            match ask().await {
                Ok(answer) => return answer,
                Err(BrokerError::Unavailable(_)) => {}
                Err(other) => panic!("{other}"),
            }
            let took = asked.elapsed();
            assert!(took < ANSWER_DEADLINE + Duration::from_secs(1), "{took:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = tokio::time::timeout(FAILOVER, asking).await;
    answer.expect("the failover ends")
}

mod sentinel {
    use super::*;

    struct Servers {
        watched: Watched,
        _folder: TempDir,
    }

    impl Servers {
        fn start() -> Self {
            let program = find(Setting::RedisProgram).expect("the program redis-server");
            let folder = TempDir::new().expect("a folder");
            let watched = Watched::start(program.as_ref(), folder.path()).expect("it starts");
            Self {
                watched,
                _folder: folder,
            }
        }
    }

    nowrong_broker::broker_conformance!(
        in one test every_promise_holds,
        Servers::start(),
        broker_on
    );

    async fn broker_on(servers: &Servers) -> Arc<RedisBroker> {
        broker_at(&servers.watched.url()).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn g1_a_promoted_replica_is_another_memory() {
        let mut servers = Servers::start();
        let url = servers.watched.url();
        let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
        let before = memory(&*one).await;
        one.open_log(CHAT, seed(1, 0)).await.expect("open");
        one.append(CHAT, 1, &draft(0, 1), true)
            .await
            .expect("append");
        servers.watched.servers[0].kill().expect("kill");
        let placed = until_it_answers(async || one.append(CHAT, 1, &draft(0, 2), true).await).await;
        let after = memory(&*one).await;
        assert_ne!(after, before, "the replica is another memory");
        assert_eq!(placed.outcome, AppendOutcome::NoLog(after.clone()));
        let named = LogSeed {
            incarnation: Some(after),
            ..seed(2, 1)
        };
        assert!(one.open_log(CHAT, named).await.expect("open"));
        let placed = one
            .append(CHAT, 2, &draft(0, 2), true)
            .await
            .expect("append");
        assert_eq!(placed.outcome, AppendOutcome::New(Position::new(2, 2)));
        let told = tokio::time::timeout(FAILOVER, two.receive()).await;
        assert_eq!(told.expect("in time"), Inbox::Lost);
        // The deposed master comes back as a replica: no node may continue with it.
        servers.watched.servers[0].restart().expect("restart");
        one.tell(&[two.id()], Notice::Follows { chat: CHAT });
        let told = tokio::time::timeout(FAILOVER, two.receive()).await;
        let notices = vec![(one.id(), Notice::Follows { chat: CHAT })];
        assert_eq!(told.expect("in time"), Inbox::Notices(notices));
    }

    #[tokio::test]
    async fn a_master_that_the_sentinels_do_not_know_is_named() {
        let servers = Servers::start();
        let url = servers.watched.url().replace("/nowrong", "/other");
        let error = connect(&url, "x").await.err().expect("unknown");
        let sentence = format!(
            "`broker`: the sentinels of {url} name no master that is up: is the name after the / right?"
        );
        assert_eq!(error.to_string(), sentence);
    }
}

mod cluster {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn g1_every_shard_works_again_after_its_master_was_lost() {
        let program = find(Setting::RedisProgram).expect("the program redis-server");
        let folder = TempDir::new().expect("a folder");
        let mut cluster = Cluster::start(program.as_ref(), folder.path()).expect("it starts");
        let url = cluster.url();
        let (one, two) = (node_at(&url, "x").await, node_at(&url, "x").await);
        let chats: Vec<_> = (0..CHATS).map(|n| ChatId::from_bytes([n; 16])).collect();
        for chat in &chats {
            one.open_log(*chat, seed(1, 0)).await.expect("open");
        }
        // The queue, each inbox and some chats are on one of these.
        for master in 0..2 {
            cluster.nodes[master].kill().expect("kill");
            let mut lost = 0;
            for chat in &chats {
                let placed =
                    until_it_answers(async || one.append(*chat, 1, &draft(0, 1), true).await).await;
                match placed.outcome {
                    AppendOutcome::New(_) | AppendOutcome::Again(..) => {}
                    AppendOutcome::NoLog(_) => lost += 1,
                    AppendOutcome::Full => panic!("none is full"),
                }
            }
            assert!((1..CHATS).contains(&lost), "{lost} of {CHATS}");
            // A node whose inbox is unavailable for a while is not dead.
            let ids: Vec<_> = one.nodes().iter().map(|node| node.id).collect();
            assert!(ids.contains(&two.id()), "{master}");
            let anna = ticket(&*one, 1, 0);
            until_it_answers(async || one.join(anna.clone(), 0).await).await;
            cluster.nodes[master].restart().expect("restart");
            for chat in &chats {
                one.close_log(*chat).await.expect("close");
                one.open_log(*chat, seed(1, 0)).await.expect("open");
            }
        }
        let chat = chats[0];
        let receiving = async {
            loop {
                if let Inbox::Notices(notices) = two.receive().await {
                    return notices[0].clone();
                }
            }
        };
        one.tell(&[two.id()], Notice::Follows { chat });
        let told = tokio::time::timeout(FAILOVER, receiving).await;
        assert_eq!(told.expect("in time"), (one.id(), Notice::Follows { chat }));
    }
}
