//! The requirements for every store: one test for each promise of the traits.
//!
//! An adapter runs the whole suite with one line, `store_conformance!(factory)`, where `factory` is
//! an async function that returns an empty store and a guard that must live as long as it. Each
//! promise is a function that takes only the store; times are invented, so nothing waits.

#![expect(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a promise is named by its test, and a broken promise fails the test"
)]

mod accounts;
mod anchor;
mod chats;
mod messages;
mod retention;
mod tickets;
mod tokens;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use nowrong_core::record::{
    AgeBracket, Category, Chat, ChatEnd, ChatKey, ChatMember, Cursors, Epoch, RefreshToken,
    Registration, RegistrationKey, StoredMessage, UnixMs, User,
};
use nowrong_protocol::{
    ChatId, ClientMessageId, Position, TicketId, UserId,
    frame::{EndReason, Why},
};

pub use accounts::*;
pub use anchor::*;
pub use chats::*;
pub use messages::*;
pub use retention::*;
pub use tickets::*;
pub use tokens::*;

use crate::Store;

/// Declares one test for each promise, each on a store of its own from `$factory`.
#[macro_export]
macro_rules! store_conformance {
    ($factory:path) => {
        $crate::store_conformance! { $factory:
            a_created_user_can_be_read_and_has_the_name,
            one_of_a_hundred_gets_a_name,
            updating_a_user_moves_the_name,
            a_name_rests_for_a_day_after_its_account_was_erased,
            a_name_that_was_changed_rests_for_everybody_but_its_owner,
            the_name_of_an_expired_account_rests_for_a_day_swept_or_not,
            a_name_that_has_rested_is_counted_until_it_is_swept,
            creating_a_user_twice_is_harmless,
            touching_users_moves_the_expiry_forward_and_nothing_else,
            touching_a_user_keeps_the_tokens_that_can_be_exchanged,
            an_expired_account_is_swept_with_its_tokens_or_revived_with_them,
            a_registration_is_stored_whole_or_not_at_all,
            a_registration_that_comes_again_has_the_same_account,
            a_registration_that_comes_many_times_at_once_makes_one_account,
            the_key_of_a_registration_serves_until_a_token_is_exchanged,
            a_refresh_token_rotates,
            a_token_can_be_exchanged_until_a_successor_was_used,
            siblings_do_not_close_each_other,
            a_used_successor_revokes_the_family_and_no_other,
            many_who_exchange_one_token_at_once_all_get_good_ones,
            many_who_exchange_one_token_for_the_same_successor_share_one_chain,
            a_theft_raises_the_generation_of_its_account_and_nothing_else_does,
            logging_out_ends_one_chain_or_all_of_the_account,
            a_recovery_code_brings_the_account_back_and_ends_all_other_tokens,
            a_recovery_code_is_no_token_and_lives_as_long_as_the_account,
            the_tokens_of_a_family_are_bounded,
            blocks_hold_in_both_directions,
            recent_partners_are_newest_first_and_bounded,
            deleting_a_user_leaves_nothing,
            categories_are_those_of_the_newest_file_until_the_database_decides,
            an_opened_chat_can_be_read_and_seats_its_members,
            a_seated_user_is_not_seated_again_and_nobody_else_is,
            one_of_many_chats_gets_a_shared_user,
            a_ticket_opens_one_chat,
            a_cancelled_ticket_opens_no_chat_nor_does_one_before_it,
            a_cancel_loses_against_a_match,
            of_a_cancel_and_an_opening_one_wins,
            no_chat_of_two_opens_after_a_block_between_them,
            of_blocks_and_openings_at_once_none_opens_after_the_block,
            ending_a_chat_frees_its_seats_and_stays,
            an_end_never_prolongs_a_chat,
            an_unknown_chat_cannot_end_or_begin_an_epoch,
            active_chats_are_paged_by_id,
            cursors_never_go_back,
            an_epoch_begins_after_the_last_message,
            of_many_who_begin_an_epoch_one_does,
            messages_come_back_as_they_were,
            a_store_keeps_its_identity_and_its_clock_does_not_go_back,
            a_store_without_a_clock_remembers_by_what_time_it_was_swept,
            appending_again_changes_nothing,
            another_message_at_a_position_is_void_and_the_first_one_stays,
            messages_of_an_older_epoch_are_void,
            what_comes_after_the_base_of_a_later_epoch_is_never_read,
            a_page_has_what_survives_however_much_is_void,
            a_batch_is_stored_whole,
            pages_meet_at_their_borders,
            chats_do_not_see_each_others_messages,
            g1_a_message_of_an_erased_chat_is_never_called_stored,
            g1_a_message_of_an_expired_chat_is_never_called_stored,
            many_tasks_append_at_once,
            deleting_a_message_erases_its_body,
            expired_records_are_not_read_though_not_swept,
            sweeping_removes_what_expired_and_nothing_else,
            sweeping_is_bounded_and_ends,
            what_outlives_its_time_is_counted_until_it_is_swept,
            spent_tickets_outlive_their_chat_for_a_day,
            ending_a_chat_expires_its_messages,
            an_expired_name_and_an_expired_seat_are_free,
            recent_partners_are_forgotten_after_a_week,
            a_closed_store_is_unavailable,
        }
    };
    ($factory:path: $($promise:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let (store, _guard) = $factory().await;
            $crate::conformance::$promise(store).await;
        }
    )*};
}

