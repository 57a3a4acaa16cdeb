//! What a person would see on the screen: the composer, a dialog, the signs of a running turn.
//!
//! [`View::of`] is the only reader of a [`Profile`]'s looks. It says what is there and which rule said
//! so; what follows from it is decided elsewhere.

use serde::Serialize;

use super::profile::{self, ComposerRule, Profile, Shape, Sign, says_working};
use super::screen::{Said, Screen};
use super::text::Squeezed;

/// The input box, as drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composer {
    /// First row of text.
    pub top: u16,
    /// Last row of text.
    pub bottom: u16,
    /// What stands in it, without ghost text; rows joined by newlines.
    pub text: String,
    /// Whether the cursor stands where the next character would go.
    pub has_cursor: bool,
}

impl Composer {
    /// Whether nothing has been typed into it.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// One look at the screen through the eyes of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The input box, if it is in front.
    pub composer: Option<Composer>,
    /// The rule that found something else owning the keyboard.
    pub dialog: Option<String>,
    /// The rule that saw a running turn.
    pub busy: Option<String>,
    /// The rows of the runtime's own queue, without what makes them known as such.
    pub queue: Vec<String>,
    /// How many rows say that a submitted message was refused.
    pub refused: usize,
}

impl View {
    /// Looks at a screen.
    pub fn of(screen: &Screen, profile: &Profile) -> View {
        let composer = find_composer(screen, &profile.composer);
        let dialog = if screen.said() == Some(Said::Blocked) {
            Some("the runtime says it is blocked".to_owned())
        } else if composer.is_none() {
            find_dialog(screen, profile)
        } else {
            None
        };
        let busy = if says_working(screen.said()) {
            Some("the runtime says it is working".to_owned())
        } else {
            profile
                .busy
                .iter()
                .find(|sign| sees(screen, composer.as_ref(), sign).is_some())
                .map(|sign| sign.name.clone())
        };
        let queue = profile
            .queue
            .iter()
            .flat_map(|sign| {
                let rows = rows_with(screen, composer.as_ref(), sign);
                rows.into_iter().map(|row| sign.rest_of(&row).to_owned())
            })
            .collect();
        let refused = profile.refusal.iter();
        let refused = refused.map(|sign| rows_with(screen, composer.as_ref(), sign).len());
        View {
            refused: refused.sum(),
            composer,
            dialog,
            busy,
            queue,
        }
    }

    /// Whether a turn shows: its signs, or what it has opened.
    pub fn shows_turn(&self) -> bool {
        self.busy.is_some() || self.dialog.is_some()
    }

    /// Whether an empty composer is in front and takes keys.
    pub fn composer_is_free(&self) -> bool {
        self.composer
            .as_ref()
            .is_some_and(|c| c.has_cursor && c.is_empty())
    }
}

/// Everything drawn above the composer (the whole screen where there is none), squeezed.
pub fn above(screen: &Screen, composer: Option<&Composer>) -> Squeezed {
    let end = composer.map_or(screen.size().rows, |c| c.top);
    let rows: Vec<String> = (0..end).map(|r| screen.row(r)).collect();
    Squeezed::new(&rows.concat())
}

/// The row nearest to the composer that shows a sign, or the title that does.
fn sees(screen: &Screen, composer: Option<&Composer>, sign: &Sign) -> Option<String> {
    if sign.region == profile::Region::Title {
        let title = screen.title();
        return sign.fits(title).then(|| title.to_owned());
    }
    rows_with(screen, composer, sign).into_iter().next()
}

/// Every row that shows a sign, the nearest to the composer first.
fn rows_with(screen: &Screen, composer: Option<&Composer>, sign: &Sign) -> Vec<String> {
    // Signs stand in a distance from the composer; without one they could be anybody's text.
    let Some(composer) = composer else {
        return Vec::new();
    };
    let within = usize::from(sign.within);
    let rows: Vec<u16> = match sign.region {
        profile::Region::Above => (0..composer.top).rev().take(within).collect(),
        profile::Region::Below => (composer.bottom + 1..screen.size().rows)
            .take(within)
            .collect(),
        profile::Region::Title => Vec::new(),
    };
    rows.into_iter()
        .map(|row| screen.row(row))
        .filter(|row| sign.fits(row))
        .collect()
}

fn find_dialog(screen: &Screen, profile: &Profile) -> Option<String> {
    let text = screen.text();
    let shown = profile.dialog.iter().find(|d| d.stands_in(&text));
    shown.map(|d| d.name.clone())
}

