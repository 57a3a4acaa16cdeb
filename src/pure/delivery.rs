//! One message on its way: gate, paste, echo, Enter, judge, and taking a draft back.
//!
//! | phase    | waits for                          | then                                          |
//! |----------|------------------------------------|-----------------------------------------------|
//! | Gate     | an empty composer that takes keys  | paste; or refuse with the reason              |
//! | Pasting  | the paste written to the pty       | Echo                                          |
//! | Echo     | the composer showing it, alone     | Enter; or give up without Enter               |
//! | Entering | Enter written to the pty           | Judging                                       |
//! | Judging  | proof ([`super::judge`])           | done; Enter once more; or Clearing            |
//! | Clearing | the composer to be empty again     | done (`draft`, retracted if it is empty)      |
//!
//! Every byte that is typed is typed on a condition: that nothing came from the outer terminal since
//! the screen was last judged. The pump checks it at the moment of writing, so a person's key can never
//! slip in between our look and our Enter.

use std::time::{Duration, Instant, SystemTime};

use super::judge::{Holds, Judge, Wanted};
use super::message;
use super::profile::Profile;
use super::receipt::{Evidence, REMEMBERED, Receipt, Timing, Verdict, Witness, unix_ms};
use super::screen::Screen;
use super::view::View;

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
}

/// What the kernel says of the runtime at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// When it was taken.
    pub at: Instant,
    /// Whether the inner terminal is raw (ICANON and ECHO off).
    pub raw: bool,
    /// Bytes the runtime has been sent and has not read. Never above 4,095 on Linux.
    pub unread: usize,
    /// The runtime's process state.
    pub life: Life,
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
    /// The runtime has shown a composer before.
    pub been_ready: bool,
    /// The output seen so far ends inside a frame.
    pub settled: bool,
}

