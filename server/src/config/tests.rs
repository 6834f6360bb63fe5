//! The configuration, layer by layer and mistake by mistake.

use std::{ffi::OsString, fs, num::NonZero, path::PathBuf, time::Duration};

use clap::Parser as _;

use super::{
    Addresses, Config, ConfigError, Data, Loaded, Origin, Role, StoreChoice, Tls,
    cli::{Cli, Command, Flags},
    keys::KEYS,
    layers::{self, Source},
    load, to_toml,
};

fn flags(arguments: &[&str]) -> Flags {
    let all = ["nowrong", "config"].iter().chain(arguments);
    match Cli::try_parse_from(all).unwrap().command {
        Command::Config(flags) => flags,
        other => panic!("{other:?}"),
    }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Loads a file with this text, an environment and flags.
fn try_load(
    text: &str,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowrong.toml");
    fs::write(&path, text).unwrap();
    let mut flags = flags(arguments);
    flags.config = Some(path);
    let mut environment = variables(environment);
    if !text.contains("cluster_secret") {
        environment.extend(variables(&[services::CLUSTER_SECRET_ENV]));
    }
    load(&flags, environment)
}

#[test]
fn what_is_not_toml_is_named_by_its_place_and_never_quoted() {
    for (text, place) in [
        (
            "role = 'all'\nstore = \"mongodb://u:S3kr1tpw@h/db\n",
            "line 2, column ",
        ),
        (
            "store = 'S3kr1tpw'\nstore = 'S3kr1tpw'",
            "line 2, column 1: ",
        ),
        ("store = 'S3kr1tpw' S3kr1tpw", "line 1, column "),
        ("cluster_secret = 'S3kr1tpw", "line 1, column "),
        ("cluster_secret = S3kr1tpw", "line 1, column "),
        ("S3kr1tpw", "line 1, column "),
    ] {
        let error = try_load(text, &[], &[]).unwrap_err().to_string();
        assert!(error.contains(place), "{error}");
        assert!(!error.contains("S3kr1tpw"), "{error}");
    }
    let error = try_load("", &[], &["--set", "redis://:S3kr1tpw@h"]);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("KEY=VALUE") && !error.contains("S3kr1tpw"),
        "{error}"
    );
}

