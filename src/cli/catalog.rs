//! The help pages read again: what completions and manual pages are made from. Only `mosaic-fleet` does that.

use super::{agent_help, agent_pages, fleet_pages, help};

/// A page, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The verb.
    pub verb: &'static str,
    /// The verb with its arguments.
    pub synopsis: &'static str,
    /// What it does, in a line.
    pub does: &'static str,
    /// What is said below that, before the first section.
    pub paragraphs: Vec<String>,
    /// Its options.
    pub options: Vec<Flag>,
    /// Its other sections: the title and the lines below it.
    pub sections: Vec<(&'static str, Vec<&'static str>)>,
}

/// An option, or an argument that is explained among the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its names, as typed: `-m`, `--message`. None for an argument.
    pub names: Vec<&'static str>,
    /// What it takes: `TEXT`. Empty if it takes nothing.
    pub value: &'static str,
    /// What it does.
    pub text: String,
}

/// What can stand in a place of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The name of an agent.
    Agent,
    /// The name of a runtime.
    Runtime,
    /// The name of a schema.
    Schema,
    /// A path.
    File,
    /// One of these.
    Words(Vec<String>),
    /// Nothing that we could know.
    Other,
}

impl Kind {
    /// What a word of a synopsis, or of an option's value, stands for.
    pub fn of(word: &str) -> Kind {
        let word = word.trim_end_matches("...");
        match word {
            "NAME" | "AGENT" => Kind::Agent,
            "RUNTIME" => Kind::Runtime,
            "THING" => Kind::Schema,
            "PAGE" => Kind::Words(["mosaic-agent", "mosaic-fleet"].map(str::to_owned).to_vec()),
            _ if word.starts_with("FILE") || word == "DIR" => Kind::File,
            _ if word.contains('|') => {
                // `busy=hold|type`: what stands before belongs to each of them.
                let (key, values) = word.split_once('=').unwrap_or(("", word));
                let sign = if key.is_empty() { "" } else { "=" };
                let words = values.split('|').map(|v| format!("{key}{sign}{v}"));
                Kind::Words(words.collect())
            }
            _ => Kind::Other,
        }
    }
}

/// One of our two programs.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub does: &'static str,
    /// What its help says before and after the verbs.
    pub head: &'static str,
    /// The same.
    pub tail: &'static str,
    /// Its verbs.
    pub pages: Vec<Page>,
}

impl Program {
    /// `mosaic-agent`. What `mosaic-fleet` performs for it takes the options that it takes there.
    pub fn agent() -> Program {
        let mut pages: Vec<Page> = agent_pages::PAGES.iter().map(|page| read(page)).collect();
        let fleet = Program::fleet();
        for page in agent_help::OF_FLEET.iter().map(|page| read(page)) {
            let there = fleet.pages.iter().find(|there| there.verb == page.verb);
            pages.push(match there {
                Some(there) => Page {
                    synopsis: page.synopsis,
                    does: page.does,
                    ..there.clone()
                },
                None => page,
            });
        }
        // What it performs itself may take more there.
        for page in &mut pages {
            let there = fleet.pages.iter().find(|there| there.verb == page.verb);
            for flag in there.into_iter().flat_map(|there| &there.options) {
                if !page.options.iter().any(|known| known.names == flag.names) {
                    page.options.push(flag.clone());
                }
            }
        }
        Program::of("mosaic-agent", agent_pages::HEAD, agent_pages::TAIL, pages)
    }

    /// `mosaic-fleet`.
    pub fn fleet() -> Program {
        let pages = fleet_pages::PAGES.iter().chain(fleet_pages::FOR_UNITS);
        let pages = pages.map(|page| read(page)).collect();
        Program::of("mosaic-fleet", fleet_pages::HEAD, fleet_pages::TAIL, pages)
    }

    /// Both.
    pub fn both() -> [Program; 2] {
        [Program::agent(), Program::fleet()]
    }

