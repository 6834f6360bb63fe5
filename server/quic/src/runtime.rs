//! quinn's runtime on tokio, with one difference: the endpoint empties its socket each time it runs.
//!
//! quinn's endpoint reads for 50 microseconds and then waits behind every connection that has something to
//! do. On a busy server that takes long: acknowledgements wait in the socket meanwhile, timers report their
//! packets as lost and send more, and packets that find no room in the socket really are lost. Such a
//! server does not recover from a moment of overload.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};

use nowrong_base::dormant::Wakes;

/// How often in a row the endpoint reads before others run. Each read takes some dozen packets, so the
/// packets that wait in memory for their connections stay bounded.
const READS_MAX: usize = 64;

/// The runtime of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct EagerRuntime {
    /// Whether the endpoint's own future was spawned. It is the first future that an endpoint spawns.
    has_endpoint: AtomicBool,
}

impl Runtime for EagerRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        if self.has_endpoint.swap(true, Ordering::Relaxed) {
            return TokioRuntime.spawn(future);
        }
        TokioRuntime.spawn(Box::pin(Eager::new(future)));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

/// A future that is polled again at once when it wakes itself, up to [`READS_MAX`] times.
struct Eager {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    wakes: Arc<Wakes>,
    waker: Waker,
}

impl Eager {
    fn new(future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        let wakes = Arc::<Wakes>::default();
        Self {
            future,
            waker: wakes.clone().into(),
            wakes,
        }
    }
}

impl Future for Eager {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            future,
            wakes,
            waker,
        } = &mut *self;
        for _ in 0..READS_MAX {
            // The next round sees a wake from here on: the task itself need not be woken.
            wakes.deregister();
            wakes.take();
            let polled = future.as_mut().poll(&mut Context::from_waker(waker));
            if polled.is_ready() {
                return polled;
            }
            wakes.register(cx.waker());
            if !wakes.is_woken() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake};

    use futures_util::FutureExt as _;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A future that wakes itself at its first `wakes` polls, and the count of its polls.
    fn busy(wakes: usize) -> (Eager, Arc<Counted>) {
        let polls = Arc::<Counted>::default();
        let counted = polls.clone();
        let future = std::future::poll_fn(move |cx| {
            if counted.0.fetch_add(1, Ordering::Relaxed) < wakes {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        (Eager::new(future.boxed()), polls)
    }

    #[tokio::test]
    async fn the_first_future_of_an_endpoint_is_its_own() {
        let runtime = Arc::<EagerRuntime>::default();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = quinn::EndpointConfig::default();
        let endpoint = quinn::Endpoint::new(config, None, socket, runtime.clone());
        assert!(
            runtime.has_endpoint.load(Ordering::Relaxed),
            "quinn spawns the endpoint's future before there are connections"
        );
        drop(endpoint);
    }

    #[test]
    fn what_wakes_itself_goes_on_at_once_but_not_for_ever() {
        let (mut eager, polls) = busy(3);
        let task = Arc::<Counted>::default();
        let waker = task.clone().into();
        assert!(
            eager
                .poll_unpin(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(polls.0.load(Ordering::Relaxed), 4);
        assert_eq!(task.0.load(Ordering::Relaxed), 0, "it waits");

        eager.waker.wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 1, "news from outside");

        let (mut eager, polls) = busy(usize::MAX);
        assert!(
            eager
                .poll_unpin(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(polls.0.load(Ordering::Relaxed), READS_MAX);
        assert_eq!(task.0.load(Ordering::Relaxed), 2, "others first");
    }
}
