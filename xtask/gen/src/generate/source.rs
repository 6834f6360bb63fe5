//! Reads a Rust source into a [`Module`].
//!
//! Items that are not public, functions and trait implementations have no TypeScript form and are
//! passed over. An item that should have one and cannot is an error: better a broken build than a
//! silent hole.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use syn::{
    Attribute, BinOp, Expr, Fields, GenericArgument, Ident, ImplItem, Lit, LitInt, PathArguments,
    Token, Visibility, braced,
    parse::{Parse, ParseStream},
};

use super::{
    doc, name,
    schema::{BodyContent, BodyVariant, Field, Item, Module, Shape, Type, Variant},
};

/// The constants read so far, by name: later ones may be made from them.
pub(super) type Constants = BTreeMap<String, u64>;

/// Reads the public items of `text`.
pub(super) fn parse(
    name: &str,
    path: &str,
    text: &str,
    constants: &mut Constants,
) -> anyhow::Result<Module> {
    let file = syn::parse_file(text)?;
    let mut items = Vec::new();
    for item in &file.items {
        if let syn::Item::Const(item) = item {
            learn(item, constants);
        }
        items.extend(read(item, constants)?);
    }
    Ok(Module {
        name: name.to_owned(),
        path: path.to_owned(),
        doc: doc::text(&file.attrs),
        items,
    })
}

/// Adds to `constants` the integer constants of `text`, a source that is not generated itself.
pub(super) fn learn_all(text: &str, constants: &mut Constants) -> anyhow::Result<()> {
    for item in &syn::parse_file(text)?.items {
        if let syn::Item::Const(item) = item {
            learn(item, constants);
        }
    }
    Ok(())
}

/// Constants of other kinds are passed over: where one is needed, the generator fails.
fn learn(item: &syn::ItemConst, constants: &mut Constants) {
    if let Ok(value) = integer(&item.expr, constants) {
        constants.insert(item.ident.to_string(), value);
    }
}

fn read(item: &syn::Item, constants: &Constants) -> anyhow::Result<Vec<Item>> {
    match item {
        syn::Item::Struct(item) if is_public(&item.vis) => Ok(vec![structure(item)?]),
        syn::Item::Enum(item) if is_public(&item.vis) => Ok(vec![body(item)?]),
        syn::Item::Const(item) if is_public(&item.vis) => Ok(vec![constant(item, constants)?]),
        syn::Item::Type(item) if is_public(&item.vis) => Ok(vec![Item {
            name: item.ident.to_string(),
            doc: doc::text(&item.attrs),
            shape: Shape::Number,
        }]),
        syn::Item::Impl(item) if item.trait_.is_none() => associated(item, constants),
        syn::Item::Macro(item) if item.mac.path.is_ident("open_enum") => {
            Ok(vec![item.mac.parse_body::<OpenEnum>()?.0])
        }
        syn::Item::Macro(item) if item.mac.path.is_ident("ids") => {
            Ok(item.mac.parse_body::<Ids>()?.0)
        }
        _ => Ok(Vec::new()),
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn structure(item: &syn::ItemStruct) -> anyhow::Result<Item> {
    let Fields::Named(named) = &item.fields else {
        bail!("`{}` has no named fields", item.ident);
    };
    let mut fields = Vec::new();
    for field in &named.named {
        let name = field
            .ident
            .as_ref()
            .context("a named field has a name")?
            .to_string();
        let ty = field_type(&field.ty).with_context(|| format!("`{}.{name}`", item.ident))?;
        fields.push(Field {
            name,
            doc: doc::text(&field.attrs),
            ty,
        });
    }
    Ok(Item {
        name: item.ident.to_string(),
        doc: doc::text(&item.attrs),
        shape: Shape::Struct {
            fields,
            is_ordered: derives(&item.attrs, "Ord"),
        },
    })
}

fn derives(attrs: &[Attribute], wanted: &str) -> bool {
    let mut found = false;
    for attribute in attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
    {
        // A derive that does not parse would not have compiled.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(wanted);
            Ok(())
        });
    }
    found
}

fn field_type(ty: &syn::Type) -> anyhow::Result<Type> {
    let syn::Type::Path(path) = ty else {
        bail!("a type that is not a path");
    };
    let segment = path.path.segments.last().context("a path has a segment")?;
    let inner = || -> anyhow::Result<Box<Type>> {
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
            bail!("`{}` without its argument", segment.ident);
        };
        match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => Ok(Box::new(field_type(inner)?)),
            _ => bail!("`{}` without its argument", segment.ident),
        }
    };
    const PRIMITIVES: [&str; 7] = ["u8", "u16", "u32", "u64", "bool", "String", "Bytes"];
    Ok(match segment.ident.to_string().as_str() {
        "Option" => Type::Option(inner()?),
        "Vec" => Type::List(inner()?),
        "Framed" => Type::Framed(inner()?),
        name => match PRIMITIVES.iter().find(|primitive| **primitive == name) {
            Some(primitive) => Type::Primitive(primitive),
            None => Type::Named(name.to_owned()),
        },
    })
}

fn body(item: &syn::ItemEnum) -> anyhow::Result<Item> {
    let mut variants = Vec::new();
    for variant in &item.variants {
        let content = match &variant.fields {
            Fields::Unit => BodyContent::Nothing,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => BodyContent::Text,
            Fields::Named(_) if variant.ident == "Unknown" => BodyContent::Unknown,
            _ => bail!("`{}::{}` has no TypeScript form", item.ident, variant.ident),
        };
        variants.push(BodyVariant {
            name: variant.ident.to_string(),
            doc: doc::text(&variant.attrs),
            content,
        });
    }
    Ok(Item {
        name: item.ident.to_string(),
        doc: doc::text(&item.attrs),
        shape: Shape::Body(variants),
    })
}

