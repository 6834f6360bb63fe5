//! Streams that cost nothing while their task wakes for other reasons.
//!
//! A task that waits for several things polls all of them each time it wakes, and most polls take a lock.
//! A [`Dormant`] stream has a waker of its own, and is polled only after that was called.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::{Stream, task::AtomicWaker};

/// A waker that remembers a wake and passes it on to the task.
#[derive(Debug, Default)]
pub struct Wakes {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Wakes {
    /// Wakes are passed on to this task from now on; without a call, to none.
    pub fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Wakes are only remembered from now on.
    pub fn deregister(&self) {
        self.task.take();
    }

    /// Whether there was a wake since the last [`Self::take`].
    pub fn is_woken(&self) -> bool {
        self.is_woken.load(Ordering::Acquire)
    }

    /// As [`Self::is_woken`], and forgets the wake.
    pub fn take(&self) -> bool {
        self.is_woken.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// A stream that is polled only after it was woken.
pub struct Dormant<T> {
    stream: Pin<Box<dyn Stream<Item = T> + Send>>,
    wakes: Arc<Wakes>,
}

impl<T> Dormant<T> {
    /// Wraps a stream; its first poll needs no wake.
    pub fn new(stream: impl Stream<Item = T> + Send + 'static) -> Self {
        let wakes = Arc::<Wakes>::default();
        wakes.wake_by_ref();
        Self {
            stream: Box::pin(stream),
            wakes,
        }
    }
}

impl<T> Stream for Dormant<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.wakes.register(cx.waker());
        if !self.wakes.take() {
            return Poll::Pending;
        }
        let waker = self.wakes.clone().into();
        let polled = self
            .stream
            .as_mut()
            .poll_next(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            // There may be a next item, and a stream wakes only after it was pending.
            self.wakes.is_woken.store(true, Ordering::Release);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use tokio::sync::mpsc;

    use super::*;

    /// A dormant queue, its sending end, and how often the queue was polled.
    fn queue() -> (mpsc::Sender<u8>, Dormant<u8>, Arc<AtomicUsize>) {
        let (sender, mut receiver) = mpsc::channel(2);
        let polls = Arc::<AtomicUsize>::default();
        let counted = polls.clone();
        let stream = stream::poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::Relaxed);
            receiver.poll_recv(cx)
        });
        (sender, Dormant::new(stream), polls)
    }

    #[tokio::test]
    async fn a_dormant_stream_is_looked_at_only_when_it_has_news() {
        let (sender, mut dormant, polls) = queue();
        for _ in 0..5 {
            assert!(dormant.next().now_or_never().is_none());
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        for item in [1, 2] {
            sender.try_send(item).unwrap();
        }
        assert_eq!(dormant.next().await, Some(1));
        assert_eq!(dormant.next().await, Some(2), "no wake tells of this one");
        assert!(dormant.next().now_or_never().is_none());
        assert_eq!(polls.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn it_wakes_the_task_that_waits_now() {
        let (sender, mut dormant, _) = queue();
        assert!(dormant.next().now_or_never().is_none());
        let waiting = tokio::spawn(async move { dormant.next().await });
        tokio::task::yield_now().await;
        sender.send(7).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Some(7));
        drop(sender);
    }
}
