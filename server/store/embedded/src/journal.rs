//! The journal: messages in order of arrival, before they are filed under their chats.
//!
//! Filing a message at once would write a page of its chat and the pages above it, several for each
//! message when many people talk. So a batch appends all its messages as one row to the end of the
//! table `journal`, which makes them durable, and keeps them in memory, in [`Waiting`], where reads
//! find them. Later a pass files them in the order of their keys, so that each page gets many; the
//! pass works in small steps, each in the transaction of a batch, and ends by removing the rows.
//!
//! Invariants:
//! - An acked message is in the table `messages`, or it is waiting and is in a row.
//! - All waiting messages of a chat are filed at once: the filed messages have no gap that is still
//!   waiting.
//! - A filed message takes precedence over one that waits at the same position: after a crash rows
//!   may bring back messages that were filed before and changed since.
//! - Readers look at the waiting messages first, then begin their transaction: they may see a
//!   message twice, and never miss one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use nowrong_protocol::{ChatId, Position};
use redb::ReadableTable;

use super::{
    fault::Fault,
    record::{self, JournalRecord, MessageRecord},
    table::message_key,
    transaction::Transaction,
};

/// Most messages of a row, to bound the size of one record of the file.
const ROW_MESSAGES_MAX: usize = 64;

/// Most messages that a step files for the time that has passed: some milliseconds of work.
const STEP_MAX: usize = 2_048;

/// Removing a row takes as much work as filing this many messages.
const ROW_COST: usize = 8;

/// Memory of a waiting message in bytes, without its body.
const ENTRY_BYTES: usize = size_of::<Entry>() + 64;

/// When a pass begins, and how far one step goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filing {
    /// A pass begins when this many bytes are waiting.
    pub(super) bytes: usize,
    /// A pass begins this long after the start of the last one, if there are rows.
    pub(super) age: Duration,
    /// Messages that a step files for each millisecond since the last one, up to [`STEP_MAX`]; and
    /// twice as many as came with the batch, so that a pass is faster than the arrivals.
    pub(super) rate: usize,
}

impl Default for Filing {
    /// 16 MiB are about 60,000 short messages, which take a tenth of a second to read after a
    /// crash.
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            age: Duration::from_secs(60),
            rate: 4,
        }
    }
}

/// A message that waits.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) message: MessageRecord,
}

impl Entry {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.message.sealed.len()
    }
}

/// Committed messages that wait to be filed, by chat, ascending. The writer changes this after a
/// commit.
#[derive(Debug, Default)]
pub(super) struct Waiting(RwLock<HashMap<ChatId, Arc<Vec<Entry>>>>);

impl Waiting {
    /// The waiting messages of a chat.
    pub(super) fn of(&self, chat: ChatId) -> Arc<Vec<Entry>> {
        let chats = self.0.read().unwrap_or_else(PoisonError::into_inner);
        chats.get(&chat).cloned().unwrap_or_default()
    }

    /// How many messages wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let chats = self.0.read().unwrap_or_else(PoisonError::into_inner);
        chats.values().map(|waiting| waiting.len()).sum()
    }

    /// The chats with waiting messages, in order.
    fn chats(&self) -> Vec<ChatId> {
        let chats = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<_> = chats.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Applies a commit; returns by how many bytes it grew and shrank.
    fn apply(&self, changes: BTreeMap<ChatId, ChatChange>) -> (usize, usize) {
        let (mut grown, mut shrunk) = (0, 0);
        let mut chats = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (chat, change) in changes {
            if change.is_filed {
                let filed = chats.remove(&chat).unwrap_or_default();
                shrunk += filed.iter().map(Entry::bytes).sum::<usize>();
            }
            if change.appended.is_empty() {
                continue;
            }
            let waiting = Arc::make_mut(chats.entry(chat).or_default());
            for entry in change.appended {
                grown += insert(waiting, entry);
            }
        }
        (grown, shrunk)
    }
}

