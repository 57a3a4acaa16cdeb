//! The answer to a send: the verdict, and what it rests on.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::failure::exit;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The runtime took it: a turn began with it, or it was steered into the running one.
    Accepted,
    /// The runtime shows it in its own queue.
    Queued,
    /// It sits (or sat, if retracted) unsubmitted in the composer.
    Draft,
    /// Typed, and its fate cannot be proven.
    Unknown,
    /// A dialog, menu or other screen owns the keyboard. Nothing was typed.
    Blocked,
    /// Somebody's draft is in the composer. Nothing was typed.
    Occupied,
    /// In the sidecar's own queue. Nothing was typed yet.
    Held,
    /// A turn is running and the sender would not, or could not, wait longer. Nothing was typed.
    Busy,
    /// No composer yet, a cooked terminal, or a runtime that does not read its input. Nothing was typed.
    Unready,
    /// The message itself is not acceptable. Nothing was typed.
    Rejected,
    /// No such agent, no sidecar, or the runtime has ended. Nothing was typed.
    Gone,
}

impl Verdict {
    /// The exit code of `send` and `verify`.
    pub fn exit(self) -> u8 {
        match self {
            Verdict::Accepted | Verdict::Queued | Verdict::Held => exit::OK,
            Verdict::Draft => exit::DRAFT,
            Verdict::Unknown => exit::UNKNOWN,
            Verdict::Blocked | Verdict::Occupied | Verdict::Busy | Verdict::Unready => exit::LATER,
            Verdict::Rejected => exit::REJECTED,
            Verdict::Gone => exit::GONE,
        }
    }

    /// Whether the runtime was given any byte of the message.
    pub fn typed(self) -> bool {
        matches!(
            self,
            Verdict::Accepted | Verdict::Queued | Verdict::Draft | Verdict::Unknown
        )
    }

    /// The word used everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Accepted => "accepted",
            Verdict::Queued => "queued",
            Verdict::Draft => "draft",
            Verdict::Unknown => "unknown",
            Verdict::Blocked => "blocked",
            Verdict::Occupied => "occupied",
            Verdict::Held => "held",
            Verdict::Busy => "busy",
            Verdict::Unready => "unready",
            Verdict::Rejected => "rejected",
            Verdict::Gone => "gone",
        }
    }
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// The runtime itself.
    Runtime,
    /// What it drew.
    Screen,
    /// The kernel: says that bytes were read, never that they were accepted.
    Kernel,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who says so.
    pub by: Witness,
    /// What was seen.
    pub sign: String,
    /// Milliseconds after the (first) Enter was written.
    pub ms: u64,
}

/// When things happened, in milliseconds after the request arrived; absent where they did not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The paste was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paste_ms: Option<u64>,
    /// The composer showed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub echo_ms: Option<u64>,
    /// The first Enter was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enter_ms: Option<u64>,
    /// The verdict was reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict_ms: Option<u64>,
}

/// What is known of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The sender's or our own id for the message.
    pub id: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What was said before more was seen: a queued message that was delivered, or handed back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<Verdict>,
    /// It was typed, and what becomes of it is still being watched: ask again.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub open: bool,
    /// Whether the runtime was given any byte of it.
    pub typed: bool,
    /// A draft that was provably ours was removed from the composer again.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub retracted: bool,
    /// Why, in words for a person.
    pub reason: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// How often Enter was pressed.
    pub enters: u8,
    /// When things happened.
    pub timing: Timing,
    /// Unix milliseconds at which the request arrived.
    pub at_ms: u64,
    /// Size of the typed text in bytes.
    pub bytes: usize,
    /// The first characters of the typed text, so that `verify --contains` finds it. Never sent out.
    #[serde(skip)]
    pub head: String,
}

/// How much of a message's text a receipt remembers, in characters.
pub const REMEMBERED: usize = 2_000;

impl Receipt {
    /// A receipt for a message about which nothing but the verdict is known.
    pub fn bare(id: &str, verdict: Verdict, reason: impl Into<String>, at: SystemTime) -> Receipt {
        Receipt {
            id: id.to_owned(),
            verdict,
            was: None,
            open: false,
            typed: verdict.typed(),
            retracted: false,
            reason: reason.into(),
            evidence: Vec::new(),
            enters: 0,
            timing: Timing::default(),
            at_ms: unix_ms(at),
            bytes: 0,
            head: String::new(),
        }
    }
}

/// Milliseconds since 1970; 0 for a clock before that.
pub fn unix_ms(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
