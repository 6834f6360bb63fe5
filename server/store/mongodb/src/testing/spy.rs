//! Someone who reads everything that MongoDB holds and has held: the collections, the oplog, and a
//! change stream that was opened before.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use mongodb::{
    Database,
    bson::{Bson, Document, doc, serialize_to_vec},
    change_stream::event::{ChangeStreamEvent, OperationType},
};
use nowrong_base::lock::lock;

use super::open_at;

/// A reader of the database.
pub struct Spy {
    database: Database,
    seen: Arc<Mutex<Vec<ChangeStreamEvent<Document>>>>,
    reader: tokio::task::JoinHandle<()>,
}

/// A message body as it was stored, and what is authenticated with it.
pub struct SealedBody {
    /// Chat, index of the sender, the sender's id of the message.
    pub about: Vec<u8>,
    /// The body.
    pub sealed: Vec<u8>,
}

impl Drop for Spy {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Spy {
    /// Begins to read the changes of the database at `url`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn open(url: &str) -> Self {
        let database = open_at(url).await.database().clone();
        let mut changes = database.watch().await.unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        let reader = tokio::spawn(async move {
            while let Some(event) = changes.next().await {
                lock(&into).push(event.unwrap());
            }
        });
        Self {
            database,
            seen,
            reader,
        }
    }

    /// How many documents of a collection were seen to be deleted.
    pub fn deleted(&self, collection: &str) -> usize {
        let is_it = |event: &&ChangeStreamEvent<Document>| {
            let of = event.ns.as_ref().and_then(|ns| ns.coll.as_deref());
            event.operation_type == OperationType::Delete && of == Some(collection)
        };
        lock(&self.seen).iter().filter(is_it).count()
    }

    /// Everything, as bytes.
    ///
    /// # Panics
    /// When something cannot be read.
    pub async fn dump(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in self.database.list_collection_names().await.unwrap() {
            let collection = self.database.collection::<Document>(&name);
            let mut all = collection.find(doc! {}).await.unwrap();
            while all.advance().await.unwrap() {
                bytes.extend_from_slice(all.current().as_bytes());
            }
        }
        let oplog = self.database.client().database("local");
        let everything = doc! { "find": "oplog.rs", "filter": {} };
        let mut oplog = oplog.run_cursor_command(everything).await.unwrap();
        while oplog.advance().await.unwrap() {
            bytes.extend_from_slice(oplog.current().as_bytes());
        }
        for event in lock(&self.seen).iter() {
            let update = event.update_description.as_ref();
            let parts = [
                event.full_document.clone(),
                event.document_key.clone(),
                update.map(|update| update.updated_fields.clone()),
            ];
            for part in parts.iter().flatten() {
                bytes.extend(serialize_to_vec(part).unwrap());
            }
        }
        bytes
    }

    /// The message bodies that were seen to be stored.
    pub fn bodies(&self) -> Vec<SealedBody> {
        let seen = lock(&self.seen);
        let documents = seen.iter().filter_map(|event| event.full_document.as_ref());
        documents.filter_map(body).collect()
    }
}

fn body(document: &Document) -> Option<SealedBody> {
    let bytes = |value: Option<&Bson>| match value {
        Some(Bson::Binary(binary)) => Some(binary.bytes.clone()),
        _ => None,
    };
    let chat = bytes(document.get_document("_id").ok()?.get("chat"))?;
    let member = u8::try_from(document.get_i32("member").ok()?).ok()?;
    let id = bytes(document.get("clientMessageId"))?;
    Some(SealedBody {
        about: [&chat[..], &[member], &id].concat(),
        sealed: bytes(document.get("sealed"))?,
    })
}
