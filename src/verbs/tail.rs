//! `tail`: what a person would have read, and what comes.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{self, NoAnswer};
use super::place::Place;
use super::replay;
use crate::cli::past::{Source, TailOptions};
use crate::failure::{Failure, exit};
use crate::os::tty;
use crate::pure::wire::Request;
use crate::pure::{history, sgr};
use crate::units::AgentName;

/// How long a sidecar is asked to wait for something new.
const WAIT: Duration = Duration::from_secs(30);

/// How long an answer may take beyond that.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon a sidecar that does not answer is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows the text of an agent or of a recording.
///
/// # Errors
/// No such agent (3), it does not answer (75), or the recording cannot be read.
pub fn tail(options: TailOptions) -> Result<u8, Failure> {
    match &options.source {
        Source::Cast(file, runtime) => {
            let answer = read(file, runtime.as_deref(), options.lines)?;
            show(&answer, &options);
        }
        Source::Agent(name) if options.follow => return follow(name, &options),
        Source::Agent(name) => {
            let place = Place::here()?;
            let answer = first(&place, name, &options)?;
            show(&answer, &options);
        }
    }
    Ok(exit::OK)
}

/// What is there, from the sidecar; of one that keeps no history, the screen.
fn first(place: &Place, name: &AgentName, options: &TailOptions) -> Result<Value, Failure> {
    let request = Request {
        op: "history".into(),
        lines: options.lines,
        ..Request::default()
    };
    match question(place, name, &request, Duration::ZERO) {
        Err(NoAnswer::Refused(word, ..)) if word == "unknown_op" => {
            let request = Request {
                op: "screen".into(),
                ..Request::default()
            };
            let mut screen =
                question(place, name, &request, Duration::ZERO).map_err(|e| failure(name, e))?;
            screen["screen"] = screen["lines"].take();
            screen["lines"] = json!([]);
            Ok(screen)
        }
        other => other.map_err(|e| failure(name, e)),
    }
}

fn question(
    place: &Place,
    name: &AgentName,
    request: &Request,
    wait: Duration,
) -> Result<Value, NoAnswer> {
    let answer = ask::ask(place, name, request, wait + PATIENCE)?;
    serde_json::from_slice(&answer).map_err(|e| NoAnswer::Broken(e.to_string()))
}

fn failure(name: &AgentName, why: NoAnswer) -> Failure {
    let doing = format!("reading what {name} has shown");
    match why {
        NoAnswer::Gone(why) => ask::gone(why),
        NoAnswer::Silent(why) => Failure::new(exit::LATER, doing, why),
        NoAnswer::Refused(_, why, code) => Failure::new(code, doing, why),
        NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing, why),
    }
}

/// The same of a recording.
fn read(file: &Path, runtime: Option<&str>, lines: Option<u64>) -> Result<Value, Failure> {
    let harness = replay::last_of(file, runtime)?;
    let origin = replay::origin(&Place::here()?);
    let most = lines.unwrap_or(u64::MAX);
    let line = harness
        .history()
        .line(&origin, harness.screen(), None, most);
    serde_json::from_slice(&line).map_err(|e| Failure::new(exit::INTERNAL, "", e))
}

/// The finished lines of an answer, as text.
fn finished(answer: &Value, ansi: bool) -> Vec<String> {
    let lines = answer["lines"].as_array().into_iter().flatten();
    lines.map(|line| history::told(line, ansi)).collect()
}

/// The lines of the screen in an answer, as text.
fn on_screen(answer: &Value, ansi: bool) -> Vec<String> {
    let rows = answer["screen"].as_array().into_iter().flatten();
    let mut rows: Vec<String> = rows
        .filter_map(|row| Some(sgr::shown(row.as_str()?, ansi)))
        .collect();
    let used = rows.iter().rposition(|row| !row.is_empty());
    rows.truncate(used.map_or(0, |last| last + 1));
    rows
}

