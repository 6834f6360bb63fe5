//! `cargo xtask check`: everything that needs no running program. Quick parts come first.

use std::path::Path;

use crate::{
    generated, install,
    minutes::Minutes,
    output::say,
    part::{self, Form, Part, PartArgs, Tool::*, Work},
    python,
    run::Run,
    stale, test, tree,
};

mod advisories;
mod files;
mod licence;
mod source;
mod supply;
mod tidy;

/// The parts, in the order they run.
pub static PARTS: &[Part] = &[
    Part {
        name: "fmt",
        about: "the code is formatted",
        tools: &[Cargo],
        after: None,
        work: Work::Same(fmt),
    },
    Part {
        name: "tidy",
        about: "the house style, as far as a program can see it",
        tools: &[],
        after: None,
        work: Work::Same(tidy::tidy),
    },
    Part {
        name: "gen",
        about: "the generated code is up to date",
        tools: &[Cargo],
        after: None,
        work: Work::Same(generated::compare),
    },
    Part {
        name: "minutes",
        about: "the minutes of all parts together stay within those of a push",
        tools: &[],
        after: None,
        work: Work::Same(minutes),
    },
    Part {
        name: "advisories",
        about: "no package in Cargo.lock has a fault that is known here",
        tools: &[],
        after: None,
        work: Work::Same(advisories::advisories),
    },
    Part {
        name: "supply",
        about: "licences, banned crates and sources of every dependency",
        tools: &[Cargo],
        after: None,
        work: Work::Same(supply::supply),
    },
    Part {
        name: "clippy",
        about: "the lints, as errors",
        tools: &[Cargo],
        after: None,
        work: Work::Same(clippy),
    },
    Part {
        name: "budget",
        about: "the message path takes no more instructions than its budgets allow",
        tools: &[Cargo],
        after: None,
        work: Work::Same(budget),
    },
    Part {
        name: "doc",
        about: "the documentation builds without a warning",
        tools: &[Cargo],
        after: None,
        work: Work::Same(doc),
    },
    Part {
        name: "sdk",
        about: "the SDK, the example page and the browser tests: types, lints",
        tools: &[Node],
        after: None,
        work: Work::Same(sdk),
    },
    Part {
        name: "python",
        about: "the Python client: format, lints, types",
        tools: &[Python],
        after: None,
        work: Work::Same(python),
    },
];

/// Runs the chosen parts.
///
/// # Errors
/// As [`part::run_parts`].
pub fn check(root: &Path, args: &PartArgs) -> anyhow::Result<()> {
    part::run_parts(root, part::choose("check", PARTS, args)?, Form::Short)
}

fn fmt(root: &Path) -> anyhow::Result<()> {
    Run::new(root, "cargo")
        .args(["fmt", "--all", "--check"])
        .run()?;
    let fuzz = root.join("fuzz");
    if !fuzz.is_dir() {
        return Ok(());
    }
    Run::new(&fuzz, "cargo").args(["fmt", "--check"]).run()
}

fn minutes(root: &Path) -> anyhow::Result<()> {
    let names = |command: &'static str, parts: &'static [Part]| {
        parts
            .iter()
            .map(move |part| format!("{command}.{}", part.name))
    };
    let parts: Vec<_> = names("check", PARTS)
        .chain(names("test", test::PARTS))
        .collect();
    let together = Minutes::read(root)?.judge(&parts)?;
    say!(
        "   {} parts may take {together} minutes together",
        parts.len()
    );
    Ok(())
}

/// What the server is also linted with: nothing of what is on by default, and each of it alone. Cargo checks
/// again what depends on it, and nothing else.
const SERVER_FEATURES: [&str; 3] = ["", "nowrong-server/mongodb", "nowrong-server/redis"];

fn clippy(root: &Path) -> anyhow::Result<()> {
    let lint = |flags: &[&str]| {
        Run::new(root, "cargo")
            .args(["clippy", "--workspace", "--locked"])
            .args(flags)
            .args(["--", "-D", "warnings"])
            .run()
    };
    lint(&["--all-targets"])?;
    for features in SERVER_FEATURES {
        lint(&["--no-default-features", "--features", features])?;
    }
    Ok(())
}

fn budget(root: &Path) -> anyhow::Result<()> {
    install::require(&["valgrind"], "valgrind")?;
    let run = ["run", "--locked", "--profile", "budget"];
    Run::new(root, "cargo")
        .args(run)
        .args(["-p", "nowrong-micro", "--", "judge"])
        .arg(Path::new("tests/micro/budgets.toml"))
        .run()
}

/// Documents what says `doc` in its manifest, as everything does but tests and tools: their comments are read
/// in the source. All packages are named, since fewer would change features and compile dependencies again.
fn doc(root: &Path) -> anyhow::Result<()> {
    let doc = [
        "doc",
        "--workspace",
        "--no-deps",
        "--locked",
        "--document-private-items",
    ];
    // Private items are documented too: for those who change the code, links to them are the map.
    let flags = "-D warnings -A rustdoc::private-intra-doc-links";
    Run::new(root, "cargo")
        .args(doc)
        .env("RUSTDOCFLAGS", flags)
        .run()
}

fn sdk(root: &Path) -> anyhow::Result<()> {
    // The others use the SDK as it is built, as a frontend team would.
    stale::build_page(root)?;
    for package in stale::NPM_PACKAGES {
        let package = root.join(package);
        stale::install_npm(&package)?;
        Run::new(&package, "npm").args(["run", "check"]).run()?;
    }
    Ok(())
}

fn python(root: &Path) -> anyhow::Result<()> {
    let interpreter = python::interpreter(root)?;
    let python = || Run::new(&python::folder(root), &interpreter);
    python()
        .args(["-m", "ruff", "format", "--no-cache", "--check"])
        .run()?;
    python().args(["-m", "ruff", "check", "--no-cache"]).run()?;
    let cache = tree::target_dir(root).join("mypy");
    python()
        .args(["-m", "mypy", "--cache-dir"])
        .arg(cache)
        .run()
}
