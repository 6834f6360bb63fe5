//! The door to REST: sends each TCP connection to a node that is alive, as a load balancer would.
//!
//! A node that does not answer `/healthz` in time gets no more connections, and its open ones are
//! closed, so that their clients ask again elsewhere.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{interval, timeout},
};

/// How often each node is asked.
const CHECK_INTERVAL: Duration = Duration::from_millis(300);

/// Time for an answer.
const CHECK_DEADLINE: Duration = Duration::from_millis(700);

/// An open door. Dropped, it is closed.
pub struct Door {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

/// A node behind it.
struct Backend {
    address: SocketAddr,
    is_alive: watch::Receiver<bool>,
}

impl Door {
    /// Opens it on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn open(nodes: &[SocketAddr]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        let mut backends = Vec::new();
        for address in nodes.iter().copied() {
            let (alive, is_alive) = watch::channel(true);
            backends.push(Backend { address, is_alive });
            tasks.spawn(watch_over(address, alive));
        }
        tasks.spawn(listen(listener, backends.into()));
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    /// `http://address`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn listen(listener: TcpListener, backends: Arc<[Backend]>) {
    let turn = Arc::new(AtomicUsize::new(0));
    // At most as many as the people of the harness open.
    let mut passing = JoinSet::new();
    loop {
        while passing.try_join_next().is_some() {}
        if let Ok((client, _)) = listener.accept().await {
            let (backends, turn) = (backends.clone(), turn.clone());
            passing.spawn(async move { pass(client, &backends, &turn).await });
        }
    }
}

/// Connects to the next node that accepts the connection, and carries bytes both ways.
async fn pass(mut client: TcpStream, backends: &[Backend], turn: &AtomicUsize) {
    for _ in 0..backends.len() {
        let backend = &backends[turn.fetch_add(1, Ordering::Relaxed) % backends.len()];
        if !*backend.is_alive.borrow() {
            continue;
        }
        let Ok(Ok(mut node)) = timeout(CHECK_DEADLINE, TcpStream::connect(backend.address)).await
        else {
            continue;
        };
        // Small requests must not wait for each other.
        let _ = (client.set_nodelay(true), node.set_nodelay(true));
        let mut is_alive = backend.is_alive.clone();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut node) => {}
            _ = is_alive.wait_for(|alive| !alive) => {}
        }
        return;
    }
}

async fn watch_over(node: SocketAddr, alive: watch::Sender<bool>) {
    let mut ticks = interval(CHECK_INTERVAL);
    loop {
        ticks.tick().await;
        let answers = timeout(CHECK_DEADLINE, is_healthy(node)).await;
        let answers = answers.is_ok_and(|answer| answer.is_ok_and(|healthy| healthy));
        alive.send_if_modified(|known| std::mem::replace(known, answers) != answers);
    }
}

async fn is_healthy(node: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(node).await?;
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
