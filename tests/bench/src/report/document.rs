//! `docs/benchmarks.md`: the last full run, for people who want to know the figures and to repeat
//! it.

use std::fmt::Write as _;

use super::{Figure, Group, Report, curves, table::cell};

const HEAD: &str = "# Benchmarks

Written by `cargo xtask bench`; do not edit. Server on one core, generator on the other, over loopback. Open loop with
Poisson arrivals; latency counts from the scheduled send; rounds of the targets alternate; each cell is the median of
the rounds with the lowest and the highest. What is compared and how: `tests/bench`.

";

/// The document.
pub fn document(report: &Report) -> String {
    let mut text = HEAD.to_owned();
    let machine = &report.machine;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "- Machine: {}, {} cores, {} GB, Linux {}",
        machine.processor, machine.cores, machine.memory_gb, machine.kernel
    );
    let versions = machine
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    let _ = writeln!(
        text,
        "- Versions: {}",
        versions.collect::<Vec<_>>().join(", ")
    );
    let _ = writeln!(text, "- Command: `{}`", report.command);
    for condition in &report.conditions {
        let _ = writeln!(text, "- {condition}");
    }
    let mut pictures = curves(report);
    for group in report.groups() {
        // A picture comes before the first of its cases.
        for picture in pictures.extract_if(.., |it| it.scenario == group.scenario) {
            let _ = writeln!(text, "\n![{0}]({1})", picture.scenario, picture.file);
        }
        text.push_str(&section(&group));
    }
    text
}

/// A section, with targets as columns, since there are fewer targets than figures.
fn section(group: &Group<'_>) -> String {
    let mut text = format!("\n## {}: {}\n\n|  |", group.scenario, group.case);
    for row in &group.rows {
        let _ = write!(text, " {} |", row.target);
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(group.rows.len()));
    text.push('\n');
    let longest = group.rows.iter().max_by_key(|row| row.figures.len());
    for figure in longest.map_or(&[][..], |row| &row.figures) {
        text.push_str(&line(group, figure));
    }
    let notes = group.rows.iter().flat_map(|row| {
        row.notes
            .iter()
            .map(|note| format!("{}: {note}", row.target))
    });
    for note in notes {
        let _ = write!(text, "\n- {note}");
    }
    text + "\n"
}

fn line(group: &Group<'_>, figure: &Figure) -> String {
    let mut text = format!("| {} |", figure.heading());
    for row in &group.rows {
        let same = row.figures.iter().find(|other| other.key == figure.key);
        let _ = write!(text, " {} |", same.map_or("–".to_owned(), cell));
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn a_section_has_a_column_for_each_target() {
        let text = super::document(&report());
        let expected = "
## pairs: 20 people

|  | nowrong-websocket | socketio |
|---|---:|---:|
| delivered /s | 20,000 (10,000–30,000) | 20,000 (10,000–30,000) |
| CPU/message µs | 80.5 (40.2–120.8) | 161.0 (80.5–241.5) |

- socketio: failed: it <died>
";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.contains("- Command: `cargo xtask bench`\n- on a test\n"));
    }
}
