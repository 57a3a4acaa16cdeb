//! `send -H` and `send -L`, and the old names on top of them: a message goes where it was said to go, as it
//! was written, or nowhere.

mod support;

use std::fs;
use std::path::Path;

use support::{AGENT, Demo, FLEET, LATER, Log, Output, Receipt, Running, Sandbox, far, skip};

/// Nobody's shell may see any of these as anything but text.
const HOSTILE: [&str; 6] = [
    "it's \"quoted\" `touch pwned` $(touch pwned) ${HOME} $HOME ~ *",
    "--verify -m x; touch pwned && touch pwned | touch pwned",
    "first line\n\n-n third line\n\tindented \\ \\\\ \\n !! !x %s %d",
    "<<EOF\nEOF\n#comment > pwned < /dev/null & {a,b} [c] (d)",
    "äöü — 你好 🦀 e\u{301}",
    "'\\'' '\"'\"' ''",
];

/// An agent there, a sender here.
struct TwoHosts {
    here: Sandbox,
    there: Demo,
    name: &'static str,
}

impl TwoHosts {
    fn new() -> TwoHosts {
        let mut sandbox = Sandbox::new();
        far::with_agent_on_path(&mut sandbox);
        let there = Demo::start(sandbox, &[]);
        there.wait_ready();
        TwoHosts {
            here: Sandbox::new(),
            there,
            name: "ann@box",
        }
    }

    fn send(&self, args: &[&str], message: &str) -> Output {
        let args = [&["send", "-H", self.name, "demo", "-"], args].concat();
        self.here.start_with(&args, message.as_bytes()).wait(LATER)
    }

    /// Every message arrives whole and once, and no shell has done anything on the way.
    fn all_arrive(&self) {
        for message in HOSTILE {
            let sent = self.send(&["--verify", "--from", "here:planner"], message);
            assert_eq!(sent.code, 0, "{message:?}: {sent:?}");
            assert!(sent.stdout.starts_with("accepted: "), "{sent:?}");
            self.there.wait_ready();
        }
        let host = self.there.sandbox.status("demo")["host"].clone();
        let host = host.as_str().expect("a host");
        let expected = HOSTILE.map(|m| format!("[here:planner -> {host}:demo] {m}"));
        assert_eq!(self.there.log.taken(), expected);
        for sandbox in [&self.here, &self.there.sandbox] {
            assert!(!sandbox.path("home/pwned").exists());
        }
        assert!(!Path::new("/root/pwned").exists());
    }
}

// ---------------------------------------------------------------- another host

#[test]
fn a_message_arrives_through_a_real_sshd_as_it_was_written() {
    let mut hosts = TwoHosts::new();
    if let Err(why) = far::real(&mut hosts.here, &hosts.there.sandbox) {
        return skip("send through sshd", &why);
    }
    // As ourselves: there is no ann here.
    hosts.name = "box";
    hosts.all_arrive();
    let nobody = hosts.send(&["--no-preamble"], "\u{1b}[31m");
    assert_eq!(nobody.code, 6, "{nobody:?}");
    let args = ["send", "-H", "box", "ghost", "-m", "hi"];
    let ghost = hosts.here.agent(&args);
    assert_eq!(ghost.code, 3, "{ghost:?}");
    assert!(
        ghost.stdout.starts_with("gone: no agent ghost"),
        "{ghost:?}"
    );
}

#[test]
fn a_message_arrives_through_every_login_shell_whatever_its_startup_files_say() {
    let mut hosts = TwoHosts::new();
    // Of those that are installed: one is.
    for shell in ["sh", "bash", "zsh", "fish", "csh"] {
        let installed = ["/bin", "/usr/bin"].map(|dir| Path::new(dir).join(shell));
        if !installed.iter().any(|path| path.exists()) {
            continue;
        }
        far::pretended(
            &mut hosts.here,
            &hosts.there.sandbox,
            shell,
            "Welcome to box!",
        );
        let label = "o'neill $(touch pwned) \\ \"!";
        let sent = hosts.send(
            &["--verify", "--from", label, "--id", "a'$b!\\c`d", "--json"],
            "hello",
        );
        // The id is one and the same: only the first is typed.
        assert_eq!(sent.code, 0, "{shell}: {sent:?}");
        let receipt = sent.json();
        assert_eq!(receipt["id"], "a'$b!\\c`d", "{shell}");
        assert_eq!(receipt["schema"], "mosaic.receipt/1");
    }
    let taken = hosts.there.log.taken();
    let [only] = &taken[..] else {
        panic!("{taken:?}")
    };
    assert!(
        only.contains(":o'neill_$(touch_pwned)_\\_\"! -> "),
        "{only}"
    );
    assert!(only.ends_with("] hello"), "{only}");
}

