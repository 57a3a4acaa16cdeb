//! What the user's service manager says of the agents' units, as `systemctl show` prints it.

use serde::Serialize;

/// The properties asked for.
pub const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result";

/// One unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// `loaded`, `not-found`, `bad-setting` …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active: String,
    /// The same in more detail: `running`, `dead`, `auto-restart` …
    pub sub: String,
    /// `enabled`, `disabled`, `static` …; empty where there is no file.
    pub enabled: String,
    /// How often the manager has restarted it since it was last started by hand.
    pub restarts: u64,
    /// `success`, or why it failed: `exit-code`, `watchdog`, `start-limit-hit` …
    pub result: String,
}

impl Unit {
    /// A unit of which the manager has nothing in memory.
    pub fn unloaded(name: &str) -> Unit {
        Unit {
            name: name.to_owned(),
            load: "unloaded".into(),
            active: "inactive".into(),
            sub: "dead".into(),
            ..Unit::default()
        }
    }

    /// Whether it is up, or on its way there or from there.
    pub fn is_up(&self) -> bool {
        !matches!(self.active.as_str(), "inactive" | "failed" | "")
    }

    /// Whether it starts with the machine.
    pub fn is_enabled(&self) -> bool {
        matches!(
            self.enabled.as_str(),
            "enabled" | "alias" | "static" | "generated"
        )
    }
}

/// Reads what `systemctl show` has printed: `Name=value` lines, a blank line between two units. A unit that was
/// asked for twice, by name and by pattern, comes once.
pub fn parse(printed: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for block in printed.split("\n\n") {
        let mut unit = Unit::default();
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            let value = value.to_owned();
            match key {
                "Id" => unit.name = value,
                "LoadState" => unit.load = value,
                "ActiveState" => unit.active = value,
                "SubState" => unit.sub = value,
                "UnitFileState" => unit.enabled = value,
                "NRestarts" => unit.restarts = value.parse().unwrap_or(0),
                "Result" => unit.result = value,
                _ => {}
            }
        }
        if !unit.name.is_empty() && units.iter().all(|known| known.name != unit.name) {
            units.push(unit);
        }
    }
    units
}

/// The unit of an agent.
pub fn of_agent(agent: &str) -> String {
    format!("mosaic-agent@{agent}.service")
}

/// The agent whose unit this is.
pub fn agent_of(unit: &str) -> Option<&str> {
    unit.strip_prefix("mosaic-agent@")?.strip_suffix(".service")
}

/// Whether a process in this unit belongs to it, and not to a tmux server or a whole session that happens to be
/// in there: a service of the user's own that runs `mosaic-agent run NAME`.
pub fn is_own_service(unit: &str, in_tmux: bool) -> bool {
    unit.ends_with(".service") && !unit.starts_with("user@") && !in_tmux
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_once_each_and_strange_lines_are_skipped() {
        let one = "Id=mosaic-agent@a.service\nActiveState=active\nSubState=running\n\
                   UnitFileState=enabled\nNRestarts=3\nResult=success\nLoadState=loaded\nNew=x\nno sign\n";
        let two = "Id=b.service\nActiveState=failed\nNRestarts=[not set]\n";
        let units = parse(&format!("{one}\n{two}\n{one}"));
        assert_eq!(units.len(), 2, "{units:?}");
        assert!(units[0].is_up() && units[0].is_enabled() && units[0].restarts == 3);
        assert!(!units[1].is_up() && units[1].restarts == 0);
        assert_eq!(agent_of(&units[0].name), Some("a"));
        assert_eq!(parse(""), []);
    }
}
