//! What an agent was asked to run, and whether that is what runs.
//!
//! What was asked for is known from its environment files, from its sidecar's command line, or from the
//! environment its runtime was given. What runs is what the kernel says of the processes below the sidecar.

use std::collections::BTreeMap;

use crate::pure::command::{self, Command};
use crate::pure::profile::{ProcessFacts, Profiles};

/// The variables of an environment file.
pub type Variables = BTreeMap<String, String>;

/// Reads a file as systemd reads an `EnvironmentFile=`: `NAME=value` a line, `#` and `;` comments, quotes,
/// backslashes; nothing is expanded. A line without `=` is skipped; the last of two equal names counts.
///
/// # Errors
/// It is no text, or ends inside a quote: nobody can say what is meant.
pub fn read_variables(bytes: &[u8]) -> Result<Variables, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
    if text.contains('\0') {
        return Err("it is no text".into());
    }
    let mut variables = Variables::new();
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut line = String::from(first);
        if matches!(first, '#' | ';') {
            chars.by_ref().find(|c| *c == '\n');
            continue;
        }
        let mut named = first == '=';
        while !named && let Some(c) = chars.next_if(|c| *c != '\n') {
            line.push(c);
            named = c == '=';
        }
        if named {
            let value = read_value(&mut chars)?;
            variables.insert(line.trim_end_matches('=').trim().to_owned(), value);
        }
    }
    Ok(variables)
}

/// The rest of an assignment, to the end of its line.
fn read_value(chars: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let open = || "a quote in it is not closed".to_owned();
    let mut value = String::new();
    // Blanks at the end do not count, unless they were quoted.
    let mut kept = 0;
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\n' => break,
            ' ' | '\t' if value.is_empty() && !quoted => continue,
            '\'' => {
                loop {
                    match chars.next().ok_or_else(open)? {
                        '\'' => break,
                        c => value.push(c),
                    }
                }
                (kept, quoted) = (value.len(), true);
            }
            '"' => {
                loop {
                    match chars.next().ok_or_else(open)? {
                        '"' => break,
                        '\\' => match chars.next().ok_or_else(open)? {
                            '\n' => {}
                            c @ ('"' | '\\' | '`' | '$') => value.push(c),
                            c => value.extend(['\\', c]),
                        },
                        c => value.push(c),
                    }
                }
                (kept, quoted) = (value.len(), true);
            }
            '\\' => match chars.next() {
                None | Some('\n') => {}
                Some(c) => {
                    value.push(c);
                    kept = value.len();
                }
            },
            c => {
                value.push(c);
                if !c.is_whitespace() {
                    kept = value.len();
                }
            }
        }
    }
    value.truncate(kept);
    Ok(value)
}

/// Where it may stand what was asked for, the most binding first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The environment files of its unit.
    pub files: Variables,
    /// The command line that its sidecar was given after `--`.
    pub given: Vec<String>,
    /// The environment of the runtime, which the launcher has made.
    pub environment: Variables,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A runtime by its name.
    Runtime(String),
    /// A command line; only what it says of a runtime we know can be held against what runs.
    Command(Vec<String>),
}

const RUNTIME: &str = "MOSAIC_AGENT_RUNTIME";
const COMMAND: &str = "MOSAIC_AGENT_COMMAND";

/// The runtime where nothing else is said (`pure::settings`). Every launched runtime has it in its environment,
/// so beside a command line it says nothing.
const DEFAULT: &str = "pi";

/// Programs whose first argument is what really runs.
const RUNS_A_SCRIPT: [&str; 5] = ["node", "bun", "deno", "npx", "env"];

impl Wishes {
    /// What was asked for, if anybody has said it.
    pub fn asked(&self) -> Option<Asked> {
        let set = |from: &Variables, name: &str| from.get(name).filter(|v| !v.is_empty()).cloned();
        if let Some(runtime) = set(&self.files, RUNTIME) {
            return Some(Asked::Runtime(runtime));
        }
        if let Some(line) = set(&self.files, COMMAND) {
            return by_command(&line);
        }
        if !self.given.is_empty() {
            return Some(Asked::Command(self.given.clone()));
        }
        let runtime = set(&self.environment, RUNTIME)?;
        match set(&self.environment, COMMAND) {
            Some(line) if runtime == DEFAULT => by_command(&line),
            _ => Some(Asked::Runtime(runtime)),
        }
    }
}

