//! Real runtimes as units: started from a bare environment, restarted, and spoken to.
//!
//! codex is picky about its terminal, pi about nothing; both must come up where nobody has ever logged in.

mod support;
mod trials;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::runtimes::{available, skip};
use support::{Managed, until};
use trials::Stub;

/// A directory outside of /tmp, where codex dislikes a home. Goes with the test.
struct Home(PathBuf);

impl Home {
    fn new(runtime: &str) -> Home {
        let path = format!("/var/tmp/mosaic-systemd-{}-{runtime}", std::process::id());
        fs::create_dir(&path).expect("a directory can be made");
        Home(path.into())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn pi_answers_after_a_restart_of_its_unit() {
    answers_after_a_restart("pi");
}

#[test]
fn codex_answers_after_a_restart_of_its_unit() {
    answers_after_a_restart("codex");
}

fn answers_after_a_restart(runtime: &str) {
    if let Err(why) = available(runtime) {
        return skip(runtime, &why);
    }
    let home = Home::new(runtime);
    let stub = Stub::start(&home.0);
    let Some(managed) = Managed::start(runtime) else {
        return;
    };
    let made = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/runtimes/prepare"
    ))
    .arg(runtime)
    .arg(home.0.join("rt"))
    .arg(&stub.port)
    .output()
    .expect("tests/runtimes/prepare runs");
    assert!(made.status.success(), "{made:?}");
    let command = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert_eq!(managed.agent(&["units", "install"]).code, 0);
    let fleet = managed.path("home/.config/mosaic/fleet");
    fs::create_dir_all(fleet.join("agents")).expect("a directory in the sandbox");
    // The manager itself runs under `env -i`: this is all that the agent gets.
    let text = format!(
        "TMUX_TMPDIR={}\nMOSAIC_TMUX_SOCKET={}\nMOSAIC_AGENT_RUNTIME={runtime}\nMOSAIC_AGENT_COMMAND={command}\n",
        managed.var("TMUX_TMPDIR"),
        managed.var("MOSAIC_TMUX_SOCKET"),
    );
    fs::write(fleet.join("fleet.env"), text).expect("a file in the sandbox");
    let unit = "mosaic-agent@coder0.service";
    managed.must(&["start", unit]);
    managed.wait_state("coder0", "ready");
    let first = managed.heartbeat("coder0");
    managed.must(&["restart", unit]);
    managed.wait_state("coder0", "ready");
    let second = managed.heartbeat("coder0");
    assert_ne!(first["sidecar"], second["sidecar"]);
    assert!(!support::pid_is_alive(first["pid"].parse().expect("a pid")));
    let text = "Are you there after the restart?";
    let sent = managed.agent(&["send", "--verify", "coder0", "-m", text]);
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.stdout.starts_with("accepted"), "{sent:?}");
    until(support::SOON, "the model has got it", || {
        stub.got(text).is_some()
    });
}
