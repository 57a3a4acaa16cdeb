//! Rows on their way off the top of the screen, put together to lines again.
//!
//! A line that the terminal has wrapped leaves it row by row. The `vt100` crate writes rows with colours, and tells
//! only by the line feed in front of the next one whether a row was wrapped into it.

use std::fmt;
use std::time::{Duration, Instant};

use vt100::capture::{BasicFormattedCaptureRange, BasicFormattedCaptureState, RowContents};

/// Longest line, in bytes; what never ends is cut there.
const LINE_MAX: usize = 8 * 1024;

/// Most lines that wait to be taken: those of one read of the pty, if it has nothing but line feeds.
const LINES_MAX: usize = 4 * 1024;

/// In a flood nobody reads along, and to keep a row costs as much as to draw it: so many are kept in a second, as
/// many as a history holds. The last ones of a flood are kept, too.
const KEPT_MAX: usize = 1_000;

/// See [`KEPT_MAX`].
const KEPT_WITHIN: Duration = Duration::from_secs(1);

/// Lines that have left the screen since they were last taken. Their only escape sequences are SGR, made from cells.
#[derive(Debug, Default)]
pub struct Left {
    /// The lines, oldest first.
    pub lines: Vec<String>,
    /// How many rows before them were not kept.
    pub missed: u64,
    /// The screen was cleared: what follows may be what was there before.
    pub cleared: bool,
}

/// Puts rows together.
#[derive(Default)]
pub struct Leaving {
    left: Left,
    line: Sink,
    state: BasicFormattedCaptureState,
    /// A row is in `line`, and whether it is the end of its line is not known yet.
    open: bool,
    /// More output waits.
    hurry: bool,
    /// So many rows have been kept since that moment.
    kept: usize,
    since: Option<Instant>,
}

/// Takes text, and stops at the line feed in front of a row.
#[derive(Default)]
struct Sink {
    text: String,
    /// Nothing of the row has come yet.
    fresh: bool,
    /// Nothing is to be taken: only how a row begins is of interest.
    probe: bool,
    /// The row began with a line feed.
    broke: bool,
}

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if std::mem::take(&mut self.fresh) {
            self.broke = text == "\n";
            if self.broke || self.probe {
                return Err(fmt::Error);
            }
        }
        self.text.push_str(text);
        Ok(())
    }
}

impl Leaving {
    /// Goes on behind the beginning of a line.
    pub fn behind(begun: String) -> Leaving {
        let mut leaving = Leaving {
            open: !begun.is_empty(),
            ..Leaving::default()
        };
        leaving.line.text = begun;
        leaving
    }

    /// More output waits: rows beyond [`KEPT_MAX`] in a second are counted and not kept.
    pub fn hurry(&mut self, hurry: bool) {
        self.hurry = hurry;
    }

    /// The screen was cleared.
    pub fn cleared(&mut self) {
        self.left.cleared = true;
    }

