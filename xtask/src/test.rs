//! `cargo xtask test`: every test there is, by part.
//!
//! A part that lacks a tool installs it, or fails and says what to install: nothing is skipped. Every push
//! runs the short form of each part; `--nightly` runs the long one, where a part has two.

use std::path::Path;

use clap::Args;

use crate::{
    binary,
    part::{self, Form, Part, PartArgs, Tool::*, Work},
};

mod bench;
mod browser;
mod chaos;
mod fuzz;
mod python;
mod rust;
mod safety;
mod sdk;

/// The parts, in the order they run.
pub static PARTS: &[Part] = &[
    Part {
        name: "build",
        about: "the programs that the other parts start",
        tools: &[Cargo],
        after: None,
        work: Work::Same(binary::build_all),
    },
    Part {
        name: "rust",
        about: "unit, property, conformance and end-to-end tests; doc examples",
        tools: &[Cargo],
        after: Some("build"),
        work: Work::Same(rust::rust),
    },
    Part {
        name: "safety",
        about: "who may do what, hostile clients, and responses that the OpenAPI document does not name",
        tools: &[Cargo, Python],
        after: Some("build"),
        work: Work::Forms {
            moved: "24 of 25 requests that schemathesis makes up",
            run: safety::safety,
        },
    },
    Part {
        name: "sdk",
        about: "the TypeScript SDK, with the vectors that Rust wrote",
        tools: &[Node],
        after: None,
        work: Work::Same(sdk::sdk),
    },
    Part {
        name: "browser",
        about: "two people in real Chromium and real Firefox",
        tools: &[Node],
        after: Some("build"),
        work: Work::Same(browser::browser),
    },
    Part {
        name: "python",
        about: "a client written from SPEC.md alone, in Python",
        tools: &[Python],
        after: Some("build"),
        work: Work::Same(python::python),
    },
    Part {
        name: "bench",
        about: "the bench, small and for function only",
        tools: &[Cargo],
        after: Some("build"),
        work: Work::Forms {
            moved: "all scenarios but two, on all targets but three",
            run: bench::bench,
        },
    },
    Part {
        name: "chaos",
        about: "three nodes, MongoDB and Redis are killed while people chat",
        tools: &[Cargo],
        after: Some("build"),
        work: Work::Forms {
            moved: "2 of the 3 minutes",
            run: chaos::chaos,
        },
    },
    Part {
        name: "fuzz",
        about: "the corpora again, then some seconds of new inputs for each target",
        tools: &[Fuzz],
        after: None,
        work: Work::Forms {
            moved: "half of the 10 seconds of new inputs for each target",
            run: fuzz::fuzz,
        },
    },
];

/// What to test.
#[derive(Args)]
pub struct TestArgs {
    #[command(flatten)]
    parts: PartArgs,
    /// The long form: bench with every scenario on every target, 3 minutes of chaos, 10 seconds of new
    /// inputs for each fuzz target. Parts with one form run that one.
    #[arg(long)]
    nightly: bool,
}

/// Runs the chosen parts.
///
/// # Errors
/// As [`part::run_parts`].
pub fn test(root: &Path, args: &TestArgs) -> anyhow::Result<()> {
    let form = if args.nightly {
        Form::Long
    } else {
        Form::Short
    };
    let parts = part::choose("test", PARTS, &args.parts)?;
    part::run_parts(root, parts, form)
}
