//! The model stub (`tests/runtimes/model-stub.mjs`) as a process, and its log: the truth.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use super::rig::squeezed;

/// A running stub. Ends with us: its stdin closes.
pub struct Stub {
    process: Child,
    log: PathBuf,
    seen: Mutex<Seen>,
    /// Where it listens.
    pub port: String,
}

/// What the log said so far.
#[derive(Default)]
struct Seen {
    /// Bytes of whole lines read.
    read: u64,
    /// The new texts of every request that was a turn's, and when it came, in Unix milliseconds.
    texts: Vec<(u64, String)>,
    /// The same, squeezed.
    squeezed: Vec<String>,
    /// All texts of the user in the request with the longest history.
    history: Vec<String>,
}

impl Stub {
    /// Starts it with its log in `dir`.
    pub fn start(dir: &Path) -> Stub {
        let log = dir.join("model.ndjson");
        let script = super::repository().join("tests/runtimes/model-stub.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .args(["--port", "0", "--die-with-stdin", "--log"])
            .arg(&log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs the model stub");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the stub says where it listens");
        let port = line.trim().strip_prefix("LISTENING ").unwrap_or_default();
        assert!(!port.is_empty(), "the model stub said {line:?}");
        Stub {
            port: port.to_owned(),
            process,
            log,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panicked with the log")
    }

    /// Reads what the log has got since the last time.
    fn catch_up(&self) {
        let mut seen = self.seen();
        let mut bytes = Vec::new();
        let mut file = File::open(&self.log).expect("the stub's log is there");
        file.seek(SeekFrom::Start(seen.read))
            .and_then(|_| file.read_to_end(&mut bytes))
            .expect("the stub's log can be read");
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        seen.read += whole as u64;
        for line in bytes[..whole]
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
        {
            let entry: Value = serde_json::from_slice(line).expect("the log is NDJSON");
            if entry["ev"] == "req" && entry["aux"] == false {
                let new = strings(&entry["new_texts"]);
                seen.squeezed.extend(new.iter().map(|t| squeezed(t)));
                let at = (entry["t"].as_f64().unwrap_or_default() * 1_000.0) as u64;
                seen.texts.extend(new.into_iter().map(|text| (at, text)));
                let history = strings(&entry["user_texts"]);
                if history.len() >= seen.history.len() {
                    seen.history = history;
                }
            }
        }
    }

    /// The text with this token as the model got it, and when, in Unix milliseconds.
    pub fn got(&self, token: &str) -> Option<(u64, String)> {
        self.catch_up();
        let seen = self.seen();
        seen.texts.iter().find(|(_, t)| t.contains(token)).cloned()
    }

    /// What came back from tools in the newest request that had any.
    pub fn tool_texts(&self) -> Vec<String> {
        let entries = self.entries();
        let texts = entries.iter().rev().map(|e| strings(&e["tool_texts"]));
        texts
            .into_iter()
            .find(|t| !t.is_empty())
            .unwrap_or_default()
    }

    /// All that the user has said, as each request of a session has it.
    pub fn conversations(&self) -> Vec<String> {
        let mut entries = self.entries();
        entries.retain(|e| e["ev"] == "req" && e["aux"] == false);
        let texts = entries.iter().map(|e| strings(&e["user_texts"]).join("\n"));
        texts.collect()
    }

    /// What else was asked for, and what could not be done.
    pub fn other(&self) -> Vec<Value> {
        let mut entries = self.entries();
        entries.retain(|e| e["ev"] == "other");
        entries
    }

    fn entries(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines()
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect()
    }

    /// Whether the model got this text whole, but for blanks and line ends.
    pub fn got_whole(&self, text: &str) -> bool {
        let wanted = squeezed(text);
        self.seen().squeezed.iter().any(|t| t.contains(&wanted))
    }

    /// How often the token stands in the conversation: twice is a message that was submitted twice.
    pub fn times(&self, token: &str) -> usize {
        let seen = self.seen();
        seen.history.iter().map(|t| t.matches(token).count()).sum()
    }
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