fn by_command(line: &str) -> Option<Asked> {
    match command::parse(line) {
        Ok(Command::Words(words)) => Some(Asked::Command(words)),
        _ => None,
    }
}

impl Asked {
    /// The runtime that was asked for, if its name is known.
    pub fn runtime<'a>(&'a self, profiles: &'a Profiles) -> Option<&'a str> {
        match self {
            Asked::Runtime(name) => Some(name),
            Asked::Command(words) => {
                let mut facts = ProcessFacts {
                    exe: words.first()?.clone(),
                    argv: words.clone(),
                    ..ProcessFacts::default()
                };
                // `node /x/bin/pi` names its script in the next word.
                if RUNS_A_SCRIPT.contains(&base(&facts.exe)) {
                    facts.script = words.get(1).cloned().unwrap_or_default();
                }
                let profile = profiles.all().find(|p| p.is(&facts))?;
                Some(&profile.name)
            }
        }
    }

    /// What runs instead, judged by these processes (outermost first); none if what runs is what was asked for,
    /// or nobody can say.
    pub fn differs(&self, processes: &[ProcessFacts], profiles: &Profiles) -> Option<String> {
        let asked = self.runtime(profiles)?;
        let runs = profiles
            .identify(processes)
            .map(|(profile, _)| &profile.name);
        if runs.is_some_and(|name| name == asked) {
            return None;
        }
        // One that we have no profile of is known by the name of its program or script.
        if profiles.named(asked).is_none() && processes.iter().any(|p| is_named(p, asked)) {
            return None;
        }
        match runs {
            Some(name) => Some(name.clone()),
            None => processes.last().map(program),
        }
    }
}

