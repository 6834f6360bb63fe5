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
async fn a_refresh_token_gives_new_tokens() {
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

/// Refreshes and returns the new refresh token.
async fn renewed(api: &Api, token: &Value) -> Value {
    let answer = refresh(api, token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["refresh_token"].clone()
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_hours_later() {
    let api = Api::new().await;
    let first = api.register("Robin").await["refresh_token"].clone();
    renewed(&api, &first).await;
    for pause in [0, 1, 11, 12 * 60 * 60, 20 * 60 * 60] {
        api.advance(Duration::from_secs(pause));
        renewed(&api, &first).await;
    }
    let next = renewed(&api, &first).await;
    renewed(&api, &next).await;
}

#[tokio::test]
async fn many_tabs_that_renew_at_once_all_go_on() {
    let api = Api::new().await;
    let first = api.register("Robin").await["refresh_token"].clone();
    let tabs = tokio::join!(
        refresh(&api, &first),
        refresh(&api, &first),
        refresh(&api, &first),
        refresh(&api, &first),
    );
    let mut tabs = [tabs.0, tabs.1, tabs.2, tabs.3].map(|answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["refresh_token"].clone()
    });
    for round in 0..3 {
        api.advance(Duration::from_secs(570));
        // One of them sleeps for a while.
        for tab in tabs.iter_mut().skip(usize::from(round == 1)) {
            *tab = renewed(&api, tab).await;
        }
    }
}

#[tokio::test]
async fn however_many_tabs_exchange_a_token_they_all_get_the_same_one() {
    let api = Api::new().await;
    let mut token = api.register("Robin").await["refresh_token"].clone();
    for tabs in [2, 3, 20] {
        let mut all = Vec::new();
        for _ in 0..tabs {
            all.push(renewed(&api, &token).await);
        }
        assert!(all.iter().all(|it| *it == all[0]), "{tabs} tabs, one chain");
        assert_ne!(all[0], token);
        token = all[0].clone();
    }
}

#[tokio::test]
async fn a_thief_who_exchanges_a_token_within_seconds_is_found_when_one_of_the_two_was_away() {
    let api = Api::new().await;
    let first = api.register("Robin").await["refresh_token"].clone();
    let own = renewed(&api, &first).await;
    api.advance(Duration::from_secs(9));
    let stolen = renewed(&api, &first).await;
    // The owner goes on, and two steps later the thief comes again.
    let mut newest = own;
    for _ in 0..2 {
        api.advance(Duration::from_secs(570));
        newest = renewed(&api, &newest).await;
    }
    for revoked in [stolen, newest] {
        let answer = refresh(&api, &revoked).await;
        answer.is_problem(401, "REFRESH_REFUSED");
    }
}

#[tokio::test]
async fn a_token_whose_successor_was_used_revokes_its_family() {
    let api = Api::new().await;
    let first = api.register("Robin").await["refresh_token"].clone();
    let other = api.register("Kim").await["refresh_token"].clone();
    let second = renewed(&api, &first).await;
    let third = renewed(&api, &second).await;
    refresh(&api, &first)
        .await
        .is_problem(401, "REFRESH_REFUSED");
    for revoked in [second, third] {
        refresh(&api, &revoked)
            .await
            .is_problem(401, "REFRESH_REFUSED");
    }
    renewed(&api, &other).await;
}

#[tokio::test]
async fn a_revocation_reaches_every_token_of_the_account_and_ends_its_connections() {
    let api = Api::new().await;
    let registered = api.register("Robin").await;
    let id: UserId = text(&registered["user"]["id"]).parse().unwrap();
    let other = api.token("Kim").await;
    let access = text(&registered["access_token"]);
    let first = registered["refresh_token"].clone();
    let second = renewed(&api, &first).await;
    renewed(&api, &second).await;
    assert_eq!(*api.departed.revoked.lock().unwrap(), []);
    let answer = refresh(&api, &first).await;
    answer.is_problem(401, "REFRESH_REFUSED");
    assert_eq!(*api.departed.revoked.lock().unwrap(), [id]);
    for (method, path) in [
        ("GET", "/v1/me"),
        ("PATCH", "/v1/me"),
        ("DELETE", "/v1/me"),
        ("POST", "/v1/connect"),
    ] {
        let answer = api.call(method, path, &access, &json!({})).await;
        answer.is_problem(401, "UNAUTHENTICATED");
        assert!(answer.text().contains("revoked"), "{}", answer.text());
        if method != "DELETE" {
            let answer = api.call(method, path, &other, &json!({})).await;
            assert_eq!(answer.status, 200, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn logging_out_ends_the_tokens_and_tells_nothing_of_them() {
    let api = Api::new().await;
    let out = async |body: Value| api.post("/v1/auth/logout", &body).await;
    let ended = async |token: &Value, everywhere: bool| {
        let body = json!({ "refresh_token": token, "everywhere": everywhere });
        let answer = out(body).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
        std::mem::take(&mut *api.departed.revoked.lock().unwrap()).len()
    };
    for everywhere in [false, true] {
        assert_eq!(ended(&json!("nonsense"), everywhere).await, 0);
        assert_eq!(ended(&json!("x".repeat(10_000)), everywhere).await, 0);
        let registered = api.register("Robin").await;
        let first = registered["refresh_token"].clone();
        let newest = renewed(&api, &first).await;
        assert_eq!(ended(&newest, everywhere).await, 1, "the only device");
        assert_eq!(ended(&newest, everywhere).await, 0, "again");
        for token in [first, newest] {
            let answer = refresh(&api, &token).await;
            answer.is_problem(401, "REFRESH_REFUSED");
        }
        let access = text(&registered["access_token"]);
        let me = api.call("GET", "/v1/me", &access, &Value::Null).await;
        me.is_problem(401, "UNAUTHENTICATED");
        // A client that has nothing left cannot erase it either: another name for the next round.
        api.advance(Duration::from_secs(49 * 60 * 60));
    }
    let cases: [(Value, &[&str]); 3] = [
        (json!({}), &["refresh_token"]),
        (
            json!({ "refresh_token": 5, "everywhere": "yes" }),
            &["refresh_token", "everywhere"],
        ),
        (json!({ "refresh_token": "x", "all": true }), &["all"]),
    ];
    for (body, expected) in cases {
        let answer = out(body).await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), expected);
    }
}

#[tokio::test]
async fn an_account_that_renews_itself_without_end_has_to_wait() {
    let api = Api::new().await;
    let mut token = api.register("Robin").await["refresh_token"].clone();
    let mut count = 0;
    let answer = loop {
        let answer = refresh(&api, &token).await;
        if answer.status != 200 {
            break answer;
        }
        token = answer.json()["refresh_token"].clone();
        count += 1;
    };
    assert_eq!(count, 121);
    answer.is_problem(429, "RATE_LIMITED");
    let ms = answer.json()["retry_after_ms"].as_u64().unwrap();
    api.advance(Duration::from_millis(ms));
    renewed(&api, &token).await;
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
    let holder = redeem(connect_token.clone()).await.unwrap();
    assert_eq!((holder.user, holder.generation), (id, 0));
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
    let wrong = json!({ "name": "" });
    for expected in [422, 422, 429] {
        let answer = api.call("PATCH", "/v1/me", &token, &wrong).await;
        assert_eq!(answer.status, expected, "whatever comes of it");
    }
    // One has registered already.
    for expected in [422, 429] {
        assert_eq!(api.post("/v1/users", &wrong).await.status, expected);
    }
}

#[tokio::test]
async fn of_too_many_interests_only_as_many_are_read_as_may_be() {
    let api = Api::new().await;
    let body = json!({ "interests": vec!["\u{FDFA}".repeat(170); 28] });
    let answer = api.post("/v1/users", &body).await;
    answer.is_problem(422, "INVALID");
    let errors = answer.json()["errors"].clone();
    let fields = errors.as_array().unwrap().iter();
    let fields = fields.filter_map(|error| error["field"].as_str());
    let read = fields.filter(|field| field.starts_with("interests["));
    assert_eq!(read.count(), 10);
}
