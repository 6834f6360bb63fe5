//! Pages and files: the document, the docs, problems, and `web_root`.

use std::{fs, path::Path};

use nowrong_protocol::code::ERROR_CODES;
use serde_json::Value;

use super::{Api, request};
use crate::api::openapi;

#[test]
fn the_document_describes_every_route() {
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let expected = [
        "/healthz",
        "/readyz",
        "/v1/auth/logout",
        "/v1/auth/recover",
        "/v1/auth/refresh",
        "/v1/categories",
        "/v1/connect",
        "/v1/me",
        "/v1/me/export",
        "/v1/me/recovery",
        "/v1/users",
    ];
    assert_eq!(paths, expected);
    assert_eq!(
        openapi(),
        openapi(),
        "the committed copy is compared byte by byte"
    );
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "User",
        "Registered",
        "Refreshed",
        "Category",
        "Connect",
        "Endpoint",
        "Problem",
    ] {
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn every_kind_of_problem_has_a_page() {
    let api = Api::new().await;
    for row in ERROR_CODES {
        let path = format!("/problems/{}", row.name.to_lowercase().replace('_', "-"));
        let page = api.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text().contains(row.text), "{path}");
    }
    api.get("/problems/nonsense")
        .await
        .is_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_run_nothing_inline() {
    let api = Api::new().await;
    let files = [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/problems/invalid", "text/html; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ];
    for (path, kind) in files {
        let page = api.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), kind);
        if kind == "application/json" {
            assert_eq!(page.text(), openapi());
            continue;
        }
        for forbidden in [
            "http://",
            "https://",
            "\"//",
            "url(",
            "@import",
            "<script>",
            "style=",
            "onclick",
            "innerHTML",
        ] {
            assert!(!page.text().contains(forbidden), "{path} has {forbidden}");
        }
    }
}

fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("out");
    for inner in ["assets", "deep"] {
        fs::create_dir_all(root.join(inner)).unwrap();
    }
    let files = [
        ("out/index.html", "<p>home</p>"),
        ("out/deep/index.html", "<p>deep</p>"),
        ("out/assets/app-5f3a.js", "run()"),
        ("out/sw.js", "work()"),
        ("secret.txt", "secret"),
    ];
    for (path, content) in files {
        fs::write(Path::join(folder.path(), path), content).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_web_root_is_served_with_fitting_caches() {
    let folder = site();
    let root = folder.path().join("out");
    let api = Api::with(|state| state.web_root = Some(root)).await;
    let cases = [
        ("/", 200, "<p>home</p>", "no-cache"),
        ("/index.html", 200, "<p>home</p>", "no-cache"),
        ("/deep/", 200, "<p>deep</p>", "no-cache"),
        ("/sw.js", 200, "work()", "no-cache"),
        (
            "/assets/app-5f3a.js",
            200,
            "run()",
            "public, max-age=31536000, immutable",
        ),
    ];
    for (path, status, body, cache) in cases {
        let answer = api.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (status, body),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), cache, "{path}");
        let head = api.send(request("HEAD", path, &[], "")).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
    }
    let long = format!("/{}", "x".repeat(5_000));
    let missing = [
        "/missing",
        "/assets/missing.js",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%5c..%5c..%5csecret.txt",
        "/%00",
        "/index.html/more",
        "/assets/",
        long.as_str(),
    ];
    for path in missing {
        let answer = api.get(path).await;
        answer.is_problem(404, "NOT_FOUND");
    }
    let posted = api.send(request("POST", "/index.html", &[], "")).await;
    posted.is_problem(405, "METHOD_NOT_ALLOWED");
    assert_eq!(
        api.get("/healthz").await.status,
        200,
        "routes come before files"
    );
}