#[test]
fn what_the_other_side_answers_is_the_answer() {
    let mut hosts = TwoHosts::new();
    far::pretended(&mut hosts.here, &hosts.there.sandbox, "sh", "");
    hosts.there.pane.write(b"a draft of somebody");
    hosts
        .there
        .pane
        .wait_screen("a draft of somebody", support::SOON);
    let occupied = hosts.send(&["--verify", "--json"], "hello");
    let receipt = Receipt::of(occupied);
    receipt.must_be("occupied");
    let quiet = hosts.send(&["--verify", "--quiet"], "hello");
    assert_eq!((quiet.code, quiet.stdout.as_str()), (75, ""));
    // Its complaint, too.
    hosts.there.sandbox.env("MOSAIC_HOME", "relative");
    far::pretended(&mut hosts.here, &hosts.there.sandbox, "sh", "");
    let refused = hosts.send(&[], "hello");
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.stderr.contains("MOSAIC_HOME"), "{refused:?}");
    assert_eq!(hosts.there.log.taken(), [""; 0]);
}

#[test]
fn the_message_is_in_no_command_line() {
    let mut hosts = TwoHosts::new();
    far::pretended(&mut hosts.here, &hosts.there.sandbox, "sh", "");
    let args = [
        "send",
        "-H",
        "box",
        "--verify",
        "demo",
        "-m",
        "the secret word",
    ];
    let sent = hosts.here.agent(&args);
    assert_eq!(sent.code, 0, "{sent:?}");
    let calls = far::calls(&hosts.here);
    assert_eq!(calls.len(), 1);
    assert!(!calls[0].contains("secret"), "{calls:?}");
}

#[test]
fn an_ssh_that_fails_has_sent_nothing_says_what_to_do_and_is_not_tried_again() {
    let mut hosts = TwoHosts::new();
    far::script(&mut hosts.here, "echo 'ssh: no route' >&2\nexit 255\n");
    let failed = hosts.send(&["--verify"], "hello");
    assert_eq!(failed.code, 75, "{failed:?}");
    for part in [
        "ssh: no route",
        "demo on ann@box",
        "nothing was typed",
        "ssh ann@box true",
    ] {
        assert!(failed.stderr.contains(part), "{part:?}: {failed:?}");
    }
    assert_eq!(far::calls(&hosts.here).len(), 1);
    // The same where no ssh can be started at all, or the other side has no mosaic-agent.
    far::script(
        &mut hosts.here,
        "echo mosaic-send/1\ncat >/dev/null\nexit 127\n",
    );
    let missing = hosts.send(&["--verify"], "hello");
    assert_eq!(missing.code, 69, "{missing:?}");
    assert!(
        missing.stderr.contains("MOSAIC_REMOTE_AGENT"),
        "{missing:?}"
    );
    hosts.here.env("PATH", "/nowhere");
    let missing = hosts.send(&["--verify"], "hello");
    assert_eq!(missing.code, 69, "{missing:?}");
    assert!(missing.stderr.contains("starting ssh"), "{missing:?}");
}

