//! The generic way: a runtime that no profile knows.
//!
//! Nothing is known of it but what every line editor does: the terminal is raw, bracketed paste is on, and
//! the cursor rests behind a prompt. Where it rests when the screen first comes to rest is its `Spot`; the
//! composer is the text from there to the cursor, and a message counts as typed only if our own paste shows
//! there. What a draft is cannot be seen (ghost texts look alike), so it is known by who typed: any key of a
//! person since the last Enter is one.
//!
//! Two independent signs are asked for after Enter: the text stands above the composer, and either the line
//! editor let go of the terminal or the screen has come to life. What cannot be told ends as `unknown`:
//!
//! | it looks like               | and could be                         | so                             |
//! |-----------------------------|--------------------------------------|--------------------------------|
//! | the cursor rests elsewhere  | a dialog, a menu, another prompt     | no composer: nothing is typed  |
//! | rows below the cursor went  | a list that filters by what is typed | no composer: Enter is not sent |
//! | an Enter made another line  | a continuation prompt                | no composer: not proven        |
//! | somebody else reads         | a program that a shell has started   | busy: nothing is typed         |

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::profile::{ProcessFacts, Profile};
use super::screen::Screen;
use super::view::{Composer, Rule, View};

/// The profile that carries the generic rules.
pub const NAME: &str = "generic";

/// A line editor that has been silent for so long after it came up is taken for ready. gemini draws its last
/// frame 190 ms after it asks for bracketed paste, ipython 10 ms.
pub const RESTS: Duration = Duration::from_millis(1_000);

/// A screen that changed more recently is not typed into. Spinners turn every 80 to 120 ms.
const STILL: Duration = Duration::from_millis(400);

/// Changes closer together are one: a frame may come in two writes.
const MOMENT: Duration = Duration::from_millis(30);

/// So many moments within [`LIVELY_WITHIN`] are life. An error that is printed makes two or three, a clock
/// or a blinking cursor two a second.
const LIVELY: usize = 5;

/// See [`LIVELY`].
const LIVELY_WITHIN: Duration = Duration::from_millis(1_000);

/// What changes so soon after a person's key is its echo. Slowest echo of a key seen: 226 ms.
const KEY_ECHO: Duration = Duration::from_millis(250);

/// A line editor that stays away for so long has handed its line over: between two lines of one command it
/// is back within milliseconds.
const AWAY: Duration = Duration::from_millis(500);

/// How many rows below the cursor may go when our paste shows: a hint, a counter.
const HINTS: usize = 1;

/// Whether the generic rules may be in force for these processes (outermost first), of which `started` is
/// how the outermost one looked at first. A shell that came up behind a runtime would run a message as a
/// command.
pub fn may_apply(processes: &[ProcessFacts], started: &ProcessFacts, profile: &Profile) -> bool {
    processes.iter().enumerate().all(|(at, process)| {
        let meant = at == 0 && process.argv == started.argv;
        meant || !is_interactive_shell(process, profile)
    })
}

/// A shell that reads commands from its terminal: it has neither a script nor a command line to run.
fn is_interactive_shell(process: &ProcessFacts, profile: &Profile) -> bool {
    let base = process.exe.rsplit('/').next().unwrap_or_default();
    let flag = |arg: &String| arg.starts_with('-') && (arg.starts_with("--") || !arg.contains('c'));
    let args = || process.argv.iter().skip(1);
    profile.shells.iter().any(|shell| shell == base)
        && (args().all(flag) || args().any(|arg| arg == "-i"))
}

/// Where the composer is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spot {
    /// What stands left of the cursor, see [`looks`].
    prompt: String,
    /// Whether its last character is a digit: otherwise digits behind it are somebody's.
    ends_in_digit: bool,
    /// The row above, where nothing stands left of the cursor.
    above: Option<String>,
    /// What stood right of the cursor: a ghost text.
    ghost: String,
    /// The column of the first character.
    col: u16,
}

/// What we typed, as far as it is of use here.
#[derive(Clone, Debug)]
struct Ours {
    /// The rows below the cursor before the paste.
    below: Vec<String>,
    /// Enter was pressed, in front of this text and after so many times that the editor let go.
    entered: Option<(String, u64)>,
}

