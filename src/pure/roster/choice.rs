//! Which rows are shown, and in which order.

use std::cmp::Ordering;

use super::Row;

/// What a row must have to be shown; an empty list asks for nothing. Within a list one match is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names, or patterns with `*`, `?` and `[a-z]`.
    pub names: Vec<String>,
    /// States.
    pub states: Vec<String>,
    /// `healthy`, `stale`, `unknown`.
    pub healths: Vec<String>,
    /// Runtimes, as patterns.
    pub runtimes: Vec<String>,
    /// Tenants, as patterns.
    pub tenants: Vec<String>,
    /// Hosts, as patterns.
    pub hosts: Vec<String>,
    /// Flags; `any` for any of them.
    pub flags: Vec<String>,
}

impl Filter {
    /// Whether a row is to be shown.
    pub fn takes(&self, row: &Row) -> bool {
        let one = |wanted: &[String], has: &str| {
            wanted.is_empty() || wanted.iter().any(|pattern| matches(pattern, has))
        };
        let flagged = |wanted: &String| {
            row.flags
                .iter()
                .any(|flag| wanted == "any" || flag.word() == wanted)
        };
        one(&self.names, &row.agent)
            && one(&self.states, row.state)
            && one(&self.healths, row.health)
            && one(&self.runtimes, &row.runtime)
            && one(&self.tenants, &row.tenant_id)
            && one(&self.hosts, &row.host)
            && (self.flags.is_empty() || self.flags.iter().any(flagged))
    }

    /// The names that were asked for, are no patterns, and have no row.
    pub fn missing<'a>(&'a self, rows: &[Row]) -> Vec<&'a str> {
        let is_pattern = |name: &&str| name.contains(['*', '?', '[']);
        self.names
            .iter()
            .map(String::as_str)
            .filter(|name| !is_pattern(name) && rows.iter().all(|row| row.agent != **name))
            .collect()
    }
}

