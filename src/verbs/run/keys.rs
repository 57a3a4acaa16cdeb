//! `keys`: a person's or a program's deliberate keys, on the condition that the screen is what they have seen.

use std::time::Instant;

use super::AtWork;
use crate::failure::exit;
use crate::os::pump::Batch;
use crate::pure::keys::{self, KEYS_MAX};
use crate::pure::wire::{self, KeysLine, Request};
use crate::verbs::documents;
use crate::verbs::server::ClientId;

impl AtWork {
    /// Types the keys the way a person's go, or says why not.
    pub(super) fn take_keys(&mut self, client: ClientId, request: &Request) {
        // What the runtime has printed meanwhile is part of what the caller has to have seen.
        let mut batch = Batch::default();
        self.pump.take(&mut batch);
        self.take_batch(&batch);
        let line = match self.keys_of(request) {
            Ok(typed) if self.pump.type_by_hand(&typed) => self.typed_line(typed.len()),
            Ok(_) => self.not_typed(
                "overloaded",
                "the runtime does not read its input",
                exit::LATER,
            ),
            Err((word, why, code)) => self.not_typed(word, &why, code),
        };
        self.clients.answer(client, &line);
    }

    /// The bytes to be typed; or the word, the reason and the exit code.
    fn keys_of(&self, request: &Request) -> Result<Vec<u8>, (&'static str, String, u8)> {
        let keys = request.keys.as_deref().unwrap_or_default();
        if keys.is_empty() || keys.len() > KEYS_MAX {
            let why = format!("`keys` takes 1 to {KEYS_MAX} keys");
            return Err(("bad_field", why, exit::USAGE));
        }
        if self.harness.ended().is_some() {
            return Err(("changed", "the runtime has ended".into(), exit::GONE));
        }
        let screen = self.harness.screen();
        let mut typed = Vec::new();
        for key in keys {
            let Some(bytes) = keys::encode(key, screen.application_cursor()) else {
                let why = format!("there is no key {key:?}");
                return Err(("bad_field", why, exit::USAGE));
            };
            typed.extend_from_slice(&bytes);
        }
        let later = |why: &str| ("changed", why.to_owned(), exit::LATER);
        if self.harness.is_typing() {
            return Err(later(
                "a message is being typed at this moment; nothing was typed",
            ));
        }
        if let Some(seen) = &request.expect
            && (*seen != screen.hash_text()
                || self.sidecar.pty.has_output()
                || self.harness.key_is_undrawn(Instant::now()))
        {
            return Err(later(
                "the screen is not what it was; look again, nothing was typed",
            ));
        }
        Ok(typed)
    }

    fn typed_line(&self, bytes: usize) -> Vec<u8> {
        let origin = self.origin();
        wire::line(&KeysLine {
            schema: "mosaic.keys/1".into(),
            tenant_id: origin.tenant_id,
            host: origin.host,
            agent: origin.agent,
            bytes,
        })
    }

    fn not_typed(&self, word: &str, why: &str, code: u8) -> Vec<u8> {
        documents::error_line(self.origin(), word, why, code)
    }
}
