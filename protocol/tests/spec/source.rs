//! Reads the sources: records with their fields and comments, enums, bounds.

use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type};

const FILES: [&str; 7] = [
    include_str!("../../src/frame/connect.rs"),
    include_str!("../../src/frame/queue.rs"),
    include_str!("../../src/frame/chat.rs"),
    include_str!("../../src/frame/history.rs"),
    include_str!("../../src/frame/signal.rs"),
    include_str!("../../src/position.rs"),
    include_str!("../../src/version.rs"),
];
const LIMITS: &str = include_str!("../../src/limits.rs");

/// A frame or a record in one.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) comment: String,
    pub(crate) fields: Vec<Field>,
}

/// A field of a record.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) comment: String,
}

/// An enum of numbers.
pub(crate) struct OpenEnum {
    pub(crate) name: String,
    pub(crate) comment: String,
    pub(crate) rows: Vec<(String, u8, String)>,
}

fn items() -> impl Iterator<Item = Item> {
    FILES
        .into_iter()
        .flat_map(|file| syn::parse_file(file).unwrap().items)
}

/// All records, in the order of the sources.
pub(crate) fn records() -> Vec<Record> {
    items()
        .filter_map(|item| match item {
            Item::Struct(item) if item.ident != "RawBody" => {
                let Fields::Named(named) = &item.fields else {
                    panic!("{} has no names", item.ident)
                };
                let fields = named.named.iter().map(|field| Field {
                    name: field.ident.as_ref().unwrap().to_string(),
                    kind: kind(&field.ty),
                    comment: comment(&field.attrs),
                });
                Some(Record {
                    name: item.ident.to_string(),
                    comment: comment(&item.attrs),
                    fields: fields.collect(),
                })
            }
            _ => None,
        })
        .collect()
}

/// All enums that are declared with `open_enum!`.
pub(crate) fn open_enums() -> Vec<OpenEnum> {
    items()
        .filter_map(|item| match item {
            Item::Macro(item) if item.mac.path.is_ident("open_enum") => {
                Some(parse_enum(syn::parse2(item.mac.tokens).unwrap()))
            }
            _ => None,
        })
        .collect()
}

fn parse_enum(item: syn::ItemEnum) -> OpenEnum {
    let rows = item.variants.iter().map(|variant| {
        let Some((_, Expr::Lit(number))) = &variant.discriminant else {
            panic!("no number")
        };
        let Lit::Int(number) = &number.lit else {
            panic!("no integer")
        };
        let number = number.base10_parse().unwrap();
        (variant.ident.to_string(), number, comment(&variant.attrs))
    });
    OpenEnum {
        name: item.ident.to_string(),
        comment: comment(&item.attrs),
        rows: rows.collect(),
    }
}

/// Names and comments of the bounds.
pub(crate) fn limits() -> Vec<(String, String)> {
    let items = syn::parse_file(LIMITS).unwrap().items;
    items
        .into_iter()
        .filter_map(|item| match item {
            Item::Const(item) => Some((item.ident.to_string(), comment(&item.attrs))),
            _ => None,
        })
        .collect()
}

/// Names of the bounds.
pub(crate) fn limit_names() -> Vec<&'static str> {
    crate::tables::BOUNDS
        .iter()
        .map(|(name, _)| *name)
        .collect()
}

fn comment(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
                Expr::Lit(text) => match &text.lit {
                    Lit::Str(text) => Some(text.value().trim().to_owned()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
    plain(&lines.collect::<Vec<_>>().join(" "))
}

/// A comment without the links that only rustdoc knows.
fn plain(text: &str) -> String {
    text.replace("[`", "`")
        .replace("`]", "`")
        .replace("crate::", "")
}

/// The type as SPEC names it.
fn kind(ty: &Type) -> String {
    let Type::Path(path) = ty else {
        panic!("a type that SPEC has no word for")
    };
    let last = path.path.segments.last().unwrap();
    let inner = || match &last.arguments {
        PathArguments::AngleBracketed(inner) => match inner.args.first() {
            Some(GenericArgument::Type(inner)) => kind(inner),
            _ => panic!("no type inside"),
        },
        _ => panic!("nothing inside"),
    };
    match last.ident.to_string().as_str() {
        "String" => "string".into(),
        "Bytes" => "bytes".into(),
        "Option" => format!("option of {}", inner()),
        "Vec" => format!("list of {}", inner()),
        "Framed" => format!("framed {}", inner()),
        name if name.ends_with("Id") => format!("id ({name})"),
        name => name.into(),
    }
}
