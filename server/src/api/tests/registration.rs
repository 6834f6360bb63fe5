//! A registration that comes again: lost responses, double clicks, wrong keys.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Api, request, text};

const KEY: &str = "0193b3a4-5a1c-7f2e-8c3d-9e0f1a2b3c4d";

fn body(name: &str) -> Value {
    json!({ "name": name, "language": "en", "interests": ["Jazz"], "age_bracket": "18+" })
}

/// Registers with these values of `Idempotency-Key`.
async fn register(api: &Api, keys: &[&str], body: &Value) -> Answer {
    let keys = keys.iter().map(|key| ("Idempotency-Key", *key));
    let json = [("content-type", "application/json")];
    let headers: Vec<_> = json.into_iter().chain(keys).collect();
    api.send(request("POST", "/v1/users", &headers, body.to_string()))
        .await
}

async fn refresh(api: &Api, token: &Value) -> Answer {
    let body = json!({ "refresh_token": token });
    api.post("/v1/auth/refresh", &body).await
}

#[tokio::test]
async fn the_same_request_gives_the_same_account_and_tokens_that_work() {
    let api = Api::new().await;
    let first = register(&api, &[KEY], &body("Robin")).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let first = first.json();
    // Written in another way, it is the same request.
    let same =
        json!({ "age_bracket": "18+", "interests": ["jazz"], "language": "EN", "name": " Robin" });
    for again in [body("Robin"), same] {
        api.advance(Duration::from_secs(60));
        let again = register(&api, &[KEY], &again).await;
        assert_eq!(again.status, 201, "{}", again.text());
        assert_eq!(again.header("location"), "/v1/me");
        let again = again.json();
        assert_eq!(again["user"]["id"], first["user"]["id"]);
        assert_ne!(again["refresh_token"], first["refresh_token"]);
        let token = text(&again["access_token"]);
        let me = api.call("GET", "/v1/me", &token, &Value::Null).await;
        assert_eq!(me.json()["id"], first["user"]["id"]);
    }
    // Whichever response arrived, its token is good, and then the key has served.
    assert_eq!(refresh(&api, &first["refresh_token"]).await.status, 200);
    let late = register(&api, &[KEY], &body("Robin")).await;
    late.is_problem(422, "INVALID");
    assert_eq!(late.wrong_fields(), ["Idempotency-Key"]);
}

#[tokio::test]
async fn two_clicks_at_once_are_one_account() {
    let api = Api::new().await;
    let body = body("Robin");
    let (one, other) = tokio::join!(register(&api, &[KEY], &body), register(&api, &[KEY], &body));
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (201, 201));
    let (one, other) = (one.json(), other.json());
    assert_eq!(one["user"]["id"], other["user"]["id"]);
    for account in [one, other] {
        assert_eq!(refresh(&api, &account["refresh_token"]).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_is_for_one_request_only() {
    let api = Api::new().await;
    let first = register(&api, &[KEY], &body("Robin")).await;
    assert_eq!(first.status, 201);
    let mut others = [body("Kim"), body("Robin"), body("Robin")];
    others[1]["language"] = json!("de");
    others[2]["interests"] = json!(["jazz", "chess"]);
    for other in others {
        let answer = register(&api, &[KEY], &other).await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), ["Idempotency-Key"], "{other}");
        assert!(!answer.text().contains(KEY), "a key is never sent back");
    }
    let other = KEY.replace('0', "1");
    let taken = register(&api, &[&other], &body("Robin")).await;
    taken.is_problem(409, "NAME_TAKEN");
    // A key is not a token.
    for text in [KEY, &format!("registration{KEY}")] {
        refresh(&api, &json!(text))
            .await
            .is_problem(401, "REFRESH_REFUSED");
    }
    // It is forgotten after an hour, while the account lives on.
    api.advance(Duration::from_secs(60 * 60));
    let late = register(&api, &[KEY], &body("Robin")).await;
    late.is_problem(409, "NAME_TAKEN");
}

#[tokio::test]
async fn a_key_of_another_form_is_refused_and_changes_nothing() {
    let api = Api::new().await;
    let long = "x".repeat(65);
    let cases: [&[&str]; 6] = [
        &[""],
        &["short"],
        &[&long],
        &["with spaces in the middle"],
        &["a\ttab is in the middle"],
        &[KEY, KEY],
    ];
    for keys in cases {
        let answer = register(&api, keys, &body("Robin")).await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), ["Idempotency-Key"], "{keys:?}");
    }
    assert_eq!(register(&api, &[KEY], &body("Robin")).await.status, 201);
}
