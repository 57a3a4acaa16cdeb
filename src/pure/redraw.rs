//! A screen as the bytes that draw it: what a sidecar hands to the binary that replaces it.
//!
//! The model is a terminal like any other, so its state is told in the language of terminals. What it holds and
//! does not show (the screen behind the alternate one, the saved cursor, the scrolling region) is found out by
//! asking a copy of it: a copy may be drawn upon.

use super::screen::Ears;

/// Rows that have scrolled off count when a screen grows again: the model puts as many blank ones on its top. It
/// is asked for so many at most; a terminal that grows by more is rare, and its runtime draws anew.
const GROWTH_MAX: u16 = 200;

/// A copy of the screen that may be drawn upon. It has the ears of the original, so that there is one parser in the
/// program and not two.
fn copy(screen: &vt100::Screen) -> vt100::Parser<Ears> {
    let (rows, cols) = screen.size();
    let mut copy = vt100::Parser::new_with_callbacks(rows, cols, 0, Ears::default());
    *copy.screen_mut() = screen.clone();
    copy
}

/// What is drawn, without where the cursor is. (Each of these three is a page of code, so there is one of each.)
#[inline(never)]
fn contents(screen: &vt100::Screen) -> String {
    screen.contents_formatted()
}

#[inline(never)]
fn cursor(screen: &vt100::Screen) -> String {
    screen.cursor_state_formatted()
}

#[inline(never)]
fn attributes(screen: &vt100::Screen) -> String {
    screen.attributes_formatted()
}

/// The copy after it has taken these bytes.
#[inline(never)]
fn after(screen: &vt100::Screen, bytes: &[u8]) -> vt100::Parser<Ears> {
    let mut copy = copy(screen);
    copy.process(bytes);
    copy
}

/// The bytes that make a blank screen of the same size this one.
pub fn bytes(screen: &vt100::Screen) -> Vec<u8> {
    let mut out = Vec::new();
    if screen.alternate_screen() {
        let behind = after(screen, b"\x1b[?47l");
        draw(behind.screen(), &mut out);
        out.extend_from_slice(b"\x1b[?47h");
    }
    draw(screen, &mut out);
    out.extend_from_slice(screen.input_mode_formatted().as_bytes());
    out
}

/// One of the two screens, and the cursor on it.
fn draw(screen: &vt100::Screen, out: &mut Vec<u8>) {
    let rows = screen.size().0.get();
    if !screen.alternate_screen() {
        let scrolled = vec![b'\n'; usize::from(scrolled_off(screen))];
        out.extend_from_slice(format!("\x1b[{rows};1H").as_bytes());
        out.extend_from_slice(&scrolled);
    }
    out.extend_from_slice(contents(screen).as_bytes());
    let saved = after(screen, b"\x1b8");
    let saved = saved.screen();
    out.extend_from_slice(b"\x1b[m");
    out.extend_from_slice(cursor(saved).as_bytes());
    out.extend_from_slice(attributes(saved).as_bytes());
    out.extend_from_slice(b"\x1b7");
    let (top, bottom) = region(screen);
    if (top, bottom) != (0, rows - 1) {
        out.extend_from_slice(format!("\x1b[{};{}r", top + 1, bottom + 1).as_bytes());
    }
    // Where the cursor goes home to in another region tells whether rows are counted from a region's top.
    let home = after(screen, b"\x1b[2r\x1b[H").screen().cursor_position().0;
    if home == 1 {
        let (row, col) = screen.cursor_position();
        let row = row.saturating_sub(top) + 1;
        out.extend_from_slice(format!("\x1b[?6h\x1b[{row};{}H", col + 1).as_bytes());
    } else {
        out.extend_from_slice(cursor(screen).as_bytes());
    }
    out.extend_from_slice(attributes(screen).as_bytes());
}

/// How many rows the model takes for scrolled off.
fn scrolled_off(screen: &vt100::Screen) -> u16 {
    let (rows, cols) = screen.size();
    let mut copy = copy(screen);
    let row = copy.screen().cursor_position().0;
    copy.set_size(rows.saturating_add(GROWTH_MAX), cols);
    copy.screen().cursor_position().0.saturating_sub(row)
}

