//! The floor of WebSocket: tokio-tungstenite and nothing else.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, tungstenite::Message};

use super::Members;
use crate::wire::websocket_config;

pub(super) async fn serve(address: SocketAddr, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    announce(&format!("ready url=ws://{}/", listener.local_addr()?));
    let members = Members::default();
    loop {
        let (stream, _address) = listener.accept().await?;
        let members = members.clone();
        // A client that breaks off does not matter.
        spawn_local(async move { client(stream, members).await.ok() });
    }
}

async fn client(stream: TcpStream, members: Members) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async_with_config(stream, Some(websocket_config())).await?;
    let hello = next_body(&mut socket).await?;
    let (member, mut outbox) = members.enter(&hello)?;
    loop {
        tokio::select! {
            bytes = outbox.recv() => {
                socket.feed(Message::Binary(bytes.context("a newer connection")?)).await?;
                while let Ok(bytes) = outbox.try_recv() {
                    socket.feed(Message::Binary(bytes)).await?;
                }
                socket.flush().await?;
            }
            body = next_body(&mut socket) => {
                let body = body?;
                let ack = members.forward(member, &body, body.clone(), false).await?;
                socket.send(Message::Binary(ack)).await?;
            }
        }
    }
}

async fn next_body(socket: &mut WebSocketStream<TcpStream>) -> anyhow::Result<Bytes> {
    loop {
        if let Message::Binary(bytes) = socket.next().await.context("closed")?? {
            return Ok(bytes);
        }
    }
}
