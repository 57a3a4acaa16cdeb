//! `hooks install|remove|status`: somebody else's files, given back as they were.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use mosaic_agent::pure::hookfile::{self, Removed, State, Wanted};
use serde_json::{Value, json};
use support::{AGENT, FLEET, LATER, Output, Running, SOON, Sandbox};

// ---------------------------------------------------------------- settings files, as text

/// Settings as people and programs write them.
const REAL: [&str; 34] = [
    "",
    "\n",
    " \r\n\t\n",
    "{}",
    "{}\n",
    "{ }",
    "{\n}\n",
    "{\r\n}\r\n",
    "\u{feff}{}\n",
    "\u{feff}",
    "{ // nothing yet\n}\n",
    "{ /* nothing yet */ }",
    "// a file of mine\n{\n  // with nothing in it\n}\n// really\n",
    "{\"model\":\"opus\"}",
    "{ \"model\": \"opus\" }\n",
    "{\n  \"model\": \"opus\"\n}\n",
    "{\n  \"model\": \"opus\"\n}",
    "{\n\t\"model\": \"opus\",\n\t\"env\": {\n\t\t\"A\": \"1\"\n\t}\n}\n",
    "{\r\n    \"model\": \"opus\",\r\n    \"x\": [1, 2]\r\n}\r\n",
    "{\n  \"model\": \"opus\", // the big one\n  \"a\": 1, // trailing comma\n}\n",
    "{\n  \"model\": \"opus\" // the big one\n  /* and no more */\n}\n",
    "{\n  \"hooks\": {}\n}\n",
    "{\"hooks\":{}}",
    "{\n  \"hooks\": {\n  }\n}\n",
    "{\n  \"hooks\": {\"Stop\": []}\n}\n",
    "{\n  \"hooks\": {\n    \"Stop\": [\n    ],\n    \"UserPromptSubmit\": [ ]\n  }\n}\n",
    "{\n  \"hooks\": {\n    \"Stop\": [\n      // beep\n    ]\n  },\n  \"z\": null\n}\n",
    "{\n  \"hooks\": {\n    \"UserPromptSubmit\": [\n      {\n        \"hooks\": [\n          {\n            \"type\": \"command\",\n            \"command\": \"/opt/guard # mine\"\n          }\n        ]\n      }\n    ]\n  }\n}\n",
    "{\"hooks\":{\"UserPromptSubmit\":[{\"hooks\":[{\"type\":\"command\",\"command\":\"x\"}]}],\"PreToolUse\":[{\"matcher\":\"Bash\",\"hooks\":[]}]}}",
    "{\n   \"hooks\": {\n      \"PreToolUse\": [{\"matcher\": \"Bash\", \"hooks\": [{\"type\": \"command\", \"command\": \"y\"}]}], // mine\n      \"Stop\": [{\"hooks\": [{\"type\": \"prompt\", \"prompt\": \"done?\"}]},],\n   },\n   \"permissions\": {\"allow\": [\"Bash(ls:*)\"]},\n}",
    "{\n\n  \"a\": \"\\u00e9 \\\"{[,]}\\\" // no comment\",\n\n\n  \"b\": -1.5e3\n\n}\n\n\n",
    "{\"a\": 1,\n \"b\": 2}",
    "{\n\"a\":1,\n\"hooks\":\n{\n\"Stop\":\n[\n]\n}\n}",
    "{\n  \"日本\": \"語\",\n  \"hooks\": {\"SessionEnd\": [{\"hooks\": []}]}\n}\n",
];

fn events() -> Vec<String> {
    ["UserPromptSubmit", "Stop", "SessionStart"]
        .map(str::to_owned)
        .to_vec()
}

const AT: &str = "/opt/mosaic o'hara/bin/mosaic-agent";

#[track_caller]
fn installed(text: Result<&str, u8>, agent: &str) -> String {
    let events = events();
    let wanted = Wanted {
        events: &events,
        agent,
    };
    match hookfile::install(text, wanted) {
        Ok(installed) => installed,
        Err(e) => panic!("{text:?}: {e}"),
    }
}

