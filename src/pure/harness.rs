//! The machine in the middle: everything that happens goes in, everything to be done comes out.
//!
//! `handle` takes one [`Input`] and the time; `poll` hands out [`Effect`]s until there are none;
//! `deadline` says when to come back with a [`Input::Tick`] if nothing happens before. It owns the
//! screen, the state, the messages on their way and the receipts. It is driven the same way by the
//! sidecar's loop, by tests and by a recording.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use super::delivery::{Life, Pulse, Sight, Written};
use super::generic::{self, Generic};
use super::history::History;
use super::journal::{Line, Recovered};
use super::keyboard::Keyboard;
use super::ledger::Ledger;
use super::observed::{Enter, Observed};
use super::orders::{Moved, Orders, Terms};
use super::profile::{ProcessFacts, Profile, Profiles};
use super::receipt::{Receipt, Verdict};
use super::recorded::{Recorded, Says};
use super::screen::Screen;
use super::view::View;
use super::wire::{Request, State};
use crate::units::TermSize;

mod carried;
mod inputs;
mod running;
mod seeing;

pub use inputs::{Asker, Effect, Ended, Input, Job, Now, Reading, Running};

/// While output flows and no message is on its way, the screen is looked at this often: a state needs
/// no more, and a flood must not pay for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A synchronized update that does not end is taken as ended after this time, as terminals do.
const UPDATE_LASTS: Duration = Duration::from_millis(150);

/// Input that stays unread this long makes the agent `wedged`; booting runtimes took up to 2.5 s.
const UNREAD_IS_WEDGED: Duration = Duration::from_secs(5);

/// What a person types is drawn within this time, most of the time: slowest seen 0.2 s (claude, machine loaded).
const KEY_DRAWN: Duration = Duration::from_millis(300);

/// After input was sent, the kernel is asked whether it was read.
const READ_CHECK: Duration = Duration::from_millis(1_000);

/// A state other than busy must last this long: between two frames a composer can be missing.
const STATE_LASTS: Duration = Duration::from_millis(250);

/// While no profile fits, the processes are looked at after this time, then after twice as long, and so
/// on up to the interval of the beats; a runtime that asks for bracketed paste is looked at once more.
const IDENTIFY_FIRST: Duration = Duration::from_millis(100);

/// A turn shows within this time after its message was taken. Slowest seen: 2.9 s (opencode's first).
const TURN_SHOWS: Duration = Duration::from_secs(4);

/// A screen on which nothing was drawn for so long is no half of a frame. claude draws without frames in tmux,
/// in pieces some milliseconds apart.
const RESTS: Duration = Duration::from_millis(20);

/// A screen that never rests is compared for the history so often all the same.
const RESTS_LATEST: Duration = Duration::from_millis(100);

/// So many messages in a row that only the screen spoke for, and a record is no longer waited for.
const RECORD_MISSED: u8 = 3;

/// What is known of the runtime's own record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OwnRecord {
    /// There is none, or nobody reads it.
    #[default]
    None,
    /// It is read, and so many messages in a row were not in it.
    Open(u8),
    /// A message was in it.
    Proven,
}

