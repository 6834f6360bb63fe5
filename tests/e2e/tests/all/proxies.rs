//! Behind real proxies, with the files of `examples/proxy`: each person has limits of their own, the word
//! of a client about itself counts for nothing, and a WebSocket passes through.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use e2e::{Person, ServerOptions, TestServer, eventually};
use nowrong_client::{Api, Client, ConnectOptions, NewAccount, Transport};
use services::free_port;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use crate::wire::{ask, connect, get, head, register, rest, status, upgrade};

/// A proxy: its program, its example, and what a test changes in it. Each change must be found.
struct Proxy {
    program: &'static str,
    example: &'static str,
    changes: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    /// Keys of the server behind it.
    keys: &'static [&'static str],
}

const NGINX: Proxy = Proxy {
    program: "nginx",
    example: "nginx.conf",
    changes: &[
        ("listen 443 ssl;", "listen PROXY;"),
        ("ssl_certificate /etc/ssl/chat.example/fullchain.pem;", ""),
        ("ssl_certificate_key /etc/ssl/chat.example/privkey.pem;", ""),
    ],
    arguments: &[
        "-p",
        "FOLDER",
        "-c",
        "FILE",
        "-e",
        "FOLDER/log",
        "-g",
        "daemon off; master_process off; pid FOLDER/pid;",
    ],
    keys: &[],
};

const HAPROXY: Proxy = Proxy {
    program: "haproxy",
    example: "haproxy.cfg",
    changes: &[(
        "bind :443 ssl crt /etc/haproxy/chat.example.pem alpn http/1.1",
        "bind PROXY",
    )],
    arguments: &["-db", "-f", "FILE"],
    keys: &[],
};

const HAPROXY_WITH_PROXY_PROTOCOL: Proxy = Proxy {
    changes: &[
        (
            "bind :443 ssl crt /etc/haproxy/chat.example.pem alpn http/1.1",
            "bind PROXY",
        ),
        ("    http-request set-header X-Forwarded-For %[src]\n", ""),
        ("    server one 127.0.0.1:8080 check\n", ""),
        ("# server one", "server one"),
    ],
    keys: &["proxy_protocol=true"],
    ..HAPROXY
};

const CADDY: Proxy = Proxy {
    program: "caddy",
    example: "Caddyfile",
    changes: &[("chat.example {", "http://:PORT {")],
    arguments: &["run", "--adapter", "caddyfile", "--config", "FILE"],
    keys: &[],
};

/// A running proxy and the server behind it.
struct Scene {
    server: TestServer,
    proxy: SocketAddr,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Proxy {
    async fn start(&self) -> Scene {
        let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let websocket = format!("public_url.websocket=ws://{proxy}/v1/websocket");
        let keys = [
            "trusted_proxies=127.0.0.1",
            "limits.register_burst=2",
            "limits.handshakes_burst=4",
            "limits.handshakes_period=1h",
            "limits.connections_per_prefix_max=5",
            &websocket,
        ];
        let keys = keys.iter().chain(self.keys).copied();
        let flags: Vec<&str> = keys.flat_map(|key| ["--set", key]).collect();
        let server = TestServer::start_with(ServerOptions::flags(&flags))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = self.write(folder.path(), proxy, server.http());
        let process = self.command(folder.path(), &file).spawn();
        let process = process.unwrap_or_else(|error| {
            let program = self.program;
            panic!("{program} ({error}): as root on Debian `apt-get install {program}`")
        });
        eventually("the proxy serves", || async {
            let mut stream = connect("127.0.0.9", proxy).await.ok()?;
            stream.write_all(get("/readyz", "").as_bytes()).await.ok()?;
            (status(&rest(&mut stream).await) == 200).then_some(())
        })
        .await;
        Scene {
            server,
            proxy,
            _process: process,
            _folder: folder,
        }
    }

    /// The example, changed for this test.
    fn write(&self, folder: &Path, proxy: SocketAddr, server: SocketAddr) -> PathBuf {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/proxy");
        let mut text = fs::read_to_string(examples.join(self.example)).unwrap();
        for (from, to) in self.changes.iter().chain(&[("127.0.0.1:8080", "SERVER")]) {
            assert!(text.contains(from), "{} has no `{from}`", self.example);
            text = text.replace(from, to);
        }
        let places = [
            ("PROXY", proxy.to_string()),
            ("PORT", proxy.port().to_string()),
            ("SERVER", server.to_string()),
        ];
        // Names in capitals stand in the changes only, but for the PROXY protocol in comments.
        for (name, place) in places {
            text = text.replace(&format!(" {name}"), &format!(" {place}"));
            text = text.replace(&format!(":{name}"), &format!(":{place}"));
        }
        let file = folder.join(self.example);
        fs::write(&file, text).unwrap();
        file
    }

    fn command(&self, folder: &Path, file: &Path) -> Command {
        let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
        let fill = |text: &&str| text.replace("FOLDER", folder).replace("FILE", file);
        let mut command = Command::new(self.program);
        command
            .args(self.arguments.iter().map(fill))
            .env("HOME", folder)
            .env("XDG_DATA_HOME", folder)
            .env("XDG_CONFIG_HOME", folder)
            .stdout(fs::File::create(format!("{folder}/out")).unwrap())
            .stderr(fs::File::create(format!("{folder}/err")).unwrap())
            .kill_on_drop(true);
        command
    }
}

impl Scene {
    async fn register(&self, from: &str, headers: &str) -> u16 {
        let name = format!("Robin {}", rand::random::<u32>());
        status(&ask(from, self.proxy, &register(&name, headers)).await)
    }

