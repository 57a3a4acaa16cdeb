//! `watch`: an agent's screen in another terminal, live, drawn from its cells, with no way to type into it.

mod support;

use nix::libc::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use support::{Client, Demo, FLEET, LATER, Pane, SOON, Sandbox, kill, until};

/// What leaves the other screen; the last of what a viewer draws.
const LEFT: &str = "\x1b[?1049l";

/// `mosaic-fleet watch NAME` in a terminal of this size.
#[track_caller]
fn watch(sandbox: &Sandbox, name: &str, size: (u16, u16)) -> Pane {
    let mut command = sandbox.command(FLEET);
    command.args(["watch", name]);
    Pane::start(command, size)
}

/// As large as the agent's pane, and a row for the banner.
const WHOLE: (u16, u16) = (Pane::SIZE.0, Pane::SIZE.1 + 1);

/// The row of the banner.
fn banner(viewer: &Pane) -> String {
    let screen = viewer.screen();
    screen.lines().next().unwrap_or_default().to_owned()
}

/// The rows below it.
fn picture(viewer: &Pane) -> String {
    let screen = viewer.screen();
    let (_, picture) = screen.split_once('\n').unwrap_or_default();
    seen(picture)
}

/// The rows without the blanks at their ends, which nobody sees.
fn seen(screen: &str) -> String {
    let rows: Vec<&str> = screen.lines().map(str::trim_end).collect();
    rows.join("\n").trim_end().to_owned()
}

/// A viewer that has shown its first picture.
#[track_caller]
fn watching(demo: &Demo, size: (u16, u16)) -> Pane {
    let viewer = watch(&demo.sandbox, Demo::NAME, size);
    viewer.wait_screen("read-only", SOON);
    viewer
}

/// The viewer has ended, and its terminal is as it was.
#[track_caller]
fn is_sane(viewer: &mut Pane, code: i32) {
    assert_eq!(viewer.wait_exit(SOON), code);
    assert!(viewer.is_as_found(), "the terminal's modes");
    let drawn = viewer.text();
    let (before, after) = drawn.rsplit_once(LEFT).expect("the other screen was left");
    for mode in ["\x1b[?2026l", "\x1b[m", "\x1b[?7h", "\x1b[?25h"] {
        let last = before.rfind(mode);
        assert!(last > before.rfind("\x1b[?25l"), "{mode:?} comes last");
    }
    assert!(!after.contains('\x1b'), "nothing is drawn after it");
}

#[test]
fn a_viewer_shows_what_the_pane_shows_and_follows_it() {
    let demo = Demo::ready(&[]);
    let viewer = watching(&demo, WHOLE);
    let same = || picture(&viewer) == seen(&demo.pane.screen());
    until(SOON, "the same picture", same);
    demo.pane.write("漢字 and e\u{301} ".as_bytes());
    viewer.wait_screen("漢字 and", SOON);
    demo.submit("go");
    viewer.wait_screen("go", SOON);
    until(SOON, "the same picture", same);
    let banner = banner(&viewer);
    assert!(banner.starts_with(" demo │ "), "{banner}");
    assert!(
        banner.contains(" │ read-only, q leaves │ 100x30"),
        "{banner}"
    );
    until(SOON, "it shows the state", || {
        viewer.screen().contains("demo │ ready")
    });
}

#[test]
fn nothing_typed_into_a_viewer_reaches_the_agent_and_every_way_out_leaves_a_sane_terminal() {
    let demo = Demo::ready(&[]);
    let shown = demo.pane.screen();
    let ways = [
        ("q", 0, 0),
        ("\x03", 0, 0),
        ("", SIGTERM, 128 + SIGTERM),
        ("", SIGINT, 128 + SIGINT),
        ("", SIGHUP, 128 + SIGHUP),
    ];
    for (keys, signal, code) in ways {
        let mut viewer = watching(&demo, (100, 20));
        viewer.write(b"hello\r\x1b[B\x1b[200~rm -rf\x1b[201~\x1b\r\x7f\x15yY1\rg");
        // The last key of these has an effect that can be seen: all of them were read.
        viewer.wait_screen("rows 1-19 of 30", SOON);
        match signal {
            0 => viewer.write(keys.as_bytes()),
            signal => kill(viewer.pid(), signal),
        }
        is_sane(&mut viewer, code);
    }
    let mut viewer = watching(&demo, WHOLE);
    viewer.hang_up();
    assert_eq!(viewer.wait_exit(SOON), 128 + SIGHUP);
    assert_eq!(demo.pane.screen(), shown);
    assert!(demo.log.taken().is_empty());
    until(SOON, "no viewers are left", || {
        demo.sandbox.status(Demo::NAME)["viewers"] == 0
    });
}

