//! `mosaic-fleet events`: what happens, told once, in order, to whoever comes back with a cursor.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::libc;
use serde_json::{Value, json};
use support::{Client, Demo, FLEET, LATER, Output, Pane, Running, SOON, Sandbox, kill};

/// `mosaic-fleet` in the background.
fn fleet(sandbox: &Sandbox, args: &[&str]) -> Running {
    let mut command: Command = sandbox.command(FLEET);
    command.args(args);
    Running::start(command, &sandbox.path("out"), b"")
}

/// The events that were printed so far.
fn told(output: &str) -> Vec<Value> {
    output
        .lines()
        .map(|line| match serde_json::from_str(line) {
            Ok(event) => event,
            Err(e) => panic!("{line:?}: {e}"),
        })
        .collect()
}

fn now(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["events", Demo::NAME, "--no-follow"];
    all.extend(args);
    let output: Output = fleet(sandbox, &all).wait(LATER);
    assert_eq!(output.code, 0, "{output:?}");
    told(&output.stdout)
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|e| e["kind"].as_str()).collect()
}

fn fits(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.json"));
    let text = std::fs::read_to_string(path).expect("a schema");
    let schema = serde_json::from_str(&text).expect("a schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = schema
        .iter_errors(document)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{name}: {document}: {errors:?}");
}

#[test]
fn states_receipts_observed_messages_and_control_acts_are_told_in_order_and_once() {
    let demo = Demo::ready(&[]);
    demo.send("one", &["--id", "m-1"]).must_be("accepted");
    demo.submit("typed by hand");
    support::until(SOON, "what was typed by hand is told", || {
        kinds(&now(&demo.sandbox, &["--since-start"])).contains(&"observed")
    });
    demo.wait_ready();
    let events = now(&demo.sandbox, &["--since-start"]);
    for event in &events {
        fits("event", event);
    }
    assert_eq!(events[0]["kind"], "start");
    let seqs: Vec<u64> = events.iter().filter_map(|e| e["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    let receipts: Vec<_> = events.iter().filter(|e| e["kind"] == "receipt").collect();
    assert_eq!(receipts.len(), 1, "{events:#?}");
    assert_eq!(receipts[0]["receipt"]["id"], "m-1");
    let observed = kinds(&events).iter().filter(|k| **k == "observed").count();
    assert_eq!(observed, 1, "{events:#?}");
    let text = serde_json::to_string(&events).expect("JSON");
    assert!(!text.contains("typed by hand"), "no bodies: {text}");
    let states: Vec<_> = events.iter().filter(|e| e["kind"] == "state").collect();
    for pair in states.windows(2) {
        assert_eq!(pair[0]["state"], pair[1]["was"], "{states:#?}");
    }
    // Nothing is told twice to whoever comes back, and nothing is left out.
    let middle = &events[events.len() / 2];
    let cursor = middle["cursor"].as_str().expect("a cursor");
    let rest = now(&demo.sandbox, &["--after", cursor]);
    assert_eq!(rest[..], events[events.len() / 2 + 1..]);
    let some = now(
        &demo.sandbox,
        &["--since-start", "--kinds", "start,observed"],
    );
    assert_eq!(kinds(&some), ["start", "observed"]);
}

#[test]
fn the_socket_answers_when_something_happens_and_not_before() {
    let demo = Demo::ready(&[]);
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let all = client.ask(&json!({"op": "events"}));
    fits("events", &all);
    assert_eq!(all["lost"], false, "{all}");
    let next = &all["next"];
    let quiet = client.ask(&json!({"op": "events", "cursor": next, "wait_ms": 200}));
    assert_eq!(quiet["events"], json!([]));
    assert_eq!(&quiet["next"], next);
    client.send(
        format!(
            "{}\n",
            json!({"op": "events", "cursor": next, "wait_ms": 60_000})
        )
        .as_bytes(),
    );
    demo.send("go", &[]).must_be("accepted");
    let news = client.line(SOON).expect("an answer");
    assert!(!news["events"].as_array().expect("events").is_empty());
    // The cursor of nobody is answered at once, with everything, and said to be.
    let lost = client.ask(&json!({"op": "events", "cursor": "other:3", "wait_ms": 60_000}));
    assert_eq!(lost["lost"], true);
    assert_eq!(lost["events"][0]["kind"], "start");
}

#[test]
fn a_follower_goes_over_to_the_next_sidecar_and_says_so() {
    let mut demo = Demo::ready(&[]);
    let follower = fleet(&demo.sandbox, &["events", Demo::NAME, "--since-start"]);
    let seen = |kind: &str| {
        let what = format!("{kind} is told");
        support::until(LATER, &what, || {
            kinds(&told(&follower.printed())).contains(&kind)
        });
    };
    seen("start");
    kill(demo.pane.pid(), libc::SIGKILL);
    demo.pane.wait_exit(SOON);
    seen("gone");
    let log = demo.sandbox.path("demo.log").display().to_string();
    let mut pane = Pane::run(
        &demo.sandbox,
        Demo::NAME,
        &[FLEET, "demo-tui", "--log", &log],
    );
    seen("back");
    seen("lost");
    demo.wait_ready();
    let events = told(&follower.printed());
    let starts = kinds(&events).iter().filter(|k| **k == "start").count();
    assert_eq!(starts, 2, "{events:#?}");
    kill(pane.pid(), libc::SIGTERM);
    pane.wait_exit(SOON);
    seen("exit");
    let events = told(&follower.printed());
    let exit = events.iter().find(|e| e["kind"] == "exit").expect("seen");
    assert_eq!(exit["reason"], "terminated", "{exit}");
    for event in &events {
        fits("event", event);
    }
}

#[test]
fn all_agents_are_followed_also_those_that_come_later_and_beats_are_told_if_asked_for() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.run_dir()).expect("a directory");
    let follower = fleet(
        &sandbox,
        &["events", "--all", "--kinds", "beat,start,state"],
    );
    // Whoever is there before the follower has looked once does not come later.
    beat(&sandbox, &follower, "ghost", 1);
    let demo = Demo::start(sandbox, &[]);
    let wanted = ["beat", "start", "state"];
    support::until(LATER, "the new agent is followed", || {
        let mut events = told(&follower.printed());
        events.retain(|event| event["agent"] == Demo::NAME);
        wanted.iter().all(|kind| kinds(&events).contains(kind))
    });
    let events = told(&follower.printed());
    let beat = events.iter().find(|e| e["kind"] == "beat").expect("seen");
    fits("event", beat);
    drop(demo);
}

/// Writes a heartbeat as a sidecar does, and waits until it is told.
fn beat(sandbox: &Sandbox, follower: &Running, agent: &str, seq: u32) -> Duration {
    let file = sandbox.heartbeat_path(agent);
    let beside = file.with_extension("hb.new");
    let text = format!("ts=2026-11-20T09:30:15Z\nv=1\nseq={seq}\n");
    std::fs::write(&beside, text).expect("a file in the sandbox");
    std::fs::rename(&beside, &file).expect("it is renamed");
    support::until(LATER, &format!("beat {seq} of {agent} is told"), || {
        let events = told(&follower.printed());
        events
            .iter()
            .any(|e| e["agent"] == agent && e["seq"] == seq)
    })
}

#[test]
fn a_heartbeat_that_comes_is_told_at_once() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.run_dir()).expect("a directory");
    let follower = fleet(&sandbox, &["events", "--all", "--kinds", "beat"]);
    beat(&sandbox, &follower, "first", 1);
    // Whoever looks once a second needs half a second on average, whatever these fall upon.
    let mut took: Vec<Duration> = (0..9)
        .map(|n| {
            let agent = format!("agent{}", n / 2);
            beat(&sandbox, &follower, &agent, n)
        })
        .collect();
    took.sort();
    assert!(took[4] < Duration::from_millis(250), "{took:?}");
}

