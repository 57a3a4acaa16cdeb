//! What is kept of what has happened, for readers that come later.

use std::time::SystemTime;

use super::AtWork;
use crate::os::socket::Peer;
use crate::pure::events::{Field, Kind};
use crate::pure::wire::State;

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
}
