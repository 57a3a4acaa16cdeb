//! A session of a runtime: sending, waiting for what was promised, judging.

use std::time::Duration;

use super::chance::{Chance, Shape, text};
use super::rig::{How, Rig, Start, squeezed, unix_ms, wait_until};
use super::scenes::Scene;
use super::shots::{Fault, Shot};

/// What became of a message that left the runtime's queue for the composer again.
const CAME_BACK: &str = "handed back, and the receipt says so";

/// How long a message that was promised may take to reach the model: the turns before it included. opencode's
/// first request took 25 s on a machine with other work.
pub(super) const ARRIVES: Duration = Duration::from_secs(45);

/// The same for one that a person's Escape may have handed back.
const HANDED_BACK: Duration = Duration::from_secs(5);

/// One session of so many is recorded, byte by byte.
const RECORDED: u64 = 3;

/// A session of a runtime, and everything that was sent in it.
pub struct Stage {
    pub(super) runtime: String,
    pub(super) rig: Rig,
    pub(super) chance: Chance,
    pub(super) shots: Vec<Shot>,
    /// Shots before this one belong to runtimes that have ended.
    pub(super) past: usize,
    /// Shots before this one are settled.
    pub(super) settled: usize,
    /// A person's text that stands in the composer, or should.
    pub(super) by_hand: bool,
    /// The agent cannot be brought back to an idle state; the session is over.
    pub stuck: bool,
}

impl Stage {
    /// Starts a runtime.
    pub fn open(runtime: &str, seed: u64) -> Stage {
        Stage {
            runtime: runtime.to_owned(),
            rig: Rig::start(
                runtime,
                &Start {
                    recorded: seed.is_multiple_of(RECORDED),
                    ..Start::default()
                },
            ),
            chance: Chance::new(seed),
            shots: Vec::new(),
            past: 0,
            settled: 0,
            by_hand: false,
            stuck: false,
        }
    }

    /// How many messages were sent.
    pub fn sent(&self) -> usize {
        self.shots.len()
    }

    /// Plays one scene, from an idle agent to an idle agent, and judges its shots.
    pub fn play(&mut self, scene: Scene) {
        self.by_hand = false;
        match scene {
            Scene::Ready(shape) => self.ready(scene, shape),
            Scene::Hold => self.during_turn(scene, None, &["accepted"]),
            Scene::Refuse => self.during_turn(scene, Some("refuse"), &["busy"]),
            Scene::Type => self.typed_into_turn(scene),
            Scene::Parallel => self.parallel(scene),
            Scene::Draft => self.draft(scene),
            Scene::Typing => self.typing(scene),
            Scene::Dialog => self.dialog(scene),
            Scene::DialogOpens => self.dialog_race(scene, None),
            Scene::DialogRace => self.dialog_race(scene, Some("type")),
            Scene::Stopped => self.stopped(scene, 50),
            Scene::JustStopped => self.stopped(scene, 0),
            Scene::Freeze => self.freeze(scene),
            Scene::Fails => self.fails(scene),
            Scene::Resize => self.resize(scene),
            Scene::Upgrade => self.upgrade(scene),
            Scene::Interrupt => self.interrupt(scene),
            Scene::Rejected => self.rejected(scene),
            Scene::Gone => self.gone(scene),
            Scene::Hazard => self.hazard(),
            Scene::By(hand) => self.typed_by_other(scene, hand),
            Scene::DraftLines => self.draft_lines(scene),
            Scene::Menu => self.menu(scene),
            Scene::Picker => self.picker(scene),
            Scene::Transcript => self.transcript(scene),
            Scene::Recovers(status) => self.recovers(scene, status),
            Scene::QueueEscape => self.queue_escape(scene),
            Scene::Early => self.early(scene),
            Scene::Trust => self.trust(scene),
            Scene::Size(cols, rows) => self.size(scene, (cols, rows)),
            Scene::Leaving => self.leaving(scene),
            Scene::Reset => self.reset(scene),
            Scene::Resume => self.resume(scene),
            Scene::Ended => return self.ended(scene),
        }
        self.settle();
    }

