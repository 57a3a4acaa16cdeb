//! `reset` with the demo runtime: what it refuses, what it takes back, and when it says that it has proven nothing.

mod support;

use std::fs;

use serde_json::Value;
use support::{Demo, FLEET, Output, Receipt, Running, SOON, Sandbox, until};

/// Starts `mosaic-fleet reset`.
fn resetting(sandbox: &Sandbox, options: &[&str]) -> Running {
    let mut command = sandbox.command(FLEET);
    command.args(["reset", Demo::NAME]).args(options);
    Running::start(command, &sandbox.path("out"), b"")
}

/// `reset --json`: the exit code and the document.
fn reset(sandbox: &Sandbox, options: &[&str]) -> (i32, Value) {
    let output = resetting(sandbox, &[options, &["--json"]].concat()).wait(support::LATER);
    (output.code, output.json())
}

/// The same for people.
fn told(sandbox: &Sandbox) -> Output {
    resetting(sandbox, &[]).wait(support::LATER)
}

/// How often the demo has carried out a command.
fn commands(demo: &Demo) -> usize {
    demo.log.of("command").len()
}

#[track_caller]
fn refused(demo: &Demo, why: &str) {
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(
        (code, &json["verdict"]),
        (75, &"refused".into()),
        "{json:#}"
    );
    let reason = json["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(why), "{json:#}");
    assert_eq!(json["submitted"], false);
    assert_eq!(commands(demo), 0);
}

#[test]
fn a_reset_is_proven_and_the_next_message_is_taken() {
    let demo = Demo::ready(&[]);
    demo.send("the first message", &[]).must_be("accepted");
    demo.wait_ready();
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(json["schema"], "mosaic.reset/1");
    assert_eq!(json["agent"], Demo::NAME);
    assert_eq!(json["verdict"], "proven");
    assert_eq!(json["command"], "/new");
    let steps = json["steps"].as_array().expect("steps").iter();
    let steps: Vec<&str> = steps.filter_map(|s| s["step"].as_str()).collect();
    assert_eq!(steps, ["type", "enter", "proof"]);
    assert!(
        json["evidence"][0]
            .as_str()
            .is_some_and(|e| e.contains("fresh session")),
        "{json:#}"
    );
    assert!(!demo.pane.screen().contains("the first message"));
    assert_eq!(demo.log.of("command").len(), 1);
    demo.send("the second message", &[]).must_be("accepted");
    assert_eq!(
        demo.log.taken(),
        ["the first message", "the second message"]
    );
}

#[test]
fn people_are_told_what_proves_it_or_what_to_do() {
    let demo = Demo::ready(&["--ignore-new"]);
    let output = told(&demo.sandbox);
    assert_eq!((output.code, output.stdout.as_str()), (7, ""));
    assert!(output.stderr.contains("not proven"), "{output:?}");
    assert!(
        output.stderr.contains("mosaic-fleet screen demo"),
        "{output:?}"
    );
    let demo = Demo::ready(&[]);
    let output = told(&demo.sandbox);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    assert!(output.stdout.contains("a new session"), "{output:?}");
}

#[test]
fn a_command_without_effect_proves_nothing() {
    let demo = Demo::ready(&["--ignore-new"]);
    demo.send("the first message", &[]).must_be("accepted");
    demo.wait_ready();
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(
        (code, &json["verdict"]),
        (7, &"unproven".into()),
        "{json:#}"
    );
    assert_eq!(json["submitted"], true);
    assert_eq!(commands(&demo), 1);
}

#[test]
fn a_session_that_was_fresh_before_is_not_called_proven() {
    let demo = Demo::ready(&[]);
    assert_eq!(reset(&demo.sandbox, &[]).0, 0);
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(code, 7, "{json:#}");
    assert!(
        json["reason"]
            .as_str()
            .is_some_and(|r| r.contains("fresh before")),
        "{json:#}"
    );
}

#[test]
fn a_draft_is_neither_submitted_nor_lost() {
    let demo = Demo::ready(&[]);
    demo.pane.write(b"mine");
    demo.pane.wait_screen("mine", SOON);
    refused(&demo, "draft");
    assert_eq!(demo.composer(), "mine");
}

#[test]
fn a_dialog_gets_no_key() {
    let demo = Demo::ready(&[]);
    demo.submit("/ask make test");
    demo.sandbox.wait_state(Demo::NAME, "blocked");
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(
        (code, &json["verdict"]),
        (75, &"refused".into()),
        "{json:#}"
    );
    assert_eq!(demo.log.of("answer").len(), 0);
    demo.sandbox.wait_state(Demo::NAME, "blocked");
}

#[test]
fn a_message_that_is_held_is_not_reset_away() {
    let demo = Demo::ready(&[]);
    demo.pane.write(b"mine");
    demo.pane.wait_screen("mine", SOON);
    let held = demo.sending("for later", &["--when", "draft=wait"]);
    until(SOON, "the message is held", || {
        demo.sandbox.status(Demo::NAME)["held"] == 1
    });
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(code, 75, "{json:#}");
    demo.pane.write(b"\x15");
    assert_eq!(Receipt::of(held.wait(support::LATER)).verdict(), "accepted");
    demo.wait_ready();
    assert_eq!(reset(&demo.sandbox, &[]).0, 0);
}

#[test]
fn a_running_turn_is_not_reset_but_waited_for_if_that_is_asked() {
    let demo = Demo::ready(&[]);
    demo.send("slow=4 a longer turn", &[]).must_be("accepted");
    refused(&demo, "a turn is running");
    let (code, json) = reset(&demo.sandbox, &["--wait", "30"]);
    assert_eq!(code, 0, "{json:#}");
    let done = demo.log.of("done");
    assert_eq!(done.len(), 1);
    assert_eq!(
        done[0]["interrupted"], false,
        "the turn came to its own end"
    );
}

#[test]
fn an_enter_that_is_swallowed_for_good_leaves_no_command_behind() {
    let demo = Demo::ready(&["--swallow-enter", "9"]);
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(code, 7, "{json:#}");
    assert_eq!(
        (&json["removed"], &json["submitted"]),
        (&true.into(), &true.into())
    );
    assert_eq!(demo.composer(), "");
    assert_eq!(commands(&demo), 0);
}

#[test]
fn an_enter_that_is_swallowed_once_is_pressed_again() {
    let demo = Demo::ready(&["--swallow-enter", "1"]);
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(commands(&demo), 1);
}

#[test]
fn a_command_that_the_menu_does_not_offer_is_taken_away_unsubmitted() {
    let demo = with_reset("[reset]\ncommand = \"/new\"\noffered = \"→ /new\"\n");
    let (code, json) = reset(&demo.sandbox, &[]);
    assert_eq!(
        (code, &json["verdict"]),
        (75, &"refused".into()),
        "{json:#}"
    );
    assert_eq!(
        (&json["removed"], &json["submitted"]),
        (&true.into(), &false.into())
    );
    until(SOON, "the composer is empty", || demo.composer().is_empty());
    assert_eq!(commands(&demo), 0);
}

#[test]
fn a_runtime_without_a_known_reset_is_left_alone() {
    let demo = with_reset("");
    let output = told(&demo.sandbox);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(output.stderr.contains("docs/profiles.md"), "{output:?}");
    assert_eq!(commands(&demo), 0);
}

#[test]
fn an_agent_that_is_not_there_is_gone() {
    let sandbox = Sandbox::new();
    assert_eq!(told(&sandbox).code, 3);
}

#[test]
fn what_runs_below_an_agent_may_not_reset_one() {
    let sandbox = Sandbox::new();
    let demo = Demo::start(sandbox, &[]);
    demo.wait_ready();
    let sandbox = &demo.sandbox;
    let code = sandbox.path("code");
    let (name, file) = (Demo::NAME, code.display());
    let script = format!(
        "#!/bin/sh\n{FLEET} reset {name}\necho $? >{file}.new\nmv {file}.new {file}\nexec sleep 60\n"
    );
    let child = sandbox.script("child", &script).display().to_string();
    let _other = sandbox.start(&["run", "other", "--", &child]);
    until(SOON, "the child has tried", || code.exists());
    let said = fs::read_to_string(&code).expect("its exit code");
    assert_eq!(said.trim(), "77");
    assert_eq!(commands(&demo), 0);
}

#[test]
fn a_person_who_types_in_between_keeps_every_key() {
    let demo = Demo::ready(&[]);
    let running = resetting(&demo.sandbox, &["--json"]);
    demo.pane.write(b"mine");
    let output = running.wait(support::LATER);
    let json = output.json();
    // Whoever was first: a reset before, a refusal, or a mixture that nobody has submitted.
    match output.code {
        0 => assert_eq!(commands(&demo), 1, "{json:#}"),
        75 | 7 => assert_eq!(commands(&demo), 0, "{json:#}"),
        code => panic!("{code}: {json:#}"),
    }
    assert_eq!(demo.log.taken(), Vec::<String>::new());
    until(SOON, "the person's text is in the composer", || {
        demo.composer().contains("mine")
    });
}

#[test]
fn a_mistake_in_the_profile_is_told_before_anything_is_typed() {
    let demo = with_reset("[reset]\ncomand = \"/new\"\n");
    let output = told(&demo.sandbox);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(output.stderr.contains("demo.toml:"), "{output:?}");
    assert!(output.stderr.contains("reset.command"), "{output:?}");
    let mut doctor = demo.sandbox.command(FLEET);
    doctor.arg("doctor");
    let found = Running::start(doctor, &demo.sandbox.path("out"), b"").wait(support::LATER);
    assert!(found.stdout.contains("reset.command"), "{found:?}");
}

/// A demo with a profile of the user's own that says this of resets.
fn with_reset(reset: &str) -> Demo {
    let sandbox = Sandbox::new();
    let dir = sandbox.home().join(".config/mosaic/agent/profiles");
    fs::create_dir_all(&dir).expect("a directory");
    let text = include_str!("../src/pure/profiles/demo.toml").to_owned() + reset;
    fs::write(dir.join("demo.toml"), text).expect("a profile");
    let demo = Demo::start(sandbox, &[]);
    demo.wait_ready();
    demo
}
