//! Messages to a runtime in a real terminal, and what is said of them: taken, not taken, not to be typed at all.
//! The demo's own log is the truth about what was taken. What a person types meanwhile is the matter of `people.rs`.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;
use support::{Client, Demo, LATER, Receipt, SOON, Sandbox, until};

// ---------------------------------------------------------------- taken

#[test]
fn a_message_to_a_ready_runtime_is_accepted_and_taken_once() {
    let demo = Demo::ready(&[]);
    let receipt = demo.send("run the tests", &[]);
    receipt.must_be("accepted");
    assert_eq!(receipt.json["enters"], 1);
    assert_eq!(receipt.json["schema"], "mosaic.receipt/1");
    assert_ne!(receipt.json["evidence"], json!([]));
    assert_eq!(demo.log.taken(), ["run the tests"]);
}

#[test]
fn a_preamble_says_who_writes_to_whom() {
    let demo = Demo::ready(&[]);
    let name = Demo::NAME;
    let (code, receipt) = demo.sandbox.agent_json(&[
        "send",
        "--verify",
        "--json",
        name,
        "--from",
        "hq:boss",
        "-m",
        "/quit please",
    ]);
    assert_eq!(code, 0, "{receipt}");
    let host = receipt["host"].as_str().expect("a host");
    let expected = format!("[hq:boss -> {host}:{name}] /quit please");
    assert_eq!(demo.log.taken(), [expected]);
}

#[test]
fn a_message_of_any_shape_arrives_as_it_was_sent() {
    let demo = Demo::ready(&["--turn-ms", "150"]);
    let lines = |n: usize| -> String {
        let lines: Vec<String> = (1..=n).map(|i| format!("line {i} of {n}")).collect();
        lines.join("\n")
    };
    let long = |n: usize| lines(n / 8)[..n].trim_end().to_owned();
    for text in [
        "two\nlines".to_owned(),
        "\tindented\n\n\nwith gaps".to_owned(),
        "日本語 and é and 🙂 and e\u{301}".to_owned(),
        "x".repeat(400),
        lines(5),
        lines(60),
        long(8 * 1024),
        long(64 * 1024),
    ] {
        let (what, before) = (&text[..text.len().min(9)], demo.log.taken().len());
        let receipt = demo.send(&text, &[]);
        receipt.must_be("accepted");
        assert_eq!(demo.log.taken()[before..], [text.as_str()], "{what:?}");
    }
}

#[test]
fn an_enter_that_is_swallowed_is_pressed_once_more() {
    let demo = Demo::ready(&["--swallow-enter", "1"]);
    let receipt = demo.send("press again", &[]);
    receipt.must_be("accepted");
    assert_eq!(receipt.json["enters"], 2);
    assert_eq!(demo.log.taken(), ["press again"]);
}

#[test]
fn a_runtime_that_ignores_enter_just_after_a_paste_still_takes_the_message() {
    let demo = Demo::ready(&["--paste-window-ms", "120"]);
    demo.send("patience", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["patience"]);
}

#[test]
fn a_message_is_held_by_default_until_the_turn_has_ended() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=1.5");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    demo.send("second", &[]).must_be("accepted");
    let order: Vec<String> = demo
        .log
        .events()
        .iter()
        .map(|e| e["ev"].to_string())
        .collect();
    let expected = ["taken", "turn", "done", "taken", "turn"].map(|ev| format!("{ev:?}"));
    assert_eq!(order[1..6], expected);
    assert_eq!(demo.log.of("taken")[1]["queued"], false);
}

#[test]
fn a_message_typed_into_a_running_turn_on_request_is_queued() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=30");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    let receipt = demo.send("second", &["--when", "busy=type"]);
    receipt.must_be("queued");
    assert_eq!(demo.log.of("taken")[1]["queued"], true);
}

#[test]
fn the_same_id_is_typed_once_however_often_it_is_sent() {
    let demo = Demo::ready(&[]);
    let both = [
        demo.sending("only once", &["--id", "x1"]),
        demo.sending("only once", &["--id", "x1"]),
    ];
    for sending in both {
        Receipt::of(sending.wait(LATER)).must_be("accepted");
    }
    let again = demo.send("only once", &["--id", "x1"]);
    assert_eq!(
        (again.verdict(), &again.json["id"]),
        ("accepted", &json!("x1"))
    );
    assert_eq!(demo.log.taken(), ["only once"]);
}

