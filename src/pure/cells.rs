//! The screen as cells, for those who draw it again: rows in runs of one look, and which of them are new.

use std::fmt::Write;

use vt100::{Cell, Color};

use super::screen::Screen;
use super::shown::look_of;
use super::wire;

/// One row of a screen as JSON: `{"row":N,"runs":[…]}`, with a run for each piece whose cells look the same (blank and
/// plain is left out): `col` its first column, `text`, and if there are such, `fg` and `bg` (an index of the palette or
/// `#rrggbb`) and `style` (of `bold`, `dim`, `italic`, `underline`, `inverse`). The text has one character a column,
/// unless there is `cols`: then it is one cell of so many columns.
///
/// Written by hand: serde's code for it would weigh 8 kB in a binary whose size is limited.
fn write_row(screen: &Screen, row: u16, out: &mut String) {
    let _ = write!(out, "{{\"row\":{row},\"runs\":[");
    let mut runs = 0;
    let mut col = 0;
    let cell = |col| screen.cell(row, col);
    while let Some(first) = cell(col) {
        let start = col;
        let look = look_of(first);
        let mut text = text_of(first).to_owned();
        col += if first.is_wide() { 2 } else { 1 };
        let alone = !is_simple(first);
        while let Some(next) =
            cell(col).filter(|next| !alone && is_simple(next) && look_of(next) == look)
        {
            text.push_str(text_of(next));
            col += 1;
        }
        if first.bgcolor() == Color::Default && !first.underline() && !first.inverse() {
            text.truncate(text.trim_end_matches(' ').len());
        }
        if text.is_empty() {
            continue;
        }
        if runs > 0 {
            out.push(',');
        }
        runs += 1;
        let _ = write!(out, "{{\"col\":{start},\"text\":{}", wire::quoted(&text));
        if alone {
            let _ = write!(out, ",\"cols\":{}", col - start);
        }
        write_look(first, out);
        out.push('}');
    }
    out.push_str("]}");
}

/// A cell that was never drawn looks like one with a blank in it.
fn text_of(cell: &Cell) -> &str {
    if cell.has_contents() {
        cell.contents()
    } else {
        " "
    }
}

/// One character in one column.
fn is_simple(cell: &Cell) -> bool {
    !cell.is_wide() && text_of(cell).chars().nth(1).is_none()
}

fn write_look(cell: &Cell, out: &mut String) {
    for (name, colour) in [("fg", cell.fgcolor()), ("bg", cell.bgcolor())] {
        let _ = match colour {
            Color::Default => Ok(()),
            Color::Idx(index) => write!(out, ",\"{name}\":{index}"),
            Color::Rgb(r, g, b) => write!(out, ",\"{name}\":\"#{r:02x}{g:02x}{b:02x}\""),
        };
    }
    let mut before = ",\"style\":[";
    for (word, is_so) in [
        ("bold", cell.bold()),
        ("dim", cell.dim()),
        ("italic", cell.italic()),
        ("underline", cell.underline()),
        ("inverse", cell.inverse()),
    ] {
        if is_so {
            let _ = write!(out, "{before}\"{word}\"");
            before = ",";
        }
    }
    if before == "," {
        out.push(']');
    }
}

/// When each row was last seen to be another one. Looked at when somebody asks: a flood pays nothing for it.
#[derive(Debug, Default)]
pub struct Changes {
    /// The screen's revision when it was last looked at.
    at: u64,
    /// What a row shows, as a number, and the revision at which that was new.
    rows: Vec<(u64, u64)>,
}

impl Changes {
    /// The rows that may differ from what was on the screen at revision `after`, as a JSON array of what
    /// `write_row` says; all of them for a revision the screen has not had.
    pub fn since(&mut self, after: u64, screen: &Screen) -> String {
        let now = screen.revision();
        let rows = screen.size().rows;
        if now != self.at || self.rows.is_empty() {
            if now < self.at {
                // Another screen than the one that was looked at before.
                self.rows.clear();
            }
            self.at = now;
            self.rows.resize(rows.into(), (0, now));
            for (row, seen) in (0..rows).zip(&mut self.rows) {
                let hash = screen.row_hash(row);
                if seen.0 != hash {
                    *seen = (hash, now);
                }
            }
        }
        let all = after == 0 || after > now;
        let mut out = String::from("[");
        for (row, (_, changed)) in (0..rows).zip(&self.rows) {
            if all || *changed > after {
                if out.len() > 1 {
                    out.push(',');
                }
                write_row(screen, row, &mut out);
            }
        }
        out.push(']');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::TermSize;

    fn screen(bytes: &str) -> Screen {
        let mut screen = Screen::new(TermSize { cols: 30, rows: 4 });
        screen.feed(bytes.as_bytes());
        screen
    }

    fn row(screen: &Screen, row: u16) -> String {
        let mut out = String::new();
        write_row(screen, row, &mut out);
        out
    }

    #[test]
    fn a_row_is_runs_of_one_look_each_at_its_column() {
        let s = screen("ab  \x1b[1;31mcd\x1b[0;7m \x1b[m   \x1b[38;2;1;2;255;48;5;236mx\x1b[m");
        assert_eq!(
            row(&s, 0),
            concat!(
                r#"{"row":0,"runs":[{"col":0,"text":"ab"},{"col":4,"text":"cd","fg":1,"style":["bold"]},"#,
                r#"{"col":6,"text":" ","style":["inverse"]},"#,
                r##"{"col":10,"text":"x","fg":"#0102ff","bg":236}]}"##
            )
        );
        assert_eq!(row(&s, 1), r#"{"row":1,"runs":[]}"#);
    }

    #[test]
    fn a_cell_that_is_not_one_character_in_one_column_stands_alone() {
        let s = screen("a漢b e\u{301}f");
        assert_eq!(
            row(&s, 0),
            concat!(
                r#"{"row":0,"runs":[{"col":0,"text":"a"},{"col":1,"text":"漢","cols":2},{"col":3,"text":"b"},"#,
                "{\"col\":5,\"text\":\"e\u{301}\",\"cols\":1},",
                r#"{"col":6,"text":"f"}]}"#
            )
        );
    }

    #[test]
    fn only_rows_that_have_changed_since_a_revision_are_told() {
        let rows = |json: String| -> Vec<u64> {
            let rows: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
            let rows = rows.as_array().expect("an array");
            rows.iter().filter_map(|row| row["row"].as_u64()).collect()
        };
        let mut s = screen("one\r\ntwo\r\nthree");
        let mut changes = Changes::default();
        assert_eq!(rows(changes.since(0, &s)), [0, 1, 2, 3]);
        let first = s.revision();
        assert_eq!(rows(changes.since(first, &s)), [0_u64; 0]);
        s.feed(b"\x1b[2;1HTWO");
        s.feed(b"\x1b[1;1Hone");
        assert_eq!(rows(changes.since(first, &s)), [1]);
        let second = s.revision();
        s.feed(b"\x1b[4;1Hfour");
        assert_eq!(rows(changes.since(second, &s)), [3]);
        assert_eq!(rows(changes.since(first, &s)), [1, 3]);
        assert_eq!(rows(changes.since(u64::MAX, &s)), [0, 1, 2, 3]);
        s.resize(TermSize { cols: 20, rows: 3 });
        assert_eq!(rows(changes.since(s.revision() - 1, &s)), [0, 1, 2]);
        let another = screen("one");
        assert_eq!(rows(changes.since(0, &another)), [0, 1, 2, 3]);
    }
}
