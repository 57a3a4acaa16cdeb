//! What a runtime's own hooks tell: from the payload a hook is given to what the sidecar makes of it.
//!
//! A hook runs inside somebody's turn. Whatever it is given, it says less rather than something wrong: a
//! payload that is cut, no JSON or of a strange shape still tells the event, and no text.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::BODY_MAX;
use super::receipt::unix_ms;
use super::recorded::{Recorded, Says};
use super::table::Table;
use super::wire::{self, LINE_MAX, Request};

/// Longest payload read, in bytes. A prompt has at most [`BODY_MAX`]; the rest of a payload is small.
pub const PAYLOAD_MAX: usize = 1024 * 1024;

/// Longest name of an event. The longest of a real runtime has 19 characters (`agent-turn-complete`).
const EVENT_MAX: usize = 64;

/// The hooks of a runtime: where its configuration is, and what its events mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookRule {
    /// The environment variable that names the configuration directory.
    pub dir_var: String,
    /// What follows in the directory that `dir_var` names.
    pub under_var: String,
    /// The configuration directory below the home directory, where that variable is not set.
    pub dir: String,
    /// The file in it that is written.
    pub file: String,
    /// Events to hook in a settings file; none where the file is one of our own.
    pub events: Vec<String>,
    /// Events that say, with its text, that the model gets a prompt.
    pub taken: Vec<String>,
    /// Events that say that a prompt was submitted. Another hook may refuse it yet.
    pub submitted: Vec<String>,
    /// Events that say that a prompt waits in the runtime's queue.
    pub queued: Vec<String>,
    /// What must be in the configuration directory, or a file of ours would harm.
    pub needs: Vec<String>,
    /// What a person has to do or know after an installation.
    pub note: String,
}

impl HookRule {
    /// Reads the table `[hooks]` of a profile.
    ///
    /// # Errors
    /// What is wrong, with file, line and key.
    pub fn read(table: &Table<'_, '_>) -> Result<HookRule, String> {
        let text = |key| Ok::<_, String>(table.text(key)?.unwrap_or_default());
        Ok(HookRule {
            dir_var: text("dir_var")?,
            under_var: text("under_var")?,
            dir: text("dir")?,
            file: text("file")?,
            events: table.texts("events")?,
            taken: table.texts("taken")?,
            submitted: table.texts("submitted")?,
            queued: table.texts("queued")?,
            needs: table.texts("needs")?,
            note: text("note")?,
        })
    }

    /// What an event says of the prompt in it.
    fn says(&self, event: &str) -> Option<Says> {
        let lists = [
            (&self.taken, Says::Taken),
            (&self.submitted, Says::Submitted),
            (&self.queued, Says::Queued),
        ];
        let named = lists
            .into_iter()
            .find(|(names, _)| names.iter().any(|name| name == event));
        named.map(|(_, says)| says)
    }
}

/// The request a hook sends, as a line: from the event named by its caller and the payload it was given.
pub fn line(event: Option<&str>, payload: &[u8]) -> Vec<u8> {
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    let word = |key: &str| payload.get(key).and_then(Value::as_str);
    let mut request = Request {
        op: "hook".into(),
        event: event
            .or_else(|| word("hook_event_name"))
            .or_else(|| word("type"))
            .map(str::to_owned),
        // Whole or not at all: the beginning of a prompt must never pass for the prompt.
        text: word("prompt")
            .filter(|text| text.len() <= BODY_MAX)
            .map(str::to_owned),
        ..Request::default()
    };
    let line = wire::line(&request);
    if line.len() <= LINE_MAX {
        return line;
    }
    // Control characters are six bytes each on the wire.
    request.text = None;
    wire::line(&request)
}

/// What was heard from the runtime's hooks so far: the member `hooks` of a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// How many events.
    pub events: u64,
    /// How many of them told a prompt.
    pub prompts: u64,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_event: Option<String>,
    /// When that came, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_at_ms: Option<u64>,
}