/// What is known of an unknown runtime. Fed with every look at the screen.
#[derive(Debug)]
pub struct Generic {
    spot: Option<Spot>,
    /// A message was accepted at this spot; until then a spot that moves was a dialog of the start.
    proven: bool,
    alternate: bool,
    /// The process group that read the terminal when the spot was found.
    front: Option<i32>,
    /// The front now.
    front_now: Option<i32>,
    raw: bool,
    /// Somebody's keys may stand in the composer.
    dirty: bool,
    /// A text of ours may.
    left_behind: bool,
    ours: Option<Ours>,
    let_go: u64,
    away_since: Option<Instant>,
    text: String,
    changed: Instant,
    moments: VecDeque<Instant>,
    lively: bool,
    last_key: Option<Instant>,
}

impl Generic {
    /// For a runtime whose screen looks like this and has come to rest.
    pub fn new(screen: &Screen, front: Option<i32>, now: Instant) -> Generic {
        let mut generic = Generic {
            spot: None,
            proven: false,
            alternate: screen.alternate(),
            front,
            front_now: front,
            raw: true,
            dirty: false,
            left_behind: false,
            ours: None,
            let_go: 0,
            away_since: None,
            text: screen.text(),
            changed: now,
            moments: VecDeque::new(),
            lively: false,
            last_key: None,
        };
        generic.spot = Spot::at_cursor(screen);
        generic
    }

    /// The runtime printed this; `screen` has taken it.
    pub fn printed(&mut self, bytes: &[u8], screen: &Screen, now: Instant) {
        const LETS_GO: &[u8] = b"\x1b[?2004l";
        let times = bytes.windows(LETS_GO.len()).filter(|w| *w == LETS_GO);
        self.let_go += times.count() as u64;
        if screen.bracketed_paste() {
            self.away_since = None;
        } else {
            self.away_since.get_or_insert(now);
        }
    }

    /// A person pressed keys, and after the last Enter more (`unsubmitted`).
    pub fn keys(&mut self, entered: bool, unsubmitted: bool, now: Instant) {
        self.last_key = Some(now);
        self.dirty = unsubmitted || (self.dirty && !entered);
        if entered {
            self.moments.clear();
            self.lively = false;
        }
    }

    /// We are about to type this in front of this screen: a paste, Enter, or a key that clears.
    pub fn types(&mut self, bytes: &[u8], screen: &Screen) {
        match bytes {
            b"\r" => self.enters(screen),
            [0x1b, ..] => self.pastes(screen),
            _ => {}
        }
    }

    fn pastes(&mut self, screen: &Screen) {
        self.ours = Some(Ours {
            below: below(screen),
            entered: None,
        });
    }

    fn enters(&mut self, screen: &Screen) {
        let text = self.text_to_cursor(screen).unwrap_or_default();
        self.moments.clear();
        self.lively = false;
        if let Some(ours) = &mut self.ours {
            // A second Enter is judged against the first.
            let before = ours.entered.take().map_or(self.let_go, |(_, n)| n);
            ours.entered = Some((text, before));
        }
    }

    /// The message on its way has met its fate; `gone` if it surely stands in the composer no more.
    pub fn ended(&mut self, accepted: bool, gone: bool) {
        if self.ours.take().is_some() {
            self.left_behind = !gone;
        }
        self.proven |= accepted;
    }

    /// The kernel's word: the process group in front of the terminal, and whether the terminal is raw.
    pub fn reader(&mut self, front: Option<i32>, raw: bool) {
        (self.front_now, self.raw) = (front, raw);
    }

    /// When to look again though nothing new is drawn.
    pub fn next_look(&self, now: Instant) -> Option<Instant> {
        let away = self.away_since.map(|since| since + AWAY);
        let moved = (!self.proven).then_some(self.changed + RESTS);
        [Some(self.changed + STILL), moved, away]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// Whether the screen has been still long enough to be typed into.
    pub fn is_still(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.changed) >= STILL
    }

