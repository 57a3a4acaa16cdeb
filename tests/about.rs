//! What the two programs say about themselves: help, manual pages, completions, schemas. All of them are held
//! against the verbs there are, so that none can be forgotten.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{AGENT, FLEET, LATER, Output, Pane, Running, SOON, Sandbox, skip};

const BINARIES: [(&str, &str); 2] = [("mosaic-agent", AGENT), ("mosaic-fleet", FLEET)];

fn run(sandbox: &Sandbox, program: &str, args: &[&str]) -> Output {
    let mut command = sandbox.command(program);
    command.args(args);
    Running::start(command, &sandbox.path("out"), b"").wait(LATER)
}

/// It printed something, and nothing went wrong.
#[track_caller]
fn text(sandbox: &Sandbox, program: &str, args: &[&str]) -> String {
    let output = run(sandbox, program, args);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{args:?}");
    assert!(!output.stdout.is_empty(), "{args:?}");
    output.stdout
}

/// Every verb that a program lists, and whether it is for people.
fn verbs(sandbox: &Sandbox, program: &str) -> Vec<(String, bool)> {
    let help = text(sandbox, program, &["--help"]);
    let mut verbs = Vec::new();
    let mut title = "";
    for line in help.lines() {
        if !line.starts_with(' ') {
            title = line;
        } else if title.starts_with("Verbs") && !line.starts_with("   ") {
            let verb = line.split_whitespace().next().unwrap_or_default();
            verbs.push((verb.to_owned(), !title.contains("for the units")));
        }
    }
    assert!(verbs.len() > 12, "{verbs:?}");
    verbs
}

/// A sandbox in which a shell finds both programs, and which knows two agents.
fn with_agents() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let dir = Path::new(FLEET).parent().expect("a directory").display();
    let path = format!("{dir}:{}", sandbox.var("PATH"));
    sandbox.env("PATH", path);
    fs::create_dir_all(sandbox.run_dir()).expect("a directory in the sandbox");
    for agent in ["coder0", "planner"] {
        fs::write(sandbox.heartbeat_path(agent), "").expect("a file in the sandbox");
    }
    sandbox
}

#[test]
fn every_verb_has_a_help_with_examples_a_manual_entry_and_completions() {
    let sandbox = Sandbox::new();
    let scripts =
        ["bash", "zsh", "fish"].map(|shell| text(&sandbox, FLEET, &["completions", shell]));
    for (name, program) in BINARIES {
        let manual = text(&sandbox, FLEET, &["man", name]);
        for (verb, for_people) in verbs(&sandbox, program) {
            for flag in ["--help", "-h"] {
                let help = text(&sandbox, program, &[&verb, flag]);
                assert!(help.contains(&verb), "{name} {verb}: {help}");
                let needs_examples = for_people && verb != "demo-tui";
                assert!(
                    !needs_examples || help.contains("\nExamples\n"),
                    "{name} {verb}: {help}"
                );
            }
            assert_eq!(
                text(&sandbox, program, &["help", &verb]),
                text(&sandbox, program, &[&verb, "--help"]),
                "{name} {verb}"
            );
            let entry = format!(
                ".SS \"{} {}",
                name.replace('-', "\\-"),
                verb.replace('-', "\\-")
            );
            assert!(
                manual.contains(&entry),
                "{name} {verb} is not in the manual"
            );
            let [bash, zsh, fish] = &scripts;
            assert!(
                bash.contains(&format!("{name}:{verb})")),
                "{name} {verb}: bash"
            );
            assert!(
                zsh.contains(&format!("{name}:{verb})")),
                "{name} {verb}: zsh"
            );
            let offered = format!("complete -c {name} -n __fish_use_subcommand -a {verb} ");
            assert!(fish.contains(&offered), "{name} {verb}: fish");
        }
    }
}

#[test]
fn the_help_of_the_tiny_binary_needs_nobody_beside_it() {
    let sandbox = Sandbox::new();
    let alone = sandbox.copy(AGENT, "mosaic-agent").display().to_string();
    assert!(text(&sandbox, &alone, &["--help"]).contains("stop NAME"));
    let help = text(&sandbox, &alone, &["run", "--help"]);
    assert!(
        help.contains("run NAME") && help.contains("mosaic-fleet"),
        "{help}"
    );
    // What another program performs, that program explains.
    let stop = run(&sandbox, &alone, &["stop", "--help"]);
    assert_eq!(stop.code, 69, "{stop:?}");
    assert!(stop.stderr.contains("mosaic-fleet"), "{stop:?}");
}

