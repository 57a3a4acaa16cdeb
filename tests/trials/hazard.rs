//! Dialogs at random moments: several senders, turns begun by a person or by the messages themselves, tool
//! calls that open approval dialogs, and a person who answers them after a while.
//!
//! The truth: the file a tool would make is there only if the person said yes; the selection stands where the
//! person left it; a dialog stays until the person answers it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::chance::{Chance, Shape, text};
use super::rig::{How, Rig, squeezed, unix_ms, wait_until};
use super::scenes::Scene;
use super::shots::{Fault, Shot};
use super::stage::Stage;

/// Senders at once, and what each of them sends.
const SENDERS: usize = 5;
const EACH: usize = 6;

/// How the runtimes write the command that they ask about; messages have `_` there.
const COMMAND: &str = "touch made-by-";

/// How the runtimes ask.
const ASKS: [&str; 3] = [CLAUDE_ASKS, "Would you like to", "Permission required"];
const CLAUDE_ASKS: &str = "Do you want to";

/// A file made this long after the person typed into the composer may be those keys' doing: a dialog opened
/// just then. It is told, not blamed on a send.
const OWN_KEYS_MS: u64 = 2_000;

/// A message that a person typed.
struct Typed {
    text: String,
    token: String,
    during_ms: (u64, u64),
    /// It was seen in the composer at the end, and taken away by the person.
    left: bool,
}

/// What happened to the dialogs and to the person's own messages, as the person saw it.
#[derive(Default)]
struct Diary {
    /// Each dialog: its token, and from when to when it was open, in Unix milliseconds.
    dialogs: Vec<(String, u64, u64)>,
    /// Tokens of the dialogs that the person said yes to.
    approved: HashSet<String>,
    /// What the person did and when, to be read where something went wrong.
    told: Vec<String>,
    typed: Vec<Typed>,
    /// When the person typed into the composer or pressed Enter there.
    hands: Vec<u64>,
    /// What a send must not do: the fault, from when to when, and what was seen.
    faults: Vec<(Fault, (u64, u64), String)>,
}

/// A dialog as it stands on the screen.
#[derive(Clone, PartialEq, Eq)]
struct Dialog {
    token: String,
    /// The rows with the options, colours and all: they show what is selected.
    options: String,
}

impl Dialog {
    fn on(rig: &Rig) -> Option<Dialog> {
        let painted = rig.painted();
        let (question, asks) = ASKS
            .iter()
            .filter_map(|q| Some((painted.rfind(q)?, *q)))
            .max()?;
        // The command also stands in rows of the transcript. claude writes it above its question, the others below.
        let at = match asks {
            CLAUDE_ASKS => painted.rfind(COMMAND)?,
            _ => question + painted[question..].find(COMMAND)?,
        };
        let token = painted[at + COMMAND.len()..]
            .chars()
            .take_while(char::is_ascii_lowercase)
            .collect();
        // opencode's stand on one row, which counts only when it is drawn to its end.
        let is_option = |row: &&str| {
            let numbered = ["1. ", "2. ", "3. "].iter().any(|o| row.contains(o));
            numbered || (row.contains("Allow once") && row.contains("Reject"))
        };
        let options: Vec<&str> = painted[question..].lines().filter(is_option).collect();
        (!options.is_empty()).then(|| Dialog {
            token,
            options: options.join("\n"),
        })
    }
}

/// Whether an approval dialog is on this screen.
pub fn asks(screen: &str) -> bool {
    ASKS.iter().any(|words| screen.contains(words))
}

/// Directives for the model stub: a turn with none to four tool calls, one after the other or at once.
fn wish(chance: &mut Chance) -> String {
    let mut delays = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..chance.pick(&[0, 1, 1, 1, 2, 3]) {
        let calls: Vec<String> = (0..chance.pick(&[1, 1, 1, 2]))
            .map(|_| format!("touch_made-by-{}", chance.token()))
            .collect();
        steps.push(calls.join("+"));
        delays.push(format!("{:.3}", chance.within(0, 1_200) as f64 / 1_000.0));
    }
    if steps.is_empty() {
        return format!("slow={}", chance.pick(&["0.3", "1", "2"]));
    }
    format!("first={} tool={}", delays.join(","), steps.join(","))
}

