//! Documents about people: accounts, names, refresh tokens, blocks, recent partners; and categories.

use std::collections::BTreeMap;

use mongodb::bson::{Binary, Bson, DateTime, Document, Uuid, doc};
use nowrong_core::{
    record::{
        AgeBracket, Category, Generation, RefreshToken, RegistrationKey, TokenHash, UnixMs, User,
    },
    refresh::{Family, OpenToken, Presented, RECOVERY_FAMILY},
};
use nowrong_protocol::UserId;
use nowrong_store::NAME_REST_MS;
use serde::{Deserialize, Serialize};

use super::{USERS, binary, date, unix_ms, user_key, uuid};
use crate::{
    fault::Fault,
    vault::{Place, Vault},
};

/// Most recent partners that are remembered: more would not change whom one meets.
const PARTNERS_MAX: usize = 50;

/// How long a recent partner is remembered, in milliseconds: 7 days.
pub(crate) const PARTNER_LIFETIME_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserRecord {
    #[serde(rename = "_id")]
    pub(crate) id: Uuid,
    /// The key of its name among [`UsernameRecord`]s.
    pub(crate) name_key: Binary,
    /// A wrapped [`Person`].
    pub(crate) sealed: Binary,
    age_bracket: AgeBracket,
    created_at: DateTime,
    pub(crate) expires_at: DateTime,
    /// How often it was revoked; an older server kept none.
    #[serde(default)]
    generation: i64,
}

/// The part of an account that says what still counts of what was issued for it.
#[derive(Debug, Deserialize)]
pub(crate) struct GenerationRecord {
    #[serde(rename = "_id")]
    id: Uuid,
    #[serde(default)]
    generation: i64,
}

impl GenerationRecord {
    pub(crate) fn into_parts(self) -> (UserId, Generation) {
        let id = UserId::from_bytes(self.id.bytes());
        (id, u64::try_from(self.generation).unwrap_or(0))
    }
}

/// Who an account is.
#[derive(Serialize, Deserialize)]
struct Person {
    name: String,
    skeleton: String,
    language: String,
    interests: Vec<String>,
}

impl UserRecord {
    pub(crate) fn wrapped(user: &User, vault: &Vault) -> Result<Self, Fault> {
        let person = Person {
            name: user.name.clone(),
            skeleton: user.skeleton.clone(),
            language: user.language.clone(),
            interests: user.interests.clone(),
        };
        Ok(Self {
            id: Uuid::from_bytes(*user.id.as_bytes()),
            name_key: vault.name_key(&user.skeleton),
            sealed: vault.seal(place_of_user(user.id), &person)?,
            age_bracket: user.age_bracket,
            created_at: date(user.created_at),
            expires_at: date(user.expires_at),
            generation: i64::try_from(user.generation).unwrap_or(i64::MAX),
        })
    }

    /// How often it was revoked.
    pub(crate) fn generation(&self) -> Generation {
        u64::try_from(self.generation).unwrap_or(0)
    }

    /// The account; `None`: nobody can open it any more.
    pub(crate) async fn open(self, vault: &Vault) -> Result<Option<User>, Fault> {
        let id = UserId::from_bytes(self.id.bytes());
        let generation = self.generation();
        let person = vault.open(place_of_user(id), &self.sealed).await?;
        Ok(person.map(|person: Person| User {
            id,
            name: person.name,
            skeleton: person.skeleton,
            language: person.language,
            interests: person.interests,
            age_bracket: self.age_bracket,
            created_at: unix_ms(self.created_at),
            expires_at: unix_ms(self.expires_at),
            generation,
        }))
    }
}

/// Where the wrapped part of an account belongs.
pub(crate) fn place_of_user(id: UserId) -> Place {
    Place {
        collection: USERS,
        id: *id.as_bytes(),
    }
}

/// When a name has rested that its owner leaves at `left_at`.
pub(crate) fn rested_at(left_at: UnixMs) -> UnixMs {
    left_at.saturating_add(NAME_REST_MS)
}

/// The owner of a name, or the pseudonym of the one that left it ([`Vault::former_owner`]). It expires when the name
/// has rested: an account that expires leaves it with nothing to be done. (An older server takes such a name for one
/// that is taken, and lets it expire with its account.)
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsernameRecord {
    #[serde(rename = "_id")]
    name_key: Binary,
    pub(crate) user: Uuid,
    pub(crate) expires_at: DateTime,
}

