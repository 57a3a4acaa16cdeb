//! The ack socket: who may speak, what is answered, and that nobody can spoil it for the others.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use support::{Client, Demo, FLEET, LATER, SOON, Sandbox, ms, until};

/// The schema `docs/schemas/NAME.json`.
fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let value = serde_json::from_slice(&text).expect("a schema is JSON");
    jsonschema::validator_for(&value).expect("a schema is a schema")
}

/// A document is as published, whole and with no member that the schema does not name.
#[track_caller]
fn fits(name: &str, document: &Value) {
    let errors: Vec<String> = schema(name)
        .iter_errors(document)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{document:#}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.json"));
    let text = std::fs::read(path).expect("the schema's file");
    let published: Value = serde_json::from_slice(&text).expect("a schema is JSON");
    for key in document.as_object().expect("an object").keys() {
        assert!(
            published["properties"].get(key).is_some(),
            "{name}: {key} is not published"
        );
    }
}

fn status() -> Value {
    json!({"op": "status"})
}

#[test]
fn every_document_is_as_its_schema_says() {
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    let mut client = Client::connect(&socket);
    fits("hello", &client.line(SOON).expect("a greeting"));
    let request = json!({"op": "send", "text": "hello", "from": "box:me", "id": "m-1"});
    fits("request", &request);
    let receipt = client.ask(&request);
    fits("receipt", &receipt);
    assert_eq!(receipt["verdict"], "accepted");
    fits("status", &client.ask(&status()));
    fits("status", &client.ask(&json!({"op": "probe"})));
    fits("screen", &client.ask(&json!({"op": "screen"})));
    let cells = json!({"op": "screen", "cells": true});
    fits("request", &cells);
    fits("screen", &client.ask(&cells));
    let attach = json!({"op": "attach", "steal": true});
    fits("request", &attach);
    fits("status", &client.ask(&attach));
    let input = json!({"op": "input", "text": ""});
    fits("request", &input);
    fits("screen", &client.ask(&cells));
    fits("status", &client.ask(&input));
    fits(
        "receipt",
        &client.ask(&json!({"op": "verify", "id": "m-1"})),
    );
    fits(
        "receipt",
        &client.ask(&json!({"op": "verify", "id": "never"})),
    );
    fits("error", &client.ask(&json!({"op": "verify"})));
    fits("error", &client.ask(&json!({"op": "dance"})));
    let taken = Client::greeted(&socket).ask(&json!({"op": "attach"}));
    fits("error", &taken);
    assert_eq!(taken["error"], "taken");
    let ps = demo.sandbox.command(FLEET).args(["ps", "--json"]).output();
    let ps = serde_json::from_slice(&ps.expect("ps runs").stdout).expect("ps prints JSON");
    fits("ps", &ps);
    assert_eq!(ps["agents"][0]["agent"], Demo::NAME);
    let upgrade = json!({"op": "upgrade", "path": support::AGENT});
    fits("request", &upgrade);
    fits("upgrade", &client.ask(&upgrade));
    fits("error", &client.ask(&json!({"op": "upgrade"})));
    let stop = json!({"op": "stop", "timeout_ms": 0});
    fits("request", &stop);
    fits("stop", &client.ask(&stop));
}

#[test]
fn a_reader_is_answered_when_the_screen_has_changed_and_not_before() {
    let demo = Demo::ready(&[]);
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let screen = json!({"op": "screen"});
    // Nothing new for a while: the answer comes when that is over, and says so.
    let mut revision = client.ask(&screen)["revision"].clone();
    until(SOON, "a screen at rest", || {
        let wait = json!({"op": "screen", "after": revision, "wait_ms": 300});
        let asked = Instant::now();
        let newer = client.ask(&wait)["revision"].clone();
        let rested = newer == revision && asked.elapsed() >= ms(300);
        revision = newer;
        rested
    });
    let wait = json!({"op": "screen", "after": revision, "wait_ms": 60_000});
    fits("request", &wait);
    client.send(format!("{wait}\n").as_bytes());
    demo.pane.write(b"typed");
    let answer = client.line(SOON).expect("an answer");
    assert!(answer["revision"].as_u64() > revision.as_u64());
    assert!(answer["lines"].to_string().contains('t'), "{answer:#}");
}

#[test]
fn only_the_owner_can_open_it_and_another_uid_is_refused_even_if_the_file_lets_it() {
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    let mode = |path: &Path| {
        let found = std::fs::metadata(path).expect("it is there");
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().expect("a directory")), 0o700);
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED the other uid: only root can become one");
        return;
    }
    // Everything on the way is opened to the world on purpose.
    for path in socket
        .ancestors()
        .take_while(|p| p.components().count() > 2)
    {
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path, open).expect("it is ours");
    }
    // perl-base is part of every Debian; it counts the bytes that it is greeted with.
    let script = "use IO::Socket::UNIX; alarm 20; \
                  my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die \"connect: $!\"; \
                  print length(join('', <$s>));";
    let stranger = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["/usr/bin/perl", "-e", script])
        .arg(&socket)
        .output()
        .expect("setpriv runs");
    let said = String::from_utf8_lossy(&stranger.stdout).into_owned();
    assert_eq!(said.trim(), "0", "closed without a word: {stranger:?}");
    assert_eq!(Client::greeted(&socket).ask(&status())["state"], "ready");
}

