//! The app and a size become the bytes of one frame. Pure.
//!
//! A frame is a full redraw by absolute positioning inside a synchronized update, so it is right
//! whatever was on the screen before. Two equal frames mean that nothing has to be written.

use super::app::{App, Dialog, Row};
use super::composer::{Composer, Item};
use super::width::{push_shown, width};

/// The most rows of the composer.
const COMPOSER_MAX: usize = 8;
/// The rows around the composer: two rules, the footer, and one for the busy line.
const CHROME: usize = 4;
const PROMPT: &str = "❭ ";
const INDENT: &str = "  ";
/// The columns of [`PROMPT`] and [`INDENT`].
const PROMPT_COLS: usize = 2;
const GHOST: &str = "Write a message…";
const FOOTER: &str = " demo-tui · /help · ctrl+c to clear, twice to quit";
const FOOTER_QUIT: &str = " press ctrl+c again to quit";
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FLOOD_WORDS: u64 = 8;

const PLAIN: &str = "";
const DIM: &str = "2";
const RED: &str = "31";
const CYAN: &str = "36";
const MESSAGE: &str = "48;5;236";

/// The size of the terminal, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

impl Size {
    /// A terminal that does not know its size is taken as 80x24.
    pub fn new(rows: u16, cols: u16) -> Self {
        Self {
            rows: if rows == 0 { 24 } else { rows },
            cols: if cols == 0 { 80 } else { cols },
        }
    }
}

/// One row of the screen: styled pieces.
#[derive(Debug, Default)]
struct Line {
    /// SGR parameters and text.
    spans: Vec<(String, String)>,
    /// SGR parameters of the rest of the row, when that is filled.
    fill: Option<&'static str>,
}

impl Line {
    fn new(sgr: &str, text: impl Into<String>) -> Self {
        Self::default().with(sgr, text)
    }

    fn with(mut self, sgr: &str, text: impl Into<String>) -> Self {
        self.spans.push((sgr.into(), text.into()));
        self
    }

    /// Writes the row, cut to `cols`.
    fn write(&self, out: &mut String, cols: usize) {
        let mut left = cols;
        for (sgr, text) in &self.spans {
            open_style(out, sgr);
            for c in text.chars() {
                let w = width(c);
                if w > left {
                    left = 0;
                    break;
                }
                left -= w;
                push_shown(out, c);
            }
            close_style(out, sgr);
        }
        if let Some(sgr) = self.fill {
            open_style(out, sgr);
            out.extend(std::iter::repeat_n(' ', left));
            close_style(out, sgr);
        }
    }
}

fn open_style(out: &mut String, sgr: &str) {
    if !sgr.is_empty() {
        out.push_str("\x1b[");
        out.push_str(sgr);
        out.push('m');
    }
}

fn close_style(out: &mut String, sgr: &str) {
    if !sgr.is_empty() {
        out.push_str("\x1b[0m");
    }
}

/// The bytes that bring the screen to the app's state.
pub fn frame(app: &App, size: Size) -> Vec<u8> {
    let (rows, cols) = (usize::from(size.rows), usize::from(size.cols));
    // From the bottom up: what does not fit is cut at the top.
    let mut lines: Vec<Line> = Vec::with_capacity(rows);
    let mut cursor = None;
    match app.dialog() {
        Some(dialog) => lines.extend(dialog_lines(dialog, cols).into_iter().rev()),
        None => {
            let (text, at) = wrap_composer(app.composer(), cols.saturating_sub(PROMPT_COLS));
            let max = rows.saturating_sub(CHROME).clamp(1, COMPOSER_MAX);
            if rows >= 2 {
                lines.push(footer(app));
            }
            if rows >= 3 {
                lines.push(rule(cols));
            }
            // Scrolled just enough to show the cursor.
            let first = (at.0 + 1).saturating_sub(max);
            let composer = composer_lines(app.composer(), &text, first, max);
            let below = composer.len() - (at.0 - first).min(composer.len());
            cursor = Some((
                (rows + 1).saturating_sub(lines.len() + below).max(1),
                (PROMPT_COLS + at.1 + 1).min(cols),
            ));
            lines.extend(composer.into_iter().rev());
            lines.push(rule(cols));
        }
    }
    lines.extend(spinner_line(app));
    lines.extend(app.queue().rev().map(queue_line));
    for row in app.rows().rev() {
        if lines.len() >= rows {
            break;
        }
        lines.extend(row_lines(row, cols).into_iter().rev());
    }
    lines.truncate(rows);
    lines.resize_with(rows, Line::default);

    let mut out = String::from("\x1b[?2026h\x1b[0m");
    for (at, line) in lines.iter().rev().enumerate() {
        out.push_str(&format!("\x1b[{};1H\x1b[2K", at + 1));
        line.write(&mut out, cols);
    }
    match cursor {
        Some((row, col)) => out.push_str(&format!("\x1b[{row};{col}H\x1b[?25h")),
        None => out.push_str("\x1b[?25l"),
    }
    out.push_str("\x1b[?2026l");
    out.into_bytes()
}

