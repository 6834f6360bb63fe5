//! Finds people who got stuck, and tickets left in queues after everybody has left.

use super::{Breach, Promise};
use crate::diary::{Aftermath, Diary, Event};

/// Finds stuck people and ghosts.
pub(super) fn check(diaries: &[Diary], aftermath: &Aftermath, breaches: &mut Vec<Breach>) {
    for diary in diaries {
        for entry in &diary.entries {
            if let Event::Stuck(what) = &entry.event {
                let people = vec![diary.name.clone()];
                let detail = format!("{what}, given up at {:?}", entry.at);
                breaches.push(breach(Promise::Stuck, people, detail));
            }
        }
    }
    for (node, category, count) in &aftermath.waiting {
        let detail = format!("{node} counts {count} waiting in {category}, where nobody is");
        breaches.push(breach(Promise::Ghost, unsettled(diaries), detail));
    }
    for probe in &aftermath.probes {
        let category = &probe.category;
        if let Some(name) = &probe.met_alone {
            let detail = format!("who joined {category} when nobody was there met {name}");
            breaches.push(breach(Promise::Ghost, vec![name.clone()], detail));
        } else if let Err(what) = &probe.meeting {
            let detail = format!("two who joined {category} at the end did not meet: {what}");
            breaches.push(breach(Promise::Stuck, Vec::new(), detail));
        }
    }
}

/// The people who left without having learned what became of their last ticket: the ghost may be
/// theirs.
fn unsettled(diaries: &[Diary]) -> Vec<String> {
    let is_unsettled = |diary: &&Diary| {
        let mut newest = diary.entries.iter().rev().map(|entry| &entry.event);
        let last = newest.find(|event| {
            matches!(
                event,
                Event::Joining | Event::Queued(_) | Event::Cancelled(_) | Event::Matched(_)
            )
        });
        matches!(last, Some(Event::Joining | Event::Queued(_)))
    };
    let unsettled = diaries.iter().filter(is_unsettled);
    unsettled.map(|diary| diary.name.clone()).collect()
}

fn breach(promise: Promise, people: Vec<String>, detail: String) -> Breach {
    Breach {
        promise,
        chat: None,
        people,
        detail,
    }
}
