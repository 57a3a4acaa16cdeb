//! The order of a stop that somebody has asked for: no new messages, the end of the running turn, the
//! runtime's own way to quit, and signals only then.

use std::time::{Duration, Instant};

use serde::Serialize;

/// How long the running turn may take to end, unless the caller says otherwise.
pub const TURN: Duration = Duration::from_secs(30);

/// The longest time a caller may grant it: a day.
const TURN_MAX: Duration = Duration::from_secs(24 * 3600);

/// Between two presses of the same key: claude wants a second one while its hint for it is shown.
const PRESS_AGAIN: Duration = Duration::from_millis(200);

/// A runtime that was asked ends within this time. Slowest seen: 1.5 s (codex).
const ASKED_LASTS: Duration = Duration::from_secs(4);

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing before that moment, unless something happens.
    Wait(Instant),
    /// Type the profile's quit text with this number, if it may be typed now; [`Stop::asked`] wants to know.
    Ask(usize),
    /// SIGTERM, and what follows it.
    Signal,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// `drain`, `turn`, `ask`, `term`, `kill` or `ended`.
    pub step: &'static str,
    /// Milliseconds after the stop was asked for.
    pub ms: u64,
    /// What came of it.
    pub result: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The turn may still end by itself.
    Turn,
    /// So many quit texts were typed, and this is when to go on.
    Asked(usize, Instant),
    /// Signals do the rest.
    Signalled,
}

/// A stop on its way.
#[derive(Debug)]
pub struct Stop {
    since: Instant,
    turn_until: Instant,
    waited: bool,
    phase: Phase,
    /// What was done so far.
    pub done: Vec<Done>,
}

impl Stop {
    /// One that was asked for now and lets a running turn go on for that long.
    pub fn new(turn: Duration, now: Instant) -> Stop {
        Stop {
            since: now,
            turn_until: now + turn.min(TURN_MAX),
            waited: false,
            phase: Phase::Turn,
            done: Vec::new(),
        }
    }

    /// Remembers a step.
    pub fn note(&mut self, step: &'static str, result: &'static str, now: Instant) {
        let ms = now.saturating_duration_since(self.since).as_millis();
        self.done.push(Done {
            step,
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
            result,
        });
    }

    /// What is to be done now; `at_work` while a turn runs or the fate of a message is open.
    pub fn next(&mut self, at_work: bool, now: Instant) -> Next {
        match self.phase {
            Phase::Turn if at_work && now < self.turn_until => {
                self.waited = true;
                Next::Wait(self.turn_until)
            }
            Phase::Turn => {
                let result = match (at_work, self.waited) {
                    (true, _) => "still at work; not waited for any longer",
                    (false, true) => "it has ended",
                    (false, false) => "none was running",
                };
                self.note("turn", result, now);
                self.phase = Phase::Asked(0, now);
                Next::Ask(0)
            }
            Phase::Asked(_, until) if now < until => Next::Wait(until),
            Phase::Asked(count, _) => Next::Ask(count),
            Phase::Signalled => Next::Wait(now + ASKED_LASTS),
        }
    }

    /// Whether the quit text was typed: `Ok(more)` if it was and there are more, or else why not.
    pub fn asked(&mut self, typed: Result<bool, &'static str>, now: Instant) -> Next {
        let count = match self.phase {
            Phase::Asked(count, _) => count,
            Phase::Turn | Phase::Signalled => 0,
        };
        match typed {
            Ok(more) => {
                self.note("ask", "its own quit key was typed", now);
                let pause = if more { PRESS_AGAIN } else { ASKED_LASTS };
                self.phase = Phase::Asked(count + 1, now + pause);
                Next::Wait(now + pause)
            }
            Err(why) => {
                self.note("ask", why, now);
                self.phase = Phase::Signalled;
                Next::Signal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_running_turn_is_waited_for_up_to_its_deadline() {
        let now = Instant::now();
        let mut stop = Stop::new(seconds(30), now);
        assert_eq!(stop.next(true, now), Next::Wait(now + seconds(30)));
        assert_eq!(stop.next(false, now + seconds(2)), Next::Ask(0));
        assert_eq!(stop.done[0].ms, 2_000);

        let mut late = Stop::new(seconds(30), now);
        assert_eq!(late.next(true, now + seconds(30)), Next::Ask(0));
        assert_eq!(Stop::new(Duration::ZERO, now).next(true, now), Next::Ask(0));
    }

    #[test]
    fn the_runtime_is_asked_as_often_as_it_wants_and_then_signalled() {
        let now = Instant::now();
        let mut stop = Stop::new(seconds(30), now);
        assert_eq!(stop.next(false, now), Next::Ask(0));
        assert_eq!(stop.asked(Ok(true), now), Next::Wait(now + PRESS_AGAIN));
        let second = now + PRESS_AGAIN;
        assert_eq!(stop.next(false, second), Next::Ask(1));
        let last = second + ASKED_LASTS;
        assert_eq!(stop.asked(Ok(false), second), Next::Wait(last));
        assert_eq!(stop.next(false, last), Next::Ask(2));
        assert_eq!(stop.asked(Err("it still runs"), last), Next::Signal);
        assert!(matches!(stop.next(false, last), Next::Wait(_)));
    }
}
