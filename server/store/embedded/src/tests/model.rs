//! Random operations, compared with a model that is simple enough to check by eye: both must return
//! the same.
//!
//! Accounts of the model never expire, because the sweeper frees the names of expired ones and the
//! result would depend on when it runs; everything else expires as time is moved.

use std::collections::{BTreeMap, BTreeSet};

use nowrong_core::record::{Chat, ChatEnd, Epoch, RefreshToken, StoredMessage, UnixMs, User};
use nowrong_protocol::{Position, UserId};
use nowrong_store::{
    Avoid, CategoryStore, ChatStore, MessageStore, NameClaim, Opening, Rotation, UserStore,
    conformance::{DAY, NOW, chat, chat_id, cursors, end, message, ticket, token, user, user_id},
};
use proptest::prelude::*;

use crate::{EmbeddedStore, journal::Filing, open};

use super::RESTLESS;

const USERS: u64 = 5;
const NAMES: [&str; 4] = ["Ada", "Bob", "Cyd", "Dee"];

#[derive(Clone, Debug)]
enum Operation {
    CreateUser(u64, usize),
    UpdateUser(u64, usize),
    DeleteUser(u64),
    CreateRefresh(u64),
    RotateRefresh(u8),
    Touch(u64, u64),
    Block(u64, u64),
    OpenChat(u64, u64, u64),
    CancelTicket(u64, u64),
    EndChat(usize, u64),
    BeginEpoch(usize),
    SaveCursors(usize, u8, u64, u64),
    Append(usize, u64, u64),
    DeleteMessage(usize, u64),
    Sweep(usize),
    Advance(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let user = || 1..=USERS;
    let chat = || 0..6_usize;
    let name = || 0..NAMES.len();
    prop_oneof![
        (user(), name()).prop_map(|(user, name)| CreateUser(user, name)),
        (user(), name()).prop_map(|(user, name)| UpdateUser(user, name)),
        user().prop_map(DeleteUser),
        user().prop_map(CreateRefresh),
        (0..8_u8).prop_map(RotateRefresh),
        (0..8_u8).prop_map(RotateRefresh),
        (user(), 0..9 * DAY).prop_map(|(user, after)| Touch(user, after)),
        (user(), user()).prop_map(|(blocker, blocked)| Block(blocker, blocked)),
        (user(), user(), 0..9_u64).prop_map(|(one, other, back)| OpenChat(one, other, back / 7)),
        (user(), user(), 0..9_u64).prop_map(|(one, other, back)| OpenChat(one, other, back / 7)),
        (user(), 0..3_u64).prop_map(|(user, back)| CancelTicket(user, back)),
        (chat(), 0..2 * DAY).prop_map(|(chat, after)| EndChat(chat, after)),
        chat().prop_map(BeginEpoch),
        (chat(), 0..3_u8, 0..9_u64, 0..9_u64)
            .prop_map(|(chat, member, one, other)| SaveCursors(chat, member, one, other)),
        (chat(), 1..4_u64, 0..3_u64).prop_map(|(chat, count, back)| Append(chat, count, back)),
        (chat(), 1..4_u64, 0..3_u64).prop_map(|(chat, count, back)| Append(chat, count, back)),
        (chat(), 1..9_u64).prop_map(|(chat, seq)| DeleteMessage(chat, seq)),
        (1..40_usize).prop_map(Sweep),
        prop_oneof![0..10_000_u64, 0..DAY, 0..9 * DAY].prop_map(Advance),
    ]
}

#[derive(Default)]
struct Model {
    now: UnixMs,
    users: BTreeMap<u64, User>,
    tokens: BTreeMap<u8, ModelToken>,
    tokens_made: u8,
    /// Names that rest: until when, and who may take them back.
    rests: BTreeMap<String, (UnixMs, u64)>,
    blocks: BTreeSet<(UserId, UserId)>,
    /// User → partners and when, newest first.
    recents: BTreeMap<UserId, Vec<(UserId, UnixMs)>>,
    chats: Vec<Chat>,
    /// The newest tickets that have opened a chat and that were cancelled, and until when they stay
    /// refused.
    spent: BTreeMap<UserId, (u64, u64, UnixMs)>,
    tickets_made: u64,
    messages: BTreeMap<(usize, Position), StoredMessage>,
}

struct ModelToken {
    token: RefreshToken,
    parent: Option<u8>,
    /// Whether a successor of it was exchanged.
    is_closed: bool,
}

impl Model {
    fn alive(&self, index: usize) -> Option<&Chat> {
        self.chats
            .get(index)
            .filter(|chat| chat.expires_at > self.now)
    }

