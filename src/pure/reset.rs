//! `reset`: the runtime's own reset command, typed under the eyes of whoever asked for it, and the proof that it worked.
//!
//! A small state machine: it is shown one look at the agent after the other and says what to do next. Every key it wants
//! typed carries the hash of the screen it was decided on, so that the sidecar refuses it where that is not the screen
//! any more. What proves a reset: the runtime's own record names another session; where it keeps none that can be read,
//! a screen that shows a fresh session and did not before.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::profile::SendRule;
use super::wire::State;

mod looks;

pub use looks::{Mark, Place, ResetRule, Shown, in_file, rule, typed_text};

/// How long a moment without a change on the screen is waited for, before and after.
const MOMENT: Duration = Duration::from_secs(2);

/// One look at an agent.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Nothing was printed during the look, so its parts belong together.
    pub steady: bool,
    /// The screen's hash.
    pub hash: String,
    /// The state.
    pub state: State,
    /// The rule or fact behind it.
    pub why: String,
    /// What was typed into the composer; none while none is in front.
    pub composer: Option<String>,
    /// It is empty, and the cursor stands in it.
    pub free: bool,
    /// Enter would take the command ([`ResetRule::is_offered`]).
    pub offered: bool,
    /// The name of the sign of a fresh session, if the screen shows one ([`ResetRule::fresh`]).
    pub fresh: Option<String>,
    /// That sign stands where only the runtime itself writes.
    pub sure: bool,
    /// What names the session in the runtime's own record; empty where that cannot be read.
    pub session: Vec<String>,
    /// Messages that wait in the sidecar.
    pub held: usize,
    /// Who has taken the agent over.
    pub attached: Option<u64>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again when something was printed.
    Look,
    /// Look again when the agent's state has changed, or after a while: something stands in the way.
    Wait,
    /// Type these keys if the screen has this hash, and tell [`Reset::typed`] or [`Reset::changed`].
    Type(Vec<String>, String),
    /// Nothing: [`Reset::verdict`] has it.
    Over,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A new session, proven.
    Proven,
    /// Something was typed, and no proof came.
    Unproven,
    /// Nothing was typed, or it was taken away again before Enter.
    Refused,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `gate`, `type`, `enter`, `proof` or `remove`.
    pub step: &'static str,
    /// Milliseconds after the reset was asked for.
    pub ms: u64,
    /// What came of it.
    pub result: String,
}

/// The document that tells of a reset.
#[derive(Clone, Debug, Serialize)]
pub struct ResetLine {
    /// `mosaic.reset/1`.
    pub schema: &'static str,
    /// As in every [`super::wire::Origin`].
    pub tenant_id: String,
    /// The host.
    pub host: String,
    /// The agent.
    pub agent: String,
    /// The runtime.
    pub runtime: String,
    /// What is, or would have been, typed.
    pub command: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Enter was pressed behind the command.
    pub submitted: bool,
    /// The command was typed, not submitted, and is gone from the composer again.
    pub removed: bool,
    /// What proves the reset.
    pub evidence: Vec<String>,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was typed yet.
    Gate,
    /// The command was typed then, and has stood alone in the composer since.
    Typed(Instant, Option<Instant>),
    /// Enter was pressed then.
    Entered(Instant),
    /// The command is being taken away again, until then at most; the keys for it were typed.
    Remove(Instant, bool),
    Over,
}

/// What the keys are for that were last asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Command,
    Enter,
    Remove,
}

/// A reset on its way.
#[derive(Debug)]
pub struct Reset {
    command: String,
    send: SendRule,
    since: Instant,
    wait_until: Instant,
    phase: Phase,
    act: Act,
    before: Option<Seen>,
    enters: u8,
    /// The verdict, the reason.
    end: (Verdict, String),
    /// The command was taken away again.
    pub removed: bool,
    /// What proves it.
    pub evidence: Vec<String>,
    /// What was done so far.
    pub steps: Vec<Step>,
}

