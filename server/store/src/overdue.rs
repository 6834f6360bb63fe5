//! What should be gone and is still stored: for an auditor of the promise that everything is erased.

/// Records that are still stored although their time is over, by what they are. Nobody can read them, since reads look
/// at the time; but their bytes are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Accounts, with names and interests.
    pub accounts: u64,
    /// Chats.
    pub chats: u64,
    /// Messages, or chats of which messages are left without them.
    pub messages: u64,
    /// Keys of chats and accounts that should be destroyed, or belong to nothing.
    pub keys: u64,
    /// Tokens and registrations.
    pub tokens: u64,
    /// Names that have rested long enough.
    pub names: u64,
    /// What else has a time: seats, spent tickets, recent partners.
    pub others: u64,
}

impl Overdue {
    /// Each count with its name.
    pub fn kinds(&self) -> [(&'static str, u64); 7] {
        [
            ("accounts", self.accounts),
            ("chats", self.chats),
            ("messages", self.messages),
            ("keys", self.keys),
            ("tokens", self.tokens),
            ("names", self.names),
            ("others", self.others),
        ]
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.kinds().iter().map(|(_, count)| count).sum()
    }
}
