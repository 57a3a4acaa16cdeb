//! The command line of the demo.

use std::ffi::OsString;
use std::path::PathBuf;

use super::app::Config;

/// The text of `--help`.
pub const HELP: &str = "\
A small agent-like TUI: no model, no account, no network.
It takes messages, runs a turn for each, and shows what a coding agent would show.

Usage: demo-tui [options]

  --turn-ms N            a turn lasts N ms (default 800); `slow=SECONDS` in a
                         message stretches its turn, `ask=yes` asks in the middle
  --log FILE             append what truly happens to FILE, a JSON object a line
  --help                 this text

For tests (times in ms, counted from the start of the process):
  --start-delay-ms N     print nothing and stay in cooked mode for N ms first
  --say TEXT             print TEXT once before the TUI starts
  --no-raw               never leave cooked mode
  --no-busy-sign         turns show no Thinking line
  --spin                 animate the spinner always, even idle
  --swallow-enter N      the first N Enters on a non-empty composer do nothing
  --paste-window-ms N    an Enter within N ms after a paste does nothing
  --newline-window-ms N  an Enter within N ms after a paste inserts a newline
  --lose N               the first N submissions clear the composer, no more
  --ignore-new           /new does nothing
  --drop-pastes          pastes are ignored
  --dialog-on-paste      a paste is inserted, and then the approval dialog opens
  --dialog-after-ms N    the approval dialog opens after N ms
  --exit-after-ms N      exit after N ms
  --exit-code N          the exit code of --exit-after-ms (default 0)
  --ignore-term          only log SIGTERM
  --ignore-hup           only log SIGHUP, and outlive the terminal

Exit codes: 0 quit, 1 no terminal, 2 wrong usage, N from /exit N,
129 SIGHUP, 130 SIGINT, 131 SIGQUIT, 143 SIGTERM.
";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Print [`HELP`] and leave.
    pub help: bool,
    /// The app's own part.
    pub app: Config,
    /// Where the log goes.
    pub log: Option<PathBuf>,
    /// How long to stay silent first.
    pub start_delay_ms: u64,
    /// What to print before the TUI starts.
    pub say: Option<String>,
    /// Whether to switch to raw mode.
    pub raw: bool,
    /// Whether SIGTERM is only logged.
    pub ignore_term: bool,
    /// Whether SIGHUP is only logged.
    pub ignore_hup: bool,
}

impl Options {
    /// Reads the arguments. The error is one line for a person.
    pub fn parse(args: Vec<OsString>) -> Result<Self, String> {
        let mut options = Self {
            help: false,
            app: Config::default(),
            log: None,
            start_delay_ms: 0,
            say: None,
            raw: true,
            ignore_term: false,
            ignore_hup: false,
        };
        let mut args = Args {
            rest: args.into_iter(),
            name: String::new(),
            value: None,
        };
        while args.next()? {
            let app = &mut options.app;
            match args.name.as_str() {
                "--turn-ms" => app.turn_ms = args.milliseconds()?,
                "--no-busy-sign" => app.busy_sign = false,
                "--spin" => app.spin = true,
                "--swallow-enter" => app.swallow_enter = args.number()?,
                "--paste-window-ms" => app.paste_window_ms = args.milliseconds()?,
                "--newline-window-ms" => app.newline_window_ms = args.milliseconds()?,
                "--lose" => app.lose = args.number()?,
                "--ignore-new" => app.ignore_new = true,
                "--drop-pastes" => app.drop_pastes = true,
                "--dialog-on-paste" => app.dialog_on_paste = true,
                "--dialog-after-ms" => app.dialog_after_ms = Some(args.milliseconds()?),
                "--exit-after-ms" => app.exit_after_ms = Some(args.milliseconds()?),
                "--exit-code" => app.exit_code = args.number()?,
                "--log" => options.log = Some(args.value()?.into()),
                "--start-delay-ms" => options.start_delay_ms = args.milliseconds()?,
                "--say" => options.say = Some(args.text()?),
                "--no-raw" => options.raw = false,
                "--ignore-term" => options.ignore_term = true,
                "--ignore-hup" => options.ignore_hup = true,
                "--help" | "-h" => options.help = true,
                other => return Err(format!("unknown option {other} (see --help)")),
            }
            args.no_value_left()?;
        }
        Ok(options)
    }
}

/// The arguments, one option at a time: `--name value` or `--name=value`.
struct Args {
    rest: std::vec::IntoIter<OsString>,
    name: String,
    /// The part after `=`.
    value: Option<OsString>,
}

impl Args {
    /// Goes to the next option, if there is one.
    fn next(&mut self) -> Result<bool, String> {
        let Some(arg) = self.rest.next() else {
            return Ok(false);
        };
        let arg = text(arg)?;
        match arg.split_once('=') {
            Some((name, value)) => (self.name, self.value) = (name.into(), Some(value.into())),
            None => (self.name, self.value) = (arg, None),
        }
        Ok(true)
    }

    fn value(&mut self) -> Result<OsString, String> {
        let value = self.value.take().or_else(|| self.rest.next());
        value.ok_or_else(|| format!("{} needs a value", self.name))
    }

    fn text(&mut self) -> Result<String, String> {
        text(self.value()?)
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        let value = self.text()?;
        let wrong = |_| format!("{} needs a number, not {value}", self.name);
        value.parse().map_err(wrong)
    }

    /// Bounded, so that sums of times cannot overflow.
    fn milliseconds(&mut self) -> Result<u64, String> {
        self.number::<u32>().map(u64::from)
    }

    fn no_value_left(&self) -> Result<(), String> {
        match self.value {
            Some(_) => Err(format!("{} takes no value", self.name)),
            None => Ok(()),
        }
    }
}

fn text(value: OsString) -> Result<String, String> {
    let wrong = |value: OsString| format!("not UTF-8: {}", value.display());
    value.into_string().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        Options::parse(args.iter().map(Into::into).collect())
    }

    #[test]
    fn both_ways_to_give_a_value_are_read() {
        let options = parse(&["--turn-ms", "5", "--say=a=b", "--exit-code=7"]).unwrap();
        assert_eq!(options.app.turn_ms, 5);
        assert_eq!(options.app.exit_code, 7);
        assert_eq!(options.say.as_deref(), Some("a=b"));
    }

    #[test]
    fn wrong_options_are_named() {
        for args in [&["--lose"][..], &["--lose=x"], &["--spin=1"], &["--nope"]] {
            let name = args[0].split('=').next().unwrap();
            assert!(parse(args).unwrap_err().contains(name));
        }
    }

    #[test]
    fn every_option_is_in_the_help() {
        let source = include_str!("options.rs");
        let arms = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix("\"--"));
        let mut count = 0;
        for arm in arms.filter(|arm| arm.contains("=>")) {
            let name = arm.split('"').next().unwrap();
            assert!(HELP.contains(&format!("  --{name} ")), "--{name}");
            count += 1;
        }
        assert!(count > 15);
    }
}
