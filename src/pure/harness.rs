//! The machine in the middle: everything that happens goes in, everything to be done comes out.
//!
//! `handle` takes one [`Input`] and the time; `poll` hands out [`Effect`]s until there are none;
//! `deadline` says when to come back with a [`Input::Tick`] if nothing happens before. It owns the
//! screen, the state, the messages on their way and the receipts. It is driven the same way by the
//! sidecar's loop, by tests and by a recording.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use super::delivery::{Delivery, Life, Order, Pulse, Sight, Step, WhenBusy, WhenDraft, Written};
use super::generic::{self, Generic};
use super::keyboard::Keyboard;
use super::ledger::Ledger;
use super::message;
use super::observed::{Enter, Observed};
use super::profile::{ProcessFacts, Profile, Profiles};
use super::receipt::{Receipt, Verdict};
use super::screen::Screen;
use super::view::View;
use super::wire::{Request, State};
use crate::units::TermSize;

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
    },
    /// Drop the unwritten rest of that write; the end bracket of a paste still goes out.
    Cancel(Job),
    /// Look at the kernel and come back with [`Input::Pulse`].
    Pulse,
    /// Look at the processes and come back with [`Input::Processes`].
    Identify,
    /// Write the heartbeat.
    Beat,
    /// Answer this connection.
    Answer(Asker, Box<Receipt>),
    /// A message that somebody else typed has met its fate.
    Observed(Box<Receipt>),
}

/// Most messages waiting at once.
pub const QUEUE_MAX: usize = 64;

/// A send waits this long for its turn unless the caller says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time a message may wait for its turn: a week.
const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

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

/// The answer to the question `OSC 7501 ; ?`, on which claude starts to report its state in the stream.
const OSC_7501_YES: &[u8] = b"\x1b]7501;?\x1b\\";

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
    jobs: u64,
    /// The job of the message on its way.
    job: Option<Job>,
    /// When the message on its way wants to be looked at again.
    next_step: Option<Instant>,
    orders: VecDeque<Waiting>,
    /// The last message that somebody else submitted, while its fate is open.
    observed: Option<Box<Observed>>,
    ledger: Ledger,
    ids: u64,
    boot_tag: String,
    ended: Option<Ended>,
    effects: VecDeque<Effect>,
}