#[test]
fn garbage_is_answered_with_a_word_and_the_connection_goes_on() {
    let demo = Demo::ready(&[]);
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    for garbage in [
        "null",
        "[\"status\"]",
        "{",
        "{}",
        "{\"op\":7}",
        "{\"op\":\"status\",\"op\":\"status\"}",
        "{\"op\":\"status\"}}",
        "\u{feff}{\"op\":\"status\"}",
        "{\"op\":\"send\",\"timeout_ms\":-1}",
        "{\"op\":\"send\",\"timeout_ms\":1e999}",
    ] {
        client.send(format!("{garbage}\n").as_bytes());
        let answer = client.line(SOON).expect("an answer");
        assert_eq!(answer["error"], "bad_json", "{garbage}: {answer}");
        fits("error", &answer);
        assert_eq!(answer["agent"], Demo::NAME);
    }
    for (field, value) in [("when_busy", "maybe"), ("when_draft", "hold"), ("id", "")] {
        let answer = client.ask(&json!({"op": "send", "text": "hi", field: value}));
        assert_eq!(answer["error"], "bad_field", "{field}: {answer}");
        fits("error", &answer);
    }
    client.send(b"{\"op\":\"\xff\"}\n\n   \n");
    assert_eq!(client.line(SOON).expect("an answer")["error"], "bad_json");
    assert_eq!(client.ask(&json!({"op": "dance"}))["error"], "unknown_op");
    assert_eq!(client.ask(&status())["state"], "ready");
}

#[test]
fn requests_sent_at_once_are_answered_one_by_one_and_in_order() {
    let demo = Demo::ready(&[]);
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let many: String = (0..100)
        .map(|n| format!("{{\"op\":\"verify\",\"id\":\"n{n}\"}}\n"))
        .collect();
    client.send(many.as_bytes());
    for n in 0..100 {
        let answer = client.line(SOON).expect("an answer");
        assert_eq!(answer["id"], format!("n{n}"));
    }
}

#[test]
fn a_line_without_an_end_is_cut_off_and_nobody_else_notices() {
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    let mut endless = Client::greeted(&socket);
    let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..64 {
            endless.send(&[b'x'; 64 * 1024]);
        }
    }));
    // Cut off while we were still writing, or told afterwards.
    if sent.is_ok() {
        assert_eq!(
            endless
                .line(SOON)
                .map_or(json!("line_too_long"), |l| l["error"].clone()),
            "line_too_long"
        );
    }
    assert_eq!(Client::greeted(&socket).ask(&status())["state"], "ready");
}

#[test]
fn clients_that_never_read_or_never_speak_cost_nobody_else_anything() {
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    let silent: Vec<UnixStream> = (0..400)
        .map(|_| UnixStream::connect(&socket).expect("it listens"))
        .collect();
    let mut deaf = Client::greeted(&socket);
    let questions = "{\"op\":\"screen\"}\n".repeat(2_000);
    deaf.send(questions.as_bytes());
    let mut client = Client::greeted(&socket);
    let since = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.ask(&status())["state"], "ready");
    }
    assert!(
        since.elapsed() < SOON,
        "20 answers took {:?}",
        since.elapsed()
    );
    let receipt = demo.send("still here", &[]);
    receipt.must_be("accepted");
    drop(silent);
}

