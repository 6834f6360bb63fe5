//! Recovery codes: 128 random bits as text that people can copy by hand.
//!
//! The text is Crockford's base32: 26 symbols and a check symbol (the number modulo 37), in groups of
//! four. Case does not matter, O is read as 0, I and L as 1; hyphens and spaces count for nothing. A
//! single wrong symbol and two that changed places are always noticed. Start reading at [`to_text`] and
//! [`from_text`].

/// The symbols of digits and of the check; those after the 32nd are for the check alone.
const SYMBOLS: &[u8; 37] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";

/// Symbols of a code without the check: 130 bits, the first two of which are 0.
const DIGITS: u32 = 26;

/// Symbols in a group.
const GROUP: usize = 4;

/// Longest text that is read, in bytes: room for a blank after each symbol and more.
pub const TEXT_BYTES_MAX: usize = 128;

/// The text is not a recovery code: something is missing or mistyped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has a typing mistake: compare it with the code that you kept")]
pub struct Mistyped;

/// The text of a code.
pub fn to_text(code: [u8; 16]) -> String {
    let number = u128::from_be_bytes(code);
    let digits = (0..DIGITS).rev().map(|place| (number >> (5 * place)) & 31);
    let symbols = digits.chain([number % 37]);
    let mut text = String::with_capacity(40);
    for (index, symbol) in symbols.enumerate() {
        if index > 0 && index % GROUP == 0 {
            text.push('-');
        }
        // Below 37, as the remainders above.
        let symbol = SYMBOLS.get(symbol as usize).copied().unwrap_or_default();
        text.push(char::from(symbol));
    }
    text
}

/// The code that a person has typed.
///
/// # Errors
/// [`Mistyped`].
pub fn from_text(text: &str) -> Result<[u8; 16], Mistyped> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Mistyped);
    }
    let typed = text
        .chars()
        .filter(|it| *it != '-' && !it.is_whitespace())
        .map(value)
        .collect::<Option<Vec<u128>>>()
        .ok_or(Mistyped)?;
    let (check, digits) = typed.split_last().ok_or(Mistyped)?;
    let is_whole = digits.len() == DIGITS as usize && digits.iter().all(|digit| *digit < 32);
    // The first digit has three bits.
    if !is_whole || digits.first().is_none_or(|first| *first > 7) {
        return Err(Mistyped);
    }
    let number = digits.iter().fold(0, |number, digit| number << 5 | digit);
    match number % 37 == *check {
        true => Ok(number.to_be_bytes()),
        false => Err(Mistyped),
    }
}

/// What a symbol stands for.
fn value(symbol: char) -> Option<u128> {
    let symbol = match symbol.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let index = SYMBOLS.iter().position(|it| char::from(*it) == symbol)?;
    u128::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_codes() {
        let cases = [
            ([0; 16], "0000-0000-0000-0000-0000-0000-000"),
            ([0xff; 16], "7ZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZ*"),
        ];
        for (code, text) in cases {
            assert_eq!(to_text(code), text);
            assert_eq!(from_text(text), Ok(code));
        }
    }

    #[test]
    fn what_people_do_to_a_code_is_undone_and_everything_else_is_refused() {
        let mut code = [0x42; 16];
        code[3] = 0;
        let text = to_text(code);
        let good = [
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            format!("  {text}\n"),
            text.replace('0', "o").replace('1', "l"),
            text.replace('0', "O").replace('1', "I"),
        ];
        for text in good {
            assert_eq!(from_text(&text), Ok(code), "{text}");
        }
        let bad = [
            String::new(),
            "-".to_owned(),
            text.repeat(2),
            text[1..].to_owned(),
            text[..text.len() - 1].to_owned(),
            format!("{text}0"),
            format!("Z{}", &text[1..]),
            format!("é{}", &text[1..]),
            format!("0*{}", &text[2..]),
            " ".repeat(TEXT_BYTES_MAX + 1),
            format!("{text}{}", " ".repeat(TEXT_BYTES_MAX)),
        ];
        for text in bad {
            assert_eq!(from_text(&text), Err(Mistyped), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_code_survives_its_text(code: [u8; 16]) {
            prop_assert_eq!(from_text(&to_text(code)), Ok(code));
        }

        #[test]
        fn one_wrong_symbol_and_two_exchanged_are_noticed(code: [u8; 16], at in 0..26_usize, by in 1..32_usize) {
            let plain: Vec<u8> = to_text(code).bytes().filter(|it| *it != b'-').collect();
            let mut wrong = plain.clone();
            let known = SYMBOLS.iter().position(|it| *it == wrong[at]).unwrap();
            wrong[at] = SYMBOLS[(known + by) % 32];
            prop_assert_eq!(from_text(&String::from_utf8(wrong).unwrap()), Err(Mistyped));
            let mut turned = plain.clone();
            turned.swap(at, at + 1);
            let is_same = turned == plain;
            prop_assert_eq!(from_text(&String::from_utf8(turned).unwrap()).is_ok(), is_same);
        }

        #[test]
        fn any_text_is_harmless(text in ".{0,80}") {
            let _ = from_text(&text);
        }
    }
}
