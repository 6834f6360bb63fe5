//! Addresses that cannot work, as far as a node can know that by itself: a sentence each, for the log
//! of a start. What can never work is refused in `values` instead. Pure.

use std::net::IpAddr;

use super::{Addresses, Config, Tls, WEBSOCKET_PATH, addresses::bare, host_of};

impl Config {
    /// What is wrong with the addresses that clients are told, each with the keys to change.
    pub fn advice(&self, addresses: &Addresses) -> Vec<String> {
        if !self.role.takes_clients() {
            return Vec::new();
        }
        let all = [
            self.about_websocket_host(addresses),
            self.about_webtransport_host(addresses),
            about_secure_pages(addresses),
            self.about_one_machine(addresses),
            about_websocket_path(addresses),
            self.about_certificate(addresses),
            self.about_origins(addresses),
        ];
        all.into_iter().flatten().collect()
    }

    fn about_websocket_host(&self, addresses: &Addresses) -> Option<String> {
        let is_derived = self.public_url.websocket.is_none();
        (is_derived && self.listen_http.ip().is_unspecified()).then(|| {
            format!(
                "`listen_http` is open to other machines, but clients are told {}, which is their own machine: set `public_url.websocket`, and `origins` to the addresses of your pages",
                addresses.websocket
            )
        })
    }

    fn about_webtransport_host(&self, addresses: &Addresses) -> Option<String> {
        let url = addresses.webtransport.as_deref()?;
        let is_open = self.listen_quic?.ip().is_unspecified();
        (is_open && self.public_url.webtransport.is_none()).then(|| {
            format!(
                "`listen_quic` is open to other machines, but clients are told {url}, which is their own machine: set `public_url.webtransport`"
            )
        })
    }

    /// An address of this machine is of use to pages of this machine alone. What is said of the same URL for
    /// another reason is enough.
    fn about_one_machine(&self, addresses: &Addresses) -> Option<String> {
        let is_here = |url: &str| host_of(url).is_some_and(|host| is_here(&host));
        let mut origins = addresses.origins.iter();
        let page = origins.find(|origin| !is_here(origin.as_str()))?;
        let is_said = self.about_websocket_host(addresses).is_some()
            || about_secure_pages(addresses).is_some();
        let websocket = (!is_said).then_some((&addresses.websocket, "public_url.websocket"));
        let is_said = self.about_webtransport_host(addresses).is_some();
        let webtransport = addresses.webtransport.as_ref().filter(|_| !is_said);
        let webtransport = webtransport.map(|url| (url, "public_url.webtransport"));
        let told: Vec<String> = [websocket, webtransport]
            .into_iter()
            .flatten()
            .filter(|(url, _)| is_here(url))
            .map(|(url, key)| format!("{url} (`{key}`)"))
            .collect();
        (!told.is_empty()).then(|| {
            format!(
                "pages of {page} (`origins`) are told {}: for everybody else that is their own machine, so set it to an address that others reach (`listen_quic` can also be \"off\")",
                told.join(" and ")
            )
        })
    }

    /// A development certificate is good for this machine, and for browsers that take certificates by
    /// their hash.
    fn about_certificate(&self, addresses: &Addresses) -> Option<String> {
        let url = addresses.webtransport.as_deref()?;
        let is_public = !is_here(&host_of(url)?);
        (is_public && matches!(self.tls, Tls::Development { .. })).then(|| {
            format!(
                "clients are told {url} (`public_url.webtransport` or `listen_quic`), but `tls.cert` is not set: with a development certificate only browsers connect that accept certificates by their hash"
            )
        })
    }

    fn about_origins(&self, addresses: &Addresses) -> Option<String> {
        let urls = [Some(&addresses.websocket), addresses.webtransport.as_ref()];
        let mut hosts = urls.into_iter().flatten().filter_map(|url| host_of(url));
        let is_public = hosts.any(|host| !is_here(&host));
        (is_public && self.origins.is_empty()).then(|| {
            "`origins` is not set: only pages of this machine may use the server; list the addresses of your pages".to_owned()
        })
    }
}

/// Browsers do not open `ws://` from a page that came over https.
fn about_secure_pages(addresses: &Addresses) -> Option<String> {
    let mut origins = addresses.origins.iter();
    let secure = origins.find(|origin| origin.as_str().starts_with("https://"))?;
    addresses.websocket.starts_with("ws://").then(|| {
        format!(
            "pages of {secure} (`origins`) cannot open {}: set `public_url.websocket` to the wss:// address of your TLS proxy",
            addresses.websocket
        )
    })
}

/// A proxy may serve it under another path, so this may be meant.
fn about_websocket_path(addresses: &Addresses) -> Option<String> {
    let url = &addresses.websocket;
    (!url.ends_with(WEBSOCKET_PATH)).then(|| {
        format!("`public_url.websocket` is {url}, but this server is asked at {WEBSOCKET_PATH}: does your proxy add the path?")
    })
}

/// Whether a host is this machine, for every client that asks.
fn is_here(host: &str) -> bool {
    let address = bare(host).parse::<IpAddr>().map(|it| it.to_canonical());
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|it| it.is_loopback() || it.is_unspecified())
}
