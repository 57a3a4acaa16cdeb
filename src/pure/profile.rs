//! What each runtime looks like, as data.
//!
//! A profile is a TOML file: one per runtime is embedded, and a user's file of the same name replaces it.
//! The code knows only the *kinds* of signs (a ruled or an open composer, a sign in a region, a key to
//! clear); every glyph, word and delay of a real runtime stands in the files under `profiles/`.

use std::time::Duration;

use super::hook::HookRule;
use super::record::RecordRule;
use super::screen::Said;

mod read;

/// One runtime's looks and manners.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The runtime's name, as shown in `status` and the heartbeat.
    pub name: String,
    /// Versions this profile was checked against with the real runtime.
    pub verified: Vec<String>,
    /// How to recognise the runtime among the processes of the pane.
    pub identity: Identity,
    /// The input box.
    pub composer: ComposerRule,
    /// Signs that a turn is running.
    pub busy: Vec<Sign>,
    /// Signs that a submitted message waits in the runtime's own queue.
    pub queue: Vec<Sign>,
    /// Signs that a submitted message was refused after all.
    pub refusal: Vec<Sign>,
    /// Screens that own the keyboard. Looked at only while no composer is in front.
    pub dialog: Vec<Dialog>,
    /// Where the runtime writes down what it was given.
    pub record: Vec<RecordRule>,
    /// How messages are typed and judged.
    pub send: SendRule,
    /// The runtime's own hooks.
    pub hooks: HookRule,
    /// What is typed into an empty composer to end the runtime, one after the other.
    pub quit: Vec<String>,
    /// Programs that run what is typed into them (the generic profile only).
    pub shells: Vec<String>,
}

/// How to recognise a runtime. Any hit in any field counts.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Base names of the executable.
    pub exe: Vec<String>,
    /// Base names of `argv[0]`, or of the script that an interpreter runs.
    pub argv: Vec<String>,
    /// Whole arguments that may follow the executable of the same process: both must then match.
    pub with_arg: Option<String>,
    /// Arguments that make it something else: a server of the runtime's, without a screen.
    pub without_arg: Vec<String>,
    /// Directories an executable or script lies in, such as an npm package name.
    pub path: Vec<String>,
}

/// The shape of the input box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Between two full-width rules.
    Ruled,
    /// From a prompt glyph down to the first blank row below the cursor.
    Open,
    /// Along a bar on the left, down to the glyph that ends it.
    Bar,
    /// Where the cursor rests, and where our own paste then shows: see [`super::generic`].
    Found,
}

/// How to find the input box.
#[derive(Clone, Debug)]
pub struct ComposerRule {
    /// Its shape.
    pub shape: Shape,
    /// The glyph of the rules above and below (`ruled`), or of the bar (`bar`).
    pub rule: Option<char>,
    /// The glyph that ends the bar (`bar` only).
    pub end: Option<char>,
    /// Rows of the box below its text (`bar` only).
    pub rows_below: u16,
    /// The glyph at column 0 of its first row.
    pub prompt: Option<char>,
    /// Whether that glyph is drawn bold: tells it from the same glyph in the transcript.
    pub prompt_bold: bool,
    /// The column at which text starts; with `bar` counted from the bar.
    pub indent: u16,
    /// Whether the terminal's cursor is shown while the box takes input.
    pub cursor_visible: bool,
    /// Text after the prompt that makes it a menu and no composer (`1. ` after a codex `›`).
    pub not_after_prompt: Vec<String>,
    /// Beginnings of texts that stand in an empty box without being drawn faint.
    pub ghost: Vec<String>,
    /// How the runtime abbreviates a paste; the part up to the first digit is enough.
    pub placeholder: Vec<String>,
}

/// The part of the screen a sign is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The rows above the composer.
    Above,
    /// The rows below the composer.
    Below,
    /// The window title.
    Title,
}

/// A sign on the screen.
#[derive(Clone, Debug)]
pub struct Sign {
    /// What `explain` calls it.
    pub name: String,
    /// Where to look.
    pub region: Region,
    /// At most this many rows away from the composer.
    pub within: u16,
    /// The first visible character must be one of these, if any are given.
    pub glyphs: String,
    /// The row must contain this.
    pub text: String,
}

