//! What keeps private data out of logs, metrics, error reports and other people's sight.
//!
//! Neither of the two types can be printed or serialised by accident: [`Redacted`] shows a placeholder,
//! [`ClientIp`] shows nothing at all, not even to a debugger's `{:?}`.

use std::{
    fmt,
    fs::OpenOptions,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};

use crate::random::{self, NoRandomness};

/// A secret, or text of a person. `Debug` and `Display` show `<redacted>`; there is no `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a secret.
    pub const fn new(secret: T) -> Self {
        Self(secret)
    }

    /// The secret itself: for the one place that hands it to its owner.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// As [`Self::expose`], by value.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// The address of a client. It can only be turned into a key of a limiter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(IpAddr);

/// A network that a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its pseudonym, as [`ClientIp::limiter_key`].
    pub key: [u8; 16],
    /// How many times what a single network may it has for all its members.
    pub share: u32,
}

/// The networks around an IPv6 /64: the length of the prefix in bytes, and the share. A household may be given
/// a /56, a site a /48; who has 256 or 65,536 networks may do more than one subscriber, but not as much more.
const AROUND_V6: [(usize, u32); 2] = [(7, 4), (6, 16)];

impl ClientIp {
    /// All networks that the client comes from, the narrowest first: an IPv4 address, or an IPv6 /64, /56 and
    /// /48.
    pub fn networks(self, key: &PseudonymKey) -> impl Iterator<Item = Network> {
        let own = Network {
            key: self.limiter_key(key),
            share: 1,
        };
        let octets = match self.0.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => Some(ip.octets()),
        };
        let around = octets.into_iter().flat_map(move |octets| {
            AROUND_V6.map(|(length, share)| {
                let prefix = [&[length as u8 * 8], &octets[..length]].concat();
                Network {
                    key: self.pseudonym(key, &prefix),
                    share,
                }
            })
        });
        std::iter::once(own).chain(around)
    }

    /// The pseudonym of the network that the client comes from: an IPv4 address, or an IPv6 /64,
    /// which is what one subscriber gets. Equal networks have equal pseudonyms under one key. The last two
    /// bytes are those of the wider network, an IPv4 /24 or an IPv6 /48, so they say little.
    pub fn limiter_key(self, key: &PseudonymKey) -> [u8; 16] {
        self.pseudonym(key, &self.prefix())
    }

    /// Signs `message` for the network around the client's, an IPv4 /24 or an IPv6 /48: nobody else can, and
    /// it says nothing of the network. Equal messages of one network have equal signatures.
    pub fn sign(self, key: &PseudonymKey, message: &[u8]) -> [u8; 16] {
        // No network begins with this byte: a signature is never a pseudonym.
        let signed = [&[0xFF], &self.wider_prefix()[..], message].concat();
        let mut out = [0; 16];
        out.copy_from_slice(&hmac::sign(&key.0, &signed).as_ref()[..16]);
        out
    }

    /// Whether this is what [`Self::sign`] returns. Takes the same time whatever is wrong.
    pub fn is_signed(self, key: &PseudonymKey, message: &[u8], signature: &[u8; 16]) -> bool {
        verify_slices_are_equal(&self.sign(key, message), signature).is_ok()
    }

    fn pseudonym(self, key: &PseudonymKey, network: &[u8]) -> [u8; 16] {
        let mut out = [0; 16];
        let (own, wider) = out.split_at_mut(14);
        own.copy_from_slice(&hmac::sign(&key.0, network).as_ref()[..14]);
        wider.copy_from_slice(&hmac::sign(&key.0, &self.wider_prefix()).as_ref()[..2]);
        out
    }

    /// As [`Self::prefix`], of the network around it.
    fn wider_prefix(self) -> Vec<u8> {
        match self.0.to_canonical() {
            IpAddr::V4(ip) => [&[24], &ip.octets()[..3]].concat(),
            IpAddr::V6(ip) => [&[48], &ip.octets()[..6]].concat(),
        }
    }

    /// Version and network. An IPv4 address inside IPv6 counts as IPv4.
    fn prefix(self) -> Vec<u8> {
        match self.0.to_canonical() {
            IpAddr::V4(ip) => [&[4], ip.octets().as_slice()].concat(),
            IpAddr::V6(ip) => [&[6], &ip.octets()[..8]].concat(),
        }
    }
}

impl From<IpAddr> for ClientIp {
    fn from(ip: IpAddr) -> Self {
        Self(ip)
    }
}

impl From<SocketAddr> for ClientIp {
    fn from(address: SocketAddr) -> Self {
        Self(address.ip())
    }
}

impl Default for ClientIp {
    /// An unknown client: all of them share one pseudonym.
    fn default() -> Self {
        Self(Ipv6Addr::UNSPECIFIED.into())
    }
}

