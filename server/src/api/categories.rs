//! `GET /v1/categories`: the topics, and how many people are there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::future::try_join_all;
use nowrong_broker::{BrokerError, Counts, Presence};
use nowrong_core::record::Category;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ApiState,
    caller::Priced,
    problem::{Problem, ProblemDocument},
    users::Bracket,
};

/// How long a cached copy may be shown without asking again: counts change all the time.
const CACHE: &str = "public, max-age=5";

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
/// Needs no account. The response has a strong `ETag`.
#[utoipa::path(
    get,
    path = "/v1/categories",
    tag = "Categories",
    operation_id = "categories",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier response.")),
    responses(
        (status = 200, description = "All categories.", body = Categories,
         headers(("ETag" = String, description = "Changes whenever the response does."))),
        (status = 304, description = "Nothing has changed."),
        (status = 429, description = "Too many requests from one network.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(api): State<Arc<ApiState>>,
    _priced: Priced,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shown = api.categories.show(&*api.env.broker).await?;
    let tag = shown.tag.as_str();
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| names(value, tag));
    let cached = [(header::ETAG, tag), (header::CACHE_CONTROL, CACHE)];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, cached).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((cached, kind, shown.body.clone()).into_response())
}

/// The categories that people can join here, and the newest response that lists them: every
/// newcomer requests it, and it stays the same until somebody joins or leaves.
#[derive(Debug)]
pub struct CategoryList {
    categories: Arc<[Category]>,
    newest: Mutex<Option<Arc<Shown>>>,
}

/// A prepared response.
#[derive(Debug)]
struct Shown {
    /// The counts of each category, in their order.
    counts: Vec<Counts>,
    body: Bytes,
    tag: String,
}

impl CategoryList {
    /// These, in this order.
    pub fn new(categories: Arc<[Category]>) -> Self {
        Self {
            categories,
            newest: Mutex::default(),
        }
    }

    /// The response for the current counts.
    async fn show(&self, presence: &(impl Presence + ?Sized)) -> Result<Arc<Shown>, BrokerError> {
        // Requested together: with a broker on another machine this takes a single round trip.
        let counted = self.categories.iter();
        let counts = try_join_all(counted.map(|category| presence.counts(&category.id))).await?;
        let newest = || self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest().clone().filter(|shown| shown.counts == counts);
        Ok(known.unwrap_or_else(|| {
            let shown = Arc::new(Shown::new(&self.categories, counts));
            *newest() = Some(shown.clone());
            shown
        }))
    }
}

impl Shown {
    fn new(categories: &[Category], counts: Vec<Counts>) -> Self {
        let views = categories.iter().zip(&counts);
        let categories = Categories {
            categories: views
                .map(|(it, counts)| CategoryView::new(it, *counts))
                .collect(),
        };
        let body = serde_json::to_vec(&categories).unwrap_or_default();
        let tag = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &body).as_ref()[..16]);
        Self {
            counts,
            body: body.into(),
            tag: format!("\"{tag}\""),
        }
    }
}

impl CategoryView {
    fn new(category: &Category, counts: Counts) -> Self {
        Self {
            id: category.id.clone(),
            title: category.title.clone(),
            description: category.description.clone(),
            emoji: category.emoji.clone(),
            age_bracket: category.age_bracket.map(Bracket::from),
            titles: category.titles.clone(),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::config::categories::built_in;

    /// Never replies; counts how often it was asked.
    #[derive(Default)]
    struct Silent(AtomicUsize);

    #[async_trait]
    impl Presence for Silent {
        async fn count_chatting(&self, _: &str, _: i32) -> Result<(), BrokerError> {
            Ok(())
        }

        async fn count_connected(&self, _: i32) -> Result<(), BrokerError> {
            Ok(())
        }

        async fn counts(&self, _: &str) -> Result<Counts, BrokerError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }

        async fn connected(&self) -> Result<u32, BrokerError> {
            Ok(0)
        }
    }

    #[test]
    fn the_counts_of_all_categories_are_asked_for_at_once() {
        let categories = built_in();
        let (silent, all) = (Silent::default(), categories.len());
        let list = CategoryList::new(categories.into());
        assert!(list.show(&silent).now_or_never().is_none());
        assert_eq!(silent.0.load(Ordering::Relaxed), all);
    }
}
