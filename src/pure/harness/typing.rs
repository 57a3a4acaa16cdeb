//! What the harness itself types: messages, one step after the other, and the words that end the runtime.
//!
//! It puts together what a step is decided by and does what the step came to. Which step that is, is decided by the
//! orders and the delivery.

use super::*;

impl Harness {
    pub(super) fn take_order(&mut self, asker: Asker, request: Request, me: &str, now: Now) {
        let profile = self.profile.as_ref();
        let terms = Terms {
            me,
            special_first: profile.map_or("!/", |p| p.send.special_first.as_str()),
            ended: self
                .ended
                .map(|ended| format!("the runtime ended ({})", ended.words())),
            turn: (self.state == State::Busy).then_some(&self.why),
        };
        self.orders
            .take(asker, request, &terms, now, &mut self.effects);
        self.viewed = u64::MAX;
    }

    /// Moves the message on its way as far as it goes.
    pub(super) fn advance(&mut self, now: Now) {
        loop {
            let sight = Sight {
                screen: &self.screen,
                view: self.view.as_ref(),
                profile: self.profile.as_ref(),
                pulse: self.pulse,
                last_key: self.last_key,
                hand_text: self.keyboard.holds_text(),
                last_stall: self.last_stall,
                been_ready: self.been_ready,
                turn_due: self.turn_due.is_some(),
                last_turn: self.last_turn,
                record_within: self.record_within(),
                settled: !self.screen.in_update() && self.viewed == self.screen.revision(),
                still: (self.generic.as_ref().zip(self.last_look))
                    .is_none_or(|(generic, at)| generic.is_still(at)),
            };
            let moved = self
                .orders
                .step(&sight, self.outer_seen, now, &mut self.effects);
            match moved {
                Moved::Types => {
                    self.orders.forget_doubted();
                    // Marked by the orders, with the first bytes.
                    self.reading = Reading::Mark;
                    if let (Some(generic), Some(Effect::Type { bytes, .. })) =
                        (&mut self.generic, self.effects.back())
                    {
                        generic.types(bytes, &self.screen);
                    }
                }
                Moved::Ended(end) => {
                    self.taken(end.verdict, end.saw_turn, now);
                    if end.verdict == Verdict::Accepted && end.lacks_record {
                        self.missed_record();
                    }
                    if let Some(generic) = &mut self.generic {
                        let accepted = end.verdict == Verdict::Accepted;
                        generic.ended(accepted, accepted || end.retracted);
                        self.look_now(now);
                    }
                }
                Moved::Asks => {
                    // Who reads, before anything is typed into something unknown: it may be a shell by now.
                    let known =
                        |at: Instant| now.mono.saturating_duration_since(at) < IDENTIFY_FIRST;
                    if self.generic.is_some() && !self.identified.is_some_and(known) {
                        self.effects.push_back(Effect::Identify);
                    }
                    self.effects.push_back(Effect::Pulse);
                    break;
                }
                Moved::Rests => break,
            }
        }
        self.orders.expire(now, &mut self.effects);
    }

    /// Types the profile's quit text with this number, on the condition that nobody else types: into an empty
    /// composer in front of a runtime that reads and does nothing. `Ok(true)`: there is another one.
    ///
    /// # Errors
    /// Why it may not be typed.
    pub fn quit(&mut self, number: usize, now: Now) -> Result<bool, &'static str> {
        let quit = self.profile.as_ref().map_or(&[][..], |p| &p.quit);
        let (Some(keys), more) = (quit.get(number), number + 1 < quit.len()) else {
            return Err(match number {
                0 => "its profile knows no way to ask",
                _ => "it was asked and still runs",
            });
        };
        let bytes = keys.as_bytes().to_vec();
        self.look_now(now);
        let view = self.view.as_ref();
        let free = view.is_some_and(|v| v.composer_is_free() && !v.shows_turn());
        let reads = (self.pulse).is_some_and(|p| p.raw && p.unread == 0 && p.life == Life::Running);
        if self.is_at_work() || !reads || self.screen.in_update() {
            return Err("not asked: it is at work, or does not read its input");
        }
        if !free || self.keyboard.holds_text() {
            return Err("not asked: its composer is not empty and in front");
        }
        self.effects.push_back(Effect::Type {
            job: self.orders.new_job(),
            bytes,
            if_outer: Some(self.outer_seen),
            keys_wait: None,
        });
        Ok(more)
    }
}
