//! A small disk of a server's own, which a test can fill: memory, mounted where nobody else sees it.

use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::within;

/// Mounts a disk of `$1` MB at `$0`, and holds it until it is killed.
const HOLD: &str = "mount -t tmpfs -o size=$1m none \"$0\" && echo mounted && exec sleep infinity";

/// What is written at once to fill a disk.
const MEGABYTE: usize = 1 << 20;

/// The disk, and the process that holds it.
pub(crate) struct Disk {
    holder: Child,
    folder: PathBuf,
}

impl Disk {
    /// Mounts a disk at `folder`, in a mount namespace of its own. Needs root.
    pub(crate) async fn mount(folder: &Path, megabytes: u32) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", HOLD])
            .arg(folder)
            .arg(megabytes.to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("unshare (util-linux)")?;
        let stdout = holder.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        match within("a mounted disk", lines.next_line()).await? {
            Some(line) if line == "mounted" => {}
            _ => bail!("no disk can be mounted: this test needs root"),
        }
        Ok(Self {
            holder,
            folder: folder.to_owned(),
        })
    }

    /// A command that sees the disk.
    pub(crate) fn command(&self, program: PathBuf) -> anyhow::Result<Command> {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.pid()?))
            .arg(program);
        Ok(command)
    }

    /// Fills the disk with one file, but for `left` bytes of room; with `None` the file is removed.
    pub(crate) fn fill(&self, left: Option<u64>) -> anyhow::Result<()> {
        let folder = self.folder.strip_prefix("/")?;
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()?));
        let path = root.join(folder).join("filler");
        let Some(left) = left else {
            return Ok(std::fs::remove_file(path)?);
        };
        let mut file = std::fs::File::create(path)?;
        loop {
            match file.write_all(&[1; MEGABYTE]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(left))?;
        Ok(())
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.holder.id().context("the disk is gone")
    }
}
