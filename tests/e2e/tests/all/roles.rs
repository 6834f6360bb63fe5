//! Nodes of one cluster with different roles, on a real MongoDB and a real Redis.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{net::SocketAddr, process::Stdio};

use e2e::{ServerOptions, TestServer, eventually, within};
use nowrong_client::{ApiError, NewAccount};
use nowrong_protocol::ErrorCode;
use services::{
    CLUSTER_SECRET_ENV,
    redis::Redis,
    shared::{Setting, find},
};
use tempfile::TempDir;

use super::wire;

/// What the nodes of a cluster share: a database of their own on the shared MongoDB, and a Redis.
struct Shared {
    store: String,
    redis: Redis,
    _folder: TempDir,
}

impl Shared {
    fn start() -> Self {
        let url = find(Setting::Mongodb).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let program = find(Setting::RedisProgram).unwrap();
        Self {
            store: url.replace("/?", &format!("/e2e_{:016x}?", rand::random::<u64>())),
            redis: Redis::start(program.as_ref(), &folder.path().join("redis"), &[]).unwrap(),
            _folder: folder,
        }
    }

    /// One more node.
    async fn node(&self, role: &str) -> TestServer {
        let flags = [
            "--role",
            role,
            "--store",
            &self.store,
            "--broker",
            &self.redis.url(),
        ];
        TestServer::start_with(ServerOptions::flags(&flags))
            .await
            .unwrap()
    }
}

/// The status line of the response to `GET path`.
async fn status(server: SocketAddr, path: &str) -> String {
    let response = wire::ask("127.0.0.1", server, &wire::get(path, "")).await;
    let status = response.lines().next().unwrap_or_default();
    status.trim_start_matches("HTTP/1.1 ").to_owned()
}

fn code<T>(outcome: Result<T, ApiError>) -> Option<ErrorCode> {
    outcome.err().and_then(|error| error.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_serves_its_part_and_nodes_take_each_others_tokens() {
    let shared = Shared::start();
    // At once on an empty database: both make keys, and agree on one.
    let (one, other) = tokio::join!(shared.node("all"), shared.node("all"));
    let (rest, realtime) = (shared.node("rest").await, shared.node("realtime").await);
    let servers = [&one, &other, &rest];
    for (index, server) in servers.iter().enumerate() {
        let account = NewAccount::named(format!("Robin {index}"));
        let user = server.api().register(&account).await.unwrap();
        let refresh = user.refresh_token().await;
        for elsewhere in servers {
            let there = user.at(&elsewhere.api());
            assert_eq!(there.me().await.unwrap().id, user.id());
        }
        let is_renewed = user.refresh_token().await != refresh;
        assert!(!is_renewed, "a node refused the token of another one");
    }

    let refused = realtime.api().register(&NewAccount::named("Kim")).await;
    assert_eq!(code(refused), Some(ErrorCode::NOT_FOUND));
    let refused = realtime.api().categories().await;
    assert_eq!(code(refused), Some(ErrorCode::NOT_FOUND));
    for path in ["/", "/docs", "/openapi.json"] {
        assert_eq!(
            status(realtime.http(), path).await,
            "404 Not Found",
            "{path}"
        );
    }
    for server in [&realtime, &rest] {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(status(server.http(), path).await, "200 OK", "{path}");
        }
    }
    // A request without an upgrade: refused as such where there is a WebSocket.
    let socket = "/v1/websocket";
    assert_eq!(status(rest.http(), socket).await, "404 Not Found");
    assert_eq!(
        status(realtime.http(), socket).await,
        "426 Upgrade Required"
    );
    assert_eq!(rest.quic().port(), 0, "no WebTransport");
    assert_ne!(realtime.quic().port(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_node_alone_is_ready_says_that_nobody_takes_clients_and_keeps_accounts() {
    let shared = Shared::start();
    let rest = shared.node("rest").await;
    let ready = |count: u32| format!(r#"{{"status":"ok","nodes_for_clients":{count}}}"#);
    let readyz = || async { wire::ask("127.0.0.1", rest.http(), &wire::get("/readyz", "")).await };
    let alone = readyz().await;
    assert!(alone.ends_with(&ready(0)), "{alone}");
    let user = rest.api().register(&NewAccount::named("Robin")).await;
    let user = user.unwrap();
    let refused = user.connect().await;
    assert_eq!(code(refused), Some(ErrorCode::OVERLOADED));

    let _realtime = shared.node("realtime").await;
    eventually("the rest node knows it", || async {
        readyz().await.ends_with(&ready(1)).then_some(())
    })
    .await;
    user.connect().await.unwrap();
}

#[tokio::test]
async fn a_part_of_a_cluster_without_one_is_refused_in_one_sentence() {
    let cases: [(&[&str], &str); 3] = [
        (&["--role", "rest"], "`role` is rest, a part of a cluster"),
        (
            &["--role", "realtime", "--store", "mongodb://127.0.0.1:1"],
            "`broker`",
        ),
        (
            &["--broker", "redis://127.0.0.1:1"],
            "`store` is embedded: set `store`",
        ),
    ];
    for (flags, named) in cases {
        let mut command = tokio::process::Command::new(e2e::binary().unwrap());
        command.args(["serve", "--data", "memory"]).args(flags);
        command.envs([CLUSTER_SECRET_ENV]);
        let output = command.stdin(Stdio::null()).output();
        let output = within("the command ends", output).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{flags:?}");
        assert!(said.contains(named), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
}