    fn of(name: &'static str, head: &'static str, tail: &'static str, pages: Vec<Page>) -> Program {
        let title = head.lines().next().unwrap_or_default();
        Program {
            name,
            does: title.split_once(": ").map_or(title, |(_, does)| does),
            head,
            tail,
            pages,
        }
    }
}

/// Takes a page apart.
pub fn read(page: &'static str) -> Page {
    let (synopsis, does) = help::title(page);
    let (paragraphs, sections) = sections(page.lines().skip(1));
    let is_options = |section: &&(&str, Vec<&str>)| section.0 == "Options";
    let options = sections.iter().find(is_options);
    Page {
        verb: help::verb(page),
        synopsis,
        does,
        paragraphs,
        options: options.map(|(_, lines)| flags(lines)).unwrap_or_default(),
        sections: sections.into_iter().filter(|s| !is_options(&s)).collect(),
    }
}

/// Paragraphs, and sections by their titles: a line that is followed by one that begins with two blanks.
pub fn sections(
    lines: impl Iterator<Item = &'static str>,
) -> (Vec<String>, Vec<(&'static str, Vec<&'static str>)>) {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut lines = lines.peekable();
    let mut goes_on = false;
    while let Some(line) = lines.next() {
        if line.is_empty() {
            goes_on = false;
        } else if line.starts_with("  ") {
            if let Some((_, body)) = sections.last_mut() {
                body.push(line);
            }
        } else if lines.peek().is_some_and(|next| next.starts_with("  ")) {
            sections.push((line, Vec::new()));
        } else if let (true, Some(last)) = (goes_on, paragraphs.last_mut()) {
            last.push(' ');
            last.push_str(line);
        } else {
            paragraphs.push(line.to_owned());
            goes_on = true;
        }
    }
    (paragraphs, sections)
}

/// The options among the lines of a section.
pub fn flags(lines: &[&'static str]) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for line in lines {
        let body = line.trim_start();
        let is_deep = line.starts_with("   ");
        if let (true, Some(last)) = (is_deep, flags.last_mut()) {
            if !last.text.is_empty() {
                last.text.push(' ');
            }
            last.text.push_str(body);
            continue;
        }
        let (spec, text) = body.split_once("  ").unwrap_or((body, ""));
        // Names end with the first word that is none.
        let words = spec.split(' ').map(|word| word.trim_end_matches(','));
        let names: Vec<&str> = words.take_while(|word| word.starts_with('-')).collect();
        let value = spec.rsplit_once(' ').map_or(spec, |(_, last)| last);
        let value = if value.starts_with('-') { "" } else { value };
        flags.push(Flag {
            names,
            value,
            text: text.trim_start().to_owned(),
        });
    }
    flags
}

