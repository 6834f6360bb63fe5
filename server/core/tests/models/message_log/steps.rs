//! The effect of each action. `None`: it cannot happen, or changes nothing.

use nowrong_core::{
    chat_log::{Resume, locate, resume_point},
    record::Epoch,
};
use nowrong_protocol::Position;

use super::*;

impl MessageLog {
    pub(super) fn perform(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::LoadMessages { n } => self.load_first(s, n),
            Action::LoadEpochs { n } => self.load_second(s, n),
            Action::Append { n, m } => self.append(s, n, m),
            Action::TakeInbox { n, entry } => self.take_inbox(s, n, entry),
            Action::CheckLog { n } => self.check_log(s, n),
            Action::Persist { n } => self.persist(s, n),
            Action::Insert { n, at } => self.insert(s, n, at),
            Action::InsertLate { at } => self.insert_late(s, at),
            Action::Recheck { n } => self.recheck(s, n),
            Action::Ack { n, m } => self.ack(s, n, m),
            Action::BumpEpoch { n } => self.bump_epoch(s, n),
            Action::SetBase => self.set_base(s),
            Action::Seed { n } => self.seed(s, n),
            Action::Deliver { c } => self.deliver(s, c),
            Action::Connect { c, n } => connect(s, c, n),
            Action::Move { c } => self.move_away(s, c),
            Action::Crash { n } => crash(s, n),
            Action::Failover { keep } => failover(s, keep),
            Action::Trim => trim(s),
            Action::Erase => erase(s),
            Action::Redirect { n } => redirect(s, n),
            Action::ReadBase { n } => self.read_base(s, n),
        }
    }

    fn load_first(&self, s: &mut State, n: usize) -> Option<()> {
        if s.store.erased.is_some() {
            return None;
        }
        let node = &mut s.nodes[n];
        let read = if self.has(Rule::MessagesThenEpochs) {
            Read::Messages(s.store.rows.clone())
        } else {
            Read::Epochs(s.store.set_bases()?)
        };
        if !self.has(Rule::ReadKnownAfterBase) && s.store.bases.last() == Some(&None) {
            node.known_read = s.store.rows.values().copied().collect();
        }
        if node.chat.is_some() || node.read.as_ref() == Some(&read) {
            return None;
        }
        node.read = Some(read);
        Some(())
    }

    fn load_second(&self, s: &mut State, n: usize) -> Option<()> {
        if s.store.erased.is_some() {
            return None;
        }
        let (rows, bases) = match s.nodes[n].read.clone()? {
            Read::Messages(rows) => (rows, s.store.set_bases()?),
            Read::Epochs(bases) => (s.store.rows.clone(), bases),
        };
        s.nodes[n].read = None;
        let log = self.read_rows(&rows, &bases);
        if log.len() < usize::from(*bases.last()?) {
            return Some(()); // The messages are older than the epoch: read them again.
        }
        s.nodes[n].chat = Some(Chat {
            durable: log.len() as Seq,
            bases,
            log,
            is_torn: false,
        });
        Some(())
    }

    /// The messages that a reader of the store gets, without a gap.
    fn read_rows(&self, rows: &Rows, bases: &[Seq]) -> Vec<Id> {
        if self.has(Rule::IgnoreVoid) {
            return surviving(rows, bases);
        }
        let newest = |seq| {
            rows.iter()
                .rfind(|((_, at), _)| *at == seq)
                .map(|row| *row.1)
        };
        (1..).map_while(newest).collect()
    }

    fn append(&self, s: &mut State, n: usize, m: Id) -> Option<()> {
        let sender = self.bounds.senders[usize::from(m)];
        let is_here = s.clients[sender].node == Some(n) && s.acked[usize::from(m)].is_none();
        let left = s.nodes[n].left.iter().position(|left| *left == m);
        if !is_here && left.is_none() {
            return None;
        }
        let number = s.nodes[n].chat.as_ref()?.number();
        let log = log_of(s, n).as_mut()?;
        if log.number != number && self.has(Rule::FenceAppend) {
            return if log.number > number {
                unload(s, n)
            } else {
                None
            };
        }
        if let Some(left) = left {
            s.nodes[n].left.remove(left);
        }
        let log = log_of(s, n).as_mut()?;
        let is_stored = self.has(Rule::KnowStored) && log.known.contains(&m);
        let is_appended = self.has(Rule::KnowAppended) && log.appended.contains(&m);
        if is_stored || is_appended {
            return left.map(|_| ());
        }
        let seq = log.base + log.appended.len() as Seq + 1;
        if usize::from(seq) > self.bounds.senders.len() + 2 {
            return None;
        }
        log.appended.push(m);
        let entry = Entry { number, seq, m };
        if !s.inbox.contains(&entry) {
            s.inbox.push(entry);
            s.inbox.sort_by_key(|e| (e.number, e.seq, e.m));
        }
        let chat = s.nodes[n].chat.as_mut()?;
        if usize::from(seq) == chat.log.len() + 1 {
            chat.log.push(m);
        }
        Some(())
    }

    fn take_inbox(&self, s: &mut State, n: usize, entry: usize) -> Option<()> {
        let Entry { number, seq, m } = *s.inbox.get(entry)?;
        let chat = s.nodes[n].chat.as_mut()?;
        if number > chat.number() {
            return unload(s, n);
        }
        if number < chat.number() && self.has(Rule::IgnoreOldInbox) {
            return None;
        }
        // A later one means a gap, which the log fills.
        (usize::from(seq) == chat.log.len() + 1).then(|| chat.log.push(m))
    }

    fn check_log(&self, s: &mut State, n: usize) -> Option<()> {
        let log = log_of(s, n).clone().filter(|_| self.has(Rule::CheckLog))?;
        let stored = surviving(&s.store.rows, &s.store.bases_so_far()).len();
        let chat = s.nodes[n].chat.as_mut()?;
        if log.number > chat.number() && self.has(Rule::FenceRead) {
            return unload(s, n);
        }
        if log.number < chat.number() && self.has(Rule::FenceRead) {
            return None;
        }
        let have = chat.log.len().checked_sub(log.base.into())?;
        if have >= log.appended.len() {
            return None;
        }
        if have >= log.trimmed {
            chat.log.extend(&log.appended[have..]);
        } else if stored > chat.log.len() {
            return unload(s, n); // The store has the messages that the log dropped.
        } else if chat.is_torn {
            return None;
        } else {
            chat.is_torn = true;
        }
        Some(())
    }

    fn persist(&self, s: &mut State, n: usize) -> Option<()> {
        let node = &mut s.nodes[n];
        let chat = node.chat.as_ref()?;
        let all = (1..).zip(chat.log.iter().copied());
        let mut rows: Vec<_> = all.skip(chat.durable.into()).collect();
        if !self.has(Rule::StoreWholeRun) {
            // Only messages of its own clients.
            let is_own = |m: Id| s.clients[self.bounds.senders[usize::from(m)]].node == Some(n);
            rows.retain(|(_, m)| is_own(*m));
        }
        if rows.is_empty() || node.run.is_some() {
            return None;
        }
        node.run = Some(Run {
            number: chat.number(),
            rows,
            up_to: chat.log.len() as Seq,
        });
        Some(())
    }

    fn insert(&self, s: &mut State, n: usize, at: usize) -> Option<()> {
        let mut run = s.nodes[n].run.take()?;
        let is_stored = self.insert_row(&mut s.store, &mut run, at)?;
        if is_stored {
            s.nodes[n].run = Some(run);
        } else {
            s.has_conflict = true;
            s.nodes[n].chat.as_mut()?.is_torn = true;
        }
        Some(())
    }

    fn insert_late(&self, s: &mut State, at: usize) -> Option<()> {
        let mut run = s.late.take()?;
        let is_stored = self.insert_row(&mut s.store, &mut run, at)?;
        s.late = Some(run).filter(|run| is_stored && !run.rows.is_empty());
        s.has_conflict |= !is_stored;
        Some(())
    }

    /// `false` when the position has another message.
    fn insert_row(&self, store: &mut Store, run: &mut Run, at: usize) -> Option<bool> {
        if at > 0 && self.has(Rule::StoreAscending) || at >= run.rows.len() {
            return None;
        }
        let (seq, m) = run.rows.remove(at);
        if store.erased.is_some() {
            return Some(true); // Accepted, but not kept.
        }
        Some(*store.rows.entry((run.number, seq)).or_insert(m) == m)
    }

    fn recheck(&self, s: &mut State, n: usize) -> Option<()> {
        s.nodes[n].run.as_ref().filter(|run| run.rows.is_empty())?;
        let run = s.nodes[n].run.take()?;
        let chat = s.nodes[n].chat.as_mut()?;
        let is_overtaken = s.store.number() != run.number && self.has(Rule::RecheckEpoch);
        let is_gone = s.store.erased.is_some() && self.has(Rule::RecheckChat);
        if is_overtaken || is_gone {
            return unload(s, n);
        }
        chat.durable = chat.durable.max(run.up_to);
        Some(())
    }

    fn ack(&self, s: &mut State, n: usize, m: Id) -> Option<()> {
        let sender = self.bounds.senders[usize::from(m)];
        let chat = s.nodes[n].chat.as_ref()?;
        let seq = chat.log.iter().position(|held| *held == m)? as Seq + 1;
        let is_due = seq <= chat.durable || !self.has(Rule::AckDurable);
        let acked = &mut s.acked[usize::from(m)];
        if acked.is_some() || !is_due || s.clients[sender].node != Some(n) {
            return None;
        }
        let at = locate(&epochs(&chat.bases), seq.into());
        *acked = Some((at.epoch as Number, seq));
        Some(())
    }

    fn bump_epoch(&self, s: &mut State, n: usize) -> Option<()> {
        let chat = s.nodes[n].chat.as_ref()?;
        let number = chat.number();
        let is_older = log_of(s, n).as_ref().is_none_or(|log| log.number < number);
        let master = self.master(s, n);
        let can_seed = s.nodes[n].begun == Some(Begun { number, master });
        let is_needed = is_older && !can_seed;
        if !is_needed && !s.nodes[n].chat.as_ref()?.is_torn {
            return None;
        }
        if s.store.number() != number || s.store.erased.is_some() {
            return unload(s, n);
        }
        if number >= self.bounds.epochs_max {
            return None;
        }
        let base = s.nodes[n].base_read.take();
        if !self.has(Rule::BumpThenBase) && base.is_none() {
            return None;
        }
        s.store.bases.push(base);
        s.nodes[n].begun = Some(Begun {
            number: number + 1,
            master,
        });
        unload(s, n)
    }

    fn read_base(&self, s: &mut State, n: usize) -> Option<()> {
        let base = self.base(&s.store, s.store.number());
        let node = &mut s.nodes[n];
        let is_news = node.chat.is_some() && node.base_read.replace(base) != Some(base);
        is_news.then_some(())
    }

    fn set_base(&self, s: &mut State) -> Option<()> {
        if s.store.erased.is_some() {
            return None;
        }
        let before = s.store.number() - 1;
        if before == 0 {
            return None;
        }
        let base = self.base(&s.store, before);
        let last = s.store.bases.last_mut()?;
        let may_set = last.is_none() || !self.has(Rule::SetBaseOnce);
        (may_set && last.replace(base) != Some(base)).then_some(())
    }

    /// The newest surviving message, as the base of the epoch after `number`.
    fn base(&self, store: &Store, number: Number) -> Seq {
        let base = store.bases[usize::from(number) - 1].unwrap_or_default();
        let counts = |at: Number| at == number || !self.has(Rule::BaseOfSurvivors);
        let seqs = store.rows.keys().filter(|(at, _)| counts(*at));
        seqs.map(|(_, seq)| *seq).fold(base, Seq::max)
    }

    fn seed(&self, s: &mut State, n: usize) -> Option<()> {
        let chat = s.nodes[n].chat.clone()?;
        let number = chat.number();
        let mut known = if self.has(Rule::ReadKnownAfterBase) {
            chat.log.clone()
        } else {
            s.nodes[n].known_read.clone()
        };
        let base = *chat.bases.last()?;
        let can_seed = s.nodes[n]
            .begun
            .is_some_and(|begun| begun.number == number && begun.master == self.master(s, n));
        let log = log_of(s, n);
        let is_newer = log.as_ref().is_none_or(|log| log.number < number);
        if !can_seed && self.has(Rule::SeedOwnEpoch) {
            return None;
        }
        if !is_newer && self.has(Rule::SeedNewerOnly) {
            return None;
        }
        known.sort_unstable();
        *log = Some(Log {
            number,
            base,
            known,
            appended: Vec::new(),
            trimmed: 0,
        });
        Some(())
    }

    fn deliver(&self, s: &mut State, c: usize) -> Option<()> {
        let n = s.clients[c].node?;
        let chat = s.nodes[n].chat.as_ref()?;
        let epochs = epochs(&chat.bases);
        let client = &mut s.clients[c];
        let asked = Position::new(client.number.into(), client.held.len() as u64);
        let head = locate(&epochs, chat.log.len() as u64);
        let good = match resume_point(&epochs, asked, head) {
            Resume::From(position) => position,
            Resume::Beyond if self.has(Rule::FollowClient) => return unload(s, n),
            Resume::Beyond => asked,
        };
        let is_truncated = good.seq < asked.seq && self.has(Rule::Truncate);
        if is_truncated {
            client.held.truncate(good.seq as usize);
        }
        let more = chat.log.get(client.held.len()..).unwrap_or_default();
        client.held.extend(more);
        client.number = locate(&epochs, client.held.len() as u64).epoch as Number;
        (is_truncated || !more.is_empty()).then_some(())
    }

    fn move_away(&self, s: &mut State, c: usize) -> Option<()> {
        s.faults.moves = s.faults.moves.checked_sub(1)?;
        let from = s.clients[c].node?;
        for (m, sender) in self.bounds.senders.iter().enumerate() {
            if *sender == c && s.acked[m].is_none() && !s.nodes[from].left.contains(&(m as Id)) {
                s.nodes[from].left.push(m as Id);
            }
        }
        s.nodes[from].left.sort_unstable();
        s.clients[c].node = Some(1 - from);
        Some(())
    }
}

