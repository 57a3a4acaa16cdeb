//! Arguments of the verbs of `mosaic-fleet` that tell what has happened.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::units::{AgentName, recording_size};

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Tell what happens.
    Events(EventsOptions),
    /// Show what was on the screen.
    Tail(TailOptions),
    /// Record the terminal, or no longer, or say whether it is.
    Record(RecordOptions),
}

/// Whose text `tail` shows.
#[derive(Debug)]
pub enum Source {
    /// An agent's.
    Agent(AgentName),
    /// A recording's, of this runtime if it does not say itself.
    Cast(PathBuf, Option<String>),
}

/// What `tail` was asked for.
#[derive(Debug)]
pub struct TailOptions {
    /// Whose text.
    pub source: Source,
    /// Only the last lines.
    pub lines: Option<u64>,
    /// Go on with what comes.
    pub follow: bool,
    /// With colours.
    pub ansi: bool,
    /// As JSON lines.
    pub json: bool,
}

/// What `events` was asked for.
#[derive(Debug, Default)]
pub struct EventsOptions {
    /// Of which agent; of all if not given.
    pub name: Option<AgentName>,
    /// Go on after this event.
    pub after: Option<String>,
    /// Begin with the oldest event there is.
    pub since_start: bool,
    /// End with what is there.
    pub no_follow: bool,
    /// Only events of these kinds; all but beats if empty.
    pub kinds: Vec<String>,
    /// A shell command to run for every event.
    pub exec: Option<OsString>,
    /// Tell the desktop when an agent needs somebody.
    pub notify: bool,
}

/// The kinds of events that `--kinds` takes.
pub const KINDS: [&str; 15] = [
    "recording",
    "viewers",
    "start",
    "upgrade",
    "state",
    "held",
    "receipt",
    "observed",
    "revised",
    "control",
    "exit",
    "beat",
    "gone",
    "lost",
    "back",
];

/// The page of `events`.
pub const EVENTS_PAGE: &str = "mosaic-fleet events (NAME | --all): what happens, one JSON object a line, until it is interrupted

Kinds: start upgrade state held receipt observed revised control viewers recording exit; and from here: gone (no sidecar answers any more),
back, lost, beat (only if asked for). A sidecar remembers 256 of them.