    /// A row has left.
    pub fn row(&mut self, row: &RowContents<'_>) {
        if self.hurry && self.kept >= KEPT_MAX || self.left.lines.len() >= LINES_MAX {
            self.left.missed += 1 + self.left.lines.len() as u64 + u64::from(self.open);
            self.left.lines.clear();
            self.line.text.clear();
            self.open = false;
            self.state = BasicFormattedCaptureState::default();
            return;
        }
        self.kept += 1;
        self.line.fresh = true;
        if row
            .write_formatted_basic(&mut self.line, &mut self.state)
            .is_err()
        {
            self.end_line();
            let _ = row.write_formatted_basic(&mut self.line, &mut self.state);
        }
        self.open = true;
        if self.line.text.len() > LINE_MAX {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let text = std::mem::take(&mut self.line.text);
        self.line.fresh = false;
        self.state = BasicFormattedCaptureState::default();
        self.open = false;
        self.left.lines.push(text);
    }

    /// What has left since this was last asked. The screen is what followed.
    pub fn take(&mut self, screen: &vt100::Screen, now: Instant) -> Left {
        if self.since.is_none_or(|since| now >= since + KEPT_WITHIN) {
            self.since = Some(now);
            self.kept = 0;
        }
        if self.open {
            self.line.fresh = true;
            self.line.probe = true;
            self.line.broke = false;
            let range = BasicFormattedCaptureRange::Full(&mut self.state);
            let _ = screen.write_contents_formatted_basic(&mut self.line, range);
            self.line.probe = false;
            if self.line.broke {
                self.end_line();
            }
        }
        std::mem::take(&mut self.left)
    }

    /// Whether there is something to take.
    pub fn is_empty(&self) -> bool {
        self.left.lines.is_empty() && self.left.missed == 0 && !self.left.cleared && !self.open
    }

    /// The beginning of the line whose end is still on the screen.
    pub fn begun(&self) -> &str {
        &self.line.text
    }
}

/// The screen as lines, each of them with all the SGR sequences it needs.
pub fn lines(screen: &vt100::Screen) -> Vec<String> {
    // The same sink as for rows that leave: the code behind it is there once.
    let mut all = Sink::default();
    let range = BasicFormattedCaptureRange::Full(&mut BasicFormattedCaptureState::default());
    let _ = screen.write_contents_formatted_basic(&mut all, range);
    let mut lines = vec![String::new()];
    // What was switched on in a line before and not off again, and the sequence that is being read.
    let (mut on, mut sequence) = (String::new(), String::new());
    for c in all.text.chars() {
        if c == '\n' {
            lines.push(on.clone());
            continue;
        }
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
        if c == '\x1b' || !sequence.is_empty() {
            sequence.push(c);
        }
        if c == 'm' && !sequence.is_empty() {
            match sequence.as_str() {
                "\x1b[m" => on.clear(),
                _ => on.push_str(&sequence),
            }
            sequence.clear();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Ears(Leaving);

    impl vt100::Callbacks for Ears {
        fn on_scroll(&mut self, row: RowContents<'_>, _: bool) {
            self.0.row(&row);
        }
    }

    fn parser() -> vt100::Parser<Ears> {
        let n = |n| std::num::NonZeroU16::new(n).unwrap_or(std::num::NonZeroU16::MIN);
        vt100::Parser::new_with_callbacks(n(3), n(10), 0, Ears::default())
    }

    fn left(parser: &mut vt100::Parser<Ears>) -> Vec<String> {
        let screen = parser.screen().clone();
        parser.callbacks_mut().0.take(&screen, Instant::now()).lines
    }

    #[test]
    fn wrapped_rows_are_one_line_and_colours_stay_within_theirs() {
        let mut parser = parser();
        parser.process(b"abcdefghijklmno\r\n\x1b[31mred\r\nmore\x1b[m\r\nx\r\n");
        assert_eq!(left(&mut parser), ["abcdefghijklmno", "\x1b[31mred"]);
        parser.process(b"y\r\nz\r\n");
        assert_eq!(left(&mut parser), ["\x1b[31mmore", "x"]);
    }

    #[test]
    fn a_line_waits_until_its_last_row_has_left() {
        let mut parser = parser();
        parser.process(b"\r\n\r\n0123456789abcdefghij\x1b[3;1H");
        assert_eq!(left(&mut parser), [""]);
        parser.process(b"\r\n");
        // Its first row is gone, and the other one is still to be seen.
        let first = left(&mut parser);
        parser.process(b"\r\n\r\n\r\n");
        let all = [first, left(&mut parser)].concat();
        assert!(all.contains(&"0123456789abcdefghij".to_owned()), "{all:?}");
    }

    #[test]
    fn in_a_flood_rows_are_counted_but_for_the_last() {
        let mut parser = parser();
        parser.callbacks_mut().0.hurry(true);
        parser.process(&b"a\r\n".repeat(KEPT_MAX + 500));
        parser.callbacks_mut().0.hurry(false);
        parser.process(b"b\r\nc\r\nd\r\ne\r\n");
        let screen = parser.screen().clone();
        let left = parser.callbacks_mut().0.take(&screen, Instant::now());
        assert_eq!(left.missed, KEPT_MAX as u64 + 498);
        assert_eq!(left.lines, ["a", "a", "b", "c"]);
    }

    #[test]
    fn every_line_of_the_screen_has_its_own_colours() {
        let mut parser = parser();
        parser.process(b"\x1b[1;31ma\r\nb\x1b[m\r\nc");
        assert_eq!(
            lines(parser.screen()),
            ["\x1b[31;1ma", "\x1b[31;1mb", "\x1b[31;1m\x1b[mc"]
        );
    }
}
