//! Who is here is not idle: now and then the accounts of all connections are noted as used, many in
//! one write and without a task for each. An account that does not exist any more ends its connection
//! and its chat; one whose tokens were revoked ends the connections that were opened before.

use std::{sync::atomic::Ordering, time::Duration};

use nowrong_core::record::Generation;
use nowrong_protocol::{CloseCode, UserId, frame::EndReason};
use nowrong_store::StoreError;

use super::Node;
use crate::{hub::UserEntry, refusal::Refusal};

/// Most accounts in one write: a few milliseconds of a store.
const BATCH: usize = 256;

/// How many rounds an account that nobody notes any more outlives: as many rounds in turn may fail.
const ROUNDS: u32 = 16;

/// Least time between two rounds, for accounts that live for seconds.
const INTERVAL_MIN: Duration = Duration::from_millis(250);

/// How often to call [`Node::note_presence`], for accounts that live for `account_idle` unused.
pub fn presence_interval(account_idle: Duration) -> Duration {
    (account_idle / ROUNDS).max(INTERVAL_MIN)
}

impl Node {
    /// Notes the accounts of all connections of this node as used now: each lives for `account_idle`
    /// from here on at least. What cannot be noted is noted in the next round.
    pub async fn note_presence(&self, account_idle: Duration) {
        let idle_ms = u64::try_from(account_idle.as_millis()).unwrap_or(u64::MAX);
        for users in self.hub.connected().chunks(BATCH) {
            let expires_at = self.env.clock.now().saturating_add(idle_ms);
            match self.env.store.touch(users, expires_at).await {
                Ok(gone) => self.end_accounts(gone).await,
                Err(error) => {
                    tracing::warn!(%error, "the accounts of connections could not be noted as used");
                    return;
                }
            }
        }
        self.look_at_accounts_soon();
        self.look_at_accounts_if_due().await;
    }

    /// The accounts of all connections are looked at in the next round of [`Node::look_at_accounts_if_due`].
    pub(crate) fn look_at_accounts_soon(&self) {
        self.is_look_due.store(true, Ordering::Release);
    }

    /// Looks at the accounts of all connections, if that is due. As long as the store cannot be read, it stays due.
    pub(crate) async fn look_at_accounts_if_due(&self) {
        if self.is_look_due.swap(false, Ordering::AcqRel)
            && let Err(error) = self.end_outdated().await
        {
            tracing::warn!(%error, "the accounts of connections could not be looked at");
            self.look_at_accounts_soon();
        }
    }

    /// Ends the connections of accounts that are gone, and those that were opened before a revocation. Each
    /// of them was told to end when it happened; this is for what a node was not told.
    async fn end_outdated(&self) -> Result<(), StoreError> {
        for users in self.hub.connected().chunks(BATCH) {
            let known = self.env.store.generations(users).await?;
            for (user, generation) in &known {
                self.end_older(*user, *generation);
            }
            let is_gone = |user: &&UserId| !known.iter().any(|(known, _)| known == *user);
            self.end_accounts(users.iter().filter(is_gone).copied().collect())
                .await;
        }
        Ok(())
    }

    /// Ends the connection of a user to this node, if it was opened under an earlier generation of the
    /// account than this one. The seat and the ticket are held for a while.
    pub(crate) fn end_older(&self, user: UserId, generation: Generation) {
        if let Some(entry) = self.hub.entry(user) {
            entry.kick_older(generation);
        }
    }

    async fn end_accounts(&self, gone: Vec<UserId>) {
        for entry in gone.into_iter().filter_map(|user| self.hub.entry(user)) {
            if let Err(refusal) = self.end_account(&entry).await {
                tracing::warn!(code = %refusal.code, "the chat of an account that is gone goes on");
            }
        }
    }

    /// The account of a user who is connected here does not exist any more: ends the connection with
    /// `ACCOUNT_GONE`, and the chat.
    pub(crate) async fn end_account(&self, entry: &UserEntry) -> Result<(), Refusal> {
        let chat = entry.state().chat.as_ref().map(|chat| chat.id);
        let chat = chat.and_then(|id| self.chats.held_chat(id));
        entry.kick(CloseCode::ACCOUNT_GONE);
        match chat.filter(|chat| !chat.has_ended()) {
            Some(chat) => {
                let member = chat.member(entry.user);
                self.chats.end_chat(&chat, EndReason::Left, member).await
            }
            None => Ok(()),
        }
    }
}
