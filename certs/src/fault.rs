//! What is wrong with a chain at a certain time, as far as a node can see it. Pure.
//!
//! Which chain is better is decided here too: a chain with a worse fault never replaces another one.

use std::{fmt, net::IpAddr, time::SystemTime};

use rustls::{
    CertificateError, Error, RootCertStore, client::verify_server_cert_signed_by_trust_anchor,
    crypto::aws_lc_rs::default_provider, server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{CertError, certificate};

/// What is wrong with a chain, from harmless to hopeless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A certificate is followed by one with the name of its issuer that did not sign it, for example the
    /// issuer's old one: only clients that know the right one accept the chain.
    OtherIssuer,
    /// The certificate of an issuer is missing, stands in another place, or has expired: only clients
    /// that know it from elsewhere accept the chain.
    Incomplete,
    /// Its validity has not begun.
    NotYetValid,
    /// Its validity is over.
    Expired,
    /// It does not cover the host that clients are told.
    OtherName,
    /// It may not be shown by servers: it is for clients, or for mail. No browser accepts it.
    OtherPurpose,
    /// It has no `subjectAltName`: no browser accepts it, whatever the host.
    Nameless,
}

impl fmt::Display for Fault {
    /// Completes a sentence that begins with the file or the certificate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherIssuer => {
                "was not signed by the certificate that follows it, though the names fit: put the present certificate of its issuer into the file"
            }
            Self::Incomplete => {
                "lacks the valid certificate of its issuer: put the whole chain into the file, the node's own certificate first"
            }
            Self::NotYetValid => "is not valid yet: is the clock of this machine right?",
            Self::Expired => "has expired",
            Self::OtherName => "does not cover the host that clients are told",
            Self::OtherPurpose => {
                "is not for servers (its extendedKeyUsage lacks serverAuth), so no browser accepts it"
            }
            Self::Nameless => {
                "names no host (it has no subjectAltName), so no browser accepts it"
            }
        })
    }
}

/// The worst fault of a chain at `now`, for clients who connect to `host`.
///
/// # Errors
/// [`CertError::NotACertificate`].
pub(crate) fn worst(
    chain: &[CertificateDer<'_>],
    host: Option<&str>,
    now: SystemTime,
) -> Result<Option<Fault>, CertError> {
    let leaf = chain.first().ok_or(CertError::NotACertificate)?;
    let leaf = certificate::inspect(leaf)?;
    let is_for_host = host.is_none_or(|host| covers(&leaf.names, host));
    let found = [
        (leaf.names.is_empty(), Fault::Nameless),
        (!is_for_servers(chain)?, Fault::OtherPurpose),
        (!is_for_host, Fault::OtherName),
        (leaf.not_after < now, Fault::Expired),
        (leaf.not_before > now, Fault::NotYetValid),
        (!is_complete(chain, now)?, Fault::Incomplete),
        (!is_signed(chain, now), Fault::OtherIssuer),
    ];
    Ok(found
        .into_iter()
        .find_map(|(is_so, fault)| is_so.then_some(fault)))
}

/// Whether one of a certificate's names is this host: a DNS name, or an address as in a URL.
pub(crate) fn covers(names: &[String], host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        return names.iter().any(|name| name.parse() == Ok(address));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    names.iter().any(|name| {
        let name = name.to_ascii_lowercase();
        match (name.strip_prefix("*."), host.split_once('.')) {
            (Some(parent), Some((_, rest))) => parent == rest,
            _ => name == host,
        }
    })
}

/// Whether each certificate is followed by its issuer, and the last is a root or follows another one:
/// a root may be left out.
fn is_complete(chain: &[CertificateDer<'_>], now: SystemTime) -> Result<bool, CertError> {
    let parsed: Vec<_> = chain.iter().map(parse).collect::<Result<_, _>>()?;
    let is_linked = parsed
        .windows(2)
        .all(|pair| pair[0].issuer().as_raw() == pair[1].subject().as_raw());
    let has_issuer = match parsed.as_slice() {
        [leaf] => leaf.issuer().as_raw() == leaf.subject().as_raw(),
        _ => true,
    };
    for issuer in chain.iter().skip(1) {
        if certificate::inspect(issuer)?.not_after < now {
            return Ok(false);
        }
    }
    Ok(is_linked && has_issuer)
}

/// Whether no certificate is for other purposes only. A root may say what it likes: clients look at their
/// own copy.
fn is_for_servers(chain: &[CertificateDer<'_>]) -> Result<bool, CertError> {
    for (place, certificate) in chain.iter().enumerate() {
        let parsed = parse(certificate)?;
        let is_root = place > 0 && parsed.issuer().as_raw() == parsed.subject().as_raw();
        let usage = parsed.extended_key_usage().ok().flatten();
        if !is_root && usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether each certificate was signed by the one that follows it, as far as rustls can tell when it trusts
/// the last one. What else it dislikes, browsers may accept, or another [`Fault`] says it.
fn is_signed(chain: &[CertificateDer<'_>], now: SystemTime) -> bool {
    let (Some(leaf), Some(last)) = (chain.first(), chain.last()) else {
        return true;
    };
    let mut anchors = RootCertStore::empty();
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH);
    let now = UnixTime::since_unix_epoch(since_1970.unwrap_or_default());
    let issuers = chain.get(1..chain.len() - 1).unwrap_or_default();
    let verified = anchors.add(last.clone().into_owned()).and_then(|()| {
        let leaf = ParsedCertificate::try_from(leaf)?;
        let algorithms = default_provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&leaf, &anchors, issuers, now, algorithms.all)
    });
    !matches!(
        verified,
        Err(Error::InvalidCertificate(
            CertificateError::BadSignature
                | CertificateError::UnknownIssuer
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        ))
    )
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertError> {
    let parsed = X509Certificate::from_der(certificate);
    let (_rest, parsed) = parsed.map_err(|_| CertError::NotACertificate)?;
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_itself_and_a_star_covers_one_label() {
        let names = ["Chat.example", "*.b.example", "192.0.2.1", "2001:db8::1"];
        let names = names.map(str::to_owned);
        for (host, is_covered) in [
            ("chat.example", true),
            ("CHAT.example.", true),
            ("a.chat.example", false),
            ("a.b.example", true),
            ("a.a.b.example", false),
            ("b.example", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("[2001:db8:0::1]", true),
            ("", false),
        ] {
            assert_eq!(covers(&names, host), is_covered, "{host}");
        }
    }
}
