//! Accounts for every message: sent, acked, delivered, lost, repeated, out of order, sent to the
//! wrong person. No loss goes unnoticed. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::workload::partner;

/// The account of one run.
#[derive(Debug, Default)]
pub struct Ledger {
    messages: Vec<Message>,
    /// For each sender, the number after the newest message that was delivered.
    newest: Vec<u32>,
    account: Account,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    user: u32,
    at: Duration,
    is_delivered: bool,
    is_acked: bool,
    is_refused: bool,
}

/// What became of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Handed to the target.
    pub sent: u64,
    /// Reached the partner; each counts once.
    pub delivered: u64,
    /// Acked to the sender; each counts once.
    pub acked: u64,
    /// Refused by the target, such as by a limit.
    pub refused: u64,
    /// Delivered again.
    pub repeated: u64,
    /// Delivered after a newer message of the same sender.
    pub misordered: u64,
    /// Delivered to the wrong person, or never sent.
    pub misdirected: u64,
}

impl Account {
    /// Neither delivered nor refused.
    pub fn lost(&self) -> u64 {
        self.sent - self.delivered - self.refused
    }

    /// Neither acked nor refused.
    pub fn unacked(&self) -> u64 {
        self.sent - self.acked - self.refused
    }

    /// The faults, for a person to read; `None` when every message came once, in order, and was
    /// acked.
    pub fn complaint(&self) -> Option<String> {
        let faults = [
            ("lost", self.lost()),
            ("unacked", self.unacked()),
            ("refused", self.refused),
            ("repeated", self.repeated),
            ("out of order", self.misordered),
            ("misdirected", self.misdirected),
        ];
        let faults: Vec<_> = faults
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        (!faults.is_empty()).then(|| format!("of {} messages {}", self.sent, faults.join(", ")))
    }
}

impl Ledger {
    /// An empty account for this many users.
    pub fn new(users: u32) -> Self {
        Self {
            newest: vec![0; users as usize],
            ..Self::default()
        }
    }

    /// A message of `user` that was due at `at` is sent; returns its number.
    pub fn send(&mut self, user: u32, at: Duration) -> u32 {
        self.messages.push(Message {
            user,
            at,
            is_delivered: false,
            is_acked: false,
            is_refused: false,
        });
        self.account.sent += 1;
        (self.messages.len() - 1) as u32
    }

    /// A message arrived at `user`; the first time, returns when it was due.
    pub fn deliver(&mut self, number: u32, user: u32) -> Option<Duration> {
        let message = self.messages.get_mut(number as usize);
        let Some(message) = message.filter(|message| partner(message.user) == user) else {
            self.account.misdirected += 1;
            return None;
        };
        if std::mem::replace(&mut message.is_delivered, true) {
            self.account.repeated += 1;
            return None;
        }
        self.account.delivered += 1;
        if let Some(newest) = self.newest.get_mut(message.user as usize) {
            if number < *newest {
                self.account.misordered += 1;
            }
            *newest = (*newest).max(number + 1);
        }
        Some(message.at)
    }

    /// A message was acked to its sender; the first time, returns when it was due.
    pub fn ack(&mut self, number: u32) -> Option<Duration> {
        let message = self.messages.get_mut(number as usize)?;
        if std::mem::replace(&mut message.is_acked, true) {
            return None;
        }
        self.account.acked += 1;
        Some(message.at)
    }

    /// A message was refused.
    pub fn refuse(&mut self, number: u32) {
        if let Some(message) = self.messages.get_mut(number as usize)
            && !std::mem::replace(&mut message.is_refused, true)
        {
            self.account.refused += 1;
        }
    }

    /// Whether no message is under way any more.
    pub fn is_settled(&self) -> bool {
        self.account.lost() == 0 && self.account.unacked() == 0
    }

    /// The messages of `user` that were neither acked nor refused, in their order.
    pub fn unacked_of(&self, user: u32) -> Vec<u32> {
        let is_open =
            |message: &Message| message.user == user && !message.is_acked && !message.is_refused;
        let numbered = (0..).zip(&self.messages);
        numbered
            .filter(|(_, message)| is_open(message))
            .map(|(number, _)| number)
            .collect()
    }

    /// What became of all messages so far.
    pub fn account(&self) -> Account {
        self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_millis(5);

    #[test]
    fn a_good_run_has_nothing_to_complain_of() {
        let mut ledger = Ledger::new(2);
        let numbers = [ledger.send(0, AT), ledger.send(1, AT), ledger.send(0, AT)];
        for number in numbers {
            let to = if number == 1 { 0 } else { 1 };
            assert_eq!(ledger.deliver(number, to), Some(AT));
            assert!(!ledger.is_settled());
        }
        for number in numbers {
            assert_eq!(ledger.ack(number), Some(AT));
        }
        assert!(ledger.is_settled());
        assert_eq!(ledger.account().complaint(), None);
    }

    #[test]
    fn every_fault_is_counted_once() {
        let mut ledger = Ledger::new(4);
        let sent: Vec<_> = (0..5).map(|_| ledger.send(2, AT)).collect();
        ledger.deliver(sent[1], 3);
        assert_eq!(ledger.deliver(sent[0], 3), Some(AT), "late, but there");
        assert_eq!(ledger.deliver(sent[1], 3), None, "repeated");
        assert_eq!(ledger.deliver(sent[2], 1), None, "somebody else's");
        assert_eq!(ledger.deliver(99, 3), None, "never sent");
        ledger.refuse(sent[3]);
        ledger.refuse(sent[3]);
        ledger.ack(sent[0]);
        assert_eq!(ledger.ack(sent[0]), None);
        let expected = Account {
            sent: 5,
            delivered: 2,
            acked: 1,
            refused: 1,
            repeated: 1,
            misordered: 1,
            misdirected: 2,
        };
        assert_eq!(ledger.account(), expected);
        assert_eq!((expected.lost(), expected.unacked()), (2, 3));
        assert_eq!(ledger.unacked_of(2), [sent[1], sent[2], sent[4]]);
        let complaint = expected.complaint().unwrap();
        let said =
            "of 5 messages 2 lost, 3 unacked, 1 refused, 1 repeated, 1 out of order, 2 misdirected";
        assert_eq!(complaint, said);
    }

    #[test]
    fn order_is_a_matter_of_one_sender() {
        let mut ledger = Ledger::new(4);
        let (first, second) = (ledger.send(0, AT), ledger.send(2, AT));
        ledger.deliver(second, 3);
        ledger.deliver(first, 1);
        assert_eq!(ledger.account().misordered, 0);
    }
}
