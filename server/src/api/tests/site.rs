//! What of `web_root` is public, and in which form it is sent.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, sync::Arc};

use super::{Answer, Api, request};

/// A folder `out` to be served, with all that may lie in such a folder, beside a folder that is nobody's
/// business.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for inner in [
        "out/.git",
        "out/.well-known/.cache",
        "out/deep/.hidden",
        "out/inner",
        "apart",
    ] {
        fs::create_dir_all(at(inner)).unwrap();
    }
    let files = [
        ("out/index.html", "home"),
        ("out/.env", "secret"),
        ("out/.git/config", "secret"),
        ("out/.well-known/security.txt", "contact"),
        ("out/.well-known/.cache/x", "secret"),
        ("out/deep/.hidden/x", "secret"),
        ("out/deep/...", "secret"),
        ("out/inner/file.txt", "inner"),
        ("apart/key.pem", "secret"),
        ("apart/index.html", "secret"),
    ];
    for (path, content) in files {
        fs::write(at(path), content).unwrap();
    }
    let links = [
        ("apart/key.pem", "out/link.pem"),
        ("apart", "out/linked"),
        ("out/.env", "out/env.txt"),
        ("out/inner/file.txt", "out/alias.txt"),
        ("out/loop", "out/loop"),
        ("apart/key.pem", "out/alias.txt.gz"),
        ("nowhere", "out/dangling.txt"),
    ];
    for (target, link) in links {
        symlink(at(target), at(link)).unwrap();
    }
    for pipe in ["out/pipe", "out/inner/file.txt.br"] {
        assert!(
            Command::new("mkfifo")
                .arg(at(pipe))
                .status()
                .unwrap()
                .success()
        );
    }
    folder
}

async fn serving(root: &Path) -> Api {
    let root = root.to_owned();
    Api::with(|state| state.web_root = Some(root)).await
}

async fn head(api: &Api, path: &str, headers: &[(&str, &str)]) -> Answer {
    api.send(request("HEAD", path, headers, "")).await
}

#[tokio::test]
async fn dotfiles_links_out_of_the_folder_and_what_is_not_a_file_do_not_exist() {
    let folder = scene();
    let api = serving(&folder.path().join("out")).await;
    let secret = [
        "/.env",
        "/%2eenv",
        "/%2Eenv",
        "/.git/config",
        "/.git/",
        "/.git",
        "/.well-known/.cache/x",
        "/deep/.hidden/x",
        "/deep/...",
        "/link.pem",
        "/linked/key.pem",
        "/linked/",
        "/linked",
        "/env.txt",
        "/loop",
        "/dangling.txt",
        "/pipe",
        "/pipe/",
        "/inner/",
        "/deep/",
        "/inner/file.txt.br",
        "/alias.txt.gz",
        "/inner/../.env",
        "/inner/%2e%2e/.env",
        "//.env",
        "/./.env",
        "/.env/",
        "/.env%00",
        "/.env%2f",
        "/..",
        "/.",
        "/inner/..%2f.env",
    ];
    for path in secret {
        for method in ["GET", "HEAD"] {
            let answer = api.send(request(method, path, &[], "")).await;
            assert!(
                matches!(answer.status.as_u16(), 404 | 307) || answer.body == b"home",
                "{method} {path}: {}",
                answer.status
            );
            assert!(!answer.text().contains("secret"), "{method} {path}");
        }
    }
    let public = [
        ("/", "home"),
        ("/index.html", "home"),
        ("/.well-known/security.txt", "contact"),
        ("/inner/file.txt", "inner"),
        ("/alias.txt", "inner"),
    ];
    for (path, body) in public {
        let encodings = [("accept-encoding", "br, gzip")];
        let answer = api.send(request("GET", path, &encodings, "")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, body),
            "{path}"
        );
        assert_eq!(answer.header("content-encoding"), "", "{path}");
    }
}

#[tokio::test]
async fn a_folder_that_is_a_link_may_be_switched() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for release in ["1", "2"] {
        fs::create_dir(at(release)).unwrap();
        fs::write(at(release).join("index.html"), release).unwrap();
    }
    symlink(at("1"), at("current")).unwrap();
    let api = serving(&at("current")).await;
    assert_eq!(api.get("/").await.text(), "1");
    symlink(at("2"), at("next")).unwrap();
    fs::rename(at("next"), at("current")).unwrap();
    assert_eq!(api.get("/").await.text(), "2");
}

