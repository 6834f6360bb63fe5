//! The steps as data: commands that can be repeated without harm.

use mongodb::{
    bson::{Bson, Document, doc},
    error::{Error, ErrorKind},
};

use crate::record::{
    BLOCKS, CATEGORIES, CHATS, CHECKS, CONVERTED, FAMILIES, KEYS, MESSAGES, PARTNERS, SEATS,
    TOKENS, USERNAMES, USERS,
};

/// Every step, by number. Numbers are never used again; a released step never changes.
pub(super) const STEPS: &[Step] = &[
    Step {
        number: 1,
        name: "collections",
        is_for_routers_only: false,
        is_final: false,
    },
    Step {
        number: 2,
        name: "expiry",
        is_for_routers_only: false,
        is_final: false,
    },
    Step {
        number: 3,
        name: "sharding",
        is_for_routers_only: true,
        // Before version 8 a sharded collection cannot be unsharded.
        is_final: true,
    },
    Step {
        number: 4,
        name: "spent tickets",
        is_for_routers_only: false,
        is_final: false,
    },
    // The documents that an older server has left are wrapped by the first start (`convert`), which has
    // the keys.
    Step {
        number: 5,
        name: "wrapped people",
        is_for_routers_only: false,
        is_final: false,
    },
    Step {
        number: 6,
        name: "tokens of accounts",
        is_for_routers_only: false,
        is_final: false,
    },
];

/// Every collection, with the mandatory fields of its documents and their BSON types.
const COLLECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        USERS,
        &[
            ("_id", "binData"),
            ("name", "string"),
            ("skeleton", "string"),
            ("expiresAt", "date"),
        ],
    ),
    (
        USERNAMES,
        &[
            ("_id", "string"),
            ("user", "binData"),
            ("expiresAt", "date"),
        ],
    ),
    (CATEGORIES, &[("_id", "string"), ("rank", "long")]),
    (
        CHATS,
        &[
            ("_id", "binData"),
            ("members", "array"),
            ("epochs", "array"),
            ("expiresAt", "date"),
        ],
    ),
    (
        KEYS,
        &[
            ("_id", "binData"),
            ("key", "binData"),
            ("expiresAt", "date"),
        ],
    ),
    (
        SEATS,
        &[
            ("_id", "binData"),
            ("chat", "binData"),
            ("expiresAt", "date"),
        ],
    ),
    (
        MESSAGES,
        &[
            ("_id", "object"),
            ("sealed", "binData"),
            ("clientMessageId", "binData"),
            ("expiresAt", "date"),
        ],
    ),
    (
        TOKENS,
        &[
            ("_id", "binData"),
            ("user", "binData"),
            ("family", "binData"),
            ("expiresAt", "date"),
        ],
    ),
    (FAMILIES, &[("_id", "object"), ("expiresAt", "date")]),
    (BLOCKS, &[("_id", "object"), ("at", "date")]),
    (
        PARTNERS,
        &[
            ("_id", "binData"),
            ("partners", "array"),
            ("trimAt", "date"),
            ("expiresAt", "date"),
        ],
    ),
    (CHECKS, &[("_id", "string")]),
];

/// Collections that expire, and how many seconds after its expiry the server removes a document
/// that no sweeper removed. Keys and messages are removed at once. Documents that are removed
/// together with others (a chat with its messages, an account with its blocks) are removed an hour
/// later: normally the sweeper does it within seconds, and this is for the case that none runs. Step 6 changes
/// it for tokens.
const EXPIRING: &[(&str, i32)] = &[
    (KEYS, 0),
    (MESSAGES, 0),
    (SEATS, 0),
    (TOKENS, 0),
    (FAMILIES, 0),
    (PARTNERS, 0),
    (CHATS, 3_600),
    (USERNAMES, 3_600),
    (USERS, 3_600),
];

/// The collections of step 2 that step 6 changes. An account that has expired may be revived as long as it is
/// there, so its tokens are removed an hour after it.
const TOKENS_LAST: &[(&str, i32)] = &[(TOKENS, 7_200), (FAMILIES, 7_200)];

/// Collections that are spread over the shards, all by `_id`: hashed where the key is one value, by
/// range where the key begins with the value by which its documents are read.
const SHARDED: &[(&str, bool)] = &[
    (USERS, true),
    (USERNAMES, true),
    (CHATS, false),
    (KEYS, true),
    (SEATS, true),
    (MESSAGES, false),
    (TOKENS, true),
    (FAMILIES, false),
    (BLOCKS, false),
    (PARTNERS, true),
];

