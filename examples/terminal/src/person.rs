//! The person at the terminal and the account: how they come, what they ask about it, how they go.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use nowrong_client::{Api, ApiError, NewAccount, User};
use nowrong_protocol::ErrorCode;

use crate::{
    command::{HELP, Line},
    refusal, screen,
};

/// A person with an account.
pub(crate) struct Person {
    user: User,
    /// Whether there is a code to come back with, as far as this program knows.
    has_code: bool,
}

/// How a person goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The account stays for a person who can come back, and is erased otherwise.
    Quit,
    /// The account stays; it is not used here any more.
    LogOut,
    /// The account is erased already.
    Erased,
}

impl Person {
    /// With a new account.
    ///
    /// # Errors
    /// The refusal in words.
    pub(crate) async fn register(api: &Api, account: &NewAccount) -> anyhow::Result<Self> {
        let user = api.register(account).await.map_err(told)?;
        Ok(Self {
            user,
            has_code: false,
        })
    }

    /// With the account of this recovery code.
    ///
    /// # Errors
    /// The refusal in words.
    pub(crate) async fn recover(api: &Api, code: &str) -> anyhow::Result<Self> {
        let user = api.recover(code).await.map_err(|error| match error.code() {
            Some(ErrorCode::REFRESH_REFUSED) => anyhow!(
                "No account has this recovery code: it was replaced or removed, or the account is gone. \
                 --name begins a new one."
            ),
            _ => told(error),
        })?;
        Ok(Self {
            user,
            has_code: true,
        })
    }

    /// The account.
    pub(crate) fn user(&self) -> &User {
        &self.user
    }

    /// Does what a line asks of the account, and says so; lines for a partner are read elsewhere. Returns how
    /// the person goes, if that was the wish.
    pub(crate) async fn tend(&mut self, line: Line) -> Option<Parting> {
        let said = match line {
            Line::Quit => return Some(Parting::Quit),
            Line::LogOut => return Some(Parting::LogOut),
            Line::Erase { is_sure: true } => match self.user.delete().await {
                Ok(()) => return Some(Parting::Erased),
                Err(error) => Err(error),
            },
            Line::Erase { is_sure: false } => Ok(SURE.to_owned()),
            Line::Recovery => self.make_code().await,
            Line::Forget => self.forget_code().await,
            Line::Export(None) => self.export().await,
            Line::Export(Some(file)) => self.export_into(&file).await,
            Line::Unknown(typed) => Ok(format!("{}\n{HELP}", screen::unknown(&typed))),
            _ => Ok(HELP.to_owned()),
        };
        println!("{}", said.unwrap_or_else(|error| not_done(&error)));
        None
    }

    async fn make_code(&mut self) -> Result<String, ApiError> {
        let code = self.user.make_recovery_code().await?;
        self.has_code = true;
        Ok(format!(
            "* your recovery code: {code}\n* it is shown this once and replaces the one before: write it down"
        ))
    }

    async fn forget_code(&mut self) -> Result<String, ApiError> {
        self.user.remove_recovery_code().await?;
        self.has_code = false;
        Ok("* your account has no recovery code now: /quit erases it".to_owned())
    }

    /// All that the server holds, as a person can read it.
    async fn export(&self) -> Result<String, ApiError> {
        Ok(format!("{:#}", self.user.export().await?))
    }

    async fn export_into(&self, path: &Path) -> Result<String, ApiError> {
        // First the file: a few exports an hour are too few to spend one on a file that cannot be written.
        let mut file = match create(path) {
            Ok(file) => file,
            Err(error) => return Ok(unwritten(path, &error)),
        };
        let written = self.export().await.map(|data| writeln!(file, "{data}"));
        if !matches!(written, Ok(Ok(()))) {
            // Half a file is not worth having, and would be in the way of the next attempt.
            let _ = std::fs::remove_file(path);
        }
        Ok(match written? {
            Ok(()) => format!("* your data are in {}", absolute(path).display()),
            Err(error) => unwritten(path, &error),
        })
    }

    /// Ends what is left of the account here, and says what becomes of it.
    ///
    /// # Errors
    /// The refusal in words.
    pub(crate) async fn part(&self, parting: Parting) -> anyhow::Result<()> {
        let said = match (parting, self.has_code) {
            (Parting::Erased, _) => GONE,
            (Parting::Quit, true) => "* your account stays: come back with --recover within a day",
            (Parting::Quit, false) => {
                self.user.delete().await.map_err(not_erased)?;
                GONE
            }
            (Parting::LogOut, has_code) => {
                self.user.log_out(false).await.map_err(not_logged_out)?;
                if has_code { LOGGED_OUT } else { LOST }
            }
        };
        println!("{said}");
        Ok(())
    }
}

const SURE: &str = "* this erases your account with its name, its chat and its recovery code, \
    now and for good; if you are sure: /erase yes";
const GONE: &str = "* everything is gone: your account, its name and its chat are erased";
const LOGGED_OUT: &str = "* you are logged out here: come back with --recover within a day";
const LOST: &str = "* you are logged out here; without a recovery code nobody can come back, \
    and your account is erased within a day";

fn told(error: ApiError) -> anyhow::Error {
    anyhow!(refusal::words_of_api(&error))
}

fn not_erased(error: ApiError) -> anyhow::Error {
    let why = refusal::words_of_api(&error);
    anyhow!("Your account is not erased yet, the server does it within a day. {why}")
}

fn not_logged_out(error: ApiError) -> anyhow::Error {
    let why = refusal::words_of_api(&error);
    anyhow!("The server was not told that you log out here. {why}")
}

fn not_done(error: &ApiError) -> String {
    format!("* not done: {}", refusal::words_of_api(error))
}

/// A new file, for the eyes of its owner.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Why there is no such file now.
fn unwritten(path: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::AlreadyExists => "it exists already and stays as it is, name another file",
        ErrorKind::NotFound => "there is no such folder",
        ErrorKind::PermissionDenied => "you may not write there",
        ErrorKind::StorageFull => "the disk is full",
        _ => "it cannot be written, name another file",
    };
    format!("* not done: {}: {why}", absolute(path).display())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.json");
        create(&path).unwrap().write_all(b"{}").unwrap();
        let said = unwritten(&path, &create(&path).unwrap_err());
        assert!(said.contains("mine.json: it exists already"), "{said}");
        assert_eq!(std::fs::read(&path).unwrap(), b"{}");
        let nowhere = folder.path().join("no/mine.json");
        let said = unwritten(&nowhere, &create(&nowhere).unwrap_err());
        assert!(said.ends_with("no such folder"), "{said}");
    }
}
