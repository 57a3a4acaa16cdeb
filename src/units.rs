//! Small types that everyone shares: what could be swapped by accident gets a name of its own.

use std::fmt;

/// The name of an agent: also its tmux session, and the stem of its heartbeat and socket files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(String);

/// Longest agent name in bytes: leaves room in the 107 bytes of a Unix socket path.
pub const NAME_MAX: usize = 64;

impl AgentName {
    /// Checks a name: 1 to 64 of `A-Z a-z 0-9 _ -`, not starting with `-`.
    ///
    /// `.` and `:` are refused because tmux silently renames such a session, and `=`, `$`, `@`, `%`
    /// because they mean something at the start of a tmux target.
    ///
    /// # Errors
    /// One line that says what is wrong with the name.
    pub fn new(name: &str) -> Result<AgentName, String> {
        if name.is_empty() {
            return Err("an agent name must not be empty".into());
        }
        if name.len() > NAME_MAX {
            return Err(format!(
                "an agent name has at most {NAME_MAX} bytes, this one has {}",
                name.len()
            ));
        }
        if name.starts_with('-') {
            return Err(format!("an agent name must not start with '-': {name:?}"));
        }
        match name
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        {
            Some(bad) => Err(format!(
                "an agent name is made of letters, digits, '_' and '-'; {name:?} has {bad:?}"
            )),
            None => Ok(AgentName(name.to_owned())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with what is no message's id.
pub const NO_ID: &str = "an id has 1 to 128 visible ASCII characters and no blanks";

/// Whether this can be a message's id: it is printed, logged and compared, so it is short and nothing but visible ASCII.
pub fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The size of a terminal in character cells, always within 2..=1000 each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermSize {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

impl TermSize {
    /// The size of a pane nobody has said anything about (`docs/operating.md`, "Headless").
    pub const DEFAULT: TermSize = TermSize {
        cols: 120,
        rows: 40,
    };

    /// Reads `120x40`.
    ///
    /// # Errors
    /// One line that says what a size is.
    pub fn parse(text: &str) -> Result<TermSize, String> {
        let mut size = [0; 2];
        let mut given = text.split('x');
        for (n, given) in size.iter_mut().zip(&mut given) {
            *n = given.parse().unwrap_or_default();
        }
        let [cols, rows] = size;
        if given.next().is_none() && size.iter().all(|n| (2..=1000).contains(n)) {
            return Ok(TermSize { cols, rows });
        }
        Err(format!(
            "{text:?} is no size; it takes COLSxROWS such as 120x40, each from 2 to 1000"
        ))
    }

    /// The size of so many columns and rows, clamped.
    pub fn of((cols, rows): (u32, u32)) -> TermSize {
        let cells = |n| u16::try_from(n).unwrap_or(u16::MAX);
        TermSize::clamped(cells(cols), cells(rows))
    }

    /// Clamps what a terminal claims to be. A zero stands for "unknown" and gives 80x24, as the
    /// runtimes themselves assume; the kernel would also accept 65535x65535, which nobody can draw.
    pub fn clamped(cols: u16, rows: u16) -> TermSize {
        let one = |n: u16, unknown: u16| if n == 0 { unknown } else { n.clamp(2, 1000) };
        TermSize {
            cols: one(cols, 80),
            rows: one(rows, 24),
        }
    }
}

/// A smaller file of a recording would hold little more than its first screen and what waits for the disk: four
/// times 64 KiB.
const RECORDING_LEAST: u64 = 256 * 1024;

/// Checks how many bytes a file of a recording may have.
///
/// # Errors
/// One line that names the least.
pub fn recording_size(bytes: u64) -> Result<u64, String> {
    if bytes < RECORDING_LEAST {
        return Err(format!(
            "a file of a recording has at least {RECORDING_LEAST} bytes (256K), not {bytes}"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_or_confuse_tmux_are_refused() {
        for bad in [
            "", "a/b", "..", "a b", "a.b", "a:b", "-x", "=x", "a\nb", "é",
        ] {
            assert!(AgentName::new(bad).is_err(), "{bad:?} was taken");
        }
        assert!(AgentName::new(&"x".repeat(300)).is_err());
        assert!(AgentName::new(&"x".repeat(64)).is_ok());
        assert_eq!(
            AgentName::new("coder-0_B").map(|n| n.to_string()),
            Ok("coder-0_B".into())
        );
    }

    #[test]
    fn a_size_is_columns_by_rows_and_nothing_else() {
        assert_eq!(TermSize::parse("120x40"), Ok(TermSize::DEFAULT));
        for bad in [
            "", "120", "x", "120x", "x40", "1x40", "120x1001", "0x0", "-5x9", "120 x 40", "120X40",
            "120x40x2", "99999x40", "12e1x40",
        ] {
            let said = TermSize::parse(bad).err();
            assert!(
                said.is_some_and(|e| e.contains("COLSxROWS")),
                "{bad:?} was taken"
            );
        }
    }

    #[test]
    fn absurd_sizes_are_clamped() {
        assert_eq!(
            TermSize::clamped(0, 0),
            TermSize { cols: 80, rows: 24 },
            "unknown size"
        );
        assert_eq!(
            TermSize::clamped(65535, 1),
            TermSize {
                cols: 1000,
                rows: 2
            }
        );
    }
}
