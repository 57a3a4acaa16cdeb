//! The Model Context Protocol, as far as a server with a few tools needs it: what a client's line asks for,
//! and the lines that answer it. JSON-RPC 2.0, one message a line
//! (modelcontextprotocol.io/specification/2025-11-25).

use serde_json::{Map, Value, json};

use super::{history, sgr};

/// The protocol versions we speak, newest first. They differ in nothing that we use, but for batches, which only
/// 2025-03-26 has and which we always take.
pub const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// Error codes of JSON-RPC 2.0.
pub mod code {
    /// What came is no JSON.
    pub const PARSE: i32 = -32_700;
    /// It is JSON and no request.
    pub const INVALID_REQUEST: i32 = -32_600;
    /// There is no such method.
    pub const NO_METHOD: i32 = -32_601;
    /// The method's parameters make no sense; also: there is no such tool.
    pub const INVALID_PARAMS: i32 = -32_602;
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// An answer that we have already.
    Answer(Value),
    /// A tool is called; the answer goes under this id.
    Call {
        /// The request's id: a string or a number.
        id: Value,
        /// What to run.
        call: Call,
    },
    /// The call with this id is not wanted any more.
    Cancel(Value),
    /// Nothing to do and nothing to say.
    Nothing,
}

/// One of our verbs, to be run for a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// `mosaic-agent` or `mosaic-fleet`.
    pub binary: &'static str,
    /// Its arguments.
    pub words: Vec<String>,
    /// Its standard input.
    pub input: String,
    /// How its answer is shown.
    pub shown: Shown,
}

/// How a verb's document becomes a tool's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Document,
    /// Its last rows, as text.
    Rows(usize),
}

/// Reads one message. We ask nothing, so a response to us is nobody's.
pub fn read(message: &Value) -> Incoming {
    let id = message.get("id");
    let is_id = |id: &Value| id.is_string() || id.is_i64() || id.is_u64();
    let method = message.get("method").and_then(Value::as_str);
    let is_rpc = message.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
    let params = message.get("params").unwrap_or(&Value::Null);
    match (method, id) {
        (None, Some(_)) if message.get("result").or(message.get("error")).is_some() => {
            Incoming::Nothing
        }
        (Some(method), None) if is_rpc => match (method, params.get("requestId")) {
            ("notifications/cancelled", Some(id)) => Incoming::Cancel(id.clone()),
            _ => Incoming::Nothing,
        },
        (Some(method), Some(id)) if is_rpc && is_id(id) => request(id, method, params),
        _ => {
            let id = id.filter(|id| is_id(id)).unwrap_or(&Value::Null);
            let said =
                "no JSON-RPC 2.0 request: it takes jsonrpc, method, and as id a string or number";
            Incoming::Answer(error(id, code::INVALID_REQUEST, said))
        }
    }
}

fn request(id: &Value, method: &str, params: &Value) -> Incoming {
    match method {
        "initialize" => Incoming::Answer(answer(id, welcome(params))),
        "ping" => Incoming::Answer(answer(id, json!({}))),
        "tools/list" => Incoming::Answer(answer(id, json!({"tools": tools()}))),
        "tools/call" => {
            let name = params
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let none = Map::new();
            let given = match params.get("arguments") {
                None | Some(Value::Null) => Some(&none),
                Some(given) => given.as_object(),
            };
            let Some(given) = given else {
                let said = "arguments must be an object";
                return Incoming::Answer(error(id, code::INVALID_PARAMS, said));
            };
            match call(name, given) {
                Some(Ok(call)) => Incoming::Call {
                    id: id.clone(),
                    call,
                },
                // As a result and not as an error of the protocol: the model is to see it and do better.
                Some(Err(why)) => Incoming::Answer(answer(id, refused(&why))),
                None => {
                    let said = format!("there is no tool {name:?}");
                    Incoming::Answer(error(id, code::INVALID_PARAMS, &said))
                }
            }
        }
        other => {
            let said = format!("there is no method {other:?}");
            Incoming::Answer(error(id, code::NO_METHOD, &said))
        }
    }
}

