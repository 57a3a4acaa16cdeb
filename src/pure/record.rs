//! Where a runtime writes down what it was given, and how to read it: data of a profile.
//!
//! Every runtime keeps a file of lines of JSON for itself (a transcript, a session, a history of prompts)
//! and adds an entry within milliseconds after it took a message. That is the best evidence there is: it
//! carries the text, it needs no configuration, and nobody but the runtime writes it.

use serde_json::Value;

use super::recorded::{Recorded, Says};
use super::table::Table;

/// Longest line that is read. claude's longest (a whole request) have some 200 kB.
pub const LINE_MAX: usize = 1024 * 1024;

const SAYS: [(&str, Says); 3] = [
    ("taken", Says::Taken),
    ("queued", Says::Queued),
    ("submitted", Says::Submitted),
];

/// One kind of entry.
#[derive(Clone, Debug)]
pub struct RecordRule {
    /// What receipts call it.
    pub name: String,
    /// The directory all else is in: the first whose variable is set. `$NAME` is a variable of the runtime's
    /// environment, `~` its home.
    pub root: Vec<String>,
    /// The file below it. See [`RecordRule::path`].
    pub path: String,
    /// A small JSON document below the root, and the key in it, that says which session is this process's
    /// own: `sessions/{pid}.json#sessionId`.
    pub session: Option<String>,
    /// What must stand within the first 64 KiB of the file for it to be of this runtime.
    pub head: Option<String>,
    /// What an entry must hold: `key.key=value`.
    pub only: Vec<(String, String)>,
    /// Where its text may be. A list is read as the texts of its members.
    pub text: Vec<String>,
    /// What such an entry says of the text.
    pub says: Says,
}

/// What is known of the process whose records are read.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Its pid.
    pub pid: i32,
    /// Its working directory, real path.
    pub cwd: String,
    /// Its session, where it says so.
    pub session: Option<String>,
}

impl RecordRule {
    /// Reads one `[[record]]`.
    ///
    /// # Errors
    /// `file:line: key: what is wrong`.
    pub fn read(table: &Table<'_, '_>) -> Result<RecordRule, String> {
        Ok(RecordRule {
            name: table.required("name")?,
            root: table.texts("root")?,
            path: table.required("path")?,
            session: table.text("session")?,
            head: table.text("head")?,
            only: table.pairs("where")?,
            text: table.texts("text")?,
            says: table.word("says", &SAYS)?,
        })
    }

    /// The file below the root, with everything filled in that is known:
    ///
    /// * `{pid}` the process, `{cwd}` its working directory as it is;
    /// * `{cwd-}` with every character but letters and digits replaced by `-`;
    /// * `{cwd/-}` without the first slash and with the others replaced by `-`;
    /// * `{session}` its session, `*` where that is not known.
    ///
    /// What is left is for whoever looks at the directories: `{newest}` for the last one in the order of
    /// their names, and one `*` in the file's name.
    pub fn path(&self, subject: &Subject) -> String {
        fill(&self.path, subject)
    }

    /// What must stand at the beginning of the file.
    pub fn head(&self, subject: &Subject) -> Option<String> {
        self.head.as_deref().map(|head| fill(head, subject))
    }

    /// The document that names the session, and the key in it.
    pub fn session(&self, subject: &Subject) -> Option<(String, &str)> {
        let (path, key) = self.session.as_deref()?.split_once('#')?;
        Some((fill(path, subject), key))
    }

    /// The texts in one line of the file, if it is such an entry.
    pub fn entry(&self, runtime: &str, line: &[u8]) -> Vec<Recorded> {
        // Most lines are something else, and some are long: look before parsing.
        let may_be = self.only.iter().all(|(_, value)| holds(line, value));
        if !may_be || line.len() > LINE_MAX {
            return Vec::new();
        }
        let Ok(entry) = serde_json::from_slice::<Value>(line) else {
            return Vec::new();
        };
        let fits = self
            .only
            .iter()
            .all(|(key, value)| at(&entry, key).and_then(Value::as_str) == Some(value));
        if !fits {
            return Vec::new();
        }
        let texts = self.text.iter().filter_map(|key| at(&entry, key));
        texts
            .map(words)
            .filter(|text| !text.is_empty())
            .map(|text| Recorded {
                by: format!("its own record ({runtime} {})", self.name),
                text,
                says: self.says,
            })
            .collect()
    }
}

/// The text under a key of a small JSON document.
pub fn value_of(document: &[u8], key: &str) -> Option<String> {
    let document = serde_json::from_slice::<Value>(document).ok()?;
    Some(at(&document, key)?.as_str()?.to_owned())
}