fn print_json(answer: &Value, ansi: bool) -> bool {
    let mut answer = answer.clone();
    if !ansi {
        for line in answer["lines"].as_array_mut().into_iter().flatten() {
            if let Some(text) = line["text"].as_str() {
                line["text"] = sgr::shown(text, false).into();
            }
        }
        for row in answer["screen"].as_array_mut().into_iter().flatten() {
            *row = sgr::shown(row.as_str().unwrap_or_default(), false).into();
        }
    }
    writeln!(std::io::stdout(), "{answer}").is_ok()
}

fn show(answer: &Value, options: &TailOptions) {
    if options.json {
        print_json(answer, options.ansi);
        return;
    }
    let mut lines = finished(answer, options.ansi);
    lines.extend(on_screen(answer, options.ansi));
    let most = options.lines.and_then(|n| usize::try_from(n).ok());
    let from = most.map_or(0, |n| lines.len().saturating_sub(n));
    for line in &lines[from..] {
        super::print(&format!("{line}\n"));
    }
}

/// Prints every line once it is finished, and on a terminal the screen below them.
fn follow(name: &AgentName, options: &TailOptions) -> Result<u8, Failure> {
    let place = Place::here()?;
    let mut bottom = Bottom::here(options);
    let mut request = Request {
        op: "history".into(),
        lines: options.lines,
        ..Request::default()
    };
    let mut last = None;
    loop {
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0));
        let answer = match question(&place, name, &request, wait) {
            Ok(answer) => answer,
            Err(why @ NoAnswer::Refused(..)) => {
                return Err(failure(name, why).hint(format!(
                    "a sidecar older than this program keeps no history: `mosaic-agent restart {name}`"
                )));
            }
            Err(why) if request.cursor.is_none() => return Err(failure(name, why)),
            Err(_) => {
                // Nothing of what it showed last will leave the screen any more.
                if let Some(answer) = last.take() {
                    let rows = on_screen(&answer, options.ansi);
                    if !options.json && !bottom.print(&rows, &[]) {
                        return Ok(exit::OK);
                    }
                }
                thread::sleep(AGAIN);
                continue;
            }
        };
        let reads = if options.json {
            print_json(&answer, options.ansi)
        } else {
            let mut lines = finished(&answer, options.ansi);
            if answer["lost"] == true {
                lines.insert(
                    0,
                    "[the agent was restarted, or lines are missing here]".into(),
                );
            }
            bottom.print(&lines, &on_screen(&answer, options.ansi))
        };
        if !reads {
            return Ok(exit::OK);
        }
        request.cursor = answer["next"].as_str().map(str::to_owned);
        request.after = answer["revision"].as_u64().filter(|_| bottom.is_shown());
        request.lines = None;
        request.wait_ms = u64::try_from(WAIT.as_millis()).ok();
        last = Some(answer);
    }
}

/// The lines at the end of a terminal that are drawn again and again.
struct Bottom {
    /// On a terminal only.
    shown: bool,
    /// So many lines are to be taken away before anything is printed.
    drawn: usize,
}

impl Bottom {
    fn here(options: &TailOptions) -> Bottom {
        Bottom {
            shown: std::io::stdout().is_terminal() && !options.json,
            drawn: 0,
        }
    }

    fn is_shown(&self) -> bool {
        self.shown
    }

    /// Prints finished lines, and draws the others below them; false if nobody reads it.
    fn print(&mut self, finished: &[String], rows: &[String]) -> bool {
        let mut out = String::new();
        if self.drawn > 0 {
            // To the first of them, and everything from there on away.
            out.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
            self.drawn = 0;
        }
        for line in finished {
            out.push_str(line);
            out.push('\n');
        }
        if self.shown {
            let (cols, rows_max) = tty::window(std::io::stdout().as_fd());
            let room = usize::from(rows_max).saturating_sub(1);
            let rows = &rows[rows.len().saturating_sub(room)..];
            for row in rows {
                out.push_str(&sgr::cropped(row, usize::from(cols)));
                out.push('\n');
            }
            self.drawn = rows.len();
        }
        let mut terminal = std::io::stdout().lock();
        terminal
            .write_all(out.as_bytes())
            .and_then(|()| terminal.flush())
            .is_ok()
    }
}
