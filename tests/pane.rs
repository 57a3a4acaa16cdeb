//! The sidecar in a real terminal, with a real runtime: bytes, sizes, fates and sends.
//! The test is the terminal; the demo's own log is the truth about what was taken.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use mosaic_agent::pure::delivery::{Life, Pulse, Written};
use mosaic_agent::pure::harness::{Asker, Effect, Harness, Input, Now};
use mosaic_agent::pure::profile::{ProcessFacts, Profiles};
use mosaic_agent::pure::wire::{Request, State};
use mosaic_agent::units::TermSize;
use nix::libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM};
use serde_json::json;
use support::{
    AGENT, Client, Demo, LATER, Pane, Receipt, SOON, Sandbox, always, get, kill, ms, pid_is_alive,
    until,
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

/// `rchar` or `wchar`: the bytes a process has read or written.
fn io_count(pid: i32, what: &str) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).expect("its counters");
    let mut lines = io.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(key, _)| *key == what).expect("that counter");
    found.1.parse().expect("a number")
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

// ---------------------------------------------------------------- sends: taken

#[test]
fn a_message_to_a_ready_runtime_is_accepted_and_taken_once() {
    let demo = Demo::ready(&[]);
    let receipt = demo.send("run the tests", &[]);
    receipt.must_be("accepted");
    assert_eq!(receipt.json["enters"], 1);
    assert_eq!(receipt.json["schema"], "mosaic.receipt/1");
    assert_ne!(receipt.json["evidence"], json!([]));
    assert_eq!(demo.log.taken(), ["run the tests"]);
}

#[test]
fn a_preamble_says_who_writes_to_whom() {
    let demo = Demo::ready(&[]);
    let name = Demo::NAME;
    let (code, receipt) = demo.sandbox.agent_json(&[
        "send",
        "--verify",
        "--json",
        name,
        "--from",
        "hq:boss",
        "-m",
        "/quit please",
    ]);
    assert_eq!(code, 0, "{receipt}");
    let host = receipt["host"].as_str().expect("a host");
    let expected = format!("[hq:boss -> {host}:{name}] /quit please");
    assert_eq!(demo.log.taken(), [expected]);
}

#[test]
fn a_message_of_any_shape_arrives_as_it_was_sent() {
    let demo = Demo::ready(&["--turn-ms", "150"]);
    let lines = |n: usize| -> String {
        let lines: Vec<String> = (1..=n).map(|i| format!("line {i} of {n}")).collect();
        lines.join("\n")
    };
    let long = |n: usize| lines(n / 8)[..n].trim_end().to_owned();
    for text in [
        "two\nlines".to_owned(),
        "\tindented\n\n\nwith gaps".to_owned(),
        "日本語 and é and 🙂 and e\u{301}".to_owned(),
        "x".repeat(400),
        lines(5),
        lines(60),
        long(8 * 1024),
        long(64 * 1024),
    ] {
        let (what, before) = (&text[..text.len().min(9)], demo.log.taken().len());
        let receipt = demo.send(&text, &[]);
        receipt.must_be("accepted");
        assert_eq!(demo.log.taken()[before..], [text.as_str()], "{what:?}");
    }
}

#[test]
fn an_enter_that_is_swallowed_is_pressed_once_more() {
    let demo = Demo::ready(&["--swallow-enter", "1"]);
    let receipt = demo.send("press again", &[]);
    receipt.must_be("accepted");
    assert_eq!(receipt.json["enters"], 2);
    assert_eq!(demo.log.taken(), ["press again"]);
}

#[test]
fn a_runtime_that_ignores_enter_just_after_a_paste_still_takes_the_message() {
    let demo = Demo::ready(&["--paste-window-ms", "120"]);
    demo.send("patience", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["patience"]);
}

#[test]
fn a_message_is_held_by_default_until_the_turn_has_ended() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=1.5");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    demo.send("second", &[]).must_be("accepted");
    let order: Vec<String> = demo
        .log
        .events()
        .iter()
        .map(|e| e["ev"].to_string())
        .collect();
    let expected = ["taken", "turn", "done", "taken", "turn"].map(|ev| format!("{ev:?}"));
    assert_eq!(order[1..6], expected);
    assert_eq!(demo.log.of("taken")[1]["queued"], false);
}

#[test]
fn a_message_typed_into_a_running_turn_on_request_is_queued() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=30");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    let receipt = demo.send("second", &["--when", "busy=type"]);
    receipt.must_be("queued");
    assert_eq!(demo.log.of("taken")[1]["queued"], true);
}