/// Forgets details that can no longer make a difference under the rules, so that there are fewer
/// distinct states: data of epochs in which nobody can act any more, and void messages.
pub(super) fn forget(s: &mut State, without: Option<Rule>) {
    let number = s.store.number();
    let chats = s.nodes.iter().filter_map(|node| node.chat.as_ref());
    let oldest = chats.map(Chat::number).fold(number, Number::min);
    if without != Some(Rule::IgnoreOldInbox) {
        s.inbox.retain(|entry| entry.number >= oldest);
    }
    for node in &mut s.nodes {
        node.begun = node.begun.filter(|begun| begun.number >= oldest);
    }
    let of_void = [
        Rule::IgnoreVoid,
        Rule::BaseOfSurvivors,
        Rule::SetBaseOnce,
        Rule::MessagesThenEpochs,
    ];
    if without.is_some_and(|rule| of_void.contains(&rule)) {
        return;
    }
    for log in [&mut s.redis, &mut s.deposed] {
        log.take_if(|log| log.number < oldest);
    }
    let Store { bases, rows, .. } = &mut s.store;
    let lives = |number: Number, seq| {
        let later = bases.iter().skip(number.into()).flatten();
        later.copied().all(|base| base >= seq)
    };
    rows.retain(|(number, seq), _| lives(*number, *seq));
    s.late.take_if(|run| {
        let number = run.number;
        let is_news = |seq| lives(number, seq) && !rows.contains_key(&(number, seq));
        !run.rows.iter().any(|(seq, _)| is_news(*seq))
    });
}

