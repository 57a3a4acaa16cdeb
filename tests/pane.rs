//! The life of a pane: bytes, sizes, what the runtime is given, exit codes, signals, ends, and whether it is alive.
//! The test is the terminal. What becomes of messages is in `deliver.rs` and `people.rs`.

mod support;

use std::fs;
use std::time::Instant;

use nix::libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM};
use serde_json::json;
use support::{
    AGENT, Demo, LATER, Pane, SOON, Sandbox, always, get, io_count, kill, ms, pid_is_alive, until,
};

// ---------------------------------------------------------------- bytes

/// Bytes without any pattern, all 256 values among them.
fn noise(count: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_u32;
    let mut next = move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x.to_le_bytes()[3]
    };
    (0..=255).chain((256..count).map(|_| next())).collect()
}

/// Numbered lines as a cooked terminal shows them.
fn numbered(last: usize) -> String {
    (1..=last).map(|n| format!("{n}\r\n")).collect()
}

#[test]
fn every_byte_passes_untouched_in_both_directions() {
    let sandbox = Sandbox::new();
    let pane = Pane::shell(&sandbox, "stty raw -echo; echo READY; exec cat");
    pane.wait_text("READY\n", SOON);
    let sent = noise(2 * 1024 * 1024);
    pane.write(&sent);
    let before = "READY\n".len();
    until(LATER, "everything comes back", || {
        pane.count() >= before + sent.len()
    });
    let came = pane.bytes().split_off(before);
    let differs = came.iter().zip(&sent).position(|(a, b)| a != b);
    assert_eq!((came.len(), differs), (sent.len(), None));
}

#[test]
fn what_the_runtime_prints_before_it_exits_arrives_whole() {
    let sandbox = Sandbox::new();
    for _ in 0..5 {
        let mut pane = Pane::shell(&sandbox, "exec seq 1 18000");
        assert_eq!(pane.wait_exit(SOON), 0);
        // No assert_eq: 100 KB of numbers are no message.
        assert!(pane.text() == numbered(18_000), "{} bytes", pane.count());
    }
}

#[test]
fn a_terminal_that_reads_again_soon_gets_the_last_words_of_a_runtime_that_has_ended() {
    let sandbox = Sandbox::new();
    let mut pane = Pane::shell(&sandbox, "echo START; read -r _; exec seq 1 1000000");
    pane.wait_text("START", SOON);
    let runtime = sandbox.heartbeat("sh")["pid"].parse().expect("a pid");
    pane.pause();
    pane.write(b"\n");
    // It prints until nothing takes any more; every byte it got rid of is ours to deliver.
    let printed = get(SOON, "a runtime that waits for its terminal", || {
        let before = io_count(runtime, "wchar");
        std::thread::sleep(ms(200));
        (before > 20_000 && io_count(runtime, "wchar") == before).then_some(before)
    });
    kill(runtime, SIGKILL);
    until(SOON, "the runtime has ended", || !pid_is_alive(runtime));
    pane.resume();
    assert_eq!(pane.wait_exit(SOON), 128 + SIGKILL);
    let came = pane.text();
    let came = came.strip_prefix("START\r\n\r\n").expect("the beginning");
    assert!(numbered(100_000).starts_with(came), "{} bytes", came.len());
    let delivered = came.replace("\r\n", "\n").len();
    // What it had printed as a shell does not count by much.
    assert!(
        delivered + 100 >= printed as usize,
        "{delivered} of {printed}"
    );
}

