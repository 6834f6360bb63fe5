//! The results: rows of figures with their spread, as a table, JSON, plots and a document. Pure.

use serde::Serialize;

use crate::{
    machine::Machine,
    metric::{Metric, Sample},
    spread::Spread,
};

mod curves;
mod document;
mod plot;
mod table;

pub use curves::curves;
pub use document::document;
pub use plot::plots;
pub use table::table;

/// All results of a run of the bench.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The machine, and the versions of the programs.
    pub machine: Machine,
    /// The command that repeats the run.
    pub command: String,
    /// When it ended, in seconds since the Unix epoch.
    pub ended_at: u64,
    /// The conditions that a reader has to know to judge it.
    pub conditions: Vec<String>,
    /// The figures.
    pub rows: Vec<Row>,
}

/// One case on one target.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// Its parameters.
    pub case: String,
    /// The target that was measured.
    pub target: String,
    /// Its figures, in order.
    pub figures: Vec<Figure>,
    /// Faults; each once.
    pub notes: Vec<String>,
    /// Rounds that could not be measured at all.
    pub failures: u32,
}

/// One metric over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// [`Metric::key`].
    pub key: &'static str,
    /// [`Metric::title`].
    pub title: &'static str,
    /// [`Metric::unit`].
    pub unit: &'static str,
    /// [`Metric::digits`].
    #[serde(skip)]
    pub digits: usize,
    /// The value of each round.
    pub rounds: Vec<f64>,
    /// Their median, lowest and highest.
    pub spread: Spread,
}

impl Row {
    /// A row without figures yet.
    pub fn new(scenario: &str, case: String, target: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            case,
            target: target.to_owned(),
            figures: Vec::new(),
            notes: Vec::new(),
            failures: 0,
        }
    }

    /// Adds a round.
    pub fn add(&mut self, outcome: anyhow::Result<Sample>) {
        match outcome {
            Ok(sample) => {
                for (metric, value) in sample.figures {
                    self.add_value(metric, value);
                }
                for note in sample.notes {
                    self.add_note(note);
                }
            }
            Err(error) => {
                self.failures += 1;
                self.add_note(format!("failed: {error:#}"));
            }
        }
    }

    /// The figure of a metric.
    pub fn figure(&self, metric: &Metric) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.key == metric.key)
    }

    fn add_value(&mut self, metric: &'static Metric, value: f64) {
        let known = self
            .figures
            .iter()
            .position(|figure| figure.key == metric.key);
        let index = known.unwrap_or_else(|| {
            self.figures.push(Figure {
                key: metric.key,
                title: metric.title,
                unit: metric.unit,
                digits: metric.digits,
                rounds: Vec::new(),
                spread: Spread::default(),
            });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[index];
        figure.rounds.push(value);
        figure.spread = Spread::of(&figure.rounds).unwrap_or_default();
    }

    fn add_note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl Figure {
    /// A value with the digits of this figure and thousands separators.
    pub fn shown(&self, value: f64) -> String {
        grouped(&format!("{value:.*}", self.digits))
    }

    /// Title and unit.
    pub fn heading(&self) -> String {
        match self.unit {
            "" => self.title.to_owned(),
            unit => format!("{} {unit}", self.title),
        }
    }
}

/// The rows of one scenario and case.
#[derive(Debug)]
pub struct Group<'a> {
    /// The scenario.
    pub scenario: &'a str,
    /// Its parameters.
    pub case: &'a str,
    /// The rows, in order.
    pub rows: Vec<&'a Row>,
}

impl Report {
    /// The rows by scenario and case, in order.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for row in &self.rows {
            match groups.last_mut() {
                Some(last) if last.scenario == row.scenario && last.case == row.case => {
                    last.rows.push(row);
                }
                _ => groups.push(Group {
                    scenario: &row.scenario,
                    case: &row.case,
                    rows: vec![row],
                }),
            }
        }
        groups
    }

    /// Rounds that could not be measured at all.
    pub fn failures(&self) -> u32 {
        self.rows.iter().map(|row| row.failures).sum()
    }
}

/// A number with commas between thousands if it has five digits or more.
fn grouped(number: &str) -> String {
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (number, String::new()),
    };
    let mut shown = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) && digit.is_ascii_digit() && whole.len() > 4 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + &fraction
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::metric;

    pub(crate) fn report() -> Report {
        let mut rows = Vec::new();
        for (target, factor) in [("nowrong-websocket", 1.0), ("socketio", 2.0)] {
            let mut row = Row::new("pairs", "20 people".to_owned(), target);
            for round in [1.0, 3.0, 2.0] {
                let mut sample = Sample::default();
                sample.push(&metric::DELIVERED, 10_000.0 * round);
                sample.push(&metric::CPU_PER_MESSAGE, 40.25 * factor * round);
                row.add(Ok(sample));
            }
            rows.push(row);
        }
        rows[1].add(Err(anyhow::anyhow!("it <died>")));
        Report {
            command: "cargo xtask bench".to_owned(),
            conditions: vec!["on a test".to_owned()],
            rows,
            ..Report::default()
        }
    }

    #[test]
    fn rounds_become_a_spread_and_failures_are_kept() {
        let report = report();
        let cpu = report.rows[1].figure(&metric::CPU_PER_MESSAGE).unwrap();
        assert_eq!(
            (cpu.spread.median, cpu.spread.min, cpu.spread.max),
            (161.0, 80.5, 241.5)
        );
        assert_eq!(report.failures(), 1);
        assert_eq!(report.rows[1].notes, ["failed: it <died>"]);
        assert_eq!(report.groups().len(), 1);
    }

    #[test]
    fn numbers_are_grouped() {
        let cases = [
            ("7", "7"),
            ("4321", "4321"),
            ("54321", "54,321"),
            ("1234567.89", "1,234,567.89"),
            ("0.05", "0.05"),
        ];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn json_holds_every_round() {
        let json = serde_json::to_value(report()).unwrap();
        let figure = &json["rows"][0]["figures"][0];
        assert_eq!(figure["key"], "DELIVERED");
        assert_eq!(
            figure["rounds"],
            serde_json::json!([10_000.0, 30_000.0, 20_000.0])
        );
        assert_eq!(figure["spread"]["median"], 20_000.0);
    }
}