#[test]
fn a_connection_that_breaks_behind_the_message_leaves_its_fate_unknown() {
    let mut hosts = TwoHosts::new();
    far::script(
        &mut hosts.here,
        "echo mosaic-send/1\ncat >/dev/null\nexit 255\n",
    );
    let lost = hosts.send(&["--verify", "--json", "--id", "m-7"], "hello");
    let receipt = Receipt::of(lost);
    receipt.must_be("unknown");
    assert_eq!(
        (&receipt.json["id"], &receipt.json["host"]),
        (&"m-7".into(), &"box".into())
    );
    let reason = receipt.json["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("verify -H ann@box demo --id m-7"),
        "{reason}"
    );
    assert_eq!(far::calls(&hosts.here).len(), 1);
    // An id of its own where none was given: what is told to do must be possible.
    let lost = Receipt::of(hosts.send(&["--verify", "--json"], "hello"));
    assert!(!lost.json["id"].as_str().unwrap_or_default().is_empty());
}

// ---------------------------------------------------------------- what became of a message there

#[test]
fn a_message_there_is_asked_for_by_any_part_of_its_text_through_a_real_sshd() {
    let mut hosts = TwoHosts::new();
    if let Err(why) = far::real(&mut hosts.here, &hosts.there.sandbox) {
        return skip("verify through sshd", &why);
    }
    hosts.name = "box";
    for (n, message) in HOSTILE.iter().enumerate() {
        let id = format!("m-{n}");
        let sent = hosts.send(&["--verify", "--id", &id], message);
        assert_eq!(sent.code, 0, "{message:?}: {sent:?}");
        hosts.there.wait_ready();
    }
    let host = hosts.there.sandbox.status("demo")["host"].clone();
    for (n, message) in HOSTILE.iter().enumerate() {
        let args = ["verify", "-H", "box", "--json", "demo"];
        let by_text = [&args[..], &["--since", "10m", "--contains", message]].concat();
        let by_pipe = [&args[..], &["-"]].concat();
        let id = format!("m-{n}");
        let by_id = [&args[..], &["--id", &id]].concat();
        for asked in [
            hosts.here.agent(&by_text),
            hosts.here.agent(&by_id),
            hosts
                .here
                .start_with(&by_pipe, format!("{message}\n").as_bytes())
                .wait(LATER),
        ] {
            assert_eq!(asked.code, 0, "{message:?}: {asked:?}");
            let receipt = Receipt::of(asked);
            receipt.must_be("accepted");
            assert_eq!(receipt.json["id"], id.as_str(), "{message:?}");
            assert_eq!(receipt.json["host"], host);
        }
    }
    for sandbox in [&hosts.here, &hosts.there.sandbox] {
        assert!(!sandbox.path("home/pwned").exists());
    }
    // No text of them was in the words that ssh was given.
    let calls = far::calls(&hosts.here).concat();
    for part in ["quoted", "touch", "indented", "EOF", "äöü"] {
        assert!(!calls.contains(part), "{part}: {calls}");
    }
}

#[test]
fn what_the_other_side_says_of_a_message_is_the_answer() {
    let mut hosts = TwoHosts::new();
    far::pretended(
        &mut hosts.here,
        &hosts.there.sandbox,
        "sh",
        "Welcome to box!",
    );
    let verify = |more: &[&str]| {
        let args = [&["verify", "-H", "ann@box"], more].concat();
        hosts.here.agent(&args)
    };
    let ghost = verify(&["ghost", "--id", "m-1"]);
    assert_eq!(ghost.code, 3, "{ghost:?}");
    assert!(ghost.stdout.starts_with("gone: "), "{ghost:?}");
    let never = verify(&["demo", "--contains", "never sent"]);
    assert_eq!(never.code, 7, "{never:?}");
    assert!(never.stdout.starts_with("unknown: "), "{never:?}");
    hosts.there.submit("typed by hand");
    let by_text = ["demo", "--contains", "typed by hand", "-q"];
    support::until(support::SOON, "it is known there", || {
        let there = &hosts.there.sandbox;
        there.agent(&[&["verify"], &by_text[..]].concat()).code == 0
    });
    let typed = verify(&by_text);
    assert_eq!((typed.code, typed.stdout.as_str()), (0, ""), "{typed:?}");
    let refused = verify(&["demo", "--contains", "\n"]);
    assert_eq!(refused.code, 2, "{refused:?}");
}

