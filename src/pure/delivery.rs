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

use std::time::{Duration, Instant};

use super::judge::{Holds, Judge, Wanted};
use super::message;
use super::receipt::{Evidence, REMEMBERED, Receipt, Timing, Verdict, Witness, unix_ms};
use super::recorded::Recorded;
pub use super::sight::{Life, Order, Pulse, Sight, Step, WhenBusy, WhenDraft, Written};

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

/// A refusal must last this long: a frame being redrawn looks like a missing composer for a moment. Full
/// redraws took about 150 ms on a loaded machine, and after a resize more than 325 ms on an overloaded one.
const REFUSAL_LASTS: Duration = Duration::from_millis(500);

/// Unread input older than this means that the runtime does not read (busy starts took up to 2.5 s).
const UNREAD_IS_WEDGED: Duration = Duration::from_millis(3_000);

/// How often the kernel is asked whether what we wrote was read.
const ASK_IF_READ: Duration = Duration::from_millis(100);

/// A runtime that has not read what we wrote within this time is given up.
const STALL_LASTS: Duration = Duration::from_secs(30);

/// A runtime that has just caught up with its input may not have drawn it yet: a paste of ours that was
/// given up, somebody's keys.
const CATCHES_UP: Duration = Duration::from_millis(500);

/// A paste that is not taken from us within this time is given up: 256 KiB need well under a second.
const PASTE_LASTS: Duration = Duration::from_secs(5);

/// A person's keys wait behind our paste and our Enter until the message's fate is known, and no longer than
/// this: what they begin to type would be submitted together with it (claude and opencode put an Enter off
/// that follows a paste closely, and take keys before it). An overloaded opencode took a second over an Enter.
pub const KEYS_WAIT: Duration = Duration::from_millis(2_000);

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

    fn at_the_gate(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        let Some(pulse) = sight.fresh_pulse(now) else {
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
            self.into_turn = sight.view.is_some_and(|v| sight.turn(v, now).is_some());
            self.phase = Phase::Pasting { since: now };
            return Step::Type(message::as_paste(&self.order.text));
        };
        let patience = match self.order.kept && verdict != Verdict::Busy {
            true => Patience::Deadline,
            false => patience,
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
        if let Some((view, profile)) = sight.view.zip(sight.profile)
            && profile.is_generic()
        {
            // Asked before anybody knew what runs.
            let special = &profile.send.special_first;
            if let Err(why) = message::check_typed(&self.order.text, special) {
                return Some((Verdict::Rejected, why.to_string(), Patience::Moment));
            }
            // What is busy in an unknown way may open a dialog in an unknown way: never typed into.
            if let Some(sign) = &view.busy {
                let patience = match self.order.when_busy {
                    WhenBusy::Type | WhenBusy::Hold => Patience::Deadline,
                    WhenBusy::Refuse => Patience::Moment,
                };
                return Some((Verdict::Busy, sign.clone(), patience));
            }
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
        if let Some(sign) = sight.turn(view, now) {
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
        let catching_up = sight
            .last_stall
            .is_some_and(|at| now.saturating_duration_since(at) < CATCHES_UP);
        if !sight.settled || !sight.still || pulse.unread > 0 || catching_up {
            return unready("the runtime is drawing or reading", Patience::Deadline);
        }
        None
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

    fn clearing(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
        if let Some(first) = self.ask_whether_read(sight, now) {
            return first;
        }
        let (limit, next) = self.patience(CLEAR_SHOWS, now);
        let reading = self.reading;
        let typed_into = self.is_typed_into(sight);
        let Phase::Clearing {
            judge,
            pressed,
            shown,
        } = &mut self.phase
        else {
            return Step::Wait(now + REFUSAL_LASTS);
        };
        let kept = "the Enter was swallowed and the text is still in the composer";
        let Some((view, profile)) = sight.view.zip(sight.profile) else {
            return self.done(Verdict::Draft, kept, now);
        };
        let (rule, placeholders) = (&profile.send, &profile.composer.placeholder);
        // The Enter may have been late after all: an emptied composer is then not our doing.
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
        let composer = view.composer.clone();
        let holds = composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, placeholders));
        let text = composer.map(|c| c.text).unwrap_or_default();
        let over = now >= limit;
        if *pressed > 0 && sight.settled && holds == Some(Holds::Nothing) {
            if !over {
                // A turn that began with it would show within this time.
                return Step::Wait(next);
            }
            if reading.is_none() {
                let why = "the runtime stopped reading while the draft was being removed";
                return self.done(Verdict::Unknown, why, now);
            }
            let why = "the Enter was swallowed; the text was removed from the composer again";
            return Step::Done(self.receipt(Verdict::Draft, true, why.to_owned(), now));
        }
        let still_ours = matches!(holds, Some(Holds::Ours | Holds::OurHead));
        let unchanged = *pressed > 0 && text == *shown;
        if (unchanged || !sight.settled || reading.is_none()) && !over {
            return Step::Wait(next);
        }
        // Each line needs a press to empty it and one to join it with the line above.
        let lines = u32::try_from(self.order.text.lines().count()).unwrap_or(u32::MAX);
        let enough = lines.saturating_mul(2).saturating_add(4).min(400);
        let must_not = typed_into || view.dialog.is_some() || reading.is_none();
        if !still_ours || *pressed >= enough || must_not {
            return self.done(Verdict::Draft, kept, now);
        }
        *pressed += 1;
        *shown = text;
        Step::Type(rule.clear.bytes().to_vec())
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

#[cfg(test)]
mod tests;