/// The answer to `initialize`: the version asked for if we speak it, else our newest.
fn welcome(params: &Value) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let version = VERSIONS.iter().find(|v| Some(**v) == asked);
    json!({
        "protocolVersion": version.unwrap_or(&VERSIONS[0]),
        "capabilities": {"tools": {}},
        "serverInfo": {
            "name": "mosaic",
            "title": "The agents of this fleet",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "instructions": "Other coding agents run on this host, each under a name. `ps` lists them, `send` types a message \
            into one and returns a receipt that says whether it was taken, `status` and `tail` show what one is doing. An \
            answer does not come back through `send`: the other agent sends you a message when it has one.",
    })
}

/// Our tools, as `tools/list` shows them.
fn tools() -> Value {
    let agent = json!({"type": "string", "description": "the agent's name, as ps shows it"});
    let reads = json!({"readOnlyHint": true, "openWorldHint": false});
    json!([
        {
            "name": "send",
            "title": "Send a message to another agent",
            "description": "Types a message into another agent's composer, submits it, and returns the receipt. `verdict`: \
                accepted (taken), queued (in its own queue), held (waits for its turn); anything else was not taken, and \
                `reason` says why: busy, blocked, occupied, unready (nothing was typed, try later), draft (it was not submitted), \
                unknown (typed, fate not provable: do not send it again, ask with status), rejected, gone. Who writes is put in front \
                of the message.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "agent": agent,
                    "message": {"type": "string", "description": "plain text; line feeds and tabs may stand in it"},
                    "timeout_s": {"type": "number", "minimum": 0, "description": "how long it may wait for its turn (30)"},
                    "when_busy": {"enum": ["hold", "type", "refuse"], "description": "while a turn runs there (hold)"},
                    "when_draft": {"enum": ["refuse", "wait"], "description": "while somebody's draft is there (refuse)"},
                    "verify": {"type": "boolean", "description": "false: hand it over and do not wait for the verdict (true)"},
                    "id": {"type": "string", "description": "the same id is never typed twice"},
                    "host": {"type": "string", "description": "USER@HOST, if the agent is on another host (over ssh)"},
                },
                "required": ["agent", "message"],
                "additionalProperties": false,
            },
            "annotations": {"readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": false},
        },
        {
            "name": "status",
            "title": "What an agent is doing",
            "description": "An agent's state (starting, ready, busy, blocked, wedged, exited), why, and its last receipt.",
            "inputSchema": {
                "type": "object", "properties": {"agent": agent}, "required": ["agent"], "additionalProperties": false,
            },
            "annotations": reads,
        },
        {
            "name": "ps",
            "title": "The agents there are",
            "description": "One row per agent of this fleet: name, state, health, runtime, and what is wrong with it.",
            "inputSchema": {"type": "object", "properties": {}, "additionalProperties": false},
            "annotations": reads,
        },
        {
            "name": "tail",
            "title": "An agent's screen",
            "description": "The last rows of what an agent shows and has shown, as text.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "agent": agent,
                    "lines": {"type": "integer", "minimum": 1, "description": "how many rows (40)"},
                },
                "required": ["agent"],
                "additionalProperties": false,
            },
            "annotations": reads,
        },
    ])
}

/// How many rows `tail` shows unless asked for others: a usual screen.
const ROWS: usize = 40;

/// The verb behind a tool, or what is wrong with its arguments; `None`: there is no such tool.
fn call(tool: &str, given: &Map<String, Value>) -> Option<Result<Call, String>> {
    let listed = tools();
    let listed = listed.as_array().into_iter().flatten();
    let schema = &listed.into_iter().find(|t| t["name"] == tool)?["inputSchema"];
    let unknown = |name: &&String| schema["properties"].get(name.as_str()).is_none();
    if let Some(name) = given.keys().find(unknown) {
        return Some(Err(format!("{tool} takes no {name:?}")));
    }
    let document = |binary, words: Vec<String>| Call {
        binary,
        words,
        input: String::new(),
        shown: Shown::Document,
    };
    let read = |verb: &str, agent: String| {
        document(
            "mosaic-fleet",
            [verb, "--json", "--", &agent].map(str::to_owned).to_vec(),
        )
    };
    Some(match tool {
        "send" => send(given),
        "status" => text(given, "agent").map(|agent| read("status", agent)),
        "ps" => Ok(document("mosaic-fleet", vec!["ps".into(), "--json".into()])),
        _ => text(given, "agent").and_then(|agent| {
            let rows = match given.get("lines") {
                None => ROWS,
                Some(n) => n
                    .as_u64()
                    .and_then(|n| usize::try_from(n).ok())
                    .filter(|n| *n > 0)
                    .ok_or("lines must be a number from 1")?,
            };
            let lines = rows.to_string();
            let words = ["tail", "--json", "-n", &lines, "--", &agent].map(str::to_owned);
            Ok(Call {
                shown: Shown::Rows(rows),
                ..document("mosaic-fleet", words.to_vec())
            })
        }),
    })
}

