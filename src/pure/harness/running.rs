//! What runs in the pane, and how it lives: the processes, the kernel's word on them, the rules for those nobody knows.

use super::*;

impl Harness {
    /// Whether the generic rules may apply to what runs; where they may no more, they end.
    pub(super) fn consider_generic(&mut self, running: &Running, processes: &[ProcessFacts]) {
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
    pub(super) fn adopt_generic(&mut self, now: Now) {
        // What has ended is not asked for any more: no answer would ever come.
        let known = self.generic.is_some() || self.ended.is_some();
        if known || self.generic_due().is_none_or(|at| now.mono < at) {
            return;
        }
        match self.pulse {
            Some(pulse) if now.mono <= pulse.at + generic::RESTS => {
                if pulse.raw {
                    let mut generic = Generic::new(&self.screen, pulse.front, now.mono);
                    if self.keyboard.holds_text() {
                        // What looks like the prompt may end in somebody's draft.
                        generic.keys(false, true, self.last_key.unwrap_or(now.mono));
                    }
                    self.generic = Some(generic);
                    self.profile = self.profiles.named(generic::NAME).cloned();
                    self.viewed = u64::MAX;
                }
            }
            _ => self.effects.push_back(Effect::Pulse),
        }
    }

    /// When the generic rules are to be put in force, or want to look again.
    pub(super) fn generic_due(&self) -> Option<Instant> {
        if let Some(generic) = &self.generic {
            return self.last_look.and_then(|at| generic.next_look(at));
        }
        let rests = self.last_output + generic::RESTS;
        // A terminal that was not raw when last asked is asked again a rest later.
        let asked = self.pulse.filter(|p| !p.raw).map(|p| p.at + generic::RESTS);
        (self.may_be_generic && self.bracketed && self.profile.is_none())
            .then(|| asked.map_or(rests, |at| at.max(rests)))
    }

    pub(super) fn take_running(&mut self, running: Running, now: Now) {
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
            self.record = OwnRecord::None;
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

    pub(super) fn take_pulse(&mut self, pulse: Pulse, now: Now) {
        if self.ended.is_some() {
            return;
        }
        if self.running.pid != 0 && pulse.pid != self.running.pid {
            // What we took for the runtime has ended, and the pane lives on: first see what it is now.
            self.running.pid = pulse.pid;
            self.pulse = None;
            self.effects.push_back(Effect::Identify);
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
}
