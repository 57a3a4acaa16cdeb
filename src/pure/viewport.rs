//! A window onto a [`Mirror`]: which part of it fits, and the bytes that draw what is new of that.

use std::fmt::Write;

use super::mirror::{Colour, Look, Mirror, Run};
use crate::units::TermSize;

/// Rows kept in sight below the cursor: the frame of a composer and its footer.
const BELOW: usize = 3;

/// What a viewer's key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Leave.
    Leave,
    /// Move the window by so many rows and columns.
    Move(i32, i32),
    /// Move the window by so many of its own heights.
    Page(i32),
    /// Keep the cursor in sight.
    Follow,
}

/// The keys in what a terminal has sent; everything else means nothing here.
pub fn keys(mut bytes: &[u8]) -> Vec<Key> {
    const KEYS: [(&[u8], Key); 22] = [
        (b"\x1b[A", Key::Move(-1, 0)),
        (b"\x1b[B", Key::Move(1, 0)),
        (b"\x1b[C", Key::Move(0, 1)),
        (b"\x1b[D", Key::Move(0, -1)),
        (b"\x1bOA", Key::Move(-1, 0)),
        (b"\x1bOB", Key::Move(1, 0)),
        (b"\x1bOC", Key::Move(0, 1)),
        (b"\x1bOD", Key::Move(0, -1)),
        (b"\x1b[5~", Key::Page(-1)),
        (b"\x1b[6~", Key::Page(1)),
        (b"\x1b[H", Key::Move(i32::MIN, i32::MIN)),
        (b"\x1b[F", Key::Move(i32::MAX, 0)),
        (b"k", Key::Move(-1, 0)),
        (b"j", Key::Move(1, 0)),
        (b"l", Key::Move(0, 1)),
        (b"h", Key::Move(0, -1)),
        (b" ", Key::Page(1)),
        (b"g", Key::Move(i32::MIN, i32::MIN)),
        (b"G", Key::Move(i32::MAX, 0)),
        (b"f", Key::Follow),
        (b"q", Key::Leave),
        (b"\x03", Key::Leave),
    ];
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = KEYS.iter().find(|(code, _)| bytes.starts_with(code));
        let length = match key {
            Some((code, key)) => {
                found.push(*key);
                code.len()
            }
            None => sequence(bytes),
        };
        bytes = bytes.get(length..).unwrap_or_default();
    }
    found
}

/// The length of what stands at the beginning: a whole escape sequence, so that no letter of it is taken for a key.
fn sequence(bytes: &[u8]) -> usize {
    match bytes {
        [0x1b, b'[' | b'O', rest @ ..] => {
            let end = rest.iter().position(|b| (0x40..=0x7e).contains(b));
            end.map_or(bytes.len(), |at| at + 3)
        }
        [0x1b, _, ..] => 2,
        _ => 1,
    }
}

/// What a terminal shows of a mirror, below a banner of one row.
#[derive(Debug)]
pub struct Viewport {
    size: TermSize,
    /// The first row and column in sight.
    at: (usize, usize),
    /// The cursor is kept in sight.
    follows: bool,
    colours: bool,
    /// What every row of the terminal was last sent. Empty: unknown.
    shown: Vec<String>,
}

impl Viewport {
    /// A window that follows the cursor. Without `colours`, only the other attributes are drawn.
    pub fn new(size: TermSize, colours: bool) -> Viewport {
        Viewport {
            size,
            at: (0, 0),
            follows: true,
            colours,
            shown: Vec::new(),
        }
    }

    /// The terminal has this size now, and whatever on it.
    pub fn resize(&mut self, size: TermSize) {
        self.size = size;
        self.shown.clear();
    }

    /// The rows below the banner, and the columns.
    fn room(&self) -> (usize, usize) {
        (
            usize::from(self.size.rows.saturating_sub(1)),
            usize::from(self.size.cols),
        )
    }