/// Puts `entry` in its place, unless there is one already; returns the bytes that this took.
fn insert(entries: &mut Vec<Entry>, entry: Entry) -> usize {
    let bytes = entry.bytes();
    match entries.binary_search_by_key(&entry.position, |it| it.position) {
        Ok(_) => return 0,
        Err(at) => entries.insert(at, entry),
    }
    bytes
}

/// The message at `position`.
fn find(entries: &[Entry], position: Position) -> Option<&MessageRecord> {
    let at = entries.binary_search_by_key(&position, |it| it.position);
    at.ok().map(|at| &entries[at].message)
}

/// The changes of a batch to the journal.
#[derive(Debug, Default)]
pub(super) struct JournalChanges {
    chats: BTreeMap<ChatId, ChatChange>,
    /// Rows written.
    written: u64,
    /// Rows removed.
    removed: u64,
    /// Chats of the pass that are done.
    passed: usize,
}

/// The changes of a batch to the waiting messages of a chat.
#[derive(Debug, Default)]
struct ChatChange {
    /// Whether all waiting messages were filed.
    is_filed: bool,
    /// Messages appended after that, ascending.
    appended: Vec<Entry>,
}

impl Transaction<'_> {
    /// Adds a new message to the waiting ones.
    pub(super) fn journal(&mut self, chat: ChatId, entry: Entry) {
        let change = self.journal_changes.chats.entry(chat).or_default();
        insert(&mut change.appended, entry);
    }

    /// A message that waits.
    pub(super) fn waiting(&self, chat: ChatId, position: Position) -> Option<MessageRecord> {
        let change = self.journal_changes.chats.get(&chat);
        let appended = change.and_then(|change| find(&change.appended, position));
        if appended.is_some() || change.is_some_and(|change| change.is_filed) {
            return appended.cloned();
        }
        find(&self.waiting.of(chat), position).cloned()
    }

    /// Files all waiting messages of a chat; returns how many there were.
    pub(super) fn file(&mut self, chat: ChatId) -> Result<usize, Fault> {
        let change = self.journal_changes.chats.entry(chat).or_default();
        let waiting = match std::mem::replace(&mut change.is_filed, true) {
            true => Arc::default(),
            false => self.waiting.of(chat),
        };
        let appended = std::mem::take(&mut change.appended);
        for entry in waiting.iter().chain(&appended) {
            let key = message_key(chat, entry.position);
            if self.messages.read()?.get(&key)?.is_none() {
                let record = record::encode(&entry.message);
                self.messages.write()?.insert(&key, &record[..])?;
            }
        }
        Ok(waiting.len() + appended.len())
    }

    /// Writes the messages that this batch appended and has not filed as rows after `last`.
    fn write_rows(&mut self, last: u64) -> Result<(), Fault> {
        let appended = self.journal_changes.chats.iter().flat_map(|(chat, it)| {
            it.appended.iter().map(|entry| JournalRecord {
                chat: *chat,
                position: entry.position,
                message: &entry.message,
            })
        });
        let records: Vec<_> = appended.collect();
        for row in records.chunks(ROW_MESSAGES_MAX) {
            self.journal_changes.written += 1;
            let number = last + self.journal_changes.written;
            self.journal
                .write()?
                .insert(number, &record::encode(&row)[..])?;
        }
        Ok(())
    }
}

/// The journal, owned by the writer.
#[derive(Debug)]
pub(super) struct Journal {
    waiting: Arc<Waiting>,
    filing: Filing,
    /// Waiting bytes.
    bytes: usize,
    /// The rows in the file: those after `removed`, up to `last`.
    removed: u64,
    last: u64,
    pass: Option<Pass>,
    /// When the last pass began.
    passed_at: Instant,
    /// When the last batch was committed.
    stepped_at: Instant,
}

/// A pass over the messages that were waiting when it began.
#[derive(Debug)]
struct Pass {
    chats: Vec<ChatId>,
    /// How many of them are filed.
    done: usize,
    /// The last row at that time.
    last: u64,
}

