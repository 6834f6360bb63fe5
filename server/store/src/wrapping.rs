//! What a store needs that others can look into, through logs and copies of its own: keys that are
//! never stored in it.
//!
//! A store of nodes that share it wraps what must be unreadable in a day under day keys
//! ([`nowrong_core::day_keys`]). The embedded store destroys what it erases by itself and needs none.

use async_trait::async_trait;
use nowrong_core::day_keys::{DayKey, DayKeyId};
use nowrong_protocol::UserId;

use super::StoreError;

/// The day keys of a node, as its store uses them.
#[async_trait]
pub trait DayKeys: std::fmt::Debug + Send + Sync + 'static {
    /// The key that wraps now. `None`: there is none yet that is kept safely, so nothing may be wrapped.
    fn wrapping(&self) -> Option<DayKey>;

    /// The key with this name, if the node has it.
    fn get(&self, id: DayKeyId) -> Option<DayKey>;

    /// Asks the other nodes for keys that this one lacks.
    async fn ask(&self) -> Asked;
}

/// What became of the question for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// There is no other node that could bring one.
    Alone,
    /// Nobody could be reached.
    Unanswered,
    /// All keys that the others have left are known now.
    Answered,
}

/// No keys: for commands that read nothing of people.
#[derive(Clone, Copy, Debug)]
pub struct NoDayKeys;

#[async_trait]
impl DayKeys for NoDayKeys {
    fn wrapping(&self) -> Option<DayKey> {
        None
    }

    fn get(&self, _id: DayKeyId) -> Option<DayKey> {
        None
    }

    async fn ask(&self) -> Asked {
        Asked::Unanswered
    }
}

/// A store that wraps.
#[async_trait]
pub trait WrappingStore: Send + Sync + 'static {
    /// Whether the secret of this node is the one with which the data was begun. The first call on new
    /// data decides.
    async fn knows_secret(&self) -> Result<bool, StoreError>;

    /// Whether there are accounts: if not, nothing needs a key that was made before.
    async fn has_accounts(&self) -> Result<bool, StoreError>;

    /// Wraps what a server before this rule has stored in clear; returns how many documents it has
    /// changed. Idempotent, also when several nodes do it at once. Nothing may be read before.
    async fn wrap_clear(&self) -> Result<u64, StoreError>;

    /// Looks at the accounts after `after`, at most `limit`, by id, and wraps those again that another key
    /// than the current one has wrapped. What changes meanwhile is left as it is. Returns where to go on;
    /// `None` at the end.
    async fn rewrap(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Option<UserId>, StoreError>;
}
