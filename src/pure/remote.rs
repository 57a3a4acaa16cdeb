//! A message for an agent on another host, or a question about one: the command that ssh runs there, and what its end means.
//!
//! Only names and options are on that command line, never the message or a part of it: that goes over standard input, and
//! not before the other side has said that it is there ([`MARK`]). So whatever ends earlier has sent nothing.

use super::receipt::Verdict;
use crate::failure::exit;

/// The line by which the other side says that its shell runs. What comes before it is chatter of its
/// startup files.
pub const MARK: &str = "mosaic-send/1";

/// ssh's own exit code, where the connection or the login is what failed (ssh(1), "EXIT STATUS").
pub const SSH_FAILED: i32 = 255;

/// What shells end with where a command cannot be executed, or was not found.
const NOT_STARTED: [i32; 2] = [exit::NOT_EXECUTABLE as i32, exit::NOT_FOUND as i32];

/// What the other side runs. A non-interactive shell has often not read the file that puts the places of
/// installed programs on its PATH.
const SCRIPT: &str =
    "echo mosaic-send/1; PATH=$PATH:$HOME/.local/bin:$HOME/.cargo/bin; exec \"$0\" \"$@\"";

/// Checks `USER@HOST`: what ssh could take for an option, or a shell in somebody's `ProxyCommand` for
/// syntax, is refused.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn check_host(host: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-@:%/[]+\\".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(is_plain) {
        return Err(format!(
            "{host:?} is no USER@HOST; it is made of letters, digits and ._-@:%/[]+"
        ));
    }
    Ok(())
}

/// Checks a word for the command line of the other side.
///
/// # Errors
/// It holds a control character, which not every shell can be given.
pub fn check_word(word: &str) -> Result<(), String> {
    match word.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(c) => Err(format!(
            "{word:?} has the control character U+{:04X}",
            u32::from(c)
        )),
    }
}

/// One word as every login shell reads it (sh, bash, zsh, fish, csh): a backslash before all ASCII that
/// could mean something. Quotes would not do: in fish a backslash counts inside of them, in csh a `!`.
pub fn shell_word(word: &str) -> String {
    if word.is_empty() {
        return "''".into();
    }
    let mut quoted = String::with_capacity(word.len() + 8);
    for c in word.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:@%+,".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// The command line for the other host's login shell: says [`MARK`] and becomes `agent` with these words.
pub fn command_line(agent: &str, words: &[String]) -> String {
    // Single quotes: there is no quote, backslash or exclamation mark in the script.
    let mut line = format!("sh -c '{SCRIPT}' {}", shell_word(agent));
    for word in words {
        line.push(' ');
        line.push_str(&shell_word(word));
    }
    line
}

/// What the end of ssh means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side did its work, or said why not: its exit code is the answer.
    Answered(u8),
    /// The message was never handed over.
    NotSent,
    /// There is no `mosaic-agent` on the other side.
    NoAgent,
    /// The message was handed over, and what became of it cannot be known from here.
    Lost,
}

/// Weighs what was seen: ssh's exit code (none: it was killed, by us or somebody), whether [`MARK`] came,
/// and the verdict if a receipt came.
pub fn end(code: Option<i32>, marked: bool, verdict: Option<Verdict>) -> End {
    match (code.and_then(|c| u8::try_from(c).ok()), verdict) {
        // A connection that breaks behind the receipt takes nothing back.
        (_, Some(verdict)) => End::Answered(verdict.exit()),
        (_, None) if !marked => End::NotSent,
        (Some(code), None) if NOT_STARTED.contains(&i32::from(code)) => End::NoAgent,
        (Some(code), None) if i32::from(code) != SSH_FAILED && code != exit::OK => {
            End::Answered(code)
        }
        _ => End::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_an_option_or_syntax_is_no_host() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "$(x)@h",
            "h`x`",
            "a\nb",
            "h'",
        ] {
            assert!(check_host(bad).is_err(), "{bad:?} was taken");
        }
        for good in [
            "h",
            "ann@box.example",
            "ssh://ann@box:2222",
            "ann@[::1]",
            "DOM\\ann@box",
        ] {
            assert_eq!(check_host(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn the_script_says_the_mark_and_can_stand_in_single_quotes() {
        assert!(SCRIPT.starts_with(&format!("echo {MARK};")));
        assert!(!SCRIPT.contains(['\'', '\\', '!', '\n']));
    }

    #[test]
    fn the_end_of_ssh_is_taken_for_what_it_proves() {
        let accepted = Some(Verdict::Accepted);
        assert_eq!(end(Some(0), true, accepted), End::Answered(0));
        assert_eq!(end(Some(75), true, Some(Verdict::Busy)), End::Answered(75));
        assert_eq!(end(Some(255), true, accepted), End::Answered(0));
        assert_eq!(end(Some(255), false, None), End::NotSent);
        assert_eq!(end(Some(0), false, None), End::NotSent, "a forced command");
        assert_eq!(end(None, false, None), End::NotSent);
        assert_eq!(end(Some(127), true, None), End::NoAgent);
        assert_eq!(end(Some(2), true, None), End::Answered(2), "its complaint");
        assert_eq!(end(Some(255), true, None), End::Lost);
        assert_eq!(end(None, true, None), End::Lost);
        assert_eq!(end(Some(0), true, None), End::Lost, "no receipt, no claim");
    }
}
