//! What is expected: the two tables, and whether they are complete.

use std::collections::BTreeSet;

use nowrong_protocol::{
    CloseCode, ErrorCode, Position,
    frame::{FRAMES, Sender},
};

/// Who tries it. The columns of both tables, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The member whose message, ticket and account it is about.
    Owner,
    /// The other member of the chat.
    Partner,
    /// Somebody in another chat.
    Stranger,
    /// The other member of a chat that the owner has left.
    ExPartner,
    /// The other member of a chat that the owner has ended by a block.
    Blocked,
    /// The owner, whose account is erased at this moment.
    Erased,
    /// The owner, after a stolen refresh token was noticed.
    Revoked,
    /// The owner, with tokens that another node of the cluster has issued. Only tried in a cluster.
    OtherNode,
    /// Somebody with the tokens of another installation.
    Foreigner,
    /// Somebody without a token, or before `Hello`.
    Nobody,
}

impl Role {
    /// All of them.
    pub(super) const ALL: [Self; 10] = [
        Self::Owner,
        Self::Partner,
        Self::Stranger,
        Self::ExPartner,
        Self::Blocked,
        Self::Erased,
        Self::Revoked,
        Self::OtherNode,
        Self::Foreigner,
        Self::Nobody,
    ];

    /// Whether it is the account of the owner.
    pub(super) fn is_owner(self) -> bool {
        matches!(self, Self::Owner | Self::Revoked | Self::OtherNode)
    }

    /// Whether it is a member of a chat that goes on.
    pub(super) fn is_member(self) -> bool {
        self.is_owner() || self == Self::Partner
    }
}

/// What comes of a request to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// This status.
    Is(u16),
    /// This one or 401 while the account is erased, and 401 from then on.
    Until(u16),
}

/// A route, and what comes of it for each [`Role`].
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) expected: [Status; Role::ALL.len()],
}

const fn route(
    method: &'static str,
    path: &'static str,
    expected: [Status; Role::ALL.len()],
) -> Route {
    Route {
        method,
        path,
        expected,
    }
}

/// Everybody gets the same.
const fn all(status: u16) -> [Status; Role::ALL.len()] {
    [Is(status); Role::ALL.len()]
}

use Status::{Is, Until};

/// Tokens from before a revocation are good for nothing. The recovery code is: it takes the account back.
const OLD_TOKENS: Status = Is(401);

/// Every route. No route names an account, so each caller reaches their own and no other. The last row
/// erases the caller.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    route("GET", "/healthz", all(200)),
    route("GET", "/readyz", all(200)),
    route("GET", "/v1/categories", all(200)),
    route("POST", "/v1/users", all(201)),
    //                                      owner    partner  stranger ex-p.    blocked  erased      revoked     node     foreign  nobody
    route("GET", "/v1/me",              [Is(200), Is(200), Is(200), Is(200), Is(200), Until(200), OLD_TOKENS, Is(200), Is(401), Is(401)]),
    route("PATCH", "/v1/me",            [Is(200), Is(200), Is(200), Is(200), Is(200), Until(200), OLD_TOKENS, Is(200), Is(401), Is(401)]),
    route("GET", "/v1/me/export",       [Is(200), Is(200), Is(200), Is(200), Is(200), Until(200), OLD_TOKENS, Is(200), Is(401), Is(401)]),
    route("POST", "/v1/connect",        [Is(200), Is(200), Is(200), Is(200), Is(200), Until(200), OLD_TOKENS, Is(200), Is(401), Is(401)]),
    route("POST", "/v1/me/recovery",    [Is(201), Is(201), Is(201), Is(201), Is(201), Until(201), OLD_TOKENS, Is(201), Is(401), Is(401)]),
    // Whether there was such a token is nobody's to learn. It was the last one; the code takes the account back.
    route("POST", "/v1/auth/logout", all(204)),
    route("POST", "/v1/auth/recover",   [Is(200), Is(200), Is(200), Is(200), Is(200), Until(200), Is(200),    Is(200), Is(401), Is(401)]),
    route("DELETE", "/v1/me/recovery",  [Is(204), Is(204), Is(204), Is(204), Is(204), Until(204), OLD_TOKENS, Is(204), Is(401), Is(401)]),
    route("POST", "/v1/auth/refresh",   [Is(200), Is(200), Is(200), Is(200), Is(200), Until(200), OLD_TOKENS, Is(200), Is(401), Is(401)]),
    route("DELETE", "/v1/me",           [Is(204), Is(204), Is(204), Is(204), Is(204), Until(204), OLD_TOKENS, Is(204), Is(401), Is(401)]),
];