    /// The last look at everything, for messages that arrived late.
    pub fn close(mut self) -> Vec<Shot> {
        self.judge_late();
        self.shots
    }

    fn judge_late(&mut self) {
        for at in self.past..self.shots.len() {
            self.hold_against_truth(at);
        }
    }

    /// After a scene that could not be played to its end.
    pub fn begin_anew(&mut self) {
        self.settled = self.shots.len();
        self.stuck = false;
        self.reopen(&Start::default());
    }

    /// Starts the runtime anew, with nothing left of the old one.
    pub(super) fn reopen(&mut self, start: &Start) {
        self.judge_late();
        self.past = self.shots.len();
        self.rig = Rig::start(&self.runtime, start);
    }

    // ---- sending -------------------------------------------------------------------------------------

    pub(super) fn message(&mut self, shape: Shape, wish: &str) -> (String, String) {
        let token = self.chance.token();
        (text(&mut self.chance, shape, &token, wish), token)
    }

    pub(super) fn how(&mut self, busy: Option<&'static str>) -> How {
        How {
            preamble: self.chance.one_in(2),
            busy,
            ..How::default()
        }
    }

    /// Sends one message while `meanwhile` happens on another thread.
    pub(super) fn shoot_while(
        &mut self,
        scene: Scene,
        (text, token): (String, String),
        how: &How,
        allowed: &'static [&'static str],
        meanwhile: impl FnOnce(&Rig) + Send,
    ) {
        let rig = &self.rig;
        let from_ms = unix_ms();
        let receipt = std::thread::scope(|scope| {
            scope.spawn(|| meanwhile(rig));
            rig.send(&text, how)
        });
        let mut shot = Shot::new(scene, (text, token), receipt, from_ms);
        shot.allowed = allowed;
        shot.after = self
            .rig
            .aftermath((!shot.promised()).then_some(&shot.token));
        let screen = self.rig.screen();
        if !shot.expected() {
            shot.blame(Fault::Verdict, &screen);
        }
        if !shot.receipt.typed && squeezed(&screen).contains(&shot.token) {
            shot.blame(Fault::Typed, &screen);
        }
        self.shots.push(shot);
    }

    pub(super) fn shoot(
        &mut self,
        scene: Scene,
        shape: Shape,
        how: &How,
        allowed: &'static [&'static str],
    ) {
        let message = self.message(shape, "");
        self.shoot_while(scene, message, how, allowed, |_| {});
    }

    /// Begins a turn with a message that makes the stub do something.
    pub(super) fn open_turn(&mut self, scene: Scene, wish: &str) {
        let message = self.message(Shape::Line, wish);
        let how = self.how(None);
        self.shoot_while(scene, message, &how, &["accepted"], |_| {});
    }

    /// A part of the scene, not a wait for something.
    pub(super) fn pause(&mut self, from_ms: u64, to_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.chance.within(from_ms, to_ms)));
    }

    pub(super) fn blame_last(&mut self, fault: Fault) {
        let screen = self.rig.screen();
        if let Some(shot) = self.shots.last_mut() {
            shot.blame(fault, &screen);
        }
    }

    // ---- judging -------------------------------------------------------------------------------------

    /// Waits for what was promised, brings the agent back to an empty composer, and judges the shots.
    pub(super) fn settle(&mut self) {
        let new = self.settled..self.shots.len();
        self.settled = self.shots.len();
        for at in new.clone().filter(|at| self.shots[*at].promised()) {
            let token = self.shots[at].token.clone();
            let within = match self.shots[at].scene {
                Scene::QueueEscape => HANDED_BACK,
                _ => ARRIVES,
            };
            wait_until(within, || self.rig.stub.got(&token).is_some());
        }
        let admitted = |s: &Shot| matches!(s.receipt.verdict.as_str(), "draft" | "unknown");
        let may_hold = self.by_hand || new.clone().any(|at| admitted(&self.shots[at]));
        self.quieten(may_hold);
        let given = self.rig.given();
        for at in new {
            self.hold_against_truth(at);
            if let Some(given) = &given {
                self.hold_against_bytes(at, given);
            }
        }
    }

    /// What the receipt says of typing, against the bytes that the runtime was given.
    fn hold_against_bytes(&mut self, at: usize, given: &str) {
        let shot = &mut self.shots[at];
        if matches!(shot.scene, Scene::By(_)) {
            return;
        }
        shot.by_bytes = true;
        let came = given.contains(&shot.token);
        let whole = || {
            given
                .replace('\r', "\n")
                .contains(shot.text.trim_end_matches('\n'))
        };
        let fault = match shot.receipt.typed {
            false if came => Fault::Typed,
            true if came && !whole() => Fault::Mangled,
            _ => return,
        };
        let said = format!("{fault:?}, by the bytes the runtime was given");
        shot.blame(fault, &said);
    }

    /// An idle agent with an empty composer, by force if need be.
    pub(super) fn quieten(&mut self, may_hold: bool) {
        /// Some 8 s of looks: every turn of the stub is shorter.
        const LONG: u32 = 250;
        const SHORT: u32 = 60;
        let mut looks = 0;
        let quiet = wait_until(Duration::from_secs(40), || {
            looks += 1;
            let status = self.rig.status();
            let state = status["state"].as_str().unwrap_or("");
            match (state, status["draft"] == true) {
                ("ready", false) => return true,
                ("ready", true) => {
                    if !may_hold {
                        self.blame_last(Fault::Leftover);
                    }
                    self.rig.clear_composer();
                }
                ("busy", _) if looks % LONG == 0 => self.press_interrupt(),
                ("blocked", _) if looks % SHORT == 0 => self.unblock(),
                _ => {}
            }
            false
        });
        if !quiet {
            eprintln!(
                "{} does not come to rest: {}",
                self.runtime,
                self.rig.status()
            );
            self.blame_last(Fault::Stuck);
            self.stuck = true;
        }
    }

    /// What a person would do about an agent that calls itself blocked.
    pub(super) fn unblock(&mut self) {
        self.blame_last(Fault::Stuck);
        if self.dialog_is_open() {
            self.rig.press(&["Escape"]);
        } else {
            self.rig.press(&["-N", "8", "C-u"]);
            // A runtime redraws everything when its size changes.
            self.rig.resize(119, 40);
            self.rig.resize(120, 40);
        }
    }

    pub(super) fn hold_against_truth(&mut self, at: usize) {
        let shot = &mut self.shots[at];
        let stub = &self.rig.stub;
        let got = stub.got(&shot.token);
        shot.reached = got.is_some();
        shot.asked_ms = got.as_ref().map(|(at, _)| *at);
        // It may have come since the last time.
        shot.faults.retain(|f| *f != Fault::FalseAccepted);
        let fault = match (shot.promised(), shot.reached) {
            // A person's Escape may hand it back out of the runtime's own queue: the receipt must say so then.
            (true, false) if shot.receipt.verdict == "queued" => {
                // Asked once: at the last look the agent may have ended.
                if shot.after != CAME_BACK && self.rig.verify(&shot.token).verdict == "draft" {
                    shot.after = CAME_BACK;
                }
                (shot.after != CAME_BACK).then_some(Fault::FalseAccepted)
            }
            (true, false) => Some(Fault::FalseAccepted),
            // Of a message that others typed, the sidecar may have seen nothing.
            (false, true) if !shot.receipt.typed && !matches!(shot.scene, Scene::By(_)) => {
                Some(Fault::Typed)
            }
            (false, true) => Some(Fault::Missed),
            _ => None,
        };
        let mangled = shot.reached && (!stub.got_whole(&shot.text) || stub.times(&shot.token) > 1);
        let faults = [fault, mangled.then_some(Fault::Mangled)];
        for fault in faults.into_iter().flatten() {
            if !shot.faults.contains(&fault) {
                let screen = self.rig.screen();
                shot.blame(fault, &screen);
            }
        }
    }
}
