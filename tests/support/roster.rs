//! `mosaic-fleet ps` as a test looks at it.

use serde_json::Value;

use super::{FLEET, LATER, Output, Running, SOON, Sandbox};

impl Sandbox {
    /// `mosaic-fleet ps` with these arguments, off a terminal.
    #[track_caller]
    pub fn ps(&self, args: &[&str]) -> Output {
        let mut command = self.command(FLEET);
        command.arg("ps").args(args);
        Running::start(command, &self.path("out"), b"").wait(LATER)
    }

    /// The rows of `ps --json`.
    #[track_caller]
    pub fn rows(&self, args: &[&str]) -> Vec<Value> {
        let output = self.ps(&[&["--json"], args].concat());
        let document = output.json();
        assert_eq!(document["schema"], "mosaic.ps/1", "{output:?}");
        document["agents"].as_array().expect("rows").clone()
    }

    /// The row of an agent; none if it has none.
    #[track_caller]
    pub fn find_row(&self, agent: &str) -> Option<Value> {
        self.rows(&[]).into_iter().find(|row| row["agent"] == agent)
    }

    /// The row of an agent.
    #[track_caller]
    pub fn row(&self, agent: &str) -> Value {
        match self.find_row(agent) {
            Some(row) => row,
            None => panic!("no row of {agent}: {:#?}", self.rows(&[])),
        }
    }

    /// Waits until the row of an agent is so, and returns it.
    #[track_caller]
    pub fn wait_row(&self, agent: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        let deadline = std::time::Instant::now() + SOON;
        while std::time::Instant::now() < deadline {
            last = self.find_row(agent);
            if last.as_ref().is_some_and(&is_so) {
                return last.expect("just looked at");
            }
        }
        panic!("the row of {agent} is not so: {what}: {last:#?}");
    }
}

/// The reason for a flag; none if it is not raised.
pub fn flagged(row: &Value, flag: &str) -> Option<String> {
    let words = row["flags"].as_array().expect("flags");
    let reasons = row["flagged"].as_array().expect("their reasons");
    assert_eq!(words.len(), reasons.len(), "{row:#}");
    let found = reasons.iter().find(|f| f["flag"] == flag)?;
    assert!(words.contains(&flag.into()), "{row:#}");
    Some(found["why"].as_str().expect("a reason").to_owned())
}
