//! The messages to be delivered, one after the other, and what is known of those that were.
//!
//! The head is on its way ([`Delivery`]); the others wait behind it. Every message ends in the ledger, and
//! what must survive the sidecar goes to the journal before it is acted upon: a message that is `held` before
//! that is said, and one that is about to be typed before its first byte.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::delivery::{Delivery, KEYS_WAIT, Order, Sight, Step, WhenBusy, WhenDraft, Written};
use super::followed::Followed;
use super::handover::{Ago, CarriedFollowed, CarriedOrder};
use super::harness::{Asker, Effect, Job, Now, Reading};
use super::journal::{Fact, HowHeld, Line, Recovered};
use super::ledger::Ledger;
use super::message;
use super::receipt::{REMEMBERED, Receipt, Verdict, unix_ms};
use super::recorded::Recorded;
use super::view::View;
use super::wire::Request;

/// Most messages waiting at once.
pub const QUEUE_MAX: usize = 64;

/// A send whose sender waits for the verdict waits this long for its turn unless the caller says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A message that is kept waits this long unless the caller says otherwise: a turn may last for hours.
pub const KEPT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Longest time a message may wait for its turn: a week.
const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Most messages in the runtime's own queue that are followed at once.
const FOLLOWED_MAX: usize = 16;

/// Why nothing is taken while the agent is being stopped.
const STOPPING: &str = "the agent is being stopped";

/// Should the answer of the kernel not come at once, it is asked for again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The queue and the ledger.
pub struct Orders {
    waiting: VecDeque<Waiting>,
    ledger: Ledger,
    /// Messages that the runtime has put into its own queue.
    followed: VecDeque<Followed>,
    /// Makes ids unique across restarts.
    tag: String,
    ids: u64,
    jobs: u64,
    /// The write of the message on its way.
    job: Option<Job>,
    /// When the message on its way wants to be looked at again.
    next_step: Option<Instant>,
    /// Nothing new is taken or begun.
    draining: bool,
    /// Nothing is begun for the moment.
    paused: bool,
    /// Nor is anybody told that their time is over.
    still: bool,
}

/// A message and who waits for its verdict.
struct Waiting {
    delivery: Delivery,
    askers: Vec<Asker>,
    /// It is not known yet whether the journal has it.
    unwritten: bool,
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Something is about to be typed: the last effect says what.
    Types,
    /// The message on its way has met its fate; the next one may be.
    Ended(End),
    /// It needs the kernel's word.
    Asks,
    /// Nothing more to do now.
    Rests,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// What was said of it.
    pub verdict: Verdict,
    /// It was removed from the composer again.
    pub retracted: bool,
    /// Its turn, or one before it, was seen.
    pub saw_turn: bool,
    /// The runtime's own record does not have it, or not yet.
    pub lacks_record: bool,
}

/// What a request to send asks for besides its text.
pub struct Terms<'a> {
    /// The name this agent goes by in preambles.
    pub me: &'a str,
    /// Characters a message must not start with.
    pub special_first: &'a str,
    /// Why nothing can be delivered any more.
    pub ended: Option<String>,
    /// The sign of the turn that is running.
    pub turn: Option<&'a str>,
}

impl Orders {
    /// None yet. `tag` makes message ids unique across restarts.
    pub fn new(tag: String) -> Orders {
        Orders {
            waiting: VecDeque::new(),
            ledger: Ledger::default(),
            followed: VecDeque::new(),
            tag,
            ids: 0,
            jobs: 0,
            job: None,
            next_step: None,
            draining: false,
            paused: false,
            still: false,
        }
    }

    /// Begins nothing while `paused`. What waits too long meanwhile is told so.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// While it stands `still`, nobody's time is over: nobody could be told.
    pub fn stand_still(&mut self, still: bool) {
        self.still = still;
    }

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

    /// What is known of messages that have met their fate.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How many wait or are on their way.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the fate of one is open that was typed.
    pub fn is_judging(&self) -> bool {
        self.waiting.front().is_some_and(Waiting::typing)
    }

    /// When to come back though nothing happens.
    pub fn next_step(&self) -> Option<Instant> {
        self.next_step
    }

    /// What is known of a message that has no receipt yet, by its id or a part of its text.
    pub fn held(&self, id: Option<&str>, contains: Option<&str>) -> Option<Box<Receipt>> {
        let waiting = self.waiting.iter().find(|w| {
            let order = &w.delivery.order;
            id.is_none_or(|id| order.id == id)
                && contains.is_none_or(|part| order.text.contains(part))
        })?;
        let (verdict, why) = match waiting.typing() {
            true => (Verdict::Unknown, "it is being typed right now; ask again"),
            false => (Verdict::Held, "waiting in the sidecar"),
        };
        let delivery = &waiting.delivery;
        let mut receipt = delivery.end(verdict, why, delivery.order.asked);
        receipt.open = waiting.typing();
        Some(receipt)
    }

