//! The approval dialog: it takes all keys while it is open, and the turn stands still.

use super::{App, Effect, Event, Key, Row};

/// The open approval dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// What it asks about.
    pub cmd: String,
    /// Whether the first choice is selected.
    pub yes: bool,
    opened: u64,
}

impl App {
    /// Opens it, unless one is open.
    pub(super) fn open_dialog(&mut self, cmd: String) {
        if self.dialog.is_some() {
            return;
        }
        self.effects
            .push(Effect::Log(Event::Dialog { cmd: cmd.clone() }));
        self.quit_until = None;
        self.dialog = Some(Dialog {
            cmd,
            yes: true,
            opened: self.now,
        });
    }

    pub(super) fn dialog_key(&mut self, key: Key) {
        let Some(dialog) = &mut self.dialog else {
            return;
        };
        match key {
            Key::Up | Key::Char('1') => dialog.yes = true,
            Key::Down | Key::Char('2') => dialog.yes = false,
            Key::Enter => {
                let yes = dialog.yes;
                self.answer(yes);
            }
            Key::Escape | Key::CtrlC => self.answer(false),
            _ => {}
        }
    }

    fn answer(&mut self, yes: bool) {
        let Some(dialog) = self.dialog.take() else {
            return;
        };
        self.effects.push(Effect::Log(Event::Answer { yes }));
        let word = if yes { "allowed" } else { "declined" };
        self.block([Row::Reply(format!("{word}: {}", dialog.cmd))]);
        if let Some(turn) = &mut self.turn {
            turn.begun += self.now.saturating_sub(dialog.opened);
        }
    }
}