/// Whether a text fits a pattern as the shell has them: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // The last star, and how much of the text it has taken: the only place to go back to.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(next) = fits(&pattern, at, text[read]) {
                    (at, read) = (next, read + 1);
                    continue;
                }
            }
            None => {}
        }
        let Some((back, taken)) = star else {
            return false;
        };
        star = Some((back, taken + 1));
        (at, read) = (back + 1, taken + 1);
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on if its next part takes this character.
fn fits(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern[at] {
        '?' => Some(at + 1),
        '[' => {
            let not = pattern.get(at + 1) == Some(&'!');
            let begin = at + 1 + usize::from(not);
            // A bracket at once is one of the set; one that is never closed stands for itself.
            let Some(len) = pattern.iter().skip(begin + 1).position(|c| *c == ']') else {
                return (c == '[').then_some(at + 1);
            };
            let set = &pattern[begin..=begin + len];
            let mut found = false;
            let mut next = 0;
            while let Some(low) = set.get(next) {
                match (set.get(next + 1), set.get(next + 2)) {
                    (Some('-'), Some(high)) => {
                        found |= (*low..=*high).contains(&c);
                        next += 3;
                    }
                    _ => {
                        found |= *low == c;
                        next += 1;
                    }
                }
            }
            (found != not).then_some(begin + len + 2)
        }
        literal => (literal == c).then_some(at + 1),
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// The name, numbers in it by their value.
    #[default]
    Name,
    /// What needs a person first: wedged, blocked, exited, unknown, starting, busy, ready.
    State,
    /// The longest in its state first.
    For,
    /// `unknown` and `stale` first.
    Health,
    /// The runtime's name.
    Runtime,
    /// The longest idle first.
    Idle,
    /// The oldest heartbeat first.
    Beat,
    /// The runtime's pid.
    Pid,
    /// The most often restarted first.
    Restarts,
    /// The newest message first.
    Last,
    /// The most flags first.
    Flags,
    /// The host.
    Host,
    /// The tenant.
    Tenant,
}

/// Every key, by its word.
pub const KEYS: [(&str, Key); 13] = [
    ("name", Key::Name),
    ("state", Key::State),
    ("for", Key::For),
    ("health", Key::Health),
    ("runtime", Key::Runtime),
    ("idle", Key::Idle),
    ("beat", Key::Beat),
    ("pid", Key::Pid),
    ("restarts", Key::Restarts),
    ("last", Key::Last),
    ("flags", Key::Flags),
    ("host", Key::Host),
    ("tenant", Key::Tenant),
];

/// Sorts rows; equal ones by their name.
pub fn sort(rows: &mut [Row], key: Key, reverse: bool) {
    rows.sort_by(|a, b| {
        let order = compare(a, b, key);
        let order = if reverse { order.reverse() } else { order };
        order.then_with(|| natural(&a.agent, &b.agent))
    });
}

fn compare(a: &Row, b: &Row, key: Key) -> Ordering {
    let urgency = |row: &Row| {
        let order = [
            "wedged", "blocked", "exited", "unknown", "starting", "busy", "ready",
        ];
        order.iter().position(|state| *state == row.state)
    };
    let doubt = |row: &Row| {
        ["unknown", "stale", "healthy"]
            .iter()
            .position(|h| *h == row.health)
    };
    let restarts = |row: &Row| row.unit.as_ref().map(|u| u.restarts);
    // What is not known comes last.
    let newest = |row: &Row| row.last_receipt.as_ref().map_or(u64::MAX, |r| r.age_s);
    match key {
        Key::Name => natural(&a.agent, &b.agent),
        Key::State => urgency(a).cmp(&urgency(b)),
        Key::For => b.for_s.cmp(&a.for_s),
        Key::Health => doubt(a).cmp(&doubt(b)),
        Key::Runtime => a.runtime.cmp(&b.runtime),
        Key::Idle => b.idle_s.cmp(&a.idle_s),
        Key::Beat => b.beat_s.cmp(&a.beat_s),
        Key::Pid => a.pid.cmp(&b.pid),
        Key::Restarts => restarts(b).cmp(&restarts(a)),
        Key::Last => newest(a).cmp(&newest(b)),
        Key::Flags => b.flags.len().cmp(&a.flags.len()),
        Key::Host => a.host.cmp(&b.host),
        Key::Tenant => a.tenant_id.cmp(&b.tenant_id),
    }
}

/// `coder2` before `coder10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (one, other) = (chunk(a), chunk(b));
        if one.is_empty() || other.is_empty() {
            return a.len().cmp(&b.len());
        }
        let is_number = |chunk: &str| chunk.starts_with(|c: char| c.is_ascii_digit());
        let order = if is_number(one) && is_number(other) {
            number(one)
                .cmp(&number(other))
                .then(one.len().cmp(&other.len()))
        } else {
            one.cmp(other)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (&a[one.len()..], &b[other.len()..]);
    }
}

/// A number of any length: how many digits it has, and these.
fn number(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

/// The digits, or everything else, that a text begins with.
fn chunk(text: &str) -> &str {
    let first = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != first);
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_sorted_by_their_value() {
        let mut names = ["coder10", "coder2", "coder", "a", "coder02", "coder2b", ""];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["", "a", "coder", "coder2", "coder2b", "coder02", "coder10"]
        );
    }

    #[test]
    fn patterns_are_those_of_the_shell() {
        for (pattern, text) in [
            ("*", ""),
            ("coder*", "coder0"),
            ("*er?", "coder0"),
            ("c[a-o]d*r[!1-9]", "coder0"),
            ("[]]", "]"),
            ("a*b*c", "aXbbYc"),
            ("[", "["),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("coder", "coder0"),
            ("c?", "coder"),
            ("[!c]*", "coder"),
            ("*a*b", "bbba"),
            ("[a-", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        // Made for a matcher that tries every way.
        assert!(!matches(&"a*".repeat(1_000), &"b".repeat(1_000)));
    }
}
