//! How an agent ends, and what ends with it: `stop`, `restart`, and what a runtime leaves behind.
//!
//! The other cells of the table: codes, signals, hang-ups, SIGTERM, SIGINT, graces and SIGKILL of the sidecar with
//! a runtime of its own in `pane.rs`; kill-pane, kill-session, kill-server and SIGKILL of the tmux server in
//! `tmux.rs`; the monitor's, the unit's and the scope's in `systemd.rs`; a pane that tmux keeps in `tmux.rs`.

mod support;

use std::fs;
use std::time::Instant;

use nix::libc::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use serde_json::Value;
use support::{
    AGENT, Demo, FLEET, LATER, Output, Pane, SOON, Sandbox, always, get, kill, ms, pid_is_alive,
    until,
};

// ---------------------------------------------------------------- what a runtime leaves behind

/// Starts processes in every way in which one leaves its parents: five `sleep 3600`.
const STRAYS: &str = "
    nohup sleep 3600 >/dev/null 2>&1 &
    setsid sleep 3600 &
    (setsid sh -c 'sleep 3600 & exec sleep 3600' &)
    (trap '' TERM HUP INT; exec setsid sleep 3600) &
";

/// The strays of a sandbox.
fn strays(sandbox: &Sandbox) -> Vec<i32> {
    let all = sandbox.processes().into_iter();
    all.filter(|(_, line)| line.starts_with("sleep 3600"))
        .map(|(pid, _)| pid)
        .collect()
}

/// A shell that has started strays and goes on with this.
fn straying(sandbox: &Sandbox, then: &str) -> Pane {
    let pane = Pane::shell(sandbox, &format!("{STRAYS}{then}"));
    until(SOON, "five strays", || strays(sandbox).len() == 5);
    pane
}

#[test]
fn what_the_runtime_has_started_ends_with_it_however_it_has_left_its_parents() {
    let ends = [
        ("exec sleep 1000", Some(SIGTERM), 128 + SIGTERM),
        ("exec sleep 1000", Some(SIGINT), 128 + SIGTERM),
        ("exec sleep 1000", Some(SIGHUP), 128 + SIGTERM),
        ("read -r _; exit 3", None, 3),
        ("read -r _; kill -9 $$", None, 128 + SIGKILL),
    ];
    std::thread::scope(|scope| {
        for (then, signal, code) in ends {
            scope.spawn(move || {
                let sandbox = Sandbox::new();
                let mut pane = straying(&sandbox, then);
                match signal {
                    Some(signal) => kill(pane.pid(), signal),
                    None => pane.write(b"\n"),
                }
                let since = Instant::now();
                assert_eq!(pane.wait_exit(SOON), code, "{then}");
                // Not later: who sees the sidecar gone sees all of it gone.
                assert!(strays(&sandbox).is_empty(), "{then} {signal:?}");
                assert!(since.elapsed() < ms(9_000), "{:?}", since.elapsed());
            });
        }
    });
}

#[test]
fn what_the_runtime_has_started_lives_while_the_runtime_lives() {
    let sandbox = Sandbox::new();
    let mut pane = straying(&sandbox, "read -r _");
    let other = Sandbox::new();
    let mut short = Pane::shell(&other, "exit 0");
    assert_eq!(short.wait_exit(SOON), 0);
    always(ms(300), "all of it lives", || strays(&sandbox).len() == 5);
    pane.write(b"\n");
    assert_eq!(pane.wait_exit(SOON), 0);
    assert!(strays(&sandbox).is_empty());
}

#[test]
fn a_runtime_behind_a_wrapper_does_not_survive_the_sigkill_of_its_sidecar() {
    let sandbox = Sandbox::new();
    let wrapped = format!("{FLEET} demo-tui; exit $?");
    let mut pane = Pane::shell(&sandbox, &wrapped);
    sandbox.wait_state("sh", "ready");
    let runtime = sandbox.heartbeat("sh")["pid"].parse().expect("a pid");
    let parent = fs::read_to_string(format!("/proc/{runtime}/stat")).expect("its stat");
    let parent = parent
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.split(' ').nth(1));
    assert_ne!(parent, Some(pane.pid().to_string().as_str()), "no wrapper");
    kill(pane.pid(), SIGKILL);
    until(ms(1_000), "the runtime is gone", || !pid_is_alive(runtime));
    assert_eq!(pane.wait_exit(SOON), -SIGKILL);
    sandbox.wait_empty(SOON);
}

// ---------------------------------------------------------------- stop

