//! What a delivery is asked for, what it may look at, and what it asks for in turn.

use std::time::{Duration, Instant, SystemTime};

use super::profile::Profile;
use super::receipt::Receipt;
use super::screen::Screen;
use super::view::View;

/// A person who pressed a key this recently is still typing, though the composer may not show it yet.
/// Slowest echo of a key seen: 226 ms (opencode, loaded).
const HAND_RESTS: Duration = Duration::from_millis(400);

/// What a person has typed and not submitted must show after this time. If the composer is empty then, it was
/// cleared in a way that their keys do not tell. An overloaded opencode showed keys after a second.
const HAND_UNSEEN: Duration = Duration::from_millis(3_000);

/// A turn is over when none of its signs was seen for this time. Slowest full redraw seen on a loaded machine,
/// during which signs can be missing: about 150 ms.
const TURN_ENDS: Duration = Duration::from_millis(250);

/// A pulse older than this is no basis for typing. It is answered within microseconds.
const PULSE_IS_FRESH: Duration = Duration::from_millis(3);

/// What to do while a turn is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// Wait until the turn has ended, at most until the deadline.
    Hold,
    /// Type at once; the runtime steers or queues it.
    Type,
    /// Report `busy` at once.
    Refuse,
}

/// What to do while somebody's draft is in the composer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDraft {
    /// Report `occupied`.
    Refuse,
    /// Wait until it is gone, at most until the deadline.
    Wait,
}

/// A message to deliver.
#[derive(Clone, Debug)]
pub struct Order {
    /// The message's id.
    pub id: String,
    /// The whole text that will be typed.
    pub text: String,
    /// The byte at which the message's own words begin, behind the preamble.
    pub words_at: usize,
    /// When it was asked for.
    pub asked: Instant,
    /// The same moment on the wall clock.
    pub asked_wall: SystemTime,
    /// Until when it may wait for its turn.
    pub deadline: Instant,
    /// While a turn is running.
    pub when_busy: WhenBusy,
    /// While a draft is there.
    pub when_draft: WhenDraft,
    /// Nobody waits for the verdict: it waits for whatever keeps the gate shut, up to its deadline.
    pub kept: bool,
}

/// What the kernel says of the runtime at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// When it was taken.
    pub at: Instant,
    /// Of which process.
    pub pid: i32,
    /// Whether the inner terminal is raw (ICANON and ECHO off).
    pub raw: bool,
    /// Bytes the runtime has been sent and has not read. Never above 4,095 on Linux.
    pub unread: usize,
    /// The runtime's process state.
    pub life: Life,
    /// The process group in front of the inner terminal.
    pub front: Option<i32>,
}

/// The state of the runtime's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Running or sleeping.
    Running,
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Dead and not reaped.
    Zombie,
    /// No such process.
    Gone,
}

/// Everything a delivery may look at.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The screen, all output fed.
    pub screen: &'a Screen,
    /// The same screen through the profile; absent while the runtime is not known.
    pub view: Option<&'a View>,
    /// The profile.
    pub profile: Option<&'a Profile>,
    /// The last word of the kernel.
    pub pulse: Option<Pulse>,
    /// When a person last pressed a key.
    pub last_key: Option<Instant>,
    /// A person has typed something since the last Enter, as far as their keys tell.
    pub hand_text: bool,
    /// When the kernel last said that the runtime was stopped or had input unread.
    pub last_stall: Option<Instant>,
    /// The runtime has shown a composer before.
    pub been_ready: bool,
    /// A message was taken, and its turn does not show yet.
    pub turn_due: bool,
    /// When a running turn, or something else than the composer in front, was last seen.
    pub last_turn: Option<Instant>,
    /// Within what time the runtime writes down itself what it took; `None` where it is not waited for.
    pub record_within: Option<Duration>,
    /// The output seen so far ends inside a frame.
    pub settled: bool,
    /// The screen has not changed for as long as it takes to call it still, where that is asked for.
    pub still: bool,
}

impl Sight<'_> {
    /// The kernel's last word, if it is no older than an instant.
    pub(super) fn fresh_pulse(&self, now: Instant) -> Option<Pulse> {
        self.pulse
            .filter(|p| now.saturating_duration_since(p.at) <= PULSE_IS_FRESH)
    }

    /// What speaks for a running turn. Between two steps of a turn (an answered dialog, a tool that is done)
    /// a runtime can look idle for some frames: only a while without any sign is the end of it.
    pub(super) fn turn<'v>(&self, view: &'v View, now: Instant) -> Option<&'v str> {
        let just_now = |at: Instant| now.saturating_duration_since(at) < TURN_ENDS;
        match &view.busy {
            Some(sign) => Some(sign),
            None if self.turn_due => Some("the last message is about to begin one"),
            None if self.last_turn.is_some_and(just_now) => Some("it ran a moment ago"),
            None => None,
        }
    }

    /// When a person who has just pressed a key counts as resting, unless that is so already. Until
    /// then the composer may not show what was typed, and looks like ours alone.
    pub(super) fn hand_rests_at(&self, now: Instant) -> Option<Instant> {
        let rests = if self.hand_text {
            HAND_UNSEEN
        } else {
            HAND_RESTS
        };
        self.last_key.map(|at| at + rests).filter(|at| *at > now)
    }
}

/// What a delivery asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look again when something changes, or at this moment.
    Wait(Instant),
    /// Ask the kernel for a fresh [`Pulse`], then step again.
    Pulse,
    /// Write these bytes to the runtime if no outer input came meanwhile; report back.
    Type(Vec<u8>),
    /// Drop what is not written of the paste (its end bracket still goes out), then step again.
    Cancel,
    /// It is over.
    Done(Box<Receipt>),
}

/// Whether the pump wrote what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it, at this moment.
    At(Instant),
    /// None of it: outer input came in between.
    Refused,
    /// The rest was dropped on our request.
    Cancelled,
}
