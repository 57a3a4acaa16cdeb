//! Upgrade in place: another binary in the same process, and nobody but the operator notices.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc::{SIGKILL, SIGTERM};
use serde_json::{Value, json};
use support::{AGENT, Client, Demo, LATER, Output, Pane, SOON, Sandbox, get, kill};
use support::{pid_is_alive, until};

/// Another file with the same program in it.
fn next_binary(sandbox: &Sandbox) -> PathBuf {
    sandbox.copy(AGENT, "mosaic-agent-next")
}

fn upgrade(sandbox: &Sandbox, name: &str, to: &Path, options: &[&str]) -> Output {
    let to = to.display().to_string();
    sandbox.agent(&[&["upgrade", "--json", "--to", &to], options, &[name]].concat())
}

/// What the upgrade has told, which has to have worked.
#[track_caller]
fn upgraded(output: Output) -> Value {
    assert_eq!(output.code, 0, "{output:?}");
    output.json()
}

fn executable(pid: i64) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("a process")
}

#[test]
fn a_sidecar_is_replaced_and_its_runtime_its_socket_and_its_receipts_stay() {
    let demo = Demo::ready(&[]);
    demo.send("before", &["--id", "m-1"]).must_be("accepted");
    demo.wait_ready();
    let before = demo.sandbox.status(Demo::NAME);
    let socket = demo.sandbox.socket(Demo::NAME);
    let inode = fs::metadata(&socket).expect("a socket").ino();
    let beat = demo.sandbox.heartbeat(Demo::NAME);
    let mut client = Client::greeted(&socket);
    let screen = client.ask(&json!({"op": "screen"}));
    let next = next_binary(&demo.sandbox);

    let told = upgraded(upgrade(&demo.sandbox, Demo::NAME, &next, &[]));
    assert_eq!(told["upgrades"], 1);
    let after = demo.sandbox.status(Demo::NAME);
    for same in [
        "pid",
        "sidecar",
        "state",
        "runtime",
        "runtime_version",
        "cols",
        "rows",
    ] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["upgrades"], 1);
    let sidecar = after["sidecar"].as_i64().expect("a pid");
    assert_eq!(executable(sidecar), next);
    assert_eq!(fs::metadata(&socket).expect("a socket").ino(), inode);
    // The connection from before, and what it was told.
    let again = client.ask(&json!({"op": "screen"}));
    for same in ["lines", "cursor_row", "cursor_col", "title"] {
        assert_eq!(again[same], screen[same], "{same}");
    }
    let receipt = client.ask(&json!({"op": "verify", "id": "m-1"}));
    assert_eq!(receipt["verdict"], "accepted");
    demo.send("after", &["--id", "m-2"]).must_be("accepted");
    demo.send("twice?", &["--id", "m-1"]).must_be("accepted");
    assert_eq!(demo.log.taken(), ["before", "after"]);
    let now = demo.sandbox.heartbeat(Demo::NAME);
    let seq = |beat: &support::Heartbeat| beat["seq"].parse::<u64>().expect("a number");
    assert!(seq(&now) > seq(&beat), "{now:?}");
    assert_eq!(now.get("started"), beat.get("started"));

    // As before, the end of one is the end of the other, and the terminal is as it was found.
    let mut demo = demo;
    kill(i32::try_from(sidecar).expect("a pid"), SIGTERM);
    demo.pane.wait_exit(SOON);
    assert!(demo.pane.is_as_found());
    assert!(!socket.exists());
}

#[test]
fn an_upgraded_sidecar_can_be_upgraded_again_and_its_runtime_still_dies_with_it() {
    let demo = Demo::ready(&[]);
    let next = next_binary(&demo.sandbox);
    for (to, upgrades) in [(next.as_path(), 1), (Path::new(AGENT), 2), (&next, 3)] {
        let told = upgraded(upgrade(&demo.sandbox, Demo::NAME, to, &[]));
        assert_eq!(told["upgrades"], upgrades);
    }
    let status = demo.sandbox.status(Demo::NAME);
    let pid = |key: &str| i32::try_from(status[key].as_i64().expect("a pid")).expect("a pid");
    kill(pid("sidecar"), SIGKILL);
    until(SOON, "the runtime is gone", || !pid_is_alive(pid("pid")));
}

