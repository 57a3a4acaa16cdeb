//! Which real runtimes are tested: `pi` wherever node is, others where `MOSAIC_TEST_RUNTIMES` names them (a comma
//! list). What is left out is said on stderr and in the file `MOSAIC_TEST_SKIPS` names.

use std::io::Write;
use std::process::Command;

/// Installs the runtime if it is asked for and can be.
pub fn available(runtime: &str) -> Result<(), String> {
    let asked = std::env::var("MOSAIC_TEST_RUNTIMES").unwrap_or_else(|_| "pi".to_owned());
    if !asked.split(',').any(|name| name.trim() == runtime) {
        return Err(format!("MOSAIC_TEST_RUNTIMES is {asked:?}"));
    }
    let install = super::repository().join("tests/runtimes/install");
    let output = Command::new(install)
        .arg(runtime)
        .output()
        .expect("tests/runtimes/install runs");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(()),
        Some(69) => Err(said),
        code => panic!("tests/runtimes/install {runtime} ended with {code:?}: {said}"),
    }
}

/// Says loudly that a runtime is left out, and has it counted.
pub fn skip(runtime: &str, why: &str) {
    let line = format!("SKIPPED live {runtime}: {why}\n");
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
