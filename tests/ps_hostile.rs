//! `mosaic-fleet ps` among dead, hung, foreign, half-written and hostile sockets, heartbeats and environment files:
//! one row with a reason for each, never a hang, never a crash, never a life that is none.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use support::{FLEET, Running, SOON, Sandbox, flagged, kill, process_state, until};

/// No look may take longer, whatever is in its way, also beside other tests.
const IN_TIME: Duration = Duration::from_secs(10);

/// A sandbox with one good agent, `good`: the others may not cost it anything.
fn sandbox() -> (Sandbox, Running) {
    let sandbox = Sandbox::new();
    let agent = sandbox.start(&["run", "good", "--", "cat"]);
    sandbox.wait_row("good", "it is healthy", |row| row["health"] == "healthy");
    (sandbox, agent)
}

/// One look: the row of an agent that does not live, with a reason that holds these words.
#[track_caller]
fn not_alive(rows: &[Value], agent: &str, words: &str) {
    let found: Vec<&Value> = rows.iter().filter(|row| row["agent"] == agent).collect();
    let [row] = found[..] else {
        panic!("{} rows of {agent}", found.len());
    };
    assert_ne!(row["health"], "healthy", "{row:#}");
    assert!(
        row["state"] == "unknown" || row["state"] == "exited",
        "{row:#}"
    );
    let why = row["why"].as_str().expect("a reason");
    assert!(
        why.contains(words),
        "{agent}: {why:?} does not say {words:?}"
    );
}

#[track_caller]
fn look(sandbox: &Sandbox) -> Vec<Value> {
    let begun = Instant::now();
    let rows = sandbox.rows(&[]);
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    let good = rows.iter().find(|row| row["agent"] == "good");
    assert_eq!(
        good.expect("the good one")["health"],
        "healthy",
        "{good:#?}"
    );
    rows
}

/// The good agent's heartbeat with other values.
fn beat_with(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let mut beat = sandbox.heartbeat("good");
    for (key, value) in changes {
        beat.insert((*key).to_owned(), (*value).to_owned());
    }
    beat.iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect()
}

fn write_beat(sandbox: &Sandbox, agent: &str, text: impl AsRef<[u8]>) {
    fs::write(sandbox.heartbeat_path(agent), text).expect("a file in the sandbox");
}

// ---------------------------------------------------------------- heartbeats

#[test]
fn whatever_stands_in_place_of_a_heartbeat_is_one_row_with_a_reason() {
    let (sandbox, _good) = sandbox();
    let path = |agent: &str| sandbox.heartbeat_path(agent);
    let nowhere = sandbox.path("nowhere.sock").display().to_string();
    let whole = beat_with(&sandbox, &[("sock", &nowhere)]);
    write_beat(&sandbox, "empty", "");
    write_beat(
        &sandbox,
        "binary",
        (0..=255).cycle().take(4_000).collect::<Vec<u8>>(),
    );
    write_beat(&sandbox, "half", &whole[..whole.len() / 3]);
    write_beat(
        &sandbox,
        "huge",
        format!("{whole}{}", "x=y\n".repeat(1_000_000)),
    );
    write_beat(&sandbox, "version", format!("v=9\n{whole}"));
    write_beat(&sandbox, "fresh", &whole);
    let future = beat_with(
        &sandbox,
        &[("ts", "2999-01-01T00:00:00Z"), ("sock", &nowhere)],
    );
    write_beat(&sandbox, "future", future);
    let boot = beat_with(&sandbox, &[("boot", "another"), ("sock", &nowhere)]);
    write_beat(&sandbox, "boot", boot);
    let far = [
        ("boot", "another"),
        ("host", "far"),
        ("sock", nowhere.as_str()),
    ];
    write_beat(&sandbox, "far", beat_with(&sandbox, &far));
    write_beat(
        &sandbox,
        "pids",
        beat_with(
            &sandbox,
            &[
                ("sidecar", "-1"),
                ("pid", "99999999999999999999"),
                ("interval", "0"),
                ("sock", "relative"),
            ],
        ),
    );
    symlink(path("good"), path("link")).expect("a link");
    symlink("/dev/zero", path("zero")).expect("a link");
    nix::unistd::mkfifo(&path("fifo"), Mode::S_IRUSR).expect("a fifo");
    fs::create_dir(path("dir")).expect("a directory");
    let _socket = UnixListener::bind(path("socket")).expect("a socket");
    write_beat(&sandbox, "bad name; rm", &whole);
    write_beat(&sandbox, "\x1b[31mred", &whole);
    let rows = look(&sandbox);
    for (agent, words) in [
        ("empty", "not a heartbeat"),
        ("binary", "not a heartbeat"),
        ("half", ""),
        ("huge", "more than 16384 bytes"),
        ("version", "another version"),
        ("fresh", "no sidecar answers"),
        ("future", "dated in the future"),
        ("boot", "before the last boot"),
        ("far", "it runs on far"),
        ("pids", "no sidecar answers"),
        ("link", "symbolic link"),
        ("zero", "symbolic link"),
        ("fifo", "not a regular file"),
        ("dir", "not a regular file"),
        ("socket", "not a regular file"),
        ("bad name; rm", "an agent name"),
        ("\x1b[31mred", "an agent name"),
    ] {
        not_alive(&rows, agent, words);
    }
    let shown = sandbox.ps(&[]).stdout;
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert_eq!(shown.lines().count(), rows.len() + 1);
}

