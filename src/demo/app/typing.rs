//! What a key does while no dialog is open, and what becomes of a text that is submitted.

use super::command::Command;
use super::{App, Effect, Event, Key, Row};

/// How long the offer to quit stands.
const QUIT_MS: u64 = 2000;

impl App {
    pub(super) fn key(&mut self, key: Key) {
        if key == Key::CtrlC {
            return self.ctrl_c();
        }
        self.quit_until = None;
        match key {
            Key::Char(c) => self.composer.insert(c),
            Key::Newline => self.composer.insert('\n'),
            Key::Enter => self.enter(),
            Key::Backspace => self.composer.backspace(),
            Key::Delete => self.composer.delete(),
            Key::Left => self.composer.left(),
            Key::Right => self.composer.right(),
            Key::Home => self.composer.home(),
            Key::End => self.composer.end(),
            Key::KillToStart => self.composer.kill_to_start(),
            Key::CtrlD if self.composer.is_empty() => self.effects.push(Effect::Exit(0)),
            Key::Escape if self.turn.is_some() => {
                self.block([Row::Reply("interrupted".into())]);
                self.end_turn(true);
            }
            Key::Escape => self.flood_left = 0,
            Key::Up | Key::Down | Key::CtrlC | Key::CtrlD => {}
        }
    }

    fn ctrl_c(&mut self) {
        if !self.composer.is_empty() {
            self.composer.clear();
        } else if self.quit_until.is_some() {
            self.effects.push(Effect::Exit(0));
        } else {
            self.quit_until = Some(self.now + QUIT_MS);
        }
    }

    fn enter(&mut self) {
        let text = self.composer.text();
        if text.trim().is_empty() {
            return;
        }
        let since_paste = self.last_paste.map(|at| self.now.saturating_sub(at));
        let within = |window: u64| since_paste.is_some_and(|since| since < window);
        if within(self.config.paste_window_ms) {
            return;
        }
        if within(self.config.newline_window_ms) {
            return self.composer.insert('\n');
        }
        if self.config.swallow_enter > 0 {
            self.config.swallow_enter -= 1;
            return;
        }
        if self.config.lose > 0 {
            self.config.lose -= 1;
            return self.composer.clear();
        }
        if text.starts_with('/') {
            match Command::parse(&text) {
                Ok(command) => {
                    self.composer.clear();
                    self.effects.push(Effect::Log(Event::Command { text }));
                    self.run_command(command);
                }
                // The text stays, to be put right.
                Err(message) => self.block([Row::Error(message)]),
            }
            return;
        }
        self.composer.clear();
        match text.strip_prefix('!') {
            Some(shell) => {
                self.block([
                    Row::Note(format!("$ {shell}")),
                    Row::Note("(the demo runs no commands)".into()),
                ]);
                let text = shell.to_owned();
                self.effects.push(Effect::Log(Event::Shell { text }));
            }
            None => self.submit(text),
        }
    }

    fn submit(&mut self, text: String) {
        let queued = self.turn.is_some();
        let taken = Event::Taken {
            text: text.clone(),
            queued,
        };
        self.effects.push(Effect::Log(taken));
        if queued {
            self.queue.push_back(text);
        } else {
            self.start_turn(text);
        }
    }
}
