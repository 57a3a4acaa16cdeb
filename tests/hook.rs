//! `hook`: what a runtime calls in the middle of somebody's turn, and what the sidecar makes of it.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{AGENT, Client, Demo, LATER, Output, Pane, Running, SOON, Sandbox, until};

/// `hook` takes no longer than this, whatever is wrong: its limit of 1 s, and a loaded machine.
const AT_MOST: Duration = Duration::from_secs(5);

/// Runs `hook` with this payload; it must be silent, well and in time.
#[track_caller]
fn hook(sandbox: &Sandbox, args: &[&str], payload: &[u8]) -> Duration {
    let since = Instant::now();
    let output = sandbox
        .start_with(&[&["hook"], args].concat(), payload)
        .wait(LATER);
    assert_silent(&output);
    assert!(since.elapsed() < AT_MOST, "{:?}", since.elapsed());
    since.elapsed()
}

#[track_caller]
fn assert_silent(output: &Output) {
    let said = (output.code, output.stdout.as_str(), output.stderr.as_str());
    assert_eq!(said, (0, "", ""));
}

const PROMPT: &str = r#"{"hook_event_name":"UserPromptSubmit","prompt":"hello"}"#;

#[test]
fn a_hook_is_silent_and_well_outside_a_fleet_and_with_anything() {
    let mut sandbox = Sandbox::new();
    let long = vec![b'x'; 3 * 1024 * 1024];
    let payloads: [&[u8]; 7] = [
        PROMPT.as_bytes(),
        b"",
        b"{",
        b"\xff\0\n",
        b"[[[",
        b"null",
        &long,
    ];
    for round in ["outside", "no socket", "no path at all"] {
        for payload in payloads {
            hook(&sandbox, &["UserPromptSubmit"], payload);
            hook(&sandbox, &[], payload);
        }
        hook(&sandbox, &["--what", "-x", "\u{1b}[2J", ""], b"");
        hook(&sandbox, &[r#"{"type":"agent-turn-complete"}"#], b"");
        match round {
            "outside" => sandbox.env(
                "MOSAIC_AGENT_SOCK",
                sandbox.path("none.sock").display().to_string(),
            ),
            _ => sandbox.env("MOSAIC_AGENT_SOCK", "x".repeat(4_000)),
        };
    }
}

#[test]
fn a_hook_without_any_standard_stream_is_well() {
    let sandbox = Sandbox::new();
    let script = format!("exec {AGENT} hook Stop <&- >&- 2>&-");
    let mut command = sandbox.command("/bin/sh");
    command.args(["-c", &script]);
    assert_silent(&Running::start(command, &sandbox.path("out"), b"").wait(SOON));
}

#[test]
fn a_hook_does_not_wait_for_a_payload_without_an_end() {
    let mut sandbox = Sandbox::new();
    for socket in ["", "none.sock"] {
        if !socket.is_empty() {
            sandbox.env(
                "MOSAIC_AGENT_SOCK",
                sandbox.path(socket).display().to_string(),
            );
        }
        for endless in [false, true] {
            let mut command = sandbox.command(AGENT);
            let since = Instant::now();
            let mut child = command
                .args(["hook", "Stop"])
                .stdin(Stdio::piped())
                .spawn()
                .expect("it starts");
            let mut stdin = child.stdin.take().expect("a pipe");
            let writer = std::thread::spawn(move || {
                let chunk = [b'x'; 64 * 1024];
                // Until the other end is gone; or one byte, and then nothing, with the pipe left open.
                while stdin
                    .write_all(&chunk[..if endless { chunk.len() } else { 1 }])
                    .is_ok()
                    && endless
                {}
                stdin
            });
            let status = support::get(LATER, "the end of the hook", || {
                child.try_wait().expect("our child")
            });
            assert!(
                status.success() && since.elapsed() < AT_MOST,
                "{:?}",
                since.elapsed()
            );
            drop(writer.join());
        }
    }
}

#[test]
fn a_hook_does_not_wait_for_a_sidecar_that_says_nothing() {
    let mut sandbox = Sandbox::new();
    let path = sandbox.path("hung.sock");
    // It listens, and nobody ever accepts.
    let _listener = UnixListener::bind(&path).expect("a socket");
    sandbox.env("MOSAIC_AGENT_SOCK", path.display().to_string());
    let big = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(250 * 1024));
    for payload in [PROMPT, &big] {
        hook(&sandbox, &["UserPromptSubmit"], payload.as_bytes());
    }
    // So many that the next one could not even connect.
    let mut waiting = Vec::new();
    while let Ok(stream) = connect_at_once(&path) {
        waiting.push(stream);
    }
    hook(&sandbox, &["UserPromptSubmit"], PROMPT.as_bytes());
}

fn connect_at_once(path: &Path) -> nix::Result<std::os::fd::OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd;
    let fd = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

// ---------------------------------------------------------------- what the sidecar makes of it

#[test]
fn only_the_runtime_of_this_very_agent_is_believed() {
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    let mut client = Client::greeted(&socket);
    let answer = client.ask(&json!({"op": "hook", "event": "Stop"}));
    assert_eq!(
        (&answer["error"], &answer["exit"]),
        (&json!("forbidden"), &json!(77))
    );
    let status = demo.sandbox.status(Demo::NAME);
    assert_eq!(status["hooks"], json!({"events": 0, "prompts": 0}));
}

#[test]
fn what_a_hook_inside_the_runtime_tells_is_remembered() {
    let sandbox = Sandbox::new();
    let script = format!(
        "stty raw -echo; printf '%s' '{PROMPT}' | {AGENT} hook; {AGENT} hook Stop </dev/null; cat",
    );
    let pane = Pane::run(&sandbox, "self", &["sh", "-c", &script]);
    until(LATER, "both are heard", || {
        let said = sandbox.agent(&["status", "--json", "self"]).stdout;
        let status: Value = serde_json::from_str(&said).unwrap_or_default();
        status["hooks"]["events"] == 2
    });
    let hooks = sandbox.status("self")["hooks"].clone();
    assert_eq!(hooks["last_event"], "Stop", "{hooks}");
    // No profile knows this runtime: nothing that it says is a prompt.
    assert_eq!(hooks["prompts"], 0, "{hooks}");
    assert!(
        hooks["last_at_ms"]
            .as_u64()
            .is_some_and(|ms| ms > 1_700_000_000_000),
        "{hooks}"
    );
    drop(pane);
}

/// A profile by which the sidecar knows the test's own shell for a runtime with hooks.
const SHELL: &str = r#"
name = "shell"
[match]
exe = ["dash", "bash"]
[composer]
shape = "open"
prompt = ">"
[hooks]
submitted = ["Near", "Far"]
"#;

#[test]
fn a_hook_of_a_session_inside_a_tool_of_the_agent_is_not_its_own() {
    let sandbox = Sandbox::new();
    let profile = sandbox
        .home()
        .join(".config/mosaic/agent/profiles/shell.toml");
    fs::create_dir_all(profile.parent().expect("a directory")).expect("it can be made");
    fs::write(&profile, SHELL).expect("a profile");
    let (go, done) = (sandbox.path("go"), sandbox.path("done"));
    // `; :` keeps a shell from becoming what it runs.
    let hook = |event: &str| format!("{AGENT} hook {event} <payload; :");
    fs::write(sandbox.home().join("payload"), PROMPT).expect("a payload");
    let script = format!(
        "stty raw -echo; until [ -e {} ]; do sleep 0.01; done; {}; sh -c '{}'; sh -c 'sh -c \"{}\"; :'; >{}; cat",
        go.display(),
        hook("Near"),
        hook("Near"),
        hook("Far"),
        done.display(),
    );
    let pane = Pane::run(&sandbox, "self", &["sh", "-c", &script]);
    // A probe looks at the processes anew: the first look may have caught a shell on its way to `stty`.
    let probe = || {
        let said = sandbox.agent(&["probe", "--json", "self"]).stdout;
        serde_json::from_str::<Value>(&said).unwrap_or_default()
    };
    until(LATER, "the runtime is known", || {
        probe()["runtime"] == "shell"
    });
    fs::write(&go, "").expect("a file");
    until(LATER, "all three were called", || done.exists());
    let hooks = probe()["hooks"].clone();
    assert_eq!(
        (&hooks["events"], &hooks["prompts"]),
        (&json!(2), &json!(2)),
        "{hooks}"
    );
    assert_eq!(hooks["last_event"], "Near", "{hooks}");
    drop(pane);
}

#[test]
fn the_answer_to_a_hook_is_as_its_schema_says() {
    let sandbox = Sandbox::new();
    let said = sandbox.path("said");
    // perl-base is part of every Debian.
    let ask = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ENV{MOSAIC_AGENT_SOCK}); \
               <$s>; for (@ARGV) { print $s \"$_\\n\"; print scalar <$s>; }";
    let script = format!(
        "stty raw -echo; perl -e '{ask}' '{}' '{}' > {}; cat",
        json!({"op": "hook", "event": "Stop"}),
        json!({"op": "hook", "event": "not a name"}),
        said.display(),
    );
    let pane = Pane::run(&sandbox, "self", &["sh", "-c", &script]);
    until(LATER, "both are answered", || {
        fs::read_to_string(&said).is_ok_and(|text| text.lines().count() == 2)
    });
    let text = fs::read_to_string(&said).expect("the answers");
    let answers = text.lines().map(|l| serde_json::from_str(l).expect("JSON"));
    let answers: Vec<Value> = answers.collect();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/hook.json");
    let schema = serde_json::from_slice(&fs::read(schema).expect("a schema")).expect("JSON");
    assert!(jsonschema::is_valid(&schema, &answers[0]), "{text}");
    assert_eq!(
        (&answers[0]["event"], &answers[0]["prompt"]),
        (&json!("Stop"), &json!(false))
    );
    assert_eq!(answers[1]["error"], "bad_field", "{text}");
    drop(pane);
}
