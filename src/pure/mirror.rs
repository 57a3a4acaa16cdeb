//! A copy of another sidecar's screen, kept up to date from the answers to `screen` with cells.
//!
//! What comes in was printed by a runtime: nothing of it may reach a terminal but characters that are drawn.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::units::TermSize;

/// One piece of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its first column, from 0.
    pub col: u16,
    /// Its text, which holds no control characters: one character a column unless `alone` is set.
    pub text: String,
    /// The text is one cell of so many columns.
    pub alone: Option<u16>,
    /// How it looks.
    pub look: Look,
}

/// The look of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The colour of the text.
    pub fg: Colour,
    /// The colour behind it.
    pub bg: Colour,
    /// Bold.
    pub bold: bool,
    /// Faint.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// The colours change places.
    pub inverse: bool,
}

/// A colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// The terminal's own.
    #[default]
    Default,
    /// Of the palette.
    Index(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// The screen of an agent, as last told.
#[derive(Debug, Default)]
pub struct Mirror {
    /// Its name, as its sidecar says it.
    pub agent: String,
    /// Columns.
    pub cols: u16,
    /// The rows, from left to right.
    pub rows: Vec<Vec<Run>>,
    /// The cursor's row and column, from 0, and whether it is shown.
    pub cursor: (u16, u16, bool),
    /// The cursor keys send their other codes.
    pub application_cursor: bool,
    /// Pastes are bracketed.
    pub bracketed_paste: bool,
    /// The window title.
    pub title: String,
    /// The agent's state.
    pub state: String,
    /// Why.
    pub why: String,
    /// Since when.
    pub since: Option<Instant>,
    /// Who has taken it over.
    pub attached_pid: Option<u64>,
    /// What to ask for next: only what is newer.
    pub revision: u64,
}

#[derive(Deserialize)]
struct Answer {
    agent: String,
    cells: Vec<RowCells>,
    cols: u16,
    rows: u16,
    cursor_row: u16,
    cursor_col: u16,
    cursor_visible: bool,
    modes: Vec<String>,
    title: String,
    state: String,
    why: String,
    for_s: u64,
    attached_pid: Option<u64>,
    revision: u64,
}

#[derive(Deserialize)]
struct RowCells {
    row: u16,
    runs: Vec<RunCells>,
}

#[derive(Deserialize)]
struct RunCells {
    col: u16,
    text: String,
    cols: Option<u16>,
    fg: Option<serde_json::Value>,
    bg: Option<serde_json::Value>,
    #[serde(default)]
    style: Vec<String>,
}

impl Mirror {
    /// Takes an answer; the rows it does not tell stay as they are.
    ///
    /// # Errors
    /// It is no answer to `screen` with cells.
    pub fn take(&mut self, answer: &[u8], now: Instant) -> Result<(), String> {
        let answer: Answer = serde_json::from_slice(answer)
            .map_err(|e| format!("the sidecar answers in a way we do not understand: {e}"))?;
        let size = TermSize::clamped(answer.cols, answer.rows);
        if answer.revision < self.revision || self.cols != size.cols {
            self.rows.clear();
        }
        self.cols = size.cols;
        self.rows.resize(size.rows.into(), Vec::new());
        for row in answer.cells {
            if let Some(runs) = self.rows.get_mut(usize::from(row.row)) {
                *runs = row.runs.into_iter().map(run).collect();
            }
        }
        let is_on = |mode: &str| answer.modes.iter().any(|m| m == mode);
        self.application_cursor = is_on("application_cursor");
        self.bracketed_paste = is_on("bracketed_paste");
        self.cursor = (
            answer.cursor_row.min(size.rows.saturating_sub(1)),
            answer.cursor_col.min(size.cols.saturating_sub(1)),
            answer.cursor_visible,
        );
        self.agent = drawn(&answer.agent);
        self.title = drawn(&answer.title);
        self.state = drawn(&answer.state);
        self.why = drawn(&answer.why);
        self.since = now.checked_sub(Duration::from_secs(answer.for_s));
        self.attached_pid = answer.attached_pid;
        self.revision = answer.revision;
        Ok(())
    }

    /// The characters on it: rows joined by newlines, trailing blank rows left out.
    pub fn text(&self) -> String {
        let row = |runs: &Vec<Run>| {
            let mut text = String::new();
            let mut at = 0;
            for run in runs {
                let col = usize::from(run.col);
                text.extend(std::iter::repeat_n(' ', col.saturating_sub(at)));
                text.push_str(&run.text);
                at = col
                    + run
                        .alone
                        .map_or_else(|| run.text.chars().count(), usize::from);
            }
            text.trim_end().to_owned()
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        rows.join("\n").trim_end().to_owned()
    }
}

fn run(run: RunCells) -> Run {
    let is = |word: &str| run.style.iter().any(|s| s == word);
    Run {
        col: run.col,
        text: drawn(&run.text),
        alone: run.cols.map(|cols| cols.clamp(1, 2)),
        look: Look {
            fg: colour(run.fg.as_ref()),
            bg: colour(run.bg.as_ref()),
            bold: is("bold"),
            dim: is("dim"),
            italic: is("italic"),
            underline: is("underline"),
            inverse: is("inverse"),
        },
    }
}

fn colour(value: Option<&serde_json::Value>) -> Colour {
    let index = || u8::try_from(value?.as_u64()?).ok().map(Colour::Index);
    let rgb = || {
        let hex = value?
            .as_str()?
            .strip_prefix('#')
            .filter(|h| h.len() == 6)?;
        let [_, r, g, b] = u32::from_str_radix(hex, 16).ok()?.to_be_bytes();
        Some(Colour::Rgb(r, g, b))
    };
    index().or_else(rgb).unwrap_or_default()
}

/// The text with everything replaced that a terminal would not draw but obey: control characters of both kinds, and
/// what turns the direction of writing.
pub fn drawn(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let one = |c| if obeyed(c) { '\u{fffd}' } else { c };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(revision: u64, cells: &str) -> Vec<u8> {
        format!(
            r#"{{"agent":"a","cells":{cells},"cols":20,"rows":3,"cursor_row":9,"cursor_col":1,"cursor_visible":true,
            "modes":["bracketed_paste"],"title":"t\u001b]0;x","state":"ready","why":"","for_s":3,"revision":{revision}}}"#
        )
        .into_bytes()
    }

    fn text(mirror: &Mirror, row: usize) -> String {
        mirror.rows[row]
            .iter()
            .map(|run| run.text.as_str())
            .collect()
    }

    #[test]
    fn rows_that_are_not_told_stay_and_a_new_sidecar_starts_anew() {
        let mut mirror = Mirror::default();
        let now = Instant::now();
        let all = r#"[{"row":0,"runs":[{"col":0,"text":"one"}]},{"row":1,"runs":[{"col":0,"text":"two"}]}]"#;
        mirror.take(&answer(5, all), now).expect("an answer");
        let one = r##"[{"row":1,"runs":[{"col":2,"text":"TWO","fg":"#0102ff","bg":7,"style":["bold"]}]},{"row":99,"runs":[]}]"##;
        mirror.take(&answer(6, one), now).expect("an answer");
        assert_eq!(
            (text(&mirror, 0), text(&mirror, 1)),
            ("one".into(), "TWO".into())
        );
        let look = mirror.rows[1][0].look;
        assert_eq!(
            (look.fg, look.bg),
            (Colour::Rgb(1, 2, 255), Colour::Index(7))
        );
        assert!(look.bold && !look.dim && mirror.bracketed_paste && !mirror.application_cursor);
        assert_eq!(mirror.cursor, (2, 1, true), "inside the screen");
        mirror.take(&answer(1, "[]"), now).expect("an answer");
        assert_eq!((text(&mirror, 0), mirror.rows.len()), (String::new(), 3));
        assert!(
            mirror
                .take(b"{\"schema\":\"mosaic.screen/1\"}\n", now)
                .is_err()
        );
    }

    #[test]
    fn nothing_that_a_terminal_would_obey_gets_through() {
        let mut mirror = Mirror::default();
        let evil =
            r#"[{"row":0,"runs":[{"col":0,"text":"a\u001b]52;c;x\u0007\u009b2J\u202eb\r\n"}]}]"#;
        mirror
            .take(&answer(1, evil), Instant::now())
            .expect("an answer");
        let shown = text(&mirror, 0);
        assert_eq!(
            shown,
            "a\u{fffd}]52;c;x\u{fffd}\u{fffd}2J\u{fffd}b\u{fffd}\u{fffd}"
        );
        assert_eq!(mirror.title, "t\u{fffd}]0;x");
    }
}
