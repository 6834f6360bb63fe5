//! Budgets: how many instructions an operation may take. Pure.
//!
//! A budget is the count when it was last recorded. An operation may take [`TOLERANCE`] % more: any
//! real change of the message path goes beyond this, and other machines with the same compiler do
//! not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// By how many percent an operation may exceed its budget.
pub const TOLERANCE: u64 = 5;

/// Instructions for one operation, by the name of the case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budgets {
    /// The output of `rustc --version` when they were recorded: another compiler makes different
    /// code.
    pub compiler: String,
    /// The counts.
    pub instructions: BTreeMap<String, u64>,
}

/// The verdict on one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The case.
    pub case: String,
    /// Counted now; `None` for a budget whose case no longer exists.
    pub counted: Option<u64>,
    /// Its budget, if it has one.
    pub budget: Option<u64>,
}

impl Verdict {
    /// By how much it exceeds its budget, as a share of the budget; negative when it is under.
    pub fn growth(&self) -> Option<f64> {
        let (counted, budget) = (self.counted? as f64, self.budget? as f64);
        Some(counted / budget.max(1.0) - 1.0)
    }

    /// Whether it is within its budget. A case without a budget is not, nor is a budget without a
    /// case.
    pub fn is_good(&self) -> bool {
        let both = self.counted.zip(self.budget);
        both.is_some_and(|(counted, budget)| counted * 100 <= budget * (100 + TOLERANCE))
    }
}

impl Budgets {
    /// Compares counts with the budgets: every case and every budget once, by name.
    pub fn judge(&self, counted: &BTreeMap<String, u64>) -> Vec<Verdict> {
        let mut names: Vec<_> = self.instructions.keys().chain(counted.keys()).collect();
        names.sort();
        names.dedup();
        let verdict = |name: &String| Verdict {
            case: name.clone(),
            counted: counted.get(name).copied(),
            budget: self.instructions.get(name).copied(),
        };
        names.into_iter().map(verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let named = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        named.collect()
    }

    fn good(budget: u64, counted: u64) -> bool {
        let budgets = Budgets {
            instructions: named(&[("one", budget)]),
            ..Budgets::default()
        };
        budgets.judge(&named(&[("one", counted)]))[0].is_good()
    }

    #[test]
    fn five_hundredths_more_are_borne_and_no_more() {
        assert!(good(1_000, 1_050));
        assert!(!good(1_000, 1_051));
        assert!(good(1_000, 1));
    }

    #[test]
    fn a_case_without_a_budget_and_a_budget_without_a_case_are_not_good() {
        let budgets = Budgets {
            instructions: named(&[("gone", 5)]),
            ..Budgets::default()
        };
        let verdicts = budgets.judge(&named(&[("new", 7)]));
        let told: Vec<_> = verdicts
            .iter()
            .map(|it| (it.case.as_str(), it.is_good()))
            .collect();
        assert_eq!(told, [("gone", false), ("new", false)]);
    }
}
