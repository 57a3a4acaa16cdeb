//! `cargo bench --bench trials -- --runtime pi --sends 1000 [--seed N] [--load] [--scene NAME]…`
//!
//! The long run of the trials. The runtime must be installed (`tests/runtimes/install`).
//!
//! ```text
//! --runtime claude --sends 1000 --scene hazard     a thousand sends among dialogs that open at random moments
//! --runtime pi --sends 60 --scene 'ready(line)'    latency of short messages to a ready agent
//! --runtime codex --sends 200 --scenarios          every scenario in turn, until there were so many sends
//! --runtime pi --golden tests/recordings           no trial: makes the recordings anew, prints their index
//! ```
//!
//! Ends with 1 if the promise was broken: a false `accepted`, something typed though not, a draft, dialog, choice or
//! message harmed.

#[path = "../support/mod.rs"]
mod support;
#[path = "mod.rs"]
mod trials;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "trials [--runtime pi|codex|claude|opencode]… [--sends N] [--minutes N] [--seed N] [--load] [--scene NAME]… [--log FILE] [--scenarios] [--golden DIR]";

struct Plan {
    runtimes: Vec<String>,
    sends: usize,
    /// For each runtime.
    minutes: Option<u64>,
    /// Where every send is appended to, as a line of JSON.
    log: Option<std::path::PathBuf>,
    seed: u64,
    load: bool,
    scenes: Vec<String>,
    /// Not by chance: every scenario in turn, until there were so many sends.
    tour: bool,
    /// No trial: make the recordings of `tests/recordings/` again, in this directory.
    golden: Option<std::path::PathBuf>,
}

fn plan() -> Option<Plan> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    let mut plan = Plan {
        runtimes: Vec::new(),
        sends: 100,
        minutes: None,
        log: None,
        seed: now.as_secs(),
        load: false,
        scenes: Vec::new(),
        tour: false,
        golden: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--runtime" => plan.runtimes.push(args.next()?),
            "--sends" => plan.sends = args.next()?.parse().ok()?,
            "--minutes" => plan.minutes = Some(args.next()?.parse().ok()?),
            "--log" => plan.log = Some(args.next()?.into()),
            "--seed" => plan.seed = args.next()?.parse().ok()?,
            "--scene" => plan.scenes.push(args.next()?),
            "--scenarios" => plan.tour = true,
            "--golden" => plan.golden = Some(args.next()?.into()),
            "--load" => plan.load = true,
            "--bench" => {}
            _ => return None,
        }
    }
    if plan.runtimes.is_empty() {
        plan.runtimes.push("pi".to_owned());
    }
    Some(plan)
}

fn append(log: &std::path::Path, lines: &str) {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log);
    file.and_then(|mut f| f.write_all(lines.as_bytes()))
        .expect("the log can be written");
}

/// Scenes by chance.
fn wander(plan: &Plan, runtime: &str) -> Vec<trials::Shot> {
    let only = plan.only(trials::scenes::possible(runtime));
    let until = plan
        .minutes
        .map(|n| Instant::now() + Duration::from_secs(60 * n));
    let shots = trials::wander(runtime, plan.sends, until, plan.seed, &only, |new| {
        plan.tell(new);
    });
    println!("{}", trials::table(runtime, &shots));
    shots
}

/// Every scenario, again and again.
fn tour(plan: &Plan, runtime: &str) -> Vec<trials::Shot> {
    let only = plan.only(trials::scenes::scenarios(runtime));
    let mut shots: Vec<trials::Shot> = Vec::new();
    for round in 0.. {
        let new = trials::tour(runtime, plan.seed.wrapping_add(round), &only);
        plan.tell(&new);
        shots.extend(new);
        if shots.len() >= plan.sends {
            break;
        }
    }
    println!("{}", trials::scenario_table(runtime, &shots));
    shots
}

impl Plan {
    fn only(&self, scenes: Vec<trials::scenes::Scene>) -> Vec<trials::scenes::Scene> {
        let named = |s: &trials::scenes::Scene| self.scenes.contains(&s.name());
        scenes.into_iter().filter(named).collect()
    }

    fn tell(&self, new: &[trials::Shot]) {
        print!("{}", trials::anomalies(new));
        if let Some(log) = &self.log {
            append(log, &trials::lines(new));
        }
    }
}

fn main() -> ExitCode {
    trials::recorder::run_if_asked();
    let Some(plan) = plan() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(dir) = &plan.golden {
        for runtime in &plan.runtimes {
            print!("{}", trials::golden::make(runtime, dir, plan.seed));
        }
        return ExitCode::SUCCESS;
    }
    let _load = plan.load.then(|| trials::Load::start(2));
    let mut promise_kept = true;
    for runtime in &plan.runtimes {
        println!("seed {}, load {}", plan.seed, plan.load);
        let shots = match plan.tour {
            true => tour(&plan, runtime),
            false => wander(&plan, runtime),
        };
        promise_kept &= !shots
            .iter()
            .any(|s| s.faults.iter().any(trials::Fault::breaks_promise));
    }
    ExitCode::from(u8::from(!promise_kept))
}
