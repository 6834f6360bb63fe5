//! HTTP as bytes, from any address of the loopback network: for what a client library would hide.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::net::SocketAddr;

use e2e::within;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// A connection from this address.
pub(crate) async fn connect(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
    within("a connection", socket.connect(to)).await
}

/// Everything that comes until the end, also when the end is a reset.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = within("the end of the connection", stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The whole response to a request on a connection of its own, which ends with it.
pub(crate) async fn ask(from: &str, to: SocketAddr, request: &str) -> String {
    let mut stream = connect(from, to).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    rest(&mut stream).await
}

/// The head of the response to a request on a connection that goes on.
pub(crate) async fn head(from: &str, to: SocketAddr, request: &str) -> String {
    let mut stream = connect(from, to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    within("the head of a response", async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
    })
    .await;
    String::from_utf8(head).unwrap()
}

/// `GET path` with more headers.
pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: chat.example\r\nconnection: close\r\n{headers}\r\n")
}

/// A registration with more headers.
pub(crate) fn register(name: &str, headers: &str) -> String {
    let body = format!("{{\"name\":\"{name}\",\"language\":\"en\",\"age_bracket\":\"18+\"}}");
    format!(
        "POST /v1/users HTTP/1.1\r\nhost: chat.example\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// A request that begins a WebSocket, with more headers.
pub(crate) fn upgrade(headers: &str) -> String {
    format!(
        "GET /v1/websocket HTTP/1.1\r\nhost: chat.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// The status of a response.
pub(crate) fn status(response: &str) -> u16 {
    let code = response.split(' ').nth(1).unwrap_or_default();
    code.parse().unwrap_or_default()
}