/// The key for pseudonyms. A single node's key is random and only in memory, so that a pseudonym is
/// meaningless elsewhere and after a restart; nodes that share limits share their key.
pub struct PseudonymKey(hmac::Key);

impl PseudonymKey {
    /// A new key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        random::try_bytes().map(|secret| Self::shared(&secret))
    }

    /// The key that nodes share.
    pub fn shared(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(<redacted>)")
    }
}

/// How to make a new file that only its owner may read and write, where the system has such rights. It
/// must not exist yet.
pub fn new_file_for_owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(address: &str, key: &PseudonymKey) -> [u8; 16] {
        ClientIp::from(address.parse::<IpAddr>().unwrap()).limiter_key(key)
    }

    #[test]
    fn a_pseudonym_ends_with_that_of_the_wider_network() {
        let key = PseudonymKey::generate().unwrap();
        let is_shared = |one, other| key_of(one, &key)[14..] == key_of(other, &key)[14..];
        assert!(is_shared("192.0.2.1", "192.0.2.200"));
        assert!(is_shared("2001:db8:1:2::1", "2001:db8:1:ff::1"));
        let wider = |n: u32| key_of(&format!("2001:db8:{n:x}::1"), &key)[14..].to_vec();
        let all: std::collections::BTreeSet<_> = (0..64).map(wider).collect();
        assert!(all.len() > 32, "other networks have others, nearly always");
    }

    #[test]
    fn a_signature_holds_for_one_message_and_the_network_around() {
        let key = PseudonymKey::generate().unwrap();
        let ip = |address: &str| ClientIp::from(address.parse::<IpAddr>().unwrap());
        let signature = ip("192.0.2.1").sign(&key, b"message");
        for (address, message, holds) in [
            ("192.0.2.1", "message", true),
            ("192.0.2.200", "message", true),
            ("192.0.3.1", "message", false),
            ("2001:db8::1", "message", false),
            ("192.0.2.1", "another", false),
        ] {
            let is_signed = ip(address).is_signed(&key, message.as_bytes(), &signature);
            assert_eq!(is_signed, holds, "{address} {message}");
        }
        let other = PseudonymKey::generate().unwrap();
        assert!(!ip("192.0.2.1").is_signed(&other, b"message", &signature));
        let mut wrong = signature;
        wrong[15] ^= 1;
        assert!(!ip("192.0.2.1").is_signed(&key, b"message", &wrong));
    }

    #[test]
    fn one_network_has_one_pseudonym() {
        let key = PseudonymKey::generate().unwrap();
        let cases = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("0.0.0.0", "::", false),
        ];
        for (one, other, is_same) in cases {
            assert_eq!(
                key_of(one, &key) == key_of(other, &key),
                is_same,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn a_client_comes_from_all_networks_around_it() {
        let key = PseudonymKey::generate().unwrap();
        let networks = |address: &str| -> Vec<_> {
            let ip = ClientIp::from(address.parse::<IpAddr>().unwrap());
            ip.networks(&key).collect()
        };
        let shared = |one, other| {
            let theirs = networks(other);
            let mut both = networks(one);
            both.retain(|network| theirs.contains(network));
            both.iter().map(|network| network.share).collect::<Vec<_>>()
        };
        assert_eq!(shared("2001:db8:1:101::1", "2001:db8:1:101::2"), [1, 4, 16]);
        assert_eq!(shared("2001:db8:1:101::1", "2001:db8:1:1ff::2"), [4, 16]);
        assert_eq!(shared("2001:db8:1:101::1", "2001:db8:1:201::1"), [16]);
        assert_eq!(shared("2001:db8:1:101::1", "2001:db8:2:101::1"), [0; 0]);
        assert_eq!(shared("192.0.2.1", "::ffff:192.0.2.1"), [1]);
        assert_eq!(shared("192.0.2.1", "192.0.2.2"), [0; 0]);
        let own = networks("2001:db8::1")[0].key;
        assert_eq!(own, key_of("2001:db8::1", &key));
    }

    #[test]
    fn another_process_has_other_pseudonyms() {
        let (one, other) = (
            PseudonymKey::generate().unwrap(),
            PseudonymKey::generate().unwrap(),
        );
        assert_ne!(key_of("192.0.2.1", &one), key_of("192.0.2.1", &other));
    }

    #[test]
    fn nodes_that_share_a_key_share_pseudonyms() {
        let [one, again, other] = [[1; 32], [1; 32], [2; 32]].map(|key| PseudonymKey::shared(&key));
        assert_eq!(key_of("192.0.2.1", &one), key_of("192.0.2.1", &again));
        assert_ne!(key_of("192.0.2.1", &one), key_of("192.0.2.1", &other));
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = Redacted::new("hunter2".to_owned());
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "<redacted> <redacted> Some(<redacted>)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
