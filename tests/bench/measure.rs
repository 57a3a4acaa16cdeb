//! The measurements. Each takes all candidates in one go, and in another order every round.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::candidates::{Candidate, Workshop, on_path};
use crate::figures::{Limit, Row, Samples, quantile};
use crate::inner::{DONE, GO, HELLO, READY};
use crate::procfs::{self, Costs};
use crate::terminal::{Terminal, watch};

/// How much of everything.
pub struct Plan {
    pub rounds: usize,
    pub keys: usize,
    pub flood_mb: usize,
    pub starts: usize,
    pub idle: Duration,
    pub spin: Duration,
    pub settle: Duration,
    pub agents: usize,
    pub pane_mb: usize,
}

/// Deadlines: far beyond what anything here takes, even on a loaded machine.
pub const READY_WITHIN: Duration = Duration::from_secs(10);
const KEY_WITHIN: Duration = Duration::from_secs(2);
const FLOOD_WITHIN: Duration = Duration::from_secs(60);

/// Keys typed to one candidate before it is the next one's turn.
const TURN: usize = 20;
/// Rounds of a flood for each round of everything else: many short ones, because another one's build in the
/// middle of a long one spoils a whole ratio.
pub const FLOOD_ROUNDS: usize = 3;
/// Copies of each candidate that idle side by side.
const COPIES: usize = 3;

pub type Rows = io::Result<Vec<Row>>;

/// Types single keys and waits for each one's echo.
pub fn latency(shop: &Workshop, plan: &Plan) -> Rows {
    let (mut p50, mut p99) = (Samples::default(), Samples::default());
    for round in 0..plan.rounds {
        for (candidate, times) in type_keys(shop, plan, round)? {
            p50.add(candidate, quantile(&times, 0.5).unwrap_or(f64::NAN));
            p99.add(candidate, quantile(&times, 0.99).unwrap_or(f64::NAN));
        }
    }
    Ok(vec![
        Row::new(
            "key latency p50, µs",
            p50.clone(),
            Limit::RatioAtMost(1.3, 1.1),
        ),
        Row::new("key latency p99, µs", p99, Limit::RatioAtMost(2.0, 1.5)),
        Row::new(
            "key latency p50 added to direct, µs",
            p50.added_to(Candidate::Direct),
            Limit::None,
        ),
    ])
}

/// One round: all candidates are up, keys go to them in turns of [`TURN`], so that a noisy moment meets all.
fn type_keys(
    shop: &Workshop,
    plan: &Plan,
    round: usize,
) -> io::Result<BTreeMap<Candidate, Vec<f64>>> {
    let mut terminals = Vec::new();
    for candidate in rotated(&shop.candidates(), round) {
        terminals.push((candidate, ready(shop.start(candidate, &["echo"])?)?));
    }
    let mut times: BTreeMap<Candidate, Vec<f64>> = BTreeMap::new();
    let mut pauses = Pauses(round as u64 + 1);
    for turn in 0..plan.keys.div_ceil(TURN) {
        let count = terminals.len();
        terminals.rotate_left(turn % count);
        for (candidate, terminal) in &mut terminals {
            for key in 0..TURN.min(plan.keys - turn * TURN) {
                std::thread::sleep(pauses.next());
                let time = type_key(terminal, b'a' + key as u8)?;
                times
                    .entry(*candidate)
                    .or_default()
                    .push(time.as_secs_f64() * 1e6);
            }
        }
    }
    terminals
        .into_iter()
        .for_each(|(_, terminal)| finish(terminal));
    Ok(times)
}

fn type_key(terminal: &mut Terminal, key: u8) -> io::Result<Duration> {
    let typed = Instant::now();
    terminal.send(&[key])?;
    Ok(terminal.wait_for(&[key], KEY_WITHIN)? - typed)
}

/// Lets the inner program print as fast as it can.
pub fn floods(shop: &Workshop, plan: &Plan) -> Rows {
    let mut rows = Vec::new();
    let kinds = [
        ("agent-TUI", "flood-tui", Limit::RatioAtLeast(0.70, 0.90)),
        ("plain-text", "flood-text", Limit::RatioAtLeast(0.50, 0.80)),
    ];
    for (kind, mode, limit) in kinds {
        let (mut rate, mut cpu) = (Samples::default(), Samples::default());
        for round in 0..plan.rounds * FLOOD_ROUNDS {
            for candidate in rotated(&shop.candidates(), round) {
                let mut terminal =
                    ready(shop.start(candidate, &[mode, &kilobytes(plan.flood_mb)])?)?;
                let wrapper = shop.wrapper(&terminal);
                let before = procfs::costs(&wrapper);
                let seconds = flood(&mut terminal)?.as_secs_f64();
                // In ns per byte, which is s per GB.
                let spent =
                    (procfs::costs(&wrapper) - before).cpu_ns / (plan.flood_mb as f64 * 1e6);
                finish(terminal);
                rate.add(candidate, plan.flood_mb as f64 / seconds);
                cpu.add(candidate, spent);
            }
        }
        rows.push(Row::new(format!("{kind} flood, MB/s"), rate, limit));
        rows.push(Row::new(
            format!("{kind} flood, CPU s/GB"),
            cpu,
            Limit::None,
        ));
    }
    Ok(rows)
}

