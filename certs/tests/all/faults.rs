//! A chain that clients refuse never replaces one that they accept.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    ops::Range,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nowrong_certs::{CertError, Fault, Identity, Refreshed};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::OffsetDateTime;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Days after this moment.
fn day(number: i64) -> SystemTime {
    let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let days = DAY * u32::try_from(number.abs()).unwrap();
    if number < 0 {
        start - days
    } else {
        start + days
    }
}

/// An authority of its own, and the chains that it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str, valid: Range<i64>) -> Self {
        let mut params = params(&[], valid);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes a chain for these names into the folder.
    fn write(&self, folder: &Path, names: &[&str], valid: Range<i64>, is_whole: bool) {
        let mut params = params(names, valid);
        params.distinguished_name.push(DnType::CommonName, "a node");
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().pem();
        let issuer = if is_whole { self.pem.as_str() } else { "" };
        fs::write(folder.join("certificate.pem"), leaf + issuer).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }
}

fn params(names: &[&str], valid: Range<i64>) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = OffsetDateTime::from(day(valid.start));
    params.not_after = OffsetDateTime::from(day(valid.end));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

fn identity(folder: &Path) -> Identity {
    let file = |name: &str| folder.join(name);
    Identity::pem_for(
        &file("certificate.pem"),
        &file("key.pem"),
        Some("chat.test"),
    )
    .unwrap()
}

/// Who signs, the names, the days of validity, whether the issuer is in the file, and the fault.
type Case<'a> = (
    &'a Authority,
    &'a [&'a str],
    Range<i64>,
    bool,
    Option<Fault>,
);

const NAMES: [&str; 2] = ["chat.test", "127.0.0.1"];

#[test]
fn each_fault_of_a_chain_is_seen() {
    let authority = Authority::new("root", -100..100);
    let lapsed = Authority::new("old root", -100..-1);
    let folder = tempfile::tempdir().unwrap();
    let cases: [Case<'_>; 8] = [
        (&authority, &NAMES, -1..90, true, None),
        (&authority, &["*.test"], -1..90, true, None),
        (&authority, &NAMES, -1..90, false, Some(Fault::Incomplete)),
        (&lapsed, &NAMES, -1..90, true, Some(Fault::Incomplete)),
        (&authority, &NAMES, 1..90, true, Some(Fault::NotYetValid)),
        (&authority, &NAMES, -90..-1, true, Some(Fault::Expired)),
        (
            &authority,
            &["other.test"],
            -1..90,
            true,
            Some(Fault::OtherName),
        ),
        (&authority, &[], -1..90, true, Some(Fault::Nameless)),
    ];
    for (authority, names, valid, is_whole, fault) in cases {
        authority.write(folder.path(), names, valid.clone(), is_whole);
        let seen = identity(folder.path()).fault(day(0));
        assert_eq!(seen, fault, "{names:?} {valid:?} {is_whole}");
    }
}

#[test]
fn a_chain_of_certificates_that_do_not_belong_together_is_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root", -100..100);
    authority.write(folder.path(), &NAMES, -1..90, false);
    let file = folder.path().join("certificate.pem");
    let leaf = fs::read_to_string(&file).unwrap();
    fs::write(&file, leaf + &Authority::new("other", -100..100).pem).unwrap();
    let seen = identity(folder.path()).fault(day(0));
    assert_eq!(seen, Some(Fault::Incomplete));
}

#[test]
fn a_chain_with_a_fault_never_replaces_a_good_one_and_is_reported_once() {
    let authority = Authority::new("root", -100..100);
    let cases: [(&[&str], Range<i64>, bool, Fault); 5] = [
        (&NAMES, -90..-1, true, Fault::Expired),
        (&NAMES, 1..90, true, Fault::NotYetValid),
        (&NAMES, -1..90, false, Fault::Incomplete),
        (&["other.test"], -1..90, true, Fault::OtherName),
        (&[], -1..90, true, Fault::Nameless),
    ];
    for (names, valid, is_whole, fault) in cases {
        let folder = tempfile::tempdir().unwrap();
        authority.write(folder.path(), &NAMES, -10..10, true);
        let identity = identity(folder.path());
        let good = identity.hash();
        authority.write(folder.path(), names, valid, is_whole);
        match identity.refresh(day(0)) {
            Err(CertError::Worse { fault: seen, .. }) => assert_eq!(seen, fault),
            other => panic!("{fault:?}: {other:?}"),
        }
        let again = identity.refresh(day(0)).unwrap();
        assert_eq!(again, Refreshed::Unchanged, "{fault:?} is said once");
        assert_eq!(identity.hash(), good, "{fault:?}");
        authority.write(folder.path(), &NAMES, -1..90, true);
        let mended = identity.refresh(day(0)).unwrap();
        assert!(matches!(mended, Refreshed::Replaced(_)), "{fault:?}");
    }
}

#[test]
fn a_chain_is_taken_as_soon_as_it_is_no_longer_worse() {
    let authority = Authority::new("root", -100..100);
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path(), &NAMES, -10..10, true);
    let waits_for_its_time = identity(folder.path());
    authority.write(folder.path(), &NAMES, 2..90, true);
    assert!(waits_for_its_time.refresh(day(0)).is_err());
    let unchanged = waits_for_its_time.refresh(day(1)).unwrap();
    assert_eq!(unchanged, Refreshed::Unchanged);
    let taken = waits_for_its_time.refresh(day(3)).unwrap();
    assert!(matches!(taken, Refreshed::Replaced(_)), "it is valid now");

    authority.write(folder.path(), &NAMES, -10..10, true);
    let expires = identity(folder.path());
    authority.write(folder.path(), &NAMES, -1..90, false);
    assert!(expires.refresh(day(0)).is_err());
    let taken = expires.refresh(day(11)).unwrap();
    assert!(
        matches!(taken, Refreshed::Replaced(_)),
        "an incomplete chain is better than an expired one"
    );
}

#[test]
fn the_seconds_that_are_left_become_negative() {
    let authority = Authority::new("root", -100..100);
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path(), &NAMES, -10..10, true);
    let identity = identity(folder.path());
    assert_eq!(identity.seconds_left(day(9)), 86_400);
    assert_eq!(identity.seconds_left(day(11)), -86_400);
}
