//! One row per agent: joins what heartbeat, sidecar and tmux say, and lets none of them claim a life
//! that another one denies.

use std::time::SystemTime;

use serde::Serialize;

use super::beat::{Found, Health};
use super::wire::{State, Status};

/// What is known of an agent's pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// A pane whose process runs.
    Alive,
    /// A pane whose process has ended.
    Dead,
    /// No pane.
    None,
}

impl Pane {
    fn word(self) -> &'static str {
        match self {
            Pane::Alive => "alive",
            Pane::Dead => "dead",
            Pane::None => "none",
        }
    }
}

/// Everything found out about one name.
pub struct Sources {
    /// The agent.
    pub agent: String,
    /// Its heartbeat, or why there is none.
    pub beat: Result<Found, String>,
    /// Its sidecar's answer, or why there is none.
    pub answer: Result<Box<Status>, String>,
    /// Its pane.
    pub pane: Pane,
}

/// One row of `ps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The agent.
    pub agent: String,
    /// `healthy`, `stale` or `unknown`, by the rule for heartbeats.
    pub health: &'static str,
    /// The state; `unknown` where nobody can vouch for one.
    pub state: &'static str,
    /// Why, where something is not as it should be.
    pub why: String,
    /// What really runs.
    pub runtime: String,
    /// Its version.
    pub runtime_version: String,
    /// The model it was started with.
    pub model: String,
    /// The runtime's pid; 0 if there is none.
    pub pid: u64,
    /// The sidecar's pid; 0 if there is none.
    pub sidecar: u64,
    /// Seconds since its last output.
    pub idle_s: Option<u64>,
    /// Seconds since its heartbeat was written.
    pub beat_s: Option<u64>,
    /// Its pane.
    pub pane: Pane,
    /// The host it runs on.
    pub host: String,
    /// Whose fleet.
    pub tenant_id: String,
    /// The verdict of its last message.
    pub last_verdict: Option<&'static str>,
}

/// The row of an agent.
pub fn row(from: &Sources, now: SystemTime, boot: &str, host: &str, tenant: &str) -> Row {
    let beat = from.beat.as_ref().ok();
    let get = |key: &str| beat.and_then(|b| b.get(key)).unwrap_or("").to_owned();
    let (mut health, mut why) = match &from.beat {
        Ok(beat) => beat.health(now, boot),
        Err(why) => (Health::Unknown, why.clone()),
    };
    let exited = beat.and_then(Found::state) == Some(State::Exited);
    if let (Err(silence), Health::Healthy) = (&from.answer, health) {
        // The file is fresh and nobody stands behind it: it is about to go stale.
        health = Health::Stale;
        why.clone_from(silence);
    }
    let state = match (&from.answer, beat.and_then(Found::state)) {
        (Ok(status), _) => status.state.word(),
        (Err(_), Some(State::Exited)) => State::Exited.word(),
        (Err(_), _) => "unknown",
    };
    if let Ok(status) = &from.answer
        && !matches!(status.state, State::Ready | State::Busy)
        && why.is_empty()
    {
        why.clone_from(&status.why);
    }
    if exited && from.answer.is_err() {
        let code = get("exit");
        why = format!("the runtime ended ({code})");
        let reason = get("reason");
        if !reason.is_empty() {
            why.push_str(&format!(", sidecar {reason}"));
        }
    }
    let number = |key| beat.and_then(|b| b.number(key));
    let answered = from.answer.as_ref().ok();
    Row {
        agent: from.agent.clone(),
        health: health.word(),
        state,
        why,
        runtime: answered
            .map(|s| s.runtime.clone())
            .filter(|r| !r.is_empty())
            .unwrap_or_else(|| get("runtime")),
        runtime_version: answered
            .map(|s| s.runtime_version.clone())
            .filter(|v| !v.is_empty())
            .unwrap_or_else(|| get("version")),
        model: get("model"),
        pid: answered
            .and_then(|s| u64::try_from(s.pid).ok())
            .or(number("pid"))
            .unwrap_or(0),
        sidecar: answered.map_or_else(
            || {
                if exited {
                    0
                } else {
                    number("sidecar").unwrap_or(0)
                }
            },
            |s| u64::from(s.sidecar),
        ),
        idle_s: answered.map(|s| s.idle_s).or(number("idle")),
        beat_s: beat
            .and_then(|b| b.time("written"))
            .and_then(|t| now.duration_since(t).ok())
            .map(|d| d.as_secs()),
        pane: from.pane,
        host: Some(get("host"))
            .filter(|h| !h.is_empty())
            .unwrap_or_else(|| host.to_owned()),
        tenant_id: Some(get("tenant_id"))
            .filter(|t| !t.is_empty())
            .unwrap_or_else(|| tenant.to_owned()),
        last_verdict: answered
            .and_then(|s| s.last_receipt.as_ref())
            .map(|r| r.verdict.word()),
    }
}

