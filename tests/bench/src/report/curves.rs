//! One plot over all cases of a scenario: a line for each target, on a logarithmic scale, with a whisker
//! from the lowest round to the highest.

use std::fmt::Write as _;

use super::{Figure, Report, plot::escaped};
use crate::metric::{self, Metric};

/// The scenarios and metrics worth such a plot: how one figure grows from case to case.
static DRAWN: [(&str, &Metric); 1] = [("lossy", &metric::DELIVERY_P99)];

const WIDTH: f64 = 980.0;
const HEIGHT: f64 = 420.0;
/// The borders of the plot area; names of targets are to its right.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 370.0;

/// Steps of the scale within a factor of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// Shortest distance between names of targets.
const NAME_HEIGHT: f64 = 16.0;

/// Colours of lines: those of NoWrong first.
const OURS: [&str; 4] = ["#1b6ca8", "#5aa9dd", "#2a9d7f", "#8d6cc4"];
const OTHERS: [&str; 4] = ["#c2571a", "#8a8f94", "#b08d2f", "#555555"];

/// A line: a target, and its figure in each case that has one.
struct Line<'a> {
    target: &'a str,
    points: Vec<(usize, &'a Figure)>,
}

/// A plot with its file name and the scenario that it is about.
pub struct Curves {
    /// The scenario.
    pub scenario: &'static str,
    /// Its file name.
    pub file: String,
    /// The drawing.
    pub svg: String,
}

/// The plots of scenarios with several cases.
pub fn curves(report: &Report) -> Vec<Curves> {
    let drawn = DRAWN.iter().filter_map(|(scenario, metric)| {
        let groups = report.groups();
        let groups: Vec<_> = groups
            .iter()
            .filter(|it| it.scenario == *scenario)
            .collect();
        let cases: Vec<_> = groups.iter().map(|group| short(group.case)).collect();
        let mut lines: Vec<Line<'_>> = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            for row in &group.rows {
                let Some(figure) = row.figure(metric) else {
                    continue;
                };
                match lines.iter_mut().find(|line| line.target == row.target) {
                    Some(line) => line.points.push((index, figure)),
                    None => lines.push(Line {
                        target: &row.target,
                        points: vec![(index, figure)],
                    }),
                }
            }
        }
        (cases.len() > 1 && !lines.is_empty()).then(|| Curves {
            scenario,
            file: format!("benchmarks-{scenario}.svg"),
            svg: draw(scenario, metric, &cases, &lines),
        })
    });
    drawn.collect()
}

/// The first part of a case's title, which tells it from its neighbours.
fn short(case: &str) -> &str {
    case.split(',').next().unwrap_or(case)
}

fn draw(scenario: &str, metric: &Metric, cases: &[&str], lines: &[Line<'_>]) -> String {
    let values = lines.iter().flat_map(|line| &line.points);
    let values = values.flat_map(|(_, figure)| [figure.spread.min, figure.spread.max]);
    let (lowest, highest) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let scale = Scale::over(lowest, highest);
    let title = escaped(&format!("{} in {}: {scenario}", metric.title, metric.unit));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"15\">{title}</text>\n"
    );
    grid(&mut svg, &scale, cases);
    let mut names: Vec<_> = lines.iter().enumerate().collect();
    names.sort_by(|(_, one), (_, other)| last(other).total_cmp(&last(one)));
    let mut free = TOP;
    let (mut ours, mut others) = (OURS.iter().cycle(), OTHERS.iter().cycle());
    for (_, line) in names {
        let color = match line.target.starts_with("nowrong") {
            true => ours.next(),
            false => others.next(),
        };
        let color = color.copied().unwrap_or("#222");
        let beside = scale.y(last(line)).max(free);
        free = beside + NAME_HEIGHT;
        curve(&mut svg, line, (&scale, cases.len()), color);
        name(&mut svg, line.target, beside, color);
    }
    svg.push_str("</svg>\n");
    svg
}

