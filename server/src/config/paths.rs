//! The paths of the configuration: `web_root` is public, and nothing that is not may lie in it.
//!
//! Compared are the paths as written and the places that they lead to through links, in both directions:
//! a public folder below the data folder would show what the server writes there one day. Every key that
//! names a file or a folder is in [`PRIVATE`] or is known to be public; a test sees to it. Start reading
//! at [`Config::check_paths`].

use std::path::{Component, Path, PathBuf};

use nowrong_base::files;

use super::{Config, ConfigError, Data, layers::Values};

/// What only the server may read.
const PRIVATE: [&str; 4] = ["data", "tls.key", "redis.tls_key", "categories"];

/// What everybody may read, as long as it is what it should be.
const PUBLIC: [&str; 4] = ["web_root", "tls.cert", "redis.tls_ca", "redis.tls_cert"];

/// What a PEM file with a private key contains, of whatever kind the key is.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

impl Config {
    /// What needs a look at the disk, and what must be known of it later; certificates are looked at by
    /// `nowrong-certs`. `file` is the configuration file.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] about `web_root`; it names the other key as well.
    pub(super) fn check_paths(
        &mut self,
        values: &Values,
        file: Option<&Path>,
    ) -> Result<(), ConfigError> {
        let Some(root) = &self.web_root else {
            return Ok(());
        };
        if !root.is_dir() {
            let detail = format!("is not a folder: {}", root.display());
            return Err(values.invalid("web_root", detail));
        }
        let private = self.private_paths(values, file);
        match private
            .iter()
            .find_map(|(name, path)| Some((name, path, meet(root, path)?)))
        {
            None => {
                let private = private.iter();
                self.never_served = private.flat_map(|(_, path)| places(path)).collect();
                Ok(())
            }
            Some((name, path, how)) => {
                let detail = format!(
                    "is a folder that everybody can read, and {how} {name} ({}): keep the two apart",
                    path.display()
                );
                Err(values.invalid("web_root", detail))
            }
        }
    }

    /// Every path that must not be public, with its name for people.
    fn private_paths(&self, values: &Values, file: Option<&Path>) -> Vec<(String, PathBuf)> {
        let text = |key: &str| {
            let text = values.entry(key).and_then(|entry| entry.value.as_str());
            text.filter(|text| !text.is_empty())
        };
        let is_path = |key: &str| key != "data" || self.data != Data::Memory;
        let keys = PRIVATE.into_iter().filter(|key| is_path(key));
        let mut paths: Vec<(String, PathBuf)> = keys
            .filter_map(|key| Some((format!("`{key}`"), PathBuf::from(text(key)?))))
            .collect();
        if let Some(file) = file {
            paths.push(("the configuration file".to_owned(), file.to_owned()));
        }
        if let Some(path) = text("store").and_then(key_file) {
            paths.push(("a key that `store` names".to_owned(), path));
        }
        let public = PUBLIC.into_iter().filter(|key| *key != "web_root");
        let public = public.filter_map(|key| Some((key, PathBuf::from(text(key)?))));
        let with_keys = public.filter(|(_, path)| has_private_key(path));
        paths.extend(
            with_keys.map(|(key, path)| (format!("`{key}` with a private key in it"), path)),
        );
        paths
    }
}

#[cfg(feature = "mongodb")]
use nowrong_store_mongodb::key_file;

#[cfg(not(feature = "mongodb"))]
fn key_file(_store: &str) -> Option<PathBuf> {
    None
}

/// Whether a PEM file that should hold certificates holds a key as well. What cannot be read is not used
/// either.
fn has_private_key(path: &Path) -> bool {
    let bytes = files::read(path).unwrap_or_default();
    bytes
        .windows(PRIVATE_KEY.len())
        .any(|part| part == PRIVATE_KEY)
}

/// How a public folder and a private path meet, if they do; it completes "the folder … the path".
fn meet(public: &Path, private: &Path) -> Option<&'static str> {
    let (public, private) = (places(public), places(private));
    let pairs = || {
        public
            .iter()
            .flat_map(|one| private.iter().map(move |other| (one, other)))
    };
    if pairs().any(|(public, private)| private.starts_with(public)) {
        return Some("contains");
    }
    pairs()
        .any(|(public, private)| public.starts_with(private))
        .then_some("lies in")
}

/// Where a path is: as it is written, and where its links lead.
fn places(path: &Path) -> [PathBuf; 2] {
    let written = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    [without_dots(&written), resolved(&written)]
}

