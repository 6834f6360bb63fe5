//! Commands that consist of named parts: runs them all, then says which failed.
//!
//! Parts that share no tool run side by side ([`schedule`]). The first of them prints as it goes; what
//! another prints beside it is kept, and printed whole when that one ends. One failing part never
//! hides another. The last line counts parts, `N passed, N failed`, in the form that test runners use.

use std::{
    any::Any,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    minutes::Minutes,
    output, tree,
    trend::{self, Entry},
};

mod count;
mod schedule;

pub use schedule::Tool;
use schedule::{Needs, Schedule};

/// How often it is said what runs without being seen: CI services take silence for a hang.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// One named piece of `check` or `test`.
pub struct Part {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it covers, for the summary.
    pub about: &'static str,
    /// What it cannot share with another part at the same time.
    pub tools: &'static [Tool],
    /// The part of the same command that has to end before it starts.
    pub after: Option<&'static str>,
    /// What is done, in the repository at the given root.
    pub work: Work,
}

/// The work of a part.
pub enum Work {
    /// The same in every form.
    Same(fn(&Path) -> anyhow::Result<()>),
    /// A short form for every push, and a long one.
    Forms {
        /// What only the long form does, in words.
        moved: &'static str,
        /// Does either.
        run: fn(&Path, Form) -> anyhow::Result<()>,
    },
}

/// How much of a part is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// What every push runs.
    Short,
    /// What runs by night, and before somebody says that a change of a part is done.
    Long,
}

impl Form {
    /// `short`, or `long` in the long form.
    pub fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

/// Which parts to run.
#[derive(Default, Args)]
pub struct PartArgs {
    /// Only this part; can be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// A part of a command that is to run.
#[derive(Clone, Copy)]
pub struct Chosen {
    /// `check` or `test`.
    pub command: &'static str,
    /// The part.
    pub part: &'static Part,
}

struct Outcome {
    chosen: Chosen,
    span: (Duration, Duration),
    result: anyhow::Result<()>,
}

/// The parts of `command` that are asked for: all, or those of `--only`.
///
/// # Errors
/// When a name of `--only` is unknown.
pub fn choose(
    command: &'static str,
    parts: &'static [Part],
    args: &PartArgs,
) -> anyhow::Result<Vec<Chosen>> {
    let chosen = |part| Chosen { command, part };
    if args.only.is_empty() {
        return Ok(parts.iter().map(chosen).collect());
    }
    let find = |name: &String| {
        let found = parts.iter().find(|part| part.name == name);
        found.map(chosen).with_context(|| {
            let names: Vec<_> = parts.iter().map(|part| part.name).collect();
            format!("there is no part `{name}`; there are: {}", names.join(", "))
        })
    };
    args.only.iter().map(find).collect()
}

/// Runs the parts and sums up.
///
/// # Errors
/// When a part failed.
pub fn run_parts(root: &Path, parts: Vec<Chosen>, form: Form) -> anyhow::Result<()> {
    let outcomes = run_all(root, parts, form)?;
    sum_up(form, &outcomes);
    record(root, form, &outcomes)?;
    verdict(&outcomes)
}

/// Runs the parts, in their order as far as their tools allow.
fn run_all(root: &Path, parts: Vec<Chosen>, form: Form) -> anyhow::Result<Vec<Outcome>> {
    let (ended, endings) = channel();
    let needs = parts.iter().map(Chosen::needs).collect();
    let mut crew = Crew {
        schedule: Schedule::new(needs),
        started: vec![Duration::ZERO; parts.len()],
        begin: Instant::now(),
        on_terminal: None,
        outcomes: Vec::new(),
        parts,
        root,
        form,
    };
    std::thread::scope(|scope| {
        loop {
            while let Some(index) = crew.schedule.start() {
                let work = crew.prepare(index)?;
                let ended: Sender<Ended> = ended.clone();
                scope.spawn(move || drop(ended.send((index, work()))));
            }
            if crew.schedule.running().is_empty() {
                return Ok(crew.outcomes);
            }
            crew.wait(&endings)?;
        }
    })
}

/// A part by its index, and how it went.
type Ended = (usize, anyhow::Result<()>);

/// The parts while they run.
struct Crew<'a> {
    root: &'a Path,
    form: Form,
    parts: Vec<Chosen>,
    schedule: Schedule,
    begin: Instant,
    /// When each part started, from the begin.
    started: Vec<Duration>,
    /// The part that prints as it goes.
    on_terminal: Option<usize>,
    outcomes: Vec<Outcome>,
}

impl<'a> Crew<'a> {
    /// Says that a part starts, and returns its work: all that may go to another thread.
    fn prepare(
        &mut self,
        index: usize,
    ) -> anyhow::Result<impl FnOnce() -> anyhow::Result<()> + Send + use<'a>> {
        let (chosen, root, form) = (self.parts[index], self.root, self.form);
        self.started[index] = self.begin.elapsed();
        let kept = match self.on_terminal {
            None => {
                self.on_terminal = Some(index);
                None
            }
            Some(_) => Some(self.file(chosen)?),
        };
        let beside = if kept.is_some() { " (beside)" } else { "" };
        let (count, about) = (self.parts.len(), chosen.part.about);
        println!("== {chosen} ({}/{count}){beside}: {about}", index + 1);
        Ok(move || {
            if let Some(kept) = kept {
                output::keep_in(kept);
            }
            // A panic is a failure of this part, and hides no other.
            let outcome = catch_unwind(AssertUnwindSafe(|| chosen.part.work.run(root, form)));
            outcome.unwrap_or_else(|panic| bail!("it panicked: {}", panic_message(&*panic)))
        })
    }

