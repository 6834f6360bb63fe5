//! Two installations on one Redis: they share nothing, or the second one does not start.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use e2e::{Cluster, ServerOptions, TestServer, within};
use nowrong_client::NewAccount;
use services::{
    CLUSTER_SECRET_ENV,
    shared::{Setting, find},
};

/// The flags of a node of `cluster`, but with a database of its own.
fn with_another_store(cluster: &Cluster) -> Vec<String> {
    let database = format!("/e2e_{:016x}?", rand::random::<u64>());
    let store = find(Setting::Mongodb).unwrap().replace("/?", &database);
    let mut flags = vec!["--store".to_owned(), store];
    flags.extend(cluster.flags.iter().skip(2).cloned());
    flags
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_installation_needs_a_prefix_of_its_own() {
    let cluster = Cluster::start(&[]).await.unwrap();
    let flags = with_another_store(&cluster);
    let mut command = tokio::process::Command::new(e2e::binary().unwrap());
    let any = ["--listen-http", "127.0.0.1:0", "--listen-quic", "off"];
    command.env_remove("NOWRONG_BIN").arg("serve").args(any);
    command.envs([CLUSTER_SECRET_ENV]);
    command.args(["--data", "memory"]).args(&flags);
    command.kill_on_drop(true);
    let output = within("a refusal", command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    for part in ["`redis.prefix`", "`store`", "use the same keys"] {
        assert!(said.contains(part), "{said}");
    }

    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(["--set", "redis.prefix=staging"]);
    let staging = TestServer::start_with(ServerOptions::flags(&flags))
        .await
        .unwrap();
    let [production, _] = &cluster.nodes;
    for (node, others) in [(production, &staging), (&staging, production)] {
        let user = node
            .api()
            .register(&NewAccount::named("Ana"))
            .await
            .unwrap();
        for _ in 0..10 {
            let endpoint = user.connect().await.unwrap().endpoint;
            assert_ne!(endpoint.websocket, others.websocket());
        }
    }
}
