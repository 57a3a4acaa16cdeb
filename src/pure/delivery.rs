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

mod clearing;
mod gate;

use std::time::{Duration, Instant};

use super::judge::{Holds, Judge, Wanted};
use super::receipt::{Evidence, REMEMBERED, Receipt, Timing, Verdict, Witness, unix_ms};
use super::recorded::Recorded;
pub use super::sight::{Life, Order, Pulse, Sight, Step, WhenBusy, WhenDraft, Written};
use gate::{Patience, REFUSAL_LASTS};

#[derive(Debug)]
enum Phase {
    Gate {
        /// How long what keeps the gate shut may last, and since when it is shut.
        refusing: Option<(Patience, Instant)>,
    },
    Pasting {
        since: Instant,
    },
    Echo,
    Entering {
        judge: Box<Judge>,
    },
    Judging {
        judge: Box<Judge>,
    },
    Clearing {
        judge: Box<Judge>,
        pressed: u32,
        shown: String,
    },
}

/// How often the kernel is asked whether what we wrote was read.
const ASK_IF_READ: Duration = Duration::from_millis(100);

/// A runtime that has not read what we wrote within this time is given up.
const STALL_LASTS: Duration = Duration::from_secs(30);

/// A paste that is not taken from us within this time is given up: 256 KiB need well under a second.
const PASTE_LASTS: Duration = Duration::from_secs(5);

/// A person's keys wait behind our paste and our Enter until the message's fate is known, and no longer than
/// this: what they begin to type would be submitted together with it (claude and opencode put an Enter off
/// that follows a paste closely, and take keys before it). An overloaded opencode took a second over an Enter.
pub const KEYS_WAIT: Duration = Duration::from_millis(2_000);