#[test]
fn no_byte_is_lost_or_doubled_in_either_direction_under_a_flood() {
    let sandbox = Sandbox::new();
    let got = sandbox.path("got");
    // Reads and prints at once, both raw; ends when the mark has come in.
    let script = sandbox.script(
        "flood",
        &format!(
            "#!/bin/bash\nstty raw -echo\nseq -f '%08g line of the flood' 1 300000 &\nflood=$!\n\
             printf 'ready\\n'\nhead -c 400000 > {}\nwait $flood\nprintf 'done\\n'\nexec sleep 1000\n",
            got.display()
        ),
    );
    let pane = Pane::run(&sandbox, "a", &[script.to_str().expect("a path")]);
    pane.wait_text("00000100 line", SOON);
    let next = next_binary(&sandbox);
    // A terminal that takes nothing: what was read for it waits in the pump, and goes over to the next one.
    for to in [&next, Path::new(AGENT)] {
        pane.pause();
        let idle = || sandbox.status("a")["idle_s"].as_u64();
        until(SOON, "nothing passes any more", || idle() > Some(0));
        upgraded(upgrade(&sandbox, "a", to, &[]));
        pane.resume();
    }
    let typed: Vec<u8> = (0..40_000)
        .flat_map(|n| format!("{n:09} ").into_bytes())
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 3..=8 {
                let to = [Path::new(AGENT), &next][turn % 2];
                let told = upgraded(upgrade(&sandbox, "a", to, &[]));
                assert_eq!(told["upgrades"], turn);
            }
        });
        pane.write(&typed);
    });
    pane.wait_text("done", LATER);
    let read = get(SOON, "all that was typed has come", || {
        fs::read(&got).ok().filter(|bytes| bytes.len() >= 400_000)
    });
    assert!(read == typed, "what was typed is not what came");
    let text = pane.text();
    let mut lines = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix(" line of the flood"));
    for n in 1..=300_000 {
        assert_eq!(lines.next(), Some(format!("{n:08}").as_str()));
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn the_model_of_the_screen_misses_nothing_that_is_drawn_meanwhile() {
    let sandbox = Sandbox::new();
    // Every cell is drawn once: what is missed stays blank.
    let script = sandbox.script(
        "draws",
        "#!/bin/bash\nstty raw -echo\nread -r rows cols < <(stty size)\nprintf '\\e[2J'\n\
         for ((row = 1; row <= rows; row++)); do for ((col = 1; col <= cols; col++)); do\n\
         printf '\\e[%d;%dHx' $row $col; ((col % 20)) || sleep 0.01\n\
         done; done\nprintf '\\e]0;done\\a'\nexec sleep 1000\n",
    );
    let _pane = Pane::run(&sandbox, "a", &[script.to_str().expect("a path")]);
    let next = next_binary(&sandbox);
    let socket = sandbox.socket("a");
    until(SOON, "it listens", || socket.exists());
    let mut client = Client::greeted(&socket);
    let mut screen = || client.ask(&json!({"op": "screen"}));
    let mut upgrades = 0;
    while screen()["title"] != "done" {
        upgrades += 1;
        let to = [Path::new(AGENT), &next][upgrades % 2];
        upgraded(upgrade(&sandbox, "a", to, &[]));
    }
    assert!(upgrades > 3, "it was over after {upgrades} upgrades");
    let rows = screen()["lines"].clone();
    let rows = rows.as_array().expect("rows");
    let blank = |row: &&Value| row.as_str().is_none_or(|row| row.contains(|c| c != 'x'));
    assert_eq!(rows.iter().find(blank), None);
    let widths = rows.iter().map(|row| row.as_str().map_or(0, str::len));
    assert_eq!(widths.clone().min(), widths.max(), "{rows:#?}");
}

#[test]
fn what_has_left_the_screen_and_what_has_happened_are_still_known() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "prints",
        "#!/bin/bash\nseq -f '%04g has left' 1 200\nuntil [ -e \"$1\" ]; do sleep 0.02; done\nseq -f '%04g came later' 1 100\nexec sleep 1000\n",
    );
    let go = sandbox.path("go").display().to_string();
    let pane = Pane::run(&sandbox, "a", &[script.to_str().expect("a path"), &go]);
    pane.wait_text("0200 has left", SOON);
    let mut client = Client::greeted(&sandbox.socket("a"));
    let history = get(SOON, "all of it has been seen", || {
        let history = client.ask(&json!({"op": "history"}));
        history["screen"]
            .to_string()
            .contains("0200 has left")
            .then_some(history)
    });
    let happened = client.ask(&json!({"op": "events"}));
    upgraded(upgrade(&sandbox, "a", &next_binary(&sandbox), &[]));
    let after = client.ask(&json!({"op": "history"}));
    for same in ["lines", "next", "screen"] {
        assert_eq!(after[same], history[same], "{same}");
    }
    let news = client.ask(&json!({"op": "events", "cursor": happened["next"]}));
    assert_eq!(news["lost"], false);
    let kinds = news["events"].as_array().expect("events").iter();
    let kinds: Vec<&str> = kinds.filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(kinds, ["control", "upgrade"]);
    // Every line that leaves from here on is behind those before, once.
    fs::write(&go, "").expect("a file");
    pane.wait_text("0100 came later", SOON);
    let tail = get(SOON, "all of it has been seen", || {
        let tail = sandbox.agent(&["tail", "a"]).stdout;
        tail.contains("0100 came later").then_some(tail)
    });
    let wanted = (1..=200).map(|n| format!("{n:04} has left"));
    let wanted = wanted.chain((1..=100).map(|n| format!("{n:04} came later")));
    assert_eq!(tail.lines().collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
}

