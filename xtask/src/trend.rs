//! The seconds of every part of every run, one line of JSON each, appended to a file under `target/`: so
//! that a part that becomes slower is seen.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;

use crate::tree;

/// One part that was run.
pub struct Entry<'a> {
    /// The command it belongs to.
    pub command: &'a str,
    /// Its name.
    pub part: &'a str,
    /// `short` or `long`.
    pub form: &'a str,
    /// Whether it passed.
    pub is_ok: bool,
    /// From its begin to its end.
    pub elapsed: Duration,
    /// What of that is counted for it: a moment in which two parts run counts half to each.
    pub counted: Duration,
}

/// Appends the entries and returns the file.
///
/// # Errors
/// When it cannot be written.
pub fn append(root: &Path, entries: &[Entry<'_>]) -> anyhow::Result<PathBuf> {
    let path = tree::target_dir(root).join("parts.jsonl");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |time| time.as_secs());
    let lines: String = entries.iter().map(|entry| line(entry, now)).collect();
    let open = || {
        std::fs::create_dir_all(tree::target_dir(root))?;
        File::options().append(true).create(true).open(&path)
    };
    let written = open().and_then(|mut file| file.write_all(lines.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// One line. Names hold nothing that JSON would have to escape.
fn line(entry: &Entry<'_>, now: u64) -> String {
    let Entry {
        command,
        part,
        form,
        is_ok,
        ..
    } = entry;
    let (elapsed, counted) = (entry.elapsed.as_secs_f32(), entry.counted.as_secs_f32());
    format!(
        "{{\"at\":{now},\"command\":\"{command}\",\"part\":\"{part}\",\"form\":\"{form}\",\
         \"ok\":{is_ok},\"seconds\":{elapsed:.1},\"counted\":{counted:.1}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_of_json() {
        let entry = Entry {
            command: "test",
            part: "rust",
            form: "short",
            is_ok: true,
            elapsed: Duration::from_millis(12_340),
            counted: Duration::from_millis(6_000),
        };
        let expected = "{\"at\":7,\"command\":\"test\",\"part\":\"rust\",\"form\":\"short\",\"ok\":true,\
                        \"seconds\":12.3,\"counted\":6.0}\n";
        assert_eq!(line(&entry, 7), expected);
    }
}