impl Journal {
    /// A journal that has not been read yet.
    pub(super) fn new(filing: Filing) -> Self {
        Self {
            waiting: Arc::default(),
            filing,
            bytes: 0,
            removed: 0,
            last: 0,
            pass: None,
            passed_at: Instant::now(),
            stepped_at: Instant::now(),
        }
    }

    /// The waiting messages, for readers.
    pub(super) fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// Reads the rows of a file that was just opened: these are exactly the waiting messages.
    /// Messages of removed chats are left out.
    pub(super) fn load(&mut self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let mut chats = BTreeMap::<ChatId, ChatChange>::new();
        let (mut first, mut last) = (None, 0);
        for row in transaction.journal.read()?.iter()? {
            let (number, records) = row?;
            last = number.value();
            first.get_or_insert(last);
            let records: Vec<JournalRecord<MessageRecord>> = record::decode(records.value())?;
            for JournalRecord {
                chat,
                position,
                message,
            } in records
            {
                let change = chats.entry(chat).or_default();
                insert(&mut change.appended, Entry { position, message });
            }
        }
        for chat in chats.keys().copied().collect::<Vec<_>>() {
            if transaction.chats.read()?.get(chat.as_bytes())?.is_none() {
                chats.remove(&chat);
            }
        }
        for chat in self.waiting.chats() {
            chats.entry(chat).or_default().is_filed = true;
        }
        self.bytes = self.waiting.apply(chats).0;
        self.removed = first.map_or(last, |first| first - 1);
        self.last = last;
        self.pass = None;
        Ok(())
    }

    /// Ends a batch: does a step of the pass, if one is due, and writes the appended messages.
    pub(super) fn write(&mut self, transaction: &mut Transaction<'_>) -> Result<(), Fault> {
        self.begin_pass();
        if let Some(pass) = &self.pass {
            self.step(pass, transaction)?;
        }
        transaction.write_rows(self.last)
    }

    fn begin_pass(&mut self) {
        let has_rows = self.last > self.removed;
        let is_due = self.bytes >= self.filing.bytes || self.passed_at.elapsed() >= self.filing.age;
        if self.pass.is_none() && has_rows && is_due {
            self.passed_at = Instant::now();
            self.pass = Some(Pass {
                chats: self.waiting.chats(),
                done: 0,
                last: self.last,
            });
        }
    }

    /// Files some of the remaining chats, or, when there are none, removes some of the rows.
    fn step(&self, pass: &Pass, transaction: &mut Transaction<'_>) -> Result<(), Fault> {
        let mut budget = self.budget(transaction);
        let left = &pass.chats[pass.done..];
        if left.is_empty() {
            let rows = budget.div_ceil(ROW_COST) as u64;
            let to = pass.last.min(self.removed + rows);
            transaction
                .journal
                .write()?
                .retain_in(..=to, |_, _| false)?;
            transaction.journal_changes.removed = to - self.removed;
            return Ok(());
        }
        for chat in left {
            transaction.journal_changes.passed += 1;
            let filed = transaction.file(*chat)?;
            match budget.checked_sub(filed) {
                Some(rest) if rest > 0 => budget = rest,
                _ => break,
            }
        }
        Ok(())
    }

    /// About how many messages the step of this batch files.
    fn budget(&self, transaction: &Transaction<'_>) -> usize {
        let changes = transaction.journal_changes.chats.values();
        let came: usize = changes.map(|change| change.appended.len()).sum();
        let elapsed = self.stepped_at.elapsed().as_millis() as usize;
        let due = elapsed.saturating_mul(self.filing.rate).min(STEP_MAX);
        (2 * came + due).max(1)
    }

    /// Applies a commit.
    pub(super) fn apply(&mut self, changes: JournalChanges) {
        self.stepped_at = Instant::now();
        let (grown, shrunk) = self.waiting.apply(changes.chats);
        self.bytes = (self.bytes + grown).saturating_sub(shrunk);
        self.last += changes.written;
        self.removed += changes.removed;
        if let Some(pass) = &mut self.pass {
            pass.done += changes.passed;
            if self.removed == pass.last {
                self.pass = None;
            }
        }
    }
}
