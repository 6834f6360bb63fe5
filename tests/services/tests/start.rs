//! The servers start, can be lost and come back, and end with the test.

use services::{
    mongodb::ReplicaSet,
    redis::{self, Cluster, Redis},
    shared::{Setting, find},
};

#[test]
fn a_replica_set_of_three_elects_another_primary() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut set = ReplicaSet::start(program.as_ref(), folder.path(), 3, &[]).unwrap();
    assert_eq!(set.url().matches("127.0.0.1:").count(), 3);
    let primary = set.members.iter().position(|member| member.is_primary());
    let primary = primary.unwrap();
    set.members[primary].kill().unwrap();
    // The other members are asked, not the lost one.
    let mut lost = set.members.remove(primary);
    set.wait_for_primary().unwrap();
    lost.restart().unwrap();
}

#[test]
fn a_redis_comes_back_empty() {
    let program = find(Setting::RedisProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Redis::start(program.as_ref(), folder.path(), &[]).unwrap();
    redis::command(server.port(), &["SET", "key", "value"]).unwrap();
    assert_eq!(
        redis::command(server.port(), &["GET", "key"]).unwrap(),
        "value"
    );
    server.kill().unwrap();
    assert!(redis::command(server.port(), &["PING"]).is_err());
    server.restart().unwrap();
    assert_eq!(redis::command(server.port(), &["DBSIZE"]).unwrap(), "0");
}

#[test]
fn a_cluster_serves_every_slot() {
    let program = find(Setting::RedisProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(program.as_ref(), folder.path()).unwrap();
    assert_eq!(cluster.url().matches("127.0.0.1:").count(), 6);
    for node in &cluster.nodes[..3] {
        let info = redis::command(node.port(), &["CLUSTER", "INFO"]).unwrap();
        assert!(info.contains("cluster_slots_ok:16384"), "{info}");
    }
}
