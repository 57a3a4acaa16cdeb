//! A request, read from JSON, field by field.
//!
//! By hand: what serde derives for so many optional fields has a reader for each of them, and one for arrays; it
//! weighed 12 kB in the sidecar.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::Request;

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Request, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request, A::Error> {
        let (mut request, mut op) = (Request::default(), None);
        while let Some(key) = map.next_key::<String>()? {
            if key == "op" {
                put(&mut op, &key, &mut map)?;
            } else if let Some(field) = text(&mut request, &key) {
                put(field, &key, &mut map)?;
            } else if let Some(field) = number(&mut request, &key) {
                put(field, &key, &mut map)?;
            } else if let Some(field) = switch(&mut request, &key) {
                put(field, &key, &mut map)?;
            } else if key == "keys" {
                put(&mut request.keys, &key, &mut map)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        request.op = op.ok_or_else(|| Error::missing_field("op"))?;
        Ok(request)
    }
}

/// Reads the value of a field that must not have one yet.
fn put<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut Option<T>,
    key: &str,
    map: &mut A,
) -> Result<(), A::Error> {
    if field.is_some() {
        return Err(Error::custom(format_args!("`{key}` stands twice")));
    }
    *field = map.next_value()?;
    Ok(())
}

fn text<'r>(request: &'r mut Request, key: &str) -> Option<&'r mut Option<String>> {
    Some(match key {
        "text" => &mut request.text,
        "id" => &mut request.id,
        "from" => &mut request.from,
        "when_busy" => &mut request.when_busy,
        "when_draft" => &mut request.when_draft,
        "contains" => &mut request.contains,
        "event" => &mut request.event,
        "expect" => &mut request.expect,
        "path" => &mut request.path,
        "cursor" => &mut request.cursor,
        _ => return None,
    })
}

fn number<'r>(request: &'r mut Request, key: &str) -> Option<&'r mut Option<u64>> {
    Some(match key {
        "timeout_ms" => &mut request.timeout_ms,
        "since_ms" => &mut request.since_ms,
        "after" => &mut request.after,
        "wait_ms" => &mut request.wait_ms,
        "max_bytes" => &mut request.max_bytes,
        "lines" => &mut request.lines,
        _ => return None,
    })
}

fn switch<'r>(request: &'r mut Request, key: &str) -> Option<&'r mut Option<bool>> {
    Some(match key {
        "verify" => &mut request.verify,
        "input" => &mut request.input,
        "cells" => &mut request.cells,
        "steal" => &mut request.steal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_is_written_is_read_again() {
        let text = |n: u8| Some(format!("t{n}"));
        // Every field by its name: a new one does not compile before it stands here.
        let all = Request {
            op: "send".into(),
            text: text(1),
            id: text(2),
            from: text(3),
            verify: Some(true),
            timeout_ms: Some(1),
            when_busy: text(4),
            when_draft: text(5),
            contains: text(6),
            since_ms: Some(2),
            event: text(7),
            keys: Some(vec!["Enter".into(), "y".into()]),
            expect: text(8),
            path: text(9),
            after: Some(3),
            wait_ms: Some(4),
            input: Some(false),
            max_bytes: Some(5),
            cells: Some(true),
            steal: Some(false),
            cursor: text(10),
            lines: Some(u64::MAX),
        };
        let written = serde_json::to_value(&all).expect("JSON");
        let read: Request = serde_json::from_value(written.clone()).expect("a request");
        assert_eq!(serde_json::to_value(&read).expect("JSON"), written);
        assert_eq!(written.as_object().map(serde_json::Map::len), Some(22));
    }

    #[test]
    fn a_field_of_another_type_or_one_that_stands_twice_is_refused() {
        let read = |line: &str| serde_json::from_str::<Request>(line).map_err(|e| e.to_string());
        for (line, said) in [
            (r#"{"op":"send","text":5}"#, "string"),
            (r#"{"op":"send","timeout_ms":-1}"#, "u64"),
            (r#"{"op":"send","verify":"yes"}"#, "boolean"),
            (r#"{"op":"keys","keys":"Enter"}"#, "sequence"),
            (r#"{"op":"a","op":"b"}"#, "`op` stands twice"),
            (r#"{"op":"a","text":"b","text":"c"}"#, "`text` stands twice"),
            (r#"{"text":"b"}"#, "missing field `op`"),
            (r#"{"op":null}"#, "missing field `op`"),
            (r#"["status"]"#, "one JSON object"),
        ] {
            let refused = read(line).err().unwrap_or_default();
            assert!(refused.contains(said), "{line}: {refused:?}");
        }
        let null = read(r#"{"op":"send","id":null,"new":[{}]}"#);
        assert!(null.is_ok_and(|request| request.id.is_none()));
    }
}
