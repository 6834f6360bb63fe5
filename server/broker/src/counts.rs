//! Counts of people on this node, which every broker keeps before it adds up the nodes.

use std::collections::HashMap;

use crate::BrokerError;

/// Most categories in which people can be counted. Operators list some dozens; names come from the
/// list, never from a peer.
pub const COUNTED_CATEGORIES_MAX: usize = 1_024;

/// People in chats, by category, and people connected. No count goes below zero.
#[derive(Debug, Default)]
pub struct Chatting {
    categories: HashMap<String, u32>,
    connected: u32,
}

impl Chatting {
    /// Counts `people` more (or fewer) in chats of a category.
    ///
    /// # Errors
    /// [`BrokerError::Full`] when the maximum number of categories is counted already.
    pub fn count_chatting(&mut self, category: &str, people: i32) -> Result<(), BrokerError> {
        let count = self.chatting(category).saturating_add_signed(people);
        if count == 0 {
            self.categories.remove(category);
        } else if let Some(held) = self.categories.get_mut(category) {
            *held = count;
        } else if self.categories.len() < COUNTED_CATEGORIES_MAX {
            self.categories.insert(category.to_owned(), count);
        } else {
            return Err(BrokerError::Full("counted categories"));
        }
        Ok(())
    }

    /// Counts `users` more (or fewer) who are connected.
    pub fn count_connected(&mut self, users: i32) {
        self.connected = self.connected.saturating_add_signed(users);
    }

    /// People in chats of a category.
    pub fn chatting(&self, category: &str) -> u32 {
        self.categories.get(category).copied().unwrap_or(0)
    }

    /// Every category in which people chat, with their number.
    pub fn categories(&self) -> impl Iterator<Item = (&str, u32)> {
        self.categories
            .iter()
            .map(|(category, count)| (category.as_str(), *count))
    }

    /// People who are connected.
    pub fn connected(&self) -> u32 {
        self.connected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_categories_are_bounded_and_empty_ones_make_room() {
        let mut chatting = Chatting::default();
        for n in 0..COUNTED_CATEGORIES_MAX {
            chatting.count_chatting(&n.to_string(), 2).expect("room");
        }
        let refused = chatting.count_chatting("one more", 2);
        assert!(matches!(refused, Err(BrokerError::Full(_))));
        chatting.count_chatting("7", -2).expect("held");
        chatting.count_chatting("one more", 2).expect("room again");
        assert_eq!(
            (chatting.chatting("7"), chatting.chatting("one more")),
            (0, 2)
        );
    }
}
