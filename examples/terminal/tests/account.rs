//! The program as a process, with a real server: what is typed, and what it prints.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{path::Path, process::Stdio};

use e2e::{Person, TestServer, within};
use nowrong_client::Transport;
use nowrong_protocol::frame::Body;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The program, and what its user types and reads.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Lines<BufReader<ChildStdout>>,
}

impl Terminal {
    fn start(server: &TestServer, folder: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_terminal"));
        command
            .args(["--url", &server.url(), "--over", "websocket"])
            .args(flags)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        Self {
            keys: child.stdin.take().unwrap(),
            screen: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// Starts with the recovery code, which is asked for.
    async fn recover(server: &TestServer, folder: &Path, code: &str) -> Self {
        let mut terminal = Self::start(server, folder, &["--recover"]);
        terminal.shows("type your recovery code").await;
        terminal.types(code).await;
        terminal
    }

    async fn types(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.keys.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line with this part.
    async fn shows(&mut self, part: &str) -> String {
        let found = async {
            while let Some(line) = self.screen.next_line().await.unwrap() {
                if line.contains(part) {
                    return line;
                }
            }
            panic!("it ended without `{part}`");
        };
        within(part, found).await
    }

    /// Waits until it ends: whether it found that all went well, and what it complained of.
    async fn ends(self) -> (bool, String) {
        let Self {
            child,
            keys: _keys,
            screen: _screen,
        } = self;
        let output = within("the end", child.wait_with_output()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    }

    async fn ends_well(self) {
        assert_eq!(self.ends().await, (true, String::new()));
    }
}

/// What stands after the colon of the line with the new code.
async fn new_code(terminal: &mut Terminal) -> String {
    terminal.types("/recovery").await;
    let shown = terminal.shows("your recovery code: ").await;
    terminal.shows("shown this once and replaces").await;
    shown.split_once(": ").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_recovery_code_brings_a_person_back_until_the_account_is_erased() {
    let server = TestServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut terminal = Terminal::start(&server, folder, &["--name", "Ana"]);
    terminal.shows("waiting for a partner").await;
    let replaced = new_code(&mut terminal).await;
    let code = new_code(&mut terminal).await;
    terminal.types("/quit").await;
    terminal
        .shows("your account stays: come back with --recover within a day")
        .await;
    terminal.ends_well().await;

    let (is_well, said) = Terminal::recover(&server, folder, &replaced)
        .await
        .ends()
        .await;
    assert!(
        !is_well && said.contains("No account has this recovery code"),
        "{said}"
    );

    let mut terminal = Terminal::recover(&server, folder, &code.to_lowercase()).await;
    terminal.shows("welcome back, Ana").await;
    terminal.types("/export mine.json").await;
    terminal.shows("mine.json").await;
    let exported = std::fs::read_to_string(folder.join("mine.json")).unwrap();
    assert!(exported.contains(r#""name": "Ana""#), "{exported}");
    terminal.types("/export mine.json").await;
    terminal.shows("exists already").await;
    terminal.types("/export").await;
    terminal.shows(r#""name": "Ana""#).await;
    terminal.types("/erase").await;
    terminal.shows("/erase yes").await;
    terminal.types("/erase yes").await;
    terminal.shows("everything is gone").await;
    terminal.ends_well().await;

    let (is_well, said) = Terminal::recover(&server, folder, &code).await.ends().await;
    assert!(
        !is_well && said.contains("No account has this recovery code"),
        "{said}"
    );
}

#[tokio::test]
async fn quitting_without_a_code_erases_the_account_and_logging_out_leaves_it() {
    let server = TestServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, typed, shown) in [
        ("Ana", &["/quit"][..], "everything is gone"),
        (
            "Ben",
            &["/recovery", "/forget", "/quit"],
            "everything is gone",
        ),
        ("Cleo", &["/logout"], "nobody can come back"),
        (
            "Dora",
            &["/recovery", "/logout"],
            "come back with --recover",
        ),
    ] {
        let mut terminal = Terminal::start(&server, folder, &["--name", name]);
        terminal.shows("waiting for a partner").await;
        for line in typed {
            terminal.types(line).await;
        }
        terminal.shows(shown).await;
        terminal.ends_well().await;
    }
}

#[tokio::test]
async fn a_partner_reads_what_is_said_and_no_command() {
    let server = TestServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ben = Person::arrive(&server, "Ben", Transport::WebSocket.into());
    let ben = ben.await.unwrap();
    let mut ticket = ben.client.join("music", &[]).await.unwrap();
    let mut terminal = Terminal::start(&server, folder.path(), &["--name", "Ana"]);
    let mut chat = within("a match", ticket.matched()).await.unwrap();
    terminal.shows("you are with Ben").await;
    terminal.types("/wave").await;
    terminal.shows("there is no command /wave").await;
    terminal.types("//wave").await;
    let heard = within("the message", chat.next_message()).await.unwrap();
    assert_eq!(heard.body, Body::Text("/wave".to_owned()));
    terminal.types("/block").await;
    terminal.shows("will not meet again").await;
    assert!(within("the end", chat.next_message()).await.is_none());
    terminal.types("/quit").await;
    terminal.ends_well().await;
}

#[tokio::test]
async fn ctrl_c_ends_it_at_once_and_erases_an_account_without_a_code() {
    let server = TestServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(&server, folder.path(), &["--name", "Ana"]);
    terminal.shows("waiting for a partner").await;
    let process = terminal.child.id().unwrap().to_string();
    let mut command = Command::new("kill");
    let sent = command.args(["-INT", &process]).status().await;
    assert!(sent.unwrap().success());
    terminal.shows("everything is gone").await;
    terminal.ends_well().await;
}
