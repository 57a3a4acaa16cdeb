//! The messages that start with `/`: what they are called, and what each does.

use super::{App, DIALOG_CMD, Effect, NEW_SESSION, Row};

/// What `/help` shows.
pub(super) const HELP: &[&str] = &[
    "/help        this list",
    "/clear       empty the transcript",
    "/new         the same, and say so: a new session",
    "/ask [CMD]   open the approval dialog",
    "/flood N     print N KB of coloured text",
    "/stop        stop this process (SIGSTOP)",
    "/exit N      leave with exit code N",
    "/quit        leave",
    "!TEXT        what a shell command would look like",
    "slow=SECONDS in a message stretches its turn; ask=yes asks in the middle of it",
];

/// A message that starts with `/`.
#[derive(Debug)]
pub(super) enum Command {
    Help,
    Clear,
    New,
    Ask(String),
    Flood(u32),
    Stop,
    Exit(u8),
}

impl Command {
    /// Reads one. The error is one line for a person.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (word, rest) = match text.split_once(char::is_whitespace) {
            Some((word, rest)) => (word, rest.trim()),
            None => (text, ""),
        };
        match word {
            "/help" => Ok(Self::Help),
            "/clear" => Ok(Self::Clear),
            "/new" => Ok(Self::New),
            "/ask" if rest.is_empty() => Ok(Self::Ask(DIALOG_CMD.into())),
            "/ask" => Ok(Self::Ask(rest.into())),
            "/flood" => rest
                .parse()
                .map(Self::Flood)
                .map_err(|_| "usage: /flood N, N in KB".into()),
            "/stop" => Ok(Self::Stop),
            "/quit" => Ok(Self::Exit(0)),
            "/exit" if rest.is_empty() => Ok(Self::Exit(0)),
            "/exit" => rest
                .parse()
                .map(Self::Exit)
                .map_err(|_| "usage: /exit N, N from 0 to 255".into()),
            _ => Err(format!("unknown command {word}")),
        }
    }
}

impl App {
    /// Does what it says.
    pub(super) fn run_command(&mut self, command: Command) {
        match command {
            Command::Help => self.block(HELP.iter().map(|line| Row::Note((*line).into()))),
            Command::Clear => self.transcript.clear(),
            Command::New if self.config.ignore_new => {}
            Command::New => {
                self.transcript.clear();
                self.block([Row::Note(NEW_SESSION.into())]);
            }
            Command::Ask(cmd) => self.open_dialog(cmd),
            Command::Flood(kilobytes) => self.flood_left = kilobytes,
            Command::Stop => self.effects.push(Effect::Stop),
            Command::Exit(code) => self.effects.push(Effect::Exit(code)),
        }
    }
}