/// The same in a tmux pane, until the client's terminal shows the end of it.
pub fn pane_floods(shop: &Workshop, plan: &Plan) -> Rows {
    let mut rows = Vec::new();
    let kinds = [
        ("agent-TUI", "flood-tui", Limit::RatioAtLeast(0.90, 0.95)),
        ("plain-text", "flood-text", Limit::RatioAtLeast(0.65, 0.95)),
    ];
    let candidates: Vec<Candidate> = shop
        .candidates()
        .into_iter()
        .filter(|c| *c != Candidate::Script)
        .collect();
    for (kind, mode, limit) in kinds {
        let mut rate = Samples::default();
        for round in 0..plan.rounds {
            for candidate in rotated(&candidates, round) {
                let mut terminal =
                    ready(shop.start_in_pane(candidate, &[mode, &kilobytes(plan.pane_mb)])?)?;
                let seconds = flood(&mut terminal)?.as_secs_f64();
                finish(terminal);
                rate.add(candidate, plan.pane_mb as f64 / seconds);
            }
        }
        let row = Row::new(format!("in a tmux pane: {kind} flood, MB/s"), rate, limit);
        rows.push(row.against(Candidate::Direct));
    }
    Ok(rows)
}

/// From the fork until the inner program's first byte.
pub fn start(shop: &Workshop, plan: &Plan) -> Rows {
    let mut samples = Samples::default();
    for round in 0..plan.rounds {
        let mut times: BTreeMap<Candidate, Vec<f64>> = BTreeMap::new();
        for turn in 0..plan.starts {
            for candidate in rotated(&shop.candidates(), round + turn) {
                let begun = Instant::now();
                let mut terminal = shop.start(candidate, &["hello"])?;
                let time = terminal.wait_for(HELLO, READY_WITHIN)? - begun;
                finish(terminal);
                times
                    .entry(candidate)
                    .or_default()
                    .push(time.as_secs_f64() * 1e3);
            }
        }
        for (candidate, times) in times {
            samples.add(candidate, quantile(&times, 0.5).unwrap_or(f64::NAN));
        }
    }
    Ok(vec![Row::new(
        "start until the first byte, ms",
        samples,
        Limit::RatioAtMost(1.3, 1.15),
    )])
}

/// What a wrapper costs while nothing happens.
pub fn idle(shop: &Workshop, plan: &Plan) -> Rows {
    let [switches, cpu, threads, fds] = stand_by(shop, plan, "idle", plan.idle)?;
    let seconds = plan.idle.as_secs_f64();
    Ok(vec![
        Row::new(
            format!("idle {seconds} s: context switches/s"),
            switches,
            Limit::Value(1.0, 0.25),
        ),
        Row::new(
            format!("idle {seconds} s: CPU ms/min"),
            cpu,
            Limit::Value(3.0, 1.0),
        ),
        Row::new("idle: threads", threads, Limit::None),
        Row::new("idle: descriptors", fds, Limit::None),
    ])
}

/// What it costs while a spinner turns.
pub fn spinner(shop: &Workshop, plan: &Plan) -> Rows {
    let [switches, cpu, _, _] = stand_by(shop, plan, "spin", plan.spin)?;
    Ok(vec![
        Row::new("spinner 10/s: context switches/s", switches, Limit::None),
        Row::new("spinner 10/s: CPU ms/min", cpu, Limit::None),
    ])
}

/// Some copies of every wrapper side by side, for a while: switches/s, CPU ms/min, threads, descriptors.
fn stand_by(
    shop: &Workshop,
    plan: &Plan,
    mode: &str,
    during: Duration,
) -> io::Result<[Samples; 4]> {
    let mut owners = Vec::new();
    let mut terminals = Vec::new();
    for copy in 0..COPIES {
        for candidate in rotated(&wrappers(shop), copy) {
            owners.push(candidate);
            terminals.push(ready(shop.start(candidate, &[mode])?)?);
        }
    }
    watch(&terminals, plan.settle)?;
    let before: Vec<(Vec<i32>, Costs)> = terminals
        .iter()
        .map(|t| shop.wrapper(t))
        .map(|pids| (pids.clone(), procfs::costs(&pids)))
        .collect();
    let begun = Instant::now();
    watch(&terminals, during)?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut samples: [Samples; 4] = Default::default();
    for (candidate, (pids, before)) in owners.iter().zip(before) {
        let spent = procfs::costs(&pids) - before;
        samples[0].add(*candidate, spent.switches / seconds);
        samples[1].add(*candidate, spent.cpu_ns / 1e6 * 60.0 / seconds);
        samples[2].add(*candidate, spent.threads);
        samples[3].add(*candidate, spent.fds);
    }
    terminals.into_iter().for_each(finish);
    Ok(samples)
}