/// One rule of a profile, held against a screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `busy`, `queue` or `dialog`; `generic` where no profile fits.
    pub kind: &'static str,
    /// Its name in the profile.
    pub name: String,
    /// Whether it fired.
    pub fired: bool,
    /// What it fired on: the row or title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
}

/// Every rule of a profile, in the order in which it is asked. Dialogs only count while no composer is
/// in front, and are shown as they would count.
pub fn rules(screen: &Screen, profile: &Profile) -> Vec<Rule> {
    let view = View::of(screen, profile);
    let text = screen.text();
    let composer = view.composer.as_ref();
    let sign = |kind, sign: &Sign| {
        let on = sees(screen, composer, sign);
        Rule {
            kind,
            name: sign.name.clone(),
            fired: on.is_some(),
            on,
        }
    };
    let dialogs = profile.dialog.iter().map(|d| Rule {
        kind: "dialog",
        name: d.name.clone(),
        fired: composer.is_none() && d.stands_in(&text),
        on: None,
    });
    let busy = profile.busy.iter().map(|s| sign("busy", s));
    let queue = profile.queue.iter().map(|s| sign("queue", s));
    let refusal = profile.refusal.iter().map(|s| sign("refusal", s));
    dialogs.chain(busy).chain(queue).chain(refusal).collect()
}

/// Where the text of a composer is: first and last row, first column.
type Region = (u16, u16, u16);

fn find_composer(screen: &Screen, rule: &ComposerRule) -> Option<Composer> {
    let cursor = screen.cursor();
    if rule.cursor_visible && !cursor.visible {
        return None;
    }
    let (top, bottom, left) = match rule.shape {
        Shape::Ruled => ruled(screen, rule)?,
        Shape::Open => open(screen, rule)?,
        Shape::Bar => bar(screen, rule)?,
        Shape::Found => return None,
    };
    if let Some(prompt) = rule.prompt {
        if screen.glyph(top, 0) != prompt || (rule.prompt_bold && !screen.is_bold(top, 0)) {
            return None;
        }
        let after = screen.row_from(top, left);
        if rule
            .not_after_prompt
            .iter()
            .any(|menu| after.starts_with(menu.as_str()))
        {
            return None;
        }
    }
    let written: Vec<String> = (top..=bottom)
        .map(|row| screen.row_not_dim(row, left))
        .collect();
    let mut text = written.join("\n").trim_end().to_owned();
    let at_start = cursor.row == top && cursor.col == left;
    // The first character of a faint text stands under a painted cursor, which is not faint.
    let under_cursor = text.chars().count() == 1 && screen.is_dim(top, left + 1);
    if at_start && (under_cursor || rule.ghost.iter().any(|g| text.starts_with(g.as_str()))) {
        text.clear();
    }
    let wrapped = rule.shape == Shape::Ruled && !text.is_empty();
    let last = bottom + u16::from(wrapped);
    let inside = (top..=last).contains(&cursor.row) && cursor.col >= left;
    // A cursor waiting to wrap stands behind the last column; elsewhere that place means "nowhere"
    // (pi parks it there while its menu is open).
    let parked = cursor.col < screen.size().cols;
    let has_cursor = inside && parked && (!text.is_empty() || at_start);
    Some(Composer {
        top,
        bottom,
        text,
        has_cursor,
    })
}

/// The rows along the bar left of the cursor, without the row above the text and those below it.
fn bar(screen: &Screen, rule: &ComposerRule) -> Option<Region> {
    let (glyph, end) = (rule.rule?, rule.end?);
    let cursor = screen.cursor();
    let column = (0..cursor.col.min(screen.size().cols))
        .rev()
        .find(|col| screen.glyph(cursor.row, *col) == glyph)?;
    let is_bar = |row: &u16| screen.glyph(*row, column) == glyph;
    let first = (0..=cursor.row).rev().take_while(is_bar).last()?;
    let last = (cursor.row..screen.size().rows).take_while(is_bar).last()?;
    let ended = screen.glyph(last + 1, column) == end;
    let (top, bottom) = (first + 1, last.checked_sub(rule.rows_below)?);
    (ended && top <= bottom).then_some((top, bottom, column + rule.indent))
}

/// The rows between the two rules around the cursor; where the cursor is elsewhere (a menu below
/// the box), between the last two rules above it.
fn ruled(screen: &Screen, rule: &ComposerRule) -> Option<Region> {
    let glyph = rule.rule?;
    let rows = screen.size().rows;
    let rules: Vec<u16> = (0..rows).filter(|r| screen.is_rule(*r, glyph)).collect();
    let cursor = screen.cursor().row;
    // The cursor may stand on the lower rule: pi counts the width of a joined emoji differently from its
    // terminal, and its last row then wraps onto it.
    let around = rules
        .windows(2)
        .find(|pair| pair[0] < cursor && cursor <= pair[1]);
    let pair = around.or_else(|| {
        rules
            .windows(2)
            .rev()
            .find(|pair| pair[1] < cursor && pair[1] > pair[0] + 1)
    })?;
    (pair[1] > pair[0] + 1).then(|| (pair[0] + 1, pair[1] - 1, rule.indent))
}