#[test]
fn an_ssh_that_fails_proves_nothing_about_a_message() {
    let mut here = Sandbox::new();
    let verify = |here: &Sandbox| here.agent(&["verify", "-H", "ann@box", "demo", "--id", "m-1"]);
    far::script(&mut here, "echo 'ssh: no route' >&2\nexit 255\n");
    let failed = verify(&here);
    assert_eq!(failed.code, 7, "{failed:?}");
    assert!(failed.stderr.contains("ssh: no route"), "{failed:?}");
    for part in [
        "unknown: ",
        "nobody was asked",
        "ssh ann@box true",
        "id=m-1",
    ] {
        assert!(failed.stdout.contains(part), "{part:?}: {failed:?}");
    }
    far::script(&mut here, "echo mosaic-send/1\ncat >/dev/null\nexit 255\n");
    let lost = verify(&here);
    assert_eq!(lost.code, 7, "{lost:?}");
    assert!(lost.stdout.contains("ask again"), "{lost:?}");
    far::script(&mut here, "echo mosaic-send/1\ncat >/dev/null\nexit 127\n");
    let missing = verify(&here);
    assert_eq!(missing.code, 69, "{missing:?}");
    assert_eq!(far::calls(&here).len(), 3);
}

#[test]
fn what_is_no_host_is_refused_before_anything_is_started() {
    let mut here = Sandbox::new();
    far::script(&mut here, "exit 0\n");
    for host in ["-oProxyCommand=touch pwned", "", "a b", "box;x", "$(x)@box"] {
        let refused = here.agent(&["send", "-H", host, "demo", "-m", "x"]);
        assert_eq!(refused.code, 2, "{host:?}: {refused:?}");
        let refused = here.agent(&["verify", "-H", host, "demo", "--id", "m-1"]);
        assert_eq!(refused.code, 2, "{host:?}: {refused:?}");
    }
    let refused = here.agent(&["send", "-H", "box", "-L", "a\nb", "demo", "-m", "x"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(far::calls(&here).is_empty());
}

// ---------------------------------------------------------------- one tmux socket

/// A demo in a tmux session on the sandbox's socket.
fn in_tmux() -> (Sandbox, Log) {
    let mut sandbox = Sandbox::new();
    let log = sandbox.path("demo.log");
    sandbox.env("MOSAIC_AGENT_RUNTIME", "demo").env(
        "MOSAIC_AGENT_COMMAND",
        format!("{FLEET} demo-tui --log {}", log.display()),
    );
    let launched = sandbox.agent(&["launch", "demo"]);
    assert_eq!(launched.code, 0, "{launched:?}");
    sandbox.wait_state("demo", "ready");
    (sandbox, Log::at(log))
}

#[test]
fn with_a_tmux_socket_only_the_agent_on_that_socket_is_meant() {
    let (sandbox, log) = in_tmux();
    let socket = sandbox.var("MOSAIC_TMUX_SOCKET").to_owned();
    for wrong in ["another", "", "default"] {
        let args = ["send", "--verify", "-L", wrong, "demo", "-m", "not for you"];
        let sent = sandbox.agent(&args);
        assert_eq!(sent.code, 3, "{wrong:?}: {sent:?}");
        assert!(
            sent.stdout.contains(&socket),
            "it says where it is: {sent:?}"
        );
    }
    let args = [
        "send",
        "--verify",
        "--no-preamble",
        "-L",
        &socket,
        "demo",
        "-m",
        "for you",
    ];
    let sent = sandbox.agent(&args);
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!(log.taken(), ["for you"]);
}

#[test]
fn an_agent_in_no_tmux_is_on_no_socket() {
    let sandbox = Sandbox::new();
    let _running = sandbox.start(&["run", "demo", "--", FLEET, "demo-tui"]);
    sandbox.wait_state("demo", "ready");
    for socket in ["", "fleet"] {
        let sent = sandbox.agent(&["send", "-L", socket, "demo", "-m", "hi"]);
        assert_eq!(sent.code, 3, "{sent:?}");
        assert!(sent.stdout.contains("in no tmux"), "{sent:?}");
    }
}

// ---------------------------------------------------------------- the old names

const OLD: [&str; 2] = ["agent-send.sh", "send-message.sh"];

fn old(sandbox: &Sandbox, name: &str, args: &[&str], input: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("launcher")
        .join(name);
    let mut command = sandbox.command(script);
    command.args(args);
    Running::start(command, &sandbox.path("out"), input.as_bytes()).wait(LATER)
}

#[test]
fn the_old_names_send_with_their_old_flags_and_pass_the_exit_code_on() {
    let (mut sandbox, log) = in_tmux();
    sandbox.env("MOSAIC_AGENT_BIN", AGENT);
    // What an environment happens to hold is no argument.
    sandbox
        .env("message", "not this")
        .env("label", "nor this")
        .env("agent", "nor");
    let socket = sandbox.var("MOSAIC_TMUX_SOCKET").to_owned();
    let mut expected = Vec::new();
    let host = sandbox.status("demo")["host"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for (n, message) in HOSTILE.iter().enumerate() {
        let target = ["-t", "-s"][n % 2];
        let args = [
            "-L",
            &socket,
            "-S",
            "here:boss",
            target,
            "demo",
            "-m",
            message,
            "--verify",
        ];
        let sent = old(&sandbox, OLD[n % 2], &args, "");
        assert_eq!(sent.code, 0, "{message:?}: {sent:?}");
        expected.push(format!("[here:boss -> {host}:demo] {message}"));
        sandbox.wait_state("demo", "ready");
    }
    let sent = old(
        &sandbox,
        OLD[0],
        &["--verify", "--no-preamble", "-t", "demo"],
        "from a pipe\n",
    );
    assert_eq!(sent.code, 0, "{sent:?}");
    expected.push("from a pipe".into());
    assert_eq!(log.taken(), expected);
    assert!(!sandbox.path("home/pwned").exists());
    for (args, code) in [
        (["-t", "ghost", "-m", "x"].as_slice(), 3),
        (&["-t", "demo", "-L", "other", "-m", "x"], 3),
        (&["-t", "demo", "-m", "\u{1b}"], 6),
        (&["-m", "x"], 2),
        (&["-t", "demo", "-m"], 2),
        (&["-t", "$(touch pwned)", "-m", "x"], 2),
        (&["-t", "-x", "-m", "x"], 2),
        (&["-t", "demo", "-m", "x", "--fly"], 2),
        (&["-t", "demo", "-H", "-x", "-m", "x"], 2),
    ] {
        let sent = old(&sandbox, OLD[1], args, "");
        assert_eq!(sent.code, code, "{args:?}: {sent:?}");
    }
}

#[test]
fn the_old_names_keep_the_message_out_of_every_other_command_line() {
    let mut sandbox = Sandbox::new();
    let seen = sandbox.path("seen");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >{0}\ncat >{0}.in\nexit 42\n",
        seen.display()
    );
    let script = sandbox.script("agent", &script).display().to_string();
    sandbox.env("MOSAIC_AGENT_BIN", script);
    for name in OLD {
        let args = [
            "-H",
            "ann@box",
            "-t",
            "coder0",
            "-m",
            "-the\nsecret\n",
            "-S",
            "me",
            "--verify",
        ];
        let sent = old(&sandbox, name, &args, "");
        assert_eq!(sent.code, 42, "{sent:?}");
        let words = fs::read_to_string(&seen).expect("its arguments");
        assert_eq!(
            words,
            "send\n-H\nann@box\n--verify\n--from\nme\n--\ncoder0\n-\n"
        );
        let given = fs::read_to_string(seen.with_extension("in")).expect("its input");
        assert_eq!(given, "-the\nsecret\n");
    }
}

#[test]
fn the_shell_scripts_are_clean() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = std::process::Command::new("shellcheck");
    command.arg("-x").current_dir(top);
    let scripts = fs::read_dir(top.join("launcher")).expect("launcher/");
    for path in scripts.flatten().map(|entry| entry.path()) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.starts_with("#!/bin/sh") || text.starts_with("# shellcheck shell=sh") {
            command.arg(path);
        }
    }
    match command.output() {
        Err(why) => skip("shellcheck", &why.to_string()),
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        ),
    }
}