    /// An id nobody has had.
    pub fn new_id(&mut self) -> String {
        self.ids += 1;
        format!("{}-{}", self.tag, self.ids)
    }

    /// A number for a write.
    pub fn new_job(&mut self) -> Job {
        self.jobs += 1;
        Job(self.jobs)
    }

    /// A message has met its fate.
    pub fn settle(&mut self, receipt: Receipt, effects: &mut VecDeque<Effect>) {
        effects.push_back(journal(Line::settled(&receipt)));
        self.ledger.add(receipt);
    }

    /// Somebody asks for a message to be delivered.
    pub fn take(
        &mut self,
        asker: Asker,
        request: Request,
        terms: &Terms<'_>,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) {
        let id = match request.id {
            Some(id) => id,
            None => self.new_id(),
        };
        let mut answer = |receipt: Box<Receipt>| effects.push_back(Effect::Answer(asker, receipt));
        if let Some(old) = self.ledger.find(Some(&id), None, 0) {
            return answer(Box::new(old.clone()));
        }
        let verify = request.verify.unwrap_or(true);
        if let Some(same) = self.waiting.iter_mut().find(|w| w.delivery.order.id == id) {
            if verify {
                same.askers.push(asker);
            } else {
                let why = "waiting in the sidecar";
                answer(same.delivery.end(Verdict::Held, why, now.mono));
            }
            return;
        }
        let refuse = |verdict, why: String| Box::new(Receipt::bare(&id, verdict, why, now.wall));
        let text = request.text.unwrap_or_default();
        let typed = message::check(&text).and_then(|text| {
            let typed = match &request.from {
                Some(from) => message::with_preamble(from, terms.me, text),
                None => text.to_owned(),
            };
            let words_at = typed.len() - text.len();
            message::check_typed(&typed, terms.special_first).map(|()| (typed, words_at))
        });
        let (text, words_at) = match typed {
            Ok(typed) => typed,
            Err(why) => return answer(refuse(Verdict::Rejected, why.to_string())),
        };
        if let Some(why) = &terms.ended {
            return answer(refuse(Verdict::Gone, why.clone()));
        }
        if self.draining {
            return answer(refuse(Verdict::Gone, STOPPING.into()));
        }
        if self.waiting.len() >= QUEUE_MAX {
            let why = format!("{QUEUE_MAX} messages are waiting already");
            return answer(refuse(Verdict::Busy, why));
        }
        let when_busy = when_busy(request.when_busy.as_deref());
        // Who waits for the verdict is told by that. Who does not would have to ask for it later to learn of a refusal.
        if let Some(sign) = terms.turn
            && !verify
            && when_busy == WhenBusy::Refuse
        {
            let why = format!("a turn is running ({sign})");
            return answer(refuse(Verdict::Busy, why));
        }
        let usual = if verify { TIMEOUT } else { KEPT_TIMEOUT };
        let timeout = request.timeout_ms.map_or(usual, Duration::from_millis);
        let waiting = Waiting {
            delivery: Delivery::new(Order {
                id,
                text,
                words_at,
                asked: now.mono,
                asked_wall: now.wall,
                deadline: now.mono + timeout.min(TIMEOUT_MAX),
                when_busy,
                when_draft: match request.when_draft.as_deref() {
                    Some("wait") => WhenDraft::Wait,
                    _ => WhenDraft::Refuse,
                },
                kept: !verify,
            }),
            askers: if verify { vec![asker] } else { Vec::new() },
            unwritten: !verify,
        };
        if !verify {
            // Said only once it is true: the journal has it.
            effects.push_back(Effect::Journal {
                line: Box::new(waiting.line(Fact::Held, now)),
                sync: true,
                asker: Some(asker),
            });
        }
        self.waiting.push_back(waiting);
    }

    /// Whether the journal has taken the message that this asker wants to be kept.
    pub fn kept(
        &mut self,
        asker: Asker,
        id: &str,
        failed: Option<&str>,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) {
        let Some(at) = self.waiting.iter().position(|w| w.delivery.order.id == id) else {
            return;
        };
        let delivery = &self.waiting[at].delivery;
        let receipt = match failed {
            None => delivery.end(
                Verdict::Held,
                "taken over; ask `verify --id` for the verdict",
                now.mono,
            ),
            Some(why) => {
                let why = format!("it cannot be kept ({why}); `send --verify` needs no file");
                delivery.end(Verdict::Busy, why, now.mono)
            }
        };
        effects.push_back(Effect::Answer(asker, receipt));
        if failed.is_some() {
            self.waiting.remove(at);
        } else {
            self.waiting[at].unwritten = false;
        }
    }

