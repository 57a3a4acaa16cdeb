//! The heartbeat: one `key=value` a line, and the rule by which readers judge it.
//!
//! `ts` is the last moment at which the *runtime* was proven alive, so a stopped or dead runtime goes
//! stale although its sidecar still writes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

use super::wire::State;

/// Everything a heartbeat says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// When the runtime was last proven alive.
    pub ts: SystemTime,
    /// The runtime's pid; 0 if there is none.
    pub pid: i32,
    /// The state.
    pub state: State,
    /// When this file was written.
    pub written: SystemTime,
    /// Counts the beats of this sidecar.
    pub seq: u64,
    /// Seconds between beats.
    pub interval: u64,
    /// The kernel's boot id.
    pub boot: String,
    /// Seconds on the boot clock when this was written.
    pub mono: u64,
    /// The sidecar's pid.
    pub sidecar: u32,
    /// When the runtime was started.
    pub started: SystemTime,
    /// The ack socket.
    pub sock: String,
    /// Whose fleet.
    pub tenant_id: String,
    /// Which host.
    pub host: String,
    /// The runtime's name, by what really runs.
    pub runtime: String,
    /// The runtime's version.
    pub version: String,
    /// The model.
    pub model: String,
    /// Seconds since the runtime's last output.
    pub idle: u64,
    /// The tmux socket the agent's session lives on (`-L` name; empty for the default), if in tmux.
    pub tmux: Option<String>,
    /// How the runtime ended: an exit code, or the name of a signal.
    pub exit: Option<String>,
    /// Why the sidecar ended, where that was not the runtime's own exit.
    pub reason: Option<String>,
}

/// RFC 3339 in UTC, to the second.
pub fn stamp(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Beat {
    /// The file's content. Values never hold a line break: what could is a path or a name of ours.
    pub fn render(&self) -> String {
        let status = if self.state == State::Busy {
            "busy"
        } else {
            "ok"
        };
        let mut text = String::with_capacity(512);
        let mut put = |key, value: &dyn Display| put(&mut text, key, value);
        put("ts", &stamp(self.ts));
        put("pid", &self.pid);
        put("status", &status);
        put("v", &"1");
        put("state", &self.state.word());
        put("written", &stamp(self.written));
        put("seq", &self.seq);
        put("interval", &self.interval);
        put("boot", &self.boot);
        put("mono", &self.mono);
        put("sidecar", &self.sidecar);
        put("started", &stamp(self.started));
        put("sock", &self.sock);
        put("tenant_id", &self.tenant_id);
        put("host", &self.host);
        put("runtime", &self.runtime);
        put("version", &self.version);
        put("model", &self.model);
        put("idle", &self.idle);
        for (key, value) in [
            ("tmux", &self.tmux),
            ("exit", &self.exit),
            ("reason", &self.reason),
        ] {
            if let Some(value) = value {
                put(key, value);
            }
        }
        text
    }
}

/// One line. Not inlined, and one for all types: two dozen copies of it weigh 6 KB.
#[inline(never)]
fn put(text: &mut String, key: &str, value: &dyn Display) {
    let value = value.to_string();
    text.push_str(key);
    text.push('=');
    text.extend(value.chars().map(|c| if c.is_control() { '?' } else { c }));
    text.push('\n');
}

/// A heartbeat as a reader finds it: whatever keys there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    keys: BTreeMap<String, String>,
}

/// What a reader may conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The runtime was proven alive within three intervals.
    Healthy,
    /// It was not.
    Stale,
    /// Nothing can be said: no file, another boot, not a heartbeat, dated in the future.
    Unknown,
}

impl Health {
    /// The word used in `ps`.
    pub fn word(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Stale => "stale",
            Health::Unknown => "unknown",
        }
    }
}

/// Largest heartbeat read; a real one has some 600 bytes.
pub const READ_MAX: usize = 16 * 1024;

/// A clock that runs a little ahead is not a lie: NTP steps are smaller than this.
const FUTURE_TOLERATED: Duration = Duration::from_secs(5);