fn fill(pattern: &str, subject: &Subject) -> String {
    let dashed: String = subject
        .cwd
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let slashed = subject.cwd.trim_start_matches('/').replace('/', "-");
    pattern
        .replace("{pid}", &subject.pid.to_string())
        .replace("{cwd-}", &dashed)
        .replace("{cwd/-}", &slashed)
        .replace("{cwd}", &subject.cwd)
        .replace("{session}", subject.session.as_deref().unwrap_or("*"))
}

fn holds(line: &[u8], value: &str) -> bool {
    let value = value.as_bytes();
    value.is_empty() || line.windows(value.len()).any(|w| w == value)
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// A text, or the texts of a list's members.
fn words(value: &Value) -> String {
    let Value::Array(members) = value else {
        return value.as_str().unwrap_or_default().to_owned();
    };
    let texts: Vec<&str> = members
        .iter()
        .filter_map(|member| member.get("text").unwrap_or(member).as_str())
        .collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::profile::Profiles;

    fn rule(runtime: &str, at: usize) -> RecordRule {
        let profiles = Profiles::with(&[]);
        match profiles.named(runtime).and_then(|p| p.record.get(at)) {
            Some(rule) => rule.clone(),
            None => panic!("{runtime} has no record {at}"),
        }
    }

    fn texts(runtime: &str, at: usize, line: &str) -> Vec<String> {
        let entries = rule(runtime, at).entry(runtime, line.as_bytes());
        entries.into_iter().map(|e| e.text).collect()
    }

    #[test]
    fn the_prompt_is_read_from_what_each_runtime_writes() {
        let claude = r#"{"type":"user","message":{"role":"user","content":"run the tests"},"sessionId":"x"}"#;
        assert_eq!(texts("claude", 0, claude), ["run the tests"]);
        let queued = r#"{"type":"queue-operation","operation":"enqueue","content":"and lint"}"#;
        assert_eq!(texts("claude", 1, queued), ["and lint"]);
        let codex = r#"{"type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"run the tests"}]}}"#;
        assert_eq!(texts("codex", 0, codex), ["run the tests"]);
        let pi = r#"{"type":"message","message":{"role":"user","content":[{"type":"text","text":"run the tests"}]}}"#;
        assert_eq!(texts("pi", 0, pi), ["run the tests"]);
        let paste = r#"{"input":"[Pasted ~2 lines] ","parts":[{"type":"text","text":"one\ntwo"}],"mode":"normal"}"#;
        assert_eq!(
            texts("opencode", 0, paste),
            ["[Pasted ~2 lines] ", "one\ntwo"]
        );
    }

    #[test]
    fn what_the_agent_says_and_what_its_tools_return_is_no_prompt() {
        let answer = r#"{"type":"assistant","message":{"role":"user","content":"run the tests"}}"#;
        assert!(texts("claude", 0, answer).is_empty());
        let tool = r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","content":"run the tests"}]}}"#;
        assert!(texts("claude", 0, tool).is_empty());
        let taken_back = r#"{"type":"queue-operation","operation":"dequeue","content":"and lint"}"#;
        assert!(texts("claude", 1, taken_back).is_empty());
        let shell = r#"{"input":"ls","parts":[],"mode":"shell"}"#;
        assert!(texts("opencode", 0, shell).is_empty());
    }

    #[test]
    fn a_hostile_line_is_no_entry() {
        let rule = rule("claude", 0);
        let long = format!(
            r#"{{"type":"user","message":{{"content":"{}"}}}}"#,
            "x".repeat(LINE_MAX)
        );
        let deep = format!(r#"{{"type":"user","message":{}"#, "[".repeat(100_000));
        for line in [
            long.as_bytes(),
            deep.as_bytes(),
            b"\xff\xfe{\"type\":\"user\"}",
            br#"{"type":"user","message":{"content":"cut of"#,
            br#"{"type":"user","message":{"content":{"text":7}}}"#,
            br#""user""#,
            b"user",
            b"",
        ] {
            assert_eq!(rule.entry("claude", line), Vec::new());
        }
    }

    #[test]
    fn the_place_is_the_one_of_this_process() {
        let subject = Subject {
            pid: 42,
            cwd: "/home/me/my_project.rs".into(),
            session: Some("5e55".into()),
        };
        let claude = rule("claude", 0);
        assert_eq!(
            claude.path(&subject),
            "projects/-home-me-my-project-rs/5e55.jsonl"
        );
        assert_eq!(
            claude.session(&subject),
            Some(("sessions/42.json".into(), "sessionId"))
        );
        let unknown = Subject {
            session: None,
            ..subject.clone()
        };
        assert!(claude.path(&unknown).ends_with("/*.jsonl"));
        let pi = rule("pi", 0);
        assert_eq!(
            pi.path(&subject),
            "sessions/--home-me-my_project.rs--/*.jsonl"
        );
        let head = rule("codex", 0).head(&subject);
        assert_eq!(head.as_deref(), Some("\"cwd\":\"/home/me/my_project.rs\""));
    }
}