impl Heard {
    /// Remembers an event; the prompt it tells, if it does and the runtime's profile knows it for one.
    ///
    /// # Errors
    /// The event has no name, or one that nobody can print.
    pub fn take(
        &mut self,
        request: &Request,
        rule: Option<&HookRule>,
        now: SystemTime,
    ) -> Result<Option<Recorded>, &'static str> {
        let event = request.event.as_deref().unwrap_or_default();
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if event.is_empty() || event.len() > EVENT_MAX || !event.bytes().all(is_name) {
            return Err("hook needs `event`: 1 to 64 letters, digits, `.`, `_` and `-`");
        }
        self.events += 1;
        self.last_event = Some(event.to_owned());
        self.last_at_ms = Some(unix_ms(now));
        let text = request.text.as_deref().filter(|t| !t.trim().is_empty());
        let says = rule.and_then(|rule| rule.says(event));
        let recorded = text.zip(says).map(|(text, says)| Recorded {
            by: format!("hook {event}"),
            text: text.to_owned(),
            says,
        });
        self.prompts += u64::from(recorded.is_some());
        Ok(recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(event: Option<&str>, payload: &str) -> Value {
        match serde_json::from_slice(&line(event, payload.as_bytes())) {
            Ok(value) => value,
            Err(e) => panic!("{payload}: {e}"),
        }
    }

    #[test]
    fn the_prompt_and_nothing_else_of_a_payload_is_sent() {
        let payload = r#"{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"a\nb"}"#;
        let wanted = serde_json::json!({"op":"hook","event":"UserPromptSubmit","text":"a\nb"});
        assert_eq!(sent(None, payload), wanted);
        assert_eq!(sent(Some("UserPromptSubmit"), payload), wanted);
        let notify =
            r#"{"type":"agent-turn-complete","input-messages":["x"],"last-assistant-message":"y"}"#;
        let wanted = serde_json::json!({"op":"hook","event":"agent-turn-complete"});
        assert_eq!(sent(None, notify), wanted);
    }

    #[test]
    fn what_cannot_be_read_is_an_event_without_text() {
        let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(BODY_MAX + 1));
        let swelling = format!(r#"{{"prompt":"{}"}}"#, "\\u0001".repeat(BODY_MAX / 2));
        let deep = format!(r#"{{"prompt":"x","a":{}}}"#, "[".repeat(10_000));
        for payload in [
            "",
            "null",
            "[]",
            "7",
            "{",
            r#"{"prompt":"cut"#,
            r#"{"prompt":7}"#,
            r#"{"prompt":{"text":"x"}}"#,
            "{\"prompt\":\"\u{1}\"}",
            r#"{"prompt":"\ud83d"}"#,
            &long,
            &swelling,
            &deep,
        ] {
            let shown: String = payload.chars().take(40).collect();
            let wanted = serde_json::json!({"op":"hook","event":"E"});
            assert_eq!(sent(Some("E"), payload), wanted, "{shown}");
        }
        assert!(sent(None, "\u{0}").get("event").is_none());
    }

    #[test]
    fn only_events_that_the_profile_names_tell_a_prompt() {
        let rule = HookRule {
            submitted: vec!["Submit".into()],
            queued: vec!["Queue".into()],
            ..HookRule::default()
        };
        let mut heard = Heard::default();
        let mut take = |event: &str, text: &str| {
            let request = Request {
                event: Some(event.into()),
                text: Some(text.into()),
                ..Request::default()
            };
            heard.take(&request, Some(&rule), SystemTime::UNIX_EPOCH)
        };
        let told = |event: &str, says| Recorded {
            by: format!("hook {event}"),
            text: "hi".into(),
            says,
        };
        assert_eq!(
            take("Submit", "hi"),
            Ok(Some(told("Submit", Says::Submitted)))
        );
        assert_eq!(take("Queue", "hi"), Ok(Some(told("Queue", Says::Queued))));
        assert_eq!(take("Stop", "hi"), Ok(None));
        assert_eq!(take("Submit", " \n"), Ok(None));
        for name in ["", "a b", "a\x1b[2J", "é", &"x".repeat(65)] {
            assert!(take(name, "hi").is_err(), "{name:?}");
        }
        assert_eq!((heard.events, heard.prompts), (4, 2));
        assert_eq!(heard.last_event.as_deref(), Some("Submit"));
        assert_eq!(heard.last_at_ms, Some(0));
    }
}
