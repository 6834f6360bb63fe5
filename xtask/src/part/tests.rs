//! Parts as they run: side by side, and failing.

use std::sync::Barrier;

use super::*;
use crate::output::say;

/// Lets two parts through only together.
static BOTH: Barrier = Barrier::new(2);

const fn part(name: &'static str, tools: &'static [Tool], work: Work) -> Part {
    Part {
        name,
        about: "",
        tools,
        after: None,
        work,
    }
}

static PARTS: &[Part] = &[
    part("good", &[Tool::Cargo], Work::Same(|_| Ok(()))),
    part("bad", &[Tool::Cargo], Work::Same(|_| bail!("no"))),
    part("worse", &[Tool::Cargo], Work::Same(|_| panic!("no"))),
];

static PAIR: &[Part] = &[
    part("one", &[Tool::Cargo], Work::Same(meet)),
    part("two", &[Tool::Node], Work::Same(meet)),
];

fn meet(_: &Path) -> anyhow::Result<()> {
    BOTH.wait();
    say!("met");
    Ok(())
}

fn run(parts: &'static [Part], only: &[&str]) -> anyhow::Result<Vec<Outcome>> {
    let folder = tempfile::tempdir()?;
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    let chosen = choose("try", parts, &PartArgs { only })?;
    run_all(folder.path(), chosen, Form::Short)
}

#[test]
fn one_failing_part_fails_the_command_and_hides_no_other() {
    let outcomes = run(PARTS, &[]).unwrap();
    let failed: Vec<_> = outcomes.iter().map(|it| it.result.is_err()).collect();
    assert_eq!(failed, [false, true, true]);
    assert!(verdict(&outcomes).is_err());
    assert!(verdict(&run(PARTS, &["good"]).unwrap()).is_ok());
}

#[test]
fn parts_of_different_tools_run_side_by_side() {
    // Neither ends before the other has begun.
    let outcomes = run(PAIR, &[]).unwrap();
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn an_unknown_part_is_named_with_those_that_exist() {
    let error = run(PARTS, &["other"]).map(drop).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "there is no part `other`; there are: good, bad, worse"
    );
}
