//! NoWrong as a target: the real binary with its defaults, except for limits that a single address
//! would reach.

use std::{
    cell::{Cell, RefCell},
    ffi::OsString,
    path::Path,
};

use anyhow::Context as _;
use async_trait::async_trait;
use nowrong_client::{Api, Endpoint, NewAccount, User};
use nowrong_protocol::{
    ChatId, ClientFrame, Position,
    frame::{Hello, Resume},
    version::VersionRange,
};
use tempfile::TempDir;

use super::{Place, Running, Target};
use crate::{
    dialect::nowrong,
    drive::Peer,
    process::Process,
    wire::{Sockets, Wire},
};

mod person;

pub use person::{Person, bring_together};

/// Which transport the people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// WebTransport.
    WebTransport,
    /// WebSocket.
    WebSocket,
    /// Seven of ten over WebTransport, the others over WebSocket.
    Both,
}

impl Transport {
    /// The transport of the `number`th person to connect.
    fn of(self, number: u32) -> Self {
        match self {
            Self::Both if number % 10 < 7 => Self::WebTransport,
            Self::Both => Self::WebSocket,
            one => one,
        }
    }
}

/// Where the server stores its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In a folder: the default, an ack means that the message is on the disk.
    Disk,
    /// In memory: lost with the process.
    Memory,
}

/// NoWrong over one transport.
#[derive(Clone, Copy, Debug)]
pub struct NoWrong {
    name: &'static str,
    transport: Transport,
    storage: Storage,
    sends_receipts: bool,
    has_fast_path: bool,
}

impl NoWrong {
    /// NoWrong under this name.
    pub const fn new(name: &'static str, transport: Transport, storage: Storage) -> Self {
        Self {
            name,
            transport,
            storage,
            sends_receipts: false,
            has_fast_path: true,
        }
    }

    /// The same with the fast path off, on both sides.
    pub const fn without_fast_path(self, name: &'static str) -> Self {
        Self {
            name,
            has_fast_path: false,
            ..self
        }
    }

    /// Whether written bytes are sent twice over links that lose packets.
    pub fn has_fast_path(&self) -> bool {
        self.has_fast_path
    }

    /// The same, with clients that confirm the messages they receive, as the SDK does. None of the
    /// other targets has such receipts.
    pub const fn with_receipts(self, name: &'static str) -> Self {
        Self {
            name,
            sends_receipts: true,
            ..self
        }
    }

    /// Where it stores its data.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// The transport of its people.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Starts the server, with `categories` instead of its own if they are given.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_with(
        &self,
        place: &Place,
        categories: Option<&Path>,
    ) -> anyhow::Result<RunningNoWrong> {
        let folder = tempfile::tempdir_in(&place.scratch)?;
        let data = match self.storage {
            Storage::Disk => folder.path().join("data").into_os_string(),
            Storage::Memory => "memory".into(),
        };
        let mut command = command(place, data);
        if !self.has_fast_path {
            command.extend(["--set", "fast_path=false"].map(Into::into));
        }
        if let Some(file) = categories {
            command.push("--set".into());
            command.push(format!("categories={}", file.display()).into());
        }
        let process = Process::start(&place.program(self.name, command)).await?;
        let api = Api::new(process.field("http")?)?;
        Ok(RunningNoWrong {
            transport: self.transport,
            sends_receipts: self.sends_receipts,
            has_fast_path: self.has_fast_path,
            process,
            api,
            sockets: RefCell::default(),
            registered: Cell::new(0),
            connected: Cell::new(0),
            folder,
        })
    }
}

/// The command of a server that accepts many people from one address.
pub(super) fn command(place: &Place, data: OsString) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![place.server.clone().into(), "serve".into()];
    let listen = place.listen();
    let fixed = ["--listen-http", &listen, "--listen-quic", &listen];
    command.extend(fixed.map(Into::into));
    command.extend(["--log-level", "warn"].map(Into::into));
    command.extend(["--data".into(), data]);
    // All people come from one address.
    let keys = [
        "connections_max",
        "connections_per_prefix_max",
        "handshakes_burst",
        "register_burst",
        "requests_burst",
        "account_burst",
    ];
    for key in keys {
        command.extend(["--set".into(), format!("limits.{key}=100000000").into()]);
    }
    command.extend(["--set".into(), "limits.text_bytes_burst=4000000000".into()]);
    // What the load program would compute is not what is measured.
    command.extend(["--set".into(), "limits.proof_work=0".into()]);
    command
}

