use super::*;

fn process(pid: i32, exe: &str, argv: &[&str], script: &str) -> ProcessFacts {
    ProcessFacts {
        pid,
        parent: pid - 1,
        exe: exe.into(),
        argv: argv.iter().map(|a| (*a).to_string()).collect(),
        script: script.into(),
        version: String::new(),
    }
}

#[test]
fn every_embedded_profile_is_sound() {
    assert_eq!(Profiles::with(&[]).warnings, Vec::<String>::new());
}

#[test]
fn a_broken_profile_names_file_line_and_key_and_leaves_the_embedded_one() {
    let text = "name = \"pi\"\n[match]\nexe = [\"pi\"]\n[composer]\nshape = \"round\"\n";
    let profiles = Profiles::with(&[("my/pi.toml".into(), text.into())]);
    let warning = &profiles.warnings[0];
    assert!(warning.starts_with("my/pi.toml:5:"), "{warning}");
    assert!(
        warning.contains("composer.shape") && warning.contains("round"),
        "{warning}"
    );
    assert!(profiles.named("pi").is_some_and(|p| !p.busy.is_empty()));
}

#[test]
fn a_misspelt_key_is_told_and_not_ignored() {
    let text = EMBEDDED[0].1.replace("within = 6", "wihtin = 6");
    let error = Profile::parse("pi.toml", &text).err().unwrap_or_default();
    assert!(
        error.ends_with("busy.wihtin: there is no such key"),
        "{error}"
    );
    let text = EMBEDDED[0].1.replace("within = 6", "within = \"6\"");
    let error = Profile::parse("pi.toml", &text).err().unwrap_or_default();
    assert!(
        error.contains("busy.within: must be a whole number"),
        "{error}"
    );
}

#[test]
fn the_runtime_is_found_behind_wrappers() {
    let profiles = Profiles::with(&[]);
    let chain = [
        process(1, "/bin/bash", &["bash", "-c", "mosaic yolo pi"], ""),
        process(
            2,
            "/usr/bin/node",
            &["node", "/usr/bin/npx", "pi"],
            "/usr/lib/npx-cli.js",
        ),
        process(
            3,
            "/usr/bin/node",
            &["node", "/x/bin/pi"],
            "/x/node_modules/@mariozechner/pi-coding-agent/dist/cli.js",
        ),
    ];
    let found = profiles
        .identify(&chain)
        .map(|(p, f)| (p.name.as_str(), f.pid));
    assert_eq!(found, Some(("pi", 3)));
    assert!(profiles.identify(&chain[..2]).is_none());
}

#[test]
fn neither_a_child_on_its_way_to_a_tool_nor_a_server_is_the_runtime() {
    let profiles = Profiles::with(&[]);
    let codex = "/m/@openai/codex-x64/codex";
    let mut chain = [
        process(8, codex, &["codex", "-m", "x"], ""),
        process(9, codex, &["codex", "-m", "x"], ""),
        process(10, codex, &[codex, "app-server", "--listen"], ""),
    ];
    chain[2].parent = 8;
    for chain in [&chain[..], &[chain[0].clone(), chain[2].clone()]] {
        let found = profiles.identify(chain).map(|(_, f)| f.pid);
        assert_eq!(found, Some(8));
    }
}

#[test]
fn a_launcher_script_is_looked_through_and_a_tool_of_the_runtime_is_not_the_runtime() {
    let profiles = Profiles::with(&[]);
    let chain = [
        process(
            7,
            "/usr/bin/node",
            &["node", "/b/codex"],
            "/m/@openai/codex/bin/codex.js",
        ),
        process(8, "/m/@openai/codex-x64/vendor/codex/codex", &["codex"], ""),
        process(9, "/bin/bash", &["bash", "-c", "claude -p"], ""),
        process(10, "/bin/claude", &["claude", "-p"], ""),
    ];
    let found = profiles
        .identify(&chain)
        .map(|(p, f)| (p.name.as_str(), f.pid));
    assert_eq!(found, Some(("codex", 8)));
}