Options
  --all               of all agents, also of those that come later
  --after CURSOR      everything after the event with this `cursor`; `lost` says if that sidecar, or the event, is gone
  --since-start       everything the sidecar remembers
  --no-follow         end with what is there, or after the cursor
  --follow            go on (as it does anyway)
  --kinds A,B         only these
  --exec CMD          run `sh -c CMD` for every event: the event on stdin, MOSAIC_EVENT_KIND and
                      MOSAIC_EVENT_AGENT in the environment. One at a time; of the states and beats of an
                      agent that wait the last one counts, and of more than 100 the oldest are left out
                      (MOSAIC_EVENT_DROPPED says how many)
  --notify            a desktop notification (notify-send, else the terminal's own) when an agent becomes
                      blocked or wedged
  --json              as it is anyway

Examples
  mosaic-fleet events coder0
  mosaic-fleet events --all --kinds state,receipt
  mosaic-fleet events --all --notify
  mosaic-fleet events --all --exec 'jq -r .why >>blocked.log' --kinds state
";

/// Reads the arguments of `events`; none: help is wanted.
pub fn read_events(parser: &mut lexopt::Parser) -> Result<Option<EventsOptions>, lexopt::Error> {
    let mut options = EventsOptions::default();
    let mut all = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("all") => all = true,
            Long("after") => options.after = Some(parser.value()?.string()?),
            Long("since-start") => options.since_start = true,
            Long("follow") => options.no_follow = false,
            Long("no-follow") => options.no_follow = true,
            Long("kinds") => {
                for kind in parser.value()?.string()?.split(',') {
                    if !KINDS.contains(&kind) {
                        let known = KINDS.join(", ");
                        return Err(format!("no kind is called {kind:?}; there are {known}").into());
                    }
                    options.kinds.push(kind.to_owned());
                }
            }
            Long("exec") => options.exec = Some(parser.value()?),
            Long("notify") => options.notify = true,
            // Events are JSON anyway; every verb takes it.
            Long("json") => {}
            Long("help") | Short('h') => return Ok(None),
            Value(value) if options.name.is_none() => {
                options.name = Some(AgentName::new(&value.string()?)?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if all == options.name.is_some() {
        return Err("whose events? A NAME or --all".into());
    }
    if all && options.after.is_some() {
        return Err("a cursor belongs to one agent: --after goes with a NAME".into());
    }
    Ok(Some(options))
}

/// The page of `tail`.
pub const TAIL_PAGE: &str = "mosaic-fleet tail (NAME | --cast FILE): what a person would have read, the screen and what has left it

Options
  -n, --lines LINES   only the last ones
  -f, --follow        go on with every line that leaves the screen, each once, also over a restart; on a terminal
                      with the screen's last lines below it
  --ansi              keep colours (SGR sequences only, made from the cells of the screen)
  --json              one JSON object a line
  --cast FILE         of a recording; -: on standard input
  --runtime RUNTIME   the runtime in it, if it does not say

Examples
  mosaic-fleet tail coder0 -n 40
  mosaic-fleet tail coder0 --follow
  mosaic-fleet tail --cast coder0.cast
";

/// Reads the arguments of `tail`; none: help is wanted.
pub fn read_tail(parser: &mut lexopt::Parser) -> Result<Option<TailOptions>, lexopt::Error> {
    let (mut name, mut cast, mut runtime) = (None, None, None);
    let (mut lines, mut follow, mut ansi, mut json) = (None, false, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('n') | Long("lines") => lines = Some(count(&parser.value()?.string()?)?),
            Short('f') | Long("follow") => follow = true,
            Long("ansi") => ansi = true,
            Long("json") => json = true,
            Long("cast") => cast = Some(PathBuf::from(parser.value()?)),
            Long("runtime") => runtime = Some(parser.value()?.string()?),
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    let source = match (name, cast) {
        (Some(name), None) => Source::Agent(name),
        (None, Some(file)) => Source::Cast(file, runtime),
        _ => return Err("whose text? A NAME or --cast FILE".into()),
    };
    if follow && matches!(source, Source::Cast(..)) {
        return Err("a recording does not go on: --follow goes with a NAME".into());
    }
    Ok(Some(TailOptions {
        source,
        lines,
        follow,
        ansi,
        json,
    }))
}

/// What is to be done with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Begin one; one that is being made ends.
    Start,
    /// End it.
    Stop,
    /// Say whether there is one.
    Status,
}

/// What `record` was asked for.
#[derive(Debug)]
pub struct RecordOptions {
    /// The agent.
    pub name: AgentName,
    /// What to do.
    pub what: Record,
    /// The file, or a directory for it; the usual place if not given.
    pub file: Option<PathBuf>,
    /// Also what is typed.
    pub input: bool,
    /// Most bytes of a file.
    pub max: Option<u64>,
    /// As JSON.
    pub json: bool,
}

/// The page of `record`.
pub const RECORD_PAGE: &str = "mosaic-fleet record NAME (start | stop | status): record its terminal, for `asciinema play` and `replay`

Asciicast 3, mode 0600, on the disk within a second. A full file becomes FILE.1, that FILE.2, up to FILE.4, and the next
one begins with the screen. Start and stop need the control power. From the first byte on: `mosaic-agent run --record`.

Options
  --file FILE|DIR     where to; recordings/ of the run directory if not given
  --max-size BYTES    of a file (16M, at least 256K); K, M and G are understood
  --input             also what is typed, passwords included
  --json              the agent's status

Examples
  mosaic-fleet record coder0 start
  mosaic-fleet record coder0 start --file a.cast --max-size 4M
  mosaic-fleet record coder0 stop
";

/// Reads the arguments of `record`; none: help is wanted.
pub fn read_record(parser: &mut lexopt::Parser) -> Result<Option<RecordOptions>, lexopt::Error> {
    let (mut name, mut what, mut file, mut max) = (None, None, None, None);
    let (mut input, mut json) = (false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("file") => file = Some(PathBuf::from(parser.value()?)),
            Long("max-size") => max = Some(recording_size(bytes(&parser.value()?.string()?)?)?),
            Long("input") => input = true,
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            Value(value) if what.is_none() => {
                what = Some(match value.string()?.as_str() {
                    "start" => Record::Start,
                    "stop" => Record::Stop,
                    "status" => Record::Status,
                    other => return Err(format!("record {other:?}? start, stop or status").into()),
                });
            }
            other => return Err(other.unexpected()),
        }
    }
    let what = what.ok_or("what about the recording? start, stop or status")?;
    if what != Record::Start && (file.is_some() || max.is_some() || input) {
        return Err("--file, --max-size and --input go with start".into());
    }
    Ok(Some(RecordOptions {
        name: name.ok_or("which agent? A name is missing")?,
        what,
        file,
        input,
        max,
        json,
    }))
}

fn count(text: &str) -> Result<u64, lexopt::Error> {
    text.parse()
        .map_err(|_| format!("{text:?} is no number of lines").into())
}

/// A number of bytes, with K, M or G behind it if need be.
fn bytes(text: &str) -> Result<u64, lexopt::Error> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number = number.parse::<u64>().ok();
    number
        .and_then(|n| n.checked_mul(unit))
        .ok_or_else(|| format!("{text:?} is no number of bytes").into())
}
