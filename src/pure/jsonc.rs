//! Small edits of JSON that people write: every byte that is not ours stays as it is.
//!
//! Comments and trailing commas are taken as they come. What is put in is one piece of text, so that cutting
//! it out again gives back what was there before.

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// Parses a document; one with nothing but blanks has no value.
///
/// # Errors
/// What is wrong, with its line.
pub fn parse(text: &str) -> Result<Option<Value<'_>>, String> {
    // Only what a runtime reads too: a file that it cannot use is not to be edited.
    let strict = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    parse_to_ast(text, &CollectOptions::default(), &strict)
        .map(|parsed| parsed.value)
        .map_err(|e| format!("{}: {}", line_of(text, e.range().start), e.kind()))
}

/// The line, from 1, that a byte of a text is on.
pub fn line_of(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or(text).matches('\n').count()
}

/// A value to be put in.
#[derive(Clone, Debug)]
pub enum New {
    /// A string.
    Text(String),
    /// An array.
    List(Vec<New>),
    /// An object, its members in this order.
    Members(Vec<(String, New)>),
}

impl New {
    /// Writes it, in lines of this layout or, without an indent, in one.
    fn write(&self, out: &mut String, layout: &Layout, depth: usize) {
        let brackets = match self {
            New::Text(text) => return out.push_str(&quoted(text)),
            New::List(_) => ('[', ']'),
            New::Members(_) => ('{', '}'),
        };
        out.push(brackets.0);
        let items: Vec<(Option<&String>, &New)> = match self {
            New::Text(_) => Vec::new(),
            New::List(items) => items.iter().map(|item| (None, item)).collect(),
            New::Members(members) => members.iter().map(|(k, v)| (Some(k), v)).collect(),
        };
        for (n, (key, item)) in items.iter().enumerate() {
            if n > 0 {
                out.push_str(if layout.indent.is_some() { "," } else { ", " });
            }
            layout.new_line(out, depth + 1);
            if let Some(key) = key {
                out.push_str(&quoted(key));
                out.push_str(": ");
            }
            item.write(out, layout, depth + 1);
        }
        layout.new_line(out, depth);
        out.push(brackets.1);
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object or an array in a text.
#[derive(Clone, Debug)]
pub struct Container {
    range: Range,
    /// Its members or elements.
    children: Vec<Range>,
}

impl Container {
    /// The container that a value is.
    pub fn of(value: &Value<'_>) -> Option<Container> {
        let children = match value {
            Value::Object(object) => object.properties.iter().map(|p| p.range).collect(),
            Value::Array(array) => array.elements.iter().map(Ranged::range).collect(),
            _ => return None,
        };
        Some(Container {
            range: value.range(),
            children,
        })
    }

    /// Whether there is nothing between its brackets but blanks.
    pub fn is_bare(&self, text: &str) -> bool {
        text[self.range.start + 1..self.range.end - 1]
            .trim()
            .is_empty()
    }
}

/// How something new is laid out behind what a container holds.
#[derive(Clone, Debug)]
pub struct Layout {
    at: usize,
    before: String,
    after: String,
    newline: &'static str,
    unit: String,
    /// What stands in front of a child on its line; none if all of it is on one line.
    indent: Option<String>,
}

impl Layout {
    /// In the manner of the text around it. `root` is the document's own container.
    pub fn of(text: &str, container: &Container, root: &Container) -> Layout {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let unit = root
            .children
            .first()
            .and_then(|child| blanks_before(text, child.start));
        let unit = unit.filter(|u| !u.is_empty()).unwrap_or("  ").to_owned();
        let mut layout = Layout {
            at: container.range.start + 1,
            before: String::new(),
            after: String::new(),
            newline,
            unit,
            indent: None,
        };
        if let (Some(first), Some(last)) = (container.children.first(), container.children.last()) {
            layout.at = last.end;
            layout.indent = blanks_before(text, first.start).map(str::to_owned);
            layout.before = match &layout.indent {
                Some(indent) => format!(",{newline}{indent}"),
                None => ", ".to_owned(),
            };
        } else if text.contains('\n') || container.range == root.range {
            let outer = indent_of_line(text, container.range.start);
            let indent = format!("{outer}{}", layout.unit);
            layout.before = format!("{newline}{indent}");
            let inner = &text[container.range.start + 1..container.range.end - 1];
            if !inner.contains('\n') {
                layout.after = format!("{newline}{outer}");
            }
            layout.indent = Some(indent);
        }
        layout
    }

    /// Whether a line end is put behind it too; [`cut`] has to know.
    pub fn has_trail(&self) -> bool {
        !self.after.is_empty()
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push_str(self.newline);
            out.push_str(indent);
            out.push_str(&self.unit.repeat(depth));
        }
    }

    /// Puts an element in, or a member if there is a key.
    pub fn insert(&self, text: &str, key: Option<&str>, item: &New) -> String {
        let mut new = String::new();
        if let Some(key) = key {
            new.push_str(&quoted(key));
            new.push_str(": ");
        }
        item.write(&mut new, self, 0);
        let (head, tail) = text.split_at(self.at);
        [head, &self.before, &new, &self.after, tail].concat()
    }
}

/// The blanks between the beginning of the line and this byte, if there is nothing else and the line is
/// not the first.
fn blanks_before(text: &str, at: usize) -> Option<&str> {
    let line = text[..at].rfind('\n')? + 1;
    Some(&text[line..at]).filter(|blanks| blanks.trim().is_empty())
}

fn indent_of_line(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let rest = &text[line..at];
    &rest[..rest.len() - rest.trim_start().len()]
}

/// Cuts one child out of a container, with the comma and the blanks that came with it. `trail`: what
/// [`Layout::has_trail`] said when it was put in.
pub fn cut(text: &str, container: &Container, index: usize, trail: bool) -> String {
    let Some(child) = container.children.get(index).copied() else {
        return text.to_owned();
    };
    let blank_from = text[..child.start].trim_end().len();
    let behind = skip_trivia(text, child.end);
    let comma_behind = text[behind..].starts_with(',').then_some(behind + 1);
    if text[..blank_from].ends_with(',') {
        return without(text, blank_from - 1, child.end);
    }
    if blank_from == container.range.start + 1 {
        let outer = indent_of_line(text, container.range.start);
        let trailing = ["\r\n", "\n"]
            .map(|newline| format!("{newline}{outer}"))
            .into_iter()
            .find(|t| trail && text[child.end..].starts_with(t.as_str()));
        let end = comma_behind.unwrap_or(child.end + trailing.map_or(0, |t| t.len()));
        return without(text, blank_from, end);
    }
    // Somebody has put a comment in front of it.
    if let Some(end) = comma_behind {
        return without(text, child.start, end);
    }
    let rest = without(text, child.start, child.end);
    match index.checked_sub(1).and_then(|n| container.children.get(n)) {
        Some(previous) => {
            let comma = skip_trivia(text, previous.end);
            without(&rest, comma, comma + 1)
        }
        None => rest,
    }
}

fn without(text: &str, from: usize, to: usize) -> String {
    [&text[..from], &text[to..]].concat()
}

/// Where blanks and comments from here on end.
fn skip_trivia(text: &str, mut at: usize) -> usize {
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            return at;
        };
    }
}
