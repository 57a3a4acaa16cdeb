//! What a person would have read: the lines that are no longer on the screen, each of them once.
//!
//! On the main screen a line is history when it leaves at the top. A program on the alternate screen scrolls by
//! drawing everything anew, so two settled screens are compared there: where rows have moved up, those that were
//! above them and are gone are history. What changes in its place (a spinner, a clock, a composer) never is.
//!
//! A program may draw again what has left already: it redraws everything after a resize, or a person scrolls back.
//! The end of the history is then looked for in what is drawn, and what is up to there is not taken twice.

use std::collections::VecDeque;

use super::events::{Field, Numbered, close_list, put};
use super::handover::CarriedHistory;
use super::leaving::Left;
use super::screen::Screen;
use super::sgr;
use super::wire::Origin;

/// Most lines kept.
const LINES_MAX: usize = 1_000;

/// Most bytes of lines kept.
const BYTES_MAX: usize = 128 * 1024;

/// So much of the history's end is looked for in what is drawn again, in bytes: three lines of prose.
const TAIL: usize = 160;

/// Fewer bytes prove nothing.
const TAIL_MIN: usize = 8;

/// So many of the last lines may have changed, or be wrapped elsewhere, when everything is drawn again.
const TAIL_CHANGED: usize = 8;

/// A program's header has at most so many rows, which do not move.
const HEADER_MAX: usize = 8;

/// So many rows at the very end may change while a composer above them stays.
const STATUS_MAX: usize = 2;

/// Rows that have moved prove it with at least so many bytes.
const MOVED_MIN: usize = 12;

/// A longer row proves no more than this: prompts and status rows are long and alike.
const MOVED_ROW: usize = 20;

/// A line of the history.
struct Kept {
    text: Box<str>,
    /// No line: so many are missing here, 0 if nobody knows how many.
    missing: Option<u64>,
}

/// A line on the screen.
struct Row {
    text: String,
    /// Its characters without blanks, frames and colours: what stays the same when it is drawn elsewhere.
    bare: String,
}

impl Row {
    fn of(text: String) -> Row {
        let bare = sgr::bare(&text);
        Row { text, bare }
    }

    fn is_blank(&self) -> bool {
        self.bare.is_empty()
    }
}

/// What has left the main screen while everything may be drawn again.
#[derive(Default)]
struct Again {
    /// The last lines of it: where the history ends in them decides which of them are new.
    lines: VecDeque<String>,
    /// So many before them were not kept.
    missed: u64,
}

impl Again {
    fn add(&mut self, line: String) {
        // As many again as a history holds: what is new, behind what was drawn again.
        if self.lines.len() == 2 * LINES_MAX {
            self.lines.pop_front();
            self.missed += 1;
        }
        self.lines.push_back(line);
    }
}

/// The lines that have left the screen.
pub struct History {
    numbered: Numbered,
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The alternate screen as it was last compared.
    shown: Vec<Row>,
    alternate: bool,
    /// So many lines at the top of the screen are in the history already.
    overlap: usize,
    /// A person has scrolled back: what is shown may all be in the history.
    back: bool,
    /// Everything may be drawn again: what has left the main screen since.
    again: Option<Again>,
}

impl History {
    /// An empty one. `tag` must not be that of any history before.
    pub fn new(tag: String) -> History {
        History {
            numbered: Numbered::new(tag),
            kept: VecDeque::new(),
            bytes: 0,
            shown: Vec::new(),
            alternate: false,
            overlap: 0,
            back: false,
            again: None,
        }
    }

    /// Over an upgrade. `begun`: the beginning of a wrapped line whose end is still on the screen.
    pub fn carried(&self, begun: &str) -> CarriedHistory {
        let line = |kept: &Kept| (kept.text.to_string(), kept.missing);
        CarriedHistory {
            numbers: self.numbered.carried(),
            lines: self.kept.iter().map(line).collect(),
            overlap: self.overlap,
            back: self.back,
            again: self
                .again
                .as_ref()
                .map(|a| a.lines.iter().cloned().collect()),
            begun: begun.to_owned(),
        }
    }

