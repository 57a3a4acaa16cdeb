//! What the harness knows, for whoever asks. Nothing here changes anything, and nothing is decided anew.

use super::*;

/// What a person types is drawn within this time, most of the time: slowest seen 0.2 s (claude, machine loaded).
const KEY_DRAWN: Duration = Duration::from_millis(300);

impl Harness {
    /// The state, and the rule or fact behind it.
    pub fn state(&self) -> (State, &str) {
        (self.state, &self.why)
    }

    /// When the state last changed.
    pub fn state_since(&self) -> Now {
        self.state_since
    }

    /// When the runtime was last proven alive.
    pub fn proven_alive(&self) -> Option<Now> {
        self.proven
    }

    /// When the runtime last printed something.
    pub fn last_output(&self) -> Instant {
        self.last_output
    }

    /// What runs.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// How the runtime ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The screen.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// What has left the screen.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The profile in force.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// What the generic rules rest on, while they are in force.
    pub fn generic(&self) -> Option<&Generic> {
        self.generic.as_ref()
    }

    /// The last look at the screen through the profile.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Messages waiting or on their way.
    pub fn held(&self) -> usize {
        self.orders.len()
    }

    /// Whether the inner terminal was raw when the kernel was last asked.
    pub fn is_raw(&self) -> bool {
        self.pulse.is_some_and(|p| p.raw)
    }

    /// What is not as it should be, for `status`.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.profiles.warnings.clone();
        if let Some(profile) = &self.profile
            && !self.running.version.is_empty()
            && !profile.verified.contains(&self.running.version)
        {
            warnings.push(format!(
                "the {} profile was verified with {}, this is {}",
                profile.name,
                profile.verified.join(", "),
                self.running.version
            ));
        }
        if self.generic.is_some() {
            let what = self
                .started
                .as_ref()
                .map_or("what runs", |p| p.argv.first().map_or("what runs", |a| a));
            warnings.push(format!(
                "no profile fits {what}; generic rules are in force (docs/profiles.md)"
            ));
        }
        warnings
    }

    /// What is known of messages that have met their fate.
    pub fn ledger(&self) -> &Ledger {
        self.orders.ledger()
    }

    /// What is known of a message whose fate is open, by its id or a part of its text.
    pub fn waiting(&self, id: Option<&str>, contains: Option<&str>) -> Option<Box<Receipt>> {
        let observed = self.observed.as_ref();
        self.orders
            .held(id, contains)
            .or_else(|| observed?.open_receipt(id, contains))
    }

    /// Everything a journal must hold.
    pub fn journal(&self, now: Now) -> Vec<Line> {
        self.orders.journal(now)
    }

    /// Whether a turn runs or waits for an answer, or the fate of a message is open.
    pub fn is_at_work(&self) -> bool {
        self.is_watching() || matches!(self.state, State::Busy | State::Blocked)
    }

    /// Whether somebody has typed a moment ago, and the runtime has drawn nothing since.
    pub fn key_is_undrawn(&self, now: Instant) -> bool {
        self.last_key
            .is_some_and(|key| key >= self.last_output && now < key + KEY_DRAWN)
    }

    /// Whether a message of ours is being typed, or its fate is open.
    pub fn is_typing(&self) -> bool {
        self.orders.is_judging()
    }
}
