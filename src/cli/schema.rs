//! `--schema`: which document a verb prints with `--json`.

use std::ffi::{OsStr, OsString};

/// The thing whose schema `VERB --schema` prints; none for a verb without a document.
pub(super) fn of_verb(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "probe" | "status" | "record" => "status",
        "send" | "verify" => "receipt",
        "stop" | "restart" => "stop",
        "events" => "event",
        "tail" => "history",
        "doctor" => "doctor",
        "explain" => "explain",
        "hooks" => "hooks",
        "keys" => "keys",
        "ps" => "ps",
        "replay" => "replay",
        "reset" => "reset",
        "screen" => "screen",
        "units" => "units",
        "upgrade" => "upgrade",
        _ => return None,
    })
}

/// Whether these arguments of a verb ask for the schema: at the front, or behind something whose value it cannot be.
pub(super) fn is_asked(args: &[OsString]) -> bool {
    let own = args.split(|arg| arg == "--").next().unwrap_or_default();
    let is_switch = |arg: &OsStr| arg == "--json" || !arg.to_string_lossy().starts_with('-');
    own.iter()
        .position(|arg| arg == "--schema")
        .is_some_and(|at| at == 0 || is_switch(&own[at - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fleet::{Verb, parse};
    use crate::pure::schemas;

    fn asked(line: &str) -> Option<String> {
        let words = std::iter::once("mosaic-fleet").chain(line.split_whitespace());
        match parse(words.map(OsString::from)) {
            Ok(Verb::Schema(thing)) => thing,
            _ => None,
        }
    }

    #[test]
    fn every_verb_with_a_document_tells_its_schema() {
        let pages = crate::cli::fleet_pages::PAGES.iter();
        let documents = pages.filter(|page| page.contains("\n  --json "));
        let mut count = 0;
        for verb in documents.map(|page| crate::cli::help::verb(page)) {
            let thing = asked(&format!("{verb} --schema"));
            let found = thing.as_deref().and_then(schemas::find);
            assert!(found.is_some(), "{verb}: {thing:?}");
            count += 1;
        }
        assert!(count >= 15, "only {count} verbs have documents");
    }

    #[test]
    fn it_may_stand_behind_a_name_or_json_and_is_a_text_where_one_is_due() {
        for line in ["status coder0 --schema", "ps --json --schema"] {
            assert!(asked(line).is_some(), "{line}");
        }
        for line in ["send coder0 -m --schema", "send coder0 -m x -- --schema"] {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
