//! The ack socket's language: one JSON object a line, both ways.
//!
//! The sidecar speaks first ([`Hello`]); then every request gets exactly one reply, in order. Fields and
//! operations a reader does not know are skipped or answered with `unknown_op`, never guessed at.
//! `docs/protocol.md` describes the same for people, `docs/schemas/` for programs.

mod request;

use serde::{Deserialize, Serialize};

use super::receipt::Receipt;
use crate::units::{NO_ID, is_id};

/// The protocol version a sidecar announces. Additions keep it; anything else makes it 2.
pub const PROTOCOL: u32 = 1;

/// Longest request line in bytes: the largest message with every byte escaped as `\u00xx` would be
/// longer, but control characters are refused anyway; quotes and backslashes double at most.
pub const LINE_MAX: usize = 2 * super::message::BODY_MAX + 4_096;

/// What identifies every document.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Origin {
    /// Whose fleet this is (`MOSAIC_TENANT_ID`, else the user name).
    pub tenant_id: String,
    /// The host the agent runs on.
    pub host: String,
    /// The agent's name.
    pub agent: String,
}

/// The first line of every connection.
#[derive(Clone, Debug, Serialize)]
pub struct Hello {
    /// `mosaic.hello/1`.
    pub schema: String,
    /// Who speaks.
    #[serde(flatten)]
    pub origin: Origin,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The sidecar's pid.
    pub sidecar: u32,
    /// The sidecar's version.
    pub version: String,
}

/// One request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Request {
    /// What is asked for: one of the operations in `docs/protocol.md`.
    pub op: String,
    /// `send`: the message, required there. `hook`: the prompt, whole, if the event tells one. `input`: the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `send`, `verify`: the message's id, chosen by the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `send`: who writes, `host:session`; no preamble without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `send`: wait for the verdict (default true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    /// `send`: how long the message may wait for its turn, in milliseconds. `stop`: how long a running turn
    /// may go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// `send`: `hold` (default), `type` or `refuse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_busy: Option<String>,
    /// `send`: `refuse` (default) or `wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_draft: Option<String>,
    /// `verify`: a part of the message's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// `verify`: only messages asked for after this moment, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// `hook`: the name of the runtime's event. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// `keys`: the keys, by name. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
    /// `keys`: the hash of the screen the caller has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// `upgrade`: the absolute path of the new binary. Required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What reads: only what is newer than this number of an answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// What reads: how long to wait for something newer, in milliseconds (60,000 at most); the answer comes then
    /// in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// `record`: also what is typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<bool>,
    /// `record`: most bytes of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// `screen`: rows as cells instead of text; with `after`, only those that may have changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cells: Option<bool>,
    /// `attach`: take it over from whoever has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steal: Option<bool>,
    /// `events`, `history`: the `next` of the answer before; without it, all there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// `history`: no more than the last so many lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
}

/// The answer to `hook`.
#[derive(Clone, Debug, Serialize)]
pub struct HookLine {
    /// `mosaic.hook/1`.
    pub schema: String,
    /// Who speaks.
    #[serde(flatten)]
    pub origin: Origin,
    /// The event.
    pub event: Option<String>,
    /// It told a prompt.
    pub prompt: bool,
}

/// The answer to `stop`, given when the runtime has ended.
#[derive(Clone, Debug, Serialize)]
pub struct StopLine {
    /// `mosaic.stop/1`.
    pub schema: String,
    /// As in every [`Origin`]; its code for a struct in a struct weighs more than this.
    pub tenant_id: String,
    /// The host.
    pub host: String,
    /// The agent.
    pub agent: String,
    /// How the runtime ended: an exit code or a signal.
    pub exit: String,
    /// What was done, in order.
    pub steps: Vec<super::quit::Done>,
}

/// The answer to `keys`.
#[derive(Clone, Debug, Serialize)]
pub struct KeysLine {
    /// `mosaic.keys/1`.
    pub schema: String,
    /// As in every [`Origin`].
    pub tenant_id: String,
    /// The host.
    pub host: String,
    /// The agent.
    pub agent: String,
    /// How many bytes they were.
    pub bytes: usize,
}

/// The answer to `upgrade`, by the new binary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpgradeLine {
    /// `mosaic.upgrade/1`.
    pub schema: String,
    /// As in every [`Origin`].
    pub tenant_id: String,
    /// The host.
    pub host: String,
    /// The agent.
    pub agent: String,
    /// The version before.
    pub from: String,
    /// The version that serves now.
    pub version: String,
    /// How often this sidecar was replaced.
    pub upgrades: u32,
    /// How long no byte passed, in microseconds.
    pub paused_us: u64,
}

