//! `keys`: deliberate keys, and only where the caller has seen what they answer.

mod support;

use serde_json::{Value, json};
use support::{Client, Demo, LATER, Output, Pane, SOON, Sandbox, until};

fn keys(demo: &Demo, args: &[&str]) -> Output {
    demo.sandbox.agent(&[&["keys", Demo::NAME], args].concat())
}

fn hash(demo: &Demo) -> String {
    let (_, screen) = demo.sandbox.agent_json(&["screen", "--json", Demo::NAME]);
    screen["hash"].as_str().expect("a hash").to_owned()
}

#[test]
fn a_dialog_is_answered_by_who_has_seen_it_and_by_nobody_else() {
    let demo = Demo::ready(&[]);
    let before = hash(&demo);
    demo.pane.write(b"/ask rm -rf build\r");
    demo.sandbox.wait_state(Demo::NAME, "blocked");
    // This one has seen the composer, not the dialog.
    let blind = keys(&demo, &["--expect", &before, "Enter"]);
    assert_eq!(blind.code, 75, "{blind:?}");
    assert!(blind.stderr.contains("look again"), "{blind:?}");
    assert_eq!(demo.log.of("answer"), Vec::<Value>::new());
    assert_eq!(demo.sandbox.status(Demo::NAME)["state"], "blocked");
    let seen = hash(&demo);
    let moved = keys(&demo, &["--expect", &seen, "Down"]);
    assert_eq!(moved.code, 0, "{moved:?}");
    // The choice is another one now, so what was seen before counts no more.
    until(SOON, "the choice has moved", || hash(&demo) != seen);
    assert_eq!(keys(&demo, &["--expect", &seen, "Enter"]).code, 75);
    let answered = keys(&demo, &["--expect", &hash(&demo), "Enter"]);
    assert_eq!(answered.code, 0, "{answered:?}");
    demo.wait_ready();
    let told = demo
        .sandbox
        .agent(&["events", "--no-follow", "--since-start", Demo::NAME]);
    let control = told
        .stdout
        .lines()
        .filter(|line| line.contains("\"control\""));
    assert_eq!(control.count(), 4, "every act is told: {told:?}");
}

#[test]
fn what_a_person_has_just_typed_and_nobody_has_drawn_yet_is_a_change() {
    let sandbox = Sandbox::new();
    // Draws nothing of what is typed.
    let script = sandbox.script(
        "silent",
        "#!/bin/bash\nstty raw -echo\nprintf 'up\\r\\n'\nexec cat > /dev/null\n",
    );
    let pane = Pane::run(&sandbox, "a", &[script.to_str().expect("a path")]);
    pane.wait_text("up", SOON);
    let mut client = Client::greeted(&sandbox.socket("a"));
    let seen = client.ask(&json!({"op": "screen"}))["hash"].clone();
    let keys = json!({"op": "keys", "keys": ["x"], "expect": seen});
    let refused = support::get(SOON, "a key of the person's is on its way", || {
        pane.write(b"m");
        let answer = client.ask(&keys);
        (answer["error"] == "changed").then_some(answer)
    });
    assert!(
        refused["message"].to_string().contains("look again"),
        "{refused}"
    );
    // Whoever never draws does not keep others away for ever.
    until(SOON, "it is let go", || {
        client.ask(&keys)["schema"] == "mosaic.keys/1"
    });
}

#[test]
fn a_turn_is_interrupted_and_a_key_is_a_persons() {
    let demo = Demo::ready(&["--turn-ms", "60000"]);
    demo.submit("for a long time");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    assert_eq!(keys(&demo, &["Escape"]).code, 0);
    demo.wait_ready();
    assert_eq!(keys(&demo, &["h", "i", "Space", "--", "-"]).code, 0);
    until(SOON, "it stands there", || demo.composer().contains("hi -"));
    demo.send("not into that", &[]).must_be("occupied");
}

#[test]
fn cursor_keys_are_what_the_runtime_has_asked_for() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "reads",
        "#!/bin/bash\nstty raw -echo\nprintf '\\e[?1h'\nread -rN3 up\nprintf '\\e[?1lfirst %q\\r\\n' \"$up\"\n\
         read -rN3 up\nprintf 'then %q\\r\\n' \"$up\"\nexec sleep 1000\n",
    );
    let pane = Pane::run(&sandbox, "a", &[script.to_str().expect("a path")]);
    until(SOON, "it is there", || sandbox.socket("a").exists());
    let asked = || {
        let (_, screen) = sandbox.agent_json(&["screen", "--json", "a"]);
        screen["modes"].to_string().contains("application_cursor")
    };
    until(SOON, "it asks for application mode", asked);
    assert_eq!(sandbox.agent(&["keys", "a", "Up"]).code, 0);
    pane.wait_screen(r"first $'\EOA'", SOON);
    until(SOON, "it asks for normal mode", || !asked());
    assert_eq!(sandbox.agent(&["keys", "a", "Up"]).code, 0);
    pane.wait_screen(r"then $'\E[A'", SOON);
}

#[test]
fn what_is_no_key_is_said_and_nothing_of_it_is_typed() {
    let demo = Demo::ready(&[]);
    for (args, said) in [
        (&["x", "hello"][..], "there is no key \"hello\""),
        (&["x", "enter"][..], "there is no key \"enter\""),
        (&[][..], "which keys?"),
    ] {
        let output = keys(&demo, args);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
    }
    let many = vec!["x"; 65];
    assert_eq!(keys(&demo, &many).code, 2);
    assert_eq!(demo.sandbox.agent(&["keys", "ghost", "x"]).code, 3);
    assert_eq!(demo.sandbox.status(Demo::NAME)["draft"], false);
}

#[test]
fn no_key_goes_between_a_message_and_its_enter() {
    // The Enter is ignored for so long that the message stands there.
    let demo = Demo::ready(&["--paste-window-ms", "3000"]);
    let sending = demo.sending("a message", &[]);
    until(SOON, "it is being typed", || {
        demo.composer().contains("a message")
    });
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let refused = client.ask(&json!({"op": "keys", "keys": ["x"]}));
    assert_eq!(refused["error"], "changed", "{refused}");
    let receipt = support::Receipt::of(sending.wait(LATER));
    assert!(
        ["accepted", "draft"].contains(&receipt.verdict()),
        "{receipt:?}"
    );
    for text in demo.log.taken() {
        assert_eq!(text, "a message");
    }
}
