use std::time::Duration;

use super::choice::{Filter, Key};
use super::table::Look;
use super::*;
use crate::pure::hook::Heard;
use crate::pure::wire::Origin;

const BEAT: &str = "ts=1970-01-01T00:16:40Z\npid=42\nstate=ready\nwritten=1970-01-01T00:16:40Z\ninterval=15\nboot=b\nsidecar=41\nhost=h\n";

fn status(state: State) -> Status {
    Status {
        schema: String::new(),
        origin: Origin::default(),
        state,
        why: "because".into(),
        draft: false,
        for_s: 3,
        idle_s: 2,
        alive_ms_ago: Some(1),
        pid: 42,
        sidecar: 41,
        runtime: "pi".into(),
        runtime_version: "0.73.1".into(),
        model: String::new(),
        cols: 80,
        rows: 24,
        held: 0,
        viewers: 0,
        attached_pid: None,
        attached_ms: None,
        upgrades: 0,
        hooks: Heard::default(),
        exit: None,
        last_receipt: None,
        recording: None,
        warnings: Vec::new(),
        version: String::new(),
    }
}

fn process(pid: i32, name: &str) -> ProcessFacts {
    ProcessFacts {
        pid,
        exe: format!("/bin/{name}"),
        argv: vec![name.into()],
        ..ProcessFacts::default()
    }
}

/// An agent with whom all is well.
fn well() -> Sources {
    Sources {
        beat: Some(Ok(Found::parse(BEAT.as_bytes()))),
        answer: Ok(Box::new(Answer {
            agent: "a".into(),
            peer: 41,
            status: status(State::Ready),
        })),
        owner: Owner::Pid(41),
        processes: vec![process(42, "pi")],
        asked: Some(Asked::Runtime("pi".into())),
        unit: Some(unit("active", "enabled")),
        ..Sources::of("a")
    }
}

fn unit(active: &str, enabled: &str) -> Unit {
    Unit {
        name: "mosaic-agent@a.service".into(),
        active: active.into(),
        enabled: enabled.into(),
        result: "exit-code".into(),
        ..Unit::default()
    }
}

fn seat(session: &str, sidecar: Option<i32>) -> Seat {
    Seat {
        session: session.into(),
        socket: String::new(),
        pid: 41,
        command: "bash".into(),
        dead: false,
        sidecar,
        clients: Vec::new(),
    }
}

fn look(from: &Sources) -> Row {
    look_with(from, Some(true))
}

fn look_with(from: &Sources, linger: Option<bool>) -> Row {
    let profiles = Profiles::with(&[]);
    let around = Around {
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_001),
        boot: "b",
        host: "h",
        tenant: "t",
        linger,
        profiles: &profiles,
    };
    row(from, &around)
}

/// Nothing that denies a life may leave it claimed.
#[track_caller]
fn is_not_alive(from: &Sources, why: &str) {
    let row = look(from);
    assert_ne!(row.health, "healthy", "{row:?}");
    assert!(matches!(row.state, "unknown" | "exited"), "{row:?}");
    assert!(row.why.contains(why), "{row:?}");
}

#[test]
fn an_agent_with_whom_all_is_well_is_healthy_and_has_no_flags() {
    let row = look(&well());
    assert_eq!((row.health, row.state), ("healthy", "ready"));
    assert_eq!((row.pid, row.sidecar, row.for_s), (42, 41, Some(3)));
    assert_eq!((row.runtime.as_str(), row.why.as_str()), ("pi", ""));
    assert_eq!(row.flags, []);
}

#[test]
fn who_is_at_it_is_told_once_whichever_session_shows_its_window() {
    let client = |pid, readonly| TmuxClient { pid, readonly };
    let with = |session, clients: &[TmuxClient]| Seat {
        clients: clients.to_vec(),
        ..seat(session, Some(41))
    };
    let mut from = well();
    from.seats = vec![
        with("a", &[client(7, false), client(9, true)]),
        with("shared", &[client(8, false)]),
        with("shared", &[client(8, false)]),
        Seat {
            pid: 43,
            ..with("a", &[client(5, false)])
        },
    ];
    if let Ok(answer) = &mut from.answer {
        answer.status.attached_pid = Some(7);
    }
    let row = look(&from);
    assert_eq!(
        row.tmux_clients,
        [client(7, false), client(8, false), client(9, true)]
    );
    assert_eq!(
        row.why,
        "pid 7 is attached; pid 8 is attached by tmux; pid 9 looks on by tmux"
    );
}