/// The state of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No composer has been drawn yet.
    Starting,
    /// A composer is in front and no turn runs.
    Ready,
    /// A turn is running.
    Busy,
    /// A dialog, menu or other screen owns the keyboard.
    Blocked,
    /// The runtime is stopped, dead, or does not read its input.
    Wedged,
    /// The runtime has ended.
    Exited,
}

impl State {
    /// The word used in heartbeat, status and ps.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Ready => "ready",
            State::Busy => "busy",
            State::Blocked => "blocked",
            State::Wedged => "wedged",
            State::Exited => "exited",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<State> {
        [
            State::Starting,
            State::Ready,
            State::Busy,
            State::Blocked,
            State::Wedged,
            State::Exited,
        ]
        .into_iter()
        .find(|s| s.word() == word)
    }
}

/// The answer to `status` and `probe`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// `mosaic.status/1`.
    pub schema: String,
    /// Who speaks.
    #[serde(flatten, skip_deserializing)]
    pub origin: Origin,
    /// The state.
    pub state: State,
    /// Why: the rule or fact behind the state.
    pub why: String,
    /// Whether the composer holds text that nobody has submitted.
    pub draft: bool,
    /// Seconds since the state last changed.
    pub for_s: u64,
    /// Seconds since the runtime's last output.
    pub idle_s: u64,
    /// Milliseconds since the runtime was last proven alive; absent if it never was.
    pub alive_ms_ago: Option<u64>,
    /// The runtime's pid; 0 once it is gone.
    pub pid: i32,
    /// The sidecar's pid.
    pub sidecar: u32,
    /// The runtime's name, by what really runs; empty while unknown.
    pub runtime: String,
    /// The runtime's version, where it could be read.
    pub runtime_version: String,
    /// The model it was started with, where it was told.
    pub model: String,
    /// The terminal's size.
    pub cols: u16,
    /// The terminal's size.
    pub rows: u16,
    /// Messages waiting in the sidecar.
    pub held: usize,
    /// How many watch the screen.
    #[serde(default)]
    pub viewers: usize,
    /// The process that has taken it over by `attach`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attached_pid: Option<u64>,
    /// Since when, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attached_ms: Option<u64>,
    /// What the runtime's hooks have told.
    #[serde(default)]
    pub hooks: super::hook::Heard,
    /// How the runtime ended: an exit code or a signal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit: Option<String>,
    /// The last receipt's id and verdict.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_receipt: Option<Receipt>,
    /// How often the sidecar was replaced by another binary.
    #[serde(default)]
    pub upgrades: u32,
    /// The recording that is being made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recording: Option<Recorded>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
    /// The sidecar's version.
    pub version: String,
}

/// A recording that is being made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// The file.
    pub file: String,
    /// Bytes in it.
    pub bytes: u64,
    /// What is typed is in it, too.
    pub input: bool,
}

/// A receipt on the wire.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptLine {
    /// `mosaic.receipt/1`.
    pub schema: String,
    /// Who speaks.
    #[serde(flatten)]
    pub origin: Origin,
    /// The receipt.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// What is on the screen, and what kind of screen it is.
#[derive(Debug, Serialize)]
pub struct ScreenLine {
    /// `mosaic.screen/1`.
    pub schema: String,
    /// As in every [`Origin`]; its code for a struct in a struct weighs more than this.
    pub tenant_id: String,
    /// The host.
    pub host: String,
    /// The agent.
    pub agent: String,
    /// The rows, right-trimmed; not there if cells were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
    /// The size.
    pub cols: u16,
    /// The size.
    pub rows: u16,
    /// The cursor's row, from 0.
    pub cursor_row: u16,
    /// The cursor's column, from 0.
    pub cursor_col: u16,
    /// Whether the terminal shows the cursor.
    pub cursor_visible: bool,
    /// The screen's modes that are on: `alternate_screen`, `application_cursor`, `bracketed_paste`, `mouse`, and
    /// `in_update` while the rows are half drawn.
    pub modes: Vec<&'static str>,
    /// The window title.
    pub title: String,
    /// The agent's state, as in [`Status`].
    pub state: &'static str,
    /// Why.
    pub why: String,
    /// Seconds since the state last changed.
    pub for_s: u64,
    /// The process that has taken it over by `attach`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_pid: Option<u64>,
    /// [`super::screen::Screen::hash`] in 16 hexadecimal digits: the same as long as what is shown is the same.
    pub hash: String,
    /// Grows with everything the runtime prints: `after` of the next request. Starts anew with a new sidecar.
    pub revision: u64,
}