/// The machine. See the module's first lines.
pub struct Harness {
    profiles: Profiles,
    profile: Option<Profile>,
    running: Running,
    /// What is known of a runtime that no profile knows, while the generic rules are in force.
    generic: Option<Generic>,
    /// The outermost process as it was first seen.
    started: Option<ProcessFacts>,
    /// The processes, as last seen, are no known runtime, and no shell where it was.
    may_be_generic: bool,
    /// When the processes were last looked at.
    identified: Option<Instant>,
    /// A profile has fitted. What is there after it is not the runtime any more.
    known_once: bool,
    screen: Screen,
    keyboard: Keyboard,
    view: Option<View>,
    /// When something was last taken.
    handled: Instant,
    /// The screen's revision the view was taken at.
    viewed: u64,
    last_look: Option<Instant>,
    update_since: Option<Instant>,
    state: State,
    why: String,
    state_since: Now,
    /// A state that is not believed yet, and since when it is seen.
    candidate: Option<(State, Instant)>,
    been_ready: bool,
    /// A message was taken whose turn does not show yet; it is waited for until then.
    turn_due: Option<Instant>,
    /// When a running turn, or something else than the composer in front, was last seen.
    last_turn: Option<Instant>,
    pulse: Option<Pulse>,
    proven: Option<Now>,
    unread_since: Option<Instant>,
    last_stall: Option<Instant>,
    read_check: Option<Instant>,
    last_output: Instant,
    last_key: Option<Instant>,
    outer_seen: u64,
    next_identify: Option<Instant>,
    identify_pause: Duration,
    bracketed: bool,
    interval: Duration,
    next_beat: Instant,
    orders: Orders,
    history: History,
    /// What was printed is looked at for the history at the first moment, and at the second in any case.
    history_due: Option<(Instant, Instant)>,
    /// Answers of the terminal that are being written.
    answering: Option<Job>,
    /// The last message that somebody else submitted, while its fate is open.
    observed: Option<Box<Observed>>,
    /// The runtime's own records are being watched.
    reading: Reading,
    /// Whether they can be relied upon.
    record: OwnRecord,
    ended: Option<Ended>,
    effects: VecDeque<Effect>,
}

impl Harness {
    /// A machine for a runtime that was just started. `tag` makes message ids unique across restarts.
    pub fn new(
        profiles: Profiles,
        size: TermSize,
        interval: Duration,
        tag: String,
        now: Now,
    ) -> Harness {
        Harness {
            profiles,
            profile: None,
            running: Running::default(),
            generic: None,
            started: None,
            may_be_generic: false,
            identified: None,
            known_once: false,
            screen: Screen::new(size),
            keyboard: Keyboard::default(),
            view: None,
            handled: now.mono,
            viewed: u64::MAX,
            last_look: None,
            update_since: None,
            state: State::Starting,
            why: "just started".into(),
            state_since: now,
            candidate: None,
            been_ready: false,
            turn_due: None,
            last_turn: None,
            pulse: None,
            proven: None,
            unread_since: None,
            last_stall: None,
            read_check: None,
            last_output: now.mono,
            last_key: None,
            outer_seen: 0,
            next_identify: Some(now.mono),
            identify_pause: IDENTIFY_FIRST,
            bracketed: false,
            interval,
            next_beat: now.mono,
            history: History::new(tag.clone()),
            history_due: None,
            orders: Orders::new(tag),
            answering: None,
            observed: None,
            reading: Reading::Off,
            record: OwnRecord::default(),
            ended: None,
            effects: VecDeque::new(),
        }
    }

    /// The state, and the rule or fact behind it.
    pub fn state(&self) -> (State, &str) {
        (self.state, &self.why)
    }

    /// When the state last changed.
    pub fn state_since(&self) -> Now {
        self.state_since
    }

    /// When the runtime was last proven alive.
    pub fn proven_alive(&self) -> Option<Now> {
        self.proven
    }

    /// When the runtime last printed something.
    pub fn last_output(&self) -> Instant {
        self.last_output
    }

    /// What runs.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// How the runtime ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The screen.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// What has left the screen.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// More output waits: if much has left the screen of late, lines are counted and not kept.
    pub fn hurry(&mut self, hurry: bool) {
        self.screen.hurry(hurry);
    }

    /// The profile in force.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// What the generic rules rest on, while they are in force.
    pub fn generic(&self) -> Option<&Generic> {
        self.generic.as_ref()
    }

    /// The last look at the screen through the profile.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Messages waiting or on their way.
    pub fn held(&self) -> usize {
        self.orders.len()
    }

    /// Whether the inner terminal was raw when the kernel was last asked.
    pub fn is_raw(&self) -> bool {
        self.pulse.is_some_and(|p| p.raw)
    }

