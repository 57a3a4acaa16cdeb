//! Taking a draft back: a message whose Enter was swallowed is removed from the composer again, press by press.
//!
//! It decides whether the next press would hit nothing but our own text, and whether the removal is proven. That the
//! message is to be taken back was decided before.

use std::time::{Duration, Instant};

use super::gate::REFUSAL_LASTS;
use super::{Delivery, Holds, Phase, Sight, Step};
use crate::pure::receipt::Verdict;

/// How long one press of the clear key may take to show.
const CLEAR_SHOWS: Duration = Duration::from_millis(400);

impl Delivery {
    /// Presses the clear key once more, waits for the last press to show, or gives up.
    pub(super) fn clearing(&mut self, sight: &Sight<'_>, now: Instant) -> Step {
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
