//! What has happened to an agent: the last events, numbered, for readers that come back with a cursor.
//!
//! A cursor names the sidecar and the event after which to go on (`TAG:SEQ`). One of another sidecar, or of an
//! event that was forgotten, is answered from the oldest event on, with `lost`: a reader is never led past
//! something without being told.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use super::handover::{CarriedEvents, CarriedNumbers};
use super::receipt::{Receipt, unix_ms};
use super::wire::Origin;

/// Most events kept: some hours of an agent that works all the time (a turn has five or six).
const EVENTS_MAX: usize = 256;

/// Most bytes of events kept; a receipt has some 600.
const BYTES_MAX: usize = 64 * 1024;

/// A reader that was answered asks again within this time: one connection and one line, a hundred times over for a
/// machine that has other things to do.
const RETURNS_WITHIN: Duration = Duration::from_millis(250);

/// What can happen. Bodies of messages are never in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The sidecar has started its runtime: `sidecar` and `pid`, and the sidecar's `version`.
    Start,
    /// Another binary has taken the sidecar over: as for `Start`; the runtime lives on.
    Upgrade,
    /// The state has changed: `state`, `was`, `why`.
    State,
    /// A message waits in the sidecar's own queue and is on the disk: its `id`.
    Held,
    /// A message has met its fate: `receipt`.
    Receipt,
    /// The same for one that somebody else typed: a person, or `tmux send-keys`.
    Observed,
    /// More is known of a message than was said first: `receipt`.
    Revised,
    /// Somebody has asked for what needs the control power: `op`, `peer_pid`, `peer_uid`, and `refused` (why) if
    /// it was.
    Control,
    /// Somebody began or ceased to watch: `viewers`, how many do.
    Viewers,
    /// A recording was begun (`file`) or has ended: `file` and `stopped`, the reason.
    Recording,
    /// The runtime has ended: `exit` (a code, or a signal), and `reason` where that was not its own end.
    Exit,
}

impl Kind {
    /// The word for programs.
    fn word(self) -> &'static str {
        match self {
            Kind::Start => "start",
            Kind::Upgrade => "upgrade",
            Kind::State => "state",
            Kind::Held => "held",
            Kind::Receipt => "receipt",
            Kind::Observed => "observed",
            Kind::Revised => "revised",
            Kind::Control => "control",
            Kind::Viewers => "viewers",
            Kind::Recording => "recording",
            Kind::Exit => "exit",
        }
    }
}