#[test]
fn a_smaller_viewer_shows_a_part_that_can_be_moved_and_the_agent_keeps_its_size() {
    let demo = Demo::ready(&[]);
    let viewer = watching(&demo, (40, 11));
    // The composer is at the bottom, and its cursor in sight.
    until(SOON, "the cursor's part", || {
        banner(&viewer).contains("q leaves")
    });
    viewer.wait_screen("Write a message", SOON);
    assert!(!viewer.screen().contains("rows 1-"));
    let top = demo.pane.screen();
    let top = top.lines().next().unwrap_or_default();
    viewer.write(b"g");
    until(SOON, "the top", || {
        let shown = picture(&viewer);
        let first = shown
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned();
        !shown.contains("Write a message") && top.starts_with(&first)
    });
    viewer.write(b"\x1b[6~\x1b[6~\x1b[6~");
    viewer.wait_screen("Write a message", SOON);
    viewer.write(b"\x1b[5~\x1b[5~\x1b[5~f");
    viewer.wait_screen("Write a message", SOON);
    viewer.resize(120, 40);
    until(SOON, "all of it", || {
        picture(&viewer) == seen(&demo.pane.screen())
    });
    viewer.wait_screen("100x30", SOON);
    viewer.resize(4, 2);
    viewer.resize(1, 1);
    viewer.resize(120, 40);
    viewer.wait_screen("100x30", SOON);
    let status = demo.sandbox.status(Demo::NAME);
    assert_eq!(
        (&status["cols"], &status["rows"]),
        (&100.into(), &30.into())
    );
}

#[test]
fn what_a_runtime_prints_to_control_a_terminal_does_not_reach_the_viewers() {
    let sandbox = Sandbox::new();
    // A title, the clipboard, a C1 control sequence in UTF-8, writing from right to left, and a bell.
    let script = r"printf '\033]0;evil\007\033]52;c;ZXZpbA==\007\302\2332Jc1 \342\200\256rtl\342\200\254 \007\016end'; exec sleep 1000";
    let pane = Pane::shell(&sandbox, script);
    pane.wait_screen("end", SOON);
    let mut viewer = watch(&sandbox, "sh", WHOLE);
    viewer.wait_screen("end", SOON);
    viewer.write(b"q");
    is_sane(&mut viewer, 0);
    let drawn = viewer.text();
    for evil in [
        "]0;", "]52;", "\u{9b}", "\u{202e}", "\u{202c}", "\x07", "\x0e",
    ] {
        assert!(!drawn.contains(evil), "{evil:?} in {drawn:?}");
    }
}

#[test]
fn no_color_leaves_the_other_attributes() {
    let mut sandbox = Sandbox::new();
    let script = r"printf '\033[31;48;5;99;1mred\033[m end'; exec sleep 1000";
    let pane = Pane::shell(&sandbox, script);
    pane.wait_screen("end", SOON);
    let drawn = |sandbox: &Sandbox| {
        let mut viewer = watch(sandbox, "sh", WHOLE);
        viewer.wait_screen("end", SOON);
        viewer.write(b"q");
        is_sane(&mut viewer, 0);
        viewer.text()
    };
    assert!(drawn(&sandbox).contains("\x1b[0;1;31;48;5;99mred"));
    sandbox.env("NO_COLOR", "1");
    assert!(drawn(&sandbox).contains("\x1b[0;1mred"));
}

#[test]
fn viewers_are_counted_and_one_that_takes_nothing_harms_nobody() {
    let demo = Demo::ready(&[]);
    let mut viewers: Vec<Pane> = (0..3).map(|_| watching(&demo, WHOLE)).collect();
    let viewers_are = |n: usize| {
        until(LATER, &format!("{n} viewers"), || {
            demo.sandbox.status(Demo::NAME)["viewers"] == n
        });
    };
    viewers_are(3);
    // One stops reading its terminal while the runtime floods: the others go on.
    viewers[0].pause();
    demo.submit("/flood 2000");
    until(LATER, "the end of the flood", || demo.composer().is_empty());
    for viewer in &viewers[1..] {
        until(LATER, "the same picture", || {
            picture(viewer) == seen(&demo.pane.screen())
        });
    }
    viewers[0].resume();
    until(LATER, "the same picture", || {
        picture(&viewers[0]) == seen(&demo.pane.screen())
    });
    for viewer in &mut viewers {
        viewer.write(b"q");
        is_sane(viewer, 0);
    }
    viewers_are(0);
}

