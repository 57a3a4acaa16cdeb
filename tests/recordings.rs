//! The engine over recordings, by the program's own `replay` and `explain --cast`.
//!
//! Most recordings in here are made by the tests themselves, byte by byte. Those of real runtimes stand in
//! `tests/recordings/`, with the truth about every message in them in `index.tsv`; the trials make both
//! (`tests/trials/golden.rs`).

mod support;

use serde_json::{Value, json};
use support::{Output, Sandbox};

/// A recording of a demo-like TUI being written line by line.
struct Cast(String);

const RULE: &str = "────────────────────────────────────────";

impl Cast {
    fn new() -> Cast {
        let header =
            json!({"version": 3, "term": {"cols": 40, "rows": 12}, "mosaic": {"runtime": "demo"}});
        Cast(format!("{header}\n"))
    }

    /// After so many seconds, this event.
    fn then(mut self, after: f64, code: &str, data: &str) -> Cast {
        self.0
            .push_str(&format!("{}\n", json!([after, code, data])));
        self
    }

    /// The runtime draws a transcript, a status row and a composer.
    fn draws(self, transcript: &str, status: &str, composer: &str) -> Cast {
        let frame = format!(
            "\x1b[?2026h\x1b[2J\x1b[H{transcript}\x1b[8;1H{status}\x1b[9;1H{RULE}\x1b[11;1H{RULE}\
             \x1b[10;1H❭ {composer}\x1b[?25h\x1b[?2004h\x1b[?2026l"
        );
        self.then(0.1, "o", &frame)
    }

    fn types(self, text: &str) -> Cast {
        self.then(0.1, "i", text)
    }

    fn replay(&self, sandbox: &Sandbox, args: &[&str]) -> Output {
        let path = sandbox.script("a.cast", &self.0);
        let mut all = vec!["replay", path.to_str().expect("a path")];
        all.extend(args);
        sandbox.agent(&all)
    }

    /// The receipts: text and verdict.
    fn receipts(&self) -> Vec<(String, String)> {
        let sandbox = Sandbox::new();
        let output = self.replay(&sandbox, &["--json"]);
        assert_eq!(output.code, 0, "{output:?}");
        let lines = output.stdout.lines().map(|l| {
            let line: Value = serde_json::from_str(l).expect("a line is JSON");
            assert_eq!(line["schema"], "mosaic.replay/1");
            assert!(line["tenant_id"].is_string() && line["host"].is_string());
            line
        });
        lines
            .filter(|l| l["kind"] == "receipt")
            .map(|l| {
                let word = |key: &str| l[key].as_str().unwrap_or_default().to_owned();
                (word("text"), word("verdict"))
            })
            .collect()
    }
}

/// What the replay says of the message with this token in a recording of `tests/recordings/`.
fn verdict_in(sandbox: &Sandbox, file: &str, token: &str) -> Option<String> {
    let path = format!("{}/tests/recordings/{file}", env!("CARGO_MANIFEST_DIR"));
    let output = sandbox.agent(&["replay", "--json", &path]);
    assert_eq!(output.code, 0, "{file}: {output:?}");
    let lines = output.stdout.lines();
    let mut receipts = lines
        .map(|l| serde_json::from_str::<Value>(l).expect("a line is JSON"))
        .filter(|l| l["kind"] == "receipt")
        .filter(|l| l["text"].as_str().is_some_and(|text| text.contains(token)));
    let verdict = receipts.next_back()?["verdict"].as_str()?.to_owned();
    Some(verdict)
}

#[test]
fn recordings_of_real_runtimes_are_judged_as_it_really_was() {
    let sandbox = Sandbox::new();
    let index = include_str!("recordings/index.tsv");
    let mut seen = 0;
    for line in index.lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, token, truth] = fields[..] else {
            panic!("index.tsv: {line:?}")
        };
        let verdict = verdict_in(&sandbox, file, token);
        let allowed: &[&str] = match truth {
            "Accepted" | "Queued" => &["accepted", "queued"],
            "Draft" => &["draft"],
            "HandedBack" => &["queued", "draft", "unknown"],
            "Lost" => &["unknown", "draft"],
            other => panic!("index.tsv: {other:?}"),
        };
        let word = verdict.as_deref().unwrap_or("no receipt");
        assert!(
            allowed.contains(&word),
            "{file}: {token} was {truth}, and the replay says {word}"
        );
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} messages in the index");
}

