//! MongoDB and Redis behind TLS with an authority of one's own, and users with few rights: each works,
//! or says why not.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nowrong_base::privacy::Redacted;
use nowrong_broker::{Admission as _, Deposit, Deposits as _};
use nowrong_broker_redis::{Realm, RedisBroker, RedisUrl, TlsFiles};
use nowrong_store::{Advice, Anchor as _, MessageStore as _, wrapping::NoDayKeys};
use nowrong_store_mongodb::{
    MongoOptions, MongoStore, migration,
    testing::{open, secret},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use services::{
    free_port,
    mongodb::ReplicaSet,
    redis::Redis,
    shared::{Setting, find},
};
use tempfile::TempDir;

use super::*;

/// The files of an authority of its own: those of the server are for 127.0.0.1.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "ours");
        let key = KeyPair::generate().unwrap();
        let root = authority.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        for name in ["server", "client"] {
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            let key = KeyPair::generate().unwrap();
            let cert = params.signed_by(&key, &issuer).unwrap().pem();
            let (file, secret) = (folder.path().join(name), key.serialize_pem());
            fs::write(file.with_extension("pem"), &cert).unwrap();
            fs::write(file.with_extension("key"), &secret).unwrap();
            fs::write(file.with_extension("both"), cert + &secret).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn redis(folder: &Path, flags: &[&str]) -> Redis {
    let program = find(Setting::RedisProgram).unwrap();
    Redis::start(program.as_ref(), folder, flags).unwrap()
}

/// Why a broker cannot be used; empty when it can.
async fn refusal_of_redis(url: &str, tls: TlsFiles) -> String {
    let url = url.parse::<RedisUrl>().unwrap().with_tls(tls);
    let realm = Realm {
        prefix: "test".parse().unwrap(),
        store: "one".to_owned(),
    };
    match RedisBroker::connect(&url, &realm, &Metrics::default()).await {
        Ok(broker) => {
            let deposit = Deposit {
                name: [1; 8],
                sealed: "sealed".into(),
                lifetime: Duration::from_secs(1),
            };
            let checked = broker.check().await.err();
            let left = broker.exchange("test", &[deposit]).await.err();
            let error = checked.or(left).map(|it| it.to_string());
            error.unwrap_or_default()
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn redis_with_an_authority_of_its_own_and_client_certificates() {
    let (files, folder) = (Files::new(), tempfile::tempdir().unwrap());
    let port = free_port().unwrap().to_string();
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| files.text(name));
    let flags = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "yes",
    ];
    let _redis = redis(folder.path(), &flags);
    let url = format!("rediss://127.0.0.1:{port}");
    let ca = Some(files.path("ca.pem"));
    let client = Some((files.path("client.pem"), files.path("client.key")));
    let whole = TlsFiles {
        ca: ca.clone(),
        client: client.clone(),
    };
    assert_eq!(refusal_of_redis(&url, whole).await, "");
    let nobody_vouches = refusal_of_redis(&url, TlsFiles { ca: None, client }).await;
    assert!(nobody_vouches.contains("UnknownIssuer"), "{nobody_vouches}");
    let nobody = refusal_of_redis(&url, TlsFiles { ca, client: None }).await;
    assert!(nobody.contains("ertificate"), "{nobody}");
    let missing = Some(PathBuf::from("/nope.pem"));
    let missing = refusal_of_redis(
        &url,
        TlsFiles {
            ca: missing,
            client: None,
        },
    )
    .await;
    let sentence = "`redis.tls_ca`: cannot use /nope.pem: No such file or directory (os error 2)";
    assert_eq!(missing, sentence);
    let empty = Some(files.path("server.key"));
    fs::write(files.path("server.key"), "nothing").unwrap();
    let empty = refusal_of_redis(
        &url,
        TlsFiles {
            ca: empty,
            client: None,
        },
    )
    .await;
    assert!(empty.contains("is not a PEM file"), "{empty}");
}

#[tokio::test]
async fn a_right_that_a_user_of_redis_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let redis = redis(folder.path(), &[]);
    let user = |rules: &[&str]| {
        let begin = ["ACL", "SETUSER", "ann", "reset", "on", ">s3cret"];
        let command = [&begin[..], rules].concat();
        redis.ask(&command).unwrap();
    };
    let url = redis.url().replace("redis://", "redis://ann:s3cret@");
    let plain = TlsFiles::default;
    user(&["~*", "+@all", "-info"]);
    let said = refusal_of_redis(&url, plain()).await;
    assert!(said.contains("may not run INFO"), "{said}");
    user(&["~*", "+@all", "-evalsha"]);
    let said = refusal_of_redis(&url, plain()).await;
    assert!(said.contains("'evalsha'"), "{said}");
    user(&["~*", "+@all", "-hset"]);
    let said = refusal_of_redis(&url, plain()).await;
    assert!(
        said.contains("README") && !said.contains("s3cret"),
        "{said}"
    );
    user(
        &RIGHTS_ON_REDIS
            .split(' ')
            .chain(["~test:*"])
            .collect::<Vec<_>>(),
    );
    assert_eq!(refusal_of_redis(&url, plain()).await, "");
    let readme = include_str!("../../../../README.md");
    assert!(readme.contains(RIGHTS_ON_REDIS), "README has other rights");
}

/// The commands that a user of Redis must be able to run.
const RIGHTS_ON_REDIS: &str = "+ping +info +config|get +hello +eval +evalsha +time +get +set +getdel +del +unlink +exists +pexpire +pttl +hget +hset +hmget +hgetall +hlen +hdel +hexists +hincrby +sadd +srem +smembers +xadd +xlen +xrange +xread +zadd +zrem +zrangebylex";

fn options(url: String) -> MongoOptions {
    MongoOptions {
        url: Redacted::new(url),
        connections_max: 4,
        timeout: Duration::from_secs(10),
        secret: secret(),
    }
}

/// Why MongoDB cannot be used; empty when it can.
async fn refusal_of_mongodb(url: &str) -> String {
    let store = match MongoStore::open(&options(url.to_owned()), Arc::new(NoDayKeys)).await {
        Ok(store) => store,
        Err(error) => return error.to_string(),
    };
    let migrated = migration::up(store.database()).await;
    let checked = store.check().await;
    let told = [
        migrated.err().map(|it| it.to_string()),
        checked.err().map(|it| it.to_string()),
    ];
    told.into_iter().flatten().next().unwrap_or_default()
}

fn mongodb(folder: &Path, flags: &[&str]) -> ReplicaSet {
    let program = find(Setting::MongodProgram).unwrap();
    ReplicaSet::start(program.as_ref(), folder, 1, flags).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongodb_with_an_authority_of_its_own_and_client_certificates() {
    let (files, folder) = (Files::new(), tempfile::tempdir().unwrap());
    let [both, ca] = ["server.both", "ca.pem"].map(|name| files.text(name));
    let flags = [
        "--tlsMode",
        "preferTLS",
        "--tlsCertificateKeyFile",
        &both,
        "--tlsCAFile",
        &ca,
        "--tlsAllowConnectionsWithoutCertificates",
    ];
    let set = mongodb(folder.path(), &flags);
    let url = format!("{}&tls=true", set.url());
    let said = refusal_of_mongodb(&url).await;
    assert!(
        said.contains("UnknownIssuer") && said.contains("`tlsCAFile`"),
        "{said}"
    );
    let url = format!("{url}&tlsCAFile={ca}");
    assert_eq!(refusal_of_mongodb(&url).await, "");
    let client = files.text("client.both");
    let with_client = format!("{url}&tlsCertificateKeyFile={client}");
    assert_eq!(refusal_of_mongodb(&with_client).await, "");
}

/// A user of MongoDB with these roles on the database `nowrong`.
async fn add_user(admin: &MongoStore, name: &str, roles: &[&str]) {
    use nowrong_store_mongodb::testing::doc;
    let roles: Vec<_> = roles
        .iter()
        .map(|role| doc! { "role": *role, "db": "nowrong" })
        .collect();
    let create = doc! { "createUser": name, "pwd": "s3cret", "roles": roles };
    let users = admin.database().client().database("admin");
    users.run_command(create).await.unwrap();
}

/// The optional right that README names.
async fn grant_oplog(admin: &MongoStore, name: &str) {
    use nowrong_store_mongodb::testing::doc;
    let users = admin.database().client().database("admin");
    let oplog =
        doc! { "resource": { "db": "local", "collection": "oplog.rs" }, "actions": ["find"] };
    let role = doc! { "createRole": "oplogReader", "privileges": [oplog], "roles": [] };
    users.run_command(role).await.unwrap();
    let role = doc! { "role": "oplogReader", "db": "admin" };
    let grant = doc! { "grantRolesToUser": name, "roles": [role] };
    users.run_command(grant).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_a_user_of_mongodb_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "bm93cm9uZyBub3dyb25n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let set = mongodb(folder.path(), &["--keyFile", key.to_str().unwrap()]);
    let as_user = |name: &str| {
        let url = set
            .url()
            .replace("mongodb://", &format!("mongodb://{name}:s3cret@"));
        url.replace("/?", "/nowrong?authSource=admin&")
    };
    // Until there is a user, a client on this machine may make the first one.
    let first = open(&options(set.url())).await;
    use nowrong_store_mongodb::testing::doc;
    let root = doc! { "createUser": "root", "pwd": "s3cret", "roles": ["root"] };
    let users = first.database().client().database("admin");
    users.run_command(root).await.unwrap();
    let admin = open(&options(as_user("root"))).await;
    for (name, roles) in [
        ("reader", &["read"][..]),
        ("writer", &["readWrite"]),
        ("owner", &["readWrite", "dbAdmin"]),
    ] {
        add_user(&admin, name, roles).await;
    }
    let reader = refusal_of_mongodb(&as_user("reader")).await;
    assert!(reader.contains("may not run update"), "{reader}");
    let writer = refusal_of_mongodb(&as_user("writer")).await;
    assert!(writer.contains("may not run collMod"), "{writer}");
    assert_eq!(refusal_of_mongodb(&as_user("owner")).await, "");
    let writer = open(&options(as_user("writer"))).await;
    let [Advice::Note(said)] = &writer.advice().await[..] else {
        panic!("it may not read the oplog");
    };
    assert!(
        said.contains("`find`") && said.contains("local.oplog.rs"),
        "{said}"
    );
    assert_eq!(writer.advice().await, [], "once is enough");
    grant_oplog(&admin, "owner").await;
    let owner = open(&options(as_user("owner"))).await;
    assert_eq!(owner.advice().await, [], "this server is young");
    // With nothing left to migrate.
    assert_eq!(refusal_of_mongodb(&as_user("writer")).await, "");
    let reader = refusal_of_mongodb(&as_user("reader")).await;
    assert!(reader.contains("may not run update"), "{reader}");
    assert!(!reader.contains("s3cret"), "{reader}");
}