    fn name_is_taken(&self, number: u64, user: &User) -> bool {
        let rest = self.rests.get(&user.skeleton);
        rest.is_some_and(|(until, owner)| *until > self.now && *owner != number)
            || (self.users.values()).any(|it| it.id != user.id && it.skeleton == user.skeleton)
    }

    fn leave_name(&mut self, number: u64) {
        if let Some(user) = self.users.remove(&number) {
            self.rests.insert(user.skeleton, (self.now + DAY, number));
        }
    }

    fn seat(&self, user: UserId) -> Option<&Chat> {
        let is_member = |chat: &&Chat| chat.members.iter().any(|member| member.user == user);
        let is_active = |chat: &&Chat| chat.end.is_none() && chat.expires_at > self.now;
        self.chats.iter().filter(is_active).find(is_member)
    }

    fn messages(&self, index: usize) -> Vec<StoredMessage> {
        let Some(chat) = self.alive(index) else {
            return Vec::new();
        };
        let of_chat = self.messages.iter().filter(|((chat, _), _)| *chat == index);
        let survives = |position: &Position| {
            let number = position.epoch as usize;
            let later = &chat.epochs[number..];
            position.seq > chat.epochs[number - 1].base
                && later.iter().all(|epoch| position.seq <= epoch.base)
        };
        of_chat
            .filter(|((_, position), _)| survives(position))
            .map(|(_, message)| StoredMessage {
                expires_at: chat.expires_at,
                ..message.clone()
            })
            .collect()
    }

    /// A new ticket, or one that is `back` tickets older.
    fn next_ticket(&mut self, back: u64) -> u64 {
        self.tickets_made += u64::from(back == 0);
        (self.tickets_made + 1).saturating_sub(back).max(1)
    }

    fn spent(&self, user: UserId) -> (u64, u64) {
        let spent = self.spent.get(&user).filter(|it| it.2 > self.now);
        let (matched, cancelled, _) = spent.copied().unwrap_or_default();
        (matched, cancelled)
    }

    fn spend(&mut self, user: UserId, ticket: u64, is_matched: bool) {
        let (mut matched, mut cancelled) = self.spent(user);
        let newest = if is_matched {
            &mut matched
        } else {
            &mut cancelled
        };
        *newest = ticket.max(*newest);
        let until = self.now + DAY;
        self.spent.insert(user, (matched, cancelled, until));
    }

    fn are_blocked(&self, one: UserId, other: UserId) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    fn last_seq(&self, index: usize) -> u64 {
        let of_chat = self.messages.keys().filter(|(chat, _)| *chat == index);
        of_chat.map(|(_, position)| position.seq).max().unwrap_or(0)
    }

    fn avoid(&self, user: UserId) -> Avoid {
        let mut blocked = BTreeSet::new();
        for (blocker, victim) in &self.blocks {
            if *blocker == user {
                blocked.insert(*victim);
            }
            if *victim == user {
                blocked.insert(*blocker);
            }
        }
        let recent = self.recents.get(&user).into_iter().flatten();
        Avoid {
            blocked: blocked.into_iter().collect(),
            recent: recent
                .filter(|(_, at)| at + 7 * DAY > self.now)
                .map(|(partner, _)| *partner)
                .collect(),
        }
    }