fn last(line: &Line<'_>) -> f64 {
    line.points
        .last()
        .map_or(0.0, |(_, figure)| figure.spread.median)
}

fn x(case: usize, cases: usize) -> f64 {
    LEFT + (case as f64 + 0.5) * (RIGHT - LEFT) / cases as f64
}

fn grid(svg: &mut String, scale: &Scale, cases: &[&str]) {
    // Writing to a string cannot fail.
    for mark in scale.marks() {
        let y = scale.y(mark);
        let _ = write!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>\n",
            LEFT - 8.0,
            y + 4.0
        );
    }
    for (index, case) in cases.iter().enumerate() {
        let (x, case) = (x(index, cases.len()), escaped(case));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{case}</text>",
            BOTTOM + 22.0
        );
    }
}

fn curve(svg: &mut String, line: &Line<'_>, (scale, cases): (&Scale, usize), color: &str) {
    let mut path = String::new();
    for (case, figure) in &line.points {
        let (x, spread) = (x(*case, cases), figure.spread);
        let (y, low, high) = (
            scale.y(spread.median),
            scale.y(spread.min),
            scale.y(spread.max),
        );
        let start = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{start}{x:.1} {y:.1}");
        let _ = write!(
            svg,
            "<path d=\"M{x:.1} {low:.1}V{high:.1}\" stroke=\"{color}\" stroke-width=\"1.5\"/>\n\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>\n"
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>"
    );
}

fn name(svg: &mut String, target: &str, y: f64, color: &str) {
    let (x, y) = (RIGHT + 12.0, y + 4.0);
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y:.1}\" fill=\"{color}\" font-weight=\"bold\">{}</text>",
        escaped(target)
    );
}

/// A logarithmic scale.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// A scale that covers both values; it begins and ends at a mark.
    fn over(lowest: f64, highest: f64) -> Self {
        let lowest = lowest.max(0.01);
        let marks = || (-2..7).flat_map(|power| STEPS.map(|step| step * 10_f64.powi(power)));
        let low = marks().take_while(|mark| *mark <= lowest).last();
        let high = marks().find(|mark| *mark >= highest && *mark > lowest);
        Self {
            low: low.unwrap_or(lowest),
            high: high.unwrap_or(highest.max(2.0 * lowest)),
        }
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        let marks = (-2..7).flat_map(|power| STEPS.map(|step| step * 10_f64.powi(power)));
        let (low, high) = (self.low * 0.999, self.high * 1.001);
        marks.filter(move |mark| (low..=high).contains(mark))
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        BOTTOM - part * (BOTTOM - TOP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metric::Sample, report::Row};

    fn row(case: &str, target: &str, p99: f64) -> Row {
        let mut row = Row::new("lossy", case.to_owned(), target);
        let mut sample = Sample::default();
        sample.push(&metric::DELIVERY_P99, p99);
        row.add(Ok(sample));
        row
    }

    #[test]
    fn each_target_is_a_line_through_its_cases() {
        let mut report = Report::default();
        for (case, ours, theirs) in [("nothing, 40 ms", 20.0, 20.0), ("1 %, 40 ms", 20.0, 200.0)] {
            report.rows.push(row(case, "nowrong-webtransport", ours));
            report.rows.push(row(case, "a<b", theirs));
        }
        let [curves] = &curves(&report)[..] else {
            panic!("one scenario has cases");
        };
        assert_eq!(curves.file, "benchmarks-lossy.svg");
        // The scale goes from 20 at the bottom to 200 at the top.
        for path in ["M223.0 370.0L541.0 370.0", "M223.0 370.0L541.0 48.0"] {
            assert!(curves.svg.contains(path), "{}", curves.svg);
        }
        assert!(curves.svg.contains(">a&lt;b</text>") && curves.svg.contains(">1 %</text>"));
    }

    #[test]
    fn one_case_is_no_curve() {
        let mut report = Report::default();
        report
            .rows
            .push(row("nothing", "nowrong-webtransport", 20.0));
        assert!(curves(&report).is_empty());
    }
}
