//! The open chat logs of this node, in shards so that chats rarely wait for each other.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use nowrong_base::lock::lock;
use nowrong_core::chat_log::ChatLog;
use nowrong_protocol::ChatId;

use crate::{BrokerError, LogSeed};

/// Most logs that are open at one time: with two people each, twice as many as one node is meant
/// for.
pub const LOGS_MAX: usize = 65_536;

/// Number of locks over which the logs are spread. Far more than cores; a power of two.
const SHARDS: usize = 64;

/// The open logs.
#[derive(Debug)]
pub(super) struct Logs {
    shards: [Mutex<HashMap<ChatId, ChatLog>>; SHARDS],
    open: AtomicUsize,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            open: AtomicUsize::new(0),
        }
    }
}

impl Logs {
    /// `false` when a log of this or a newer epoch is open.
    pub(super) fn open(&self, chat: ChatId, seed: LogSeed) -> Result<bool, BrokerError> {
        let mut shard = lock(self.shard(chat));
        if let Some(open) = shard.get_mut(&chat) {
            let is_newer = open.epoch() < seed.epoch.number;
            if is_newer {
                *open = log(seed);
            }
            return Ok(is_newer);
        }
        // Counted before it is inserted, so that simultaneous opens in other shards never exceed
        // the bound.
        if self.open.fetch_add(1, Ordering::Relaxed) >= LOGS_MAX {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(BrokerError::Full("chat logs"));
        }
        shard.insert(chat, log(seed));
        Ok(true)
    }

    pub(super) fn close(&self, chat: ChatId) {
        if lock(self.shard(chat)).remove(&chat).is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Does one step on the log of a chat; `None` when it is not open.
    pub(super) fn with<T>(&self, chat: ChatId, step: impl FnOnce(&mut ChatLog) -> T) -> Option<T> {
        lock(self.shard(chat)).get_mut(&chat).map(step)
    }

    /// The last bytes of a version 7 id are random.
    fn shard(&self, chat: ChatId) -> &Mutex<HashMap<ChatId, ChatLog>> {
        &self.shards[usize::from(chat.as_bytes()[15]) % SHARDS]
    }
}

fn log(seed: LogSeed) -> ChatLog {
    ChatLog::new(seed.epoch, seed.known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nowrong_core::record::Epoch;

    #[test]
    fn g10_logs_are_bounded_and_closed_ones_make_room() {
        let logs = Logs::default();
        let seed = || LogSeed {
            epoch: Epoch { number: 1, base: 0 },
            known: Vec::new(),
            incarnation: None,
        };
        let chat = |n: u64| ChatId::v7(n, &[n as u8; 10]);
        for n in 0..LOGS_MAX as u64 {
            logs.open(chat(n), seed()).expect("room");
        }
        let refused = logs.open(chat(1 << 40), seed());
        assert!(matches!(refused, Err(BrokerError::Full(_))));
        logs.open(chat(3), seed()).expect("it is open");
        logs.close(chat(3));
        logs.close(chat(3));
        logs.open(chat(1 << 40), seed()).expect("room for one");
        assert!(logs.open(chat(3), seed()).is_err());
    }
}
