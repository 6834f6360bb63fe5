//! From values to types: every check of the configuration. Pure.
//!
//! Each reader takes TOML's own type or a string, because the environment and flags only have
//! strings; a list is then separated by commas.

use std::{net::SocketAddr, num::NonZero, path::PathBuf, str::FromStr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use humantime_serde::re::humantime::{format_duration, parse_duration};
use nowrong_base::clock::MachineShift;
#[cfg(feature = "mongodb")]
use nowrong_base::secret::ClusterSecret;
use nowrong_core::{
    limiter::Rate,
    network::{NETWORKS_MAX, Network, NetworkError, TrustedProxies},
    proof::{PRESSURE_MAX, ProofRule, WORK_MAX},
    text::ReservedNames,
};
use nowrong_protocol::limits::{RETENTION_MAX, TEXT_BYTES_MAX};
use toml::Value;

use super::{
    BrokerChoice, ClientLimits, Config, ConfigError, Data, LogFormat, LogLevel, LogSettings,
    Origin, PublicUrl, Role, StoreChoice, Tls, WEBTRANSPORT_PATH, addresses::fault_of_place,
    layers::Values,
};

/// Most inline scripts of pages: all hashes stand in each response, and proxies accept some 4 KB of
/// headers.
const SCRIPT_HASHES_MAX: usize = 50;

/// The hashes of a Content-Security-Policy, and their bytes.
const SCRIPT_HASHES: [(&str, usize); 3] = [("sha256-", 32), ("sha384-", 48), ("sha512-", 64)];

/// Most threads that serve: more than any machine can use.
const THREADS_MAX: usize = 1_024;

/// Least bound of a clock that is off: below it a busy machine would look like a wrong clock.
const CLOCK_OFF_LEAST: Duration = Duration::from_secs(5);

/// Most: beyond it access tokens, which live 10 minutes, would no longer be valid everywhere.
const CLOCK_OFF_MOST: Duration = Duration::from_secs(5 * 60);

type Read<T> = Result<T, ConfigError>;

/// Shortest time for any key except `clock_ahead`: zero would mean "at once" in some places and
/// "never" in others.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longest time for any key: timers accept it without overflow, and nobody can want more.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Config {
    /// Checks and types every value.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for the first value that cannot be used.
    pub fn from_values(values: &Values) -> Read<Self> {
        let config = Self {
            role: values.one_of("role", &Role::ALL.map(|role| (role.as_str(), role)))?,
            threads: values.threads()?,
            listen_http: values.parsed(
                "listen_http",
                "must be an address and port such as 127.0.0.1:8080",
            )?,
            listen_quic: values.listen_quic()?,
            fast_path: values.truth("fast_path")?,
            listen_metrics: values.listen_metrics()?,
            data: values.data()?,
            broker: values.broker()?,
            store: values.store()?,
            migrate_at_start: values.truth("migrate_at_start")?,
            trusted_proxies: values.trusted_proxies()?,
            proxy_protocol: values.truth("proxy_protocol")?,
            public_url: values.public_url()?,
            origins: values.origins()?,
            tls: values.tls()?,
            web_root: values.optional_text("web_root")?.map(PathBuf::from),
            never_served: Vec::new(),
            script_hashes: values.script_hashes()?,
            reserved_names: values.reserved_names()?,
            categories: values.optional_text("categories")?.map(PathBuf::from),
            log: values.log()?,
            limits: values.limits()?,
            disk_free_min: u64::from(values.number("limits.disk_free_min_mb", 0)?) * 1_000_000,
            retention: values.duration_up_to("retention", RETENTION_MAX)?,
            grace: values.duration_up_to("grace", RETENTION_MAX)?,
            account_idle: values.duration_up_to("account_idle", RETENTION_MAX)?,
            newcomer_age: values.newcomer_age()?,
            seat_hold: values.duration_up_to("seat_hold", RETENTION_MAX)?,
            idle_notice: values.duration_up_to("idle_notice", RETENTION_MAX)?,
            idle_end: values.duration_up_to("idle_end", RETENTION_MAX)?,
            drain: values.duration("drain")?,
            signing_key_age: values.duration("signing_key_age")?,
            clock_off_max: values.clock_off_max()?,
            clock_hold: values.duration_up_to("clock.hold", RETENTION_MAX)?,
            clock_ahead: values.clock_ahead()?,
        };
        config.check_together(values)?;
        Ok(config)
    }

    fn check_together(&self, values: &Values) -> Read<()> {
        if self.grace > self.retention {
            return Err(values.invalid("grace", "must not be longer than `retention`"));
        }
        if self.idle_end <= self.idle_notice {
            return Err(values.invalid("idle_end", "must be longer than `idle_notice`"));
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            let detail =
                "is true although `trusted_proxies` is empty: list the proxies that speak it there";
            return Err(values.invalid("proxy_protocol", detail));
        }
        let is_derived = self.public_url.webtransport.is_none();
        if self.listen_quic.is_none() && !is_derived {
            let detail = "is set although `listen_quic` is off";
            return Err(values.invalid("public_url.webtransport", detail));
        }
        self.check_cluster(values)
    }

    /// Nodes form a cluster by sharing a store and a broker.
    fn check_cluster(&self, values: &Values) -> Read<()> {
        let is_embedded = self.store == StoreChoice::Embedded;
        if self.broker != BrokerChoice::Local && is_embedded {
            let detail = "is for nodes that share a store, and `store` is embedded: set `store` to a MongoDB connection string, or `broker` to \"local\"";
            return Err(values.invalid("broker", detail));
        }
        if self.role != Role::All && self.broker == BrokerChoice::Local {
            let role = self.role.as_str();
            let detail = format!(
                "is {role}, a part of a cluster: set `store` to a MongoDB connection string and `broker` to redis://host:port, or `role` to all"
            );
            return Err(values.invalid("role", detail));
        }
        Ok(())
    }
}