#[test]
fn a_terminal_that_does_not_read_stops_neither_status_nor_heartbeats_and_loses_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.env("MOSAIC_HEARTBEAT_INTERVAL", "1");
    let mut pane = Pane::shell(&sandbox, "echo START; read -r _; exec seq 1 200000");
    pane.wait_text("START", SOON);
    pane.pause();
    pane.write(b"\n");
    let beats = || -> u64 { sandbox.heartbeat("sh")["seq"].parse().expect("a number") };
    let first = beats();
    let mut slowest = ms(0);
    until(SOON, "three more heartbeats", || {
        let asked = Instant::now();
        assert_eq!(sandbox.agent(&["status", "sh"]).code, 0);
        slowest = slowest.max(asked.elapsed());
        beats() >= first + 3
    });
    assert!(slowest < ms(1_000), "a status took {slowest:?}");
    assert!(pid_is_alive(pane.pid()));
    pane.resume();
    assert_eq!(pane.wait_exit(LATER), 0);
    // The inner terminal echoes the line feed.
    let came = pane.text();
    assert!(
        came == format!("START\r\n\r\n{}", numbered(200_000)),
        "{} bytes, the last: {:?}",
        came.len(),
        &came[came.len() - 40..]
    );
}

// ---------------------------------------------------------------- sizes

/// Prints its size at the start and whenever it is told of another one, and every line it reads.
const PRINTS_SIZES: &str = r#"trap 'echo "size $(stty size)"' WINCH
echo "start $(stty size)"
while :; do read -r line && echo "read $line"; done"#;

#[test]
fn the_runtime_starts_with_the_terminals_size_and_follows_it() {
    let sandbox = Sandbox::new();
    let pane = Pane::shell(&sandbox, PRINTS_SIZES);
    pane.wait_text("start 30 100", SOON);
    pane.resize(77, 33);
    pane.wait_text("size 33 77", SOON);
    let status = sandbox.status("sh");
    assert_eq!((&status["cols"], &status["rows"]), (&json!(77), &json!(33)));
}

#[test]
fn no_size_at_all_and_absurd_sizes_are_clamped() {
    let sandbox = Sandbox::new();
    let pane = Pane::shell(&sandbox, PRINTS_SIZES);
    pane.wait_text("start 30 100", SOON);
    for (cols, rows, shown) in [
        (0, 0, "size 24 80"),
        (u16::MAX, u16::MAX, "size 1000 1000"),
        (1, 1, "size 2 2"),
    ] {
        pane.resize(cols, rows);
        pane.wait_text(shown, SOON);
    }
}

#[test]
fn many_changes_of_the_size_in_a_row_reach_the_runtime_as_the_last_one() {
    let sandbox = Sandbox::new();
    let pane = Pane::shell(&sandbox, PRINTS_SIZES);
    pane.wait_text("start 30 100", SOON);
    kill(pane.pid(), SIGSTOP);
    for n in 0..200 {
        pane.resize(40 + n % 50, 10 + n % 20);
    }
    pane.resize(61, 17);
    kill(pane.pid(), SIGCONT);
    pane.wait_text("size 17 61", SOON);
    pane.write(b"end\n");
    pane.wait_text("read end", SOON);
    assert_eq!(pane.text().matches("size ").count(), 1, "{}", pane.text());
}

// ---------------------------------------------------------------- what the runtime is given

#[test]
fn the_runtime_gets_its_name_its_socket_and_a_path_with_our_directories_first() {
    let mut sandbox = Sandbox::new();
    let dir = |inside: &str| {
        let path = sandbox.path(inside);
        fs::create_dir_all(&path).expect("a directory in the sandbox");
        path.display().to_string()
    };
    let (chosen, npm, npm_global) = (dir("rb"), dir("npm/bin"), dir("home/.npm-global/bin"));
    let (local, old) = (dir("home/.local/bin"), dir("old"));
    sandbox.script("old/npm", &format!("#!/bin/sh\necho {npm}/..\n"));
    sandbox
        .env("MOSAIC_RUNTIME_BIN", &chosen)
        .env("MOSAIC_AGENT_RUNTIME", "some")
        .env("MOSAIC_AGENT_MODEL", "a model")
        // One of ours stands last already, and one directory twice.
        .env("PATH", format!("{old}:/usr/bin:/bin:{old}:{local}"));
    let mut pane = Pane::shell(&sandbox, "env > env.txt");
    assert_eq!(pane.wait_exit(SOON), 0);
    let env = fs::read_to_string(sandbox.path("home/env.txt")).expect("the runtime's environment");
    let var = |key: &str| {
        let prefix = format!("{key}=");
        let mut found = env.lines().filter_map(|l| l.strip_prefix(&prefix));
        let value = found.next().unwrap_or("(unset)").to_owned();
        assert_eq!(found.next(), None, "{key} twice");
        value
    };
    assert_eq!(
        var("PATH"),
        format!("{chosen}:{npm}/../bin:{npm_global}:{local}:{old}:/usr/bin:/bin")
    );
    assert_eq!(var("MOSAIC_AGENT_NAME"), "sh");
    assert_eq!(var("MOSAIC_AGENT_RUNTIME"), "some");
    assert_eq!(var("MOSAIC_AGENT_MODEL"), "a model");
    let socket = sandbox.socket("sh").display().to_string();
    assert_eq!(var("MOSAIC_AGENT_SOCK"), socket);
}

