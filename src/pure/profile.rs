//! What each runtime looks like, as data.
//!
//! A profile is a TOML file: one per runtime is embedded, and a user's file of the same name replaces it.
//! The code knows only the *kinds* of signs (a ruled or an open composer, a sign in a region, a key to
//! clear); every glyph, word and delay of a real runtime stands in the files under `profiles/`.

use std::time::Duration;

use super::hook::HookRule;
use super::record::RecordRule;
use super::screen::Said;
use super::table::{Source, Table};

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

impl Identity {
    fn read(table: &Table<'_, '_>) -> Result<Identity, String> {
        Ok(Identity {
            exe: table.texts("exe")?,
            argv: table.texts("argv")?,
            with_arg: table.text("with_arg")?,
            without_arg: table.texts("without_arg")?,
            path: table.texts("path")?,
        })
    }
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

impl ComposerRule {
    fn read(table: &Table<'_, '_>) -> Result<ComposerRule, String> {
        let shapes = [
            ("ruled", Shape::Ruled),
            ("open", Shape::Open),
            ("bar", Shape::Bar),
            ("found", Shape::Found),
        ];
        Ok(ComposerRule {
            shape: table.word("shape", &shapes)?,
            rule: table.glyph("rule")?,
            end: table.glyph("end")?,
            rows_below: small(table.number("rows_below", 0, 20)?.unwrap_or(0)),
            prompt: table.glyph("prompt")?,
            prompt_bold: table.flag("prompt_bold")?,
            indent: small(table.number("indent", 0, 100)?.unwrap_or(0)),
            cursor_visible: table.flag("cursor_visible")?,
            not_after_prompt: table.texts("not_after_prompt")?,
            ghost: table.texts("ghost")?,
            placeholder: table.texts("placeholder")?,
        })
    }
}

/// A number that was checked to be small.
fn small(n: u64) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
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
    fn read(table: &Table<'_, '_>) -> Result<Sign, String> {
        let regions = [
            ("above", Region::Above),
            ("below", Region::Below),
            ("title", Region::Title),
        ];
        Ok(Sign {
            name: table.required("name")?,
            region: table.word("in", &regions)?,
            within: small(table.number("within", 1, 1_000)?.unwrap_or(1_000)),
            glyphs: table.text("glyphs")?.unwrap_or_default(),
            text: table.text("text")?.unwrap_or_default(),
        })
    }

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

    fn read(table: &Table<'_, '_>) -> Result<Dialog, String> {
        Ok(Dialog {
            name: table.required("name")?,
            all: table.texts("all")?,
            not: table.texts("not")?,
        })
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
    fn read(table: &Table<'_, '_>) -> Result<SendRule, String> {
        let usual = SendRule::default();
        let ms = |key, usual| Ok::<u64, String>(table.number(key, 0, 600_000)?.unwrap_or(usual));
        Ok(SendRule {
            special_first: table.text("special_first")?.unwrap_or(usual.special_first),
            clear: match table.text("clear")? {
                None => usual.clear,
                Some(_) => table.word("clear", &[("ctrl-u", Key::CtrlU)])?,
            },
            echo_ms: ms("echo_ms", usual.echo_ms)?,
            enter_pause_ms: ms("enter_pause_ms", usual.enter_pause_ms)?,
            enter_again_ms: ms("enter_again_ms", usual.enter_again_ms)?,
            judge_ms: ms("judge_ms", usual.judge_ms)?,
            record_ms: ms("record_ms", usual.record_ms)?,
            settle_ms: ms("settle_ms", usual.settle_ms)?,
            signs: table.number("signs", 1, 2)?.unwrap_or(usual.signs),
        })
    }

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
    /// Reads one profile.
    ///
    /// # Errors
    /// One line that names the file, the line and the key that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Profile, String> {
        let source = Source::new(file, text);
        let document = source.parse()?;
        let root = Table::root(&source, &document);
        let missing = |key: &str| format!("{file}:1: [{key}]: is missing");
        let profile = Profile {
            name: root.required("name")?,
            verified: root.texts("verified")?,
            identity: root
                .table("match", Identity::read)?
                .ok_or_else(|| missing("match"))?,
            composer: root
                .table("composer", ComposerRule::read)?
                .ok_or_else(|| missing("composer"))?,
            busy: root.tables("busy", Sign::read)?,
            queue: root.tables("queue", Sign::read)?,
            refusal: root.tables("refusal", Sign::read)?,
            dialog: root.tables("dialog", Dialog::read)?,
            record: root.tables("record", RecordRule::read)?,
            send: root.table("send", SendRule::read)?.unwrap_or_default(),
            hooks: root.table("hooks", HookRule::read)?.unwrap_or_default(),
            quit: root.texts("quit")?,
            shells: root.texts("shells")?,
        };
        // Read by whoever resets an agent (`reset::rule`), which its sidecar does not.
        root.skip("reset");
        root.finish()?;
        let composer = &profile.composer;
        match (composer.shape, composer.rule, composer.prompt) {
            (Shape::Ruled | Shape::Bar, None, _) => Err(format!(
                "{file}:1: composer.rule: this shape needs the glyph of its rules or bar"
            )),
            (Shape::Bar, ..) if composer.end.is_none() => Err(format!(
                "{file}:1: composer.end: a bar needs the glyph that ends it"
            )),
            (Shape::Open, _, None) => Err(format!(
                "{file}:1: composer.prompt: an open composer needs a prompt glyph"
            )),
            _ => Ok(profile),
        }
    }

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
mod tests {
    use super::*;