/// The first and the last row of the scrolling region: where a blank row comes in when it is scrolled.
fn region(screen: &vt100::Screen) -> (u16, u16) {
    let rows = screen.size().0.get();
    let mut full = b"\x1b[?6l".to_vec();
    for row in 1..=rows {
        full.extend_from_slice(format!("\x1b[{row};1Hx").as_bytes());
    }
    let blank = |scroll: &[u8]| {
        let scrolled = after(screen, &[full.as_slice(), scroll].concat());
        let is_blank = |row: &u16| {
            let cell = scrolled.screen().cell(*row, 0);
            cell.is_some_and(|cell| cell.contents() != "x")
        };
        (0..rows).find(is_blank)
    };
    let top = blank(b"\x1b[T").unwrap_or(0);
    (top, blank(b"\x1b[S").unwrap_or(rows - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(rows: u16, cols: u16, bytes: &str) -> vt100::Parser {
        let cells = |n| std::num::NonZeroU16::new(n).expect("not zero");
        let mut parser = vt100::Parser::new(cells(rows), cells(cols), 0);
        parser.process(bytes.as_bytes());
        parser
    }

    /// All that can be seen of a screen.
    fn seen(screen: &vt100::Screen) -> String {
        let cols = screen.size().1.get();
        let blanks = screen.rows_formatted(0, cols);
        let rows: Vec<String> = blanks.map(|row| format!("{row:?}")).collect();
        let wrapped: Vec<bool> = (0..screen.size().0.get())
            .map(|r| screen.row_wrapped(r))
            .collect();
        let cursor = screen.cursor_position();
        let state = screen.state_formatted();
        format!("{}\n{wrapped:?}\n{cursor:?}\n{state:?}", rows.join("\n"))
    }

    /// A screen and its double look alike, now and after the same has been printed to both.
    #[track_caller]
    fn goes_on_alike(original: &mut vt100::Parser, then: &str) {
        let (rows, cols) = original.screen().size();
        let mut double = vt100::Parser::new(rows, cols, 0);
        double.process(&bytes(original.screen()));
        assert_eq!(seen(double.screen()), seen(original.screen()), "at first");
        original.process(then.as_bytes());
        double.process(then.as_bytes());
        assert_eq!(
            seen(double.screen()),
            seen(original.screen()),
            "after {then:?}"
        );
    }

    #[test]
    fn colours_wide_characters_and_a_cursor_past_the_end_of_its_row() {
        let drawn = "\x1b[1;38;5;196mred\x1b[0;48;2;1;2;3m  \x1b[K\r\n漢字\x1b[3;7me\u{301}\x1b[m\r\nabcdefghij";
        goes_on_alike(&mut screen(5, 10, drawn), "K");
        goes_on_alike(&mut screen(5, 10, "\x1b[7mabcdefghijklm"), "n\x1b[Ao");
    }

    #[test]
    fn a_scrolling_region_goes_on_scrolling() {
        for then in ["\nx\ny\nz\n", "\x1bM\x1bMtop", "\x1b[r\nall\n\n"] {
            goes_on_alike(
                &mut screen(8, 10, "1\r\n2\r\n3\r\n4\x1b[3;5r\x1b[4;2H"),
                then,
            );
            goes_on_alike(
                &mut screen(8, 10, "1\r\n2\r\n3\x1b[3;5r\x1b[?6h\x1b[2;2H"),
                then,
            );
        }
    }

    #[test]
    fn rows_that_are_counted_from_a_regions_top_still_are_in_the_next_region() {
        goes_on_alike(
            &mut screen(8, 10, "1\r\n\x1b[?6h2\r\n3"),
            "a\x1b[3;6r\x1b[2;2Hb",
        );
    }

    #[test]
    fn the_saved_cursor_comes_back() {
        goes_on_alike(
            &mut screen(6, 20, "ab\x1b[3;4H\x1b[32m\x1b7\x1b[m\x1b[Hc"),
            "\x1b8green",
        );
    }

    #[test]
    fn what_is_behind_the_alternate_screen_is_there_again_when_it_is_left() {
        for leave in [
            "\x1b[?1049lback",
            "\x1b[?47lback",
            "more\x1b[?1049l\x1b[?1049h",
        ] {
            let drawn = "shell \x1b[31m$ \x1b[?1049h\x1b[2;3Hfull screen\x1b[?25l\x1b[?2004h\x1b[?1006h\x1b[?1002h";
            goes_on_alike(&mut screen(5, 20, drawn), leave);
        }
    }

    #[test]
    fn a_screen_that_grows_again_grows_at_the_same_end() {
        let lines = "line\r\n".repeat(12);
        let mut original = screen(5, 20, &lines);
        let mut double = screen(5, 20, "");
        double.process(&bytes(original.screen()));
        for parser in [&mut original, &mut double] {
            let cells = |n| std::num::NonZeroU16::new(n).expect("not zero");
            parser.set_size(cells(9), cells(20));
            parser.process(b"here");
        }
        assert_eq!(seen(double.screen()), seen(original.screen()));
    }
}
