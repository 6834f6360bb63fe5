//! Unsuitable servers, each with its sentence.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mongodb::bson::{Document, doc};
use nowrong_base::privacy::Redacted;
use nowrong_store::wrapping::NoDayKeys;
use services::{
    mongodb::Mongod,
    shared::{Setting, find},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{MongoOptions, MongoStore};
use crate::{OpenError, testing::secret};

/// Tries to open within the time limit and returns why it failed.
async fn refusal(url: &str) -> OpenError {
    let options = MongoOptions {
        url: Redacted::new(url.to_owned()),
        connections_max: 4,
        timeout: Duration::from_secs(4),
        secret: secret(),
    };
    let begun = Instant::now();
    let error = MongoStore::open(&options, Arc::new(NoDayKeys))
        .await
        .unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
    assert!(error.to_string().contains("`store`"), "{error}");
    error
}

#[tokio::test]
async fn nothing_there() {
    let port = services::free_port().unwrap();
    let error = refusal(&format!("mongodb://127.0.0.1:{port}/")).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")));
}

#[tokio::test]
async fn not_a_connection_string() {
    for url in [
        "mongodb://",
        "http://host",
        "mongodb://u:p@ss:w@host",
        "mongodb://h/?maxPoolSize=x",
    ] {
        let error = refusal(url).await;
        assert_eq!(error, OpenError::Malformed, "{url}");
    }
}

#[tokio::test]
async fn a_wrong_password() {
    let url = find(Setting::Mongodb).unwrap();
    let error = refusal(&url.replace("mongodb://", "mongodb://me:wrong@")).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_file_for_tls_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n").unwrap();
    for option in ["tlsCAFile", "tlsCertificateKeyFile"] {
        let url = format!("mongodb://me:secretword@127.0.0.1:1/?tls=true&{option}=/nope.pem");
        let error = refusal(&url).await;
        assert!(matches!(error, OpenError::TlsFile(_)), "{option}: {error}");
        let said = error.to_string();
        assert!(said.contains("No such file"), "{option}: {said}");
        assert!(!said.contains("secretword"), "{option}: {said}");
        // The driver would wait for it.
        let (end, _other_end) = std::io::pipe().unwrap();
        let pipe = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&end));
        let error = refusal(&url.replace("/nope.pem", &pipe)).await;
        assert!(error.to_string().contains("it is a pipe"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls() {
    let url = find(Setting::Mongodb).unwrap();
    let error = refusal(&format!("{url}&tls=true")).await;
    let said = error.to_string();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{said}");
    assert!(said.contains("`tlsCAFile`"), "{said}");
}

#[tokio::test]
async fn no_replica_set() {
    let program = find(Setting::MongodProgram).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let single = Mongod::start(program.as_ref(), folder.path(), &[]).unwrap();
    let error = refusal(&format!("mongodb://127.0.0.1:{}/", single.port())).await;
    assert!(matches!(error, OpenError::NotReplicated { .. }), "{error}");
}

#[tokio::test]
async fn too_old() {
    // 13 is the wire version of MongoDB 5.0; 4 that of 3.4, which the driver itself gives up.
    for (version, wire) in [("5.0.9", 13), ("3.4.0", 4)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let old = tokio::spawn(pretend(listener, version, wire));
        let error = refusal(&format!("mongodb://{address}/?replicaSet=old")).await;
        assert!(matches!(error, OpenError::TooOld { .. }), "{error}");
        old.abort();
    }
}

/// Replies like an old primary, since such a server is not available for the test.
async fn pretend(listener: TcpListener, version: &'static str, wire: i32) {
    let address = listener.local_addr().unwrap().to_string();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let hello = doc! {
            "ok": 1, "isWritablePrimary": true, "ismaster": true, "helloOk": true,
            "setName": "old", "setVersion": 1, "hosts": [&address], "me": &address,
            "primary": &address, "minWireVersion": 0, "maxWireVersion": wire,
            "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "logicalSessionTimeoutMinutes": 30, "readOnly": false,
            "version": version,
        };
        tokio::spawn(answer_all(stream, hello));
    }
}

async fn answer_all(mut stream: TcpStream, reply: Document) -> std::io::Result<()> {
    let body = reply.to_vec().unwrap();
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header).await?;
        let word = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let mut request = vec![0; word(0) as usize - 16];
        stream.read_exact(&mut request).await?;
        let length = 16 + 4 + 1 + body.len() as i32;
        let mut out = Vec::new();
        for number in [length, 1, word(4), 2_013, 0] {
            out.extend(number.to_le_bytes());
        }
        out.push(0);
        out.extend(&body);
        stream.write_all(&out).await?;
    }
}