impl Stage {
    pub(super) fn hazard(&mut self) {
        let seeds: Vec<u64> = (0..=SENDERS).map(|_| self.chance.next()).collect();
        if self.sent() == 0 {
            // Screens and services of the first turn are like no other's.
            self.open_turn(Scene::Hazard, "");
        }
        // Of scenes before this one.
        take_files(&self.rig.project());
        let (rig, at_work) = (&self.rig, AtomicUsize::new(SENDERS));
        let shots = Mutex::new(Vec::new());
        let diary = std::thread::scope(|scope| {
            let person = scope.spawn(|| Person::new(rig, seeds[0], &self.runtime).live(&at_work));
            for seed in &seeds[1..] {
                let (shots, at_work) = (&shots, &at_work);
                scope.spawn(move || {
                    let mut chance = Chance::new(*seed);
                    for _ in 0..EACH {
                        let shot = send(rig, &mut chance);
                        shots.lock().expect("no panic").push(shot);
                    }
                    at_work.fetch_sub(1, Ordering::SeqCst);
                });
            }
            person.join().expect("the person did not panic")
        });
        let mut shots = shots.into_inner().expect("no panic");
        shots.sort_by_key(|s: &Shot| s.during_ms);
        self.by_hand = true;
        self.hold_against_diary(&mut shots, diary);
        self.shots.extend(shots);
    }

    /// Blames what the person saw, and files that nobody allowed, on the sends of that time.
    fn hold_against_diary(&mut self, shots: &mut [Shot], mut diary: Diary) {
        for (file, at) in take_files(&self.rig.project()) {
            if diary.approved.contains(&file) {
                continue;
            }
            let own = diary
                .hands
                .iter()
                .any(|h| (*h..*h + OWN_KEYS_MS).contains(&at));
            let said = format!("made-by-{file} at {at}, and the person never said yes");
            match own {
                true => eprintln!("{}: not blamed: {said}, but typed just then", self.runtime),
                false => diary
                    .faults
                    .push((Fault::Dialog, (at.saturating_sub(1_000), at), said)),
            }
        }
        for typed in &diary.typed {
            if let Some(said) = harm_done(&self.rig, typed, shots) {
                diary.faults.push((Fault::Draft, typed.during_ms, said));
            }
        }
        for (fault, during, said) in &diary.faults {
            eprintln!("{}: {fault:?} {during:?}: {said}", self.runtime);
            // Those that typed are the suspects; where none did, all that waited.
            let there = |s: &&mut Shot| overlap(s.during_ms, *during);
            let typed = shots.iter_mut().filter(there).any(|s| s.receipt.typed);
            for shot in shots.iter_mut().filter(there) {
                if shot.receipt.typed || !typed {
                    shot.blame(fault.clone(), said);
                }
            }
        }
        if !diary.faults.is_empty() {
            eprintln!("{}\n", diary.told.join("\n"));
        }
        for shot in shots {
            let open = diary.dialogs.iter().map(|(_, from, to)| (*from, *to));
            shot.dialogs = open.filter(|d| overlap(*d, shot.during_ms)).count();
        }
    }
}

/// What is wrong with a person's message, if anything: it got to the model in pieces or together with one of
/// ours, or it got lost.
fn harm_done(rig: &Rig, typed: &Typed, shots: &[Shot]) -> Option<String> {
    let Some((_, got)) = rig.stub.got(&typed.token) else {
        return (!typed.left).then(|| format!("{:?} was lost", typed.text));
    };
    let fused = shots.iter().any(|s| got.contains(&s.token));
    let whole = squeezed(&got).contains(&squeezed(&typed.text));
    (fused || !whole).then(|| format!("{:?} became {got:?}", typed.text))
}

fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// The files that tools have made: token and time, in Unix milliseconds. They are gone afterwards.
fn take_files(project: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(project).into_iter().flatten().flatten();
    let made = entries.filter_map(|e| {
        let name = e.file_name().into_string().ok()?;
        let token = name.strip_prefix("made-by-")?.to_owned();
        let modified = e.metadata().ok()?.modified().ok()?;
        let at = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        std::fs::remove_file(e.path()).ok()?;
        Some((token, u64::try_from(at.as_millis()).ok()?))
    });
    made.collect()
}

/// One message with default options, some time from now.
fn send(rig: &Rig, chance: &mut Chance) -> Shot {
    std::thread::sleep(Duration::from_millis(chance.within(0, 1_000)));
    let token = chance.token();
    let wish = match chance.one_in(3) {
        true => wish(chance),
        false => String::new(),
    };
    let shape = chance.pick(&[
        Shape::Line,
        Shape::Line,
        Shape::Lines(3),
        Shape::Unicode,
        Shape::Alike,
    ]);
    let text = text(chance, shape, &token, &wish);
    let how = How {
        preamble: chance.one_in(2),
        timeout: chance.pick(&["1", "2", "3", "5"]),
        ..How::default()
    };
    let from_ms = unix_ms();
    let receipt = rig.send(&text, &how);
    Shot::new(Scene::Hazard, (text, token), receipt, from_ms)
}

/// Somebody at the terminal, who answers dialogs and begins turns.
struct Person<'a> {
    rig: &'a Rig,
    chance: Chance,
    /// Moves the selection on, and back.
    arrows: [&'static str; 2],
    /// What stands before the composer's first word.
    prompt: &'static str,
    diary: Diary,
}

