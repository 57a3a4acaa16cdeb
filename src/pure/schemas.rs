//! The published schemas of our JSON documents, as `docs/schemas/` has them.

/// Each by the name of its file.
macro_rules! schemas {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../docs/schemas/", $name, ".json")))),*]
    };
}

/// All of them: the thing, and its schema.
pub const ALL: &[(&str, &str)] = schemas![
    "doctor", "error", "event", "events", "explain", "hello", "history", "hook", "hooks", "keys",
    "ps", "receipt", "replay", "request", "reset", "screen", "status", "stop", "units", "upgrade",
];

/// The schema of a thing. What a document calls itself (`mosaic.receipt/1`) is a name of it, too.
pub fn find(thing: &str) -> Option<&'static str> {
    let name = thing.strip_prefix("mosaic.").unwrap_or(thing);
    let name = name.split_once('/').map_or(name, |(name, _)| name);
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_schema_is_here_and_is_called_as_it_calls_itself() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schemas");
        let mut published: Vec<String> = std::fs::read_dir(dir)
            .expect("docs/schemas")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().replace(".json", ""))
            .collect();
        published.sort();
        let here: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(here, published);
        for (name, text) in ALL {
            let schema: serde_json::Value = serde_json::from_str(text).expect("JSON");
            let id = schema["$id"].as_str().unwrap_or_default();
            assert_eq!(find(id), Some(*text), "{name}: {id}");
        }
    }
}
