//! `storm`: everybody loses the connection at once, with messages under way, and comes back.
//!
//! Each client comes back as fast as it can, resumes where it stopped, and sends its unacked
//! message again. It is back when its own message is acked and the partner's has arrived. The
//! account then tells whether a message was lost or repeated.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nowrong_client::User;
use nowrong_protocol::{ChatId, Position};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout, timeout_at},
};

use super::{Case, Round, Scale};
use crate::{
    dialect::{Dialect as _, Event},
    drive::Parked,
    latencies::Latencies,
    ledger::Ledger,
    metric::{self, Sample},
    target::{
        NoWrong, Storage, Target,
        nowrong::{Person, RunningNoWrong},
    },
    workload::{partner, text_of},
};

const CONNECTING_MAX: usize = 16;

/// Most time for everybody to come back.
const STORM_DEADLINE: Duration = Duration::from_secs(60);

/// Most time for one attempt; a client gives up and tries again.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(10);

/// Longest wait before a client tries again; the wait is random up to this.
const BACKOFF_MAX: Duration = Duration::from_millis(1_000);

const BODY_BYTES: usize = 40;

/// Everybody at once.
pub(super) struct Storm {
    clients: u32,
}

impl Storm {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            clients: scale.of(5_000, 20),
        }
    }
}

/// A client between two connections.
struct Lost {
    number: u32,
    user: User,
    chat: ChatId,
    /// The position up to which it holds the chat; grows with each attempt, like the fields below.
    position: Position,
    is_acked: bool,
    has_partners: bool,
}

#[async_trait(?Send)]
impl Case for Storm {
    fn scenario(&self) -> &'static str {
        "storm"
    }

    fn title(&self) -> String {
        format!("{} clients come back at once", self.clients)
    }

    fn takes(&self, target: &dyn Target) -> bool {
        let storage = target.as_nowrong().map(NoWrong::storage);
        target.is_default() && storage == Some(Storage::Disk)
    }

    async fn measure(&self, target: &dyn Target, round: &Round) -> anyhow::Result<Sample> {
        let target = target.as_nowrong().context("only NoWrong resumes")?;
        let running = Rc::new(target.start_with(&round.place, None).await?);
        let ledger = Rc::new(RefCell::new(Ledger::new(self.clients)));
        let lost = self.talk_and_lose(&running, &ledger).await?;
        running.renew_sockets();
        let attempts = Rc::new(Cell::new(0));
        let (seed, counted) = (round.seed, attempts.clone());
        let times = come_back(&running, &ledger, lost, (seed, counted)).await;
        if let Some(running) = Rc::into_inner(running) {
            running.end().await?;
        }
        let mut sample = self.sample(&times, &ledger.borrow());
        let attempts_each = f64::from(attempts.get()) / f64::from(self.clients);
        sample.push(&metric::ATTEMPTS, attempts_each);
        Ok(sample)
    }
}

impl Storm {
    /// Connects everybody, lets each send one message, and drops all connections without reading
    /// any answer.
    async fn talk_and_lose(
        &self,
        running: &RunningNoWrong,
        ledger: &RefCell<Ledger>,
    ) -> anyhow::Result<Vec<Lost>> {
        let pairs = stream::iter((0..self.clients).step_by(2));
        let pairs = pairs.map(|first| async move {
            let pair = running.arrive_together(first).await?;
            anyhow::Ok(pair.map(Parked::new))
        });
        let pairs: Vec<[Parked<Person>; 2]> = pairs.buffered(CONNECTING_MAX).try_collect().await?;
        let mut people = Vec::with_capacity(self.clients as usize);
        for parked in pairs.into_iter().flatten() {
            people.push(parked.take().await?);
        }
        for (user, person) in (0..).zip(&mut people) {
            let number = ledger.borrow_mut().send(user, Duration::ZERO);
            let message = person.dialect.message(number, &text_of(number, BODY_BYTES));
            person.wire.send(message).await?;
        }
        (0..)
            .zip(people)
            .map(|(number, person)| {
                person.wire.drop_hard();
                Ok(Lost {
                    number,
                    chat: person.dialect.chat().context("no chat")?,
                    position: person.dialect.position(),
                    user: person.user,
                    is_acked: false,
                    has_partners: false,
                })
            })
            .collect()
    }