#[test]
fn the_same_id_is_typed_once_however_often_it_is_sent() {
    let demo = Demo::ready(&[]);
    let both = [
        demo.sending("only once", &["--id", "x1"]),
        demo.sending("only once", &["--id", "x1"]),
    ];
    for sending in both {
        Receipt::of(sending.wait(LATER)).must_be("accepted");
    }
    let again = demo.send("only once", &["--id", "x1"]);
    assert_eq!(
        (again.verdict(), &again.json["id"]),
        ("accepted", &json!("x1"))
    );
    assert_eq!(demo.log.taken(), ["only once"]);
}

#[test]
fn senders_at_the_same_time_take_turns() {
    let demo = Demo::ready(&["--turn-ms", "100"]);
    let texts: Vec<String> = (0..8).map(|n| format!("message number {n}")).collect();
    let all: Vec<_> = texts.iter().map(|text| demo.sending(text, &[])).collect();
    for sending in all {
        Receipt::of(sending.wait(LATER)).must_be("accepted");
    }
    let taken: BTreeSet<String> = demo.log.taken().into_iter().collect();
    assert_eq!(taken, texts.into_iter().collect());
    assert_eq!(demo.log.taken().len(), 8);
}

#[test]
fn without_verify_a_message_is_held_and_verify_tells_its_fate_later() {
    let demo = Demo::ready(&[]);
    let held = demo.ask("send", &["-m", "the later message", "--id", "l1"]);
    held.must_be("held");
    let verify = |by: &[&str]| demo.ask("verify", by);
    until(SOON, "it is accepted", || {
        verify(&["--id", "l1"]).json["verdict"] == "accepted"
    });
    let found = verify(&["--contains", "later mess"]);
    assert_eq!(
        (found.verdict(), &found.json["id"]),
        ("accepted", &json!("l1"))
    );
    assert_eq!(demo.log.of("taken").len(), 1);
    let never = verify(&["--contains", "never sent"]);
    assert_eq!((never.code, &never.json["typed"]), (7, &json!(false)));
}

// ---------------------------------------------------------------- sends: not taken

/// Nothing of ours was typed: what a person submits now is exactly what they typed.
#[track_caller]
fn assert_untouched(demo: &Demo, draft: &str) {
    let before = demo.log.taken().len();
    demo.submit("");
    let expected = [draft.to_owned()];
    get(SOON, "the person's own text is taken", || {
        (demo.log.taken().get(before..) == Some(&expected[..])).then_some(())
    });
}

#[test]
fn a_draft_in_the_composer_is_left_alone() {
    let demo = Demo::ready(&[]);
    demo.pane.write(b"half a thought");
    demo.pane.wait_screen("half a thought", SOON);
    demo.send("a message", &[]).must_be("occupied");
    assert_eq!(demo.composer(), "half a thought");
    assert_untouched(&demo, "half a thought");
}

#[test]
fn a_sender_may_wait_until_the_draft_is_gone() {
    let demo = Demo::ready(&["--turn-ms", "200"]);
    demo.pane.write(b"half a thought");
    demo.pane.wait_screen("half a thought", SOON);
    let mut sending = demo.sending("a message", &["--when", "draft=wait"]);
    until(SOON, "the message waits", || {
        demo.sandbox.status(Demo::NAME)["held"] == 1
    });
    assert!(sending.is_running());
    demo.submit("");
    Receipt::of(sending.wait(LATER)).must_be("accepted");
    assert_eq!(demo.log.taken(), ["half a thought", "a message"]);
}

