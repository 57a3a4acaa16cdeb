//! What follows messages after their verdict: one in the runtime's own queue, one that was doubted.
//!
//! It decides which receipt is told anew by what the runtime writes down or hands back. What such a thing looks like is
//! in [`Followed`]; that a message is to be followed was decided with its verdict.

use std::collections::VecDeque;

use super::{Orders, journal};
use crate::pure::followed::Followed;
use crate::pure::harness::{Effect, Now};
use crate::pure::journal::Line;
use crate::pure::receipt::Verdict;
use crate::pure::recorded::Recorded;
use crate::pure::view::View;

/// Most messages in the runtime's own queue that are followed at once.
const FOLLOWED_MAX: usize = 16;

impl Orders {
    /// The runtime has written something down. True if it is the message on its way.
    pub fn recorded(
        &mut self,
        recorded: &Recorded,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        let head = self.waiting.front_mut();
        let is_head = head.is_some_and(|head| head.delivery.recorded(recorded, now.mono));
        let delivered = self.followed.iter().position(|f| f.was_delivered(recorded));
        if !is_head && let Some(at) = delivered {
            let what = match self.followed[at].doubted {
                true => "it was taken after all",
                false => "its turn came",
            };
            let sign = format!("{what}: {} has it", recorded.by);
            self.revise(at, Verdict::Accepted, &sign, now, effects);
        }
        is_head
    }

    /// Somebody enters something else: what the runtime writes down from now on may be that.
    pub fn forget_doubted(&mut self) {
        self.followed.retain(|f| !f.doubted);
    }

    /// More may come of a message: its receipt will be told.
    pub fn follow(&mut self, followed: Followed) {
        if self.followed.len() == FOLLOWED_MAX {
            self.followed.pop_front();
        }
        self.followed.push_back(followed);
    }

    /// Whether anything more may come of a message.
    pub fn is_following(&self) -> bool {
        !self.followed.is_empty()
    }

    /// Whether the screen may show more of a message.
    pub fn may_be_handed_back(&self) -> bool {
        self.followed.iter().any(|f| !f.doubted)
    }

    /// Looks at a settled screen for queued messages that were handed back.
    pub fn look(&mut self, view: &View, now: Now, effects: &mut VecDeque<Effect>) {
        self.followed.retain(|f| !f.is_over(now.mono));
        // What stands in the composer now is the message on its way, not one that came back.
        if self.is_judging() {
            return;
        }
        while let Some(at) = self.followed.iter().position(|f| f.was_handed_back(view)) {
            let sign = "the runtime handed it back into the composer";
            self.revise(at, Verdict::Draft, sign, now, effects);
        }
    }

    fn revise(
        &mut self,
        at: usize,
        verdict: Verdict,
        sign: &str,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) {
        let Some(followed) = self.followed.remove(at) else {
            return;
        };
        if let Some(receipt) = self.ledger.revise(&followed.id) {
            followed.revise(receipt, verdict, sign, now.mono);
            effects.push_back(journal(Line::settled(receipt)));
            effects.push_back(Effect::Revised(Box::new(receipt.clone())));
        }
    }
}