    /// The pump's word on a write: true if it was of the message on its way.
    pub fn written(
        &mut self,
        job: Job,
        written: Written,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) {
        if self.job != Some(job) {
            return;
        }
        let Some(head) = self.waiting.front_mut() else {
            return;
        };
        self.job = None;
        head.delivery.written(written);
        if head.delivery.untouched() && head.delivery.order.kept {
            // Not one byte of it was written: it waits as before, also for the next sidecar.
            effects.push_back(journal(head.line(Fact::Held, now)));
        }
    }

    /// The runtime has written something down. True if it is the message on its way.
    pub fn recorded(
        &mut self,
        recorded: &Recorded,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        let head = self.waiting.front_mut();
        let is_head = head.is_some_and(|head| head.delivery.recorded(recorded, now.mono));
        let delivered = self.followed.iter().position(|f| f.was_delivered(recorded));
        if !is_head && let Some(at) = delivered {
            let what = match self.followed[at].doubted {
                true => "it was taken after all",
                false => "its turn came",
            };
            let sign = format!("{what}: {} has it", recorded.by);
            self.revise(at, Verdict::Accepted, &sign, now, effects);
        }
        is_head
    }

    /// Somebody enters something else: what the runtime writes down from now on may be that.
    pub fn forget_doubted(&mut self) {
        self.followed.retain(|f| !f.doubted);
    }

    /// More may come of a message: its receipt will be told.
    pub fn follow(&mut self, followed: Followed) {
        if self.followed.len() == FOLLOWED_MAX {
            self.followed.pop_front();
        }
        self.followed.push_back(followed);
    }

    /// Whether anything more may come of a message.
    pub fn is_following(&self) -> bool {
        !self.followed.is_empty()
    }

    /// Whether the screen may show more of a message.
    pub fn may_be_handed_back(&self) -> bool {
        self.followed.iter().any(|f| !f.doubted)
    }

    /// Looks at a settled screen for queued messages that were handed back.
    pub fn look(&mut self, view: &View, now: Now, effects: &mut VecDeque<Effect>) {
        self.followed.retain(|f| !f.is_over(now.mono));
        // What stands in the composer now is the message on its way, not one that came back.
        if self.is_judging() {
            return;
        }
        while let Some(at) = self.followed.iter().position(|f| f.was_handed_back(view)) {
            let sign = "the runtime handed it back into the composer";
            self.revise(at, Verdict::Draft, sign, now, effects);
        }
    }

    fn revise(
        &mut self,
        at: usize,
        verdict: Verdict,
        sign: &str,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) {
        let Some(followed) = self.followed.remove(at) else {
            return;
        };
        if let Some(receipt) = self.ledger.revise(&followed.id) {
            followed.revise(receipt, verdict, sign, now.mono);
            effects.push_back(journal(Line::settled(receipt)));
            effects.push_back(Effect::Revised(Box::new(receipt.clone())));
        }
    }

    /// A sender that went away before anything was typed takes its message with it, unless it is kept.
    pub fn forget(&mut self, asker: Asker, now: Now, effects: &mut VecDeque<Effect>) {
        let mut dropped = Vec::new();
        self.waiting.retain_mut(|w| {
            let mine = w.askers.contains(&asker);
            w.askers.retain(|a| *a != asker);
            let withdrawn = mine && w.askers.is_empty() && !w.typing() && !w.delivery.order.kept;
            if withdrawn {
                let why = "the sender went away before it was typed";
                dropped.push(w.delivery.end(Verdict::Busy, why, now.mono));
            }
            !withdrawn
        });
        for receipt in dropped {
            self.settle(*receipt, effects);
        }
    }

    /// Nothing more is begun. What is being typed goes its way, what is kept waits for the next sidecar.
    pub fn drain(&mut self, now: Now, effects: &mut VecDeque<Effect>) {
        self.end_waiting(STOPPING, true, now, effects);
    }

    /// Nothing can be delivered any more. What is kept stays in the journal for the next sidecar.
    pub fn end_all(&mut self, why: &str, now: Now, effects: &mut VecDeque<Effect>) {
        self.job = None;
        self.end_waiting(why, false, now, effects);
    }

    fn end_waiting(&mut self, why: &str, goes_on: bool, now: Now, effects: &mut VecDeque<Effect>) {
        self.draining = true;
        for waiting in std::mem::take(&mut self.waiting) {
            if goes_on && (waiting.typing() || waiting.delivery.order.kept) {
                self.waiting.push_back(waiting);
                continue;
            }
            let (verdict, why) = match (waiting.typing(), waiting.delivery.order.kept) {
                (true, _) => (Verdict::Unknown, why.to_owned()),
                (false, false) => (Verdict::Gone, why.to_owned()),
                (false, true) => (Verdict::Held, format!("{why}; kept for the next start")),
            };
            let receipt = waiting.delivery.end(verdict, why, now.mono);
            for asker in waiting.askers {
                effects.push_back(Effect::Answer(asker, receipt.clone()));
            }
            if verdict != Verdict::Held {
                self.settle(*receipt, effects);
            }
        }
    }

