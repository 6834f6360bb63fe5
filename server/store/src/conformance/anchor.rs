//! The clock and the identity of a store.

use super::Subject;

pub async fn a_store_keeps_its_identity_and_its_clock_does_not_go_back(store: Subject) {
    let (time, identity) = (store.time().await.unwrap(), store.identity().await.unwrap());
    assert_eq!(store.identity().await.unwrap(), identity);
    let later = store.time().await.unwrap();
    assert_eq!(later.is_some(), time.is_some());
    assert!(later >= time);
}

pub async fn a_store_without_a_clock_remembers_by_what_time_it_was_swept(store: Subject) {
    assert_eq!(store.swept_at().await.unwrap(), None);
    let has_clock = store.time().await.unwrap().is_some();
    let swept_at = async |now| {
        store.sweep(now, 10).await.unwrap();
        store.swept_at().await.unwrap()
    };
    for (now, expected) in [
        (1_000_000, 1_000_000),
        (1_059_999, 1_000_000),
        (1_060_000, 1_060_000),
        (5, 1_060_000),
    ] {
        let expected = (!has_clock).then_some(expected);
        assert_eq!(swept_at(now).await, expected, "{now}");
    }
}