/// The options are read by hand, so this reads that hand's source.
#[test]
fn every_option_that_is_read_is_in_a_help_page() {
    let sandbox = Sandbox::new();
    let mut pages = String::new();
    for (_, program) in BINARIES {
        pages.push_str(&text(&sandbox, program, &["--help"]));
        for (verb, _) in verbs(&sandbox, program) {
            pages.push_str(&text(&sandbox, program, &[&verb, "--help"]));
        }
    }
    let options = pages.lines().filter(|line| line.starts_with("  -"));
    let options: String = options.map(|line| format!("{line}\n")).collect();
    // What `launch`, or the sidecar before, tells the `run` that it starts.
    let internal = ["handoff", "as", "take-over", "can-take-over"];
    let sources = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli")).expect("src/cli");
    let mut count = 0;
    for path in sources.flatten().map(|entry| entry.path()) {
        let source = fs::read_to_string(&path).unwrap_or_default();
        for (_, rest) in source
            .match_indices("Long(\"")
            .map(|(at, start)| source.split_at(at + start.len()))
        {
            let name = rest.split('"').next().unwrap_or_default();
            count += 1;
            let is_there = [' ', ',', '\n']
                .iter()
                .any(|end| options.contains(&format!("--{name}{end}")));
            assert!(
                internal.contains(&name) || is_there,
                "{}: --{name}",
                path.display()
            );
        }
    }
    assert!(count > 30, "only {count} options were found");
}

#[test]
fn the_manual_pages_are_sound_for_both_formatters() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("man1").display().to_string();
    let written = run(&sandbox, FLEET, &["man", "--dir", &dir]);
    assert_eq!(written.code, 0, "{written:?}");
    for (name, _) in BINARIES {
        let file = sandbox.path(&format!("man1/{name}.1"));
        let checks: [(&str, &[&str]); 2] = [
            ("mandoc", &["-T", "lint", "-W", "warning"]),
            ("groff", &["-man", "-ww", "-z", "-Tutf8"]),
        ];
        for (formatter, args) in checks {
            let output = Command::new(formatter).args(args).arg(&file).output();
            let Ok(output) = output else {
                skip("a manual page", &format!("there is no {formatter}"));
                continue;
            };
            let said = [output.stdout, output.stderr].concat();
            assert_eq!(String::from_utf8_lossy(&said), "", "{formatter} {name}");
        }
        let printed = text(&sandbox, FLEET, &["man", name]);
        assert_eq!(fs::read_to_string(&file).ok(), Some(printed));
    }
}

#[test]
fn schemas_are_printed_by_both_programs_and_an_unknown_one_is_a_usage_error() {
    let sandbox = Sandbox::new();
    for (_, program) in BINARIES {
        let list = text(&sandbox, program, &["--schema"]);
        for thing in list.lines() {
            let path = format!("{}/docs/schemas/{thing}.json", env!("CARGO_MANIFEST_DIR"));
            let published = fs::read_to_string(path).expect("a published schema");
            assert_eq!(text(&sandbox, program, &["--schema", thing]), published);
        }
        assert!(
            text(&sandbox, program, &["--schema=mosaic.receipt/1"]).contains("mosaic.receipt/1")
        );
        let none = run(&sandbox, program, &["--schema", "weather"]);
        assert_eq!(none.code, 2, "{none:?}");
        assert!(
            none.stderr.contains("receipt"),
            "it says which there are: {none:?}"
        );
    }
}

// ---------------------------------------------------------------- completions

/// Lines of what is typed, with what must be offered and what must not.
const TYPED: [(&str, &[&str], &[&str]); 12] = [
    ("mosaic-agent ", &["send", "launch", "doctor"], &["ps"]),
    ("mosaic-agent sen", &["send"], &["status"]),
    ("mosaic-fleet ", &["ps", "mcp", "demo-tui"], &["run"]),
    ("mosaic-agent status ", &["coder0", "planner"], &["--json"]),
    ("mosaic-agent status pl", &["planner"], &["coder0"]),
    (
        "mosaic-agent send --",
        &["--verify", "--host", "--when"],
        &["--cast"],
    ),
    (
        "mosaic-agent send --timeout 3 co",
        &["coder0"],
        &["planner"],
    ),
    (
        "mosaic-agent send --when ",
        &["busy=hold", "draft=wait"],
        &["coder0"],
    ),
    (
        "mosaic-agent hooks ",
        &["install", "remove", "status"],
        &["claude"],
    ),
    (
        "mosaic-agent hooks install ",
        &["claude", "pi"],
        &["generic"],
    ),
    (
        "mosaic-agent stop --",
        &["--now", "--timeout"],
        &["--verify"],
    ),
    (
        "mosaic-fleet --schema re",
        &["receipt", "replay"],
        &["status"],
    ),
];