impl Reset {
    /// One that is asked for now and may wait that long for a moment in which it can be begun.
    pub fn new(rule: &ResetRule, send: &SendRule, wait: Duration, now: Instant) -> Reset {
        Reset {
            command: rule.command.clone(),
            send: send.clone(),
            since: now,
            wait_until: now + wait,
            phase: Phase::Gate,
            act: Act::Command,
            before: None,
            enters: 0,
            end: (Verdict::Refused, String::new()),
            removed: false,
            evidence: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// How it ended, and why.
    pub fn verdict(&self) -> (Verdict, &str) {
        (self.end.0, &self.end.1)
    }

    /// Whether Enter was pressed.
    pub fn submitted(&self) -> bool {
        self.enters > 0
    }

    /// Whether anything was typed.
    pub fn has_typed(&self) -> bool {
        self.phase != Phase::Gate
    }

    fn note(&mut self, step: &'static str, result: impl Into<String>, now: Instant) {
        let ms = now.saturating_duration_since(self.since).as_millis();
        self.steps.push(Step {
            step,
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
            result: result.into(),
        });
    }

    fn over(&mut self, verdict: Verdict, reason: impl Into<String>) -> Next {
        self.end = (verdict, reason.into());
        self.phase = Phase::Over;
        Next::Over
    }

    /// What is to be done after this look.
    pub fn next(&mut self, seen: &Seen, now: Instant) -> Next {
        match self.phase.clone() {
            Phase::Gate => self.at_gate(seen, now),
            Phase::Typed(since, alone) => self.after_typing(seen, since, alone, now),
            Phase::Entered(since) => self.after_enter(seen, since, now),
            Phase::Remove(until, typed) => self.removing(seen, until, typed, now),
            Phase::Over => Next::Over,
        }
    }

    /// The keys were typed.
    pub fn typed(&mut self, now: Instant) {
        match self.act {
            Act::Command => {
                self.note("type", format!("{} was typed", self.command), now);
                self.phase = Phase::Typed(now, None);
            }
            Act::Enter => {
                self.note("enter", "Enter was pressed", now);
                self.enters += 1;
                self.phase = Phase::Entered(now);
            }
            Act::Remove => {
                self.note(
                    "remove",
                    "Backspace was pressed for each of its characters",
                    now,
                );
                self.phase = Phase::Remove(now + MOMENT, true);
            }
        }
    }

    /// The keys were refused: the screen was another one by then.
    pub fn changed(&mut self, now: Instant) -> Next {
        if self.phase == Phase::Gate && now >= self.wait_until.max(self.since + MOMENT) {
            return self.refuse("the screen does not stop changing", now);
        }
        Next::Look
    }

    /// Nothing more can be seen of the agent, after something was typed.
    pub fn lost(&mut self, why: &str) {
        self.over(Verdict::Unproven, why);
    }

    fn refuse(&mut self, why: &str, now: Instant) -> Next {
        self.note("gate", why, now);
        self.over(Verdict::Refused, why)
    }

    fn keys(&mut self, act: Act, keys: Vec<String>, seen: &Seen) -> Next {
        self.act = act;
        Next::Type(keys, seen.hash.clone())
    }

    fn at_gate(&mut self, seen: &Seen, now: Instant) -> Next {
        let Some(why) = obstacle(seen) else {
            if !seen.steady {
                return self.changed(now);
            }
            self.before = Some(seen.clone());
            let keys = self.command.chars().map(String::from).collect();
            return self.keys(Act::Command, keys, seen);
        };
        match now < self.wait_until {
            true => Next::Wait,
            false => self.refuse(&why, now),
        }
    }

    /// The command stands alone in the composer, and this look is of one moment.
    fn is_alone(&self, seen: &Seen) -> bool {
        seen.steady && seen.composer.as_ref() == Some(&self.command)
    }

    fn after_typing(
        &mut self,
        seen: &Seen,
        since: Instant,
        alone: Option<Instant>,
        now: Instant,
    ) -> Next {
        if self.is_alone(seen) && seen.offered {
            let alone = alone.unwrap_or(now);
            self.phase = Phase::Typed(since, Some(alone));
            return match now >= alone + self.send.enter_pause() {
                true => self.keys(Act::Enter, vec!["Enter".into()], seen),
                false => Next::Look,
            };
        }
        self.phase = Phase::Typed(since, None);
        if now < since + self.send.echo() {
            return Next::Look;
        }
        if self.is_alone(seen) {
            return self.take_away(Verdict::Refused, "its menu does not offer the command", now);
        }
        let why = match seen.composer.as_deref() {
            _ if !seen.steady => "the screen does not stop changing",
            None => "a screen without a composer came up; what was typed may have gone there",
            Some("") => "the command never showed in the composer",
            Some(_) => {
                "something else stands in the composer with the command; nothing was submitted"
            }
        };
        self.over(Verdict::Unproven, why)
    }

    fn after_enter(&mut self, seen: &Seen, since: Instant, now: Instant) -> Next {
        if seen.steady && seen.state == State::Ready && seen.free {
            let found = self.before.as_ref().and_then(|before| proof(before, seen));
            if let Some(what) = found {
                self.note("proof", &what, now);
                self.evidence.push(what);
                self.evidence
                    .push("the composer is empty and takes messages".into());
                return self.over(Verdict::Proven, "a new session");
            }
        }
        let alone = self.is_alone(seen);
        if alone && self.enters == 1 && now >= since + self.send.enter_again() {
            return self.keys(Act::Enter, vec!["Enter".into()], seen);
        }
        if now < since + self.send.judge() {
            return Next::Look;
        }
        if alone {
            let why = "the command was not taken: it still sat in the composer";
            return self.take_away(Verdict::Unproven, why, now);
        }
        let why = self.why_unproven(seen);
        self.note("proof", format!("none: {why}"), now);
        self.over(Verdict::Unproven, why)
    }

    fn why_unproven(&self, seen: &Seen) -> String {
        let before = self.before.as_ref();
        let has_record = before.is_some_and(|b| !b.session.is_empty());
        let was_fresh = before.is_some_and(|b| b.fresh.is_some());
        match seen.state {
            State::Busy => "a turn runs".into(),
            state if state != State::Ready || !seen.free => {
                format!(
                    "the agent is {} ({}), and its composer is not free",
                    state.word(),
                    seen.why
                )
            }
            _ if has_record => "its own record still names the same session".into(),
            _ if was_fresh => {
                "the session looked fresh before as well: the screen proves nothing".into()
            }
            _ => "nothing shows a fresh session".into(),
        }
    }

    fn take_away(&mut self, verdict: Verdict, why: &str, now: Instant) -> Next {
        self.end = (verdict, why.into());
        self.phase = Phase::Remove(now + MOMENT, false);
        Next::Look
    }

    /// Backspaces, as many as were typed: whatever a person has typed meanwhile is left.
    fn removing(&mut self, seen: &Seen, until: Instant, typed: bool, now: Instant) -> Next {
        let gone = seen.steady && seen.composer.as_deref() == Some("");
        if !gone && now < until {
            if typed || !self.is_alone(seen) {
                return Next::Look;
            }
            let keys = vec!["Backspace".into(); self.command.chars().count()];
            return self.keys(Act::Remove, keys, seen);
        }
        let (verdict, why) = self.end.clone();
        self.removed = gone;
        if gone {
            return self.over(
                verdict,
                format!("{why}; it was taken away again, the composer is empty"),
            );
        }
        self.over(
            Verdict::Unproven,
            format!("{why}; it may still stand in the composer"),
        )
    }
}

/// What stands in the way of typing anything.
fn obstacle(seen: &Seen) -> Option<String> {
    match seen.state {
        State::Ready => {}
        State::Busy => return Some("a turn is running".into()),
        state => return Some(format!("the agent is {} ({})", state.word(), seen.why)),
    }
    if let Some(pid) = seen.attached {
        return Some(format!("process {pid} has taken the agent over"));
    }
    if seen.held > 0 {
        return Some("a message is held for it".into());
    }
    match seen.composer.as_deref() {
        None => Some("no composer is in front".into()),
        Some(text) if !text.is_empty() => Some("somebody's draft is in the composer".into()),
        Some(_) if !seen.free => Some("the cursor is not in the composer".into()),
        Some(_) => None,
    }
}

/// What proves that the session now is another one than before. Where the runtime's own record can be read it decides,
/// and the screen cannot overrule it.
fn proof(before: &Seen, now: &Seen) -> Option<String> {
    if !before.session.is_empty() {
        let new = now.session.iter().find(|id| !before.session.contains(id));
        return new.map(|id| format!("its own record names another session ({id})"));
    }
    let sign = now.fresh.as_ref()?;
    match before.fresh {
        None => Some(format!(
            "the screen shows a fresh session ({sign}), and did not before"
        )),
        // What only the runtime itself can draw says so however often it is looked at.
        Some(_) if now.sure => Some(format!("the screen shows a fresh session ({sign})")),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
