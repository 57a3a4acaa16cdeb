//! What the user's service manager says of the agents' units.

use serde::Serialize;

use crate::pure::dbus::{Argument, Call, Reader};

/// The manager's object.
const MANAGER: &str = "/org/freedesktop/systemd1";

/// The interface of every service.
pub const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// The interface of every unit.
pub const UNIT: &str = "org.freedesktop.systemd1.Unit";

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

/// Asks for the units in the manager's memory that have these names or fit these patterns.
pub fn list<'a>(patterns: &'a [&'a str]) -> Call<'a> {
    Call {
        path: MANAGER,
        interface: "org.freedesktop.systemd1.Manager",
        member: "ListUnitsByPatterns",
        // In any state.
        arguments: vec![Argument::Texts(&[]), Argument::Texts(patterns)],
    }
}

/// Asks for one property.
pub fn property<'a>(path: &'a str, interface: &'a str, name: &'a str) -> Call<'a> {
    Call {
        path,
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
        arguments: vec![Argument::Text(interface), Argument::Text(name)],
    }
}

/// The units of a list, each with the path of its object: `a(ssssssouso)` of name, description, load, active and sub
/// state, whom it follows, path, and a job.
pub fn listed(mut body: Reader<'_>) -> Option<Vec<(Unit, String)>> {
    body.structures(|unit| {
        let name = unit.text()?.to_owned();
        unit.text()?;
        let mut state = || Some(unit.text()?.to_owned());
        let (load, active, sub) = (state()?, state()?, state()?);
        unit.text()?;
        let path = unit.text()?.to_owned();
        unit.number()?;
        unit.text()?;
        unit.text()?;
        let found = Unit {
            name,
            load,
            active,
            sub,
            ..Unit::default()
        };
        Some((found, path))
    })
}

/// A property that is a number.
pub fn number(mut body: Reader<'_>) -> Option<u32> {
    (body.signature()? == "u").then(|| body.number())?
}

/// A property that is a text.
pub fn text(mut body: Reader<'_>) -> Option<String> {
    (body.signature()? == "s").then(|| body.text().map(str::to_owned))?
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
    fn a_unit_is_up_on_its_way_too_and_enabled_only_for_good() {
        let unit = |active: &str, enabled: &str| Unit {
            active: active.into(),
            enabled: enabled.into(),
            ..Unit::default()
        };
        assert!(unit("activating", "").is_up() && unit("deactivating", "").is_up());
        assert!(!unit("failed", "").is_up() && !Unit::unloaded("a").is_up());
        assert!(unit("", "enabled").is_enabled() && !unit("", "enabled-runtime").is_enabled());
    }

    #[test]
    fn an_agent_and_its_unit_have_each_others_names() {
        assert_eq!(agent_of(&of_agent("a-b_1")), Some("a-b_1"));
        assert_eq!(agent_of("mosaic-agent-end@a.service"), None);
        assert!(is_own_service("coder0.service", false));
        for (unit, in_tmux) in [
            ("user@0.service", false),
            ("a.service", true),
            ("a.scope", false),
        ] {
            assert!(!is_own_service(unit, in_tmux), "{unit}");
        }
    }
}
