//! What a node makes of each look at the clocks: tables, and properties over random looks.

use proptest::prelude::*;

use super::*;

const NOW: UnixMs = 1_800_000_000_000;
const SECOND: i64 = 1_000;
const HOUR: i64 = 60 * 60 * SECOND;
const BOUNDS: Bounds = Bounds {
    off_max_ms: 60_000,
    hold_ms: 600_000,
};

fn exactly(ahead_ms: i64) -> Offset {
    let error_ms = 0;
    Offset { ahead_ms, error_ms }
}

/// A look in which only these clocks differ from the node's time.
fn look(machine_ms: i64, store: Option<i64>, broker: Option<i64>) -> Look {
    Look {
        machine_ms,
        slept_ms: 0,
        store: store.map_or(StoreTime::Away, |ms| StoreTime::Said(exactly(ms))),
        broker: broker.map(exactly),
    }
}

fn alone(machine_ms: i64) -> Look {
    Look {
        store: StoreTime::None,
        ..look(machine_ms, None, None)
    }
}

/// What the last of some looks, 2 s apart, leads to.
fn judged(looks: &[Look]) -> Verdict {
    let mut watch = Watch::new(BOUNDS, 0, false);
    let verdicts = (0..)
        .zip(looks)
        .map(|(n, look)| watch.judge(n * 2_000, look));
    verdicts.last().unwrap()
}

#[test]
fn of_all_readings_the_one_with_the_shortest_trip_counts() {
    let reading = |asked_ms, trip_ms, said_ms| Reading {
        asked_ms,
        told_ms: asked_ms + trip_ms,
        said_ms,
    };
    assert_eq!(Offset::estimate(&[]), None);
    for (readings, ahead_ms, error_ms) in [
        (vec![reading(NOW, 0, NOW)], 0, 1),
        (vec![reading(NOW, 10, NOW + 1_005)], 1_000, 6),
        (vec![reading(NOW, 10, NOW - 995)], -1_000, 6),
        (
            vec![reading(NOW, 900, NOW), reading(NOW + 900, 2, NOW + 906)],
            5,
            2,
        ),
    ] {
        let expected = Offset { ahead_ms, error_ms };
        assert_eq!(Offset::estimate(&readings), Some(expected), "{readings:?}");
    }
    for (ahead_ms, error_ms, certain_ms) in [
        (5, 6, 0),
        (6, 5, 1),
        (-6, 5, -1),
        (-3, 5, 0),
        (i64::MAX, 0, i64::MAX),
        (i64::MIN, 0, -i64::MAX),
    ] {
        let offset = Offset { ahead_ms, error_ms };
        assert_eq!(offset.certain_ms(), certain_ms);
    }
}

#[test]
fn a_correction_is_made_slowly_and_then_time_passes_evenly() {
    let time = Timeline::starting(1_000, NOW);
    assert_eq!(time.at(0), NOW, "before its start it stands");
    assert_eq!(time.at(3_000), NOW + 2_000);
    let (ahead, behind) = (time.corrected(3_000, 100), time.corrected(3_000, -100));
    for (elapsed, made) in [(3_000, 0), (3_400, 20), (5_000, 100), (9_000, 100)] {
        let even = NOW + elapsed - 1_000;
        assert_eq!(ahead.at(elapsed), even + made, "{elapsed}");
        assert_eq!(behind.at(elapsed), even - made, "{elapsed}");
    }
    assert_eq!(time.stepped(3_000, 5_000).at(4_000), NOW + 8_000);
}

#[test]
fn a_clock_that_is_right_is_not_worth_a_word() {
    let verdict = judged(&[look(1_500, Some(20), Some(-40))]);
    assert_eq!(verdict.notes, []);
    assert_eq!(
        (verdict.course, verdict.may_sweep),
        (Course::Correct(20), true)
    );
    assert_eq!(verdict.leave, None);
}

#[test]
fn a_machine_whose_clock_is_off_is_reported_and_beyond_the_bound_it_leaves() {
    for (machine_ms, leaves) in [
        (45 * SECOND, false),
        (-45 * SECOND, false),
        (61 * SECOND, true),
        (-61 * SECOND, true),
        (25 * HOUR, true),
        (i64::MIN, true),
    ] {
        let off = look(machine_ms, Some(0), None);
        let first = judged(&[off]);
        assert_eq!(first.notes, [Note::Off(Which::Machine, machine_ms)]);
        assert_eq!(first.leave, None, "one look decides nothing");
        let second = judged(&[off, off]);
        assert_eq!(second.notes, [], "said once");
        assert_eq!(second.leave.is_some(), leaves, "{machine_ms}");
        let course = (second.course, second.may_sweep);
        assert_eq!(
            course,
            (Course::Correct(0), true),
            "its time is the store's"
        );
        let mended = judged(&[off, look(0, Some(0), None), off]);
        assert_eq!(mended.leave, None, "two in a row");
    }
}

