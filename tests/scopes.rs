//! What belongs to an agent and ends with it: its scope, its limits, everything it has started.
//!
//! Each test has a service manager of its own, a real `systemctl --user`.

mod support;

use std::fs;

use nix::libc;
use support::{FLEET, Fleet, HOLDER, LATER, SOON, get, kill, pid_is_alive, scope, unit, until};

// ---------------------------------------------------------------- stop

/// A runtime that leaves its session, its parents and its signals behind in every way it can. The pids are in
/// the file.
fn stray(fleet: &Fleet, name: &str) -> (String, std::path::PathBuf) {
    let file = fleet.managed.path(&format!("{name}.strays"));
    let script = fleet.managed.script(
        &format!("rt/{name}"),
        &format!(
            "#!/bin/sh\ntrap '' HUP TERM\n\
             nohup sleep 1001 >/dev/null 2>&1 & echo $! >> {0}\n\
             setsid sh -c 'echo $$ >> {0}; exec sleep 1002' &\n\
             (setsid sh -c '(trap \"\" HUP TERM; echo $$ >> {0}; sleep 1003) & echo $! >> {0}; exec sleep 1004' &)\n\
             exec {FLEET} demo-tui\n",
            file.display()
        ),
    );
    (script.display().to_string(), file)
}

fn strays_of(file: &std::path::Path) -> Vec<i32> {
    get(SOON, "the pids of the strays", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let pids: Vec<i32> = text.lines().filter_map(|l| l.parse().ok()).collect();
        (pids.len() == 4).then_some(pids)
    })
}

#[test]
fn stopping_an_agent_ends_it_with_everything_it_started_and_nothing_else() {
    let Some(fleet) = Fleet::new("stop of one") else {
        return;
    };
    let mut strays = Vec::new();
    for name in ["coder0", "coder1"] {
        let (command, file) = stray(&fleet, name);
        fleet.env_file(
            &format!("agents/{name}.env"),
            &format!("MOSAIC_AGENT_COMMAND={command}\n"),
        );
        fleet.managed.must(&["start", &unit(name)]);
        strays.push(strays_of(&file));
    }
    let inside = fleet.managed.processes_in(&scope("coder0"));
    for pid in strays[0]
        .iter()
        .chain([&fleet.pid("coder0", "sidecar"), &fleet.pid("coder0", "pid")])
    {
        assert!(
            !pid_is_alive(*pid) || inside.contains(pid),
            "{pid} is not in {inside:?}"
        );
    }
    let sidecar = fleet.pid("coder0", "sidecar");
    fleet.managed.must(&["stop", &unit("coder0")]);
    // `stop` has returned: no waiting here.
    let left: Vec<_> = strays[0]
        .iter()
        .chain([&sidecar])
        .filter(|pid| pid_is_alive(**pid))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(fleet.is_active("coder0"), "inactive");
    assert_eq!(fleet.managed.show(&unit("coder0"), "Result"), "success");
    let beat = fleet.managed.heartbeat("coder0");
    assert_eq!(
        (beat["state"].as_str(), beat["reason"].as_str()),
        ("exited", "terminated")
    );
    assert!(!fleet.managed.socket("coder0").exists());
    let alive = |pid: &&i32| pid_is_alive(**pid);
    assert_eq!(strays[1].iter().filter(alive).count(), strays[1].len());
    assert_eq!(
        fleet.managed.status("coder1")["sidecar"],
        fleet.pid("coder1", "sidecar")
    );
    assert_eq!(fleet.is_active("coder1"), "active");
}

#[test]
fn stopping_the_holder_ends_all_agents_before_their_tmux_server() {
    let Some(fleet) = Fleet::new("stop of the holder") else {
        return;
    };
    for name in ["coder0", "coder1"] {
        fleet.start(name, "");
    }
    let agents = [fleet.pids("coder0"), fleet.pids("coder1")];
    let server = fleet.managed.main_pid(HOLDER);
    fleet.managed.must(&["stop", HOLDER]);
    for (sidecar, runtime) in agents {
        assert!(!pid_is_alive(sidecar) && !pid_is_alive(runtime));
    }
    assert!(!pid_is_alive(server));
    for name in ["coder0", "coder1"] {
        assert_eq!(fleet.is_active(name), "inactive");
        // Asked to end, and not by the terminal being taken away.
        assert_eq!(fleet.managed.heartbeat(name)["reason"], "terminated");
    }
    assert_eq!(fleet.managed.is_active(HOLDER), "inactive");
}

#[test]
fn the_holder_owns_the_server_and_leaves_somebody_elses_alone() {
    let Some(fleet) = Fleet::new("foreign server") else {
        return;
    };
    let made = fleet
        .managed
        .tmux(&["new-session", "-d", "-s", "mine", "sleep", "600"]);
    assert_eq!(made.code, 0, "{made:?}");
    let started = fleet.managed.systemctl(&["start", HOLDER]);
    assert_eq!(started.code, 1, "{started:?}");
    assert!(
        fleet.managed.log().contains("MOSAIC_TMUX_SOCKET"),
        "{}",
        fleet.managed.log()
    );
    // systemd tries a forking service again whatever its code was, up to the start limit.
    fleet.managed.wait_active(HOLDER, "failed");
    assert_eq!(fleet.managed.tmux(&["has-session", "-t", "=mine"]).code, 0);
}

// ---------------------------------------------------------------- scopes

