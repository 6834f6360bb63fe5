//! Classes of characters that need care. Ranges from the Unicode Character Database, version 16:
//! `Bidi_Control`, `Default_Ignorable_Code_Point`, and general category `Co`.

use unicode_normalization::char::is_combining_mark;

/// Controls of writing direction. In a stranger's text they make `gpj.exe` look like `exe.jpg`.
pub(super) const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Invisible characters: joiners, fillers, variation selectors, tags, bidi controls.
pub(super) const fn is_ignorable(c: char) -> bool {
    is_bidi_control(c)
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// White space, and the Braille pattern without dots.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

/// Characters that mean nothing between strangers: controls, private use, noncharacters, and the
/// mark of a failed decoding.
pub(super) fn is_meaningless(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{FDD0}'..='\u{FDEF}' | '\u{FFFC}'..='\u{FFFD}')
        || code >= 0xF_0000
        || code & 0xFFFE == 0xFFFE
}

/// Characters that extend the one before them: marks and invisible characters. Otherwise an
/// invisible character would split a stack of marks into parts that a screen joins again.
pub(super) fn is_extending(c: char) -> bool {
    is_combining_mark(c) || is_ignorable(c)
}

/// The text with every run of white space as one space, and none at the ends.
pub(super) fn collapse_blanks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_blank).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}
