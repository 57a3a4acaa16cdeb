//! What the kernel says about processes: /proc, read and summed.

use std::fs;
use std::ops::{AddAssign, Sub};
use std::path::Path;

/// Costs of a set of processes. The first two only ever grow; the others are a moment's state.
#[derive(Clone, Copy, Default)]
pub struct Costs {
    /// CPU time in nanoseconds. From `schedstat`: the same time as utime + stime, not cut to 10 ms.
    pub cpu_ns: f64,
    /// Context switches, voluntary or not.
    pub switches: f64,
    pub threads: f64,
    pub fds: f64,
    pub pss_kib: f64,
    pub private_kib: f64,
    /// Heap, stacks and written data: without the pages of executables, of which only the first user pays.
    pub anonymous_kib: f64,
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Costs) {
        self.cpu_ns += other.cpu_ns;
        self.switches += other.switches;
        self.threads += other.threads;
        self.fds += other.fds;
        self.pss_kib += other.pss_kib;
        self.private_kib += other.private_kib;
        self.anonymous_kib += other.anonymous_kib;
    }
}

impl Sub for Costs {
    type Output = Costs;

    /// What was spent between two readings, and the state at the later one.
    fn sub(self, earlier: Costs) -> Costs {
        Costs {
            cpu_ns: self.cpu_ns - earlier.cpu_ns,
            switches: self.switches - earlier.switches,
            ..self
        }
    }
}

/// The costs of these processes; one that has ended counts nothing.
pub fn costs(pids: &[i32]) -> Costs {
    let mut sum = Costs::default();
    for pid in pids {
        for task in numbers(&format!("/proc/{pid}/task")) {
            sum.threads += 1.0;
            sum.cpu_ns += cpu_ns(&format!("/proc/{pid}/task/{task}/schedstat"));
            sum.switches += fields(
                &format!("/proc/{pid}/task/{task}/status"),
                &["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"],
            );
        }
        sum.fds += numbers(&format!("/proc/{pid}/fd")).len() as f64;
    }
    sum
}

/// The memory of these processes. Apart from [`costs`], because the kernel walks all pages for it.
pub fn memory(pids: &[i32]) -> Costs {
    let mut sum = Costs::default();
    for pid in pids {
        let rollup = format!("/proc/{pid}/smaps_rollup");
        sum.pss_kib += fields(&rollup, &["Pss:"]);
        sum.anonymous_kib += fields(&rollup, &["Anonymous:"]);
        sum.private_kib += fields(&rollup, &["Private_Clean:", "Private_Dirty:"]);
    }
    sum
}

/// This process and all below it, without those whose executable is `except` and what is below them.
pub fn tree(root: i32, except: Option<&Path>) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = numbers("/proc")
        .into_iter()
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = Vec::new();
    let mut todo = vec![root];
    while let Some(pid) = todo.pop() {
        if except.is_some() && fs::read_link(format!("/proc/{pid}/exe")).ok().as_deref() == except {
            continue;
        }
        found.push(pid);
        todo.extend(
            parents
                .iter()
                .filter(|(_, above)| *above == pid)
                .map(|(below, _)| below),
        );
    }
    found
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold blanks and brackets: count from the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// The entries of a directory that are numbers.
fn numbers(directory: &str) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn cpu_ns(schedstat: &str) -> f64 {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or(0.0)
}

/// The sum of the numbers behind these labels.
fn fields(file: &str, labels: &[&str]) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = |line: &str| line.split_whitespace().nth(1)?.parse::<f64>().ok();
    text.lines()
        .filter(|line| labels.iter().any(|label| line.starts_with(label)))
        .filter_map(value)
        .sum()
}