impl Sign {
    /// What stands in a row behind this sign.
    pub fn rest_of<'r>(&self, row: &'r str) -> &'r str {
        row.split_once(self.text.as_str())
            .map_or(row, |(_, rest)| rest)
    }

    /// Whether a row (or the title) shows this sign.
    pub fn fits(&self, row: &str) -> bool {
        let row = row.trim_start();
        let head = row.chars().next();
        (self.glyphs.is_empty() || head.is_some_and(|c| self.glyphs.contains(c)))
            && row.contains(&self.text)
    }
}

/// A screen that owns the keyboard.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// What the verdict and `explain` call it.
    pub name: String,
    /// Every one of these must stand on the screen.
    pub all: Vec<String>,
    /// None of these may.
    pub not: Vec<String>,
}

impl Dialog {
    /// Whether a screen shows it.
    pub fn stands_in(&self, screen: &str) -> bool {
        self.all.iter().all(|word| screen.contains(word.as_str()))
            && !self.not.iter().any(|word| screen.contains(word.as_str()))
    }
}

/// How messages are typed and judged. All times in milliseconds.
#[derive(Clone, Debug)]
pub struct SendRule {
    /// Characters a message must not start with: they mean something else than a message.
    pub special_first: String,
    /// The key that empties one line of the composer and can never quit the runtime.
    pub clear: Key,
    /// How long a paste may take to show up in the composer before it is given up.
    pub echo_ms: u64,
    /// How long Enter waits at the least after the paste has shown up: a runtime that puts off an Enter so close to one
    /// would take keys that come meanwhile into the message.
    pub enter_pause_ms: u64,
    /// How long a message may sit in the composer after Enter before Enter is pressed once more.
    pub enter_again_ms: u64,
    /// How long the evidence of acceptance may take after Enter.
    pub judge_ms: u64,
    /// How long the runtime's own record is waited for when all else says that a message was taken: where a
    /// hook can refuse a prompt that looks as if it were. 0: it is not waited for.
    pub record_ms: u64,
    /// How long the composer must stay empty when nothing but a busy sign speaks for the message.
    pub settle_ms: u64,
    /// How many signs acceptance needs besides the empty composer. With 2 the text must stand above it, and
    /// a turn that was running before Enter explains everything.
    pub signs: u64,
}

impl Default for SendRule {
    fn default() -> SendRule {
        SendRule {
            special_first: "!/".into(),
            clear: Key::CtrlU,
            // Slowest echo seen under load: 226 ms (opencode); 2 s is the "not delivered" limit.
            echo_ms: 2_000,
            enter_pause_ms: 0,
            enter_again_ms: 800,
            judge_ms: 5_000,
            record_ms: 0,
            settle_ms: 150,
            signs: 1,
        }
    }
}

impl SendRule {
    /// [`SendRule::echo_ms`] as a duration.
    pub fn echo(&self) -> Duration {
        Duration::from_millis(self.echo_ms)
    }

    /// [`SendRule::enter_pause_ms`] as a duration.
    pub fn enter_pause(&self) -> Duration {
        Duration::from_millis(self.enter_pause_ms)
    }

    /// [`SendRule::enter_again_ms`] as a duration.
    pub fn enter_again(&self) -> Duration {
        Duration::from_millis(self.enter_again_ms)
    }

    /// [`SendRule::judge_ms`] as a duration.
    pub fn judge(&self) -> Duration {
        Duration::from_millis(self.judge_ms)
    }

    /// [`SendRule::record_ms`] as a duration.
    pub fn record(&self) -> Duration {
        Duration::from_millis(self.record_ms)
    }

    /// [`SendRule::settle_ms`] as a duration.
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }
}

/// A key that clears a composer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Empties the line before the cursor; pressed again it joins the next one.
    CtrlU,
}

impl Key {
    /// The bytes a terminal sends for it.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Key::CtrlU => b"\x15",
        }
    }
}

/// What one process of the pane is, as far as the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProcessFacts {
    /// Its pid.
    pub pid: i32,
    /// Its parent's pid.
    pub parent: i32,
    /// The path of its executable.
    pub exe: String,
    /// Its arguments, `argv[0]` first.
    pub argv: Vec<String>,
    /// The script an interpreter runs, with links resolved; empty if there is none.
    pub script: String,
    /// The version in the package the executable or script belongs to; empty if it has none.
    pub version: String,
}