#[test]
fn a_directory_that_comes_later_and_one_that_was_replaced_are_found() {
    let sandbox = Sandbox::new();
    let follower = fleet(&sandbox, &["events", "--all", "--kinds", "beat"]);
    // Its threads are there: the one that looks out has found no directory.
    let threads = format!("/proc/{}/task", follower.pid());
    support::until(SOON, "it looks out", || {
        std::fs::read_dir(&threads).is_ok_and(|threads| threads.count() > 1)
    });
    for n in 1..=3 {
        std::fs::create_dir_all(sandbox.run_dir()).expect("a directory");
        beat(&sandbox, &follower, "agent", n);
        std::fs::remove_dir_all(sandbox.run_dir()).expect("it is removed");
    }
}

#[test]
fn the_next_sidecar_of_an_agent_is_followed_from_its_first_heartbeat_on() {
    let mut demo = Demo::ready(&[]);
    let follower = fleet(&demo.sandbox, &["events", "--all", "--kinds", "gone,back"]);
    let mut took = Vec::new();
    for n in 1..=5 {
        let count = |kind: &str| {
            let events = told(&follower.printed());
            kinds(&events).iter().filter(|k| **k == kind).count()
        };
        demo.wait_ready();
        kill(demo.pane.pid(), libc::SIGKILL);
        demo.pane.wait_exit(SOON);
        support::until(LATER, "gone is told", || count("gone") == n);
        let beat = std::fs::read(demo.sandbox.heartbeat_path(Demo::NAME)).ok();
        demo.pane = Pane::run(&demo.sandbox, Demo::NAME, &[FLEET, "demo-tui"]);
        support::until(SOON, "its first heartbeat", || {
            std::fs::read(demo.sandbox.heartbeat_path(Demo::NAME)).ok() != beat
        });
        took.push(support::until(LATER, "back is told", || count("back") == n));
    }
    took.sort();
    assert!(took[2] < Duration::from_millis(250), "{took:?}");
}

