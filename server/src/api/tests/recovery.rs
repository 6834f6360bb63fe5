//! Recovery codes.

use std::time::Duration;

use nowrong_protocol::UserId;
use serde_json::{Value, json};

use super::{Answer, Api, text};

async fn code(api: &Api, access: &str) -> String {
    let answer = api
        .call("POST", "/v1/me/recovery", access, &Value::Null)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    text(&answer.json()["recovery_code"])
}

async fn recover(api: &Api, code: &str) -> Answer {
    api.post("/v1/auth/recover", &json!({ "recovery_code": code }))
        .await
}

#[tokio::test]
async fn a_recovery_code_gives_new_tokens_and_ends_those_before() {
    let api = Api::new().await;
    let registered = api.register("Robin").await;
    let id: UserId = text(&registered["user"]["id"]).parse().unwrap();
    let access = text(&registered["access_token"]);
    let code = code(&api, &access).await;
    assert!(
        !code.contains(char::is_lowercase) && code.len() == 33,
        "{code}"
    );
    let mut olds = vec![(access, registered["refresh_token"].clone())];
    // As people type it, and again after a lost response.
    for typed in [code.to_lowercase(), code.replace('-', " "), code.clone()] {
        let answer = recover(&api, &typed).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = answer.json();
        assert_eq!(found["user"]["id"], registered["user"]["id"]);
        assert_eq!(
            std::mem::take(&mut *api.departed.revoked.lock().unwrap()),
            [id]
        );
        for (access, refresh) in &olds {
            let me = api.call("GET", "/v1/me", access, &Value::Null).await;
            me.is_problem(401, "UNAUTHENTICATED");
            let body = json!({ "refresh_token": refresh });
            let answer = api.post("/v1/auth/refresh", &body).await;
            answer.is_problem(401, "REFRESH_REFUSED");
        }
        let access = text(&found["access_token"]);
        let me = api.call("GET", "/v1/me", &access, &Value::Null).await;
        assert_eq!(me.status, 200, "{}", me.text());
        olds.push((access, found["refresh_token"].clone()));
    }
}

#[tokio::test]
async fn a_code_that_was_replaced_or_removed_or_whose_account_is_gone_is_unknown() {
    let api = Api::new().await;
    let access = api.token("Robin").await;
    let first = code(&api, &access).await;
    let second = code(&api, &access).await;
    assert_ne!(first, second);
    let unknown = recover(&api, &first).await;
    unknown.is_problem(401, "REFRESH_REFUSED");
    for _ in 0..2 {
        let removed = api
            .call("DELETE", "/v1/me/recovery", &access, &Value::Null)
            .await;
        assert_eq!(removed.status, 204);
    }
    assert_eq!(
        recover(&api, &second).await.text(),
        unknown.text(),
        "no oracle"
    );
    let third = code(&api, &access).await;
    let erased = api.call("DELETE", "/v1/me", &access, &Value::Null).await;
    assert_eq!(erased.status, 204);
    assert_eq!(recover(&api, &third).await.text(), unknown.text());
    let other = api.token("Kim").await;
    let other = code(&api, &other).await;
    api.advance(Duration::from_secs(25 * 60 * 60));
    assert_eq!(recover(&api, &other).await.text(), unknown.text());
    assert_eq!(recover(&api, &"0".repeat(27)).await.text(), unknown.text());
}

#[tokio::test]
async fn what_is_no_code_is_named_and_what_is_tried_has_a_price() {
    let api = Api::with(|state| state.limits.register.burst = 5).await;
    let access = api.token("Robin").await;
    let code = code(&api, &access).await;
    let wrong = [
        json!(""),
        json!(5),
        json!(null),
        json!(format!("{code}0")),
        json!("0".repeat(10_000)),
    ];
    for wrong in wrong {
        let answer = api
            .post("/v1/auth/recover", &json!({ "recovery_code": wrong }))
            .await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), ["recovery_code"]);
        assert!(!answer.text().contains(&code), "a code is never sent back");
    }
    let answer = recover(&api, &code).await;
    answer.is_problem(429, "RATE_LIMITED");
    api.advance(Duration::from_secs(60 * 60));
    assert_eq!(recover(&api, &code).await.status, 200);
}
