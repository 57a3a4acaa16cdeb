//! `status`, `probe` and `explain`: what an agent is doing, for people and programs.

use std::time::Duration;

use super::ask::{self, NoAnswer};
use super::place::Place;
use crate::cli::tell::Tell;
use crate::failure::{Failure, exit};
use crate::pure::wire::{Request, Status};
use crate::units::AgentName;

/// A sidecar that does not answer a plain question within this time is not answering.
const PATIENCE: Duration = Duration::from_secs(5);

fn ask(name: &AgentName, op: &str) -> Result<Vec<u8>, Failure> {
    let place = Place::here()?;
    let request = Request {
        op: op.into(),
        ..Request::default()
    };
    ask::ask(&place, name, &request, PATIENCE).map_err(|e| {
        let doing = format!("asking the sidecar of {name}");
        match e {
            NoAnswer::Gone(why) => Failure::new(exit::GONE, "", why)
                .hint("`mosaic-fleet ps` shows the agents there are"),
            NoAnswer::Silent(why) => Failure::new(exit::LATER, doing, why),
            NoAnswer::Refused(_, why, code) => Failure::new(code, doing, why),
            NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing, why),
        }
    })
}

/// Shows the state; `probe` also forces a fresh look at the runtime and a heartbeat.
///
/// # Errors
/// No such agent (3), or it does not answer (75).
pub fn status(name: &AgentName, probe: bool, tell: Tell) -> Result<u8, Failure> {
    let line = ask(name, if probe { "probe" } else { "status" })?;
    match tell {
        Tell::Json => {
            super::print(&String::from_utf8_lossy(&line));
            return Ok(exit::OK);
        }
        Tell::Nothing => return Ok(exit::OK),
        Tell::Words => {}
    }
    let status: Status = serde_json::from_slice(&line)
        .map_err(|e| Failure::new(exit::INTERNAL, format!("reading the answer of {name}"), e))?;
    let mut text = format!(
        "{name}: {} for {} s ({})\n",
        status.state.word(),
        status.for_s,
        status.why
    );
    let mut row = |what: &str, value: String| {
        if !value.trim().is_empty() {
            text.push_str(&format!("  {what:<10} {}\n", value.trim()));
        }
    };
    row(
        "runtime",
        format!(
            "{} {} {}",
            status.runtime, status.runtime_version, status.model
        ),
    );
    row(
        "pids",
        format!("runtime {}, sidecar {}", status.pid, status.sidecar),
    );
    row("idle", format!("{} s", status.idle_s));
    row(
        "alive",
        status.alive_ms_ago.map_or("not proven yet".into(), |ms| {
            format!("proven {}.{} s ago", ms / 1_000, ms / 100 % 10)
        }),
    );
    row("terminal", format!("{}x{}", status.cols, status.rows));
    if status.draft {
        row("composer", "holds a draft".into());
    }
    if status.held > 0 {
        row("held", format!("{} messages", status.held));
    }
    if let Some(pid) = status.attached_pid {
        row("attached", format!("pid {pid} has taken over"));
    }
    if status.viewers > 0 {
        row("viewers", status.viewers.to_string());
    }
    if let Some(recording) = &status.recording {
        row("recording", recording.file.clone());
    }
    if let Some(event) = &status.hooks.last_event {
        row("hooks", format!("last told {event}"));
    }
    if let Some(last) = &status.last_receipt {
        row(
            "last",
            format!("{} ({}) id={}", last.verdict.word(), last.reason, last.id),
        );
    }
    for warning in status.warnings {
        row("warning", warning);
    }
    super::print(&text);
    Ok(exit::OK)
}

/// Shows why the sidecar thinks what it thinks.
///
/// # Errors
/// As [`status`].
pub fn explain(name: &AgentName, json: bool) -> Result<u8, Failure> {
    let line = ask(name, "explain")?;
    if json {
        super::print(&String::from_utf8_lossy(&line));
        return Ok(exit::OK);
    }
    let found: serde_json::Value = serde_json::from_slice(&line)
        .map_err(|e| Failure::new(exit::INTERNAL, format!("reading the answer of {name}"), e))?;
    let text = found.get("text").and_then(|t| t.as_str());
    super::print(text.unwrap_or_default());
    Ok(exit::OK)
}