/// One message on its way.
#[derive(Debug)]
pub struct Delivery {
    /// What was asked for.
    pub order: Order,
    wanted: Wanted,
    phase: Phase,
    timing: Timing,
    enters: u8,
    /// What we asked to be typed is not reported as written yet.
    writing: bool,
    /// When we last wrote something.
    wrote: Instant,
    /// When the paste was written.
    pasted: Option<Instant>,
    /// Since when the kernel says that a running runtime has read all of it.
    reading: Option<Instant>,
    /// When the composer first showed it.
    echoed: Option<Instant>,
    /// When the kernel was last asked.
    asked_kernel: Option<Instant>,
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
            phase: Phase::Gate { refusing: None },
            timing: Timing::default(),
            enters: 0,
            writing: false,
            wrote: order.asked,
            pasted: None,
            reading: None,
            echoed: None,
            asked_kernel: None,
            order,
            evidence: Vec::new(),
            unread_since: None,
            into_turn: false,
        }
    }

    /// The message in the forms it may be seen in.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
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
        if let Phase::Judging { judge }
        | Phase::Entering { judge }
        | Phase::Clearing { judge, .. } = &self.phase
        {
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
            was: None,
            open: false,
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
        self.writing = false;
        if let Written::At(at) = written {
            self.wrote = at;
            self.reading = None;
            self.asked_kernel = None;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Gate { refusing: None });
        self.phase = match (phase, written) {
            (Phase::Pasting { .. }, Written::At(at)) => {
                self.timing.paste_ms = self.since_asked(at);
                self.pasted = Some(at);
                Phase::Echo
            }
            // Somebody typed between the gate and the paste: nothing was written, gate again.
            (Phase::Pasting { .. }, Written::Refused) => Phase::Gate { refusing: None },
            (Phase::Pasting { .. }, Written::Cancelled) => Phase::Echo,
            (Phase::Entering { mut judge }, Written::At(at)) => {
                self.enters += 1;
                if self.enters == 1 {
                    judge.entered(at);
                    self.timing.enter_ms = self.since_asked(at);
                }
                Phase::Judging { judge }
            }
            // Somebody typed between our look and our Enter: look again before anything else.
            (Phase::Entering { .. }, Written::Refused) if self.enters == 0 => Phase::Echo,
            (Phase::Entering { judge }, Written::Refused | Written::Cancelled) => {
                Phase::Judging { judge }
            }
            (other, _) => other,
        };
    }

    /// The runtime has written something down. True if it is this message, after its Enter.
    pub fn recorded(&mut self, recorded: &Recorded, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Entering { judge }
            | Phase::Judging { judge }
            | Phase::Clearing { judge, .. } => judge.recorded(recorded, now),
            Phase::Gate { .. } | Phase::Pasting { .. } | Phase::Echo => false,
        }
    }

    /// Whether the runtime's own record was waited for and does not have it.
    pub fn lacks_record(&self) -> bool {
        match &self.phase {
            Phase::Judging { judge } | Phase::Clearing { judge, .. } => judge.lacks_record(),
            _ => false,
        }
    }

    /// Whether a turn was seen since before its Enter.
    pub fn saw_turn(&self) -> bool {
        match &self.phase {
            Phase::Entering { judge }
            | Phase::Judging { judge }
            | Phase::Clearing { judge, .. } => judge.saw_turn(),
            Phase::Gate { .. } | Phase::Pasting { .. } | Phase::Echo => false,
        }
    }

    /// Asks the kernel now and then whether a running runtime has read what we wrote. Every patience
    /// after a write counts from then: a runtime that is stopped has neither swallowed nor refused
    /// anything yet. `Some`: do this first.
    fn ask_whether_read(&mut self, sight: &Sight<'_>, now: Instant) -> Option<Step> {
        let asked = |at: Instant| now.saturating_duration_since(at) < ASK_IF_READ;
        if self.asked_kernel.is_some_and(asked) {
            return None;
        }
        let Some(pulse) = sight.fresh_pulse(now) else {
            return Some(Step::Pulse);
        };
        self.asked_kernel = Some(now);
        if pulse.unread > 0 || pulse.life != Life::Running {
            self.reading = None;
        } else {
            self.reading.get_or_insert(now);
        }
        None
    }

    /// Whether somebody pressed a key since the paste. The composer may not show it for a long time yet: what
    /// looks like ours alone may be submitted or removed together with theirs.
    fn is_typed_into(&self, sight: &Sight<'_>) -> bool {
        sight
            .last_key
            .zip(self.pasted)
            .is_some_and(|(key, paste)| key >= paste)
    }

    /// The end of a patience that begins when what we wrote was read, and when to look again at the latest.
    fn patience(&self, lasts: Duration, now: Instant) -> (Instant, Instant) {
        let limit = self
            .reading
            .map_or(self.wrote + STALL_LASTS, |read| read + lasts);
        (limit, limit.min(now + ASK_IF_READ))
    }

    /// Looks at the world once and says what to do. Call again after every change.
    pub fn step(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        let step = match &self.phase {
            Phase::Pasting { since } if now >= *since + PASTE_LASTS => Step::Cancel,
            Phase::Pasting { since } => Step::Wait(*since + PASTE_LASTS),
            _ if self.writing => Step::Wait(now + PASTE_LASTS),
            Phase::Gate { .. } => self.at_the_gate(sight, now),
            Phase::Echo => self.waiting_for_echo(sight, now),
            Phase::Entering { .. } => Step::Wait(now + PASTE_LASTS),
            Phase::Judging { .. } => self.judging(sight, now),
            Phase::Clearing { .. } => self.clearing(sight, now),
        };
        self.writing |= matches!(step, Step::Type(_));
        step
    }

    fn waiting_for_echo(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        let Some((view, profile)) = sight.view.zip(sight.profile) else {
            return self.done(
                Verdict::Unknown,
                "the runtime was replaced by something unknown after the paste; Enter was not pressed",
                now,
            );
        };
        if let Some(first) = self.ask_whether_read(sight, now) {
            return first;
        }
        let holds = view
            .composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, &profile.composer.placeholder));
        let cursor = view.composer.as_ref().is_some_and(|c| c.has_cursor);
        let whole = sight.settled && holds == Some(Holds::Ours) && cursor && view.dialog.is_none();
        // A turn that somebody else began since the gate can open a dialog at any moment.
        let turn = view.busy.as_deref().filter(|_| !self.into_turn);
        if let Some(sign) = turn.filter(|_| whole && self.order.when_busy != WhenBusy::Type) {
            if now < self.order.deadline {
                return Step::Wait(self.order.deadline.min(now + ASK_IF_READ));
            }
            let why = format!("a turn began after the paste ({sign}); Enter was not pressed");
            return self.done(Verdict::Draft, why, now);
        }
        if whole {
            if self.is_typed_into(sight) {
                let why = "somebody typed behind the paste; Enter was not pressed";
                return self.done(Verdict::Draft, why, now);
            }
            let echoed = *self.echoed.get_or_insert(now);
            self.timing.echo_ms = self.since_asked(echoed);
            let paused = echoed + profile.send.enter_pause();
            if paused > now {
                return Step::Wait(paused);
            }
            let placeholders = &profile.composer.placeholder;
            let wanted = self.wanted.clone();
            let judge = Judge::before_enter(wanted, sight.screen, view, placeholders, now);
            self.phase = Phase::Entering {
                judge: Box::new(judge),
            };
            return Step::Type(b"\r".to_vec());
        }
        let (limit, next) = self.patience(profile.send.echo(), now);
        if now < limit {
            return Step::Wait(next);
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
        if let Some(first) = self.ask_whether_read(sight, now) {
            return first;
        }
        let typed_into = self.is_typed_into(sight);
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
            && let Some(verdict) = judge.look(
                sight.screen,
                view,
                placeholders,
                rule,
                sight.record_within,
                now,
            )
        {
            return self.taken(verdict, now);
        }
        let settles = judge.next_look(rule, now);
        let holds = view
            .composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, placeholders));
        let alone = sight.settled && holds == Some(Holds::Ours) && view.dialog.is_none();
        let judge_lacks_record = judge.lacks_record();
        let (limit, next) = self.patience(rule.judge(), now);
        if alone
            && !typed_into
            && self.enters < 2
            && now < limit
            && self
                .reading
                .is_some_and(|read| now >= read + rule.enter_again())
        {
            return match std::mem::replace(&mut self.phase, Phase::Gate { refusing: None }) {
                Phase::Judging { judge } => {
                    self.phase = Phase::Entering { judge };
                    Step::Type(b"\r".to_vec())
                }
                other => {
                    self.phase = other;
                    Step::Wait(next)
                }
            };
        }
        if now < limit {
            return Step::Wait(settles.map_or(next, |at| at.min(next)));
        }
        if self.reading.is_none() {
            return self.done(
                Verdict::Unknown,
                "the runtime stopped reading after Enter",
                now,
            );
        }
        if alone {
            self.evidence.push(Evidence {
                by: Witness::Screen,
                sign: "the composer still holds it".into(),
                ms: rule.judge_ms,
            });
            if typed_into {
                let why = "the Enter was swallowed, and somebody typed behind it";
                return self.done(Verdict::Draft, why, now);
            }
            let shown = view.composer.as_ref().map(|c| c.text.clone());
            self.phase = match std::mem::replace(&mut self.phase, Phase::Gate { refusing: None }) {
                Phase::Judging { judge } => Phase::Clearing {
                    judge,
                    pressed: 0,
                    shown: shown.unwrap_or_default(),
                },
                other => other,
            };
            return self.clearing(sight, now);
        }
        let why = match holds {
            Some(Holds::Nothing) if judge_lacks_record => {
                "it looks as if it were taken, and the runtime's own record does not have it: a hook may have refused it"
            }
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

    /// The proof is there.
    fn taken(&self, verdict: Verdict, now: Instant) -> Step {
        let why = match verdict {
            Verdict::Queued => "the runtime shows it in its queue",
            _ => "the runtime took it",
        };
        self.done(verdict, why, now)
    }
}

#[cfg(test)]
mod tests;
