//! How a verb tells what it has done: `--json`, `--quiet`.

/// What goes to standard output. Complaints go to standard error, and the exit code is the same, whatever this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tell {
    /// Words for a person.
    #[default]
    Words,
    /// A document.
    Json,
    /// Nothing.
    Nothing,
}

impl Tell {
    /// What was asked for; a document goes before silence.
    pub fn of(json: bool, quiet: bool) -> Tell {
        match (json, quiet) {
            (true, _) => Tell::Json,
            (false, true) => Tell::Nothing,
            (false, false) => Tell::Words,
        }
    }
}
