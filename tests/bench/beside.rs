//! What mosaic-agent costs, measured beside its peers in one run.
//!
//! ```text
//! cargo bench --bench beside                      all of it, about ten minutes
//! cargo bench --bench beside -- --quick           everything once over, in less than a minute
//! cargo bench --bench beside -- --agents 100      for the record
//! ```
//!
//! It plays the outer terminal for each candidate (`terminal.rs`): no wrapper (`direct`), the bare hop
//! (`c-raw.c`), `script`, and `mosaic-agent run`. Behind each of them runs this same executable in a
//! hidden mode (`inner.rs`): it echoes, floods, idles. The candidates take turns in an order that rotates,
//! and what counts is the ratio to c-raw *of the same round*: on a shared machine absolute times move by
//! half from minute to minute, ratios hardly. Trust in this order: memory, context switches, CPU, ratios,
//! absolute times.
//!
//! Three things have no peer: how much `mosaic-agent launch` adds to a session made by tmux alone, how soon
//! `status` is answered in a crowd (`verbs.rs`), and what watching costs (`viewers.rs`).
//!
//! The inner program is never counted; helpers of a wrapper always are. Floors and goals are those of
//! `docs/measurements.md`, and `met?` compares them with the median. "No difference to be seen" in a tmux pane
//! is taken as 0.95 and more. PSS shares the pages of libc with whoever else maps them: compare it within
//! a run only, and look at the private part beside it.
//!
//! Whatever happens — a deadline, a signal, a candidate that will not end — no process, tmux server or
//! directory is left behind.

mod candidates;
mod figures;
mod inner;
mod measure;
mod procfs;
mod terminal;
mod verbs;
mod viewers;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use candidates::Workshop;
use figures::Row;
use measure::Plan;

const USAGE: &str = "\
usage: cargo bench --bench beside [-- OPTION…]
  --quick            everything once over, in less than a minute
  --rounds N         rounds of each measurement (default 5)
  --agents N         wrappers at once for the memory of many (default 20; 100 for the record)
  --idle-seconds N   length of the idle window (default 60)
  --only A,B,…       of: size start launch latency flood pane idle spinner status viewers memory many
  --agent PATH       the mosaic-agent to measure (default: the one of this build directory)
  --no-agent         measure the peers alone";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("--inner") => inner::run(&arguments[1..]),
        // `cargo test --all-targets` starts benchmarks without an argument; that is not the time for it.
        None => usage(),
        Some(_) => bench(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("beside: {e}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> io::Result<()> {
    println!("{USAGE}");
    Ok(())
}

/// The options, understood.
struct Options {
    plan: Plan,
    only: Vec<String>,
    agent: Option<PathBuf>,
    /// After this nothing can be right any more.
    give_up_after: u32,
}

fn bench(arguments: &[String]) -> io::Result<()> {
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        return usage();
    }
    let options = parse(arguments)?;
    let root = std::env::temp_dir().join(format!("mosaic-beside-{}", std::process::id()));
    guard(&root, options.give_up_after)?;
    let before = (load(), others_seconds(), Instant::now());
    let shop = Workshop::open(root, options.agent.clone())?;
    let (rows, failed) = measure_all(&shop, &options);
    shop.close();
    println!("{}\n", heading(&options, before));
    println!("{}", figures::table(&rows, &shop.candidates()));
    match failed {
        0 => Ok(()),
        _ => Err(io::Error::other(format!(
            "{failed} of the measurements failed, see above"
        ))),
    }
}

fn parse(arguments: &[String]) -> io::Result<Options> {
    let wrong = |what: &str| io::Error::other(format!("{what}\n{USAGE}"));
    let quick = arguments.iter().any(|a| a == "--quick");
    let mut options = Options {
        plan: plan(quick),
        only: Vec::new(),
        agent: Some(default_agent()?),
        give_up_after: 0,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| wrong(&format!("{word} needs a value")))
        };
        let number = |text: &String| {
            text.parse::<usize>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| wrong(&format!("{word} needs a number above 0")))
        };
        match word.as_str() {
            // cargo's own.
            "--bench" | "--quick" => {}
            "--rounds" => options.plan.rounds = number(value()?)?,
            "--agents" => options.plan.agents = number(value()?)?,
            "--idle-seconds" => options.plan.idle = Duration::from_secs(number(value()?)? as u64),
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--agent" => options.agent = Some(std::path::absolute(value()?)?),
            "--no-agent" => options.agent = None,
            _ => return Err(wrong(&format!("unknown option {word}"))),
        }
    }
    if let Some(missing) = options.agent.as_ref().filter(|agent| !agent.is_file()) {
        let missing = missing.display();
        return Err(io::Error::other(format!(
            "there is no {missing}; build it: cargo build --release --bin mosaic-agent"
        )));
    }
    let plan = &options.plan;
    let expected = 120 * plan.rounds + 5 * plan.agents + plan.idle.as_secs() as usize;
    options.give_up_after = (600 + 2 * expected) as u32;
    Ok(options)
}