#[async_trait(?Send)]
impl Target for NoWrong {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        match (self.transport, self.storage) {
            (Transport::WebTransport, Storage::Disk) => {
                "NoWrong over WebTransport; an ack means that the message is on the disk"
            }
            (Transport::WebSocket, Storage::Disk) => {
                "NoWrong over WebSocket, without TLS; an ack means that the message is on the disk"
            }
            (Transport::WebTransport, Storage::Memory) => {
                "NoWrong over WebTransport, its store in memory"
            }
            (Transport::Both, _) => {
                "NoWrong; seven of ten people use WebTransport, the others WebSocket"
            }
            (Transport::WebSocket, Storage::Memory) => {
                "NoWrong over WebSocket, without TLS, its store in memory"
            }
        }
    }

    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        Ok(Box::new(self.start_with(place, None).await?))
    }

    fn is_default(&self) -> bool {
        !self.sends_receipts
    }

    fn as_nowrong(&self) -> Option<&NoWrong> {
        Some(self)
    }
}

/// A running server.
pub struct RunningNoWrong {
    transport: Transport,
    sends_receipts: bool,
    has_fast_path: bool,
    process: Process,
    api: Api,
    sockets: RefCell<Sockets>,
    registered: Cell<u32>,
    connected: Cell<u32>,
    folder: TempDir,
}

impl RunningNoWrong {
    /// Its REST interface.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// A name that is not taken yet.
    pub fn fresh_name(&self) -> String {
        let number = self.registered.get();
        self.registered.set(number + 1);
        format!("bench {number}")
    }

    /// Registers a person and connects.
    ///
    /// # Errors
    /// When the person is not let in.
    pub async fn arrive(&self) -> anyhow::Result<Person> {
        let account = NewAccount::named(self.fresh_name());
        let user = self.api.register(&account).await?;
        self.connect(user, None).await
    }

    /// Connects a person, who may resume a chat from a position.
    ///
    /// # Errors
    /// When the person is not let in, or the chat no longer exists.
    pub async fn connect(
        &self,
        user: User,
        resume: Option<(ChatId, Position)>,
    ) -> anyhow::Result<Person> {
        let connect = user.connect().await?;
        let (wire, mut dialect) = self.open_wire(&connect.endpoint).await?;
        let resumed = resume.map(|(chat, position)| Resume { chat, position });
        dialect = dialect.with_receipts(self.sends_receipts);
        if let Some((chat, position)) = resume {
            dialect.resume(chat, position);
        }
        let hello = Hello {
            versions: VersionRange::SUPPORTED,
            connect_token: connect.connect_token,
            agent: "bench".to_owned(),
            resume: resumed.into_iter().collect(),
        };
        let mut person = Person {
            user,
            wire,
            dialect,
        };
        person.wire.send(ClientFrame::from(hello).encode()).await?;
        Ok(person)
    }

    /// Registers, connects and matches the two people of a pair with each other, through an
    /// interest that nobody else has.
    ///
    /// # Errors
    /// When they are not matched with each other.
    pub async fn arrive_together(&self, first: u32) -> anyhow::Result<[Person; 2]> {
        let (mut one, mut two) = (self.arrive().await?, self.arrive().await?);
        one.welcomed().await?;
        two.welcomed().await?;
        bring_together(&mut one, &mut two, first).await?;
        Ok([one, two])
    }

    async fn open_wire(&self, endpoint: &Endpoint) -> anyhow::Result<(Wire, nowrong::NoWrong)> {
        let number = self.connected.get();
        self.connected.set(number + 1);
        Ok(match self.transport.of(number) {
            Transport::WebSocket => {
                let wire = Wire::websocket(&endpoint.websocket, false).await?;
                (wire, nowrong::NoWrong::over_messages())
            }
            Transport::WebTransport | Transport::Both => {
                let hash = endpoint
                    .certificate_hash
                    .context("no development certificate")?;
                let sockets = self.sockets.borrow().clone();
                let wire = sockets.webtransport(&endpoint.webtransport, hash).await?;
                let wire = if self.has_fast_path {
                    wire.with_copies()
                } else {
                    wire
                };
                (wire, nowrong::NoWrong::over_stream())
            }
        })
    }

    /// From now on people use new UDP sockets: the earlier ones may be closed.
    pub fn renew_sockets(&self) {
        self.sockets.take();
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn end(self) -> anyhow::Result<()> {
        self.process.stop().await?;
        self.folder.close()?;
        Ok(())
    }
}

#[async_trait(?Send)]
impl Running for RunningNoWrong {
    fn processes(&self) -> Vec<&Process> {
        vec![&self.process]
    }

    async fn open(&self, _user: u32) -> anyhow::Result<Peer> {
        let mut person = self.arrive().await?;
        person.welcomed().await?;
        Ok(person.into())
    }

    async fn open_pair(&self, first: u32) -> anyhow::Result<[Peer; 2]> {
        let [one, two] = self.arrive_together(first).await?;
        Ok([one.into(), two.into()])
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.end().await
    }
}
