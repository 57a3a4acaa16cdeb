//! `send` and `verify`: a message in, a receipt out.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant, SystemTime};

use super::ask::{self, NoAnswer};
use super::launch;
use super::place::Place;
use crate::cli::send::{Body, SendOptions, VerifyOptions};
use crate::failure::{Failure, exit};
use crate::pure::message::{BODY_MAX, Refusal};
use crate::pure::orders::TIMEOUT;
use crate::pure::receipt::{Receipt, Verdict, unix_ms};
use crate::pure::wire::{ReceiptLine, Request};
use crate::units::AgentName;

/// After the message had its turn, the procedure itself takes at most this long: paste, echo, two
/// Enters with their evidence, and the removal of a long draft.
pub(super) const PROCEDURE: Duration = Duration::from_secs(60);

/// Sends a message.
///
/// # Errors
/// Only what keeps the message from being read; everything after that is a receipt.
pub fn send(options: &SendOptions, json: bool, quiet: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let text = match read_body(&options.body)? {
        Ok(text) => text,
        Err(why) => {
            let receipt = Receipt::bare(
                options.id.as_deref().unwrap_or(""),
                Verdict::Rejected,
                why,
                SystemTime::now(),
            );
            return Ok(show(&place, &options.name, receipt, json, quiet));
        }
    };
    let request = Request {
        op: "send".into(),
        text: Some(text),
        id: options.id.clone(),
        from: (!options.bare).then(|| sender(&place, options.from.as_deref())),
        verify: Some(options.verify),
        timeout_ms: options
            .timeout
            .map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        when_busy: options.when_busy.clone(),
        when_draft: options.when_draft.clone(),
        ..Request::default()
    };
    let patience = options.timeout.unwrap_or(TIMEOUT).saturating_add(PROCEDURE);
    answer(&place, &options.name, &request, patience, json, quiet)
}

/// `verify` waits this long for a fate that is still open: what somebody else typed is watched for some
/// seconds before it is called a draft.
pub(super) const OPEN_LASTS: Duration = Duration::from_secs(10);

/// A sidecar that has not answered within this time does not answer.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How often it is asked for meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Asks for the verdict of a message.
///
/// # Errors
/// The sidecar refused the question.
pub fn verify(options: &VerifyOptions, json: bool, quiet: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let name = &options.name;
    let request = Request {
        op: "verify".into(),
        id: options.id.clone(),
        contains: read_part(options)?,
        since_ms: options.since.as_ref().map(|since| unix_ms(since.at)),
        ..Request::default()
    };
    let until = Instant::now() + OPEN_LASTS;
    while Instant::now() < until && is_open(&place, name, &request) {
        std::thread::sleep(ASK_AGAIN);
    }
    answer(&place, name, &request, ANSWERS_WITHIN, json, quiet)
}

/// Whether the message asked for was typed and its fate is still being watched.
fn is_open(place: &Place, name: &AgentName, request: &Request) -> bool {
    ask::ask(place, name, request, ANSWERS_WITHIN)
        .ok()
        .and_then(|line| serde_json::from_slice::<Receipt>(&line).ok())
        .is_some_and(|receipt| receipt.open)
}

fn answer(
    place: &Place,
    name: &AgentName,
    request: &Request,
    patience: Duration,
    json: bool,
    quiet: bool,
) -> Result<u8, Failure> {
    let without = |verdict, why: String| {
        let id = request.id.as_deref().unwrap_or("");
        show(
            place,
            name,
            Receipt::bare(id, verdict, why, SystemTime::now()),
            json,
            quiet,
        )
    };
    match ask::ask(place, name, request, patience) {
        // The origin in the line is the agent's; ours says the same.
        Ok(line) => match serde_json::from_slice::<Receipt>(&line) {
            Ok(receipt) => Ok(show(place, name, receipt, json, quiet)),
            Err(e) => Err(Failure::new(
                exit::INTERNAL,
                format!("reading the answer of {name}"),
                e,
            )),
        },
        Err(NoAnswer::Gone(why)) => Ok(without(Verdict::Gone, why)),
        // Whether the message was typed cannot be known from here.
        Err(NoAnswer::Silent(why)) => Ok(without(Verdict::Unknown, why)),
        Err(NoAnswer::Refused(_, why, code)) => Err(Failure::new(
            code,
            format!("asking the sidecar of {name}"),
            why,
        )),
        Err(NoAnswer::Broken(why)) => Err(Failure::new(
            exit::INTERNAL,
            format!("asking the sidecar of {name}"),
            why,
        )),
    }
}