/// What belongs to an event.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// What is known of a message.
    Receipt(&'a Receipt),
    /// Texts.
    List(&'a [String]),
}

/// Writes one field of a JSON object. Written out by hand: what serde makes of an enum like this weighs 5 KB.
#[inline(never)]
pub(super) fn put(json: &mut Vec<u8>, key: &str, field: Field<'_>) {
    json.extend_from_slice(b",\"");
    json.extend_from_slice(key.as_bytes());
    json.extend_from_slice(b"\":");
    let value = match field {
        Field::Text(text) => serde_json::to_vec(text),
        Field::Receipt(receipt) => serde_json::to_vec(receipt),
        Field::List(list) => serde_json::to_vec(list),
        Field::Number(number) => Ok(number.to_string().into_bytes()),
    };
    // Texts and receipts cannot fail to be JSON.
    json.extend_from_slice(&value.unwrap_or_default());
}

/// Numbers for what readers come back for, and cursors (`TAG:N`) that know whose numbers they are.
pub(super) struct Numbered {
    /// What a cursor begins with.
    tag: String,
    /// The number of the newest; the first has 1.
    pub(super) last: u64,
}

impl Numbered {
    pub(super) fn new(tag: String) -> Numbered {
        Numbered { tag, last: 0 }
    }

    /// Over an upgrade.
    pub(super) fn carried(&self) -> CarriedNumbers {
        CarriedNumbers {
            tag: self.tag.clone(),
            last: self.last,
        }
    }

    /// Goes on with what was carried.
    pub(super) fn resume(carried: CarriedNumbers) -> Numbered {
        Numbered {
            tag: carried.tag,
            last: carried.last,
        }
    }

    /// How many of the newest the reader with this cursor has not seen where so many are kept, and whether some
    /// are lost to it.
    pub(super) fn unseen(&self, cursor: Option<&str>, kept: usize) -> (usize, bool) {
        let Some(cursor) = cursor else {
            return (kept, false);
        };
        let seen = cursor
            .rsplit_once(':')
            .filter(|(tag, _)| *tag == self.tag)
            .and_then(|(_, n)| self.last.checked_sub(n.parse().ok()?));
        match seen {
            Some(unseen) if unseen <= kept as u64 => (unseen as usize, false),
            _ => (kept, true),
        }
    }

    /// The beginning of an answer to that reader, and how many it has not seen.
    #[inline(never)]
    pub(super) fn head(
        &self,
        schema: &str,
        origin: &Origin,
        cursor: Option<&str>,
        kept: usize,
    ) -> (Vec<u8>, usize) {
        let (unseen, lost) = self.unseen(cursor, kept);
        let mut line = format!("{{\"lost\":{lost}").into_bytes();
        for (key, text) in [
            ("schema", schema),
            ("tenant_id", &origin.tenant_id),
            ("host", &origin.host),
            ("agent", &origin.agent),
            ("next", &format!("{}:{}", self.tag, self.last)),
        ] {
            put(&mut line, key, Field::Text(text));
        }
        (line, unseen)
    }
}

/// Ends a list whose last element has a comma behind it.
pub(super) fn close_list(json: &mut Vec<u8>) {
    if json.last() == Some(&b',') {
        json.pop();
    }
    json.push(b']');
}

/// The last events, oldest first.
pub struct Events {
    numbered: Numbered,
    /// The events as they are written, each one JSON object.
    kept: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The id of the last message that somebody else typed.
    observed: String,
    away: Away,
}

/// Readers that were answered and have not asked again yet.
#[derive(Default)]
struct Away {
    readers: usize,
    /// The last answer: when, and up to which event.
    answered: Option<(Instant, u64)>,
}

impl Events {
    /// No events yet. `tag` must not be that of any sidecar before.
    pub fn new(tag: String) -> Events {
        Events {
            numbered: Numbered::new(tag),
            kept: VecDeque::new(),
            bytes: 0,
            observed: String::new(),
            away: Away::default(),
        }
    }

    /// Over an upgrade: readers go on as if nothing had happened.
    pub fn carried(&self) -> CarriedEvents {
        CarriedEvents {
            numbers: self.numbered.carried(),
            kept: self.kept.iter().cloned().collect(),
            observed: self.observed.clone(),
        }
    }

    /// Goes on with what was carried.
    pub fn resume(carried: CarriedEvents) -> Events {
        Events {
            numbered: Numbered::resume(carried.numbers),
            bytes: carried.kept.iter().map(Vec::len).sum(),
            kept: carried.kept.into(),
            observed: carried.observed,
            away: Away::default(),
        }
    }

    /// Adds an event, and forgets the oldest ones if there are too many.
    #[inline(never)]
    pub fn add(&mut self, at: SystemTime, kind: Kind, fields: &[(&str, Field<'_>)]) {
        self.numbered.last += 1;
        let mut event = format!("{{\"seq\":{}", self.numbered.last).into_bytes();
        put(&mut event, "at_ms", Field::Number(unix_ms(at)));
        put(&mut event, "kind", Field::Text(kind.word()));
        for (key, field) in fields {
            put(&mut event, key, *field);
        }
        event.push(b'}');
        self.bytes += event.len();
        self.kept.push_back(event);
        while self.kept.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let oldest = self.kept.pop_front();
            self.bytes -= oldest.map_or(0, |event| event.len());
        }
    }

    /// Adds a message that somebody else typed, once its fate is known.
    pub fn observed(&mut self, at: SystemTime, receipt: &Receipt) {
        self.observed.clone_from(&receipt.id);
        self.add(at, Kind::Observed, &[("receipt", Field::Receipt(receipt))]);
    }

    /// Adds a message that has met its fate, or of which more is known, unless it was told as observed.
    pub fn settled(&mut self, at: SystemTime, receipt: &Receipt) {
        let kind = match receipt.was {
            Some(_) => Kind::Revised,
            None if receipt.id == self.observed => return,
            None => Kind::Receipt,
        };
        self.add(at, kind, &[("receipt", Field::Receipt(receipt))]);
    }

    /// A reader asks, and waits for what is new.
    pub fn reader_comes(&mut self) {
        self.away.readers = self.away.readers.saturating_sub(1);
    }

    /// A reader that waited has been answered, and will be back.
    pub fn reader_goes(&mut self, now: Instant) {
        self.away.readers += 1;
        self.away.answered = Some((now, self.numbered.last));
    }

    /// Until when a reader may come back that has not seen the last events; they end with us.
    pub fn awaits_reader(&self, now: Instant) -> Option<Instant> {
        let (at, seen) = self.away.answered?;
        let until = at + RETURNS_WITHIN;
        (self.away.readers > 0 && seen < self.numbered.last && now < until).then_some(until)
    }

    /// Whether there is something for the reader with this cursor.
    pub fn has_news(&self, cursor: Option<&str>) -> bool {
        self.numbered.unseen(cursor, self.kept.len()) != (0, false)
    }

    /// What the reader with this cursor has not seen: `mosaic.events/1`, one line.
    pub fn line(&self, origin: &Origin, cursor: Option<&str>) -> Vec<u8> {
        let (mut line, unseen) =
            self.numbered
                .head("mosaic.events/1", origin, cursor, self.kept.len());
        line.extend_from_slice(b",\"events\":[");
        for event in self.kept.iter().skip(self.kept.len() - unseen) {
            line.extend_from_slice(event);
            line.push(b',');
        }
        close_list(&mut line);
        line.extend_from_slice(b"}\n");
        line
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn events(n: u64) -> Events {
        let mut events = Events::new("a1-2".into());
        for id in 0..n {
            let id = id.to_string();
            events.add(
                SystemTime::UNIX_EPOCH,
                Kind::Held,
                &[("id", Field::Text(&id))],
            );
        }
        events
    }

    #[test]
    fn a_reader_on_its_way_back_is_waited_for_if_it_has_missed_something_and_not_for_ever() {
        let now = Instant::now();
        let mut events = events(1);
        assert_eq!(events.awaits_reader(now), None, "nobody reads");
        events.reader_comes();
        events.reader_goes(now);
        assert_eq!(events.awaits_reader(now), None, "it has seen everything");
        events.add(SystemTime::UNIX_EPOCH, Kind::Exit, &[]);
        let until = now + RETURNS_WITHIN;
        assert_eq!(events.awaits_reader(now), Some(until));
        assert_eq!(events.awaits_reader(until), None, "it does not come");
        events.reader_comes();
        assert_eq!(events.awaits_reader(now), None, "it is here");
    }

    fn read(events: &Events, cursor: Option<&str>) -> (Vec<u64>, String, bool) {
        let line = events.line(&Origin::default(), cursor);
        let document: Value = serde_json::from_slice(&line).unwrap_or_default();
        let all = document["events"].as_array().cloned().unwrap_or_default();
        let seqs = all.iter().filter_map(|e| e["seq"].as_u64()).collect();
        let next = document["next"].as_str().unwrap_or_default().to_owned();
        (seqs, next, document["lost"] == true)
    }

    #[test]
    fn a_reader_that_comes_back_gets_what_it_has_not_seen_and_nothing_twice() {
        let mut events = events(2);
        let (seqs, next, lost) = read(&events, None);
        assert_eq!((seqs, lost), (vec![1, 2], false));
        assert!(!events.has_news(Some(&next)));
        assert_eq!(read(&events, Some(&next)), (vec![], next.clone(), false));
        events.add(
            SystemTime::UNIX_EPOCH,
            Kind::Start,
            &[("pid", Field::Number(7))],
        );
        assert!(events.has_news(Some(&next)));
        assert_eq!(read(&events, Some(&next)).0, [3]);
    }

    #[test]
    fn what_a_cursor_cannot_be_followed_from_is_said_to_be_lost() {
        let events = events(EVENTS_MAX as u64 + 10);
        let oldest = 11;
        for (cursor, lost) in [
            ("a1-2:10", false),
            ("a1-2:9", true),
            ("a1-2:0", true),
            ("a1-2:9999", true),
            ("a1-3:50", true),
            ("a1-2:", true),
            ("50", true),
            ("", true),
        ] {
            let (seqs, _, said) = read(&events, Some(cursor));
            assert_eq!(said, lost, "{cursor:?}");
            assert_eq!(seqs.first(), Some(&oldest), "{cursor:?}");
            assert!(events.has_news(Some(cursor)), "{cursor:?}");
        }
    }

    #[test]
    fn the_ring_is_bounded_in_bytes_too() {
        let mut events = events(0);
        for _ in 0..EVENTS_MAX {
            let why = "w".repeat(4_000);
            let fields = [("why", Field::Text(&why))];
            events.add(SystemTime::UNIX_EPOCH, Kind::State, &fields);
        }
        assert!(events.line(&Origin::default(), None).len() < BYTES_MAX + 1_000);
        assert!(read(&events, None).0.len() > 10);
    }

    #[test]
    fn a_message_that_somebody_else_typed_is_told_once() {
        let mut events = events(0);
        let at = SystemTime::UNIX_EPOCH;
        let mut receipt = Receipt::bare("m", super::super::receipt::Verdict::Queued, "", at);
        events.observed(at, &receipt);
        events.settled(at, &receipt);
        assert_eq!(read(&events, None).0.len(), 1);
        receipt.was = Some(receipt.verdict);
        events.settled(at, &receipt);
        assert_eq!(read(&events, None).0.len(), 2);
    }
}