#[test]
fn one_client_too_many_is_told_so_by_the_agent_it_came_to() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(4_096), hard).expect("a higher limit");
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    // As many as docs/protocol.md allows, accepted in the order in which they came.
    let silent: Vec<Client> = (0..1_100).map(|_| Client::greeted(&socket)).collect();
    let mut refused = Client::connect(&socket);
    let answer = refused.line(SOON).expect("an answer");
    fits("error", &answer);
    assert_eq!(answer["error"], "overloaded", "{answer}");
    assert_eq!(answer["exit"], LATER_CODE, "{answer}");
    assert_eq!(answer["agent"], Demo::NAME, "{answer}");
    drop(silent);
    until(SOON, "there is room again", || {
        let line = Client::connect(&socket).line(SOON);
        line.is_some_and(|line| line["schema"] == "mosaic.hello/1")
    });
}

#[test]
fn a_sender_that_goes_away_before_its_turn_takes_its_message_with_it() {
    let demo = Demo::ready(&["--turn-ms", "1500"]);
    let socket = demo.sandbox.socket(Demo::NAME);
    demo.send("first", &[]).must_be("accepted");
    let mut leaving = Client::greeted(&socket);
    leaving.send(b"{\"op\":\"send\",\"text\":\"second\",\"id\":\"gone-1\"}\n");
    let mut other = Client::greeted(&socket);
    let verify = json!({"op": "verify", "id": "gone-1"});
    until(SOON, "the message is held", || {
        other.ask(&verify)["verdict"] == "held"
    });
    drop(leaving);
    until(SOON, "the message is withdrawn", || {
        other.ask(&verify)["verdict"] == "busy"
    });
    demo.send("third", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["first", "third"]);
}

#[test]
fn an_agent_cannot_type_into_itself() {
    let sandbox = Sandbox::new();
    let script = format!(
        "stty raw -echo; {} send --json self -m hi > {}; echo $? > {}; cat",
        support::AGENT,
        sandbox.path("said").display(),
        sandbox.path("code").display(),
    );
    let pane = support::Pane::run(&sandbox, "self", &["sh", "-c", &script]);
    let code = sandbox.path("code");
    until(LATER, "the inner send is answered", || {
        std::fs::read_to_string(&code).is_ok_and(|c| c.trim() == "77")
    });
    drop(pane);
}

#[test]
fn a_stopped_sidecar_is_not_waited_for() {
    let demo = Demo::ready(&[]);
    let sidecar: i32 = demo.sandbox.heartbeat(Demo::NAME)["sidecar"]
        .parse()
        .expect("a pid");
    support::kill(sidecar, 19);
    let since = Instant::now();
    let output = demo.sandbox.agent(&["status", Demo::NAME]);
    assert_eq!(output.code, 75, "{output:?}");
    assert!(since.elapsed() < ms(10_000));
    support::kill(sidecar, 18);
    demo.sandbox.wait_state(Demo::NAME, "ready");
}

#[test]
fn a_stopped_sidecar_that_cannot_take_one_more_connection_is_not_waited_for() {
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    let sidecar = demo.pane.pid();
    support::kill(sidecar, nix::libc::SIGSTOP);
    until(SOON, "it is stopped", || {
        support::process_state(sidecar) == Some('T')
    });
    // Whoever comes when nobody is accepted any more would wait in `connect`.
    let mut waiting = Vec::new();
    while let Some(stream) = connects_at_once(&socket) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "there is always room for one more");
    }
    let status = demo.sandbox.agent(&["status", Demo::NAME]);
    assert_eq!(status.code, LATER_CODE, "{status:?}");
    drop(waiting);
    support::kill(sidecar, nix::libc::SIGCONT);
    demo.wait_ready();
}

/// Try again later.
const LATER_CODE: i32 = 75;

/// A connection, if one can be had without waiting.
fn connects_at_once(path: &Path) -> Option<UnixStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
    let address = UnixAddr::new(path).expect("an address");
    connect(fd.as_raw_fd(), &address).ok()?;
    Some(UnixStream::from(fd))
}

#[test]
fn a_heartbeat_under_another_name_leads_to_nobody() {
    let demo = Demo::ready(&[]);
    let (mine, other) = (
        demo.sandbox.heartbeat_path(Demo::NAME),
        demo.sandbox.heartbeat_path("other"),
    );
    // As a copy or a backup that was restored leaves it.
    std::fs::copy(mine, other).expect("a copy");
    let sent = demo
        .sandbox
        .agent(&["send", "--verify", "other", "-m", "for somebody else"]);
    assert_eq!(sent.code, 3, "{sent:?}");
    assert!(sent.stdout.contains("is the agent demo"), "{sent:?}");
    assert_eq!(demo.log.taken(), [""; 0]);
}
