//! `mosaic-agent units`: the unit files of the fleet in a user's directory, with and without a manager.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{AGENT, FLEET, Managed, Output, Sandbox};

const NAMES: [&str; 3] = [
    "mosaic-tmux-holder.service",
    "mosaic-agent@.service",
    "mosaic-agent-end@.service",
];

fn dir(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".config/systemd/user")
}

#[track_caller]
fn units(sandbox: &Sandbox, args: &[&str]) -> Output {
    let output = sandbox.agent(&[&["units"], args].concat());
    assert_eq!(output.code, 0, "{output:?}");
    output
}

#[test]
fn install_puts_the_units_in_place_once_and_names_our_binaries() {
    let sandbox = Sandbox::new();
    let first = units(&sandbox, &["install"]);
    let text = |name: &str| fs::read_to_string(dir(&sandbox).join(name)).expect("the unit");
    assert!(text(NAMES[0]).contains(&format!("ExecStart={FLEET} hold\n")));
    assert!(text(NAMES[1]).contains(&format!("ExecStart={AGENT} launch --supervise %i\n")));
    assert!(text(NAMES[2]).contains(&format!("ExecStart={FLEET} end %i\n")));
    assert!(
        first
            .stdout
            .contains("next: systemctl --user enable --now mosaic-agent@NAME")
    );
    let stamp = |name: &str| {
        dir(&sandbox)
            .join(name)
            .metadata()
            .and_then(|m| m.modified())
            .expect("a time")
    };
    let before = NAMES.map(stamp);
    let again = units(&sandbox, &["install"]);
    assert_eq!(again.stdout.matches("(kept)").count(), 3, "{again:?}");
    assert_eq!(NAMES.map(stamp), before);
}

#[test]
fn without_a_manager_it_works_and_says_so() {
    let sandbox = Sandbox::new();
    let output = units(&sandbox, &["install"]);
    assert!(
        output
            .stderr
            .contains("no service manager of this user answers"),
        "{output:?}"
    );
    let json = units(&sandbox, &["status", "--json"]).json();
    assert_eq!(
        (&json["manager"], &json["schema"]),
        (&false.into(), &"mosaic.units/1".into())
    );
}

/// Whether root lingers here is not ours to change: the words are held against the machine's own file.
#[test]
fn missing_linger_is_named_with_the_command() {
    let sandbox = Sandbox::new();
    let output = units(&sandbox, &["install"]);
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .expect("a lookup")
        .expect("a user")
        .name;
    let lingers = Path::new("/var/lib/systemd/linger").join(&user).exists();
    let logind = Path::new("/var/lib/systemd").is_dir();
    let named = output
        .stderr
        .contains(&format!("loginctl enable-linger {user}"));
    assert_eq!(named, logind && !lingers, "{output:?}");
}

#[test]
fn additions_of_the_user_are_kept_and_shown() {
    let sandbox = Sandbox::new();
    for (unit, file) in [
        ("mosaic-agent@.service", "a.conf"),
        ("mosaic-agent@coder0.service", "b.conf"),
    ] {
        let dir = dir(&sandbox).join(format!("{unit}.d"));
        fs::create_dir_all(&dir).expect("a directory in the sandbox");
        fs::write(dir.join(file), "[Service]\nWatchdogSec=7\n").expect("a file in the sandbox");
    }
    units(&sandbox, &["install"]);
    let status = units(&sandbox, &["status", "--json"]).json();
    let expected = [
        "mosaic-agent@.service.d/a.conf",
        "mosaic-agent@coder0.service.d/b.conf",
    ];
    assert_eq!(
        status["units"][1]["drop_ins"],
        serde_json::json!(expected),
        "{status}"
    );
    units(&sandbox, &["remove"]);
    for file in expected {
        assert!(dir(&sandbox).join(file).exists(), "{file}");
    }
    for name in NAMES {
        assert!(!dir(&sandbox).join(name).exists(), "{name}");
    }
}