/// What runs, by the processes below the sidecar: a runtime we know, else the name of the program.
pub fn what_runs(processes: &[ProcessFacts], profiles: &Profiles) -> Option<String> {
    match profiles.identify(processes) {
        Some((profile, _)) => Some(profile.name.clone()),
        None => processes.last().map(program),
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The name of a process' program. A login shell's `argv[0]` begins with a dash.
fn program(process: &ProcessFacts) -> String {
    let first = process.argv.first().map_or("", |a| base(a));
    let name = match base(process.exe.trim_end_matches(" (deleted)")) {
        "" => first.trim_start_matches('-'),
        exe => exe,
    };
    name.to_owned()
}

fn is_named(process: &ProcessFacts, name: &str) -> bool {
    let stem = |path: &str| {
        let base = base(path);
        base.rsplit_once('.')
            .map_or(base, |(stem, _)| stem)
            .to_owned()
    };
    let words = process.argv.iter().take(2).map(String::as_str);
    words
        .chain([process.exe.as_str(), process.script.as_str()])
        .any(|path| base(path) == name || stem(path) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(exe: &str, argv: &[&str], script: &str) -> ProcessFacts {
        ProcessFacts {
            exe: exe.into(),
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            script: script.into(),
            ..ProcessFacts::default()
        }
    }

    fn files(text: &str) -> Wishes {
        Wishes {
            files: read_variables(text.as_bytes()).unwrap_or_default(),
            ..Wishes::default()
        }
    }

    #[test]
    fn an_environment_file_is_read_as_systemd_reads_it() {
        let text = "# A=1\n; B=2\nA = x y \t\nB=\"a \\\"b\\\" \\c\"\nC='$A #'  \n\n  D=one\\\ntwo\nnothing\n\
                    E=\nF=a=b\nG= 'x' y\nA=last\n=odd\n";
        let read = read_variables(text.as_bytes()).unwrap_or_default();
        let get = |name: &str| read.get(name).map(String::as_str);
        assert_eq!(get("A"), Some("last"));
        assert_eq!(get("B"), Some("a \"b\" \\c"));
        assert_eq!(get("C"), Some("$A #"));
        assert_eq!(get("D"), Some("onetwo"));
        assert_eq!(
            (get("E"), get("F"), get("G")),
            (Some(""), Some("a=b"), Some("x y"))
        );
        assert_eq!(get("nothing"), None);
    }

    #[test]
    fn what_is_no_environment_file_is_said_and_any_cut_of_one_is_survived() {
        for bytes in [
            b"\xff\xfe".as_slice(),
            b"A=\0",
            b"A=\"open",
            b"A='open\nB=1",
        ] {
            assert!(read_variables(bytes).is_err(), "{}", bytes.escape_ascii());
        }
        let text = b"A=\"x \\\" y\" 'z' \\q\n# c\nB=1";
        for cut in 0..text.len() {
            let _ = read_variables(&text[..cut]);
        }
    }

    #[test]
    fn a_runtime_wrapped_by_node_is_what_was_asked_for_and_another_one_is_not() {
        let profiles = Profiles::with(&[]);
        let pi = process(
            "/usr/bin/node",
            &["node", "/x/bin/pi"],
            "/x/node_modules/@mariozechner/pi-coding-agent/dist/cli.js",
        );
        let claude = process("/opt/claude", &["claude"], "");
        let asked = Asked::Runtime("pi".into());
        assert_eq!(asked.differs(std::slice::from_ref(&pi), &profiles), None);
        let bash = process("/bin/bash", &["-bash"], "");
        assert_eq!(asked.differs(&[bash.clone(), pi.clone()], &profiles), None);
        assert_eq!(asked.differs(&[claude], &profiles), Some("claude".into()));
        assert_eq!(asked.differs(&[bash], &profiles), Some("bash".into()));
        let asked = Asked::Runtime("claude".into());
        assert_eq!(asked.differs(&[pi], &profiles), Some("pi".into()));
    }

    #[test]
    fn a_runtime_without_a_profile_is_known_by_its_name() {
        let profiles = Profiles::with(&[]);
        let asked = Asked::Runtime("aider".into());
        let python = process(
            "/usr/bin/python3.11",
            &["python", "/b/aider"],
            "/v/bin/aider",
        );
        assert_eq!(asked.differs(&[python], &profiles), None);
        let other = process("/usr/bin/vim.basic", &["vi"], "");
        assert_eq!(asked.differs(&[other], &profiles), Some("vim.basic".into()));
    }

    #[test]
    fn the_files_come_first_then_what_the_sidecar_was_given_then_the_environment() {
        let profiles = Profiles::with(&[]);
        let mut wishes = files("MOSAIC_AGENT_RUNTIME=claude\nMOSAIC_AGENT_COMMAND=pi\n");
        wishes.given = vec!["codex".into()];
        assert_eq!(wishes.asked(), Some(Asked::Runtime("claude".into())));
        wishes.files.remove("MOSAIC_AGENT_RUNTIME");
        let asked = wishes.asked();
        assert_eq!(
            asked.as_ref().and_then(|a| a.runtime(&profiles)),
            Some("pi")
        );
        wishes.files.clear();
        let asked = wishes.asked();
        assert_eq!(
            asked.as_ref().and_then(|a| a.runtime(&profiles)),
            Some("codex")
        );
    }

    #[test]
    fn the_default_name_says_nothing_beside_a_command_that_we_do_not_know() {
        let profiles = Profiles::with(&[]);
        let mut wishes = Wishes::default();
        wishes.environment.insert(RUNTIME.into(), DEFAULT.into());
        assert_eq!(wishes.asked(), Some(Asked::Runtime("pi".into())));
        wishes
            .environment
            .insert(COMMAND.into(), "/opt/wrapper x".into());
        let cat = process("/bin/cat", &["cat"], "");
        let differs = wishes.asked().and_then(|a| a.differs(&[cat], &profiles));
        assert_eq!(differs, None);
        wishes
            .environment
            .insert(COMMAND.into(), "wrapper && pi".into());
        assert_eq!(wishes.asked(), None);
    }
}
