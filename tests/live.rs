//! Real runtimes under the sidecar: what a receipt says, held against what the model got.
//!
//! pi is tested wherever node is; codex and claude where `MOSAIC_TEST_RUNTIMES` names them (a comma list,
//! `pi` if it is not set). What is left out is said on stderr and in the file `MOSAIC_TEST_SKIPS` names.

mod support;
mod trials;

use trials::scenes::Scene::{self, *};
use trials::{Fault, Shape, Shot, available, skip};

/// Scenes that every runtime has.
const COMMON: [Scene; 14] = [
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
    Stopped,
    Rejected,
    Gone,
    Ready(Shape::Line),
];

#[test]
fn pi_is_judged_truly() {
    judged_truly("pi", &COMMON);
}

#[test]
fn codex_is_judged_truly() {
    judged_truly("codex", &[&COMMON[..], &[Dialog]].concat());
}

#[test]
fn claude_is_judged_truly() {
    judged_truly("claude", &[&COMMON[..], &[Dialog]].concat());
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
