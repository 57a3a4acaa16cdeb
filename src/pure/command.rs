//! The runtime's command line, as the old launcher took it: text that a shell would read.

/// A command line taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Plain words, quotes resolved: started without a shell.
    Words(Vec<String>),
    /// Something only a shell can read; handed to `/bin/sh -c`.
    Shell(String),
}

/// Takes a command line apart. Plain words, with `'…'`, `"…"` and `\` as in a POSIX shell, need no
/// shell; anything a shell would expand, redirect or join makes it a [`Command::Shell`].
///
/// # Errors
/// It is empty, or a quote is not closed.
pub fn parse(line: &str) -> Result<Command, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let text = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => text.push(c),
                        None => return Err(format!("a ' is not closed in: {line}")),
                    }
                }
            }
            '"' => {
                let text = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => text.push(c),
                            Some(c) => text.extend(['\\', c]),
                            None => return Err(format!("a \" is not closed in: {line}")),
                        },
                        Some('$' | '`') => return Ok(Command::Shell(line.to_owned())),
                        Some(c) => text.push(c),
                        None => return Err(format!("a \" is not closed in: {line}")),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() => words.extend(word.take()),
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '[' | '{' | '#'
            | '!' => return Ok(Command::Shell(line.to_owned())),
            '~' if word.is_none() => return Ok(Command::Shell(line.to_owned())),
            // NAME=value in front of a command is an assignment.
            '=' if words.is_empty() => return Ok(Command::Shell(line.to_owned())),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.take());
    match words.first() {
        Some(first) if !first.is_empty() => Ok(Command::Words(words)),
        _ => Err("the command is empty".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        match parse(line) {
            Ok(Command::Words(words)) => words,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn quotes_and_blanks_stay_intact() {
        assert_eq!(
            words(r#"pi --say "two  words" 'it is' a\ b --x="y z" """#),
            ["pi", "--say", "two  words", "it is", "a b", "--x=y z", ""]
        );
    }

    #[test]
    fn what_only_a_shell_can_read_goes_to_a_shell() {
        for line in [
            "a && b",
            "FOO=1 pi",
            "pi $HOME",
            "pi \"$HOME\"",
            "~/bin/pi",
            "pi > log",
        ] {
            assert_eq!(parse(line), Ok(Command::Shell(line.into())), "{line}");
        }
    }

    #[test]
    fn an_open_quote_or_nothing_at_all_is_an_error() {
        assert!(parse("pi 'x").is_err());
        assert!(parse("pi \"x").is_err());
        assert!(parse("  ").is_err());
        assert!(parse("''").is_err());
    }
}
