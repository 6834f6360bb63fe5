//! Plots as SVG: for each group and metric a bar for each target, with a whisker from the lowest round
//! to the highest.

use std::fmt::Write as _;

use super::{Figure, Group, Report};
use crate::metric::{self, Metric};

/// The metrics worth a plot.
static PLOTTED: [&Metric; 9] = [
    &metric::DELIVERY_P99,
    &metric::CPU_PER_MESSAGE,
    &metric::BYTES_PER_MESSAGE,
    &metric::RESIDENT_PER_CONNECTION,
    &metric::CEILING,
    &metric::MATCH_P99,
    &metric::CONNECT_P99,
    &metric::RESUME_P99,
    &metric::INSTRUCTIONS,
];

const WIDTH: usize = 760;
const LABELS: usize = 240;
const BARS: usize = 400;
const LINE: usize = 28;
const TOP: usize = 44;

/// Every plot, by file name.
pub fn plots(report: &Report) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for group in report.groups() {
        for metric in PLOTTED {
            let bars: Vec<_> = group
                .rows
                .iter()
                .filter_map(|row| Some((row.target.as_str(), row.figure(metric)?)))
                .collect();
            if !bars.is_empty() {
                plots.push((file_name(&group, metric), plot(&group, metric, &bars)));
            }
        }
    }
    plots
}

fn file_name(group: &Group<'_>, metric: &Metric) -> String {
    let name = format!("{} {} {}", group.scenario, group.case, metric.key).to_lowercase();
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let words: Vec<_> = plain.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-") + ".svg"
}

fn plot(group: &Group<'_>, metric: &Metric, bars: &[(&str, &Figure)]) -> String {
    let height = TOP + bars.len() * LINE + 12;
    let highest = bars
        .iter()
        .map(|(_, figure)| figure.spread.max)
        .fold(0.0, f64::max);
    let scale = if highest > 0.0 {
        BARS as f64 / highest
    } else {
        0.0
    };
    let unit = if metric.unit.is_empty() {
        String::new()
    } else {
        format!(" in {}", metric.unit)
    };
    let title = escaped(&format!(
        "{}{unit}: {}, {}",
        metric.title, group.scenario, group.case
    ));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"15\">{title}</text>\n"
    );
    for (index, (target, figure)) in bars.iter().enumerate() {
        bar(&mut svg, TOP + index * LINE, target, (figure, scale));
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, top: usize, target: &str, (figure, scale): (&Figure, f64)) {
    let x = |value: f64| LABELS as f64 + value * scale;
    let (end, low, high) = (
        x(figure.spread.median),
        x(figure.spread.min),
        x(figure.spread.max),
    );
    let (middle, base) = (top + 9, top + 14);
    let color = if target.starts_with("nowrong") {
        "#2a78b8"
    } else {
        "#9aa5ad"
    };
    let (name, shown) = (escaped(target), figure.shown(figure.spread.median));
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{name}</text>\n\
         <rect x=\"{LABELS}\" y=\"{top}\" width=\"{:.1}\" height=\"18\" fill=\"{color}\"/>\n\
         <path d=\"M{low:.1} {middle}H{high:.1}\" stroke=\"#222\" stroke-width=\"2\"/>\n\
         <text x=\"{:.1}\" y=\"{base}\">{shown}</text>\n",
        LABELS - 8,
        end - LABELS as f64,
        high + 8.0,
    );
}

/// Text that cannot break the markup.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn bars_are_to_scale_and_names_are_file_names() {
        let plots = super::plots(&report());
        let [(name, svg)] = &plots[..] else {
            panic!("{plots:?}");
        };
        assert_eq!(name, "pairs-20-people-cpu-per-message.svg");
        // The highest round, 241.5, takes all 400; the medians are 161 and 80.5.
        for width in ["266.7", "133.3"] {
            assert!(
                svg.contains(&format!("width=\"{width}\" height=\"18\"")),
                "{svg}"
            );
        }
        assert!(svg.contains("H640.0") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn text_cannot_break_a_plot() {
        assert_eq!(super::escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
    }
}