/// A request that got no other answer.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorLine {
    /// `mosaic.error/1`.
    pub schema: String,
    /// Who speaks.
    #[serde(flatten)]
    pub origin: Origin,
    /// A word for programs: `bad_json`, `unknown_op`, `bad_field`, `line_too_long`, `overloaded`, `forbidden`,
    /// `taken`.
    pub error: String,
    /// A sentence for people.
    pub message: String,
    /// The exit code a command line tool should use.
    pub exit: u8,
}

/// What a request line holds.
///
/// # Errors
/// The word and the sentence for an [`ErrorLine`].
pub fn parse(line: &[u8]) -> Result<Request, (&'static str, String)> {
    // A JSON array would be taken for the struct's fields in order.
    if line.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err((
            "bad_json",
            "a request is one JSON object on one line".into(),
        ));
    }
    let request =
        serde_json::from_slice::<Request>(line).map_err(|e| ("bad_json", e.to_string()))?;
    // A word that nobody knows must not stand for the default: `Refuse` would hold.
    let (busy, draft) = (request.when_busy.as_deref(), request.when_draft.as_deref());
    let wrong = if !matches!(busy, None | Some("hold" | "type" | "refuse")) {
        "`when_busy` takes hold, type or refuse"
    } else if !matches!(draft, None | Some("refuse" | "wait")) {
        "`when_draft` takes refuse or wait"
    } else if !request.id.as_deref().is_none_or(is_id) {
        NO_ID
    } else {
        return Ok(request);
    };
    Err(("bad_field", wrong.into()))
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    // A string can always be written.
    serde_json::to_string(text).unwrap_or_default()
}

/// One more member for a document that is a line already.
pub fn with(mut line: Vec<u8>, member: &str, json: &str) -> Vec<u8> {
    let end = line.len().saturating_sub("}\n".len());
    line.truncate(end);
    line.extend_from_slice(format!(",\"{member}\":{json}}}\n").as_bytes());
    line
}

/// One document as a line.
pub fn line(document: &impl Serialize) -> Vec<u8> {
    // Our own documents have string keys and finite numbers only, so this cannot fail; an empty line
    // would be skipped by any reader.
    let mut line = serde_json::to_vec(document).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_nobody_knows_is_refused_and_no_default() {
        for good in [
            r#"{"op":"send","id":"m-1","when_busy":"hold","when_draft":"wait"}"#,
            r#"{"op":"send","when_busy":"type","when_draft":"refuse"}"#,
            r#"{"op":"send","when_busy":"refuse","id":null}"#,
        ] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
        let long = format!(r#"{{"op":"send","id":"{}"}}"#, "x".repeat(129));
        for bad in [
            r#"{"op":"send","when_busy":"maybe"}"#,
            r#"{"op":"send","when_busy":""}"#,
            r#"{"op":"send","when_draft":"hold"}"#,
            r#"{"op":"send","id":""}"#,
            r#"{"op":"verify","id":"a b"}"#,
            r#"{"op":"verify","id":"a\n"}"#,
            r#"{"op":"verify","id":"é"}"#,
            &long,
        ] {
            let word = parse(bad.as_bytes()).err().map(|e| e.0);
            assert_eq!(word, Some("bad_field"), "{bad}");
        }
    }

    #[test]
    fn requests_are_objects_and_unknown_fields_are_skipped() {
        let ok = parse(br#" {"op":"status","from_the_future":{"a":[1]}}"#);
        assert_eq!(ok.map(|r| r.op), Ok("status".into()));
        for bad in [
            b"[\"status\"]".as_slice(),
            b"null",
            b"",
            b"{",
            b"{\"op\":1}",
            b"{\"op\":\"a\"} x",
            b"{\"op\":\"\xff\"}",
            b"{\"op\":\"a\",\"op\":\"b\"}",
            b"{}",
        ] {
            assert_eq!(
                parse(bad).err().map(|e| e.0),
                Some("bad_json"),
                "{}",
                bad.escape_ascii()
            );
        }
    }
}
