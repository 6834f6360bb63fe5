//! Which part may start: the first of those that wait whose tools are free. Pure.
//!
//! The order of the parts is kept as far as the tools allow, so that quick parts still come first.

/// What two parts cannot use at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The folder that cargo builds in, and the processor time that compilers take. Parts that judge by
    /// the clock have it too: beside a compiler they would judge the machine.
    Cargo,
    /// The folder of the fuzz targets.
    Fuzz,
    /// The folders of npm packages, and what is built of them.
    Node,
    /// The environment of Python.
    Python,
}

/// How many parts run side by side: one for each core of the machine that the minutes are of.
pub const SIDE_BY_SIDE_MAX: usize = 2;

/// What is known of a part before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// The command it belongs to.
    pub command: &'static str,
    /// Its name, unique within the command.
    pub name: &'static str,
    /// What it uses.
    pub tools: &'static [Tool],
    /// The part of the same command that has to end before it starts, if that one runs at all.
    pub after: Option<&'static str>,
}

/// The parts of one run.
#[derive(Debug)]
pub struct Schedule {
    parts: Vec<Needs>,
    waiting: Vec<usize>,
    running: Vec<usize>,
}

impl Schedule {
    /// All `parts` wait.
    pub fn new(parts: Vec<Needs>) -> Self {
        Self {
            waiting: (0..parts.len()).collect(),
            running: Vec::new(),
            parts,
        }
    }

    /// Takes a part that may start now.
    pub fn start(&mut self) -> Option<usize> {
        if self.running.len() >= SIDE_BY_SIDE_MAX {
            return None;
        }
        let at = self
            .waiting
            .iter()
            .position(|index| self.may_start(*index))?;
        let index = self.waiting.remove(at);
        self.running.push(index);
        Some(index)
    }

    fn may_start(&self, index: usize) -> bool {
        let part = &self.parts[index];
        let mut in_use = self
            .running
            .iter()
            .flat_map(|other| self.parts[*other].tools);
        let mut unfinished = self.waiting.iter().chain(&self.running);
        let is_early = unfinished.any(|other| {
            let other = &self.parts[*other];
            other.command == part.command && Some(other.name) == part.after
        });
        !is_early && !in_use.any(|tool| part.tools.contains(tool))
    }

    /// The part has ended, however it went.
    pub fn end(&mut self, index: usize) {
        self.running.retain(|other| *other != index);
    }

    /// The parts that run, in the order they started.
    pub fn running(&self) -> &[usize] {
        &self.running
    }
}

#[cfg(test)]
mod tests {
    use super::{Tool::*, *};

    const fn part(name: &'static str, tools: &'static [Tool]) -> Needs {
        Needs {
            command: "try",
            name,
            tools,
            after: None,
        }
    }

    fn start_all(schedule: &mut Schedule) -> Vec<usize> {
        std::iter::from_fn(|| schedule.start()).collect()
    }

    #[test]
    fn parts_that_share_a_tool_run_one_after_the_other() {
        let parts = vec![part("a", &[Cargo]), part("b", &[Cargo]), part("c", &[Node])];
        let mut schedule = Schedule::new(parts);
        assert_eq!(start_all(&mut schedule), [0, 2]);
        schedule.end(2);
        assert_eq!(start_all(&mut schedule), [], "b waits for the tool");
        schedule.end(0);
        assert_eq!(start_all(&mut schedule), [1]);
        assert_eq!(schedule.running(), [1]);
    }

    #[test]
    fn no_more_run_side_by_side_than_there_are_cores() {
        let parts = vec![part("a", &[]), part("b", &[]), part("c", &[])];
        let mut schedule = Schedule::new(parts);
        assert_eq!(start_all(&mut schedule), [0, 1]);
        schedule.end(1);
        assert_eq!(start_all(&mut schedule), [2]);
    }

    #[test]
    fn a_part_waits_for_the_one_it_comes_after_if_that_one_runs() {
        let late = Needs {
            after: Some("a"),
            ..part("b", &[Node])
        };
        let mut schedule = Schedule::new(vec![late, part("a", &[Cargo])]);
        assert_eq!(start_all(&mut schedule), [1]);
        schedule.end(1);
        assert_eq!(start_all(&mut schedule), [0]);
        assert_eq!(start_all(&mut Schedule::new(vec![late])), [0]);
    }
}