#[track_caller]
fn removed(text: &str) -> Removed {
    hookfile::remove(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn state(text: &str) -> State {
    let events = events();
    hookfile::inspect(
        text,
        Wanted {
            events: &events,
            agent: AT,
        },
    )
    .expect("it can be read")
}

/// Without comments and trailing commas, as a runtime reads it.
fn read(text: &str) -> Value {
    use jsonc_parser::{ParseOptions, parse_to_ast};
    let text = text.trim_start_matches('\u{feff}');
    let parsed = parse_to_ast(text, &Default::default(), &ParseOptions::default());
    fn value(v: &jsonc_parser::ast::Value<'_>) -> Value {
        use jsonc_parser::ast::Value::*;
        match v {
            StringLit(s) => Value::from(s.value.as_ref()),
            NumberLit(n) => serde_json::from_str(n.value).expect("a number"),
            BooleanLit(b) => Value::from(b.value),
            NullKeyword(_) => Value::Null,
            Array(a) => a.elements.iter().map(value).collect(),
            Object(o) => {
                let pair = |p: &jsonc_parser::ast::ObjectProp<'_>| {
                    (p.name.as_str().to_owned(), value(&p.value))
                };
                Value::Object(o.properties.iter().map(pair).collect())
            }
        }
    }
    let parsed = parsed.unwrap_or_else(|e| panic!("{e}:\n{text}"));
    parsed.value.map_or(Value::Null, |v| value(&v))
}

#[test]
fn what_was_installed_can_be_taken_out_to_the_byte() {
    for text in REAL {
        let with = installed(Ok(text), AT);
        assert_eq!(state(&with), State::Installed, "{with}");
        let left = Removed {
            text: Some(text.to_owned()),
            dirs: 0,
        };
        assert_eq!(removed(&with), left, "{with}");
        assert_eq!(removed(text), left, "nothing of ours: nothing taken");
    }
    let with = installed(Err(3), AT);
    assert_eq!(
        removed(&with),
        Removed {
            text: None,
            dirs: 3
        }
    );
}

#[test]
fn an_installed_file_is_the_old_one_and_our_hooks_to_whoever_reads_it() {
    for text in REAL {
        let (before, after) = (read(text), read(&installed(Ok(text), AT)));
        let mut expected = if before.is_null() { json!({}) } else { before };
        for event in events() {
            let found = after["hooks"][&event].as_array().and_then(|a| a.last());
            let ours = found.expect("our group is the last").clone();
            let handlers = ours["hooks"].as_array().expect("handlers");
            assert_eq!(
                (handlers.len(), &handlers[0]["type"]),
                (1, &json!("command"))
            );
            if expected["hooks"][&event].is_null() {
                expected["hooks"][&event] = json!([]);
            }
            let list = expected["hooks"][&event].as_array_mut().expect("a list");
            list.push(ours);
        }
        assert_eq!(after, expected, "{text}");
    }
}

#[test]
fn the_manner_of_the_file_is_kept() {
    let tabs = installed(Ok("{\n\t\"model\": \"opus\"\n}\n"), AT);
    assert!(
        tabs.contains("\n\t\"hooks\": {\n\t\t\"UserPromptSubmit\": [\n\t\t\t{"),
        "{tabs}"
    );
    let crlf = installed(Ok("{\r\n    \"model\": \"opus\"\r\n}\r\n"), AT);
    assert_eq!(
        crlf.matches('\n').count(),
        crlf.matches("\r\n").count(),
        "{crlf}"
    );
    let one_line = installed(Ok("{\"model\":\"opus\"}"), AT);
    assert!(!one_line.contains('\n'), "{one_line}");
}

#[test]
fn installing_again_changes_nothing_and_for_another_place_only_our_own() {
    for text in REAL {
        let once = installed(Ok(text), AT);
        assert_eq!(installed(Ok(&once), AT), once);
        let moved = installed(Ok(&once), "/elsewhere/mosaic-agent");
        assert_eq!(state(&moved), State::Outdated);
        assert!(
            !moved.contains("o'hara") && !moved.contains("hara/bin"),
            "{moved}"
        );
        assert_eq!(removed(&moved).text.as_deref(), Some(text));
    }
    let moved = installed(Ok(&installed(Err(2), AT)), "/elsewhere/mosaic-agent");
    assert_eq!(
        removed(&moved),
        Removed {
            text: None,
            dirs: 2
        }
    );
}

#[test]
fn what_somebody_edited_meanwhile_stays() {
    // A member behind ours, a handler of theirs in our group, an event of theirs in our `hooks`.
    let with = installed(Ok("{\n  \"model\": \"opus\"\n}\n"), AT);
    let behind = with.replacen("\n}\n", ",\n  \"new\": true // mine\n}\n", 1);
    let left = "{\n  \"model\": \"opus\",\n  \"new\": true // mine\n}\n";
    assert_eq!(removed(&behind).text.as_deref(), Some(left));

    let mut value = read(&with);
    value["hooks"]["Stop"][0]["hooks"]
        .as_array_mut()
        .expect("handlers")
        .push(json!({"type": "command", "command": "beep"}));
    value["hooks"]["PreToolUse"] = json!([{"matcher": "Bash", "hooks": []}]);
    value["hooks"]["UserPromptSubmit"]
        .as_array_mut()
        .expect("groups")
        .insert(0, json!({"hooks": []}));
    for text in [
        value.to_string(),
        serde_json::to_string_pretty(&value).expect("JSON"),
    ] {
        let left = removed(&text).text.expect("the file stays");
        assert_eq!(
            read(&left),
            json!({"model": "opus", "hooks": {
                "Stop": [{"hooks": [{"type": "command", "command": "beep"}]}],
                "PreToolUse": [{"matcher": "Bash", "hooks": []}],
                "UserPromptSubmit": [{"hooks": []}],
            }})
        );
    }
}

#[test]
fn a_file_that_a_program_has_written_anew_loses_all_of_ours_and_nothing_else() {
    for text in REAL {
        let value = read(&installed(Ok(text), AT));
        for rewritten in [
            value.to_string(),
            serde_json::to_string_pretty(&value).expect("JSON"),
        ] {
            let left = removed(&rewritten).text.expect("the file stays");
            assert!(!left.contains("mosaic"), "{left}");
            let (left, old) = (read(&left), read(text));
            assert_eq!(
                left,
                if old.is_null() { json!(null) } else { old },
                "{rewritten}"
            );
        }
    }
    // It was ours alone, and somebody else's program wrote it anew: still ours alone.
    let value = read(&installed(Err(1), AT));
    assert_eq!(
        removed(&value.to_string()),
        Removed {
            text: None,
            dirs: 1
        }
    );
    // ... and with something of its own in it: no longer.
    let mut value = value;
    value["model"] = json!("opus");
    let left = removed(&value.to_string()).text.expect("the file stays");
    assert_eq!(read(&left), json!({"model": "opus"}));
}

#[test]
fn comments_put_around_our_hooks_stay() {
    let text = "{\n  \"hooks\": {\n    \"Stop\": [\n      {\"hooks\": []}\n    ]\n  }\n}\n";
    let with = installed(Ok(text), AT);
    for place in ["before", "behind"] {
        let (at, comment) = match place {
            "before" => (
                with.find(",\n      {\n").expect("our group") + 1,
                " // whose?",
            ),
            _ => (with.find("\n    ],").expect("its end"), " /* whose? */"),
        };
        let commented = format!("{}{comment}{}", &with[..at], &with[at..]);
        let left = removed(&commented).text.expect("the file stays");
        assert!(
            left.contains("whose?") && !left.contains("mosaic"),
            "{left}"
        );
        // Strictly read: no comma is left over.
        let bare = left.replace(comment, "");
        let strict: Result<Value, _> = serde_json::from_str(&bare);
        assert_eq!(strict.expect("JSON"), read(text), "{left}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_line() {
    let events = events();
    let wanted = Wanted {
        events: &events,
        agent: AT,
    };
    for (text, line, reason) in [
        ("{\n  \"a\": 1\n  \"b\": 2\n}", "2", "comma"),
        ("{\n  \"a\": 'x'\n}", "2", "ingle-quoted"),
        ("{\n  a: 1\n}", "2", ""),
        ("{\n", "1", ""),
        ("[]", "1", "no JSON object"),
        ("7", "1", "no JSON object"),
        ("{}\n{}", "2", ""),
        ("{\n  \"hooks\": []\n}", "2", "hooks: it is no object"),
        ("{\n  \"hooks\": null\n}", "2", "hooks: it is no object"),
        (
            "{\n  \"hooks\": {\n    \"Stop\": {}\n  }\n}",
            "3",
            "hooks.Stop: it is no array",
        ),
        (
            "{\n  \"hooks\": {},\n  \"hooks\": {}\n}",
            "3",
            "a second time",
        ),
        (
            "{\n  \"hooks\": {\"Stop\": [],\n \"Stop\": []}\n}",
            "3",
            "a second time",
        ),
    ] {
        let said = hookfile::install(Ok(text), wanted).expect_err(text);
        assert!(said.starts_with(&format!("{line}: ")), "{text}: {said}");
        assert!(said.contains(reason), "{text}: {said}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(hookfile::install(Ok(&format!("{{\"a\": {deep}}}")), wanted).is_err());
}

// ---------------------------------------------------------------- files

/// A tree as it is: paths below `dir` with kind, mode, link target and bytes.
fn tree(dir: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let looks = fs::symlink_metadata(&path).expect("it is there");
        let bytes = if looks.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            target.display().to_string().into_bytes()
        } else if looks.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory");
            todo.extend(entries.map(|e| e.expect("an entry").path()));
            Vec::new()
        } else {
            fs::read(&path).expect("a file")
        };
        found.push((path, looks.mode(), bytes));
    }
    found.sort();
    found
}

