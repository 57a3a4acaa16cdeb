//! `replay FILE.cast` and `explain --cast FILE.cast`: the engine over a recording, with the recording's clock.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::place::Place;
use crate::failure::{Failure, exit};
use crate::os::files;
use crate::pure::cast::{Event, Header};
use crate::pure::explain::ExplainLine;
use crate::pure::harness::{Effect, Harness, Input, Now};
use crate::pure::profile::Profiles;
use crate::pure::receipt::{Evidence, Receipt};
use crate::pure::wire::{self, Origin, State};

/// After the last event the engine is given this long to reach its verdicts.
const AFTER: f64 = 60.0;

/// Longest line read; a recorder writes at most what one read of a pty gives.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// One line of output.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    /// The state changed.
    State {
        schema: &'static str,
        tenant_id: String,
        host: String,
        t: f64,
        state: State,
        why: String,
    },
    /// A message met its fate.
    Receipt(Fate),
    /// More is known of one that was queued.
    Revised(Fate),
}

/// What is known of a message.
#[derive(Serialize)]
struct Fate {
    schema: &'static str,
    tenant_id: String,
    host: String,
    /// When the verdict was reached.
    t: f64,
    /// When Enter was pressed.
    entered: f64,
    text: String,
    verdict: &'static str,
    reason: String,
    evidence: Vec<Evidence>,
}

/// Replays a recording and prints a line per state change and per submission seen in it.
///
/// # Errors
/// It cannot be read, is no recording, or no profile of that name is known.
pub fn replay(file: &Path, runtime: Option<&str>, json: bool) -> Result<u8, Failure> {
    let mut stage = play(file, runtime, f64::INFINITY, Show::lines(json))?;
    stage.end();
    Ok(exit::OK)
}

/// Explains what the engine sees on a recorded screen, at a moment or at its end.
///
/// # Errors
/// As [`replay`].
pub fn explain(
    file: &Path,
    runtime: Option<&str>,
    at: Option<f64>,
    json: bool,
) -> Result<u8, Failure> {
    let stage = play(file, runtime, at.unwrap_or(f64::INFINITY), Show::Nothing)?;
    let explanation = ExplainLine::of(&stage.harness, stage.origin);
    if json {
        let line = wire::line(&explanation);
        super::print(&String::from_utf8_lossy(&line));
    } else {
        super::print(&explanation.text);
    }
    Ok(exit::OK)
}

/// Who tells of a recording: a recording is of no agent, so that name is empty.
pub fn origin(place: &Place) -> Origin {
    Origin {
        tenant_id: place.tenant().to_owned(),
        host: place.host.clone(),
        agent: String::new(),
    }
}

/// The engine after all of a recording, for `tail --cast`.
///
/// # Errors
/// As [`replay`].
pub fn last_of(file: &Path, runtime: Option<&str>) -> Result<Harness, Failure> {
    let mut stage = play(file, runtime, f64::INFINITY, Show::Screen)?;
    stage.end();
    Ok(stage.harness)
}

/// What to print on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// Nothing: the screen is wanted, and what runs does not matter to that.
    Screen,
    /// Nothing.
    Nothing,
    Text,
    Json,
}

impl Show {
    fn lines(json: bool) -> Show {
        if json { Show::Json } else { Show::Text }
    }
}

/// Plays a recording up to a moment.
fn play(file: &Path, runtime: Option<&str>, until: f64, show: Show) -> Result<Stage, Failure> {
    let doing = || format!("replaying {}", file.display());
    let failed = |e: std::io::Error| Failure::new(exit::USAGE, doing(), e);
    let mut reader: Box<dyn BufRead> = match file == Path::new("-") {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(file).map_err(failed)?)),
    };
    let mut line = String::new();
    (&mut reader)
        .take(LINE_MAX)
        .read_line(&mut line)
        .map_err(failed)?;
    let header = Header::parse(&line).map_err(|e| Failure::new(exit::USAGE, doing(), e))?;
    let place = Place::here()?;
    let profiles = Profiles::with(&files::profile_files(&place.settings.profile_dir));
    let runtime = runtime.unwrap_or(&header.runtime);
    if profiles.named(runtime).is_none() && show != Show::Screen {
        let why = format!("no profile is called {runtime:?}");
        return Err(Failure::new(exit::USAGE, doing(), why)
            .hint("say which runtime it is: --runtime pi|codex|claude|opencode|demo"));
    }
    let mut stage = Stage::new(profiles, &header, runtime, show, origin(&place));
    let mut events = header.reader();
    let mut number = 1;
    loop {
        line.clear();
        let n = (&mut reader).take(LINE_MAX).read_line(&mut line);
        number += 1;
        match n {
            Ok(0) => break,
            Ok(_) if line.trim().is_empty() || line.starts_with('#') => {}
            Ok(_) => match events.read(&line) {
                Ok((t, _)) if t > until => break,
                Ok((t, event)) => stage.play(t, &event),
                Err(e) => super::complain(format_args!(
                    "mosaic-fleet: {}:{number}: {e}; skipped",
                    file.display()
                )),
            },
            Err(e) => return Err(failed(e)),
        }
    }
    if until.is_finite() {
        stage.wait_until(until);
    }
    Ok(stage)
}