impl Sight<'_> {
    /// When a person who has just pressed a key counts as resting, unless that is so already. Until
    /// then the composer may not show what was typed, and looks like ours alone.
    fn hand_rests_at(&self, now: Instant) -> Option<Instant> {
        self.last_key
            .map(|at| at + HAND_RESTS)
            .filter(|at| *at > now)
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

#[derive(Debug)]
enum Phase {
    Gate {
        /// How long what keeps the gate shut may last, and since when it is shut.
        refusing: Option<(Patience, Instant)>,
    },
    Pasting {
        since: Instant,
    },
    Echo {
        since: Instant,
    },
    Entering {
        judge: Box<Judge>,
    },
    Judging {
        judge: Box<Judge>,
    },
    Clearing {
        pressed: u32,
        shown: String,
        since: Instant,
    },
}

/// A refusal must last this long: a frame being redrawn looks like a missing composer for a moment.
/// Slowest full redraw seen on a loaded machine: about 150 ms.
const REFUSAL_LASTS: Duration = Duration::from_millis(250);

/// A person who pressed a key this recently is still typing, though the composer may not show it yet.
/// Slowest echo of a key seen: 226 ms (opencode, loaded).
const HAND_RESTS: Duration = Duration::from_millis(400);

/// Unread input older than this means that the runtime does not read (busy starts took up to 2.5 s).
const UNREAD_IS_WEDGED: Duration = Duration::from_millis(3_000);

/// A pulse older than this is no basis for typing. It is answered within microseconds.
const PULSE_IS_FRESH: Duration = Duration::from_millis(3);

/// How often the kernel is asked whether our Enter was read, while the text stands in the composer.
const ASK_IF_READ: Duration = Duration::from_millis(100);

/// A paste that is not taken from us within this time is given up: 256 KiB need well under a second.
const PASTE_LASTS: Duration = Duration::from_secs(5);

/// How long one press of the clear key may take to show.
const CLEAR_SHOWS: Duration = Duration::from_millis(400);

/// One message on its way.
#[derive(Debug)]
pub struct Delivery {
    /// What was asked for.
    pub order: Order,
    wanted: Wanted,
    phase: Phase,
    timing: Timing,
    enters: u8,
    last_enter: Option<Instant>,
    /// Since when the last Enter is known to have been read by a running runtime.
    enter_read: Option<Instant>,
    evidence: Vec<Evidence>,
    unread_since: Option<Instant>,
    /// The turn that was running when we typed on request: a dialog could have opened unseen.
    into_turn: bool,
}

impl Delivery {
    /// Starts with the gate.
    pub fn new(order: Order) -> Delivery {
        Delivery {
            wanted: Wanted::new(&order.text, order.words_at),
            order,
            phase: Phase::Gate { refusing: None },
            timing: Timing::default(),
            enters: 0,
            last_enter: None,
            enter_read: None,
            evidence: Vec::new(),
            unread_since: None,
            into_turn: false,
        }
    }

    /// Whether nothing was typed yet, so that it may still be withdrawn.
    pub fn untouched(&self) -> bool {
        matches!(self.phase, Phase::Gate { .. })
    }

    /// Whether a verdict may depend on single frames now.
    pub fn is_watching(&self) -> bool {
        !self.untouched()
    }

    /// Ends it from outside with this verdict.
    pub fn end(&self, verdict: Verdict, reason: impl Into<String>, now: Instant) -> Box<Receipt> {
        self.receipt(verdict, false, reason.into(), now)
    }

    fn since_asked(&self, at: Instant) -> Option<u64> {
        let ms = at.saturating_duration_since(self.order.asked).as_millis();
        u64::try_from(ms).ok()
    }

    fn receipt(
        &self,
        verdict: Verdict,
        retracted: bool,
        mut reason: String,
        now: Instant,
    ) -> Box<Receipt> {
        let mut evidence = self.evidence.clone();
        if let Phase::Judging { judge } | Phase::Entering { judge } = &self.phase {
            evidence.extend(judge.evidence().iter().cloned());
        }
        if self.into_turn && verdict.typed() {
            reason.push_str("; typed into a running turn, so a dialog that opened in the last instant cannot be excluded");
        }
        let mut timing = self.timing.clone();
        timing.verdict_ms = self.since_asked(now);
        Box::new(Receipt {
            id: self.order.id.clone(),
            verdict,
            typed: verdict.typed(),
            retracted,
            reason,
            evidence,
            enters: self.enters,
            timing,
            at_ms: unix_ms(self.order.asked_wall),
            bytes: self.order.text.len(),
            head: self.order.text.chars().take(REMEMBERED).collect(),
        })
    }

    fn done(&self, verdict: Verdict, reason: impl Into<String>, now: Instant) -> Step {
        Step::Done(self.receipt(verdict, false, reason.into(), now))
    }

    /// The pump's answer to the last [`Step::Type`].
    pub fn written(&mut self, written: Written) {
        let phase = std::mem::replace(&mut self.phase, Phase::Gate { refusing: None });
        self.phase = match (phase, written) {
            (Phase::Pasting { .. }, Written::At(at)) => {
                self.timing.paste_ms = self.since_asked(at);
                Phase::Echo { since: at }
            }
            // Somebody typed between the gate and the paste: nothing was written, gate again.
            (Phase::Pasting { .. }, Written::Refused) => Phase::Gate { refusing: None },
            (Phase::Pasting { since }, Written::Cancelled) => Phase::Echo { since },
            (Phase::Entering { mut judge }, Written::At(at)) => {
                self.enters += 1;
                self.last_enter = Some(at);
                self.enter_read = None;
                if self.enters == 1 {
                    judge.entered(at);
                    self.timing.enter_ms = self.since_asked(at);
                }
                Phase::Judging { judge }
            }
            // Somebody typed between our look and our Enter: look again before anything else.
            (Phase::Entering { .. }, Written::Refused) if self.enters == 0 => Phase::Echo {
                since: self.timing.paste_ms.map_or(self.order.asked, |ms| {
                    self.order.asked + Duration::from_millis(ms)
                }),
            },
            (Phase::Entering { judge }, Written::Refused | Written::Cancelled) => {
                Phase::Judging { judge }
            }
            (other, _) => other,
        };
    }

    /// Looks at the world once and says what to do. Call again after every change.
    pub fn step(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        match &self.phase {
            Phase::Gate { .. } => self.at_the_gate(sight, now),
            Phase::Pasting { since } if now >= *since + PASTE_LASTS => Step::Cancel,
            Phase::Pasting { since } => Step::Wait(*since + PASTE_LASTS),
            Phase::Echo { since } => {
                let since = *since;
                self.waiting_for_echo(sight, since, now)
            }
            Phase::Entering { .. } => Step::Wait(now + PASTE_LASTS),
            Phase::Judging { .. } => self.judging(sight, now),
            Phase::Clearing { .. } => self.clearing(sight, now),
        }
    }

    fn at_the_gate(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        let Some(pulse) = sight
            .pulse
            .filter(|p| now.saturating_duration_since(p.at) <= PULSE_IS_FRESH)
        else {
            return Step::Pulse;
        };
        if pulse.unread == 0 {
            self.unread_since = None;
        } else {
            self.unread_since.get_or_insert(now);
        }
        let Some((verdict, reason, patience)) = self.refusal(sight, &pulse, now) else {
            let Phase::Gate { refusing } = &mut self.phase else {
                return Step::Wait(now + REFUSAL_LASTS);
            };
            *refusing = None;
            self.into_turn = sight.view.is_some_and(|v| v.busy.is_some());
            self.phase = Phase::Pasting { since: now };
            return Step::Type(message::as_paste(&self.order.text));
        };
        // One short-lived reason may follow another (a turn seen between two half-drawn frames): what
        // counts is for how long nothing could be typed.
        let since = match &mut self.phase {
            Phase::Gate {
                refusing: Some((before, since)),
            } if *before == patience => *since,
            Phase::Gate { refusing } => {
                *refusing = Some((patience, now));
                now
            }
            _ => now,
        };
        let until = match patience {
            Patience::Moment => since + REFUSAL_LASTS,
            Patience::Deadline => self.order.deadline,
        }
        .min(self.order.deadline);
        if now >= until {
            return self.done(verdict, reason, now);
        }
        // Reading and resting are not announced by any output: look again soon.
        Step::Wait(until.min(now + Duration::from_millis(50)))
    }

    /// Why nothing may be typed right now, and how long that may last before it is reported.
    fn refusal(
        &self,
        sight: &Sight<'_>,
        pulse: &Pulse,
        now: Instant,
    ) -> Option<(Verdict, String, Patience)> {
        let unready = |why: &str, patience| Some((Verdict::Unready, why.to_owned(), patience));
        let starting = if sight.been_ready {
            Patience::Moment
        } else {
            Patience::Deadline
        };
        match pulse.life {
            Life::Running => {}
            Life::Stopped => return unready("the runtime's process is stopped", Patience::Moment),
            Life::Zombie | Life::Gone => {
                return unready("the runtime's process is dead", Patience::Moment);
            }
        }
        if self
            .unread_since
            .is_some_and(|since| now.saturating_duration_since(since) >= UNREAD_IS_WEDGED)
        {
            return unready("the runtime does not read its input", Patience::Moment);
        }
        if !pulse.raw {
            return unready(
                "the terminal is in cooked mode: the runtime is starting, exiting or suspended",
                starting,
            );
        }
        let (Some(view), Some(profile)) = (sight.view, sight.profile) else {
            return unready("no profile fits what runs in this pane", starting);
        };
        if let Some(dialog) = &view.dialog {
            let why = format!("a dialog owns the keyboard: {dialog}");
            return Some((Verdict::Blocked, why, Patience::Moment));
        }
        if !sight.screen.bracketed_paste() {
            return unready("the runtime has not asked for bracketed paste", starting);
        }
        let Some(composer) = &view.composer else {
            return if sight.been_ready {
                let why = "no composer is in front: a menu, dialog or other screen".to_owned();
                Some((Verdict::Blocked, why, Patience::Moment))
            } else {
                unready("no composer has been drawn yet", Patience::Deadline)
            };
        };
        if !composer.is_empty() {
            let patience = match self.order.when_draft {
                WhenDraft::Refuse => Patience::Moment,
                WhenDraft::Wait => Patience::Deadline,
            };
            let why = "somebody's draft is in the composer".to_owned();
            return Some((Verdict::Occupied, why, patience));
        }
        if !composer.has_cursor {
            let why = "the cursor is not in the composer".to_owned();
            return Some((Verdict::Blocked, why, Patience::Moment));
        }
        if sight.hand_rests_at(now).is_some() {
            let why = "somebody is typing".to_owned();
            return Some((Verdict::Occupied, why, Patience::Deadline));
        }
        if let Some(sign) = &view.busy {
            let patience = match self.order.when_busy {
                WhenBusy::Type => None,
                WhenBusy::Hold => Some(Patience::Deadline),
                WhenBusy::Refuse => Some(Patience::Moment),
            };
            if let Some(patience) = patience {
                let why = format!("a turn is running ({sign}, runtime {})", profile.name);
                return Some((Verdict::Busy, why, patience));
            }
        }
        if !sight.settled || pulse.unread > 0 {
            return unready("the runtime is drawing or reading", Patience::Deadline);
        }
        None
    }

    fn waiting_for_echo(&mut self, sight: &Sight<'_>, since: Instant, now: Instant) -> Step {
        let Some((view, profile)) = sight.view.zip(sight.profile) else {
            return self.done(
                Verdict::Unknown,
                "the runtime was replaced by something unknown after the paste; Enter was not pressed",
                now,
            );
        };
        let limit = since + profile.send.echo();
        let holds = view
            .composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, &profile.composer.placeholder));
        let cursor = view.composer.as_ref().is_some_and(|c| c.has_cursor);
        let rests = sight.hand_rests_at(now);
        if sight.settled && holds == Some(Holds::Ours) && cursor && view.dialog.is_none() {
            if let Some(at) = rests {
                return Step::Wait(at);
            }
            if self.timing.echo_ms.is_none() {
                self.timing.echo_ms = self.since_asked(now);
            }
            let placeholders = &profile.composer.placeholder;
            let wanted = self.wanted.clone();
            let judge = Judge::before_enter(wanted, sight.screen, view, placeholders, now);
            self.phase = Phase::Entering {
                judge: Box::new(judge),
            };
            return Step::Type(b"\r".to_vec());
        }
        if now < limit {
            return Step::Wait(limit);
        }
        let (verdict, why) = match (&view.dialog, holds) {
            (Some(dialog), _) => (
                Verdict::Unknown,
                format!("a dialog opened after the paste ({dialog})"),
            ),
            (None, Some(Holds::Nothing) | None) => (
                Verdict::Unknown,
                "the composer did not show the paste".to_owned(),
            ),
            (None, Some(Holds::Ours | Holds::OurHead)) => (
                Verdict::Draft,
                "the composer shows the text, and not in a state to be submitted".to_owned(),
            ),
            (None, Some(Holds::Other)) => (
                Verdict::Draft,
                "the text stands in the composer together with somebody else's".to_owned(),
            ),
        };
        self.done(verdict, format!("{why}; Enter was not pressed"), now)
    }

    fn judging(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        let Phase::Judging { judge } = &mut self.phase else {
            return Step::Wait(now + REFUSAL_LASTS);
        };
        let Some((view, profile)) = sight.view.zip(sight.profile) else {
            return self.done(
                Verdict::Unknown,
                "the runtime was replaced by something unknown after Enter",
                now,
            );
        };
        let rule = &profile.send;
        let placeholders = &profile.composer.placeholder;
        if sight.settled
            && let Some(verdict) = judge.look(sight.screen, view, placeholders, rule, now)
        {
            let why = match verdict {
                Verdict::Queued => "the runtime shows it in its queue",
                _ => "the runtime took it",
            };
            return self.done(verdict, why, now);
        }
        let holds = view
            .composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, placeholders));
        let alone = sight.settled && holds == Some(Holds::Ours) && view.dialog.is_none();
        // Every press gets its time, and gets it from a runtime that has read it and runs: one that was
        // stopped meanwhile has not swallowed anything yet.
        let last_enter = self.last_enter.unwrap_or(now);
        let limit = last_enter + rule.judge();
        let settles = judge.next_look(rule).filter(|at| *at > now);
        if alone && self.enters < 2 && now < limit {
            let Some(pulse) = sight
                .pulse
                .filter(|p| now.saturating_duration_since(p.at) <= PULSE_IS_FRESH)
            else {
                return Step::Pulse;
            };
            if pulse.unread > 0 || pulse.life != Life::Running {
                self.enter_read = None;
            } else {
                self.enter_read.get_or_insert(now);
            }
            let again = self.enter_read.map(|read| read + rule.enter_again());
            if again.is_none_or(|at| now < at) {
                return Step::Wait(limit.min(now + ASK_IF_READ));
            }
            if let Some(at) = sight.hand_rests_at(now) {
                return Step::Wait(at);
            }
            let Phase::Judging { judge } =
                std::mem::replace(&mut self.phase, Phase::Gate { refusing: None })
            else {
                return Step::Wait(limit);
            };
            self.phase = Phase::Entering { judge };
            return Step::Type(b"\r".to_vec());
        }
        let next = settles.unwrap_or(limit).min(limit);
        if now < limit {
            return Step::Wait(next);
        }
        if alone {
            self.evidence.extend(judge.evidence().iter().cloned());
            self.evidence.push(Evidence {
                by: Witness::Screen,
                sign: "the composer still holds it".into(),
                ms: u64::try_from(rule.judge().as_millis()).unwrap_or(u64::MAX),
            });
            let shown = view.composer.as_ref().map(|c| c.text.clone());
            self.phase = Phase::Clearing {
                pressed: 0,
                shown: shown.unwrap_or_default(),
                since: now,
            };
            return self.clearing(sight, now);
        }
        let why = match holds {
            Some(Holds::Nothing) => {
                "the text left the composer, and nothing shows that it was taken"
            }
            Some(Holds::Ours | Holds::OurHead | Holds::Other) => {
                "the composer holds text that is not ours alone"
            }
            None => "no composer is in front any more",
        };
        self.done(Verdict::Unknown, why, now)
    }

    fn clearing(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        let Phase::Clearing {
            pressed,
            shown,
            since,
        } = &mut self.phase
        else {
            return Step::Wait(now + REFUSAL_LASTS);
        };
        let kept = "the Enter was swallowed and the text is still in the composer";
        let Some((view, profile)) = sight.view.zip(sight.profile) else {
            return self.done(Verdict::Draft, kept, now);
        };
        let composer = view.composer.clone();
        let holds = composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, &profile.composer.placeholder));
        let text = composer.map(|c| c.text).unwrap_or_default();
        let waited = now.saturating_duration_since(*since) >= CLEAR_SHOWS;
        if *pressed > 0 && sight.settled && holds == Some(Holds::Nothing) {
            let why = "the Enter was swallowed; the text was removed from the composer again";
            return Step::Done(self.receipt(Verdict::Draft, true, why.to_owned(), now));
        }
        let still_ours = matches!(holds, Some(Holds::Ours | Holds::OurHead));
        if *pressed > 0 && text == *shown && !waited {
            return Step::Wait(*since + CLEAR_SHOWS);
        }
        // Each line needs a press to empty it and one to join it with the line above.
        let lines = u32::try_from(self.order.text.lines().count()).unwrap_or(u32::MAX);
        let enough = lines.saturating_mul(2).saturating_add(4).min(400);
        if !sight.settled && !waited {
            return Step::Wait(*since + CLEAR_SHOWS);
        }
        if !still_ours || *pressed >= enough || view.dialog.is_some() {
            return self.done(Verdict::Draft, kept, now);
        }
        if let Some(at) = sight.hand_rests_at(now) {
            return Step::Wait(at);
        }
        *pressed += 1;
        *shown = text;
        *since = now;
        Step::Type(profile.send.clear.bytes().to_vec())
    }
}

/// How long a refusal may last before it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// [`REFUSAL_LASTS`].
    Moment,
    /// Until the order's deadline.
    Deadline,
}
