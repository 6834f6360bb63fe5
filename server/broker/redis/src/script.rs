//! Lua scripts, called by hash. A server that does not have a script (because it is new, restarted
//! or promoted) gets it with the next call.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use nowrong_broker::BrokerError;
use redis::{Cmd, ErrorKind, FromRedisValue, ServerErrorKind, ToRedisArgs};

use super::{connection::Connection, hex};

/// A script with its name in metrics, made of files beside the caller, in this order.
macro_rules! script {
    ($name:literal: $($file:literal),+) => {
        $crate::script::Script::new($name, concat!($(include_str!($file)),+))
    };
}
pub(super) use script;

/// One script: its text, and its SHA-1, which is its name.
pub(super) struct Script {
    name: &'static str,
    text: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// A script with this text.
    pub(super) const fn new(name: &'static str, text: &'static str) -> Self {
        let hash = OnceLock::new();
        Self { name, text, hash }
    }

    /// A call, still without keys and arguments.
    pub(super) fn call(&self) -> Call<'_> {
        Call {
            script: self,
            keys: Vec::new(),
            args: Vec::new(),
        }
    }

    fn hash(&self) -> &str {
        let hash = || digest(&SHA1_FOR_LEGACY_USE_ONLY, self.text.as_bytes());
        self.hash.get_or_init(|| hex(hash().as_ref()))
    }
}

/// A call of a script.
pub(super) struct Call<'a> {
    script: &'a Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Call<'_> {
    /// Declares a key.
    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds an argument, or several when it is a list.
    pub(super) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.args.extend(arg.to_redis_args());
        self
    }

    /// Runs it: one command, or two if the server does not have the script yet.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connection: &Connection,
    ) -> Result<T, BrokerError> {
        let by_hash = self.command("EVALSHA", self.script.hash());
        match connection.query(self.script.name, &by_hash).await {
            Err(error) if error.is(ErrorKind::Server(ServerErrorKind::NoScript)) => {
                let by_text = self.command("EVAL", self.script.text);
                connection.query(self.script.name, &by_text).await
            }
            answered => answered,
        }
        .map_err(BrokerError::from)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len());
        command.arg(&self.keys).arg(&self.args);
        command
    }
}
