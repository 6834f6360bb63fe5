//! A field's type in TypeScript: how it is named, written and read.

use super::schema::Type;

/// The TypeScript type.
pub(super) fn named(ty: &Type) -> String {
    match ty {
        Type::Primitive("bool") => "boolean".to_owned(),
        Type::Primitive("String") => "string".to_owned(),
        Type::Primitive("Bytes") => "Uint8Array".to_owned(),
        Type::Primitive(_) => "number".to_owned(),
        Type::Named(name) => name.clone(),
        Type::Option(inner) => format!("{} | null", named(inner)),
        Type::List(inner) => match &**inner {
            Type::Option(_) => format!("readonly ({})[]", named(inner)),
            _ => format!("readonly {}[]", named(inner)),
        },
        Type::Framed(inner) => named(inner),
    }
}

/// A statement that writes `value` to `writer`.
pub(super) fn write(ty: &Type, value: &str) -> String {
    match ty {
        Type::Primitive(_) | Type::Named(_) => format!("{}(writer, {value})", writer(ty)),
        Type::Option(inner) => format!("writeOption(writer, {value}, {})", writer(inner)),
        Type::List(inner) => format!("writeList(writer, {value}, {})", writer(inner)),
        Type::Framed(inner) => format!("writeFramed(writer, {value}, {})", writer(inner)),
    }
}

/// An expression that reads the type from `reader`.
pub(super) fn read(ty: &Type) -> String {
    match ty {
        Type::Primitive(_) | Type::Named(_) => format!("{}(reader)", reader(ty)),
        Type::Option(inner) => format!("readOption(reader, {})", reader(inner)),
        Type::List(inner) => format!("readList(reader, {})", reader(inner)),
        Type::Framed(inner) => format!("readFramed(reader, {})", reader(inner)),
    }
}

/// The functions of `wire/codec.ts` and the named types that writing and reading `ty` need.
pub(super) fn needs(ty: &Type, wire: &mut Vec<String>, named: &mut Vec<String>) {
    let mut both = |name: &str| wire.extend([format!("write{name}"), format!("read{name}")]);
    match ty {
        Type::Primitive(name) => both(&suffix(name)),
        Type::Named(name) if name.ends_with("Code") => {
            both("U16");
            named.push(name.clone());
        }
        Type::Named(name) => named.push(name.clone()),
        Type::Option(inner) | Type::List(inner) | Type::Framed(inner) => {
            both(match ty {
                Type::Option(_) => "Option",
                Type::List(_) => "List",
                _ => "Framed",
            });
            needs(inner, wire, named);
        }
    }
}

fn writer(ty: &Type) -> String {
    match ty {
        Type::Primitive(name) => format!("write{}", suffix(name)),
        Type::Named(name) if name.ends_with("Code") => "writeU16".to_owned(),
        Type::Named(name) => format!("encode{name}"),
        nested => format!("(writer, value) => {}", write(nested, "value")),
    }
}

fn reader(ty: &Type) -> String {
    match ty {
        Type::Primitive(name) => format!("read{}", suffix(name)),
        Type::Named(name) if name.ends_with("Code") => "readU16".to_owned(),
        Type::Named(name) => format!("decode{name}"),
        nested => format!("(reader) => {}", read(nested)),
    }
}

fn suffix(primitive: &str) -> String {
    let mut chars = primitive.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + chars.as_str()
    })
}
