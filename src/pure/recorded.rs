//! The runtime's own word that it took a text: an entry of its record, or a hook that carried it.

use serde::{Deserialize, Serialize};

/// What an entry says of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The model gets it: a turn began with it, or it joined the running one.
    Taken,
    /// It waits in the runtime's own queue.
    Queued,
    /// It was submitted. Taken, put into the queue if a turn was running, or refused by a hook.
    Submitted,
}

/// One text that the runtime says it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Who says so, for the receipt: `its own record (claude transcript)`, `hook UserPromptSubmit`.
    pub by: String,
    /// The text, as the runtime has it.
    pub text: String,
    /// What it says.
    pub says: Says,
}
