//! The banner over a viewer's picture: whose it is, what it is doing, what one may do, how one leaves.

use std::time::{Duration, Instant};

use super::mirror::{Mirror, drawn};

/// What the viewer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look.
    Watch,
    /// Type.
    Attach,
}

/// The banner's text, the most important first: a narrow terminal cuts it off.
pub fn text(
    mirror: &Mirror,
    role: Role,
    trouble: Option<&str>,
    part: Option<&str>,
    now: Instant,
) -> String {
    let mut parts = vec![mirror.agent.clone()];
    match trouble {
        Some(trouble) => parts.push(drawn(trouble)),
        None => {
            let since = mirror.since.map(|at| now.saturating_duration_since(at));
            let since = since.map(|d| format!(" {}", ago(d))).unwrap_or_default();
            parts.push(format!("{}{since}", mirror.state));
        }
    }
    parts.push(
        match role {
            Role::Watch => "read-only, q leaves",
            Role::Attach => "YOU ARE TYPING, Ctrl-] leaves",
        }
        .into(),
    );
    match part {
        Some(part) if role == Role::Watch => parts.push(format!("{part}: arrows move, f follows")),
        Some(part) => parts.push(part.into()),
        None => parts.push(format!("{}x{}", mirror.cols, mirror.rows.len())),
    }
    if let Some(pid) = mirror.attached_pid.filter(|_| role == Role::Watch) {
        parts.push(format!("pid {pid} is typing"));
    }
    if trouble.is_none() && !mirror.why.is_empty() {
        parts.push(mirror.why.clone());
    }
    format!(" {} ", parts.join(" \u{2502} "))
}

/// A length of time in the largest unit that fits: `12s`, `3m`, `2h`, `4d`.
pub fn ago(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3_600 => format!("{}m", s / 60),
        s @ 3_600..86_400 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}