/// The steps of a stop, as words.
fn steps(told: &Value) -> Vec<&str> {
    let steps = told["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|s| s["step"].as_str().expect("a word"))
        .collect()
}

/// What a step came to.
fn result<'v>(told: &'v Value, step: &str) -> &'v str {
    let steps = told["steps"].as_array().expect("steps");
    let found = steps.iter().find(|s| s["step"] == step);
    found.and_then(|s| s["result"].as_str()).unwrap_or_default()
}

#[track_caller]
fn stopped(output: Output) -> Value {
    assert_eq!(output.code, 0, "{output:?}");
    let told = output.json();
    assert_eq!(told["schema"], "mosaic.stop/1");
    told
}

#[test]
fn an_idle_runtime_is_asked_to_quit_and_ends_its_own_way() {
    let mut demo = Demo::ready(&[]);
    let told = stopped(demo.sandbox.agent(&["stop", "--json", Demo::NAME]));
    assert_eq!(steps(&told), ["drain", "turn", "ask", "ended"], "{told:#}");
    assert_eq!(told["exit"], "0");
    assert!(
        !pid_is_alive(demo.pane.pid()),
        "stop returns when it is gone"
    );
    assert_eq!(demo.pane.wait_exit(SOON), 0);
    assert!(demo.pane.is_as_found());
    assert!(demo.log.of("signal").is_empty(), "no signal was needed");
    let beat = demo.sandbox.heartbeat(Demo::NAME);
    assert_eq!(
        (beat["state"].as_str(), beat["reason"].as_str()),
        ("exited", "stopped")
    );
    assert!(!demo.sandbox.socket(Demo::NAME).exists());
    let again = demo.sandbox.agent(&["stop", Demo::NAME]);
    assert_eq!(again.code, 3, "{again:?}");
}

#[test]
fn people_are_told_each_step() {
    let demo = Demo::ready(&[]);
    let told = demo.sandbox.agent(&["stop", Demo::NAME]);
    assert_eq!(told.code, 0, "{told:?}");
    let words = ["drain", "turn", "ask", "ended", "stopped demo (0)"];
    let mut rest = told.stdout.as_str();
    for word in words {
        rest = rest.split_once(word).expect(&told.stdout).1;
    }
}

#[test]
fn a_stop_waits_for_the_running_turn_and_meanwhile_nothing_new_is_taken() {
    let mut demo = Demo::ready(&["--turn-ms", "2500"]);
    demo.send("first", &[]).must_be("accepted");
    let waiting = demo.sending("second", &[]);
    let kept = demo.sandbox.agent(&[
        "send",
        "--no-preamble",
        "--id",
        "k",
        Demo::NAME,
        "-m",
        "kept",
    ]);
    assert_eq!(kept.code, 0, "{kept:?}");
    until(SOON, "both wait", || {
        demo.sandbox.status(Demo::NAME)["held"] == 2
    });
    let stop = demo.sandbox.start(&["stop", "--json", Demo::NAME]);
    let turned_away = support::Receipt::of(waiting.wait(SOON));
    turned_away.must_be("gone");
    demo.send("third", &[]).must_be("gone");
    demo.ask("verify", &["--id", "k"]).must_be("held");
    let told = stopped(stop.wait(LATER));
    assert_eq!(steps(&told), ["drain", "turn", "ask", "ended"], "{told:#}");
    assert_eq!(result(&told, "turn"), "it has ended");
    assert_eq!(demo.pane.wait_exit(SOON), 0);
    assert_eq!(demo.log.taken(), ["first"]);

    let next = Demo::start(demo.sandbox, &[]);
    until(SOON, "what was kept is delivered", || {
        next.log.taken() == ["first", "kept"]
    });
}

#[test]
fn a_turn_is_not_waited_for_any_longer_than_allowed() {
    for (how, at_least) in [(&["--timeout", "1"][..], 1_000), (&["--now"][..], 0)] {
        let mut demo = Demo::ready(&["--turn-ms", "60000"]);
        demo.send("long", &[]).must_be("accepted");
        let since = Instant::now();
        let mut args = vec!["stop", "--json", Demo::NAME];
        args.extend(how);
        let told = stopped(demo.sandbox.agent(&args));
        assert_eq!(
            steps(&told),
            ["drain", "turn", "ask", "term", "ended"],
            "{told:#}"
        );
        assert!(
            (ms(at_least)..ms(8_000)).contains(&since.elapsed()),
            "{told:#}"
        );
        assert_eq!(demo.pane.wait_exit(SOON), 143);
    }
}