    fn remember(&mut self, user: UserId, partner: UserId) {
        let now = self.now;
        let recents = self.recents.entry(user).or_default();
        recents.retain(|(known, _)| *known != partner);
        recents.insert(0, (partner, now));
    }
}

/// The model and the store, side by side.
struct Pair {
    model: Model,
    store: EmbeddedStore,
}

impl Pair {
    async fn perform(&mut self, operation: &Operation) {
        match *operation {
            Operation::CreateUser(number, name) => self.put_user(number, name, true).await,
            Operation::UpdateUser(number, name) => self.put_user(number, name, false).await,
            Operation::DeleteUser(number) => self.delete_user(number).await,
            Operation::CreateRefresh(number) => self.create_refresh(number).await,
            Operation::RotateRefresh(number) => self.rotate_refresh(number).await,
            Operation::Touch(number, after) => self.touch(number, after).await,
            Operation::Block(blocker, blocked) => {
                let (blocker, blocked) = (user_id(blocker), user_id(blocked));
                self.store
                    .block(blocker, blocked, self.model.now)
                    .await
                    .unwrap();
                self.model.blocks.insert((blocker, blocked));
            }
            Operation::OpenChat(one, other, back) if one != other => {
                self.open_chat(one, other, back).await;
            }
            Operation::OpenChat(..) => {}
            Operation::CancelTicket(user, back) => self.cancel_ticket(user, back).await,
            Operation::EndChat(index, after) => self.end_chat(index, after).await,
            Operation::BeginEpoch(index) => self.begin_epoch(index).await,
            Operation::SaveCursors(index, member, delivered, read) => {
                self.save_cursors(index, member, delivered, read).await;
            }
            Operation::Append(index, count, back) => self.append(index, count, back).await,
            Operation::DeleteMessage(index, seq) => self.delete_message(index, seq).await,
            Operation::Sweep(limit) => {
                self.store.sweep(self.model.now, limit).await.unwrap();
            }
            Operation::Advance(by) => self.model.now += by,
        }
    }

    async fn put_user(&mut self, number: u64, name: usize, is_new: bool) {
        let mut user = user(number, NAMES[name]);
        (user.created_at, user.expires_at) = (self.model.now, u64::MAX);
        // It belongs to the store: what a caller says of it changes nothing.
        let known = self.model.users.get(&number);
        user.generation = known.map_or(0, |known| known.generation);
        let expected = if !is_new && !self.model.users.contains_key(&number) {
            NameClaim::Unknown
        } else if self.model.name_is_taken(number, &user) {
            NameClaim::Taken
        } else {
            NameClaim::Claimed
        };
        let answer = match is_new {
            true => self.store.create_user(&user).await,
            false => self.store.update_user(&user, self.model.now).await,
        };
        assert_eq!(answer.unwrap(), expected);
        if expected == NameClaim::Claimed {
            self.model.leave_name(number);
            self.model.rests.remove(&user.skeleton);
            self.model.users.insert(number, user);
        }
    }

    async fn delete_user(&mut self, number: u64) {
        let id = user_id(number);
        // Its chat must have been ended before.
        if self.model.seat(id).is_some() {
            return;
        }
        self.store.delete_user(id, self.model.now).await.unwrap();
        self.model.leave_name(number);
        self.model.tokens.retain(|_, it| it.token.user != id);
        self.model
            .blocks
            .retain(|(blocker, blocked)| *blocker != id && *blocked != id);
        self.model.recents.remove(&id);
        for recents in self.model.recents.values_mut() {
            recents.retain(|(partner, _)| *partner != id);
        }
    }

    fn next_token(&mut self, family: u8, user: u64) -> RefreshToken {
        self.model.tokens_made += 1;
        let expires_at = self.model.now + 5 * DAY;
        RefreshToken {
            expires_at,
            ..token(self.model.tokens_made - 1, family, user)
        }
    }

