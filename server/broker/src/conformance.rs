//! The requirements for every broker: one test for each promise of the traits. An adapter runs them
//! all with `broker_conformance!`.

#![expect(missing_docs, reason = "a promise is named by its test")]

use std::sync::Arc;

use super::Broker;

pub mod admission;
pub mod deposits;
pub mod limits;
pub mod log;
pub mod nodes;
pub mod presence;
pub mod queue;

/// A broker under test, with its optional properties.
pub trait Conforming: Broker {
    /// Whether its logs hold messages: a broker of a single node need not hold them.
    const HOLDS_MESSAGES: bool;
    /// Whether nodes can leave something for each other: there may be only one.
    const HOLDS_DEPOSITS: bool;
}

/// Declares every test of the suite for one adapter. The first expression makes the server that the
/// broker needs (it is dropped after the test), the second is called with it and makes an empty
/// broker. With `in one test NAME,` in front, all tests become one, for servers that are slow to
/// start.
#[macro_export]
macro_rules! broker_conformance {
    (in one test $name:ident, $server:expr, $make:expr) => {
        $crate::broker_conformance! { @list @one ($name, $server, $make) }
    };
    ($server:expr, $make:expr) => {
        $crate::broker_conformance! { @list @tests ($server, $make) }
    };
    (@list @$how:ident $with:tt) => {
        $crate::broker_conformance! { @$how $with;
            admission: a_token_is_taken_once a_token_expires an_unknown_token_is_nobodys
                g6_of_many_takers_one_gets_the_token;
            limits: a_burst_passes_and_the_rest_waits a_unit_comes_back_after_its_time keys_and_rules_do_not_share
                of_many_takers_exactly_the_burst_passes;
            queue: two_who_fit_are_offered_to_each_other new_accounts_meet_each_other_first a_stranger_of_another_category_waits
                the_offer_says_why a_retry_widens g7_age_brackets_and_blocks_hold_at_every_stage
                g6_a_user_has_one_ticket g6_a_paused_ticket_is_not_offered
                g6_a_requeued_ticket_keeps_its_place g6_what_is_gone_is_gone
                g6_cancel_and_match_never_both_win g6_many_who_join_at_once_meet_once
                a_ticket_keeps_its_node;
            presence: people_are_counted counts_never_go_below_zero;
            log: positions_count_from_one_without_a_gap a_message_sent_again_is_the_same
                a_seeded_log_goes_on_where_the_store_stands
                a_log_gives_way_only_to_a_newer_epoch an_append_of_another_epoch_has_no_log
                g3_two_members_at_once_make_one_order a_closed_log_is_forgotten
                a_chat_becomes_full a_chat_that_takes_nothing_new_knows_what_it_has a_log_opens_only_in_the_memory_that_its_seed_names
                a_reader_gets_what_is_held_and_nothing_of_another_epoch;
            nodes: a_node_sees_itself a_user_has_a_place_until_leaving nobody_tells_itself
                a_clock_does_not_go_back;
            deposits: what_is_left_is_there what_is_left_expires g10_a_shelf_is_bounded;
        }
    };
    (@tests ($server:expr, $make:expr); $($module:ident: $($test:ident)+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let server = $server;
                let broker = $make(&server).await;
                $crate::conformance::$module::$test(broker).await;
            }
        )+)+
    };
    (@one ($name:ident, $server:expr, $make:expr); $($module:ident: $($test:ident)+;)+) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            let server = $server;
            $($(
                println!("{}", stringify!($test));
                let broker = $make(&server).await;
                $crate::conformance::$module::$test(broker).await;
            )+)+
        }
    };
}

/// Runs `count` tasks that start together, and collects their results.
async fn at_once<B, F, T>(broker: &Arc<B>, count: u32, task: impl Fn(Arc<B>, u32) -> F) -> Vec<T>
where
    B: Broker,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(count as usize));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..count {
        let start = Arc::clone(&start);
        let work = task(Arc::clone(broker), n);
        tasks.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}