    /// Does what a key asks for.
    pub fn press(&mut self, key: Key, mirror: &Mirror) {
        let page = i32::try_from(self.room().0).unwrap_or(i32::MAX);
        let (rows, cols) = match key {
            Key::Leave => return,
            Key::Follow => {
                self.follows = true;
                return;
            }
            Key::Move(rows, cols) => (rows, cols),
            Key::Page(pages) => (page.saturating_mul(pages), 0),
        };
        self.follows = false;
        let moved = |from: usize, by: i32| {
            let from = i32::try_from(from).unwrap_or(i32::MAX);
            usize::try_from(from.saturating_add(by)).unwrap_or(0)
        };
        self.at = (moved(self.at.0, rows), moved(self.at.1, cols));
        self.place(mirror);
    }

    /// Moves the window to where it belongs.
    fn place(&mut self, mirror: &Mirror) {
        let (height, width) = self.room();
        let (rows, cols) = (mirror.rows.len(), usize::from(mirror.cols));
        if self.follows {
            let row = usize::from(mirror.cursor.0);
            let low = (row + 1 + BELOW).saturating_sub(height).min(row);
            self.at.0 = self.at.0.clamp(low, row);
            let col = usize::from(mirror.cursor.1);
            self.at.1 = (col + 1).saturating_sub(width);
        }
        self.at.0 = self.at.0.min(rows.saturating_sub(height));
        self.at.1 = self.at.1.min(cols.saturating_sub(width));
    }

    /// Which part is in sight, if it is not all: `rows 9-40 of 40, columns 1-80 of 120`.
    pub fn part(&mut self, mirror: &Mirror) -> Option<String> {
        self.place(mirror);
        let (height, width) = self.room();
        let part = |what, from: usize, room: usize, of: usize| {
            (room < of).then(|| format!("{what} {}-{} of {of}", from + 1, from + room))
        };
        let rows = part("rows", self.at.0, height, mirror.rows.len());
        let cols = part("columns", self.at.1, width, mirror.cols.into());
        let parts: Vec<String> = rows.into_iter().chain(cols).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The bytes that bring the terminal up to date: only rows that are not as they were.
    pub fn frame(&mut self, mirror: &Mirror, banner: &str) -> Vec<u8> {
        self.place(mirror);
        let (height, width) = self.room();
        let mut rows = vec![self.banner(banner)];
        for row in 0..height {
            rows.push(match mirror.rows.get(self.at.0 + row) {
                Some(runs) => self.row(runs, width),
                None => "\x1b[m\x1b[K".into(),
            });
        }
        let mut out = String::new();
        self.shown.resize(rows.len(), String::new());
        for (at, (row, shown)) in rows.iter().zip(&self.shown).enumerate() {
            if row != shown {
                let _ = write!(out, "\x1b[{};1H{row}", at + 1);
            }
        }
        self.shown = rows;
        // Hidden while rows are drawn: it would be seen jumping.
        format!(
            "\x1b[?2026h\x1b[?25l{out}{}\x1b[?2026l",
            self.cursor(mirror)
        )
        .into_bytes()
    }

    fn cursor(&self, mirror: &Mirror) -> String {
        let (height, width) = self.room();
        let (row, col, visible) = mirror.cursor;
        let row = usize::from(row)
            .checked_sub(self.at.0)
            .filter(|r| *r < height);
        let col = usize::from(col)
            .checked_sub(self.at.1)
            .filter(|c| *c < width);
        match (row, col) {
            (Some(row), Some(col)) if visible => format!("\x1b[{};{}H\x1b[?25h", row + 2, col + 1),
            _ => String::new(),
        }
    }

    fn banner(&self, text: &str) -> String {
        let width = usize::from(self.size.cols);
        let mut fits: String = text.chars().take(width).collect();
        if text.chars().count() > width {
            // A number that is cut would be another number.
            fits.pop();
            fits.push('…');
        }
        format!("\x1b[m\x1b[7m{fits:<width$}\x1b[m")
    }

    /// One row: every column of the window is drawn or erased.
    fn row(&self, runs: &[Run], width: usize) -> String {
        let mut row = Drawing {
            out: String::from("\x1b[m"),
            look: Look::default(),
            at: 0,
            colours: self.colours,
        };
        let left = self.at.1;
        for run in runs {
            let col = usize::from(run.col);
            if let Some(cols) = run.alone {
                let end = col + usize::from(cols);
                if col >= left && end <= left + width {
                    row.put(col - left, &run.text, usize::from(cols), run.look);
                }
                continue;
            }
            let skip = left.saturating_sub(col);
            let Some(room) = (left + width).checked_sub(col + skip) else {
                continue;
            };
            let text: String = run.text.chars().skip(skip).take(room).collect();
            let cols = text.chars().count();
            if cols > 0 {
                row.put(col + skip - left, &text, cols, run.look);
            }
        }
        let Drawing { mut out, at, .. } = row;
        out.push_str(if at < width { "\x1b[m\x1b[K" } else { "\x1b[m" });
        out
    }
}

/// A row on its way.
struct Drawing {
    out: String,
    look: Look,
    at: usize,
    colours: bool,
}

impl Drawing {
    fn put(&mut self, col: usize, text: &str, cols: usize, look: Look) {
        let Some(gap) = col.checked_sub(self.at) else {
            return;
        };
        if gap > 0 {
            self.wear(Look::default());
            self.out.extend(std::iter::repeat_n(' ', gap));
        }
        self.wear(look);
        self.out.push_str(text);
        self.at = col + cols;
        if !text.is_ascii() {
            // Wherever this terminal thinks it is: not all agree how wide a character is.
            let _ = write!(self.out, "\x1b[{}G", self.at + 1);
        }
    }