#[test]
fn a_store_whose_clock_jumps_erases_nothing_and_sends_nobody_away() {
    for store_ms in [25 * HOUR, -25 * HOUR, 61 * SECOND, -61 * SECOND] {
        for broker in [None, Some(0)] {
            let jumped = look(0, Some(store_ms), broker);
            let verdict = judged(&[jumped, jumped, jumped]);
            assert_eq!((verdict.course, verdict.may_sweep), (Course::Keep, false));
            assert_eq!(verdict.leave, None, "{store_ms}");
            let notes = judged(&[jumped]).notes;
            assert_eq!(notes, [Note::Off(Which::Store, store_ms)]);
        }
    }
}

#[test]
fn a_machine_that_slept_asks_twice_and_then_goes_ahead() {
    let (sleep, by_broker) = (
        look(HOUR, Some(HOUR), Some(HOUR)),
        look(0, Some(HOUR), Some(HOUR)),
    );
    for slept in [sleep, by_broker] {
        let first = judged(&[slept]);
        assert_eq!((first.course, first.may_sweep), (Course::Keep, false));
        let second = judged(&[slept, slept]);
        assert_eq!(second.course, Course::Step(HOUR as u64));
        assert!(!second.may_sweep, "not by a time that was just changed");
        assert_eq!(second.notes, [Note::Stepped(HOUR as u64)]);
        assert_eq!(second.leave, None);
    }
}

#[test]
fn a_sleep_that_the_system_knows_of_counts_at_the_first_look() {
    let slept = |slept_ms, store_ms| Look {
        slept_ms,
        ..look(0, Some(store_ms), None)
    };
    let hour_ms = HOUR as u64;
    for (look, course) in [
        (slept(hour_ms, HOUR), Course::Step(hour_ms)),
        (slept(hour_ms, 25 * HOUR), Course::Keep),
        (slept(u64::MAX, HOUR), Course::Keep),
    ] {
        assert_eq!(judged(&[look]).course, course);
    }
}

#[test]
fn a_node_that_is_ahead_of_everybody_leaves() {
    let behind = look(-HOUR, Some(-HOUR), None);
    assert_eq!(judged(&[behind]).leave, None);
    assert_eq!(judged(&[behind, behind]).leave, Some(Leave::Node(HOUR)));
}

#[test]
fn while_the_store_is_away_time_goes_on_and_nobody_leaves() {
    let verdict = judged(&[look(25 * HOUR, None, Some(0)); 5]);
    assert_eq!((verdict.course, verdict.may_sweep), (Course::Keep, false));
    assert_eq!(verdict.leave, None);
}

#[test]
fn a_difference_is_reported_again_when_it_changes_lasts_or_ends() {
    let mut watch = Watch::new(BOUNDS, 0, false);
    let off = |ms| [Note::Off(Which::Machine, ms)];
    for (at_ms, machine_ms, notes) in [
        (0, 5_000, off(5_000).to_vec()),
        (2_000, 5_900, Vec::new()),
        (4_000, 9_000, off(9_000).to_vec()),
        (603_000, 9_000, Vec::new()),
        (604_000, 9_000, off(9_000).to_vec()),
        (606_000, -9_000, off(-9_000).to_vec()),
        (608_000, 100, vec![Note::Right(Which::Machine)]),
        (610_000, 100, Vec::new()),
    ] {
        let look = look(machine_ms, Some(0), None);
        assert_eq!(watch.judge(at_ms, &look).notes, notes, "{at_ms}");
    }
}

