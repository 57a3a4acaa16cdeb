//! A screen as the bytes that draw it: what a sidecar hands to the binary that replaces it.
//!
//! The model is a terminal like any other, so its state is told in the language of terminals: each cell with its
//! attributes, of both screens. What it holds and does not show (the other screen, the saved cursor, the scrolling
//! region) is found out by asking a copy of it: a copy may be drawn upon.
//!
//! The crate's own drawing is made for eyes: it is not exact about blank cells with a background, wrapped rows and a
//! cursor that waits behind the last column.

use std::fmt::Write;

use super::screen::Ears;
use super::shown::{hash, look_of, mix, shown};

/// Rows that have scrolled off count when a screen grows again: the model puts as many blank ones on its top. It
/// is asked for so many at most; a terminal that grows by more is rare, and its runtime draws anew.
const GROWTH_MAX: u16 = 200;

/// A copy of the screen, with so many rows more, after it has taken these bytes. It has the ears of the original, so
/// that there is one parser in the program and not two.
#[inline(never)]
fn after(screen: &vt100::Screen, more: u16, bytes: &str) -> vt100::Parser<Ears> {
    let (rows, cols) = screen.size();
    let mut copy = vt100::Parser::new_with_callbacks(rows, cols, 0, Ears::default());
    *copy.screen_mut() = screen.clone();
    copy.set_size(rows.saturating_add(more), cols);
    copy.process(bytes.as_bytes());
    copy
}

/// What gives the attributes that the next character would have: a cell that is erased gets them.
#[inline(never)]
fn ink(screen: &vt100::Screen) -> String {
    let mut out = String::new();
    if let Some(cell) = after(screen, 0, "\x1b[2J").screen().cell(0, 0) {
        attributes(cell, &mut out);
    }
    out
}

#[inline(never)]
fn modes(screen: &vt100::Screen) -> String {
    screen.input_mode_formatted()
}

/// What shows the other one of the two screens, and moves or clears nothing.
fn other(screen: &vt100::Screen) -> &'static str {
    match screen.alternate_screen() {
        true => "\x1b[?47l",
        false => "\x1b[?47h",
    }
}

/// What a screen holds and does not show.
struct Held {
    /// The screen with its cursor where it was saved.
    saved: vt100::Parser<Ears>,
    /// Whether rows are counted from the region's top (DECOM), now and in what was saved.
    origins: [bool; 2],
    /// The first and the last row of the scrolling region.
    region: (u16, u16),
}

#[inline(never)]
fn held(screen: &vt100::Screen) -> Held {
    let row = |screen: &vt100::Screen, more, to: &str| {
        after(screen, more, to).screen().cursor_position().0
    };
    let saved = after(screen, 0, "\x1b8");
    Held {
        // Where the cursor goes home to in another region tells, and that needs three rows.
        origins: [screen, saved.screen()].map(|screen| row(screen, 2, "\x1b[2r\x1b[H") == 1),
        // No row is counted beyond it.
        region: (
            row(screen, 0, "\x1b[?6h"),
            row(screen, 0, "\x1b[?6h\x1b[65535H"),
        ),
        saved,
    }
}

/// The bytes that make a blank screen of the same size this one.
pub fn bytes(screen: &vt100::Screen) -> Vec<u8> {
    // The two screens share one set of saved attributes.
    let saved = ink(after(screen, 0, "\x1b8").screen());
    let hidden = after(screen, 0, other(screen));
    let hidden = hidden.screen();
    let mut out = draw(hidden, &saved);
    if hidden.alternate_screen() {
        // A model gets the memory for its alternate screen when that is first shown.
        let blank = after(screen, 0, "\x1b[?1049h");
        if out == draw(blank.screen(), &saved) {
            out.clear();
        } else {
            out.insert_str(0, other(screen));
        }
    }
    if !out.is_empty() {
        out.push_str(other(hidden));
    }
    out.push_str(&draw(screen, &saved));
    out.push_str(&ink(screen));
    out.push_str(match screen.hide_cursor() {
        true => "\x1b[?25l",
        false => "\x1b[?25h",
    });
    out.push_str(&modes(screen));
    out.into_bytes()
}

/// A number for all that the drawing must keep: the cells of both screens, where they wrap, the cursors and the saved
/// ones, the scrolling regions, attributes and modes. Two versions of ours compare it, whatever each draws: another
/// way to count it is another format of the handover.
pub fn fingerprint(screen: &vt100::Screen) -> u64 {
    let hidden = after(screen, 0, other(screen));
    let mut number = u64::from(screen.hide_cursor());
    let mut told = modes(screen);
    for screen in [screen, hidden.screen()] {
        let held = held(screen);
        let saved = held.saved.screen();
        number = mix(mix(number, hash(screen)), hash(saved));
        told += &ink(saved);
        told += &ink(screen);
        let _ = write!(told, "{:?}{:?}", held.region, held.origins);
        for row in 0..screen.size().0.get() {
            told.push(if screen.row_wrapped(row) { 'w' } else { '-' });
        }
    }
    told.bytes()
        .fold(number, |number, byte| mix(number, u64::from(byte)))
}

