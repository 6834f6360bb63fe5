//! Rust names to TypeScript names.

/// `client_message_id` → `clientMessageId`.
pub(super) fn camel(snake: &str) -> String {
    let mut out = String::with_capacity(snake.len());
    let mut upper = false;
    for c in snake.chars() {
        match c {
            '_' => upper = !out.is_empty(),
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// `TicketEnded` → `ticketEnded`: the `kind` of a frame, the value of an enum.
pub(super) fn lower_first(pascal: &str) -> String {
    let mut chars = pascal.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_lowercase().to_string() + chars.as_str()
    })
}

/// `VersionRange` → `VERSION_RANGE`.
pub(super) fn screaming(pascal: &str) -> String {
    let mut out = String::with_capacity(pascal.len() + 4);
    for (at, c) in pascal.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
