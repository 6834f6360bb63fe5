//! A node that is started in this process, so that a part of it can be made to fail.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::config::Data;

mod rights;

fn config() -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    Config {
        data: Data::Memory,
        listen_http: any,
        listen_quic: Some(any),
        ..Config::default()
    }
}

async fn get(server: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_panics_is_seen_from_outside_and_asks_for_the_end_of_the_node() {
    let running = Server::start(&config()).await.unwrap();
    let healthy = get(running.http(), "/healthz").await;
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy}");
    running.spawn("unlucky", async {
        panic!("this panic belongs to the test")
    });
    assert_eq!(running.failed().await, "unlucky");
    let sick = get(running.http(), "/healthz").await;
    assert!(sick.starts_with("HTTP/1.1 503"), "{sick}");
    assert!(sick.contains("unlucky"), "{sick}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_store_that_is_closed_under_a_node_asks_for_its_end() {
    let running = Server::start(&config()).await.unwrap();
    running.node.env().store.close().await;
    assert_eq!(running.failed().await, "store");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_ends_by_itself_asks_for_the_end_of_the_node() {
    let running = Server::start(&config()).await.unwrap();
    let endpoint = running.endpoint.as_ref().unwrap();
    endpoint.close(0_u32.into(), b"");
    assert_eq!(running.failed().await, "WebTransport");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_that_the_certificate_is_valid_is_a_metric() {
    let running = Server::start(&config()).await.unwrap();
    let text = running.metrics().text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("nowrong_certificate_expiry_seconds "));
    let days = line.unwrap().parse::<i64>().unwrap() / 86_400;
    assert_eq!(days, 12, "a development certificate has 13 days");
    running.stop().await;
}
