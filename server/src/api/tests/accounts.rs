//! Accounts: registering, changing, erasing, expiring.

use std::{sync::Arc, time::Duration};

use nowrong_core::text::ReservedNames;
use nowrong_protocol::UserId;
use serde_json::{Value, json};

use super::{Api, Trouble, request, text};
use crate::{auth::Holder, disk::Disk};

/// An account whose tokens were never revoked.
fn first(user: UserId) -> Holder {
    Holder {
        user,
        generation: 0,
    }
}

#[tokio::test]
async fn registering_gives_an_account_and_tokens_that_work() {
    let api = Api::new().await;
    let body = json!({
        "name": "  Ro\u{308}bin ", "language": "PT-br", "interests": ["Jazz", "jazz ", "Go"],
        "age_bracket": "13-17",
    });
    let before = api.state.env.clock.now();
    let answer = api.post("/v1/users", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let registered = answer.json();
    let user = &registered["user"];
    assert_eq!(user["name"], "Röbin");
    assert_eq!(user["language"], "pt-BR");
    assert_eq!(user["interests"], json!(["jazz", "go"]));
    assert_eq!(user["age_bracket"], "13-17");
    let day = 24 * 60 * 60 * 1_000;
    assert!(user["expires_at_ms"].as_u64().unwrap() >= before + day);
    assert_eq!(registered["access_expires_in_ms"], 600_000);
    let keys: Vec<&String> = registered.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "access_expires_in_ms",
            "access_token",
            "refresh_token",
            "user"
        ]
    );

    let token = text(&registered["access_token"]);
    let me = api.call("GET", "/v1/me", &token, &Value::Null).await;
    assert_eq!(me.status, 200);
    assert_eq!(&me.json(), user);
}

#[tokio::test]
async fn every_wrong_field_of_a_registration_is_named_at_once() {
    let api = Api::new().await;
    let good = json!({ "name": "Robin", "language": "en", "interests": [], "age_bracket": "18+" });
    let cases: [(Value, &[&str]); 17] = [
        (json!({}), &["name", "language", "age_bracket"]),
        (json!({ "name": "x" }), &["name"]),
        (json!({ "name": "x".repeat(25) }), &["name"]),
        (json!({ "name": "a\u{7}b" }), &["name"]),
        (json!({ "name": 5 }), &["name"]),
        (json!({ "name": null }), &["name"]),
        (json!({ "language": "" }), &["language"]),
        (json!({ "language": "not a tag" }), &["language"]),
        (json!({ "language": ["en"] }), &["language"]),
        (json!({ "interests": "jazz" }), &["interests"]),
        (json!({ "interests": null }), &["interests"]),
        (json!({ "interests": vec!["a"; 11] }), &["interests"]),
        (
            json!({ "interests": ["a", "", 5, "x".repeat(65)] }),
            &["interests[1]", "interests[2]", "interests[3]"],
        ),
        (json!({ "age_bracket": "18" }), &["age_bracket"]),
        (json!({ "age_bracket": null }), &["age_bracket"]),
        (json!({ "e_mail": "a@b", "Name": "x" }), &["Name", "e_mail"]),
        (
            json!({ "name": 1, "language": 2, "interests": 3, "age_bracket": 4, "zip": 5 }),
            &["name", "language", "interests", "age_bracket", "zip"],
        ),
    ];
    for (change, expected) in cases {
        let mut body = good.clone();
        let fields = change.as_object().unwrap();
        body.as_object_mut().unwrap().extend(fields.clone());
        if fields.is_empty() {
            body = json!({});
        }
        let answer = api.post("/v1/users", &body).await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), expected, "{body}");
    }
    assert_eq!(api.post("/v1/users", &good).await.status, 201);
}

#[tokio::test]
async fn a_problem_names_at_most_fifty_fields() {
    let api = Api::new().await;
    let body: Value = (0..300)
        .map(|index| (format!("x{index}"), json!(1)))
        .collect();
    let answer = api.post("/v1/users", &body).await;
    answer.is_problem(422, "INVALID");
    assert_eq!(answer.wrong_fields().len(), 50);
}

