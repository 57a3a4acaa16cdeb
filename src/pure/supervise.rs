//! What the monitor of an agent concludes: when to ask, what to say of the answer, how the unit ends.

use std::time::Duration;

use super::beat::{Found, stamp};
use super::receipt::Receipt;
use super::wire::{State, Status};

/// Between two questions where no watchdog sets the pace.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// The same while the runtime starts, so that the status line does not call it starting for long.
const ASK_A_BEGINNER_EVERY: Duration = Duration::from_secs(1);

/// A sidecar that has not answered by then is not answering.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// When to ask, and how long to wait for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two questions.
    pub every: Duration,
    /// For one answer.
    pub within: Duration,
}

impl Pace {
    /// A third of the watchdog's time: one answer may be late without ending the agent.
    pub fn of(watchdog: Option<Duration>) -> Pace {
        let every = watchdog.map_or(ASK_EVERY, |w| (w / 3).min(ASK_EVERY));
        Pace {
            every,
            within: every.min(ANSWER_WITHIN),
        }
    }

    /// How long until the next question after this answer: what starts soon does something else.
    pub fn after(&self, state: State) -> Duration {
        match state {
            State::Starting => self.every.min(ASK_A_BEGINNER_EVERY),
            _ => self.every,
        }
    }
}

/// The unit's status line: the state and the last receipt. It changes only when one of them does.
pub fn line(status: &Status) -> String {
    let mut line = format!("{} ({})", status.state.word(), status.why);
    if status.held > 0 {
        line.push_str(&format!(", {} held", status.held));
    }
    if let Some(last) = &status.last_receipt {
        line.push_str(&format!("; last message {}", told(last)));
    }
    line.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn told(receipt: &Receipt) -> String {
    let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(receipt.at_ms);
    format!(
        "{} at {} id={}",
        receipt.verdict.word(),
        stamp(at),
        receipt.id
    )
}

/// Whether an agent has been wedged for longer than it may.
pub fn is_wedged_too_long(status: &Status, at_most: Option<Duration>) -> bool {
    status.state == State::Wedged
        && at_most.is_some_and(|most| Duration::from_secs(status.for_s) >= most)
}

/// Reads `MOSAIC_AGENT_RESTART_WEDGED`: minutes, or seconds with an `s`.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn wedged_limit(text: Option<&str>) -> Result<Option<Duration>, String> {
    let Some(text) = text else { return Ok(None) };
    let (digits, unit) = match text.trim().strip_suffix('s') {
        Some(digits) => (digits, 1),
        None => (text.trim(), 60),
    };
    match digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)) {
        Some(seconds @ 1..) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(format!(
            "MOSAIC_AGENT_RESTART_WEDGED is {text:?}; it takes whole minutes, or seconds as in 90s"
        )),
    }
}

/// How an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The unit's exit code.
    pub code: u8,
    /// The same for the journal.
    pub words: String,
}

/// The sidecar's last word, its final heartbeat, as the end of its unit: the runtime's code, or 128 + signal.
///
/// An agent that was not asked by us and did not end by itself (somebody killed its pane, its sidecar or its
/// tmux server) has failed, even if the runtime was polite enough to end with 0.
pub fn end_of(beat: Option<&Found>, sidecar: i32) -> End {
    let last_word = beat.filter(|b| {
        b.state() == Some(State::Exited) && b.get("sidecar") == Some(sidecar.to_string().as_str())
    });
    let Some((exit, reason)) = last_word.and_then(|b| Some((b.get("exit")?, b.get("reason"))))
    else {
        return End {
            code: 1,
            words: "the sidecar vanished without a last word: it was killed".into(),
        };
    };
    let code = match exit.strip_prefix("signal ") {
        Some(signal) => signal.parse::<u8>().ok().and_then(|n| n.checked_add(128)),
        None => exit.parse().ok(),
    };
    match (code.unwrap_or(1), reason) {
        (code, None) => End {
            code,
            words: format!("the runtime ended ({exit})"),
        },
        // Somebody wanted that, through us: the unit is not to start it again.
        (_, Some("stopped")) => End {
            code: 0,
            words: format!("stopped on request; the runtime ended ({exit})"),
        },
        (code, Some(reason)) => {
            let signal = match reason {
                "hangup" => 1,
                "interrupted" => 2,
                _ => 15,
            };
            End {
                code: if code == 0 { 128 + signal } else { code },
                words: format!(
                    "the sidecar was ended from outside ({reason}), the runtime with it ({exit})"
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(exit: &str, more: &str) -> Found {
        Found::parse(format!("state=exited\nsidecar=7\nexit={exit}\n{more}").as_bytes())
    }

    fn code(exit: &str, more: &str) -> u8 {
        end_of(Some(&beat(exit, more)), 7).code
    }

    #[test]
    fn the_unit_ends_with_the_runtimes_code() {
        assert_eq!(
            [code("0", ""), code("3", ""), code("signal 9", "")],
            [0, 3, 137]
        );
    }

    #[test]
    fn an_end_from_outside_is_no_clean_stop() {
        assert_eq!(code("0", "reason=hangup"), 129);
        assert_eq!(code("0", "reason=terminated"), 143);
        assert_eq!(code("7", "reason=hangup"), 7);
        assert_eq!(code("signal 15", "reason=hangup"), 143);
    }

    #[test]
    fn a_stop_that_was_asked_for_is_a_clean_one_however_the_runtime_took_it() {
        assert_eq!(code("0", "reason=stopped"), 0);
        assert_eq!(code("signal 9", "reason=stopped"), 0);
    }

    #[test]
    fn without_a_last_word_of_this_sidecar_nothing_is_known() {
        let of_another = end_of(Some(&beat("0", "")), 8);
        let alive = Found::parse(b"state=ready\nsidecar=7\nexit=0");
        for end in [of_another, end_of(Some(&alive), 7), end_of(None, 7)] {
            assert_eq!(end.code, 1, "{}", end.words);
        }
    }

    #[test]
    fn one_answer_may_be_late_before_the_watchdog_bites() {
        let pace = Pace::of(Some(Duration::from_secs(3)));
        assert!(2 * pace.every + pace.within <= Duration::from_secs(3));
        assert_eq!(Pace::of(None).every, ASK_EVERY);
    }

    #[test]
    fn patience_is_in_minutes_or_seconds() {
        assert_eq!(wedged_limit(Some("90s")), Ok(Some(Duration::from_secs(90))));
        assert_eq!(wedged_limit(Some("2")), Ok(Some(Duration::from_secs(120))));
        assert_eq!(wedged_limit(None), Ok(None));
        assert!(wedged_limit(Some("0")).is_err_and(|e| e.contains("MOSAIC_AGENT_RESTART_WEDGED")));
    }
}
