//! The harness over an upgrade: what it hands over, and how it goes on.

use std::time::{Duration, Instant};

use super::{Harness, Now, OwnRecord, Running};
use crate::pure::handover::{Ago, Carried};
use crate::pure::history::History;
use crate::pure::profile::Profiles;
use crate::pure::screen::Screen;
use crate::pure::wire::State;
use crate::units::TermSize;

impl Harness {
    /// Begins no message while `paused`. What is being typed goes its way.
    pub fn pause(&mut self, paused: bool) {
        self.orders.pause(paused);
    }

    /// Why nothing can be handed over at this moment; `None` if it can.
    pub fn unfit_to_hand_over(&self) -> Option<&'static str> {
        let free = |view: &crate::pure::view::View| view.composer_is_free();
        if self.is_judging() {
            Some("the fate of a message is open")
        } else if self.screen.drawing().is_none() {
            Some("the runtime is in the middle of a very long control string")
        } else if self.generic.is_some() && !self.view.as_ref().is_some_and(free) {
            // Its rules rest on what the empty line looks like.
            Some("no profile fits, and its line is not empty")
        } else {
            None
        }
    }

    /// What the next binary must know, but for the screen's drawing.
    pub fn carried(&self, now: Now) -> Carried {
        let ago = |at: Instant| Ago::of(at, now.mono);
        Carried {
            state: self.state.word().into(),
            why: self.why.clone(),
            state_ago: ago(self.state_since.mono),
            been_ready: self.been_ready,
            running: (
                self.running.name.clone(),
                self.running.pid,
                self.running.version.clone(),
            ),
            known_once: self.known_once,
            started: self.started.clone(),
            moments: [
                self.proven.map(|p| ago(p.mono)),
                Some(ago(self.last_output)),
                self.last_key.map(ago),
                self.last_turn.map(ago),
            ],
            record: match self.record {
                OwnRecord::None => None,
                OwnRecord::Open(missed) => Some(u64::from(missed)),
                OwnRecord::Proven => Some(256),
            },
            typed: self.keyboard.line(),
            screen: self.screen.carried(),
            queue: self.orders.carried(now),
            followed: self.orders.carried_followed(now),
            history: self.history.carried(self.screen.begun_above()),
        }
    }

    /// The machine of the binary before, going on.
    pub fn resume(
        profiles: Profiles,
        (size, interval): (TermSize, Duration),
        tag: String,
        (carried, drawing): (Carried, &[u8]),
        now: Now,
    ) -> Harness {
        let mut harness = Harness::new(profiles, size, interval, tag, now);
        let back = |ago: Ago| Now {
            mono: ago.before(now.mono),
            wall: now.wall - Duration::from_millis(ago.0),
        };
        let begun = carried.history.begun.clone();
        harness.screen = Screen::redrawn(size, carried.screen, drawing, begun);
        harness.history = History::resume(carried.history, &harness.screen);
        harness.bracketed = harness.screen.bracketed_paste();
        harness.state = State::from_word(&carried.state).unwrap_or(State::Starting);
        harness.why = carried.why;
        harness.state_since = back(carried.state_ago);
        harness.been_ready = carried.been_ready;
        let (name, pid, version) = carried.running;
        harness.profile = harness.profiles.named(&name).cloned();
        harness.running = Running { name, pid, version };
        harness.known_once = carried.known_once;
        harness.started = carried.started;
        let [proven, output, key, turn] = carried.moments.map(|ago| ago.map(back));
        harness.proven = proven;
        harness.last_output = output.map_or(now.mono, |at| at.mono);
        harness.last_key = key.map(|at| at.mono);
        harness.last_turn = turn.map(|at| at.mono);
        harness.record = match carried.record {
            None => OwnRecord::None,
            Some(missed) => u8::try_from(missed).map_or(OwnRecord::Proven, OwnRecord::Open),
        };
        harness.keyboard.resume(carried.typed);
        harness.orders.resume(carried.queue, carried.followed, now);
        harness
    }
}
