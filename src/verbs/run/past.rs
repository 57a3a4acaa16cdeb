//! What is kept of what has happened, for readers that come later.

use std::io;
use std::path::Path;
use std::time::{Instant, SystemTime};

use super::AtWork;
use crate::failure::exit;
use crate::os::files;
use crate::os::socket::Peer;
use crate::pure::events::{Field, Kind};
use crate::pure::receipt::unix_ms;
use crate::pure::wire::{Request, State};
use crate::units::recording_size;
use crate::verbs::documents;
use crate::verbs::recording::Recording;
use crate::verbs::server::ClientId;

impl AtWork {
    /// Tells readers of events.
    pub(super) fn happened(&mut self, kind: Kind, fields: &[(&str, Field<'_>)]) {
        self.events.add(SystemTime::now(), kind, fields);
    }

    /// The state has changed.
    pub(super) fn changed(&mut self, was: State, state: State, why: &str) {
        let fields = [
            ("state", Field::Text(state.word())),
            ("was", Field::Text(was.word())),
            ("why", Field::Text(why)),
        ];
        self.happened(Kind::State, &fields);
        if let Some(ended) = self.harness.ended().filter(|_| state == State::Exited) {
            let words = ended.words();
            let fields = [
                ("exit", Field::Text(&words)),
                (
                    "reason",
                    Field::Text(self.ending.reason.unwrap_or_default()),
                ),
            ];
            let told = if self.ending.reason.is_some() { 2 } else { 1 };
            self.happened(Kind::Exit, &fields[..told]);
        }
    }

    /// The runtime was started, or was taken over from the binary before.
    pub(super) fn begun(&mut self, kind: Kind) {
        let fields = [
            ("sidecar", Field::Number(std::process::id().into())),
            (
                "pid",
                Field::Number(self.sidecar.child.unsigned_abs().into()),
            ),
            ("version", Field::Text(env!("CARGO_PKG_VERSION"))),
        ];
        self.happened(kind, &fields);
    }

    /// Somebody has asked for what needs the control power; why that was refused, if it was.
    pub(super) fn acted(&mut self, op: &str, peer: Peer, refused: Option<&str>) {
        let fields = [
            ("op", Field::Text(op)),
            ("peer_pid", Field::Number(peer.pid.unsigned_abs().into())),
            ("peer_uid", Field::Number(peer.uid.into())),
            ("refused", Field::Text(refused.unwrap_or_default())),
        ];
        let told = if refused.is_some() { 4 } else { 3 };
        self.happened(Kind::Control, &fields[..told]);
    }

    /// Begins to record, if that was asked for when the agent was started.
    #[inline(never)]
    pub(super) fn record_from_start(&mut self) {
        let record = self.sidecar.record.clone();
        if let Some(path) = record.path {
            let begun = self.record_to(&path, record.input, record.max);
            self.recording_trouble = begun.err();
        }
    }

    /// `record`: begins a recording or, without a path, ends the one that is being made. One that cannot be begun changes
    /// nothing.
    pub(super) fn take_record(&mut self, client: ClientId, request: &Request) {
        match &request.path {
            None => self.end_recording(),
            // Whoever asks does not know where we are.
            Some(path) if !path.is_empty() && !path.starts_with('/') => {
                let why = "`path` must be absolute";
                let line = documents::error_line(self.origin(), "bad_field", why, exit::USAGE);
                return self.clients.answer(client, &line);
            }
            Some(path) => {
                let max = request.max_bytes.map(recording_size).transpose();
                let begun = max.map_err(|why| (exit::USAGE, why)).and_then(|max| {
                    self.record_to(Path::new(path), request.input == Some(true), max)
                        .map_err(|why| (exit::CONFIG, why))
                });
                if let Err((code, why)) = begun {
                    let line = documents::error_line(self.origin(), "bad_field", &why, code);
                    return self.clients.answer(client, &line);
                }
            }
        }
        let line = self.status_line();
        self.clients.answer(client, &line);
    }

    #[inline(never)]
    fn record_to(&mut self, path: &Path, input: bool, max: Option<u64>) -> Result<(), String> {
        // Whole before it is put aside, should it be the same file.
        self.flush_recording(None);
        let mut path = path.to_owned();
        if path.as_os_str().is_empty() {
            path = self.sidecar.place.recordings();
            // Should that fail, the file in it cannot be made either.
            let _ = files::private_dir(&path);
        }
        if path.is_dir() {
            let at = unix_ms(SystemTime::now()) / 1_000;
            path.push(format!("{}-{at}.cast", self.sidecar.name));
        }
        let runtime = match self.harness.running().name.as_str() {
            "" => &self.sidecar.place.settings.runtime,
            name => name,
        };
        let recording = Recording::start(path, (input, max), runtime, self.harness.screen())
            .map_err(|e| format!("nothing is recorded: {e}"))?;
        self.end_recording();
        self.recording_trouble = None;
        self.recording_is(&recording, None);
        self.recording = Some(recording);
        Ok(())
    }

    /// Adds an event to the recording, if there is one. One that cannot be written is over; the agent goes on.
    #[inline(never)]
    pub(super) fn record(&mut self, code: &str, bytes: &[u8]) {
        if let Some(recording) = &mut self.recording {
            let added = recording.add(code, bytes, self.harness.screen());
            self.recorded(added);
        }
    }

    /// Adds what was typed, if that is recorded.
    pub(super) fn record_input(&mut self, bytes: &[u8]) {
        if self.recording.as_ref().is_some_and(|r| r.input) {
            self.record("i", bytes);
        }
    }

    /// Adds what has become of a message.
    #[inline(never)]
    pub(super) fn mark(&mut self, what: &str, id: &str) {
        self.record("m", format!("{what} {id}").as_bytes());
    }

    /// Writes what waits: if it is time for that, or at once.
    #[inline(never)]
    pub(super) fn flush_recording(&mut self, now: Option<Instant>) {
        if let Some(recording) = &mut self.recording {
            let due = |at| now.is_none_or(|now| now >= at);
            if recording.deadline().is_some_and(due) {
                let flushed = recording.flush(self.harness.screen());
                self.recorded(flushed);
            }
        }
    }

    #[inline(never)]
    fn recorded(&mut self, result: io::Result<()>) {
        if let Err(e) = result
            && let Some(recording) = self.recording.take()
        {
            let why = format!("the recording has ended: {e}");
            self.recording_is(&recording, Some(&why));
            self.recording_trouble = Some(why);
        }
    }

    fn end_recording(&mut self) {
        self.flush_recording(None);
        if let Some(recording) = self.recording.take() {
            self.recording_is(&recording, Some("asked for"));
        }
    }

    fn recording_is(&mut self, recording: &Recording, stopped: Option<&str>) {
        let file = recording.state().file;
        let fields = [
            ("file", Field::Text(&file)),
            ("stopped", Field::Text(stopped.unwrap_or_default())),
        ];
        let told = if stopped.is_some() { 2 } else { 1 };
        self.happened(Kind::Recording, &fields[..told]);
    }
}
