//! What requests cost: the limits of networks and of accounts, and the table of all prices.

use std::time::Duration;

use nowrong_protocol::frame::{FRAMES, Sender};
use serde_json::{Value, json};

use super::{Api, ApiState};

/// Probes of an orchestrator: they are remembered for a second, and must not be refused.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The routes that the OpenAPI document describes, as method and path.
fn routes() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&crate::api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone()))
    });
    routes.collect()
}

#[tokio::test]
async fn every_route_has_a_price_and_says_so() {
    let document: Value = serde_json::from_str(&crate::api::openapi()).unwrap();
    let priced = routes().into_iter();
    let priced = priced.filter(|(_, path)| !PROBES.contains(&path.as_str()));
    let priced: Vec<_> = priced.collect();
    assert!(priced.len() >= 7, "{priced:?}");
    for (method, path) in priced {
        let limit = |state: &mut ApiState| {
            state.limits.requests.burst = 2;
            state.limits.register.burst = 2;
        };
        let api = Api::with(limit).await;
        let token = api.token("Robin").await;
        let described = &document["paths"][&path][method.to_lowercase()]["responses"];
        assert!(described["429"].is_object(), "{method} {path}");
        let paid = match path.as_str() {
            "/v1/users" => 1,
            "/v1/categories" => 20,
            _ => 2,
        };
        for _ in 0..paid {
            let answer = api.call(&method, &path, "nobody's", &json!({})).await;
            assert_ne!(answer.status, 429, "{method} {path}");
        }
        // It comes before the token is looked at, and before the body is.
        let answer = api.call(&method, &path, &token, &json!({})).await;
        answer.is_problem(429, "RATE_LIMITED");
        assert_ne!(answer.header("retry-after"), "", "{method} {path}");
    }
}

#[test]
fn the_table_of_prices_names_every_route_and_every_frame_of_a_client() {
    let security = include_str!("../../../../SECURITY.md");
    let (_, table) = security.split_once("## What everything costs").unwrap();
    let (table, _) = table.split_once("## How these").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let named: String = rows.filter_map(|row| row.split('|').nth(1)).collect();
    for (method, path) in routes() {
        let route = format!("`{method} {path}`");
        assert!(named.contains(&route), "{route} has no price");
    }
    let frames = FRAMES.iter();
    for frame in frames.filter(|frame| frame.sender != Sender::Server) {
        let name = format!("`{}`", frame.name);
        assert!(named.contains(&name), "{name} has no price");
    }
}

#[tokio::test]
async fn all_requests_of_one_account_count_together() {
    let api = Api::with(|state| state.limits.account.burst = 3).await;
    let (token, other) = (api.token("Robin").await, api.token("Kim").await);
    let me = async |token: &str| api.call("GET", "/v1/me", token, &Value::Null).await.status;
    let connect = api.call("POST", "/v1/connect", &token, &Value::Null);
    assert_eq!(connect.await.status, 200);
    for expected in [200, 200, 429, 429] {
        assert_eq!(me(&token).await, expected);
    }
    assert_eq!(me(&other).await, 200);
    api.advance(Duration::from_secs(20));
    assert_eq!(me(&token).await, 200);
}
