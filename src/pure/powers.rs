//! Who may ask for what: three powers, and what a peer has by where it stands.
//!
//! Every peer on the socket is a process of the same user. What tells an agent's own tool from a person is its
//! place in the process tree: a sidecar adopts what its runtime leaves behind, so all of it stays below the sidecar.

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Look.
    Observe,
    /// Have a message typed, and ask what became of it.
    Message,
    /// Type keys, take over, end, replace.
    Control,
}

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Below no agent: a person, a script, the service manager.
    Free,
    /// Below this agent's sidecar: its runtime and all it has started.
    Own,
    /// Below another agent's sidecar.
    Other,
    /// Its ancestors cannot all be seen: in another pid namespace, or hidden from this user.
    Unseen,
    /// It has ended before it could be looked at.
    Gone,
}

/// What an operation needs; `None` for `hook`, whose peers are judged by what they hook, for `input`, which goes with
/// what `attach` has given, and for what nobody knows.
pub fn needed(op: &str) -> Option<Power> {
    Some(match op {
        "status" | "probe" | "screen" | "explain" | "events" | "history" => Power::Observe,
        "send" | "verify" => Power::Message,
        "stop" | "upgrade" | "attach" | "keys" | "record" => Power::Control,
        _ => return None,
    })
}

/// Why a peer that stands there may not have this power; `None` if it may.
pub fn refusal(power: Power, standing: Standing) -> Option<&'static str> {
    match (power, standing) {
        (Power::Observe, _) | (_, Standing::Free) => None,
        (Power::Message, Standing::Other | Standing::Unseen) => None,
        (Power::Message, Standing::Own) => {
            Some("an agent may not type into itself: this request comes from below its own runtime")
        }
        (Power::Control, Standing::Own | Standing::Other) => {
            Some("no agent may control an agent: this request comes from a process below one")
        }
        (Power::Control, Standing::Unseen) => Some(
            "whether this request comes from below an agent cannot be seen from here (another pid namespace, or hidepid)",
        ),
        (_, Standing::Gone) => {
            Some("who has asked has ended already: stay until the answer has come")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_below_an_agent_controls_and_nobody_types_into_itself() {
        use Standing::{Free, Gone, Other, Own, Unseen};
        for standing in [Free, Own, Other, Unseen, Gone] {
            let may = |power| refusal(power, standing).is_none();
            assert!(may(Power::Observe), "{standing:?}");
            assert_eq!(may(Power::Control), standing == Free, "{standing:?}");
            let message = matches!(standing, Free | Other | Unseen);
            assert_eq!(may(Power::Message), message, "{standing:?}");
        }
    }
}