#[test]
fn messages_that_wait_and_who_waits_for_them_come_along() {
    let demo = Demo::ready(&["--turn-ms", "3000"]);
    demo.submit("a long turn");
    demo.sandbox.wait_state(Demo::NAME, "busy");
    let first = demo.sending("first", &["--id", "m-1"]);
    let held = |n| {
        let status = demo.sandbox.status(Demo::NAME);
        status["held"] == n
    };
    until(SOON, "one waits", || held(1));
    let kept = demo.sandbox.agent(&[
        "send",
        "--no-preamble",
        "-m",
        "second",
        "--id",
        "m-2",
        "demo",
    ]);
    assert_eq!(kept.code, 0, "{kept:?}");
    until(SOON, "two wait", || held(2));
    let mut reader = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    reader.send(b"{\"op\":\"screen\",\"after\":999999999,\"wait_ms\":2500}\n{\"op\":\"status\"}\n");

    upgraded(upgrade(
        &demo.sandbox,
        Demo::NAME,
        &next_binary(&demo.sandbox),
        &[],
    ));
    assert!(held(2));
    support::Receipt::of(first.wait(LATER)).must_be("accepted");
    until(LATER, "the second is taken", || demo.log.taken().len() == 3);
    assert_eq!(demo.log.taken(), ["a long turn", "first", "second"]);
    // A reader that had been waiting is answered by the new binary, and so is its next request.
    let answers = [reader.line(SOON), reader.line(SOON)].map(Option::unwrap_or_default);
    assert_eq!(answers[0]["schema"], "mosaic.screen/1");
    assert_eq!(answers[1]["upgrades"], 1, "{}", answers[1]);
}

#[test]
fn a_binary_that_cannot_take_over_leaves_the_old_one_serving() {
    let demo = Demo::ready(&[]);
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let old = executable(
        client.ask(&json!({"op": "status"}))["sidecar"]
            .as_i64()
            .expect("a pid"),
    );
    let broken = demo.sandbox.script(
        "mosaic-agent-broken",
        "#!/bin/sh\necho no such format >&2\nexit 9\n",
    );
    let hangs = demo
        .sandbox
        .script("mosaic-agent-hangs", "#!/bin/sh\nexec sleep 1000\n");
    // It says that it can, and is gone when it has to.
    let gone = demo
        .sandbox
        .script("mosaic-agent-gone", "#!/bin/sh\nrm \"$0\"\n");
    let odd = demo.sandbox.script("other", "#!/bin/sh\n");
    let none = demo.sandbox.path("mosaic-agent-none");
    for (to, code, said) in [
        (&broken, 78, "no such format"),
        (&hangs, 78, "not answered within 2 s"),
        (&gone, 78, "No such file"),
        (&odd, 2, "must begin with mosaic-agent"),
        (&none, 2, "No such file"),
    ] {
        let output = upgrade(&demo.sandbox, Demo::NAME, to, &[]);
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
        let status = client.ask(&json!({"op": "status"}));
        assert_eq!(status["upgrades"], 0);
        assert_eq!(executable(status["sidecar"].as_i64().expect("a pid")), old);
        demo.send(said, &[]).must_be("accepted");
    }
    demo.wait_ready();
    // The terminal still reaches the runtime, and the runtime the terminal.
    demo.pane.write(b"by hand");
    demo.pane.wait_screen("by hand", SOON);
    let told = upgraded(upgrade(
        &demo.sandbox,
        Demo::NAME,
        &next_binary(&demo.sandbox),
        &[],
    ));
    assert_eq!(told["upgrades"], 1);
    // A draft that somebody has typed before is still a draft.
    demo.send("not now", &[]).must_be("occupied");
}

