//! Reads the files that an operator names, or that lie where an operator says: regular ones only, with a
//! bound, and without waiting.
//!
//! A pipe is waited for until somebody writes to it, a device may have no end, and either would stop the
//! thread that reads. So whatever the server reads is opened here. What counts is the file that was
//! opened: its path may lead elsewhere a moment later. Links are followed, since a mounted secret is a
//! link to a regular file. Start reading at [`read`].

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    path::Path,
};

/// Most bytes of a file that is read as a whole: many times a chain of certificates, a configuration or
/// a list of categories.
pub const BYTES_MAX: u64 = 1024 * 1024;

/// Why a file is not read; it completes a sentence that names the file. It is the source of an
/// [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRead {
    /// It is something else, which reading may wait for, or never end with.
    #[error(
        "it is {0}, and only regular files are read: put the content into a file and name that"
    )]
    NotRegular(&'static str),
    /// It is longer than [`BYTES_MAX`].
    #[error("it is longer than 1 MiB, the most that is read: is it the right file?")]
    TooLong,
    /// It is not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
}

impl From<NotRead> for io::Error {
    fn from(reason: NotRead) -> Self {
        let kind = match reason {
            NotRead::TooLong => io::ErrorKind::FileTooLarge,
            NotRead::NotRegular(_) | NotRead::NotText => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, reason)
    }
}

/// The whole content of a regular file of at most [`BYTES_MAX`] bytes.
///
/// # Errors
/// What the system says, or [`NotRead`] inside the error.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    // The length in the metadata may be outdated, and is 0 in /proc.
    let read = file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match read as u64 > BYTES_MAX {
        true => Err(NotRead::TooLong.into()),
        false => Ok(bytes),
    }
}

/// As [`read`], for a file of text.
///
/// # Errors
/// As [`read`].
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| NotRead::NotText.into())
}

/// Opens a regular file of any length for reading, without waiting for anything else that may be there.
///
/// # Errors
/// What the system says, or [`NotRead::NotRegular`] inside the error.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Asked first, because to open a device may do something.
    require_regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    require_regular(&metadata)?;
    Ok((file, metadata))
}

/// Makes sure that this is about a regular file.
///
/// # Errors
/// [`NotRead::NotRegular`].
pub fn require_regular(metadata: &Metadata) -> Result<(), NotRead> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(NotRead::NotRegular(kind(metadata))),
    }
}

/// What is there instead of a regular file.
fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    "a device"
}

#[cfg(test)]
mod tests {
    use std::{
        os::{fd::AsRawFd as _, unix::fs::symlink, unix::net::UnixListener},
        path::PathBuf,
        process::Command,
        sync::mpsc::channel,
        thread,
        time::Duration,
    };

    use super::*;

    /// What reading a file gives, or "it waits".
    fn outcome(path: &Path) -> String {
        let (done, finished) = channel();
        let path = path.to_owned();
        thread::spawn(move || {
            let outcome = match read_text(&path) {
                Ok(text) => format!("{} bytes", text.len()),
                Err(error) => error.to_string(),
            };
            done.send(outcome)
        });
        let outcome = finished.recv_timeout(Duration::from_secs(5));
        outcome.unwrap_or_else(|_| "it waits".to_owned())
    }

    fn fifo(path: &Path) {
        let made = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }

    #[test]
    fn only_regular_files_are_read_whatever_else_a_path_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        fs::write(at("bytes"), [0xff, 0xfe]).unwrap();
        fifo(&at("pipe"));
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let (end, _other_end) = io::pipe().unwrap();
        // As a mounted secret of Kubernetes.
        fs::create_dir(at("..data")).unwrap();
        fs::write(at("..data/key"), "secret").unwrap();
        for (target, link) in [("..data/key", "key"), ("pipe", "to_pipe"), ("key", "key2")] {
            symlink(target, at(link)).unwrap();
        }
        let substituted = PathBuf::from(format!("/dev/fd/{}", end.as_raw_fd()));
        for (path, expected) in [
            (at("file"), "4 bytes"),
            (at("key"), "6 bytes"),
            (at("key2"), "6 bytes"),
            (PathBuf::from("/proc/self/comm"), "bytes"),
            (at("pipe"), "it is a pipe"),
            (at("to_pipe"), "it is a pipe"),
            (substituted, "it is a pipe"),
            (at("socket"), "it is a socket"),
            (at(""), "it is a folder"),
            (PathBuf::from("/dev/zero"), "it is a device"),
            (at("bytes"), "it is not UTF-8"),
            (at("nothing"), "No such file"),
        ] {
            let outcome = outcome(&path);
            assert!(outcome.contains(expected), "{}: {outcome}", path.display());
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (length, expected) in [
            (BYTES_MAX, "1048576 bytes"),
            (BYTES_MAX + 1, "it is longer than 1 MiB"),
        ] {
            File::create(&path).unwrap().set_len(length).unwrap();
            let outcome = outcome(&path);
            assert!(outcome.contains(expected), "{length}: {outcome}");
        }
    }

    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
        fs::write(&file, "text").unwrap();
        fifo(&pipe);
        let path = folder.path().join("path");
        symlink(&file, &path).unwrap();
        let beside = folder.path().join("next");
        let turns = {
            let path = path.clone();
            thread::spawn(move || {
                for turn in 0..2_000 {
                    let target = if turn % 2 == 0 { &pipe } else { &file };
                    symlink(target, &beside).unwrap();
                    fs::rename(&beside, &path).unwrap();
                }
            })
        };
        while !turns.is_finished() {
            let outcome = outcome(&path);
            let is_expected = outcome == "4 bytes" || outcome.starts_with("it is a pipe");
            assert!(is_expected, "{outcome}");
        }
        turns.join().unwrap();
    }
}
