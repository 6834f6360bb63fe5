//! An explicit-state model checker: visits every state that a model can reach, breadth first.
//!
//! It settles two questions. Is a property broken in any state? Then the shortest way there is the
//! counterexample. Is there a state from which the goal cannot be reached by guaranteed actions
//! alone, that is, without luck and without further faults? Then somebody would wait without end.
//! The second question is why this is not `stateright`: its liveness check covers only runs that
//! end.
//!
//! A state is remembered by 64 bits of its hash: with the half million states of the largest model,
//! the chance that two collide and one is overlooked is below one in a hundred million.
//! Start reading at [`check`].

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt::{self, Debug, Display},
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// A system: its states, and the steps between them.
pub(crate) trait Model {
    type State: Clone + Debug + Hash;
    type Action: Copy + Debug;

    /// The state where every run begins.
    fn initial(&self) -> Self::State;

    /// All actions that may happen next. An action that changes nothing may be included; it is
    /// skipped.
    fn actions(&self, state: &Self::State) -> Vec<Self::Action>;

    /// Performs an action; `false` when it cannot happen here.
    fn apply(&self, state: &mut Self::State, action: Self::Action) -> bool;

    /// The property that is broken in this state, if any.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether the action is sure to happen eventually as long as it stays possible. Faults and
    /// luck are not.
    fn is_guaranteed(&self, action: Self::Action) -> bool;

    /// Whether this state is a goal.
    fn is_goal(&self, state: &Self::State) -> bool;

    /// Whether a bound of the model, not of the system, may keep this state from the goal.
    fn is_at_bound(&self, state: &Self::State) -> bool;
}

/// The result of a search that found no fault.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// The longest of all shortest paths to a state.
    pub(crate) depth: u32,
    pub(crate) goals: usize,
}

impl Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            states,
            steps,
            depth,
            goals,
        } = self;
        write!(
            f,
            "{states} states, {steps} steps, depth {depth}, {goals} goals"
        )
    }
}

/// A counterexample.
pub(crate) struct Violation<M: Model> {
    pub(crate) property: &'static str,
    trace: Vec<M::Action>,
    last: Box<M::State>,
    /// How many states had been visited when it was found.
    states: usize,
}

impl<M: Model> Display for Violation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (steps, states) = (self.trace.len(), self.states);
        write!(f, "{steps} steps, found after {states} states")
    }
}

impl<M: Model> Debug for Violation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after", self.property)?;
        for (index, action) in self.trace.iter().enumerate() {
            writeln!(f, "{:4}. {action:?}", index + 1)?;
        }
        write!(f, "in {:#?}", self.last)
    }
}

/// The property that is broken where no guaranteed run leads to the goal.
pub(crate) const STUCK: &str = "from here nothing that is sure to happen leads to the goal";

/// Visits every state of `model`.
///
/// # Errors
/// The shortest counterexample.
pub(crate) fn check<M: Model>(model: &M) -> Result<Checked, Violation<M>> {
    let graph = Graph::explore(model)?;
    if let Some(stuck) = graph.first_stuck() {
        return Err(graph.violation(model, STUCK, stuck));
    }
    Ok(Checked {
        states: graph.nodes.len(),
        steps: graph.steps,
        depth: graph.nodes.last().map_or(0, |node| node.depth),
        goals: graph.nodes.iter().filter(|node| node.is_goal).count(),
    })
}

struct Node {
    /// From which state, by which of its actions, it was reached first.
    parent: u32,
    action: u8,
    depth: u32,
    is_goal: bool,
    is_at_bound: bool,
}

struct Graph {
    nodes: Vec<Node>,
    /// Guaranteed steps, backwards: to, from.
    guaranteed: Vec<(u32, u32)>,
    steps: usize,
}

/// Multiplies and folds, a word at a time: several times faster than the standard hash on states of
/// many small fields. No attacker chooses states that collide.
#[derive(Default)]
struct Fingerprint(u64);

