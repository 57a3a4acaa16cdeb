//! An upgrade in place under systemd: the unit's monitor comes along, and the unit notices nothing.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use nix::libc;
use serde_json::Value;
use support::{
    AGENT, FLEET, Fleet, LATER, MONITOR, SOON, always, kill, ms, pid_is_alive, unit, until,
};

/// The programs without the small monitor once more, in a directory of their own: its `mosaic-agent`.
fn next_binaries(fleet: &Fleet, dir: &str) -> PathBuf {
    copies(fleet, dir, &[AGENT, FLEET])
}

fn copies(fleet: &Fleet, dir: &str, programs: &[&str]) -> PathBuf {
    let dir = fleet.managed.path(dir);
    fs::create_dir(&dir).expect("a directory in the sandbox");
    for file in programs {
        // Not written by us: a file that was open for writing in this process cannot be executed by its children.
        let copied = std::process::Command::new("cp")
            .args([Path::new(file), &dir])
            .status();
        assert!(copied.expect("cp runs").success());
    }
    dir.join("mosaic-agent")
}

/// What the upgrade of `coder0` has told.
#[track_caller]
fn upgraded(fleet: &Fleet, to: &Path) -> Value {
    let to = to.display().to_string();
    let output = fleet
        .managed
        .agent(&["upgrade", "--json", "--to", &to, "coder0"]);
    assert_eq!(output.code, 0, "{output:?}");
    output.json()
}

fn executable(pid: i32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("a process")
}

#[test]
fn the_monitor_of_a_unit_becomes_the_next_binary_too_and_the_unit_notices_nothing() {
    let Some(fleet) = Fleet::new("upgrade of the monitor") else {
        return;
    };
    fleet.managed.drop_in(
        "mosaic-agent@.service",
        "[Service]\nWatchdogSec=3\nRestartSec=1\n",
    );
    fleet.start("coder0", "");
    let (sidecar, runtime) = fleet.pids("coder0");
    let monitor = fleet.managed.main_pid(&unit("coder0"));
    let show = |property| fleet.managed.show(&unit("coder0"), property);
    let begun = show("ActiveEnterTimestampMonotonic");

    let executed = executable(monitor);
    assert!(executed.ends_with("mosaic-monitor"), "{executed:?}");
    for (dir, programs) in [
        ("next", [AGENT, MONITOR].as_slice()),
        ("after-that", &[AGENT, FLEET]),
    ] {
        let next = copies(&fleet, dir, programs);
        let told = upgraded(&fleet, &next);
        assert_eq!(told["monitor"]["fate"], "upgraded", "{told}");
        assert_eq!(told["monitor"]["pid"], monitor, "{told}");
        let watches = Path::new(programs[1]).file_name().expect("a program");
        assert_eq!(executable(monitor), next.with_file_name(watches));
        assert_eq!(executable(sidecar), next);
    }
    assert_eq!(fleet.managed.main_pid(&unit("coder0")), monitor);
    assert_eq!(fleet.pids("coder0"), (sidecar, runtime));
    fleet.send("coder0", "hello", "m-1");
    // It is asked and says so, well beyond its watchdog, and was up all the time.
    until(SOON, "the status line has the receipt", || {
        show("StatusText").contains("id=m-1")
    });
    always(ms(4_000), "it is active", || {
        fleet.is_active("coder0") == "active"
    });
    assert_eq!(show("ActiveEnterTimestampMonotonic"), begun);
    assert_eq!(show("NRestarts"), "0");
    // It holds what the binary before has held.
    kill(runtime, libc::SIGKILL);
    until(SOON, "the unit has failed with the runtime's code", || {
        show("ExecMainStatus") == "137"
    });
    fleet.managed.wait_active(&unit("coder0"), "active");
    assert_ne!(fleet.managed.main_pid(&unit("coder0")), monitor);
}

#[test]
fn a_monitor_that_was_upgraded_ends_its_agent_when_it_is_asked_to() {
    let Some(fleet) = Fleet::new("stop of an upgraded monitor") else {
        return;
    };
    fleet.start("coder0", "");
    let (sidecar, runtime) = fleet.pids("coder0");
    let told = upgraded(&fleet, &next_binaries(&fleet, "next"));
    assert_eq!(told["monitor"]["fate"], "upgraded", "{told}");
    fleet.managed.must(&["stop", &unit("coder0")]);
    assert!(!pid_is_alive(sidecar) && !pid_is_alive(runtime));
    assert_eq!(fleet.managed.show(&unit("coder0"), "Result"), "success");
}

#[test]
fn a_next_binary_that_does_not_run_leaves_the_monitor_as_it_was() {
    let Some(fleet) = Fleet::new("upgrade to what does not run") else {
        return;
    };
    fleet.watchdog(6);
    fleet.start("coder0", "");
    let agent = fleet.pids("coder0");
    let monitor = fleet.managed.main_pid(&unit("coder0"));
    let old = executable(monitor);
    for (dir, script, why) in [
        ("broken", "echo 'out of order' >&2; exit 3", "out of order"),
        ("hangs", "exec sleep 60", "has not answered"),
    ] {
        let next = next_binaries(&fleet, dir);
        fleet.managed.script(
            &format!("{dir}/mosaic-fleet"),
            &format!("#!/bin/sh\n{script}\n"),
        );
        let told = upgraded(&fleet, &next);
        let monitors = &told["monitor"];
        assert_eq!(monitors["fate"], "kept", "{told}");
        assert!(
            monitors["why"]
                .as_str()
                .is_some_and(|said| said.contains(why)),
            "{told}"
        );
        // It sees by itself that its sidecar was replaced, and tries.
        until(LATER, "the monitor says why", || {
            let log = fleet.managed.log();
            log.contains(
                &format!(
                    "does not become {}/mosaic-fleet",
                    next.with_file_name("").display()
                )
                .replace("//", "/"),
            ) && log.contains(why)
        });
        assert_eq!(executable(monitor), old);
    }
    let alone = next_binaries(&fleet, "alone");
    fs::remove_file(alone.with_file_name("mosaic-fleet")).expect("a file");
    let told = upgraded(&fleet, &alone);
    assert_eq!(told["monitor"]["fate"], "kept", "{told}");
    always(ms(7_000), "it is active", || {
        fleet.is_active("coder0") == "active"
    });
    assert_eq!(fleet.managed.main_pid(&unit("coder0")), monitor);
    assert_eq!(fleet.pids("coder0"), agent);
    // And it can be upgraded still.
    let told = upgraded(&fleet, &next_binaries(&fleet, "whole"));
    assert_eq!(told["monitor"]["fate"], "upgraded", "{told}");
    assert_eq!(fleet.managed.main_pid(&unit("coder0")), monitor);
}