#[test]
fn a_message_that_stays_in_the_composer_is_a_draft_and_is_taken_back() {
    let demo = Demo::ready(&["--swallow-enter", "99"]);
    let many: Vec<String> = (0..30).map(|n| format!("row {n}")).collect();
    for text in ["one line", "three\nshort\nlines", &many.join("\n")] {
        let receipt = demo.send(text, &[]);
        receipt.must_be("draft");
        assert_eq!(receipt.json["retracted"], true, "{text:?} {receipt:?}");
        until(SOON, "an empty composer", || demo.composer().is_empty());
    }
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn a_message_that_vanishes_without_a_turn_is_unknown_and_never_accepted() {
    let demo = Demo::ready(&["--lose", "1"]);
    demo.send("into the void", &[]).must_be("unknown");
    assert_eq!(demo.log.taken(), [""; 0]);
    demo.send("and again", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["and again"]);
}

#[test]
fn a_paste_that_does_not_show_is_not_followed_by_enter() {
    let demo = Demo::ready(&["--drop-pastes"]);
    let receipt = demo.send("nobody sees this", &[]);
    receipt.must_be("unknown");
    assert_eq!(receipt.json["enters"], 0);
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn no_message_answers_an_open_dialog() {
    let demo = Demo::ready(&[]);
    demo.submit("/ask rm -rf /");
    demo.sandbox.wait_state(Demo::NAME, "blocked");
    for options in [
        [].as_slice(),
        &["--when", "busy=type", "--when", "draft=wait"],
    ] {
        demo.send("yes please", options).must_be("blocked");
    }
    assert_eq!(demo.log.of("answer").len(), 0);
    // A person still can; nothing of the message stands behind the dialog.
    demo.pane.write(b"2\r");
    assert_eq!(demo.log.wait("answer")["yes"], false);
    demo.wait_ready();
    assert_eq!(demo.composer(), "");
}

#[test]
fn a_dialog_that_opens_on_the_paste_gets_no_enter() {
    let demo = Demo::ready(&["--dialog-on-paste"]);
    let receipt = demo.send("surprise", &[]);
    assert_ne!(receipt.verdict(), "accepted");
    assert_eq!(receipt.json["enters"], 0);
    demo.log.wait("dialog");
    assert_eq!(demo.log.of("answer").len(), 0);
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn a_sender_may_refuse_to_wait_for_a_turn() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=30");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    demo.send("second", &["--when", "busy=refuse"])
        .must_be("busy");
    // Also who does not wait for the verdict is told, and not that it is kept.
    demo.ask("send", &["-m", "third", "--when", "busy=refuse"])
        .must_be("busy");
    assert_eq!(demo.log.taken(), ["first slow=30"]);
}

#[test]
fn a_turn_that_outlasts_the_senders_patience_is_busy_and_nothing_is_typed_later() {
    let demo = Demo::ready(&[]);
    demo.submit("first slow=2");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    demo.send("second", &["--timeout", "0.5"]).must_be("busy");
    demo.log.wait("done");
    demo.wait_ready();
    demo.send("third", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["first slow=2", "third"]);
}

#[test]
fn a_held_message_is_gone_when_the_runtime_ends() {
    let mut demo = Demo::ready(&[]);
    demo.submit("first slow=30");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    let sending = demo.sending("second", &[]);
    until(SOON, "the message is held", || {
        demo.sandbox.status(Demo::NAME)["held"] == 1
    });
    demo.submit("/exit 4");
    Receipt::of(sending.wait(SOON)).must_be("gone");
    assert_eq!(demo.pane.wait_exit(SOON), 4);
    let late = demo
        .sandbox
        .agent(&["send", "--verify", Demo::NAME, "-m", "anybody?"]);
    assert_eq!(late.code, 3, "{late:?}");
}

#[test]
fn a_runtime_that_is_still_starting_is_waited_for_and_not_typed_at() {
    let demo = Demo::start(Sandbox::new(), &["--start-delay-ms", "2000"]);
    until(SOON, "a sidecar", || {
        demo.sandbox.socket(Demo::NAME).exists()
    });
    let early = demo.send("too early", &["--timeout", "0.3"]);
    early.must_be("unready");
    demo.send("in time", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["in time"]);
}

/// Many at once: whether the first look at the screen or the first look at the terminal's modes sees
/// the runtime up is a matter of milliseconds, and must not matter.
#[test]
fn a_message_that_waits_for_the_start_is_not_refused_in_its_last_moment() {
    let demos: Vec<Demo> = (0..8)
        .map(|_| Demo::start(Sandbox::new(), &["--start-delay-ms", "1500"]))
        .collect();
    let sending = demos.iter().map(|demo| {
        let socket = demo.sandbox.socket(Demo::NAME);
        until(SOON, "a sidecar", || socket.exists());
        demo.sending("in time", &[])
    });
    let sending: Vec<_> = sending.collect();
    for (demo, sending) in demos.iter().zip(sending) {
        Receipt::of(sending.wait(LATER)).must_be("accepted");
        assert_eq!(demo.log.taken(), ["in time"]);
    }
}

#[test]
fn a_runtime_in_cooked_mode_is_never_typed_at() {
    let demo = Demo::start(Sandbox::new(), &["--no-raw"]);
    demo.log.wait("ready");
    demo.send("hello", &["--timeout", "1"]).must_be("unready");
    assert_eq!(demo.log.taken(), [""; 0]);
}

#[test]
fn a_body_that_may_not_be_typed_is_rejected_by_the_sidecar_itself() {
    let demo = Demo::ready(&[]);
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let huge = "x".repeat(300 * 1024);
    for text in [
        "a\u{1b}[201~b",
        "end\u{1b}",
        "nul\0",
        "cr\rcr",
        "crlf\r\n",
        "\u{3}",
        "\u{7f}",
        "c1 \u{9b}",
        "",
        "  \n\t",
        "!ls",
        "/quit",
        &huge,
    ] {
        let answer = client.ask(&json!({"op": "send", "text": text}));
        let shown = &text[..text.len().min(20)];
        assert_eq!(answer["verdict"], "rejected", "{shown:?}: {answer}");
        assert_eq!(answer["typed"], false, "{shown:?}");
    }
    demo.send("this one may", &[]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["this one may"]);
}

// ---------------------------------------------------------------- a person at the same time

/// A person starts to type at some moment of a send, again and again. Whatever the verdict: the message is taken
/// whole and alone or not at all, the person's text is not submitted, and none of their keys is lost.
///
/// `shown` is what the composer shows of the message; `wait` waits for the round's moment.
#[track_caller]
fn type_during_sends(rounds: u64, message: &str, shown: &str, wait: impl Fn(&Demo, u64)) {
    // Long enough to be seen behind a transcript of 240 kB.
    let demo = Demo::ready(&["--turn-ms", "400"]);
    let by_hand = "zzz by hand";
    for round in 0..rounds {
        let before = demo.log.taken().len();
        let sending = demo.sending(message, &["--timeout", "5"]);
        wait(&demo, round);
        for key in by_hand.bytes() {
            demo.pane.write(&[key]);
            std::thread::sleep(ms(2));
        }
        let receipt = Receipt::of(sending.wait(LATER));
        let verdict = receipt.verdict();
        let taken = demo.log.taken().split_off(before);
        let expected: &[&str] = if verdict == "accepted" {
            &[message]
        } else {
            &[]
        };
        // No assert_eq: the message may be long.
        assert!(taken == expected, "round {round}: {receipt:?}");
        let left = get(SOON, "all keys in the composer", || {
            let text = demo.composer();
            (text.matches('z').count() == 3 && text.ends_with("hand")).then_some(text)
        });
        let theirs = left.replacen(shown, "", 1);
        assert_eq!(theirs, by_hand, "round {round}: {receipt:?}");
        assert!(
            left == by_hand || verdict == "draft",
            "round {round}: {receipt:?}"
        );
        demo.pane.write(b"\x03");
        until(SOON, "an empty composer", || demo.composer().is_empty());
        demo.wait_ready();
    }
}

#[test]
fn a_person_typing_during_a_send_is_never_fused_submitted_or_lost() {
    // The moments between the start of a send and its end. Not to synchronise.
    type_during_sends(16, "a short message", "a short message", |_, round| {
        std::thread::sleep(ms(round * 3));
    });
}

#[test]
fn a_person_typing_during_a_long_paste_is_never_fused_submitted_or_lost() {
    let message = "0123456789abcde\n".repeat(15 * 1024);
    // As soon as the runtime has read some of the paste, every time some more. A busy loop: 5 ms later
    // the paste is over.
    type_during_sends(
        4,
        message.trim_end(),
        "[pasted 15360 lines]",
        |demo, round| {
            let runtime = demo.runtime();
            let enough = io_count(runtime, "rchar") + 4_096 * (1 + 14 * round);
            let deadline = Instant::now() + SOON;
            while io_count(runtime, "rchar") < enough {
                assert!(Instant::now() < deadline, "no paste in round {round}");
            }
        },
    );
}

/// The runtime takes a while to show a key. Had Enter followed the paste in that while, it would have
/// submitted the key with the message. Moment by moment, because the moment is short.
#[test]
fn a_key_that_the_runtime_has_not_shown_yet_keeps_enter_away() {
    let mut moment = Moment::ready();
    moment.send("a message");
    assert_eq!(moment.typed(), "\u{1b}[200~a message\u{1b}[201~");
    moment.handle(Input::Outer(b"x"));
    moment.draw("a message");
    assert_eq!(moment.typed(), "", "Enter would take the x along");
}

/// The same without the key, so that the test above can fail.
#[test]
fn a_paste_that_is_shown_alone_is_followed_by_enter() {
    let mut moment = Moment::ready();
    moment.send("a message");
    moment.typed();
    moment.draw("a message");
    assert_eq!(moment.typed(), "\r");
}

/// The deciding half of a sidecar, without a system below it: time stands still, and what would be
/// typed is kept.
struct Moment {
    harness: Harness,
    now: Now,
    typed: Vec<u8>,
}

impl Moment {
    /// The demo is there and shows an empty composer.
    fn ready() -> Moment {
        let now = Now {
            mono: Instant::now(),
            wall: std::time::SystemTime::now(),
        };
        let size = TermSize { cols: 60, rows: 12 };
        let profiles = Profiles::with(&[]);
        let mut moment = Moment {
            harness: Harness::new(profiles, size, SOON, "t".into(), now),
            now,
            typed: Vec::new(),
        };
        moment.handle(Input::Tick);
        moment.handle(Input::Output(b"\x1b[?2004h"));
        for _ in 0..20 {
            moment.draw("");
        }
        assert_eq!(moment.harness.state().0, State::Ready);
        moment
    }

    fn handle(&mut self, input: Input<'_>) {
        self.harness.handle(input, self.now);
        while let Some(effect) = self.harness.poll() {
            match effect {
                Effect::Pulse => self.harness.handle(
                    Input::Pulse(Pulse {
                        at: self.now.mono,
                        pid: 42,
                        raw: true,
                        unread: 0,
                        life: Life::Running,
                        front: None,
                    }),
                    self.now,
                ),
                Effect::Identify => {
                    let demo = ProcessFacts {
                        pid: 42,
                        parent: 41,
                        exe: "/bin/mosaic-fleet".into(),
                        argv: vec!["mosaic-fleet".into(), "demo-tui".into()],
                        script: String::new(),
                        version: String::new(),
                    };
                    self.harness.handle(Input::Processes(&[demo]), self.now);
                }
                Effect::Type { job, bytes, .. } => {
                    self.typed.extend(bytes);
                    let written = Input::Written(job, Written::At(self.now.mono));
                    self.harness.handle(written, self.now);
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, text: &str) {
        let request = Request {
            op: "send".into(),
            text: Some(text.into()),
            ..Request::default()
        };
        self.handle(Input::Send(Asker(1), Box::new(request), "h:demo"));
    }

    /// The demo draws its composer with this in it.
    fn draw(&mut self, composer: &str) {
        let rule = "─".repeat(60);
        let frame = format!(
            "\x1b[?2026h\x1b[2J\x1b[9;1H{rule}\x1b[10;1H❭ {composer}\x1b7\x1b[11;1H{rule}\x1b8\x1b[?2026l"
        );
        // A look at the screen is due only some time after the last one.
        self.now.mono += ms(100);
        self.handle(Input::Output(frame.as_bytes()));
        self.handle(Input::Tick);
    }

    /// What was typed since the last call.
    fn typed(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.typed)).expect("text")
    }
}

#[test]
fn a_person_who_has_just_begun_to_type_is_not_interrupted() {
    let demo = Demo::ready(&[]);
    demo.pane.write(b"w");
    let receipt = demo.send("a message", &[]);
    receipt.must_be("occupied");
    demo.pane.write(b"ait");
    assert_untouched(&demo, "wait");
}

// ---------------------------------------------------------------- bodies from the command line

#[test]
fn a_body_comes_from_an_argument_a_file_or_standard_input() {
    let demo = Demo::ready(&["--turn-ms", "50"]);
    let file = demo.sandbox.path("body.txt");
    fs::write(&file, "from a file\n").expect("a file in the sandbox");
    let file = Path::new(&file).display().to_string();
    let send = ["send", "--verify", "--no-preamble", Demo::NAME];
    for (more, input) in [
        (["-m", "from an argument"].as_slice(), ""),
        (&["-f", &file], ""),
        (&["-"], "from standard input\n"),
    ] {
        let output = demo
            .sandbox
            .start_with(&[&send, more].concat(), input.as_bytes());
        let output = output.wait(LATER);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.starts_with("accepted: "), "{output:?}");
    }
    assert_eq!(
        demo.log.taken(),
        ["from an argument", "from a file", "from standard input"]
    );
}
