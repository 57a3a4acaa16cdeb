//! Real runtimes as clients of `mosaic-fleet mcp`: a model that calls `send` gets the receipt, and its peer
//! the message. Which runtimes are tested is decided as in `live.rs`.

mod support;
mod trials;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::runtimes::{available, skip};
use support::{FLEET, LATER, Log, until};
use trials::{How, Rig, wait_until};

#[test]
fn a_model_in_claude_sends_to_its_peer_and_gets_the_receipt() {
    calls("claude", |home| {
        let file = home.join(".claude.json");
        change(&file, |config| {
            config["mcpServers"] =
                json!({"mosaic": {"type": "stdio", "command": FLEET, "args": ["mcp"]}});
        });
        // Otherwise the model would have to look for the tools first.
        let settings = json!({"permissions": {"allow": ["mcp__mosaic"]}, "env": {"ENABLE_TOOL_SEARCH": "false"}});
        fs::create_dir_all(home.join(".claude")).expect("a directory");
        fs::write(home.join(".claude/settings.json"), settings.to_string()).expect("a file");
    });
}

#[test]
fn a_model_in_codex_sends_to_its_peer_and_gets_the_receipt() {
    calls("codex", |home| {
        let file = home.join(".codex/config.toml");
        let config = fs::read_to_string(&file).expect("its configuration");
        let server = format!("\n[mcp_servers.mosaic]\ncommand = \"{FLEET}\"\nargs = [\"mcp\"]\n");
        fs::write(&file, config + &server).expect("its configuration");
    });
}

#[test]
fn a_model_in_opencode_sends_to_its_peer_and_gets_the_receipt() {
    calls("opencode", |home| {
        change(&home.join(".config/opencode/opencode.json"), |config| {
            config["mcp"] = json!({"mosaic": {"type": "local", "command": [FLEET, "mcp"]}});
        });
    });
}

fn change(file: &Path, how: impl FnOnce(&mut Value)) {
    let text = fs::read(file).expect("its configuration");
    let mut config = serde_json::from_slice(&text).expect("JSON");
    how(&mut config);
    fs::write(file, config.to_string()).expect("its configuration");
}

fn calls(runtime: &str, configure: impl FnOnce(&Path)) {
    if let Err(why) = available(runtime) {
        return skip(runtime, &why);
    }
    let mut rig = Rig::new();
    let command = rig.prepare(runtime);
    configure(&rig.runtime_home());
    // The runtime's home is another than ours.
    let run_dir = rig.sandbox.path("beats").display().to_string();
    rig.sandbox.env("MOSAIC_HEARTBEAT_RUN_DIR", run_dir);
    let log = rig.sandbox.path("peer.log");
    let shown = log.display().to_string();
    let _peer = rig
        .sandbox
        .start(&["run", "peer", "--", FLEET, "demo-tui", "--log", &shown]);
    rig.sandbox.wait_state("peer", "ready");
    rig.launch(runtime, &command);
    let log = Log::at(log);
    // The runtime may still be connecting to its servers when it takes the first message.
    let mut missed = 0;
    let taken = wait_until(LATER, || {
        let n = missed + 1;
        let wish = format!("Wish {n}: call=send?agent=peer&message=which+tests+shall+I+run now");
        let asked = rig.send(&wish, &How::default());
        assert_eq!(asked.verdict, "accepted", "{}", asked.json);
        wait_until(LATER, || !log.taken().is_empty() || misses(&rig) > missed);
        missed = misses(&rig);
        !log.taken().is_empty()
    });
    assert!(taken, "{}\n{:?}", rig.screen(), rig.stub.other());
    let taken = log.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0].contains(":trial -> "), "who writes: {taken:?}");
    assert!(taken[0].ends_with("] which tests shall I run"), "{taken:?}");
    until(LATER, "the model has the receipt", || {
        let told = rig.stub.tool_texts();
        told.iter()
            .any(|t| t.contains("mosaic.receipt/1") && t.contains("accepted"))
    });
}

/// How often the model wanted the tool and was not offered it.
fn misses(rig: &Rig) -> usize {
    let other = rig.stub.other();
    let is_miss = |e: &&Value| e["what"].as_str().is_some_and(|w| w.starts_with("no tool"));
    other.iter().filter(is_miss).count()
}
