//! `GET /v1/categories`: what people can talk about, and how many are there.

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ApiState,
    problem::{Problem, ProblemDocument},
    users::Bracket,
};
use crate::{broker::Counts, store::Category};

/// How long a copy may be shown without asking again: counts change all the time.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=5");

/// All categories.
#[derive(Serialize, ToSchema)]
pub(super) struct Categories {
    /// In the order to show them.
    categories: Vec<CategoryView>,
}

/// A topic that people are matched in.
#[derive(Serialize, ToSchema)]
#[schema(as = Category)]
pub(super) struct CategoryView {
    /// Its id.
    #[schema(example = "music")]
    id: String,
    /// English title.
    title: String,
    /// One English sentence.
    description: String,
    /// One emoji.
    emoji: String,
    /// Only this bracket may join, if there is one.
    #[schema(required)]
    age_bracket: Option<Bracket>,
    /// Titles by language tag.
    titles: BTreeMap<String, String>,
    /// People who wait or chat here.
    online: u32,
    /// People who wait here.
    waiting: u32,
}

/// Categories
///
/// Everybody may ask. The answer has a strong `ETag`.
#[utoipa::path(
    get,
    path = "/v1/categories",
    tag = "Categories",
    operation_id = "categories",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.")),
    responses(
        (status = 200, description = "All categories.", body = Categories,
         headers(("ETag" = String, description = "Changes whenever the answer does."))),
        (status = 304, description = "Nothing has changed."),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(api): State<Arc<ApiState>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut categories = Vec::new();
    for category in api.store.categories().await? {
        let counts = api.broker.counts(&category.id).await?;
        categories.push(CategoryView::new(category, counts));
    }
    let body = serde_json::to_vec(&Categories { categories }).unwrap_or_default();
    let tag = format!(
        "\"{}\"",
        URL_SAFE_NO_PAD.encode(&digest(&SHA256, &body).as_ref()[..16])
    );
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| names(value, &tag));
    let cached = [(header::ETAG, tag), (header::CACHE_CONTROL, text(&CACHE))];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, cached).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((cached, kind, body).into_response())
}

impl CategoryView {
    fn new(category: Category, counts: Counts) -> Self {
        Self {
            id: category.id,
            title: category.title,
            description: category.description,
            emoji: category.emoji,
            age_bracket: category.age_bracket.map(Bracket::from),
            titles: category.titles,
            online: counts.online,
            waiting: counts.waiting,
        }
    }
}

/// Whether an `If-None-Match` value names the tag (RFC 9110 §13.1.2: weak comparison).
fn names(value: &str, tag: &str) -> bool {
    let mut listed = value.split(',').map(str::trim);
    listed.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap_or_default().to_owned()
}
