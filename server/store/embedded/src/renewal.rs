//! Renewal of the file: all records are written into a new one, which takes the place of the old one.
//!
//! It serves two ends. A file of an earlier version holds names in clear, also in pages that are free, so it is
//! converted this way and the old bytes are overwritten ([`super::convert`]). And redb gives back little
//! of the room that it once took: a few records at the end of the file keep all of it. Its own compaction needs
//! the database for itself, for as long as it takes, and does not remove old bytes.
//!
//! Whatever happens in between, one whole file is in place: the new one is on the medium before it is renamed, and
//! nothing is written to either in the meantime. A new file that a crash has left is removed by the next start.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable as _, TableDefinition,
    TableError, TableHandle as _, Value, WriteTransaction,
};

use super::{
    convert,
    fault::Fault,
    open::{OpenError, open_database, open_file, sync_folder},
    record::{self, JournalRecord, MessageRecord},
    table,
    transaction::SCHEMA,
    vault::Vault,
};

/// Smallest file that is renewed to give back room, in bytes: less is not missed, and redb takes more room than it
/// needs for the moment.
const WASTEFUL_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// How many times as large as its records a file is that is renewed. redb doubles a small file whenever it is full,
/// and its pages are about two thirds full.
const WASTEFUL_TIMES: u64 = 4;

/// The database in the file at `path`, which may have been replaced: converted if its version is an earlier one, smaller
/// if most of it was free.
pub(super) fn at_start(
    database: Database,
    path: &Path,
    vault: &mut Vault,
) -> Result<Database, OpenError> {
    let failed = |fault| OpenError::fault(path, fault);
    remove_left(path).map_err(|error| OpenError::io(path, error))?;
    let version = version(&database).map_err(failed)?;
    if version.is_some_and(convert::is_convertible) {
        let converted = convert(database, path, vault).map_err(failed)?;
        tracing::info!("accounts that an older version has stored are sealed now");
        return Ok(converted);
    }
    if version != Some(SCHEMA) || !is_wasteful(&database, path).map_err(failed)? {
        return Ok(database);
    }
    match replace(&database, path, copy_all) {
        Ok(()) => drop(database),
        Err(fault) => {
            tracing::warn!(%fault, "the store's file keeps room that it does not need");
            return Ok(database);
        }
    }
    open_database(path, false).map_err(|error| OpenError::database(path, error))
}

/// The version of the tables; `None` in a new file.
fn version(database: &Database) -> Result<Option<u64>, Fault> {
    let read = database.begin_read()?;
    match read.open_table(table::META) {
        Ok(meta) => Ok(meta.get("schema")?.map(|version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether most of the file is free. Reads all of it, unless it is small.
fn is_wasteful(database: &Database, path: &Path) -> Result<bool, Fault> {
    let bytes = fs::metadata(path)?.len();
    if bytes < WASTEFUL_BYTES_MIN {
        return Ok(false);
    }
    let write = database.begin_write()?;
    let stats = write.stats()?;
    write.abort()?;
    let needed = stats.stored_bytes() + stats.metadata_bytes();
    Ok(bytes > needed.saturating_mul(WASTEFUL_TIMES))
}

/// Converts a file, and overwrites the old one.
fn convert(database: Database, path: &Path, vault: &mut Vault) -> Result<Database, Fault> {
    let old = open_file(path, false)?;
    replace(&database, path, |read, write| {
        convert::all(read, write, vault)
    })?;
    drop(database);
    if let Err(error) = overwrite(old) {
        tracing::warn!(%error, "the bytes of the store's old file could not be overwritten");
    }
    Ok(open_database(path, false)?)
}

fn overwrite(mut file: File) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 64 * 1024];
    let mut left = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    while left > 0 {
        let count = left.min(ZEROS.len() as u64);
        file.write_all(&ZEROS[..count as usize])?;
        left -= count;
    }
    file.sync_data()
}

/// Writes a new file by `fill` and puts it in the place of the old one.
fn replace(
    database: &Database,
    path: &Path,
    fill: impl FnOnce(&ReadTransaction, &WriteTransaction) -> Result<(), Fault>,
) -> Result<(), Fault> {
    // Somebody may have put a link there.
    let target = fs::canonicalize(path)?;
    let fresh = beside(&target);
    let written = write_new(database, &fresh, fill);
    let replaced = written.and_then(|()| Ok(fs::rename(&fresh, &target)?));
    if replaced.is_err() {
        let _ = fs::remove_file(&fresh);
        return replaced;
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    Ok(sync_folder(folder)?)
}

fn write_new(
    database: &Database,
    fresh: &Path,
    fill: impl FnOnce(&ReadTransaction, &WriteTransaction) -> Result<(), Fault>,
) -> Result<(), Fault> {
    drop(open_file(fresh, true)?);
    let to = open_database(fresh, false)?;
    let (read, write) = (database.begin_read()?, to.begin_write()?);
    fill(&read, &write)?;
    write.commit()?;
    Ok(())
}

/// Where the new file is written.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn remove_left(path: &Path) -> io::Result<()> {
    match fs::remove_file(beside(&fs::canonicalize(path)?)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Copies all tables.
fn copy_all(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), Fault> {
    copy(read, write, table::USERS)?;
    copy(read, write, table::NAMES)?;
    copy(read, write, table::CHATS)?;
    copy_unsealed(read, write)?;
    let copied: BTreeSet<_> = write
        .list_tables()?
        .map(|table| table.name().to_owned())
        .collect();
    match read
        .list_tables()?
        .find(|table| !copied.contains(table.name()))
    {
        Some(left) => Err(Fault::Corrupt(format!("{} was not copied", left.name()))),
        None => Ok(()),
    }
}

/// Copies the tables in which nothing of people stands.
pub(super) fn copy_unsealed(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), Fault> {
    copy(read, write, table::GENERATIONS)?;
    copy(read, write, table::RESTS)?;
    copy(read, write, table::REFRESH)?;
    copy(read, write, table::FAMILIES)?;
    copy(read, write, table::OPEN_TOKENS)?;
    copy(read, write, table::REGISTRATIONS)?;
    copy(read, write, table::BLOCKS)?;
    copy(read, write, table::BLOCKED_BY)?;
    copy(read, write, table::RECENTS)?;
    copy(read, write, table::CATEGORIES)?;
    copy(read, write, table::ACTIVE)?;
    copy(read, write, table::SEATS)?;
    copy(read, write, table::SPENT)?;
    copy(read, write, table::MESSAGES)?;
    copy_journal(read, write)?;
    copy(read, write, table::EXPIRY)?;
    copy(read, write, table::META)
}

/// Copies the rows of the journal, without the messages of chats that are removed.
fn copy_journal(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), Fault> {
    let mut to = write.open_table(table::JOURNAL)?;
    let (rows, chats) = match read.open_table(table::JOURNAL) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        rows => (rows?, read.open_table(table::CHATS)?),
    };
    for row in rows.iter()? {
        let (number, records) = row?;
        let records: Vec<JournalRecord<MessageRecord>> = record::decode(records.value())?;
        let mut left = Vec::with_capacity(records.len());
        for entry in records {
            if chats.get(entry.chat.as_bytes())?.is_some() {
                left.push(entry);
            }
        }
        if !left.is_empty() {
            to.insert(number.value(), &record::encode(&left)[..])?;
        }
    }
    Ok(())
}

fn copy<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    write: &WriteTransaction,
    definition: TableDefinition<'static, K, V>,
) -> Result<(), Fault> {
    let mut to = write.open_table(definition)?;
    let from = match read.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        other => other?,
    };
    for entry in from.iter()? {
        let (key, value) = entry?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}
