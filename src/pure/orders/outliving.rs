//! What of the orders outlives their sidecar: all of it over an upgrade in place, what is kept over any end.
//!
//! It decides what is told to the next sidecar, as a document or as lines of the journal, and what is made of it there.
//! When a line must be written is decided where the thing happens that must not be forgotten.

use std::time::Duration;

use super::{Orders, TIMEOUT_MAX, Waiting, when_busy};
use crate::pure::delivery::{Delivery, Order, WhenBusy, WhenDraft};
use crate::pure::followed::Followed;
use crate::pure::handover::{Ago, CarriedFollowed, CarriedOrder};
use crate::pure::harness::{Asker, Now};
use crate::pure::journal::{Fact, HowHeld, Line, Recovered};
use crate::pure::receipt::{REMEMBERED, unix_ms};

impl Orders {
    /// The messages that wait, over an upgrade.
    pub fn carried(&self, now: Now) -> Vec<CarriedOrder> {
        let carried = |waiting: &Waiting| {
            let order = &waiting.delivery.order;
            let left = order.deadline.saturating_duration_since(now.mono);
            CarriedOrder {
                id: order.id.clone(),
                text: order.text.clone(),
                words_at: order.words_at,
                asked_ago: Ago::of(order.asked, now.mono),
                left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                when_busy: match order.when_busy {
                    WhenBusy::Hold => "hold".into(),
                    WhenBusy::Type => "type".into(),
                    WhenBusy::Refuse => "refuse".into(),
                },
                draft_waits: order.when_draft == WhenDraft::Wait,
                kept: order.kept,
                askers: waiting.askers.iter().map(|asker| asker.0).collect(),
            }
        };
        self.waiting.iter().map(carried).collect()
    }

    /// The messages in the runtime's own queue, over an upgrade.
    pub fn carried_followed(&self, now: Now) -> Vec<CarriedFollowed> {
        let lasting = self.followed.iter().filter(|f| !f.doubted);
        lasting.map(|f| f.carried(now.mono)).collect()
    }

    /// Goes on with what was carried.
    pub fn resume(&mut self, queue: Vec<CarriedOrder>, followed: Vec<CarriedFollowed>, now: Now) {
        for carried in queue {
            let ago = Duration::from_millis(carried.asked_ago.0);
            let order = Order {
                id: carried.id,
                text: carried.text,
                words_at: carried.words_at,
                asked: carried.asked_ago.before(now.mono),
                asked_wall: now.wall - ago,
                deadline: now.mono + Duration::from_millis(carried.left_ms).min(TIMEOUT_MAX),
                when_busy: when_busy(Some(&carried.when_busy)),
                when_draft: match carried.draft_waits {
                    true => WhenDraft::Wait,
                    false => WhenDraft::Refuse,
                },
                kept: carried.kept,
            };
            self.waiting.push_back(Waiting {
                delivery: Delivery::new(order),
                askers: carried.askers.into_iter().map(Asker).collect(),
                unwritten: false,
            });
        }
        self.followed
            .extend(followed.into_iter().map(|f| Followed::resume(f, now.mono)));
    }

    /// Takes up what the last sidecar has left.
    pub fn recover(&mut self, recovered: Recovered, now: Now) {
        for receipt in recovered.receipts {
            self.ledger.add(receipt);
        }
        for line in recovered.held {
            let Some(how) = line.held else { continue };
            let left = how.until_ms.saturating_sub(unix_ms(now.wall));
            let order = Order {
                id: line.id,
                text: line.text,
                words_at: how.words_at,
                asked: now.mono,
                asked_wall: std::time::UNIX_EPOCH + Duration::from_millis(line.at_ms),
                deadline: now.mono + Duration::from_millis(left).min(TIMEOUT_MAX),
                when_busy: if how.into_turn {
                    WhenBusy::Type
                } else {
                    WhenBusy::Hold
                },
                when_draft: WhenDraft::Wait,
                kept: true,
            };
            self.waiting.push_back(Waiting {
                delivery: Delivery::new(order),
                askers: Vec::new(),
                unwritten: false,
            });
        }
    }

    /// Everything a journal must hold, oldest first.
    pub fn journal(&self, now: Now) -> Vec<Line> {
        let settled = self.ledger.all().map(Line::settled);
        let open = self.waiting.iter().filter_map(|w| match w.typing() {
            true => Some(w.line(Fact::Typing, now)),
            false => w.delivery.order.kept.then(|| w.line(Fact::Held, now)),
        });
        settled.chain(open).collect()
    }
}

impl Waiting {
    /// What the journal is told of it.
    pub(super) fn line(&self, fact: Fact, now: Now) -> Line {
        let order = &self.delivery.order;
        let held = (fact == Fact::Held).then(|| {
            let left = order.deadline.saturating_duration_since(now.mono);
            HowHeld {
                words_at: order.words_at,
                until_ms: unix_ms(now.wall + left),
                into_turn: order.when_busy == WhenBusy::Type,
            }
        });
        Line {
            fact,
            id: order.id.clone(),
            at_ms: unix_ms(order.asked_wall),
            text: match held {
                Some(_) => order.text.clone(),
                None => order.text.chars().take(REMEMBERED).collect(),
            },
            held,
            receipt: None,
        }
    }
}
