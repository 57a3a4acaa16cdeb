//! One send and what became of it, and the rules by which a verdict is wrong.

use super::rig::{Receipt, unix_ms};
use super::scenes::Scene;

/// What must never happen (the first six), and what should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Accepted or queued by its receipt, and the model never got it.
    FalseAccepted,
    /// The receipt says that nothing was typed, and the model got it or the screen shows it.
    Typed,
    /// A person's text was submitted, changed or lost.
    Draft,
    /// A dialog was answered by a send.
    Dialog,
    /// A send moved the selection in a dialog.
    Choice,
    /// The model got the message in pieces or mixed with a person's text, or got it twice.
    Mangled,
    /// The model got it, and the receipt says draft or unknown.
    Missed,
    /// Not one of the verdicts this scene allows.
    Verdict,
    /// Something was left in the composer, and no receipt said so.
    Leftover,
    /// The agent called itself blocked afterwards, and a person had to help.
    Stuck,
}

impl Fault {
    /// Whether it is one of those that must never happen.
    pub fn breaks_promise(&self) -> bool {
        !matches!(
            self,
            Fault::Missed | Fault::Verdict | Fault::Leftover | Fault::Stuck
        )
    }
}

/// One send.
#[derive(Clone, Debug)]
pub struct Shot {
    /// The scene it was part of.
    pub scene: Scene,
    /// What it is recognised by.
    pub token: String,
    /// The whole message.
    pub text: String,
    /// What the sender was told.
    pub receipt: Receipt,
    /// The verdicts the scene allows; any if empty.
    pub allowed: &'static [&'static str],
    /// From when to when the sender waited, in Unix milliseconds.
    pub during_ms: (u64, u64),
    /// How many dialogs were open at some time meanwhile.
    pub dialogs: usize,
    /// Whether the model got it.
    pub reached: bool,
    /// When it got it, in Unix milliseconds.
    pub asked_ms: Option<u64>,
    /// What the agent looked like when the receipt was there.
    pub after: &'static str,
    /// Held against the very bytes the runtime was given.
    pub by_bytes: bool,
    /// What was wrong.
    pub faults: Vec<Fault>,
    /// What the screen showed at that time.
    pub screen: String,
}

impl Shot {
    /// One that has just got its receipt, having been sent at `from_ms`; any verdict is allowed.
    pub fn new(
        scene: Scene,
        (text, token): (String, String),
        receipt: Receipt,
        from_ms: u64,
    ) -> Shot {
        Shot {
            scene,
            token,
            text,
            receipt,
            allowed: &[],
            during_ms: (from_ms, unix_ms()),
            dialogs: 0,
            reached: false,
            asked_ms: None,
            after: "",
            by_bytes: false,
            faults: Vec::new(),
            screen: String::new(),
        }
    }

    /// Whether its receipt promises that the model gets it.
    pub fn promised(&self) -> bool {
        matches!(self.receipt.verdict.as_str(), "accepted" | "queued")
    }

    /// Whether the scene allows its verdict.
    pub fn expected(&self) -> bool {
        self.allowed.is_empty() || self.allowed.contains(&self.receipt.verdict.as_str())
    }

    /// Notes a fault, once, with the screen of that moment.
    pub fn blame(&mut self, fault: Fault, screen: &str) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
            if self.screen.is_empty() {
                self.screen = screen.to_owned();
            }
        }
    }
}
