//! `cargo bench --bench trials -- --runtime pi --sends 1000 [--seed N] [--load] [--scene NAME]…`
//!
//! The long run of the trials. The runtime must be installed (`tests/runtimes/install`).

#[path = "../support/mod.rs"]
mod support;
#[path = "mod.rs"]
mod trials;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "trials [--runtime pi|codex|claude|opencode]… [--sends N] [--minutes N] [--seed N] [--load] [--scene NAME]… [--log FILE]";

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

fn main() -> ExitCode {
    let Some(plan) = plan() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let _load = plan.load.then(|| trials::Load::start(2));
    let mut promise_kept = true;
    for runtime in &plan.runtimes {
        println!("seed {}, load {}", plan.seed, plan.load);
        let only: Vec<trials::scenes::Scene> = trials::scenes::possible(runtime)
            .into_iter()
            .filter(|s| plan.scenes.contains(&s.name()))
            .collect();
        let until = plan
            .minutes
            .map(|n| Instant::now() + Duration::from_secs(60 * n));
        let shots = trials::wander(runtime, plan.sends, until, plan.seed, &only, |new| {
            print!("{}", trials::anomalies(new));
            if let Some(log) = &plan.log {
                append(log, &trials::lines(new));
            }
        });
        println!("{}", trials::table(runtime, &shots));
        promise_kept &= !shots
            .iter()
            .any(|s| s.faults.iter().any(trials::Fault::breaks_promise));
    }
    ExitCode::from(u8::from(!promise_kept))
}