fn check(shell: &str, typed: &str, offered: &[String], wanted: &[&str], not: &[&str]) {
    for word in wanted {
        assert!(
            offered.iter().any(|o| o == word),
            "{shell}: {typed:?}: {word} is not in {offered:?}"
        );
    }
    for word in not {
        assert!(
            !offered.iter().any(|o| o == word),
            "{shell}: {typed:?}: {word} is in {offered:?}"
        );
    }
}

#[test]
fn bash_completes_verbs_options_values_and_agents() {
    let sandbox = with_agents();
    let script = sandbox.path("mosaic.bash");
    fs::write(&script, text(&sandbox, FLEET, &["completions", "bash"])).expect("a file");
    for (typed, wanted, not) in TYPED {
        let words: Vec<String> = typed.split(' ').map(|w| format!("'{w}'")).collect();
        let ask = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _mosaic {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.join(" "),
            words.len() - 1,
            words[0]
        );
        let output = run(&sandbox, "bash", &["--norc", "-c", &ask]);
        assert_eq!(output.stderr, "", "{typed:?}");
        let offered: Vec<String> = output.stdout.lines().map(str::to_owned).collect();
        check("bash", typed, &offered, wanted, not);
    }
    if let Ok(checked) = Command::new("shellcheck")
        .args(["-s", "bash"])
        .arg(&script)
        .output()
    {
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stdout)
        );
    }
}

#[test]
fn fish_completes_verbs_options_values_and_agents() {
    let sandbox = with_agents();
    let script = sandbox.path("mosaic.fish");
    fs::write(&script, text(&sandbox, FLEET, &["completions", "fish"])).expect("a file");
    if Command::new("fish").arg("--version").output().is_err() {
        return skip("completions of fish", "there is no fish");
    }
    for (typed, wanted, not) in TYPED {
        let ask = format!("source {}; complete -C '{typed}'", script.display());
        let output = run(&sandbox, "fish", &["--no-config", "-c", &ask]);
        assert_eq!(output.stderr, "", "{typed:?}");
        let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
        let offered: Vec<String> = output.stdout.lines().map(word).collect();
        // fish offers options only for a dash, and knows nothing of places: a runtime may come first.
        let not: Vec<&str> = not.iter().copied().filter(|w| *w != "claude").collect();
        check("fish", typed, &offered, wanted, &not);
    }
}

#[test]
fn zsh_completes_verbs_options_values_and_agents() {
    let sandbox = with_agents();
    fs::create_dir(sandbox.path("zfunc")).expect("a directory in the sandbox");
    let script = text(&sandbox, FLEET, &["completions", "zsh"]);
    fs::write(sandbox.path("zfunc/_mosaic-agent"), script).expect("a file");
    if Command::new("zsh").arg("--version").output().is_err() {
        return skip("completions of zsh", "there is no zsh");
    }
    let rc = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -D\nPS1='zsh> '\nzstyle ':completion:*' list-prompt ''\n\
         zstyle ':completion:*' menu no\nsetopt no_beep\nunsetopt auto_menu\nbindkey '^I' list-choices\nprint started\n",
        sandbox.path("zfunc").display()
    );
    fs::write(sandbox.path("home/.zshrc"), rc).expect("a file");
    for (typed, wanted, not) in TYPED {
        let mut command = sandbox.command("zsh");
        command
            .args(["-i"])
            .env("ZDOTDIR", sandbox.home())
            .env("TERM", "xterm");
        let pane = Pane::start(command, (100, 60));
        pane.wait_screen("zsh> ", SOON);
        pane.write(typed.as_bytes());
        pane.wait_screen(typed.trim_end(), SOON);
        pane.write(b"\t");
        // A single match is put into the line; all others are listed below, some with what they do.
        let shown = || -> Vec<String> {
            let screen = pane.screen();
            let lines = screen.lines().skip_while(|line| !line.starts_with("zsh> "));
            let words = lines.flat_map(|line| {
                match line.split_once(" -- ") {
                    Some((word, _)) if !line.starts_with("zsh> ") => word,
                    _ => line,
                }
                .split_whitespace()
            });
            // Behind the prompt and the words that were typed whole.
            let typed = typed.split_whitespace().count() - usize::from(!typed.ends_with(' '));
            words.skip(1 + typed).map(str::to_owned).collect()
        };
        support::until(SOON, &format!("{typed:?} offers {wanted:?}"), || {
            let shown = shown();
            wanted.iter().all(|w| shown.iter().any(|s| s == w))
        });
        check("zsh", typed, &shown(), wanted, not);
    }
}
