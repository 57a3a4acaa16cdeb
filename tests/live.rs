//! Real runtimes under the sidecar: what a receipt says, held against what the model got.
//!
//! pi is tested wherever node is; the others where `MOSAIC_TEST_RUNTIMES` names them (`support::runtimes`).

mod support;
mod trials;

use support::runtimes::{available, skip};
use support::{Pane, Sandbox};
use trials::scenes::Hand;
use trials::scenes::Scene::{self, *};
use trials::{Fault, Shape, Shot};

/// Scenes that every runtime has.
const COMMON: [Scene; 19] = [
    Ready(Shape::Line),
    Ready(Shape::Line),
    Ready(Shape::Lines(5)),
    Ready(Shape::Lines(60)),
    Ready(Shape::Big),
    Ready(Shape::Unicode),
    Ready(Shape::Line),
    Hold,
    Type,
    Draft,
    Upgrade,
    Upgrade,
    By(Hand::Keys),
    By(Hand::Paste(50)),
    By(Hand::OneWrite(63)),
    Stopped,
    Rejected,
    Gone,
    Ready(Shape::Line),
];

/// Those of a runtime that asks for permission.
const ASKING: [Scene; 2] = [Dialog, Hazard];

#[test]
fn pi_is_judged_truly() {
    judged_truly("pi", &[&COMMON[..], &[QueueEscape]].concat());
}

#[test]
fn codex_is_judged_truly() {
    judged_truly("codex", &[&COMMON[..], &ASKING].concat());
}

#[test]
fn claude_is_judged_truly() {
    judged_truly("claude", &[&COMMON[..], &ASKING].concat());
}

#[test]
fn opencode_is_judged_truly() {
    judged_truly("opencode", &[&COMMON[..], &ASKING].concat());
}

/// The trials start this very test as their recorder (`trials::recorder::TEST`).
#[test]
fn the_recorder_keeps_what_went_both_ways() {
    trials::recorder::run_if_asked();
    let sandbox = Sandbox::new();
    let tape = sandbox.path("a.cast");
    let script =
        "#!/bin/sh\nprintf 'name? '\nread name\nstty size\necho \"hello ü $name\"\nexit 7\n";
    let inside = sandbox.script("inside", script).display().to_string();
    let outside = trials::recorder::script(&inside, "sh", &tape);
    let mut pane = Pane::start(
        sandbox.command(sandbox.script("outside", &outside)),
        (70, 20),
    );
    pane.wait_screen("name? ", support::SOON);
    pane.resize(71, 21);
    support::until(support::SOON, "the new size is on the tape", || {
        std::fs::read_to_string(&tape).is_ok_and(|t| t.contains("\"r\",\"71x21\""))
    });
    pane.write(b"you\n");
    assert_eq!(pane.wait_exit(support::SOON), 7, "the inner program's code");
    let recorded = std::fs::read_to_string(&tape).expect("a recording");
    let mut lines = recorded.lines();
    let header: serde_json::Value =
        serde_json::from_str(lines.next().unwrap_or_default()).expect("a header");
    assert_eq!(header["version"], 3);
    assert_eq!(header["term"]["cols"], 70);
    assert_eq!(header["mosaic"]["runtime"], "sh");
    let both = ["o", "i"].map(|wanted| -> String {
        let events = recorded.lines().skip(1);
        let events = events.map(|l| serde_json::from_str(l).expect("an event"));
        let events = events.filter(|(_, code, _): &(f64, String, String)| code == wanted);
        events.map(|(_, _, data)| data).collect()
    });
    assert!(both[0].contains("21 71"), "{recorded}");
    assert!(both[0].contains("hello ü you"), "{recorded}");
    assert_eq!(both[1], "you\n");
}

fn judged_truly(runtime: &str, scenes: &[Scene]) {
    if let Err(why) = available(runtime) {
        return skip(runtime, &why);
    }
    let seed = seed();
    let shots = trials::play(runtime, &[scenes, &[Ended]].concat(), seed);
    eprintln!("seed {seed}\n{}", trials::table(runtime, &shots));
    eprintln!(
        "{runtime}: a short line to a ready agent takes {:?} ms (median)",
        median_of_short_lines(&shots)
    );
    assert!(shots.len() >= 12, "only {} sends", shots.len());
    let wrong: Vec<Shot> = shots
        .into_iter()
        .filter(|s| s.faults.iter().any(|f| must_not_be(f, s.scene)))
        .collect();
    assert!(
        wrong.is_empty(),
        "seed {seed}\n{}",
        trials::anomalies(&wrong)
    );
}

/// Another one each time, unless `MOSAIC_TEST_SEED` has the one of a test that failed.
fn seed() -> u64 {
    let given = std::env::var("MOSAIC_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    given.unwrap_or_else(|| std::process::id().into())
}

/// What fails the test. A verdict that is only too careful does so where nothing should have been typed.
fn must_not_be(fault: &Fault, scene: Scene) -> bool {
    match fault {
        Fault::Missed => true,
        Fault::Verdict => matches!(scene, Draft | Dialog | Stopped | Rejected | Gone | Ended),
        fault => fault.breaks_promise(),
    }
}

fn median_of_short_lines(shots: &[Shot]) -> Option<u64> {
    let mut ms: Vec<u64> = shots
        .iter()
        .filter(|s| s.scene == Ready(Shape::Line))
        .filter_map(|s| s.receipt.verdict_ms)
        .collect();
    ms.sort_unstable();
    ms.get(ms.len() / 2).copied()
}
