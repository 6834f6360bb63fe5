//! Tries every route of the OpenAPI document in every role.

use std::collections::BTreeSet;

use e2e::TestServer;
use nowrong_client::{ApiError, NewAccount, Transport, User};

use super::{
    cast::World,
    scene::Scene,
    table::{ROUTES, Role, Route, Status},
};
use crate::wire::{ask, status};

/// Tries everything.
///
/// # Panics
/// When something did not come out as the table says, or the document that the server serves has a route
/// without a row.
pub(super) async fn try_all(world: &World) {
    every_route_has_a_row(world).await;
    let mut wrong = Vec::new();
    for role in Role::ALL {
        if role == Role::OtherNode && !world.is_cluster() {
            continue;
        }
        let mut caller = Box::pin(Caller::set(world, role)).await;
        for route in ROUTES {
            let (expected, seen) = (
                route.expected[role as usize],
                caller.call(world, route).await,
            );
            let is_right = match (expected, seen) {
                (Status::Is(expected), (seen, _)) => seen == expected,
                (Status::Until(expected), (during, after)) => {
                    [expected, 401].contains(&during) && after == 401
                }
            };
            if !is_right {
                let Route { method, path, .. } = route;
                wrong.push(format!(
                    "{method} {path} by {role:?}: expected {expected:?}, saw {seen:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn every_route_has_a_row(world: &World) {
    let response = get(world.node(0), "/openapi.json").await;
    let document = document(&response);
    let paths = document["paths"].as_object().unwrap().iter();
    let described: BTreeSet<_> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let known = ROUTES
        .iter()
        .map(|row| (row.method.to_owned(), row.path.to_owned()));
    let known: BTreeSet<_> = known.collect();
    let new: Vec<_> = described.difference(&known).collect();
    assert!(
        new.is_empty(),
        "add a row to ROUTES that says who may call {new:?}"
    );
    let gone: Vec<_> = known.difference(&described).collect();
    assert!(
        gone.is_empty(),
        "the server describes no such route: {gone:?}"
    );
}

/// Somebody in a role.
struct Caller {
    role: Role,
    user: Option<User>,
    /// Sent with each request.
    access: String,
    refresh: String,
    code: String,
    /// The chat of the role goes on meanwhile.
    _scene: Option<Scene>,
}

impl Caller {
    async fn set(world: &World, role: Role) -> Self {
        let (user, scene) = match role {
            Role::Nobody => (None, None),
            Role::Foreigner => {
                let account = NewAccount::named(world.name());
                let user = world.elsewhere.api().register(&account).await;
                (Some(user.unwrap()), None)
            }
            // Each of its routes erases another one.
            Role::Erased => (None, None),
            Role::Revoked => {
                // Its tokens are asked for before they are revoked.
                (Some(world.register(0).await), None)
            }
            _ => {
                let scene = Box::pin(Scene::set(world, role, Transport::WebSocket)).await;
                (Some(scene.actor.user.clone()), Some(scene))
            }
        };
        let mut caller = Self {
            role,
            user,
            access: String::new(),
            refresh: "nothing".to_owned(),
            code: String::new(),
            _scene: scene,
        };
        caller.take_tokens(world).await;
        if role == Role::Nobody {
            caller.code = code_of_nobody(world).await;
        }
        if role == Role::Revoked {
            super::scene::revoke(caller.user.as_ref().unwrap()).await;
        }
        caller
    }

    /// Tokens of the account, as bytes.
    async fn take_tokens(&mut self, world: &World) {
        let Some(user) = &self.user else { return };
        let issuer = match self.role {
            Role::Foreigner => &world.elsewhere,
            _ => world.node(0),
        };
        let refresh = user.refresh_token().await;
        (self.access, self.refresh) = tokens(issuer, &refresh).await;
        self.code = new_code(issuer, &self.access).await;
    }

    /// The status, and that of the same call after it.
    async fn call(&mut self, world: &World, route: &Route) -> (u16, u16) {
        if route.path == "/v1/users" {
            return (register(world).await, 0);
        }
        // With tokens of the first node, to the second.
        let node = world.node(1);
        if self.role != Role::Erased {
            let response = self.ask(node, route).await;
            self.check_own(route, &response);
            self.take_over(route, &response);
            return (status(&response), 0);
        }
        let user = world.register(0).await;
        self.user = Some(user.clone());
        self.take_tokens(world).await;
        let (during, erased) = tokio::join!(self.ask(node, route), user.delete());
        let is_gone = erased.as_ref().map_or_else(is_unauthenticated, |()| true);
        assert!(is_gone, "{erased:?}");
        (status(&during), status(&self.ask(node, route).await))
    }

    /// Goes on with what the response gives: a new code, or the tokens that a code gave. An account whose tokens were
    /// revoked keeps the old ones.
    fn take_over(&mut self, route: &Route, response: &str) {
        match (route.path, status(response)) {
            ("/v1/me/recovery", 201) => self.code = field(&document(response), "recovery_code"),
            ("/v1/auth/recover", 200) if self.role != Role::Revoked => {
                let new = document(response);
                self.access = field(&new, "access_token");
                self.refresh = field(&new, "refresh_token");
            }
            _ => {}
        }
    }

    async fn ask(&self, node: &TestServer, route: &Route) -> String {
        let body = match (route.method, route.path) {
            ("PATCH", _) => r#"{"language":"de"}"#.to_owned(),
            ("POST", "/v1/auth/refresh" | "/v1/auth/logout") => {
                format!(r#"{{"refresh_token":"{}"}}"#, self.refresh)
            }
            ("POST", "/v1/auth/recover") => format!(r#"{{"recovery_code":"{}"}}"#, self.code),
            _ => String::new(),
        };
        let Route { method, path, .. } = route;
        let request = request(method, path, &self.access, &body);
        ask("127.0.0.1", node.http(), &request).await
    }

    /// An account that is shown is the caller's.
    fn check_own(&self, route: &Route, response: &str) {
        let Some(user) = &self.user else { return };
        let shows_account = route.path == "/v1/me" && status(response) == 200;
        let own = format!("\"id\":\"{}\"", user.id());
        assert!(!shows_account || response.contains(&own), "{response}");
    }
}

fn is_unauthenticated(error: &ApiError) -> bool {
    // The route that is raced may be the same.
    error.code() == Some(nowrong_protocol::ErrorCode::UNAUTHENTICATED)
        || error.code() == Some(nowrong_protocol::ErrorCode::REFRESH_REFUSED)
}

async fn register(world: &World) -> u16 {
    let account = NewAccount::named(world.name());
    match world.node(1).api().register(&account).await {
        Ok(_) => 201,
        Err(ApiError::Refused(problem)) => problem.status,
        Err(other) => panic!("{other}"),
    }
}

/// An access token and the refresh token after `refresh`.
async fn tokens(issuer: &TestServer, refresh: &str) -> (String, String) {
    let body = format!(r#"{{"refresh_token":"{refresh}"}}"#);
    let request = request("POST", "/v1/auth/refresh", "", &body);
    let new = document(&ask("127.0.0.1", issuer.http(), &request).await);
    (field(&new, "access_token"), field(&new, "refresh_token"))
}

/// The recovery code of an account that was erased.
async fn code_of_nobody(world: &World) -> String {
    let user = world.register(0).await;
    let (access, _) = tokens(world.node(0), &user.refresh_token().await).await;
    let code = new_code(world.node(0), &access).await;
    user.delete().await.unwrap();
    code
}

async fn new_code(issuer: &TestServer, access: &str) -> String {
    let request = request("POST", "/v1/me/recovery", access, "");
    let made = ask("127.0.0.1", issuer.http(), &request).await;
    field(&document(&made), "recovery_code")
}

/// The bytes of a request, with an access token unless that is empty.
fn request(method: &str, path: &str, access: &str, body: &str) -> String {
    let token = match access {
        "" => String::new(),
        token => format!("authorization: Bearer {token}\r\n"),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: chat.example\r\nconnection: close\r\n{token}content-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn document(response: &str) -> serde_json::Value {
    let (_, document) = response.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(document).unwrap()
}

fn field(document: &serde_json::Value, name: &str) -> String {
    document[name].as_str().unwrap().to_owned()
}

async fn get(node: &TestServer, path: &str) -> String {
    ask("127.0.0.1", node.http(), &crate::wire::get(path, "")).await
}
