//! Our hooks in a runtime's settings file: put in, found again, and taken out without a trace.
//!
//! Every command of ours ends in a shell comment that says what was made for it ([`Made`]). So nothing has
//! to be remembered elsewhere: whoever has the file can take the hooks out of it, whatever was edited or
//! reformatted meanwhile.

use jsonc_parser::ast::{Array, ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::jsonc::{self, Container, Layout, New};

/// What a command of ours, and the first line of a file of ours, is known by.
pub const MARK: &str = "mosaic-agent hooks install:";

/// What was made for an entry of ours, beside itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The file, and so many directories above it.
    pub file: Option<u8>,
    /// The braces of a document that held nothing but blanks.
    pub braces: bool,
    /// The member `hooks`.
    pub hooks: bool,
    /// The member of the event.
    pub event: bool,
    /// A line end behind the outermost thing that was made.
    pub trail: bool,
}

impl Made {
    fn words(self) -> String {
        let mut words = vec![MARK.to_owned()];
        words.extend(self.file.map(|dirs| format!("file+{dirs}")));
        let flags = [
            (self.braces, "braces"),
            (self.hooks, "hooks"),
            (self.event, "event"),
            (self.trail, "trail"),
        ];
        words.extend(flags.iter().filter(|f| f.0).map(|f| f.1.to_owned()));
        words.join(" ")
    }

    /// What a text with our mark says; none for a text without it.
    pub fn read(text: &str) -> Option<Made> {
        let (_, words) = text.rsplit_once(MARK)?;
        let mut made = Made::default();
        for word in words.split_whitespace() {
            match word {
                "braces" => made.braces = true,
                "hooks" => made.hooks = true,
                "event" => made.event = true,
                "trail" => made.trail = true,
                _ => {
                    let dirs = word.strip_prefix("file+").and_then(|n| n.parse().ok());
                    made.file = made.file.or(dirs);
                }
            }
        }
        Some(made)
    }
}

/// What stands before the mark in a command: it must read the payload and end well even if `agent` is gone
/// or broken, in any shell that a runtime may use (sh, bash, zsh, fish).
fn call(agent: &str, event: &str) -> String {
    let agent = format!("'{}'", agent.replace('\'', r"'\''"));
    format!("[ -x {agent} ] && {agent} hook {event} >/dev/null 2>&1 || cat >/dev/null # ")
}

/// What should be in the file.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The events to hook.
    pub events: &'a [String],
    /// The absolute path of `mosaic-agent`.
    pub agent: &'a str,
}

impl Wanted<'_> {
    fn group(&self, event: &str, made: Made) -> New {
        let text = |text: &str| New::Text(text.to_owned());
        let command = format!("{}{}", call(self.agent, event), made.words());
        let handler = vec![
            ("type".to_owned(), text("command")),
            ("command".to_owned(), New::Text(command)),
        ];
        New::Members(vec![(
            "hooks".to_owned(),
            New::List(vec![New::Members(handler)]),
        )])
    }
}

/// What is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No hook of ours.
    Absent,
    /// All that are wanted, as they are wanted.
    Installed,
    /// Some, or others than are wanted.
    Outdated,
}

/// A handler of ours.
struct Ours {
    event: String,
    group: usize,
    handler: usize,
    command: String,
    made: Made,
}

/// A document taken apart.
struct Document<'t> {
    root: Value<'t>,
}