/// From the last prompt glyph at or above the cursor to the row before the first blank one below it.
fn open(screen: &Screen, rule: &ComposerRule) -> Option<Region> {
    let prompt = rule.prompt?;
    let cursor = screen.cursor().row;
    let is_prompt =
        |row: u16| screen.glyph(row, 0) == prompt && (!rule.prompt_bold || screen.is_bold(row, 0));
    let top = (0..=cursor).rev().find(|row| {
        // Rows between the prompt and the cursor are continuations: blank up to the indent.
        is_prompt(*row)
    })?;
    let continued = |row: u16| (0..rule.indent).all(|col| screen.glyph(row, col) == ' ');
    if !(top + 1..=cursor).all(continued) {
        return None;
    }
    let bottom = (cursor + 1..screen.size().rows)
        .take_while(|row| continued(*row) && !screen.row(*row).is_empty())
        .last()
        .unwrap_or(cursor);
    Some((top, bottom, rule.indent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::profile::Profiles;
    use crate::units::TermSize;

    fn look(runtime: &str, bytes: &str) -> View {
        let mut screen = Screen::new(TermSize { cols: 40, rows: 12 });
        screen.feed(bytes.as_bytes());
        let profiles = Profiles::with(&[]);
        match profiles.named(runtime) {
            Some(profile) => View::of(&screen, profile),
            None => panic!("no profile {runtime}"),
        }
    }

    fn rule() -> String {
        "─".repeat(40)
    }

    #[test]
    fn a_ruled_composer_with_a_prompt_is_found_and_its_ghost_text_is_no_draft() {
        let view = look(
            "claude",
            &format!(
                "{}\r\n❯\u{a0}\x1b[7mP\x1b[27;2mress up to edit\x1b[m\r\n{}\x1b[2;3H",
                rule(),
                rule()
            ),
        );
        assert!(view.composer_is_free(), "{view:?}");
    }

    #[test]
    fn a_draft_of_several_rows_is_read_whole() {
        let view = look(
            "claude",
            &format!("{}\r\n❯\u{a0}one\r\n  two\r\n{}\x1b[3;6H", rule(), rule()),
        );
        assert_eq!(view.composer.map(|c| c.text), Some("one\ntwo".into()));
    }

    #[test]
    fn a_dialog_without_a_composer_is_named() {
        let view = look(
            "claude",
            &format!(
                "{}\r\n Do you want to proceed?\r\n ❯ 1. Yes\x1b[3;2H",
                rule()
            ),
        );
        assert_eq!(view.composer, None);
        assert_eq!(view.dialog.as_deref(), Some("permission"));
    }

    #[test]
    fn an_open_prompt_that_selects_a_menu_entry_is_no_composer() {
        let menu = look(
            "codex",
            "Would you like to run it?\r\n\x1b[1m› 1. Yes\x1b[m\r\nPress enter to confirm\x1b[2;3H",
        );
        assert_eq!(menu.composer, None);
        assert_eq!(menu.dialog.as_deref(), Some("command approval"));
        let free = look(
            "codex",
            "› old message\r\n\r\n\x1b[1m›\x1b[m \x1b[2mAsk Codex\x1b[m\r\n\r\n  model\x1b[3;3H",
        );
        assert!(free.composer_is_free(), "{free:?}");
    }

    #[test]
    fn a_box_whose_cursor_is_elsewhere_takes_no_message() {
        let view = look(
            "pi",
            &format!("{}\r\n/model\r\n{}\r\n→ model\x1b[4;20H", rule(), rule()),
        );
        assert!(view.composer.is_some_and(|c| !c.has_cursor));
    }

    #[test]
    fn busy_signs_count_only_near_the_composer() {
        let near = look(
            "pi",
            &format!(" ⠋ Working...\r\n\r\n{}\r\n\r\n{}\x1b[4;1H", rule(), rule()),
        );
        assert_eq!(near.busy.as_deref(), Some("working"));
        let quoted = look(
            "pi",
            &format!(
                "it said Working...\r\n\r\n{}\r\n\r\n{}\x1b[4;1H",
                rule(),
                rule()
            ),
        );
        assert_eq!(quoted.busy, None);
    }
}
