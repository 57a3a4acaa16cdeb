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

    /// More output waits: rows beyond `KEPT_MAX` in a second are counted and not kept.
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
    // What was switched on in a line before and not off again.
    let mut on = On::default();
    let line = |row: &str| {
        let line = on.sequence() + row;
        for sequence in row.split("\x1b[").skip(1) {
            on.take(sequence.split('m').next().unwrap_or_default());
        }
        line
    };
    all.text.split('\n').map(line).collect()
}

/// What is switched on: of each kind (two colours, intensity, italics, underline, inverse) what came last. All that
/// ever came would be longer than the screen where every cell has a colour of its own.
#[derive(Default)]
struct On([String; 6]);

impl On {
    /// Takes the parameters of an SGR sequence; none of them switch everything off.
    fn take(&mut self, params: &str) {
        if params.is_empty() {
            *self = On::default();
        }
        let mut rest = params;
        while !rest.is_empty() {
            // `38;5;N` and `38;2;R;G;B` are one, and so for what is behind the text.
            let more = match rest.get(1..4) {
                Some("8;5") => 2,
                Some("8;2") => 4,
                _ => 0,
            };
            let end = rest.match_indices(';').nth(more);
            let (one, later) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            rest = later.get(1..).unwrap_or_default();
            let (kind, is_on) = match one.as_bytes() {
                b"1" | b"2" => (2, true),
                b"22" => (2, false),
                b"3" => (3, true),
                b"23" => (3, false),
                b"4" => (4, true),
                b"24" => (4, false),
                b"7" => (5, true),
                b"27" => (5, false),
                [b'3' | b'9', ..] => (0, one != "39"),
                _ => (1, one != "49"),
            };
            self.0[kind] = if is_on { one.to_owned() } else { String::new() };
        }
    }

    /// The sequence that switches the same on.
    fn sequence(&self) -> String {
        let on = self.0.iter().filter(|one| !one.is_empty());
        let on: Vec<&str> = on.map(String::as_str).collect();
        match on.is_empty() {
            true => String::new(),
            false => format!("\x1b[{}m", on.join(";")),
        }
    }
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

    #[test]
    fn a_screen_with_a_colour_for_every_cell_is_not_longer_than_its_cells() {
        let n = |n| std::num::NonZeroU16::new(n).unwrap_or(std::num::NonZeroU16::MIN);
        let mut parser = vt100::Parser::new(n(50), n(200), 0);
        for at in 0..10_000 {
            let (r, g) = (at % 256, at / 256);
            let (row, col) = (at / 200 + 1, at % 200 + 1);
            let cell = format!("\x1b[{row};{col}H\x1b[38;2;{r};{g};1;48;2;{g};2;{r}mx");
            parser.process(cell.as_bytes());
        }
        let lines = lines(parser.screen());
        let longest = lines.iter().map(String::len).max();
        assert!(longest < Some(200 * 45), "{longest:?}");
    }

    #[test]
    fn what_is_switched_on_is_told_by_what_came_last_of_each_kind() {
        let mut on = On::default();
        for params in ["31;1", "38;2;1;2;3", "48;5;7;3;4;7", "2", "23;24", "97"] {
            on.take(params);
        }
        assert_eq!(on.sequence(), "\x1b[97;48;5;7;2;7m");
        on.take("39;49;22;27");
        assert_eq!(on.sequence(), "");
        on.take("101");
        on.take("");
        assert_eq!(on.sequence(), "");
    }
}
