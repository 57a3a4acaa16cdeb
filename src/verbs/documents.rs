//! What the sidecar answers: the documents of the ack socket, made of what it knows.

use std::time::Instant;

use crate::failure::exit;
use crate::pure::explain::ExplainLine;
use crate::pure::harness::{Harness, Now};
use crate::pure::hook;
use crate::pure::receipt::{Receipt, Verdict};
use crate::pure::wire::{
    self, ErrorLine, Hello, HookLine, Origin, PROTOCOL, ReceiptLine, Request, Status,
};

/// The first line of a connection.
pub fn hello_line(origin: Origin) -> Vec<u8> {
    wire::line(&Hello {
        schema: "mosaic.hello/1".into(),
        origin,
        protocol: PROTOCOL,
        sidecar: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// A refusal.
pub fn error_line(origin: Origin, error: &str, message: &str, exit: u8) -> Vec<u8> {
    wire::line(&ErrorLine {
        schema: "mosaic.error/1".into(),
        origin,
        error: error.into(),
        message: message.into(),
        exit,
    })
}

/// A receipt.
pub fn receipt_line(origin: Origin, receipt: Receipt) -> Vec<u8> {
    wire::line(&ReceiptLine {
        schema: "mosaic.receipt/1".into(),
        origin,
        receipt,
    })
}

/// The answer to `verify`.
pub fn verify(harness: &Harness, origin: Origin, request: &Request) -> Vec<u8> {
    let (id, contains) = (request.id.as_deref(), request.contains.as_deref());
    if id.is_none() && contains.is_none_or(str::is_empty) {
        return error_line(
            origin,
            "bad_field",
            "verify needs `id` or `contains`",
            exit::USAGE,
        );
    }
    let since = request.since_ms.unwrap_or(0);
    let receipt = harness
        .waiting(id, contains)
        .map(|r| *r)
        .or_else(|| harness.ledger().find(id, contains, since).cloned())
        .unwrap_or_else(|| {
            let why = "this sidecar has seen no such message";
            let mut none = Receipt::bare(
                id.unwrap_or(""),
                Verdict::Unknown,
                why,
                std::time::SystemTime::now(),
            );
            none.typed = false;
            none
        });
    receipt_line(origin, receipt)
}

/// What a status says that the harness does not know.
pub struct Facts<'a> {
    /// The process we started.
    pub child: i32,
    /// The runtime's name as asked for; empty if nobody did.
    pub asked_runtime: &'a str,
    /// The model as asked for.
    pub model: &'a str,
    /// How often the screen model has failed.
    pub model_failures: u32,
    /// What is wrong with the runtime's own records.
    pub record_trouble: Option<&'a str>,
    /// What is wrong with our journal.
    pub journal_trouble: Option<&'a str>,
    /// What the runtime's hooks have told.
    pub hooks: &'a hook::Heard,
    /// How often the sidecar was replaced.
    pub upgrades: u32,
    /// How many watch the screen.
    pub viewers: usize,
    /// Who has taken over: its pid, and since when in Unix milliseconds.
    pub attached: Option<(u64, u64)>,
    /// The recording.
    pub recording: Option<wire::Recorded>,
    /// Why there is none any more.
    pub recording_trouble: Option<&'a str>,
}

/// The answer to `status` and `probe`.
pub fn status_line(harness: &Harness, origin: Origin, facts: &Facts<'_>, now: Now) -> Vec<u8> {
    let (state, why) = harness.state();
    let running = harness.running();
    let size = harness.screen().size();
    let mut warnings = harness.warnings();
    warnings.extend(
        facts
            .record_trouble
            .map(|why| format!("the runtime's own record is no evidence: {why}")),
    );
    warnings.extend(
        facts
            .journal_trouble
            .map(|why| format!("messages would not survive a restart: {why}")),
    );
    warnings.extend(facts.recording_trouble.map(str::to_owned));
    if facts.model_failures > 0 {
        warnings.push(format!(
            "the screen model failed {} times and was restarted",
            facts.model_failures
        ));
    }
    let asked = facts.asked_runtime;
    if !running.name.is_empty() && !asked.is_empty() && running.name != asked {
        warnings.push(format!("asked for {asked}, and {} runs", running.name));
    }
    let ended = harness.ended();
    wire::line(&Status {
        schema: "mosaic.status/1".into(),
        origin,
        state,
        why: why.to_owned(),
        draft: harness
            .view()
            .and_then(|v| v.composer.as_ref())
            .is_some_and(|c| !c.is_empty()),
        for_s: seconds_since(harness.state_since().mono, now),
        idle_s: seconds_since(harness.last_output(), now),
        alive_ms_ago: harness.proven_alive().map(|p| {
            u64::try_from(now.mono.saturating_duration_since(p.mono).as_millis())
                .unwrap_or(u64::MAX)
        }),
        pid: match (ended, running.pid) {
            (Some(_), _) => 0,
            (None, 0) => facts.child,
            (None, pid) => pid,
        },
        sidecar: std::process::id(),
        runtime: running.name.clone(),
        runtime_version: running.version.clone(),
        model: facts.model.to_owned(),
        cols: size.cols,
        rows: size.rows,
        held: harness.held(),
        viewers: facts.viewers,
        attached_pid: facts.attached.map(|a| a.0),
        attached_ms: facts.attached.map(|a| a.1),
        recording: facts.recording.clone(),
        hooks: facts.hooks.clone(),
        exit: ended.map(crate::pure::harness::Ended::words),
        last_receipt: harness.ledger().last().cloned(),
        upgrades: facts.upgrades,
        warnings,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// Whole seconds.
pub fn seconds_since(since: Instant, now: Now) -> u64 {
    now.mono.saturating_duration_since(since).as_secs()
}

/// The answer to `hook`.
pub fn hook_line(origin: Origin, event: Option<String>, prompt: bool) -> Vec<u8> {
    wire::line(&HookLine {
        schema: "mosaic.hook/1".into(),
        origin,
        event,
        prompt,
    })
}

/// The answer to `explain`.
pub fn explain_line(harness: &Harness, origin: Origin) -> Vec<u8> {
    wire::line(&ExplainLine::of(harness, origin))
}
