//! Arguments of `mosaic-fleet ps`.

use std::time::Duration;

use lexopt::prelude::*;

use super::send::seconds;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set or it is a dumb one.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `ps` was asked for. Lists are joined with "or", each with the others with "and".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PsOptions {
    /// Names and patterns.
    pub names: Vec<String>,
    /// States.
    pub states: Vec<String>,
    /// `healthy`, `stale`, `unknown`.
    pub healths: Vec<String>,
    /// Runtimes, as patterns.
    pub runtimes: Vec<String>,
    /// Tenants, as patterns.
    pub tenants: Vec<String>,
    /// Hosts, as patterns.
    pub hosts: Vec<String>,
    /// Flags; `any` for any of them.
    pub flags: Vec<String>,
    /// The word of a key, and whether its order is turned round.
    pub sort: Option<(String, bool)>,
    /// As JSON.
    pub json: bool,
    /// Again and again, with this pause.
    pub watch: Option<Duration>,
    /// Without titles.
    pub bare: bool,
    /// Colours.
    pub colour: When,
}

/// The pause of `--watch`: a look costs a few ms of CPU per agent.
const PAUSE: Duration = Duration::from_secs(2);

/// No pause is shorter: a look may take as long.
const PAUSE_LEAST: Duration = Duration::from_millis(200);

/// The states there are.
pub const STATES: [&str; 7] = [
    "starting", "ready", "busy", "blocked", "wedged", "exited", "unknown",
];
/// The words of the rule for heartbeats.
pub const HEALTHS: [&str; 3] = ["healthy", "stale", "unknown"];
/// The flags, and `any`.
pub const FLAGS: [&str; 6] = ["drift", "boot", "unmanaged", "orphan", "owner", "any"];
/// The keys of `--sort`.
pub const KEYS: [&str; 13] = [
    "name", "state", "for", "health", "runtime", "idle", "beat", "pid", "restarts", "last",
    "flags", "host", "tenant",
];

/// Its page of the help.
pub const PAGE: &str = "mosaic-fleet ps [NAME...]: one row per agent, and what is not as it should be

Joined from heartbeats, sidecars, tmux, /proc, systemd and environment files (docs/ps.md). NAME may be a pattern with *, ?
and [a-z]; a name without a row is exit code 3. Every filter can be given again, or with commas: one of its values must fit.
On a narrow terminal columns are left out, the least important first; off a terminal none is.

Options
  --state starting|ready|busy|blocked|wedged|exited|unknown
                      only agents in this state
  --health healthy|stale|unknown   only agents of this health
  --runtime PATTERN   only this runtime
  --tenant PATTERN    only this tenant
  --host PATTERN      only this host
  --flag drift|boot|unmanaged|orphan|owner|any
                      only rows with this flag
  --sort name|state|for|health|runtime|idle|beat|pid|restarts|last|flags|host|tenant
                      by this; with - in front the other way round
  -w, --watch [SECONDS]   again every 2 s, or so many (0.2 to 3600), on a terminal; q ends it, arrows scroll;
                      with --json anywhere: one document a line
  --json              as JSON
  --no-header         without titles
  --color auto|always|never   colours; auto: on a terminal, unless NO_COLOR is set

Flags
  drift      what runs, by the processes below the sidecar, is not the runtime that was asked for
  boot       its unit is up and not enabled, or there is no linger: a reboot ends it
  unmanaged  a session on the fleet's tmux socket that no agent owns
  orphan     it runs, and its unit does not: nobody would restart it
  owner      two claim to be its sidecar: by lock, socket, heartbeat or pane

Examples
  mosaic-fleet ps
  mosaic-fleet ps --watch --sort state
  mosaic-fleet ps 'coder*' --flag any
  mosaic-fleet ps --json | jq -r '.agents[] | select(.health != \"healthy\") | .agent'
";