#[test]
fn the_runtime_holds_its_terminal_and_nothing_else() {
    let sandbox = Sandbox::new();
    let script = "ls /proc/self/fd; echo typed | cat > /dev/tty && echo its own";
    let mut under_us = Pane::shell(&sandbox, script);
    assert_eq!(under_us.wait_exit(SOON), 0);
    // What we were started with is handed on, whatever that is; nothing is added.
    let mut shell = sandbox.command("/bin/sh");
    shell.args(["-c", script]);
    let mut alone = Pane::start(shell, Pane::SIZE);
    assert_eq!(alone.wait_exit(SOON), 0);
    assert_eq!(under_us.text(), alone.text());
    assert!(alone.text().ends_with("typed\r\nits own\r\n"));
}

#[test]
fn a_runtime_that_is_missing_is_127_with_the_path_that_was_searched() {
    let sandbox = Sandbox::new();
    let mut pane = Pane::run(&sandbox, "a", &["no-such-program"]);
    assert_eq!(pane.wait_exit(SOON), 127);
    pane.wait_screen("there is no no-such-program on PATH", SOON);
    pane.wait_screen("; searched /usr", SOON);
    assert!(pane.is_as_found());
    assert!(!sandbox.socket("a").exists());
}

#[test]
fn a_runtime_that_cannot_be_executed_is_126_and_the_terminal_stays_sane() {
    let sandbox = Sandbox::new();
    let plain = sandbox.path("plain");
    fs::write(&plain, "no program").expect("a file in the sandbox");
    let no_interpreter = sandbox.script("bad", "#!/no/such/interpreter\n");
    for (file, codes) in [(plain, 126..=126), (no_interpreter, 126..=127)] {
        let file = file.display().to_string();
        let mut pane = Pane::run(&sandbox, "a", &[&file]);
        let code = pane.wait_exit(SOON);
        assert!(codes.contains(&code), "{file}: {code}");
        assert!(
            pane.screen().replace('\n', "").contains(&file),
            "{}",
            pane.screen()
        );
        assert!(pane.is_as_found(), "{file}");
        // A line feed alone would mean that the message was printed to a raw terminal.
        assert!(
            !pane.text().replace("\r\n", "").contains('\n'),
            "{:?}",
            pane.text()
        );
        assert!(!sandbox.socket("a").exists(), "{file}");
    }
}

#[test]
fn an_agent_may_not_type_into_itself() {
    let sandbox = Sandbox::new();
    let script = format!("{AGENT} send sh -m hello; echo \"exit $?\"");
    let mut pane = Pane::shell(&sandbox, &script);
    assert_eq!(pane.wait_exit(SOON), 0);
    assert!(pane.text().contains("exit 77"), "{}", pane.text());
}

// ---------------------------------------------------------------- fates

/// What every orderly end leaves behind.
#[track_caller]
fn assert_ended(sandbox: &Sandbox, name: &str, exit: &str) {
    let beat = sandbox.heartbeat(name);
    assert_eq!(
        (beat["state"].as_str(), beat["exit"].as_str()),
        ("exited", exit),
        "{beat:?}"
    );
    assert!(!sandbox.socket(name).exists(), "the socket is still there");
    let asked = sandbox.agent(&["status", name]);
    assert_eq!(asked.code, 3, "{asked:?}");
}