    fn wear(&mut self, look: Look) {
        if self.look != look {
            self.look = look;
            self.out.push_str(&sgr(look, self.colours));
        }
    }
}

/// The sequence that makes text look so, whatever it looked like before.
fn sgr(look: Look, colours: bool) -> String {
    let mut out = String::from("\x1b[0");
    let flags = [
        look.bold,
        look.dim,
        look.italic,
        look.underline,
        look.inverse,
    ];
    for (flag, code) in flags.iter().zip([";1", ";2", ";3", ";4", ";7"]) {
        if *flag {
            out.push_str(code);
        }
    }
    for (colour, base) in [(look.fg, 38), (look.bg, 48)] {
        let _ = match colour {
            _ if !colours => Ok(()),
            Colour::Default => Ok(()),
            // The first sixteen by the codes that every terminal knows.
            Colour::Index(i @ 0..8) => write!(out, ";{}", base - 8 + u16::from(i)),
            Colour::Index(i @ 8..16) => write!(out, ";{}", base + 44 + u16::from(i)),
            Colour::Index(i) => write!(out, ";{base};5;{i}"),
            Colour::Rgb(r, g, b) => write!(out, ";{base};2;{r};{g};{b}"),
        };
    }
    out.push('m');
    out
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A screen of 10x6 with `aB漢d` in its first row, B in red, and its number in each other row.
    fn mirror() -> Mirror {
        let first = r#"{"row":0,"runs":[{"col":0,"text":"a"},{"col":1,"text":"B","fg":1},{"col":2,"text":"漢","cols":2},{"col":4,"text":"d"}]}"#;
        let rows: Vec<String> = (1..6)
            .map(|row| format!(r#"{{"row":{row},"runs":[{{"col":9,"text":"{row}"}}]}}"#))
            .collect();
        let answer = format!(
            r#"{{"agent":"a","cells":[{first},{}],"cols":10,"rows":6,"cursor_row":5,"cursor_col":2,"cursor_visible":true,
            "modes":[],"title":"","state":"ready","why":"","for_s":0,"revision":1}}"#,
            rows.join(",")
        );
        let mut mirror = Mirror::default();
        let taken = mirror.take(answer.as_bytes(), Instant::now());
        taken.expect("an answer");
        mirror
    }

    fn viewport(cols: u16, rows: u16) -> Viewport {
        Viewport::new(TermSize { cols, rows }, true)
    }

    fn frame(viewport: &mut Viewport, mirror: &Mirror) -> String {
        String::from_utf8(viewport.frame(mirror, "banner")).expect("UTF-8")
    }

    #[test]
    fn a_banner_that_is_cut_says_so() {
        let frame = viewport(10, 7).frame(&mirror(), "80 columns of 120");
        let frame = String::from_utf8(frame).expect("UTF-8");
        assert!(frame.contains("\x1b[7m80 column…\x1b[m"), "{frame:?}");
    }

    #[test]
    fn only_rows_that_are_not_as_they_were_are_drawn_again() {
        let (mut viewport, mut mirror) = (viewport(10, 7), mirror());
        let all = frame(&mut viewport, &mirror);
        assert!(
            all.contains("\x1b[2;1H\x1b[ma\x1b[0;31mB\x1b[0m漢\x1b[5Gd\x1b[m\x1b[K"),
            "{all:?}"
        );
        assert!(
            all.contains("\x1b[1;1H\x1b[m\x1b[7mbanner    \x1b[m"),
            "{all:?}"
        );
        assert!(all.ends_with("\x1b[7;3H\x1b[?25h\x1b[?2026l"), "{all:?}");
        mirror.rows[2].clear();
        let one = frame(&mut viewport, &mirror);
        assert_eq!(
            one,
            "\x1b[?2026h\x1b[?25l\x1b[4;1H\x1b[m\x1b[m\x1b[K\x1b[7;3H\x1b[?25h\x1b[?2026l"
        );
        viewport.resize(TermSize { cols: 10, rows: 7 });
        assert_eq!(frame(&mut viewport, &mirror).matches("\x1b[K").count(), 2);
    }

    #[test]
    fn a_window_that_cuts_a_wide_character_shows_a_blank_and_nothing_is_drawn_beyond_it() {
        let (mut viewport, mirror) = (viewport(3, 4), mirror());
        viewport.press(Key::Move(i32::MIN, i32::MIN), &mirror);
        let left = frame(&mut viewport, &mirror);
        assert!(
            left.contains("\x1b[2;1H\x1b[ma\x1b[0;31mB\x1b[m\x1b[K"),
            "{left:?}"
        );
        viewport.press(Key::Move(0, 3), &mirror);
        let right = frame(&mut viewport, &mirror);
        assert!(right.contains("\x1b[2;1H\x1b[m d\x1b[m\x1b[K"), "{right:?}");
        assert_eq!(
            viewport.part(&mirror).as_deref(),
            Some("rows 1-3 of 6, columns 4-6 of 10")
        );
    }

    #[test]
    fn it_follows_the_cursor_until_it_is_moved_and_never_leaves_the_screen() {
        let (mut viewport, mut mirror) = (viewport(10, 4), mirror());
        assert_eq!(viewport.part(&mirror).as_deref(), Some("rows 4-6 of 6"));
        mirror.cursor = (1, 0, true);
        assert_eq!(viewport.part(&mirror).as_deref(), Some("rows 2-4 of 6"));
        viewport.press(Key::Page(100), &mirror);
        assert_eq!(viewport.part(&mirror).as_deref(), Some("rows 4-6 of 6"));
        viewport.press(Key::Follow, &mirror);
        assert_eq!(viewport.part(&mirror).as_deref(), Some("rows 2-4 of 6"));
        viewport.resize(TermSize { cols: 200, rows: 1 });
        frame(&mut viewport, &mirror);
        viewport.resize(TermSize { cols: 10, rows: 7 });
        assert_eq!(viewport.part(&mirror), None);
    }

    #[test]
    fn keys_are_whole_or_nothing() {
        assert_eq!(keys(b"q"), [Key::Leave]);
        assert_eq!(keys(b"\x1b[1;5q\x1b[<0;1;1Mxyz\x1bq\x1b"), []);
        assert_eq!(
            keys(b"\x1b[A\x1bOBj\x03"),
            [
                Key::Move(-1, 0),
                Key::Move(1, 0),
                Key::Move(1, 0),
                Key::Leave
            ]
        );
    }

    #[test]
    fn colours_are_those_of_the_palette_by_the_codes_every_terminal_knows() {
        let look = |fg, bg| Look {
            fg,
            bg,
            ..Look::default()
        };
        for (fg, bg, code) in [
            (Colour::Index(1), Colour::Index(7), "\x1b[0;31;47m"),
            (Colour::Index(8), Colour::Index(15), "\x1b[0;90;107m"),
            (Colour::Index(16), Colour::Default, "\x1b[0;38;5;16m"),
            (Colour::Default, Colour::Rgb(1, 2, 3), "\x1b[0;48;2;1;2;3m"),
        ] {
            assert_eq!(sgr(look(fg, bg), true), code);
            assert_eq!(sgr(look(fg, bg), false), "\x1b[0m");
        }
    }
}