#[test]
fn a_fresh_heartbeat_without_a_sidecar_behind_it_is_not_healthy() {
    let mut from = well();
    from.answer = Err("no sidecar answers".into());
    let row = look(&from);
    assert_eq!((row.health, row.state), ("stale", "unknown"));
    assert_eq!(row.why, "no sidecar answers");
}

#[test]
fn an_ended_runtime_is_exited_with_its_code() {
    let mut from = well();
    let beat = BEAT.replace("state=ready", "state=exited\nexit=7\nreason=hangup");
    from.beat = Some(Ok(Found::parse(beat.as_bytes())));
    from.answer = Err("no sidecar".into());
    from.owner = Owner::Nobody;
    let row = look(&from);
    assert_eq!((row.health, row.state), ("stale", "exited"));
    assert_eq!(row.why, "the runtime ended (7), sidecar hangup");
    assert_eq!(row.sidecar, 0);
}

#[test]
fn what_is_no_heartbeat_is_one_row_with_a_reason() {
    for (beat, why) in [
        (Ok(Found::parse(b"\0\0garbage")), "not a heartbeat"),
        (Ok(Found::parse(b"")), "not a heartbeat"),
        (Err("it is a symbolic link".to_owned()), "symbolic link"),
        (
            Ok(Found::parse(BEAT.replace("boot=b", "boot=c").as_bytes())),
            "last boot",
        ),
        (
            Ok(Found::parse(BEAT.replace("1970", "2970").as_bytes())),
            "future",
        ),
        (
            Ok(Found::parse(format!("v=2\n{BEAT}").as_bytes())),
            "another version",
        ),
    ] {
        let mut from = well();
        from.answer = Err("no socket".into());
        from.beat = Some(beat);
        is_not_alive(&from, why);
    }
}

#[test]
fn an_answer_counts_only_from_the_agents_own_sidecar() {
    type Change = fn(&mut Answer, &mut Sources);
    let lies: [(Change, &str); 4] = [
        (
            |answer, _| answer.agent = "b".into(),
            "the socket is that of b",
        ),
        (|answer, _| answer.peer = 99, "pid 99 answers"),
        (
            |_, from| from.owner = Owner::Nobody,
            "nobody holds its lock",
        ),
        (
            |_, from| from.owner = Owner::Pid(77),
            "pid 77 holds its lock",
        ),
    ];
    for (change, why) in lies {
        let mut from = well();
        let mut answer = Answer {
            agent: "a".into(),
            peer: 41,
            status: status(State::Ready),
        };
        change(&mut answer, &mut from);
        from.answer = Ok(Box::new(answer));
        is_not_alive(&from, why);
    }
    let mut from = well();
    from.processes.clear();
    is_not_alive(&from, "no process 42");
}

#[test]
fn an_agent_on_another_host_is_neither_judged_nor_flagged_from_here() {
    let mut from = well();
    let beat = BEAT
        .replace("host=h", "host=far")
        .replace("boot=b", "boot=c");
    from.beat = Some(Ok(Found::parse(beat.as_bytes())));
    from.answer = Err("no socket".into());
    from.unit = Some(unit("inactive", "disabled"));
    from.seats = vec![seat("a", None)];
    is_not_alive(&from, "it runs on far");
    assert_eq!((look(&from).flags, look(&from).unit), (Vec::new(), None));
}

#[test]
fn drift_is_what_runs_and_was_not_asked_for() {
    let mut from = well();
    from.processes = vec![process(40, "bash"), process(42, "claude")];
    let row = look(&from);
    assert_eq!(row.flags, [Flag::Drift]);
    assert_eq!(row.flagged[0].why, "asked for pi, claude runs");
    assert_eq!(row.runtime, "claude");
    from.answer = Err("silent".into());
    assert_eq!(look(&from).flags, [], "nobody knows what runs");
}

