//! Completions for bash, zsh and fish, made from the help pages. What only the machine knows, the names of agents, is
//! asked from `mosaic-fleet completions agents` when a key is pressed.

use super::catalog::{Flag, Kind, Page, Program, places};

/// What completions know beyond the pages.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The names of the runtimes.
    pub runtimes: Vec<String>,
    /// The names of the schemas.
    pub schemas: Vec<String>,
}

impl Known {
    /// The words for a kind, where they are known now.
    fn words<'a>(&'a self, kind: &'a Kind) -> Option<&'a [String]> {
        match kind {
            Kind::Words(words) => Some(words),
            Kind::Runtime => Some(&self.runtimes),
            Kind::Schema => Some(&self.schemas),
            _ => None,
        }
    }
}

/// What options take, with those of one name (`--when`) together: their names, what they do, what they take.
fn options(page: &Page) -> Vec<(&[&'static str], &str, Option<Kind>)> {
    let mut found: Vec<(&[&'static str], &str, Option<Kind>)> = Vec::new();
    for Flag { names, value, text } in &page.options {
        // An optional value cannot be told from the next word.
        let takes = !value.is_empty() && !value.starts_with('[');
        let kind = takes.then(|| Kind::of(value));
        match found.iter_mut().find(|known| known.0 == names.as_slice()) {
            Some((_, _, Some(Kind::Words(known)))) => {
                if let Some(Kind::Words(more)) = kind {
                    known.extend(more);
                }
            }
            _ if names.is_empty() => {}
            _ => found.push((names, text, kind)),
        }
    }
    found.push((&["--help"], "print its help", None));
    found
}

/// The options in front of a verb.
const GLOBAL: [(&str, &str); 3] = [
    ("--help", "print the help"),
    ("--version", "print the version"),
    ("--schema", "print the schema of a JSON document"),
];

/// The script for bash: one function for both programs.
pub fn bash(known: &Known) -> String {
    let mut verbs = String::new();
    let mut cases = String::new();
    for program in Program::both() {
        let name = program.name;
        let mut words: Vec<&str> = program.pages.iter().map(|page| page.verb).collect();
        words.dedup();
        words.extend(GLOBAL.map(|(name, _)| name));
        verbs.push_str(&format!("        {name}) words='{}' ;;\n", words.join(" ")));
        for page in &program.pages {
            cases.push_str(&format!("        {name}:{})\n", page.verb));
            let options = options(page);
            let all: Vec<&str> = options.iter().flat_map(|o| o.0.iter().copied()).collect();
            cases.push_str(&format!("            flags='{}'\n", all.join(" ")));
            let mut takes = Vec::new();
            for (names, _, kind) in &options {
                let Some(kind) = kind else { continue };
                takes.extend(names.iter().copied());
                let pattern = names.join(" | ");
                if let Some(set) = bash_kind(known, kind) {
                    cases.push_str(&format!(
                        "            case $prev in {pattern}) {set} ;; esac\n"
                    ));
                }
            }
            cases.push_str(&format!("            takes=' {} '\n", takes.join(" ")));
            let (places, again) = places(page.synopsis);
            let last = places.len();
            for (n, kind) in places.iter().enumerate() {
                let pattern = if again && n + 1 == last {
                    "*".to_owned()
                } else {
                    n.to_string()
                };
                if let Some(set) = bash_kind(known, kind) {
                    cases.push_str(&format!("            _mosaic_at '{pattern}' && {set}\n"));
                }
            }
            cases.push_str("            ;;\n");
        }
    }
    format!(
        "# bash completion of mosaic-agent and mosaic-fleet, made by `mosaic-fleet completions bash`.
_mosaic() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
    local program=${{1##*/}} verb=${{COMP_WORDS[1]}}
    local words='' flags='' takes=' ' pass kind='' place i
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        case $program in
{verbs}        esac
    elif [[ $verb == --schema ]]; then
        words='{schemas}'
    else
        # First without the place: which options take a value decides which place this is.
        for pass in options place; do
            place=-1
            if [[ $pass == place && $takes != *\" $prev \"* ]]; then
                place=0
                for ((i = 2; i < COMP_CWORD; i++)); do
                    if [[ ${{COMP_WORDS[i]}} != -?* ]]; then
                        ((place += 1))
                    elif [[ $takes == *\" ${{COMP_WORDS[i]}} \"* ]]; then
                        ((i += 1))
                    fi
                done
            fi
            _mosaic_verb
        done
        if [[ $cur == -* ]]; then
            words=$flags kind=''
        fi
    fi
    if [[ $kind == agent ]]; then
        words=$(mosaic-fleet completions agents 2>/dev/null)
    fi
    if [[ $kind == file ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")
    else
        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")
    fi
}}
_mosaic_at() {{
    # shellcheck disable=SC2053 # a pattern: the last place may be any
    ((place >= 0)) && [[ $place == $1 ]]
}}
# Uses and sets the variables of its caller.
_mosaic_verb() {{
    case $program:$verb in
{cases}    esac
}}
complete -F _mosaic mosaic-agent mosaic-fleet
",
        schemas = known.schemas.join(" ")
    )
}

fn bash_kind(known: &Known, kind: &Kind) -> Option<String> {
    match kind {
        Kind::Agent => Some("kind='agent'".into()),
        Kind::File => Some("kind='file'".into()),
        kind => known
            .words(kind)
            .map(|words| format!("words='{}'", words.join(" "))),
    }
}

/// The script for zsh: one function for both programs, as a file of `$fpath` or to be sourced.
pub fn zsh(known: &Known) -> String {
    let mut verbs = String::new();
    let mut cases = String::new();
    for program in Program::both() {
        let name = program.name;
        verbs.push_str(&format!("            {name}) verbs=(\n"));
        for page in &program.pages {
            verbs.push_str(&format!(
                "                '{}:{}'\n",
                page.verb,
                zsh_text(page.does)
            ));
        }
        verbs.push_str("            ) ;;\n");
        for page in &program.pages {
            cases.push_str(&format!("        {name}:{}) _arguments -S \\\n", page.verb));
            for (names, text, kind) in options(page) {
                let value = kind.map(|kind| format!(":value:{}", zsh_kind(known, &kind)));
                let text = format!("[{}]{}", zsh_text(text), value.unwrap_or_default());
                // `--when` may stand there twice.
                let many = page.options.iter().filter(|o| o.names == names).count() > 1;
                cases.push_str(&match (names, many) {
                    ([one], true) => format!("            '*{one}{text}' \\\n"),
                    ([one], false) => format!("            '{one}{text}' \\\n"),
                    (several, _) => format!(
                        "            '({})'{{{}}}'{text}' \\\n",
                        several.join(" "),
                        several.join(",")
                    ),
                });
            }
            let (places, again) = places(page.synopsis);
            for (n, kind) in places.iter().enumerate() {
                let place = match again && n + 1 == places.len() {
                    true => "*".to_owned(),
                    false => (n + 1).to_string(),
                };
                cases.push_str(&format!(
                    "            '{place}:{}:{}' \\\n",
                    "argument",
                    zsh_kind(known, kind)
                ));
            }
            cases.push_str("            ;;\n");
        }
    }
    let globals = GLOBAL
        .map(|(name, does)| format!("'{name}:{does}'"))
        .join(" ");
    format!(
        "#compdef mosaic-agent mosaic-fleet
# zsh completion of mosaic-agent and mosaic-fleet, made by `mosaic-fleet completions zsh`.
_mosaic_agents() {{
    local -a agents
    agents=(${{(f)\"$(mosaic-fleet completions agents 2>/dev/null)\"}})
    compadd -a agents
}}
_mosaic() {{
    local program=${{words[1]:t}} verb=${{words[2]}}
    if (( CURRENT == 2 )); then
        local -a verbs globals
        globals=({globals})
        case $program in
{verbs}        esac
        _describe -t verbs verb verbs
        _describe -o -t options option globals
        return
    fi
    shift words
    (( CURRENT -= 1 ))
    case $program:$verb in
{cases}        *:--schema) compadd {schemas} ;;
    esac
}}
if [[ ${{zsh_eval_context[-1]}} == loadautofunc ]]; then
    _mosaic \"$@\"
else
    compdef _mosaic mosaic-agent mosaic-fleet
fi
",
        schemas = known.schemas.join(" ")
    )
}

/// A text inside single quotes and brackets of zsh's `_arguments`.
fn zsh_text(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("'\\''"),
            '[' | ']' | ':' | '\\' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted
}

fn zsh_kind(known: &Known, kind: &Kind) -> String {
    match kind {
        Kind::Agent => "_mosaic_agents".into(),
        Kind::File => "_files".into(),
        kind => known
            .words(kind)
            .map_or(" ".into(), |words| format!("({})", words.join(" "))),
    }
}

/// The script for fish.
pub fn fish(known: &Known) -> String {
    let mut text = "# fish completion of mosaic-agent and mosaic-fleet, made by `mosaic-fleet completions fish`.
function __mosaic_agents
    mosaic-fleet completions agents 2>/dev/null
end
"
    .to_owned();
    for program in Program::both() {
        let name = program.name;
        text.push_str(&format!("complete -c {name} -f\n"));
        for (global, does) in GLOBAL {
            let global = global.trim_start_matches('-');
            text.push_str(&format!(
                "complete -c {name} -n __fish_use_subcommand -l {global} -d '{does}'\n"
            ));
        }
        text.push_str(&format!(
            "complete -c {name} -n '__fish_contains_opt schema' -a '{}'\n",
            known.schemas.join(" ")
        ));
        for page in &program.pages {
            let (verb, does) = (page.verb, fish_text(page.does));
            text.push_str(&format!(
                "complete -c {name} -n __fish_use_subcommand -a {verb} -d '{does}'\n"
            ));
            let when = format!("complete -c {name} -n '__fish_seen_subcommand_from {verb}'");
            for (names, does, kind) in options(page) {
                text.push_str(&when);
                for name in names {
                    match name.strip_prefix("--") {
                        Some(long) => text.push_str(&format!(" -l {long}")),
                        None => text.push_str(&format!(" -s {}", name.trim_start_matches('-'))),
                    }
                }
                if let Some(kind) = kind {
                    text.push_str(&fish_kind(known, &kind, " -x"));
                }
                text.push_str(&format!(" -d '{}'\n", fish_text(does)));
            }
            for kind in places(page.synopsis).0 {
                let given = fish_kind(known, &kind, "");
                if !given.is_empty() {
                    text.push_str(&format!("{when}{given}\n"));
                }
            }
        }
    }
    text
}

/// `alone` is what an option has to say of a value that nobody knows.
fn fish_kind(known: &Known, kind: &Kind, alone: &str) -> String {
    let needs = if alone.is_empty() { "" } else { " -r" };
    match kind {
        Kind::Agent => format!("{alone} -a '(__mosaic_agents)'"),
        Kind::File => format!("{needs} -F"),
        kind => match known.words(kind) {
            Some(words) => format!("{alone} -a '{}'", words.join(" ")),
            None => alone.to_owned(),
        },
    }
}

fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
