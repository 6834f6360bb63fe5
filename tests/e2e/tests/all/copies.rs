//! Copies of the live lane: what comes in a datagram counts once, in its place, whatever the stream does.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::time::Duration;

use e2e::TestServer;
use nowrong_client::{LinkOptions, NewAccount, RawConnection, Transport};
use nowrong_protocol::{
    ClientFrame, ServerFrame,
    frame::{Lane, LaneCopy, Ping, Pong},
};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_copy_arrives_before_its_stream_and_counts_once() {
    let server = TestServer::start().await.unwrap();
    let user = server
        .api()
        .register(&NewAccount::named("Ana"))
        .await
        .unwrap();
    let connect = user.connect().await.unwrap();
    let options = LinkOptions {
        transport: Transport::WebTransport,
        ..LinkOptions::default()
    };
    let mut raw = RawConnection::open(&connect.endpoint, &options)
        .await
        .unwrap();
    let hello = ClientFrame::from(RawConnection::hello(connect.connect_token)).encode();
    raw.send_bytes(Lane::Live, hello.clone());
    let welcome = raw.receive(SOON).await.unwrap();
    assert!(matches!(welcome, ServerFrame::Welcome(_)), "{welcome:?}");

    let ping = |nonce| ClientFrame::from(Ping { nonce }).encode();
    let copy = LaneCopy {
        offset: hello.len() as u64,
        bytes: [ping(1), ping(2)].concat().into(),
    };
    raw.send(copy.clone());
    assert_eq!(raw.receive(SOON).await.unwrap(), Pong { nonce: 1 }.into());
    assert_eq!(raw.receive(SOON).await.unwrap(), Pong { nonce: 2 }.into());
    raw.send(copy);
    raw.send_bytes(Lane::Live, [ping(1), ping(2), ping(3)].concat());
    assert_eq!(raw.receive(SOON).await.unwrap(), Pong { nonce: 3 }.into());
}
