//! The servers that `cargo xtask services up` runs for everyone, and how tests find them.
//!
//! Their addresses and programs are in [`folder`], one file each; an environment variable of the
//! same name takes precedence over the file. A test that finds neither fails and says what to run.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// A setting that tests ask for, by the name of its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Connection string of a MongoDB replica set that all tests share, each in its own database.
    Mongodb,
    /// URL of a Redis that all tests share.
    Redis,
    /// The program `mongod`, for tests that need a server of their own.
    MongodProgram,
    /// The program `redis-server`.
    RedisProgram,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Mongodb,
        Self::Redis,
        Self::MongodProgram,
        Self::RedisProgram,
    ];

    /// Name of its environment variable and of its file. Not one of `NOWRONG_…`: the server, which
    /// tests start in this environment, would mistake it for a key of its own and refuse it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mongodb => "TEST_MONGODB",
            Self::Redis => "TEST_REDIS",
            Self::MongodProgram => "TEST_MONGOD",
            Self::RedisProgram => "TEST_REDIS_SERVER",
        }
    }
}

/// The folder of `cargo xtask services`, given Cargo's target folder.
pub fn folder(target: &Path) -> PathBuf {
    target.join("services")
}

/// The value of `setting`, for a test.
///
/// # Errors
/// When nobody started the servers: the message says what to run.
pub fn find(setting: Setting) -> anyhow::Result<String> {
    let name = setting.name();
    if let Ok(value) = env::var(name) {
        return Ok(value);
    }
    let test = env::current_exe()?;
    // target/PROFILE/deps/TEST
    let target = test.ancestors().nth(3).context("a test lies in target/")?;
    match fs::read_to_string(folder(target).join(name)) {
        Ok(value) => Ok(value.trim().to_owned()),
        Err(_) => bail!(
            "this test needs real servers: run `cargo xtask services up` first, or set {name}"
        ),
    }
}