#[test]
fn a_wrapper_on_its_way_is_no_drift() {
    let mut from = well();
    from.processes = vec![process(42, "npx")];
    from.answer = Ok(Box::new(Answer {
        agent: "a".into(),
        peer: 41,
        status: status(State::Starting),
    }));
    assert_eq!(look(&from).flags, []);
}

#[test]
fn boot_is_a_unit_that_would_not_be_back() {
    for (enabled, linger, expected) in [
        ("enabled", Some(true), None),
        ("enabled", None, None),
        ("disabled", Some(true), Some("not enabled")),
        ("enabled-runtime", Some(true), Some("not enabled")),
        ("", None, Some("not enabled")),
        ("enabled", Some(false), Some("linger")),
    ] {
        let mut from = well();
        from.unit = Some(unit("active", enabled));
        let row = look_with(&from, linger);
        let why = row.flagged.first().map(|f| f.why.as_str());
        match expected {
            None => assert_eq!(why, None, "{enabled} {linger:?}"),
            Some(word) => {
                assert_eq!(row.flags, [Flag::Boot], "{enabled} {linger:?}");
                assert!(why.is_some_and(|why| why.contains(word)), "{why:?}");
            }
        }
    }
}

#[test]
fn an_orphan_runs_without_its_unit_and_without_a_manager_nobody_is_one() {
    let mut from = well();
    from.unit = Some(unit("inactive", "enabled"));
    assert_eq!(look(&from).flags, [Flag::Orphan]);
    from.unit = None;
    assert_eq!(look_with(&from, Some(false)).flags, []);
    from.unit = Some(unit("failed", "enabled"));
    from.answer = Err("silent".into());
    assert_eq!(look(&from).flags, [], "nobody knows that it runs");
}

#[test]
fn a_session_that_no_agent_owns_is_a_row_of_its_own() {
    let from = Sources {
        seats: vec![seat("mine", None)],
        ..Sources::of("mine")
    };
    let row = look(&from);
    assert_eq!(row.flags, [Flag::Unmanaged]);
    assert_eq!(
        (row.pane, row.health, row.state),
        (Pane::Alive, "unknown", "unknown")
    );
    assert_eq!(
        (row.runtime.as_str(), row.session.as_deref()),
        ("bash", Some("mine"))
    );
}

#[test]
fn two_that_claim_an_agent_are_named_with_what_each_of_them_does() {
    let mut heartbeat = well();
    let beat = BEAT.replace("sidecar=41", "sidecar=50");
    heartbeat.beat = Some(Ok(Found::parse(beat.as_bytes())));
    let mut lock = well();
    lock.owner = Owner::Pid(50);
    let mut pane = well();
    pane.seats = vec![seat("a", Some(50))];
    let mut sessions = well();
    sessions.seats = vec![seat("a", Some(41)), seat("b", Some(50))];
    for from in [heartbeat, lock, pane, sessions] {
        let row = look(&from);
        assert_eq!(row.flags, [Flag::Owner], "{row:?}");
        let why = &row.flagged[0].why;
        assert!(why.contains("pid 41") && why.contains("pid 50"), "{why}");
    }
    let mut stranger = well();
    stranger.seats = vec![seat("a", None)];
    let row = look(&stranger);
    assert_eq!(
        (row.flags.as_slice(), row.pane),
        (&[Flag::Owner][..], Pane::None)
    );
}

#[test]
fn a_failed_unit_and_an_agent_that_was_never_started_have_a_row_with_the_reason() {
    let mut from = Sources {
        described: Some(Ok("a.env".into())),
        unit: Some(unit("inactive", "enabled")),
        ..Sources::of("a")
    };
    is_not_alive(&from, "not started; described in a.env");
    from.unit = Some(unit("failed", "enabled"));
    is_not_alive(&from, "its unit has failed (exit-code)");
    from.described = Some(Err("it is no text".into()));
    is_not_alive(&from, "its environment file: it is no text");
}

// ---------------------------------------------------------------- the table

