//! `GET /v1/me/export`: all that an account can read of itself, and nothing of others.

use nowrong_core::record::{Chat, StoredMessage};
use nowrong_protocol::{Position, UserId, frame::Body};
use nowrong_store::conformance::{chat, message, tickets};
use serde_json::{Value, json};

use super::{Api, text};
use crate::chat::{Owner, Sealer};

/// Opens a chat of these two, in which each has said something and the first one has deleted a message.
async fn talk(api: &Api, one: UserId, other: UserId) -> Chat {
    let env = &api.state.env;
    let now = env.clock.now();
    let mut opened = chat(1, &[1, 2]);
    (opened.started_at, opened.expires_at) = (now, now + 3_600_000);
    for (member, (user, name)) in opened
        .members
        .iter_mut()
        .zip([(one, "Robin"), (other, "Kim")])
    {
        member.user = user;
        name.clone_into(&mut member.name);
    }
    env.store.open_chat(&opened, &tickets()).await.unwrap();
    let said = |seq: u64| {
        let mut said = message(1, 1, seq);
        let owner = Owner {
            chat: said.chat,
            member: said.member,
            client_message_id: said.client_message_id,
        };
        let body = Body::Text(format!("text {seq}"));
        said.sealed = Sealer::new(&opened.key).seal(owner, &body).unwrap();
        (said.at, said.expires_at) = (now + seq, opened.expires_at);
        said
    };
    let all: Vec<StoredMessage> = (1..=300).map(said).collect();
    env.store.append(&all).await.unwrap();
    let deleted = Position::new(1, 2);
    assert!(env.store.delete_message(opened.id, deleted).await.unwrap());
    opened
}

async fn id(api: &Api, token: &str) -> UserId {
    let me = api.call("GET", "/v1/me", token, &Value::Null).await;
    text(&me.json()["id"]).parse().unwrap()
}

#[tokio::test]
async fn an_account_gets_all_that_it_can_read_and_nobody_else_does() {
    let api = Api::new().await;
    let (robin, kim) = (api.token("Robin").await, api.token("Kim").await);
    let stranger = api.token("Stranger").await;
    let (one, other) = (id(&api, &robin).await, id(&api, &kim).await);
    let opened = talk(&api, one, other).await;
    let env = &api.state.env;
    let now = env.clock.now();
    env.store
        .block(one, id(&api, &stranger).await, now)
        .await
        .unwrap();

    let answer = api.call("GET", "/v1/me/export", &robin, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = answer.json();
    assert_eq!(data["user"]["name"], "Robin");
    assert_eq!(
        (&data["blocks"], &data["recent_partners"]),
        (&json!(1), &json!(1))
    );
    let talk = &data["chat"];
    assert_eq!(talk["id"], json!(opened.id));
    assert_eq!(
        (&talk["me"], &talk["members"][1]["name"]),
        (&json!(0), &json!("Kim"))
    );
    assert_eq!(talk["shared_interests"], json!(["jazz"]));
    let messages = talk["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 300, "more than one page of the store");
    assert_eq!(messages[0]["text"], "text 1");
    assert_eq!(messages[1]["text"], Value::Null, "it was deleted");
    assert_eq!(messages[299]["text"], "text 300");
    assert_eq!(messages[299]["reply_to"], json!({ "epoch": 1, "seq": 299 }));
    let id_of_other = json!(other).to_string();
    assert!(!answer.text().contains(id_of_other.trim_matches('"')));

    let answer = api
        .call("GET", "/v1/me/export", &stranger, &Value::Null)
        .await;
    assert_eq!(answer.json()["chat"], Value::Null);
    assert!(!answer.text().contains("text 1") && !answer.text().contains("Robin"));
}

#[tokio::test]
async fn an_export_has_a_price_of_its_own() {
    let api = Api::new().await;
    let (robin, kim) = (api.token("Robin").await, api.token("Kim").await);
    for _ in 0..6 {
        let answer = api.call("GET", "/v1/me/export", &robin, &Value::Null).await;
        assert_eq!(answer.status, 200);
    }
    let answer = api.call("GET", "/v1/me/export", &robin, &Value::Null).await;
    answer.is_problem(429, "RATE_LIMITED");
    let answer = api.call("GET", "/v1/me/export", &kim, &Value::Null).await;
    assert_eq!(answer.status, 200);
    let answer = api
        .call("GET", "/v1/me/export", "nobody's", &Value::Null)
        .await;
    answer.is_problem(401, "UNAUTHENTICATED");
}