#[test]
fn what_both_screens_hold_comes_along() {
    let sandbox = Sandbox::new();
    let next = next_binary(&sandbox);
    let go = sandbox.path("go");
    // Rows with a background that were scrolled, a region, and a cursor behind a row that was cleared.
    let script = format!(
        "#!/bin/bash\nstty raw -echo\nprintf '\\033[?47hhidden\\033[?47l\\033[44m\\033[2J\\033[3S\\033[m\\033[5;9rup'\n\
         printf '\\033[9;1H%*s\\033[2K' 120\nuntil [ -e {} ]; do sleep 0.02; done\nprintf 'end\\033[?47h'\nexec sleep 1000\n",
        go.display()
    );
    let script = sandbox.script("draws", &script);
    let running = sandbox.start(&["run", "a", "--", script.to_str().expect("a path")]);
    let shows = |text: &str| {
        let output = sandbox.agent(&["screen", "a"]);
        output.stdout.contains(text)
    };
    let screen = || sandbox.agent(&["screen", "--json", "a"]).json();
    until(SOON, "it is drawn", || {
        shows("up") && screen()["cursor_row"] == 8
    });
    let before = screen();
    let told = upgraded(upgrade(&sandbox, "a", &next, &[]));
    assert_eq!(told["upgrades"], 1);
    let after = screen();
    for same in ["hash", "cells", "cursor_row", "cursor_col"] {
        assert!(!before[same].is_null(), "{before}");
        assert_eq!(after[same], before[same], "{same}");
    }
    fs::write(&go, "").expect("a file");
    until(SOON, "the hidden screen is shown", || shows("hidden"));
    kill(running.pid(), SIGTERM);
    running.wait(SOON);
}

#[test]
fn a_binary_that_would_see_another_screen_says_that_it_cannot() {
    use mosaic_agent::pure::handover::{self, Handover};
    use mosaic_agent::pure::screen::Screen;
    use mosaic_agent::units::TermSize;

    let sandbox = Sandbox::new();
    let mut screen = Screen::new(TermSize { cols: 20, rows: 5 });
    screen.feed(b"\x1b[44m\x1b[2Jtext\x1b[3S\x1b[2;3");
    for (fingerprint, code) in [
        (Some(screen.fingerprint()), 0),
        (Some(screen.fingerprint() + 1), 78),
        // Who hands over so is older than the number.
        (None, 0),
    ] {
        let mut handover = Handover {
            size: (20, 5),
            drawing: screen.drawing().expect("short"),
            fingerprint,
            ..Handover::default()
        };
        handover.harness.state = "busy".into();
        let asked = sandbox.start_with(&["run", "--can-take-over"], &handover::render(handover));
        let output = asked.wait(SOON);
        assert_eq!(output.code, code, "{fingerprint:?}: {output:?}");
    }
}

#[test]
fn a_message_on_its_way_is_not_cut_off() {
    // The Enter is swallowed for longer than the upgrade wants to wait.
    let demo = Demo::ready(&["--paste-window-ms", "4000"]);
    let sending = demo.sending("slow", &[]);
    until(SOON, "it is being typed", || {
        demo.composer().contains("slow")
    });
    let next = next_binary(&demo.sandbox);
    let output = upgrade(&demo.sandbox, Demo::NAME, &next, &["--timeout", "0.2"]);
    assert_eq!(output.code, 75, "{output:?}");
    assert!(
        output.stderr.contains("the fate of a message is open"),
        "{output:?}"
    );
    upgraded(upgrade(&demo.sandbox, Demo::NAME, &next, &[]));
    let receipt = support::Receipt::of(sending.wait(LATER));
    assert!(
        ["accepted", "draft"].contains(&receipt.verdict()),
        "{receipt:?}"
    );
}

#[test]
fn the_new_binary_sees_a_size_that_changed_meanwhile_and_who_has_no_terminal_still_answers() {
    let demo = Demo::ready(&[]);
    let next = next_binary(&demo.sandbox);
    demo.pane.resize(100, 30);
    upgraded(upgrade(&demo.sandbox, Demo::NAME, &next, &[]));
    let size = |status: &Value| (status["cols"].as_u64(), status["rows"].as_u64());
    until(SOON, "the size is followed", || {
        size(&demo.sandbox.status(Demo::NAME)) == (Some(100), Some(30))
    });

    let sandbox = Sandbox::new();
    let go = sandbox.path("go");
    let script = format!(
        "#!/bin/bash\nstty raw -echo\nprintf 'up\\r\\n'\nuntil [ -e {} ]; do sleep 0.02; done\n\
         printf '\\033[6n'\nread -rN6 said\nprintf 'told %q\\r\\n' \"$said\"\nexec sleep 1000\n",
        go.display()
    );
    let script = sandbox.script("ask", &script);
    let running = sandbox.start(&["run", "a", "--", script.to_str().expect("a path")]);
    let shows = |text: &str| sandbox.agent(&["tail", "a"]).stdout.contains(text);
    until(SOON, "it is up", || shows("up"));
    upgraded(upgrade(&sandbox, "a", &next, &[]));
    fs::write(&go, "").expect("a file");
    until(SOON, "it was answered", || shows("told $'\\E[2;1R'"));
    kill(running.pid(), SIGTERM);
    running.wait(SOON);
}

