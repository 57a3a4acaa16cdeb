//! The screen the runtime has drawn, rebuilt from its own bytes.
//!
//! A thin skin over the `vt100` crate: it adds what that crate only reports through callbacks (title,
//! synchronized updates, OSC 7501, questions) and gives text in the shapes the rest of `pure` asks for.
//! Deliberately absent: any opinion about what the rows mean. What leaves it at the top is handed on ([`Left`]).

use std::num::NonZeroU16;
use std::time::Instant;

use super::answers::{Answers, Csi};
use super::handover::CarriedScreen;
use super::leaving::{self, Leaving, Left};
use super::redraw;
use super::shown::{hash, mix, row_hash};
use super::unfinished::Unfinished;
use super::whole::Whole;
use crate::units::TermSize;

/// The state a runtime says it is in, by OSC 7501 (`state=working:app=codex`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Waiting for a prompt.
    Idle,
    /// A turn is running.
    Working,
    /// A dialog waits for a person.
    Blocked,
    /// The turn has ended.
    Done,
    /// The turn has failed.
    Error,
}

impl Said {
    fn word(self) -> &'static str {
        match self {
            Said::Idle => "idle",
            Said::Working => "working",
            Said::Blocked => "blocked",
            Said::Done => "done",
            Said::Error => "error",
        }
    }

    fn of(word: &[u8]) -> Option<Said> {
        use Said::{Blocked, Done, Error, Idle, Working};
        [Idle, Working, Blocked, Done, Error]
            .into_iter()
            .find(|said| said.word().as_bytes() == word)
    }
}

/// What the runtime announced outside of its cells.
#[derive(Default)]
pub(super) struct Ears {
    title: String,
    said: Option<Said>,
    /// How often `state=working` was announced: a turn that starts and ends within one chunk is still seen.
    said_working: u64,
    /// Between `?2026h` and `?2026l` the rows are half drawn.
    in_update: bool,
    /// What the runtime has asked and was not told yet.
    answers: Answers,
    /// Rows that have left the main screen.
    leaving: Leaving,
}

/// Longest title kept, in bytes: a title is a hint, not a text.
const TITLE_MAX: usize = 256;

impl vt100::Callbacks for Ears {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        let end = title.len().min(TITLE_MAX);
        self.title = String::from_utf8_lossy(&title[..end]).into_owned();
    }

    fn on_scroll(&mut self, row: vt100::capture::RowContents<'_>, alternate: bool) {
        if !alternate {
            self.leaving.row(&row);
        }
    }

    // Called at a dozen places of the crate, each of which would get a copy.
    #[inline(never)]
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        intermediate: Option<u8>,
        second: Option<u8>,
        params: &[&[u16]],
        last: char,
    ) {
        if intermediate == Some(b'?') && params.iter().any(|p| p.first() == Some(&2026)) {
            match last {
                'h' => self.in_update = true,
                'l' => self.in_update = false,
                _ => {}
            }
        }
        let csi = Csi {
            marks: (intermediate, second),
            params,
            end: last,
        };
        self.answers.csi(csi, screen, self.in_update);
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, params: &[&[u8]]) {
        self.answers.osc(params);
        let [b"7501", rest, ..] = params else { return };
        let state = rest
            .split(|b| *b == b':')
            .find_map(|field| field.strip_prefix(b"state=".as_slice()));
        let said = state.and_then(Said::of);
        if said == Some(Said::Working) {
            self.said_working += 1;
        }
        if said.is_some() || state == Some(b"clear") {
            self.said = said;
        }
    }
}

/// Where the hardware cursor stands, counted from 0 at the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Row from the top.
    pub row: u16,
    /// Column from the left; may equal the width when a full line waits to wrap.
    pub col: u16,
    /// Whether the terminal shows it. Most runtimes hide it and still park it at the insertion point.
    pub visible: bool,
}

/// The screen of one runtime.
pub struct Screen {
    parser: vt100::Parser<Ears>,
    whole: Whole,
    unfinished: Unfinished,
    /// Counts every chunk fed, so that a caller can tell whether anything came since it looked.
    fed: u64,
}

