//! Small recordings of real runtimes, with the truth about every message in them: `tests/recordings/`.
//!
//! `cargo bench --bench trials -- --golden tests/recordings --runtime pi --runtime codex …` makes them again, and
//! prints `tests/recordings/index.tsv`.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::chance::{Chance, Shape, text};
use super::rig::{Rig, Start, wait_until};

/// What became of a message, by the model stub's log and the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    /// The model got it at once.
    Accepted,
    /// The model got it after the turn that was running.
    Queued,
    /// It stood in the composer at the end, never submitted.
    Draft,
    /// It was queued, and stood in the composer again at the end.
    HandedBack,
    /// It is nowhere.
    Lost,
}

/// How long a message may take to reach the model.
const ARRIVES: Duration = Duration::from_secs(20);

/// How long a message that will not reach the model is waited for.
const NEVER: Duration = Duration::from_secs(2);

/// A runtime that is recorded, and what has been typed into it so far.
struct Take {
    rig: Rig,
    chance: Chance,
    /// Token and truth.
    messages: Vec<(String, Truth)>,
}

/// A recording's name, and what is done in it.
type Scene = (&'static str, fn(&mut Take));

const SCENES: [Scene; 5] = [
    ("accepted", accepted),
    ("queued", queued),
    ("one-write", one_write),
    ("dialog", dialog),
    ("escape", escape),
];

/// Makes the recordings of a runtime in `dir`. Returns their lines of the index: file, token, truth.
pub fn make(runtime: &str, dir: &Path, seed: u64) -> String {
    let mut index = format!("# {}", super::table::title(runtime));
    index.truncate(index.trim_end().len());
    index.push('\n');
    // pi draws every row anew with each frame.
    let size = if runtime == "pi" { (50, 18) } else { (80, 24) };
    for (name, scene) in SCENES {
        let left_out: &[&str] = match runtime {
            "pi" => &["dialog"],
            // Its first turn takes seconds, with twenty frames in each: a few recordings are enough.
            "opencode" => &["one-write", "escape"],
            _ => &[],
        };
        if left_out.contains(&name) {
            continue;
        }
        let rig = Rig::start(
            runtime,
            &Start {
                size: Some(size),
                recorded: true,
                ..Start::default()
            },
        );
        let mut take = Take {
            rig,
            chance: Chance::new(seed),
            messages: Vec::new(),
        };
        scene(&mut take);
        let file = format!("{runtime}-{name}.cast");
        take.rig.copy_recording(&dir.join(&file));
        for (token, truth) in &take.messages {
            let _ = writeln!(index, "{file}\t{token}\t{truth:?}");
        }
    }
    index
}

impl Take {
    fn message(&mut self, wish: &str) -> (String, String) {
        let token = self.chance.token();
        (text(&mut self.chance, Shape::Line, &token, wish), token)
    }

    /// Pastes a message, and presses Enter when it is there.
    fn paste(&mut self, wish: &str) -> String {
        let (text, token) = self.message(wish);
        self.rig.paste(&text, true);
        std::thread::sleep(Duration::from_millis(300));
        self.rig.press(&["Enter"]);
        token
    }

    fn reaches(&self, token: &str, within: Duration) -> bool {
        wait_until(within, || self.rig.stub.got(token).is_some())
    }

    /// The end of the recording: what the runtime draws after it has sent the request.
    fn rest(&self) {
        std::thread::sleep(Duration::from_millis(600));
        wait_until(ARRIVES, || self.rig.state() == "ready");
    }

    /// What the model and the composer say about a message now.
    fn note(&mut self, token: String, if_reached: Truth, if_not: Truth, within: Duration) {
        let truth = match self.reaches(&token, within) {
            true => if_reached,
            false if self.rig.holds_draft() && self.rig.shows(&token) => if_not,
            false => Truth::Lost,
        };
        self.messages.push((token, truth));
    }
}

fn accepted(take: &mut Take) {
    let token = take.paste("");
    take.note(token, Truth::Accepted, Truth::Draft, ARRIVES);
    take.rest();
}

fn queued(take: &mut Take) {
    let first = take.paste("slow=1");
    take.note(first, Truth::Accepted, Truth::Draft, ARRIVES);
    let second = take.paste("");
    take.note(second, Truth::Queued, Truth::Draft, ARRIVES);
    take.rest();
}

fn one_write(take: &mut Take) {
    let (mut text, token) = take.message("");
    while text.len() < 145 {
        text.push_str(" more");
    }
    text.truncate(145);
    take.rig.paste(&format!("{text}\r"), false);
    // opencode's first turn takes long; a draft stands there at once.
    let since = Instant::now();
    wait_until(ARRIVES, || {
        let stays = since.elapsed() > NEVER && take.rig.holds_draft();
        stays || take.rig.stub.got(&token).is_some()
    });
    take.note(token, Truth::Accepted, Truth::Draft, Duration::ZERO);
    take.rest();
}

fn dialog(take: &mut Take) {
    let first = take.paste("tool=touch_made");
    take.note(first, Truth::Accepted, Truth::Draft, ARRIVES);
    let open = wait_until(ARRIVES, || super::hazard::asks(&take.rig.screen()));
    assert!(open, "no dialog:\n{}", take.rig.screen());
    let second = take.paste("");
    take.note(second, Truth::Accepted, Truth::Draft, NEVER);
    take.rest();
}

fn escape(take: &mut Take) {
    let first = take.paste("slow=1");
    take.note(first, Truth::Accepted, Truth::Draft, ARRIVES);
    let second = take.paste("");
    std::thread::sleep(Duration::from_millis(300));
    take.rig.press(&["Escape"]);
    take.note(second, Truth::Queued, Truth::HandedBack, NEVER);
    take.rest();
}
