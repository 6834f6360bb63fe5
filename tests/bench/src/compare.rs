//! Two builds beside each other: for each figure the ratio new/old of every round, and whether the new build is
//! worse. Pure but for reading reports.
//!
//! A round is measured with both builds one right after the other, so what the machine does is in both and
//! mostly cancels out in the ratio. What is left is the spread of the ratios, and a figure counts as worse only
//! when it is by more than that.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// Fewest rounds that have a spread worth its name.
pub const ROUNDS_MIN: usize = 7;

/// Figures of which more is better; of all others less is.
const MORE_IS_BETTER: [&str; 5] = [
    "DELIVERED",
    "CONNECTS",
    "CEILING",
    "MATCHED",
    "CATEGORIES_RATE",
];

/// Figures of the generator: each build has its own, and how busy it was says nothing of the server.
const OF_THE_GENERATOR: [&str; 2] = ["LAG_P99", "GENERATOR_CPU"];

/// A figure by case, target and key.
type Name = (String, String, String);

/// What one round of one build gave.
pub type Figures = BTreeMap<Name, f64>;

/// A report, as far as it is needed.
#[derive(Deserialize)]
struct Report {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    case: String,
    target: String,
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Figure {
    key: String,
    rounds: Vec<f64>,
}

/// Reads the figures of the only round in the report of a run.
///
/// # Errors
/// When there is no report, or it is not one.
pub fn read(report: &Path) -> anyhow::Result<Figures> {
    let text = std::fs::read_to_string(report).with_context(|| report.display().to_string())?;
    let report: Report = serde_json::from_str(&text)?;
    let mut figures = Figures::new();
    for row in report.rows {
        for figure in row.figures {
            let value = figure.rounds.first();
            let value = value.with_context(|| format!("{} has no round", figure.key))?;
            figures.insert((row.case.clone(), row.target.clone(), figure.key), *value);
        }
    }
    Ok(figures)
}

/// The ratios of one figure.
#[derive(Debug, PartialEq)]
pub struct Comparison {
    /// Case, target and key.
    pub name: Name,
    /// The median of new/old.
    pub median: f64,
    /// First and third quartile.
    pub quartiles: (f64, f64),
    /// Whether the new build is worse by more than the spread; never of the generator's own figures.
    pub is_worse: bool,
}

/// Compares the rounds of both builds, pair by pair.
///
/// # Errors
/// When there are fewer than [`ROUNDS_MIN`] pairs.
pub fn compare(pairs: &[(Figures, Figures)]) -> anyhow::Result<Vec<Comparison>> {
    if pairs.len() < ROUNDS_MIN {
        bail!(
            "{} rounds are too few to compare: at least {ROUNDS_MIN}",
            pairs.len()
        );
    }
    let names = pairs.iter().flat_map(|(_, new)| new.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    let comparison = |name: &Name| {
        let ratio = |(old, new): &(Figures, Figures)| ratio(*old.get(name)?, *new.get(name)?);
        let ratios: Vec<_> = pairs.iter().filter_map(ratio).collect();
        // A figure that only one build has, or that is zero in most rounds, cannot be compared.
        (ratios.len() >= ROUNDS_MIN).then(|| of_ratios(name.clone(), ratios))
    };
    Ok(names.into_iter().filter_map(comparison).collect())
}

/// New/old; two zeros are equal, and nothing can be said beside one.
fn ratio(old: f64, new: f64) -> Option<f64> {
    match (old == 0.0, new == 0.0) {
        (true, true) => Some(1.0),
        (true, false) => None,
        _ => Some(new / old),
    }
}

fn of_ratios(name: Name, mut ratios: Vec<f64>) -> Comparison {
    ratios.sort_by(f64::total_cmp);
    let (first, median, third) = (
        quantile(&ratios, 0.25),
        quantile(&ratios, 0.5),
        quantile(&ratios, 0.75),
    );
    let key = name.2.as_str();
    let by = match MORE_IS_BETTER.contains(&key) {
        true => 1.0 - median,
        false => median - 1.0,
    };
    let is_worse = by > third - first && !OF_THE_GENERATOR.contains(&key);
    Comparison {
        median,
        quartiles: (first, third),
        is_worse,
        name,
    }
}

/// A quantile of sorted values, linear between two of them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// A line for each figure, those that are worse marked.
pub fn table(comparisons: &[Comparison]) -> String {
    let mut lines = vec![format!("   {:<60} new/old  quartiles", "figure")];
    for comparison in comparisons {
        let (case, target, key) = &comparison.name;
        let (first, third) = comparison.quartiles;
        let mark = if comparison.is_worse { "  WORSE" } else { "" };
        let name = format!("{case} · {target} · {key}");
        let median = comparison.median;
        lines.push(format!(
            "   {name:<60} {median:>7.3}  {first:.3} - {third:.3}{mark}"
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only figure of seven rounds, old and new.
    fn compared(key: &str, old: [f64; 7], new: [f64; 7]) -> Comparison {
        let name = ("case".to_owned(), "target".to_owned(), key.to_owned());
        let figures = |value| Figures::from([(name.clone(), value)]);
        let rounds = old.into_iter().zip(new);
        let pairs: Vec<_> = rounds
            .map(|(old, new)| (figures(old), figures(new)))
            .collect();
        compare(&pairs).unwrap().remove(0)
    }

    const OLD: [f64; 7] = [100.0, 110.0, 90.0, 100.0, 105.0, 95.0, 100.0];

    #[test]
    fn what_the_machine_does_to_both_cancels_out() {
        let new = OLD.map(|value| value * 1.02);
        let comparison = compared("ACK_P50", OLD, new);
        assert!((comparison.median - 1.02).abs() < 1e-9);
        assert!(comparison.is_worse, "every round says the same");
        let better = OLD.map(|value| value * 0.9);
        assert!(!compared("ACK_P50", OLD, better).is_worse);
    }

    #[test]
    fn worse_is_only_what_is_beyond_the_spread() {
        let ratios = [0.9, 0.95, 1.0, 1.04, 1.1, 1.15, 1.2];
        let mut new = OLD;
        new.iter_mut()
            .zip(ratios)
            .for_each(|(value, ratio)| *value *= ratio);
        let comparison = compared("ACK_P50", OLD, new);
        assert!((comparison.median - 1.04).abs() < 1e-9);
        let (first, third) = comparison.quartiles;
        assert!((first - 0.975).abs() < 1e-9 && (third - 1.125).abs() < 1e-9);
        assert!(!comparison.is_worse, "0.04 is less than 0.15");
    }

    #[test]
    fn of_some_figures_more_is_better_and_some_are_not_judged() {
        let less = OLD.map(|value| value * 0.9);
        assert!(compared("DELIVERED", OLD, less).is_worse);
        assert!(!compared("DELIVERED", less, OLD).is_worse);
        assert!(!compared("GENERATOR_CPU", less, OLD).is_worse);
    }

    #[test]
    fn zeros_are_equal_and_few_rounds_are_refused() {
        let comparison = compared("LOST", [0.0; 7], [0.0; 7]);
        assert_eq!((comparison.median, comparison.is_worse), (1.0, false));
        assert!(compare(&[]).is_err());
    }
}
