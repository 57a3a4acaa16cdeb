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

    /// Tells nobody that the time of their message is over while it stands `still`.
    pub fn stand_still(&mut self, still: bool) {
        self.orders.stand_still(still);
    }

    /// Why nothing can be handed over at this moment; `None` if it can.
    pub fn unfit_to_hand_over(&mut self, now: Now) -> Option<&'static str> {
        let free = |view: &crate::pure::view::View| view.composer_is_free();
        if self.generic.is_some() && !self.screen.in_update() {
            // The last look may be older than the last key.
            self.look_now(now);
        }
        if self.is_judging() {
            Some("the fate of a message is open")
        } else if self.turn_due.is_some() {
            // Who does not know of it would take that turn for the one of the next message.
            Some("the turn of a message that was taken is still to be seen")
        } else if !self.screen.can_be_drawn() {
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
        if harness.state == State::Wedged {
            // It stays so until the kernel says that its input was read.
            let long_ago = now.mono.checked_sub(super::UNREAD_IS_WEDGED);
            harness.unread_since = Some(long_ago.unwrap_or(now.mono));
        }
        // What it has read in the last moments may not be drawn yet.
        harness.last_stall = Some(now.mono);
        harness.update_since = harness.screen.in_update().then_some(now.mono);
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::pure::delivery::{Life, Pulse};
    use crate::pure::harness::{Asker, Effect, Input};
    use crate::pure::wire::Request;

    const SIZE: TermSize = TermSize { cols: 40, rows: 10 };

    fn now() -> Now {
        Now {
            mono: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn harness(now: Now) -> Harness {
        let profiles = Profiles::with(&[]);
        Harness::new(profiles, SIZE, Duration::from_secs(15), "t".into(), now)
    }

    /// The same harness in the next binary.
    fn upgraded(harness: &Harness, now: Now) -> Harness {
        let drawing = harness.screen().drawing().expect("short");
        let carried = (harness.carried(now), drawing.as_slice());
        let interval = Duration::from_secs(15);
        Harness::resume(
            Profiles::with(&[]),
            (SIZE, interval),
            "t2".into(),
            carried,
            now,
        )
    }

    fn after(now: Now, ms: u64) -> Now {
        let more = Duration::from_millis(ms);
        Now {
            mono: now.mono + more,
            wall: now.wall + more,
        }
    }

    fn pulse(now: Now, unread: usize) -> Pulse {
        Pulse {
            at: now.mono,
            pid: 0,
            raw: true,
            unread,
            life: Life::Running,
            front: None,
        }
    }

    #[test]
    fn what_does_not_read_its_input_is_still_wedged_behind_an_upgrade() {
        let begin = now();
        let mut before = harness(begin);
        before.handle(Input::Pulse(pulse(begin, 5)), begin);
        let later = after(begin, 6_000);
        before.handle(Input::Pulse(pulse(later, 5)), later);
        assert_eq!(before.state().0, State::Wedged);
        let mut next = upgraded(&before, later);
        next.handle(Input::Tick, later);
        next.handle(Input::Pulse(pulse(later, 5)), later);
        assert_eq!(next.state().0, State::Wedged);
        next.handle(Input::Pulse(pulse(later, 0)), later);
        assert_ne!(next.state().0, State::Wedged);
    }

    #[test]
    fn a_turn_that_is_still_to_be_seen_is_waited_for() {
        let begin = now();
        let mut harness = harness(begin);
        assert_eq!(harness.unfit_to_hand_over(begin), None);
        harness.taken(crate::pure::receipt::Verdict::Accepted, false, begin);
        assert!(harness.unfit_to_hand_over(begin).is_some());
    }

    #[test]
    fn a_frame_that_is_never_finished_costs_no_wakeups_and_ends_by_itself() {
        let begin = now();
        let mut before = harness(begin);
        before.handle(Input::Output(b"\x1b[?2026hhalf"), begin);
        for mut harness in [upgraded(&before, begin), before] {
            let (mut at, mut wakeups) = (begin, 0);
            while at.mono < begin.mono + Duration::from_secs(2) {
                harness.handle(Input::Tick, at);
                while harness.poll().is_some() {}
                let next = harness.deadline().max(at.mono + Duration::from_micros(100));
                let ms = next.saturating_duration_since(begin.mono);
                at = after(begin, 0);
                at.mono += ms;
                wakeups += 1;
            }
            assert!(!harness.screen().in_update());
            assert!(wakeups < 60, "{wakeups}");
        }
    }

    #[test]
    fn a_message_whose_time_is_over_is_answered_while_an_upgrade_is_waited_for() {
        let begin = now();
        let mut harness = harness(begin);
        harness.pause(true);
        let request = Request {
            text: Some("in time".into()),
            timeout_ms: Some(100),
            ..Request::default()
        };
        harness.handle(Input::Send(Asker(1), Box::new(request), "me"), begin);
        let answered = |at, harness: &mut Harness| {
            harness.handle(Input::Tick, at);
            let effects: Vec<Effect> = std::iter::from_fn(|| harness.poll()).collect();
            effects.iter().any(|e| matches!(e, Effect::Answer(..)))
        };
        assert!(!answered(after(begin, 50), &mut harness));
        assert!(harness.deadline() <= begin.mono + Duration::from_millis(100));
        // Nobody could be told in the moment of the upgrade itself.
        harness.stand_still(true);
        assert!(!answered(after(begin, 150), &mut harness));
        harness.stand_still(false);
        assert!(answered(after(begin, 150), &mut harness));
    }
}