/// Errors of repeated commands: NamespaceExists, IndexNotFound, NamespaceNotFound.
const DONE_BEFORE: [i32; 3] = [48, 27, 26];

/// A step.
pub(super) struct Step {
    pub(super) number: i32,
    pub(super) name: &'static str,
    pub(super) is_final: bool,
    is_for_routers_only: bool,
}

/// Forward or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// A command of a step.
pub(super) struct Command {
    pub(super) document: Document,
    pub(super) on_admin: bool,
}

impl Command {
    /// Whether the error only means that the command was run before.
    pub(super) fn is_harmless(&self, error: &Error) -> bool {
        matches!(&*error.kind, ErrorKind::Command(error) if DONE_BEFORE.contains(&error.code))
    }
}

impl Step {
    pub(super) fn is_for(&self, is_router: bool) -> bool {
        is_router || !self.is_for_routers_only
    }

    /// Its commands, in order.
    pub(super) fn commands(&self, direction: Direction, database: &str) -> Vec<Command> {
        let own = |document| Command {
            document,
            on_admin: false,
        };
        let admin = |document| Command {
            document,
            on_admin: true,
        };
        match (self.number, direction) {
            (1, Direction::Up) => collections().map(own).collect(),
            (1, Direction::Down) => without_validators().map(own).collect(),
            (2, Direction::Up) => indexes().map(own).collect(),
            (2, Direction::Down) => without_indexes().map(own).collect(),
            (3, Direction::Up) => sharding(database).map(admin).collect(),
            (4, Direction::Up) => [seats_may_be_free()].map(own).into(),
            (4, Direction::Down) => seats_are_taken().map(own).collect(),
            (5, Direction::Up) => people_are_wrapped().map(own).collect(),
            (5, Direction::Down) => people_are_clear().map(own).collect(),
            (6, Direction::Up) => tokens_go_last().map(own).collect(),
            (6, Direction::Down) => tokens_go_at_once().map(own).collect(),
            _ => Vec::new(),
        }
    }
}

/// Creates each collection, then sets its validator, also if the collection existed.
fn collections() -> impl Iterator<Item = Document> {
    COLLECTIONS.iter().flat_map(|(name, fields)| {
        let validator = doc! { "$jsonSchema": schema(fields) };
        [
            doc! { "create": *name },
            doc! { "collMod": *name, "validator": validator, "validationLevel": "strict" },
        ]
    })
}

fn schema(fields: &[(&str, &str)]) -> Document {
    let required: Vec<Bson> = fields.iter().map(|(name, _)| (*name).into()).collect();
    let properties = fields.iter().map(|(name, kind)| {
        let property = doc! { "bsonType": *kind };
        ((*name).to_owned(), Bson::Document(property))
    });
    let properties: Document = properties.collect();
    doc! { "bsonType": "object", "required": required, "properties": properties }
}

/// Removes the validators; the documents stay.
fn without_validators() -> impl Iterator<Item = Document> {
    let names = COLLECTIONS.iter().map(|(name, _)| *name);
    names.map(|name| doc! { "collMod": name, "validator": {}, "validationLevel": "off" })
}

fn indexes() -> impl Iterator<Item = Document> {
    let expiring = EXPIRING.iter().map(|(name, seconds)| {
        let index = doc! {
            "key": { "expiresAt": 1 }, "name": "expiry", "expireAfterSeconds": *seconds,
        };
        doc! { "createIndexes": *name, "indexes": [index] }
    });
    let trim = doc! { "key": { "trimAt": 1 }, "name": "trim" };
    expiring.chain([doc! { "createIndexes": PARTNERS, "indexes": [trim] }])
}

fn without_indexes() -> impl Iterator<Item = Document> {
    let expiring = EXPIRING
        .iter()
        .map(|(name, _)| doc! { "dropIndexes": *name, "index": "expiry" });
    expiring.chain([doc! { "dropIndexes": PARTNERS, "index": "trim" }])
}

fn tokens_go_last() -> impl Iterator<Item = Document> {
    TOKENS_LAST.iter().map(expiring)
}

fn tokens_go_at_once() -> impl Iterator<Item = Document> {
    let is_changed = |name: &str| TOKENS_LAST.iter().any(|(changed, _)| *changed == name);
    let before = EXPIRING.iter().filter(move |(name, _)| is_changed(name));
    before.map(expiring)
}

fn expiring((name, seconds): &(&str, i32)) -> Document {
    let index = doc! { "name": "expiry", "expireAfterSeconds": *seconds };
    doc! { "collMod": *name, "index": index }
}