    /// Looks at the screen, outside of a synchronized update.
    pub fn look(&mut self, screen: &Screen, now: Instant) -> View {
        self.notice(screen, now);
        let same = self.front == self.front_now && self.alternate == screen.alternate();
        let still = now.saturating_duration_since(self.changed);
        if same && self.left_behind && self.is_still(now) && self.is_at_prompt(screen) {
            self.left_behind = false;
        }
        let untouched =
            !self.dirty && !self.left_behind && self.ours.is_none() && self.away_since.is_none();
        if same && untouched && !self.proven && still >= RESTS && self.find(screen).is_none() {
            self.spot = Spot::at_cursor(screen);
        }
        if untouched
            && self.find_idle(screen).is_some_and(|c| c.is_empty())
            && let Some(spot) = &mut self.spot
        {
            // A counter in the prompt may have got another digit.
            spot.col = screen.cursor().col;
        }
        let entered = self.ours.as_ref().and_then(|o| o.entered.as_ref());
        let handed_over = entered.is_some_and(|(_, before)| self.let_go > *before);
        let busy = if self.front != self.front_now {
            Some("another program reads the terminal")
        } else if self.away_since.is_some() || handed_over {
            Some("the line editor let go of the terminal")
        } else {
            self.lively.then_some("the screen keeps changing")
        };
        // A dialog may switch bracketed paste off too; it does not leave the terminal to others.
        let left = !self.raw || self.front != self.front_now;
        let composer = match self.away_since {
            Some(since) if left && now.saturating_duration_since(since) >= AWAY => {
                Some(gone(screen))
            }
            None if same => self.find(screen),
            _ => None,
        };
        View {
            composer,
            busy: busy.map(str::to_owned),
            ..View::default()
        }
    }

    /// What it goes by, for `explain`.
    pub fn rules(&self) -> Vec<Rule> {
        let rule = |name: &str, fired, on| Rule {
            kind: "generic",
            name: name.to_owned(),
            fired,
            on,
        };
        let spot = self.spot.as_ref().map(|spot| match &spot.above {
            Some(above) => format!("below {above:?}"),
            None => format!("behind {:?}", spot.prompt),
        });
        vec![
            rule("the cursor rested", spot.is_some(), spot),
            rule("a message was accepted there", self.proven, None),
            rule("keys were not submitted", self.dirty, None),
            rule("a message may be left", self.left_behind, None),
            rule("the line editor let go", self.away_since.is_some(), None),
            rule("another program reads", self.front != self.front_now, None),
            rule("the screen keeps changing", self.lively, None),
        ]
    }

    /// Keeps the time of changes.
    fn notice(&mut self, screen: &Screen, now: Instant) {
        let text = screen.text();
        if text != self.text {
            if self.is_still(now) {
                // What was before a rest has nothing to do with what comes after it.
                self.moments.clear();
            }
            self.text = text;
            self.changed = now;
            let since = |at: Option<&Instant>| at.map(|at| now.saturating_duration_since(*at));
            let echo = since(self.last_key.as_ref()).is_some_and(|ago| ago < KEY_ECHO);
            if !echo && since(self.moments.back()).is_none_or(|ago| ago >= MOMENT) {
                self.moments.push_back(now);
                if self.moments.len() > LIVELY {
                    self.moments.pop_front();
                }
            }
            let first = since(self.moments.front());
            self.lively |=
                self.moments.len() == LIVELY && first.is_some_and(|ago| ago <= LIVELY_WITHIN);
        } else if self.is_still(now) && self.ours.is_none() {
            self.lively = false;
        }
    }

    /// The text from the spot to the cursor.
    fn text_to_cursor(&self, screen: &Screen) -> Option<String> {
        Some(self.find_ours(screen)?.text)
    }

    fn find(&self, screen: &Screen) -> Option<Composer> {
        let Some(ours) = &self.ours else {
            return self.find_idle(screen);
        };
        let composer = self.find_ours(screen);
        match (&ours.entered, composer) {
            (Some((text, _)), Some(composer)) if composer.text == *text => Some(composer),
            // Anything but the untouched text or an empty composer is no proof of either.
            (Some(_), _) => self.find_idle(screen).filter(Composer::is_empty),
            (None, _) if self.has_filtered(screen, ours) => None,
            (None, Some(composer)) if !composer.is_empty() => Some(composer),
            (None, _) => self.find_idle(screen),
        }
    }

    /// Whether the cursor stands behind the prompt, and nothing behind it.
    fn is_at_prompt(&self, screen: &Screen) -> bool {
        let known = self.spot.as_ref().zip(Spot::at_cursor(screen));
        known.is_some_and(|(spot, here)| {
            here.prompt == spot.prompt
                && here.ends_in_digit == spot.ends_in_digit
                && here.above == spot.above
                && (here.ghost.is_empty() || here.ghost == spot.ghost)
        })
    }

