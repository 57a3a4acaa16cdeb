//! Cuts a byte stream only between characters.
//!
//! `vte` 0.15 loses a character when a chunk ends inside a multi-byte one and the next chunk brings more
//! than its rest (`advance_partial_utf8` skips all valid bytes and prints only the first character). A
//! stream from a pty is cut anywhere, so the unfinished tail is held back until its rest arrives.

/// Holds back the unfinished character at the end of a stream; at most three bytes.
#[derive(Debug, Default)]
pub struct Whole {
    held: Vec<u8>,
}

impl Whole {
    /// The unfinished character at the end.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Calls `take` with the next bytes, cut so that no call ends inside a character.
    pub fn cut(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let mut rest = bytes;
        if !self.held.is_empty() {
            let want = width(self.held[0]).saturating_sub(self.held.len());
            let more = rest
                .iter()
                .take(want)
                .take_while(|b| **b & 0xc0 == 0x80)
                .count();
            self.held.extend_from_slice(&rest[..more]);
            rest = &rest[more..];
            if more < want && rest.is_empty() {
                return;
            }
            let held = std::mem::take(&mut self.held);
            take(&held);
        }
        let tail = unfinished(rest);
        let (now, later) = rest.split_at(rest.len() - tail);
        if !now.is_empty() {
            take(now);
        }
        self.held.extend_from_slice(later);
    }
}

/// The length in bytes of the character that starts with `lead`; 1 for anything that starts none.
fn width(lead: u8) -> usize {
    match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

/// How many bytes at the end belong to a character whose rest is missing.
fn unfinished(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        if byte & 0xc0 != 0x80 {
            return if width(byte) > back { back } else { 0 };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut whole = Whole::default();
        let mut out = Vec::new();
        for chunk in chunks {
            whole.cut(chunk, |b| out.push(b.to_vec()));
        }
        out
    }

    #[test]
    fn no_piece_ends_inside_a_character_and_no_byte_is_lost() {
        let text = "a漢é👍 \u{301}z".as_bytes();
        for one in 0..=text.len() {
            for two in one..=text.len() {
                let out = cuts(&[&text[..one], &text[one..two], &text[two..]]);
                assert!(
                    out.iter().all(|p| std::str::from_utf8(p).is_ok()),
                    "{one} {two}"
                );
                assert_eq!(out.concat(), text, "{one} {two}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_characters_pass_at_once() {
        assert_eq!(cuts(&[b"\xe6", b"A\xff"]).concat(), b"\xe6A\xff");
        assert_eq!(cuts(&[b"\xff\xfe"]).concat(), b"\xff\xfe");
    }
}
