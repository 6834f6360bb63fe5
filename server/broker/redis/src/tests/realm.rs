//! Two installations on one Redis.

use super::{super::testing::connect_with, *};

#[tokio::test]
async fn a_node_with_another_store_is_refused_and_told_what_to_do() {
    let server = Server::start(&[]);
    let url = server.url();
    let first = connect_with(&url, "x", "aaaa").await.expect("the first");
    let error = connect_with(&url, "x", "bbbb")
        .await
        .err()
        .expect("refused");
    let sentence = error.to_string();
    for part in ["`redis.prefix`", "`store`", "aaaa", "bbbb", &url] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    assert_eq!(first.nodes().len(), 1);
    connect_with(&url, "x", "aaaa")
        .await
        .expect("of the same store");
    connect_with(&url, "y", "bbbb")
        .await
        .expect("another prefix");
}

#[tokio::test]
async fn when_the_last_node_is_gone_another_store_may_come_and_finds_nothing_of_the_first() {
    let server = Server::start(&[]);
    let url = server.url();
    let first = connect_with(&url, "x", "aaaa").await.expect("the first");
    first.requeue(ticket(&*first, 1, 0)).await.expect("requeue");
    drop(first);
    let comes = || async { connect_with(&url, "x", "bbbb").await.is_ok() };
    eventually(true, comes).await;
    let second = connect_with(&url, "x", "bbbb").await.expect("the second");
    assert_eq!(second.waiting("music").await.expect("waiting"), 0);
}

#[tokio::test]
async fn a_node_that_lost_its_place_to_another_store_keeps_out() {
    let server = Server::start(&[]);
    let url = server.url();
    let first = connect_with(&url, "x", "aaaa").await.expect("the first");
    first._lease.abort();
    let comes = || async { connect_with(&url, "x", "bbbb").await.is_ok() };
    eventually(true, comes).await;
    let _second = connect_with(&url, "x", "bbbb").await.expect("the second");
    let refused = first.parts.renew().await.expect_err("refused");
    assert!(refused.to_string().contains("`redis.prefix`"), "{refused}");
}

#[tokio::test]
async fn nodes_of_a_version_without_identities_are_of_the_same_store() {
    let server = Server::start(&[]);
    let url = server.url();
    let first = connect_with(&url, "x", "aaaa").await.expect("the first");
    server.ask(&["DEL", &first.parts.keys.queue("store")]);
    connect_with(&url, "x", "aaaa").await.expect("the second");
}
