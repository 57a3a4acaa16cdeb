//! The unit files we bring along, made ready for one user: the path of our binaries filled in.

/// One unit file of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// Its name.
    pub name: &'static str,
    text: &'static str,
}

/// The unit that owns the tmux server.
pub const HOLDER: &str = "mosaic-tmux-holder.service";

/// All of them.
pub const ALL: [UnitFile; 3] = [
    UnitFile {
        name: HOLDER,
        text: include_str!("../../launcher/mosaic-tmux-holder.service"),
    },
    UnitFile {
        name: "mosaic-agent@.service",
        text: include_str!("../../launcher/mosaic-agent@.service"),
    },
    UnitFile {
        name: "mosaic-agent-end@.service",
        text: include_str!("../../launcher/mosaic-agent-end@.service"),
    },
];

/// The first words of every file of ours: one without them is somebody else's.
const MARK: &str = "# Put in place by `mosaic-agent units install`";

/// What stands where a unit file of ours belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Missing,
    /// Just what we would write.
    Current,
    /// Ours, of another version or with another path.
    Outdated,
    /// Somebody else's.
    Foreign,
}

impl Standing {
    /// The word used in `units status`.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Missing => "missing",
            Standing::Current => "installed",
            Standing::Outdated => "outdated",
            Standing::Foreign => "foreign",
        }
    }
}

impl UnitFile {
    /// Its text for binaries in this directory.
    pub fn text(&self, bin: &str) -> String {
        self.text
            .lines()
            .map(|line| match line.strip_prefix("ExecStart=") {
                None => format!("{line}\n"),
                Some(command) => {
                    let (program, rest) = command.split_once(' ').unwrap_or((command, ""));
                    format!("ExecStart={} {rest}\n", quoted(&format!("{bin}/{program}")))
                }
            })
            .collect()
    }

    /// What a file in its place is.
    pub fn standing(&self, found: Option<&str>, bin: &str) -> Standing {
        match found {
            None => Standing::Missing,
            Some(text) if text == self.text(bin) => Standing::Current,
            Some(text) if text.starts_with(MARK) => Standing::Outdated,
            Some(_) => Standing::Foreign,
        }
    }
}

/// A path as systemd.service(5) reads the first word of a command.
fn quoted(path: &str) -> String {
    let mut word = String::new();
    for c in path.chars() {
        match c {
            '%' => word.push_str("%%"),
            '"' | '\\' => word.extend(['\\', c]),
            c => word.push(c),
        }
    }
    if word.contains([' ', '\t', '\'', '\\', ';']) {
        format!("\"{word}\"")
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_named_by_its_whole_path_however_it_is_spelled() {
        for (dir, expected) in [
            ("/opt/m", "ExecStart=/opt/m/mosaic-fleet hold\n"),
            ("/a b/100%", "ExecStart=\"/a b/100%%/mosaic-fleet\" hold\n"),
            ("/q\"\\", "ExecStart=\"/q\\\"\\\\/mosaic-fleet\" hold\n"),
        ] {
            assert!(ALL[0].text(dir).contains(expected), "{}", ALL[0].text(dir));
        }
    }

    #[test]
    fn a_file_without_our_mark_is_somebody_elses() {
        let unit = ALL[1];
        let text = unit.text("/bin");
        assert_eq!(unit.standing(None, "/bin"), Standing::Missing);
        assert_eq!(unit.standing(Some(&text), "/bin"), Standing::Current);
        assert_eq!(unit.standing(Some(&text), "/usr/bin"), Standing::Outdated);
        assert_eq!(unit.standing(Some("[Unit]\n"), "/bin"), Standing::Foreign);
        for unit in ALL {
            assert!(unit.text("/bin").starts_with(MARK), "{}", unit.name);
        }
    }
}