    async fn create_refresh(&mut self, user: u64) {
        let made = self.model.tokens_made;
        let token = self.next_token(made, user);
        self.store.create_refresh(&token).await.unwrap();
        let first = ModelToken {
            token,
            parent: None,
            is_closed: false,
        };
        self.model.tokens.insert(made, first);
    }

    async fn rotate_refresh(&mut self, used: u8) {
        let now = self.model.now;
        let known = self.model.tokens.get(&used);
        let (family, owner) = known.map_or(([used; 16], user_id(1)), |it| {
            (it.token.family, it.token.user)
        });
        let made = self.model.tokens_made;
        let mut next = self.next_token(0, 0);
        (next.family, next.user) = (family, owner);
        let tokens = &mut self.model.tokens;
        let found = tokens.get_mut(&used).filter(|it| it.token.expires_at > now);
        let expected = match found {
            None => Rotation::Unknown,
            Some(known) if known.is_closed => Rotation::Reused,
            Some(known) => {
                known.token.expires_at = known.token.expires_at.max(next.expires_at);
                if let Some(parent) = known.parent
                    && let Some(parent) = tokens.get_mut(&parent)
                {
                    parent.is_closed = true;
                }
                Rotation::Rotated
            }
        };
        match expected {
            Rotation::Rotated => {
                let next = ModelToken {
                    token: next.clone(),
                    parent: Some(used),
                    is_closed: false,
                };
                tokens.insert(made, next);
            }
            Rotation::Reused => {
                tokens.retain(|_, it| it.token.family != family);
                let mut users = self.model.users.values_mut();
                if let Some(user) = users.find(|user| user.id == owner) {
                    user.generation += 1;
                }
            }
            Rotation::Unknown | Rotation::TooMany { .. } => {}
        }
        let answer = self.store.rotate_refresh(&[used; 32], &next, now).await;
        assert_eq!(answer.unwrap(), expected);
    }

    /// Changes nothing: accounts of the model never expire, and tokens move only with their account.
    async fn touch(&mut self, number: u64, after: u64) {
        let id = user_id(number);
        let gone = self.store.touch(&[id], self.model.now + after).await;
        let is_there = self.model.users.contains_key(&number);
        let expected = if is_there { vec![] } else { vec![id] };
        assert_eq!(gone.unwrap(), expected);
    }

    async fn open_chat(&mut self, one: u64, other: u64, back: u64) {
        let mut opened = chat(self.model.chats.len() as u64, &[one, other]);
        opened.started_at = self.model.now;
        opened.expires_at = self.model.now + DAY;
        let used = self.model.next_ticket(back);
        let users = [user_id(one.min(other)), user_id(one.max(other))];
        let is_seated = |user: &UserId| self.model.seat(*user).is_some();
        let is_spent = |user: &UserId| {
            let (matched, cancelled) = self.model.spent(*user);
            used <= matched.max(cancelled)
        };
        let expected = if let Some(user) = users.into_iter().find(is_seated) {
            Opening::Seated(user)
        } else if let Some(user) = users.into_iter().find(is_spent) {
            Opening::Spent(user)
        } else if self.model.are_blocked(users[0], users[1]) {
            Opening::Blocked
        } else {
            Opening::Opened
        };
        let tickets = [ticket(used), ticket(used)];
        let answer = self.store.open_chat(&opened, &tickets).await.unwrap();
        assert_eq!(answer, expected);
        if expected == Opening::Opened {
            self.model.chats.push(opened);
            for (user, partner) in [(users[0], users[1]), (users[1], users[0])] {
                self.model.remember(user, partner);
                self.model.spend(user, used, true);
            }
        }
    }

    async fn cancel_ticket(&mut self, user: u64, back: u64) {
        let (id, number) = (user_id(user), self.model.next_ticket(back));
        let now = self.model.now;
        let answer = self.store.cancel_ticket(id, ticket(number), now).await;
        let has_won = number > self.model.spent(id).0;
        assert_eq!(answer.unwrap(), has_won);
        if has_won {
            self.model.spend(id, number, false);
        }
    }

