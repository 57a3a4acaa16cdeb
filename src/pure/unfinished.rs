//! The escape sequence that a stream has begun and not finished.
//!
//! A parser in the middle of one cannot be handed over, but the bytes it has read of it can: every escape begins
//! anew, so nothing before the last one counts.

/// Longest sequence that is kept. Images in chunks have 4 KiB; a longer string (a clipboard, an image whole) is
/// waited for.
const KEPT_MAX: usize = 64 * 1024;

/// Watches a stream for the sequence at its end.
#[derive(Debug, Default)]
pub struct Unfinished {
    held: Vec<u8>,
    /// There is more of it than is kept.
    too_long: bool,
}

impl Unfinished {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        match memchr::memrchr(0x1b, bytes) {
            Some(at) => {
                self.held.clear();
                self.too_long = false;
                self.hold(&bytes[at..]);
            }
            None if self.held.is_empty() => {}
            None => self.hold(bytes),
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let known = self.held.len();
        let room = KEPT_MAX - known;
        let kept = bytes[..bytes.len().min(room)].iter();
        self.held.extend(kept.filter(|b| !is_performed(**b)));
        self.too_long |= bytes.len() > room;
        let ends = match self.too_long {
            // What is not kept is only searched for its end.
            true => bytes.iter().any(|b| ends_string(*b)),
            false => is_whole(&self.held, known),
        };
        if ends {
            (self.held, self.too_long) = (Vec::new(), false);
        }
    }

    /// The sequence so far; `None` if it is too long to be kept.
    pub fn bytes(&self) -> Option<&[u8]> {
        (!self.too_long).then_some(&self.held)
    }
}

/// Whether a byte is no part of a sequence: a control character inside of one is performed at once (and must not be
/// again), and ignored in a string. BEL may end a string; what cancels a sequence and the escape itself are parts.
fn is_performed(byte: u8) -> bool {
    matches!(byte, 0x00..=0x06 | 0x08..=0x17 | 0x19 | 0x1c..=0x1f | 0x7f)
}

/// Whether a byte ends a string (BEL), or cancels any sequence.
fn ends_string(byte: u8) -> bool {
    matches!(byte, 0x07 | 0x18 | 0x1a)
}

/// Whether a sequence that starts with its escape has ended, of which so many bytes were seen to be unfinished.
fn is_whole(sequence: &[u8], known: usize) -> bool {
    let Some(kind) = sequence.get(1) else {
        return false;
    };
    let rest = sequence.get(known.max(2)..).unwrap_or_default();
    let cancelled = |b: &u8| matches!(b, 0x18 | 0x1a);
    match kind {
        b'[' => rest
            .iter()
            .any(|b| matches!(b, 0x40..=0x7e) || cancelled(b)),
        b']' | b'P' | b'X' | b'^' | b'_' => rest.iter().any(|b| ends_string(*b)),
        0x20..=0x2f => rest
            .iter()
            .any(|b| matches!(b, 0x30..=0x7e) || cancelled(b)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(chunks: &[&[u8]]) -> Vec<u8> {
        let mut unfinished = Unfinished::default();
        for chunk in chunks {
            unfinished.feed(chunk);
        }
        unfinished.bytes().expect("short").to_vec()
    }

    #[test]
    fn only_what_is_begun_and_not_finished_is_held() {
        for whole in [
            "text",
            "\x1b[1;2Htext",
            "\x1b]0;title\x07text",
            "\x1b]0;title\x1b\\",
            "\x1bPdcs\x1b\\text",
            "\x1b(Btext",
            "\x1b7",
            "\x1b[12\x18text",
        ] {
            assert_eq!(left(&[whole.as_bytes()]), b"", "{whole:?}");
        }
        for (text, held) in [
            ("text\x1b", "\x1b"),
            ("a\x1b[mb\x1b[38;5", "\x1b[38;5"),
            ("a\x1b]0;title", "\x1b]0;title"),
            ("\x1b(", "\x1b("),
            ("\x1bPq", "\x1bPq"),
            ("a\x1b[3\n;4", "\x1b[3;4"),
            ("a\x1b\r[3\x7f", "\x1b[3"),
        ] {
            assert_eq!(left(&[text.as_bytes()]), held.as_bytes(), "{text:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(left(&bytes), held.as_bytes(), "{text:?} byte by byte");
        }
    }

    #[test]
    fn a_string_without_an_end_is_not_kept_whole_and_its_end_is_seen() {
        let mut unfinished = Unfinished::default();
        unfinished.feed(b"\x1b]52;c;");
        for _ in 0..100 {
            unfinished.feed(&[b'x'; 4096]);
        }
        assert_eq!(unfinished.bytes(), None);
        assert!(unfinished.held.len() <= KEPT_MAX);
        unfinished.feed(b"xx\x07");
        assert_eq!(unfinished.bytes(), Some(b"".as_slice()));
    }
}