/// One of the two screens, and the cursor on it.
#[inline(never)]
fn draw(screen: &vt100::Screen, saved_attributes: &str) -> String {
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let held = held(screen);
    let [origin, saved_origin] = held.origins;
    let mut out = String::new();
    if !screen.alternate_screen() {
        let grown = after(screen, GROWTH_MAX, "");
        let _ = write!(out, "\x1b[{rows}d");
        for _ in screen.cursor_position().0..grown.screen().cursor_position().0 {
            out.push('\n');
        }
    }
    // While everything is blank, a cursor gets behind the last column by any character there.
    let any = format!("\x1b[{cols}Gx");
    place(held.saved.screen(), saved_origin, &any, &mut out);
    out.push_str(saved_attributes);
    out.push_str("\x1b7\x1b[m\x1b[?6l\x1b[J");
    draw_cells(screen, &mut out);
    let (top, bottom) = held.region;
    if (top, bottom) != (0, rows - 1) {
        let _ = write!(out, "\x1b[{};{}r", top + 1, bottom + 1);
    }
    let is_behind = |screen: &vt100::Screen| screen.cursor_position().1 >= cols;
    let restores = is_behind(held.saved.screen()) && saved_origin == origin;
    let last = print_last(screen, is_behind(screen) && !restores);
    out.push_str(&last);
    let behind = if restores { "\x1b8" } else { &last };
    place(screen, origin, behind, &mut out);
    out
}

/// Puts the cursor where it is on this screen. `behind` brings it behind the last column of any row.
#[inline(never)]
fn place(screen: &vt100::Screen, origin: bool, behind: &str, out: &mut String) {
    let (row, col) = screen.cursor_position();
    out.push_str(if origin { "\x1b[?6h" } else { "\x1b[?6l" });
    if col >= screen.size().1.get() {
        out.push_str(behind);
        go_to(row, None, out);
    } else {
        go_to(row, Some(col), out);
    }
}

/// Moves the cursor. Unlike any other move this one does not mind the region, and to another row it leaves the place
/// behind the last column.
#[inline(never)]
fn go_to(row: u16, col: Option<u16>, out: &mut String) {
    let _ = write!(out, "\x1b[{}d", row + 1);
    if let Some(col) = col {
        let _ = write!(out, "\x1b[{}G", col + 1);
    }
}

/// All cells, on a blank screen with plain attributes.
fn draw_cells(screen: &vt100::Screen, out: &mut String) {
    let mut ink = 0;
    for row in 0..screen.size().0.get() {
        let mut col = 0;
        let mut is_there = false;
        while let (Some(cell), Some((text, width))) =
            (screen.cell(row, col), shown(screen, row, col))
        {
            let start = col;
            let look = look_of(cell);
            let is_like = |cell: &vt100::Cell| !cell.has_contents() && look_of(cell) == look;
            if !text.is_empty() {
                col += width;
            } else {
                while screen.cell(row, col).is_some_and(is_like) {
                    col += 1;
                }
                // What stands before it may have been wider for a moment.
                if look == 0 && start == 0 {
                    continue;
                }
            }
            if ink != look {
                attributes(cell, out);
                ink = look;
            }
            if !is_there {
                go_to(row, Some(start), out);
            }
            if !text.is_empty() {
                out.push_str(text);
            } else {
                let _ = write!(out, "\x1b[{}X", col - start);
            }
            // A character that changes the width of the one before leaves the cursor where it was.
            is_there = text.chars().count() == 1;
        }
        if screen.row_wrapped(row) {
            // Only a character that is printed behind the last one makes it so.
            out.push_str("\x1b[mx\x08\x1b[X");
            ink = 0;
        }
    }
}

/// The attributes of a cell, whatever they were before.
#[inline(never)]
fn attributes(cell: &vt100::Cell, out: &mut String) {
    out.push_str("\x1b[0");
    for (is_so, code) in [
        (cell.bold(), ";1"),
        (cell.dim(), ";2"),
        (cell.italic(), ";3"),
        (cell.underline(), ";4"),
        (cell.inverse(), ";7"),
    ] {
        if is_so {
            out.push_str(code);
        }
    }
    for (colour, code) in [(cell.fgcolor(), 38), (cell.bgcolor(), 48)] {
        let _ = match colour {
            vt100::Color::Default => Ok(()),
            vt100::Color::Idx(index) => write!(out, ";{code};5;{index}"),
            vt100::Color::Rgb(r, g, b) => write!(out, ";{code};2;{r};{g};{b}"),
        };
    }
    out.push('m');
}