fn plan(quick: bool) -> Plan {
    let seconds = Duration::from_secs;
    match quick {
        true => Plan {
            rounds: 3,
            keys: 60,
            flood_mb: 4,
            starts: 4,
            idle: seconds(8),
            spin: seconds(4),
            settle: Duration::from_millis(800),
            agents: 5,
            pane_mb: 4,
        },
        false => Plan {
            rounds: 5,
            keys: 400,
            flood_mb: 16,
            starts: 10,
            idle: seconds(60),
            spin: seconds(20),
            settle: seconds(3),
            agents: 20,
            pane_mb: 16,
        },
    }
}

/// cargo puts this executable into `target/release/deps`.
fn default_agent() -> io::Result<PathBuf> {
    let me = std::env::current_exe()?;
    let directory = me.ancestors().nth(2).unwrap_or(Path::new("target/release"));
    Ok(directory.join("mosaic-agent"))
}

/// Runs the measurements asked for; one that fails is told about and does not stop the others.
fn measure_all(shop: &Workshop, options: &Options) -> (Vec<Row>, usize) {
    type Measure = fn(&Workshop, &Plan) -> io::Result<Vec<Row>>;
    let all: [(&str, Measure); 12] = [
        ("latency", measure::latency),
        ("flood", measure::floods),
        ("pane", measure::pane_floods),
        ("start", measure::start),
        ("launch", verbs::launch),
        ("idle", measure::idle),
        ("spinner", measure::spinner),
        ("status", verbs::status),
        ("viewers", viewers::viewers),
        ("memory", measure::memory),
        ("many", measure::many),
        ("size", |shop, _| measure::sizes(shop)),
    ];
    let (mut rows, mut failed) = (Vec::new(), 0);
    for (name, measure) in all {
        let wanted = options.only.is_empty() || options.only.iter().any(|only| only == name);
        let possible = match name {
            "pane" => shop.has_tmux(),
            "launch" => shop.has_tmux() && shop.agent.is_some(),
            "status" => shop.agent.is_some(),
            _ => true,
        };
        if !wanted || !possible {
            continue;
        }
        eprintln!("beside: {name} …");
        match measure(shop, &options.plan) {
            Ok(more) => rows.extend(more),
            Err(e) => {
                eprintln!("beside: {name}: {e}");
                failed += 1;
            }
        }
        sweep();
    }
    (rows, failed)
}

/// Sees to it that a signal or a run that hangs ends with everything taken down. Whatever a candidate
/// leaves behind (a tmux server is a daemon) becomes our child, so it can be found.
fn guard(root: &Path, give_up_after: u32) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    keep_inherited_descriptors()?;
    let signals = SigSet::from_iter([
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGALRM,
    ]);
    signals.thread_block()?;
    nix::unistd::alarm::set(give_up_after);
    let root = root.to_owned();
    std::thread::Builder::new().spawn(move || {
        let Ok(signal) = signals.wait() else { return };
        eprintln!("beside: ended by {signal}");
        candidates::ENDING.store(true, Ordering::SeqCst);
        sweep();
        let _ = std::fs::remove_dir_all(root);
        std::process::exit(1);
    })?;
    Ok(())
}

/// What cargo or a shell left open (a job server's pipe) stays here, or it would be counted as a candidate's.
fn keep_inherited_descriptors() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let Some(fd) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .filter(|fd| *fd > 2)
        else {
            continue;
        };
        // SAFETY: a number without memory behind it; a descriptor that is closed by now is refused.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Kills and collects what is still below us.
fn sweep() {
    let me = std::process::id() as i32;
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let below: Vec<i32> = procfs::tree(me, None)
            .into_iter()
            .filter(|pid| *pid != me)
            .collect();
        terminal::end_all(&below);
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) => {}
        }
    }
}

/// Where, when, and how quiet it was.
fn heading(options: &Options, before: (String, f64, Instant)) -> String {
    let (load_before, others_before, begun) = before;
    let others = (others_seconds() - others_before) / begun.elapsed().as_secs_f64();
    let read = |file: &str| {
        std::fs::read_to_string(file)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let date = Command::new("date")
        .args(["-u", "+%F %H:%M UTC"])
        .output()
        .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
        .unwrap_or_default();
    let plan = &options.plan;
    format!(
        "{date}; Linux {kernel}; {cores} × {model}; load {load_before} at the start, {load_after} at the end; \
         all others (kernel workers too) used {others:.2} cores. \
         {rounds} rounds, {keys} keys, floods of {flood} MB ({pane} MB in tmux). Medians.",
        kernel = read("/proc/sys/kernel/osrelease"),
        load_after = load(),
        rounds = plan.rounds,
        keys = plan.keys,
        flood = plan.flood_mb,
        pane = plan.pane_mb,
    )
}

/// CPU time that everybody but this benchmark and its children has used since the boot.
fn others_seconds() -> f64 {
    let sum = |file: &str, behind: char, skip: usize, take: usize| -> f64 {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        let fields = first.rsplit(behind).next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(skip).take(take);
        ticks.filter_map(|t| t.parse::<f64>().ok()).sum()
    };
    // user, nice, system of the machine; utime, stime, cutime, cstime of ours. 100 ticks are a second.
    (sum("/proc/stat", 'u', 0, 3) - sum("/proc/self/stat", ')', 11, 4)) / 100.0
}

/// The load average of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
