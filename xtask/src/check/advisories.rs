//! Known advisories: Cargo.lock against `advisories.toml`, without the network.
//!
//! A version that an advisory is about fails the check, unless the file says why it is built anyway. What is not in
//! the file is not known here: cargo-deny has the whole database.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};

use crate::{
    output::say,
    run::{Run, is_available},
};

/// Where the advisories are, from the root.
const FILE: &str = "advisories.toml";

/// After this many days the file should be looked at again.
const DAYS_MAX: u64 = 90;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Three numbers, which is all that is compared: no prerelease is ever built.
type Version = [u64; 3];

/// One advisory.
#[derive(Debug, Default, PartialEq)]
struct Advisory {
    id: String,
    krate: String,
    /// The first version without the fault.
    fixed: Option<Version>,
    /// Why it is built although there is no such version.
    accepted: Option<String>,
    verdict: String,
}

/// What the file says.
#[derive(Debug, Default, PartialEq)]
struct Known {
    date: String,
    advisories: Vec<Advisory>,
}

/// Checks Cargo.lock, and warns when the file is old; then what npm knows of the SDK's packages, where its registry
/// says it.
///
/// # Errors
/// Names each package that an advisory is about, or the line that is not understood.
pub fn advisories(root: &Path) -> anyhow::Result<()> {
    let known = std::fs::read_to_string(root.join(FILE)).context(FILE)?;
    let known = Known::parse(&known).context(FILE)?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    let found = known.affected(&packages(&lock)?);
    if !found.is_empty() {
        bail!(
            "{} packages have known faults:\n   {}",
            found.len(),
            found.join("\n   ")
        );
    }
    let days = known.age(SystemTime::now())?;
    if days > DAYS_MAX {
        say!("   warning: {FILE} is {days} days old: look for newer advisories and move its date");
    }
    say!(
        "   {} advisories, {days} days old, are about nothing in Cargo.lock that is not accepted",
        known.advisories.len()
    );
    audit_npm(root)
}

/// `npm audit` asks a registry, and not every registry has an answer.
fn audit_npm(root: &Path) -> anyhow::Result<()> {
    if !is_available("npm", &["--version"]) {
        say!("   npm is not installed: the packages of the SDK were not audited");
        return Ok(());
    }
    let audit = ["audit", "--audit-level=high", "--omit=dev", "--json"];
    let patience = ["--fetch-retries=0", "--fetch-timeout=10000"];
    let run = Run::new(&root.join("sdk-ts"), "npm")
        .args(audit)
        .args(patience);
    let (is_fine, report) = run.read_either()?;
    if !report.contains("\"auditReportVersion\"") {
        say!("   the npm registry does not audit: the packages of the SDK were not looked at");
    } else if is_fine {
        say!("   npm audit: nothing serious in what the SDK is shipped with");
    } else {
        bail!("npm audit found serious faults: run `npm audit --omit=dev` in sdk-ts");
    }
    Ok(())
}

impl Known {
    /// Understands comments, `[[advisory]]` and `key = "value"`, which is all that the file needs of TOML.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut known = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let learned = known.learn(line);
            learned.with_context(|| format!("line {}: `{line}`", index + 1))?;
        }
        for advisory in &known.advisories {
            advisory.check().with_context(|| advisory.id.clone())?;
        }
        if known.date.is_empty() {
            bail!("it has no date");
        }
        Ok(known)
    }

    fn learn(&mut self, line: &str) -> anyhow::Result<()> {
        if line == "[[advisory]]" {
            self.advisories.push(Advisory::default());
            return Ok(());
        }
        let (key, value) = line.split_once('=').context("there is no `=`")?;
        let value = value
            .trim()
            .strip_prefix('"')
            .and_then(|it| it.strip_suffix('"'));
        let value = value.context("a value stands in quotes")?.to_owned();
        match (key.trim(), self.advisories.last_mut()) {
            ("date", None) => self.date = value,
            ("id", Some(last)) => last.id = value,
            ("crate", Some(last)) => last.krate = value,
            ("fixed", Some(last)) => last.fixed = Some(version(&value)?),
            ("accepted", Some(last)) => last.accepted = Some(value),
            ("verdict", Some(last)) => last.verdict = value,
            (key, _) => bail!("`{key}` has no meaning here"),
        }
        Ok(())
    }

    /// A sentence for each package that an advisory is about and that nobody accepted.
    fn affected(&self, packages: &[(String, Version)]) -> Vec<String> {
        let mut found = Vec::new();
        for advisory in self.advisories.iter().filter(|it| it.accepted.is_none()) {
            let about = packages.iter().filter(|(name, _)| *name == advisory.krate);
            for (name, [major, minor, patch]) in about.filter(|it| advisory.is_about(it.1)) {
                let fixed = advisory
                    .fixed
                    .unwrap_or_default()
                    .map(|it| it.to_string())
                    .join(".");
                let Advisory { id, verdict, .. } = advisory;
                found.push(format!(
                    "{name} {major}.{minor}.{patch}: {id}, fixed in {fixed}. {verdict} Run `cargo update -p {name}`."
                ));
            }
        }
        found
    }

    /// How many days ago the file was last brought up to date.
    fn age(&self, now: SystemTime) -> anyhow::Result<u64> {
        let numbers: Vec<u64> = self
            .date
            .split('-')
            .filter_map(|it| it.parse().ok())
            .collect();
        let &[year, month, day] = numbers.as_slice() else {
            bail!("{FILE}: the date is not YYYY-MM-DD: {}", self.date);
        };
        let today = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let today = today.as_secs() / DAY.as_secs();
        Ok(today.saturating_sub(days_since_1970(year, month, day)))
    }
}

