//! The layers around every request: headers, origins, readiness, panics.

use std::time::Duration;

use nowrong_core::node::NodeStatus;
use serde_json::{Value, json};

use super::{Api, Trouble, request};

const OWN: &str = "http://localhost:8080";

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let api = Api::new().await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                  font-src 'self'; connect-src 'self' https://127.0.0.1:4433 ws://127.0.0.1:8080; \
                  manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let requests = [
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/v1/categories"),
        ("GET", "/v1/me"),
        ("GET", "/nowhere"),
        ("PUT", "/v1/me"),
        ("POST", "/v1/users"),
        ("OPTIONS", "/v1/users"),
    ];
    for (method, path) in requests {
        let answer = api.send(request(method, path, &[], "")).await;
        let case = format!("{method} {path}");
        assert_eq!(answer.header("content-security-policy"), policy, "{case}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{case}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{case}");
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            "same-origin",
            "{case}"
        );
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            "same-origin",
            "{case}"
        );
        if path.starts_with("/v1/") {
            assert!(!answer.header("cache-control").is_empty(), "{case}");
        }
    }
}

#[tokio::test]
async fn only_listed_origins_may_call() {
    let api = Api::new().await;
    let paths = [
        ("GET", "/v1/categories"),
        ("POST", "/v1/users"),
        ("GET", "/v1/me"),
        ("GET", "/v1/x"),
    ];
    for (method, path) in paths {
        for foreign in ["https://evil.example", "http://localhost:8081", "null", ""] {
            let answer = api
                .send(request(method, path, &[("origin", foreign)], "{}"))
                .await;
            answer.is_problem(403, "ORIGIN_REFUSED");
            assert_eq!(
                answer.header("access-control-allow-origin"),
                "",
                "{foreign}"
            );
        }
        let both = [("origin", OWN), ("origin", "https://evil.example")];
        let both = api.send(request(method, path, &both, "{}")).await;
        both.is_problem(403, "ORIGIN_REFUSED");
        let own = api
            .send(request(method, path, &[("origin", OWN)], "{}"))
            .await;
        assert_ne!(own.status, 403);
        assert_eq!(own.header("access-control-allow-origin"), OWN);
        assert!(
            own.header("vary").contains("origin"),
            "{}",
            own.header("vary")
        );
        let native = api.send(request(method, path, &[], "{}")).await;
        assert_ne!(native.status, 403);
    }
    let watcher = api
        .send(request(
            "GET",
            "/healthz",
            &[("origin", "https://a.example")],
            "",
        ))
        .await;
    assert_eq!(watcher.status, 200);
}

#[tokio::test]
async fn a_preflight_of_a_listed_origin_is_answered() {
    let api = Api::new().await;
    let ask = |origin: &'static str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "PATCH"),
            (
                "access-control-request-headers",
                "authorization,content-type",
            ),
        ];
        request("OPTIONS", "/v1/me", &headers, "")
    };
    let answer = api.send(ask(OWN)).await;
    assert!(answer.status.is_success());
    assert_eq!(answer.header("access-control-allow-origin"), OWN);
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PATCH")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("authorization")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let foreign = api.send(ask("https://evil.example")).await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn readiness_says_which_part_is_missing() {
    let api = Api::new().await;
    let expected = [
        ("/healthz", json!({ "status": "ok" })),
        ("/readyz", json!({ "status": "ok", "nodes_for_clients": 1 })),
    ];
    for (path, body) in expected {
        let answer = api.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, body),
            "{path}"
        );
    }
    api.state.env.store.close().await;
    assert_eq!(api.get("/readyz").await.status, 200, "within a second");
    api.advance(Duration::from_secs(1));
    let answer = api.get("/readyz").await;
    answer.is_problem(503, "STORAGE_UNAVAILABLE");
    assert!(answer.text().contains("The store cannot be written to."));
    assert_eq!(
        api.get("/healthz").await.status,
        200,
        "restarting would not help"
    );
    let body = json!({ "name": "Robin", "language": "en", "age_bracket": "18+" });
    api.post("/v1/users", &body)
        .await
        .is_problem(503, "STORAGE_UNAVAILABLE");
}

#[tokio::test]
async fn a_node_that_is_about_to_stop_is_not_ready() {
    let api = Api::new().await;
    api.state.env.broker.set_status(NodeStatus {
        is_draining: true,
        ..NodeStatus::default()
    });
    api.get("/readyz").await.is_problem(503, "DRAINING");
    assert_eq!(api.get("/healthz").await.status, 200, "let it finish");
}

#[tokio::test]
async fn a_panic_is_a_problem_like_any_other() {
    let api = Api::new().await;
    let token = api.token("Robin").await;
    *api.departed.trouble.lock().unwrap() = Some(Trouble::Panics);
    let answer = api.call("DELETE", "/v1/me", &token, &Value::Null).await;
    answer.is_problem(500, "INTERNAL");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(
        !answer.text().contains("a test"),
        "the panic's text stays inside"
    );
}