    /// The composer while the cursor stands on its first row.
    fn find_idle(&self, screen: &Screen) -> Option<Composer> {
        let spot = self.spot.as_ref()?;
        let cursor = screen.cursor();
        let row = cursor.row;
        let (col, mut text) = if self.is_at_prompt(screen) {
            (cursor.col, String::new())
        } else if spot.is_on(screen, row) && cursor.col >= spot.col {
            (spot.col, screen.row_not_dim(row, spot.col))
        } else {
            return None;
        };
        if text.is_empty() && self.dirty {
            text = "(keys were pressed and not submitted)".to_owned();
        }
        Some(Composer {
            top: row,
            bottom: row,
            text,
            has_cursor: col <= cursor.col,
        })
    }

    /// The composer while a text of ours stands in it: from the nearest row with the prompt to the cursor;
    /// where that has scrolled away, from the top.
    fn find_ours(&self, screen: &Screen) -> Option<Composer> {
        let spot = self.spot.as_ref()?;
        let cursor = screen.cursor();
        let top = (0..=cursor.row).rev().find(|row| spot.is_on(screen, *row));
        let (top, left) = top.map_or((0, 0), |row| (row, spot.col));
        let from = |row| if row == top { left } else { 0 };
        let mut rows: Vec<String> = (top..cursor.row)
            .map(|row| screen.row_from(row, from(row)))
            .collect();
        // What is faint behind the cursor is a hint of the runtime.
        let mut last = screen.row_not_dim(cursor.row, from(cursor.row));
        let rest = screen.row_not_dim(cursor.row, cursor.col);
        if looks(&rest) == spot.ghost && last.ends_with(&rest) {
            last.truncate(last.len() - rest.len());
        }
        rows.push(last);
        Some(Composer {
            top,
            bottom: cursor.row,
            text: rows.join("\n"),
            has_cursor: true,
        })
    }

    /// Whether rows below the cursor went when our paste came.
    fn has_filtered(&self, screen: &Screen, ours: &Ours) -> bool {
        let now = below(screen);
        let gone = ours.below.iter().filter(|row| !now.contains(row)).count();
        gone > HINTS
    }
}

impl Spot {
    /// Where the cursor is. None in the empty: no prompt, and nothing above.
    fn at_cursor(screen: &Screen) -> Option<Spot> {
        let cursor = screen.cursor();
        let left = left_of(screen, cursor.row, cursor.col);
        let prompt = looks(&left);
        let above = match (prompt.is_empty(), cursor.row.checked_sub(1)) {
            (false, _) => None,
            (true, None) => return None,
            (true, Some(row)) => Some(looks(&screen.row(row))).filter(|above| !above.is_empty()),
        };
        if prompt.is_empty() && above.is_none() {
            return None;
        }
        Some(Spot {
            prompt,
            ends_in_digit: left.trim_end().ends_with(|c: char| c.is_ascii_digit()),
            above,
            ghost: looks(&screen.row_not_dim(cursor.row, cursor.col)),
            col: cursor.col,
        })
    }

    /// Whether a row is the composer's first.
    fn is_on(&self, screen: &Screen, row: u16) -> bool {
        looks(&left_of(screen, row, self.col)) == self.prompt
            && self.above.as_ref().is_none_or(|above| {
                row.checked_sub(1)
                    .is_some_and(|row| looks(&screen.row(row)) == *above)
            })
    }
}

/// A text reduced to what stays of a prompt or a hint from one time to the next: no blanks, no digits
/// (counters, times), runs of a character as one (rules follow the width).
fn looks(text: &str) -> String {
    let mut kept: Vec<char> = text
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_ascii_digit())
        .collect();
    kept.dedup();
    kept.into_iter().collect()
}

fn left_of(screen: &Screen, row: u16, col: u16) -> String {
    (0..col).map(|at| screen.glyph(row, at)).collect()
}

/// The rows below the cursor that say something.
fn below(screen: &Screen) -> Vec<String> {
    (screen.cursor().row + 1..screen.size().rows)
        .map(|row| looks(&screen.row(row)))
        .filter(|row| !row.is_empty())
        .collect()
}

/// The composer of an editor that is away: empty, and not to be typed into.
fn gone(screen: &Screen) -> Composer {
    let row = screen.cursor().row;
    Composer {
        top: row,
        bottom: row,
        text: String::new(),
        has_cursor: false,
    }
}

#[cfg(test)]
mod tests;
