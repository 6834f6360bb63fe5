//! Who may do what: every REST route and every frame of a client, for everybody who could try it.
//!
//! What is expected stands in [`table`], one row for each route, and for each frame and position that it can
//! carry. A route of the OpenAPI document or a frame of the protocol without a row fails. [`cast`] brings the
//! people in, [`scene`] puts them where a role says, [`frames`] and [`rest`] try everything.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod cast;
mod frames;
mod rest;
mod scene;
mod table;

use self::cast::World;

/// How many cells are tried at the same time: people mostly wait for each other.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_send_what_on_a_single_node() {
    frames::try_all(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_send_what_in_a_cluster() {
    frames::try_all(World::cluster().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_ask_what_on_a_single_node() {
    rest::try_all(&World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_ask_what_in_a_cluster() {
    rest::try_all(&World::cluster().await).await;
}