/// Prints a receipt, and says which exit code it stands for.
pub(super) fn show(
    place: &Place,
    name: &AgentName,
    receipt: Receipt,
    json: bool,
    quiet: bool,
) -> u8 {
    let code = receipt.verdict.exit();
    if json {
        let line = ReceiptLine {
            schema: "mosaic.receipt/1".into(),
            origin: place.origin(name),
            receipt,
        };
        super::print(&String::from_utf8_lossy(&crate::pure::wire::line(&line)));
    } else if !quiet {
        super::print(&format!("{}\n", words(&receipt)));
    }
    code
}

/// A receipt for a person, one line.
pub(super) fn words(receipt: &Receipt) -> String {
    let mut text = format!("{}: {}", receipt.verdict.word(), receipt.reason);
    if let Some(ms) = receipt.timing.verdict_ms {
        let evidence: Vec<String> = receipt
            .evidence
            .iter()
            .map(|e| format!("{} after {} ms", e.sign, e.ms))
            .collect();
        text.push_str(&format!(" (verdict after {ms} ms"));
        if !evidence.is_empty() {
            text.push_str(&format!("; {}", evidence.join(", ")));
        }
        text.push(')');
    }
    if !receipt.id.is_empty() {
        text.push_str(&format!(" id={}", receipt.id));
    }
    text
}

/// The message's text, or why it cannot be one.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_body(body: &Body) -> Result<Result<String, String>, Failure> {
    let limit = BODY_MAX as u64 + 64;
    let mut bytes = Vec::new();
    let read = |what: &str, e: std::io::Error| {
        Failure::new(exit::USAGE, format!("reading the message from {what}"), e)
    };
    match body {
        Body::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        Body::File(path) => {
            let file =
                std::fs::File::open(path).map_err(|e| read(&path.display().to_string(), e))?;
            file.take(limit)
                .read_to_end(&mut bytes)
                .map_err(|e| read(&path.display().to_string(), e))?;
        }
        Body::Stdin => {
            std::io::stdin()
                .take(limit)
                .read_to_end(&mut bytes)
                .map_err(|e| read("standard input", e))?;
        }
    }
    if bytes.len() > BODY_MAX {
        // Cut off in the middle of what may be a character.
        return Ok(Err(Refusal::TooLong(bytes.len()).to_string()));
    }
    Ok(String::from_utf8(bytes).map_err(|e| {
        format!(
            "the message is not UTF-8 (byte {})",
            e.utf8_error().valid_up_to()
        )
    }))
}

/// The part of the text by which a message is looked for. Line feeds at its end are as little of it as of a message.
///
/// # Errors
/// It cannot be read, or it is in every message.
pub(super) fn read_part(options: &VerifyOptions) -> Result<Option<String>, Failure> {
    let Some(part) = &options.contains else {
        return Ok(None);
    };
    let refused = |why| Failure::new(exit::USAGE, "", why);
    let text = read_body(part)?.map_err(refused)?;
    match text.trim_end_matches('\n') {
        "" => Err(refused(
            "which message? The text to look for is empty".into(),
        )),
        text => Ok(Some(text.to_owned())),
    }
}

/// A tmux that does not name our session within this time holds no message up for longer; it takes 2 ms.
const SESSION_WITHIN: Duration = Duration::from_millis(500);

/// Who writes: what was said, else the agent we are called by, else the tmux session we are called in, else the
/// user. With the host, unless the name brings its own.
pub(super) fn sender(place: &Place, from: Option<&str>) -> String {
    let agent = || {
        std::env::var("MOSAIC_AGENT_NAME")
            .ok()
            .filter(|n| !n.is_empty())
    };
    let session = || {
        let tmux = launch::find_tmux(&place.settings).ok()?;
        tmux.session_here(SESSION_WITHIN)
    };
    let name = from
        .map(str::to_owned)
        .or_else(agent)
        .or_else(session)
        .unwrap_or_else(crate::os::process::user_name);
    if name.contains(':') {
        name
    } else {
        format!("{}:{name}", place.host)
    }
}