    /// Goes on with what was carried, in front of this screen.
    pub fn resume(carried: CarriedHistory, screen: &Screen) -> History {
        let kept = carried.lines.into_iter().map(|(text, missing)| Kept {
            text: text.into_boxed_str(),
            missing,
        });
        let kept: VecDeque<Kept> = kept.collect();
        let alternate = screen.alternate();
        let shown = alternate.then(|| screen.lines().into_iter().map(Row::of).collect());
        History {
            numbered: Numbered::resume(carried.numbers),
            bytes: kept.iter().map(|line| line.text.len()).sum(),
            kept,
            shown: shown.unwrap_or_default(),
            alternate,
            overlap: carried.overlap,
            back: carried.back,
            again: carried.again.map(|lines| Again {
                lines: lines.into(),
                missed: 0,
            }),
        }
    }

    /// Takes the lines that have left the main screen.
    pub fn take(&mut self, left: Left) {
        if left.missed > 0 {
            self.push(String::new(), Some(left.missed));
        }
        if left.cleared {
            self.again.get_or_insert_default();
        }
        for line in left.lines {
            match &mut self.again {
                Some(again) => again.add(line),
                None if self.overlap > 0 => self.overlap -= 1,
                None => self.push(line, None),
            }
        }
    }

    /// The terminal has another size: everything may be drawn again.
    pub fn resized(&mut self) {
        self.again.get_or_insert_default();
    }

    /// Whether [`History::settled`] is wanted once the screen rests.
    pub fn wants_look(&self, screen: &Screen) -> bool {
        self.alternate || screen.alternate() || self.again.is_some()
    }

    /// Looks at a screen that rests.
    pub fn settled(&mut self, screen: &Screen) {
        let rows: Vec<Row> = screen.lines().into_iter().map(Row::of).collect();
        let redrawn = self.again.take();
        let switched = self.alternate != screen.alternate();
        self.alternate = screen.alternate();
        let old = std::mem::take(&mut self.shown);
        if self.alternate && redrawn.is_none() && !switched {
            self.compare(&old, &rows);
            self.shown = rows;
        } else {
            // What was drawn again begins with what has left the screen since.
            let redrawn = redrawn.unwrap_or_default();
            let mut all: Vec<Row> = redrawn.lines.into_iter().map(Row::of).collect();
            let left = all.len();
            all.extend(rows);
            let known = self.known(&all, TAIL_MIN, TAIL_CHANGED);
            // Where the history ends in what was kept, it has what was not kept before that.
            if known == 0 && redrawn.missed > 0 {
                self.push(String::new(), Some(redrawn.missed));
            }
            let rows = all.split_off(left);
            for row in all.into_iter().skip(known) {
                self.push(row.text, None);
            }
            self.overlap = known.saturating_sub(left);
            self.back = known == 0 && self.has_first(&rows);
            if self.alternate {
                self.shown = rows;
            }
        }
    }

    /// Compares the alternate screen with what it was.
    fn compare(&mut self, old: &[Row], new: &[Row]) {
        let up = moved_up(old, new);
        let down = moved_up(new, old);
        let top = same(old, new);
        // Nothing has moved, and most of it is not there any more.
        let other = up.text + down.text == 0 && is_other(old, new);
        let (mut gone, mut jumped) = (0..0, false);
        if down.text > up.text {
            // It may have been scrolled back.
        } else if up.text > 0 {
            let top = top.min(up.first - up.by);
            if scrolled(old, new, top, &up) {
                gone = top..top + up.by;
                // claude blanks the last row of a block that leaves before its time.
                while gone.end < up.first && new[gone.end - up.by].is_blank() {
                    gone.end += 1;
                }
            }
        } else if other {
            let (footer, drawn) = footer(old, new);
            if drawn >= 2 && top < footer {
                // More than a screen went by between two looks; the composer has stayed.
                gone = top..footer;
                jumped = true;
            }
        }
        for at in gone.clone() {
            let known = match self.back {
                true => self.has(&old[at]),
                false => at < self.overlap,
            };
            if !known {
                self.push(old[at].text.clone(), None);
            }
        }
        if jumped {
            self.push(String::new(), Some(0));
        }
        if other || self.back || down.text > up.text {
            let least = if other { TAIL_MIN } else { 1 };
            self.overlap = self.known(new, least, 1);
            self.back = self.overlap == 0 && self.has_first(new);
        } else if self.overlap > gone.start {
            self.overlap = self.overlap.saturating_sub(up.by).max(gone.start);
        }
    }