#[test]
fn the_sidecar_ends_with_the_runtimes_code_and_puts_the_terminal_back() {
    let sandbox = Sandbox::new();
    for code in [0, 1, 3, 7, 75, 126, 127, 128, 255] {
        let mut pane = Pane::shell(&sandbox, &format!("exit {code}"));
        assert_eq!(pane.wait_exit(SOON), code);
        assert!(pane.is_as_found(), "{code}");
        assert_ended(&sandbox, "sh", &code.to_string());
    }
}

#[test]
fn a_runtime_killed_by_a_signal_is_128_and_the_signal() {
    let sandbox = Sandbox::new();
    for signal in [1, 2, 6, 9, 11, 15] {
        let mut pane = Pane::shell(&sandbox, &format!("ulimit -c 0; kill -{signal} $$"));
        assert_eq!(pane.wait_exit(SOON), 128 + signal);
        assert!(pane.is_as_found(), "{signal}");
        assert_ended(&sandbox, "sh", &format!("signal {signal}"));
    }
}

#[test]
fn a_signal_to_the_sidecar_ends_both_in_order() {
    for (signal, reason) in [
        (SIGTERM, "terminated"),
        (SIGINT, "interrupted"),
        (SIGHUP, "hangup"),
    ] {
        let mut demo = Demo::ready(&[]);
        assert!(
            !demo.pane.is_as_found(),
            "it must be raw while the runtime lives"
        );
        kill(demo.pane.pid(), signal);
        // The demo's own code after SIGTERM.
        assert_eq!(demo.pane.wait_exit(SOON), 143, "{reason}");
        assert!(demo.pane.is_as_found(), "{reason}");
        assert_ended(&demo.sandbox, Demo::NAME, "143");
        assert_eq!(demo.sandbox.heartbeat(Demo::NAME)["reason"], reason);
        assert_eq!(demo.log.of("signal")[0]["name"], "SIGTERM");
        demo.sandbox.wait_empty(ms(1_000));
    }
}

#[test]
fn a_terminal_that_hangs_up_ends_both() {
    let mut demo = Demo::ready(&[]);
    demo.pane.hang_up();
    assert_eq!(demo.pane.wait_exit(SOON), 143);
    assert_ended(&demo.sandbox, Demo::NAME, "143");
    assert_eq!(demo.sandbox.heartbeat(Demo::NAME)["reason"], "hangup");
    demo.sandbox.wait_empty(ms(1_000));
}

#[test]
fn a_runtime_that_ignores_sigterm_is_killed_when_its_grace_is_over() {
    let mut demo = Demo::ready(&["--ignore-term"]);
    let asked = Instant::now();
    kill(demo.pane.pid(), SIGTERM);
    assert_eq!(demo.pane.wait_exit(LATER), 128 + 9);
    let took = asked.elapsed();
    assert!((ms(4_900)..ms(8_000)).contains(&took), "{took:?}");
    assert!(demo.pane.is_as_found());
    assert_ended(&demo.sandbox, Demo::NAME, "signal 9");
}

#[test]
fn a_second_sigterm_ends_the_grace() {
    let mut demo = Demo::ready(&["--ignore-term"]);
    let asked = Instant::now();
    kill(demo.pane.pid(), SIGTERM);
    demo.log.wait("signal");
    // One stop may come as two signals at once; a person who asks again takes longer.
    always(ms(400), "the sidecar lives", || {
        pid_is_alive(demo.pane.pid())
    });
    kill(demo.pane.pid(), SIGTERM);
    assert_eq!(demo.pane.wait_exit(SOON), 128 + 9);
    assert!(asked.elapsed() < ms(3_000), "{:?}", asked.elapsed());
}

#[test]
fn a_hang_up_comes_twice_and_leaves_the_runtime_its_grace() {
    let mut demo = Demo::ready(&["--ignore-term", "--ignore-hup"]);
    let asked = Instant::now();
    demo.pane.hang_up();
    assert_eq!(demo.pane.wait_exit(LATER), 128 + 9);
    assert!(asked.elapsed() >= ms(4_900), "{:?}", asked.elapsed());
    assert_eq!(demo.sandbox.heartbeat(Demo::NAME)["reason"], "hangup");
}

