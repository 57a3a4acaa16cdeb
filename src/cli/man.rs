//! Manual pages, made from the help pages: roff with the `man` macros, for man(1), groff and mandoc.

use super::catalog::{Flag, Page, Program, sections};

/// The manual page of a program, which points to the other one, as of a day (`2026-11-21`).
pub fn page(program: &Program, other: &str, day: &str) -> String {
    let name = program.name;
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        ".\\\" Made by `mosaic-fleet man {name}`.\n.TH {} 1 \"{day}\" \"mosaic-agent {version}\"\n.SH NAME\n{} \\- {}\n",
        name.to_uppercase(),
        escaped(name),
        escaped(program.does)
    );
    text.push_str(&format!(
        ".SH SYNOPSIS\n.B {0}\n.I VERB\n.RI [ ARGUMENT \"\\|.\\|.\\|.\" ]\n.br\n.B {0} \\-\\-schema\n.RI [ THING ]\n.SH VERBS\n",
        escaped(name)
    ));
    for page in &program.pages {
        verb(&mut text, name, page);
    }
    let (_, before) = sections(program.head.lines().skip(1));
    let (_, after) = sections(program.tail.lines());
    for (title, lines) in before
        .iter()
        .chain(&after)
        .filter(|(title, _)| !title.starts_with("Verbs"))
    {
        text.push_str(&format!(".SH {}\n", escaped(&title.to_uppercase())));
        as_it_is(&mut text, lines);
    }
    text.push_str(&format!(
        ".SH SEE ALSO\n.BR {} (1),\n.BR tmux (1)\n",
        escaped(other)
    ));
    text
}

fn verb(text: &mut String, program: &str, page: &Page) {
    text.push_str(&format!(
        ".SS \"{} {}\"\n",
        escaped(program),
        escaped(page.synopsis)
    ));
    text.push_str(&format!("{}\n", sentence(page.does)));
    for paragraph in &page.paragraphs {
        text.push_str(&format!(".PP\n{}\n", line(paragraph)));
    }
    for Flag {
        names,
        value,
        text: does,
    } in &page.options
    {
        let names: Vec<String> = names
            .iter()
            .map(|n| format!("\\fB{}\\fR", escaped(n)))
            .collect();
        let names = names.join(", ");
        let value = match value.is_empty() {
            true => String::new(),
            false => format!("\\fI{}\\fR", escaped(value)),
        };
        let between = if names.is_empty() || value.is_empty() {
            ""
        } else {
            " "
        };
        text.push_str(&format!(".TP\n{names}{between}{value}\n"));
        text.push_str(if does.is_empty() { "\\&" } else { "" });
        text.push_str(&format!("{}\n", line(does)));
    }
    for (title, lines) in &page.sections {
        text.push_str(&format!(".PP\n{}:\n.PP\n", escaped(title)));
        as_it_is(text, lines);
    }
}

/// Lines that must not be filled.
fn as_it_is(text: &mut String, lines: &[&str]) {
    text.push_str(".nf\n.RS 2\n");
    for each in lines {
        text.push_str(&format!(
            "{}\n",
            line(each.strip_prefix("  ").unwrap_or(each))
        ));
    }
    text.push_str(".RE\n.fi\n");
}

/// A line of what a verb does, with the capital and the full stop it has as a paragraph.
fn sentence(does: &str) -> String {
    let mut chars = does.chars();
    let first: String = chars
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    line(&format!("{first}{}.", chars.as_str()))
}

/// Text, whatever it begins with: a dot or a quote there would be a request.
fn line(text: &str) -> String {
    let escaped = escaped(text);
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

/// Text as roff reads it: a backslash, and the signs that it would draw as others (a hyphen, curly quotes, an
/// accent), by their names.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '"' => escaped.push_str("\\(dq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            c => escaped.push(c),
        }
    }
    escaped
}
