//! Just enough BSON and OP_MSG to start a replica set: commands out, the plain fields of a reply in.
//!
//! The encoding is that of <https://bsonspec.org>, the messages are those of MongoDB's wire
//! protocol. For anything else use the `mongodb` crate; this module keeps `cargo xtask` free of it.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// How long a server may take to answer one command.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest reply that is read: replies to the commands here have a kilobyte or two.
const REPLY_BYTES_MAX: usize = 1 << 20;

const OP_MSG: i32 = 2013;

/// A value of a command or of a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A 32-bit integer; integers and doubles of a reply are read as this too.
    Int(i32),
    /// A string.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A document.
    Document(Vec<(&'static str, Value)>),
    /// An array.
    Array(Vec<Value>),
}

/// Runs `fields` as a command on the `admin` database of the server at `port`, and returns the
/// plain fields of its reply.
///
/// # Errors
/// When it does not reply, or replies that the command failed.
pub fn command(
    port: u16,
    mut fields: Vec<(&'static str, Value)>,
) -> anyhow::Result<BTreeMap<String, Value>> {
    fields.push(("$db", Value::Text("admin".to_owned())));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&message(&fields))?;
    let reply = read_message(&mut stream)?;
    let fields = plain_fields(reply.get(5..).context("a reply without a document")?)?;
    if fields.get("ok") != Some(&Value::Int(1)) {
        bail!("the command failed: {:?}", fields.get("errmsg"));
    }
    Ok(fields)
}

/// Header, flags, section kind 0, document.
fn message(fields: &[(&'static str, Value)]) -> Vec<u8> {
    let document = document(fields);
    let length = 16 + 4 + 1 + document.len();
    let mut out = Vec::with_capacity(length);
    for number in [length as i32, 1, 0, OP_MSG, 0] {
        out.extend(number.to_le_bytes());
    }
    out.push(0);
    out.extend(document);
    out
}

fn read_message(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut header = [0; 16];
    stream.read_exact(&mut header)?;
    let length = i32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    ensure!((16..REPLY_BYTES_MAX).contains(&length), "a reply too long");
    let mut body = vec![0; length - 16];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn document<'a>(fields: impl IntoIterator<Item = &'a (&'static str, Value)>) -> Vec<u8> {
    let elements = fields.into_iter().map(|(name, value)| (*name, value));
    framed(
        elements
            .flat_map(|(name, value)| element(name, value))
            .collect(),
    )
}

fn element(name: &str, value: &Value) -> Vec<u8> {
    let (kind, bytes) = match value {
        Value::Int(number) => (0x10, number.to_le_bytes().to_vec()),
        Value::Bool(truth) => (0x08, vec![u8::from(*truth)]),
        Value::Text(text) => (0x02, string(text)),
        Value::Document(fields) => (0x03, document(fields)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let elements = items.flat_map(|(index, item)| element(&index.to_string(), item));
            (0x04, framed(elements.collect()))
        }
    };
    [&[kind], name.as_bytes(), &[0], &bytes].concat()
}

fn string(text: &str) -> Vec<u8> {
    let length = (text.len() + 1) as i32;
    [&length.to_le_bytes(), text.as_bytes(), &[0]].concat()
}

fn framed(elements: Vec<u8>) -> Vec<u8> {
    let length = (elements.len() + 5) as i32;
    [&length.to_le_bytes(), &elements[..], &[0]].concat()
}

/// The numbers, strings and truth values at the top of a document; everything else is skipped.
fn plain_fields(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut fields = BTreeMap::new();
    let mut rest = bytes.get(4..).context("a document cut short")?;
    while let Some((&kind, after)) = rest.split_first().filter(|(kind, _)| **kind != 0) {
        let end = after.iter().position(|byte| *byte == 0);
        let end = end.context("a name without an end")?;
        let name = String::from_utf8_lossy(&after[..end]).into_owned();
        let value = &after[end + 1..];
        let length = length_of(kind, value)?;
        let bytes = value.get(..length).context("a value cut short")?;
        if let Some(plain) = plain(kind, bytes) {
            fields.insert(name, plain);
        }
        rest = &value[length..];
    }
    Ok(fields)
}

fn length_of(kind: u8, value: &[u8]) -> anyhow::Result<usize> {
    let prefix = || -> anyhow::Result<usize> {
        let four = value.first_chunk().context("a length cut short")?;
        Ok(i32::from_le_bytes(*four) as usize)
    };
    Ok(match kind {
        0x02 => prefix()? + 4,
        0x03 | 0x04 => prefix()?,
        0x05 => prefix()? + 5,
        0x07 => 12,
        0x08 => 1,
        0x0A => 0,
        0x10 => 4,
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x13 => 16,
        other => bail!("a field of the unknown kind {other}"),
    })
}

fn plain(kind: u8, bytes: &[u8]) -> Option<Value> {
    Some(match kind {
        0x01 => Value::Int(f64::from_le_bytes(*bytes.first_chunk()?) as i32),
        0x10 => Value::Int(i32::from_le_bytes(*bytes.first_chunk()?)),
        0x12 => Value::Int(i64::from_le_bytes(*bytes.first_chunk()?) as i32),
        0x08 => Value::Bool(bytes == [1]),
        0x02 => {
            let text = bytes.get(4..bytes.len().checked_sub(1)?)?;
            Value::Text(String::from_utf8_lossy(text).into_owned())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_as_the_specification_has_it() {
        let hello = document(&[("hello", Value::Text("world".to_owned()))]);
        assert_eq!(hello, b"\x16\0\0\0\x02hello\0\x06\0\0\0world\0\0");
        let nested = [
            ("skipped", Value::Array(vec![Value::Int(7)])),
            ("is", Value::Bool(true)),
            ("n", Value::Int(-1)),
        ];
        let read = plain_fields(&document(&nested)).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read["is"], Value::Bool(true));
        assert_eq!(read["n"], Value::Int(-1));
    }

    #[test]
    fn a_document_cut_short_is_an_error() {
        let whole = document(&[("hello", Value::Text("world".to_owned()))]);
        for length in [0, 3, 6, 12, 18] {
            assert!(plain_fields(&whole[..length]).is_err(), "{length}");
        }
    }
}
