//! The inbox of this node: a stream in Redis from which only this node reads.
//!
//! Its entries are numbered without a gap (`1-1`, `1-2`…), whichever node writes them, so the
//! reader notices when entries are missing: too many came and the oldest were dropped
//! ([`INBOX_MAX`]), the stream had expired, another master has only a part of it, or the other
//! nodes considered this node dead. In all these cases the stream continues, or starts again, with
//! a number that is not the next one, and the reader returns [`Inbox::Lost`]. An entry stays until
//! it is pushed out, so a lost connection loses nothing.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use nowrong_base::{lock::lock, metrics::CallMetrics};
use nowrong_broker::{BrokerError, Inbox};
use nowrong_core::{node::NodeId, record::Notice};
use nowrong_protocol::codec;
use redis::Cmd;

use super::{
    connection::{ANSWER_DEADLINE, ConnectError, Connection, Fault},
    lease::LEASE,
    script::{Script, script},
    url::RedisUrl,
};

static RENEW: Script = script!("renew_inbox": "memory.lua", "inbox.lua");

/// Most notices that wait in an inbox: those of some seconds on a busy node, about 20 MB in Redis
/// if all of them are long messages. Beyond that the oldest are dropped, and the node notices it.
pub const INBOX_MAX: usize = 10_000;

/// Most notices that one read returns.
const READ_MAX: usize = 256;

/// How long one read waits for entries.
const BLOCK: Duration = Duration::from_secs(1);

/// Pause after a failed read.
const PAUSE: Duration = Duration::from_millis(200);

/// How far the numbers of a restarted stream are ahead of the last one: further than any entry that
/// is under way.
const JUMP: u64 = 1 << 32;

/// An entry as `XREAD` returns it: its number, its one field and value.
type Entry = (String, Vec<Vec<u8>>);

/// The inbox of this node.
pub(super) struct Reader {
    key: String,
    /// A connection of its own: a read that waits would block all other commands.
    connection: Connection,
    /// Number of the last entry that was read.
    taken: AtomicU64,
    /// The memory in which the stream began; empty before that.
    memory: Mutex<String>,
    must_begin_anew: AtomicBool,
    /// Entries that were not notices.
    unreadable: AtomicU64,
}

impl Reader {
    pub(super) async fn open(url: &RedisUrl, key: String) -> Result<Self, ConnectError> {
        // It waits most of the time, so its duration is meaningless.
        let calls = CallMetrics::default();
        Ok(Self {
            key,
            connection: Connection::open(url, BLOCK + ANSWER_DEADLINE, calls).await?,
            taken: AtomicU64::new(1),
            memory: Mutex::default(),
            must_begin_anew: AtomicBool::new(false),
            unreadable: AtomicU64::new(0),
        })
    }

    /// Notices to this node may be lost: the next renewal starts a new stream.
    pub(super) fn begin_anew(&self) {
        self.must_begin_anew.store(true, Ordering::Relaxed);
    }

    /// Keeps the stream for the lifetime of a lease. After an error, call [`Self::begin_anew`].
    pub(super) async fn renew(&self, connection: &Connection) -> Result<(), BrokerError> {
        let known = lock(&self.memory).clone();
        let is_first = known.is_empty();
        let taken = self.taken.load(Ordering::Relaxed);
        let anew = self.must_begin_anew.swap(false, Ordering::Relaxed);
        let call = RENEW
            .call()
            .key(self.key.clone())
            .arg(LEASE.as_millis() as u64)
            .arg(if is_first { taken } else { taken + JUMP })
            .arg(known)
            .arg(u8::from(anew));
        *lock(&self.memory) = call.run(connection).await?;
        Ok(())
    }

    /// Waits for the next entries.
    pub(super) async fn receive(&self) -> Inbox {
        loop {
            let after = self.taken.load(Ordering::Relaxed);
            let entries = match self.look(after).await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::debug!(%error, "the inbox cannot be read");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if let Some(inbox) = self.take(after, entries) {
                return inbox;
            }
        }
    }

    async fn look(&self, after: u64) -> Result<Vec<Entry>, Fault> {
        let command = read_command(&self.key, after);
        let streams: Option<Vec<(String, Vec<Entry>)>> =
            self.connection.query("receive", &command).await?;
        let first = streams.and_then(|streams| streams.into_iter().next());
        Ok(first.map_or(Vec::new(), |(_, entries)| entries))
    }

    /// Takes the entries up to the first gap; `None` when there is no news.
    fn take(&self, after: u64, entries: Vec<Entry>) -> Option<Inbox> {
        let (mut notices, mut taken) = (Vec::with_capacity(entries.len()), after);
        for (number, fields) in entries {
            // An unreadable number is not the expected one either.
            let number = number.strip_prefix("1-").and_then(|seq| seq.parse().ok());
            let number = number.unwrap_or(taken + JUMP);
            if number != taken + 1 {
                if taken != after {
                    break;
                }
                self.taken.store(number - 1, Ordering::Relaxed);
                return Some(Inbox::Lost);
            }
            taken = number;
            match fields.get(1).map(Vec::as_slice) {
                // The first entry of a new stream.
                Some([]) => {}
                packed => match packed.and_then(unpack) {
                    Some(notice) => notices.push(notice),
                    None => self.count_unreadable(),
                },
            }
        }
        self.taken.store(taken, Ordering::Relaxed);
        (!notices.is_empty()).then_some(Inbox::Notices(notices))
    }

    fn count_unreadable(&self) {
        let count = 1 + self.unreadable.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(count, "an entry of the inbox is not a notice");
    }
}

fn read_command(key: &str, after: u64) -> Cmd {
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(READ_MAX);
    command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
    command.arg("STREAMS").arg(key).arg(format!("1-{after}"));
    command
}

/// A notice with its sender, as bytes of an inbox entry.
pub(super) fn pack(teller: NodeId, notice: &Notice) -> Vec<u8> {
    codec::encode(&(teller, notice))
}

/// Reads what [`pack`] wrote; `None` for anything else.
pub(super) fn unpack(bytes: &[u8]) -> Option<(NodeId, Notice)> {
    codec::decode(bytes).ok()
}

#[cfg(test)]
mod tests {
    use nowrong_protocol::UserId;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn g11_bytes_that_are_no_notice_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&bytes);
        }

        #[test]
        fn g11_a_damaged_notice_is_another_or_none(at in 0_usize..40, byte: u8, cut in 0_usize..40) {
            let notice = Notice::Depart { user: UserId::from_bytes([7; 16]) };
            let mut packed = pack(NodeId([1; 8]), &notice);
            prop_assert_eq!(unpack(&packed), Some((NodeId([1; 8]), notice)));
            let length = packed.len();
            packed[at % length] = byte;
            packed.truncate(length - cut.min(length));
            let _ = unpack(&packed);
        }
    }

    #[test]
    fn g11_a_length_that_lies_is_refused_before_anything_is_allocated() {
        // Sender, a message, and a body that claims four gigabytes.
        let mut bytes = vec![0; 8 + 1 + 16 + 2 + 1 + 16 + 1 + 1];
        bytes.extend([252, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(unpack(&bytes), None);
    }
}