#[tokio::test]
async fn names_that_look_alike_are_taken() {
    let api = Api::new().await;
    api.register("Robin").await;
    for name in ["Robin", "ROBIN", "R0bin", "Rоbin"] {
        let body = json!({ "name": name, "language": "en", "age_bracket": "18+" });
        let answer = api.post("/v1/users", &body).await;
        answer.is_problem(409, "NAME_TAKEN");
        assert_eq!(answer.wrong_fields(), ["name"]);
    }
}

#[tokio::test]
async fn nobody_can_have_a_name_of_authority() {
    let api = Api::with(|state| {
        let more = ["Acme".to_owned()];
        state.reserved_names = Arc::new(ReservedNames::with(&more).unwrap());
    })
    .await;
    let token = api.token("Robin").await;
    for name in ["Аdm1n", "n0wrong", "ac.me", "Support Team"] {
        let body = json!({ "name": name, "language": "", "age_bracket": "18+" });
        let answer = api.post("/v1/users", &body).await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), ["name", "language"], "{name}");
        // It costs none of the names of a day, of which there are five.
        for _ in 0..3 {
            let change = json!({ "name": name });
            let answer = api.call("PATCH", "/v1/me", &token, &change).await;
            answer.is_problem(422, "INVALID");
            assert!(answer.text().contains("reserved"), "{}", answer.text());
        }
    }
    let change = json!({ "name": "Kim" });
    let answer = api.call("PATCH", "/v1/me", &token, &change).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn only_a_good_access_token_opens_an_account() {
    let api = Api::new().await;
    let token = api.token("Robin").await;
    let nobody = api
        .state
        .access
        .issue(first(UserId::v7(1, &[1; 10])), api.state.env.clock.now())
        .unwrap();
    let headers = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer {token}x"),
        format!("Bearer {token} {token}"),
        format!("Bearer {}", nobody.expose()),
    ];
    for (method, path) in [
        ("GET", "/v1/me"),
        ("PATCH", "/v1/me"),
        ("DELETE", "/v1/me"),
        ("POST", "/v1/connect"),
    ] {
        for header in &headers {
            let sent = [
                ("authorization", header.as_str()),
                ("content-type", "application/json"),
            ];
            let answer = api.send(request(method, path, &sent, "{}")).await;
            answer.is_problem(401, "UNAUTHENTICATED");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        let answer = api.send(request(method, path, &[], "{}")).await;
        answer.is_problem(401, "UNAUTHENTICATED");
    }
    assert_eq!(
        api.call("GET", "/v1/me", &token, &Value::Null).await.status,
        200
    );
    api.advance(Duration::from_secs(10 * 60));
    let late = api.call("GET", "/v1/me", &token, &Value::Null).await;
    late.is_problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn an_account_changes_field_by_field() {
    let api = Api::new().await;
    let token = api.token("Robin").await;
    let cases = [
        (json!({}), "Robin", "en", json!([])),
        (json!({ "language": "de" }), "Robin", "de", json!([])),
        (
            json!({ "interests": ["Chess"] }),
            "Robin",
            "de",
            json!(["chess"]),
        ),
        (json!({ "name": "Kim" }), "Kim", "de", json!(["chess"])),
        (
            json!({ "name": "KIM", "interests": [] }),
            "KIM",
            "de",
            json!([]),
        ),
    ];
    for (change, name, language, interests) in cases {
        let answer = api.call("PATCH", "/v1/me", &token, &change).await;
        assert_eq!(answer.status, 200, "{change}: {}", answer.text());
        let me = api.call("GET", "/v1/me", &token, &Value::Null).await.json();
        assert_eq!(answer.json(), me);
        assert_eq!(me["name"], name);
        assert_eq!(me["language"], language);
        assert_eq!(me["interests"], interests);
    }
    api.register("Bobo").await;
    let taken = api
        .call(
            "PATCH",
            "/v1/me",
            &token,
            &json!({ "name": "b0bo", "language": "fr" }),
        )
        .await;
    taken.is_problem(409, "NAME_TAKEN");
    let me = api.call("GET", "/v1/me", &token, &Value::Null).await.json();
    assert_eq!(
        (&me["name"], &me["language"]),
        (&json!("KIM"), &json!("de")),
        "nothing changed"
    );
}

#[tokio::test]
async fn every_wrong_field_of_a_change_is_named_at_once() {
    let api = Api::new().await;
    let token = api.token("Robin").await;
    let cases: [(Value, &[&str]); 6] = [
        (json!({ "name": "" }), &["name"]),
        (
            json!({ "name": null, "language": null, "interests": null }),
            &["name", "language", "interests"],
        ),
        (json!({ "age_bracket": "18+" }), &["age_bracket"]),
        (
            json!({ "id": 1, "expires_at_ms": 2 }),
            &["expires_at_ms", "id"],
        ),
        (
            json!({ "interests": [[], {}] }),
            &["interests[0]", "interests[1]"],
        ),
        (
            json!({ "name": "x", "age_bracket": 1, "zip": 1 }),
            &["name", "age_bracket", "zip"],
        ),
    ];
    for (body, expected) in cases {
        let answer = api.call("PATCH", "/v1/me", &token, &body).await;
        answer.is_problem(422, "INVALID");
        assert_eq!(answer.wrong_fields(), expected, "{body}");
    }
}

#[tokio::test]
async fn an_account_that_is_erased_is_reported_so_whatever_fails_afterwards() {
    let api = Api::new().await;
    let registered = api.register("Robin").await;
    let token = text(&registered["access_token"]);
    *api.departed.trouble.lock().unwrap() = Some(Trouble::FailsSecond);
    let answer = api.call("DELETE", "/v1/me", &token, &Value::Null).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert!(
        api.departed.trouble.lock().unwrap().is_none(),
        "it was tried"
    );
    let answer = api.call("DELETE", "/v1/me", &token, &Value::Null).await;
    answer.is_problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn erasing_an_account_lets_the_user_depart_first() {
    let api = Api::new().await;
    let registered = api.register("Robin").await;
    let token = text(&registered["access_token"]);
    let id: UserId = text(&registered["user"]["id"]).parse().unwrap();

    *api.departed.trouble.lock().unwrap() = Some(Trouble::Fails);
    let answer = api.call("DELETE", "/v1/me", &token, &Value::Null).await;
    answer.is_problem(503, "STORAGE_UNAVAILABLE");
    assert!(
        api.state
            .env
            .store
            .user(id, api.state.env.clock.now())
            .await
            .unwrap()
            .is_some()
    );

    let answer = api.call("DELETE", "/v1/me", &token, &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert_eq!(
        *api.departed.users.lock().unwrap(),
        [id, id],
        "before and after"
    );
    assert!(
        api.state
            .env
            .store
            .user(id, api.state.env.clock.now())
            .await
            .unwrap()
            .is_none()
    );

    let answer = api.call("GET", "/v1/me", &token, &Value::Null).await;
    answer.is_problem(401, "UNAUTHENTICATED");
    let body = json!({ "refresh_token": registered["refresh_token"] });
    api.post("/v1/auth/refresh", &body)
        .await
        .is_problem(401, "REFRESH_REFUSED");
}

#[tokio::test]
async fn the_name_of_an_erased_account_rests_for_a_day() {
    let api = Api::new().await;
    let token = api.token("Robin").await;
    let answer = api.call("DELETE", "/v1/me", &token, &Value::Null).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let body = json!({ "name": "R0bin", "language": "en", "age_bracket": "18+" });
    for hours in [1, 22] {
        let answer = api.post("/v1/users", &body).await;
        answer.is_problem(409, "NAME_TAKEN");
        api.advance(Duration::from_secs(hours * 60 * 60));
    }
    let kim = api.token("Kim").await;
    let change = json!({ "name": "Robin" });
    let answer = api.call("PATCH", "/v1/me", &kim, &change).await;
    answer.is_problem(409, "NAME_TAKEN");
    api.advance(Duration::from_secs(60 * 60));
    assert_eq!(api.post("/v1/users", &body).await.status, 201);
}

#[tokio::test]
async fn a_name_that_was_changed_can_be_taken_back_by_its_owner_alone() {
    let api = Api::new().await;
    let (ana, ben) = (api.token("Ana").await, api.token("Ben").await);
    let rename = async |token: &str, name: &str| {
        let change = json!({ "name": name });
        api.call("PATCH", "/v1/me", token, &change).await
    };
    assert_eq!(rename(&ana, "Eve").await.status, 200);
    rename(&ben, "Ana").await.is_problem(409, "NAME_TAKEN");
    assert_eq!(rename(&ana, "Ana").await.status, 200);
}

#[tokio::test]
async fn a_name_can_be_changed_five_times_a_day_and_a_taken_one_counts() {
    let api = Api::new().await;
    let token = api.token("Ana").await;
    api.register("Ben").await;
    let change = async |change: Value| api.call("PATCH", "/v1/me", &token, &change).await;
    // What changes no name costs none, and neither does a name that cannot be one.
    for _ in 0..6 {
        let same = change(json!({ "name": " Ana", "language": "de" })).await;
        assert_eq!(same.status, 200, "{}", same.text());
        change(json!({ "name": "x" }))
            .await
            .is_problem(422, "INVALID");
    }
    for name in ["Ben", "b3n", "BEN"] {
        let answer = change(json!({ "name": name })).await;
        assert!(matches!(answer.status.as_u16(), 200 | 409), "{name}");
    }
    for name in ["Eve", "Zoe"] {
        assert_eq!(change(json!({ "name": name })).await.status, 200);
    }
    let refused = change(json!({ "name": "Ben" })).await;
    refused.is_problem(429, "RATE_LIMITED");
    let ms = refused.json()["retry_after_ms"].as_u64().unwrap();
    assert!((1..=24 * 60 * 60 * 1_000 / 5).contains(&ms), "{ms}");
    assert_eq!(
        refused.header("retry-after"),
        ms.div_ceil(1_000).to_string()
    );
    let other = change(json!({ "language": "fr" })).await;
    assert_eq!(other.status, 200, "the rest can be changed");
    let another = api.token("Another").await;
    let change = json!({ "name": "Other" });
    let another = api.call("PATCH", "/v1/me", &another, &change).await;
    assert_eq!(another.status, 200, "each account has its own");
}

#[tokio::test]
async fn an_unused_account_is_gone_after_a_day_and_a_used_one_is_not() {
    let api = Api::new().await;
    let mut used = api.register("Robin").await;
    let unused = api.register("Kim").await;
    for _ in 0..3 {
        api.advance(Duration::from_secs(20 * 60 * 60));
        let body = json!({ "refresh_token": used["refresh_token"] });
        let answer = api.post("/v1/auth/refresh", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        used = answer.json();
    }
    let body = json!({ "refresh_token": unused["refresh_token"] });
    api.post("/v1/auth/refresh", &body)
        .await
        .is_problem(401, "REFRESH_REFUSED");
    api.register("Kim").await;
}

/// Every request with an access token is a use, whichever it is.
#[tokio::test]
async fn who_only_asks_for_the_account_keeps_it() {
    let api = Api::new().await;
    let mut account = api.register("Robin").await;
    let waiting = account["refresh_token"].clone();
    for _ in 0..20 {
        api.advance(Duration::from_secs(5 * 60 * 60));
        // An access token without a refresh: another device of the same person.
        let id: UserId = text(&account["user"]["id"]).parse().unwrap();
        let now = api.state.env.clock.now();
        let token = api.state.access.issue(first(id), now).unwrap();
        let me = api
            .call("GET", "/v1/me", token.expose(), &Value::Null)
            .await;
        assert_eq!(me.status, 200, "{}", me.text());
        account["user"] = me.json();
        let left = me.json()["expires_at_ms"].as_u64().unwrap() - now;
        assert!(left >= 22 * 60 * 60 * 1_000, "{left}");
        api.state.env.store.sweep(now, 1_000).await.unwrap();
    }
    let body = json!({ "name": "Robin", "language": "en", "age_bracket": "18+" });
    api.post("/v1/users", &body)
        .await
        .is_problem(409, "NAME_TAKEN");
    // The refresh token lives as long as its account.
    let body = json!({ "refresh_token": waiting });
    let answer = api.post("/v1/auth/refresh", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn who_changes_the_account_every_hour_keeps_the_refresh_token_too() {
    let api = Api::new().await;
    let registered = api.register("Robin").await;
    let id: UserId = text(&registered["user"]["id"]).parse().unwrap();
    for hour in 0..40 {
        api.advance(Duration::from_secs(60 * 60));
        let now = api.state.env.clock.now();
        let token = api.state.access.issue(first(id), now).unwrap();
        let change = json!({ "language": if hour % 2 == 0 { "de" } else { "en" } });
        let answer = api.call("PATCH", "/v1/me", token.expose(), &change).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        api.state.env.store.sweep(now, 1_000).await.unwrap();
    }
    let body = json!({ "refresh_token": registered["refresh_token"] });
    let answer = api.post("/v1/auth/refresh", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_full_disk_takes_no_new_account_and_the_others_go_on() {
    let disk = Disk::for_test(1_000);
    let api = Api::with(|state| state.env.disk = disk.clone()).await;
    let token = api.token("Robin").await;
    disk.has_free(999);
    let body = json!({ "name": "Kim", "language": "en", "age_bracket": "18+" });
    for free in [999, 1_000, 1_099] {
        disk.has_free(free);
        for answer in [api.post("/v1/users", &body).await, api.get("/readyz").await] {
            answer.is_problem(503, "STORAGE_UNAVAILABLE");
            assert_eq!(answer.header("retry-after"), "10");
            assert!(answer.text().contains("nearly full"), "{}", answer.text());
        }
    }
    assert_eq!(api.get("/healthz").await.status, 200);
    let change = json!({ "language": "de" });
    let change = api.call("PATCH", "/v1/me", &token, &change).await;
    assert_eq!(change.status, 200);
    let erased = api.call("DELETE", "/v1/me", &token, &Value::Null).await;
    assert_eq!(erased.status, 204);
    disk.has_free(1_100);
    assert_eq!(api.post("/v1/users", &body).await.status, 201);
    assert_eq!(api.get("/readyz").await.status, 200);
    let refusals = "nowrong_limit_refusals_total{limit=\"disk\"} 3";
    assert!(api.state.env.metrics.text().contains(refusals));
}

#[tokio::test]
async fn too_many_registrations_of_one_network_have_to_wait() {
    let api = Api::with(|state| {
        state.limits.register.burst = 2;
        state.limits.register.period_ms = 60_000;
    })
    .await;
    let body = |name: &str| json!({ "name": name, "language": "en", "age_bracket": "18+" });
    let invalid = api.post("/v1/users", &json!({})).await;
    invalid.is_problem(422, "INVALID");
    for name in ["One", "Two"] {
        assert_eq!(api.post("/v1/users", &body(name)).await.status, 201);
    }
    let answer = api.post("/v1/users", &body("Three")).await;
    answer.is_problem(429, "RATE_LIMITED");
    let ms = answer.json()["retry_after_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&ms), "{ms}");
    assert_eq!(answer.header("retry-after"), ms.div_ceil(1_000).to_string());

    let json = [("content-type", "application/json")];
    let mut elsewhere = request("POST", "/v1/users", &json, body("Three").to_string());
    super::from(&mut elsewhere, "192.0.2.2:5000");
    assert_eq!(api.send(elsewhere).await.status, 201, "another network");
    api.advance(Duration::from_millis(ms));
    assert_eq!(api.post("/v1/users", &body("Four")).await.status, 201);
}