#[test]
fn a_stopped_runtime_can_be_ended_too() {
    let mut demo = Demo::ready(&[]);
    kill(demo.runtime(), SIGSTOP);
    kill(demo.pane.pid(), SIGTERM);
    assert_eq!(demo.pane.wait_exit(SOON), 143);
}

#[test]
fn a_descendant_that_keeps_the_terminal_does_not_delay_the_end() {
    let sandbox = Sandbox::new();
    let mut pane = Pane::shell(
        &sandbox,
        "(trap '' HUP; exec sleep 60) & echo printed; exit 3",
    );
    let started = Instant::now();
    assert_eq!(pane.wait_exit(SOON), 3);
    assert!(started.elapsed() < ms(3_000), "{:?}", started.elapsed());
    assert_eq!(pane.text(), "printed\r\n");
}

#[test]
fn no_runtime_outlives_a_killed_sidecar_and_the_next_one_takes_over() {
    let mut demo = Demo::ready(&["--ignore-hup", "--ignore-term"]);
    let runtime = demo.runtime();
    assert!(pid_is_alive(runtime));
    kill(demo.pane.pid(), SIGKILL);
    until(ms(1_000), "the runtime is gone", || !pid_is_alive(runtime));
    assert_eq!(demo.pane.wait_exit(SOON), -SIGKILL);
    let left = fs::read_to_string(demo.sandbox.heartbeat_path(Demo::NAME)).expect("a heartbeat");
    assert!(left.starts_with("ts=") && left.ends_with('\n'), "{left}");
    assert!(left.contains("state=ready"), "{left}");
    let asked = demo.sandbox.agent(&["status", Demo::NAME]);
    assert_eq!(asked.code, 3, "{asked:?}");

    let again = Demo::start(demo.sandbox, &[]);
    again.wait_ready();
    let sidecar = again.sandbox.status(Demo::NAME)["sidecar"].as_i64();
    assert_eq!(sidecar, Some(again.pane.pid().into()));
}

#[test]
fn a_second_sidecar_is_refused_with_the_owners_pid_and_the_first_is_untouched() {
    let demo = Demo::ready(&[]);
    let mut second = Pane::run(
        &demo.sandbox,
        Demo::NAME,
        &["/bin/sh", "-c", "touch started"],
    );
    assert_eq!(second.wait_exit(SOON), 1);
    second.wait_screen(&format!("sidecar with pid {}", demo.pane.pid()), SOON);
    assert!(second.is_as_found());
    assert!(!demo.sandbox.home().join("started").exists());
    demo.send("still here?", &[]).must_be("accepted");
}

// ---------------------------------------------------------------- alive?

#[test]
fn a_stopped_runtime_goes_stale_although_its_sidecar_still_writes() {
    let mut sandbox = Sandbox::new();
    sandbox.env("MOSAIC_HEARTBEAT_INTERVAL", "1");
    let demo = Demo::start(sandbox, &[]);
    demo.wait_ready();
    let runtime = demo.runtime();
    kill(runtime, SIGSTOP);
    demo.sandbox.wait_state(Demo::NAME, "wedged");
    let before = demo.sandbox.heartbeat(Demo::NAME);
    let after = get(SOON, "a heartbeat written two seconds later", || {
        let beat = demo.sandbox.heartbeat(Demo::NAME);
        let mono = |b: &support::Heartbeat| b["mono"].parse::<u64>().expect("seconds");
        (mono(&beat) >= mono(&before) + 2).then_some(beat)
    });
    assert_eq!(after["state"], "wedged");
    assert_eq!(after["ts"], before["ts"]);
    assert_ne!(after["written"], before["written"]);

    demo.send("are you there?", &[]).must_be("unready");
    kill(runtime, SIGCONT);
    demo.wait_ready();
    until(SOON, "ts moves on", || {
        demo.sandbox.heartbeat(Demo::NAME)["ts"] != before["ts"]
    });
    // Had anything been typed, the demo would have read it before this.
    demo.send("and now?", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["and now?"]);
}
