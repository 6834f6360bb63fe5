//! A server of any kind that is one process on one port.

use std::{fs, path::PathBuf, process::Command};

use crate::process::Process;

/// How a server is started, and started again.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    /// The folder with its data and its output.
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) arguments: Vec<String>,
    /// Whether the server at a port can be used.
    pub(crate) is_ready: fn(u16) -> bool,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    launch: Launch,
}

impl Server {
    /// Starts it and returns when it can be used.
    pub(crate) fn start(launch: Launch) -> anyhow::Result<Self> {
        let Launch {
            program,
            folder,
            port,
            arguments,
            is_ready,
        } = &launch;
        fs::create_dir_all(folder)?;
        let mut process =
            Process::start(Command::new(program).args(arguments), &folder.join("log"))?;
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        process.wait_until(&format!("{name} takes commands"), || is_ready(*port))?;
        Ok(Self { process, launch })
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(crate) fn port(&self) -> u16 {
        self.launch.port
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a crash would: SIGKILL.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again in the same folder and on the same port, after [`Self::kill`].
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        *self = Self::start(self.launch.clone())?;
        Ok(())
    }

    /// Leaves it running; returns its process id.
    pub(crate) fn leave(self) -> u32 {
        self.process.leave()
    }
}

/// Arguments as [`Launch`] holds them.
pub(crate) fn arguments<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    parts.into_iter().map(str::to_owned).collect()
}