#[test]
fn a_unit_that_somebody_else_wrote_is_replaced_only_when_asked_and_kept_beside() {
    let sandbox = Sandbox::new();
    let (dir, old) = (dir(&sandbox), "[Service]\nExecStart=/old\n");
    fs::create_dir_all(&dir).expect("a directory in the sandbox");
    fs::write(dir.join(NAMES[1]), old).expect("a file in the sandbox");
    let refused = sandbox.agent(&["units", "install"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(
        refused.stderr.contains("--force") && refused.stderr.contains(NAMES[1]),
        "{refused:?}"
    );
    assert!(!dir.join(NAMES[0]).exists(), "nothing was written");
    let status = units(&sandbox, &["status"]);
    assert!(status.stdout.contains("foreign"), "{status:?}");
    units(&sandbox, &["remove"]);
    assert_eq!(fs::read_to_string(dir.join(NAMES[1])).expect("theirs"), old);
    units(&sandbox, &["install", "--force"]);
    let kept = dir.join(format!("{}.before-mosaic", NAMES[1]));
    assert_eq!(fs::read_to_string(kept).expect("theirs"), old);
}

#[test]
fn a_socket_that_somebody_elses_server_has_is_named_before_the_holder_fails_on_it() {
    let mut sandbox = Sandbox::new();
    let file = sandbox.home().join(".config/mosaic/fleet/fleet.env");
    fs::create_dir_all(file.parent().expect("a directory")).expect("a directory in the sandbox");
    let socket = sandbox.var("MOSAIC_TMUX_SOCKET").to_owned();
    fs::write(&file, format!("MOSAIC_TMUX_SOCKET=\"{socket}\"\n")).expect("a file in the sandbox");
    let named = |sandbox: &Sandbox| {
        let said = units(sandbox, &["status"]).stderr;
        said.contains("a server that is not the fleet's") && said.contains("fleet.env")
    };
    assert!(!named(&sandbox));
    let server = ["new-session", "-d", "-s", "mine", "sleep", "600"];
    assert_eq!(sandbox.tmux(&server).code, 0);
    assert!(named(&sandbox));
    fs::remove_file(&file).expect("the file");
    assert!(!named(&sandbox), "the fleet's is the default socket now");
    sandbox.env("MOSAIC_TMUX_SOCKET", "");
    assert_eq!(sandbox.tmux(&server).code, 0);
    assert!(named(&sandbox));
}

#[test]
fn units_of_another_version_are_outdated_and_replaced() {
    let sandbox = Sandbox::new();
    units(&sandbox, &["install"]);
    let path = dir(&sandbox).join(NAMES[1]);
    let text = fs::read_to_string(&path).expect("the unit");
    fs::write(&path, text.replace("WatchdogSec=30", "WatchdogSec=60"))
        .expect("a file in the sandbox");
    let status = units(&sandbox, &["status", "--json"]).json();
    assert_eq!(status["units"][1]["file"], "outdated", "{status}");
    units(&sandbox, &["install"]);
    assert_eq!(fs::read_to_string(&path).expect("the unit"), text);
}

#[test]
fn the_manager_knows_the_units_at_once_and_forgets_them_with_their_links() {
    let Some(managed) = Managed::start("units install") else {
        return;
    };
    units(&managed, &["install"]);
    managed.must(&["enable", "mosaic-agent@coder0.service"]);
    assert_eq!(
        managed.show("mosaic-agent@coder0.service", "LoadState"),
        "loaded"
    );
    let status = units(&managed, &["status", "--json"]).json();
    assert_eq!(status["manager"], true, "{status}");
    let removed = units(&managed, &["remove"]);
    assert!(
        removed.stderr.contains("agents that run keep running"),
        "{removed:?}"
    );
    assert_eq!(
        managed.show("mosaic-agent@coder0.service", "LoadState"),
        "not-found"
    );
    let link = dir(&managed).join("default.target.wants/mosaic-agent@coder0.service");
    assert!(fs::symlink_metadata(link).is_err());
}

#[test]
fn the_document_is_as_its_schema_says() {
    let sandbox = Sandbox::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/units.json");
    let schema = serde_json::from_slice(&fs::read(path).expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for verb in ["status", "install", "install", "remove"] {
        let document = units(&sandbox, &[verb, "--json"]).json();
        assert!(validator.is_valid(&document), "{verb}: {document}");
    }
}
