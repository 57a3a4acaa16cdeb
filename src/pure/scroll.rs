//! A page of text on a terminal, drawn again and again: which of its rows are in sight, and what has to be sent so
//! that the terminal shows them.

use super::viewport::{self, Key};

/// The rows of a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    rows: Vec<String>,
}

impl Frame {
    /// What makes a terminal that shows another frame show this one: rows that have changed, in one synchronized
    /// update (`?2026`; terminals that do not know it skip it). Nothing if all is shown.
    pub fn changes(&self, shown: &Frame) -> Vec<u8> {
        let mut text = String::new();
        let none = String::new();
        for at in 0..self.rows.len().max(shown.rows.len()) {
            let row = self.rows.get(at).unwrap_or(&none);
            if shown.rows.get(at).unwrap_or(&none) != row {
                // Cleared before its text: behind one as wide as the terminal, that would take its last character.
                text.push_str(&format!("\x1b[{};1H\x1b[K{row}\x1b[m", at + 1));
            }
        }
        if text.is_empty() {
            return Vec::new();
        }
        format!("\x1b[?2026h{text}\x1b[?2026l").into_bytes()
    }
}

/// What of a long table is in sight.
#[derive(Clone, Debug, Default)]
pub struct Scroll {
    top: usize,
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

    /// Takes what was typed; false if that ends it. The terminal has `height` rows.
    pub fn press(&mut self, bytes: &[u8], height: usize) -> bool {
        // The head, and what is out of sight, take three.
        let page = i32::try_from(height.saturating_sub(3).max(1)).unwrap_or(i32::MAX);
        for key in viewport::keys(bytes) {
            let rows = match key {
                Key::Leave => return false,
                Key::Move(rows, _) => rows,
                Key::Page(pages) => pages.saturating_mul(page),
                Key::Follow => continue,
            };
            // Too far down is put right by the next frame.
            let by = usize::try_from(rows.unsigned_abs()).unwrap_or(usize::MAX);
            self.top = match rows < 0 {
                true => self.top.saturating_sub(by),
                false => self.top.saturating_add(by),
            };
        }
        true
    }
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
        assert!(text.contains("\x1b[2;1H\x1b[Kx\x1b[m\x1b[3;1H\x1b[K"));
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
        assert!(scroll.press(b"jj\x1b[A\x1b[B", 4));
        assert_eq!(rows(&mut scroll, 9, 4)[1], "row 2");
        assert!(scroll.press(b"\x1b[F", 4));
        assert_eq!(rows(&mut scroll, 9, 4)[1..3], ["row 7", "row 8"]);
        // The table has become shorter.
        assert_eq!(rows(&mut scroll, 2, 4), ["head", "row 0", "row 1"]);
        for height in 0..4 {
            assert!(rows(&mut scroll, 9, height).len() <= height);
        }
    }

    #[test]
    fn q_and_control_c_end_it_and_other_keys_do_not() {
        for end in [b"q".as_slice(), b"\x03"] {
            assert!(!Scroll::default().press(end, 9), "{end:?}");
        }
        for other in [b"x".as_slice(), b"\x1b[5~", b"\x1b[6~"] {
            assert!(Scroll::default().press(other, 0), "{other:?}");
        }
    }
}