/// More than a client whose numbers are doubles can count.
pub(super) const FAR: u64 = 1 << 60;

/// Which position a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// None, or the usual one.
    Plain,
    /// The newest message.
    Head,
    /// The first message, which is the owner's.
    Past,
    /// Before the first message.
    Zero,
    /// A message that is not there yet.
    Future,
    /// Any message, in the epoch before.
    Older,
    /// A message that is there, in the epoch to come.
    Newer,
}

/// What comes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This reply. The other member sees what follows from it.
    Does(&'static str),
    /// `Fail`, and nothing reaches anybody.
    Fails(ErrorCode),
    /// No reply; the other member gets it.
    Shows,
    /// No reply, and nothing reaches anybody.
    Nothing,
    /// `Welcome` with the chat.
    Resumes,
    /// `Welcome`, and `Gone` for the chat.
    Welcomes,
    /// `Bye` with this code.
    Closes(CloseCode),
    /// The link ends.
    Ends,
    /// The account is gone with all its links, whatever came before.
    Vanishes,
    /// Before `Hello`: `OUT_OF_PHASE` on a lane, nothing at all as a datagram.
    Unheard,
}

/// A frame with a position, and what comes of it for each [`Role`].
pub(super) struct Row {
    pub(super) frame: &'static str,
    pub(super) at: At,
    pub(super) expected: [Outcome; Role::ALL.len()],
}

const fn row(frame: &'static str, at: At, expected: [Outcome; Role::ALL.len()]) -> Row {
    Row {
        frame,
        at,
        expected,
    }
}

use At::{Future, Head, Newer, Older, Past, Plain, Zero};
use Outcome::{Closes, Does, Ends, Fails, Nothing, Resumes, Shows, Unheard, Vanishes, Welcomes};

const ACK: Outcome = Does("Ack");
const DONE: Outcome = Does("Done");
const PAGE: Outcome = Does("Page");
const QUEUED: Outcome = Does("Queued");
const PONG: Outcome = Does("Pong");
const NO_CHAT: Outcome = Fails(ErrorCode::CHAT_UNKNOWN);
const ENDED: Outcome = Fails(ErrorCode::CHAT_ENDED);
const IN_CHAT: Outcome = Fails(ErrorCode::ALREADY_IN_CHAT);
const NO_MESSAGE: Outcome = Fails(ErrorCode::MESSAGE_UNKNOWN);
const NOT_YOURS: Outcome = Fails(ErrorCode::MESSAGE_NOT_YOURS);
const NO_TICKET: Outcome = Fails(ErrorCode::TICKET_UNKNOWN);
const OUT: Outcome = Closes(CloseCode::OUT_OF_PHASE);
const NO_TOKEN: Outcome = Closes(CloseCode::TOKEN_REFUSED);

