//! The runtime's own record as a witness: when it is watched, whom it speaks for, and how long it is waited for.
//!
//! What an entry proves of a message is decided by the judge; where the record is and what a line of it says is the
//! profile's.

use super::*;

/// So many messages in a row that only the screen spoke for, and a record is no longer waited for.
const RECORD_MISSED: u8 = 3;

/// What is known of the runtime's own record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OwnRecord {
    /// There is none, or nobody reads it.
    #[default]
    None,
    /// It is read, and so many messages in a row were not in it.
    Open(u8),
    /// A message was in it.
    Proven,
}

impl Harness {
    /// Whether anybody reads the runtime's records from now on.
    pub(super) fn records_open(&mut self, open: bool) {
        match (open, self.record) {
            (true, OwnRecord::None) => self.record = OwnRecord::Open(0),
            (true, _) => {}
            (false, _) => self.record = OwnRecord::None,
        }
    }

    /// Has the runtime's records watched as it is wanted now.
    pub(super) fn read_records(&mut self) {
        let wanted = if self.is_judging() || self.orders.is_following() {
            Reading::On
        } else if self.keyboard.holds_text() {
            Reading::Mark
        } else {
            Reading::Off
        };
        if self.reading != wanted {
            self.reading = wanted;
            self.effects.push_back(Effect::Records(wanted));
        }
    }

    /// The runtime has written something down: the message on its way, the last one that somebody else
    /// typed, or none of ours.
    pub(super) fn take_recorded(&mut self, recorded: &Recorded, now: Now) {
        let mut ours = self.orders.recorded(recorded, now, &mut self.effects);
        if !ours && let Some(observed) = &mut self.observed {
            ours = observed.recorded(recorded, now.mono);
        }
        if ours && recorded.says == Says::Taken {
            self.record = OwnRecord::Proven;
        }
    }

    /// A message was accepted that the runtime's own record did not have in time.
    pub(super) fn missed_record(&mut self) {
        if let OwnRecord::Open(missed) = &mut self.record {
            *missed = missed.saturating_add(1);
        }
    }

    /// How long the runtime's own record is waited for.
    pub(super) fn record_within(&self) -> Option<Duration> {
        let patience = self.profile.as_ref().map(|p| p.send.record())?;
        match self.record {
            _ if patience.is_zero() => None,
            OwnRecord::Proven => Some(Duration::MAX),
            OwnRecord::Open(missed) if missed < RECORD_MISSED => Some(patience),
            OwnRecord::Open(_) | OwnRecord::None => None,
        }
    }
}
