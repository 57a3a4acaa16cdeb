//! Arguments of the verbs of `mosaic-fleet` that tell what has happened.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::units::AgentName;

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Tell what happens.
    Events(EventsOptions),
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
pub const KINDS: [&str; 12] = [
    "start", "state", "held", "receipt", "observed", "revised", "control", "exit", "beat", "gone",
    "lost", "back",
];

/// The text of `events --help`.
pub const EVENTS_HELP: &str = "\
mosaic-fleet events (NAME | --all): what happens, one JSON object a line, until it is interrupted

Examples
  mosaic-fleet events coder0                         from now on
  mosaic-fleet events --all --kinds state,receipt    of every agent, also of those that come later
  mosaic-fleet events coder0 --after CURSOR          go on after the event with this `cursor`
  mosaic-fleet events --all --notify                 tell the desktop when one is blocked or wedged
  mosaic-fleet events --all --exec 'jq -r .why >>blocked.log' --kinds state

Options
  --all              of all agents
  --after CURSOR     everything after that event; `lost` says if that sidecar, or the event, is gone
  --since-start      everything the sidecar remembers (256 events)
  --no-follow        end with what is there, or after the cursor; --follow is the default
  --kinds A,B        only these: start state held receipt observed revised control exit, and
                     from here: gone (no sidecar answers any more), back, lost, beat (only if asked for)
  --exec CMD         run `sh -c CMD` for every event: the event on stdin, MOSAIC_EVENT_KIND and
                     MOSAIC_EVENT_AGENT in the environment. One at a time; of the states and beats of an
                     agent that wait the last one counts, and of more than 100 the oldest are left out
                     (MOSAIC_EVENT_DROPPED says how many)
  --notify           a desktop notification (notify-send, else the terminal's own) when an agent becomes
                     blocked or wedged

Exit codes: 0 done, 2 usage, 3 no such agent, 75 its sidecar does not answer.
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
