//! The table for a terminal: a line for each target, a column for each figure.

use super::{Figure, Group, Report};

/// Widest block of columns; further figures follow in another block.
const WIDTH_MAX: usize = 150;

/// All figures as text.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    for group in report.groups() {
        text.push_str(&format!("\n{} · {}\n", group.scenario, group.case));
        for block in blocks(&group) {
            text.push_str(&lines(&block));
        }
        for row in &group.rows {
            for note in &row.notes {
                text.push_str(&format!("   ! {}: {note}\n", row.target));
            }
        }
    }
    text
}

type Column = Vec<String>;

/// The columns of a group, cut into blocks that fit; each begins with the targets.
fn blocks(group: &Group<'_>) -> Vec<Vec<Column>> {
    let targets: Column = std::iter::once(String::new())
        .chain(group.rows.iter().map(|row| row.target.clone()))
        .collect();
    let mut blocks = Vec::new();
    let mut block = vec![targets.clone()];
    for column in columns(group) {
        let width: usize = block
            .iter()
            .chain([&column])
            .map(|column| width(column) + 2)
            .sum();
        if width > WIDTH_MAX && block.len() > 1 {
            blocks.push(std::mem::replace(&mut block, vec![targets.clone()]));
        }
        block.push(column);
    }
    blocks.push(block);
    blocks
}

fn columns(group: &Group<'_>) -> Vec<Column> {
    // The row with the most figures has all the columns: a failed row has none.
    let longest = group.rows.iter().max_by_key(|row| row.figures.len());
    let figures = longest.map_or(&[][..], |row| &row.figures);
    figures
        .iter()
        .map(|figure| {
            let cell = |row: &&super::Row| {
                let same = row.figures.iter().find(|other| other.key == figure.key);
                same.map_or("–".to_owned(), cell)
            };
            let heading = std::iter::once(figure.heading());
            heading.chain(group.rows.iter().map(cell)).collect()
        })
        .collect()
}

/// The median; with the lowest and the highest when there are several rounds.
pub(super) fn cell(figure: &Figure) -> String {
    let median = figure.shown(figure.spread.median);
    if figure.rounds.len() < 2 {
        return median;
    }
    let (min, max) = (
        figure.shown(figure.spread.min),
        figure.shown(figure.spread.max),
    );
    format!("{median} ({min}–{max})")
}

fn width(column: &Column) -> usize {
    column
        .iter()
        .map(|cell| cell.chars().count())
        .max()
        .unwrap_or(0)
}

fn lines(block: &[Column]) -> String {
    let height = block.first().map_or(0, Vec::len);
    let line = |index: usize| {
        let mut line = String::from("  ");
        for (number, column) in block.iter().enumerate() {
            let (cell, width) = (&column[index], width(column));
            if number == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        line.trim_end().to_owned() + "\n"
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn each_target_has_a_line_with_the_median_and_the_spread() {
        let expected = "
pairs · 20 people
                              delivered /s           CPU/message µs
  nowrong-websocket  20,000 (10,000–30,000)       80.5 (40.2–120.8)
  socketio           20,000 (10,000–30,000)      161.0 (80.5–241.5)
   ! socketio: failed: it <died>
";
        let found = super::table(&report());
        let squeeze = |text: &str| {
            let lines = text
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(squeeze(&found), squeeze(expected));
        let widths: Vec<_> = found
            .lines()
            .skip(2)
            .take(3)
            .map(|line| line.chars().count())
            .collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{found}");
    }
}
