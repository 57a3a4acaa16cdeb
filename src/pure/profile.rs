//! What each runtime looks like, as data.
//!
//! A profile is a TOML file: one per runtime is embedded, and a user's file of the same name replaces it.
//! The code knows only the *kinds* of signs (a ruled or an open composer, a sign in a region, a key to
//! clear); every glyph, word and delay of a real runtime stands in the files under `profiles/`.

use std::time::Duration;

use serde::Deserialize;

use super::screen::Said;

/// One runtime's looks and manners.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The runtime's name, as shown in `status` and the heartbeat.
    pub name: String,
    /// Versions this profile was checked against with the real runtime.
    #[serde(default)]
    pub verified: Vec<String>,
    /// How to recognise the runtime among the processes of the pane.
    #[serde(rename = "match")]
    pub identity: Identity,
    /// The input box.
    pub composer: ComposerRule,
    /// Signs that a turn is running.
    #[serde(default)]
    pub busy: Vec<Sign>,
    /// Signs that a submitted message waits in the runtime's own queue.
    #[serde(default)]
    pub queue: Vec<Sign>,
    /// Screens that own the keyboard. Looked at only while no composer is in front.
    #[serde(default)]
    pub dialog: Vec<Dialog>,
    /// How messages are typed and judged.
    #[serde(default)]
    pub send: SendRule,
}

/// How to recognise a runtime. Any hit in any field counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Base names of the executable.
    #[serde(default)]
    pub exe: Vec<String>,
    /// Base names of `argv[0]`, or of the script that an interpreter runs.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Whole arguments that may follow the executable of the same process: both must then match.
    #[serde(default)]
    pub with_arg: Option<String>,
    /// Directories an executable or script lies in, such as an npm package name.
    #[serde(default)]
    pub path: Vec<String>,
}

/// The shape of the input box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Between two full-width rules.
    Ruled,
    /// From a prompt glyph down to the first blank row below the cursor.
    Open,
}

/// How to find the input box.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposerRule {
    /// Its shape.
    pub shape: Shape,
    /// The glyph of the rules above and below (`ruled` only).
    #[serde(default)]
    pub rule: Option<char>,
    /// The glyph at column 0 of its first row.
    #[serde(default)]
    pub prompt: Option<char>,
    /// Whether that glyph is drawn bold: tells it from the same glyph in the transcript.
    #[serde(default)]
    pub prompt_bold: bool,
    /// The column at which text starts.
    #[serde(default)]
    pub indent: u16,
    /// Whether the terminal's cursor is shown while the box takes input.
    #[serde(default)]
    pub cursor_visible: bool,
    /// Text after the prompt that makes it a menu and no composer (`1. ` after a codex `›`).
    #[serde(default)]
    pub not_after_prompt: Vec<String>,
    /// How the runtime abbreviates a paste; the part up to the first digit is enough.
    #[serde(default)]
    pub placeholder: Vec<String>,
}

/// The part of the screen a sign is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// The rows above the composer.
    Above,
    /// The rows below the composer.
    Below,
    /// The window title.
    Title,
}

/// A sign on the screen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// What `explain` calls it.
    pub name: String,
    /// Where to look.
    #[serde(rename = "in")]
    pub region: Region,
    /// At most this many rows away from the composer.
    #[serde(default = "far")]
    pub within: u16,
    /// The first visible character must be one of these, if any are given.
    #[serde(default)]
    pub glyphs: String,
    /// The row must contain this.
    #[serde(default)]
    pub text: String,
}

fn far() -> u16 {
    u16::MAX
}

impl Sign {
    /// Whether a row (or the title) shows this sign.
    pub fn fits(&self, row: &str) -> bool {
        let row = row.trim_start();
        let head = row.chars().next();
        (self.glyphs.is_empty() || head.is_some_and(|c| self.glyphs.contains(c)))
            && row.contains(&self.text)
    }
}

/// A screen that owns the keyboard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialog {
    /// What the verdict and `explain` call it.
    pub name: String,
    /// Every one of these must stand on the screen.
    pub all: Vec<String>,
    /// None of these may.
    #[serde(default)]
    pub not: Vec<String>,
}

/// How messages are typed and judged. All times in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SendRule {
    /// Characters a message must not start with: they mean something else than a message.
    pub special_first: String,
    /// The key that empties one line of the composer and can never quit the runtime.
    pub clear: Key,
    /// How long a paste may take to show up in the composer before it is given up.
    pub echo_ms: u64,
    /// How long a message may sit in the composer after Enter before Enter is pressed once more.
    pub enter_again_ms: u64,
    /// How long the evidence of acceptance may take after Enter.
    pub judge_ms: u64,
    /// How long the composer must stay empty when nothing but a busy sign speaks for the message.
    pub settle_ms: u64,
}

impl Default for SendRule {
    fn default() -> SendRule {
        SendRule {
            special_first: "!/".into(),
            clear: Key::CtrlU,
            // Slowest echo seen under load: 226 ms (opencode); 2 s is the "not delivered" limit.
            echo_ms: 2_000,
            enter_again_ms: 800,
            judge_ms: 5_000,
            settle_ms: 150,
        }
    }
}

impl SendRule {
    /// [`SendRule::echo_ms`] as a duration.
    pub fn echo(&self) -> Duration {
        Duration::from_millis(self.echo_ms)
    }

    /// [`SendRule::enter_again_ms`] as a duration.
    pub fn enter_again(&self) -> Duration {
        Duration::from_millis(self.enter_again_ms)
    }

    /// [`SendRule::judge_ms`] as a duration.
    pub fn judge(&self) -> Duration {
        Duration::from_millis(self.judge_ms)
    }

    /// [`SendRule::settle_ms`] as a duration.
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }
}

/// A key that clears a composer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
        let profile: Profile = toml::from_str(text).map_err(|e| {
            let line = e
                .span()
                .map_or(1, |span| text[..span.start].lines().count().max(1));
            format!("{file}:{line}: {}", e.message().replace('\n', " "))
        })?;
        match (
            profile.composer.shape,
            profile.composer.rule,
            profile.composer.prompt,
        ) {
            (Shape::Ruled, None, _) => Err(format!(
                "{file}: composer.rule: a ruled composer needs the glyph of its rules"
            )),
            (Shape::Open, _, None) => Err(format!(
                "{file}: composer.prompt: an open composer needs a prompt glyph"
            )),
            _ => Ok(profile),
        }
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
        named && with
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
pub const EMBEDDED: [(&str, &str); 4] = [
    ("pi.toml", include_str!("profiles/pi.toml")),
    ("codex.toml", include_str!("profiles/codex.toml")),
    ("claude.toml", include_str!("profiles/claude.toml")),
    ("demo.toml", include_str!("profiles/demo.toml")),
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

    /// The profile with this name.
    pub fn named(&self, name: &str) -> Option<&Profile> {
        self.all.iter().find(|p| p.name == name)
    }

    /// Which runtime runs, judged by the processes of the pane (outermost first).
    ///
    /// The outermost process that some profile knows decides, so wrappers are looked through and an
    /// agent that the runtime starts as a tool is not mistaken for it. Where that process is only the
    /// runtime's own launcher (codex: a node script), its direct child of the same profile is the one.
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
        while let Some(inner) = processes
            .iter()
            .find(|p| p.parent == found.pid && p.pid != found.pid && profile.is(p))
        {
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
        assert!(warning.contains("round"), "{warning}");
        assert!(profiles.named("pi").is_some_and(|p| !p.busy.is_empty()));
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