/// A message and who waits for its verdict.
struct Waiting {
    delivery: Delivery,
    askers: Vec<Asker>,
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
            viewed: u64::MAX,
            last_look: None,
            update_since: None,
            state: State::Starting,
            why: "just started".into(),
            state_since: now,
            candidate: None,
            been_ready: false,
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
            jobs: 0,
            job: None,
            next_step: None,
            orders: VecDeque::new(),
            observed: None,
            ledger: Ledger::default(),
            ids: 0,
            boot_tag: tag,
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
        &self.ledger
    }

    /// A message that has no receipt yet, by its id or a part of its text: it is held.
    pub fn waiting(&self, id: Option<&str>, contains: Option<&str>) -> Option<Box<Receipt>> {
        let order = self.orders.iter().map(|w| &w.delivery).find(|d| {
            id.is_none_or(|id| d.order.id == id)
                && contains.is_none_or(|part| d.order.text.contains(part))
        })?;
        Some(order.end(Verdict::Held, "waiting in the sidecar", order.order.asked))
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
            if self.viewed != self.screen.revision() {
                earlier(Some(
                    self.last_look
                        .map_or(self.last_output, |at| at + LOOK_EVERY),
                ));
            }
            earlier(self.generic_due());
        }
        earlier(self.next_step);
        earlier(
            self.observed
                .as_ref()
                .zip(self.profile.as_ref())
                .map(|(observed, profile)| observed.next_look(profile)),
        );
        next
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes one thing that happened.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
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
                if self.job == Some(job)
                    && let Some(head) = self.orders.front_mut()
                {
                    self.job = None;
                    head.delivery.written(written);
                }
            }
            Input::Resized(size) => self.screen.resize(size),
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
            Input::AskerGone(asker) => self.forget(asker, now),
            Input::Closing => {
                self.settle_observed(now);
                self.end_all("the sidecar is ending", now);
            }
            Input::Exited(ended) => {
                self.ended = Some(ended);
                self.pulse = None;
                self.settle_observed(now);
                self.end_all(&format!("the runtime ended ({})", ended.words()), now);
                self.set_state(
                    State::Exited,
                    format!("the runtime ended ({})", ended.words()),
                    now,
                );
            }
            Input::Tick => {}
        }
        self.timers(now);
        self.adopt_generic(now);
        self.look(now);
        self.advance(now);
    }

    /// Whether the generic rules may apply to what runs; where they may no more, they end.
    fn consider_generic(&mut self, running: &Running, processes: &[ProcessFacts]) {
        self.known_once |= !running.name.is_empty();
        let profile = self.profiles.named(generic::NAME);
        self.may_be_generic = !self.known_once
            && profile
                .zip(self.started.as_ref())
                .is_some_and(|(profile, started)| generic::may_apply(processes, started, profile));
        if !self.may_be_generic && self.generic.take().is_some() {
            (self.profile, self.view) = (None, None);
            self.viewed = u64::MAX;
        }
    }

    /// Puts the generic rules in force for a line editor that has come to rest and that nobody knows.
    fn adopt_generic(&mut self, now: Now) {
        if self.generic.is_some() || self.generic_due().is_none_or(|at| now.mono < at) {
            return;
        }
        match self.pulse {
            Some(pulse) if now.mono <= pulse.at + generic::RESTS => {
                if pulse.raw {
                    self.generic = Some(Generic::new(&self.screen, pulse.front, now.mono));
                    self.profile = self.profiles.named(generic::NAME).cloned();
                    self.viewed = u64::MAX;
                }
            }
            _ => self.effects.push_back(Effect::Pulse),
        }
    }

    /// When the generic rules are to be put in force, or want to look again.
    fn generic_due(&self) -> Option<Instant> {
        if let Some(generic) = &self.generic {
            return self.last_look.and_then(|at| generic.next_look(at));
        }
        let rests = self.last_output + generic::RESTS;
        // A terminal that was not raw when last asked is asked again a rest later.
        let asked = self.pulse.filter(|p| !p.raw).map(|p| p.at + generic::RESTS);
        (self.may_be_generic && self.bracketed && self.profile.is_none())
            .then(|| asked.map_or(rests, |at| at.max(rests)))
    }

    fn output(&mut self, bytes: &[u8], now: Now) {
        self.last_output = now.mono;
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
        if self.screen.take_7501_query() {
            let job = self.new_job();
            self.effects.push_back(Effect::Type {
                job,
                bytes: OSC_7501_YES.to_vec(),
                if_outer: None,
            });
        }
        self.update_since = match (self.screen.in_update(), self.update_since) {
            (true, None) => Some(now.mono),
            (true, since) => since,
            (false, _) => None,
        };
    }

    fn is_watching(&self) -> bool {
        self.observed.is_some()
            || self
                .orders
                .front()
                .is_some_and(|w| w.delivery.is_watching())
    }

    /// Somebody else pressed Enter.
    fn observe(&mut self, line: &str, now: Now) {
        // The screen as it is before the runtime has read this Enter.
        self.look_now(now);
        self.settle_observed(now);
        let (Some(view), Some(profile)) = (&self.view, &self.profile) else {
            return;
        };
        self.ids += 1;
        let id = format!("{}-{}", self.boot_tag, self.ids);
        match Observed::enter(id, line, &self.screen, view, profile, (now.mono, now.wall)) {
            Enter::Bare => {}
            Enter::Settled(receipt) => self.note(receipt),
            Enter::Watched(observed) => self.observed = Some(observed),
        }
    }

    /// The fate of the last observed message is what it is now.
    fn settle_observed(&mut self, now: Now) {
        if let (Some(observed), Some(view), Some(profile)) =
            (self.observed.take(), &self.view, &self.profile)
        {
            let receipt = observed.give_up(view, profile, now.mono);
            self.note(receipt);
        }
    }

    fn note(&mut self, receipt: Box<Receipt>) {
        self.effects.push_back(Effect::Observed(receipt.clone()));
        self.ledger.add(*receipt);
    }

    fn watch_observed(&mut self, now: Now) {
        let settled = !self.screen.in_update() && self.viewed == self.screen.revision();
        let (Some(observed), Some(view), Some(profile)) =
            (&mut self.observed, &self.view, &self.profile)
        else {
            return;
        };
        if !settled {
            return;
        }
        if let Some(receipt) = observed.look(&self.screen, view, profile, now.mono) {
            self.observed = None;
            self.note(receipt);
        }
    }

    fn new_job(&mut self) -> Job {
        self.jobs += 1;
        Job(self.jobs)
    }

    fn timers(&mut self, now: Now) {
        if self
            .update_since
            .is_some_and(|since| now.mono >= since + UPDATE_LASTS)
        {
            self.screen.end_update();
            self.update_since = None;
        }
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

    fn take_pulse(&mut self, pulse: Pulse, now: Now) {
        if self.ended.is_some() {
            return;
        }
        self.pulse = Some(pulse);
        if let Some(generic) = &mut self.generic {
            self.viewed = u64::MAX;
            generic.reader(pulse.front, pulse.raw);
        }
        if pulse.unread > 0 || pulse.life != Life::Running {
            self.last_stall = Some(now.mono);
        }
        if pulse.unread == 0 {
            self.unread_since = None;
        } else {
            self.unread_since.get_or_insert(now.mono);
            self.read_check.get_or_insert(now.mono + READ_CHECK);
        }
        let unread_long = self
            .unread_since
            .is_some_and(|since| now.mono >= since + UNREAD_IS_WEDGED);
        match pulse.life {
            Life::Running if unread_long => {
                self.set_state(
                    State::Wedged,
                    "the runtime does not read its input".into(),
                    now,
                );
            }
            Life::Running if pulse.unread == 0 => self.proven = Some(now),
            Life::Running => {}
            Life::Stopped => {
                self.set_state(
                    State::Wedged,
                    "the runtime's process is stopped".into(),
                    now,
                );
            }
            Life::Zombie | Life::Gone => {
                self.set_state(State::Wedged, "the runtime's process is dead".into(), now);
            }
        }
        if self.state == State::Wedged && pulse.life == Life::Running && !unread_long {
            // Back: let the screen say what it is now.
            self.candidate = None;
            self.viewed = u64::MAX;
            let (state, why) = self.seen();
            self.set_state(state, why, now);
        }
    }

    fn take_running(&mut self, running: Running, now: Now) {
        if running.name.is_empty() {
            self.next_identify = Some(now.mono + self.identify_pause);
            self.identify_pause = (self.identify_pause * 2).min(self.interval);
            // A runtime that was known and is gone from the pane leaves its pid behind, nothing else.
            if self.profile.is_none() {
                self.running.pid = running.pid;
                return;
            }
        }
        if running.name != self.running.name {
            self.profile = self.profiles.named(&running.name).cloned();
            self.viewed = u64::MAX;
            self.view = None;
        }
        let version = std::mem::take(&mut self.running.version);
        let same = running.pid == self.running.pid;
        self.running = running;
        // A runtime that renames itself (pi does) hides the script by which its version was found.
        if same && self.running.version.is_empty() {
            self.running.version = version;
        }
    }

    /// Looks at the screen if there is something new to see and it is worth the time now.
    fn look(&mut self, now: Now) {
        if self.ended.is_some() {
            return;
        }
        let generic_due =
            self.generic.is_some() && self.generic_due().is_some_and(|at| now.mono >= at);
        let due = (self.viewed != self.screen.revision() || generic_due)
            && !self.screen.in_update()
            && (generic_due
                || !self.orders.is_empty()
                || self.observed.is_some()
                || self.last_look.is_none_or(|at| now.mono >= at + LOOK_EVERY));
        if due {
            self.look_now(now);
        }
        self.watch_observed(now);
        if self.state == State::Wedged {
            return;
        }
        let (state, why) = self.seen();
        if state == self.state {
            self.candidate = None;
            self.why = why;
            return;
        }
        // Ready and busy are drawn by the runtime in so many words; the rest may be half a redraw.
        let believed = matches!(state, State::Ready | State::Busy)
            || self
                .candidate
                .is_some_and(|(s, since)| s == state && now.mono >= since + STATE_LASTS);
        if believed {
            self.set_state(state, why, now);
        } else if self.candidate.is_none_or(|(s, _)| s != state) {
            self.candidate = Some((state, now.mono));
        }
    }

    fn look_now(&mut self, now: Now) {
        self.viewed = self.screen.revision();
        self.last_look = Some(now.mono);
        self.view = match &mut self.generic {
            Some(generic) => Some(generic.look(&self.screen, now.mono)),
            None => self.profile.as_ref().map(|p| View::of(&self.screen, p)),
        };
        if self.view.as_ref().is_some_and(View::composer_is_free) {
            self.been_ready = true;
        }
    }

    /// The state by what is seen on the screen.
    fn seen(&self) -> (State, String) {
        let Some(view) = &self.view else {
            return (
                State::Starting,
                "no profile fits what runs in this pane".into(),
            );
        };
        if let Some(dialog) = &view.dialog {
            return (State::Blocked, format!("dialog: {dialog}"));
        }
        if let Some(sign) = &view.busy {
            return (State::Busy, format!("sign: {sign}"));
        }
        match &view.composer {
            Some(c) if c.has_cursor || !c.is_empty() || self.been_ready => {
                (State::Ready, "composer in front".into())
            }
            _ if !self.been_ready => (State::Starting, "no composer has been drawn yet".into()),
            _ => (State::Blocked, "no composer in front".into()),
        }
    }

    fn set_state(&mut self, state: State, why: String, now: Now) {
        self.why = why;
        if self.state == state {
            return;
        }
        self.state = state;
        self.state_since = now;
        self.candidate = None;
        self.effects.push_back(Effect::Beat);
    }

    fn take_order(&mut self, asker: Asker, request: Request, me: &str, now: Now) {
        let id = match request.id {
            Some(id) => id,
            None => {
                self.ids += 1;
                format!("{}-{}", self.boot_tag, self.ids)
            }
        };
        if let Some(old) = self.ledger.find(Some(&id), None, 0) {
            let old = Box::new(old.clone());
            self.effects.push_back(Effect::Answer(asker, old));
            return;
        }
        let verify = request.verify.unwrap_or(true);
        if let Some(same) = self.orders.iter_mut().find(|w| w.delivery.order.id == id) {
            if verify {
                same.askers.push(asker);
            } else {
                let held = same
                    .delivery
                    .end(Verdict::Held, "waiting in the sidecar", now.mono);
                self.effects.push_back(Effect::Answer(asker, held));
            }
            return;
        }
        let text = request.text.unwrap_or_default();
        let special = self
            .profile
            .as_ref()
            .map_or("!/", |p| p.send.special_first.as_str());
        let typed = message::check(&text).and_then(|text| {
            let typed = match &request.from {
                Some(from) => message::with_preamble(from, me, text),
                None => text.to_owned(),
            };
            let words_at = typed.len() - text.len();
            message::check_typed(&typed, special).map(|()| (typed, words_at))
        });
        let refuse = |verdict, why: String| Box::new(Receipt::bare(&id, verdict, why, now.wall));
        let (text, words_at) = match typed {
            Ok(typed) => typed,
            Err(why) => {
                let receipt = refuse(Verdict::Rejected, why.to_string());
                self.effects.push_back(Effect::Answer(asker, receipt));
                return;
            }
        };
        if let Some(ended) = self.ended {
            let receipt = refuse(
                Verdict::Gone,
                format!("the runtime ended ({})", ended.words()),
            );
            self.effects.push_back(Effect::Answer(asker, receipt));
            return;
        }
        if self.orders.len() >= QUEUE_MAX {
            let receipt = refuse(
                Verdict::Busy,
                format!("{QUEUE_MAX} messages are waiting already"),
            );
            self.effects.push_back(Effect::Answer(asker, receipt));
            return;
        }
        let timeout = request
            .timeout_ms
            .map_or(TIMEOUT, Duration::from_millis)
            .min(TIMEOUT_MAX);
        let order = Order {
            id,
            text,
            words_at,
            asked: now.mono,
            asked_wall: now.wall,
            deadline: now.mono + timeout,
            when_busy: match request.when_busy.as_deref() {
                Some("type") => WhenBusy::Type,
                Some("refuse") => WhenBusy::Refuse,
                _ => WhenBusy::Hold,
            },
            when_draft: match request.when_draft.as_deref() {
                Some("wait") => WhenDraft::Wait,
                _ => WhenDraft::Refuse,
            },
        };
        let delivery = Delivery::new(order);
        let mut askers = Vec::new();
        if verify {
            askers.push(asker);
        } else {
            let held = delivery.end(
                Verdict::Held,
                "taken over; ask `verify --id` for the verdict",
                now.mono,
            );
            self.effects.push_back(Effect::Answer(asker, held));
        }
        self.orders.push_back(Waiting { delivery, askers });
        self.viewed = u64::MAX;
    }

    /// A sender that went away before anything was typed takes its message with it.
    fn forget(&mut self, asker: Asker, now: Now) {
        let mut dropped = Vec::new();
        self.orders.retain_mut(|w| {
            let mine = w.askers.contains(&asker);
            w.askers.retain(|a| *a != asker);
            let keep = !(mine && w.askers.is_empty() && w.delivery.untouched());
            if !keep {
                dropped.push(w.delivery.end(
                    Verdict::Busy,
                    "the sender went away before it was typed",
                    now.mono,
                ));
            }
            keep
        });
        for receipt in dropped {
            self.ledger.add(*receipt);
        }
    }

    fn end_all(&mut self, why: &str, now: Now) {
        self.job = None;
        for waiting in std::mem::take(&mut self.orders) {
            let verdict = if waiting.delivery.untouched() {
                Verdict::Gone
            } else {
                Verdict::Unknown
            };
            let receipt = waiting.delivery.end(verdict, why, now.mono);
            self.finish(waiting.askers, *receipt);
        }
    }

    fn finish(&mut self, askers: Vec<Asker>, receipt: Receipt) {
        for asker in askers {
            let copy = Box::new(receipt.clone());
            self.effects.push_back(Effect::Answer(asker, copy));
        }
        self.ledger.add(receipt);
    }

    /// Moves the message at the head of the queue as far as it goes, and lets the others' time run out.
    fn advance(&mut self, now: Now) {
        self.next_step = None;
        while let Some(mut head) = self.orders.pop_front() {
            let writing = self.job;
            let step = head.delivery.step(&self.sight(), now.mono);
            if let Step::Done(receipt) = step {
                self.job = None;
                if let Some(generic) = &mut self.generic {
                    let accepted = receipt.verdict == Verdict::Accepted;
                    generic.ended(accepted, accepted || receipt.retracted);
                    self.look_now(now);
                }
                self.finish(head.askers, *receipt);
                continue;
            }
            self.orders.push_front(head);
            match step {
                Step::Wait(until) => self.next_step = Some(until),
                Step::Pulse => {
                    // Who reads, before anything is typed into something unknown: it may be a shell by now.
                    let known =
                        |at: Instant| now.mono.saturating_duration_since(at) < IDENTIFY_FIRST;
                    if self.generic.is_some() && !self.identified.is_some_and(known) {
                        self.effects.push_back(Effect::Identify);
                    }
                    self.effects.push_back(Effect::Pulse);
                    // The answer comes at once; should it not, ask again soon.
                    self.next_step = Some(now.mono + READ_CHECK);
                }
                Step::Type(bytes) => {
                    let job = self.new_job();
                    self.job = Some(job);
                    if let Some(generic) = &mut self.generic {
                        generic.types(&bytes, &self.screen);
                    }
                    self.effects.push_back(Effect::Type {
                        job,
                        bytes,
                        if_outer: Some(self.outer_seen),
                    });
                    continue;
                }
                Step::Cancel => self.effects.extend(writing.map(Effect::Cancel)),
                Step::Done(_) => {}
            }
            break;
        }
        self.expire_waiting(now);
    }

    /// Everything the message on its way may look at.
    fn sight(&self) -> Sight<'_> {
        Sight {
            screen: &self.screen,
            view: self.view.as_ref(),
            profile: self.profile.as_ref(),
            pulse: self.pulse,
            last_key: self.last_key,
            last_stall: self.last_stall,
            been_ready: self.been_ready,
            settled: !self.screen.in_update() && self.viewed == self.screen.revision(),
            still: (self.generic.as_ref().zip(self.last_look))
                .is_none_or(|(generic, at)| generic.is_still(at)),
        }
    }

    /// Messages behind the head wait for their turn; their deadlines run all the same.
    fn expire_waiting(&mut self, now: Now) {
        let mut index = 1;
        while index < self.orders.len() {
            let deadline = self.orders[index].delivery.order.deadline;
            if now.mono >= deadline {
                if let Some(late) = self.orders.remove(index) {
                    let why = "other messages were before it until its time ran out";
                    let receipt = late.delivery.end(Verdict::Busy, why, now.mono);
                    self.finish(late.askers, *receipt);
                }
            } else {
                self.next_step = Some(self.next_step.map_or(deadline, |at| at.min(deadline)));
                index += 1;
            }
        }
    }
}