#[test]
fn a_heartbeat_of_somebody_else_is_not_believed() {
    let (sandbox, _good) = sandbox();
    if !nix::unistd::geteuid().is_root() {
        return support::skip("a foreign heartbeat", "only root can give a file away");
    }
    write_beat(&sandbox, "foreign", beat_with(&sandbox, &[]));
    std::os::unix::fs::chown(sandbox.heartbeat_path("foreign"), Some(65_534), None)
        .expect("root gives files away");
    not_alive(&look(&sandbox), "foreign", "belongs to uid 65534");
}

#[test]
fn a_copied_heartbeat_does_not_make_a_second_agent() {
    let (sandbox, _good) = sandbox();
    // Somebody's template: it names the socket of another agent, which answers.
    write_beat(&sandbox, "copy", beat_with(&sandbox, &[]));
    let rows = look(&sandbox);
    not_alive(&rows, "copy", "the socket is that of good");
    let row = rows
        .iter()
        .find(|row| row["agent"] == "good")
        .expect("a row");
    assert_eq!(row["flags"], json!([]));
}

// ---------------------------------------------------------------- sockets

/// Listens in an agent's place until it is dropped.
struct Impostor {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Impostor {
    /// Does this with every connection.
    fn at(path: &Path, serve: impl Fn(UnixStream) + Send + 'static) -> Impostor {
        let listener = UnixListener::bind(path).expect("a socket in the sandbox");
        listener.set_nonblocking(true).expect("a socket");
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).expect("a socket");
                        serve(stream);
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Impostor {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the real sidecar says, greeting and status.
fn real_words(sandbox: &Sandbox) -> (String, String) {
    let mut stream = UnixStream::connect(sandbox.socket("good")).expect("it listens");
    stream
        .write_all(b"{\"op\":\"status\"}\n")
        .expect("it reads");
    let mut text = String::new();
    let mut byte = [0];
    while text.matches('\n').count() < 2 && stream.read_exact(&mut byte).is_ok() {
        text.push(char::from(byte[0]));
    }
    let (hello, status) = text.split_once('\n').expect("two lines");
    (format!("{hello}\n"), format!("{}\n", status.trim_end()))
}

#[test]
fn whoever_answers_in_place_of_a_sidecar_is_not_taken_for_one() {
    let (sandbox, _good) = sandbox();
    let (hello, status) = real_words(&sandbox);
    let me = std::process::id();
    let sidecar = sandbox.heartbeat("good")["sidecar"].clone();
    let mine = |text: &str| {
        text.replace(
            &format!("\"sidecar\":{sidecar}"),
            &format!("\"sidecar\":{me}"),
        )
    };
    let named = |name: &str| hello.replace("\"agent\":\"good\"", &format!("\"agent\":\"{name}\""));
    let deep = format!("{}\n", "[".repeat(100_000));
    let says: Vec<(&str, String, &str)> = vec![
        ("closes", String::new(), "closed before it answered"),
        ("greets", named("greets"), "closed before it answered"),
        (
            "half",
            format!("{}{}", named("half"), &status[..status.len() / 2]),
            "closed before it answered",
        ),
        ("garbage", "\0\x1b[2Jhello\n\u{fffd}\n".into(), "no sidecar"),
        ("deep", format!("{deep}{deep}"), "no sidecar"),
        ("objects", "{}\n{}\n".into(), "no sidecar"),
        ("array", "[1]\n[2]\n".into(), "no sidecar"),
        (
            "wrong",
            format!("{}{{\"state\":\"ready\"}}\n", named("wrong")),
            "no sidecar",
        ),
        (
            "refuses",
            "{\"error\":\"overloaded\",\"message\":\"too many\"}\n\n".into(),
            "too many",
        ),
        // Another process's words, word for word; and the same with its own pid.
        (
            "parrot",
            format!("{}{status}", named("parrot")),
            "answers on its socket and says that it is pid",
        ),
        (
            "liar",
            format!("{}{}", mine(&named("liar")), mine(&status)),
            "nobody holds its lock",
        ),
        (
            "other",
            format!("{hello}{status}"),
            "the socket is that of good",
        ),
    ];
    let _impostors: Vec<Impostor> = says
        .iter()
        .map(|(agent, text, _)| {
            let text = text.clone();
            Impostor::at(&sandbox.socket(agent), move |mut stream| {
                let mut asked = [0; 64];
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(text.as_bytes());
            })
        })
        .collect();
    // A fresh heartbeat beside each socket makes none of them more believable.
    for (agent, ..) in &says {
        let socket = sandbox.socket(agent).display().to_string();
        write_beat(&sandbox, agent, beat_with(&sandbox, &[("sock", &socket)]));
    }
    let rows = look(&sandbox);
    for (agent, _, words) in &says {
        not_alive(&rows, agent, words);
    }
}

#[test]
fn dead_hung_full_and_endless_sockets_hold_nobody_up() {
    let (sandbox, _good) = sandbox();
    let beat = |agent: &str| {
        let socket = sandbox.socket(agent);
        let text = beat_with(&sandbox, &[("sock", &socket.display().to_string())]);
        write_beat(&sandbox, agent, text);
        socket
    };
    drop(UnixListener::bind(beat("dead")).expect("a socket"));
    let _hung = UnixListener::bind(beat("hung")).expect("a socket");
    // Its queue of connections is full: a plain connect would sleep for ever.
    let full = beat("full");
    let listener = UnixListener::bind(&full).expect("a socket");
    let _waiting = fill(&full);
    fs::write(beat("file"), "no socket").expect("a file");
    let _endless = Impostor::at(&beat("endless"), |mut stream| {
        let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
        let junk = [b'x'; 64 * 1024];
        while stream.write_all(&junk).is_ok() {}
    });
    let _dripping = Impostor::at(&beat("drip"), |mut stream| {
        let _ = stream.write_all(b"{");
        // Until whoever asks gives up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let rows = look(&sandbox);
    not_alive(&rows, "dead", "no sidecar answers on its socket");
    not_alive(&rows, "hung", "does not answer (waited");
    not_alive(&rows, "full", "does not answer (waited");
    not_alive(&rows, "file", "no sidecar answers on its socket");
    not_alive(&rows, "endless", "");
    not_alive(&rows, "drip", "does not answer (waited");
    drop(listener);
}

/// Connects until the queue is full.
fn fill(path: &Path) -> Vec<std::os::fd::OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd;
    let mut connections = Vec::new();
    loop {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
        let address = UnixAddr::new(path).expect("a path");
        match connect(fd.as_raw_fd(), &address) {
            Ok(()) => connections.push(fd),
            Err(nix::errno::Errno::EAGAIN) => return connections,
            Err(e) => panic!("connecting: {e}"),
        }
    }
}

#[test]
fn a_socket_of_another_user_is_not_asked() {
    let (sandbox, _good) = sandbox();
    if !nix::unistd::geteuid().is_root() {
        return support::skip("a foreign socket", "only root can become somebody else");
    }
    let dir = sandbox.path("foreign");
    fs::create_dir(&dir).expect("a directory in the sandbox");
    for open in [sandbox.path(""), dir.clone()] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).expect("it is ours");
    }
    let socket = dir.join("s");
    // perl-base is part of every Debian.
    let script = "use Socket; alarm 60; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; \
                  bind($s, pack_sockaddr_un($ARGV[0])) or die; listen($s, 5) or die; sleep 60;";
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["/usr/bin/perl", "-e", script])
        .arg(&socket);
    let _stranger = Running::start(command, &sandbox.path("out"), b"");
    until(SOON, "the stranger listens", || {
        UnixStream::connect(&socket).is_ok()
    });
    let path = socket.display().to_string();
    write_beat(&sandbox, "foreign", beat_with(&sandbox, &[("sock", &path)]));
    not_alive(
        &look(&sandbox),
        "foreign",
        "its socket belongs to uid 65534",
    );
}

#[test]
fn a_stopped_sidecar_and_a_dead_runtime_are_not_alive() {
    let (sandbox, _good) = sandbox();
    let stopped = sandbox.start(&["run", "stopped", "--", "cat"]);
    sandbox.wait_row("stopped", "it is healthy", |row| row["health"] == "healthy");
    kill(stopped.pid(), libc::SIGSTOP);
    until(SOON, "it is stopped", || {
        process_state(stopped.pid()) == Some('T')
    });
    let rows = look(&sandbox);
    not_alive(
        &rows,
        "stopped",
        &format!("its sidecar (pid {}) is stopped", stopped.pid()),
    );
    kill(stopped.pid(), libc::SIGCONT);
    let killed = sandbox.start(&["run", "killed", "--", "cat"]);
    sandbox.wait_row("killed", "it is healthy", |row| row["health"] == "healthy");
    let pid = killed.pid();
    kill(pid, libc::SIGKILL);
    drop(killed);
    // Its heartbeat is still fresh, its socket and its lock file are still there.
    not_alive(&look(&sandbox), "killed", "no sidecar answers");
}

// ---------------------------------------------------------------- environment files

#[test]
fn whatever_stands_in_place_of_an_environment_file_is_one_row_with_a_reason() {
    let (sandbox, _good) = sandbox();
    let dir = sandbox.home().join(".config/mosaic/fleet/agents");
    fs::create_dir_all(&dir).expect("a directory in the sandbox");
    let path = |agent: &str| dir.join(format!("{agent}.env"));
    fs::write(path("binary"), [0xff, 0xfe, 0, 1, 2]).expect("a file");
    fs::write(path("zeros"), [0; 5_000]).expect("a file");
    fs::write(path("open"), "MOSAIC_AGENT_RUNTIME=\"cla").expect("a file");
    fs::write(path("huge"), "A=b\n".repeat(500_000)).expect("a file");
    fs::write(path("empty"), "").expect("a file");
    fs::write(path("bad name"), "").expect("a file");
    fs::write(
        path("good"),
        "MOSAIC_TMUX_SOCKET=../../../../etc/passwd\n=\n==\nMOSAIC_AGENT_RUNTIME='cat'\n",
    )
    .expect("a file");
    nix::unistd::mkfifo(&path("fifo"), Mode::S_IRUSR).expect("a fifo");
    fs::create_dir(path("dir")).expect("a directory");
    symlink("/dev/zero", path("zero")).expect("a link");
    symlink("nowhere", path("dangling")).expect("a link");
    // People link such files from a repository of theirs.
    fs::write(sandbox.path("linked"), "MOSAIC_AGENT_RUNTIME=pi\n").expect("a file");
    symlink(sandbox.path("linked"), path("linked")).expect("a link");
    fs::write(
        sandbox.home().join(".config/mosaic/fleet/fleet.env"),
        [0xff; 100],
    )
    .expect("a file");
    let rows = look(&sandbox);
    for (agent, words) in [
        ("binary", "its environment file: it is no text"),
        ("zeros", "its environment file: it is no text"),
        ("open", "a quote in it is not closed"),
        ("huge", "more than 262144 bytes"),
        ("empty", "not started; described in empty.env"),
        ("bad name", "not started"),
        ("fifo", "not a regular file"),
        ("dir", "not a regular file"),
        ("zero", "not a regular file"),
        ("dangling", "its environment file: No such file"),
        ("linked", "not started; described in linked.env"),
    ] {
        not_alive(&rows, agent, words);
    }
    let good = rows
        .iter()
        .find(|row| row["agent"] == "good")
        .expect("a row");
    assert_eq!(flagged(good, "drift"), None, "{good:#}");
}

#[test]
fn a_hung_tmux_and_a_hung_service_manager_are_not_waited_for() {
    let (mut sandbox, _good) = sandbox();
    let bin = sandbox.script("bin/tmux", "#!/bin/sh\nexec sleep 600\n");
    let bin = bin.parent().expect("a directory").display().to_string();
    fs::create_dir_all(sandbox.path("run/systemd")).expect("a directory in the sandbox");
    let private = sandbox.path("run/systemd/private");
    let _manager = UnixListener::bind(&private).expect("a socket");
    sandbox.env("PATH", format!("{bin}:/usr/bin:/bin"));
    let mut command = sandbox.command(FLEET);
    command.args(["ps", "--json"]);
    let begun = Instant::now();
    let document = Running::start(command, &sandbox.path("out"), b"")
        .wait(SOON)
        .json();
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    assert_eq!(document["manager"], false);
    assert_eq!(document["agents"][0]["health"], "healthy", "{document:#}");
    until(SOON, "both have been ended", || {
        sandbox
            .processes()
            .iter()
            .all(|(_, line)| !line.contains("sleep 600"))
    });
}