/// What stands in the places behind a verb, by its synopsis; and whether the last one may stand there again.
pub fn places(synopsis: &str) -> (Vec<Kind>, bool) {
    let mut places = Vec::new();
    let mut again = false;
    let mut words = synopsis.split(' ').skip(1).peekable();
    while let Some(word) = words.next() {
        let word = word.trim_matches(['[', ']', '(', ')']);
        if word == "--" {
            // A command of the user's own.
            break;
        } else if word.starts_with('-') && word.len() > 1 {
            // An option: what it takes is no place of its own.
            words.next_if(|next| next.starts_with(|c: char| c.is_ascii_uppercase()));
        } else if !matches!(word, "|" | "-" | "") {
            again = word.ends_with("...");
            // `NAME|--all`: only one of them is an argument.
            let arguments = word.split('|').filter(|word| !word.starts_with('-'));
            places.push(Kind::of(&arguments.collect::<Vec<_>>().join("|")));
        }
    }
    (places, again)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::{agent, fleet};

    /// What a program says to a command line, if it does not take it.
    fn complaint(program: &str, words: &[&str]) -> String {
        let line = [&[program], words].concat();
        let line = line.into_iter().map(OsString::from);
        let refused = match program {
            "mosaic-agent" => agent::parse(line).err(),
            _ => fleet::parse(line).err(),
        };
        refused.map(|failure| failure.said).unwrap_or_default()
    }

    fn sample(kind: &Kind) -> String {
        match kind {
            Kind::Words(words) => words[0].clone(),
            _ => "1".into(),
        }
    }

    #[test]
    fn every_page_has_a_verb_that_takes_every_option_on_it() {
        for program in Program::both() {
            for page in &program.pages {
                let verb = page.verb;
                let said = complaint(program.name, &[verb]);
                assert!(
                    !said.contains("there is no verb"),
                    "{} {verb}",
                    program.name
                );
                let places: Vec<String> = places(page.synopsis).0.iter().map(sample).collect();
                for (flag, name) in page
                    .options
                    .iter()
                    .flat_map(|f| f.names.iter().map(move |n| (f, n)))
                {
                    let value = (!flag.value.is_empty()).then(|| sample(&Kind::of(flag.value)));
                    let given: Vec<&str> = [*name].into_iter().chain(value.as_deref()).collect();
                    let alone = [&[verb][..], &given].concat();
                    let behind: Vec<&str> = places.iter().map(String::as_str).collect();
                    let behind = [&[verb][..], &behind, &given].concat();
                    // Some options stand in the place of an argument, some need one before them, and some make
                    // `mosaic-agent` give the line to `mosaic-fleet`.
                    let is_unknown = |program: &str, words: &[&str]| {
                        complaint(program, words).contains("invalid option")
                    };
                    let refused = is_unknown(program.name, &alone)
                        && is_unknown(program.name, &behind)
                        && is_unknown("mosaic-fleet", &alone);
                    assert!(!refused, "{} {verb} {name}", program.name);
                }
            }
        }
    }

    #[test]
    fn the_tiny_binary_lists_the_verbs_that_have_pages() {
        let pages = agent_pages::PAGES.iter().map(|page| page.lines().next());
        assert!(pages.eq(agent_help::OWN.iter().map(|line| Some(*line))));
    }

    #[test]
    fn a_page_is_read_as_it_is_written() {
        let page = read(
            "mosaic-fleet fly NAME [FILE...]: lift off\n\nUp, and\naway.\n\nOptions\n  -h, --high METRES   so high\n                      and higher\n  --when a=b|c\n                      then\n  NAME                who\n\nExamples\n  fly x\n",
        );
        assert_eq!(
            (page.verb, page.synopsis, page.does),
            ("fly", "fly NAME [FILE...]", "lift off")
        );
        assert_eq!(page.paragraphs, ["Up, and away."]);
        let [high, when, name] = &page.options[..] else {
            panic!("{:?}", page.options)
        };
        assert_eq!(
            (&high.names[..], high.value, high.text.as_str()),
            (&["-h", "--high"][..], "METRES", "so high and higher")
        );
        assert_eq!((when.value, when.text.as_str()), ("a=b|c", "then"));
        assert!(name.names.is_empty() && name.value == "NAME");
        assert_eq!(page.sections, [("Examples", vec!["  fly x"])]);
        assert_eq!(places(page.synopsis), (vec![Kind::Agent, Kind::File], true));
        assert_eq!(
            Kind::of("a=b|c"),
            Kind::Words(vec!["a=b".into(), "a=c".into()])
        );
    }

    #[test]
    fn what_follows_an_option_in_a_synopsis_is_no_place() {
        let kinds = |synopsis| places(synopsis).0;
        assert_eq!(kinds("send NAME [-m TEXT | -f FILE | -]"), [Kind::Agent]);
        assert_eq!(
            kinds("verify NAME (--id ID | --contains TEXT)"),
            [Kind::Agent]
        );
        assert_eq!(kinds("run NAME [-- CMD ARG...]"), [Kind::Agent]);
        assert_eq!(kinds("explain --cast FILE.cast"), []);
        assert_eq!(kinds("upgrade (NAME | --all)"), [Kind::Agent]);
        assert_eq!(kinds("upgrade NAME|--all"), [Kind::Agent]);
    }
}