impl UsernameRecord {
    pub(crate) fn of(user: &User, vault: &Vault) -> Self {
        Self {
            name_key: vault.name_key(&user.skeleton),
            user: Uuid::from_bytes(*user.id.as_bytes()),
            expires_at: date(rested_at(user.expires_at)),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CategoryRecord {
    #[serde(rename = "_id")]
    id: String,
    title: String,
    description: String,
    emoji: String,
    age_bracket: Option<AgeBracket>,
    titles: BTreeMap<String, String>,
    rank: i64,
}

impl From<&Category> for CategoryRecord {
    fn from(category: &Category) -> Self {
        Self {
            id: category.id.clone(),
            title: category.title.clone(),
            description: category.description.clone(),
            emoji: category.emoji.clone(),
            age_bracket: category.age_bracket,
            titles: category.titles.clone(),
            rank: category.rank.into(),
        }
    }
}

impl From<CategoryRecord> for Category {
    fn from(record: CategoryRecord) -> Self {
        Self {
            id: record.id,
            title: record.title,
            description: record.description,
            emoji: record.emoji,
            age_bracket: record.age_bracket,
            titles: record.titles,
            rank: u32::try_from(record.rank).unwrap_or(u32::MAX),
        }
    }
}

/// The key of a refresh token.
pub(crate) fn token_key(hash: &TokenHash) -> Bson {
    Bson::Binary(binary(hash))
}

/// A refresh token and its uses, or the key of a registration, which stands among the tokens of its
/// family. It is valid only while its family exists.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenRecord {
    #[serde(rename = "_id")]
    hash: Binary,
    pub(crate) user: Uuid,
    family: Binary,
    pub(crate) expires_at: DateTime,
    /// When it was first exchanged.
    pub(crate) replaced_at: Option<DateTime>,
    /// Whether only the list of its family decides (`Presented::is_listed`). An older server wrote
    /// here whether the token had been exchanged twice, after which it took it no more either.
    #[serde(rename = "isGraceUsed")]
    is_listed: bool,
    /// Only for the key of a registration: the hash of key and request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Binary>,
}

impl From<&RefreshToken> for TokenRecord {
    fn from(token: &RefreshToken) -> Self {
        Self {
            hash: binary(&token.hash),
            user: Uuid::from_bytes(*token.user.as_bytes()),
            family: binary(&token.family),
            expires_at: date(token.expires_at),
            replaced_at: None,
            is_listed: false,
            request: None,
        }
    }
}

impl TokenRecord {
    /// The key of the registration that began with `token`.
    pub(crate) fn of_key(key: &RegistrationKey, token: &RefreshToken) -> Self {
        Self {
            hash: binary(&key.hash),
            expires_at: date(key.expires_at),
            is_listed: true,
            request: Some(binary(&key.request)),
            ..Self::from(token)
        }
    }

    /// `token` as one more of the family of this one.
    pub(crate) fn next(&self, token: &RefreshToken) -> Self {
        Self {
            user: self.user,
            family: self.family.clone(),
            ..Self::from(token)
        }
    }

    /// Whether it is a token, not the key of a registration nor a recovery code.
    pub(crate) fn is_token(&self) -> bool {
        self.request.is_none() && !self.is_recovery()
    }

    /// Whether it is a recovery code.
    pub(crate) fn is_recovery(&self) -> bool {
        self.family.bytes[..] == RECOVERY_FAMILY
    }

    /// Whether it is the key of this very request.
    pub(crate) fn is_of(&self, key: &RegistrationKey) -> bool {
        let request = self.request.as_ref();
        request.is_some_and(|request| request.bytes[..] == key.request)
    }

    pub(crate) fn family_key(&self) -> Document {
        let family = Bson::Binary(self.family.clone());
        doc! { "user": uuid(&self.user.bytes()), "family": family }
    }

    /// The key of the family with the recovery code of an account: the last of the account's families.
    pub(crate) fn recovery_key(user: UserId) -> Document {
        let family = Bson::Binary(binary(&RECOVERY_FAMILY));
        doc! { "user": user_key(user), "family": family }
    }

    /// The token as somebody brings it.
    pub(crate) fn presented(&self) -> Result<Presented, Fault> {
        Ok(Presented {
            hash: hash(&self.hash)?,
            replaced_at: self.replaced_at.map(unix_ms),
            is_listed: self.is_listed,
        })
    }

    /// Notes that it was exchanged for a token that lives until `expires_at`.
    pub(crate) fn exchanged(&mut self, now: UnixMs, expires_at: UnixMs) {
        self.replaced_at = self.replaced_at.or(Some(date(now)));
        self.is_listed = true;
        self.expires_at = self.expires_at.max(date(expires_at));
    }

    pub(crate) fn into_token(self) -> Result<RefreshToken, Fault> {
        let family = <[u8; 16]>::try_from(&self.family.bytes[..]);
        Ok(RefreshToken {
            hash: hash(&self.hash)?,
            family: family.map_err(|_| Fault::Corrupt(WRONG_LENGTH))?,
            user: UserId::from_bytes(self.user.bytes()),
            expires_at: unix_ms(self.expires_at),
        })
    }
}

/// The fault of a token or a family whose bytes are not as many as they must be.
const WRONG_LENGTH: &str = "a token has the wrong length";

fn hash(bytes: &Binary) -> Result<TokenHash, Fault> {
    let hash = TokenHash::try_from(&bytes.bytes[..]);
    hash.map_err(|_| Fault::Corrupt(WRONG_LENGTH))
}

/// A family of refresh tokens that is not revoked: revoking means removing this document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FamilyRecord {
    #[serde(rename = "_id")]
    key: Document,
    expires_at: DateTime,
    /// The tokens that can be exchanged, oldest first; an older server kept no list.
    #[serde(default)]
    open: Vec<OpenRecord>,
    #[serde(default)]
    window_at: Option<DateTime>,
    #[serde(default)]
    old: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct OpenRecord {
    hash: Binary,
    parent: Option<Binary>,
}

impl FamilyRecord {
    /// The record of the family with this key, which lives until `expires_at` at least.
    pub(crate) fn new(key: Document, family: &Family, expires_at: UnixMs) -> Self {
        let open = family.open.iter().map(|open| OpenRecord {
            hash: binary(&open.hash),
            parent: open.parent.map(|parent| binary(&parent)),
        });
        Self {
            key,
            expires_at: date(expires_at),
            open: open.collect(),
            window_at: Some(date(family.window_at)),
            old: family.old.into(),
        }
    }

    /// When it expires.
    pub(crate) fn expires_at(&self) -> UnixMs {
        unix_ms(self.expires_at)
    }

    pub(crate) fn family(&self) -> Result<Family, Fault> {
        let open = self.open.iter().map(|open| {
            let parent = open.parent.as_ref().map(hash).transpose()?;
            let hash = hash(&open.hash)?;
            Ok(OpenToken { hash, parent })
        });
        Ok(Family {
            open: open.collect::<Result<_, Fault>>()?,
            window_at: self.window_at.map_or(0, unix_ms),
            old: u32::try_from(self.old).unwrap_or(u32::MAX),
        })
    }

    /// The keys of the tokens that can be exchanged.
    pub(crate) fn open_keys(&self) -> impl Iterator<Item = Bson> {
        self.open.iter().map(|open| Bson::Binary(open.hash.clone()))
    }

    pub(crate) fn key(&self) -> Document {
        self.key.clone()
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct BlockKey {
    user: Uuid,
    other: Uuid,
}

/// Two users who must not meet, as seen from one of them; the other has such a document too.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BlockRecord {
    #[serde(rename = "_id")]
    key: BlockKey,
}

impl BlockRecord {
    pub(crate) fn other(&self) -> UserId {
        UserId::from_bytes(self.key.other.bytes())
    }
}

/// The key of a block.
pub(crate) fn block_key(user: UserId, other: UserId) -> Document {
    doc! { "user": user_key(user), "other": user_key(other) }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PartnerRecord {
    user: Uuid,
    at: DateTime,
}

impl PartnerRecord {
    pub(crate) fn user(&self) -> UserId {
        UserId::from_bytes(self.user.bytes())
    }

    pub(crate) fn is_recent(&self, now: UnixMs) -> bool {
        unix_ms(self.at).saturating_add(PARTNER_LIFETIME_MS) > now
    }
}

/// The recent partners of one user, newest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartnersRecord {
    #[serde(rename = "_id")]
    pub(crate) user: Uuid,
    pub(crate) partners: Vec<PartnerRecord>,
    /// When the oldest partner is forgotten.
    trim_at: DateTime,
    /// When the newest partner is forgotten.
    expires_at: DateTime,
}

impl PartnersRecord {
    pub(crate) fn none(user: UserId) -> Self {
        Self {
            user: Uuid::from_bytes(*user.as_bytes()),
            partners: Vec::new(),
            trim_at: DateTime::MAX,
            expires_at: DateTime::MIN,
        }
    }

    pub(crate) fn is_of(&self, user: UserId) -> bool {
        self.user.bytes() == *user.as_bytes()
    }

    /// Puts `partner` first.
    pub(crate) fn remember(&mut self, partner: UserId, at: UnixMs) {
        self.partners.retain(|known| known.user() != partner);
        let partner = PartnerRecord {
            user: Uuid::from_bytes(*partner.as_bytes()),
            at: date(at),
        };
        self.partners.insert(0, partner);
        self.partners.truncate(PARTNERS_MAX);
        let forgotten =
            |at: Option<DateTime>| date(at.map_or(0, unix_ms).saturating_add(PARTNER_LIFETIME_MS));
        self.trim_at = forgotten(self.partners.iter().map(|known| known.at).min());
        self.expires_at = forgotten(self.partners.iter().map(|known| known.at).max());
    }
}
