//! The OpenAPI document, made from the handlers themselves.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, PathItem, RefOr,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The document as JSON, two spaces deep, with a line end: the committed copy is compared byte by
/// byte.
pub fn openapi() -> String {
    let mut document = super::described().into_openapi();
    for path in document.paths.paths.values_mut() {
        name_common_problems(path);
    }
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The part of the document that does not come from the handlers.
pub(super) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// What every route with a body can respond with, beside its own: it is refused before a handler sees it.
const OF_A_BODY: [(&str, &str); 3] = [
    ("400", "The body is not JSON, or the request is malformed."),
    ("413", "The body is larger than 16 KiB."),
    ("415", "The body is not `application/json`."),
];

/// What every route can respond with that looks into the store.
const UNAVAILABLE: (&str, &str) = (
    "503",
    "A part that the server needs is away for now; try again after a while.",
);

/// Adds the responses that do not come from a handler, as problem documents like those of its other errors.
fn name_common_problems(path: &mut PathItem) {
    let operations = [
        &mut path.get,
        &mut path.post,
        &mut path.patch,
        &mut path.delete,
    ];
    for operation in operations.into_iter().flatten() {
        let responses = &mut operation.responses.responses;
        let Some(RefOr::T(problem)) = responses.get("default").cloned() else {
            continue;
        };
        let of_a_body = operation.request_body.iter().flat_map(|_| OF_A_BODY);
        for (status, description) in of_a_body.chain([UNAVAILABLE]) {
            let mut response = problem.clone();
            description.clone_into(&mut response.description);
            responses
                .entry(status.to_owned())
                .or_insert(RefOr::T(response));
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "NoWrong",
        description = "Accounts, categories and the way to a connection. Chat itself is not part of it: it uses WebTransport or WebSocket, as protocol/SPEC.md describes. Errors are problem documents (RFC 9457).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "Account", description = "Anonymous accounts and their tokens."),
        (name = "Categories", description = "The topics that people talk about."),
        (name = "Connection", description = "The way to a connection."),
        (name = "Operation", description = "For operators of the server."),
    ),
    modifiers(&Bearer)
)]
struct Frame;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An access token from the registration or a refresh."))
            .build();
        document
            .components
            .get_or_insert_with(Components::new)
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

#[cfg(test)]
mod tests {
    /// The committed copy is what the SDK's REST types are made from: `nowrong openapi` writes it.
    #[test]
    fn the_committed_document_is_this_one() {
        let committed = include_str!("../../../sdk-ts/openapi.json");
        assert!(
            super::openapi() == committed,
            "sdk-ts/openapi.json is stale: `cargo run -p nowrong-server -- openapi > \
             sdk-ts/openapi.json`, then `npm run gen:rest` in sdk-ts"
        );
    }
}
