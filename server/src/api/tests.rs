//! The HTTP interface as a client sees it: requests to the router, with the in-memory store and the
//! local broker.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode},
};
use nowrong_base::{clock::Clock, privacy::PseudonymKey};
use nowrong_broker::{Nodes as _, local::LocalBroker};
use nowrong_core::{node::NodeStatus, proof::ProofRule};
use nowrong_protocol::UserId;
use nowrong_store::StoreError;
use nowrong_store_embedded::EmbeddedStore;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{ApiState, CategoryList, Departure, router};
use crate::{
    auth::{AccessTokens, keys::SigningKeys},
    config::{ClientLimits, Config, categories::built_in},
    disk::Disk,
    environment::Environment,
};

mod accounts;
mod categories;
mod export;
mod hostile;
mod pages;
mod prices;
mod proof;
mod recovery;
mod registration;
mod site;
mod surroundings;
mod tokens;

/// The hash of the node's certificate for clients.
const HASH: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A server's HTTP side, and the parts behind it that a test can reach.
struct Api {
    router: Router,
    state: ApiState,
    departed: Arc<Departed>,
}

/// Records how the API removed users before erasing them.
#[derive(Default)]
struct Departed {
    users: Mutex<Vec<UserId>>,
    /// Whose connections were ended because of a revocation.
    revoked: Mutex<Vec<UserId>>,
    /// How the next departure fails, if it does.
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone, Copy)]
enum Trouble {
    Fails,
    /// The departure after the next one fails.
    FailsSecond,
    Panics,
}

#[async_trait]
impl Departure for Departed {
    async fn depart(&self, user: UserId) -> Result<(), StoreError> {
        let trouble = self.trouble.lock().unwrap().take();
        match trouble {
            None => {}
            Some(Trouble::FailsSecond) => *self.trouble.lock().unwrap() = Some(Trouble::Fails),
            Some(Trouble::Fails) => return Err(StoreError::Unavailable("a test".to_owned())),
            Some(Trouble::Panics) => panic!("a test"),
        }
        self.users.lock().unwrap().push(user);
        Ok(())
    }

    async fn end_revoked(&self, user: UserId) -> Result<(), StoreError> {
        self.revoked.lock().unwrap().push(user);
        Ok(())
    }
}

/// A response, read completely.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The fields that a problem names, in order.
    fn wrong_fields(&self) -> Vec<String> {
        let errors = self.json()["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let fields = errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned());
        fields.collect()
    }

    /// Asserts that this is a complete problem document of that kind.
    #[track_caller]
    fn is_problem(&self, status: u16, name: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["name"], name, "{problem}");
        assert_eq!(problem["status"], status);
        let slug = name.to_lowercase().replace('_', "-");
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        assert!(
            problem["code"].is_u64() && problem["title"].is_string(),
            "{problem}"
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
        self
    }
}

impl Api {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Like `new`, with changes to the state before the router is made.
    async fn with(change: impl FnOnce(&mut ApiState)) -> Self {
        let clock = Clock::default();
        let store = Arc::new(EmbeddedStore::in_memory().unwrap());
        let departed = Arc::new(Departed::default());
        let config = Config::default();
        let keys = SigningKeys::in_memory(clock.now()).unwrap();
        let addresses = config.addresses(config.listen_http, config.listen_quic);
        let broker = LocalBroker::new();
        broker.set_status(NodeStatus {
            endpoint: addresses.endpoint(Some(HASH.to_owned())),
            capacity: config.limits.connections_max,
            is_draining: false,
        });
        let mut state = ApiState {
            env: Environment {
                store,
                broker,
                clock,
                metrics: Arc::default(),
                disk: Disk::none(),
            },
            categories: Arc::new(CategoryList::new(built_in().into())),
            access: Arc::new(AccessTokens::new(keys)),
            departure: departed.clone(),
            addresses: Arc::new(addresses),
            limits: ClientLimits {
                proof: ProofRule {
                    work: 0,
                    ..config.limits.proof
                },
                ..config.limits
            },
            crowd: Arc::default(),
            pseudonyms: Arc::new(PseudonymKey::generate().unwrap()),
            account_idle: config.account_idle,
            reserved_names: Arc::new(config.reserved_names),
            web_root: None,
            never_served: Arc::default(),
            script_hashes: Arc::default(),
        };
        change(&mut state);
        Self {
            router: router(state.clone()),
            state,
            departed,
        }
    }

    fn advance(&self, by: Duration) {
        self.state.env.clock.advance(by);
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, &[], "")).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.send(request("POST", path, &json, body.to_string()))
            .await
    }

    /// Makes a request with an access token and, unless it is null, a body.
    async fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(request(method, path, &headers, body)).await
    }

    /// Registers a user and returns the whole response.
    async fn register(&self, name: &str) -> Value {
        let body = json!({ "name": name, "language": "en", "age_bracket": "18+" });
        let answer = self.post("/v1/users", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// Registers a user and returns the access token.
    async fn token(&self, name: &str) -> String {
        text(&self.register(name).await["access_token"])
    }
}

fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body.into()).unwrap();
    from(&mut request, "192.0.2.1:5000");
    request
}

/// Sets where a request comes from, as the listener does.
fn from(request: &mut Request<Body>, address: &str) {
    let peer: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}
