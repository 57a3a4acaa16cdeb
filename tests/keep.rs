//! What survives a sidecar: messages that wait for their turn, and the ids of those that were typed.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::libc::SIGKILL;
use support::{Demo, LATER, SOON, Sandbox, always, kill, ms, until};

/// `send` without `--verify`, as a script does it.
fn hand_over(demo: &Demo, text: &str, options: &[&str]) -> support::Receipt {
    let mut args = vec!["send", "--json", "--no-preamble", Demo::NAME, "-"];
    args.extend(options);
    let sending = demo.sandbox.start_with(&args, text.as_bytes());
    support::Receipt::of(sending.wait(SOON))
}

fn journal_path(sandbox: &Sandbox) -> PathBuf {
    sandbox.heartbeat_path(Demo::NAME).with_extension("journal")
}

fn journal_of(sandbox: &Sandbox) -> String {
    fs::read_to_string(journal_path(sandbox)).unwrap_or_default()
}

/// The same agent again, after its sidecar was killed.
fn crash_and_restart(mut demo: Demo, options: &[&str]) -> Demo {
    kill(demo.pane.pid(), SIGKILL);
    demo.pane.wait_exit(SOON);
    let again = Demo::start(demo.sandbox, options);
    again.wait_ready();
    again
}

#[test]
fn a_held_message_outlives_its_sidecar_and_is_typed_once() {
    let demo = Demo::ready(&[]);
    demo.send("slow=60 a long turn", &[]).must_be("accepted");
    hand_over(&demo, "after the turn", &["--id", "kept"]).must_be("held");
    let demo = crash_and_restart(demo, &[]);
    until(LATER, "it is accepted", || {
        demo.ask("verify", &["--id", "kept"]).verdict() == "accepted"
    });
    assert_eq!(demo.log.taken(), ["slow=60 a long turn", "after the turn"]);
    let demo = crash_and_restart(demo, &[]);
    demo.ask("verify", &["--id", "kept"]).must_be("accepted");
    assert_eq!(demo.log.taken().len(), 2);
}

#[test]
fn several_held_messages_keep_their_order_across_a_crash() {
    let demo = Demo::ready(&["--turn-ms", "100"]);
    demo.send("slow=60 a long turn", &[]).must_be("accepted");
    for text in ["one", "two", "three"] {
        hand_over(&demo, text, &["--id", text]).must_be("held");
    }
    let demo = crash_and_restart(demo, &["--turn-ms", "100"]);
    until(LATER, "the last is accepted", || {
        demo.ask("verify", &["--id", "three"]).verdict() == "accepted"
    });
    assert_eq!(demo.log.taken()[1..], ["one", "two", "three"]);
}

#[test]
fn a_message_that_was_being_typed_at_a_crash_is_unknown_and_never_typed_again() {
    let demo = Demo::ready(&["--drop-pastes"]);
    let sending = demo.sending("half way", &["--id", "cut-off"]);
    until(SOON, "it is about to be typed", || {
        journal_of(&demo.sandbox).contains("\"typing\"")
    });
    let demo = crash_and_restart(demo, &[]);
    sending.wait(SOON);
    demo.ask("verify", &["--id", "cut-off"]).must_be("unknown");
    demo.ask("verify", &["--contains", "half way"])
        .must_be("unknown");
    demo.send("half way", &["--id", "cut-off"])
        .must_be("unknown");
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn an_id_that_was_accepted_is_not_typed_again_by_the_next_sidecar() {
    let demo = Demo::ready(&[]);
    let first = demo.send("only once", &["--id", "once"]);
    first.must_be("accepted");
    let demo = crash_and_restart(demo, &[]);
    let second = demo.send("only once", &["--id", "once"]);
    assert_eq!(second.json["evidence"], first.json["evidence"]);
    assert_eq!(second.json["at_ms"], first.json["at_ms"]);
    assert_eq!(demo.log.taken(), ["only once"]);
}

#[test]
fn a_held_message_waits_for_a_draft_to_go() {
    let demo = Demo::ready(&[]);
    demo.pane.write(b"half a thought");
    until(SOON, "the draft shows", || {
        demo.composer().contains("half a thought")
    });
    hand_over(&demo, "after the draft", &["--id", "patient"]).must_be("held");
    always(ms(800), "it is still held", || {
        demo.ask("verify", &["--id", "patient"]).verdict() == "held"
    });
    demo.pane.write(b"\x15");
    until(SOON, "it is accepted", || {
        demo.ask("verify", &["--id", "patient"]).verdict() == "accepted"
    });
    assert_eq!(demo.log.taken(), ["after the draft"]);
}

#[test]
fn a_held_message_is_given_up_when_its_time_is_over_also_across_a_crash() {
    let demo = Demo::ready(&[]);
    demo.send("slow=60 a long turn", &[]).must_be("accepted");
    hand_over(&demo, "too late", &["--id", "late", "--timeout", "1"]).must_be("held");
    until(LATER, "its time is over", || {
        demo.ask("verify", &["--id", "late"]).verdict() == "busy"
    });
    let demo = crash_and_restart(demo, &[]);
    demo.ask("verify", &["--id", "late"]).must_be("busy");
    assert_eq!(demo.log.taken(), ["slow=60 a long turn"]);
}

#[test]
fn held_is_not_said_of_a_message_that_cannot_be_kept() {
    let sandbox = Sandbox::new();
    let journal = sandbox.heartbeat_path(Demo::NAME).with_extension("journal");
    fs::create_dir_all(&journal).expect("a directory in its place");
    let demo = Demo::start(sandbox, &[]);
    demo.wait_ready();
    let refused = hand_over(&demo, "into the void", &["--id", "void"]);
    refused.must_be("busy");
    let reason = refused.json["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("cannot be kept"), "{reason}");
    let status = demo.sandbox.status(Demo::NAME).to_string();
    assert!(status.contains("would not survive a restart"), "{status}");
    demo.send("but this", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["but this"]);
}

#[test]
fn nobody_else_can_read_the_journal() {
    let demo = Demo::ready(&[]);
    demo.send("between us", &[]).must_be("accepted");
    let found = fs::metadata(journal_path(&demo.sandbox)).expect("a journal");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let text = journal_of(&demo.sandbox);
    assert!(text.contains("between us"), "{text}");
}
