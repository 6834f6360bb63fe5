//! Sockudo: a server of the Pusher Channels protocol in one process, without TLS and compression;
//! it stores nothing.

use std::net::SocketAddr;

use async_trait::async_trait;

use super::{Place, Running, Target, cluster::free_address};
use crate::{
    dialect::{
        self,
        sockudo::{APP_KEY, APP_SECRET},
    },
    drive::Peer,
    process::Process,
    wire::Wire,
};

/// See the module.
pub(super) struct Sockudo;

#[async_trait(?Send)]
impl Target for Sockudo {
    fn name(&self) -> &'static str {
        "sockudo"
    }

    fn about(&self) -> &'static str {
        "Sockudo 5.2.0, Pusher's protocol over WebSocket, without TLS: each pair a private channel, a client event per \
         message, nothing is kept; it acks no event, so an ack is the pong to a ping that follows each"
    }

    fn is_default(&self) -> bool {
        false
    }

    async fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let listen = free_address(place)?;
        let path = place.scratch.join("sockudo.toml");
        std::fs::write(&path, settings(listen))?;
        // Otherwise it would write a line for each subscription.
        let mut command = vec!["env".into(), "RUST_LOG=warn".into()];
        command.extend([place.sockudo.clone().into(), "--config".into(), path.into()]);
        let process = Process::start_listening(&place.program("sockudo", command), listen).await?;
        Ok(Box::new(RunningSockudo {
            process,
            url: format!("ws://{listen}/app/{APP_KEY}?protocol=7&client=bench&version=1"),
        }))
    }
}

/// Settings that differ from its defaults: a single node that lets everybody in and everything
/// through, and does nothing else. A limit of 0 means no limit.
fn settings(listen: SocketAddr) -> String {
    let (host, port) = (listen.ip(), listen.port());
    format!(
        r#"
host = "{host}"
port = {port}
shutdown_grace_period = 0

[queue]
driver = "none"

[metrics]
enabled = false

[rate_limiter]
enabled = false

[delta_compression]
enabled = false

[[app_manager.array.apps]]
id = "{APP_KEY}"
key = "{APP_KEY}"
secret = "{APP_SECRET}"
enabled = true

[app_manager.array.apps.policy.limits]
max_connections = 0
max_client_events_per_second = 0

[app_manager.array.apps.policy.features]
enable_client_messages = true
"#
    )
}

struct RunningSockudo {
    process: Process,
    url: String,
}

#[async_trait(?Send)]
impl Running for RunningSockudo {
    fn processes(&self) -> Vec<&Process> {
        vec![&self.process]
    }

    async fn open(&self, user: u32) -> anyhow::Result<Peer> {
        let mut wire = Wire::websocket(&self.url, true).await?;
        let established = wire.receive().await?;
        wire.send(dialect::sockudo::Sockudo::subscribe(user, &established)?)
            .await?;
        let answer = wire.receive().await?;
        let is_subscribed = dialect::sockudo::Sockudo::is_subscribed(&answer);
        anyhow::ensure!(is_subscribed, "not subscribed: {answer:?}");
        Ok(Peer {
            wire,
            dialect: Box::new(dialect::sockudo::Sockudo::new(user)),
        })
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.process.stop().await
    }
}