#[test]
fn a_store_that_nodes_share_needs_a_secret_that_is_never_shown() {
    let text = |secret: &str| format!("store = 'mongodb://h'\ncluster_secret = '{secret}'");
    for (secret, expected) in [
        ("", "must be set when `store` is MongoDB"),
        ("shortsecret", "must have at least 32 characters"),
    ] {
        let error = try_load(&text(secret), &[], &[]).unwrap_err().to_string();
        assert!(error.starts_with("`cluster_secret` "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("openssl rand -hex 32"), "{error}");
        assert!(!error.contains("shortsecret"), "{error}");
    }
    let long = "shortsecret".repeat(4);
    let loaded = try_load(&text(&long), &[], &[]).unwrap();
    let shown = format!("{:?}{}", loaded.config, to_toml(&loaded.values));
    assert!(
        shown.contains("# cluster_secret = \"<redacted>\""),
        "{shown}"
    );
    assert!(!shown.contains("shortsecret"), "{shown}");
    try_load("cluster_secret = ''", &[], &[]).unwrap();
}

#[test]
fn every_default_is_good() {
    let config = Config::default();
    assert_eq!(config.listen_http, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.listen_quic, Some("127.0.0.1:4433".parse().unwrap()));
    assert_eq!(config.data, Data::Folder(PathBuf::from("./data")));
    assert_eq!(config.retention, Duration::from_secs(24 * 60 * 60));
    assert_eq!(config.seat_hold, nowrong_protocol::limits::SEAT_HOLD);
    assert_eq!(config.log.directives(), "off,nowrong=info");
}

#[test]
fn later_layers_win() {
    let file = "drain = '1s'\ngrace = '1s'\nseat_hold = '1s'\n";
    let environment = [
        ("NOWRONG_GRACE", "2s"),
        ("NOWRONG_SEAT_HOLD", "2s"),
        ("PATH", "/bin"),
    ];
    let loaded = try_load(file, &environment, &["--set", "seat_hold=3s"]).unwrap();
    let seconds = [
        loaded.config.drain,
        loaded.config.grace,
        loaded.config.seat_hold,
    ]
    .map(|duration| duration.as_secs());
    assert_eq!(seconds, [1, 2, 3]);
    let source = |key: &str| loaded.values.entry(key).unwrap().source.clone();
    assert!(matches!(source("drain"), Source::File(_)));
    assert_eq!(
        source("grace"),
        Source::Environment("NOWRONG_GRACE".to_owned())
    );
    assert_eq!(source("seat_hold"), Source::Flag("--set".to_owned()));
    assert_eq!(source("idle_end"), Source::Default);
}

#[test]
fn each_layer_can_set_nested_keys_numbers_and_lists() {
    let file = "threads = 2\norigins = ['https://a.example']\n[limits]\nconnections_max = 7\n[tls]\nnames = ['x']\n";
    let environment = [
        ("NOWRONG_THREADS", "3"),
        ("NOWRONG_LIMITS__REGISTER_BURST", "9"),
        ("NOWRONG_LOG__LEVEL", "debug"),
    ];
    let arguments = [
        "--origin",
        "https://B.example:443",
        "--origin",
        "http://[::1]:3000",
    ];
    let config = try_load(file, &environment, &arguments).unwrap().config;
    assert_eq!(config.threads.map(NonZero::get), Some(3));
    assert_eq!(config.limits.connections_max, 7);
    assert_eq!(config.limits.register.burst, 9);
    assert_eq!(config.log.level.as_str(), "debug");
    assert_eq!(
        config.tls,
        Tls::Development {
            names: vec!["x".to_owned()]
        }
    );
    let origins: Vec<&str> = config.origins.iter().map(Origin::as_str).collect();
    assert_eq!(origins, ["https://b.example", "http://[::1]:3000"]);
}

#[test]
fn proxies_and_scripts_are_lists_with_a_bound() {
    let hash = "sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=";
    let text = format!(
        "trusted_proxies = ['127.0.0.1/8', '::1']\nproxy_protocol = true\nscript_hashes = ['{hash}']"
    );
    let config = try_load(&text, &[], &[]).unwrap().config;
    for (peer, is_trusted) in [("127.9.9.9", true), ("::1", true), ("10.0.0.1", false)] {
        let peer = peer.parse().unwrap();
        assert_eq!(config.trusted_proxies.trusts(peer), is_trusted, "{peer}");
    }
    assert!(config.proxy_protocol);
    assert_eq!(config.script_hashes, [hash]);
    let defaults = Config::default();
    assert!(defaults.trusted_proxies.is_empty() && !defaults.proxy_protocol);
    let many = |key: &str, item: &str, count: usize| {
        let items = vec![format!("'{item}'"); count].join(", ");
        try_load(&format!("{key} = [{items}]"), &[], &[]).is_ok()
    };
    for (key, item, most) in [
        ("trusted_proxies", "10.0.0.1", 64),
        ("script_hashes", hash, 50),
        ("reserved_names", "Acme", 1_000),
    ] {
        assert!(many(key, item, most) && !many(key, item, most + 1), "{key}");
    }
}

#[test]
fn new_accounts_can_be_like_others_and_names_can_be_reserved() {
    let config = try_load("newcomer_age = '0s'\nreserved_names = ['Acme']", &[], &[]);
    let config = config.unwrap().config;
    assert_eq!(config.newcomer_age, Duration::ZERO);
    assert_eq!(Config::default().newcomer_age, Duration::from_secs(3_600));
    let acme = "A.C.M.E".parse().unwrap();
    assert!(config.reserved_names.holds(&acme));
    assert!(!Config::default().reserved_names.holds(&acme));
}

#[test]
fn the_environment_can_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowrong.toml");
    fs::write(&path, "drain = '4s'").unwrap();
    let environment = variables(&[("NOWRONG_CONFIG", path.to_str().unwrap())]);
    let loaded = load(&Flags::default(), environment).unwrap();
    assert_eq!(loaded.config.drain, Duration::from_secs(4));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    let cases = [
        (
            "listen_htp = 'x'",
            "unknown key `listen_htp` (file ",
            "did you mean `listen_http`?",
        ),
        (
            "[limits]\nconections_max = 1",
            "`limits.conections_max`",
            "`limits.connections_max`?",
        ),
        (
            "connections_max = 1",
            "unknown key `connections_max`",
            "`limits.connections_max`?",
        ),
        (
            "[data]\npath = 'x'",
            "unknown key `data.path`",
            "did you mean",
        ),
    ];
    for (file, what, nearest) in cases {
        let error = try_load(file, &[], &[]).unwrap_err().to_string();
        assert!(
            error.contains(what) && error.contains(nearest),
            "{file}: {error}"
        );
    }
    let error = try_load("", &[], &["--set", "x.y=1"])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("unknown key `x.y` (flag --set)"),
        "{error}"
    );
}

