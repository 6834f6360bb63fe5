//! The headers `Forwarded` (RFC 7239) and `X-Forwarded-For`: the last hop that is not a trusted proxy.
//!
//! Each proxy appends the address that it was asked from, so what stands at the end was written by the
//! proxy nearest to us and what stands at the beginning by the client, who can write anything. So both
//! are read from the end, only as far as the proxies are trusted. A hop that cannot be read on this way
//! (`unknown`, a name, nonsense) ends it without a result.

use std::net::{IpAddr, SocketAddr};

/// Most bytes of forwarding headers that are looked at. A hop has at most 60 or so.
pub const BYTES_MAX: usize = 4_096;

/// Most hops that are looked at: no request passes more proxies of one operator.
pub const HOPS_MAX: usize = 16;

/// The values of the forwarding headers of one request, in the order in which they came. A value that is
/// not ASCII belongs here as it is: it makes the header unreadable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// The values of `Forwarded`.
    pub forwarded: &'a [&'a [u8]],
    /// The values of `X-Forwarded-For`.
    pub x_forwarded_for: &'a [&'a [u8]],
}

impl Headers<'_> {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.forwarded.is_empty() && self.x_forwarded_for.is_empty()
    }

    /// How long they are, all together.
    pub(super) fn bytes(&self) -> usize {
        let values = self.forwarded.iter().chain(self.x_forwarded_for);
        values.map(|value| value.len()).sum()
    }
}

/// The client by the values of `X-Forwarded-For`: addresses separated by commas, with a port or without.
pub(super) fn last_hop_of_list(
    values: &[&[u8]],
    is_trusted: &dyn Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let hops = values.iter().rev().flat_map(|value| {
        let hops = value.rsplit(|byte| *byte == b',');
        hops.map(|hop| address(std::str::from_utf8(hop).ok()?.trim()))
    });
    walk(hops, is_trusted)
}

/// The client by the values of `Forwarded`. A value is read as a whole, since a comma may stand in a quoted
/// string; a value that is not as in RFC 7239 has no hops that can be read.
pub(super) fn last_hop(values: &[&[u8]], is_trusted: &dyn Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let hops = values.iter().rev().flat_map(|value| {
        let mut hops = elements(value).unwrap_or_else(|| vec![None]);
        hops.reverse();
        hops
    });
    walk(hops, is_trusted)
}

/// Goes from the last hop towards the first, as far as they are trusted. If all are, the first one
/// counts: it is a proxy that asks by itself.
fn walk(
    hops: impl Iterator<Item = Option<IpAddr>>,
    is_trusted: &dyn Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut farthest = None;
    for (index, hop) in hops.enumerate() {
        let hop = hop?;
        if index == HOPS_MAX {
            return None;
        }
        if !is_trusted(hop) {
            return Some(hop);
        }
        farthest = Some(hop);
    }
    farthest
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_in_brackets = bare.is_some();
    let address = match bare.unwrap_or(text).parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) if is_in_brackets => None,
        Ok(address) => Some(address),
        Err(_) => text.parse::<SocketAddr>().ok().map(|place| place.ip()),
    };
    address.map(|address| address.to_canonical())
}

/// The `for` of each element of a `Forwarded` value; `None` for one that names no address. The whole is
/// `None` when the value is not as in RFC 7239.
fn elements(value: &[u8]) -> Option<Vec<Option<IpAddr>>> {
    let mut rest = Reader(std::str::from_utf8(value).ok()?);
    let mut elements = Vec::new();
    loop {
        elements.push(element(&mut rest)?);
        rest.skip_blanks();
        match rest.bump() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// `for=192.0.2.1;proto=https`: pairs up to a comma or the end.
fn element(rest: &mut Reader<'_>) -> Option<Option<IpAddr>> {
    let mut found = None;
    loop {
        rest.skip_blanks();
        // An empty pair between semicolons is allowed.
        if !matches!(rest.peek(), None | Some(',' | ';')) {
            let (name, value) = rest.pair()?;
            if name.eq_ignore_ascii_case("for") {
                if found.is_some() {
                    return None;
                }
                found = Some(node(&value));
            }
        }
        rest.skip_blanks();
        match rest.peek() {
            Some(';') => rest.bump(),
            _ => return Some(found.flatten()),
        };
    }
}

/// An IPv6 address stands in brackets here; `unknown` and `_hidden` name no address. A port may be hidden
/// as well.
fn node(value: &str) -> Option<IpAddr> {
    if value.starts_with('[') || value.matches(':').count() < 2 {
        let host = match value.rsplit_once(":_") {
            Some((host, _)) => host,
            None => value,
        };
        return address(host);
    }
    None
}

/// What is left of a value.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.0.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.0.chars();
        let first = chars.next();
        self.0 = chars.as_str();
        first
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// `name=token` or `name="quoted string"`.
    fn pair(&mut self) -> Option<(&'a str, String)> {
        let name = self.token()?;
        if self.bump() != Some('=') {
            return None;
        }
        let value = match self.peek() {
            Some('"') => self.quoted()?,
            _ => self.token()?.to_owned(),
        };
        Some((name, value))
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.find(|c: char| !is_token(c));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    fn quoted(&mut self) -> Option<String> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump()? {
                '"' => return Some(text),
                '\\' => text.push(self.bump()?),
                c if c.is_control() && c != '\t' => return None,
                c => text.push(c),
            }
        }
    }
}

/// A character of a token (RFC 9110). Many proxies write an address with its colons and brackets
/// unquoted, though RFC 7239 wants quotes: there is only one way to read it.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:[]".contains(c)
}