#[test]
fn all_agents_are_upgraded_by_one_command_and_what_is_gone_does_not_matter() {
    let demo = Demo::ready(&[]);
    let gone = demo.sandbox.heartbeat_path("gone");
    fs::write(&gone, "v=1\npid=1\n").expect("a file");
    let next = next_binary(&demo.sandbox).display().to_string();
    let output = demo.sandbox.agent(&["upgrade", "--all", "--to", &next]);
    assert_eq!(output.code, 0, "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 1, "{output:?}");
    assert!(lines[0].starts_with("upgraded demo from "), "{output:?}");
}

#[test]
fn a_signal_that_comes_while_the_next_binary_is_asked_is_not_lost() {
    let mut demo = Demo::ready(&[]);
    let asked = demo.sandbox.path("asked");
    let next = next_binary(&demo.sandbox);
    let slow = demo.sandbox.script(
        "mosaic-agent-slow",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *--can*) touch {}; sleep 1;; esac\nexec {} \"$@\"\n",
            asked.display(),
            next.display()
        ),
    );
    let sidecar = demo.sandbox.status(Demo::NAME)["sidecar"].as_i64();
    let to = slow.display().to_string();
    let upgrading = demo.sandbox.start(&["upgrade", "--to", &to, Demo::NAME]);
    until(SOON, "it is asked", || asked.exists());
    kill(
        sidecar.and_then(|pid| pid.try_into().ok()).expect("a pid"),
        SIGTERM,
    );
    demo.pane.wait_exit(SOON);
    assert_ne!(upgrading.wait(SOON).code, 0);
    assert!(demo.pane.is_as_found());
}

#[test]
fn an_upgrade_that_fails_at_the_last_step_leaves_a_sidecar_that_survives_its_clients() {
    let demo = Demo::ready(&[]);
    let sidecar = &demo.sandbox.status(Demo::NAME)["sidecar"];
    let ignored = || {
        let status = fs::read_to_string(format!("/proc/{sidecar}/status")).expect("a process");
        let line = status.lines().find(|line| line.starts_with("SigIgn"));
        line.map(str::to_owned)
    };
    let before = ignored();
    // It says that it can, and is gone when it has to; somebody holds on to what it writes to.
    let gone = demo
        .sandbox
        .script("mosaic-agent-gone", "#!/bin/sh\nsleep 3 &\nrm \"$0\"\n");
    let begun = std::time::Instant::now();
    let output = upgrade(&demo.sandbox, Demo::NAME, &gone, &[]);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
    // SIGPIPE, which a client that goes away before its answer would bring.
    assert_eq!(ignored(), before);
}

#[test]
fn a_crowd_that_asks_all_at_once_comes_along() {
    let demo = Demo::ready(&[]);
    let socket = demo.sandbox.socket(Demo::NAME);
    let mut crowd: Vec<Client> = (0..600).map(|_| Client::greeted(&socket)).collect();
    let asked = demo.sandbox.path("asked");
    let go = demo.sandbox.path("go");
    let next = next_binary(&demo.sandbox);
    let slow = demo.sandbox.script(
        "mosaic-agent-slow",
        &format!(
            "#!/bin/sh\ntouch {}\nuntil [ -e {} ]; do sleep 0.02; done\nexec {} \"$@\"\n",
            asked.display(),
            go.display(),
            next.display()
        ),
    );
    let to = slow.display().to_string();
    let upgrading = demo.sandbox.start(&["upgrade", "--to", &to, Demo::NAME]);
    until(SOON, "it is asked", || asked.exists());
    // More than wait in the sidecar's queue, while it does not look.
    for client in &mut crowd {
        client.send(b"{\"op\":\"status\"}\n");
    }
    fs::write(&go, "").expect("a file");
    let output = upgrading.wait(LATER);
    assert_eq!(output.code, 0, "{output:?}");
    for (n, client) in crowd.iter_mut().enumerate() {
        let answer = client.line(LATER);
        assert!(answer.is_some(), "client {n}");
    }
}