const BUSY: &str = " ⠋ Thinking… (0s · esc to interrupt)";

fn one(text: &str, verdict: &str) -> Vec<(String, String)> {
    vec![(text.into(), verdict.into())]
}

#[test]
fn a_pasted_message_that_begins_a_turn_is_accepted() {
    let cast = Cast::new()
        .draws("", "", "")
        .types("\x1b[200~run the tests\x1b[201~")
        .draws("", "", "run the tests")
        .types("\r")
        .draws("❭ run the tests", BUSY, "");
    assert_eq!(cast.receipts(), one("run the tests", "accepted"));
}

#[test]
fn text_and_enter_in_one_write_that_stays_is_a_draft_until_the_next_enter() {
    let cast = Cast::new()
        .draws("", "", "")
        .types("run the tests\r")
        .draws("", "", "run the tests")
        .then(5.0, "i", "\r")
        .draws("❭ run the tests", BUSY, "");
    let both: Vec<String> = cast.receipts().into_iter().map(|r| r.1).collect();
    assert_eq!(both, ["draft", "accepted"]);
}

#[test]
fn an_enter_that_answers_a_dialog_accepts_no_message() {
    let dialog = "\x1b[2J\x1b[H Allow the demo to run: x?\r\n ❭ 1. Yes\x1b[?25l";
    let cast = Cast::new()
        .draws("", BUSY, "")
        .then(0.1, "o", dialog)
        .types("\x1b[200~run the tests\x1b[201~")
        .types("\r")
        .draws("", BUSY, "");
    assert_eq!(cast.receipts(), one("run the tests", "unknown"));
}

#[test]
fn typing_that_nobody_submits_gives_no_receipt_and_replies_of_the_terminal_are_no_typing() {
    let cast = Cast::new()
        .draws("", "", "")
        .types("\x1b[?1;2c\x1b]11;rgb:0/0/0\x07\x1b[I")
        .types("half a thought")
        .draws("", "", "half a thought");
    assert_eq!(cast.receipts(), Vec::new());
}

#[test]
fn broken_lines_are_told_and_skipped_and_a_broken_header_is_a_usage_error() {
    let sandbox = Sandbox::new();
    let mut cast = Cast::new().draws("", "", "");
    cast.0.push_str("[0.1,\"o\"\n{}\n[null]\n");
    let output = cast.replay(&sandbox, &[]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("a.cast:3:"), "{output:?}");
    assert!(output.stdout.contains("ready"), "{output:?}");
    let output = Cast("garbage\n".into()).replay(&sandbox, &[]);
    assert_eq!(output.code, 2, "{output:?}");
    let output = cast.replay(&sandbox, &["--runtime", "nothing"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("--runtime pi"), "{output:?}");
}

#[test]
fn explain_names_the_rule_that_fired_on_a_recorded_screen() {
    let sandbox = Sandbox::new();
    let cast = Cast::new()
        .draws("", "", "")
        .draws("❭ run the tests", BUSY, "")
        .then(9.0, "o", "\x1b[2J");
    let path = sandbox.script("b.cast", &cast.0);
    let path = path.to_str().expect("a path");
    let (code, found) = sandbox.agent_json(&["explain", "--json", "--cast", path, "--at", "1"]);
    assert_eq!(code, 0);
    assert_eq!(found["state"], "busy");
    assert_eq!(found["schema"], "mosaic.explain/1");
    assert!(found["tenant_id"].is_string() && found["host"].is_string());
    assert_eq!(found["composer"]["free"], true);
    let fired: Vec<&Value> = found["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .filter(|r| r["fired"] == true)
        .collect();
    assert_eq!(fired.len(), 1, "{found:#}");
    assert_eq!(fired[0]["name"], "thinking");
    let (_, end) = sandbox.agent_json(&["explain", "--json", "--cast", path]);
    assert_eq!(end["composer"], Value::Null);
}
