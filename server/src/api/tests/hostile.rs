//! Requests of hostile or mistaken clients: each is answered with a problem document, and none
//! makes the server fail.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Api, request};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let api = Api::new().await;
    let token = api.token("Robin").await;
    let bearer = format!("Bearer {token}");
    let deep = "[".repeat(5_000);
    let bodies: [&[u8]; 12] = [
        b"",
        b" ",
        b"{",
        b"{\"name\":}",
        b"{\"name\":\"a\"} x",
        b"null",
        b"[]",
        b"\"text\"",
        b"5",
        b"\xff\xfe",
        b"{\"name\":\"\xff\"}",
        deep.as_bytes(),
    ];
    for (method, path) in [
        ("POST", "/v1/users"),
        ("POST", "/v1/auth/refresh"),
        ("PATCH", "/v1/me"),
    ] {
        for body in bodies {
            let headers = [JSON, ("authorization", bearer.as_str())];
            let answer = api
                .send(request(method, path, &headers, body.to_vec()))
                .await;
            answer.is_problem(400, "INVALID");
        }
    }
}

#[tokio::test]
async fn only_json_is_taken() {
    let api = Api::new().await;
    let good = json!({ "name": "Robin", "language": "en", "age_bracket": "18+" }).to_string();
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "text/json",
        "application/merge-patch+json",
    ] {
        let answer = api
            .send(request(
                "POST",
                "/v1/users",
                &[("content-type", kind)],
                good.clone(),
            ))
            .await;
        answer.is_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let answer = api
        .send(request("POST", "/v1/users", &[], good.clone()))
        .await;
    answer.is_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    let kind = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(
        api.send(request("POST", "/v1/users", &kind, good))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_body_over_sixteen_kibibytes_is_refused() {
    let api = Api::new().await;
    let sized = |bytes: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(bytes - 11));
    let fits = api
        .send(request("POST", "/v1/users", &[JSON], sized(16 * 1_024)))
        .await;
    fits.is_problem(422, "INVALID");
    let large = api
        .send(request("POST", "/v1/users", &[JSON], sized(16 * 1_024 + 1)))
        .await;
    large.is_problem(413, "BODY_TOO_LARGE");
    let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1_024]));
    let chunks = futures_util::stream::iter((0..20).map(move |_| chunk()));
    let request = request("POST", "/v1/users", &[JSON], Body::from_stream(chunks));
    api.send(request).await.is_problem(413, "BODY_TOO_LARGE");
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_not_waited_for() {
    let api = Api::new().await;
    let never = Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
    let headers = [JSON, ("content-length", "4294967296")];
    let refused = api.send(request("POST", "/v1/users", &headers, never));
    refused.await.is_problem(413, "BODY_TOO_LARGE");
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_too() {
    let api = Api::new().await;
    for path in [
        "/nowhere",
        "/v1",
        "/v1/",
        "/v1/users/1",
        "/v2/users",
        "/docs/x",
        "/v1/users/",
        "//",
        "/%ff",
    ] {
        api.get(path).await.is_problem(404, "NOT_FOUND");
    }
    let wrong = [
        ("GET", "/v1/users", "POST"),
        ("PUT", "/v1/me", "GET,HEAD,PATCH,DELETE"),
        ("DELETE", "/v1/categories", "GET,HEAD"),
        ("GET", "/v1/connect", "POST"),
        ("GET", "/v1/auth/refresh", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
        ("POST", "/openapi.json", "GET,HEAD"),
        ("BREW", "/v1/users", "POST"),
    ];
    for (method, path, allow) in wrong {
        let answer = api.send(request(method, path, &[], "")).await;
        answer.is_problem(405, "METHOD_NOT_ALLOWED");
        let sorted = |list: &str| {
            let mut list: Vec<String> = list.split(',').map(|one| one.trim().to_owned()).collect();
            list.sort();
            list
        };
        assert_eq!(
            sorted(answer.header("allow")),
            sorted(allow),
            "{method} {path}"
        );
    }
}

/// One server for all cases of the properties: their requests must not add up to a failure either.
static SHARED: LazyLock<(Runtime, Api, String)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let (api, token) = runtime.block_on(async {
        let api = Api::with(|state| {
            state.limits.register.burst = u32::MAX;
            state.limits.requests.burst = u32::MAX;
        })
        .await;
        let token = api.token("Robin").await;
        (api, token)
    });
    (runtime, api, token)
});

/// Sends a body to every route that reads one, and checks that the responses are allowed.
fn send_everywhere(body: &[u8]) -> Result<(), TestCaseError> {
    let (runtime, api, token) = &*SHARED;
    let bearer = format!("Bearer {token}");
    for (method, path) in [
        ("POST", "/v1/users"),
        ("POST", "/v1/auth/refresh"),
        ("PATCH", "/v1/me"),
        ("POST", "/v1/connect"),
    ] {
        let headers = [JSON, ("authorization", bearer.as_str())];
        let answer = runtime.block_on(api.send(request(method, path, &headers, body.to_vec())));
        let status = answer.status.as_u16();
        prop_assert!(status < 500, "{method} {path}: {}", answer.text());
        prop_assert!(answer.json().is_object(), "{method} {path}");
    }
    Ok(())
}

/// JSON that is nearly a valid body.
fn nearly_good() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "name",
        "language",
        "interests",
        "age_bracket",
        "refresh_token",
        "\\PC{0,8}"
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        "\\PC{0,30}".prop_map(|value| json!(value)),
        prop_oneof!["en", "de-DE", "18\\+", "13-17", "Robin[0-9]{1,6}"]
            .prop_map(|value| json!(value)),
        Just(json!(null)),
    ];
    let value = leaf.clone().prop_recursive(3, 12, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(|list| json!(list)),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    let fields = prop::collection::btree_map(name, value, 0..6);
    fields.prop_map(|fields| json!(fields).to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_the_server_fail(body in prop::collection::vec(any::<u8>(), 0..300)) {
        send_everywhere(&body)?;
    }

    #[test]
    fn no_json_makes_the_server_fail(body in nearly_good()) {
        send_everywhere(body.as_bytes())?;
    }

    #[test]
    fn no_header_makes_the_server_fail(value in "[ -~]{0,80}", name in prop_oneof![
        "authorization", "origin", "content-type", "if-none-match", "content-length", "range", "accept",
    ]) {
        let (runtime, api, _token) = &*SHARED;
        for (method, path) in [("GET", "/v1/me"), ("GET", "/v1/categories"), ("POST", "/v1/users"), ("GET", "/docs")] {
            let headers = [(name.as_str(), value.as_str())];
            let answer = runtime.block_on(api.send(request(method, path, &headers, "{}")));
            prop_assert!(answer.status.as_u16() < 500, "{method} {path} {name}: {value}");
        }
    }
}
