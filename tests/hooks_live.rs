//! Real runtimes with our hooks installed: what they tell the sidecar, and that they are none the worse for it.
//!
//! Which runtimes are tested is decided as in `live.rs`.

mod support;
mod trials;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use support::runtimes::{available, skip};
use support::{FLEET, LATER, Output, Running, until};
use trials::{How, Rig, wait_until};

#[test]
fn pi_itself_says_what_it_took() {
    tells("pi", "hook message_start");
}

#[test]
fn codex_itself_says_what_it_took() {
    tells("codex", "hook UserPromptSubmit");
}

#[test]
fn claude_itself_says_what_it_took() {
    tells("claude", "hook UserPromptSubmit");
}

#[test]
fn opencode_itself_says_what_it_took() {
    tells("opencode", "hook chat.message");
}

#[test]
fn pi_with_hooks_works_without_a_fleet() {
    works_alone("pi");
}

#[test]
fn codex_with_hooks_works_without_a_fleet() {
    works_alone("codex");
}

#[test]
fn claude_with_hooks_works_without_a_fleet() {
    works_alone("claude");
}

#[test]
fn opencode_with_hooks_works_without_a_fleet() {
    works_alone("opencode");
}

/// How many messages are sent: whether the screen or the hook is first is a matter of milliseconds.
const SENDS: usize = 5;

fn tells(runtime: &str, by: &str) {
    if let Err(why) = available(runtime) {
        return skip(runtime, &why);
    }
    let mut rig = Rig::new();
    let command = rig.prepare(runtime);
    install(&rig, runtime);
    trust(&rig, runtime, &command, 3);
    rig.launch(runtime, &command);
    let mut receipts = Vec::new();
    for n in 1..=SENDS {
        let token = format!("tell{n}me");
        let text = format!("Please {token} what came of the other five things");
        let receipt = rig.send(&text, &How::default());
        assert_eq!(receipt.verdict, "accepted", "{}", receipt.json);
        until(LATER, "the model has it", || rig.stub.got(&token).is_some());
        until(LATER, "the hook has told it", || prompts(&rig) >= n as u64);
        let ready = wait_until(LATER, || rig.state() == "ready");
        assert!(ready, "{}", rig.screen());
        receipts.push(receipt.json);
    }
    let hooks = rig.status()["hooks"].clone();
    assert_eq!(hooks["prompts"], SENDS, "{hooks}");
    let told: Vec<Value> = receipts
        .iter()
        .filter_map(|r| serde_json::from_str::<Value>(r).ok())
        .flat_map(|r| r["evidence"].as_array().cloned().unwrap_or_default())
        .filter(|e| e["sign"].as_str().is_some_and(|s| s.starts_with(by)))
        .collect();
    eprintln!(
        "{runtime}: {} of {SENDS} receipts name the hook: {told:?}",
        told.len()
    );
    assert!(told.iter().all(|e| e["by"] == "runtime"), "{told:?}");
    // Other evidence is often there first, and the verdict is out by then: not every receipt names the hook.
}

fn works_alone(runtime: &str) {
    if let Err(why) = available(runtime) {
        return skip(runtime, &why);
    }
    let rig = Rig::new();
    let command = rig.prepare(runtime);
    install(&rig, runtime);
    trust(&rig, runtime, &command, 3);
    rig.start_bare(&command);
    answers(&rig, "alone");
    rig.sandbox.tmux(&["kill-server"]);
    // Some write their settings anew at every start: what is theirs by now stays.
    fleet(&rig, &["remove", runtime]);
    assert!(!settings(&rig, runtime).contains("mosaic"));
}

/// Types a message as a person would until the model has it: there is no sidecar to ask when.
fn answers(rig: &Rig, token: &str) {
    let taken = wait_until(LATER, || {
        if !rig.shows(token) {
            rig.type_text(&format!("Please {token} now"));
        }
        // What was typed is on the screen, or in a runtime that has not drawn yet.
        wait_until(Duration::from_secs(2), || rig.shows(token)) && {
            rig.press(&["Enter"]);
            wait_until(Duration::from_secs(5), || rig.stub.got(token).is_some())
        }
    });
    assert!(taken, "{}", rig.screen());
}

fn prompts(rig: &Rig) -> u64 {
    rig.status()["hooks"]["prompts"].as_u64().unwrap_or(0)
}