#[test]
fn a_viewer_outlives_its_agent_says_so_and_shows_the_next_one() {
    let demo = Demo::ready(&[]);
    let mut viewer = watching(&demo, WHOLE);
    kill(demo.pane.pid(), SIGKILL);
    until(SOON, "it says so", || {
        banner(&viewer).contains("no sidecar answers for demo; trying again")
    });
    assert!(
        viewer.screen().contains("Write a message"),
        "the last picture stays"
    );
    let Demo { sandbox, pane, .. } = demo;
    drop(pane);
    let next = Pane::shell(&sandbox, "exec sleep 1000");
    drop(next);
    let demo = Demo::start(sandbox, &[]);
    demo.wait_ready();
    until(SOON, "the next one", || {
        banner(&viewer).contains("demo │ ready")
    });
    demo.pane.write(b"again");
    viewer.wait_screen("again", SOON);
    demo.submit("\x15/exit 0");
    until(SOON, "it says so", || {
        banner(&viewer).contains("the runtime of demo ended (0); trying again")
    });
    viewer.write(b"q");
    is_sane(&mut viewer, 0);
}

#[test]
fn a_stopped_sidecar_is_said_to_be_silent_and_one_can_leave() {
    let demo = Demo::ready(&[]);
    let mut viewer = watching(&demo, WHOLE);
    kill(demo.pane.pid(), nix::libc::SIGSTOP);
    until(LATER, "it says so", || {
        banner(&viewer).contains("does not answer")
    });
    viewer.write(b"q");
    is_sane(&mut viewer, 0);
    kill(demo.pane.pid(), nix::libc::SIGCONT);
}

#[test]
fn without_an_agent_or_a_terminal_nothing_is_drawn() {
    let sandbox = Sandbox::new();
    let mut viewer = watch(&sandbox, "nobody", WHOLE);
    assert_eq!(viewer.wait_exit(SOON), 3);
    assert!(
        viewer.text().contains("no agent nobody"),
        "{}",
        viewer.text()
    );
    assert!(!viewer.text().contains('\x1b'));
    let demo = Demo::ready(&[]);
    let mut command = demo.sandbox.command(FLEET);
    let output = command
        .args(["watch", Demo::NAME])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no terminal") && said.contains("mosaic-agent tail demo"),
        "{said}"
    );
    assert!(output.stdout.is_empty());
    // The same by the other name.
    let called = demo.sandbox.agent(&["watch", Demo::NAME]);
    assert_eq!((called.code, called.stderr.as_str()), (2, &*said));
}

#[test]
fn a_screen_is_told_as_text_as_cells_and_as_a_picture() {
    let demo = Demo::ready(&[]);
    demo.pane.write("漢 <b>".as_bytes());
    demo.pane.wait_screen("漢 <b>", SOON);
    let screen = |shape: &[&str]| {
        let mut command = demo.sandbox.command(FLEET);
        command.args(["screen", Demo::NAME]).args(shape);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    until(SOON, "the text", || screen(&[]).contains("漢 <b>"));
    assert_eq!(seen(&screen(&[])), seen(&demo.pane.screen()));
    let json: serde_json::Value = serde_json::from_str(&screen(&["--json"])).expect("JSON");
    assert_eq!(
        json["modes"].to_string(),
        r#"["alternate_screen","bracketed_paste"]"#
    );
    assert_eq!(json["cells"].as_array().map(Vec::len), Some(30));
    assert_eq!(json["state"], "ready");
    // The same hash as the answer in text has.
    let mut client = Client::greeted(&demo.sandbox.socket(Demo::NAME));
    let text = client.ask(&serde_json::json!({"op": "screen"}));
    assert_eq!(
        (&text["hash"], &text["cursor_col"]),
        (&json["hash"], &json["cursor_col"])
    );
    let svg = screen(&["--svg"]);
    assert!(
        svg.starts_with("<svg ") && svg.contains("&lt;b&gt;"),
        "{svg}"
    );
}
