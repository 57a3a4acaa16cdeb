//! The demo's state machine. Pure: inputs and a clock go in, state and effects come out.
//!
//! The clock is in milliseconds since the program started. Every call that takes it first brings
//! the running turn up to date, so the order of calls is the order of events.

mod command;
mod config;
mod dialog;
mod told;
mod transcript;
mod turn;
mod typing;

use std::collections::VecDeque;

use super::composer::Composer;
use super::keys::{Input, Key};
pub use config::Config;
pub use dialog::Dialog;
pub use told::{Effect, Event};
pub use transcript::Row;
use transcript::Transcript;
use turn::Turn;

/// One step of the spinner.
const SPIN_MS: u64 = 100;
/// What the approval dialog is about unless told otherwise.
const DIALOG_CMD: &str = "make test";

const GREETING: &str = "demo-tui: no model, no account, no network. Write something, or /help.";
const NEW_SESSION: &str = "A new session.";

/// The whole state.
#[derive(Debug)]
pub struct App {
    config: Config,
    now: u64,
    composer: Composer,
    dialog: Option<Dialog>,
    turn: Option<Turn>,
    queue: VecDeque<String>,
    transcript: Transcript,
    quit_until: Option<u64>,
    last_paste: Option<u64>,
    /// KB that `/flood` has still to print.
    flood_left: u32,
    effects: Vec<Effect>,
}

impl App {
    /// A new app with an empty composer.
    pub fn new(config: Config) -> Self {
        let mut app = Self {
            config,
            now: 0,
            composer: Composer::default(),
            dialog: None,
            turn: None,
            queue: VecDeque::new(),
            transcript: Transcript::default(),
            quit_until: None,
            last_paste: None,
            flood_left: 0,
            effects: Vec::new(),
        };
        app.block([Row::Note(GREETING.into())]);
        app
    }

    /// Takes one input at the time `now`.
    pub fn input(&mut self, input: Input, now: u64) -> Vec<Effect> {
        self.advance(now);
        match input {
            Input::Key(key) if self.dialog.is_some() => self.dialog_key(key),
            Input::Key(key) => self.key(key),
            Input::Paste(_) if self.dialog.is_some() || self.config.drop_pastes => {}
            Input::Paste(text) => {
                self.quit_until = None;
                self.last_paste = Some(now);
                self.composer.paste(text);
                if self.config.dialog_on_paste {
                    self.open_dialog(DIALOG_CMD.into());
                }
            }
        }
        std::mem::take(&mut self.effects)
    }

    /// Brings everything up to the time `now`.
    pub fn tick(&mut self, now: u64) -> Vec<Effect> {
        self.advance(now);
        std::mem::take(&mut self.effects)
    }

    /// When [`App::tick`] has to be called next. `None` when nothing moves by itself.
    pub fn deadline(&self) -> Option<u64> {
        let next_step = |from: u64| self.now + SPIN_MS - self.now.saturating_sub(from) % SPIN_MS;
        let mut next: Vec<u64> = Vec::new();
        next.extend(self.quit_until);
        next.extend(self.config.exit_after_ms);
        next.extend(self.config.dialog_after_ms);
        if self.config.spin {
            next.push(next_step(0));
        }
        if let (Some(turn), None) = (&self.turn, &self.dialog) {
            next.push(next_step(turn.begun));
            next.push(turn.begun + turn.length);
            next.extend(turn.ask_at.map(|at| turn.begun + at));
        }
        next.into_iter().min()
    }

    /// Whether `/flood` has more to print.
    pub fn flooding(&self) -> bool {
        self.flood_left > 0
    }

    /// Prints one more KB of the flood. To be called before each frame.
    pub fn flood(&mut self) {
        if self.flood_left > 0 {
            self.flood_left -= 1;
            self.transcript.flood();
        }
    }

    /// The text under edit.
    pub fn composer(&self) -> &Composer {
        &self.composer
    }

    /// The open dialog.
    pub fn dialog(&self) -> Option<&Dialog> {
        self.dialog.as_ref()
    }

    /// The messages that wait, first come first.
    pub fn queue(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.queue.iter().map(String::as_str)
    }

    /// The transcript, oldest first.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.transcript.rows()
    }

    /// Whole seconds of the running turn. `None` when none runs, when it waits for the dialog,
    /// or when the app must not show it.
    pub fn busy_seconds(&self) -> Option<u64> {
        let turn = self.turn.as_ref()?;
        let shown = self.config.busy_sign && self.dialog.is_none();
        shown.then(|| self.now.saturating_sub(turn.begun) / 1000)
    }

    /// The spinner's step, while there is a spinner.
    pub fn spinner(&self) -> Option<u64> {
        let busy = self.turn.as_ref().filter(|_| self.busy_seconds().is_some());
        match busy {
            Some(turn) => Some(self.now.saturating_sub(turn.begun) / SPIN_MS),
            None => self.config.spin.then_some(self.now / SPIN_MS),
        }
    }

    /// Whether the footer offers to quit.
    pub fn offers_quit(&self) -> bool {
        self.quit_until.is_some()
    }

    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        if self.config.exit_after_ms.is_some_and(|at| self.now >= at) {
            self.config.exit_after_ms = None;
            self.effects.push(Effect::Exit(self.config.exit_code));
        }
        if self.config.dialog_after_ms.is_some_and(|at| self.now >= at) {
            self.config.dialog_after_ms = None;
            self.open_dialog(DIALOG_CMD.into());
        }
        if self.quit_until.is_some_and(|until| self.now >= until) {
            self.quit_until = None;
        }
        self.run_turn();
    }

    fn block(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.transcript.block(rows);
    }
}

#[cfg(test)]
mod tests;