/// See [`Screen::is_rule`]. pi was seen to overdraw one cell; an emoji of a family has up to eight.
const RULE_STARTS: u16 = 8;

/// Hands bytes to the parser, which does not tell of device control strings: they are looked for beside it.
fn process(parser: &mut vt100::Parser<Ears>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let (before, rest) = bytes.split_at(parser.callbacks_mut().answers.up_to_string(bytes));
        parser.process(before);
        parser.callbacks_mut().answers.string();
        bytes = rest;
    }
}

/// Whether the screen is cleared (ED 2 or 3): a program that draws all of its transcript anew begins so.
fn clears(bytes: &[u8]) -> bool {
    let mut sequences = bytes.split(|b| *b == 0x1b).skip(1);
    sequences.any(|s| s.starts_with(b"[2J") || s.starts_with(b"[3J"))
}

fn cells(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}

impl Screen {
    /// A blank screen.
    pub fn new(size: TermSize) -> Screen {
        Screen {
            parser: vt100::Parser::new_with_callbacks(
                cells(size.rows),
                cells(size.cols),
                0,
                Ears::default(),
            ),
            whole: Whole::default(),
            unfinished: Unfinished::default(),
            fed: 0,
        }
    }

    /// Takes the next bytes the runtime printed; they may be cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        let (parser, unfinished) = (&mut self.parser, &mut self.unfinished);
        self.whole.cut(bytes, |piece| {
            unfinished.feed(piece);
            process(parser, piece);
        });
        self.fed += 1;
        if !self.alternate() && clears(bytes) {
            self.parser.callbacks_mut().leaving.cleared();
        }
    }

    /// More output waits: if much has left the screen of late, lines are counted and not kept.
    pub fn hurry(&mut self, hurry: bool) {
        self.parser.callbacks_mut().leaving.hurry(hurry);
    }

    /// The lines that have left the main screen at its top since this was last asked.
    pub fn take_left(&mut self, now: Instant) -> Option<Left> {
        if self.parser.callbacks().leaving.is_empty() {
            return None;
        }
        let leaving = &mut self.parser.callbacks_mut().leaving;
        let mut leaving = std::mem::take(leaving);
        let left = leaving.take(self.parser.screen(), now);
        self.parser.callbacks_mut().leaving = leaving;
        Some(left)
    }

    /// The beginning of a wrapped line whose end is in the first row.
    pub fn begun_above(&self) -> &str {
        match self.alternate() {
            true => "",
            false => self.parser.callbacks().leaving.begun(),
        }
    }

    /// The screen as lines, wrapped rows put together; their only escape sequences are SGR, made from cells.
    pub fn lines(&self) -> Vec<String> {
        leaving::lines(self.parser.screen())
    }

    /// Follows a resize of the terminal. Rows are cut or padded, not rewrapped: the runtime redraws.
    pub fn resize(&mut self, size: TermSize) {
        self.parser.set_size(cells(size.rows), cells(size.cols));
        self.fed += 1;
    }

    /// Whether there is a drawing: not in the middle of a control string that is too long to be kept.
    pub fn can_be_drawn(&self) -> bool {
        self.unfinished.bytes().is_some()
    }

    /// The bytes that draw this screen on a blank one of its size, what is begun and not finished at their end;
    /// `None` if there is no drawing now.
    pub fn drawing(&self) -> Option<Vec<u8>> {
        let mut bytes = redraw::bytes(self.parser.screen());
        bytes.extend_from_slice(self.unfinished.bytes()?);
        bytes.extend_from_slice(self.whole.held());
        Some(bytes)
    }

    /// What the drawing must keep, as a number; what is begun and not finished counts, too.
    pub fn fingerprint(&self) -> u64 {
        let begun = self.unfinished.bytes().into_iter().flatten();
        let seen = redraw::fingerprint(self.parser.screen());
        begun
            .chain(self.whole.held())
            .fold(seen, |seen, byte| mix(seen, u64::from(*byte)))
    }

    /// The rest of what an upgrade must carry.
    pub fn carried(&self) -> CarriedScreen {
        let ears = self.parser.callbacks();
        CarriedScreen {
            revision: self.fed,
            title: ears.title.clone(),
            said: ears.said.map(|said| said.word().into()),
            said_working: ears.said_working,
            in_update: ears.in_update,
        }
    }

    /// The screen that was drawn and carried so.
    ///
    /// `begun` is the beginning of a wrapped line whose end is on it. What leaves the screen while it is drawn has left
    /// it before.
    pub fn redrawn(
        size: TermSize,
        carried: CarriedScreen,
        drawing: &[u8],
        begun: String,
    ) -> Screen {
        let mut screen = Screen::new(size);
        screen.feed(drawing);
        screen.fed += carried.revision;
        let ears = screen.parser.callbacks_mut();
        ears.leaving = Leaving::behind(begun);
        ears.title = carried.title;
        ears.said = carried.said.and_then(|word| Said::of(word.as_bytes()));
        ears.said_working = carried.said_working;
        ears.in_update = carried.in_update;
        screen
    }

    /// How many times this screen was fed or resized.
    pub fn revision(&self) -> u64 {
        self.fed
    }

    /// The size in cells.
    pub fn size(&self) -> TermSize {
        let (rows, cols) = self.parser.screen().size();
        TermSize {
            cols: cols.get(),
            rows: rows.get(),
        }
    }

    /// The hardware cursor.
    pub fn cursor(&self) -> Cursor {
        let screen = self.parser.screen();
        let (row, col) = screen.cursor_position();
        Cursor {
            row,
            col,
            visible: !screen.hide_cursor(),
        }
    }

    /// Whether the program has asked for bracketed paste (`?2004h`).
    pub fn bracketed_paste(&self) -> bool {
        self.parser.screen().bracketed_paste()
    }

    /// Whether the program has asked for the cursor keys' other codes (`?1h`).
    pub fn application_cursor(&self) -> bool {
        self.parser.screen().application_cursor()
    }

    /// Whether the program has asked for any reports of the mouse.
    pub fn mouse(&self) -> bool {
        self.parser.screen().mouse_protocol_mode() != vt100::MouseProtocolMode::None
    }

    /// Whether the alternate screen is shown.
    pub fn alternate(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    /// Whether the rows are half drawn (inside a synchronized update).
    pub fn in_update(&self) -> bool {
        self.parser.callbacks().in_update
    }

    /// Gives up waiting for the end of a synchronized update, as terminals do after a while.
    pub fn end_update(&mut self) {
        self.parser.callbacks_mut().in_update = false;
    }

    /// The window title the runtime has set.
    pub fn title(&self) -> &str {
        &self.parser.callbacks().title
    }

    /// The state the runtime last announced by OSC 7501, if it ever did.
    pub fn said(&self) -> Option<Said> {
        self.parser.callbacks().said
    }

    /// How often the runtime announced `working`.
    pub fn said_working(&self) -> u64 {
        self.parser.callbacks().said_working
    }

    /// What the runtime has asked and was not told yet.
    pub fn answers(&mut self) -> &mut Answers {
        &mut self.parser.callbacks_mut().answers
    }

    /// The text of one row, right-trimmed; a wide character is one `char`, a blank cell a blank.
    pub fn row(&self, row: u16) -> String {
        self.row_where(row, 0, |_| true)
    }

    /// The text of one row from `from` on, with every cell blank that `keep` refuses.
    fn row_where(&self, row: u16, from: u16, keep: impl Fn(&vt100::Cell) -> bool) -> String {
        let screen = self.parser.screen();
        let cols = self.size().cols;
        let mut text = String::with_capacity(usize::from(cols));
        for col in from..cols {
            match screen.cell(row, col) {
                Some(cell) if cell.is_wide_continuation() => {}
                Some(cell) if cell.has_contents() && keep(cell) => text.push_str(cell.contents()),
                _ => text.push(' '),
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// The text of one row from a column on, without what is drawn faint (ghost texts are).
    pub fn row_not_dim(&self, row: u16, from: u16) -> String {
        self.row_where(row, from, |cell| !cell.dim())
    }

    /// The text of one row from a column on.
    pub fn row_from(&self, row: u16, from: u16) -> String {
        self.row_where(row, from, |_| true)
    }

    /// A cell, if it is on the screen.
    pub(super) fn cell(&self, row: u16, col: u16) -> Option<&vt100::Cell> {
        self.parser.screen().cell(row, col)
    }

    /// The first character of a cell, blank where nothing was drawn.
    pub fn glyph(&self, row: u16, col: u16) -> char {
        self.parser
            .screen()
            .cell(row, col)
            .and_then(|cell| cell.contents().chars().next())
            .unwrap_or(' ')
    }

    /// Whether a cell is drawn bold.
    pub fn is_bold(&self, row: u16, col: u16) -> bool {
        self.parser
            .screen()
            .cell(row, col)
            .is_some_and(vt100::Cell::bold)
    }

    /// Whether a cell is drawn faint.
    pub fn is_dim(&self, row: u16, col: u16) -> bool {
        self.parser
            .screen()
            .cell(row, col)
            .is_some_and(vt100::Cell::dim)
    }

    /// Whether a row is a rule: at least half of the columns are `glyph` in one run that starts within
    /// the first `RULE_STARTS` columns. A label may stand further right; and a runtime that counts the
    /// width of an emoji differently from its terminal overdraws the first cells.
    pub fn is_rule(&self, row: u16, glyph: char) -> bool {
        let cols = self.size().cols;
        let Some(start) = (0..cols.min(RULE_STARTS)).find(|col| self.glyph(row, *col) == glyph)
        else {
            return false;
        };
        let run = (start..cols)
            .take_while(|col| self.glyph(row, *col) == glyph)
            .count();
        run * 2 >= usize::from(cols)
    }

    /// A number for what one row shows: its characters and their attributes.
    pub fn row_hash(&self, row: u16) -> u64 {
        row_hash(self.parser.screen(), row)
    }

    /// A number for what is shown: characters, their attributes (some dialogs mark the chosen answer by nothing but
    /// a colour) and where the cursor stands. The same as long as nothing changes.
    pub fn hash(&self) -> u64 {
        hash(self.parser.screen())
    }

    /// The same as text: what programs hand back.
    pub fn hash_text(&self) -> String {
        format!("{:016x}", self.hash())
    }

    /// The whole screen as text, rows joined by newlines, trailing blank rows left out.
    pub fn text(&self) -> String {
        let rows: Vec<String> = (0..self.size().rows).map(|r| self.row(r)).collect();
        rows.join("\n").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(bytes: &str) -> Screen {
        let mut screen = Screen::new(TermSize { cols: 40, rows: 6 });
        screen.feed(bytes.as_bytes());
        screen
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_screen() {
        let stream = "\x1b[?2026h\x1b[2J\x1b[H\x1b]0;⠋ title\x07❯ 漢字 e\u{301} 👍\x1b[2;3H\x1b[2mfaint\x1b[m\
                      \x1b]7501;state=working:app=x\x07\x1b[?2026l";
        let whole = screen(stream);
        for cut in 0..stream.len() {
            let mut parts = Screen::new(TermSize { cols: 40, rows: 6 });
            parts.feed(&stream.as_bytes()[..cut]);
            parts.feed(&stream.as_bytes()[cut..]);
            assert_eq!(parts.text(), whole.text(), "cut at byte {cut}");
            assert_eq!(parts.title(), whole.title(), "cut at byte {cut}");
            assert_eq!(parts.said(), Some(Said::Working), "cut at byte {cut}");
            assert!(!parts.in_update(), "cut at byte {cut}");
        }
    }

    #[test]
    fn faint_text_can_be_left_out() {
        let s = screen("› \x1b[2mAsk anything\x1b[m");
        assert_eq!(s.row(0), "› Ask anything");
        assert_eq!(s.row_not_dim(0, 2), "");
    }

    #[test]
    fn a_half_drawn_frame_is_known() {
        let mut s = screen("\x1b[?2026hhalf");
        assert!(s.in_update());
        s.feed(b"\x1b[?2026l");
        assert!(!s.in_update());
    }

    #[test]
    fn the_hash_is_the_same_while_nothing_shown_changes_and_another_when_something_does() {
        let menu = screen("Run it?\x1b[2;1H\x1b[7mYes\x1b[m No\x1b[4;1H");
        let mut same = screen("Run it?  ");
        same.feed(
            b"\x1b]0;a title\x07\x1b[2;1H\x1b[7mYes\x1b[m\x1b[2;5HNo\x1b[6;6H\x1b[?25l\x1b[4;1H",
        );
        assert_eq!(same.hash(), menu.hash(), "drawn in another way");
        for (changed, what) in [
            (
                "Run it!\x1b[2;1H\x1b[7mYes\x1b[m No\x1b[4;1H",
                "a character",
            ),
            (
                "Run it?\x1b[2;1HYes \x1b[7mNo\x1b[m\x1b[4;1H",
                "the chosen answer",
            ),
            (
                "Run it?\x1b[2;1H\x1b[7;31mYes\x1b[m No\x1b[4;1H",
                "a colour",
            ),
            ("Run it?\x1b[2;1H\x1b[7mYes\x1b[m No\x1b[4;2H", "the cursor"),
            ("Run it?\x1b[3;1H\x1b[7mYes\x1b[m No\x1b[4;1H", "a row"),
            ("", "everything"),
        ] {
            assert_ne!(screen(changed).hash(), menu.hash(), "{what}");
        }
    }

    #[test]
    fn an_endless_osc_does_not_grow_the_model() {
        let mut s = screen("\x1b]0;");
        for _ in 0..1000 {
            s.feed(&[b'x'; 4096]);
        }
        s.feed(b"\x07after");
        assert!(s.title().len() <= TITLE_MAX);
        assert_eq!(s.row(0), "after");
    }

    /// What the real runtimes have printed in the golden recordings: size, name and the bytes of each chunk.
    fn recordings() -> Vec<(TermSize, String, Vec<Vec<u8>>)> {
        use crate::pure::cast::{Event, Header};
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings");
        let files = std::fs::read_dir(dir).expect("the recordings").flatten();
        let casts = files.filter(|f| f.path().extension().is_some_and(|e| e == "cast"));
        let read = casts.map(|file| {
            let text = std::fs::read_to_string(file.path()).expect("a recording");
            let mut lines = text.lines();
            let header = Header::parse(lines.next().expect("a header")).expect("a header");
            let mut reader = header.reader();
            let events = lines.map_while(|line| reader.read(line).ok());
            let printed = events.filter_map(|(_, event)| match event {
                Event::Output(text) => Some(text.into_bytes()),
                _ => None,
            });
            let name = file.file_name().to_string_lossy().into_owned();
            (header.size, name, printed.collect())
        });
        read.collect()
    }

    #[test]
    fn a_screen_drawn_anew_goes_on_like_the_one_it_was_drawn_after() {
        for (size, name, chunks) in recordings() {
            let bytes = chunks.concat();
            // Cut at places that are nobody's boundary, the middle of sequences and characters among them.
            for at in (1..12).map(|part| bytes.len() * part / 12) {
                let (before, later) = bytes.split_at(at);
                let mut original = Screen::new(size);
                original.feed(before);
                let Some(drawing) = original.drawing() else {
                    continue;
                };
                let mut double = Screen::redrawn(size, original.carried(), &drawing, String::new());
                let alike = |a: &Screen, b: &Screen| {
                    let state = |s: &Screen| s.parser.screen().state_formatted();
                    a.text() == b.text() && a.cursor() == b.cursor() && state(a) == state(b)
                };
                assert!(alike(&original, &double), "{name} at byte {at}");
                assert!(double.drawing() == Some(drawing), "{name} at byte {at}");
                for chunk in later.chunks(997) {
                    original.feed(chunk);
                    double.feed(chunk);
                    assert!(alike(&original, &double), "{name}, cut at byte {at}");
                }
                assert_eq!(double.title(), original.title(), "{name} at byte {at}");
                assert_eq!(double.said(), original.said(), "{name} at byte {at}");
            }
        }
    }
}
