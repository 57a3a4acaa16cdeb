//! What a sidecar hands to the binary that replaces it, in the same process and over the same descriptors.
//!
//! One document of plain fields in a fixed order, written and read by the same walk over them (`Walk`): what the
//! one writes the other cannot read differently, and the code weighs a tenth of a format that describes itself.
//! Moments are told as milliseconds ago: the two share no clock that could be written down.

use std::time::{Duration, Instant};

use super::hook::Heard;
use super::profile::ProcessFacts;
use super::wire::State;

/// The format of the document: its first field. A field that is added makes it one more and is walked over only in
/// documents of that format or later, so that a newer binary takes over from an older one. What is newer than this
/// is refused.
pub const FORMAT: u32 = 2;

/// All of it.
#[derive(Debug, Default)]
pub struct Handover {
    /// The version that hands over.
    pub version: String,
    /// How often this sidecar was replaced, this time included.
    pub upgrades: u32,
    /// The connection that has asked for it.
    pub requester: Option<u64>,
    /// When the pump was stopped, in microseconds of the monotonic clock, which both processes read.
    pub stopped_us: u64,
    /// Descriptors, by number.
    pub held: Descriptors,
    /// The modes of the outer terminal that are to be put back at the end; none if there is no terminal.
    pub terminal: Option<Vec<u64>>,
    /// The process we started.
    pub child: i32,
    /// When that was, in Unix milliseconds.
    pub started_ms: u64,
    /// The tmux socket of the pane.
    pub tmux: Option<String>,
    /// The terminal's columns and rows.
    pub size: (u32, u32),
    /// The number of the last heartbeat.
    pub seq: u64,
    /// How often the screen model has failed.
    pub panics: u32,
    /// What the hooks have told.
    pub hooks: Heard,
    /// The machine in the middle.
    pub harness: Carried,
    /// Open connections.
    pub clients: Vec<CarriedClient>,
    /// The number of the last connection.
    pub last_client: u64,
    /// Who has taken over: connection, pid, and since when in Unix milliseconds.
    pub attached: Option<(u64, u64, u64)>,
    /// What has happened.
    pub events: CarriedEvents,
    /// Which connection waits for which verdict.
    pub waiting: Vec<(u64, u64)>,
    /// Readers that wait for something new.
    pub polls: Vec<CarriedPoll>,
    /// The bytes that draw the screen.
    pub drawing: Vec<u8>,
    /// What the screen is that they draw, as a number (`Screen::fingerprint`); only where it is
    /// asked for whether it can be taken over, and by a binary of format 2 or later.
    pub fingerprint: Option<u64>,
    /// What the terminal still gets.
    pub to_outer: Vec<u8>,
    /// What the runtime still gets.
    pub to_inner: Vec<u8>,
    /// What a person has typed over the socket, and nobody was told of yet.
    pub keys: Vec<u8>,
}

