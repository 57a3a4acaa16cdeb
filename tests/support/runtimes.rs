//! Real runtimes, installed when a test needs them.
//!
//! `MOSAIC_TEST_RUNTIMES` names the ones to test (a comma list).

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// What is tested unless the variable says otherwise: what is small.
const USUAL: &str = "pi,gemini,ipython";

/// Installs the runtime if it is asked for and can be: the path of its executable, or why not.
pub fn available(runtime: &str) -> Result<PathBuf, String> {
    let asked = std::env::var("MOSAIC_TEST_RUNTIMES").unwrap_or_else(|_| USUAL.to_owned());
    if !asked.split(',').any(|name| name.trim() == runtime) {
        return Err(format!("MOSAIC_TEST_RUNTIMES is {asked:?}"));
    }
    let install = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/runtimes/install");
    let output = Command::new(install)
        .arg(runtime)
        .output()
        .expect("tests/runtimes/install runs");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(PathBuf::from(
            String::from_utf8_lossy(&output.stdout).trim(),
        )),
        Some(69) => Err(said),
        code => panic!("tests/runtimes/install {runtime} ended with {code:?}: {said}"),
    }
}

/// Says on stderr, and in the file that `MOSAIC_TEST_SKIPS` names, that a test is left out.
pub fn skip(what: &str, why: &str) {
    let line = format!("SKIPPED {what}: {why}\n");
    // Straight to stderr: the test harness would keep it to itself.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("MOSAIC_TEST_SKIPS") {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .expect("the file of MOSAIC_TEST_SKIPS can be written");
        file.write_all(line.as_bytes())
            .expect("the skip is counted");
    }
}