impl Values {
    fn threads(&self) -> Read<Option<NonZero<usize>>> {
        match self.entry("threads").map(|entry| &entry.value) {
            None => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(_) => {}
        }
        let threads = usize::try_from(self.count("threads")?).ok();
        let threads = threads.filter(|threads| *threads <= THREADS_MAX);
        match threads.and_then(NonZero::new) {
            Some(threads) => Ok(Some(threads)),
            None => Err(self.invalid("threads", format!("must be at most {THREADS_MAX}"))),
        }
    }

    fn listen_metrics(&self) -> Read<Option<SocketAddr>> {
        if self.text("listen_metrics")? == "off" {
            return Ok(None);
        }
        let wanted = "must be an address and port such as 127.0.0.1:9090, or \"off\"";
        self.parsed("listen_metrics", wanted).map(Some)
    }

    fn listen_quic(&self) -> Read<Option<SocketAddr>> {
        if self.text("listen_quic")? == "off" {
            return Ok(None);
        }
        let wanted = "must be an address and port such as 127.0.0.1:4433, or \"off\"";
        self.parsed("listen_quic", wanted).map(Some)
    }

    fn data(&self) -> Read<Data> {
        Ok(match self.text("data")?.as_str() {
            "memory" => Data::Memory,
            folder => Data::Folder(PathBuf::from(folder)),
        })
    }

    fn clock_off_max(&self) -> Read<Duration> {
        let off_max = self.duration_up_to("clock.off_max", CLOCK_OFF_MOST)?;
        if off_max < CLOCK_OFF_LEAST {
            let least = format_duration(CLOCK_OFF_LEAST);
            return Err(self.invalid("clock.off_max", format!("must be at least {least}")));
        }
        Ok(off_max)
    }

    fn clock_ahead(&self) -> Read<MachineShift> {
        match self.text("clock_ahead")?.strip_prefix('@') {
            Some(path) => Ok(MachineShift::File(PathBuf::from(path))),
            None => self.any_duration("clock_ahead").map(MachineShift::Ahead),
        }
    }

    fn broker(&self) -> Read<BrokerChoice> {
        match self.text("broker")?.as_str() {
            "local" => Ok(BrokerChoice::Local),
            url => self.redis(url),
        }
    }

    #[cfg(feature = "redis")]
    fn redis(&self, url: &str) -> Read<BrokerChoice> {
        use nowrong_broker_redis::RedisUrl;
        match url.parse::<RedisUrl>() {
            Ok(url) => {
                let tls = self.redis_tls(url.is_encrypted())?;
                let prefix = self.text("redis.prefix")?.parse();
                let bad = |wanted: nowrong_broker_redis::NotAPrefix| {
                    self.invalid("redis.prefix", wanted.to_string())
                };
                Ok(BrokerChoice::Redis(url.with_tls(tls), prefix.map_err(bad)?))
            }
            Err(wanted) => Err(self.invalid("broker", format!("{wanted}, or \"local\""))),
        }
    }

