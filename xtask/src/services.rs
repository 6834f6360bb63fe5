//! `cargo xtask services up|down`: a real MongoDB and a real Redis on loopback, for tests and for
//! development.
//!
//! Everything lies in one folder under `target/`: the downloaded program, the data, the addresses
//! as files that tests read, and the ids of the processes, so that `down` ends exactly those. Ports
//! are free ones of each start, so several checkouts do not meet.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use services::{
    mongodb::ReplicaSet,
    process,
    redis::Redis,
    shared::{self, Setting},
};

use crate::{output::say, run::Run, tree};

mod program;

pub use program::redis_server;

/// Flags of the MongoDB that tests share. They make up their own time, so the server must not expire
/// records by its own; what tests the expiry starts a server for it.
const SHARED_MONGOD: [&str; 2] = ["--setParameter", "ttlMonitorEnabled=false"];

/// What to do with the servers.
#[derive(Args)]
pub struct ServicesArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start them, unless they run, and print where they are.
    Up,
    /// End them and remove their data.
    Down,
}

/// Runs the command.
///
/// # Errors
/// When a program is missing and cannot be installed, or a server does not start.
pub fn services(root: &Path, args: &ServicesArgs) -> anyhow::Result<()> {
    let folder = folder(root);
    match args.action {
        Action::Up => {
            if !folder.is_up() {
                folder.up(root)?;
            }
            for (name, value) in folder.settings()? {
                say!("{name}={value}");
            }
            Ok(())
        }
        Action::Down => folder.down(),
    }
}

/// The programs `mongod` and `redis-server`, for commands that start servers of their own.
///
/// # Errors
/// When one is missing and cannot be installed.
pub fn programs(root: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let mongod = program::mongod(root, &folder(root).0)?;
    Ok((mongod, redis_server()?))
}

/// The program `nats-server`, for a comparison with it.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn nats_server(root: &Path) -> anyhow::Result<PathBuf> {
    program::nats_server(root, &folder(root).0)
}

/// The program `sockudo`, for a comparison with it.
///
/// # Errors
/// When it is missing and does not build.
pub fn sockudo(root: &Path) -> anyhow::Result<PathBuf> {
    program::sockudo(root, &folder(root).0)
}

/// Servers for the tests of one command.
pub struct ForTests {
    folder: Folder,
    settings: Vec<(&'static str, String)>,
    /// Whether they end with this value: those that ran before it stay.
    is_own: bool,
}

/// Starts the servers, unless they run.
///
/// # Errors
/// As [`services()`].
pub fn for_tests(root: &Path) -> anyhow::Result<ForTests> {
    let folder = folder(root);
    let is_own = !folder.is_up();
    if is_own {
        folder.up(root)?;
    }
    let settings = folder.settings()?;
    Ok(ForTests {
        folder,
        settings,
        is_own,
    })
}

impl ForTests {
    /// Tells a command where they are.
    pub fn tell(&self, run: Run) -> Run {
        let settings = self.settings.iter();
        settings.fold(run, |run, (name, value)| run.env(name, value))
    }
}

impl Drop for ForTests {
    fn drop(&mut self) {
        if self.is_own
            && let Err(error) = self.folder.down()
        {
            say!("   the servers could not be ended: {error:#}");
        }
    }
}

fn folder(root: &Path) -> Folder {
    Folder(shared::folder(&tree::target_dir(root)))
}

/// The folder of the servers.
struct Folder(PathBuf);

impl Folder {
    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The ids of the processes, written when all of them are ready.
    fn ids(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.0.join("ids")).unwrap_or_default();
        text.lines().filter_map(|id| id.parse().ok()).collect()
    }

    fn is_up(&self) -> bool {
        let (ids, data) = (self.ids(), self.data());
        !ids.is_empty() && ids.iter().all(|id| process::is_running(*id, &data))
    }

    fn up(&self, root: &Path) -> anyhow::Result<()> {
        self.down()?;
        let mongod = program::mongod(root, &self.0)?;
        let redis_server = redis_server()?;
        let data = self.data();
        say!("   starting mongod and redis-server on loopback");
        let mongodb = ReplicaSet::start(&mongod, &data.join("mongodb"), 1, &SHARED_MONGOD)?;
        let redis = Redis::start(&redis_server, &data.join("redis"), &[])?;
        self.write(Setting::Mongodb, &mongodb.url())?;
        self.write(Setting::Redis, &redis.url())?;
        self.write(Setting::MongodProgram, &mongod.to_string_lossy())?;
        self.write(Setting::RedisProgram, &redis_server.to_string_lossy())?;
        // From here on they live without this process.
        let ids = mongodb.leave().into_iter().chain([redis.leave()]);
        let ids: Vec<_> = ids.map(|id| id.to_string()).collect();
        fs::write(self.0.join("ids"), ids.join("\n"))?;
        Ok(())
    }

    fn write(&self, setting: Setting, value: &str) -> anyhow::Result<()> {
        let path = self.0.join(setting.name());
        fs::write(&path, value).with_context(|| path.display().to_string())
    }

    fn settings(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let read = |setting: Setting| {
            let path = self.0.join(setting.name());
            let value = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok((setting.name(), value))
        };
        Setting::ALL.into_iter().map(read).collect()
    }

    fn down(&self) -> anyhow::Result<()> {
        let data = self.data();
        for id in self.ids() {
            if process::is_running(id, &data) {
                process::end(id, &data)?;
            }
        }
        let leftovers = Setting::ALL.map(Setting::name);
        for name in leftovers.into_iter().chain(["ids"]) {
            let path = self.0.join(name);
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        Ok(())
    }
}
