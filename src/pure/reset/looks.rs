//! How a runtime is reset and what it shows of that: data of a profile, held against a screen.

use crate::pure::profile::{ComposerRule, Profile, Shape};
use crate::pure::table::{Source, Table};

/// Longest command in characters: what `keys` takes at once is 64, and the known ones have six at most.
const COMMAND_MAX: usize = 32;

/// The embedded rules: a profile's name, the name of the file, and its text. They are no part of the embedded profiles
/// because those are in the tiny binary as well, and resets are not.
pub(super) const EMBEDDED: [(&str, &str, &str); 5] = [
    (
        "pi",
        "reset/pi.toml",
        include_str!("../profiles/reset/pi.toml"),
    ),
    (
        "codex",
        "reset/codex.toml",
        include_str!("../profiles/reset/codex.toml"),
    ),
    (
        "claude",
        "reset/claude.toml",
        include_str!("../profiles/reset/claude.toml"),
    ),
    (
        "opencode",
        "reset/opencode.toml",
        include_str!("../profiles/reset/opencode.toml"),
    ),
    (
        "demo",
        "reset/demo.toml",
        include_str!("../profiles/reset/demo.toml"),
    ),
];

/// How the runtime with this profile is reset, by the user's file that replaces the profile (`overrides`: file name and
/// text), else by what is embedded; none if nobody says how.
///
/// # Errors
/// What is wrong with it, with file, line and key.
pub fn rule(name: &str, overrides: &[(String, String)]) -> Result<Option<ResetRule>, String> {
    let is_of = |file: &str, text: &str| Profile::parse(file, text).is_ok_and(|p| p.name == name);
    let mut own = overrides.iter();
    let own = own.find(|(file, text)| is_of(file, text));
    let embedded = EMBEDDED.iter().find(|(of, ..)| *of == name);
    match (own, embedded) {
        (Some((file, text)), _) => in_file(file, text),
        (None, Some((_, file, text))) => in_file(file, text),
        (None, None) => Ok(None),
    }
}

/// The table `[reset]` of a file.
///
/// # Errors
/// What is wrong with it, with file, line and key.
pub fn in_file(file: &str, text: &str) -> Result<Option<ResetRule>, String> {
    let source = Source::new(file, text);
    let document = source.parse()?;
    Table::root(&source, &document).table("reset", ResetRule::read)
}

/// How a runtime is reset: data of a profile.
#[derive(Clone, Debug)]
pub struct ResetRule {
    /// What is typed.
    pub command: String,
    /// How the row of the runtime's menu begins that Enter would take; empty if it has no menu.
    pub offered: String,
    /// The directory, below that of the first record, in which the runtime itself keeps a file of its session open.
    pub open: String,
    /// Signs that all stand on the screen of a session without a message.
    pub fresh: Vec<Mark>,
    /// Signs of which none does.
    pub stale: Vec<Mark>,
}

impl ResetRule {
    fn read(table: &Table<'_, '_>) -> Result<ResetRule, String> {
        let command = table.required("command")?;
        let chars = command.chars().count();
        if !(1..=COMMAND_MAX).contains(&chars) || command.chars().any(char::is_control) {
            let why =
                format!("{command:?} is none: it takes 1 to {COMMAND_MAX} characters of one line");
            return Err(table.mistake("command", &why));
        }
        Ok(ResetRule {
            command,
            offered: table.text("offered")?.unwrap_or_default(),
            open: table.text("open")?.unwrap_or_default(),
            fresh: table.tables("fresh", Mark::read)?,
            stale: table.tables("stale", Mark::read)?,
        })
    }

    /// The sign that makes a screen one of a fresh session; none if it is not.
    pub fn fresh(&self, shown: &Shown) -> Option<&Mark> {
        let stands = |mark: &Mark| shown.rows(mark).iter().any(|row| mark.fits(row));
        let is_fresh = self.fresh.iter().all(stands) && !self.stale.iter().any(stands);
        self.fresh.first().filter(|_| is_fresh)
    }

    /// Whether Enter would take the command, as far as the runtime's menu says.
    pub fn is_offered(&self, shown: &Shown) -> bool {
        let outside = |row: usize| row < shown.top || row > shown.bottom;
        let rows = shown.lines.iter().enumerate();
        let mut rows = rows.filter(|(row, _)| outside(*row));
        let begins = |row: &str| {
            let rest = row.trim_start().strip_prefix(self.offered.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        self.offered.is_empty() || rows.any(|(_, row)| begins(row))
    }
}

/// Where a mark may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The rows above the composer.
    Above,
    /// The rows below it.
    Below,
    /// Its own rows, which nobody but the runtime and who types there draws.
    Inside,
}

/// A sign on the screen that tells a fresh session from another one.
#[derive(Clone, Debug)]
pub struct Mark {
    /// What the evidence calls it.
    pub name: String,
    /// Where it is looked for.
    pub place: Place,
    /// At most this many rows away from the composer.
    pub within: usize,
    /// The first visible character must be one of these, if any are given.
    pub glyphs: String,
    /// The row must contain this.
    pub text: String,
}

impl Mark {
    fn read(table: &Table<'_, '_>) -> Result<Mark, String> {
        let places = [
            ("above", Place::Above),
            ("below", Place::Below),
            ("inside", Place::Inside),
        ];
        let within = table.number("within", 1, 1_000)?;
        Ok(Mark {
            name: table.required("name")?,
            place: table.word("in", &places)?,
            within: within.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            glyphs: table.text("glyphs")?.unwrap_or_default(),
            text: table.text("text")?.unwrap_or_default(),
        })
    }

    fn fits(&self, row: &str) -> bool {
        let head = row.trim_start().chars().next();
        (self.glyphs.is_empty() || head.is_some_and(|c| self.glyphs.contains(c)))
            && row.contains(&self.text)
    }
}

/// A screen, and where the composer is in it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The rows.
    pub lines: Vec<String>,
    /// The composer's first row.
    pub top: usize,
    /// Its last one.
    pub bottom: usize,
}

impl Shown {
    /// The rows in which a mark may stand.
    fn rows(&self, mark: &Mark) -> Vec<&String> {
        let behind = self.bottom.saturating_add(1);
        let rows = |from: usize, to: usize| self.lines.get(from..to).unwrap_or_default().iter();
        match mark.place {
            Place::Above => rows(0, self.top).rev().take(mark.within).collect(),
            Place::Below => rows(behind, self.lines.len()).take(mark.within).collect(),
            Place::Inside => rows(self.top, behind).collect(),
        }
    }
}

/// What stands in a composer without what the runtime's menu has put there: opencode draws it within the same bar.
pub fn typed_text(rule: &ComposerRule, text: &str) -> String {
    let is_menu = |line: &str| {
        let bar = rule.rule.filter(|_| rule.shape == Shape::Bar);
        bar.is_some_and(|bar| line.trim_end().ends_with(bar))
    };
    let lines: Vec<&str> = text.lines().filter(|line| !is_menu(line)).collect();
    lines.join("\n").trim().to_owned()
}