/// Reads them; none if help was asked for.
pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Option<PsOptions>, lexopt::Error> {
    let mut options = PsOptions::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => options.json = true,
            Long("no-header") => options.bare = true,
            Long("state") => one_of("--state", &STATES, parser, &mut options.states)?,
            Long("health") => one_of("--health", &HEALTHS, parser, &mut options.healths)?,
            Long("flag") => one_of("--flag", &FLAGS, parser, &mut options.flags)?,
            Long("runtime") => words(parser, &mut options.runtimes)?,
            Long("tenant") => words(parser, &mut options.tenants)?,
            Long("host") => words(parser, &mut options.hosts)?,
            Long("sort") => options.sort = Some(key(&parser.value()?.string()?)?),
            Long("watch") | Short('w') => options.watch = Some(pause(parser)?),
            Long("color") => {
                options.colour = match parser.value()?.string()?.as_str() {
                    "auto" => When::Auto,
                    "always" => When::Always,
                    "never" => When::Never,
                    other => {
                        return Err(
                            format!("--color {other}? There are auto, always, never").into()
                        );
                    }
                }
            }
            Long("help") | Short('h') => return Ok(None),
            Value(name) => options.names.push(name.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn words(parser: &mut lexopt::Parser, list: &mut Vec<String>) -> Result<(), lexopt::Error> {
    let given = parser.value()?.string()?;
    list.extend(given.split(',').map(str::to_owned));
    Ok(())
}

fn one_of(
    option: &str,
    known: &[&str],
    parser: &mut lexopt::Parser,
    list: &mut Vec<String>,
) -> Result<(), lexopt::Error> {
    let before = list.len();
    words(parser, list)?;
    match list[before..].iter().find(|w| !known.contains(&w.as_str())) {
        None => Ok(()),
        Some(strange) => Err(format!("{option} {strange}? There are {}", known.join(", ")).into()),
    }
}

fn key(word: &str) -> Result<(String, bool), lexopt::Error> {
    let (word, turned) = match word.strip_prefix('-') {
        Some(word) => (word, true),
        None => (word, false),
    };
    if KEYS.contains(&word) {
        return Ok((word.to_owned(), turned));
    }
    Err(format!("--sort {word}? There are {}", KEYS.join(", ")).into())
}

/// `--watch`, `--watch 5`, `--watch=5`. A number after it is the pause, never an agent's name.
fn pause(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    let text = match parser.optional_value() {
        Some(value) => value.string()?,
        None => {
            let Some(mut rest) = parser.try_raw_args() else {
                return Ok(PAUSE);
            };
            let next = rest.peek().map(|word| word.to_string_lossy().into_owned());
            match next.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
                Some(word) if seconds(&word).is_ok() => {
                    rest.next();
                    word
                }
                _ => return Ok(PAUSE),
            }
        }
    };
    let pause = seconds(&text)?;
    if !(PAUSE_LEAST..=Duration::from_secs(3_600)).contains(&pause) {
        return Err(format!("--watch {text}? It takes 0.2 to 3600 seconds").into());
    }
    Ok(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<PsOptions, String> {
        let args = line.split_whitespace().map(std::ffi::OsString::from);
        match read(&mut lexopt::Parser::from_args(args)) {
            Ok(options) => options.ok_or("help".into()),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn a_number_after_watch_is_the_pause_and_a_name_is_a_name() {
        let watch = |line: &str| options(line).map(|o| (o.watch, o.names));
        let s = Duration::from_secs;
        assert_eq!(watch("--watch"), Ok((Some(s(2)), vec![])));
        assert_eq!(watch("-w 5 a"), Ok((Some(s(5)), vec!["a".into()])));
        assert_eq!(
            watch("--watch=0.5"),
            Ok((Some(Duration::from_millis(500)), vec![]))
        );
        assert_eq!(
            watch("--watch coder0"),
            Ok((Some(s(2)), vec!["coder0".into()]))
        );
        assert_eq!(watch("--watch --json"), Ok((Some(s(2)), vec![])));
        for bad in ["--watch=0", "--watch 0.1", "--watch=soon", "--watch=99999"] {
            assert!(watch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_that_no_row_can_have_is_refused_with_those_there_are() {
        for bad in [
            "--state bussy",
            "--flag drift,x",
            "--health ok",
            "--sort age",
            "--color x",
        ] {
            assert!(
                options(bad).is_err_and(|e| e.contains("There are")),
                "{bad}"
            );
        }
        let good = options("--state ready,busy --state wedged --sort=-idle a b*");
        assert!(good.is_ok_and(|o| o.states.len() == 3
            && o.sort == Some(("idle".into(), true))
            && o.names == ["a", "b*"]));
    }
}