impl<'a> Person<'a> {
    fn new(rig: &'a Rig, seed: u64, runtime: &str) -> Person<'a> {
        let (arrows, prompt) = match runtime {
            "opencode" => (["Right", "Left"], "┃"),
            "codex" => (["Down", "Up"], "›"),
            _ => (["Down", "Up"], "❯"),
        };
        Person {
            rig,
            chance: Chance::new(seed),
            arrows,
            prompt,
            diary: Diary::default(),
        }
    }

    /// Until the senders are done and no turn runs any more.
    fn live(mut self, at_work: &AtomicUsize) -> Diary {
        let mut quiet = 0;
        while quiet < 5 {
            std::thread::sleep(Duration::from_millis(self.chance.within(20, 100)));
            if let Some(dialog) = Dialog::on(self.rig) {
                self.answer(dialog);
                quiet = 0;
            } else if at_work.load(Ordering::SeqCst) == 0 {
                quiet = if self.rig.state() == "busy" {
                    0
                } else {
                    quiet + 1
                };
            } else if self.chance.one_in(12) && self.rig.state() == "ready" {
                self.begin_turn();
            }
        }
        self.diary
    }

    /// Looks again and again for that long: the same dialog, the same selection.
    fn stands(&mut self, dialog: &Dialog, ms: u64, since: u64) -> bool {
        let until = unix_ms() + ms;
        while unix_ms() < until {
            let seen = Dialog::on(self.rig);
            if seen.as_ref() != Some(dialog) {
                // A frame may be half drawn: only what is so twice is so.
                std::thread::sleep(Duration::from_millis(150));
                let again = Dialog::on(self.rig);
                if again.as_ref() == Some(dialog) {
                    continue;
                }
                let (fault, now) = match &again {
                    Some(other) if other.token == dialog.token => (Fault::Choice, &other.options),
                    _ => (Fault::Dialog, &self.rig.screen()),
                };
                let said = format!("{} was\n{}\nand is\n{now}", dialog.token, dialog.options);
                self.diary.faults.push((fault, (since, unix_ms()), said));
                return false;
            }
            std::thread::sleep(Duration::from_millis(40));
        }
        true
    }

    fn answer(&mut self, first: Dialog) {
        let since = unix_ms();
        let mut dialog = first.clone();
        self.tell(&format!("sees {}:\n{}", first.token, first.options));
        let waits = self.chance.within(100, 1_500);
        let mut stands = self.stands(&dialog, waits, since);
        let moves = stands && self.chance.one_in(3);
        if moves {
            self.rig.press(&[self.arrows[0]]);
            wait_until(Duration::from_secs(2), || {
                let seen = Dialog::on(self.rig);
                let moved = seen.filter(|d| d.token == dialog.token && *d != dialog);
                moved.is_some_and(|d| {
                    dialog = d;
                    true
                })
            });
            let waits = self.chance.within(300, 2_500);
            stands = self.stands(&dialog, waits, since);
        }
        if stands {
            self.press_answer(&first, moves);
        }
        let dialogs = (first.token, since, unix_ms());
        self.diary.dialogs.push(dialogs);
    }

    fn tell(&mut self, what: &str) {
        self.diary.told.push(format!("{} {what}", unix_ms()));
    }

    /// Mostly no.
    fn press_answer(&mut self, dialog: &Dialog, moved: bool) {
        let yes = self.chance.one_in(4);
        if yes && moved {
            self.rig.press(&[self.arrows[1]]);
            let back = wait_until(Duration::from_secs(2), || {
                Dialog::on(self.rig).as_ref() == Some(dialog)
            });
            if !back {
                return;
            }
        }
        if yes {
            self.diary.approved.insert(dialog.token.clone());
        }
        let key = if yes { "Enter" } else { "Escape" };
        self.tell(&format!("{key} in {}, moved: {moved}", dialog.token));
        self.rig.press(&[key]);
        let gone = || Dialog::on(self.rig).is_none_or(|d| d.token != dialog.token);
        wait_until(Duration::from_secs(3), gone);
        if !yes {
            // opencode shows the question of a call made at the same time for a moment, and drops it.
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Types a message, and Enter once it stands in the composer alone; answers the dialogs that come in between.
    fn begin_turn(&mut self) {
        /// How long the text may be hidden, or not alone, before the person gives up.
        const PATIENCE_MS: u64 = 4_000;
        let since = unix_ms();
        let token = self.chance.token();
        let wish = wish(&mut self.chance);
        let text = text(&mut self.chance, Shape::Line, &token, &wish);
        let half = text.len() / 2;
        for part in [&text[..half], &text[half..]] {
            self.rig.type_text(part);
            std::thread::sleep(Duration::from_millis(self.chance.within(0, 60)));
        }
        self.tell(&format!("has typed {token}"));
        self.diary.hands.push(unix_ms());
        let wanted = squeezed(&text);
        let (mut good, mut enters, mut entered) = (unix_ms(), 0, 0);
        while unix_ms() < good + PATIENCE_MS && self.rig.stub.got(&token).is_none() {
            if let Some(dialog) = Dialog::on(self.rig) {
                self.answer(dialog);
                good = unix_ms();
            } else if stands_alone(&self.rig.screen(), self.prompt, &wanted) {
                // A swallowed Enter is pressed again, as a person would.
                if enters < 3 && unix_ms() > entered + PATIENCE_MS / 2 {
                    self.tell("presses Enter in the composer");
                    (enters, entered, good) = (enters + 1, unix_ms(), unix_ms());
                    self.diary.hands.push(entered);
                    self.rig.press(&["Enter"]);
                }
            }
            std::thread::sleep(Duration::from_millis(40));
        }
        let stands = || without_bars(&squeezed(&self.rig.screen())).contains(&token);
        let left = self.rig.stub.got(&token).is_none() && stands();
        if left {
            self.tell(&format!("gives up {token}"));
            self.rig.clear_composer();
        }
        self.diary.typed.push(Typed {
            text,
            token,
            during_ms: (since, unix_ms()),
            left,
        });
    }
}

/// opencode draws bars beside every row.
fn without_bars(text: &str) -> String {
    text.replace('┃', "")
}

/// Whether the composer holds this text and no other before it.
fn stands_alone(screen: &str, prompt: &str, wanted: &str) -> bool {
    let shown = squeezed(screen);
    if prompt != "┃" {
        return shown.contains(&format!("{prompt}{wanted}"));
    }
    // An empty row of the box, and then the text's first row.
    let mut boxes = shown.split("┃┃");
    boxes.any(|rest| without_bars(rest).starts_with(wanted))
}
