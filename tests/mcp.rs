//! `mosaic-fleet mcp`: a client that keeps to the protocol gets what the protocol says, and the truth about
//! its messages.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Demo, FLEET, LATER, Running, SOON, Sandbox, always, get, ms, until};

/// A server and our end of it.
struct Server {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Answers that came before they were asked for.
    early: Vec<Value>,
}

impl Server {
    fn start(sandbox: &Sandbox) -> Server {
        let mut command = sandbox.command(FLEET);
        command
            .arg("mcp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().expect("the server starts");
        let output = process.stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line).expect("one JSON a line, nothing else");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Server {
            input: process.stdin.take(),
            process,
            lines,
            early: Vec::new(),
        }
    }

    /// Started and greeted.
    fn ready(sandbox: &Sandbox) -> Server {
        let mut server = Server::start(sandbox);
        let asked = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let hello = server.ask(0, "initialize", asked);
        assert_eq!(hello["result"]["protocolVersion"], "2025-06-18", "{hello}");
        assert!(
            hello["result"]["capabilities"]["tools"].is_object(),
            "{hello}"
        );
        server.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        server
    }

    fn write(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is open");
        input
            .write_all(format!("{line}\n").as_bytes())
            .expect("the server reads");
    }

    fn post(&mut self, id: u64, method: &str, params: Value) {
        self.write(
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        );
    }

    /// The answer with this id.
    #[track_caller]
    fn answer(&mut self, id: u64) -> Value {
        if let Some(at) = self.early.iter().position(|a| a["id"] == id) {
            return self.early.remove(at);
        }
        loop {
            match self.lines.recv_timeout(LATER) {
                Ok(answer) if answer["id"] == id => return answer,
                Ok(other) => self.early.push(other),
                Err(e) => panic!("no answer to {id}: {e}"),
            }
        }
    }