    fn log(&self, chosen: Chosen) -> PathBuf {
        let folder = tree::target_dir(self.root).join("parts");
        folder.join(format!("{}.log", chosen.key()))
    }

    fn file(&self, chosen: Chosen) -> anyhow::Result<File> {
        let path = self.log(chosen);
        std::fs::create_dir_all(path.parent().context("a log lies in a folder")?)?;
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Waits until a part ends, saying meanwhile what runs.
    fn wait(&mut self, endings: &Receiver<Ended>) -> anyhow::Result<()> {
        match endings.recv_timeout(PROGRESS_INTERVAL) {
            Ok((index, result)) => self.end(index, result),
            Err(RecvTimeoutError::Timeout) => self.tell_progress(),
            Err(RecvTimeoutError::Disconnected) => bail!("a part ended without saying so"),
        }
        Ok(())
    }

    fn end(&mut self, index: usize, result: anyhow::Result<()>) {
        let chosen = self.parts[index];
        self.schedule.end(index);
        if self.on_terminal == Some(index) {
            self.on_terminal = None;
        } else {
            let said = std::fs::read(self.log(chosen)).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            println!("-- what {chosen} said\n{}\n--", said.trim_end());
        }
        if let Err(error) = &result {
            println!("!! {chosen}: {error:#}");
        }
        self.outcomes.push(Outcome {
            chosen,
            span: (self.started[index], self.begin.elapsed()),
            result,
        });
    }

    fn tell_progress(&self) {
        let now = self.begin.elapsed();
        let running = self.schedule.running().iter();
        let unseen = running.filter(|index| self.on_terminal != Some(**index));
        let unseen: Vec<_> = unseen
            .map(|index| {
                let seconds = (now - self.started[*index]).as_secs();
                format!("{} for {seconds} s", self.parts[*index])
            })
            .collect();
        if !unseen.is_empty() {
            println!("     … beside: {}", unseen.join(", "));
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let literal = || panic.downcast_ref::<&str>().copied();
    text.or_else(literal).unwrap_or("without a message")
}

impl Chosen {
    fn needs(&self) -> Needs {
        Needs {
            command: self.command,
            name: self.part.name,
            tools: self.part.tools,
            after: self.part.after,
        }
    }

    /// Its name among the parts of all commands.
    fn key(self) -> String {
        format!("{}.{}", self.command, self.part.name)
    }
}

impl std::fmt::Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.command, self.part.name)
    }
}

impl Work {
    fn run(&self, root: &Path, form: Form) -> anyhow::Result<()> {
        match self {
            Self::Same(run) => run(root),
            Self::Forms { run, .. } => run(root, form),
        }
    }
}

fn sum_up(form: Form, outcomes: &[Outcome]) {
    println!("== summary");
    for outcome in outcomes {
        let verdict = if outcome.result.is_ok() {
            "ok"
        } else {
            "FAILED"
        };
        let seconds = (outcome.span.1 - outcome.span.0).as_secs_f32();
        let name = outcome.chosen.to_string();
        println!("   {name:<14} {verdict:<7} {seconds:>7.1} s");
        if let (Work::Forms { moved, .. }, Form::Short) = (&outcome.chosen.part.work, form) {
            println!("              moved to `cargo xtask test --nightly`: {moved}");
        }
        if let Err(error) = &outcome.result {
            let indented = format!("{error:#}").replace('\n', "\n              ");
            println!("              {indented}");
        }
    }
}

/// Writes the seconds down, and after the short form says what they are of the minutes allowed.
fn record(root: &Path, form: Form, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let spans: Vec<_> = outcomes.iter().map(|outcome| outcome.span).collect();
    let shares = count::shares(&spans);
    let entry = |(outcome, counted): (&Outcome, &Duration)| Entry {
        command: outcome.chosen.command,
        part: outcome.chosen.part.name,
        form: form.of("short", "long"),
        is_ok: outcome.result.is_ok(),
        elapsed: outcome.span.1 - outcome.span.0,
        counted: *counted,
    };
    let entries: Vec<_> = outcomes.iter().zip(&shares).map(entry).collect();
    let file = trend::append(root, &entries)?;
    let together: Duration = shares.iter().sum();
    println!(
        "   {:.1} minutes; the seconds of each part are in {}",
        together.as_secs_f32() / 60.0,
        file.display()
    );
    if form == Form::Short {
        let keys: Vec<_> = outcomes.iter().map(|it| it.chosen.key()).collect();
        let times = keys.iter().map(String::as_str).zip(shares);
        for line in Minutes::read(root)?.used(times) {
            println!("   used: {line}");
        }
    }
    Ok(())
}

fn verdict(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} parts failed", outcomes.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