fn rule(cols: usize) -> Line {
    Line::new(DIM, "─".repeat(cols))
}

fn footer(app: &App) -> Line {
    let text = if app.offers_quit() {
        FOOTER_QUIT
    } else {
        FOOTER
    };
    Line::new(DIM, text)
}

fn dialog_lines(dialog: &Dialog, cols: usize) -> [Line; 5] {
    let choice = |selected: bool, text: &str| {
        if selected {
            Line::new(CYAN, format!(" ❭ {text}"))
        } else {
            Line::new(PLAIN, format!("   {text}"))
        }
    };
    [
        rule(cols),
        Line::new(PLAIN, format!(" Allow the demo to run: {}?", dialog.cmd)),
        choice(dialog.yes, "1. Yes"),
        choice(!dialog.yes, "2. No"),
        Line::new(DIM, " enter to confirm · esc to cancel"),
    ]
}

/// The visible rows of the composer.
fn composer_lines(composer: &Composer, text: &[String], first: usize, max: usize) -> Vec<Line> {
    if composer.is_empty() {
        return vec![Line::new(PLAIN, PROMPT).with(DIM, GHOST)];
    }
    let visible = text.iter().skip(first).take(max).enumerate();
    let line = |(at, row): (usize, &String)| {
        let prefix = if at == 0 { PROMPT } else { INDENT };
        Line::new(PLAIN, prefix).with(PLAIN, row)
    };
    visible.map(line).collect()
}

fn spinner_line(app: &App) -> Option<Line> {
    let step = usize::try_from(app.spinner()? % SPINNER.len() as u64).ok()?;
    let glyph = SPINNER.get(step)?;
    Some(match app.busy_seconds() {
        Some(seconds) => Line::new(CYAN, format!(" {glyph} Thinking…"))
            .with(DIM, format!(" ({seconds}s · esc to interrupt)")),
        None => Line::new(DIM, format!(" {glyph} idle")),
    })
}

fn queue_line(text: &str) -> Line {
    let first = text.lines().next().unwrap_or_default();
    Line::new(DIM, format!(" queued: {first}"))
}

fn row_lines(row: &Row, cols: usize) -> Vec<Line> {
    let block = |sgr: &'static str, first: &str, rest: &str, text: &str| -> Vec<Line> {
        let rows = wrap(text, cols.saturating_sub(first.chars().count()));
        let line = |(at, row): (usize, String)| {
            let prefix = if at == 0 { first } else { rest };
            Line::new(sgr, format!("{prefix}{row}"))
        };
        rows.into_iter().enumerate().map(line).collect()
    };
    match row {
        Row::Blank => vec![Line::default()],
        Row::User { text, first } => {
            let prefix = if *first { PROMPT } else { INDENT };
            let mut lines = block(MESSAGE, prefix, INDENT, text);
            for line in &mut lines {
                line.fill = Some(MESSAGE);
            }
            lines
        }
        Row::Reply(text) => block(PLAIN, " • ", "   ", text),
        Row::Note(text) => block(DIM, " ", " ", text),
        Row::Error(text) => block(RED, " ", " ", text),
        Row::Flood(number) => {
            let words = (0..FLOOD_WORDS).map(|word| {
                let colour = 16 + (number * 7 + word * 11) % 216;
                (
                    format!("38;5;{colour}"),
                    format!("{:07x} ", number * 8 + word),
                )
            });
            vec![Line {
                spans: words.collect(),
                fill: None,
            }]
        }
    }
}

/// Text in rows of a width, broken anywhere.
fn wrap(text: &str, cols: usize) -> Vec<String> {
    let mut wrapped = Wrapped::new(cols);
    text.chars().for_each(|c| wrapped.put(c));
    wrapped.rows
}

/// The composer's text in rows of a width, and the row and column of its cursor.
fn wrap_composer(composer: &Composer, cols: usize) -> (Vec<String>, (usize, usize)) {
    let mut wrapped = Wrapped::new(cols);
    let mut cursor = None;
    for (at, item) in composer.items().iter().enumerate() {
        let here = at == composer.cursor();
        match item {
            Item::Char('\n') => {
                if here {
                    cursor = Some(wrapped.position());
                }
                wrapped.open_row();
            }
            Item::Char(c) => {
                wrapped.make_room(width(*c));
                if here {
                    cursor = Some(wrapped.position());
                }
                wrapped.put(*c);
            }
            Item::Paste(_) => {
                wrapped.make_room(1);
                if here {
                    cursor = Some(wrapped.position());
                }
                let text = item.placeholder().unwrap_or_default();
                text.chars().for_each(|c| wrapped.put(c));
            }
        }
    }
    let cursor = cursor.unwrap_or_else(|| {
        wrapped.make_room(1);
        wrapped.position()
    });
    (wrapped.rows, cursor)
}

/// Rows of a width, filled one character after the other.
#[derive(Debug)]
struct Wrapped {
    cols: usize,
    rows: Vec<String>,
    /// The columns taken in the last row.
    taken: usize,
}

