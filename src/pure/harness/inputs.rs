//! What goes into the harness, and what comes out.

use super::*;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For durations and deadlines.
    pub mono: Instant,
    /// For what people read.
    pub wall: SystemTime,
}

/// Which connection asked; the harness only hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asker(pub u64);

/// A write handed to the pump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job(pub u64);

/// What really runs in the inner pty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The profile's name; empty if no profile knows it.
    pub name: String,
    /// The runtime's own pid (behind wrappers).
    pub pid: i32,
    /// Its version, where it could be read.
    pub version: String,
}

/// How the runtime ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Ended {
    /// The shell's way to put it in one number.
    pub fn code(self) -> u8 {
        let n = match self {
            Ended::Code(code) => code & 0xff,
            Ended::Signal(signal) => 128 + (signal & 0x7f),
        };
        u8::try_from(n).unwrap_or(1)
    }

    /// For heartbeat and status: `0`, `signal 9`.
    pub fn words(self) -> String {
        match self {
            Ended::Code(code) => code.to_string(),
            Ended::Signal(signal) => format!("signal {signal}"),
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The runtime printed this.
    Output(&'a [u8]),
    /// The outer terminal sent this; it is already on its way to the runtime.
    Outer(&'a [u8]),
    /// The pump's answer to [`Effect::Type`].
    Written(Job, Written),
    /// The terminal has this size now.
    Resized(TermSize),
    /// The kernel's word, asked for by [`Effect::Pulse`].
    Pulse(Pulse),
    /// This profile applies, whatever runs (a recording has no processes).
    Assume(&'a str),
    /// The processes of the pane, outermost first, asked for by [`Effect::Identify`].
    Processes(&'a [ProcessFacts]),
    /// Somebody asks for a message to be delivered, with the name this agent goes by in preambles.
    Send(Asker, Box<Request>, &'a str),
    /// The answer to [`Effect::Records`]: whether there are any to be read.
    RecordsOpen(bool),
    /// The runtime has written this down, or says so by a hook.
    Recorded(&'a Recorded),
    /// The journal's answer to [`Effect::Journal`] with an asker: the message's id, and why it failed.
    Kept(Asker, &'a str, Option<&'a str>),
    /// That connection is gone; a message of it that was not typed yet is withdrawn.
    AskerGone(Asker),
    /// The sidecar is about to end; messages that were not typed are `gone`.
    Closing,
    /// The runtime has ended.
    Exited(Ended),
    /// Nothing happened, time passed.
    Tick,
}

/// Something to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write to the runtime if, at that moment, no more than `if_outer` bytes of outer input have come.
    Type {
        /// Comes back in [`Input::Written`].
        job: Job,
        /// What to write.
        bytes: Vec<u8>,
        /// The condition; `None` writes in any case.
        if_outer: Option<u64>,
        /// How long a person's keys wait behind it; `None` changes nothing.
        keys_wait: Option<Duration>,
    },
    /// A person's keys need not wait any longer.
    LetKeysPass,
    /// Drop the unwritten rest of that write; the end bracket of a paste still goes out.
    Cancel(Job),
    /// Look at the kernel and come back with [`Input::Pulse`].
    Pulse,
    /// Write this line to the journal.
    Journal {
        /// What to write.
        line: Box<Line>,
        /// It must be on the disk before anything else is done.
        sync: bool,
        /// Come back with [`Input::Kept`] for this connection.
        asker: Option<Asker>,
    },
    /// Look at the processes and come back with [`Input::Processes`].
    Identify,
    /// How to look at what the runtime writes down; what is found comes back with [`Input::Recorded`].
    Records(Reading),
    /// The state has changed: from this one to that one, for this reason.
    Changed(State, State, String),
    /// Write the heartbeat.
    Beat,
    /// Answer this connection.
    Answer(Asker, Box<Receipt>),
    /// A message that somebody else typed has met its fate.
    Observed(Box<Receipt>),
    /// More is known of a message that was queued.
    Revised(Box<Receipt>),
}

/// How the runtime's own records are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Not at all.
    Off,
    /// Their ends are noted: what is written from now on is news once somebody asks. A loaded machine may come to
    /// see an Enter later than the runtime writes down what was entered.
    Mark,
    /// What is written is read at once, from the mark on, or from now on if there is none.
    On,
}