/// The engine, and the clock of the recording.
struct Stage {
    harness: Harness,
    start: Now,
    t: f64,
    shown: Option<State>,
    show: Show,
    origin: Origin,
}

impl Stage {
    fn new(
        profiles: Profiles,
        header: &Header,
        runtime: &str,
        show: Show,
        origin: Origin,
    ) -> Stage {
        let start = Now {
            mono: Instant::now(),
            wall: SystemTime::UNIX_EPOCH,
        };
        let beat = Duration::from_secs(3_600);
        let harness = Harness::new(profiles, header.size, beat, "replay".into(), start);
        let mut stage = Stage {
            harness,
            start,
            t: 0.0,
            shown: None,
            show,
            origin,
        };
        stage.feed(Input::Assume(runtime));
        stage
    }

    fn now(&self) -> Now {
        let passed = Duration::try_from_secs_f64(self.t).unwrap_or_default();
        Now {
            mono: self.start.mono + passed,
            wall: self.start.wall + passed,
        }
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start.mono).as_secs_f64()
    }

    /// Lets time pass up to `t`, with every look the engine wants to take on the way.
    fn wait_until(&mut self, t: f64) {
        // A deadline in the past is due now; one that stays due is not asked for ever.
        for _ in 0..100_000 {
            let due = self.seconds(self.harness.deadline());
            if due >= t {
                break;
            }
            self.t = due.max(self.t + 0.001);
            if self.t >= t {
                break;
            }
            self.feed(Input::Tick);
        }
        self.t = t;
    }

    fn play(&mut self, t: f64, event: &Event) {
        self.wait_until(t.max(self.t));
        match event {
            Event::Output(text) => self.feed(Input::Output(text.as_bytes())),
            Event::Input(text) => self.feed(Input::Outer(text.as_bytes())),
            Event::Resize(size) => self.feed(Input::Resized(*size)),
            Event::Other => {}
        }
    }

    fn end(&mut self) {
        self.wait_until(self.t + AFTER);
        self.feed(Input::Closing);
    }

    fn feed(&mut self, input: Input<'_>) {
        self.harness.handle(input, self.now());
        while let Some(effect) = self.harness.poll() {
            match effect {
                Effect::Observed(receipt) => self.show_fate(Line::Receipt, &receipt),
                Effect::Revised(receipt) => self.show_fate(Line::Revised, &receipt),
                _ => {}
            }
        }
        let (state, why) = self.harness.state();
        if self.shown != Some(state) {
            self.shown = Some(state);
            let line = Line::State {
                schema: "mosaic.replay/1",
                tenant_id: self.origin.tenant_id.clone(),
                host: self.origin.host.clone(),
                t: self.t,
                state,
                why: why.to_owned(),
            };
            self.print(
                &line,
                &format!("{:9.3}  {} ({why})\n", self.t, state.word()),
            );
        }
    }

    fn show_fate(&self, line: fn(Fate) -> Line, receipt: &Receipt) {
        let entered = u32::try_from(receipt.at_ms).map_or(0.0, |ms| f64::from(ms) / 1_000.0);
        let line = line(Fate {
            schema: "mosaic.replay/1",
            tenant_id: self.origin.tenant_id.clone(),
            host: self.origin.host.clone(),
            t: self.t,
            entered,
            text: receipt.head.clone(),
            verdict: receipt.verdict.word(),
            reason: receipt.reason.clone(),
            evidence: receipt.evidence.clone(),
        });
        let head: String = receipt.head.chars().take(60).collect();
        let text = format!(
            "{:9.3}  {}: {head:?} ({})\n",
            self.t,
            receipt.verdict.word(),
            receipt.reason
        );
        self.print(&line, &text);
    }

    fn print(&self, line: &Line, text: &str) {
        match self.show {
            Show::Nothing | Show::Screen => {}
            Show::Json => super::print(&String::from_utf8_lossy(&wire::line(line))),
            Show::Text => super::print(text),
        }
    }
}