#[test]
fn senders_at_the_same_time_take_turns() {
    let demo = Demo::ready(&["--turn-ms", "100"]);
    let texts: Vec<String> = (0..8).map(|n| format!("message number {n}")).collect();
    let all: Vec<_> = texts.iter().map(|text| demo.sending(text, &[])).collect();
    for sending in all {
        Receipt::of(sending.wait(LATER)).must_be("accepted");
    }
    let taken: BTreeSet<String> = demo.log.taken().into_iter().collect();
    assert_eq!(taken, texts.into_iter().collect());
    assert_eq!(demo.log.taken().len(), 8);
}

#[test]
fn without_verify_a_message_is_held_and_verify_tells_its_fate_later() {
    let demo = Demo::ready(&[]);
    let held = demo.ask("send", &["-m", "the later message", "--id", "l1"]);
    held.must_be("held");
    let verify = |by: &[&str]| demo.ask("verify", by);
    until(SOON, "it is accepted", || {
        verify(&["--id", "l1"]).json["verdict"] == "accepted"
    });
    let found = verify(&["--contains", "later mess"]);
    assert_eq!(
        (found.verdict(), &found.json["id"]),
        ("accepted", &json!("l1"))
    );
    assert_eq!(demo.log.of("taken").len(), 1);
    let never = verify(&["--contains", "never sent"]);
    assert_eq!((never.code, &never.json["typed"]), (7, &json!(false)));
}
// ---------------------------------------------------------------- not taken

