//! Keys by name, as the bytes a terminal sends for them.
//!
//! As xterm does it, in the mode the runtime has asked for: cursor keys depend on that. Modifiers stand in front,
//! `C-` (control), `M-` (alt) and `S-` (shift), in this order. The keyboard protocols that terminals offer on top are
//! none of ours: a runtime in tmux, where most live, is offered none.

/// Most keys at once: an answer to a dialog, not a text. (Texts are messages.)
pub const KEYS_MAX: usize = 64;

/// What a named key sends.
enum Sends {
    /// This byte.
    Byte(u8),
    /// `CSI` and this letter, `SS3` for cursor keys in application mode.
    Cursor(u8),
    /// `SS3` and this letter.
    Pad(u8),
    /// `CSI`, this number and a tilde.
    Tilde(u8),
}

/// The keys with names, and what they send.
const NAMED: [(&str, Sends); 28] = [
    ("Enter", Sends::Byte(b'\r')),
    ("Tab", Sends::Byte(b'\t')),
    ("Escape", Sends::Byte(0x1b)),
    ("Space", Sends::Byte(b' ')),
    ("Backspace", Sends::Byte(0x7f)),
    ("Up", Sends::Cursor(b'A')),
    ("Down", Sends::Cursor(b'B')),
    ("Right", Sends::Cursor(b'C')),
    ("Left", Sends::Cursor(b'D')),
    ("Home", Sends::Cursor(b'H')),
    ("End", Sends::Cursor(b'F')),
    ("Insert", Sends::Tilde(2)),
    ("Delete", Sends::Tilde(3)),
    ("PageUp", Sends::Tilde(5)),
    ("PageDown", Sends::Tilde(6)),
    ("F1", Sends::Pad(b'P')),
    ("F2", Sends::Pad(b'Q')),
    ("F3", Sends::Pad(b'R')),
    ("F4", Sends::Pad(b'S')),
    ("F5", Sends::Tilde(15)),
    ("F6", Sends::Tilde(17)),
    ("F7", Sends::Tilde(18)),
    ("F8", Sends::Tilde(19)),
    ("F9", Sends::Tilde(20)),
    ("F10", Sends::Tilde(21)),
    ("F11", Sends::Tilde(23)),
    ("F12", Sends::Tilde(24)),
    ("Esc", Sends::Byte(0x1b)),
];

/// The bytes of a key; none if there is no such key. `application`: the cursor keys' mode.
pub fn encode(key: &str, application: bool) -> Option<Vec<u8>> {
    let (control, rest) = modifier(key, "C-");
    let (alt, rest) = modifier(rest, "M-");
    let (shift, rest) = modifier(rest, "S-");
    let modifiers = u8::from(shift) | u8::from(alt) << 1 | u8::from(control) << 2;
    let mut bytes = Vec::new();
    let named = NAMED.iter().find(|(name, _)| *name == rest);
    let mut sequence = |start: &[u8], number: u8, last: u8| {
        bytes.extend_from_slice(start);
        if modifiers > 0 {
            // `CSI 1;M A`: the plain number is left out only where there is nothing behind it.
            bytes.extend_from_slice(number.max(1).to_string().as_bytes());
            bytes.push(b';');
            bytes.extend_from_slice((modifiers + 1).to_string().as_bytes());
        } else if number > 0 {
            bytes.extend_from_slice(number.to_string().as_bytes());
        }
        bytes.push(last);
    };
    match named {
        Some((_, Sends::Cursor(letter))) => match application && modifiers == 0 {
            true => sequence(b"\x1bO", 0, *letter),
            false => sequence(b"\x1b[", 0, *letter),
        },
        Some((_, Sends::Pad(letter))) => match modifiers {
            0 => sequence(b"\x1bO", 0, *letter),
            _ => sequence(b"\x1b[", 0, *letter),
        },
        Some((_, Sends::Tilde(number))) => sequence(b"\x1b[", *number, b'~'),
        // Shift and Tab have a sequence of their own.
        Some((_, Sends::Byte(b'\t'))) if modifiers == 1 => bytes.extend_from_slice(b"\x1b[Z"),
        Some((_, Sends::Byte(byte))) if !shift => {
            let byte = match (control, byte) {
                (false, byte) => *byte,
                (true, b' ') => 0,
                (true, 0x7f) => 0x08,
                (true, _) => return None,
            };
            bytes.extend(alt.then_some(0x1b));
            bytes.push(byte);
        }
        Some(_) => return None,
        None => {
            let mut chars = rest.chars();
            let (c, None) = (chars.next()?, chars.next()) else {
                return None;
            };
            if shift || c.is_control() {
                return None;
            }
            bytes.extend(alt.then_some(0x1b));
            match control {
                true => bytes.push(with_control(c)?),
                false => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    Some(bytes)
}

/// Whether a modifier stands in front, and what stands behind it. A key may be the modifier's own letters: `C-` is none.
fn modifier<'a>(key: &'a str, prefix: &str) -> (bool, &'a str) {
    match key.strip_prefix(prefix) {
        Some(rest) if !rest.is_empty() => (true, rest),
        _ => (false, key),
    }
}

/// What a character sends with control.
fn with_control(c: char) -> Option<u8> {
    match c.to_ascii_uppercase() {
        c @ '@'..='_' => u8::try_from(c).ok().map(|c| c & 0x1f),
        '?' => Some(0x7f),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(key: &str, application: bool) -> String {
        let bytes = encode(key, application);
        bytes.map_or("none".into(), |bytes| bytes.escape_ascii().to_string())
    }

    #[test]
    fn keys_send_what_an_xterm_sends() {
        for (key, plain) in [
            ("a", "a"),
            ("1", "1"),
            ("-", "-"),
            ("é", "\\xc3\\xa9"),
            ("Enter", "\\r"),
            ("Escape", "\\x1b"),
            ("Backspace", "\\x7f"),
            ("Space", " "),
            ("C-c", "\\x03"),
            ("C-C", "\\x03"),
            ("C-[", "\\x1b"),
            ("C-Space", "\\x00"),
            ("M-b", "\\x1bb"),
            ("M-Enter", "\\x1b\\r"),
            ("C-M-x", "\\x1b\\x18"),
            ("S-Tab", "\\x1b[Z"),
            ("Delete", "\\x1b[3~"),
            ("C-Delete", "\\x1b[3;5~"),
            ("F1", "\\x1bOP"),
            ("S-F1", "\\x1b[1;2P"),
            ("F12", "\\x1b[24~"),
            ("M-Up", "\\x1b[1;3A"),
        ] {
            assert_eq!(sent(key, false), plain, "{key}");
            assert_eq!(sent(key, true), plain, "{key}");
        }
        assert_eq!(sent("Up", false), "\\x1b[A");
        assert_eq!(sent("Up", true), "\\x1bOA");
        assert_eq!(sent("End", true), "\\x1bOF");
    }

    #[test]
    fn what_is_no_key_is_none() {
        for key in [
            "", "ab", "enter", "C-", "C-é", "S-a", "S-Enter", "M-C-x", "C-Enter", "\u{3}",
        ] {
            assert_eq!(sent(key, false), "none", "{key:?}");
        }
    }
}