/// Memory of one wrapper alone, its screen (and what history it keeps) full.
pub fn memory(shop: &Workshop, plan: &Plan) -> Rows {
    let [mut pss, mut private, mut anonymous]: [Samples; 3] = Default::default();
    for round in 0..plan.rounds.min(3) {
        for candidate in rotated(&wrappers(shop), round) {
            let mut terminal = ready(shop.start(candidate, &["flood-both", "1500"])?)?;
            flood(&mut terminal)?;
            watch(std::slice::from_ref(&terminal), plan.settle)?;
            let used = procfs::memory(&shop.wrapper(&terminal));
            finish(terminal);
            pss.add(candidate, used.pss_kib);
            private.add(candidate, used.private_kib);
            anonymous.add(candidate, used.anonymous_kib);
        }
    }
    Ok(vec![
        Row::new(
            "screen full, alone: PSS KiB",
            pss,
            Limit::Value(2048.0, 1229.0),
        ),
        Row::new("screen full, alone: private KiB", private, Limit::None),
        Row::new("screen full, alone: anonymous KiB", anonymous, Limit::None),
    ])
}

/// Memory of each of many wrappers with a full screen.
pub fn many(shop: &Workshop, plan: &Plan) -> Rows {
    let [mut pss, mut private, mut anonymous]: [Samples; 3] = Default::default();
    for candidate in wrappers(shop) {
        let mut terminals = Vec::new();
        for _ in 0..plan.agents {
            let mut terminal = ready(shop.start(candidate, &["flood-both", "250"])?)?;
            flood(&mut terminal)?;
            terminals.push(terminal);
        }
        watch(&terminals, plan.settle)?;
        let pids: Vec<i32> = terminals.iter().flat_map(|t| shop.wrapper(t)).collect();
        let used = procfs::memory(&pids);
        terminals.into_iter().for_each(finish);
        pss.add(candidate, used.pss_kib / plan.agents as f64);
        private.add(candidate, used.private_kib / plan.agents as f64);
        anonymous.add(candidate, used.anonymous_kib / plan.agents as f64);
    }
    let n = plan.agents;
    Ok(vec![
        Row::new(
            format!("screen full, each of {n} agents: PSS KiB"),
            pss,
            Limit::Value(1229.0, 717.0),
        ),
        Row::new(
            format!("screen full, each of {n} agents: private KiB"),
            private,
            Limit::None,
        ),
        Row::new(
            format!("screen full, each of {n} agents: anonymous KiB"),
            anonymous,
            Limit::None,
        ),
    ])
}

/// The sizes of the executables, stripped.
pub fn sizes(shop: &Workshop) -> Rows {
    let mut samples = Samples::default();
    samples.add(
        Candidate::CRaw,
        std::fs::metadata(&shop.c_raw)?.len() as f64 / 1024.0,
    );
    let mut what = "stripped executable, KiB";
    if let Some(agent) = &shop.agent {
        let stripped = shop.c_raw.with_file_name("stripped");
        let strip = on_path("strip").map(|strip| {
            std::process::Command::new(strip)
                .arg("-o")
                .arg(&stripped)
                .arg(agent)
                .status()
        });
        let measured = match strip {
            Some(Ok(status)) if status.success() => &stripped,
            _ => {
                what = "executable as built, KiB";
                agent
            }
        };
        samples.add(
            Candidate::Agent,
            std::fs::metadata(measured)?.len() as f64 / 1024.0,
        );
        let _ = std::fs::remove_file(&stripped);
    }
    Ok(vec![Row::new(what, samples, Limit::Value(1536.0, 1024.0))])
}

/// All but the one without a wrapper.
fn wrappers(shop: &Workshop) -> Vec<Candidate> {
    shop.candidates()
        .into_iter()
        .filter(|c| *c != Candidate::Direct)
        .collect()
}

pub fn rotated(candidates: &[Candidate], round: usize) -> Vec<Candidate> {
    let mut order = candidates.to_vec();
    order.rotate_left(round % candidates.len().max(1));
    order
}

pub fn ready(mut terminal: Terminal) -> io::Result<Terminal> {
    terminal.wait_for(READY, READY_WITHIN)?;
    Ok(terminal)
}

pub fn flood(terminal: &mut Terminal) -> io::Result<Duration> {
    let begun = Instant::now();
    terminal.send(GO)?;
    Ok(terminal.wait_for(DONE, FLOOD_WITHIN)? - begun)
}

/// The figure is taken already: a candidate that will not end is told about and killed.
pub fn finish(terminal: Terminal) {
    if let Err(e) = terminal.end() {
        eprintln!("beside: {e}");
    }
}

pub fn kilobytes(megabytes: usize) -> String {
    (megabytes * 1000).to_string()
}

/// Pauses between keys, 5 to 25 ms: the same ones for everybody, and no rhythm to fall into.
pub struct Pauses(pub u64);

impl Pauses {
    pub fn next(&mut self) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros(5_000 + (self.0 >> 33) % 20_000)
    }
}