    async fn upgrade(&self, from: &str, headers: &str) -> u16 {
        status(&head(from, self.proxy, &upgrade(headers)).await)
    }

    /// Each address has limits of its own, whatever clients write into headers.
    async fn has_limits_for_each(&self) {
        let (ana, ben) = ("127.0.0.2", "127.0.0.3");
        for (from, headers) in [
            (ana, String::new()),
            (
                ben,
                format!("x-forwarded-for: {ana}\r\nforwarded: for={ana}\r\n"),
            ),
        ] {
            for expected in [201, 201, 429, 429] {
                assert_eq!(self.register(from, &headers).await, expected, "{from}");
            }
            for expected in [101, 101, 101, 101, 429] {
                assert_eq!(self.upgrade(from, &headers).await, expected, "{from}");
            }
        }
        // Nobody gets a new address by inventing one.
        for last in 1..=4 {
            let forged =
                format!("x-forwarded-for: 203.0.113.{last}\r\nforwarded: for=203.0.113.{last}\r\n");
            assert_eq!(self.register(ana, &forged).await, 429, "{last}");
        }
    }

    /// Two people chat over WebSocket through the proxy.
    async fn carries_a_chat(&self) {
        let api = Api::new(&format!("http://{}", self.proxy)).unwrap();
        let mut people = Vec::new();
        for name in ["Kim", "Sam"] {
            let user = api.register(&NewAccount::named(name)).await.unwrap();
            let options = ConnectOptions::from(Transport::WebSocket);
            let client = e2e::within("connecting", Client::connect(&user, options)).await;
            people.push(Person {
                user,
                client: client.unwrap(),
            });
        }
        let mut waiting = people[0].client.join("music", &[]).await.unwrap();
        let mut joining = people[1].client.join("music", &[]).await.unwrap();
        let chat = e2e::within("a match", joining.matched()).await.unwrap();
        e2e::within("a match", waiting.matched()).await.unwrap();
        e2e::within("an ack", chat.send("through a proxy"))
            .await
            .unwrap();
    }
}

async fn check(proxy: &Proxy) {
    let scene = proxy.start().await;
    scene.has_limits_for_each().await;
    scene.carries_a_chat().await;
    let log = scene.server.log();
    assert!(!log.contains("127.0.0.2"), "{log}");
    // Over PROXY protocol the headers are those of people, who are strangers.
    let is_told = log.contains("`trusted_proxies` does not list");
    assert_eq!(
        is_told,
        proxy.keys.contains(&"proxy_protocol=true"),
        "{log}"
    );
}

#[tokio::test]
async fn nginx_hands_on_who_is_behind_it() {
    check(&NGINX).await;
}

#[tokio::test]
async fn haproxy_hands_on_who_is_behind_it() {
    check(&HAPROXY).await;
}

#[tokio::test]
async fn haproxy_hands_on_who_is_behind_it_over_proxy_protocol() {
    check(&HAPROXY_WITH_PROXY_PROTOCOL).await;
}

#[tokio::test]
async fn caddy_hands_on_who_is_behind_it() {
    check(&CADDY).await;
}