fn fleet(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = sandbox.command(FLEET);
    command.arg("hooks").args(args);
    Running::start(command, &sandbox.path("out"), b"").wait(LATER)
}

#[track_caller]
fn done(sandbox: &Sandbox, args: &[&str]) -> Output {
    let output = fleet(sandbox, args);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    output
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
    fs::write(path, text).expect("a file in the sandbox");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

/// What opencode itself has fetched where it was started once with a network.
fn opencode_was_started(sandbox: &Sandbox) {
    let dir = sandbox.home().join(".config/opencode");
    fs::create_dir_all(dir.join("node_modules/@opencode-ai/plugin")).expect("a directory");
    fs::write(dir.join("package-lock.json"), "{}").expect("a file");
}

const FILES: [(&str, &str); 4] = [
    ("claude", ".claude/settings.json"),
    ("codex", ".codex/hooks.json"),
    ("pi", ".pi/agent/extensions/mosaic-agent.js"),
    ("opencode", ".config/opencode/plugin/mosaic-agent.js"),
];

#[test]
fn a_home_is_after_removal_as_it_was_before_installation() {
    let sandbox = Sandbox::new();
    opencode_was_started(&sandbox);
    let before = tree(&sandbox.home());
    for (runtime, file) in FILES {
        let path = sandbox.home().join(file);
        done(&sandbox, &["install", runtime]);
        let once = fs::read(&path).expect("it was installed");
        done(&sandbox, &["install", runtime]);
        assert_eq!(fs::read(&path).expect("it is there"), once, "{runtime}");
        done(&sandbox, &["remove", runtime]);
        assert_eq!(tree(&sandbox.home()), before, "{runtime}");
        done(&sandbox, &["remove", runtime]);
    }
    // And all at once, where there is a directory of the runtime's.
    for (_, file) in FILES {
        let path = sandbox.home().join(file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
    }
    let before = tree(&sandbox.home());
    done(&sandbox, &["install"]);
    assert_eq!(tree(&sandbox.home()).len(), before.len() + FILES.len());
    done(&sandbox, &["remove"]);
    assert_eq!(tree(&sandbox.home()), before);
}

#[test]
fn mode_and_links_of_a_file_stay() {
    let sandbox = Sandbox::new();
    let (link, real) = (
        sandbox.home().join(".claude/settings.json"),
        sandbox.home().join("dotfiles/claude.json"),
    );
    fs::create_dir_all(sandbox.home().join(".claude")).expect("a directory");
    symlink("../dotfiles/claude.json", &link).expect("a link");
    for mode in [0o600, 0o644, 0o664] {
        write(&real, "{\n  \"model\": \"opus\"\n}\n", mode);
        let before = tree(&sandbox.home());
        done(&sandbox, &["install", "claude"]);
        assert!(
            fs::symlink_metadata(&link)
                .expect("it is there")
                .is_symlink()
        );
        assert_eq!(
            fs::metadata(&real).expect("it is there").mode() & 0o7777,
            mode
        );
        assert!(
            fs::read_to_string(&real)
                .expect("text")
                .contains("mosaic-agent")
        );
        done(&sandbox, &["remove", "claude"]);
        assert_eq!(tree(&sandbox.home()), before);
    }
    // A link to a file that is not there yet.
    fs::remove_file(&real).expect("it was there");
    let before = tree(&sandbox.home());
    done(&sandbox, &["install", "claude"]);
    assert!(
        fs::symlink_metadata(&link)
            .expect("it is there")
            .is_symlink()
    );
    done(&sandbox, &["remove", "claude"]);
    assert_eq!(tree(&sandbox.home()), before);
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone() {
    let sandbox = Sandbox::new();
    let path = sandbox.home().join(".claude/settings.json");
    write(&path, "{\n  \"a\": 1,\n  oops\n}\n", 0o600);
    let before = tree(&sandbox.home());
    for verb in ["install", "remove"] {
        let output = fleet(&sandbox, &[verb, "claude"]);
        assert_eq!(output.code, 78, "{output:?}");
        let named = format!("{}:3: ", path.display());
        assert!(output.stdout.contains(&named), "{output:?}");
        assert_eq!(tree(&sandbox.home()), before);
    }
    fs::write(&path, b"{\"a\": \"\xff\"}").expect("a file");
    assert_eq!(fleet(&sandbox, &["install", "claude"]).code, 78);
    fs::remove_file(&path).expect("it was there");
    fs::create_dir(&path).expect("a directory in its place");
    assert_eq!(fleet(&sandbox, &["install", "claude"]).code, 78);
}

#[test]
fn a_file_in_our_place_that_is_not_ours_is_left_alone() {
    let sandbox = Sandbox::new();
    let path = sandbox.home().join(FILES[2].1);
    write(&path, "export default function () {}\n", 0o644);
    let before = tree(&sandbox.home());
    for verb in ["install", "remove"] {
        let output = fleet(&sandbox, &[verb, "pi"]);
        assert_eq!(output.code, 78, "{output:?}");
        assert!(output.stdout.contains("not written by us"), "{output:?}");
        assert_eq!(tree(&sandbox.home()), before);
    }
    fs::remove_file(&path).expect("it was there");
    done(&sandbox, &["install", "pi"]);
    let mut file = fs::File::options().append(true).open(&path).expect("ours");
    writeln!(file, "// a change").expect("it can be written");
    let before = tree(&sandbox.home());
    let output = fleet(&sandbox, &["remove", "pi"]);
    assert!(output.stdout.contains("changed by hand"), "{output:?}");
    assert_eq!((output.code, tree(&sandbox.home())), (78, before));
}

#[test]
fn opencode_gets_no_plugin_that_would_leave_its_screen_blank() {
    let sandbox = Sandbox::new();
    let output = fleet(&sandbox, &["install", "opencode"]);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(output.stdout.contains("Start opencode once"), "{output:?}");
    assert_eq!(tree(&sandbox.home()).len(), 1, "nothing was made");
    opencode_was_started(&sandbox);
    done(&sandbox, &["install", "opencode"]);
}

#[test]
fn the_directory_that_a_runtime_is_told_to_use_is_used() {
    for (runtime, variable, file) in [
        ("claude", "CLAUDE_CONFIG_DIR", "settings.json"),
        ("codex", "CODEX_HOME", "hooks.json"),
        ("pi", "PI_CODING_AGENT_DIR", "extensions/mosaic-agent.js"),
    ] {
        let mut sandbox = Sandbox::new();
        let dir = sandbox.path("elsewhere");
        sandbox.env(variable, dir.display().to_string());
        done(&sandbox, &["install", runtime]);
        assert!(dir.join(file).is_file());
        sandbox.env(variable, "not/absolute");
        assert_eq!(fleet(&sandbox, &["install", runtime]).code, 78);
    }
}

#[test]
fn mosaic_agent_hands_hooks_to_the_mosaic_fleet_beside_it() {
    let mut sandbox = Sandbox::new();
    let (code, found) = sandbox.agent_json(&["hooks", "install", "claude", "--json"]);
    assert_eq!(
        (code, &found["runtimes"][0]["state"]),
        (0, &json!("installed"))
    );
    fits("hooks", &found);
    fits("hooks", &done(&sandbox, &["status", "--json"]).json());
    assert_eq!(sandbox.agent(&["hooks", "dance"]).code, 2);
    assert_eq!(sandbox.agent(&["hooks", "install", "nobody"]).code, 2);
    // Alone in a directory, and nothing on PATH.
    fs::create_dir(sandbox.path("alone")).expect("a directory");
    let alone = sandbox.copy(AGENT, "alone/mosaic-agent");
    sandbox.env("PATH", "/nowhere");
    let mut command = sandbox.command(&alone);
    command.args(["hooks", "status"]);
    let output = Running::start(command, &sandbox.path("out"), b"").wait(SOON);
    assert_eq!(output.code, 69, "{output:?}");
    assert!(output.stderr.contains("mosaic-fleet"), "{output:?}");
}

#[track_caller]
fn fits(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.json"));
    let schema = serde_json::from_slice(&fs::read(path).expect("a schema")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = schema
        .iter_errors(document)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}