/// What the kernel holds for us.
#[derive(Debug, Default)]
pub struct Descriptors {
    /// The master side of the inner pty.
    pub master: i32,
    /// The ack socket, listening.
    pub listener: i32,
    /// The locks that say who owns the agent.
    pub locks: Vec<i32>,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct CarriedClient {
    /// Its descriptor.
    pub fd: i32,
    /// Its number.
    pub id: u64,
    /// How many requests it has made.
    pub asked: u64,
    /// The last of them is not answered yet.
    pub waits: bool,
    /// What has come of its next requests.
    pub unread: Vec<u8>,
}

/// A request that waits for something new.
#[derive(Debug, Default)]
pub struct CarriedPoll {
    /// Whose.
    pub client: u64,
    /// Its number.
    pub asker: u64,
    /// What it asks, as it came.
    pub request: String,
    /// How much longer it waits.
    pub left_ms: u64,
}

/// What the harness knows.
#[derive(Debug, Default)]
pub struct Carried {
    /// The state's word.
    pub state: String,
    /// The rule or fact behind it.
    pub why: String,
    /// Since when.
    pub state_ago: Ago,
    /// A composer was in front at least once.
    pub been_ready: bool,
    /// The profile's name, the runtime's pid and version.
    pub running: (String, i32, String),
    /// A profile has fitted.
    pub known_once: bool,
    /// The outermost process as it was first seen.
    pub started: Option<ProcessFacts>,
    /// When the runtime was proven alive, printed, was typed at, and was last seen in a turn.
    pub moments: [Option<Ago>; 4],
    /// So many messages in a row the runtime's own record did not have; 256: it had one; none: there is none.
    pub record: Option<u64>,
    /// What a person has typed since the last Enter, and whether that is in the middle of a paste.
    pub typed: (String, bool),
    /// What the screen tells outside of its cells.
    pub screen: CarriedScreen,
    /// Messages that wait for their turn, the next one first.
    pub queue: Vec<CarriedOrder>,
    /// Messages in the runtime's own queue.
    pub followed: Vec<CarriedFollowed>,
    /// The lines that have left the screen.
    pub history: CarriedHistory,
}

/// Numbers that readers have cursors of.
#[derive(Debug, Default)]
pub struct CarriedNumbers {
    /// What a cursor begins with.
    pub tag: String,
    /// The number of the newest.
    pub last: u64,
}

/// What has happened, for readers.
#[derive(Debug, Default)]
pub struct CarriedEvents {
    /// Their numbers.
    pub numbers: CarriedNumbers,
    /// The events as they are written, oldest first.
    pub kept: Vec<Vec<u8>>,
    /// The id of the last message that somebody else typed.
    pub observed: String,
}

/// The lines that have left the screen.
#[derive(Debug, Default)]
pub struct CarriedHistory {
    /// Their numbers.
    pub numbers: CarriedNumbers,
    /// Each line, or how many are missing there.
    pub lines: Vec<(String, Option<u64>)>,
    /// So many lines at the top of the screen are in it already.
    pub overlap: usize,
    /// What is shown may all be in it.
    pub back: bool,
    /// What has left the screen since everything may be drawn again.
    pub again: Option<Vec<String>>,
    /// The beginning of a wrapped line whose end is still on the screen.
    pub begun: String,
}

/// The screen but for its drawing.
#[derive(Debug, Default)]
pub struct CarriedScreen {
    /// Its revision.
    pub revision: u64,
    /// The window title.
    pub title: String,
    /// The state it last announced.
    pub said: Option<String>,
    /// How often it announced that it works.
    pub said_working: u64,
    /// The rows are half drawn.
    pub in_update: bool,
}

/// A message of which nothing was typed yet.
#[derive(Debug, Default)]
pub struct CarriedOrder {
    /// Its id.
    pub id: String,
    /// What is to be typed.
    pub text: String,
    /// Where the message's own words begin.
    pub words_at: usize,
    /// When it was asked for.
    pub asked_ago: Ago,
    /// How much longer it may wait.
    pub left_ms: u64,
    /// What if a turn runs: `hold`, `type` or `refuse`.
    pub when_busy: String,
    /// It waits for drafts to go.
    pub draft_waits: bool,
    /// It survives its sender.
    pub kept: bool,
    /// Who waits for its verdict.
    pub askers: Vec<u64>,
}

/// A message that the runtime has put into its own queue.
#[derive(Debug, Default)]
pub struct CarriedFollowed {
    /// Its id.
    pub id: String,
    /// Its letters.
    pub letters: String,
    /// Since when.
    pub ago: Ago,
}

/// A moment, in milliseconds before the handover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ago(pub u64);

impl Ago {
    /// How long before `now` that was.
    pub fn of(at: Instant, now: Instant) -> Ago {
        let ms = now.saturating_duration_since(at).as_millis();
        Ago(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// The same moment on the clock of a `now` that follows at once.
    pub fn before(self, now: Instant) -> Instant {
        now.checked_sub(Duration::from_millis(self.0))
            .unwrap_or(now)
    }
}

/// One walk over all fields, which writes them or reads them.
enum Walk<'a> {
    Writes(Vec<u8>),
    Reads(&'a [u8]),
    /// The document ended before its fields did, or holds what no field can be.
    Failed,
}

/// Most entries of a list: nothing here comes near it, and a damaged number must not cost the memory.
const ENTRIES_MAX: u64 = 1 << 24;

impl Walk<'_> {
    fn number(&mut self, value: &mut u64) {
        match self {
            Walk::Writes(out) => out.extend_from_slice(&value.to_le_bytes()),
            Walk::Reads(rest) => match rest.split_first_chunk::<8>() {
                Some((bytes, later)) => (*value, *rest) = (u64::from_le_bytes(*bytes), later),
                None => *self = Walk::Failed,
            },
            Walk::Failed => {}
        }
    }

    fn int(&mut self, value: &mut i32) {
        let mut number = u64::from(value.cast_unsigned());
        self.number(&mut number);
        *value = u32::try_from(number).unwrap_or(0).cast_signed();
    }

    fn small(&mut self, value: &mut u32) {
        let mut number = u64::from(*value);
        self.number(&mut number);
        *value = u32::try_from(number).unwrap_or(u32::MAX);
    }

    fn size(&mut self, value: &mut usize) {
        let mut number = *value as u64;
        self.number(&mut number);
        *value = usize::try_from(number).unwrap_or(usize::MAX);
    }

    fn flag(&mut self, value: &mut bool) {
        let mut number = u64::from(*value);
        self.number(&mut number);
        *value = number != 0;
    }

    fn bytes(&mut self, value: &mut Vec<u8>) {
        let mut length = value.len();
        self.size(&mut length);
        match self {
            Walk::Writes(out) => out.extend_from_slice(value),
            Walk::Reads(rest) => match rest.split_at_checked(length) {
                Some((bytes, later)) => (*value, *rest) = (bytes.to_vec(), later),
                None => *self = Walk::Failed,
            },
            Walk::Failed => {}
        }
    }

    fn text(&mut self, value: &mut String) {
        let mut bytes = std::mem::take(value).into_bytes();
        self.bytes(&mut bytes);
        match String::from_utf8(bytes) {
            Ok(text) => *value = text,
            Err(_) => *self = Walk::Failed,
        }
    }

    fn ago(&mut self, value: &mut Ago) {
        self.number(&mut value.0);
    }

    fn list<T: Default>(&mut self, value: &mut Vec<T>, each: fn(&mut Self, &mut T)) {
        let mut length = value.len() as u64;
        self.number(&mut length);
        if length > ENTRIES_MAX {
            *self = Walk::Failed;
        }
        if let Walk::Reads(_) = self {
            value.clear();
        }
        for at in 0..length {
            if let Walk::Failed = self {
                return;
            }
            if let Walk::Reads(_) = self {
                value.push(T::default());
            }
            if let Some(entry) = usize::try_from(at).ok().and_then(|at| value.get_mut(at)) {
                each(self, entry);
            }
        }
    }

    fn option<T: Default>(&mut self, value: &mut Option<T>, each: fn(&mut Self, &mut T)) {
        let mut list: Vec<T> = value.take().into_iter().collect();
        self.list(&mut list, each);
        *value = list.pop();
    }
}

/// The fields that a document of this format has, in their order.
fn all(walk: &mut Walk<'_>, h: &mut Handover, format: u32) {
    walk.text(&mut h.version);
    walk.small(&mut h.upgrades);
    walk.option(&mut h.requester, Walk::number);
    walk.number(&mut h.stopped_us);
    walk.int(&mut h.held.master);
    walk.int(&mut h.held.listener);
    walk.list(&mut h.held.locks, Walk::int);
    walk.option(&mut h.terminal, |walk, modes| {
        walk.list(modes, Walk::number)
    });
    walk.int(&mut h.child);
    walk.number(&mut h.started_ms);
    walk.option(&mut h.tmux, Walk::text);
    walk.small(&mut h.size.0);
    walk.small(&mut h.size.1);
    walk.number(&mut h.seq);
    walk.small(&mut h.panics);
    walk.number(&mut h.hooks.events);
    walk.number(&mut h.hooks.prompts);
    walk.option(&mut h.hooks.last_event, Walk::text);
    walk.option(&mut h.hooks.last_at_ms, Walk::number);
    harness(walk, &mut h.harness);
    walk.list(&mut h.clients, client);
    walk.number(&mut h.last_client);
    numbers(walk, &mut h.events.numbers);
    walk.list(&mut h.events.kept, Walk::bytes);
    walk.text(&mut h.events.observed);
    walk.option(&mut h.attached, |walk, (client, pid, since_ms)| {
        walk.number(client);
        walk.number(pid);
        walk.number(since_ms);
    });
    walk.list(&mut h.waiting, |walk, (asker, client)| {
        walk.number(asker);
        walk.number(client);
    });
    walk.list(&mut h.polls, |walk, poll| {
        walk.number(&mut poll.client);
        walk.number(&mut poll.asker);
        walk.text(&mut poll.request);
        walk.number(&mut poll.left_ms);
    });
    walk.bytes(&mut h.drawing);
    walk.bytes(&mut h.to_outer);
    walk.bytes(&mut h.to_inner);
    walk.bytes(&mut h.keys);
    if format >= 2 {
        walk.option(&mut h.fingerprint, Walk::number);
    }
}

fn numbers(walk: &mut Walk<'_>, numbers: &mut CarriedNumbers) {
    walk.text(&mut numbers.tag);
    walk.number(&mut numbers.last);
}

fn history(walk: &mut Walk<'_>, h: &mut CarriedHistory) {
    numbers(walk, &mut h.numbers);
    walk.list(&mut h.lines, |walk, (text, missing)| {
        walk.text(text);
        walk.option(missing, Walk::number);
    });
    walk.size(&mut h.overlap);
    walk.flag(&mut h.back);
    walk.option(&mut h.again, |walk, lines| walk.list(lines, Walk::text));
    walk.text(&mut h.begun);
}

fn client(walk: &mut Walk<'_>, client: &mut CarriedClient) {
    walk.int(&mut client.fd);
    walk.number(&mut client.id);
    walk.number(&mut client.asked);
    walk.flag(&mut client.waits);
    walk.bytes(&mut client.unread);
}

fn harness(walk: &mut Walk<'_>, h: &mut Carried) {
    walk.text(&mut h.state);
    walk.text(&mut h.why);
    walk.ago(&mut h.state_ago);
    walk.flag(&mut h.been_ready);
    walk.text(&mut h.running.0);
    walk.int(&mut h.running.1);
    walk.text(&mut h.running.2);
    walk.flag(&mut h.known_once);
    walk.option(&mut h.started, |walk, process| {
        walk.int(&mut process.pid);
        walk.int(&mut process.parent);
        walk.text(&mut process.exe);
        walk.list(&mut process.argv, Walk::text);
        walk.text(&mut process.script);
        walk.text(&mut process.version);
    });
    for moment in &mut h.moments {
        walk.option(moment, Walk::ago);
    }
    walk.option(&mut h.record, Walk::number);
    walk.text(&mut h.typed.0);
    walk.flag(&mut h.typed.1);
    walk.number(&mut h.screen.revision);
    walk.text(&mut h.screen.title);
    walk.option(&mut h.screen.said, Walk::text);
    walk.number(&mut h.screen.said_working);
    walk.flag(&mut h.screen.in_update);
    history(walk, &mut h.history);
    walk.list(&mut h.queue, order);
    walk.list(&mut h.followed, |walk, followed| {
        walk.text(&mut followed.id);
        walk.text(&mut followed.letters);
        walk.ago(&mut followed.ago);
    });
}

fn order(walk: &mut Walk<'_>, order: &mut CarriedOrder) {
    walk.text(&mut order.id);
    walk.text(&mut order.text);
    walk.size(&mut order.words_at);
    walk.ago(&mut order.asked_ago);
    walk.number(&mut order.left_ms);
    walk.text(&mut order.when_busy);
    walk.flag(&mut order.draft_waits);
    walk.flag(&mut order.kept);
    walk.list(&mut order.askers, Walk::number);
}

/// The document.
pub fn render(mut handover: Handover) -> Vec<u8> {
    let mut walk = Walk::Writes(Vec::new());
    walk.small(&mut { FORMAT });
    all(&mut walk, &mut handover, FORMAT);
    match walk {
        Walk::Writes(document) => document,
        Walk::Reads(_) | Walk::Failed => Vec::new(),
    }
}

/// Reads a document.
///
/// # Errors
/// Why this binary cannot take over.
pub fn parse(document: &[u8]) -> Result<Handover, String> {
    let mut walk = Walk::Reads(document);
    let mut format = 0;
    walk.small(&mut format);
    if !(1..=FORMAT).contains(&format) {
        return Err(format!(
            "it hands over in format {format}, and this one takes {FORMAT}"
        ));
    }
    let mut handover = Handover::default();
    all(&mut walk, &mut handover, format);
    match walk {
        Walk::Reads([]) if State::from_word(&handover.harness.state).is_some() => Ok(handover),
        _ => Err("the handover is damaged".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Handover {
        Handover {
            version: "0.1.0".into(),
            requester: Some(7),
            terminal: Some(vec![1, 0, 35_387]),
            child: -1,
            tmux: Some(String::new()),
            clients: vec![CarriedClient {
                unread: b"{\"op\"\xff".to_vec(),
                waits: true,
                ..CarriedClient::default()
            }],
            waiting: vec![(1, 2), (3, u64::MAX)],
            harness: Carried {
                state: "busy".into(),
                moments: [Some(Ago(1)), None, Some(Ago(0)), None],
                record: Some(256),
                queue: vec![CarriedOrder {
                    text: "漢\nb".into(),
                    askers: vec![9],
                    ..CarriedOrder::default()
                }],
                ..Carried::default()
            },
            drawing: b"\x1b[H\n\xff".to_vec(),
            fingerprint: Some(u64::MAX),
            ..Handover::default()
        }
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let document = render(full());
        let read = parse(&document).expect("it fits");
        assert_eq!(format!("{read:?}"), format!("{:?}", full()));
    }

    #[test]
    fn a_document_that_is_cut_off_or_longer_is_refused() {
        let document = render(full());
        for length in 0..document.len() {
            assert!(parse(&document[..length]).is_err(), "{length}");
        }
        assert!(parse(&[document, vec![0]].concat()).is_err());
    }

    #[test]
    fn another_format_is_refused_by_its_number_whatever_else_has_changed() {
        let mut document = render(full());
        document[0] = 3;
        document.truncate(20);
        assert_eq!(
            parse(&document).err().as_deref(),
            Some("it hands over in format 3, and this one takes 2")
        );
    }

    #[test]
    fn what_the_format_before_has_is_taken_over() {
        let mut document = render(full());
        document[0] = 1;
        // The number and that there is one.
        document.truncate(document.len() - 16);
        let read = parse(&document).expect("it fits");
        assert_eq!(read.fingerprint, None);
        assert_eq!(read.drawing, full().drawing);
    }
}