/// The store under test.
pub type Subject = Arc<dyn Store>;

/// The moment at which everything here is created.
pub const NOW: UnixMs = 1_800_000_000_000;
/// A day in milliseconds.
pub const DAY: u64 = 24 * 60 * 60 * 1_000;

pub fn user_id(number: u64) -> UserId {
    UserId::from_bytes(numbered(number))
}

pub fn chat_id(number: u64) -> ChatId {
    ChatId::from_bytes(numbered(number))
}

/// Tickets for the members of a chat, later than all earlier tickets of any user.
pub fn tickets() -> [TicketId; 2] {
    static NEWEST: AtomicU64 = AtomicU64::new(1 << 32);
    let first = NEWEST.fetch_add(2, Ordering::Relaxed);
    [ticket(first), ticket(first + 1)]
}

pub fn ticket(number: u64) -> TicketId {
    TicketId::from_bytes(numbered(number))
}

fn numbered(number: u64) -> [u8; 16] {
    let mut bytes = [0x11; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub fn user(number: u64, name: &str) -> User {
    User {
        id: user_id(number),
        name: name.to_owned(),
        skeleton: name.to_lowercase(),
        language: "pt-BR".to_owned(),
        interests: vec!["jazz".to_owned(), "chess".to_owned()],
        age_bracket: AgeBracket::Adult,
        created_at: NOW,
        expires_at: NOW + 30 * DAY,
        generation: 0,
    }
}

pub fn token(number: u8, family: u8, user: u64) -> RefreshToken {
    RefreshToken {
        hash: [number; 32],
        family: [family; 16],
        user: user_id(user),
        expires_at: NOW + 30 * DAY,
    }
}

pub fn category(id: &str, rank: u32) -> Category {
    Category {
        id: id.to_owned(),
        title: id.to_uppercase(),
        description: "A topic.".to_owned(),
        emoji: "🎷".to_owned(),
        age_bracket: Some(AgeBracket::Teen),
        titles: [("de".to_owned(), "Thema".to_owned())].into(),
        rank,
    }
}

pub fn chat(number: u64, users: &[u64]) -> Chat {
    Chat {
        id: chat_id(number),
        category: "music".to_owned(),
        members: users.iter().map(|user| member(*user)).collect(),
        why: Why {
            shared_interests: vec!["jazz".to_owned()],
            is_same_language: true,
        },
        key: ChatKey([number as u8 ^ 0x5a; 32]),
        epochs: vec![Epoch { number: 1, base: 0 }],
        started_at: NOW,
        expires_at: NOW + DAY,
        end: None,
    }
}

fn member(user: u64) -> ChatMember {
    ChatMember {
        user: user_id(user),
        name: format!("user {user}"),
        language: "en".to_owned(),
        delivered: Position::START,
        read: Position::START,
    }
}

pub fn end(expires_at: UnixMs) -> ChatEnd {
    ChatEnd {
        reason: EndReason::Left,
        member: Some(1),
        at: NOW + 10,
        expires_at,
    }
}

pub fn cursors(chat: u64, member: u8, delivered: Position, read: Position) -> Cursors {
    Cursors {
        chat: chat_id(chat),
        member,
        delivered,
        read,
    }
}

pub fn message(chat: u64, epoch: u32, seq: u64) -> StoredMessage {
    StoredMessage {
        chat: chat_id(chat),
        position: Position::new(epoch, seq),
        member: (seq % 2) as u8,
        client_message_id: ClientMessageId::from_bytes(numbered(seq)),
        at: NOW + seq,
        reply_to: (seq > 1).then(|| Position::new(epoch, seq - 1)),
        sealed: Bytes::from(format!("sealed {chat} {epoch} {seq}")),
        is_deleted: false,
        expires_at: NOW + DAY,
    }
}

pub fn seqs(messages: &[StoredMessage]) -> Vec<u64> {
    messages
        .iter()
        .map(|message| message.position.seq)
        .collect()
}

/// Runs one task for each input at the same time; returns their results.
pub async fn at_once<I, T, Fut>(
    inputs: impl IntoIterator<Item = I>,
    task: impl Fn(I) -> Fut,
) -> Vec<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = inputs
        .into_iter()
        .map(|input| tokio::spawn(task(input)))
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}