impl Found {
    /// Reads whatever can be read; a line without `=` is skipped, the first of two equal keys counts.
    pub fn parse(bytes: &[u8]) -> Found {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(READ_MAX)]);
        let mut keys = BTreeMap::new();
        for line in text.lines() {
            if let Some((key, value)) = line.split_once('=') {
                let value: String = value.chars().filter(|c| !c.is_control()).collect();
                keys.entry(key.trim().to_owned()).or_insert(value);
            }
        }
        Found { keys }
    }

    /// The value of a key, if it is there and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys
            .get(key)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// The value of a key, if it is there; it may be empty.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// A moment.
    pub fn time(&self, key: &str) -> Option<SystemTime> {
        let parsed = DateTime::parse_from_rfc3339(self.get(key)?).ok()?;
        Some(parsed.with_timezone(&Utc).into())
    }

    /// The state, if it is one we know.
    pub fn state(&self) -> Option<State> {
        State::from_word(self.get("state")?)
    }

    /// The rule of `docs/operating.md`: healthy if the runtime was proven alive within three intervals.
    pub fn health(&self, now: SystemTime, boot: &str) -> (Health, String) {
        let Some(ts) = self.time("ts") else {
            return (Health::Unknown, "not a heartbeat: no ts".into());
        };
        if self.get("v").is_some_and(|v| v != "1") {
            return (Health::Unknown, "written by another version".into());
        }
        if self.get("boot").is_some_and(|b| b != boot) {
            return (Health::Unknown, "written before the last boot".into());
        }
        if self.state() == Some(State::Exited) {
            return (Health::Stale, "the runtime has ended".into());
        }
        let interval = self.number("interval").unwrap_or(15).clamp(1, 86_400);
        match now.duration_since(ts) {
            Err(ahead) if ahead.duration() > FUTURE_TOLERATED => {
                (Health::Unknown, "dated in the future".into())
            }
            Ok(age) if age > Duration::from_secs(3 * interval) => (
                Health::Stale,
                format!("last proven alive {} s ago", age.as_secs()),
            ),
            _ => (Health::Healthy, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(s)
    }

    fn beat() -> Beat {
        Beat {
            ts: at(1_000_000),
            pid: 42,
            state: State::Busy,
            written: at(1_000_001),
            seq: 7,
            interval: 15,
            boot: "b".into(),
            mono: 5,
            sidecar: 41,
            started: at(999_000),
            sock: "/run/x.sock".into(),
            tenant_id: "me".into(),
            host: "h".into(),
            runtime: "pi".into(),
            version: "1".into(),
            model: String::new(),
            idle: 3,
            tmux: Some(String::new()),
            exit: None,
            reason: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let found = Found::parse(beat().render().as_bytes());
        assert!(
            beat()
                .render()
                .starts_with("ts=1970-01-12T13:46:40Z\npid=42\nstatus=busy\nv=1\nstate=busy\n")
        );
        assert_eq!(found.state(), Some(State::Busy));
        assert_eq!(found.time("ts"), Some(at(1_000_000)));
        assert_eq!(found.number("seq"), Some(7));
        assert_eq!(found.get("model"), None);
    }

    #[test]
    fn a_heartbeat_cut_at_any_byte_never_crashes_and_never_looks_healthier() {
        let text = beat().render();
        for cut in 0..text.len() {
            let (health, _) = Found::parse(&text.as_bytes()[..cut]).health(at(1_000_400), "b");
            assert_ne!(health, Health::Healthy, "cut at {cut}");
        }
    }

    #[test]
    fn health_follows_the_runtime_and_not_the_writer() {
        let found = Found::parse(beat().render().as_bytes());
        assert_eq!(found.health(at(1_000_045), "b").0, Health::Healthy);
        assert_eq!(found.health(at(1_000_046), "b").0, Health::Stale);
        assert_eq!(found.health(at(999_000), "b").0, Health::Unknown, "future");
        assert_eq!(found.health(at(1_000_001), "c").0, Health::Unknown, "boot");
        assert_eq!(Found::default().health(at(1), "b").0, Health::Unknown);
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        let mut b = beat();
        b.model = "x\nstate=ready".into();
        assert_eq!(
            Found::parse(b.render().as_bytes()).state(),
            Some(State::Busy)
        );
    }
}
