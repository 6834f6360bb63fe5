//! What the sources define, reduced to what TypeScript needs: plain data, no Rust syntax.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use nowrong_protocol::frame::FRAMES;

/// A Rust module that becomes a TypeScript module.
pub(super) struct Module {
    /// Name of the file, without its ending.
    pub(super) name: String,
    /// Path of the Rust source, for the header.
    pub(super) path: String,
    /// Text of `//!`.
    pub(super) doc: String,
    /// In the order of the source.
    pub(super) items: Vec<Item>,
}

/// A public item.
pub(super) struct Item {
    /// Its name in Rust.
    pub(super) name: String,
    /// Text of `///`.
    pub(super) doc: String,
    /// What it is.
    pub(super) shape: Shape,
}

/// What an item is.
pub(super) enum Shape {
    /// A struct with named fields; `is_ordered` when it derives `Ord`.
    Struct {
        fields: Vec<Field>,
        is_ordered: bool,
    },
    /// An enum of named numbers in one byte.
    OpenEnum(Vec<Variant>),
    /// A message body: a kind, and bytes that the kind gives a meaning.
    Body(Vec<BodyVariant>),
    /// 16 bytes.
    Id,
    /// A name for a number type.
    Number,
    /// A constant and its TypeScript expression, with the type that it is annotated with.
    Const { value: String, of: Option<String> },
}

/// A field of a struct.
pub(super) struct Field {
    /// Its name in Rust.
    pub(super) name: String,
    /// Text of `///`.
    pub(super) doc: String,
    /// Its type.
    pub(super) ty: Type,
}

/// A variant of an open enum.
pub(super) struct Variant {
    /// Its name in Rust.
    pub(super) name: String,
    /// Text of `///`.
    pub(super) doc: String,
    /// Its number on the wire.
    pub(super) number: u8,
}

/// A variant of a message body.
pub(super) struct BodyVariant {
    /// Its name in Rust.
    pub(super) name: String,
    /// Text of `///`.
    pub(super) doc: String,
    /// What it carries.
    pub(super) content: BodyContent,
}

/// What a variant of a message body carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyContent {
    /// Nothing.
    Nothing,
    /// UTF-8.
    Text,
    /// A kind of a newer version and its bytes.
    Unknown,
}

/// A type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// `u8`, `u16`, `u32`, `u64`, `bool`, `String` or `Bytes`.
    Primitive(&'static str),
    /// A type of the protocol.
    Named(String),
    /// `Option<T>`.
    Option(Box<Type>),
    /// `Vec<T>`.
    List(Box<Type>),
    /// `Framed<T>`.
    Framed(Box<Type>),
}

/// All modules, and where each name is defined.
pub(super) struct Schema {
    /// The modules, in the order of their dependence.
    pub(super) modules: Vec<Module>,
    /// The module of each name.
    pub(super) home: BTreeMap<String, String>,
}

impl Schema {
    /// Indexes the modules and checks that every frame of the table is among their structs.
    pub(super) fn new(modules: Vec<Module>) -> anyhow::Result<Self> {
        let mut home = BTreeMap::from([
            ("CloseCode".to_owned(), "code".to_owned()),
            ("ErrorCode".to_owned(), "code".to_owned()),
        ]);
        for module in &modules {
            for item in &module.items {
                if home
                    .insert(item.name.clone(), module.name.clone())
                    .is_some()
                {
                    bail!("`{}` is defined twice", item.name);
                }
            }
        }
        let schema = Self { modules, home };
        for frame in FRAMES {
            schema.home(frame.name)?;
        }
        Ok(schema)
    }

    /// The module that defines `name`.
    pub(super) fn home(&self, name: &str) -> anyhow::Result<&str> {
        self.home
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("`{name}` is in none of the modules that are generated"))
    }

    /// The text of `///` on the item called `name`.
    pub(super) fn doc(&self, name: &str) -> &str {
        let items = self.modules.iter().flat_map(|module| &module.items);
        items
            .into_iter()
            .find(|item| item.name == name)
            .map_or("", |item| item.doc.as_str())
    }
}

/// Whether `name` is a frame, which carries its `kind` in TypeScript.
pub(super) fn is_frame(name: &str) -> bool {
    FRAMES.iter().any(|frame| frame.name == name)
}
