//! Messages that come again after the end of their chat, or when it takes no more.

use nowrong_base::lock::lock;
use nowrong_protocol::{ErrorCode, limits::TEXT_BYTES_MAX};

use super::{persisting::Alone, *};

const REASON: EndReason = EndReason::Left;

#[tokio::test]
async fn g2_what_was_stored_before_the_end_is_the_same_message_after_it() {
    let node = Alone::on(Arc::new(EmbeddedStore::in_memory().unwrap()));
    let chat = node.open(1).await;
    for number in 1..=3 {
        assert_eq!(node.say(&chat, number).await, Ok(number.into()));
    }
    node.persist().await;
    node.chats.end_chat(&chat, REASON, Some(1)).await.unwrap();
    assert_eq!(node.say(&chat, 2).await, Ok(2));
    let unknown = node.say(&chat, 4).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::CHAT_ENDED);
    assert_eq!(lock(&chat.state).messages.head.seq, 3, "and has no place");
}

#[tokio::test]
async fn g2_a_chat_that_is_full_of_bytes_takes_nothing_new_and_knows_what_it_has() {
    let node = Alone::on(Arc::new(EmbeddedStore::in_memory().unwrap()));
    let chat = node.open(1).await;
    let text = "🎵".repeat(TEXT_BYTES_MAX / 4);
    let mut number = 0;
    let refused = loop {
        number += 1;
        match node.say_text(&chat, number, &text).await {
            Ok(seq) => assert_eq!(seq, u64::from(number)),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code, ErrorCode::CHAT_FULL);
    assert!((990..=1_001).contains(&number), "{number}");
    let last = number - 1;
    for known in [1, last] {
        // Not stored yet, and stored.
        assert_eq!(node.say_text(&chat, known, &text).await, Ok(known.into()));
        node.persist().await;
        assert_eq!(node.say_text(&chat, known, &text).await, Ok(known.into()));
    }
    let head = lock(&chat.state).messages.head.seq;
    assert_eq!(head, u64::from(last), "what was refused has no place");
}

#[tokio::test]
async fn g1_what_a_node_has_shown_is_stored_before_the_end() {
    let node = Alone::on(Arc::new(EmbeddedStore::in_memory().unwrap()));
    let chat = node.open(1).await;
    assert_eq!(node.say(&chat, 1).await, Ok(1));
    node.chats.end_chat(&chat, REASON, Some(1)).await.unwrap();
    // Another node, or this one after a restart, knows the chat only from the store.
    node.chats.forget_chat(&chat);
    let chat = node.chats.load_chat(chat.id).await.unwrap().unwrap();
    assert!(chat.has_ended());
    assert_eq!(node.say(&chat, 1).await, Ok(1));
    let unknown = node.say(&chat, 2).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::CHAT_ENDED);
}

#[tokio::test]
async fn what_the_store_has_refused_so_far_waits_on_after_the_end() {
    let node = Alone::on(Arc::new(EmbeddedStore::in_memory().unwrap()));
    let chat = node.open(1).await;
    assert_eq!(node.say(&chat, 1).await, Ok(1));
    let over = ChatEnd {
        reason: REASON,
        ..end(node.clock.now() + 60_000)
    };
    node.chats.apply_end(&chat, over).await;
    assert_eq!(node.say(&chat, 1).await, Ok(1), "it has its place");
    assert_eq!(lock(&chat.state).messages.progress().durable, 0);
    node.persist().await;
    assert_eq!(lock(&chat.state).messages.progress().durable, 1);
    assert_eq!(node.say(&chat, 1).await, Ok(1));
}