impl<'t> Document<'t> {
    fn parse(text: &'t str) -> Result<Document<'t>, String> {
        match jsonc::parse(text)? {
            Some(root @ Value::Object(_)) => Ok(Document { root }),
            _ => Err("1: it is no JSON object".into()),
        }
    }

    /// The member `hooks`; never one of two.
    fn hooks(&self, text: &str) -> Result<Option<&ObjectProp<'t>>, String> {
        let Value::Object(root) = &self.root else {
            return Ok(None);
        };
        let mut found = root
            .properties
            .iter()
            .filter(|p| p.name.as_str() == "hooks");
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(hooks), None) if matches!(hooks.value, Value::Object(_)) => Ok(Some(hooks)),
            (Some(hooks), None) => Err(format!(
                "{}: hooks: it is no object",
                jsonc::line_of(text, hooks.range.start)
            )),
            (_, Some(second)) => Err(format!(
                "{}: hooks: it stands here a second time",
                jsonc::line_of(text, second.range.start)
            )),
        }
    }

    /// The events of `hooks` with their arrays.
    fn events(&self, text: &str) -> Result<Vec<(&ObjectProp<'t>, &Array<'t>)>, String> {
        let Some(Value::Object(hooks)) = self.hooks(text)?.map(|p| &p.value) else {
            return Ok(Vec::new());
        };
        let mut events: Vec<(&ObjectProp<'t>, &Array<'t>)> = Vec::new();
        for member in &hooks.properties {
            let wrong = |why: &str| {
                let line = jsonc::line_of(text, member.range.start);
                Err(format!("{line}: hooks.{}: {why}", member.name.as_str()))
            };
            if events
                .iter()
                .any(|(p, _)| p.name.as_str() == member.name.as_str())
            {
                return wrong("it stands here a second time");
            }
            match &member.value {
                Value::Array(groups) => events.push((member, groups)),
                _ => return wrong("it is no array"),
            }
        }
        Ok(events)
    }

    fn ours(&self, text: &str) -> Result<Vec<Ours>, String> {
        let mut found = Vec::new();
        for (event, groups) in self.events(text)? {
            for (group, value) in groups.elements.iter().enumerate() {
                for (handler, command) in handlers(value).into_iter().enumerate() {
                    if let Some(made) = command.and_then(Made::read) {
                        found.push(Ours {
                            event: event.name.as_str().to_owned(),
                            group,
                            handler,
                            command: command.unwrap_or_default().to_owned(),
                            made,
                        });
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The commands of a group's handlers; none where a handler has no command.
fn handlers<'v>(group: &'v Value<'_>) -> Vec<Option<&'v str>> {
    let list = group.as_object().and_then(|g| g.get_array("hooks"));
    list.map_or(Vec::new(), |list| {
        let command = |h: &'v Value<'_>| {
            let object = h.as_object()?;
            object.get_string("command").map(|s| s.value.as_ref())
        };
        list.elements.iter().map(command).collect()
    })
}

/// A mark of the file's encoding that some editors put first; not part of the JSON.
fn after_bom(text: &str) -> (&str, &str) {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    }
}

/// What a file's text has of ours.
///
/// # Errors
/// It cannot be read: line and reason.
pub fn inspect(text: &str, wanted: Wanted<'_>) -> Result<State, String> {
    let (_, text) = after_bom(text);
    if text.trim().is_empty() {
        return Ok(State::Absent);
    }
    let ours = Document::parse(text)?.ours(text)?;
    if ours.is_empty() {
        return Ok(State::Absent);
    }
    let right = |o: &Ours| {
        wanted.events.contains(&o.event) && o.command.starts_with(&call(wanted.agent, &o.event))
    };
    let all = wanted
        .events
        .iter()
        .all(|event| ours.iter().filter(|o| o.event == *event).count() == 1);
    Ok(if all && ours.iter().all(right) {
        State::Installed
    } else {
        State::Outdated
    })
}

/// The text with our hooks in it. `text`: the file as it is, or how many directories will be made for it.
///
/// # Errors
/// It cannot be read (line and reason), or could not be given back to the byte.
pub fn install(text: Result<&str, u8>, wanted: Wanted<'_>) -> Result<String, String> {
    // What is there of ours may be of an older version or for a program at another place.
    let without = match text {
        Ok(text) => remove(text)?,
        Err(dirs) => Removed { text: None, dirs },
    };
    let installed = add(&without, wanted)?;
    if remove(&installed)? != without {
        return Err("1: it could not be given back as it is; please report this".into());
    }
    Ok(installed)
}

fn add(without: &Removed, wanted: Wanted<'_>) -> Result<String, String> {
    let mut base = Made::default();
    let (bom, mut text) = match &without.text {
        None => {
            base.file = Some(without.dirs);
            ("", "{}\n".to_owned())
        }
        Some(text) => {
            let (bom, text) = after_bom(text);
            base.braces = text.trim().is_empty();
            let braces = if base.braces { "{}" } else { "" };
            (bom, format!("{braces}{text}"))
        }
    };
    for event in wanted.events {
        let document = Document::parse(&text)?;
        let Some(root) = Container::of(&document.root) else {
            continue;
        };
        let Some(hooks) = document.hooks(&text)? else {
            let layout = Layout::of(&text, &root, &root);
            let made = Made {
                hooks: true,
                trail: layout.has_trail(),
                ..base
            };
            let all = |e: &String| (e.clone(), New::List(vec![wanted.group(e, made)]));
            let all = New::Members(wanted.events.iter().map(all).collect());
            text = layout.insert(&text, Some("hooks"), &all);
            break;
        };
        let events = document.events(&text)?;
        let there = events.iter().find(|(p, _)| p.name.as_str() == event);
        let place = there.map_or(&hooks.value, |(p, _)| &p.value);
        let Some(place) = Container::of(place) else {
            continue;
        };
        let layout = Layout::of(&text, &place, &root);
        let made = Made {
            event: there.is_none(),
            trail: layout.has_trail(),
            ..base
        };
        let group = wanted.group(event, made);
        text = match there {
            Some(_) => layout.insert(&text, None, &group),
            None => layout.insert(&text, Some(event), &New::List(vec![group])),
        };
    }
    Ok(format!("{bom}{text}"))
}

/// What is left when our hooks are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The text; none if the file was ours altogether.
    pub text: Option<String>,
    /// How many directories above it were made with it.
    pub dirs: u8,
}

/// The text without our hooks, to the byte as it was before [`install`], but for what others have edited.
///
/// # Errors
/// It cannot be read: line and reason.
pub fn remove(text: &str) -> Result<Removed, String> {
    let (bom, rest) = after_bom(text);
    let mut rest = rest.to_owned();
    let (mut file, mut braces) = (None, false);
    while !rest.trim().is_empty() {
        let document = Document::parse(&rest)?;
        let Some(last) = document.ours(&rest)?.pop() else {
            break;
        };
        file = file.or(last.made.file);
        braces |= last.made.braces;
        rest = take_out(&rest, &last)?;
    }
    let text = match rest.strip_prefix("{}") {
        Some(blanks) if file.is_some() && blanks.trim().is_empty() => None,
        Some(blanks) if braces && blanks.trim().is_empty() => Some(format!("{bom}{blanks}")),
        _ => Some(format!("{bom}{rest}")),
    };
    Ok(Removed {
        dirs: if text.is_none() { file.unwrap_or(0) } else { 0 },
        text,
    })
}

/// Cuts one handler out, and what was made for it and is empty now.
fn take_out(text: &str, ours: &Ours) -> Result<String, String> {
    let made = ours.made;
    let is_ours = |p: &&ObjectProp<'_>| p.name.as_str() == ours.event;
    let document = Document::parse(text)?;
    let events = document.events(text)?;
    let Some((_, groups)) = events.iter().find(|(p, _)| is_ours(p)) else {
        return Ok(text.to_owned());
    };
    let group = groups.elements.get(ours.group);
    let alone = group.is_none_or(|g| handlers(g).len() == 1);
    let list = group
        .and_then(Value::as_object)
        .and_then(|g| g.get("hooks"));
    let cut = match list
        .filter(|_| !alone)
        .and_then(|p| Container::of(&p.value))
    {
        // Somebody has added a handler of their own to our group.
        Some(handlers) => jsonc::cut(text, &handlers, ours.handler, false),
        None => {
            let trail = made.trail && !made.event && !made.hooks;
            let groups = Value::Array((*groups).clone());
            Container::of(&groups)
                .map_or(text.to_owned(), |c| jsonc::cut(text, &c, ours.group, trail))
        }
    };

    let document = Document::parse(&cut)?;
    let Some(hooks) = document.hooks(&cut)? else {
        return Ok(cut);
    };
    let (Some(members), Value::Object(object)) = (Container::of(&hooks.value), &hooks.value) else {
        return Ok(cut);
    };
    let event = object.properties.iter().position(|p| is_ours(&p));
    let is_bare = |value: &Value<'_>| Container::of(value).is_some_and(|c| c.is_bare(&cut));
    let cut = match event {
        Some(at) if (made.event || made.hooks) && is_bare(&object.properties[at].value) => {
            jsonc::cut(&cut, &members, at, made.trail && made.event)
        }
        _ => return Ok(cut),
    };

    let document = Document::parse(&cut)?;
    let (Some(hooks), Some(root)) = (document.hooks(&cut)?, Container::of(&document.root)) else {
        return Ok(cut);
    };
    let bare = Container::of(&hooks.value).is_some_and(|c| c.is_bare(&cut));
    let at = match &document.root {
        Value::Object(root) => root
            .properties
            .iter()
            .position(|p| p.range() == hooks.range),
        _ => None,
    };
    Ok(match at {
        Some(at) if made.hooks && bare => jsonc::cut(&cut, &root, at, made.trail),
        _ => cut,
    })
}