    #[cfg(feature = "redis")]
    fn redis_tls(&self, is_encrypted: bool) -> Read<nowrong_broker_redis::TlsFiles> {
        let path = |key| Ok(self.optional_text(key)?.map(PathBuf::from));
        for key in ["redis.tls_ca", "redis.tls_cert", "redis.tls_key"] {
            if !is_encrypted && path(key)?.is_some() {
                let detail = "is set, but `broker` does not ask for TLS: let it begin with rediss";
                return Err(self.invalid(key, detail));
            }
        }
        let ca = path("redis.tls_ca")?;
        let client = match (path("redis.tls_cert")?, path("redis.tls_key")?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(self.invalid("redis.tls_cert", "needs `redis.tls_key` beside it"));
            }
            (None, Some(_)) => {
                return Err(self.invalid("redis.tls_key", "needs `redis.tls_cert` beside it"));
            }
        };
        Ok(nowrong_broker_redis::TlsFiles { ca, client })
    }

    #[cfg(not(feature = "redis"))]
    fn redis(&self, _url: &str) -> Read<BrokerChoice> {
        let wanted = "must be \"local\": this program was built without its feature `redis`";
        Err(self.invalid("broker", wanted))
    }

    fn store(&self) -> Read<StoreChoice> {
        let text = self.text("store")?;
        if text == "embedded" {
            return Ok(StoreChoice::Embedded);
        }
        self.mongodb(text)
    }

    #[cfg(feature = "mongodb")]
    fn mongodb(&self, text: String) -> Read<StoreChoice> {
        use nowrong_store_mongodb::{MongoOptions, is_connection_string};
        if !is_connection_string(&text) {
            // Never quoted: it may contain a password.
            let wanted = "must be \"embedded\" or a MongoDB connection string such as mongodb://user:password@host:27017/nowrong";
            return Err(self.invalid("store", wanted));
        }
        Ok(StoreChoice::MongoDb(MongoOptions {
            url: nowrong_base::privacy::Redacted::new(text),
            connections_max: self.count("mongodb.pool_max")?,
            timeout: self.duration("mongodb.timeout")?,
            secret: self.cluster_secret()?,
        }))
    }

    /// Never quoted, however wrong it is.
    #[cfg(feature = "mongodb")]
    fn cluster_secret(&self) -> Read<ClusterSecret> {
        let least = ClusterSecret::CHARS_MIN;
        let Some(text) = self.optional_text("cluster_secret")? else {
            let detail = format!(
                "must be set when `store` is MongoDB, to the same {least} or more secret characters for all nodes: `openssl rand -hex 32` makes them"
            );
            return Err(self.invalid("cluster_secret", detail));
        };
        ClusterSecret::new(text).ok_or_else(|| {
            let wanted = format!(
                "must have at least {least} characters: `openssl rand -hex 32` makes a good one"
            );
            self.invalid("cluster_secret", wanted)
        })
    }

    #[cfg(not(feature = "mongodb"))]
    fn mongodb(&self, _text: String) -> Read<StoreChoice> {
        let wanted = "must be \"embedded\": this program was built without its feature `mongodb`";
        Err(self.invalid("store", wanted))
    }

    fn trusted_proxies(&self) -> Read<TrustedProxies> {
        let list = self.list("trusted_proxies")?;
        if list.len() > NETWORKS_MAX {
            let detail = format!("must have at most {NETWORKS_MAX} networks");
            return Err(self.invalid("trusted_proxies", detail));
        }
        let parse = |text: String| {
            let network: Result<Network, NetworkError> = text.parse();
            network.map_err(|wanted| {
                self.invalid("trusted_proxies", format!("{wanted}, not `{text}`"))
            })
        };
        let networks: Read<Vec<Network>> = list.into_iter().map(parse).collect();
        networks.map(TrustedProxies::new)
    }

    fn script_hashes(&self) -> Read<Vec<String>> {
        let hashes = self.list("script_hashes")?;
        if hashes.len() > SCRIPT_HASHES_MAX {
            let detail =
                format!("must have at most {SCRIPT_HASHES_MAX} hashes: put scripts into files");
            return Err(self.invalid("script_hashes", detail));
        }
        if let Some(wrong) = hashes.iter().find(|hash| !is_script_hash(hash)) {
            let wanted =
                "must list hashes such as sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=";
            return Err(self.invalid("script_hashes", format!("{wanted}, not `{wrong}`")));
        }
        Ok(hashes)
    }

    fn reserved_names(&self) -> Read<ReservedNames> {
        let reserved = ReservedNames::with(&self.list("reserved_names")?);
        reserved.map_err(|error| self.invalid("reserved_names", error.to_string()))
    }

    /// Zero means that nobody counts as new.
    fn newcomer_age(&self) -> Read<Duration> {
        match self.any_duration("newcomer_age")? {
            age if age.is_zero() => Ok(age),
            _ => self.duration_up_to("newcomer_age", RETENTION_MAX),
        }
    }

    fn public_url(&self) -> Read<PublicUrl> {
        let webtransport = self.url("public_url.webtransport", &["https"])?;
        let path = webtransport.as_deref().map(path_of);
        if path.is_some_and(|path| path != WEBTRANSPORT_PATH) {
            // No proxy passes WebTransport on, so no proxy can change the path.
            let wanted = format!("must end with {WEBTRANSPORT_PATH}: clients get 404 elsewhere");
            return Err(self.invalid("public_url.webtransport", wanted));
        }
        Ok(PublicUrl {
            webtransport,
            websocket: self.url("public_url.websocket", &["wss", "ws"])?,
        })
    }

    fn url(&self, key: &'static str, schemes: &[&str]) -> Read<Option<String>> {
        let Some(text) = self.optional_text(key)? else {
            return Ok(None);
        };
        let uri = http::Uri::from_str(&text).ok();
        let uri = uri.filter(|uri| {
            let scheme = uri.scheme_str();
            scheme.is_some_and(|scheme| schemes.contains(&scheme)) && is_plain(&text)
        });
        let place = uri.as_ref().and_then(http::Uri::authority);
        let place = place.filter(|place| !place.as_str().contains('@'));
        let Some(place) = place else {
            let wanted = format!(
                "must be a URL that begins with {}://",
                schemes.join(":// or ")
            );
            return Err(self.invalid(key, wanted));
        };
        if let Some(fault) = fault_of_place(place.as_str()) {
            return Err(self.invalid(key, format!("{fault}, not `{place}`")));
        }
        Ok(Some(text))
    }

    fn origins(&self) -> Read<Vec<Origin>> {
        let parse = |text: String| {
            Origin::parse(&text).ok_or_else(|| {
                let wanted = "must list origins such as https://chat.example or http://localhost:3000, without a path";
                self.invalid("origins", format!("{wanted}, not `{text}`"))
            })
        };
        self.list("origins")?.into_iter().map(parse).collect()
    }

    fn tls(&self) -> Read<Tls> {
        let cert = self.optional_text("tls.cert")?.map(PathBuf::from);
        let key = self.optional_text("tls.key")?.map(PathBuf::from);
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Tls::Pem { cert, key }),
            (None, None) => Ok(Tls::Development {
                names: self.list("tls.names")?,
            }),
            (Some(_), None) => Err(self.invalid("tls.cert", "needs `tls.key` beside it")),
            (None, Some(_)) => Err(self.invalid("tls.key", "needs `tls.cert` beside it")),
        }
    }

    fn log(&self) -> Read<LogSettings> {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let levels = [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
            LogLevel::Trace,
        ];
        Ok(LogSettings {
            format: self.one_of("log.format", &formats)?,
            level: self.one_of("log.level", &levels.map(|level| (level.as_str(), level)))?,
        })
    }

    fn limits(&self) -> Read<ClientLimits> {
        Ok(ClientLimits {
            connections_max: self.count("limits.connections_max")?,
            connections_per_prefix_max: self.count("limits.connections_per_prefix_max")?,
            handshakes: self.rate("limits.handshakes_burst", "limits.handshakes_period")?,
            register: self.rate("limits.register_burst", "limits.register_period")?,
            proof: self.proof()?,
            requests: self.rate("limits.requests_burst", "limits.requests_period")?,
            account: self.rate("limits.account_burst", "limits.account_period")?,
            texts: self.texts()?,
        })
    }

    fn proof(&self) -> Read<ProofRule> {
        let work = self.number("limits.proof_work", 0)?;
        let calm_per_minute = self.count("limits.proof_calm_per_minute")?;
        let Some(work) = u16::try_from(work).ok().filter(|work| *work <= WORK_MAX) else {
            let reason = format!("must be at most {WORK_MAX}: it grows up to {PRESSURE_MAX} times");
            return Err(self.invalid("limits.proof_work", reason));
        };
        Ok(ProofRule {
            work,
            calm_per_minute,
        })
    }

    /// Room for the longest text: with less, it could never be sent.
    fn texts(&self) -> Read<Rate> {
        let rate = self.rate("limits.text_bytes_burst", "limits.text_bytes_period")?;
        if (rate.burst as usize) < TEXT_BYTES_MAX {
            let reason = format!("must be at least {TEXT_BYTES_MAX}, the longest text");
            return Err(self.invalid("limits.text_bytes_burst", reason));
        }
        Ok(rate)
    }

    fn rate(&self, burst: &'static str, period: &'static str) -> Read<Rate> {
        Ok(Rate {
            burst: self.count(burst)?,
            period_ms: self.duration(period)?.as_millis() as u64,
        })
    }

    fn one_of<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Read<T> {
        let text = self.text(key)?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.invalid(
                key,
                format!("must be one of {}, not `{text}`", names.join(", ")),
            )
        })
    }

    fn duration_up_to(&self, key: &'static str, most: Duration) -> Read<Duration> {
        let duration = self.duration(key)?;
        if duration > most {
            let most = format_duration(most);
            return Err(self.invalid(key, format!("must be at most {most}")));
        }
        Ok(duration)
    }

    fn duration(&self, key: &'static str) -> Read<Duration> {
        let duration = self.any_duration(key)?;
        if duration < SHORTEST {
            return Err(self.invalid(key, "must be longer than nothing"));
        }
        Ok(duration)
    }

    fn any_duration(&self, key: &'static str) -> Read<Duration> {
        let wanted = || self.invalid(key, "must be a time such as \"30s\", \"5m\" or \"24h\"");
        let duration = parse_duration(&self.text(key)?).map_err(|_| wanted())?;
        if duration > LONGEST {
            return Err(self.invalid(key, "must be at most a year"));
        }
        Ok(duration)
    }

    fn count(&self, key: &'static str) -> Read<u32> {
        self.number(key, 1)
    }

    /// A whole number from `least`.
    fn number(&self, key: &'static str, least: u32) -> Read<u32> {
        let number = match self.entry(key).map(|entry| &entry.value) {
            Some(Value::Integer(number)) => u32::try_from(*number).ok(),
            Some(Value::String(text)) => text.replace('_', "").parse().ok(),
            _ => None,
        };
        number.filter(|number| *number >= least).ok_or_else(|| {
            let reason = format!("must be a whole number from {least} to {}", u32::MAX);
            self.invalid(key, reason)
        })
    }

    fn truth(&self, key: &'static str) -> Read<bool> {
        let truth = match self.entry(key).map(|entry| &entry.value) {
            Some(Value::Boolean(truth)) => Some(*truth),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        truth.ok_or_else(|| self.invalid(key, "must be true or false"))
    }

    fn parsed<T: FromStr>(&self, key: &'static str, wanted: &str) -> Read<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| self.invalid(key, format!("{wanted}, not `{text}`")))
    }

    fn text(&self, key: &'static str) -> Read<String> {
        self.optional_text(key)?
            .ok_or_else(|| self.invalid(key, "must not be empty"))
    }

    /// An empty string counts as unset, so that a layer can undo a value of a lower layer.
    fn optional_text(&self, key: &'static str) -> Read<Option<String>> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.invalid(key, "must be a string")),
        }
    }

    fn list(&self, key: &'static str) -> Read<Vec<String>> {
        let wanted = || self.invalid(key, "must be a list of strings");
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                Ok(items.map(str::to_owned).collect())
            }
            Some(Value::Array(items)) => {
                let items = items.iter().map(|item| item.as_str().map(str::to_owned));
                items.collect::<Option<_>>().ok_or_else(wanted)
            }
            Some(_) => Err(wanted()),
        }
    }
}

/// What follows the host of a URL.
fn path_of(url: &str) -> &str {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    place.find('/').map_or("", |at| &place[at..])
}

/// Whether a URL can be used in a Content-Security-Policy, where it ends up.
fn is_plain(url: &str) -> bool {
    url.bytes()
        .all(|byte| byte.is_ascii_graphic() && !b",;'\"#".contains(&byte))
}

/// Whether this is a hash of a Content-Security-Policy, whole and without quotes around it.
fn is_script_hash(text: &str) -> bool {
    SCRIPT_HASHES.iter().any(|(name, bytes)| {
        let hash = text.strip_prefix(name).map(|hash| STANDARD.decode(hash));
        matches!(hash, Some(Ok(hash)) if hash.len() == *bytes)
    })
}
