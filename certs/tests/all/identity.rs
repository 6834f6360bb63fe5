//! Where identities come from, when they are renewed, and what a broken file does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nowrong_certs::{CertError, Identity, Refreshed, Watch};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Writes a fresh pair into `folder`.
fn write_pair(folder: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    Identity::development_in(scratch.path(), &[], now()).unwrap();
    for file in ["certificate.pem", "key.pem"] {
        fs::copy(scratch.path().join(file), folder.join(file)).unwrap();
    }
}

fn pem(folder: &Path) -> Result<Identity, CertError> {
    Identity::pem(&folder.join("certificate.pem"), &folder.join("key.pem"))
}

#[test]
fn a_development_certificate_is_what_browsers_accept_by_hash() {
    let identity = Identity::development(&["chat.test".to_owned()], now()).unwrap();
    let seen = identity.inspection();
    assert_eq!(seen.names, ["localhost", "127.0.0.1", "::1", "chat.test"]);
    assert!(
        seen.not_before < now(),
        "it must be valid for clocks that are behind"
    );
    assert_eq!(seen.remaining(now()), 13 * DAY);
    let validity = seen.not_after.duration_since(seen.not_before).unwrap();
    assert!(validity <= 14 * DAY, "browsers refuse {validity:?}");
    assert_eq!(identity.pinned_hash(), Some(seen.hash));
}

#[test]
fn a_name_that_is_none_is_refused() {
    let names = ["no\u{eb}t ascii".to_owned()];
    assert!(matches!(
        Identity::development(&names, now()),
        Err(CertError::Generate(_))
    ));
}

#[test]
fn a_kept_certificate_survives_restarts_until_it_lapses_soon() {
    let folder = tempfile::tempdir().unwrap();
    let start = |names: &[String], at| {
        let identity = Identity::development_in(folder.path(), names, at).unwrap();
        identity.hash()
    };
    let first = start(&[], now());
    assert_eq!(start(&[], now() + 9 * DAY), first);
    let renewed = start(&[], now() + 10 * DAY + Duration::from_secs(1));
    assert_ne!(renewed, first, "less than 3 days left");
    let for_another_name = start(&["chat.test".to_owned()], now() + 11 * DAY);
    assert_ne!(for_another_name, renewed);
    let clock_went_back = start(&["chat.test".to_owned()], now());
    assert_ne!(clock_went_back, for_another_name, "not valid yet");
}

#[test]
fn a_damaged_kept_certificate_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let first = Identity::development_in(folder.path(), &[], now()).unwrap();
    fs::write(folder.path().join("key.pem"), "no key").unwrap();
    let second = Identity::development_in(folder.path(), &[], now()).unwrap();
    assert_ne!(first.hash(), second.hash());
    assert!(pem(folder.path()).is_ok(), "both files were replaced");
}

#[test]
fn a_running_development_identity_renews_before_it_lapses() {
    let identity = Identity::development(&[], now()).unwrap();
    let first = identity.hash();
    let refreshed = identity.refresh(now() + 9 * DAY).unwrap();
    assert_eq!(refreshed, Refreshed::Unchanged);
    let late = now() + 11 * DAY;
    assert!(matches!(
        identity.refresh(late).unwrap(),
        Refreshed::Replaced(_)
    ));
    assert_ne!(identity.hash(), first);
    assert_eq!(identity.inspection().remaining(late), 13 * DAY);
    assert_eq!(identity.refresh(late).unwrap(), Refreshed::Unchanged);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_what_is_written() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    Identity::development_in(folder.path(), &[], now()).unwrap();
    for name in ["key.pem", "certificate.pem"] {
        let file = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn changed_pem_files_are_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path());
    let identity = pem(folder.path()).unwrap();
    assert_eq!(identity.pinned_hash(), None, "an authority vouches for it");
    assert_eq!(identity.refresh(now()).unwrap(), Refreshed::Unchanged);
    let first = identity.hash();
    write_pair(folder.path());
    let Refreshed::Replaced(second) = identity.refresh(now()).unwrap() else {
        panic!("the new files were not used");
    };
    assert_ne!(second, first);
    assert_eq!(identity.hash(), second);
}

#[test]
fn broken_files_keep_the_old_identity_and_complain_once() {
    let broken: [(&str, &str, Option<&str>); 5] = [
        (
            "certificate cut",
            "certificate.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA"),
        ),
        ("certificate empty", "certificate.pem", Some("")),
        ("certificate gone", "certificate.pem", None),
        ("key is no key", "key.pem", Some("hello")),
        ("key gone", "key.pem", None),
    ];
    for (case, file, content) in broken {
        let folder = tempfile::tempdir().unwrap();
        write_pair(folder.path());
        let identity = pem(folder.path()).unwrap();
        let first = identity.hash();
        let path = folder.path().join(file);
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = identity.refresh(now()).expect_err(case);
        assert!(error.to_string().contains(file), "{case}: {error}");
        assert_eq!(
            identity.refresh(now()).unwrap(),
            Refreshed::Unchanged,
            "{case}"
        );
        assert_eq!(identity.hash(), first, "{case}");
        write_pair(folder.path());
        let mended = identity.refresh(now()).unwrap();
        assert!(matches!(mended, Refreshed::Replaced(_)), "{case}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for_and_the_next_files_are_taken() {
    for file in ["certificate.pem", "key.pem"] {
        let folder = tempfile::tempdir().unwrap();
        write_pair(folder.path());
        let identity = pem(folder.path()).unwrap();
        let first = identity.hash();
        let path = folder.path().join(file);
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let watch = Watch::start(identity.clone(), Duration::from_millis(1)).unwrap();
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let said = identity.refresh(now());
            // Its thread ends here: a look that waits would hold it.
            drop(watch);
            done.send((identity, said))
        });
        let (identity, said) = ended.recv_timeout(Duration::from_secs(10)).unwrap();
        if let Err(error) = said {
            assert!(error.to_string().contains("it is a pipe"), "{error}");
        }
        assert_eq!(identity.hash(), first, "{file}");
        fs::remove_file(&path).unwrap();
        write_pair(folder.path());
        let mended = identity.refresh(now()).unwrap();
        assert!(matches!(mended, Refreshed::Replaced(_)), "{file}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let error = identity.refresh(now()).unwrap_err();
        assert!(error.to_string().contains("it is a device"), "{error}");
    }
}

#[test]
fn a_certificate_with_the_key_of_another_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_pair(one.path());
    write_pair(other.path());
    let mixed = Identity::pem(
        &one.path().join("certificate.pem"),
        &other.path().join("key.pem"),
    );
    assert!(matches!(mixed, Err(CertError::Unusable(_))));
}
