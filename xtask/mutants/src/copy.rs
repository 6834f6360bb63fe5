//! The repository once more: mutants are tried there, so that nobody meets one in the real files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::draw::hash;

/// A copy of every file that belongs to the repository.
pub struct Copy {
    root: PathBuf,
    files: Vec<String>,
}

impl Copy {
    /// Makes it, or brings it up to date: what did not change keeps its time, so that cargo knows it.
    ///
    /// # Errors
    /// When git fails, or a file cannot be read or written.
    pub fn make(from: &Path, to: &Path) -> anyhow::Result<Self> {
        let files = files(from)?;
        for file in &files {
            let (source, target) = (from.join(file), to.join(file));
            let bytes = fs::read(&source).with_context(|| source.display().to_string())?;
            if fs::read(&target).is_ok_and(|held| held == bytes) {
                continue;
            }
            fs::create_dir_all(target.parent().context("a file lies in a folder")?)?;
            fs::write(&target, bytes).with_context(|| target.display().to_string())?;
        }
        let root = to.to_owned();
        for held in walk(to, Path::new("")) {
            if files.binary_search(&held).is_err() {
                fs::remove_file(root.join(held))?;
            }
        }
        Ok(Self { root, files })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A hash of the file, or of all files in the folder.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn fingerprint(&self, path: &str) -> anyhow::Result<u64> {
        let folder = format!("{path}/");
        let is_meant = |file: &&String| *file == path || file.starts_with(&folder);
        let mut print = 0;
        for file in self.files.iter().filter(is_meant) {
            let bytes = fs::read(self.root.join(file)).with_context(|| file.clone())?;
            print = hash(hash(print, file.as_bytes()), &bytes);
        }
        Ok(print)
    }
}

/// Every file of the repository, sorted.
fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let output = Command::new("git").current_dir(root).args(list).output()?;
    if !output.status.success() {
        bail!("git cannot list the files of {}", root.display());
    }
    let listed = String::from_utf8(output.stdout)?;
    let files = listed.split('\0').filter(|file| root.join(file).is_file());
    let mut files: Vec<_> = files.map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// The files below `root/folder`, by their paths from `root`.
fn walk(root: &Path, folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten();
    let entries = entries.filter_map(Result::ok);
    let found = entries.map(|entry| {
        let path = folder.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(root, &path),
            _ => vec![path.to_string_lossy().into_owned()],
        }
    });
    found.flatten().collect()
}