/// Every file that we write for this runtime, as text.
fn settings(rig: &Rig, runtime: &str) -> String {
    let file = match runtime {
        "claude" => ".claude/settings.json",
        "codex" => ".codex/hooks.json",
        "pi" => ".pi/agent/extensions/mosaic-agent.js",
        _ => ".config/opencode/plugin/mosaic-agent.js",
    };
    fs::read_to_string(rig.runtime_home().join(file)).unwrap_or_default()
}

fn fleet(rig: &Rig, args: &[&str]) -> Output {
    let mut command = rig.sandbox.command(FLEET);
    command
        .arg("hooks")
        .args(args)
        .env("HOME", rig.runtime_home());
    let output = Running::start(command, &rig.sandbox.path("out"), b"").wait(LATER);
    assert_eq!(output.code, 0, "{output:?}");
    output
}

fn install(rig: &Rig, runtime: &str) {
    if runtime == "opencode" {
        // As opencode itself leaves it after one start with a network.
        let dir = rig.runtime_home().join(".config/opencode");
        let lock = r#"{"packages":{"":{"dependencies":{"@opencode-ai/plugin":"0"}}}}"#;
        fs::create_dir_all(dir.join("node_modules/@opencode-ai/plugin")).expect("a directory");
        fs::write(dir.join("package-lock.json"), lock).expect("a file");
    }
    fleet(rig, &["install", runtime]);
}

/// codex asks a person once whether it may run them.
fn trust(rig: &Rig, runtime: &str, command: &str, hooks: usize) {
    if runtime != "codex" {
        return;
    }
    rig.start_bare(command);
    let asked = wait_until(LATER, || rig.shows("Trust all and continue"));
    assert!(asked, "{}", rig.screen());
    // A key that comes with the first frame may be lost.
    let chosen = wait_until(LATER, || {
        if rig.shows("› 1. Review") {
            rig.press(&["Down"]);
        }
        wait_until(Duration::from_secs(1), || rig.shows("› 2. Trust all"))
    });
    assert!(chosen, "{}", rig.screen());
    rig.press(&["Enter"]);
    let config = rig.runtime_home().join(".codex/config.toml");
    let trusted = wait_until(LATER, || {
        let text = fs::read_to_string(&config).unwrap_or_default();
        text.matches("trusted_hash").count() == hooks
    });
    assert!(trusted, "{}", rig.screen());
    rig.sandbox.tmux(&["kill-server"]);
}

#[test]
fn claude_is_not_believed_before_its_hooks_have_agreed() {
    refuses("claude");
}

#[test]
fn codex_is_not_believed_before_its_hooks_have_agreed() {
    refuses("codex");
}

/// A hook of somebody's that takes its time and then refuses what asks for it.
const REFUSING: &str =
    r#"text=$(cat); sleep 0.7; case $text in *refuse-me*) echo no >&2; exit 2 ;; esac"#;

/// Until then everything looks as if the prompt had been taken.
fn refuses(runtime: &str) {
    if let Err(why) = available(runtime) {
        return skip(runtime, &why);
    }
    let mut rig = Rig::new();
    let command = rig.prepare(runtime);
    let file = match runtime {
        "claude" => ".claude/settings.json",
        _ => ".codex/hooks.json",
    };
    let file = rig.runtime_home().join(file);
    fs::create_dir_all(file.parent().expect("a directory")).expect("it can be made");
    let hook = json!([{"hooks": [{"type": "command", "command": REFUSING}]}]);
    let hooks = json!({"hooks": {"UserPromptSubmit": hook}});
    fs::write(file, hooks.to_string()).expect("a file");
    trust(&rig, runtime, &command, 1);
    rig.launch(runtime, &command);
    for (round, refused) in [true, false, true, false].into_iter().enumerate() {
        let token = format!("round{round}");
        let wish = if refused { "refuse-me" } else { "welcome" };
        let text = format!("Please look after {token} of this ({wish}) when there is time");
        let receipt = rig.send(&text, &How::default());
        let expected = if refused {
            &["draft", "unknown"][..]
        } else {
            &["accepted"]
        };
        assert!(
            expected.contains(&receipt.verdict.as_str()),
            "{}",
            receipt.json
        );
        if !refused {
            until(LATER, "the model has it", || rig.stub.got(&token).is_some());
        }
        assert_eq!(rig.stub.got(&token).is_some(), !refused);
        let free = wait_until(LATER, || {
            rig.press(&["C-u"]);
            rig.state() == "ready" && !rig.holds_draft()
        });
        assert!(free, "{}", rig.screen());
    }
}
