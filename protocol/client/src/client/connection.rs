//! One connection: a link, and the conversation over it.

use std::time::Instant;

use nowrong_protocol::{
    ClientFrame, CloseCode,
    conversation::{
        ClientConversation, bye,
        client::{Input, Output},
    },
    frame::{Hello, Lane},
};
use tokio::time::sleep_until;

use crate::{LinkError, Received, Transport, link::Link};

/// See the module.
pub(super) struct Connection {
    link: Link,
    conversation: ClientConversation,
}

impl Connection {
    /// A connection over an open link that begins with `hello`. See
    /// [`ConnectOptions::is_watched`](super::ConnectOptions::is_watched).
    pub(super) fn new(link: Link, hello: Hello, is_watched: bool) -> Self {
        let mut conversation = ClientConversation::new(hello, Instant::now());
        conversation.handle_input(Input::Watched(is_watched), Instant::now());
        Self { link, conversation }
    }

    pub(super) fn transport(&self) -> Transport {
        self.link.transport()
    }

    /// Waits for input from the link; never returns when there is no connection.
    pub(super) async fn receive(connection: &mut Option<Self>) -> Result<Received, LinkError> {
        match connection {
            Some(connection) => connection.link.receive().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn handle_received(&mut self, received: Result<Received, LinkError>) {
        let input = match &received {
            Ok(Received::Live(bytes)) => Input::LiveBytes(bytes),
            Ok(Received::Bulk(bytes)) => Input::BulkBytes(bytes),
            Ok(Received::Datagram(bytes)) => Input::Datagram(bytes),
            Ok(Received::Message(message)) => Input::Message(message.clone()),
            Ok(Received::Violation(code)) => Input::Close(bye(*code)),
            Err(error) => {
                tracing::debug!(%error, "the link ended");
                Input::LinkClosed
            }
        };
        self.conversation.handle_input(input, Instant::now());
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.conversation.handle_timeout(now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.conversation.poll_timeout()
    }

    /// The next output. A frame in it is already on its way when this returns.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let output = self.conversation.poll_output()?;
        if let Output::Transmit(lane, frame) = &output {
            self.link.queue(*lane, frame.encode());
        }
        Some(output)
    }

    /// Sends a frame of the client.
    pub(super) fn send(&mut self, frame: &ClientFrame) {
        match frame.lane() {
            Lane::Datagram => self.link.signal(frame.encode_datagram(), frame.encode()),
            lane => self.link.queue(lane, frame.encode()),
        }
        self.conversation.handle_input(Input::Sent, Instant::now());
    }

    /// Says `Bye`, waits until the server has closed or should have, and closes.
    pub(super) async fn part(mut self) {
        let leaving = Input::Close(bye(CloseCode::CLIENT_LEFT));
        self.conversation.handle_input(leaving, Instant::now());
        while !self.is_closed() {
            let deadline = self.deadline().unwrap_or_else(Instant::now);
            tokio::select! {
                received = self.link.receive() => self.handle_received(received),
                () = sleep_until(deadline.into()) => self.handle_timeout(Instant::now()),
            }
        }
        self.close().await;
    }

    /// Closes the link of a conversation that is over.
    pub(super) async fn close(self) {
        self.link.close(CloseCode::CLIENT_LEFT).await;
    }

    /// Carries out the conversation's outputs; returns whether the conversation is over.
    fn is_closed(&mut self) -> bool {
        while let Some(output) = self.poll_output() {
            if matches!(output, Output::Closed { .. }) {
                return true;
            }
        }
        false
    }
}
