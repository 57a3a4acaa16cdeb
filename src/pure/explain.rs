//! Why the engine thinks what it thinks: what was found on the screen, and which rules fired.

use serde::Serialize;

use super::harness::Harness;
use super::view::{self, Rule};
use super::wire::Origin;

/// The input box as it was found.
#[derive(Clone, Debug, Serialize)]
pub struct InputBox {
    /// First row of text, from 0.
    pub top: u16,
    /// Last row of text.
    pub bottom: u16,
    /// What stands in it.
    pub text: String,
    /// Whether it is empty and the cursor stands in it: a message may be typed.
    pub free: bool,
}

/// One explanation.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The state.
    pub state: &'static str,
    /// The rule or fact behind it.
    pub why: String,
    /// The profile in force; empty if none fits.
    pub profile: String,
    /// The versions it was verified with.
    pub verified: Vec<String>,
    /// The version that runs, where it could be read.
    pub version: String,
    /// Whether the program has asked for bracketed paste.
    pub bracketed_paste: bool,
    /// Whether the alternate screen is shown.
    pub alternate_screen: bool,
    /// The window title.
    pub title: String,
    /// What the runtime last said by OSC 7501.
    pub osc_7501: Option<String>,
    /// Cursor row, column, and whether it is shown.
    pub cursor: (u16, u16, bool),
    /// The input box, if one was found.
    pub composer: Option<InputBox>,
    /// Every rule of the profile, fired or not.
    pub rules: Vec<Rule>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
}

/// An explanation on the wire.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainLine {
    /// `mosaic.explain/1`.
    pub schema: String,
    /// Who speaks.
    #[serde(flatten)]
    pub origin: Origin,
    /// The explanation for a person.
    pub text: String,
    /// The same for programs.
    #[serde(flatten)]
    pub explanation: Explanation,
}

impl ExplainLine {
    /// Explains what the engine sees now.
    pub fn of(harness: &Harness, origin: Origin) -> ExplainLine {
        let explanation = Explanation::of(harness);
        ExplainLine {
            schema: "mosaic.explain/1".into(),
            origin,
            text: explanation.text(),
            explanation,
        }
    }
}

impl Explanation {
    /// Explains what the engine sees now.
    pub fn of(harness: &Harness) -> Explanation {
        let screen = harness.screen();
        let profile = harness.profile();
        let view = match harness.generic() {
            Some(_) => harness.view().cloned(),
            None => profile.map(|p| view::View::of(screen, p)),
        };
        let cursor = screen.cursor();
        let (state, why) = harness.state();
        Explanation {
            state: state.word(),
            why: why.to_owned(),
            profile: profile.map(|p| p.name.clone()).unwrap_or_default(),
            verified: profile.map(|p| p.verified.clone()).unwrap_or_default(),
            version: harness.running().version.clone(),
            bracketed_paste: screen.bracketed_paste(),
            alternate_screen: screen.alternate(),
            title: screen.title().to_owned(),
            osc_7501: screen.said().map(|s| format!("{s:?}").to_lowercase()),
            cursor: (cursor.row, cursor.col, cursor.visible),
            composer: view
                .as_ref()
                .and_then(|v| v.composer.as_ref())
                .map(|c| InputBox {
                    top: c.top,
                    bottom: c.bottom,
                    text: c.text.clone(),
                    free: c.has_cursor && c.is_empty(),
                }),
            rules: match harness.generic() {
                Some(generic) => generic.rules(),
                None => profile.map(|p| view::rules(screen, p)).unwrap_or_default(),
            },
            warnings: harness.warnings(),
        }
    }

    /// The same for a person.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.state, self.why);
        let mut row = |what: &str, value: &str| {
            text.push_str(&format!("  {what:<10} {value}\n"));
        };
        if self.profile.is_empty() {
            row("profile", "none fits what runs");
        } else if self.verified.is_empty() {
            row("profile", &self.profile);
        } else {
            let verified = self.verified.join(", ");
            let version = if self.version.is_empty() {
                "unknown"
            } else {
                &self.version
            };
            row(
                "profile",
                &format!(
                    "{} (verified with {verified}; running {version})",
                    self.profile
                ),
            );
        }
        let yes = |b: bool| if b { "on" } else { "off" };
        row(
            "paste",
            &format!("bracketed paste {}", yes(self.bracketed_paste)),
        );
        let (r, c, visible) = self.cursor;
        let shown = if visible { "shown" } else { "hidden" };
        row("cursor", &format!("row {r}, column {c}, {shown}"));
        if !self.title.is_empty() {
            row("title", &self.title);
        }
        if let Some(said) = &self.osc_7501 {
            row("OSC 7501", said);
        }
        match &self.composer {
            None => row("composer", "not in front"),
            Some(b) if b.free => row("composer", &format!("rows {}-{}, empty", b.top, b.bottom)),
            Some(b) => row(
                "composer",
                &format!("rows {}-{}: {:?}", b.top, b.bottom, b.text),
            ),
        }
        for rule in &self.rules {
            let mark = if rule.fired { "fired" } else { "-" };
            let on = rule.on.as_deref().map(str::trim).unwrap_or_default();
            row(rule.kind, &format!("{mark:<5} {}  {on}", rule.name));
        }
        for warning in &self.warnings {
            row("warning", warning);
        }
        text
    }
}