#[test]
fn a_command_gets_every_event_and_acts_of_control_are_among_them() {
    let demo = Demo::ready(&[]);
    let out = demo.sandbox.path("out/told");
    let command = format!(
        "{{ echo \"$MOSAIC_EVENT_KIND $MOSAIC_EVENT_AGENT\"; cat; }} >>{}",
        out.display()
    );
    let follower = fleet(
        &demo.sandbox,
        &["events", Demo::NAME, "--since-start", "--exec", &command],
    );
    let read = || std::fs::read_to_string(&out).unwrap_or_default();
    support::until(LATER, "the command was told of the start", || {
        read().contains("start demo")
    });
    let asked = demo.sandbox.agent(&["stop", "--now", Demo::NAME]);
    assert_eq!(asked.code, 0, "{asked:?}");
    support::until(LATER, "and of the stop", || read().contains("exit demo"));
    let text = read();
    let control = text.lines().find(|l| l.contains("\"kind\":\"control\""));
    let control: Value = serde_json::from_str(control.expect("a control act")).expect("JSON");
    assert_eq!(control["op"], "stop");
    assert!(control["peer_pid"].as_u64().is_some_and(|pid| pid > 1));
    assert!(control.get("refused").is_none(), "{control}");
    drop(follower);
}

#[test]
fn a_refusal_of_control_is_told_too() {
    let sandbox = Sandbox::new();
    let script = format!(
        "{} stop --now sh; echo refused; exec sleep 60",
        support::AGENT
    );
    let pane = Pane::shell(&sandbox, &script);
    pane.wait_screen("refused", LATER);
    let told = told(
        &fleet(&sandbox, &["events", "sh", "--no-follow"])
            .wait(SOON)
            .stdout,
    );
    let control: Vec<_> = told.iter().filter(|e| e["kind"] == "control").collect();
    assert_eq!(control.len(), 1, "{told:#?}");
    assert!(
        control[0]["refused"]
            .as_str()
            .is_some_and(|why| why.contains("below"))
    );
}

#[test]
fn who_is_not_there_is_said_and_wrong_words_are_usage_errors() {
    let sandbox = Sandbox::new();
    let gone = fleet(&sandbox, &["events", "nobody"]).wait(SOON);
    assert_eq!(gone.code, 3, "{gone:?}");
    for wrong in [
        &["events"][..],
        &["events", "a", "--all"],
        &["events", "--all", "--after", "x:1"],
        &["events", "a", "--kinds", "stat"],
    ] {
        let output = fleet(&sandbox, wrong).wait(SOON);
        assert_eq!(output.code, 2, "{wrong:?}: {output:?}");
    }
    let help = fleet(&sandbox, &["events", "--help"]).wait(SOON);
    assert!(help.stdout.contains("--after CURSOR"), "{help:?}");
    let none = fleet(&sandbox, &["events", "--all", "--no-follow"]).wait(SOON);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "{none:?}");
}

#[test]
fn who_begins_and_who_ceases_to_watch_is_told() {
    let demo = Demo::ready(&[]);
    let told_viewers = || {
        let events = now(&demo.sandbox, &["--since-start", "--kinds", "viewers"]);
        events.iter().for_each(|event| fits("event", event));
        let counts = events.iter().filter_map(|e| e["viewers"].as_u64());
        counts.collect::<Vec<u64>>()
    };
    let mut command = demo.sandbox.command(FLEET);
    command.args(["watch", Demo::NAME]);
    let mut viewer = Pane::start(command, (100, 30));
    support::until(SOON, "the viewer is told of", || told_viewers() == [1]);
    viewer.write(b"q");
    assert_eq!(viewer.wait_exit(SOON), 0);
    support::until(SOON, "its end is, too", || told_viewers() == [1, 0]);
}
