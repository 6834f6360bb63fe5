//! The score: which share of the mutants that mean something was caught. Pure.

use crate::{list::Mutant, record::Outcome};

/// Sums over all mutants.
#[derive(Debug, Default)]
pub struct Score {
    caught: usize,
    unviable: usize,
    equivalent: usize,
    survivors: Vec<String>,
    /// Those that are listed as equivalent, but were caught.
    wrongly_listed: Vec<String>,
}

impl Score {
    /// Adds one; `reason` is why it changes nothing, if it is listed.
    pub fn add(&mut self, mutant: &Mutant, outcome: Outcome, reason: Option<&str>) {
        match outcome {
            Outcome::Unviable => self.unviable += 1,
            Outcome::Caught | Outcome::Hung => {
                self.caught += 1;
                if reason.is_some() {
                    self.wrongly_listed.push(mutant.name.clone());
                }
            }
            Outcome::Survived if reason.is_some() => self.equivalent += 1,
            Outcome::Survived => {
                let survivor = format!("{} (line {})", mutant.name, mutant.line);
                self.survivors.push(survivor);
            }
        }
    }

    /// The share of those that compile and are not equivalent, rounded down; 100 when there is none.
    pub fn caught_percent(&self) -> usize {
        let viable = self.caught + self.survivors.len();
        (self.caught * 100).checked_div(viable).unwrap_or(100)
    }

    /// For people.
    pub fn shown(&self) -> String {
        let Self {
            caught,
            unviable,
            equivalent,
            ..
        } = self;
        let mut lines: Vec<_> = self
            .survivors
            .iter()
            .map(|it| format!("   survived: {it}"))
            .collect();
        let wrong = self.wrongly_listed.iter();
        lines.extend(wrong.map(|name| format!("   listed as equivalent, but caught: {name}")));
        let survived = self.survivors.len();
        lines.push(format!(
            "   {} %: {caught} caught, {survived} survived; {equivalent} change nothing, {unviable} do not compile",
            self.caught_percent()
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::tests::mutants;

    fn score(outcomes: &[(Outcome, Option<&str>)]) -> Score {
        let mut score = Score::default();
        for (outcome, reason) in outcomes {
            score.add(&mutants()[0], *outcome, *reason);
        }
        score
    }

    #[test]
    fn only_what_compiles_and_means_something_counts() {
        use Outcome::*;
        let some = score(&[
            (Caught, None),
            (Hung, None),
            (Survived, None),
            (Survived, Some("nothing")),
            (Unviable, None),
        ]);
        assert_eq!(some.caught_percent(), 66);
        assert_eq!(score(&[]).caught_percent(), 100);
        assert_eq!(score(&[(Survived, None)]).caught_percent(), 0);
        assert!(some.shown().contains("2 caught, 1 survived"));
        let listed = score(&[(Caught, Some("nothing"))]);
        assert!(listed.shown().contains("but caught"));
    }
}
