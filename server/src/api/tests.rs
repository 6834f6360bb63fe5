use serde_json::Value;

use super::openapi;

#[test]
fn the_document_names_every_route() {
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let expected = [
        "/healthz",
        "/readyz",
        "/v1/auth/refresh",
        "/v1/categories",
        "/v1/connect",
        "/v1/me",
        "/v1/users",
    ];
    assert_eq!(paths, expected);
}
