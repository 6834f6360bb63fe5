//! The minutes of a push that each part of the product may take: reads `xtask/budget.toml`, and holds
//! what was used against it. Nothing here measures; times come in as arguments.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};

/// The minutes of all parts of the product together: what a push may take, so that people still know what
/// they pushed when the result comes.
const TOGETHER_MAX: u32 = 45;

/// Where the minutes are written down, from the root.
const FILE: &str = "xtask/budget.toml";

/// What `budget.toml` says.
#[derive(Debug, Default, PartialEq)]
pub struct Minutes {
    /// Allowed minutes by the name of the part of the product.
    allowed: BTreeMap<String, u32>,
    /// The part of the product by `command.part`.
    counted_for: BTreeMap<String, String>,
}

impl Minutes {
    /// Reads them from the repository.
    ///
    /// # Errors
    /// When the file cannot be read or has a line that is not understood.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(root.join(FILE)).context(FILE)?;
        Self::parse(&text).context(FILE)
    }

    /// Understands sections, comments and `key = value`, which is all that the file needs of TOML.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut minutes = Self::default();
        let mut section = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let name = line.strip_prefix('[');
            if let Some(name) = name.and_then(|name| name.strip_suffix(']')) {
                name.clone_into(&mut section);
                continue;
            }
            let learned = minutes.learn(&section, line);
            learned.with_context(|| format!("line {}: `{line}`", index + 1))?;
        }
        Ok(minutes)
    }

    fn learn(&mut self, section: &str, line: &str) -> anyhow::Result<()> {
        let (key, value) = line.split_once('=').context("there is no `=`")?;
        let (key, value) = (key.trim().to_owned(), value.trim());
        let is_new = match section {
            "minutes" => {
                let value = value.parse().context("minutes are a whole number")?;
                self.allowed.insert(key, value).is_none()
            }
            "parts" => {
                let value = value.trim_matches('"').to_owned();
                self.counted_for.insert(key, value).is_none()
            }
            _ => bail!("there is no section [{section}]"),
        };
        if !is_new {
            bail!("it was said before");
        }
        Ok(())
    }

    /// Fails when all minutes together are too many, or when `parts` (as `command.part`) and the lines of
    /// the file are not the same.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn judge(&self, parts: &[String]) -> anyhow::Result<u32> {
        let together = self.allowed.values().sum();
        if together > TOGETHER_MAX {
            bail!("{FILE} allows {together} minutes together, over {TOGETHER_MAX}");
        }
        for part in parts {
            let Some(name) = self.counted_for.get(part) else {
                bail!("{FILE} does not say what `{part}` is counted for");
            };
            if !self.allowed.contains_key(name) {
                bail!("{FILE} counts `{part}` for `{name}`, which has no minutes");
            }
        }
        let known: BTreeSet<_> = parts.iter().collect();
        if let Some(gone) = self.counted_for.keys().find(|part| !known.contains(part)) {
            bail!("{FILE} has a line for `{gone}`, which does not exist");
        }
        Ok(together)
    }

    /// One line for each part of the product that used time: used against allowed.
    pub fn used<'a>(&self, times: impl Iterator<Item = (&'a str, Duration)>) -> Vec<String> {
        let mut used: BTreeMap<&str, Duration> = BTreeMap::new();
        for (part, time) in times {
            let name = self.counted_for.get(part).map_or("others", String::as_str);
            *used.entry(name).or_default() += time;
        }
        let line = |(name, time): (&str, Duration)| {
            let allowed = self.allowed.get(name).copied().unwrap_or_default();
            let minutes = time.as_secs_f32() / 60.0;
            let over = if minutes > allowed as f32 {
                "  OVER"
            } else {
                ""
            };
            format!("{name:<10} {minutes:>5.1} of {allowed} min{over}")
        };
        used.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# x\n[minutes]\na = 3\nb = 4\n\n[parts]\n# y\ncheck.one = \"a\"\n";

    fn judge(text: &str, parts: &[&str]) -> anyhow::Result<u32> {
        let parts: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
        Minutes::parse(text)?.judge(&parts)
    }

    #[test]
    fn forty_five_minutes_are_enough_for_everything() {
        let text = |last: u32| format!("[minutes]\na = 40\nb = {last}\n");
        assert_eq!(judge(&text(5), &[]).unwrap(), 45);
        let error = judge(&text(6), &[]).unwrap_err().to_string();
        assert!(error.contains("46 minutes together, over 45"), "{error}");
    }

    #[test]
    fn every_part_is_counted_for_something_that_has_minutes() {
        assert_eq!(judge(TEXT, &["check.one"]).unwrap(), 7);
        assert!(judge(TEXT, &["check.one", "test.two"]).is_err());
        assert!(judge(TEXT, &[]).is_err(), "a part that does not exist");
        let elsewhere = TEXT.replace("\"a\"", "\"c\"");
        assert!(judge(&elsewhere, &["check.one"]).is_err());
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for (wrong, why) in [
            ("[minutes]\na\n", "line 2: `a`"),
            ("[minutes]\na = much\n", "line 2: `a = much`"),
            ("[minutes]\na = 1\na = 1\n", "line 3: `a = 1`"),
            ("[others]\na = 1\n", "line 2: `a = 1`"),
        ] {
            let error = Minutes::parse(wrong).unwrap_err().to_string();
            assert_eq!(error, why);
        }
    }

    #[test]
    fn times_are_summed_by_what_they_are_counted_for() {
        let minutes = Minutes::parse(TEXT).unwrap();
        let times = [("check.one", 120), ("check.one", 90), ("test.new", 30)];
        let times = times.map(|(part, seconds)| (part, Duration::from_secs(seconds)));
        let used = minutes.used(times.into_iter());
        let expected = [
            "a            3.5 of 3 min  OVER",
            "others       0.5 of 0 min  OVER",
        ];
        assert_eq!(used, expected);
    }
}