fn send(given: &Map<String, Value>) -> Result<Call, String> {
    let (agent, input) = (text(given, "agent")?, text(given, "message")?);
    let mut words = vec!["send".to_owned(), "--json".into()];
    match given.get("verify") {
        None | Some(Value::Bool(true)) => words.push("--verify".into()),
        Some(Value::Bool(false)) => {}
        Some(_) => return Err("verify must be true or false".into()),
    }
    if let Some(seconds) = given.get("timeout_s") {
        let seconds = seconds.as_f64().filter(|s| (0.0..=1e9).contains(s));
        let seconds = seconds.ok_or("timeout_s must be a number of seconds")?;
        words.extend(["--timeout".into(), format!("{seconds:.3}")]);
    }
    for (name, option, prefix) in [
        ("when_busy", "--when", "busy="),
        ("when_draft", "--when", "draft="),
        ("id", "--id", ""),
        ("host", "-H", ""),
    ] {
        if given.contains_key(name) {
            words.extend([option.into(), format!("{prefix}{}", text(given, name)?)]);
        }
    }
    words.extend(["--".into(), agent, "-".into()]);
    Ok(Call {
        binary: "mosaic-agent",
        words,
        input,
        shown: Shown::Document,
    })
}

fn text(given: &Map<String, Value>, name: &str) -> Result<String, String> {
    match given.get(name) {
        // An argument of a process ends at a NUL; a message with one is refused by `send` itself.
        Some(Value::String(text)) if name == "message" || !text.contains('\0') => Ok(text.clone()),
        Some(_) => Err(format!("{name} must be a text")),
        None => Err(format!("{name} is missing")),
    }
}

/// What came of a verb.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its exit code; none if it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// The result of a call: the document, as text and as it is; or the complaint.
pub fn result(outcome: &Outcome, shown: Shown) -> Value {
    let is_error = outcome.code != Some(0);
    let document = serde_json::from_str::<Value>(&outcome.stdout).ok();
    let Some(document) = document.filter(Value::is_object) else {
        let complaint = outcome.stderr.trim();
        let said = complaint
            .strip_prefix("mosaic-agent: ")
            .or_else(|| complaint.strip_prefix("mosaic-fleet: "))
            .unwrap_or(complaint);
        return refused(&match outcome.code {
            Some(code) => format!("{said} (exit code {code})"),
            None => "it was ended before it could answer".to_owned(),
        });
    };
    let text = match shown {
        Shown::Document => document.to_string(),
        Shown::Rows(rows) => last_rows(&document, rows),
    };
    json!({"content": [{"type": "text", "text": text}], "structuredContent": document, "isError": is_error})
}

/// What has left the screen and what is on it, as text: the last rows of both.
fn last_rows(document: &Value, rows: usize) -> String {
    let list = |key: &str| document[key].as_array().into_iter().flatten();
    let left = list("lines").map(|line| history::told(line, false));
    let shown = list("screen").filter_map(Value::as_str);
    let all: Vec<String> = left
        .chain(shown.map(|row| sgr::shown(row, false)))
        .collect();
    let used = all.iter().rposition(|row| !row.trim().is_empty());
    let all = &all[..used.map_or(0, |last| last + 1)];
    all[all.len().saturating_sub(rows)..].join("\n")
}

/// A call that could not be done, for the model to read.
pub fn refused(why: &str) -> Value {
    json!({"content": [{"type": "text", "text": why}], "isError": true})
}