impl Fingerprint {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(0xd6e8_feb8_6659_fd93_u64);
        self.0 = (product as u64) ^ (product >> 64) as u64 ^ self.0.rotate_left(23);
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }
    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }
    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64")
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

type Seen = HashMap<u64, u32, BuildHasherDefault<Unhashed>>;

impl Graph {
    fn explore<M: Model>(model: &M) -> Result<Self, Violation<M>> {
        let mut graph = Self {
            nodes: Vec::new(),
            guaranteed: Vec::new(),
            steps: 0,
        };
        let mut seen = Seen::default();
        let mut frontier = VecDeque::new();
        let initial = model.initial();
        graph.visit(model, &mut seen, &initial, (0, 0))?;
        frontier.push_back((0, initial));
        while let Some((from, state)) = frontier.pop_front() {
            for (index, action) in model.actions(&state).into_iter().enumerate() {
                let mut next = state.clone();
                if !model.apply(&mut next, action) {
                    continue;
                }
                graph.steps += 1;
                let (to, is_new) = graph.visit(model, &mut seen, &next, (from, index as u8))?;
                if model.is_guaranteed(action) && to != from {
                    graph.guaranteed.push((to, from));
                }
                if is_new {
                    frontier.push_back((to, next));
                }
            }
        }
        Ok(graph)
    }

    /// Adds a state unless it is known.
    fn visit<M: Model>(
        &mut self,
        model: &M,
        seen: &mut Seen,
        state: &M::State,
        (parent, action): (u32, u8),
    ) -> Result<(u32, bool), Violation<M>> {
        let mut hasher = Fingerprint::default();
        state.hash(&mut hasher);
        let id = self.nodes.len() as u32;
        match seen.entry(hasher.finish()) {
            Entry::Occupied(known) => return Ok((*known.get(), false)),
            Entry::Vacant(place) => place.insert(id),
        };
        let depth = self.nodes.get(parent as usize).map_or(0, |p| p.depth + 1);
        self.nodes.push(Node {
            parent,
            action,
            depth,
            is_goal: model.is_goal(state),
            is_at_bound: model.is_at_bound(state),
        });
        match model.broken(state) {
            Some(property) => Err(self.violation(model, property, id)),
            None => Ok((id, true)),
        }
    }

    /// The first state from which no guaranteed run leads to the goal.
    fn first_stuck(&self) -> Option<u32> {
        let mut edges = self.guaranteed.clone();
        edges.sort_unstable();
        let mut leads: Vec<bool> = self.nodes.iter().map(|node| node.is_goal).collect();
        let mut queue: Vec<u32> = (0..self.nodes.len() as u32)
            .filter(|id| leads[*id as usize])
            .collect();
        while let Some(to) = queue.pop() {
            let start = edges.partition_point(|edge| edge.0 < to);
            for (_, from) in edges[start..].iter().take_while(|edge| edge.0 == to) {
                if !std::mem::replace(&mut leads[*from as usize], true) {
                    queue.push(*from);
                }
            }
        }
        let is_stuck = |id: &usize| !leads[*id] && !self.nodes[*id].is_at_bound;
        (0..leads.len()).find(is_stuck).map(|id| id as u32)
    }

    /// Rebuilds the shortest path to a state.
    fn violation<M: Model>(&self, model: &M, property: &'static str, id: u32) -> Violation<M> {
        let mut way = Vec::new();
        let mut at = id;
        while at != 0 {
            let node = &self.nodes[at as usize];
            way.push(node.action);
            at = node.parent;
        }
        let mut last = model.initial();
        let mut trace = Vec::new();
        for index in way.into_iter().rev() {
            let action = model.actions(&last)[usize::from(index)];
            model.apply(&mut last, action);
            trace.push(action);
        }
        Violation {
            property,
            trace,
            last: Box::new(last),
            states: self.nodes.len(),
        }
    }
}
