//! A page of text on a terminal, drawn again and again: which of its rows are in sight, and what has to be sent so
//! that the terminal shows them.

/// The rows of a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    rows: Vec<String>,
}

impl Frame {
    /// What makes a terminal that shows another frame show this one: rows that have changed, each cleared behind its
    /// text, in one synchronized update (`?2026`; terminals that do not know it skip it). Nothing if all is shown.
    pub fn changes(&self, shown: &Frame) -> Vec<u8> {
        let mut text = String::new();
        let none = String::new();
        for at in 0..self.rows.len().max(shown.rows.len()) {
            let row = self.rows.get(at).unwrap_or(&none);
            if shown.rows.get(at).unwrap_or(&none) != row {
                text.push_str(&format!("\x1b[{};1H{row}\x1b[m\x1b[K", at + 1));
            }
        }
        if text.is_empty() {
            return Vec::new();
        }
        format!("\x1b[?2026h{text}\x1b[?2026l").into_bytes()
    }
}

/// Where in an escape sequence the keys are that have come so far: one may come in two parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Plain,
    Escape,
    /// The number in it.
    Sequence(u16),
}

/// What of a long table is in sight.
#[derive(Clone, Debug, Default)]
pub struct Scroll {
    top: usize,
    key: Key,
}

impl Scroll {
    /// The frame for a terminal of so many rows: the head, what is in sight of the body, and how much is not.
    pub fn frame(&mut self, head: Vec<String>, body: Vec<String>, height: usize) -> Frame {
        let mut rows = head;
        rows.truncate(height);
        let mut room = height - rows.len();
        if body.len() > room {
            // The last row says how much is missing.
            room = room.saturating_sub(1);
        }
        self.top = self.top.min(body.len().saturating_sub(room));
        let (above, below) = (self.top, body.len().saturating_sub(self.top + room));
        rows.extend(body.into_iter().skip(self.top).take(room));
        if above + below > 0 && rows.len() < height {
            rows.push(format!("… {above} above, {below} below (arrows)"));
        }
        Frame { rows }
    }

    /// Takes what was typed; false if that ends it: `q`, Ctrl-C, Ctrl-D. `page` rows are in sight.
    pub fn press(&mut self, bytes: &[u8], page: usize) -> bool {
        let page = page.saturating_sub(3).max(1);
        for byte in bytes {
            let by = match (self.key, byte) {
                (Key::Plain, b'q' | b'Q' | 0x03 | 0x04) => return false,
                (_, 0x1b) => {
                    self.key = Key::Escape;
                    continue;
                }
                (Key::Escape, b'[' | b'O') => {
                    self.key = Key::Sequence(0);
                    continue;
                }
                (Key::Sequence(n), b'0'..=b'9') => {
                    let n = n.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                    self.key = Key::Sequence(n);
                    continue;
                }
                // Anything else that ECMA-48 lets stand before the last byte of a sequence.
                (Key::Sequence(_), 0x20..=0x3f) => {
                    self.key = Key::Sequence(0);
                    continue;
                }
                (Key::Plain, b'j' | b'\r') | (Key::Sequence(_), b'B') => Move::Down(1),
                (Key::Plain, b'k') | (Key::Sequence(_), b'A') => Move::Up(1),
                (Key::Plain, b' ') | (Key::Sequence(6), b'~') => Move::Down(page),
                (Key::Plain, b'b') | (Key::Sequence(5), b'~') => Move::Up(page),
                (Key::Plain, b'g') | (Key::Sequence(_), b'H') => Move::Up(usize::MAX),
                (Key::Plain, b'G') | (Key::Sequence(_), b'F') => Move::Down(usize::MAX),
                _ => Move::Up(0),
            };
            self.key = Key::Plain;
            self.top = match by {
                Move::Up(n) => self.top.saturating_sub(n),
                // Too far is put right by the next frame.
                Move::Down(n) => self.top.saturating_add(n),
            };
        }
        true
    }
}

enum Move {
    Up(usize),
    Down(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(n: usize) -> Vec<String> {
        (0..n).map(|n| format!("row {n}")).collect()
    }

    fn rows(scroll: &mut Scroll, n: usize, height: usize) -> Vec<String> {
        scroll.frame(vec!["head".into()], body(n), height).rows
    }

    #[test]
    fn only_rows_that_have_changed_are_sent_and_an_equal_frame_sends_nothing() {
        let frame = |rows: &[&str]| Frame {
            rows: rows.iter().map(|r| (*r).to_owned()).collect(),
        };
        let old = frame(&["a", "b", "c"]);
        assert_eq!(old.changes(&old), b"");
        let text = String::from_utf8(frame(&["a", "x"]).changes(&old)).unwrap_or_default();
        assert!(text.contains("\x1b[2;1Hx\x1b[m\x1b[K") && text.contains("\x1b[3;1H\x1b[m\x1b[K"));
        assert!(!text.contains("\x1b[1;1H") && !text.contains("\x1b[2J"));
        assert!(text.starts_with("\x1b[?2026h") && text.ends_with("\x1b[?2026l"));
    }

    #[test]
    fn a_long_table_is_scrolled_and_says_what_is_out_of_sight() {
        let mut scroll = Scroll::default();
        assert_eq!(rows(&mut scroll, 3, 4), ["head", "row 0", "row 1", "row 2"]);
        assert_eq!(
            rows(&mut scroll, 9, 4),
            ["head", "row 0", "row 1", "… 0 above, 7 below (arrows)"]
        );
        assert!(scroll.press(b"jj\x1b[A\x1b", 4) && scroll.press(b"[B", 4));
        assert_eq!(rows(&mut scroll, 9, 4)[1], "row 2");
        assert!(scroll.press(b"G", 4));
        assert_eq!(rows(&mut scroll, 9, 4)[1..3], ["row 7", "row 8"]);
        // The table has become shorter.
        assert_eq!(rows(&mut scroll, 2, 4), ["head", "row 0", "row 1"]);
        for height in 0..4 {
            assert!(rows(&mut scroll, 9, height).len() <= height);
        }
    }

    #[test]
    fn q_and_control_c_end_it_and_a_q_inside_a_sequence_does_not() {
        for end in [b"q".as_slice(), b"\x03", b"j\x04"] {
            assert!(!Scroll::default().press(end, 9), "{end:?}");
        }
        for other in [b"\x1b[1;5q".as_slice(), b"\x1bOq", b"x", b"\x1b[200~"] {
            assert!(Scroll::default().press(other, 9), "{other:?}");
        }
    }
}