/// The surviving messages by seq, up to the first gap.
pub(super) fn surviving(rows: &Rows, bases: &[Seq]) -> Vec<Id> {
    let epochs = epochs(bases);
    let at = |seq: Seq| {
        let number = locate(&epochs, seq.into()).epoch as Number;
        rows.get(&(number, seq)).copied()
    };
    (1..).map_while(at).collect()
}

pub(super) fn epochs(bases: &[Seq]) -> Vec<Epoch> {
    let epoch = |(number, base): (u32, &Seq)| Epoch {
        number,
        base: (*base).into(),
    };
    (1..).zip(bases).map(epoch).collect()
}

fn log_of(s: &mut State, n: usize) -> &mut Option<Log> {
    if s.nodes[n].is_on_deposed {
        &mut s.deposed
    } else {
        &mut s.redis
    }
}

/// The node drops the chat, to load it again; a run that it has sent to the store may still arrive.
fn unload(s: &mut State, n: usize) -> Option<()> {
    s.nodes[n].chat = None;
    let run = s.nodes[n].run.take();
    if let Some(run) = run.filter(|run| !run.rows.is_empty()) {
        s.late = Some(run);
    }
    Some(())
}

fn connect(s: &mut State, c: usize, n: usize) -> Option<()> {
    let node = &mut s.clients[c].node;
    node.is_none().then(|| *node = Some(n))
}

