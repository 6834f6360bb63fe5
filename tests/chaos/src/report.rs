//! The results of a run, for people: the counts of breaches, with everything that the diaries say
//! about them.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;

use crate::{
    checker::{Breach, Promise},
    crew::Crew,
    diary::{Diary, Event},
    faults::Struck,
};

/// Breaches that are listed one by one.
const LISTED_MAX: usize = 50;

/// Diaries that are written out.
const DIARIES_MAX: usize = 40;

/// One line for each promise: how often it was broken.
pub fn verdict(breaches: &[Breach]) -> String {
    let mut text = "promises broken:\n".to_owned();
    for promise in Promise::ALL {
        let count = breaches
            .iter()
            .filter(|breach| breach.promise == promise)
            .count();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "   {:<28} {count}", promise.breach());
    }
    text
}

/// The faults with their times, then every long wait for an ack with what the client did meanwhile, the
/// longest first.
pub fn waits(crew: &Crew, faults: &[Struck], diaries: &[Diary]) -> String {
    let mut text = String::new();
    for struck in faults {
        let healed = struck.healed.map(|at| crew.time_of(at).as_secs_f64());
        let (begun, name) = (
            crew.time_of(struck.begun).as_secs_f64(),
            struck.fault.name(),
        );
        let _ = writeln!(
            text,
            "{begun:>8.1} to {:>6.1} s  {name}",
            healed.unwrap_or(f64::NAN)
        );
    }
    let waited = diaries.iter().flat_map(|diary| {
        let entries = diary.entries.iter();
        entries.filter_map(move |entry| match &entry.event {
            Event::Waited(waited) => Some((waited, entry.at, &diary.name)),
            _ => None,
        })
    });
    let mut waited: Vec<_> = waited.collect();
    waited.sort_by_key(|(waited, ..)| std::cmp::Reverse(waited.took));
    for (waited, until, name) in waited {
        let (took, until) = (waited.took.as_secs_f64(), until.as_secs_f64());
        let _ = writeln!(text, "\n{name} waited {took:.1} s, until {until:.1} s");
        for (at, step) in &waited.steps {
            let _ = writeln!(text, "{:>12.3} s  {step}", at.as_secs_f64());
        }
    }
    text
}

/// Writes the breaches, the diaries of the people concerned, and the logs of the nodes into
/// `folder`.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    folder: &Path,
    breaches: &[Breach],
    diaries: &[Diary],
    logs: &[String],
) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let listed: Vec<_> = breaches
        .iter()
        .take(LISTED_MAX)
        .map(Breach::to_string)
        .collect();
    fs::write(folder.join("breaches"), listed.join("\n"))?;
    let concerns = |diary: &&Diary| {
        let mut listed = breaches.iter().take(LISTED_MAX);
        listed.any(|breach| breach.people.contains(&diary.name))
    };
    for diary in diaries.iter().filter(concerns).take(DIARIES_MAX) {
        let name = format!("diary of {}", diary.name);
        fs::write(folder.join(name), told(diary))?;
    }
    for (number, log) in (1..).zip(logs) {
        fs::write(folder.join(format!("log of node {number}")), log)?;
    }
    Ok(())
}

/// A diary as text.
fn told(diary: &Diary) -> String {
    let mut text = format!("{}, {}\n\n", diary.name, diary.age_bracket);
    for entry in &diary.entries {
        let _ = writeln!(
            text,
            "{:>10.3} s  {:?}",
            entry.at.as_secs_f64(),
            entry.event
        );
    }
    for sight in &diary.sights {
        let (at, chat, you) = (sight.at.as_secs_f64(), sight.chat, sight.you);
        let _ = writeln!(
            text,
            "\nOf chat {chat}, as member {you}, written down at {at:.3} s\n  wire:"
        );
        for recorded in &sight.wire {
            let _ = writeln!(text, "    {recorded:?}");
        }
        let _ = writeln!(text, "  held by the client:");
        for line in &sight.held {
            let _ = writeln!(text, "    {line:?}");
        }
        let Some(reading) = &sight.reading else {
            continue;
        };
        let _ = writeln!(
            text,
            "  read back, asked at {:.3} s:",
            reading.asked.as_secs_f64()
        );
        for line in &reading.lines {
            let _ = writeln!(text, "    {line:?}");
        }
    }
    text
}