    async fn end_chat(&mut self, index: usize, after: u64) {
        let Some(chat) = self.model.alive(index) else {
            return;
        };
        let asked = ChatEnd {
            at: self.model.now,
            ..end(self.model.now + after)
        };
        let expected = chat.end.unwrap_or(ChatEnd {
            expires_at: asked.expires_at.min(chat.expires_at),
            ..asked
        });
        let answer = self.store.end_chat(chat.id, &asked).await.unwrap();
        assert_eq!(answer, Some(expected));
        self.model.chats[index].expires_at = expected.expires_at;
        self.model.chats[index].end = Some(expected);
    }

    async fn begin_epoch(&mut self, index: usize) {
        let base = self.model.last_seq(index);
        let last = self.model.chats.get(index).map_or(1, |it| it.epochs.len()) as u32;
        let expected = self.model.alive(index).map(|_| Epoch {
            number: last + 1,
            base,
        });
        let (id, now) = (chat_id(index as u64), self.model.now);
        let answer = self.store.begin_epoch(id, last, now).await.unwrap();
        assert_eq!(answer, expected);
        if let Some(epoch) = expected {
            self.model.chats[index].epochs.push(epoch);
        }
        let late = self.store.begin_epoch(id, last, now).await.unwrap();
        assert_eq!(late, None);
    }

    async fn save_cursors(&mut self, index: usize, member: u8, delivered: u64, read: u64) {
        let (delivered, read) = (Position::new(1, delivered), Position::new(1, read));
        let moved = cursors(index as u64, member, delivered, read);
        self.store.save_cursors(&[moved]).await.unwrap();
        let chat = self.model.chats.get_mut(index);
        if let Some(member) = chat.and_then(|chat| chat.members.get_mut(usize::from(member))) {
            member.delivered = member.delivered.max(delivered);
            member.read = member.read.max(read);
        }
    }

    /// Appends `count` messages, starting `back` before the end: these first ones are stored
    /// already.
    async fn append(&mut self, index: usize, count: u64, back: u64) {
        let Some(chat) = self.model.alive(index) else {
            return;
        };
        let epoch = chat.epochs.len() as u32;
        let first = (self.model.last_seq(index) + 1).saturating_sub(back).max(1);
        let batch: Vec<_> = (first..first + count)
            .map(|seq| message(index as u64, epoch, seq))
            .collect();
        let batch: Vec<_> = (batch.into_iter())
            .map(|message| StoredMessage {
                expires_at: u64::MAX,
                ..message
            })
            .collect();
        self.store.append(&batch).await.unwrap();
        for message in batch {
            let key = (index, message.position);
            self.model.messages.entry(key).or_insert(message);
        }
    }

    async fn delete_message(&mut self, index: usize, seq: u64) {
        let Some(chat) = self.model.alive(index) else {
            return;
        };
        let position = Position::new(chat.epochs.len() as u32, seq);
        let found = self.model.messages.get_mut(&(index, position));
        let answer = self
            .store
            .delete_message(chat_id(index as u64), position)
            .await;
        assert_eq!(answer.unwrap(), found.is_some());
        if let Some(message) = found {
            message.is_deleted = true;
            message.sealed.clear();
        }
    }