fn rows() -> Vec<Row> {
    let mut second = well();
    second.agent = "coder10".into();
    second.answer = Err("the sidecar does not answer".into());
    let mut first = look(&well());
    first.agent = "coder2".into();
    vec![look(&second), first]
}

#[test]
fn off_a_terminal_nothing_is_left_out_cut_or_coloured() {
    let text = table::text(&rows(), Look::default());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    for title in [
        "AGENT", "HEALTH", "FOR", "ENABLED", "RESTARTS", "TENANT", "WHY",
    ] {
        assert!(lines[0].contains(title), "{title}");
    }
    assert!(text.contains("the sidecar does not answer"));
    assert!(!text.contains('\x1b'));
    let column = lines[0].find("STATE");
    assert!(
        lines
            .iter()
            .all(|l| l.as_bytes()[column.unwrap_or(0) - 1] == b' ')
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_and_the_name_and_state_stay() {
    use unicode_width::UnicodeWidthStr;
    let mut rows = rows();
    rows[0].model = "名前のとても長いモデル".into();
    rows[0].why = "名前".repeat(40);
    for width in 1..260 {
        let look = Look {
            width: Some(width),
            ..Look::default()
        };
        let lines = table::lines(&rows, look);
        for line in &lines {
            assert!(line.width() <= width, "{width}: {line}");
        }
        if width >= 16 {
            assert!(
                lines[0].contains("AGENT") && lines[0].contains("STATE"),
                "{width}"
            );
            assert!(lines[2].contains("ready"), "{width}: {}", lines[2]);
        }
    }
}

#[test]
fn what_others_have_written_cannot_move_the_cursor() {
    let mut rows = rows();
    rows[0].runtime = "\x1b[2J\u{202e}x\r\n\u{9b}".into();
    rows[0].agent = "a\x07b".into();
    let text = table::text(&rows, Look::default());
    assert!(
        !text.contains(['\x1b', '\u{202e}', '\r', '\x07', '\u{9b}']),
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn colours_are_taken_back_on_every_line_and_take_no_room() {
    let plain = table::lines(
        &rows(),
        Look {
            width: Some(90),
            ..Look::default()
        },
    );
    let look = Look {
        width: Some(90),
        colour: true,
        bare: false,
    };
    for (line, plain) in table::lines(&rows(), look).iter().zip(plain) {
        assert!(line.contains("\x1b["));
        let mut text = line.clone();
        while let Some(at) = text.find('\x1b') {
            let end = text[at..].find('m').map_or(text.len(), |m| at + m + 1);
            text.replace_range(at..end, "");
        }
        assert_eq!(text, plain);
        assert_eq!(
            line.matches("\x1b[m").count() * 2,
            line.matches('\x1b').count()
        );
    }
}

// ---------------------------------------------------------------- choice

#[test]
fn filters_join_within_a_kind_and_narrow_between_kinds() {
    let rows = rows();
    let names = |filter: &Filter| -> Vec<String> {
        let taken = rows.iter().filter(|row| filter.takes(row));
        taken.map(|row| row.agent.clone()).collect()
    };
    let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let mut filter = Filter {
        states: list(&["ready", "unknown"]),
        ..Filter::default()
    };
    assert_eq!(names(&filter), ["coder10", "coder2"]);
    filter.names = list(&["*2", "nobody"]);
    assert_eq!(names(&filter), ["coder2"]);
    assert_eq!(filter.missing(&rows), ["nobody"]);
    filter.flags = list(&["any"]);
    assert_eq!(names(&filter), Vec::<String>::new());
}

#[test]
fn rows_are_sorted_by_every_key_and_by_name_where_that_is_equal() {
    let mut rows = rows();
    for (_, key) in choice::KEYS {
        choice::sort(&mut rows, key, false);
        let first = rows[0].agent.clone();
        choice::sort(&mut rows, key, true);
        let agents: Vec<&str> = rows.iter().map(|r| r.agent.as_str()).collect();
        let by_name = matches!(key, Key::Name);
        assert!(!by_name || first == "coder2" && agents == ["coder10", "coder2"]);
        if matches!(key, Key::State | Key::Health) {
            assert_eq!(first, "coder10");
        }
    }
}
