//! Help as text. Every verb has one page; all else is made from it: the list in `--help`, `VERB --help`, the manual
//! pages, the completions. A verb without a page cannot be called.
//!
//! A page's first line is `BINARY VERB ARGUMENTS: what it does`. Then come paragraphs, and sections: a title, and
//! below it lines that begin with two blanks. In `Options` they are `--flag VALUE   what it does`, two blanks
//! or more between the two, and deeper lines that go on.

/// The verb of a page.
pub fn verb(page: &str) -> &str {
    page.split([' ', ':']).nth(1).unwrap_or_default()
}

/// The verb with its arguments, and what it does in one line.
pub fn title(page: &str) -> (&str, &str) {
    let line = page.lines().next().unwrap_or_default();
    let line = line.split_once(' ').map_or(line, |(_, rest)| rest);
    line.split_once(": ").unwrap_or((line, ""))
}

/// The page of a verb.
pub fn find(pages: &[&'static str], wanted: &str) -> Option<&'static str> {
    pages.iter().copied().find(|page| verb(page) == wanted)
}

/// Where what a verb does begins in a list of verbs: behind most verbs with their arguments.
const COLUMN: usize = 30;

/// A list of verbs, one line each if that has room for both.
pub fn list(pages: &[&str]) -> String {
    let mut text = String::new();
    for page in pages {
        let (verb, does) = title(page);
        text.push_str("  ");
        text.push_str(verb);
        if verb.len() > COLUMN - 2 {
            text.push_str("\n  ");
        }
        let filled = if verb.len() > COLUMN - 2 {
            0
        } else {
            verb.len()
        };
        text.extend(std::iter::repeat_n(' ', COLUMN - filled));
        text.push_str(does);
        text.push('\n');
    }
    text
}
