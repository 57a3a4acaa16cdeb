//! What the demo tells the loop around it: what is to be done, and what truly happened, for the log.

use serde::Serialize;

/// One line of the log: what truly happened, for tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub enum Event {
    /// The first frame is out.
    Ready {
        /// Rows of the terminal.
        rows: u16,
        /// Columns of the terminal.
        cols: u16,
    },
    /// A message was submitted.
    Taken {
        /// The whole message.
        text: String,
        /// Whether it has to wait for a running turn.
        queued: bool,
    },
    /// The turn of a message started.
    Turn {
        /// The whole message.
        text: String,
    },
    /// The turn ended.
    Done {
        /// Whether Escape ended it.
        interrupted: bool,
    },
    /// A `/command` was submitted and carried out.
    Command {
        /// The whole text.
        text: String,
    },
    /// A `!` text was submitted.
    Shell {
        /// The text after the `!`.
        text: String,
    },
    /// The approval dialog opened.
    Dialog {
        /// What it asks about.
        cmd: String,
    },
    /// The approval dialog was answered.
    Answer {
        /// Whether with yes.
        yes: bool,
    },
    /// What stood in the composer at the exit.
    Draft {
        /// The whole text.
        text: String,
    },
    /// A signal arrived.
    Signal {
        /// Its name, `SIGTERM` for example.
        name: &'static str,
    },
    /// The program ended.
    Exit {
        /// Its exit code.
        code: u8,
    },
}

/// What the loop has to do for the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write a line to the log.
    Log(Event),
    /// End with this code.
    Exit(u8),
    /// Stop this process.
    Stop,
}
