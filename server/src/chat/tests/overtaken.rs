//! Another node has begun the next epoch of a log while messages of this node waited for the store.

use nowrong_base::lock::lock;
use nowrong_broker::{Log as _, LogRead, LogSeed};
use nowrong_protocol::{
    ClientMessageId, ErrorCode, Position,
    frame::{Body, Send},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::refusal::Refusal;

impl Left {
    async fn say(&self, number: u8) -> Result<Position, Refusal> {
        let send = Send {
            request: number.into(),
            chat: self.chat.id,
            client_message_id: ClientMessageId::from_bytes([number; 16]),
            reply_to: None,
            body: Body::Text("hello".into()),
        };
        let sent = self.chats.send_message(&self.chat, 0, send).await?;
        Ok(sent.position)
    }

    /// Redis forgets all keys; the other node opens the log again, without the messages that only this
    /// node has.
    async fn overtake(&self) {
        self.server.redis.ask(&["FLUSHALL"]).unwrap();
        let now = self.clock.now();
        let begun = self.store.begin_epoch(self.chat.id, 1, now).await;
        let read = self.other.read_log(self.chat.id, 2, 0).await.unwrap();
        let LogRead::NoLog(memory) = read.outcome else {
            panic!("{read:?}");
        };
        let seed = LogSeed {
            epoch: begun.unwrap().unwrap(),
            known: Vec::new(),
            incarnation: Some(memory),
        };
        assert!(self.other.open_log(self.chat.id, seed).await.unwrap());
    }

    /// Hands everything that waits to the store, once.
    async fn persist(&self) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.chats.run_persister(stop).await;
    }
}

#[tokio::test]
async fn a_node_whose_messages_the_store_refused_continues_in_the_epoch_of_another() {
    let left = Left::begin().await;
    left.connect(0);
    left.connect(1);
    assert_eq!(left.say(1).await, Ok(Position::new(1, 1)));
    lock(&left.chat.state).messages.set_refused();
    left.overtake().await;
    left.persist().await;
    let refused = left.say(2).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::STORAGE_UNAVAILABLE, "not yet");
    left.chats.check_chat(&left.chat).await;
    assert_eq!(left.say(2).await, Ok(Position::new(2, 1)));
    assert_eq!(left.say(1).await, Ok(Position::new(2, 2)), "sent again");
}
