//! The table of keys: the only list of all keys.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its dotted name, as in the file. In the environment `NOWRONG_` and upper case, with two
    /// underscores for the dot.
    pub name: &'static str,
    /// Its default as a TOML value; `None` when it is derived or off.
    pub default: Option<&'static str>,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// One line for people.
    pub text: &'static str,
}

const fn key(name: &'static str, default: &'static str, text: &'static str) -> Key {
    Key {
        name,
        default: Some(default),
        is_secret: false,
        text,
    }
}

const fn unset(name: &'static str, text: &'static str) -> Key {
    Key {
        name,
        default: None,
        is_secret: false,
        text,
    }
}

const fn secret(name: &'static str, text: &'static str) -> Key {
    Key {
        name,
        default: None,
        is_secret: true,
        text,
    }
}

/// Every key, in the order in which they are printed.
pub const KEYS: &[Key] = &[
    key(
        "role",
        r#""all""#,
        "all, or in a cluster realtime (connections only) or rest (REST only)",
    ),
    unset(
        "threads",
        "threads that serve, at most 1024; one per core when unset. Set it when several nodes share a machine",
    ),
    key(
        "listen_http",
        r#""127.0.0.1:8080""#,
        "REST and WebSocket (TCP)",
    ),
    key(
        "listen_quic",
        r#""127.0.0.1:4433""#,
        "WebTransport (UDP), or \"off\"",
    ),
    key(
        "fast_path",
        "true",
        "whether small writes over WebTransport are sent again to clients whose link loses packets",
    ),
    key(
        "listen_metrics",
        r#""off""#,
        "GET /metrics for Prometheus (TCP), or \"off\"; not for clients",
    ),
    key(
        "data",
        r#""./data""#,
        "folder of the embedded store and of the keys, or \"memory\"",
    ),
    key(
        "broker",
        r#""local""#,
        "\"local\" for a single node; with MongoDB redis://host:port or redis+cluster://host:port,host:port",
    ),
    unset(
        "redis.tls_ca",
        "PEM file of the authorities that vouch for Redis (rediss://); those of this machine when unset",
    ),
    unset("redis.tls_cert", "PEM chain that this node shows to Redis"),
    unset("redis.tls_key", "PEM key of redis.tls_cert"),
    key(
        "redis.prefix",
        r#""nowrong""#,
        "begins every key in Redis; two installations on one Redis need two",
    ),
    key(
        "store",
        r#""embedded""#,
        "\"embedded\", or the connection string of a MongoDB replica set",
    ),
    secret(
        "cluster_secret",
        "at least 32 characters that all nodes on one MongoDB share and nobody else knows: names and day keys depend on it",
    ),
    key(
        "mongodb.pool_max",
        "64",
        "connections of this node to one MongoDB server",
    ),
    key(
        "mongodb.timeout",
        r#""5s""#,
        "how long a call to MongoDB may take",
    ),
    key(
        "migrate_at_start",
        "true",
        "whether a start brings the collections in MongoDB up to date",
    ),
    key(
        "trusted_proxies",
        "[]",
        "addresses and networks of the proxies that are believed about who is behind them, at most 64",
    ),
    key(
        "proxy_protocol",
        "false",
        "whether connections of trusted_proxies to listen_http begin with PROXY protocol version 2",
    ),
    unset(
        "public_url.webtransport",
        "URL told to clients; derived from listen_quic when unset",
    ),
    unset(
        "public_url.websocket",
        "URL told to clients; derived from listen_http when unset",
    ),
    unset(
        "origins",
        "web origins that may use this server; its own on this machine when unset",
    ),
    unset(
        "tls.cert",
        "PEM chain; a development certificate when unset",
    ),
    unset("tls.key", "PEM key of tls.cert"),
    key(
        "tls.names",
        "[]",
        "more names for the development certificate",
    ),
    unset("web_root", "folder of static files to serve at /"),
    key(
        "script_hashes",
        "[]",
        "inline scripts that pages may run: sha256-… as in a Content-Security-Policy, at most 50",
    ),
    key(
        "reserved_names",
        "[]",
        "names that nobody can have, or one that looks like it, besides those of authority; at most 1000",
    ),
    unset(
        "categories",
        "TOML file of the categories, in force at each start; the built-in ones when unset",
    ),
    key("log.format", r#""text""#, "text or json"),
    key(
        "log.level",
        r#""info""#,
        "error, warn, info, debug or trace",
    ),
    key(
        "limits.connections_max",
        "10000",
        "connections of this node",
    ),
    key(
        "limits.connections_per_prefix_max",
        "1000",
        "connections of one IPv4 address or IPv6 /64",
    ),
    key(
        "limits.handshakes_burst",
        "500",
        "new connections of one prefix at once and per period",
    ),
    key(
        "limits.handshakes_period",
        r#""10s""#,
        "period of handshakes_burst",
    ),
    key(
        "limits.register_burst",
        "120",
        "new accounts of one prefix at once and per period",
    ),
    key(
        "limits.register_period",
        r#""1h""#,
        "period of register_burst",
    ),
    key(
        "limits.proof_work",
        "150",
        "work that a new account costs its device: numbers to try for each of the 2 of a proof, up to 16 times as many when more register; 0: none",
    ),
    key(
        "limits.proof_calm_per_minute",
        "60",
        "new accounts of this node per minute from which on the work grows",
    ),
    key(
        "limits.requests_burst",
        "600",
        "refreshes of one prefix at once and per period; as many requests to each other route, ten times as many for categories",
    ),
    key(
        "limits.requests_period",
        r#""1m""#,
        "period of requests_burst",
    ),
    key(
        "limits.account_burst",
        "120",
        "requests of one account at once and per period, connects among them",
    ),
    key(
        "limits.account_period",
        r#""1m""#,
        "period of account_burst",
    ),
    key(
        "limits.text_bytes_burst",
        "20000000",
        "bytes of the texts that the people of one prefix send to this node at once and per period",
    ),
    key(
        "limits.text_bytes_period",
        r#""10m""#,
        "period of text_bytes_burst",
    ),
    key(
        "limits.disk_free_min_mb",
        "256",
        "least room on the disk of the embedded store in MB: with less, no new accounts and no new messages; 0: no mark",
    ),
    key(
        "retention",
        r#""24h""#,
        "longest lifetime of a chat, at most 24h",
    ),
    key(
        "grace",
        r#""60s""#,
        "how long an ended chat can still be read",
    ),
    key(
        "account_idle",
        r#""24h""#,
        "an account unused for this long is erased, at most 24h",
    ),
    key(
        "newcomer_age",
        r#""1h""#,
        "accounts younger than this meet each other first, everybody else 3 s later; \"0s\": from the start",
    ),
    key(
        "seat_hold",
        r#""90s""#,
        "how long the seat of a member without a connection is held",
    ),
    key(
        "idle_notice",
        r#""2m""#,
        "silence after which a chat gets a notice",
    ),
    key("idle_end", r#""5m""#, "silence after which a chat ends"),
    key("drain", r#""10s""#, "longest time of a graceful stop"),
    key(
        "signing_key_age",
        r#""30d""#,
        "a signing key older than this is replaced: at the next start, or on MongoDB while nodes run",
    ),
    key(
        "clock.off_max",
        r#""1m""#,
        "a clock that is off by more than this makes the node stand aside",
    ),
    key(
        "clock.hold",
        r#""10m""#,
        "how long a leap of the machine's clock must last before the embedded store erases by it",
    ),
    key(
        "clock_ahead",
        r#""0s""#,
        "moves the machine's clock ahead, or \"@FILE\" with milliseconds; for tests",
    ),
];