fn sharding(database: &str) -> impl Iterator<Item = Document> {
    let collections = SHARDED.iter().map(move |(name, is_hashed)| {
        let by: Bson = if *is_hashed {
            "hashed".into()
        } else {
            1.into()
        };
        doc! { "shardCollection": format!("{database}.{name}"), "key": { "_id": by } }
    });
    [doc! { "enableSharding": database }]
        .into_iter()
        .chain(collections)
}

/// The document of a seat stays when the seat is free, because it holds the spent tickets.
fn seats_may_be_free() -> Document {
    let mut schema = schema(&[("_id", "binData"), ("expiresAt", "date")]);
    if let Ok(properties) = schema.get_document_mut("properties") {
        for (name, kind) in [
            ("chat", "binData"),
            ("freeAt", "date"),
            ("matched", "binData"),
            ("cancelled", "binData"),
        ] {
            properties.insert(name, doc! { "bsonType": [kind, "null"] });
        }
    }
    let validator = doc! { "$jsonSchema": schema };
    doc! { "collMod": SEATS, "validator": validator, "validationLevel": "strict" }
}

/// Every seat must have a chat again, as [`COLLECTIONS`] says.
fn seats_are_taken() -> impl Iterator<Item = Document> {
    let free = doc! { "q": { "chat": Bson::Null }, "limit": 0 };
    let seats = COLLECTIONS.iter().filter(|(name, _)| *name == SEATS);
    let validators = seats.map(|(name, fields)| {
        let validator = doc! { "$jsonSchema": schema(fields) };
        doc! { "collMod": *name, "validator": validator, "validationLevel": "strict" }
    });
    [doc! { "delete": SEATS, "deletes": [free] }]
        .into_iter()
        .chain(validators)
}

/// The collections of step 1 that step 5 changes: names and keys of people are wrapped or hashed.
const WRAPPED: &[(&str, &[(&str, &str)])] = &[
    (
        USERS,
        &[
            ("_id", "binData"),
            ("nameKey", "binData"),
            ("sealed", "binData"),
            ("expiresAt", "date"),
        ],
    ),
    (
        USERNAMES,
        &[
            ("_id", "binData"),
            ("user", "binData"),
            ("expiresAt", "date"),
        ],
    ),
    (
        CHATS,
        &[
            ("_id", "binData"),
            ("members", "array"),
            ("sealed", "binData"),
            ("epochs", "array"),
            ("expiresAt", "date"),
        ],
    ),
];

fn people_are_wrapped() -> impl Iterator<Item = Document> {
    WRAPPED.iter().map(|(name, fields)| validated(name, fields))
}

/// What is wrapped cannot be read without the nodes' keys, so it goes: everybody begins again.
fn people_are_clear() -> impl Iterator<Item = Document> {
    let emptied = [USERS, USERNAMES, CHATS, KEYS].into_iter();
    let all = || doc! { "q": {}, "limit": 0 };
    let emptied = emptied.map(move |name| doc! { "delete": name, "deletes": [all()] });
    let noted = doc! { "q": { "_id": CONVERTED }, "limit": 1 };
    let forgotten = doc! { "delete": CHECKS, "deletes": [noted] };
    let is_wrapped = |name: &str| WRAPPED.iter().any(|(wrapped, _)| *wrapped == name);
    let clear = COLLECTIONS.iter().filter(move |(name, _)| is_wrapped(name));
    let clear = clear.map(|(name, fields)| validated(name, fields));
    emptied.chain([forgotten]).chain(clear)
}

fn validated(name: &str, fields: &[(&str, &str)]) -> Document {
    let validator = doc! { "$jsonSchema": schema(fields) };
    doc! { "collMod": name, "validator": validator, "validationLevel": "strict" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_from_one() {
        let numbers: Vec<_> = STEPS.iter().map(|step| step.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn only_routers_are_sharded_and_every_expiring_collection_is() {
        let sharding = &STEPS[2];
        assert!(sharding.is_for(true) && !sharding.is_for(false));
        let commands = sharding.commands(Direction::Up, "db");
        assert!(commands.iter().all(|command| command.on_admin));
        let documents: Vec<_> = commands
            .into_iter()
            .map(|command| command.document)
            .collect();
        assert_eq!(documents[0], doc! { "enableSharding": "db" });
        for (name, _) in EXPIRING {
            let namespace = format!("db.{name}");
            let is_sharded = |document: &Document| {
                document
                    .get_str("shardCollection")
                    .is_ok_and(|name| name == namespace)
            };
            assert!(documents.iter().any(is_sharded), "{name}");
        }
    }
}
