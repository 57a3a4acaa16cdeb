//! `reset` of real runtimes, held against what the model gets: nothing of before. Which runtimes are tested is decided
//! as in `live.rs`.

mod support;
mod trials;

use serde_json::Value;
use support::LATER;
use support::runtimes::{available, skip};
use trials::{How, Rig, Start, wait_until};

#[test]
fn pi_forgets_what_was_said_before_a_reset() {
    // Its files name a session only with the first answer.
    forgets("pi", Twice::LooksTheSame);
}

#[test]
fn codex_forgets_what_was_said_before_a_reset() {
    forgets("codex", Twice::Proven);
}

#[test]
fn claude_forgets_what_was_said_before_a_reset() {
    forgets("claude", Twice::Proven);
}

#[test]
fn opencode_forgets_what_was_said_before_a_reset() {
    forgets("opencode", Twice::Proven);
}

/// What a reset of a session in which nothing was said yet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twice {
    Proven,
    LooksTheSame,
}

fn reset(rig: &Rig) -> (i32, Value) {
    let output = rig
        .sandbox
        .start(&["reset", "--json", "--wait", "30", "trial"])
        .wait(LATER);
    match serde_json::from_str(&output.stdout) {
        Ok(json) => (output.code, json),
        Err(e) => panic!("{e}: {output:?}"),
    }
}

/// Sends a message that is answered.
#[track_caller]
fn say(rig: &Rig, text: &str) {
    let receipt = rig.send(text, &How::default());
    assert_eq!(
        receipt.verdict,
        "accepted",
        "{}\n{}",
        receipt.json,
        rig.screen()
    );
    assert!(
        wait_until(LATER, || rig
            .stub
            .conversations()
            .iter()
            .any(|turn| turn.contains(text))),
        "the model never got {text:?}"
    );
    assert!(
        wait_until(LATER, || rig.state() == "ready"),
        "{}",
        rig.screen()
    );
}

fn forgets(runtime: &str, twice: Twice) {
    if let Err(why) = available(runtime) {
        return skip(runtime, &why);
    }
    let rig = Rig::start(runtime, &Start::default());
    say(&rig, "remember the amber heron");
    say(&rig, "and the second one");
    assert!(
        last_turn(&rig).contains("amber heron"),
        "without a reset the model gets what was said before"
    );
    let (code, json) = reset(&rig);
    eprintln!("{runtime}: {} ms, {}", json["ms"], json["evidence"]);
    assert_eq!(code, 0, "{runtime}: {json:#}\n{}", rig.screen());
    say(&rig, "what do you remember");
    assert!(
        !last_turn(&rig).contains("amber heron"),
        "{}",
        last_turn(&rig)
    );

    assert_eq!(reset(&rig).0, 0, "after one message");
    let (code, json) = reset(&rig);
    let wanted = match twice {
        Twice::Proven => 0,
        Twice::LooksTheSame => 7,
    };
    assert_eq!(code, wanted, "{runtime}: {json:#}\n{}", rig.screen());

    rig.type_text("a draft");
    assert!(wait_until(LATER, || rig.holds_draft()));
    let (code, json) = reset_now(&rig);
    assert_eq!(code, 75, "{runtime}: {json:#}");
    assert!(
        rig.holds_draft() && rig.shows("a draft"),
        "{}",
        rig.screen()
    );
    assert!(rig.clear_composer(), "{}", rig.screen());

    let receipt = rig.send("first=3 and take your time", &How::default());
    assert_eq!(receipt.verdict, "accepted", "{}", receipt.json);
    let (code, json) = reset_now(&rig);
    assert_eq!(code, 75, "{runtime}: {json:#}\n{}", rig.screen());
    let (code, json) = reset(&rig);
    assert_eq!(code, 0, "{runtime}: {json:#}\n{}", rig.screen());
    say(&rig, "still there");
    assert!(
        !last_turn(&rig).contains("take your time"),
        "{}",
        last_turn(&rig)
    );
}

/// Where the runtime's record cannot be read, the screen has to do: a profile without a record stands in for that.
#[test]
fn codex_and_claude_are_also_reset_by_what_the_screen_shows() {
    for (runtime, profile, reset) in [
        (
            "codex",
            include_str!("../src/pure/profiles/codex.toml"),
            include_str!("../src/pure/profiles/reset/codex.toml"),
        ),
        (
            "claude",
            include_str!("../src/pure/profiles/claude.toml"),
            include_str!("../src/pure/profiles/reset/claude.toml"),
        ),
    ] {
        if let Err(why) = available(runtime) {
            skip(runtime, &why);
            continue;
        }
        by_the_screen(runtime, &format!("{profile}\n{reset}"));
    }
}

fn by_the_screen(runtime: &str, profile: &str) {
    let is_of_a_record =
        |line: &&str| line.starts_with("session = ") || line.starts_with("open = ");
    let blind: Vec<&str> = profile.lines().filter(|l| !is_of_a_record(l)).collect();
    let mut rig = Rig::new();
    let dir = rig.sandbox.home().join(".config/mosaic/agent/profiles");
    std::fs::create_dir_all(&dir).expect("a directory");
    std::fs::write(dir.join("own.toml"), blind.join("\n")).expect("a profile");
    let command = rig.prepare(runtime);
    rig.launch(runtime, &command);
    say(&rig, "remember the amber heron");
    let (code, json) = reset(&rig);
    assert_eq!(code, 0, "{runtime}: {json:#}\n{}", rig.screen());
    assert!(
        json["evidence"][0]
            .as_str()
            .is_some_and(|e| e.starts_with("the screen")),
        "{json:#}"
    );
    say(&rig, "what do you remember");
    assert!(
        !last_turn(&rig).contains("amber heron"),
        "{}",
        last_turn(&rig)
    );
}

fn reset_now(rig: &Rig) -> (i32, Value) {
    let output = rig.sandbox.start(&["reset", "--json", "trial"]).wait(LATER);
    (output.code, output.json())
}

/// All that the user has said, as the last turn's request has it.
fn last_turn(rig: &Rig) -> String {
    rig.stub.conversations().last().cloned().unwrap_or_default()
}
