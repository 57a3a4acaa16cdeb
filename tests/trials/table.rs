//! What the trials have shown, as Markdown.

use std::fmt::Write;
use std::process::Command;

use super::shots::{Fault, Shot};

/// One row for each scene, one for all of them. A scene's sends include the one that began its turn.
pub fn table(runtime: &str, shots: &[Shot]) -> String {
    let mut out = title(runtime);
    out.push_str(
        "| scene | sends | accepted | queued | draft | unknown | other | false accepted | missed | typed though not \
         | draft harmed | dialog answered | choice changed | met a dialog | mangled | other faults | Enter to verdict p50/p99 ms \
         | model's request to verdict p50/p99 ms | all p50/p99 ms |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut names = names_in(shots);
    names.sort();
    for name in names {
        let of_scene: Vec<&Shot> = shots.iter().filter(|s| s.scene.name() == name).collect();
        row(&mut out, &name, &of_scene);
    }
    row(&mut out, "**all**", &shots.iter().collect::<Vec<_>>());
    out
}

/// One row for each scene, in the order played: what was said, what became of it, what the screen held then.
pub fn scenario_table(runtime: &str, shots: &[Shot]) -> String {
    let mut out = title(runtime);
    out.push_str(
        "| scenario | sends | verdicts | typed | reached the model | when the receipt was there | faults |\n\
         |---|--:|---|--:|--:|---|---|\n",
    );
    for name in names_in(shots) {
        let of_scene: Vec<&Shot> = shots.iter().filter(|s| s.scene.name() == name).collect();
        let count = |is: fn(&Shot) -> bool| of_scene.iter().filter(|s| is(s)).count();
        let faults = |s: &&Shot| {
            s.faults
                .iter()
                .map(|f| format!("{f:?}"))
                .collect::<Vec<_>>()
        };
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            of_scene.len(),
            tally(of_scene.iter().map(|s| s.receipt.verdict.clone())),
            count(|s| s.receipt.typed),
            count(|s| s.reached),
            tally(of_scene.iter().map(|s| s.after.to_owned())),
            tally(of_scene.iter().flat_map(faults)),
        );
    }
    out
}

/// Each different one and how often it came, the most frequent first.
fn tally(all: impl Iterator<Item = String>) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for one in all.filter(|s| !s.is_empty()) {
        match counts.iter_mut().find(|(seen, _)| *seen == one) {
            Some((_, n)) => *n += 1,
            None => counts.push((one, 1)),
        }
    }
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let shown = |(what, n): &(String, usize)| match n {
        1 => what.clone(),
        n => format!("{what} {n}"),
    };
    counts.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Versions and date.
fn title(runtime: &str) -> String {
    format!(
        "{runtime} {} · {} · {} · {}\n\n",
        version_of(runtime),
        said(Command::new(env!("CARGO_BIN_EXE_mosaic-agent")).arg("--version")),
        said(Command::new("tmux").arg("-V")),
        said(Command::new("date").args(["-u", "+%Y-%m-%d"])),
    )
}

/// The names of the scenes, in the order played.
fn names_in(shots: &[Shot]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for shot in shots {
        if !names.contains(&shot.scene.name()) {
            names.push(shot.scene.name());
        }
    }
    names
}

fn row(out: &mut String, name: &str, shots: &[&Shot]) {
    let verdicts = |words: &[&str]| {
        shots
            .iter()
            .filter(|s| words.contains(&s.receipt.verdict.as_str()))
            .count()
    };
    let [accepted, queued, draft, unknown] =
        ["accepted", "queued", "draft", "unknown"].map(|w| verdicts(&[w]));
    let other = shots.len() - accepted - queued - draft - unknown;
    let _ = write!(
        out,
        "| {name} | {} | {accepted} | {queued} | {draft} | {unknown} | {other} |",
        shots.len()
    );
    let faults = |which: &[Fault]| {
        shots
            .iter()
            .filter(|s| s.faults.iter().any(|f| which.contains(f)))
            .count()
    };
    for fault in [
        Fault::FalseAccepted,
        Fault::Missed,
        Fault::Typed,
        Fault::Draft,
        Fault::Dialog,
        Fault::Choice,
    ] {
        let _ = write!(out, " {} |", faults(&[fault]));
    }
    let met = shots.iter().filter(|s| s.dialogs > 0).count();
    let _ = write!(out, " {met} | {} |", faults(&[Fault::Mangled]));
    let _ = write!(
        out,
        " {} |",
        faults(&[Fault::Verdict, Fault::Leftover, Fault::Stuck])
    );
    let taken = || shots.iter().filter(|s| s.promised()).map(|s| &s.receipt);
    let judged = taken().filter_map(|r| Some(r.verdict_ms?.saturating_sub(r.enter_ms?)));
    // The model's request is the runtime's own proof; a verdict that was there before it counts as 0.
    let proven = shots.iter().filter(|s| s.receipt.verdict == "accepted");
    let proven = proven.filter_map(|s| {
        let said = s.receipt.at_ms? + s.receipt.verdict_ms?;
        Some(said.saturating_sub(s.asked_ms?))
    });
    let _ = writeln!(
        out,
        " {} | {} | {} |",
        percentiles(judged.collect()),
        percentiles(proven.collect()),
        percentiles(taken().filter_map(|r| r.verdict_ms).collect())
    );
}

fn percentiles(mut ms: Vec<u64>) -> String {
    ms.sort_unstable();
    let at = |percent: usize| ms.get((ms.len() * percent / 100).min(ms.len().saturating_sub(1)));
    match (at(50), at(99)) {
        (Some(half), Some(most)) => format!("{half}/{most}"),
        _ => "–".to_owned(),
    }
}

/// Every shot with a fault, with all that is known of it.
pub fn anomalies(shots: &[Shot]) -> String {
    let mut out = String::new();
    for shot in shots.iter().filter(|s| !s.faults.is_empty()) {
        let head: String = shot.text.chars().take(160).collect();
        let rows: Vec<&str> = shot
            .screen
            .lines()
            .filter(|l| !l.trim().is_empty())
            .collect();
        let _ = writeln!(
            out,
            "{:?} in {} (token {}, reached {}, {} bytes)\n  message: {head:?}\n  receipt: {}\n  screen:\n    {}\n",
            shot.faults,
            shot.scene.name(),
            shot.token,
            shot.reached,
            shot.text.len(),
            shot.receipt.json,
            rows.join("\n    ")
        );
    }
    out
}

/// Every shot as a line of JSON.
pub fn lines(shots: &[Shot]) -> String {
    let line = |shot: &Shot| {
        let receipt: serde_json::Value =
            serde_json::from_str(&shot.receipt.json).unwrap_or_default();
        serde_json::json!({
            "scene": shot.scene.name(),
            "token": shot.token,
            "bytes": shot.text.len(),
            "reached": shot.reached,
            "faults": shot.faults.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>(),
            "receipt": receipt,
        })
    };
    shots.iter().map(|s| format!("{}\n", line(s))).collect()
}

fn version_of(runtime: &str) -> String {
    let pins = include_str!("../runtimes/versions.env");
    let key = format!("{}_VERSION=", runtime.to_uppercase());
    let version = pins.lines().find_map(|l| l.strip_prefix(&key));
    version.unwrap_or("of unknown version").to_owned()
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
