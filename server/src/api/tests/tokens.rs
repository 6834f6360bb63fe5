//! Refresh tokens, connect tokens, and the answer to `POST /v1/connect`.

use std::{sync::Arc, time::Duration};

use nowrong_core::node::{NodeEndpoint, NodeStatus};
use nowrong_protocol::UserId;
use serde_json::{Value, json};

use super::{Api, HASH, text};
use crate::auth::connect::redeem_connect;

async fn refresh(api: &Api, token: &Value) -> super::Answer {
    api.post("/v1/auth/refresh", &json!({ "refresh_token": token }))
        .await
}

#[tokio::test]
async fn a_refresh_token_gives_new_tokens_once() {
    let api = Api::new().await;
    let first = api.register("Robin").await;
    let answer = refresh(&api, &first["refresh_token"]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let second = answer.json();
    let keys: Vec<&String> = second.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["access_expires_in_ms", "access_token", "refresh_token"]
    );
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let me = api
        .call(
            "GET",
            "/v1/me",
            &text(&second["access_token"]),
            &Value::Null,
        )
        .await;
    assert_eq!(me.json()["id"], first["user"]["id"]);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_within_the_grace() {
    let api = Api::new().await;
    let first = api.register("Robin").await["refresh_token"].clone();
    assert_eq!(refresh(&api, &first).await.status, 200);
    api.advance(Duration::from_secs(9));
    let again = refresh(&api, &first).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let next = refresh(&api, &again.json()["refresh_token"]).await;
    assert_eq!(next.status, 200, "the family lives");
}

#[tokio::test]
async fn a_token_used_again_after_the_grace_revokes_its_family() {
    let api = Api::new().await;
    let first = api.register("Robin").await["refresh_token"].clone();
    let other = api.register("Kim").await["refresh_token"].clone();
    let second = refresh(&api, &first).await.json()["refresh_token"].clone();
    api.advance(Duration::from_secs(11));
    refresh(&api, &first)
        .await
        .is_problem(401, "REFRESH_REFUSED");
    refresh(&api, &second)
        .await
        .is_problem(401, "REFRESH_REFUSED");
    assert_eq!(refresh(&api, &other).await.status, 200, "another family");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let api = Api::new().await;
    let registered = api.register("Robin").await;
    let token = text(&registered["refresh_token"]);
    for wrong in [
        String::new(),
        "x".to_owned(),
        text(&registered["access_token"]),
        format!("{token}="),
        format!(" {token}"),
        "x".repeat(10_000),
    ] {
        refresh(&api, &json!(wrong))
            .await
            .is_problem(401, "REFRESH_REFUSED");
    }
    let cases: [(Value, &[&str]); 4] = [
        (json!({}), &["refresh_token"]),
        (json!({ "refresh_token": 5 }), &["refresh_token"]),
        (json!({ "refresh_token": null }), &["refresh_token"]),
        (
            json!({ "refresh_token": token, "token": token }),
            &["token"],
        ),
    ];
    for (body, expected) in cases {
        let answer = api.post("/v1/auth/refresh", &body).await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), expected);
        assert!(
            !answer.text().contains(&token),
            "a token is never sent back"
        );
    }
}

#[tokio::test]
async fn connecting_gives_addresses_and_a_token_for_one_hello() {
    let api = Api::new().await;
    let registered = api.register("Robin").await;
    let token = text(&registered["access_token"]);
    let answer = api.call("POST", "/v1/connect", &token, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let connect = answer.json();
    assert_eq!(connect["expires_in_ms"], 30_000);
    let endpoint = &connect["endpoint"];
    assert_eq!(
        endpoint["webtransport"],
        "https://127.0.0.1:4433/v1/webtransport"
    );
    assert_eq!(endpoint["websocket"], "ws://127.0.0.1:8080/v1/websocket");
    assert_eq!(endpoint["certificate_hash"], HASH);

    let connect_token = text(&connect["connect_token"]);
    assert!(connect_token.len() <= nowrong_protocol::limits::CONNECT_TOKEN_BYTES_MAX);
    let id: UserId = text(&registered["user"]["id"]).parse().unwrap();
    let redeem = |token: String| {
        let (broker, now) = (Arc::clone(&api.state.env.broker), api.state.env.clock.now());
        async move { redeem_connect(&*broker, &token, now).await.unwrap() }
    };
    assert_eq!(redeem(connect_token.clone()).await, Some(id));
    assert_eq!(redeem(connect_token).await, None, "used");
    let late = api
        .call("POST", "/v1/connect", &token, &Value::Null)
        .await
        .json();
    api.advance(Duration::from_secs(30));
    assert_eq!(redeem(text(&late["connect_token"])).await, None, "expired");
    assert_eq!(redeem("nonsense".to_owned()).await, None);
}

#[tokio::test]
async fn what_a_node_does_not_have_is_null() {
    let api = Api::new().await;
    let endpoint = NodeEndpoint {
        websocket: "wss://chat.example/v1/websocket".to_owned(),
        ..NodeEndpoint::default()
    };
    api.state.env.broker.set_status(NodeStatus {
        endpoint,
        capacity: 1,
        is_draining: false,
    });
    let token = api.token("Robin").await;
    let answer = api.call("POST", "/v1/connect", &token, &Value::Null).await;
    let expected = json!({
        "webtransport": null,
        "websocket": "wss://chat.example/v1/websocket",
        "certificate_hash": null,
    });
    assert_eq!(answer.json()["endpoint"], expected);
}

#[tokio::test]
async fn without_a_node_that_takes_clients_there_is_no_token() {
    let api = Api::new().await;
    let token = api.token("Robin").await;
    let well = NodeStatus {
        endpoint: api.state.addresses.endpoint(None),
        capacity: 1,
        is_draining: false,
    };
    let draining = NodeStatus {
        is_draining: true,
        ..well.clone()
    };
    let without_clients = NodeStatus {
        endpoint: NodeEndpoint::default(),
        ..well.clone()
    };
    let full = NodeStatus {
        capacity: 0,
        ..well
    };
    for (status, name) in [
        (draining, "DRAINING"),
        (without_clients, "OVERLOADED"),
        (full, "OVERLOADED"),
    ] {
        api.state.env.broker.set_status(status);
        let answer = api.call("POST", "/v1/connect", &token, &Value::Null).await;
        answer.is_problem(503, name);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.json()["retry_after_ms"], 1_000);
    }
    let me = api.call("GET", "/v1/me", &token, &Value::Null).await;
    assert_eq!(me.status, 200, "the rest goes on");
}

#[tokio::test]
async fn too_many_requests_of_one_network_have_to_wait() {
    let api = Api::with(|state| state.limits.requests.burst = 2).await;
    let registered = api.register("Robin").await;
    let token = text(&registered["access_token"]);
    for expected in [200, 200, 429] {
        let answer = api.call("POST", "/v1/connect", &token, &Value::Null).await;
        assert_eq!(answer.status, expected);
    }
    for expected in [401, 401, 429] {
        assert_eq!(refresh(&api, &json!("x")).await.status, expected);
    }
}