#[test]
fn every_bad_value_is_named_with_its_key_and_source() {
    let cases = [
        (
            "listen_http=localhost",
            "`listen_http` must be an address and port",
        ),
        (
            "listen_quic=on",
            "`listen_quic` must be an address and port such as 127.0.0.1:4433, or \"off\"",
        ),
        ("data=", "`data` must not be empty"),
        (
            "limits.proof_work=1001",
            "`limits.proof_work` must be at most 1000: it grows up to 16 times",
        ),
        (
            "limits.proof_calm_per_minute=0",
            "`limits.proof_calm_per_minute` must be a whole number from 1 to 4294967295",
        ),
        (
            "limits.text_bytes_burst=7999",
            "`limits.text_bytes_burst` must be at least 8000, the longest text",
        ),
        ("store=redis://host", "`store` must be \"embedded\" or"),
        ("store=mongodb://", "`store` must be \"embedded\" or"),
        (
            "role=chat",
            "`role` must be one of all, realtime, rest, not `chat`",
        ),
        (
            "role=rest",
            "`role` is rest, a part of a cluster: set `store`",
        ),
        (
            "role=realtime",
            "and `broker` to redis://host:port, or `role` to all (flag --set)",
        ),
        (
            "broker=redis://h",
            "`broker` is for nodes that share a store, and `store` is embedded: set `store`",
        ),
        (
            "migrate_at_start=perhaps",
            "`migrate_at_start` must be true",
        ),
        (
            "public_url.webtransport=http://a.example",
            "`public_url.webtransport` must be a URL that begins with https://",
        ),
        (
            "public_url.webtransport=https://chat.example",
            "`public_url.webtransport` must end with /v1/webtransport",
        ),
        (
            "public_url.webtransport=https://chat.example/v1/webtransport/",
            "must end with /v1/webtransport",
        ),
        (
            "public_url.webtransport=https://chat.example/v1/webtransport?a=b",
            "must end with /v1/webtransport",
        ),
        (
            "public_url.websocket=https://a.example",
            "must be a URL that begins with wss:// or ws://",
        ),
        (
            "public_url.websocket=wss://user:word@a.example/",
            "must be a URL",
        ),
        (
            "public_url.websocket=wss://a.example/;script-src",
            "must be a URL",
        ),
        (
            "public_url.websocket=wss://a.example:99999/v1/websocket",
            "`public_url.websocket` must have a port from 1 to 65535, or none, not `a.example:99999`",
        ),
        (
            "public_url.webtransport=https://a.example:0/v1/webtransport",
            "`public_url.webtransport` must have a port from 1 to 65535",
        ),
        (
            "public_url.websocket=wss://a.example:/v1/websocket",
            "must have a port from 1 to 65535",
        ),
        (
            "public_url.websocket=wss://a.example:+443/v1/websocket",
            "must have a port from 1 to 65535",
        ),
        (
            "public_url.websocket=ws://0.0.0.0:8080/v1/websocket",
            "`public_url.websocket` must name the host that clients connect to: 0.0.0.0 and [::] only mean",
        ),
        (
            "public_url.webtransport=https://[::]/v1/webtransport",
            "must name the host that clients connect to",
        ),
        (
            "public_url.websocket=wss://[::ffff:0.0.0.0]/v1/websocket",
            "must name the host that clients connect to",
        ),
        (
            "public_url.websocket=wss://*.example/v1/websocket",
            "must name a host such as chat.example",
        ),
        (
            "public_url.websocket=wss://256.1.1.1/v1/websocket",
            "must name a host such as chat.example",
        ),
        (
            "public_url.websocket=wss://[fe80::1%25eth0]/v1/websocket",
            "must",
        ),
        (
            "public_url.websocket=wss://255.255.255.255/v1/websocket",
            "must name a host such as chat.example",
        ),
        ("origins=https://a.example:0", "not `https://a.example:0`"),
        (
            "origins=https://a.example:99999",
            "not `https://a.example:99999`",
        ),
        ("origins=https://1.2.3.400", "not `https://1.2.3.400`"),
        ("origins=https://*.example", "not `https://*.example`"),
        (
            "origins=https://a.example,*",
            "`origins` must list origins such as",
        ),
        (
            "origins=https://a.example/chat",
            "not `https://a.example/chat`",
        ),
        ("origins=null", "not `null`"),
        ("tls.cert=a.pem", "`tls.cert` needs `tls.key` beside it"),
        ("tls.key=a.pem", "`tls.key` needs `tls.cert` beside it"),
        (
            "web_root=/does/not/exist",
            "`web_root` is not a folder: /does/not/exist",
        ),
        (
            "trusted_proxies=10.0.0.0/8,proxy.example",
            "`trusted_proxies` must list addresses or networks such as 10.0.0.0/8, 127.0.0.1 or fd00::/8, not `proxy.example`",
        ),
        (
            "trusted_proxies=0.0.0.0/0",
            "`trusted_proxies` must not contain all addresses",
        ),
        ("trusted_proxies=10.0.0.0/33", "not `10.0.0.0/33`"),
        (
            "proxy_protocol=true",
            "`proxy_protocol` is true although `trusted_proxies` is empty",
        ),
        (
            "proxy_protocol=v2",
            "`proxy_protocol` must be true or false",
        ),
        ("reserved_names=x", "`reserved_names` has an entry that"),
        ("newcomer_age=25h", "`newcomer_age` must be at most 1day"),
        (
            "script_hashes=sha256-AAAA",
            "`script_hashes` must list hashes such as sha256-",
        ),
        (
            "script_hashes='sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='",
            "`script_hashes` must list hashes",
        ),
        ("script_hashes=unsafe-inline", "not `unsafe-inline`"),
        (
            "log.level=loud",
            "`log.level` must be one of error, warn, info, debug, trace, not `loud`",
        ),
        ("log.format=xml", "`log.format` must be one of text, json"),
        (
            "limits.connections_max=0",
            "`limits.connections_max` must be a whole number from 1",
        ),
        ("limits.connections_max=many", "must be a whole number"),
        ("threads=0", "`threads` must be a whole number from 1"),
        ("threads=1025", "`threads` must be at most 1024"),
        (
            "limits.register_period=0s",
            "`limits.register_period` must be longer than nothing",
        ),
        ("retention=25h", "`retention` must be at most 1day"),
        ("account_idle=2days", "`account_idle` must be at most 1day"),
        ("grace=5", "`grace` must be a time such as"),
        ("drain=forever", "`drain` must be a time such as"),
        (
            "signing_key_age=9999y",
            "`signing_key_age` must be at most a year",
        ),
        (
            "idle_end=1m",
            "`idle_end` must be longer than `idle_notice`",
        ),
        ("nothing", "--set takes KEY=VALUE, and one has no `=`"),
    ];
    for (pair, expected) in cases {
        let error = try_load("", &[], &["--set", pair]).unwrap_err().to_string();
        assert!(error.contains(expected), "{pair}: {error}");
        assert!(error.contains("--set"), "{pair}: {error}");
        assert!(!error.contains('\n'), "{pair}: {error}");
    }
    for (file, expected) in [
        (
            "role = 'rest'\nstore = 'mongodb://h'",
            "`role` is rest, a part of a cluster",
        ),
        ("retention = 5", "`retention` must be a string (file "),
        ("origins = [1]", "`origins` must be a list of strings"),
        ("limits.connections_max = -1", "must be a whole number"),
        (
            "retention = '1h'\ngrace = '2h'",
            "`grace` must not be longer than `retention`",
        ),
        (
            "listen_quic = 'off'\npublic_url.webtransport = 'https://a/v1/webtransport'",
            "although `listen_quic` is off",
        ),
        ("retention = ", "cannot use the file "),
    ] {
        let error = try_load(file, &[], &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn nothing_that_was_written_can_change_a_terminal() {
    let red = "\u{1b}[31m";
    let loaded = [
        try_load(
            "",
            &[],
            &["--set", &format!("role={red}\nnowrong: all is well")],
        ),
        try_load("", &[], &["--set", &format!("{red}=x")]),
        try_load("", &[("NOWRONG_ORIGINS", &format!("{red}\u{202e}"))], &[]),
        try_load("", &[], &["--set", &format!("web_root=/{red}")]),
        try_load("\"\\u001b[31m\" = 1", &[], &[]),
        load(&flags(&["--config", &format!("/{red}")]), Vec::new()),
    ];
    for loaded in loaded {
        let said = loaded.unwrap_err().to_string();
        assert!(said.contains("\\u{1b}[31m"), "{said:?}");
        assert!(!said.contains(|c: char| c.is_control()), "{said:?}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let flags = flags(&["--config", "/does/not/exist.toml"]);
    let error = load(&flags, Vec::new()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot use the file /does/not/exist.toml: "),
        "{error}"
    );
}

#[test]
fn only_a_regular_file_is_a_configuration_or_a_list_of_categories() {
    let (end, _other_end) = std::io::pipe().unwrap();
    let pipe = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&end));
    for (path, expected) in [
        (pipe.as_str(), "it is a pipe, and only regular files"),
        ("/dev/zero", "it is a device"),
        ("/", "it is a folder"),
    ] {
        let file = load(&flags(&["--config", path]), Vec::new()).unwrap_err();
        let config = Config {
            categories: Some(PathBuf::from(path)),
            ..Config::default()
        };
        for error in [file, config.read_categories().unwrap_err()] {
            let said = error.to_string();
            let begin = format!("cannot use the file {path}: {expected}");
            assert!(said.starts_with(&begin), "{said}");
        }
    }
}

#[test]
fn what_is_printed_can_be_read_back() {
    let arguments = ["--listen-quic", "off", "--origin", "https://a.example"];
    let loaded = try_load(
        "drain = '3s'\n[limits]\nconnections_max = 12\n",
        &[],
        &arguments,
    )
    .unwrap();
    let text = to_toml(&loaded.values);
    assert!(
        text.contains("listen_quic = \"off\"  # flag --listen-quic\n"),
        "{text}"
    );
    assert!(text.contains("retention = \"24h\"  # default\n"), "{text}");
    assert!(text.contains("# web_root =  # unset: folder"), "{text}");
    for key in KEYS {
        assert!(text.contains(key.name), "{} is not printed", key.name);
    }
    let again = try_load(&text, &[], &[]).unwrap();
    assert_eq!(again.config, loaded.config);
}

#[test]
fn a_url_with_a_password_is_never_shown() {
    let url = "store = 'mongodb://h'\nbroker = 'redis://ann:s3cret@redis.example'";
    let loaded = try_load(url, &[], &[]).unwrap();
    let shown = to_toml(&loaded.values);
    assert!(shown.contains("# broker = \"<redacted>\""), "{shown}");
    assert!(!format!("{:?}{shown}", loaded.config).contains("s3cret"));
    let bad = "broker = 'reddis://ann:s3cret@redis.example'";
    let error = try_load(bad, &[], &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("`broker` must be redis://host:port"),
        "{error}"
    );
    assert!(!error.contains("s3cret"));
}

#[test]
fn whatever_stands_behind_a_question_mark_of_a_url_is_not_printed() {
    for (key, url) in [
        (
            "store",
            "mongodb://h/db?tlsCertificateKeyFilePassword=s3cret",
        ),
        (
            "store",
            "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:s3cret",
        ),
        (
            "store",
            "mongodb://h/?tls%43ertificateKeyFilePassword=s3cret",
        ),
    ] {
        let loaded = try_load("", &[], &["--set", &format!("{key}={url}")]);
        let shown = match loaded {
            Ok(loaded) => format!("{:?}{}", loaded.config, to_toml(&loaded.values)),
            Err(error) => error.to_string(),
        };
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    let broker = "broker=redis://h?password=s3cret";
    let error = try_load("store = 'mongodb://h'", &[], &["--set", broker]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("before the @"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_store_elsewhere_is_printed_without_its_password() {
    let url = "mongodb+srv://me:secretword@h.example/db?authMechanism=SCRAM-SHA-1";
    let loaded = try_load("", &[("NOWRONG_STORE", url)], &[]).unwrap();
    let StoreChoice::MongoDb(options) = &loaded.config.store else {
        panic!("{:?}", loaded.config.store);
    };
    assert_eq!(options.url.expose(), url);
    assert_eq!(options.timeout, Duration::from_secs(5));
    let text = to_toml(&loaded.values);
    let line = "# store = \"<redacted>\"  # environment NOWRONG_STORE\n";
    assert!(text.contains(line), "{text}");
    let debug = format!("{:?}", loaded.config);
    assert!(!debug.contains("secretword") && !text.contains("secretword"));
    let bad = try_load("", &[("NOWRONG_STORE", "mongodb://me:secretword@@h")], &[]);
    assert!(!bad.unwrap_err().to_string().contains("secretword"));
}

#[test]
fn files_for_tls_to_redis_belong_to_an_encrypted_url() {
    let cluster = "store = 'mongodb://h'\nbroker = 'redis://h'\nredis.tls_ca = 'ca.pem'\n";
    let error = try_load(cluster, &[], &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("`redis.tls_ca` is set, but `broker`"),
        "{error}"
    );
    let encrypted = cluster.replace("redis://", "rediss://");
    try_load(&encrypted, &[], &[]).unwrap();
    let alone = format!("{encrypted}redis.tls_key = 'key.pem'\n");
    let error = try_load(&alone, &[], &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("`redis.tls_key` needs `redis.tls_cert`"),
        "{error}"
    );
}

#[test]
fn every_role_is_good_in_a_cluster() {
    let cluster = "store = 'mongodb://h'\nbroker = 'redis://h'";
    for role in Role::ALL {
        let arguments = ["--role", role.as_str()];
        let loaded = try_load(cluster, &[], &arguments).unwrap();
        assert_eq!(loaded.config.role, role);
        let shown = to_toml(&loaded.values);
        let line = format!("role = \"{}\"  # flag --role\n", role.as_str());
        assert!(shown.contains(&line), "{shown}");
    }
    assert!(Role::All.takes_clients() && Role::Realtime.takes_clients());
    assert!(!Role::Rest.takes_clients());
}

#[test]
fn an_empty_flag_takes_back_what_a_layer_below_set_and_an_empty_variable_is_not_set() {
    let file = "categories = 'a.toml'";
    let categories = |environment: &[(&str, &str)], arguments: &[&str]| {
        let loaded = try_load(file, environment, arguments).unwrap();
        loaded.config.categories
    };
    assert_eq!(categories(&[], &["--set", "categories="]), None);
    let empty = [("NOWRONG_CATEGORIES", ""), ("NOWRONG_STORE", "")];
    assert_eq!(categories(&empty, &[]), Some(PathBuf::from("a.toml")));
}

#[test]
fn the_variables_of_an_orchestrator_do_not_stop_the_start() {
    let environment = [
        ("NOWRONG_SERVICE_HOST", "10.96.0.10"),
        ("NOWRONG_PORT", "tcp://10.96.0.10:8080"),
        ("NOWRONG_DRIAN", "1s"),
    ];
    let loaded = try_load("", &environment, &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("did you mean NOWRONG_DRAIN?"));
}

#[test]
fn a_hosting_platform_names_the_port_unless_something_else_does() {
    let listen = |file: &str, environment: &[(&str, &str)], arguments: &[&str]| {
        let loaded = try_load(file, environment, arguments).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        loaded.config.listen_http.to_string()
    };
    let port = ("PORT", "3000");
    assert_eq!(listen("", &[port], &[]), "0.0.0.0:3000");
    let file = "listen_http = '127.0.0.1:1'";
    assert_eq!(listen(file, &[port], &[]), "127.0.0.1:1");
    let variable = ("NOWRONG_LISTEN_HTTP", "127.0.0.1:2");
    assert_eq!(listen("", &[variable, port], &[]), "127.0.0.1:2");
    let flag = ["--listen-http", "127.0.0.1:3"];
    assert_eq!(listen("", &[port], &flag), "127.0.0.1:3");
    let shown = to_toml(&try_load("", &[port], &[]).unwrap().values);
    let line = "listen_http = \"0.0.0.0:3000\"  # environment PORT\n";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn addresses_are_derived_from_where_the_listeners_are_bound() {
    let cases = [
        (
            "127.0.0.1:80",
            Some("127.0.0.1:4433"),
            "ws://127.0.0.1:80",
            Some("https://127.0.0.1:4433"),
        ),
        (
            "0.0.0.0:1",
            Some("0.0.0.0:2"),
            "ws://127.0.0.1:1",
            Some("https://127.0.0.1:2"),
        ),
        (
            "[::]:1",
            Some("[::]:2"),
            "ws://[::1]:1",
            Some("https://[::1]:2"),
        ),
        ("10.0.0.1:1", None, "ws://10.0.0.1:1", None),
    ];
    for (http, quic, websocket, webtransport) in cases {
        let quic = quic.map(|address| address.parse().unwrap());
        let addresses = Config::default().addresses(http.parse().unwrap(), quic);
        assert_eq!(addresses.websocket, format!("{websocket}/v1/websocket"));
        let expected = webtransport.map(|origin| format!("{origin}/v1/webtransport"));
        assert_eq!(addresses.webtransport, expected);
        let sources: Vec<String> = webtransport
            .into_iter()
            .chain([websocket])
            .map(str::to_owned)
            .collect();
        assert_eq!(addresses.connect_sources(), sources);
    }
}

#[test]
fn an_origin_is_kept_as_browsers_write_it() {
    for (written, kept) in [
        ("https://A.example:0443", "https://a.example"),
        ("http://a.example:080", "http://a.example"),
        ("http://a.example:0443", "http://a.example:443"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("http://0.0.0.0:3000", "http://0.0.0.0:3000"),
        ("https://a_b.example.", "https://a_b.example."),
    ] {
        let origin = Origin::parse(written);
        assert_eq!(origin.as_ref().map(Origin::as_str), Some(kept));
    }
}

#[test]
fn addresses_that_cannot_work_are_said_with_their_keys() {
    let advice = |file: &str| {
        let config = try_load(file, &[], &[]).unwrap().config;
        config.advice(&config.addresses(config.listen_http, config.listen_quic))
    };
    let public = "origins = ['https://a.example']\n[public_url]\nwebtransport = 'https://a.example/v1/webtransport'\nwebsocket = 'wss://a.example/v1/websocket'\n";
    let certificate = "[tls]\ncert = 'a.pem'\nkey = 'b.pem'\n";
    let everywhere = "listen_http = '0.0.0.0:80'\nlisten_quic = '[::]:443'\n";
    let good = format!("{everywhere}{public}{certificate}");
    for (file, expected) in [
        ("", Vec::new()),
        (good.as_str(), Vec::new()),
        (
            everywhere,
            vec!["`public_url.websocket`", "`public_url.webtransport`"],
        ),
        (
            "listen_quic = 'off'\nlisten_http = '[::]:80'",
            vec!["ws://[::1]:80/"],
        ),
        (
            &format!("{everywhere}{public}"),
            vec!["`tls.cert` is not set"],
        ),
        (
            "origins = ['https://a.example']",
            vec![
                "`origins`) cannot open ws://127",
                "are told https://127.0.0.1:4433/v1/webtransport (`public_url.webtransport`)",
            ],
        ),
        (
            "listen_quic = 'off'\norigins = ['https://a.example']\npublic_url.websocket = 'wss://localhost/v1/websocket'",
            vec![
                "pages of https://a.example (`origins`) are told wss://localhost/v1/websocket (`public_url.websocket`)",
            ],
        ),
        (
            "origins = ['http://localhost:3000', 'https://a.example']\n[public_url]\nwebsocket = 'wss://127.0.0.1:8443/v1/websocket'\nwebtransport = 'https://[::1]:4433/v1/webtransport'\n",
            vec![
                "wss://127.0.0.1:8443/v1/websocket (`public_url.websocket`) and https://[::1]:4433/v1/webtransport (`public_url.webtransport`)",
            ],
        ),
        (
            "origins = ['http://localhost:3000', 'https://localhost', 'http://0.0.0.0:1', 'https://a.localhost']\n[public_url]\nwebsocket = 'wss://127.0.0.1:8443/v1/websocket'\n",
            Vec::new(),
        ),
        (
            "listen_quic = '10.0.0.1:4433'",
            vec!["`tls.cert`", "`origins` is not set"],
        ),
        (
            "public_url.websocket = 'ws://localhost:80'",
            vec!["/v1/websocket"],
        ),
        (
            "role = 'rest'\nlisten_http = '0.0.0.0:80'\nstore = 'mongodb://h'\nbroker = 'redis://h'",
            Vec::new(),
        ),
    ] {
        let said = advice(file);
        assert_eq!(said.len(), expected.len(), "{file}: {said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.contains(expected), "{file}: {said}");
        }
    }
}

#[test]
fn pages_of_a_cluster_may_connect_to_every_node() {
    let cluster = "store = 'mongodb://h'\nbroker = 'redis://h'\n";
    let sources = |more: &str| {
        let config = try_load(&format!("{cluster}{more}"), &[], &[])
            .unwrap()
            .config;
        let addresses = config.addresses(config.listen_http, config.listen_quic);
        addresses.connect_sources().join(" ")
    };
    assert_eq!(sources(""), "https: wss: ws:");
    let public = "public_url.websocket = 'wss://chat.example/v1/websocket'";
    assert_eq!(sources(public), "https: wss:");
}

#[test]
fn only_listed_origins_and_native_clients_are_allowed() {
    let at = |origins: &[&str]| -> Addresses {
        let origins = origins.iter().map(|text| Origin::parse(text).unwrap());
        let config = Config {
            origins: origins.collect(),
            ..Config::default()
        };
        config.addresses("127.0.0.1:8080".parse().unwrap(), None)
    };
    let own = at(&[]);
    let cases = [
        (None, true),
        (Some("http://localhost:8080"), true),
        (Some("http://127.0.0.1:8080"), true),
        (Some("http://localhost:8081"), false),
        (Some("https://localhost:8080"), false),
        (Some("http://localhost:8080.evil.example"), false),
        (Some("null"), false),
        (Some(""), false),
    ];
    for (origin, expected) in cases {
        assert_eq!(own.allows(origin), expected, "{origin:?}");
    }
    let listed = at(&["https://chat.example"]);
    assert!(listed.allows(Some("https://chat.example")));
    assert!(
        !listed.allows(Some("http://localhost:8080")),
        "the list replaces the default"
    );
    assert!(!listed.allows(Some("https://a.chat.example")));
}

#[test]
fn origins_read_as_browsers_write_them() {
    let cases = [
        ("https://Chat.Example", Some("https://chat.example")),
        ("https://chat.example:443", Some("https://chat.example")),
        ("http://chat.example:80", Some("http://chat.example")),
        ("http://chat.example:443", Some("http://chat.example:443")),
        ("http://[::1]:8080", Some("http://[::1]:8080")),
        ("https://chat.example/", None),
        ("https://chat.example:", None),
        ("https://chat.example:99999", None),
        ("https://user@chat.example", None),
        ("https://", None),
        ("chat.example", None),
        ("ftp://chat.example", None),
        ("https://*.example", None),
        ("https://a b", None),
    ];
    for (text, expected) in cases {
        let parsed = Origin::parse(text);
        assert_eq!(parsed.as_ref().map(Origin::as_str), expected, "{text}");
    }
}

#[test]
fn merging_nothing_is_the_defaults() {
    let values = layers::merge(Vec::new()).unwrap();
    for key in KEYS {
        assert_eq!(
            values.entry(key.name).is_some(),
            key.default.is_some(),
            "{}",
            key.name
        );
    }
}

#[test]
fn two_installations_on_one_redis_have_two_prefixes() {
    let cluster = "store = 'mongodb://h'\nbroker = 'redis://h'\n";
    let prefix = |text: &str| -> Result<String, ConfigError> {
        let file = format!("{cluster}redis.prefix = '{text}'");
        let config = try_load(&file, &[], &[])?.config;
        match config.broker {
            super::BrokerChoice::Redis(_, prefix) => Ok(prefix.to_string()),
            super::BrokerChoice::Local => panic!("it is redis"),
        }
    };
    assert_eq!(prefix("staging-2"), Ok("staging-2".to_owned()));
    for bad in ["Staging", "a:b", "{a}", "a b", &"x".repeat(33)] {
        let error = prefix(bad).unwrap_err().to_string();
        assert!(error.starts_with("`redis.prefix` must have"), "{error}");
    }
}

#[test]
fn the_bounds_of_clocks_have_bounds() {
    let with = |pair: &str| try_load("", &[], &["--set", pair]).map(|loaded| loaded.config);
    let off_max = with("clock.off_max=5s").unwrap().clock_off_max;
    assert_eq!(off_max, Duration::from_secs(5));
    for bad in ["clock.off_max=4s", "clock.off_max=6m", "clock.hold=25h"] {
        let error = with(bad).unwrap_err().to_string();
        assert!(error.contains("must be at"), "{bad}: {error}");
    }
    let file = with("clock_ahead=@/tmp/clock").unwrap().clock_ahead;
    let expected = nowrong_base::clock::MachineShift::File(PathBuf::from("/tmp/clock"));
    assert_eq!(file, expected);
}
