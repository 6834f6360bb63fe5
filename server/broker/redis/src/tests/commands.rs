//! How many commands each operation costs, as the table of the module says.

use nowrong_core::record::Notice;
use nowrong_protocol::UserId;

use super::*;

/// How often each operation is done.
const TIMES: u64 = 100;

/// How often the commands were called: `EVALSHA`, `XADD`, `SET`.
fn calls(server: &Server) -> [u64; 3] {
    ["evalsha", "xadd", "set"].map(|name| server.calls(name))
}

/// How much more often they were called by now.
fn since(server: &Server, before: [u64; 3]) -> [u64; 3] {
    let now = calls(server);
    [0, 1, 2].map(|n| now[n] - before[n])
}

/// A node that no longer renews its lease, so that only the commands of the test are counted.
async fn quiet_node(server: &Server) -> Arc<RedisBroker> {
    let node = node_at(&server.url(), "x").await;
    node._lease.abort();
    eventually(true, || async { node._lease.is_finished() }).await;
    node
}

#[tokio::test]
async fn a_message_is_one_script_and_one_entry_for_each_other_node() {
    let server = Server::start(&[]);
    let (one, other) = (quiet_node(&server).await, quiet_node(&server).await);
    one.open_log(CHAT, seed(1, 0)).await.expect("open");
    other.read_log(CHAT, 1, 0).await.expect("read");
    let before = calls(&server);
    for n in 1..=TIMES {
        let draft = draft(0, n);
        let placed = one.append(CHAT, 1, &draft, true).await.expect("append");
        assert_eq!(placed.elsewhere, [other.id()]);
        let message = draft.placed(CHAT, Position::new(1, n));
        one.tell(&placed.elsewhere, Notice::Message(message));
    }
    let mut received = 0;
    while received < TIMES {
        match other.receive().await {
            Inbox::Notices(notices) => received += notices.len() as u64,
            Inbox::Lost => panic!("nothing was lost"),
        }
    }
    // Into the log of the chat, by the script, and into the inbox of the other.
    assert_eq!(since(&server, before), [TIMES, 2 * TIMES, 0]);
}

#[tokio::test]
async fn a_match_is_two_scripts_and_a_user_two_commands() {
    let server = Server::start(&[]);
    let broker = quiet_node(&server).await;
    let before = calls(&server);
    for n in 0..TIMES {
        for user in [1, 2] {
            let ticket = ticket(&*broker, user, 10 * n);
            broker.join(ticket, 10 * n).await.expect("join");
        }
    }
    assert_eq!(since(&server, before), [2 * TIMES, 0, 0]);
    let (before, user) = (calls(&server), UserId::from_bytes([1; 16]));
    for _ in 0..TIMES {
        broker.take_place(user).await.expect("take");
        broker.leave_place(user).await.expect("leave");
    }
    assert_eq!(since(&server, before), [TIMES, 0, TIMES]);
}