/// The path without `..`, as far as the text alone tells.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// The path with all links followed. What does not exist yet is appended to the part that does.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return without_dots(&found.join(rest));
        }
    }
    without_dots(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::config::{cli::Flags, keys::KEYS, load};

    /// Loads these keys; returns the sentence of the refusal.
    fn refusal(pairs: &[(&str, &Path)], file: Option<&Path>) -> Option<String> {
        let set = pairs
            .iter()
            .map(|(key, path)| format!("{key}={}", path.display()));
        let flags = Flags {
            set: set.collect(),
            config: file.map(Path::to_owned),
            ..Flags::default()
        };
        load(&flags, []).err().map(|error| error.to_string())
    }

    /// A folder with `site`, `data`, `key.pem`, `topics.toml` and links between them.
    fn scene() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for inner in ["site/deep", "data", "apart"] {
            fs::create_dir_all(at(inner)).unwrap();
        }
        for file in [
            "site/index.html",
            "site/key.pem",
            "apart/key.pem",
            "apart/cert.pem",
        ] {
            fs::write(at(file), "x").unwrap();
        }
        fs::write(at("site/nowrong.toml"), "drain = '1s'").unwrap();
        symlink(at("site"), at("current")).unwrap();
        symlink(at("data"), at("site/link-to-data")).unwrap();
        symlink(at("site/key.pem"), at("apart/link-into-site")).unwrap();
        folder
    }

    #[test]
    fn a_public_folder_and_a_private_path_that_meet_are_refused_with_both_names() {
        let folder = scene();
        let at = |path: &str| folder.path().join(path);
        let (root, cert) = (at("site"), at("apart/cert.pem"));
        let cases: [(&str, PathBuf, PathBuf, &str); 11] = [
            ("data", at("site"), at("site/data"), "contains `data`"),
            (
                "data",
                at("site"),
                at("site/not/there/yet"),
                "contains `data`",
            ),
            ("data", at("site"), at("site"), "contains `data`"),
            ("data", at("current"), at("site/data"), "contains `data`"),
            ("data", at("site"), at("current/data"), "contains `data`"),
            (
                "data",
                at("site"),
                at("apart/../site/deep/data"),
                "contains `data`",
            ),
            ("data", at("site/deep"), at("site"), "lies in `data`"),
            // A link in the public folder: it is not followed, but it says that somebody means it to be.
            (
                "data",
                at("site"),
                at("site/link-to-data"),
                "contains `data`",
            ),
            (
                "tls.key",
                at("site"),
                at("site/key.pem"),
                "contains `tls.key`",
            ),
            (
                "tls.key",
                at("site"),
                at("apart/link-into-site"),
                "contains `tls.key`",
            ),
            (
                "categories",
                at("."),
                at("apart/topics.toml"),
                "contains `categories`",
            ),
        ];
        for (key, root, path, expected) in cases {
            let mut pairs = vec![("web_root", root.as_path()), (key, path.as_path())];
            if key == "tls.key" {
                pairs.push(("tls.cert", &cert));
            }
            let said = refusal(&pairs, None).unwrap_or_default();
            assert!(said.starts_with("`web_root` "), "{key} {path:?}: {said}");
            assert!(said.contains(expected), "{key} {path:?}: {said}");
        }
        fs::write(at("site/both.pem"), "…\n-----BEGIN PRIVATE KEY-----\n…").unwrap();
        let both = at("site/both.pem");
        let said = refusal(
            &[
                ("web_root", &root),
                ("tls.cert", &both),
                ("tls.key", &at("apart/key.pem")),
            ],
            None,
        );
        let said = said.unwrap_or_default();
        assert!(
            said.contains("contains `tls.cert` with a private key"),
            "{said}"
        );
        let file = at("site/nowrong.toml");
        let said = refusal(&[("web_root", &root)], Some(&file)).unwrap_or_default();
        assert!(said.contains("contains the configuration file"), "{said}");
    }

    #[cfg(feature = "mongodb")]
    #[test]
    fn a_key_that_the_store_names_is_found_however_it_is_written() {
        let folder = scene();
        let site = folder.path().join("site");
        let slashed = site.display().to_string();
        for option in [
            format!("tlsCertificateKeyFile={slashed}/key.pem"),
            format!("TLSCERTIFICATEKEYFILE={slashed}/k%65y.pem"),
            format!(
                "tlscertificatekeyfile={}%2Fkey.pem",
                slashed.replace('/', "%2f")
            ),
        ] {
            let store = PathBuf::from(format!("mongodb://h/db?tls=true&{option}"));
            let secret = Path::new("a secret of more than 32 characters");
            let pairs = [
                ("web_root", site.as_path()),
                ("store", store.as_path()),
                ("cluster_secret", secret),
            ];
            let said = refusal(&pairs, None).unwrap_or_default();
            assert!(
                said.contains("contains a key that `store` names"),
                "{option}: {said}"
            );
        }
    }

    #[test]
    fn what_is_private_is_known_with_its_links_and_as_it_is_written() {
        let folder = scene();
        let at = |path: &str| folder.path().join(path);
        let flags = Flags {
            set: vec![
                format!("web_root={}", at("site/deep").display()),
                format!("data={}", at("apart/../data").display()),
                format!("categories={}", at("apart/link-into-site").display()),
            ],
            ..Flags::default()
        };
        let config = load(&flags, []).unwrap().config;
        for place in ["data", "apart/link-into-site", "site/key.pem"] {
            let place = at(place);
            assert!(config.never_served.contains(&place), "{}", place.display());
        }
    }

    #[test]
    fn folders_that_only_look_alike_are_fine() {
        let folder = scene();
        let at = |path: &str| folder.path().join(path);
        for (root, data) in [
            ("site", "data"),
            ("site", "site-data"),
            ("current", "data"),
            ("site/deep", "site/data"),
        ] {
            let pairs = [("web_root", at(root)), ("data", at(data))];
            let pairs = pairs.each_ref().map(|(key, path)| (*key, path.as_path()));
            assert_eq!(refusal(&pairs, None), None, "{root} {data}");
        }
        let memory = [("web_root", at("site")), ("data", PathBuf::from("memory"))];
        let memory = memory.each_ref().map(|(key, path)| (*key, path.as_path()));
        assert_eq!(refusal(&memory, None), None);
    }

    #[test]
    fn every_key_that_names_a_path_is_public_or_private() {
        for key in KEYS {
            let words = ["file", "folder", "PEM"];
            let names_path = words.iter().any(|word| key.text.contains(word));
            let is_known = PUBLIC.contains(&key.name) || PRIVATE.contains(&key.name);
            assert_eq!(
                names_path, is_known,
                "{}: add it to a list in config/paths.rs",
                key.name
            );
        }
    }
}