    /// Compares everything that can be read from both.
    async fn compare(&self) {
        let (model, store, now) = (&self.model, &self.store, self.model.now);
        for number in 1..=USERS {
            let id = user_id(number);
            let user = store.user(id, now).await.unwrap();
            assert_eq!(user.as_ref(), model.users.get(&number));
            assert_eq!(store.avoid(id, now).await.unwrap(), model.avoid(id));
            let seat = model.seat(id).map(|chat| chat.id);
            assert_eq!(store.seat(id, now).await.unwrap(), seat);
        }
        for number in 0..model.tokens_made {
            let known = model.tokens.get(&number).map(|it| &it.token);
            let expected = known.filter(|token| token.expires_at > now);
            assert_eq!(
                store.refresh(&[number; 32], now).await.unwrap().as_ref(),
                expected
            );
        }
        let active = model
            .chats
            .iter()
            .filter(|it| it.end.is_none() && it.expires_at > now);
        let stored = store.active_chats(None, 100, now).await.unwrap();
        assert_eq!(stored, active.cloned().collect::<Vec<_>>());
        for index in 0..model.chats.len() {
            self.compare_chat(index).await;
        }
    }

    async fn compare_chat(&self, index: usize) {
        let (store, now, id) = (&self.store, self.model.now, chat_id(index as u64));
        assert_eq!(
            store.chat(id, now).await.unwrap().as_ref(),
            self.model.alive(index)
        );
        let expected = self.model.messages(index);
        let all = store
            .messages_after(id, Position::START, 1_000, now)
            .await
            .unwrap();
        assert_eq!(all, expected);
        let newest = store.messages_before(id, None, 3, now).await.unwrap();
        assert_eq!(newest, expected[expected.len().saturating_sub(3)..]);
        let Some(middle) = expected.get(expected.len() / 2) else {
            return;
        };
        let (before, after) = expected.split_at(expected.len() / 2);
        let found = store
            .messages_before(id, Some(middle.position), 1_000, now)
            .await
            .unwrap();
        assert_eq!(found, before);
        let found = store
            .messages_after(id, middle.position, 2, now)
            .await
            .unwrap();
        assert_eq!(found, after[1..after.len().min(3)]);
    }
}

async fn check(operations: &[Operation], filing: Filing) {
    let mut pair = Pair {
        model: Model {
            now: NOW,
            ..Model::default()
        },
        store: open::memory(filing).unwrap(),
    };
    for operation in operations {
        pair.perform(operation).await;
        pair.compare().await;
    }
    // When everything has expired and is swept, the store holds the same as at first, except for
    // accounts.
    for number in 1..=USERS {
        pair.store.delete_user(user_id(number), NOW).await.unwrap();
    }
    let end = pair.model.now + 30 * DAY;
    while pair.store.sweep(end, 1_000).await.unwrap() > 0 {}
    assert_eq!(pair.store.categories().await.unwrap(), []);
    assert_eq!(
        pair.store.record_count(),
        0,
        "something outlives its expiry"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_agrees_with_the_model(
        operations in prop::collection::vec(operation(), 1..80),
        is_restless: bool,
    ) {
        let filing = if is_restless { RESTLESS } else { Filing::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&operations, filing));
    }
}

impl EmbeddedStore {
    /// Records in all tables with data of people, and keys.
    fn record_count(&self) -> u64 {
        use redb::ReadableTableMetadata;

        use crate::{table::*, vault::KeyId};

        let count = |snapshot: &crate::Snapshot| {
            let keys = snapshot.keys.owners().into_iter();
            Ok(snapshot.table(USERS)?.len()?
                + snapshot.table(NAMES)?.len()?
                + snapshot.table(REFRESH)?.len()?
                + snapshot.table(FAMILIES)?.len()?
                + snapshot.table(BLOCKS)?.len()?
                + snapshot.table(BLOCKED_BY)?.len()?
                + snapshot.table(RECENTS)?.len()?
                + snapshot.table(CHATS)?.len()?
                + snapshot.table(ACTIVE)?.len()?
                + snapshot.table(SEATS)?.len()?
                + snapshot.table(SPENT)?.len()?
                + snapshot.table(MESSAGES)?.len()?
                + snapshot.table(EXPIRY)?.len()?
                + keys.filter(|id| *id != KeyId::Names).count() as u64)
        };
        self.read("test", count).unwrap() + self.shared.waiting.len() as u64
    }
}
