//! The alarm of a node: raised once, when a part that the node needs has ended by itself.

use std::sync::Arc;

use tokio::sync::watch;

/// The alarm; clones are the same one.
#[derive(Clone, Debug)]
pub struct Alarm(Arc<watch::Sender<Option<&'static str>>>);

impl Default for Alarm {
    /// Not raised.
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Alarm {
    /// Raises the alarm about this part; the first one counts.
    pub fn raise(&self, part: &'static str) {
        self.0.send_if_modified(|raised| {
            let is_first = raised.is_none();
            raised.get_or_insert(part);
            is_first
        });
    }

    /// The part that has ended, if one has.
    pub fn about(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Waits for the alarm; returns what it is about.
    pub async fn raised(&self) -> &'static str {
        let mut alarm = self.0.subscribe();
        let raised = alarm.wait_for(Option::is_some).await;
        // The sender is in `self`, so the wait ends with a value.
        raised.ok().and_then(|part| *part).unwrap_or("the alarm")
    }
}
