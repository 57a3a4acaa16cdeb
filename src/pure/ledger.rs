//! What is known of messages that have met their fate: the last ones, by id or by a part of their text.

use std::collections::VecDeque;

use super::receipt::Receipt;

/// Most receipts remembered; with 2,000 characters of text each, at most 2 MB.
pub const RECEIPTS_MAX: usize = 256;

/// The receipts, oldest first.
#[derive(Debug, Default)]
pub struct Ledger {
    receipts: VecDeque<Receipt>,
}

impl Ledger {
    /// Remembers a receipt, and forgets the oldest if there are too many.
    pub fn add(&mut self, receipt: Receipt) {
        if self.receipts.len() == RECEIPTS_MAX {
            self.receipts.pop_front();
        }
        self.receipts.push_back(receipt);
    }

    /// The receipt with this id, to be revised.
    pub fn revise(&mut self, id: &str) -> Option<&mut Receipt> {
        self.receipts.iter_mut().rev().find(|r| r.id == id)
    }

    /// All of them, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Receipt> {
        self.receipts.iter()
    }

    /// The newest.
    pub fn last(&self) -> Option<&Receipt> {
        self.receipts.back()
    }

    /// The newest receipt with this id and this part of its text (where given), asked for since then.
    pub fn find(
        &self,
        id: Option<&str>,
        contains: Option<&str>,
        since_ms: u64,
    ) -> Option<&Receipt> {
        self.receipts.iter().rev().find(|r| {
            r.at_ms >= since_ms
                && id.is_none_or(|id| r.id == id)
                && contains.is_none_or(|part| r.head.contains(part))
        })
    }
}
