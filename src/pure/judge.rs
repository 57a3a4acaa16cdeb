//! Decides whether a submitted message was taken.
//!
//! An emptied composer alone proves nothing: swallowed commands, shell escapes and exits empty it too.
//! A second sign is needed that was not there before Enter: the runtime's own word, a busy sign, the
//! text above the composer, a row in the runtime's queue. Knows nothing of ptys, sockets or clocks.

use std::time::{Duration, Instant};

use super::profile::SendRule;
use super::receipt::{Evidence, Verdict, Witness};
use super::recorded::{Recorded, Says};
use super::screen::Screen;
use super::view::{self, View};

mod wanted;

pub use wanted::{Holds, Wanted};

/// What was already there before Enter, so that only news counts.
#[derive(Clone, Debug)]
struct Before {
    busy: bool,
    said_working: u64,
    occurrences: (usize, usize),
    queued: usize,
    refused: usize,
}

/// Watches the screen after Enter.
#[derive(Clone, Debug)]
pub struct Judge {
    wanted: Wanted,
    before: Before,
    /// The composer was seen to hold it before Enter, or since.
    echoed: bool,
    /// When the first Enter was written.
    entered: Instant,
    /// Since when the composer has been without the message.
    cleared: Option<Instant>,
    /// A busy sign appeared after Enter; a short turn is over before the composer counts as settled.
    turned_busy: bool,
    /// The runtime said so in the stream after Enter.
    said_working: bool,
    /// Since when everything on the screen speaks for it, where the runtime's own record is waited for.
    complete: Option<Instant>,
    /// What the runtime's own record says of it.
    recorded: Option<Says>,
    evidence: Vec<Evidence>,
}

impl Judge {
    /// Remembers what the screen shows just before Enter.
    ///
    /// Where nobody has waited for the echo (somebody else typed), `placeholders` help to see it.
    pub fn before_enter(
        wanted: Wanted,
        screen: &Screen,
        view: &View,
        placeholders: &[String],
        now: Instant,
    ) -> Judge {
        let above = view::above(screen, view.composer.as_ref());
        let echoed = view
            .composer
            .as_ref()
            .is_some_and(|c| wanted.shows_in(c, placeholders));
        Judge {
            echoed,
            before: Before {
                busy: view.busy.is_some(),
                said_working: screen.said_working(),
                occurrences: wanted.occurrences(&above),
                queued: wanted.queued_in(&view.queue),
                refused: view.refused,
            },
            wanted,
            entered: now,
            cleared: None,
            turned_busy: false,
            said_working: false,
            complete: None,
            recorded: None,
            evidence: Vec::new(),
        }
    }

    /// The runtime has written something down after the paste. True if it is this message.
    pub fn recorded(&mut self, recorded: &Recorded, now: Instant) -> bool {
        let ours = self.wanted.is(recorded);
        self.take_record(ours, recorded, now)
    }

    /// The same of a line that somebody else has typed.
    pub fn recorded_of_keys(&mut self, recorded: &Recorded, now: Instant) -> bool {
        let ours = self.wanted.is(recorded) || self.wanted.ends(recorded);
        self.take_record(ours, recorded, now)
    }

    fn take_record(&mut self, ours: bool, recorded: &Recorded, now: Instant) -> bool {
        if ours {
            let sign = format!("{} has the text", recorded.by);
            self.saw(Witness::Runtime, sign, now);
            // An entry that it was delivered outweighs the one that it was put into the queue before.
            if recorded.says == Says::Taken {
                self.recorded = Some(Says::Taken);
            } else {
                self.recorded.get_or_insert(recorded.says);
            }
        }
        ours
    }

    /// The first Enter was written at this moment.
    pub fn entered(&mut self, at: Instant) {
        self.entered = at;
    }

    /// The message it watches for.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether a turn ran, at any time since before Enter.
    pub fn saw_turn(&self) -> bool {
        self.before.busy || self.turned_busy || self.said_working
    }