    /// What is not as it should be, for `status`.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.profiles.warnings.clone();
        if let Some(profile) = &self.profile
            && !self.running.version.is_empty()
            && !profile.verified.contains(&self.running.version)
        {
            warnings.push(format!(
                "the {} profile was verified with {}, this is {}",
                profile.name,
                profile.verified.join(", "),
                self.running.version
            ));
        }
        if self.generic.is_some() {
            let what = self
                .started
                .as_ref()
                .map_or("what runs", |p| p.argv.first().map_or("what runs", |a| a));
            warnings.push(format!(
                "no profile fits {what}; generic rules are in force (docs/profiles.md)"
            ));
        }
        warnings
    }

    /// What is known of messages that have met their fate.
    pub fn ledger(&self) -> &Ledger {
        self.orders.ledger()
    }

    /// What is known of a message whose fate is open, by its id or a part of its text.
    pub fn waiting(&self, id: Option<&str>, contains: Option<&str>) -> Option<Box<Receipt>> {
        let observed = self.observed.as_ref();
        self.orders
            .held(id, contains)
            .or_else(|| observed?.open_receipt(id, contains))
    }

    /// Takes up what the last sidecar has left.
    pub fn recover(&mut self, recovered: Recovered, now: Now) {
        self.orders.recover(recovered, now);
    }

    /// Everything a journal must hold.
    pub fn journal(&self, now: Now) -> Vec<Line> {
        self.orders.journal(now)
    }

    /// Takes no more messages and begins none.
    pub fn drain(&mut self, now: Now) {
        self.orders.drain(now, &mut self.effects);
    }

    /// Whether a turn runs or waits for an answer, or the fate of a message is open.
    pub fn is_at_work(&self) -> bool {
        self.is_watching() || matches!(self.state, State::Busy | State::Blocked)
    }

    /// Types the profile's quit text with this number, on the condition that nobody else types: into an empty
    /// composer in front of a runtime that reads and does nothing. `Ok(true)`: there is another one.
    ///
    /// # Errors
    /// Why it may not be typed.
    pub fn quit(&mut self, number: usize, now: Now) -> Result<bool, &'static str> {
        let quit = self.profile.as_ref().map_or(&[][..], |p| &p.quit);
        let (Some(keys), more) = (quit.get(number), number + 1 < quit.len()) else {
            return Err(match number {
                0 => "its profile knows no way to ask",
                _ => "it was asked and still runs",
            });
        };
        let bytes = keys.as_bytes().to_vec();
        self.look_now(now);
        let view = self.view.as_ref();
        let free = view.is_some_and(|v| v.composer_is_free() && !v.shows_turn());
        let reads = (self.pulse).is_some_and(|p| p.raw && p.unread == 0 && p.life == Life::Running);
        if self.is_at_work() || !reads || self.screen.in_update() {
            return Err("not asked: it is at work, or does not read its input");
        }
        if !free || self.keyboard.holds_text() {
            return Err("not asked: its composer is not empty and in front");
        }
        self.effects.push_back(Effect::Type {
            job: self.orders.new_job(),
            bytes,
            if_outer: Some(self.outer_seen),
            keys_wait: None,
        });
        Ok(more)
    }

    /// When to call with a [`Input::Tick`] if nothing happens before.
    pub fn deadline(&self) -> Instant {
        let mut next = self.next_beat;
        let mut earlier = |at: Option<Instant>| {
            if let Some(at) = at {
                next = next.min(at);
            }
        };
        if self.ended.is_none() {
            earlier(self.next_identify);
            earlier(self.read_check);
            earlier(self.candidate.map(|(_, since)| since + STATE_LASTS));
            earlier(self.update_since.map(|since| since + UPDATE_LASTS));
            earlier(self.turn_due);
            // Nothing is looked at in the middle of a frame: a look that is due would be due for ever.
            if !self.screen.in_update() {
                let history = self.history_due;
                earlier(history.map(|(rests, latest)| rests.min(latest)));
                if self.viewed != self.screen.revision() {
                    earlier(Some(
                        self.last_look
                            .map_or(self.last_output, |at| at + LOOK_EVERY),
                    ));
                }
                earlier(self.generic_due());
            }
        }
        earlier(self.orders.next_step());
        earlier(
            self.observed
                .as_ref()
                .zip(self.profile.as_ref())
                .map(|(observed, profile)| observed.next_look(profile, self.handled)),
        );
        next
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes one thing that happened.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        self.handled = now.mono;
        match input {
            Input::Output(bytes) => self.output(bytes, now),
            Input::Outer(bytes) => {
                self.outer_seen += bytes.len() as u64;
                let typed = self.keyboard.feed(bytes);
                if typed.by_hand {
                    self.last_key = Some(now.mono);
                }
                for line in &typed.submitted {
                    self.observe(line, now);
                }
                if let Some(generic) = self.generic.as_mut().filter(|_| typed.by_hand) {
                    generic.keys(!typed.submitted.is_empty(), typed.unsubmitted, now.mono);
                    self.viewed = u64::MAX;
                }
                self.read_check.get_or_insert(now.mono + READ_CHECK);
            }
            Input::Written(job, written) => {
                self.read_check.get_or_insert(now.mono + READ_CHECK);
                if self.answering == Some(job) {
                    self.answering = None;
                    self.answer();
                }
                self.orders.written(job, written, now, &mut self.effects);
            }
            Input::Resized(size) => {
                self.screen.resize(size);
                self.history.resized();
                self.keep_history(now);
            }
            Input::Pulse(pulse) => self.take_pulse(pulse, now),
            Input::Assume(name) => {
                let name = name.to_owned();
                self.take_running(
                    Running {
                        name,
                        ..Running::default()
                    },
                    now,
                );
            }
            Input::Processes(processes) => {
                self.identified = Some(now.mono);
                if self.started.is_none() {
                    self.started = processes.first().cloned();
                }
                let running = match self.profiles.identify(processes) {
                    Some((profile, process)) => Running {
                        name: profile.name.clone(),
                        pid: process.pid,
                        version: process.version.clone(),
                    },
                    None => Running {
                        pid: processes.first().map_or(0, |p| p.pid),
                        ..Running::default()
                    },
                };
                self.consider_generic(&running, processes);
                self.take_running(running, now);
            }
            Input::Send(asker, request, me) => self.take_order(asker, *request, me, now),
            Input::RecordsOpen(open) => match (open, self.record) {
                (true, OwnRecord::None) => self.record = OwnRecord::Open(0),
                (true, _) => {}
                (false, _) => self.record = OwnRecord::None,
            },
            Input::Recorded(recorded) => self.take_recorded(recorded, now),
            Input::AskerGone(asker) => self.orders.forget(asker, now, &mut self.effects),
            Input::Kept(asker, id, failed) => {
                self.orders.kept(asker, id, failed, now, &mut self.effects);
            }
            Input::Closing => {
                self.settle_observed(now);
                self.orders
                    .end_all("the sidecar is ending", now, &mut self.effects);
            }
            Input::Exited(ended) => {
                self.ended = Some(ended);
                self.pulse = None;
                self.settle_observed(now);
                let why = format!("the runtime ended ({})", ended.words());
                self.orders.end_all(&why, now, &mut self.effects);
                self.set_state(State::Exited, why, now);
            }
            Input::Tick => {}
        }
        self.timers(now);
        self.adopt_generic(now);
        self.look(now);
        self.advance(now);
        self.read_records();
    }

    /// Has the runtime's records watched as it is wanted now.
    fn read_records(&mut self) {
        let wanted = if self.is_judging() || self.orders.is_following() {
            Reading::On
        } else if self.keyboard.holds_text() {
            Reading::Mark
        } else {
            Reading::Off
        };
        if self.reading != wanted {
            self.reading = wanted;
            self.effects.push_back(Effect::Records(wanted));
        }
    }

    /// The runtime has written something down: the message on its way, the last one that somebody else
    /// typed, or none of ours.
    fn take_recorded(&mut self, recorded: &Recorded, now: Now) {
        let mut ours = self.orders.recorded(recorded, now, &mut self.effects);
        if !ours && let Some(observed) = &mut self.observed {
            ours = observed.recorded(recorded, now.mono);
        }
        if ours && recorded.says == Says::Taken {
            self.record = OwnRecord::Proven;
        }
    }

    fn output(&mut self, bytes: &[u8], now: Now) {
        self.last_output = now.mono;
        self.screen.answers().at(now.mono);
        if self.state == State::Wedged && self.ended.is_none() {
            // Something prints: perhaps it runs again.
            self.effects.push_back(Effect::Pulse);
        }
        // While a verdict may hang on one frame, no frame is skipped: feed up to each frame's end.
        const END: &[u8] = b"\x1b[?2026l";
        let mut rest = bytes;
        if self.is_watching() {
            while let Some(at) = rest.windows(END.len()).position(|w| w == END) {
                let (frame, later) = rest.split_at(at + END.len());
                self.screen.feed(frame);
                rest = later;
                if !later.is_empty() {
                    self.look(now);
                    self.advance(now);
                }
            }
        }
        if !rest.is_empty() {
            self.screen.feed(rest);
        }
        self.keep_history(now);
        let bracketed = self.screen.bracketed_paste();
        if let Some(generic) = &mut self.generic {
            generic.printed(bytes, &self.screen, now.mono);
        }
        if bracketed && !self.bracketed {
            // Something that edits lines has just come up: a runtime, most of the time.
            self.identify_pause = IDENTIFY_FIRST;
            self.next_identify = Some(now.mono);
            if self.generic.is_some() {
                self.effects.push_back(Effect::Pulse);
            }
        }
        self.bracketed = bracketed;
        self.answer();
        self.update_since = match (self.screen.in_update(), self.update_since) {
            (true, None) => Some(now.mono),
            (true, since) => since,
            (false, _) => None,
        };
    }

    /// The runtime has no terminal but this one: what it asks a terminal is answered here.
    pub fn be_the_terminal(&mut self) {
        self.screen.answers().be_alone();
    }

    /// Types the answers that wait, one write at a time: a runtime that does not read gets no more of them.
    fn answer(&mut self) {
        if self.answering.is_some() {
            return;
        }
        let bytes = self.screen.answers().take();
        if !bytes.is_empty() {
            let job = self.orders.new_job();
            self.answering = Some(job);
            self.effects.push_back(Effect::Type {
                job,
                bytes,
                if_outer: None,
                keys_wait: None,
            });
        }
    }

    /// Whether anything may depend on a single frame.
    fn is_watching(&self) -> bool {
        self.turn_due.is_some() || self.is_judging() || self.orders.may_be_handed_back()
    }

    /// Whether somebody has typed a moment ago, and the runtime has drawn nothing since.
    pub fn key_is_undrawn(&self, now: Instant) -> bool {
        self.last_key
            .is_some_and(|key| key >= self.last_output && now < key + KEY_DRAWN)
    }

    /// Whether a message of ours is being typed, or its fate is open.
    pub fn is_typing(&self) -> bool {
        self.orders.is_judging()
    }

    /// Whether a message's fate is open.
    fn is_judging(&self) -> bool {
        self.observed.is_some() || self.orders.is_judging()
    }

    fn timers(&mut self, now: Now) {
        if self
            .update_since
            .is_some_and(|since| now.mono >= since + UPDATE_LASTS)
        {
            self.screen.end_update();
            self.update_since = None;
        }
        self.turn_due = self.turn_due.filter(|until| now.mono < *until);
        self.settle_history(now);
        if self.ended.is_none() {
            if self.next_identify.is_some_and(|at| now.mono >= at) {
                self.next_identify = None;
                self.effects.push_back(Effect::Identify);
            }
            if self.read_check.is_some_and(|at| now.mono >= at) {
                self.read_check = None;
                self.effects.push_back(Effect::Pulse);
            }
        }
        if now.mono >= self.next_beat {
            // Beats keep their rhythm; after a stop of the whole machine there is one, not a burst.
            self.next_beat = (self.next_beat + self.interval).max(now.mono + self.interval / 2);
            if self.ended.is_none() {
                self.effects.push_back(Effect::Pulse);
                self.effects.push_back(Effect::Identify);
            }
            self.effects.push_back(Effect::Beat);
        }
    }

    fn take_order(&mut self, asker: Asker, request: Request, me: &str, now: Now) {
        let profile = self.profile.as_ref();
        let terms = Terms {
            me,
            special_first: profile.map_or("!/", |p| p.send.special_first.as_str()),
            ended: self
                .ended
                .map(|ended| format!("the runtime ended ({})", ended.words())),
            turn: (self.state == State::Busy).then_some(&self.why),
        };
        self.orders
            .take(asker, request, &terms, now, &mut self.effects);
        self.viewed = u64::MAX;
    }

    /// A message was accepted that the runtime's own record did not have in time.
    fn missed_record(&mut self) {
        if let OwnRecord::Open(missed) = &mut self.record {
            *missed = missed.saturating_add(1);
        }
    }

    /// How long the runtime's own record is waited for.
    fn record_within(&self) -> Option<Duration> {
        let patience = self.profile.as_ref().map(|p| p.send.record())?;
        match self.record {
            _ if patience.is_zero() => None,
            OwnRecord::Proven => Some(Duration::MAX),
            OwnRecord::Open(missed) if missed < RECORD_MISSED => Some(patience),
            OwnRecord::Open(_) | OwnRecord::None => None,
        }
    }

    /// Moves the message on its way as far as it goes.
    fn advance(&mut self, now: Now) {
        loop {
            let sight = Sight {
                screen: &self.screen,
                view: self.view.as_ref(),
                profile: self.profile.as_ref(),
                pulse: self.pulse,
                last_key: self.last_key,
                hand_text: self.keyboard.holds_text(),
                last_stall: self.last_stall,
                been_ready: self.been_ready,
                turn_due: self.turn_due.is_some(),
                last_turn: self.last_turn,
                record_within: self.record_within(),
                settled: !self.screen.in_update() && self.viewed == self.screen.revision(),
                still: (self.generic.as_ref().zip(self.last_look))
                    .is_none_or(|(generic, at)| generic.is_still(at)),
            };
            let moved = self
                .orders
                .step(&sight, self.outer_seen, now, &mut self.effects);
            match moved {
                Moved::Types => {
                    self.orders.forget_doubted();
                    // Marked by the orders, with the first bytes.
                    self.reading = Reading::Mark;
                    if let (Some(generic), Some(Effect::Type { bytes, .. })) =
                        (&mut self.generic, self.effects.back())
                    {
                        generic.types(bytes, &self.screen);
                    }
                }
                Moved::Ended(end) => {
                    self.taken(end.verdict, end.saw_turn, now);
                    if end.verdict == Verdict::Accepted && end.lacks_record {
                        self.missed_record();
                    }
                    if let Some(generic) = &mut self.generic {
                        let accepted = end.verdict == Verdict::Accepted;
                        generic.ended(accepted, accepted || end.retracted);
                        self.look_now(now);
                    }
                }
                Moved::Asks => {
                    // Who reads, before anything is typed into something unknown: it may be a shell by now.
                    let known =
                        |at: Instant| now.mono.saturating_duration_since(at) < IDENTIFY_FIRST;
                    if self.generic.is_some() && !self.identified.is_some_and(known) {
                        self.effects.push_back(Effect::Identify);
                    }
                    self.effects.push_back(Effect::Pulse);
                    break;
                }
                Moved::Rests => break,
            }
        }
        self.orders.expire(now, &mut self.effects);
    }
}

#[cfg(test)]
mod tests;