#[test]
fn alone_a_leap_counts_when_it_has_lasted_and_a_sleep_at_once() {
    let mut watch = Watch::new(BOUNDS, 0, false);
    assert_eq!(watch.judge(0, &alone(500)).course, Course::Correct(500));
    assert_eq!(watch.judge(0, &alone(-500)).course, Course::Correct(-500));
    let first = watch.judge(2_000, &alone(25 * HOUR));
    assert_eq!(first.course, Course::Keep);
    assert!(first.notes.contains(&Note::Held(25 * HOUR)), "{first:?}");
    let course = |watch: &mut Watch, at_ms, look| watch.judge(at_ms, &look).course;
    assert_eq!(course(&mut watch, 601_000, alone(25 * HOUR)), Course::Keep);
    let step = Course::Step(25 * HOUR as u64);
    assert_eq!(course(&mut watch, 602_000, alone(25 * HOUR)), step);
    // Another leap meanwhile begins the hold again, a return ends it.
    course(&mut watch, 700_000, alone(HOUR));
    course(&mut watch, 1_000_000, alone(2 * HOUR));
    assert_eq!(course(&mut watch, 1_400_000, alone(2 * HOUR)), Course::Keep);
    course(&mut watch, 1_500_000, alone(0));
    assert_eq!(course(&mut watch, 1_700_000, alone(2 * HOUR)), Course::Keep);
    let slept = Look {
        slept_ms: 7_000,
        ..alone(7_000)
    };
    assert_eq!(course(&mut watch, 1_702_000, slept), Course::Step(7_000));
}

#[test]
fn alone_a_clock_that_goes_back_changes_nothing_but_after_a_doubtful_start_the_node_leaves() {
    let sure = judged(&[alone(-HOUR)]);
    assert_eq!((sure.course, sure.may_sweep), (Course::Keep, true));
    assert_eq!(sure.leave, None);
    let mut watch = Watch::new(BOUNDS, 1_000, true);
    assert!(!watch.judge(2_000, &alone(0)).may_sweep, "in doubt");
    let back = watch.judge(4_000, &alone(-HOUR));
    assert_eq!(back.leave, Some(Leave::Start(HOUR)));
    assert!(
        watch.judge(601_000, &alone(0)).may_sweep,
        "the hold is over"
    );
}

#[test]
fn a_node_never_begins_before_its_data_and_doubts_a_long_stop() {
    let hour = HOUR as u64;
    for (machine, newest, now, ahead_ms, is_doubtful) in [
        (NOW, None, NOW, None, false),
        (NOW, Some(NOW - hour), NOW, None, false),
        (NOW, Some(NOW - hour - 1), NOW, Some(HOUR + 1), true),
        (NOW, Some(NOW + 1_000), NOW + 1_000, None, false),
        (NOW, Some(NOW + hour), NOW + hour, Some(-HOUR), false),
        (0, Some(NOW), NOW, Some(-(NOW as i64)), false),
    ] {
        let expected = Beginning {
            now,
            ahead_ms,
            is_doubtful,
        };
        assert_eq!(Beginning::of(machine, newest), expected);
    }
}

proptest! {
    #[test]
    fn time_never_goes_back_whatever_the_clocks_say(
        looks in prop::collection::vec((-200_000_i64..200_000, -200_000_i64..200_000, 0_u64..5_000), 1..60),
    ) {
        let (mut watch, mut time) = (Watch::new(BOUNDS, 0, false), Timeline::starting(0, NOW));
        let (mut elapsed, mut latest) = (0, NOW);
        for (machine_ms, store_ms, passed) in looks {
            for step in [passed / 3, passed] {
                prop_assert!(time.at(elapsed + step) >= latest);
                latest = time.at(elapsed + step);
            }
            elapsed += passed;
            let before = time.at(elapsed);
            time = match watch.judge(elapsed, &look(machine_ms, Some(store_ms), None)).course {
                Course::Keep => time,
                Course::Correct(by_ms) => time.corrected(elapsed, by_ms),
                Course::Step(by_ms) => time.stepped(elapsed, by_ms),
            };
            prop_assert!(time.at(elapsed) >= before);
        }
    }

    #[test]
    fn a_duration_is_wrong_by_a_twentieth_at_most(by_ms: i64, from in 0_u64..100_000, length in 0_u64..10_000_000) {
        let time = Timeline::starting(0, NOW).corrected(0, by_ms);
        let measured = time.at(from + length) - time.at(from);
        prop_assert!(measured.abs_diff(length) <= length / 20 + 1);
    }

    #[test]
    fn nothing_is_swept_unless_the_store_agrees(machine_ms: i64, store_ms: i64, broker: Option<i64>) {
        let verdict = judged(&[look(machine_ms, Some(store_ms), broker); 3]);
        prop_assert!(!verdict.may_sweep || store_ms.unsigned_abs() <= BOUNDS.off_max_ms);
    }
}