    fn sample(&self, times: &Latencies, ledger: &Ledger) -> Sample {
        let account = ledger.account();
        let mut sample = Sample::default();
        sample.push(&metric::RESUMED, times.count() as f64);
        sample.push(&metric::RESUME_P50, times.quantile_ms(0.5));
        sample.push(&metric::RESUME_P99, times.quantile_ms(0.99));
        sample.push(&metric::RESUME_MAX, times.max_ms());
        sample.push(&metric::LOST, account.lost() as f64);
        sample.push(&metric::REPEATED, account.repeated as f64);
        sample.note(account.complaint());
        let missing = u64::from(self.clients) - times.count();
        sample.note((missing > 0).then(|| format!("{missing} clients did not come back")));
        sample
    }
}

async fn come_back(
    running: &Rc<RunningNoWrong>,
    ledger: &Rc<RefCell<Ledger>>,
    lost: Vec<Lost>,
    (seed, attempts): (u64, Rc<Cell<u32>>),
) -> Latencies {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for mut client in lost {
        let (running, ledger, attempts) = (running.clone(), ledger.clone(), attempts.clone());
        tasks.spawn_local(async move {
            let mut random = SmallRng::seed_from_u64(seed << 32 | u64::from(client.number));
            loop {
                attempts.set(attempts.get() + 1);
                let attempt =
                    timeout(ATTEMPT_DEADLINE, resume(&running, &ledger, &mut client)).await;
                if let Ok(Ok(person)) = attempt {
                    return (began.elapsed(), person);
                }
                sleep(random.random_range(Duration::ZERO..BACKOFF_MAX)).await;
            }
        });
    }
    let mut times = Latencies::default();
    // Clients that are back stay connected: closing would disturb the others.
    let mut back = Vec::new();
    let end = (began + STORM_DEADLINE).into();
    while let Ok(Some(Ok((time, person)))) = timeout_at(end, tasks.join_next()).await {
        times.record(time);
        back.push(person);
    }
    tasks.shutdown().await;
    times
}

/// Comes back, sends the unacked message again, and waits until both messages of the chat have
/// arrived.
async fn resume(
    running: &RunningNoWrong,
    ledger: &RefCell<Ledger>,
    client: &mut Lost,
) -> anyhow::Result<Person> {
    let resume = Some((client.chat, client.position));
    let mut person = running.connect(client.user.clone(), resume).await?;
    // Replayed messages may come in one piece with the Welcome.
    let mut events = person.welcomed().await?;
    client.take(&mut person, ledger, &mut events).await?;
    let unacked = ledger.borrow().unacked_of(client.number);
    for number in unacked {
        let message = person.dialect.message(number, &text_of(number, BODY_BYTES));
        person.wire.feed(message).await?;
    }
    person.wire.flush().await?;
    while !(client.is_acked && client.has_partners) {
        let bytes = person.wire.receive().await?;
        person.dialect.receive(&bytes, &mut events)?;
        client.take(&mut person, ledger, &mut events).await?;
    }
    Ok(person)
}

impl Lost {
    async fn take(
        &mut self,
        person: &mut Person,
        ledger: &RefCell<Ledger>,
        events: &mut Vec<Event>,
    ) -> anyhow::Result<()> {
        self.position = person.dialect.position();
        for event in events.drain(..) {
            match event {
                // Each client has sent one message, in the order of their numbers; after a resume
                // the client's own messages come too.
                Event::Delivered(number) if number == self.number => {}
                Event::Delivered(number) => {
                    ledger.borrow_mut().deliver(number, self.number);
                    self.has_partners |= number == partner(self.number);
                }
                Event::Acked(number) => {
                    ledger.borrow_mut().ack(number);
                    self.is_acked |= number == self.number;
                }
                Event::Refused(number) => anyhow::bail!("message {number} was refused"),
                Event::Reply(bytes) => person.wire.send(bytes).await?,
                Event::Ended(why) => anyhow::bail!(why),
                Event::Frame(_) => {}
            }
        }
        Ok(())
    }
}
