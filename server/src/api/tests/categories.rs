//! Categories: the list, the counts, and cached copies that are still valid.

use nowrong_core::node::NodeId;
use nowrong_core::{matching::Ticket, record::AgeBracket};
use nowrong_protocol::{TicketId, UserId};
use serde_json::Value;

use super::{Answer, Api, request};

async fn list(api: &Api, known: &str) -> Answer {
    api.send(request(
        "GET",
        "/v1/categories",
        &[("if-none-match", known)],
        "",
    ))
    .await
}

fn ticket(category: &str) -> Ticket {
    Ticket {
        id: TicketId::v7(1, &[1; 10]),
        user: UserId::v7(1, &[1; 10]),
        category: category.to_owned(),
        interests: Vec::new(),
        language: "en".to_owned(),
        age_bracket: AgeBracket::Teen,
        blocked: Vec::new(),
        recent: Vec::new(),
        since_ms: 1,
        node: NodeId([1; 8]),
        is_new_account: false,
    }
}

#[tokio::test]
async fn everybody_sees_the_categories_and_who_is_there() {
    let api = Api::new().await;
    let answer = api.get("/v1/categories").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=5");
    let list = answer.json();
    let categories = list["categories"].as_array().unwrap();
    assert_eq!(categories.len(), 20);
    let music = categories
        .iter()
        .find(|category| category["id"] == "music")
        .unwrap();
    assert_eq!(music["title"], "Music");
    assert_eq!(music["titles"]["de"], "Musik");
    assert_eq!(music["titles"]["en"], "Music");
    assert_eq!(music["age_bracket"], Value::Null);
    assert_eq!(
        (&music["online"], &music["waiting"]),
        (&0.into(), &0.into())
    );
    let dating = categories
        .iter()
        .find(|category| category["id"] == "dating")
        .unwrap();
    assert_eq!(dating["age_bracket"], "18+");

    let broker = &api.state.env.broker;
    broker
        .join(ticket("music"), api.state.env.clock.now())
        .await
        .unwrap();
    broker.count_chatting("music", 2).await.unwrap();
    let list = api.get("/v1/categories").await.json();
    let music = list["categories"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == "music");
    let music = music.unwrap();
    assert_eq!(
        (&music["online"], &music["waiting"]),
        (&3.into(), &1.into())
    );
}

#[tokio::test]
async fn a_known_answer_is_not_sent_again() {
    let api = Api::new().await;
    let first = api.get("/v1/categories").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
    for known in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        let answer = list(&api, &known).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (304, 0),
            "{known}"
        );
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.header("cache-control"), "public, max-age=5");
    }
    for unknown in ["\"other\"", "", tag.trim_matches('"')] {
        assert_eq!(list(&api, unknown).await.status, 200, "{unknown}");
    }
    api.state
        .env
        .broker
        .count_chatting("music", 2)
        .await
        .unwrap();
    let changed = list(&api, &tag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
}