fn constant(item: &syn::ItemConst, constants: &Constants) -> anyhow::Result<Item> {
    let is_duration = matches!(&*item.ty, syn::Type::Path(path) if path.path.is_ident("Duration"));
    let value = if is_duration {
        millis(&item.expr, constants)?
    } else {
        integer(&item.expr, constants)?
    };
    let suffix = if is_duration { "_MS" } else { "" };
    Ok(Item {
        name: format!("{}{suffix}", item.ident),
        doc: doc::text(&item.attrs),
        shape: Shape::Const {
            value: grouped(value),
            of: None,
        },
    })
}

/// Constants of a type: `Position::START` becomes `POSITION_START`.
fn associated(item: &syn::ItemImpl, constants: &Constants) -> anyhow::Result<Vec<Item>> {
    let syn::Type::Path(path) = &*item.self_ty else {
        return Ok(Vec::new());
    };
    let of = path
        .path
        .segments
        .last()
        .context("a path has a segment")?
        .ident
        .to_string();
    let mut items = Vec::new();
    for member in &item.items {
        let ImplItem::Const(constant) = member else {
            continue;
        };
        let (value, of_type) = match &constant.expr {
            Expr::Struct(literal) => (object(literal, constants)?, Some(of.clone())),
            number => (grouped(integer(number, constants)?), None),
        };
        items.push(Item {
            name: format!("{}_{}", name::screaming(&of), constant.ident),
            doc: doc::text(&constant.attrs),
            shape: Shape::Const { value, of: of_type },
        });
    }
    Ok(items)
}

fn object(literal: &syn::ExprStruct, constants: &Constants) -> anyhow::Result<String> {
    let mut fields = Vec::new();
    for field in &literal.fields {
        let syn::Member::Named(name) = &field.member else {
            bail!("a constant with unnamed fields");
        };
        let value = match &field.expr {
            Expr::Path(path) => path.path.require_ident()?.to_string(),
            number => grouped(integer(number, constants)?),
        };
        fields.push(format!("{}: {value}", name::camel(&name.to_string())));
    }
    Ok(format!("{{ {} }}", fields.join(", ")))
}

fn integer(expr: &Expr, constants: &Constants) -> anyhow::Result<u64> {
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => Ok(number.base10_parse()?),
            _ => bail!("a constant that is not an integer"),
        },
        Expr::Binary(binary) => {
            let left = integer(&binary.left, constants)?;
            let right = integer(&binary.right, constants)?;
            let value = match binary.op {
                BinOp::Mul(_) => left.checked_mul(right),
                BinOp::Add(_) => left.checked_add(right),
                BinOp::Sub(_) => left.checked_sub(right),
                _ => bail!("a constant that is not a product, sum or difference"),
            };
            value.context("a constant that does not fit 64 bits")
        }
        Expr::Paren(inner) => integer(&inner.expr, constants),
        Expr::Path(path) => {
            let name = path.path.require_ident()?.to_string();
            let known = constants.get(&name).copied();
            known.with_context(|| format!("`{name}` is not known"))
        }
        _ => bail!("a constant that is not an integer"),
    }
}

fn millis(expr: &Expr, constants: &Constants) -> anyhow::Result<u64> {
    let Expr::Call(call) = expr else {
        bail!("a Duration that is not a call");
    };
    let Expr::Path(function) = &*call.func else {
        bail!("a Duration that is not a call");
    };
    let argument = integer(
        call.args.first().context("a Duration of nothing")?,
        constants,
    )?;
    let segment = function.path.segments.last();
    match segment.map(|segment| segment.ident.to_string()).as_deref() {
        Some("from_secs") => Ok(argument * 1_000),
        Some("from_millis") => Ok(argument),
        _ => bail!("a Duration that is neither seconds nor milliseconds"),
    }
}

/// 65536 → `65_536`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.len() > 4 {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

/// `/// doc` `pub enum Name { /// doc` `Variant = 1, … }`, as `open_enum!` takes it.
struct OpenEnum(Item);

impl Parse for OpenEnum {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        input.parse::<Token![enum]>()?;
        let name: Ident = input.parse()?;
        let content;
        braced!(content in input);
        let mut variants = Vec::new();
        while !content.is_empty() {
            let attrs = content.call(Attribute::parse_outer)?;
            let name: Ident = content.parse()?;
            content.parse::<Token![=]>()?;
            let number = content.parse::<LitInt>()?.base10_parse()?;
            content.parse::<Token![,]>()?;
            variants.push(Variant {
                name: name.to_string(),
                doc: doc::text(&attrs),
                number,
            });
        }
        Ok(Self(Item {
            name: name.to_string(),
            doc: doc::text(&attrs),
            shape: Shape::OpenEnum(variants),
        }))
    }
}

/// `/// doc` `Name;` and again, as `ids!` takes it.
struct Ids(Vec<Item>);

impl Parse for Ids {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut items = Vec::new();
        while !input.is_empty() {
            let attrs = input.call(Attribute::parse_outer)?;
            let name: Ident = input.parse()?;
            input.parse::<Token![;]>()?;
            items.push(Item {
                name: name.to_string(),
                doc: doc::text(&attrs),
                shape: Shape::Id,
            });
        }
        Ok(Self(items))
    }
}