#[test]
fn no_quit_key_is_typed_into_somebodys_draft() {
    let mut demo = Demo::ready(&["--ignore-term"]);
    demo.pane.write(b"half a thought");
    until(SOON, "the draft shows", || {
        demo.composer() == "half a thought"
    });
    let told = stopped(demo.sandbox.agent(&["stop", "--json", Demo::NAME]));
    let wanted = ["drain", "turn", "ask", "term", "kill", "ended"];
    assert_eq!(steps(&told), wanted, "{told:#}");
    assert!(result(&told, "ask").contains("composer"), "{told:#}");
    assert_eq!(told["exit"], "signal 9");
    assert_eq!(demo.pane.wait_exit(SOON), 128 + SIGKILL);
    assert_eq!(demo.log.taken(), Vec::<String>::new());
}

#[test]
fn a_runtime_that_no_profile_knows_gets_signals_only() {
    let sandbox = Sandbox::new();
    let mut pane = Pane::shell(&sandbox, "stty raw -echo; echo READY; exec cat");
    pane.wait_text("READY", SOON);
    let told = stopped(sandbox.agent(&["stop", "--json", "sh"]));
    assert_eq!(
        steps(&told),
        ["drain", "turn", "ask", "term", "ended"],
        "{told:#}"
    );
    assert_eq!(pane.text(), "READY\n", "nothing was typed");
    assert_eq!(pane.wait_exit(SOON), 143);
}

#[test]
fn no_agent_may_stop_an_agent_itself_or_another_however_it_calls() {
    let sandbox = Sandbox::new();
    let mut demo = Demo::start(sandbox, &[]);
    demo.wait_ready();
    let path = demo.sandbox.path("answers");
    let answers = path.display();
    let ask = |how: &str, whom: &str| {
        format!(
            "{how} sh -c 'env -u MOSAIC_AGENT_NAME {AGENT} stop --now {whom} >/dev/null 2>&1; echo $? >> {answers}'\n"
        )
    };
    let script = [
        ask("", "sh"),
        ask("", "demo"),
        ask("nohup", "demo"),
        ask("setsid -f", "demo"),
        format!("({})&\n", ask("setsid", "demo").trim()),
    ];
    let mut pane = Pane::shell(&demo.sandbox, &format!("{}read -r _", script.concat()));
    let answered = get(LATER, "five answers", || {
        let text = fs::read_to_string(&path).ok()?;
        (text.lines().count() == 5).then_some(text)
    });
    assert_eq!(answered, "77\n".repeat(5));
    assert_eq!(demo.sandbox.status(Demo::NAME)["state"], "ready");
    pane.write(b"\n");
    assert_eq!(pane.wait_exit(SOON), 0);
    // It is not forbidden to everybody.
    stopped(demo.sandbox.agent(&["stop", "--json", Demo::NAME]));
    assert_eq!(demo.pane.wait_exit(SOON), 0);
}

// ---------------------------------------------------------------- restart

#[test]
fn a_launched_agent_starts_again_with_the_environment_of_its_launch() {
    let mut sandbox = Sandbox::new();
    let log = sandbox.path("demo.log");
    sandbox
        .env("MOSAIC_AGENT_RUNTIME", "demo")
        .env(
            "MOSAIC_AGENT_COMMAND",
            format!("{FLEET} demo-tui --log {}", log.display()),
        )
        .env("OF_THE_LAUNCH", "1");
    let keep = sandbox.tmux(&["new-session", "-d", "-s", "keep", "sleep 3600"]);
    assert_eq!(keep.code, 0, "{keep:?}");
    assert_eq!(sandbox.agent(&["launch", "demo"]).code, 0);
    sandbox.wait_state("demo", "ready");
    let before = sandbox.status("demo");
    // Who restarts it knows none of this.
    sandbox
        .unset("OF_THE_LAUNCH")
        .unset("MOSAIC_AGENT_COMMAND")
        .unset("MOSAIC_AGENT_RUNTIME");
    let restarted = sandbox.agent(&["restart", "demo"]);
    assert_eq!(restarted.code, 0, "{restarted:?}");
    sandbox.wait_state("demo", "ready");
    let after = sandbox.status("demo");
    assert_ne!(before["sidecar"], after["sidecar"]);
    assert_eq!(after["runtime"], "demo");
    let environ =
        fs::read_to_string(format!("/proc/{}/environ", after["pid"])).expect("its environment");
    assert!(
        environ.split('\0').any(|v| v == "OF_THE_LAUNCH=1"),
        "{environ}"
    );
    assert_eq!(sandbox.agent(&["stop", "demo"]).code, 0);
}

#[test]
fn an_agent_that_was_started_by_hand_is_not_ended_for_a_restart_that_cannot_be() {
    let demo = Demo::ready(&[]);
    let refused = demo.sandbox.agent(&["restart", Demo::NAME]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("mosaic-agent stop demo"),
        "{refused:?}"
    );
    assert_eq!(demo.sandbox.status(Demo::NAME)["state"], "ready");
}