impl Wrapped {
    fn new(cols: usize) -> Self {
        Self {
            cols: cols.max(1),
            rows: vec![String::new()],
            taken: 0,
        }
    }

    /// Where the next character goes, when there is room for it.
    fn position(&self) -> (usize, usize) {
        (self.rows.len() - 1, self.taken)
    }

    fn make_room(&mut self, w: usize) {
        if self.taken > 0 && self.taken + w > self.cols {
            self.open_row();
        }
    }

    fn put(&mut self, c: char) {
        let w = width(c);
        self.make_room(w);
        if let Some(row) = self.rows.last_mut() {
            row.push(c);
        }
        self.taken += w;
    }

    fn open_row(&mut self) {
        self.rows.push(String::new());
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::app::Config;
    use crate::demo::keys::{Input, Key};

    fn app(text: &str) -> App {
        let mut app = App::new(Config::default());
        for c in text.chars() {
            let key = match c {
                '\r' => Key::Enter,
                '\n' => Key::Newline,
                c => Key::Char(c),
            };
            app.input(Input::Key(key), 0);
        }
        app
    }

    /// The frame's rows without styles, and the cursor's row and column from 1 when it is shown.
    fn screen(app: &App, rows: u16, cols: u16) -> (Vec<String>, Option<(usize, usize)>) {
        let frame = String::from_utf8(frame(app, Size::new(rows, cols))).unwrap();
        let mut lines = vec![String::new(); usize::from(rows)];
        let (mut at, mut shown) = ((1, 1), false);
        for piece in frame.split("\x1b[").skip(1) {
            let end = piece.find(|c: char| c.is_ascii_alphabetic()).unwrap();
            let (params, text) = (&piece[..end], &piece[end + 1..]);
            match &piece[end..=end] {
                "H" => {
                    let (row, col) = params.split_once(';').unwrap();
                    at = (row.parse().unwrap(), col.parse().unwrap());
                }
                "h" | "l" if params == "?25" => shown = &piece[end..=end] == "h",
                _ => {}
            }
            lines[at.0 - 1].push_str(text);
        }
        let lines = lines.iter().map(|line| line.trim_end().to_owned());
        (lines.collect(), shown.then_some(at))
    }

    #[test]
    fn an_idle_screen_has_the_cursor_before_the_ghost_text() {
        let (lines, cursor) = screen(&app(""), 24, 80);
        assert_eq!(lines[23], FOOTER);
        assert_eq!(lines[22], "─".repeat(80));
        assert_eq!(lines[21], "❭ Write a message…");
        assert_eq!(lines[20], "─".repeat(80));
        assert_eq!(cursor, Some((22, 3)));
    }

    #[test]
    fn a_running_turn_shows_message_queue_and_busy_line() {
        let (lines, _) = screen(&app("one\ntwo\rthree\nfour\r"), 24, 80);
        let want = [
            "❭ one",
            "  two",
            " queued: three",
            " ⠋ Thinking… (0s · esc to interrupt)",
        ];
        assert_eq!(lines[16..20], want);
    }

    #[test]
    fn text_wraps_and_the_cursor_follows() {
        let (lines, cursor) = screen(&app("12345678漢字x"), 10, 12);
        assert_eq!(lines[6..8], ["❭ 12345678漢", "  字x"]);
        assert_eq!(cursor, Some((8, 6)));
        let (_, cursor) = screen(&app("1234567890"), 10, 12);
        assert_eq!(cursor, Some((8, 3)));
    }

    #[test]
    fn a_tall_text_scrolls_with_its_cursor() {
        let (lines, cursor) = screen(&app("a\nb\nc\nd\ne\nf\ng\nh\ni"), 24, 80);
        assert_eq!(
            lines[14..22],
            ["❭ b", "  c", "  d", "  e", "  f", "  g", "  h", "  i"]
        );
        assert_eq!(cursor, Some((22, 4)));
    }

    #[test]
    fn the_dialog_replaces_the_composer_and_hides_the_cursor() {
        let (lines, cursor) = screen(&app("/ask\r"), 24, 80);
        let rule = "─".repeat(80);
        let want = [
            rule.as_str(),
            " Allow the demo to run: make test?",
            " ❭ 1. Yes",
            "   2. No",
            " enter to confirm · esc to cancel",
        ];
        assert_eq!(lines[19..], want);
        assert_eq!(cursor, None);
    }

    #[test]
    fn no_size_is_too_small() {
        for text in [
            "",
            "some 漢字 text\nand more",
            "one\rtwo\r",
            "/help\r",
            "/ask\r",
        ] {
            let app = app(text);
            for (rows, cols) in (1..8).flat_map(|rows| (1..24).map(move |cols| (rows, cols))) {
                let (lines, _) = screen(&app, rows, cols);
                let fits = |line: &String| line.chars().map(width).sum::<usize>() <= cols.into();
                assert!(lines.iter().all(fits), "{rows}x{cols}: {lines:?}");
            }
        }
    }
}