fn crash(s: &mut State, n: usize) -> Option<()> {
    s.faults.crashes = s.faults.crashes.checked_sub(1)?;
    unload(s, n);
    s.nodes[n] = Node::default();
    for client in &mut s.clients {
        client.node = client.node.filter(|node| *node != n);
    }
    forget_deposed(s);
    Some(())
}

fn failover(s: &mut State, keep: Option<usize>) -> Option<()> {
    s.faults.failovers = s.faults.failovers.checked_sub(1)?;
    let mut replica = keep.and(s.redis.clone());
    if let (Some(log), Some(keep)) = (&mut replica, keep) {
        log.appended.truncate(keep);
        log.trimmed = log.trimmed.min(keep);
    }
    s.deposed = std::mem::replace(&mut s.redis, replica);
    for node in &mut s.nodes {
        node.is_on_deposed = true;
    }
    Some(())
}

fn redirect(s: &mut State, n: usize) -> Option<()> {
    s.nodes[n].is_on_deposed = false;
    forget_deposed(s);
    Some(())
}

fn forget_deposed(s: &mut State) {
    if s.nodes.iter().all(|node| !node.is_on_deposed) {
        s.deposed = None;
    }
}

fn trim(s: &mut State) -> Option<()> {
    s.faults.trims = s.faults.trims.checked_sub(1)?;
    let log = s.redis.as_mut()?;
    (log.trimmed < log.appended.len()).then(|| log.trimmed += 1)
}

fn erase(s: &mut State) -> Option<()> {
    s.faults.erasures = s.faults.erasures.checked_sub(1)?;
    let stored = surviving(&s.store.rows, &s.store.bases_so_far());
    s.store.rows.clear();
    s.store.erased = Some(stored);
    Some(())
}