#[tokio::test]
async fn what_is_private_is_not_served_wherever_the_link_leads_later() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().canonicalize().unwrap().join(path);
    for inner in ["site", "data/sub", "tls/new"] {
        fs::create_dir_all(at(inner)).unwrap();
    }
    for file in ["site/index.html", "index.html"] {
        fs::write(at(file), "home").unwrap();
    }
    let private = [
        "data/index.html",
        "data/sub/x.txt",
        "data/keys.bin",
        "tls/new/key.pem",
    ];
    for file in private {
        fs::write(at(file), "secret").unwrap();
    }
    // As a certificate that was renewed: where it was at the start is no longer there.
    symlink(at("tls/new/key.pem"), at("tls/key.pem")).unwrap();
    symlink(at("site"), at("current")).unwrap();
    let never = ["data", "tls/key.pem", "tls/old/key.pem"].map(at);
    let api = Api::with(|state| {
        state.web_root = Some(at("current"));
        state.never_served = Arc::new(never);
    })
    .await;
    assert_eq!(api.get("/").await.text(), "home");
    for (root, paths) in [
        ("data", &["/", "/index.html", "/keys.bin", "/sub/x.txt"][..]),
        ("data/sub", &["/x.txt"][..]),
        ("tls", &["/key.pem"][..]),
        (
            "",
            &[
                "/data/keys.bin",
                "/data/",
                "/data",
                "/current/../data/keys.bin",
            ][..],
        ),
    ] {
        symlink(at(root), at("next")).unwrap();
        fs::rename(at("next"), at("current")).unwrap();
        for path in paths {
            for method in ["GET", "HEAD"] {
                let answer = api.send(request(method, path, &[], "")).await;
                answer_is_nothing(&answer, &format!("{root}: {method} {path}"));
            }
        }
    }
    assert_eq!(api.get("/").await.text(), "home", "the rest is served");
}

fn answer_is_nothing(answer: &Answer, case: &str) {
    assert_eq!(answer.status.as_u16(), 404, "{case}");
    assert!(!answer.text().contains("secret"), "{case}");
}

#[tokio::test]
async fn a_path_that_begins_like_another_host_is_not_redirected_there() {
    let folder = scene();
    let api = serving(&folder.path().join("out")).await;
    let inner = api.get("/inner").await;
    assert_eq!(
        (inner.status.as_u16(), inner.header("location")),
        (307, "/inner/")
    );
    for path in ["//inner", "///inner", "//inner/file.txt"] {
        api.get(path).await.is_problem(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn what_lies_there_compressed_is_sent_compressed_to_who_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("app.js", "plain script"),
        ("app.js.br", "br"),
        ("app.js.gz", "gzip"),
        ("page.html", "plain page"),
        ("page.html.gz", "gzip"),
        ("index.html", "plain home"),
        ("index.html.br", "br"),
        ("only.css", "plain style"),
    ];
    for (path, content) in files {
        fs::write(folder.path().join(path), content).unwrap();
    }
    let api = serving(folder.path()).await;
    let javascript = "text/javascript";
    let cases = [
        ("/app.js", "", "plain script", javascript),
        ("/app.js", "br", "br", javascript),
        ("/app.js", "gzip", "gzip", javascript),
        ("/app.js", "gzip, br", "br", javascript),
        ("/app.js", "gzip;q=1.0, br;q=0.5", "gzip", javascript),
        ("/app.js", "br;q=0, gzip", "gzip", javascript),
        ("/app.js", "br;q=0, gzip;q=0", "plain script", javascript),
        ("/app.js", "identity, br;q=0.5", "plain script", javascript),
        ("/app.js", "zstd, deflate", "plain script", javascript),
        ("/app.js", "br;q=2", "plain script", javascript),
        ("/page.html", "br, gzip", "gzip", "text/html"),
        ("/page.html", "br", "plain page", "text/html"),
        ("/", "gzip, br", "br", "text/html"),
        ("/only.css", "gzip, br", "plain style", "text/css"),
    ];
    for (path, accepted, body, kind) in cases {
        let headers = [("accept-encoding", accepted)];
        let answer = api.send(request("GET", path, &headers, "")).await;
        let case = format!("{path} {accepted}");
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, body),
            "{case}"
        );
        let encoding = if body.starts_with("plain") { "" } else { body };
        assert_eq!(answer.header("content-encoding"), encoding, "{case}");
        assert_eq!(answer.header("content-type"), kind, "{case}");
        let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
        assert!(
            format!("{vary:?}").contains("accept-encoding"),
            "{case}: {vary:?}"
        );
        assert_eq!(
            answer.header("content-length"),
            body.len().to_string(),
            "{case}"
        );

        let same = head(&api, path, &headers).await;
        assert_eq!((same.status, same.body.len()), (answer.status, 0), "{case}");
        assert_eq!(same.headers, answer.headers, "{case}");

        let tag = answer.header("etag").to_owned();
        let asked = [headers[0], ("if-none-match", &tag)];
        let unchanged = api.send(request("GET", path, &asked, "")).await;
        assert_eq!(
            (unchanged.status.as_u16(), unchanged.body.len()),
            (304, 0),
            "{case}"
        );
        assert!(
            format!("{:?}", unchanged.headers).contains("accept-encoding"),
            "{case}"
        );
    }
}

#[tokio::test]
async fn the_policy_names_the_scripts_of_the_operator() {
    let hash = "sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=";
    let api = Api::with(|state| state.script_hashes = Arc::new([hash.to_owned()])).await;
    let policy = api.get("/").await;
    let policy = policy.header("content-security-policy");
    let expected = format!("; script-src 'self' '{hash}'; style-src 'self';");
    assert!(policy.contains(&expected), "{policy}");
}