#[test]
fn a_message_that_stays_in_the_composer_is_a_draft_and_is_taken_back() {
    let demo = Demo::ready(&["--swallow-enter", "99"]);
    let many: Vec<String> = (0..30).map(|n| format!("row {n}")).collect();
    for text in ["one line", "three\nshort\nlines", &many.join("\n")] {
        let receipt = demo.send(text, &[]);
        receipt.must_be("draft");
        assert_eq!(receipt.json["retracted"], true, "{text:?} {receipt:?}");
        until(SOON, "an empty composer", || demo.composer().is_empty());
    }
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn a_message_that_vanishes_without_a_turn_is_unknown_and_never_accepted() {
    let demo = Demo::ready(&["--lose", "1"]);
    demo.send("into the void", &[]).must_be("unknown");
    assert_eq!(demo.log.taken(), [""; 0]);
    demo.send("and again", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["and again"]);
}

#[test]
fn a_paste_that_does_not_show_is_not_followed_by_enter() {
    let demo = Demo::ready(&["--drop-pastes"]);
    let receipt = demo.send("nobody sees this", &[]);
    receipt.must_be("unknown");
    assert_eq!(receipt.json["enters"], 0);
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn no_message_answers_an_open_dialog() {
    let demo = Demo::ready(&[]);
    demo.submit("/ask rm -rf /");
    demo.sandbox.wait_state(Demo::NAME, "blocked");
    for options in [
        [].as_slice(),
        &["--when", "busy=type", "--when", "draft=wait"],
    ] {
        demo.send("yes please", options).must_be("blocked");
    }
    assert_eq!(demo.log.of("answer").len(), 0);
    // A person still can; nothing of the message stands behind the dialog.
    demo.pane.write(b"2\r");
    assert_eq!(demo.log.wait("answer")["yes"], false);
    demo.wait_ready();
    assert_eq!(demo.composer(), "");
}

#[test]
fn a_dialog_that_opens_on_the_paste_gets_no_enter() {
    let demo = Demo::ready(&["--dialog-on-paste"]);
    let receipt = demo.send("surprise", &[]);
    assert_ne!(receipt.verdict(), "accepted");
    assert_eq!(receipt.json["enters"], 0);
    demo.log.wait("dialog");
    assert_eq!(demo.log.of("answer").len(), 0);
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn a_sender_may_refuse_to_wait_for_a_turn() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=30");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    demo.send("second", &["--when", "busy=refuse"])
        .must_be("busy");
    // Also who does not wait for the verdict is told, and not that it is kept.
    demo.ask("send", &["-m", "third", "--when", "busy=refuse"])
        .must_be("busy");
    assert_eq!(demo.log.taken(), ["first slow=30"]);
}

#[test]
fn a_turn_that_outlasts_the_senders_patience_is_busy_and_nothing_is_typed_later() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=2");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    demo.send("second", &["--timeout", "0.5"]).must_be("busy");
    demo.log.wait("done");
    demo.wait_ready();
    demo.send("third", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["first slow=2", "third"]);
}

#[test]
fn a_held_message_is_gone_when_the_runtime_ends() {
    let mut demo = Demo::ready(&[]);
    demo.submit("first slow=30");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    let sending = demo.sending("second", &[]);
    until(SOON, "the message is held", || {
        demo.sandbox.status(Demo::NAME)["held"] == 1
    });
    demo.submit("/exit 4");
    Receipt::of(sending.wait(SOON)).must_be("gone");
    assert_eq!(demo.pane.wait_exit(SOON), 4);
    let late = demo
        .sandbox
        .agent(&["send", "--verify", Demo::NAME, "-m", "anybody?"]);
    assert_eq!(late.code, 3, "{late:?}");
}

#[test]
fn a_runtime_that_is_still_starting_is_waited_for_and_not_typed_at() {
    let demo = Demo::start(Sandbox::new(), &["--start-delay-ms", "2000"]);
    until(SOON, "a sidecar", || {
        demo.sandbox.socket(Demo::NAME).exists()
    });
    let early = demo.send("too early", &["--timeout", "0.3"]);
    early.must_be("unready");
    demo.send("in time", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["in time"]);
}

/// Many at once: whether the first look at the screen or the first look at the terminal's modes sees
/// the runtime up is a matter of milliseconds, and must not matter.
#[test]
fn a_message_that_waits_for_the_start_is_not_refused_in_its_last_moment() {
    let demos: Vec<Demo> = (0..8)
        .map(|_| Demo::start(Sandbox::new(), &["--start-delay-ms", "1500"]))
        .collect();
    let sending = demos.iter().map(|demo| {
        let socket = demo.sandbox.socket(Demo::NAME);
        until(SOON, "a sidecar", || socket.exists());
        demo.sending("in time", &[])
    });
    let sending: Vec<_> = sending.collect();
    for (demo, sending) in demos.iter().zip(sending) {
        Receipt::of(sending.wait(LATER)).must_be("accepted");
        assert_eq!(demo.log.taken(), ["in time"]);
    }
}

#[test]
fn a_runtime_in_cooked_mode_is_never_typed_at() {
    let demo = Demo::start(Sandbox::new(), &["--no-raw"]);
    demo.log.wait("ready");
    demo.send("hello", &["--timeout", "1"]).must_be("unready");
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn a_body_that_may_not_be_typed_is_rejected_by_the_sidecar_itself() {
    let demo = Demo::ready(&[]);
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let huge = "x".repeat(300 * 1024);
    for text in [
        "a\u{1b}[201~b",
        "end\u{1b}",
        "nul\0",
        "cr\rcr",
        "crlf\r\n",
        "\u{3}",
        "\u{7f}",
        "c1 \u{9b}",
        "",
        "  \n\t",
        "!ls",
        "/quit",
        &huge,
    ] {
        let answer = client.ask(&json!({"op": "send", "text": text}));
        let shown = &text[..text.len().min(20)];
        assert_eq!(answer["verdict"], "rejected", "{shown:?}: {answer}");
        assert_eq!(answer["typed"], false, "{shown:?}");
    }
    demo.send("this one may", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["this one may"]);
}
// ---------------------------------------------------------------- bodies from the command line

#[test]
fn a_body_comes_from_an_argument_a_file_or_standard_input() {
    let demo = Demo::ready(&["--turn-ms", "50"]);
    let file = demo.sandbox.path("body.txt");
    fs::write(&file, "from a file\n").expect("a file in the sandbox");
    let file = Path::new(&file).display().to_string();
    let send = ["send", "--verify", "--no-preamble", Demo::NAME];
    for (more, input) in [
        (["-m", "from an argument"].as_slice(), ""),
        (&["-f", &file], ""),
        (&["-"], "from standard input\n"),
    ] {
        let output = demo
            .sandbox
            .start_with(&[&send, more].concat(), input.as_bytes());
        let output = output.wait(LATER);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.starts_with("accepted: "), "{output:?}");
    }
    assert_eq!(
        demo.log.taken(),
        ["from an argument", "from a file", "from standard input"]
    );
}