    /// Whether a line is in the history.
    fn has(&self, row: &Row) -> bool {
        let is_it = |kept: &Kept| sgr::bare(&kept.text) == row.bare;
        row.bare.len() >= TAIL_MIN && self.kept.iter().any(is_it)
    }

    /// Whether the first line of these is in the history.
    fn has_first(&self, rows: &[Row]) -> bool {
        let first = rows.iter().find(|row| !row.is_blank());
        first.is_some_and(|row| self.has(row))
    }

    /// So many of these rows are in the history already: up to where it ends, of which `least` bytes must be there,
    /// or to where one of its last `ends` lines ends.
    fn known(&self, rows: &[Row], least: usize, ends: usize) -> usize {
        for changed in 0..ends {
            let mut tail = String::new();
            for kept in self.kept.iter().rev().skip(changed) {
                tail.insert_str(0, &sgr::bare(&kept.text));
                if tail.len() >= TAIL {
                    break;
                }
            }
            let end = end_in(rows, &tail, least);
            if end > 0 {
                return (end + changed).min(rows.len());
            }
        }
        0
    }

    fn push(&mut self, text: String, missing: Option<u64>) {
        // One gap is told of, however many pieces of a flood it is made of.
        if let Some(more) = missing
            && let Some(Kept {
                missing: Some(so_far),
                ..
            }) = self.kept.back_mut()
        {
            *so_far += more;
            return;
        }
        let text = match sgr::is_blank(&text) {
            true => Box::default(),
            false => text.into_boxed_str(),
        };
        // A run of blank lines is one, and there is none at the beginning.
        let blank = |kept: &Kept| kept.text.is_empty() && kept.missing.is_none();
        if text.is_empty() && missing.is_none() && self.kept.back().is_none_or(blank) {
            return;
        }
        self.numbered.last += 1;
        self.bytes += text.len();
        self.kept.push_back(Kept { text, missing });
        while self.kept.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let oldest = self.kept.pop_front();
            self.bytes -= oldest.map_or(0, |kept| kept.text.len());
        }
    }

    /// Whether there is something for the reader with this cursor.
    pub fn has_news(&self, cursor: Option<&str>) -> bool {
        self.numbered.unseen(cursor, self.kept.len()) != (0, false)
    }

    /// The lines that the reader with this cursor has not seen, the last `most` of them, and the lines of the
    /// screen below them: `mosaic.history/1`, one line.
    pub fn line(
        &self,
        origin: &Origin,
        screen: &Screen,
        cursor: Option<&str>,
        most: u64,
    ) -> Vec<u8> {
        let (mut line, unseen) =
            self.numbered
                .head("mosaic.history/1", origin, cursor, self.kept.len());
        put(&mut line, "revision", Field::Number(screen.revision()));
        line.extend_from_slice(b",\"lines\":[");
        let told = unseen.min(usize::try_from(most).unwrap_or(usize::MAX));
        let skipped = self.kept.len() - told;
        for (at, kept) in self.kept.iter().enumerate().skip(skipped) {
            let n = self.numbered.last - (self.kept.len() - 1 - at) as u64;
            // Every field is put behind a comma; the first needs none.
            let begin = line.len();
            put(&mut line, "n", Field::Number(n));
            line[begin] = b'{';
            match kept.missing {
                Some(missing) => put(&mut line, "missing", Field::Number(missing)),
                None => put(&mut line, "text", Field::Text(&kept.text)),
            }
            line.extend_from_slice(b"},");
        }
        close_list(&mut line);
        let overlap = self.overlap;
        let mut shown = screen.lines().into_iter().skip(overlap);
        let first = shown.next().unwrap_or_default();
        let first = format!("{}{first}", screen.begun_above());
        let rest: Vec<String> = std::iter::once(first).chain(shown).collect();
        put(&mut line, "screen", Field::List(&rest));
        line.extend_from_slice(b"}\n");
        line
    }
}

/// A line of a `mosaic.history/1` for a person; what stands for lines that nobody kept says so.
pub fn told(line: &serde_json::Value, ansi: bool) -> String {
    match (line["text"].as_str(), line["missing"].as_u64()) {
        (Some(text), _) => sgr::shown(text, ansi),
        (None, Some(n @ 1..)) => format!("[{n} lines are missing here]"),
        (None, _) => "[lines are missing here]".to_owned(),
    }
}

