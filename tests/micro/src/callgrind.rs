//! Counts instructions with callgrind, of Debian's valgrind.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::Case;

/// Operations of the short and of the long run.
const OPERATIONS: [u32; 2] = [1_000, 11_000];

/// Instructions for one operation of `case`; `program` is `nowrong-micro`, which runs it.
///
/// # Errors
/// When valgrind is missing or fails.
pub fn instructions(case: &Case, program: &Path, scratch: &Path) -> anyhow::Result<f64> {
    let [few, many] = OPERATIONS;
    let counted_few = count(case, program, scratch, few)?;
    let counted_many = count(case, program, scratch, many)?;
    Ok(counted_many.saturating_sub(counted_few) as f64 / f64::from(many - few))
}

fn count(case: &Case, program: &Path, scratch: &Path, operations: u32) -> anyhow::Result<u64> {
    let out = scratch.join("callgrind.out");
    let mut file = OsString::from("--callgrind-out-file=");
    file.push(&out);
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(file)
        .arg(program)
        .args(["run", case.name, &operations.to_string()])
        .stdin(Stdio::null())
        .status()
        .context("cannot start valgrind; on Debian `apt-get install valgrind`")?;
    if !status.success() {
        bail!("valgrind failed: {status}");
    }
    let text = std::fs::read_to_string(&out)?;
    total(&text).context("callgrind did not write a total")
}

/// The total of a callgrind file.
fn total(text: &str) -> Option<u64> {
    let total = |line: &str| {
        line.strip_prefix("totals:")
            .or(line.strip_prefix("summary:"))?
            .trim()
            .parse()
            .ok()
    };
    text.lines().rev().find_map(total)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_total_is_found() {
        assert_eq!(
            super::total("events: Ir\n1 2\n\ntotals: 12345\n"),
            Some(12_345)
        );
        assert_eq!(super::total("summary: 77\nfn=(1)\n3 4\n"), Some(77));
        assert_eq!(super::total(""), None);
    }
}
