//! `attach` and `input`: a person elsewhere types into the runtime, one at a time.

use std::time::SystemTime;

use super::AtWork;
use crate::failure::exit;
use crate::os::socket::Peer;
use crate::pure::receipt::unix_ms;
use crate::pure::wire::Request;
use crate::verbs::documents;
use crate::verbs::server::ClientId;

/// Somebody has the agent, as long as their connection lasts.
pub(super) struct Takeover {
    client: ClientId,
    /// Their process.
    pub(super) pid: u64,
    /// Since when, in Unix milliseconds.
    pub(super) since_ms: u64,
}

impl Takeover {
    /// Over an upgrade: connection, pid, since when.
    pub(super) fn carried(&self) -> (u64, u64, u64) {
        (self.client.0, self.pid, self.since_ms)
    }

    /// Goes on with what was carried.
    pub(super) fn resume((client, pid, since_ms): (u64, u64, u64)) -> Takeover {
        Takeover {
            client: ClientId(client),
            pid,
            since_ms,
        }
    }
}

impl AtWork {
    /// Who has the agent, if somebody does.
    pub(super) fn attached(&self) -> Option<&Takeover> {
        let takeover = self.takeover.as_ref();
        takeover.filter(|takeover| self.clients.is_open(takeover.client))
    }

    /// `attach`: the connection may type from now on, and no other.
    pub(super) fn take_attach(&mut self, client: ClientId, peer: Peer, request: &Request) {
        if let Some(Takeover { pid, .. }) = self.attached() {
            if request.steal != Some(true) {
                let why = format!("pid {pid} is attached already; one at a time");
                let line = documents::error_line(self.origin(), "taken", &why, exit::LATER);
                return self.clients.answer(client, &line);
            }
            tracing::warn!("attach: pid {pid} is sent away by pid {}", peer.pid);
        }
        self.takeover = Some(Takeover {
            client,
            pid: u64::try_from(peer.pid).unwrap_or(0),
            since_ms: unix_ms(SystemTime::now()),
        });
        self.clients.may_be_silent(client);
        self.clients.answer(client, &self.status_line());
    }

    /// `input`: keys, as if they were typed at the terminal.
    pub(super) fn take_input(&mut self, client: ClientId, request: &Request) {
        let may_type = (self.takeover.as_ref()).is_some_and(|takeover| takeover.client == client);
        if !may_type {
            let why = match self.attached() {
                Some(who) => format!("pid {} has taken over", who.pid),
                None => "`attach` comes first, on the same connection".into(),
            };
            let line = documents::error_line(self.origin(), "forbidden", &why, exit::FORBIDDEN);
            return self.clients.answer(client, &line);
        }
        let keys = request.text.as_deref().unwrap_or_default();
        if self.pump.type_by_hand(keys.as_bytes()) {
            return self.clients.answer(client, &self.status_line());
        }
        let why = "the runtime does not read its input; these keys were not typed";
        let line = documents::error_line(self.origin(), "overloaded", why, exit::LATER);
        self.clients.answer(client, &line);
    }
}
