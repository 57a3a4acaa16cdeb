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

mod asked;
mod carried;
mod inputs;
mod records;
mod running;
mod seeing;
mod typing;

pub use inputs::{Asker, Effect, Ended, Input, Job, Now, Reading, Running};
use records::OwnRecord;

/// While output flows and no message is on its way, the screen is looked at this often: a state needs
/// no more, and a flood must not pay for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A synchronized update that does not end is taken as ended after this time, as terminals do.
const UPDATE_LASTS: Duration = Duration::from_millis(150);

/// Input that stays unread this long makes the agent `wedged`; booting runtimes took up to 2.5 s.
const UNREAD_IS_WEDGED: Duration = Duration::from_secs(5);

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

    /// More output waits: if much has left the screen of late, lines are counted and not kept.
    pub fn hurry(&mut self, hurry: bool) {
        self.screen.hurry(hurry);
    }

    /// Takes up what the last sidecar has left.
    pub fn recover(&mut self, recovered: Recovered, now: Now) {
        self.orders.recover(recovered, now);
    }

    /// Takes no more messages and begins none.
    pub fn drain(&mut self, now: Now) {
        self.orders.drain(now, &mut self.effects);
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
            Input::RecordsOpen(open) => self.records_open(open),
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
}

#[cfg(test)]
mod tests;