/// A response.
pub fn answer(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// A response that is an error.
pub fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Incoming {
        read(&serde_json::from_str(line).expect("JSON"))
    }

    fn words(tool: &str, arguments: Value) -> Result<Vec<String>, String> {
        let given = arguments.as_object().expect("an object");
        call(tool, given).expect("a tool").map(|call| call.words)
    }

    #[test]
    fn a_version_we_speak_is_taken_and_for_any_other_our_newest_is_offered() {
        for (asked, got) in VERSIONS
            .map(|v| (v, v))
            .into_iter()
            .chain([("1999-01-01", VERSIONS[0])])
        {
            let welcome = welcome(&json!({"protocolVersion": asked}));
            assert_eq!(welcome["protocolVersion"], got);
        }
    }

    #[test]
    fn what_is_no_request_is_an_error_with_the_id_it_had() {
        for (line, id) in [
            (r#"{"id":7,"method":"ping"}"#, json!(7)),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
                Value::Null,
            ),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1}"#, json!(1)),
            ("17", Value::Null),
        ] {
            let Incoming::Answer(answer) = said(line) else {
                panic!("{line}")
            };
            assert_eq!(answer["error"]["code"], code::INVALID_REQUEST, "{line}");
            assert_eq!(answer["id"], id, "{line}");
        }
        assert_eq!(
            said(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            Incoming::Nothing
        );
        assert_eq!(
            said(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#),
            Incoming::Nothing
        );
    }

    #[test]
    fn a_call_becomes_the_words_of_a_verb_and_the_message_is_not_among_them() {
        let arguments = json!({"agent": "--x", "message": "hi", "timeout_s": 2.5, "when_busy": "refuse", "id": "m", "host": "h"});
        let call = call("send", arguments.as_object().expect("an object"));
        let call = call.expect("a tool").expect("a call");
        let expected =
            "send --json --verify --timeout 2.500 --when busy=refuse --id m -H h -- --x -";
        assert_eq!(call.words.join(" "), expected);
        assert_eq!(call.input, "hi");
        let status = words("status", json!({"agent": "a"}));
        assert_eq!(
            status,
            Ok(["status", "--json", "--", "a"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn wrong_arguments_are_told_to_the_model_by_name() {
        for (tool, arguments, name) in [
            ("send", json!({"agent": "a"}), "message"),
            ("send", json!({"agent": 1, "message": "x"}), "agent"),
            (
                "send",
                json!({"agent": "a", "message": "x", "verify": "yes"}),
                "verify",
            ),
            (
                "send",
                json!({"agent": "a", "message": "x", "timeout_s": -1}),
                "timeout_s",
            ),
            (
                "send",
                json!({"agent": "a", "message": "x", "to": "b"}),
                "to",
            ),
            ("send", json!({"agent": "a\u{0}", "message": "x"}), "agent"),
            ("tail", json!({"agent": "a", "lines": 0}), "lines"),
            ("ps", json!({"agent": "a"}), "agent"),
        ] {
            let refused = words(tool, arguments).expect_err("it is wrong");
            assert!(refused.contains(name), "{tool}: {refused}");
        }
        assert!(call("fly", &Map::new()).is_none());
    }

    #[test]
    fn a_result_is_text_and_structure_and_an_error_where_the_verb_failed() {
        let outcome = |code, stdout: &str, stderr: &str| Outcome {
            code,
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        let busy = result(
            &outcome(Some(75), r#"{"verdict":"busy"}"#, ""),
            Shown::Document,
        );
        assert_eq!(busy["isError"], true);
        assert_eq!(busy["structuredContent"]["verdict"], "busy");
        let seen =
            r#"{"lines":[{"text":"a"},{"text":"\u001b[1mb\u001b[m"}],"screen":["c"," ",""]}"#;
        let tail = result(&outcome(Some(0), seen, ""), Shown::Rows(2));
        assert_eq!(tail["content"][0]["text"], "b\nc");
        let lossy = r#"{"lines":[{"missing":7},{"text":"b"}],"screen":["c"]}"#;
        let tail = result(&outcome(Some(0), lossy, ""), Shown::Rows(3));
        let said = "[7 lines are missing here]\nb\nc";
        assert_eq!(tail["content"][0]["text"], said);
        let failed = result(
            &outcome(Some(77), "", "mosaic-agent: not you\n"),
            Shown::Document,
        );
        assert_eq!(failed["content"][0]["text"], "not you (exit code 77)");
        assert_eq!(
            (&failed["isError"], failed.get("structuredContent")),
            (&json!(true), None)
        );
    }
}