/// Prints the character that was printed last once more, so that it can be repeated (REP), and changes no cell:
/// where it stands already, or in a blank place that is erased again. On demand the cursor is behind the last column
/// afterwards; for that another character will do, too.
fn print_last(screen: &vt100::Screen, behind: bool) -> String {
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let repeated = after(screen, 0, "\x1b[?6l\x1b[r\x1b[m\x1b[2J\x1b[b");
    let Some(printed) = repeated
        .screen()
        .cell(0, 0)
        .filter(|cell| cell.has_contents())
    else {
        return String::new();
    };
    let width = if printed.is_wide() { 2 } else { 1 };
    // Nothing but clearing all of its row erases a character and leaves the cursor behind it.
    let (room, erase) = match behind {
        true => (cols, "\x1b[2K"),
        false if width == 2 => (2, "\x08\x08\x1b[2X"),
        false => (1, "\x08\x1b[X"),
    };
    let mut any = String::new();
    for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
        let (Some(cell), Some((text, cols_of))) = (screen.cell(row, col), shown(screen, row, col))
        else {
            continue;
        };
        let is_blank = |col| {
            let other = screen.cell(row, col);
            other.is_some_and(|o| !o.has_contents() && look_of(o) == look_of(cell))
        };
        let is_last = col + cols_of == cols;
        let (col, text, erase) = if !text.is_empty() {
            (col, text, "")
        } else if !cell.is_wide_continuation() && (col..col + room).all(is_blank) {
            (col + room - width, printed.contents(), erase)
        } else {
            continue;
        };
        let is_it = text == printed.contents();
        if (is_it || behind) && (is_last || !behind || !cell.has_contents()) {
            any.clear();
            go_to(row, Some(col), &mut any);
            attributes(cell, &mut any);
            any.push_str(text);
            any.push_str(erase);
            if is_it {
                break;
            }
        }
    }
    any
}

#[cfg(test)]
mod random;

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
    pub(super) fn seen(screen: &vt100::Screen) -> String {
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
        goes_on_alike(
            &mut screen(6, 20, "\x1b[2;4r\x1b[?6h\x1b[2;5H\x1b7\x1b[?6lc"),
            "\x1b8there\x1b[1;1Htop",
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

    #[test]
    fn blank_cells_keep_their_background_where_they_were_scrolled_to() {
        let drawn = "\x1b[44m\x1b[2J\x1b[2;3Hab\x1b[m\x1b[K\x1b[45m\x1b[1K\x1b[3S\x1b[2;4r\x1b[T";
        goes_on_alike(&mut screen(6, 8, drawn), "\x1b[Lmore\x1b[@");
    }

    #[test]
    fn a_cursor_waits_behind_the_last_column_of_a_row_that_was_cleared() {
        for cleared in ["\x1b[2K", "\x1b[J", "\x1b[m\n\n", "\x1b7\x1b[H\x1b8\x1b[K"] {
            let drawn = format!("1\r\n\x1b[7mabcdefgh{cleared}");
            goes_on_alike(&mut screen(5, 8, &drawn), "next\x1b8saved");
        }
        // No row is blank, and none has a last character to print once more.
        let drawn = "\x1b[2;1Hgh\x1b[Habcdef\x1b7\x1b[6G\x1b[X\x1b8";
        goes_on_alike(&mut screen(2, 6, drawn), "next");
    }

    #[test]
    fn what_stands_on_a_hidden_alternate_screen_is_there_again_when_it_is_shown() {
        let drawn = "\x1b[?47h\x1b[33mleft\x1b[2;4r\x1b[3;2H\x1b7there\x1b[?47l\x1b[Hshell";
        for then in [
            "\x1b[?47hagain\n\n\n",
            "\x1b[?1049hnew",
            "\x1b[?47h\x1b8saved",
        ] {
            goes_on_alike(&mut screen(6, 20, drawn), then);
        }
    }

    #[test]
    fn an_alternate_screen_that_was_never_shown_is_not_drawn() {
        let drawn = bytes(screen(5, 20, "shell $ ").screen());
        assert!(!String::from_utf8_lossy(&drawn).contains("?47"));
    }

    #[test]
    fn the_last_character_can_be_repeated() {
        for drawn in [
            "abc",
            "ab\x1b[3;1H漢\x1b[2J",
            "full row\x1b[H",
            "ab\x1b[Hlast row!",
        ] {
            goes_on_alike(&mut screen(4, 9, drawn), "\x1b[3b");
        }
    }

    #[test]
    fn the_number_tells_everything_that_is_not_shown_apart() {
        let number = |drawn: &str| fingerprint(screen(6, 20, drawn).screen());
        let plain = number("ab");
        for other in [
            "ac",
            "a\x1b[1mb\x1b[m",
            "ab\x1b[1m",
            "ab\x1b[C",
            "ab\x1b7",
            "\x1b[1m\x1b7\x1b[mab",
            "\x1b[2;4r\x1b[Hab",
            "\x1b[?6hab",
            "\x1b[?6h\x1b7\x1b[?6lab",
            "ab\x1b[?25l",
            "ab\x1b[?2004h",
            "ab\x1b[?47hx\x1b[?47l",
        ] {
            assert_ne!(number(other), plain, "{other:?}");
        }
        assert_eq!(number("b\x08ab"), plain);
    }
}
