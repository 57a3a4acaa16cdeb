//! What may be typed: the rules a message must meet, and the preamble that says who wrote it.

use std::fmt;

/// Largest message in bytes, preamble included.
///
/// A paste of 1 MiB arrives whole in a raw pty (measured), but no runtime has been seen to take more
/// than some 64 KiB gracefully; the cap also bounds what one client can make the sidecar hold.
pub const BODY_MAX: usize = 256 * 1024;

/// Longest name in a preamble, in bytes.
const LABEL_MAX: usize = 128;

/// Why a message cannot be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing but blanks.
    Empty,
    /// More than [`BODY_MAX`] bytes; carries the size.
    TooLong(usize),
    /// A control character at this byte offset. `ESC[201~` inside a message would end the paste early.
    Control(char, usize),
    /// A first character that means something else than a message to this runtime.
    Special(char),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Empty => f.write_str("the message is empty"),
            Refusal::TooLong(n) => write!(
                f,
                "the message has {n} bytes or more, at most {BODY_MAX} can be sent"
            ),
            Refusal::Control(c, at) => write!(
                f,
                "the message has the control character U+{:04X} at byte {at}; only line feed and tab may stand in it",
                u32::from(*c)
            ),
            Refusal::Special(c) => write!(
                f,
                "the message starts with {c:?}, which this runtime takes for a command; send it with a preamble or other words first"
            ),
        }
    }
}

/// Checks a message's own text and leaves out trailing line feeds, which a pipe adds by itself.
///
/// # Errors
/// The first [`Refusal`] that applies.
pub fn check(text: &str) -> Result<&str, Refusal> {
    let text = text.trim_end_matches('\n');
    if text.trim().is_empty() {
        return Err(Refusal::Empty);
    }
    if text.len() > BODY_MAX {
        return Err(Refusal::TooLong(text.len()));
    }
    match text
        .char_indices()
        .find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\t'))
    {
        Some((at, c)) => Err(Refusal::Control(c, at)),
        None => Ok(text),
    }
}

/// Checks the whole text as it will be typed against the runtime's special first characters.
///
/// # Errors
/// [`Refusal::Special`], or [`Refusal::TooLong`] when the preamble is what makes it too long.
pub fn check_typed(text: &str, special_first: &str) -> Result<(), Refusal> {
    if text.len() > BODY_MAX {
        return Err(Refusal::TooLong(text.len()));
    }
    match text.trim_start().chars().next() {
        Some(c) if special_first.contains(c) => Err(Refusal::Special(c)),
        _ => Ok(()),
    }
}

/// Puts `[from -> to] ` in front of a message. Names are data: what could close the bracket early or
/// break the line is replaced by `_`.
pub fn with_preamble(from: &str, to: &str, text: &str) -> String {
    format!("[{} -> {}] {text}", label(from), label(to))
}

fn label(name: &str) -> String {
    let mut kept: String = name
        .chars()
        .map(|c| {
            if c.is_control() || c.is_whitespace() || "[]<>".contains(c) {
                '_'
            } else {
                c
            }
        })
        .collect();
    while kept.len() > LABEL_MAX {
        kept.pop();
    }
    if kept.is_empty() {
        "unknown".into()
    } else {
        kept
    }
}

/// A message as a bracketed paste.
pub fn as_paste(text: &str) -> Vec<u8> {
    [PASTE_START, text.as_bytes(), PASTE_END].concat()
}

/// Start of a bracketed paste.
pub const PASTE_START: &[u8] = b"\x1b[200~";
/// End of a bracketed paste.
pub const PASTE_END: &[u8] = b"\x1b[201~";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_with_their_place_and_never_stripped() {
        assert_eq!(check("a\x1b[201~b"), Err(Refusal::Control('\x1b', 1)));
        assert_eq!(check("a\0"), Err(Refusal::Control('\0', 1)));
        assert_eq!(check("a\r\n"), Err(Refusal::Control('\r', 1)));
        assert_eq!(check("\u{9b}"), Err(Refusal::Control('\u{9b}', 0)));
        assert_eq!(check("a\x7f"), Err(Refusal::Control('\x7f', 1)));
        assert_eq!(check("a\n\tb"), Ok("a\n\tb"));
    }

    #[test]
    fn empty_and_oversized_messages_are_refused() {
        assert_eq!(check(" \n\t\n"), Err(Refusal::Empty));
        let long = "x".repeat(BODY_MAX + 1);
        assert_eq!(check(&long), Err(Refusal::TooLong(BODY_MAX + 1)));
        assert!(check(&long[1..]).is_ok());
    }

    #[test]
    fn a_command_by_accident_is_refused_unless_a_preamble_stands_first() {
        assert_eq!(check_typed(" !rm", "!/"), Err(Refusal::Special('!')));
        let typed = with_preamble("h:a", "h:b", "!rm");
        assert_eq!(typed, "[h:a -> h:b] !rm");
        assert_eq!(check_typed(&typed, "!/"), Ok(()));
    }

    #[test]
    fn a_name_cannot_forge_a_preamble() {
        assert_eq!(
            with_preamble("x] [owner", "b\n", "hi"),
            "[x___owner -> b_] hi"
        );
    }

    #[test]
    fn a_paste_has_exactly_one_pair_of_brackets() {
        let paste = as_paste("hello");
        assert_eq!(paste, b"\x1b[200~hello\x1b[201~");
    }
}
