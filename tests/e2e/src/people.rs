//! People who use a server under test.

use nowrong_client::{Chat, Client, ConnectOptions, NewAccount, Transport, User};

use crate::{TestServer, within};

/// A registered user with an open connection.
pub struct Person {
    /// The account.
    pub user: User,
    /// The connection.
    pub client: Client,
}

impl Person {
    /// Registers and connects.
    ///
    /// # Errors
    /// What the server or the network said.
    pub async fn arrive(
        server: &TestServer,
        name: &str,
        options: ConnectOptions,
    ) -> anyhow::Result<Self> {
        let user = server.api().register(&NewAccount::named(name)).await?;
        let client = within("connecting", Client::connect(&user, options)).await?;
        Ok(Self { user, client })
    }
}

/// Two people in a chat with each other, over these transports, in `category`.
///
/// # Errors
/// What the server or the network said.
pub async fn pair_over(
    server: &TestServer,
    names: [&str; 2],
    options: [ConnectOptions; 2],
    category: &str,
) -> anyhow::Result<[(Person, Chat); 2]> {
    let [first, second] = options;
    let ana = Person::arrive(server, names[0], first).await?;
    let ben = Person::arrive(server, names[1], second).await?;
    let mut waiting = ana.client.join(category, &[]).await?;
    let mut joining = ben.client.join(category, &[]).await?;
    let ben_chat = within("a match", joining.matched()).await?;
    let ana_chat = within("a match", waiting.matched()).await?;
    assert_eq!(ana_chat.id(), ben_chat.id());
    Ok([(ana, ana_chat), (ben, ben_chat)])
}

/// Two people in a chat, the first over WebTransport, the second over WebSocket.
///
/// # Errors
/// What the server or the network said.
pub async fn matched_pair(server: &TestServer) -> anyhow::Result<[(Person, Chat); 2]> {
    let options = [Transport::WebTransport, Transport::WebSocket].map(ConnectOptions::from);
    pair_over(server, ["Ana", "Ben"], options, "music").await
}
