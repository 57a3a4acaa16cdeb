//! What is seen: the screen through the profile, the state, messages that others type, and what leaves the screen.

use super::*;

impl Harness {
    /// Looks at the screen if there is something new to see and it is worth the time now.
    pub(super) fn look(&mut self, now: Now) {
        if self.ended.is_some() {
            return;
        }
        let generic_due =
            self.generic.is_some() && self.generic_due().is_some_and(|at| now.mono >= at);
        let due = (self.viewed != self.screen.revision() || generic_due)
            && !self.screen.in_update()
            && (generic_due
                || !self.orders.is_empty()
                || self.is_watching()
                || self.last_look.is_none_or(|at| now.mono >= at + LOOK_EVERY));
        if due {
            self.look_now(now);
        }
        self.watch_observed(now);
        let settled = !self.screen.in_update() && self.viewed == self.screen.revision();
        if let Some(view) = self.view.as_ref().filter(|_| settled) {
            self.orders.look(view, now, &mut self.effects);
        }
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

    pub(super) fn look_now(&mut self, now: Now) {
        self.viewed = self.screen.revision();
        self.last_look = Some(now.mono);
        self.view = match &mut self.generic {
            Some(generic) => Some(generic.look(&self.screen, now.mono)),
            None => self.profile.as_ref().map(|p| View::of(&self.screen, p)),
        };
        if self.view.as_ref().is_some_and(View::composer_is_free) {
            self.been_ready = true;
        }
        if let Some(view) = &self.view
            && self.been_ready
            && (view.shows_turn() || view.composer.is_none())
        {
            self.last_turn = Some(now.mono);
        }
        if self.view.as_ref().is_some_and(View::shows_turn) {
            self.turn_due = None;
        }
    }

    /// A message was taken. Where the runtime wrote that down before it drew anything, its turn is still to be
    /// seen: until then the composer looks as free as if nothing would run.
    pub(super) fn taken(&mut self, verdict: Verdict, saw_turn: bool, now: Now) {
        if verdict == Verdict::Accepted && !saw_turn {
            self.turn_due = Some(now.mono + TURN_SHOWS);
        }
    }

    /// The state by what is seen on the screen.
    pub(super) fn seen(&self) -> (State, String) {
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

    pub(super) fn set_state(&mut self, state: State, why: String, now: Now) {
        self.why = why;
        if self.state == state {
            return;
        }
        let was = std::mem::replace(&mut self.state, state);
        self.state_since = now;
        self.candidate = None;
        self.effects
            .push_back(Effect::Changed(was, state, self.why.clone()));
        self.effects.push_back(Effect::Beat);
    }

    /// Somebody else pressed Enter.
    pub(super) fn observe(&mut self, line: &str, now: Now) {
        // The screen as it is before the runtime has read this Enter.
        self.look_now(now);
        self.settle_observed(now);
        self.orders.forget_doubted();
        let (Some(view), Some(profile)) = (&self.view, &self.profile) else {
            return;
        };
        let id = self.orders.new_id();
        match Observed::enter(id, line, &self.screen, view, profile, (now.mono, now.wall)) {
            Enter::Bare => {}
            Enter::Settled(receipt) => self.note(receipt),
            Enter::Watched(observed) => self.observed = Some(observed),
        }
    }

    /// The fate of the last observed message is what it is now.
    pub(super) fn settle_observed(&mut self, now: Now) {
        if let (Some(observed), Some(view), Some(profile)) =
            (self.observed.take(), &self.view, &self.profile)
        {
            let receipt = observed.give_up(view, profile, now.mono);
            self.note(receipt);
        }
    }

    pub(super) fn note(&mut self, receipt: Box<Receipt>) {
        self.effects.push_back(Effect::Observed(receipt.clone()));
        self.orders.settle(*receipt, &mut self.effects);
    }

    pub(super) fn watch_observed(&mut self, now: Now) {
        let record_within = self.record_within();
        let settled = !self.screen.in_update() && self.viewed == self.screen.revision();
        let (Some(observed), Some(view), Some(profile)) =
            (&mut self.observed, &self.view, &self.profile)
        else {
            return;
        };
        if !settled {
            return;
        }
        let reads = self.pulse.is_some_and(|pulse| {
            pulse.unread == 0
                && pulse.life == Life::Running
                && pulse.at > observed.at() + READ_CHECK
        });
        let step = observed.look(&self.screen, view, profile, record_within, reads, now.mono);
        if let Some(receipt) = step {
            let saw_turn = observed.saw_turn();
            if let Some(followed) = observed.followed(receipt.verdict, now.mono) {
                self.orders.follow(followed);
            }
            self.observed = None;
            self.taken(receipt.verdict, saw_turn, now);
            self.note(receipt);
        }
    }

    /// Something was printed: what has left the screen is history, and what is on it when it rests may be.
    pub(super) fn keep_history(&mut self, now: Now) {
        if let Some(left) = self.screen.take_left(now.mono) {
            self.history.take(left);
        }
        if self.history.wants_look(&self.screen) {
            let latest = self
                .history_due
                .map_or(now.mono + RESTS_LATEST, |(_, at)| at);
            self.history_due = Some((now.mono + RESTS, latest));
        }
    }

    /// What was drawn again on the main screen is told from what is new without waiting for the screen to rest:
    /// somebody asks.
    pub fn catch_up(&mut self) {
        if !self.screen.alternate() && self.history_due.take().is_some() {
            self.history.settled(&self.screen);
        }
    }

    pub(super) fn settle_history(&mut self, now: Now) {
        if let Some((rests, latest)) = self.history_due
            && now.mono >= rests.min(latest)
            && !self.screen.in_update()
        {
            self.history_due = None;
            self.history.settled(&self.screen);
        }
    }
}
