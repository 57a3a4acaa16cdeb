//! What the trials have shown, as Markdown.

use std::fmt::Write;
use std::process::Command;

use super::shots::{Fault, Shot};

/// A column: its heading, and what it says of some sends.
type Column = (&'static str, fn(&[&Shot]) -> String);

const COLUMNS: [Column; 19] = [
    ("sends", |shots| shots.len().to_string()),
    ("accepted", |shots| said(shots, &["accepted"])),
    ("queued", |shots| said(shots, &["queued"])),
    ("draft", |shots| said(shots, &["draft"])),
    ("unknown", |shots| said(shots, &["unknown"])),
    ("nothing typed", |shots| count(shots, |s| !s.receipt.typed)),
    ("checked by bytes", |shots| count(shots, |s| s.by_bytes)),
    ("false accepted", |shots| {
        blamed(shots, Fault::FalseAccepted)
    }),
    ("false draft", |shots| {
        count(shots, |s| {
            s.faults.contains(&Fault::Missed) && s.receipt.verdict == "draft"
        })
    }),
    ("missed", |shots| {
        count(shots, |s| {
            s.faults.contains(&Fault::Missed) && s.receipt.verdict != "draft"
        })
    }),
    ("typed though not", |shots| blamed(shots, Fault::Typed)),
    ("draft harmed", |shots| blamed(shots, Fault::Draft)),
    ("dialog answered", |shots| blamed(shots, Fault::Dialog)),
    ("choice changed", |shots| blamed(shots, Fault::Choice)),
    ("met a dialog", |shots| count(shots, |s| s.dialogs > 0)),
    ("mangled", |shots| blamed(shots, Fault::Mangled)),
    ("other faults", |shots| {
        count(shots, |s| {
            [Fault::Verdict, Fault::Leftover, Fault::Stuck]
                .iter()
                .any(|f| s.faults.contains(f))
        })
    }),
    ("Enter to verdict p50/p99 ms", |shots| {
        percentiles(taken(shots).filter_map(since_enter).collect())
    }),
    ("model's request to verdict p50/p99 ms", |shots| {
        percentiles(taken(shots).filter_map(since_request).collect())
    }),
];

fn count(shots: &[&Shot], is: fn(&Shot) -> bool) -> String {
    shots.iter().filter(|s| is(s)).count().to_string()
}

fn said(shots: &[&Shot], verdicts: &[&str]) -> String {
    let is = |s: &&&Shot| verdicts.contains(&s.receipt.verdict.as_str());
    shots.iter().filter(is).count().to_string()
}

fn blamed(shots: &[&Shot], fault: Fault) -> String {
    let is = |s: &&&Shot| s.faults.contains(&fault);
    shots.iter().filter(is).count().to_string()
}

fn taken<'a>(shots: &'a [&Shot]) -> impl Iterator<Item = &'a Shot> {
    shots.iter().copied().filter(|s| s.promised())
}

fn since_enter(shot: &Shot) -> Option<u64> {
    let receipt = &shot.receipt;
    Some(receipt.verdict_ms?.saturating_sub(receipt.enter_ms?))
}

/// The model's request is the runtime's own proof; a verdict that was there before it counts as 0.
fn since_request(shot: &Shot) -> Option<u64> {
    let said = shot.receipt.at_ms? + shot.receipt.verdict_ms?;
    let proven = shot.receipt.verdict == "accepted";
    proven.then_some(said.saturating_sub(shot.asked_ms?))
}

/// One row for each scene, one for all of them, and what was reported of the messages that ready agents took.
/// A scene's sends include the one that began its turn.
pub fn table(runtime: &str, shots: &[Shot]) -> String {
    let mut out = title(runtime);
    let heads: Vec<&str> = COLUMNS.iter().map(|c| c.0).collect();
    let _ = writeln!(out, "| scene | {} |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(COLUMNS.len()));
    let mut names = names_in(shots);
    names.sort();
    for name in names {
        let of_scene: Vec<&Shot> = shots.iter().filter(|s| s.scene.name() == name).collect();
        row(&mut out, &name, &of_scene);
    }
    row(&mut out, "**all**", &shots.iter().collect::<Vec<_>>());
    let ready: Vec<&Shot> = shots.iter().filter(|s| s.scene.is_ready()).collect();
    if ready.is_empty() {
        return out;
    }
    row(&mut out, "**ready agents**", &ready);
    let got: Vec<&&Shot> = ready.iter().filter(|s| s.reached).collect();
    let told = got.iter().filter(|s| s.promised()).count();
    let _ = writeln!(
        out,
        "\nReady agents gave the model {} messages; {told} of them were reported accepted or queued ({:.2} %).",
        got.len(),
        told as f64 * 100.0 / got.len().max(1) as f64
    );
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
pub fn title(runtime: &str) -> String {
    format!(
        "{runtime} {} · {} · {} · {}\n\n",
        version_of(runtime),
        output_of(Command::new(env!("CARGO_BIN_EXE_mosaic-agent")).arg("--version")),
        output_of(Command::new("tmux").arg("-V")),
        output_of(Command::new("date").args(["-u", "+%Y-%m-%d"])),
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
    let cells: Vec<String> = COLUMNS.iter().map(|c| c.1(shots)).collect();
    let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
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

fn output_of(command: &mut Command) -> String {
    let output = command.output().map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
