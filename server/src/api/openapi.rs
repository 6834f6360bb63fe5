//! The OpenAPI document, made from the handlers themselves.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The document as JSON, two spaces deep, with a line end: the committed copy is compared byte by
/// byte.
pub fn openapi() -> String {
    let document = super::described().into_openapi();
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The part of the document that does not come from the handlers.
pub(super) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
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