    fn finish(&mut self, askers: Vec<Asker>, receipt: Receipt, effects: &mut VecDeque<Effect>) {
        for asker in askers {
            effects.push_back(Effect::Answer(asker, Box::new(receipt.clone())));
        }
        self.settle(receipt, effects);
    }

    /// One step of the message on its way. To be called until it rests.
    pub fn step(
        &mut self,
        sight: &Sight<'_>,
        outer_seen: u64,
        now: Now,
        effects: &mut VecDeque<Effect>,
    ) -> Moved {
        self.next_step = None;
        let rests = self.draining || self.paused;
        let begins = |head: &&mut Waiting| !head.unwritten && (head.typing() || !rests);
        let Some(head) = self.waiting.front_mut().filter(begins) else {
            return Moved::Rests;
        };
        let typing = head.typing();
        match head.delivery.step(sight, now.mono) {
            Step::Done(receipt) => self.end_head(*receipt, now, effects),
            Step::Wait(until) => {
                self.next_step = Some(until);
                Moved::Rests
            }
            Step::Pulse => {
                self.next_step = Some(now.mono + ASK_AGAIN);
                Moved::Asks
            }
            Step::Cancel => {
                effects.extend(self.job.map(Effect::Cancel));
                Moved::Rests
            }
            Step::Type(bytes) => {
                if !typing {
                    effects.push_back(Effect::Journal {
                        line: Box::new(head.line(Fact::Typing, now)),
                        sync: head.delivery.order.kept,
                        asker: None,
                    });
                    // What the runtime writes down from now on is news.
                    effects.push_back(Effect::Records(Reading::Mark));
                }
                let job = self.new_job();
                self.job = Some(job);
                effects.push_back(Effect::Type {
                    job,
                    bytes,
                    if_outer: Some(outer_seen),
                    keys_wait: Some(KEYS_WAIT),
                });
                Moved::Types
            }
        }
    }

    /// The message on its way has met its fate.
    fn end_head(&mut self, receipt: Receipt, now: Now, effects: &mut VecDeque<Effect>) -> Moved {
        self.job = None;
        let Some(head) = self.waiting.pop_front() else {
            return Moved::Rests;
        };
        if receipt.typed {
            effects.push_back(Effect::LetKeysPass);
        }
        // A hook that takes long may agree in the end.
        let more_may_come = receipt.verdict == Verdict::Unknown && head.delivery.lacks_record();
        if receipt.verdict == Verdict::Queued || more_may_come {
            let wanted = head.delivery.wanted().clone();
            self.follow(Followed::new(receipt.id.clone(), wanted, now.mono));
        }
        let end = End {
            verdict: receipt.verdict,
            retracted: receipt.retracted,
            saw_turn: head.delivery.saw_turn(),
            lacks_record: head.delivery.lacks_record(),
        };
        self.finish(head.askers, receipt, effects);
        Moved::Ended(end)
    }

    /// Messages behind the head wait for their turn; their deadlines run all the same.
    pub fn expire(&mut self, now: Now, effects: &mut VecDeque<Effect>) {
        if self.still {
            return;
        }
        // The head sees to it itself, unless it may not begin.
        let head_rests = self.paused && !self.is_judging();
        let mut index = usize::from(!head_rests);
        while index < self.waiting.len() {
            let deadline = self.waiting[index].delivery.order.deadline;
            if now.mono >= deadline {
                if let Some(late) = self.waiting.remove(index) {
                    let why = match index {
                        0 => "an upgrade was waited for until its time ran out",
                        _ => "other messages were before it until its time ran out",
                    };
                    let receipt = late.delivery.end(Verdict::Busy, why, now.mono);
                    self.finish(late.askers, *receipt, effects);
                }
            } else {
                self.next_step = Some(self.next_step.map_or(deadline, |at| at.min(deadline)));
                index += 1;
            }
        }
    }
}

impl Waiting {
    /// Whether some of it may have been typed.
    fn typing(&self) -> bool {
        !self.delivery.untouched()
    }

    fn line(&self, fact: Fact, now: Now) -> Line {
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

/// What a request says of a running turn.
fn when_busy(word: Option<&str>) -> WhenBusy {
    match word {
        Some("type") => WhenBusy::Type,
        Some("refuse") => WhenBusy::Refuse,
        _ => WhenBusy::Hold,
    }
}

fn journal(line: Line) -> Effect {
    Effect::Journal {
        line: Box::new(line),
        sync: false,
        asker: None,
    }
}