/// In how many of these rows a text ends: all of it is there, or at least its last `least` bytes at the top, or
/// below a header. 0 if it is nowhere.
fn end_in(rows: &[Row], text: &str, least: usize) -> usize {
    for end in (1..=rows.len()).rev() {
        if rows[end - 1].is_blank() {
            continue;
        }
        let (mut left, mut at) = (text, end);
        let mut whole = false;
        while at > 0 && !left.is_empty() && !whole {
            let bare = rows[at - 1].bare.as_str();
            match left.strip_suffix(bare) {
                Some(before) => left = before,
                None => {
                    whole = bare.ends_with(left);
                    break;
                }
            }
            at -= 1;
        }
        let found = text.len() - left.len();
        let begins = left.is_empty() || at <= HEADER_MAX;
        if whole && text.len() >= least || begins && found >= least {
            return end;
        }
    }
    0
}

/// How many rows are the same from the top on.
fn same(old: &[Row], new: &[Row]) -> usize {
    let pairs = old.iter().zip(new);
    pairs.take_while(|(a, b)| a.bare == b.bare).count()
}

/// The rows at the end that have stayed, but for the last ones (a status row may have changed meanwhile): where they
/// begin, and how many of them hold text.
fn footer(old: &[Row], new: &[Row]) -> (usize, usize) {
    let stayed = |at: usize| new.get(at).is_some_and(|now| now.bare == old[at].bare);
    let mut begin = old.len();
    let (mut drawn, mut changed) = (0, 0);
    while begin > 0 && (stayed(begin - 1) || drawn == 0 && changed < STATUS_MAX) {
        begin -= 1;
        if !stayed(begin) {
            changed += 1;
        } else if !old[begin].is_blank() {
            drawn += 1;
        }
    }
    (begin, drawn)
}

/// Whether most of what was there is not there any more.
fn is_other(old: &[Row], new: &[Row]) -> bool {
    let (mut rows, mut same) = (0, 0);
    for (at, row) in old.iter().enumerate().filter(|(_, row)| !row.is_blank()) {
        rows += 1;
        same += usize::from(new.get(at).is_some_and(|now| now.bare == row.bare));
    }
    same * 2 < rows
}

/// Whether rows that have moved up, with `top` rows above them that have not, were scrolled. They also move when
/// something between the two is taken away: a spinner, a dialog, a row of the composer.
fn scrolled(old: &[Row], new: &[Row], top: usize, up: &Up) -> bool {
    let stayed = |at: &usize| new.get(*at).is_some_and(|now| now.bare == old[*at].bare);
    let mut below = up.last + 1..old.len();
    let footer = below.find(|at| !old[*at].is_blank() && stayed(at));
    let rows = old.iter().filter(|row| !row.is_blank()).count();
    match footer {
        Some(_) if top == 0 => true,
        Some(below) => {
            let revealed = new.get(up.last + 1 - up.by..below).unwrap_or_default();
            top <= HEADER_MAX && !revealed.iter().all(Row::is_blank)
        }
        // The composer has moved with them, or there is none: only what fills a screen is scrolled.
        None => top <= HEADER_MAX && rows * 3 >= old.len() * 2,
    }
}

/// Rows that are further up than they were.
#[derive(Default)]
struct Up {
    /// How much text proves it.
    text: usize,
    /// So many rows further up.
    by: usize,
    /// Where the first of them was.
    first: usize,
    /// Where the last of them was.
    last: usize,
}

/// Where most of the text that is not where it was has gone up to. No text if it has not.
fn moved_up(old: &[Row], new: &[Row]) -> Up {
    let mut best = Up::default();
    for by in 1..old.len() {
        let mut up = Up {
            by,
            ..Up::default()
        };
        for at in by..old.len().min(new.len() + by) {
            let row = &old[at];
            let stayed = new.get(at).is_some_and(|now| now.bare == row.bare);
            if !row.is_blank() && !stayed && row.bare == new[at - by].bare {
                if up.text == 0 {
                    up.first = at;
                }
                up.last = at;
                up.text += row.bare.len().min(MOVED_ROW);
            }
        }
        if up.text >= MOVED_MIN && up.text > best.text {
            best = up;
        }
    }
    best
}

#[cfg(test)]
mod tests;