impl Advisory {
    fn check(&self) -> anyhow::Result<()> {
        if self.id.is_empty() || self.krate.is_empty() || self.verdict.is_empty() {
            bail!("an advisory has an id, a crate and a verdict");
        }
        if self.fixed.is_some() == self.accepted.is_some() {
            bail!("an advisory has either a fixed version or a reason to accept it");
        }
        Ok(())
    }

    fn is_about(&self, version: Version) -> bool {
        self.fixed.is_none_or(|fixed| version < fixed)
    }
}

/// Names and versions in a Cargo.lock.
fn packages(lock: &str) -> anyhow::Result<Vec<(String, Version)>> {
    let mut packages = Vec::new();
    let mut name = None;
    for line in lock.lines() {
        let value = |key| line.strip_prefix(key).map(|it: &str| it.trim_matches('"'));
        if let Some(value) = value("name = ") {
            name = Some(value.to_owned());
        } else if let Some(value) = value("version = ")
            && let Some(name) = name.take()
        {
            packages.push((name, version(value)?));
        }
    }
    Ok(packages)
}

/// The numbers of a version; what follows them does not count.
fn version(text: &str) -> anyhow::Result<Version> {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Result<Vec<u64>, _> = numbers.split('.').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|it| Version::try_from(it).ok());
    numbers.with_context(|| format!("{text} is not a version"))
}

/// Days from the first of January 1970 to a day of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March here, so that the odd day comes last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days_before_month = (153 * month + 2) / 5;
    let before_1970 = 719_468;
    (365 * year + year / 4 - year / 100 + year / 400 + days_before_month + day - 1)
        .saturating_sub(before_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
date = "2026-12-01"
# A comment.
[[advisory]]
id = "RUSTSEC-2026-0037"
crate = "quinn-proto"
fixed = "0.11.14"
verdict = "A panic."
[[advisory]]
id = "RUSTSEC-2025-0141"
crate = "bincode"
accepted = "There is a way out."
verdict = "Nobody maintains it."
"#;

    fn lock(version: &str) -> String {
        format!(
            "[[package]]\nname = \"bincode\"\nversion = \"2.0.1\"\n\n[[package]]\nname = \"quinn-proto\"\nversion = \
             \"{version}\"\nsource = \"registry\"\n"
        )
    }

    #[test]
    fn an_affected_version_is_refused_and_an_accepted_one_is_not() {
        let known = Known::parse(TEXT).unwrap();
        let found = |version: &str| known.affected(&packages(&lock(version)).unwrap());
        assert!(found("0.11.14").is_empty() && found("0.12.0").is_empty());
        for planted in ["0.11.13", "0.9.20", "0.11.9-rc.1"] {
            let found = found(planted);
            assert_eq!(found.len(), 1);
            assert!(
                found[0].contains("RUSTSEC-2026-0037") && found[0].contains("cargo update"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_check_itself_refuses_a_planted_version() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join(FILE), TEXT).unwrap();
        std::fs::write(root.join("Cargo.lock"), lock("0.11.13")).unwrap();
        let refused = advisories(root).unwrap_err().to_string();
        assert!(
            refused.contains("quinn-proto 0.11.13: RUSTSEC-2026-0037"),
            "{refused}"
        );
    }

    #[test]
    fn a_line_that_means_nothing_and_an_advisory_without_a_verdict_are_named() {
        for (wrong, sentence) in [
            ("date = 1", "line 1"),
            (
                "date = \"2026-12-01\"\n[[advisory]]\nid = \"A\"\ncrate = \"b\"\nfixed = \"1\"",
                "line 5",
            ),
            (
                "date = \"2026-12-01\"\n[[advisory]]\nid = \"A\"\ncrate = \"b\"\nfixed = \"1.0.0\"",
                "A",
            ),
            (
                "[[advisory]]\nid = \"A\"\ncrate = \"b\"\nfixed = \"1.0.0\"\nverdict = \"c\"",
                "no date",
            ),
        ] {
            let error = format!("{:#}", Known::parse(wrong).unwrap_err());
            assert!(error.contains(sentence), "{error}");
        }
    }

    #[test]
    fn the_age_is_in_days() {
        let known = Known::parse(TEXT).unwrap();
        let days = |days: u64| SystemTime::UNIX_EPOCH + DAY * u32::try_from(days).unwrap();
        let written = days_since_1970(2026, 12, 1);
        assert_eq!(written, 20_788);
        assert_eq!(known.age(days(written + 91)).unwrap(), 91);
        assert_eq!(known.age(days(written - 5)).unwrap(), 0, "clocks differ");
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(
            days_since_1970(2024, 3, 1) - days_since_1970(2024, 2, 28),
            2,
            "a leap year"
        );
    }
}
