//! A fleet as systemd sees it: the units, the supervising monitor, and how both end.
//!
//! Each test has a service manager of its own, a real `systemctl --user`.

mod support;

use std::fs;

use nix::libc;
use support::{
    FLEET, Fleet, HOLDER, LATER, SOON, always, kill, ms, pid_is_alive, scope, unit, until,
};

// ---------------------------------------------------------------- up, and what it says

#[test]
fn the_unit_is_up_when_the_sidecar_answers_and_its_status_line_tells_the_state_and_the_last_receipt()
 {
    let Some(fleet) = Fleet::new("ready") else {
        return;
    };
    // A watchdog this short makes the monitor ask every 0.7 s.
    fleet.watchdog(2);
    fleet.start("coder0", "");
    // `start` has returned: no waiting here.
    assert_eq!(fleet.is_active("coder0"), "active");
    assert_eq!(fleet.managed.status("coder0")["schema"], "mosaic.status/1");
    let monitor = fleet.managed.main_pid(&unit("coder0"));
    assert_eq!(fleet.managed.processes_in(&unit("coder0")), [monitor]);
    let says = |text: &str| {
        fleet
            .managed
            .show(&unit("coder0"), "StatusText")
            .contains(text)
    };
    until(SOON, "the status line says ready", || says("ready ("));
    fleet.send("coder0", "hello", "m-1");
    until(SOON, "the status line has the receipt", || {
        says("last message accepted at 20") && says("id=m-1")
    });
    // It is alive well beyond its watchdog.
    always(ms(3_000), "it is active", || {
        fleet.is_active("coder0") == "active"
    });
    assert_eq!(fleet.managed.main_pid(&unit("coder0")), monitor);
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let Some(fleet) = Fleet::new("verify") else {
        return;
    };
    let units = [
        "mosaic-tmux-holder.service",
        "mosaic-agent@x.service",
        "mosaic-agent-end@x.service",
    ];
    let mut command = fleet.managed.command("systemd-analyze");
    command.args(["--user", "verify"]).args(units);
    let output = command.output().expect("systemd-analyze runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn an_agents_environment_file_is_read_as_systemd_reads_it() {
    let Some(fleet) = Fleet::new("environment file") else {
        return;
    };
    let argv = fleet.managed.path("argv");
    let script = fleet.managed.script(
        "rt/run time",
        &format!(
            "#!/bin/sh\nprintf '%s|' \"$0\" \"$ODD\" \"$@\" > {}\nexec {FLEET} demo-tui\n",
            argv.display()
        ),
    );
    fleet.env_file(
        "agents/coder0.env",
        &format!(
            "# a comment\n; another\nMOSAIC_AGENT_COMMAND=\"'{}' --say 'two  words' \\\"it's\\\" --x=\\\"a b\\\"\"\n\
             ODD='not $HOME, not `date`'\nMOSAIC_AGENT_WORKDIR=\"{}/work dir\"\nMOSAIC_HEARTBEAT_INTERVAL=7\n",
            script.display(),
            fleet.managed.home().display(),
        ),
    );
    fleet.managed.must(&["start", &unit("coder0")]);
    let expected = format!(
        "{}|not $HOME, not `date`|--say|two  words|it's|--x=a b|",
        script.display()
    );
    assert_eq!(fs::read_to_string(argv).expect("its arguments"), expected);
    assert_eq!(fleet.managed.heartbeat("coder0")["interval"], "7");
    let cwd = fs::read_link(format!("/proc/{}/cwd", fleet.pid("coder0", "pid")));
    assert_eq!(
        cwd.expect("its directory"),
        fleet.managed.home().join("work dir")
    );
}

// ---------------------------------------------------------------- ends of the agent

#[test]
fn an_agent_that_ends_by_itself_with_0_is_a_clean_stop() {
    let Some(fleet) = Fleet::new("exit 0") else {
        return;
    };
    fleet.start("coder0", "--exit-after-ms 700");
    fleet.managed.wait_active(&unit("coder0"), "inactive");
    assert_eq!(fleet.managed.show(&unit("coder0"), "Result"), "success");
    always(ms(800), "it stays down", || {
        fleet.is_active("coder0") == "inactive"
    });
    assert_eq!(fleet.log("coder0").0.of("ready").len(), 1);
}

#[test]
fn an_agent_that_fails_fails_its_unit_with_its_own_code_and_is_started_again() {
    let Some(fleet) = Fleet::new("exit codes") else {
        return;
    };
    for (name, end, code) in [
        ("exits", "--exit-after-ms 700 --exit-code 3", "3"),
        ("killed", "", "137"),
    ] {
        fleet.restart_after(1);
        fleet.start(name, end);
        let (_, runtime) = fleet.pids(name);
        if end.is_empty() {
            kill(runtime, libc::SIGKILL);
        }
        until(SOON, "the unit has failed with the runtime's code", || {
            fleet.managed.show(&unit(name), "ExecMainStatus") == code
        });
        assert_ne!(fleet.is_active(name), "active");
        assert_eq!(fleet.managed.show(&unit(name), "Result"), "exit-code");
        fleet.managed.wait_active(&unit(name), "active");
        assert_ne!(fleet.pid(name, "pid"), runtime);
        assert_eq!(fleet.managed.show(&unit(name), "NRestarts"), "1");
    }
}

#[test]
fn an_agent_that_is_stopped_stays_down_with_its_unit_and_comes_back_by_restart() {
    let Some(fleet) = Fleet::new("stop and restart") else {
        return;
    };
    fleet.restart_after(0);
    // One that quits when asked, and one that must be killed.
    for (name, options, draft) in [("polite", "", ""), ("rude", "--ignore-term", "a draft")] {
        fleet.start(name, options);
        fleet.managed.wait_state(name, "ready");
        let (sidecar, _) = fleet.pids(name);
        let restarted = fleet.managed.agent(&["restart", name]);
        assert_eq!(restarted.code, 0, "{restarted:?}");
        assert_eq!(fleet.is_active(name), "active");
        assert_ne!(fleet.pid(name, "sidecar"), sidecar);
        fleet.managed.wait_state(name, "ready");
        if !draft.is_empty() {
            fleet.managed.tmux(&["send-keys", "-t", name, "-l", draft]);
            until(SOON, "a draft", || {
                fleet.managed.status(name)["draft"] == true
            });
        }
        let (sidecar, runtime) = fleet.pids(name);
        let stopped = fleet.managed.agent(&["stop", name]);
        assert_eq!(stopped.code, 0, "{stopped:?}");
        assert_eq!(
            stopped.stdout.contains("SIGKILL"),
            !draft.is_empty(),
            "{stopped:?}"
        );
        assert!(!pid_is_alive(sidecar) && !pid_is_alive(runtime));
        assert_eq!(fleet.is_active(name), "inactive");
        assert_eq!(fleet.managed.show(&unit(name), "Result"), "success");
        always(ms(500), "it stays down", || {
            fleet.is_active(name) == "inactive"
        });
    }
}

#[test]
fn what_a_restart_cannot_mend_is_not_restarted() {
    let Some(fleet) = Fleet::new("RestartPreventExitStatus") else {
        return;
    };
    fleet.restart_after(0);
    for (name, lines, code) in [
        ("missing", "MOSAIC_AGENT_COMMAND=no-such-runtime\n", "127"),
        ("config", "MOSAIC_HEARTBEAT_INTERVAL=soon\n", "78"),
        ("limits", "MOSAIC_AGENT_MEMORY_MAX=much\n", "78"),
        ("tmuxless", "MOSAIC_TMUX_BIN=no-such-tmux\n", "69"),
    ] {
        fleet.describe(name, "", lines);
        let started = fleet.managed.systemctl(&["start", &unit(name)]);
        assert_eq!(started.code, 1, "{name}: {started:?}");
        let show = |property| fleet.managed.show(&unit(name), property);
        assert_eq!(
            show("ExecMainStatus"),
            code,
            "{name}: {}",
            fleet.managed.log()
        );
        always(ms(500), "it stays down", || show("ActiveState") == "failed");
        assert_eq!(show("NRestarts"), "0", "{name}");
    }
    assert!(fleet.managed.log().contains("no-such-runtime"));
}

#[test]
fn a_killed_sidecar_takes_its_runtime_along_and_the_unit_says_so_until_the_next_one_answers() {
    let Some(fleet) = Fleet::new("SIGKILL of the sidecar") else {
        return;
    };
    fleet.start("coder0", "--ignore-hup --ignore-term");
    let (sidecar, runtime) = fleet.pids("coder0");
    kill(sidecar, libc::SIGKILL);
    until(ms(1_000), "the runtime is gone", || !pid_is_alive(runtime));
    // Whenever the unit is said to be active, a sidecar that is not the dead one answers.
    until(SOON, "the unit is not active", || {
        fleet.is_active("coder0") != "active"
    });
    fleet.managed.wait_active(&unit("coder0"), "active");
    let status = fleet.managed.status("coder0");
    assert_ne!(status["sidecar"], sidecar, "{status}");
    assert!(
        status["pid"].as_i64().is_some_and(|pid| pid > 1),
        "{status}"
    );
    assert_eq!(fleet.managed.show(&unit("coder0"), "NRestarts"), "1");
}

#[test]
fn a_pane_that_somebody_kills_is_a_failure_and_comes_back() {
    let Some(fleet) = Fleet::new("kill-session") else {
        return;
    };
    fleet.start("coder0", "");
    let (sidecar, _) = fleet.pids("coder0");
    fleet.managed.tmux(&["kill-session", "-t", "=coder0"]);
    until(LATER, "another sidecar", || {
        fleet
            .managed
            .find_heartbeat("coder0")
            .is_some_and(|b| b["state"] != "exited" && b["sidecar"] != sidecar.to_string())
    });
    fleet.managed.wait_active(&unit("coder0"), "active");
}

#[test]
fn a_tmux_server_that_is_killed_comes_back_with_its_agents_and_nothing_old_is_left() {
    let Some(fleet) = Fleet::new("SIGKILL of the tmux server") else {
        return;
    };
    for name in ["coder0", "coder1"] {
        fleet.start(name, "--ignore-hup");
    }
    let old = [fleet.pids("coder0"), fleet.pids("coder1")];
    kill(fleet.managed.main_pid(HOLDER), libc::SIGKILL);
    for (sidecar, runtime) in old {
        until(SOON, "the old ones are gone", || {
            !pid_is_alive(sidecar) && !pid_is_alive(runtime)
        });
    }
    for (name, (sidecar, _)) in ["coder0", "coder1"].into_iter().zip(old) {
        until(LATER, "a new one is up", || {
            fleet.is_active(name) == "active" && fleet.pid(name, "sidecar") != sidecar
        });
    }
    assert_eq!(fleet.managed.is_active(HOLDER), "active");
    // Also where no agent wants it back.
    fleet
        .managed
        .must(&["stop", &unit("coder0"), &unit("coder1")]);
    let server = fleet.managed.main_pid(HOLDER);
    kill(server, libc::SIGKILL);
    until(LATER, "another server", || {
        let now = fleet.managed.show(HOLDER, "MainPID");
        now != "0" && now != server.to_string()
    });
}

// ---------------------------------------------------------------- ends of the monitor

#[test]
fn a_killed_or_frozen_monitor_comes_back_and_adopts_its_running_agent() {
    let Some(fleet) = Fleet::new("adoption") else {
        return;
    };
    fleet.watchdog(2);
    fleet.start("coder0", "");
    let agent = fleet.pids("coder0");
    for (signal, result) in [(libc::SIGKILL, "killed"), (libc::SIGSTOP, "frozen")] {
        let monitor = fleet.managed.main_pid(&unit("coder0"));
        kill(monitor, signal);
        until(
            LATER,
            &format!("another monitor than the {result} one"),
            || {
                fleet.is_active("coder0") == "active"
                    && fleet.managed.main_pid(&unit("coder0")) != monitor
            },
        );
        assert_eq!(fleet.pids("coder0"), agent, "{result}");
        assert!(pid_is_alive(agent.0) && pid_is_alive(agent.1), "{result}");
        fleet.send("coder0", &format!("after it was {result}"), result);
    }
    assert_eq!(fleet.log("coder0").0.of("ready").len(), 1);
    // It holds what it has adopted.
    kill(agent.1, libc::SIGKILL);
    until(SOON, "the unit ends with its agent", || {
        fleet.is_active("coder0") != "active"
    });
}

#[test]
fn a_frozen_sidecar_feeds_no_watchdog_and_is_replaced() {
    let Some(fleet) = Fleet::new("watchdog") else {
        return;
    };
    fleet.watchdog(2);
    fleet.start("coder0", "");
    let (sidecar, runtime) = fleet.pids("coder0");
    // tmux continues a pane's process that is stopped by a signal.
    let freezer = fleet
        .managed
        .cgroup_of(&scope("coder0"))
        .join("cgroup.freeze");
    fs::write(freezer, "1").expect("the scope can be frozen");
    until(LATER, "the watchdog has bitten", || {
        fleet.managed.show(&unit("coder0"), "Result") == "watchdog"
    });
    until(LATER, "the old ones are gone", || {
        !pid_is_alive(sidecar) && !pid_is_alive(runtime)
    });
    fleet.managed.wait_active(&unit("coder0"), "active");
    assert_ne!(fleet.pid("coder0", "sidecar"), sidecar);
    fleet.send("coder0", "hello", "m-1");
}

#[test]
fn a_unit_that_is_down_has_no_agent_however_its_monitor_ended() {
    let Some(fleet) = Fleet::new("nothing is left") else {
        return;
    };
    // Stopped while it waits to be restarted: no monitor is there to be told.
    fleet.restart_after(600);
    fleet.start("waiting", "--ignore-hup");
    let waiting = fleet.pids("waiting");
    kill(fleet.managed.main_pid(&unit("waiting")), libc::SIGKILL);
    fleet.managed.wait_active(&unit("waiting"), "activating");
    assert!(pid_is_alive(waiting.0) && pid_is_alive(waiting.1));
    fleet.managed.must(&["stop", &unit("waiting")]);
    until(LATER, "the agent is gone", || {
        !pid_is_alive(waiting.0) && !pid_is_alive(waiting.1)
    });
    assert_eq!(fleet.managed.heartbeat("waiting")["reason"], "terminated");
    // Failed for good.
    fleet
        .managed
        .drop_in("mosaic-agent@final.service", "[Service]\nRestart=no\n");
    fleet.start("final", "--ignore-hup");
    let last = fleet.pids("final");
    kill(fleet.managed.main_pid(&unit("final")), libc::SIGKILL);
    until(LATER, "the agent is gone", || {
        !pid_is_alive(last.0) && !pid_is_alive(last.1)
    });
    assert_eq!(fleet.is_active("final"), "failed");
}

#[test]
fn an_agent_that_is_wedged_for_too_long_is_started_again_where_that_is_asked_for() {
    let Some(fleet) = Fleet::new("wedged") else {
        return;
    };
    fleet.watchdog(2);
    fleet.describe("patient", "", "");
    fleet.describe("strict", "", "MOSAIC_AGENT_RESTART_WEDGED=2s\n");
    fleet
        .managed
        .must(&["start", &unit("patient"), &unit("strict")]);
    let (patient, strict) = (fleet.pids("patient"), fleet.pids("strict"));
    for (_, runtime) in [patient, strict] {
        kill(runtime, libc::SIGSTOP);
    }
    until(LATER, "the strict one has been replaced", || {
        fleet.is_active("strict") == "active" && fleet.pid("strict", "sidecar") != strict.0
    });
    assert!(!pid_is_alive(strict.1));
    assert_eq!(fleet.pid("patient", "sidecar"), patient.0);
    assert!(
        fleet
            .managed
            .show(&unit("patient"), "StatusText")
            .contains("wedged")
    );
}