impl Profile {
    /// Whether the composer is found by our own paste, for want of anything known.
    pub fn is_generic(&self) -> bool {
        self.composer.shape == Shape::Found
    }

    /// Whether a process is this runtime.
    pub fn is(&self, process: &ProcessFacts) -> bool {
        let id = &self.identity;
        let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let arg0 = process.argv.first().map(|a| base(a)).unwrap_or_default();
        let script = base(&process.script);
        let named = id.exe.contains(&base(&process.exe))
            || id.argv.contains(&arg0)
            || (!script.is_empty() && id.argv.contains(&script))
            || id
                .path
                .iter()
                .any(|dir| lies_in(&process.exe, dir) || lies_in(&process.script, dir));
        let with = id
            .with_arg
            .as_ref()
            .is_none_or(|arg| process.argv.iter().skip(1).any(|a| a == arg));
        let without = |a: &String| id.without_arg.contains(a);
        named && with && !process.argv.iter().skip(1).any(without)
    }
}

fn lies_in(path: &str, dir: &str) -> bool {
    path.contains(&format!("/{dir}/"))
}

/// The profiles in force: the embedded ones, each replaceable by a user's file.
#[derive(Clone, Debug)]
pub struct Profiles {
    all: Vec<Profile>,
    /// What was wrong with files that could not be used.
    pub warnings: Vec<String>,
}

/// The embedded profiles: file name and text.
pub const EMBEDDED: [(&str, &str); 6] = [
    ("pi.toml", include_str!("profiles/pi.toml")),
    ("codex.toml", include_str!("profiles/codex.toml")),
    ("claude.toml", include_str!("profiles/claude.toml")),
    ("opencode.toml", include_str!("profiles/opencode.toml")),
    ("demo.toml", include_str!("profiles/demo.toml")),
    ("generic.toml", include_str!("profiles/generic.toml")),
];

impl Profiles {
    /// The embedded profiles, with `overrides` (file name and text) put in front of them.
    ///
    /// A file that cannot be read leaves the embedded profile in force and adds a warning.
    pub fn with(overrides: &[(String, String)]) -> Profiles {
        let mut profiles = Profiles {
            all: Vec::new(),
            warnings: Vec::new(),
        };
        for (file, text) in overrides {
            profiles.add(file, text);
        }
        for (file, text) in EMBEDDED {
            profiles.add(file, text);
        }
        profiles
    }

    fn add(&mut self, file: &str, text: &str) {
        match Profile::parse(file, text) {
            Ok(p) if self.all.iter().any(|q| q.name == p.name) => {}
            Ok(p) => self.all.push(p),
            Err(why) => self.warnings.push(why),
        }
    }

    /// The profiles in force.
    pub fn all(&self) -> impl Iterator<Item = &Profile> {
        self.all.iter()
    }

    /// The profile with this name.
    pub fn named(&self, name: &str) -> Option<&Profile> {
        self.all.iter().find(|p| p.name == name)
    }

    /// Which runtime runs, judged by the processes of the pane (outermost first).
    ///
    /// The outermost process that some profile knows decides, so wrappers are looked through and an
    /// agent that the runtime starts as a tool is not mistaken for it. Where that process is only the
    /// runtime's own launcher (codex: a node script), its direct child of the same profile is the one; a
    /// child that is the same program still is about to become something else.
    pub fn identify<'a>(
        &self,
        processes: &'a [ProcessFacts],
    ) -> Option<(&Profile, &'a ProcessFacts)> {
        let (profile, mut found) = processes.iter().find_map(|process| {
            self.all
                .iter()
                .find(|p| p.is(process))
                .map(|p| (p, process))
        })?;
        while let Some(inner) = processes.iter().find(|p| {
            let is_child = p.parent == found.pid && p.pid != found.pid;
            is_child && profile.is(p) && (&p.exe, &p.argv) != (&found.exe, &found.argv)
        }) {
            found = inner;
        }
        Some((profile, found))
    }
}

/// Whether the runtime's own word says that a turn is running.
pub fn says_working(said: Option<Said>) -> bool {
    said == Some(Said::Working)
}

#[cfg(test)]
mod tests;
