//! A chain that clients refuse never replaces one that they accept.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    ops::Range,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nowrong_certs::{CertError, Fault, Identity, Refreshed};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P384_SHA384,
};
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
        Self::with_key(name, valid, KeyPair::generate().unwrap())
    }

    fn with_key(name: &str, valid: Range<i64>, key: KeyPair) -> Self {
        let params = Self::params(name, valid);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// An authority below this one.
    fn below(&self, name: &str) -> Self {
        let (params, key) = (Self::params(name, -100..100), KeyPair::generate().unwrap());
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn params(name: &str, valid: Range<i64>) -> CertificateParams {
        let mut params = params(&[], valid);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// Writes a chain of a certificate for these purposes, and of these issuers.
    fn write_for(&self, folder: &Path, purposes: &[ExtendedKeyUsagePurpose], issuers: &[&str]) {
        let mut params = params(&NAMES, -1..90);
        params.distinguished_name.push(DnType::CommonName, "a node");
        params.extended_key_usages = purposes.to_vec();
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().pem();
        let chain = leaf + &issuers.concat();
        fs::write(folder.join("certificate.pem"), chain).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
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
fn a_certificate_that_its_issuer_in_the_file_did_not_sign_is_found_and_replaces_nothing() {
    let root = Authority::new("root", -100..100);
    let (middle, twin) = (root.below("middle"), root.below("middle"));
    let other_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let other_kind = Authority::with_key("middle", -100..100, other_key);
    let twin_root = Authority::new("root", -100..100);
    let cases: [(&[&str], Option<Fault>); 8] = [
        (&[&middle.pem], None),
        (&[&middle.pem, &root.pem], None),
        (&[&twin.pem], Some(Fault::OtherIssuer)),
        (&[&twin.pem, &root.pem], Some(Fault::OtherIssuer)),
        (&[&other_kind.pem], Some(Fault::OtherIssuer)),
        (&[&middle.pem, &twin_root.pem], Some(Fault::OtherIssuer)),
        (&[&root.pem, &middle.pem], Some(Fault::Incomplete)),
        (&[], Some(Fault::Incomplete)),
    ];
    for (issuers, fault) in cases {
        let folder = tempfile::tempdir().unwrap();
        middle.write_for(folder.path(), &[], &[&middle.pem]);
        let running = identity(folder.path());
        middle.write_for(folder.path(), &[], issuers);
        assert_eq!(identity(folder.path()).fault(day(0)), fault, "{issuers:?}");
        let taken = running.refresh(day(0));
        assert_eq!(taken.is_ok(), fault.is_none(), "{issuers:?}: {taken:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    twin.write_for(folder.path(), &[], &[&middle.pem]);
    let wrong = identity(folder.path());
    assert_eq!(wrong.fault(day(0)), Some(Fault::OtherIssuer));
    middle.write_for(folder.path(), &[], &[&middle.pem]);
    assert!(matches!(wrong.refresh(day(0)), Ok(Refreshed::Replaced(_))));
}

#[test]
fn a_certificate_that_is_not_for_servers_is_found_and_replaces_nothing() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, EmailProtection, ServerAuth};
    let root = Authority::new("root", -100..100);
    let mut for_mail = Authority::params("mail", -100..100);
    for_mail.extended_key_usages = vec![EmailProtection];
    let key = KeyPair::generate().unwrap();
    let pem = for_mail.signed_by(&key, &root.issuer).unwrap().pem();
    let for_mail = Authority {
        issuer: Issuer::new(for_mail, key),
        pem,
    };
    let cases: [(&Authority, &[ExtendedKeyUsagePurpose], Option<Fault>); 7] = [
        (&root, &[], None),
        (&root, &[ServerAuth], None),
        (&root, &[ClientAuth, ServerAuth], None),
        (&root, &[Any], None),
        (&root, &[ClientAuth], Some(Fault::OtherPurpose)),
        (
            &root,
            &[ClientAuth, EmailProtection],
            Some(Fault::OtherPurpose),
        ),
        (&for_mail, &[ServerAuth], Some(Fault::OtherPurpose)),
    ];
    for (authority, purposes, fault) in cases {
        let folder = tempfile::tempdir().unwrap();
        root.write_for(folder.path(), &[ServerAuth], &[&root.pem]);
        let running = identity(folder.path());
        authority.write_for(folder.path(), purposes, &[&authority.pem]);
        let found = identity(folder.path()).fault(day(0));
        assert_eq!(found, fault, "{purposes:?}");
        let taken = running.refresh(day(0));
        assert_eq!(taken.is_ok(), fault.is_none(), "{purposes:?}: {taken:?}");
        if let Err(error) = taken {
            assert!(error.to_string().contains("serverAuth"), "{error}");
        }
    }
}

#[test]
fn a_certificate_that_signed_itself_has_no_fault_with_or_without_the_flag_of_an_authority() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let folder = tempfile::tempdir().unwrap();
        let mut params = params(&NAMES, -1..90);
        params.is_ca = is_ca;
        params.distinguished_name.push(DnType::CommonName, "a node");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("certificate.pem"), certificate).unwrap();
        fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        assert_eq!(identity(folder.path()).fault(day(0)), None);
    }
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