/// The rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let titles = [
        "AGENT", "HEALTH", "STATE", "RUNTIME", "PID", "IDLE", "BEAT", "PANE", "LAST", "HOST",
        "TENANT", "WHY",
    ];
    let mut lines = vec![titles.map(str::to_owned)];
    for row in rows {
        let runtime = format!("{} {}", row.runtime, row.runtime_version);
        lines.push([
            row.agent.clone(),
            row.health.into(),
            row.state.into(),
            runtime.trim().to_owned(),
            if row.pid == 0 {
                "-".into()
            } else {
                row.pid.to_string()
            },
            row.idle_s.map_or("-".into(), span),
            row.beat_s.map_or("-".into(), span),
            row.pane.word().into(),
            row.last_verdict.unwrap_or("-").into(),
            row.host.clone(),
            row.tenant_id.clone(),
            row.why.clone(),
        ]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|l| l[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    lines
        .iter()
        .map(|line| {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

/// Seconds in the unit a person would use.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sources(beat: &str, answer: Result<Box<Status>, String>) -> Sources {
        Sources {
            agent: "a".into(),
            beat: Ok(Found::parse(beat.as_bytes())),
            answer,
            pane: Pane::Alive,
        }
    }

    fn look(from: &Sources, at: u64) -> Row {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        row(from, now, "b", "h", "t")
    }

    const BEAT: &str = "ts=1970-01-01T00:16:40Z\npid=42\nstate=ready\nwritten=1970-01-01T00:16:40Z\ninterval=15\nboot=b\nsidecar=41\n";

    #[test]
    fn a_fresh_heartbeat_without_a_sidecar_behind_it_is_not_healthy() {
        let row = look(&sources(BEAT, Err("no sidecar answers".into())), 1_001);
        assert_eq!((row.health, row.state), ("stale", "unknown"));
        assert_eq!(row.why, "no sidecar answers");
    }

    #[test]
    fn an_ended_runtime_is_exited_with_its_code() {
        let beat = BEAT.replace("state=ready", "state=exited\nexit=7");
        let row = look(&sources(&beat, Err("no sidecar".into())), 1_001);
        assert_eq!((row.health, row.state), ("stale", "exited"));
        assert_eq!(row.why, "the runtime ended (7)");
        assert_eq!(row.sidecar, 0);
    }

    #[test]
    fn garbage_in_place_of_a_heartbeat_is_one_row_with_a_reason() {
        let row = look(&sources("\0\0garbage", Err("no socket".into())), 1_001);
        assert_eq!((row.health, row.state), ("unknown", "unknown"));
        assert!(!row.why.is_empty());
    }

    #[test]
    fn the_table_is_aligned_and_complete() {
        let row = look(&sources(BEAT, Err("x".into())), 1_001);
        let text = table(&[row]);
        let starts: Vec<Option<usize>> = text.lines().map(|l| l.find("  ")).collect();
        assert_eq!(text.lines().count(), 2);
        assert!(starts.iter().all(Option::is_some));
        assert!(text.contains("HEALTH") && text.contains("stale"));
    }
}