#[test]
fn limits_of_the_environment_file_are_properties_of_the_agents_scope() {
    let Some(fleet) = Fleet::new("limits") else {
        return;
    };
    fleet.describe(
        "coder0",
        "",
        "MOSAIC_AGENT_MEMORY_MAX=512M\nMOSAIC_AGENT_CPU_QUOTA=150%\n",
    );
    fleet.managed.must(&["start", &unit("coder0")]);
    let show = |property| fleet.managed.show(&scope("coder0"), property);
    assert_eq!(show("MemoryMax"), (512 << 20).to_string());
    assert_eq!(show("CPUQuotaPerSecUSec"), "1.500000s");
    let (sidecar, runtime) = fleet.pids("coder0");
    assert_eq!(
        fleet.managed.processes_in(&scope("coder0")),
        [sidecar, runtime]
    );
    // In effect where the kernel lets this manager have the controllers.
    let effect =
        |file: &str| fs::read_to_string(fleet.managed.cgroup_of(&scope("coder0")).join(file));
    match effect("memory.max") {
        Ok(max) => assert_eq!(max.trim(), (512 << 20).to_string()),
        Err(_) => support::skip(
            "the effect of MemoryMax",
            "this manager has no memory controller",
        ),
    }
}

/// Nobody supervises this one: what its sidecar has left is ended by the next launch.
#[test]
fn a_launch_by_hand_has_a_scope_too_and_ends_what_an_earlier_one_has_left_in_it() {
    let Some(mut fleet) = Fleet::new("launch by hand") else {
        return;
    };
    let (command, file) = stray(&fleet, "coder0");
    fleet
        .managed
        .env("MOSAIC_AGENT_COMMAND", command)
        .env("MOSAIC_AGENT_RUNTIME", "demo");
    let launched = fleet.managed.agent(&["launch", "coder0"]);
    assert_eq!(launched.code, 0, "{launched:?}");
    assert!(!launched.stderr.contains("no scope"), "{launched:?}");
    let (sidecar, strays) = (fleet.pid("coder0", "sidecar"), strays_of(&file));
    let inside = fleet.managed.processes_in(&scope("coder0"));
    assert!(inside.contains(&sidecar), "{inside:?}");
    kill(sidecar, libc::SIGKILL);
    until(SOON, "the session is gone", || {
        fleet.managed.tmux(&["has-session", "-t", "=coder0"]).code != 0
    });
    // They have left everything that could have ended them.
    assert!(strays.iter().all(|pid| pid_is_alive(*pid)));
    let again = fleet.managed.agent(&["launch", "coder0"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(!strays.iter().any(|pid| pid_is_alive(*pid)));
    let inside = fleet.managed.processes_in(&scope("coder0"));
    assert!(inside.contains(&fleet.pid("coder0", "sidecar")));
}

/// tmux 3.4 and later, built with systemd, moves every pane into a scope of its own.
#[test]
fn a_tmux_that_makes_scopes_of_its_own_changes_nothing() {
    let Some(fleet) = Fleet::new("tmux-spawn scopes") else {
        return;
    };
    let tmux = fleet.managed.script(
        "bin/tmux",
        "#!/bin/sh\nfor word; do\n    shift\n    set -- \"$@\" \"$word\"\n\
         [ \"$word\" = -- ] && set -- \"$@\" systemd-run --user --scope --quiet --collect --unit=tmux-spawn-$$ --\n\
         done\nexec /usr/bin/tmux \"$@\"\n",
    );
    let (command, file) = stray(&fleet, "coder0");
    fleet.env_file(
        "agents/coder0.env",
        &format!(
            "MOSAIC_AGENT_COMMAND={command}\nMOSAIC_TMUX_BIN={}\n",
            tmux.display()
        ),
    );
    fleet.managed.must(&["start", &unit("coder0")]);
    let strays = strays_of(&file);
    let (sidecar, runtime) = fleet.pids("coder0");
    let inside = fleet.managed.processes_in(&scope("coder0"));
    assert!(
        inside.contains(&sidecar) && inside.contains(&runtime),
        "{inside:?}"
    );
    fleet.managed.must(&["stop", &unit("coder0")]);
    assert!(
        !strays
            .iter()
            .chain([&sidecar, &runtime])
            .any(|pid| pid_is_alive(*pid))
    );
}

#[test]
fn without_scopes_an_agent_is_launched_watched_and_stopped_all_the_same() {
    let Some(fleet) = Fleet::new("no scopes") else {
        return;
    };
    // A PATH with tmux on it and nothing of systemd.
    let bin = fleet.managed.path("bin");
    fs::create_dir(&bin).expect("a directory in the sandbox");
    for program in ["tmux", "sh", "sleep"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{program}"), bin.join(program))
            .expect("a link");
    }
    fleet.describe(
        "coder0",
        "--ignore-hup",
        &format!("PATH={}\n", bin.display()),
    );
    fleet.managed.must(&["start", &unit("coder0")]);
    assert!(
        fleet
            .managed
            .log()
            .contains("coder0 has no scope of its own"),
        "{}",
        fleet.managed.log()
    );
    let (sidecar, runtime) = fleet.pids("coder0");
    assert!(fleet.managed.processes_in(HOLDER).contains(&sidecar));
    kill(runtime, libc::SIGKILL);
    until(LATER, "another one", || {
        fleet.is_active("coder0") == "active" && fleet.pid("coder0", "sidecar") != sidecar
    });
    let (sidecar, runtime) = fleet.pids("coder0");
    fleet.managed.must(&["stop", &unit("coder0")]);
    assert!(!pid_is_alive(sidecar) && !pid_is_alive(runtime));
    assert_eq!(fleet.managed.is_active(HOLDER), "active");
}
