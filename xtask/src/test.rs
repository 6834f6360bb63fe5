//! `cargo xtask test`: every test there is, by part.
//!
//! A part that lacks a tool installs it, or fails and says what to install: nothing is skipped.

use crate::part::Part;

mod bench;
mod browser;
mod chaos;
mod fuzz;
mod python;
mod rust;
mod sdk;

/// The parts, in the order they run.
pub const PARTS: &[Part] = &[
    Part {
        name: "rust",
        about: "unit, property, conformance and end-to-end tests; doc examples",
        run: rust::rust,
    },
    Part {
        name: "sdk",
        about: "the TypeScript SDK, with the vectors that Rust wrote",
        run: sdk::sdk,
    },
    Part {
        name: "browser",
        about: "two people in real Chromium and real Firefox",
        run: browser::browser,
    },
    Part {
        name: "python",
        about: "a client written from SPEC.md alone, in Python",
        run: python::python,
    },
    Part {
        name: "bench",
        about: "every scenario of the bench on every target, small and for function only",
        run: bench::bench,
    },
    Part {
        name: "chaos",
        about: "3 minutes of three nodes, MongoDB and Redis being killed while people chat",
        run: chaos::chaos,
    },
    Part {
        name: "fuzz",
        about: "the corpora again, then 10 s of new inputs for each target",
        run: fuzz::fuzz,
    },
];