    fn process(pid: i32, exe: &str, argv: &[&str], script: &str) -> ProcessFacts {
        ProcessFacts {
            pid,
            parent: pid - 1,
            exe: exe.into(),
            argv: argv.iter().map(|a| (*a).to_string()).collect(),
            script: script.into(),
            version: String::new(),
        }
    }

    #[test]
    fn every_embedded_profile_is_sound() {
        assert_eq!(Profiles::with(&[]).warnings, Vec::<String>::new());
    }

    #[test]
    fn a_broken_profile_names_file_line_and_key_and_leaves_the_embedded_one() {
        let text = "name = \"pi\"\n[match]\nexe = [\"pi\"]\n[composer]\nshape = \"round\"\n";
        let profiles = Profiles::with(&[("my/pi.toml".into(), text.into())]);
        let warning = &profiles.warnings[0];
        assert!(warning.starts_with("my/pi.toml:5:"), "{warning}");
        assert!(
            warning.contains("composer.shape") && warning.contains("round"),
            "{warning}"
        );
        assert!(profiles.named("pi").is_some_and(|p| !p.busy.is_empty()));
    }

    #[test]
    fn a_misspelt_key_is_told_and_not_ignored() {
        let text = EMBEDDED[0].1.replace("within = 6", "wihtin = 6");
        let error = Profile::parse("pi.toml", &text).err().unwrap_or_default();
        assert!(
            error.ends_with("busy.wihtin: there is no such key"),
            "{error}"
        );
        let text = EMBEDDED[0].1.replace("within = 6", "within = \"6\"");
        let error = Profile::parse("pi.toml", &text).err().unwrap_or_default();
        assert!(
            error.contains("busy.within: must be a whole number"),
            "{error}"
        );
    }

    #[test]
    fn the_runtime_is_found_behind_wrappers() {
        let profiles = Profiles::with(&[]);
        let chain = [
            process(1, "/bin/bash", &["bash", "-c", "mosaic yolo pi"], ""),
            process(
                2,
                "/usr/bin/node",
                &["node", "/usr/bin/npx", "pi"],
                "/usr/lib/npx-cli.js",
            ),
            process(
                3,
                "/usr/bin/node",
                &["node", "/x/bin/pi"],
                "/x/node_modules/@mariozechner/pi-coding-agent/dist/cli.js",
            ),
        ];
        let found = profiles
            .identify(&chain)
            .map(|(p, f)| (p.name.as_str(), f.pid));
        assert_eq!(found, Some(("pi", 3)));
        assert!(profiles.identify(&chain[..2]).is_none());
    }

    #[test]
    fn neither_a_child_on_its_way_to_a_tool_nor_a_server_is_the_runtime() {
        let profiles = Profiles::with(&[]);
        let codex = "/m/@openai/codex-x64/codex";
        let mut chain = [
            process(8, codex, &["codex", "-m", "x"], ""),
            process(9, codex, &["codex", "-m", "x"], ""),
            process(10, codex, &[codex, "app-server", "--listen"], ""),
        ];
        chain[2].parent = 8;
        for chain in [&chain[..], &[chain[0].clone(), chain[2].clone()]] {
            let found = profiles.identify(chain).map(|(_, f)| f.pid);
            assert_eq!(found, Some(8));
        }
    }

    #[test]
    fn a_launcher_script_is_looked_through_and_a_tool_of_the_runtime_is_not_the_runtime() {
        let profiles = Profiles::with(&[]);
        let chain = [
            process(
                7,
                "/usr/bin/node",
                &["node", "/b/codex"],
                "/m/@openai/codex/bin/codex.js",
            ),
            process(8, "/m/@openai/codex-x64/vendor/codex/codex", &["codex"], ""),
            process(9, "/bin/bash", &["bash", "-c", "claude -p"], ""),
            process(10, "/bin/claude", &["claude", "-p"], ""),
        ];
        let found = profiles
            .identify(&chain)
            .map(|(p, f)| (p.name.as_str(), f.pid));
        assert_eq!(found, Some(("codex", 8)));
    }
}