    #[track_caller]
    fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.post(id, method, params);
        let answer = self.answer(id);
        assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
        answer
    }

    fn begin(&mut self, id: u64, tool: &str, arguments: Value) {
        self.post(
            id,
            "tools/call",
            json!({"name": tool, "arguments": arguments}),
        );
    }

    /// The result of a call.
    #[track_caller]
    fn call(&mut self, id: u64, tool: &str, arguments: Value) -> Value {
        self.begin(id, tool, arguments);
        let answer = self.answer(id);
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    /// Closes its input and waits for its end.
    #[track_caller]
    fn close(&mut self) -> (Duration, Option<i32>) {
        self.input = None;
        let mut ended = None;
        let took = until(SOON, "the server's end", || {
            ended = self.process.try_wait().expect("our child");
            ended.is_some()
        });
        (took, ended.and_then(|status| status.code()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// It is as `docs/schemas/NAME.json` says.
#[track_caller]
fn assert_valid(name: &str, document: &Value) {
    let path = format!("{}/docs/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema = serde_json::from_slice(&std::fs::read(path).expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(document), "{name}: {document}");
}

#[test]
fn the_protocol_is_kept_whatever_comes() {
    let sandbox = Sandbox::new();
    let mut server = Server::ready(&sandbox);
    assert_eq!(server.ask(1, "ping", json!({}))["result"], json!({}));
    let tools = server.ask(2, "tools/list", json!({}))["result"]["tools"].clone();
    let names: Vec<&str> = tools
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["name"].as_str())
        .collect();
    assert_eq!(names, ["send", "status", "ps", "tail"]);
    for tool in tools.as_array().into_iter().flatten() {
        assert!(
            jsonschema::validator_for(&tool["inputSchema"]).is_ok(),
            "{tool}"
        );
    }
    let code = |answer: &Value| answer["error"]["code"].as_i64();
    assert_eq!(
        code(&server.ask(3, "resources/list", json!({}))),
        Some(-32_601)
    );
    let fly = server.ask(4, "tools/call", json!({"name": "fly"}));
    assert_eq!(code(&fly), Some(-32_602));
    let odd = server.ask(5, "tools/call", json!({"name": "ps", "arguments": 7}));
    assert_eq!(code(&odd), Some(-32_602));
    // A wrong argument is for the model to see.
    let wrong = server.call(6, "status", json!({"agents": "x"}));
    assert_eq!(wrong["isError"], true, "{wrong}");
    for (line, expected) in [
        ("{nothing".to_owned(), -32_700),
        (r#"{"id":null}"#.to_owned(), -32_600),
        ("[]".to_owned(), -32_600),
        // Longer than any request may be, and still only one line.
        (format!(r#"{{"x":"{}"}}"#, "y".repeat(2_000_000)), -32_700),
    ] {
        server.write(&line);
        let answer = server.lines.recv_timeout(LATER).expect("an answer");
        assert_eq!(
            code(&answer),
            Some(expected),
            "{}",
            &line[..line.len().min(40)]
        );
        assert_eq!(answer["id"], Value::Null);
    }
    // Nobody answers these, and nothing breaks.
    server
        .write(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#);
    server.write(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    server.write("");
    // As 2025-03-26 has it: answers of a batch come together.
    server.write(
        r#"[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},
        {"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"ps"}}]"#
            .replace('\n', "")
            .as_str(),
    );
    let batch = server.lines.recv_timeout(LATER).expect("an answer");
    assert_eq!(batch.as_array().map(Vec::len), Some(2), "{batch}");
    assert_eq!(server.close().1, Some(0));
}

#[test]
fn the_tools_answer_with_the_documents_of_the_verbs() {
    let mut demo = Demo::ready(&[]);
    demo.sandbox.env("MOSAIC_AGENT_NAME", "planner");
    let mut server = Server::ready(&demo.sandbox);
    let sent = server.call(
        1,
        "send",
        json!({"agent": "demo", "message": "it's $(me)\n\n`you` \"and\" us"}),
    );
    assert_eq!(sent["isError"], false, "{sent}");
    let receipt = &sent["structuredContent"];
    assert_valid("receipt", receipt);
    assert_eq!(receipt["verdict"], "accepted");
    let text = sent["content"][0]["text"].as_str().unwrap_or_default();
    assert_eq!(&serde_json::from_str::<Value>(text).expect("JSON"), receipt);
    let host = receipt["host"].as_str().unwrap_or_default();
    let expected = format!("[{host}:planner -> {host}:demo] it's $(me)\n\n`you` \"and\" us");
    assert_eq!(demo.log.taken(), [expected]);
    let status = server.call(2, "status", json!({"agent": "demo"}));
    assert_valid("status", &status["structuredContent"]);
    let ps = server.call(3, "ps", json!({}));
    assert_valid("ps", &ps["structuredContent"]);
    assert_eq!(ps["structuredContent"]["agents"][0]["agent"], "demo");
    let tail = server.call(4, "tail", json!({"agent": "demo", "lines": 3}));
    let rows = tail["content"][0]["text"].as_str().unwrap_or_default();
    assert_eq!(rows.lines().count(), 3, "{tail}");
    assert_eq!(tail["structuredContent"]["schema"], "mosaic.history/1");
    // What was not taken is an error with a receipt; what could not be asked is one with a reason.
    let ghost = server.call(5, "send", json!({"agent": "ghost", "message": "x"}));
    assert_eq!(
        (&ghost["isError"], &ghost["structuredContent"]["verdict"]),
        (&json!(true), &json!("gone"))
    );
    let ghost = server.call(6, "tail", json!({"agent": "ghost"}));
    let why = ghost["content"][0]["text"].as_str().unwrap_or_default();
    assert!(
        why.starts_with("no agent ghost") && why.contains("(exit code 3)"),
        "{ghost}"
    );
    assert!(ghost.get("structuredContent").is_none());
}

/// A demo in the middle of a turn that does not end by itself soon.
fn busy() -> Demo {
    let demo = Demo::ready(&["--turn-ms", "600000"]);
    demo.send("work for long", &[]).must_be("accepted");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    demo
}

fn held(demo: &Demo) -> u64 {
    demo.sandbox.status(Demo::NAME)["held"]
        .as_u64()
        .unwrap_or(0)
}

#[test]
fn a_message_that_waits_keeps_nobody_waiting_and_can_be_withdrawn() {
    let demo = busy();
    let mut server = Server::ready(&demo.sandbox);
    server.begin(
        1,
        "send",
        json!({"agent": "demo", "message": "first", "timeout_s": 600}),
    );
    server.begin(
        2,
        "send",
        json!({"agent": "demo", "message": "second", "timeout_s": 600}),
    );
    until(SOON, "both wait", || held(&demo) == 2);
    assert_eq!(server.ask(3, "ping", json!({}))["result"], json!({}));
    let status = server.call(4, "status", json!({"agent": "demo"}));
    assert_eq!(status["structuredContent"]["state"], "busy");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "changed my mind"}});
    server.write(&cancel.to_string());
    until(SOON, "one is withdrawn", || held(&demo) == 1);
    // The end of the turn lets the other one through.
    demo.pane.write(b"\x1b");
    let second = server.answer(2);
    assert_eq!(
        second["result"]["structuredContent"]["verdict"], "accepted",
        "{second}"
    );
    let taken = demo.log.taken();
    assert!(!taken.iter().any(|t| t.contains("first")), "{taken:?}");
    assert!(
        server.early.is_empty(),
        "a cancelled request is not answered"
    );
    always(ms(100), "no answer to it", || {
        server.lines.try_recv().is_err()
    });
}

#[test]
fn with_the_client_go_the_messages_that_still_wait() {
    let demo = busy();
    for killed in [false, true] {
        let mut server = Server::ready(&demo.sandbox);
        server.begin(
            1,
            "send",
            json!({"agent": "demo", "message": "too late", "timeout_s": 600}),
        );
        until(SOON, "it waits", || held(&demo) == 1);
        if killed {
            server.process.kill().expect("our child");
        } else {
            let (took, code) = server.close();
            assert_eq!(code, Some(0));
            assert!(
                took < Duration::from_secs(2),
                "clients kill after 2 s: {took:?}"
            );
        }
        until(SOON, "it is withdrawn", || held(&demo) == 0);
    }
}

#[test]
fn requests_from_a_pipe_that_ends_at_once_are_answered() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(FLEET);
    command.arg("mcp");
    let input = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ps"}}"#;
    let output = Running::start(command, &sandbox.path("out"), input.as_bytes()).wait(LATER);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(
        output.json()["result"]["structuredContent"]["schema"],
        "mosaic.ps/1"
    );
}

/// What stands between a sidecar and its runtime here: a server whose variables are as few as codex gives.
#[test]
fn an_agent_cannot_send_to_itself_and_is_told_so_and_is_known_by_its_parents_environment() {
    let sandbox = Sandbox::new();
    let (input, output) = (sandbox.path("in"), sandbox.path("out.ndjson"));
    let call = |id: u64, tool: &str, arguments: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    let requests = [
        call(1, "send", json!({"agent": "me", "message": "hello me"})),
        call(2, "status", json!({"agent": "me"})),
        call(3, "send", json!({"agent": "demo", "message": "hello you"})),
    ];
    let text: String = requests.iter().map(|r| format!("{r}\n")).collect();
    std::fs::write(&input, text).expect("a file in the sandbox");
    let log = sandbox.path("demo.log");
    let shown = log.display().to_string();
    let _peer = sandbox.start(&["run", "demo", "--", FLEET, "demo-tui", "--log", &shown]);
    sandbox.wait_state("demo", "ready");
    let script = format!(
        "#!/bin/sh\nenv -i HOME=\"$HOME\" PATH=\"$PATH\" {FLEET} mcp <{} >{}\nexec sleep 600\n",
        input.display(),
        output.display()
    );
    let script = sandbox.script("runtime", &script).display().to_string();
    let mut command = sandbox.command(support::AGENT);
    command
        .args(["run", "me", "--", &script])
        .env("MOSAIC_AGENT_RUNTIME", "demo");
    let _me = Running::start(command, &sandbox.path("out"), b"");
    let answers: Vec<Value> = get(LATER, "three answers", || {
        let text = std::fs::read_to_string(&output).unwrap_or_default();
        let answers = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Some(answers.collect()).filter(|a: &Vec<Value>| a.len() == 3)
    });
    let result = |id: u64| {
        let answer = answers.iter().find(|a| a["id"] == id);
        &answer.expect("it was answered")["result"]
    };
    let to_itself = result(1);
    assert_eq!(to_itself["isError"], true, "{to_itself}");
    let why = to_itself["content"][0]["text"].as_str().unwrap_or_default();
    assert!(why.contains("(exit code 77)"), "{why}");
    assert_eq!(result(2)["structuredContent"]["agent"], "me");
    assert_eq!(result(3)["structuredContent"]["verdict"], "accepted");
    let taken = support::Log::at(log).taken();
    assert!(taken[0].contains(":me -> "), "{taken:?}");
}