/// Every frame of a client, in the order in which it is tried: what changes nothing comes first.
#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    //                       owner       partner     stranger  ex-partner  blocked     erased    revoked     node        foreign   nobody
    row("Ping", Plain,      [PONG,       PONG,       PONG,     PONG,       PONG,       Vanishes, NO_TOKEN,   PONG,       NO_TOKEN, OUT]),
    row("Pong", Plain,      [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("LaneCopy", Plain,  [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, Unheard]),
    row("Send", Plain,      [ACK,        ACK,        NO_CHAT,  ENDED,      ENDED,      Vanishes, NO_TOKEN,   ACK,        NO_TOKEN, OUT]),
    row("Send", Head,       [ACK,        ACK,        NO_CHAT,  ENDED,      ENDED,      Vanishes, NO_TOKEN,   ACK,        NO_TOKEN, OUT]),
    row("Send", Past,       [ACK,        ACK,        NO_CHAT,  ENDED,      ENDED,      Vanishes, NO_TOKEN,   ACK,        NO_TOKEN, OUT]),
    row("Send", Zero,       [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  ENDED,      ENDED,      Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Send", Future,     [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  ENDED,      ENDED,      Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Send", Older,      [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  ENDED,      ENDED,      Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Send", Newer,      [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  ENDED,      ENDED,      Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Delivered", Zero,  [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("Delivered", Older, [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("Delivered", Past,  [Shows,      Shows,      Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Shows,      NO_TOKEN, OUT]),
    row("Delivered", Head,  [Shows,      Shows,      Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Shows,      NO_TOKEN, OUT]),
    row("Delivered", Newer, [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("Delivered", Future,[Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("Read", Zero,       [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("Read", Older,      [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("Read", Past,       [Shows,      Shows,      Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Shows,      NO_TOKEN, OUT]),
    row("Read", Head,       [Shows,      Shows,      Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Shows,      NO_TOKEN, OUT]),
    row("Read", Newer,      [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("Read", Future,     [Nothing,    Nothing,    Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Nothing,    NO_TOKEN, OUT]),
    row("History", Plain,   [PAGE,       PAGE,       NO_CHAT,  PAGE,       PAGE,       Vanishes, NO_TOKEN,   PAGE,       NO_TOKEN, OUT]),
    row("History", Head,    [PAGE,       PAGE,       NO_CHAT,  PAGE,       PAGE,       Vanishes, NO_TOKEN,   PAGE,       NO_TOKEN, OUT]),
    row("History", Past,    [PAGE,       PAGE,       NO_CHAT,  PAGE,       PAGE,       Vanishes, NO_TOKEN,   PAGE,       NO_TOKEN, OUT]),
    row("History", Zero,    [PAGE,       PAGE,       NO_CHAT,  PAGE,       PAGE,       Vanishes, NO_TOKEN,   PAGE,       NO_TOKEN, OUT]),
    row("History", Future,  [PAGE,       PAGE,       NO_CHAT,  PAGE,       PAGE,       Vanishes, NO_TOKEN,   PAGE,       NO_TOKEN, OUT]),
    row("History", Older,   [PAGE,       PAGE,       NO_CHAT,  PAGE,       PAGE,       Vanishes, NO_TOKEN,   PAGE,       NO_TOKEN, OUT]),
    row("History", Newer,   [PAGE,       PAGE,       NO_CHAT,  PAGE,       PAGE,       Vanishes, NO_TOKEN,   PAGE,       NO_TOKEN, OUT]),
    row("Typing", Plain,    [Shows,      Shows,      Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Shows,      NO_TOKEN, Unheard]),
    row("Presence", Plain,  [Shows,      Shows,      Nothing,  Nothing,    Nothing,    Vanishes, NO_TOKEN,   Shows,      NO_TOKEN, Unheard]),
    row("Delete", Zero,     [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  NO_MESSAGE, NO_MESSAGE, Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Delete", Future,   [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  NO_MESSAGE, NO_MESSAGE, Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Delete", Older,    [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  NO_MESSAGE, NO_MESSAGE, Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Delete", Newer,    [NO_MESSAGE, NO_MESSAGE, NO_CHAT,  NO_MESSAGE, NO_MESSAGE, Vanishes, NO_TOKEN,   NO_MESSAGE, NO_TOKEN, OUT]),
    row("Delete", Past,     [DONE,       NOT_YOURS,  NO_CHAT,  NOT_YOURS,  NOT_YOURS,  Vanishes, NO_TOKEN,   DONE,       NO_TOKEN, OUT]),
    row("Delete", Head,     [DONE,       DONE,       NO_CHAT,  NOT_YOURS,  NOT_YOURS,  Vanishes, NO_TOKEN,   DONE,       NO_TOKEN, OUT]),
    row("Join", Plain,      [IN_CHAT,    IN_CHAT,    IN_CHAT,  QUEUED,     QUEUED,     Vanishes, NO_TOKEN,   IN_CHAT,    NO_TOKEN, OUT]),
    row("Hello", Plain,     [Resumes,    Resumes,    Welcomes, Resumes,    Resumes,    Vanishes, NO_TOKEN,   Resumes,    NO_TOKEN, NO_TOKEN]),
    row("Hello", Head,      [Resumes,    Resumes,    Welcomes, Resumes,    Resumes,    Vanishes, NO_TOKEN,   Resumes,    NO_TOKEN, NO_TOKEN]),
    row("Hello", Past,      [Resumes,    Resumes,    Welcomes, Resumes,    Resumes,    Vanishes, NO_TOKEN,   Resumes,    NO_TOKEN, NO_TOKEN]),
    row("Hello", Zero,      [Resumes,    Resumes,    Welcomes, Resumes,    Resumes,    Vanishes, NO_TOKEN,   Resumes,    NO_TOKEN, NO_TOKEN]),
    row("Hello", Future,    [Resumes,    Resumes,    Welcomes, Resumes,    Resumes,    Vanishes, NO_TOKEN,   Resumes,    NO_TOKEN, NO_TOKEN]),
    row("Hello", Older,     [Resumes,    Resumes,    Welcomes, Resumes,    Resumes,    Vanishes, NO_TOKEN,   Resumes,    NO_TOKEN, NO_TOKEN]),
    row("Hello", Newer,     [Resumes,    Resumes,    Welcomes, Resumes,    Resumes,    Vanishes, NO_TOKEN,   Resumes,    NO_TOKEN, NO_TOKEN]),
    // From here on a frame may end the chat, or the link, of its sender.
    row("Leave", Plain,     [DONE,       DONE,       NO_CHAT,  DONE,       DONE,       Vanishes, NO_TOKEN,   DONE,       NO_TOKEN, OUT]),
    row("Next", Plain,      [QUEUED,     QUEUED,     NO_CHAT,  QUEUED,     QUEUED,     Vanishes, NO_TOKEN,   QUEUED,     NO_TOKEN, OUT]),
    row("Block", Plain,     [DONE,       DONE,       NO_CHAT,  DONE,       DONE,       Vanishes, NO_TOKEN,   DONE,       NO_TOKEN, OUT]),
    row("Bye", Plain,       [Ends,       Ends,       Ends,     Ends,       Ends,       Vanishes, NO_TOKEN,   Ends,       NO_TOKEN, OUT]),
    // The ticket of somebody who waits: the owner's own, or that of another person.
    row("Cancel", Plain,    [DONE,       NO_TICKET,  NO_TICKET,NO_TICKET,  NO_TICKET,  Vanishes, NO_TOKEN,   DONE,       NO_TOKEN, OUT]),
];

impl At {
    /// The position, in a chat with messages up to `head`.
    pub(super) fn position(self, head: Position) -> Position {
        let Position { epoch, seq } = head;
        match self {
            Plain | Head => head,
            Past => Position::new(epoch, 1),
            Zero => Position::START,
            Future => Position::new(epoch, FAR),
            Older => Position::new(epoch - 1, FAR),
            Newer => Position::new(epoch + 1, seq),
        }
    }
}

/// The section of a frame in the specification.
fn section(name: &str) -> &'static str {
    let spec = include_str!("../../../../../protocol/SPEC.md");
    let title = format!(" `{name}`: ");
    let mut sections = spec.split("\n#### ");
    sections
        .find(|section| {
            section
                .lines()
                .next()
                .is_some_and(|line| line.contains(&title))
        })
        .unwrap_or_else(|| panic!("{name} has no section in protocol/SPEC.md"))
}

#[test]
fn every_frame_of_a_client_has_a_row_and_one_for_each_position_that_it_can_carry() {
    let has = |name: &str, at: At| ROWS.iter().any(|row| row.frame == name && row.at == at);
    for frame in FRAMES.iter().filter(|it| it.sender != Sender::Server) {
        let name = frame.name;
        assert!(
            ROWS.iter().any(|row| row.frame == name),
            "a client may send {name}: add a row to ROWS that says who may, and to whom it happens"
        );
        let types = section(name)
            .lines()
            .filter_map(|line| line.split('|').nth(2));
        let mut types = types.map(str::trim);
        if types.any(|it| it.ends_with("Position") || it.ends_with("Resume")) {
            for at in [Head, Past, Zero, Future, Older, Newer] {
                assert!(
                    has(name, at),
                    "{name} carries a position: add a row for {at:?}"
                );
            }
        }
    }
    let known: BTreeSet<_> = FRAMES.iter().map(|it| it.name).collect();
    assert!(ROWS.iter().all(|row| known.contains(row.frame)));
}
