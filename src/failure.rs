//! What goes wrong, told to an operator: what we were doing, what the system said, what to do next.

use std::fmt;
use std::process::ExitCode;

/// The exit codes scripts rely on. Documented in `docs/exit-codes.md`; `run` passes the runtime's own on.
pub mod exit {
    /// The message was accepted or queued; the verb did what it says.
    pub const OK: u8 = 0;
    /// A fault of ours or of the system.
    pub const INTERNAL: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// No such agent, no sidecar, or the runtime has ended.
    pub const GONE: u8 = 3;
    /// The message sits unsubmitted in the composer, or did.
    pub const DRAFT: u8 = 5;
    /// The message itself is not acceptable.
    pub const REJECTED: u8 = 6;
    /// Typed, and its fate cannot be proven.
    pub const UNKNOWN: u8 = 7;
    /// A program we need is missing (EX_UNAVAILABLE).
    pub const MISSING: u8 = 69;
    /// Nothing was typed; try again later (EX_TEMPFAIL).
    pub const LATER: u8 = 75;
    /// This caller may not do that (EX_NOPERM).
    pub const FORBIDDEN: u8 = 77;
    /// Directories, settings or profiles are unusable as they are (EX_CONFIG).
    pub const CONFIG: u8 = 78;
    /// The runtime exists and cannot be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The runtime was not found on PATH.
    pub const NOT_FOUND: u8 = 127;
}

/// Something that only a person can mend.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit code, one of [`exit`].
    pub exit: u8,
    /// What we were doing, with the name or path, as a gerund: "binding the socket …".
    pub doing: String,
    /// What the system or the check said.
    pub said: String,
    /// What to do next; empty where there is nothing to add.
    pub hint: String,
}

impl Failure {
    /// A failure with its exit code, what was being done and what was said.
    pub fn new(exit: u8, doing: impl Into<String>, said: impl fmt::Display) -> Failure {
        Failure {
            exit,
            doing: doing.into(),
            said: said.to_string(),
            hint: String::new(),
        }
    }

    /// Adds what the operator can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = hint.into();
        self
    }

    /// The exit code for [`std::process`].
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.doing.is_empty() {
            write!(f, "{}", self.said)?;
        } else {
            write!(f, "{}: {}", self.doing, self.said)?;
        }
        if !self.hint.is_empty() {
            write!(f, "\n  {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Adds an operator's context to a system error.
pub trait Doing<T> {
    /// Turns the error into an internal [`Failure`] that says what was being done.
    ///
    /// # Errors
    /// The same error, told.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(exit::INTERNAL, doing(), e))
    }
}