    /// What was seen so far.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// When another look could change the verdict though nothing new is drawn.
    pub fn next_look(&self, rule: &SendRule, now: Instant) -> Option<Instant> {
        let settled = self.cleared.map(|since| since + rule.settle());
        let waited = self.complete.map(|since| since + rule.record());
        [settled, waited]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    fn saw(&mut self, by: Witness, sign: impl Into<String>, now: Instant) {
        let sign = sign.into();
        if !self.evidence.iter().any(|e| e.sign == sign) {
            let ms = now.saturating_duration_since(self.entered).as_millis();
            self.evidence.push(Evidence {
                by,
                sign,
                ms: u64::try_from(ms).unwrap_or(u64::MAX),
            });
        }
    }

    /// Looks at a settled screen (not inside a synchronized update). `None`: no proof yet.
    ///
    /// Where the runtime's own record is expected within some time, the screen alone is believed only after it.
    pub fn look(
        &mut self,
        screen: &Screen,
        view: &View,
        placeholders: &[String],
        rule: &SendRule,
        record_within: Option<Duration>,
        now: Instant,
    ) -> Option<Verdict> {
        let left = self.signs(screen, view, placeholders, rule, now)?;
        match self.recorded {
            Some(Says::Taken) => return Some(Verdict::Accepted),
            Some(Says::Queued) => return Some(Verdict::Queued),
            Some(Says::Submitted) | None => {}
        }
        if view.refused > self.before.refused {
            self.saw(Witness::Screen, "the runtime says that it was refused", now);
            return None;
        }
        let verdict = self.by_signs(&left, rule)?;
        let Some(within) = record_within.filter(|_| verdict == Verdict::Accepted) else {
            return Some(verdict);
        };
        // A hook of somebody's may refuse the prompt yet, and up to then all looks as if it were taken.
        let complete = *self.complete.get_or_insert(now);
        (now.saturating_duration_since(complete) >= within).then_some(verdict)
    }

    /// Everything on the screen speaks for it, and the runtime's own record, which was expected, does not.
    pub fn lacks_record(&self) -> bool {
        self.complete.is_some() && self.recorded != Some(Says::Taken)
    }

    /// What the screen shows of it, once the composer does not hold it any more.
    fn signs(
        &mut self,
        screen: &Screen,
        view: &View,
        placeholders: &[String],
        rule: &SendRule,
        now: Instant,
    ) -> Option<Left> {
        let above = view::above(screen, view.composer.as_ref());
        let says_working = screen.said_working() > self.before.said_working;
        // Each against its own past: an old copy that scrolls away must not hide the new one.
        let (heads, tails) = self.wanted.occurrences(&above);
        let (head, tail) = (
            heads > self.before.occurrences.0,
            tails > self.before.occurrences.1,
        );
        // An error that quotes the message cuts its end off.
        let repeated = tail || (head && rule.signs < 2);
        let queued = self.wanted.queued_in(&view.queue) > self.before.queued;
        let busy = view.busy.is_some() && !self.before.busy;
        self.turned_busy |= busy;
        self.said_working |= says_working;
        if says_working {
            self.saw(Witness::Runtime, "it said it is working (OSC 7501)", now);
        }
        if repeated {
            self.saw(Witness::Screen, "the text stands above the composer", now);
        }
        if queued {
            self.saw(Witness::Screen, "the runtime's queue shows it", now);
        }
        if let (true, Some(sign)) = (busy, &view.busy) {
            self.saw(Witness::Screen, format!("busy sign: {sign}"), now);
        }

        let holds = view
            .composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, placeholders));
        let left = match holds {
            // No composer in front: our own turn may have opened a dialog already.
            None => (says_working && repeated) || self.recorded.is_some(),
            Some(Holds::Nothing) => true,
            Some(Holds::Ours) => false,
            // Somebody types the next text already; ours must not be part of it.
            Some(Holds::OurHead | Holds::Other) => view
                .composer
                .as_ref()
                .is_some_and(|c| !self.wanted.shows_in(c, placeholders)),
        };
        self.echoed |= view
            .composer
            .as_ref()
            .is_some_and(|c| self.wanted.shows_in(c, placeholders));
        if !left {
            (self.cleared, self.complete) = (None, None);
            return None;
        }
        let since = *self.cleared.get_or_insert(now);
        self.saw(Witness::Screen, "the text left the composer", now);
        Some(Left {
            settled: now.saturating_duration_since(since) >= rule.settle(),
            says_working,
            repeated,
            queued: queued || (repeated && !view.queue.is_empty()),
        })
    }

    /// The verdict by what is seen.
    fn by_signs(&mut self, left: &Left, rule: &SendRule) -> Option<Verdict> {
        let Left {
            settled,
            says_working,
            repeated,
            queued,
        } = *left;
        let submitted = self.recorded == Some(Says::Submitted);
        // A message that was never seen, neither in the composer nor above it, may have gone anywhere:
        // a dialog swallows a paste, takes the Enter for itself, and the turn goes on.
        if !self.echoed && !repeated && !queued && !submitted {
            return None;
        }
        if rule.signs > 1 {
            let both = repeated && (says_working || self.turned_busy);
            return (both && !self.before.busy).then_some(Verdict::Accepted);
        }
        if self.before.busy {
            // The turn that was running explains a busy sign; only the text itself speaks for us.
            if queued {
                return Some(Verdict::Queued);
            }
            // A queue row may be drawn a frame after the text: wait before calling it steered.
            return (repeated && settled).then_some(Verdict::Accepted);
        }
        let at_once = says_working || (self.turned_busy && repeated);
        let later = self.turned_busy && settled;
        let followed = submitted && (repeated || self.turned_busy);
        (at_once || later || followed).then_some(Verdict::Accepted)
    }
}

/// What the screen shows of a message that has left the composer.
struct Left {
    /// It left some time ago.
    settled: bool,
    /// The runtime said in the stream that it is working.
    says_working: bool,
    /// The text stands above the composer, once more than before.
    repeated: bool,
    /// The runtime's queue shows it.
    queued: bool,
}

#[cfg(test)]
mod tests;
