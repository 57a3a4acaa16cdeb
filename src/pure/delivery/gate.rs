//! The gate: why nothing may be typed right now, and how long that may be so before it is said.
//!
//! It decides when a paste may begin and which verdict a message gets that was never typed. It does not know what
//! happens after the paste, and it does not make sure that the world is still the same when the paste is written:
//! that is the pump's condition.

use std::time::{Duration, Instant};

use super::{Delivery, Life, Phase, Pulse, Sight, Step, WhenBusy, WhenDraft};
use crate::pure::message;
use crate::pure::receipt::Verdict;

/// A refusal must last this long: a frame being redrawn looks like a missing composer for a moment. Full
/// redraws took about 150 ms on a loaded machine, and after a resize more than 325 ms on an overloaded one.
pub(super) const REFUSAL_LASTS: Duration = Duration::from_millis(500);

/// Unread input older than this means that the runtime does not read (busy starts took up to 2.5 s).
const UNREAD_IS_WEDGED: Duration = Duration::from_millis(3_000);

/// A runtime that has just caught up with its input may not have drawn it yet: a paste of ours that was
/// given up, somebody's keys.
const CATCHES_UP: Duration = Duration::from_millis(500);

/// How long a refusal may last before it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// [`REFUSAL_LASTS`].
    Moment,
    /// Until the order's deadline.
    Deadline,
}

impl Delivery {
    /// Refuses, waits, or pastes.
    pub(super) fn at_the_gate(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
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
}
