//! What is done to an agent while messages are sent to it.

use std::time::Duration;

use nix::libc;

use super::chance::{Chance, SHAPES, Shape, text};
use super::rig::{How, Rig, squeezed, wait_until};
use super::shots::{Fault, Shot};

/// One situation in which messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// An idle agent.
    Ready(Shape),
    /// A turn runs, and the message is held until it ends.
    Hold,
    /// A turn runs, and one to three messages are typed into it.
    Type,
    /// A turn runs, and the sender does not wait.
    Refuse,
    /// Three senders at once.
    Parallel,
    /// A person left a draft.
    Draft,
    /// A person types while the message is on its way.
    Typing,
    /// A permission dialog is open.
    Dialog,
    /// A permission dialog opens while the message is held.
    DialogOpens,
    /// A permission dialog opens while the message is typed into the turn.
    DialogRace,
    /// The runtime has been stopped for a while.
    Stopped,
    /// The runtime was stopped a moment ago.
    JustStopped,
    /// The runtime is stopped for a while just when the message is on its way.
    Freeze,
    /// The model answers with HTTP 500.
    Fails,
    /// The terminal changes its size.
    Resize,
    /// A person interrupts the turn for whose end the message waits.
    Interrupt,
    /// The message is not acceptable.
    Rejected,
    /// There is no such agent.
    Gone,
    /// The runtime has ended. Only as the last scene of a session.
    Ended,
}

impl Scene {
    /// Its name in tables and on the command line.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// The scenes that may be played with this runtime in any order, the frequent ones more than once.
pub fn possible(runtime: &str) -> Vec<Scene> {
    use Scene::*;
    let mut scenes: Vec<Scene> = SHAPES.iter().map(|s| Ready(*s)).collect();
    scenes.extend([
        Ready(Shape::Line),
        Ready(Shape::Line),
        Hold,
        Hold,
        Type,
        Type,
        Type,
    ]);
    scenes.extend([
        Parallel,
        Refuse,
        Draft,
        Draft,
        Typing,
        Typing,
        Freeze,
        Freeze,
        Stopped,
        JustStopped,
    ]);
    scenes.extend([
        Resize,
        Resize,
        Interrupt,
        Fails,
        Rejected,
        Gone,
        Ready(Shape::Joined),
    ]);
    if runtime != "pi" {
        scenes.extend([Dialog, Dialog, DialogOpens, DialogOpens, DialogRace]);
    }
    scenes
}

/// A held or typed message may be taken or not, but never both.
const ANY: &[&str] = &[];

/// How long a message that was promised may take to reach the model: the turns before it included.
const ARRIVES: Duration = Duration::from_secs(20);

/// A session of a runtime, and everything that was sent in it.
pub struct Stage {
    runtime: String,
    rig: Rig,
    chance: Chance,
    shots: Vec<Shot>,
    /// Shots before this one are settled.
    settled: usize,
    /// A person's text that stands in the composer, or should.
    by_hand: bool,
    /// The agent cannot be brought back to an idle state; the session is over.
    pub stuck: bool,
}

impl Stage {
    /// Starts a runtime.
    pub fn open(runtime: &str, seed: u64) -> Stage {
        Stage {
            runtime: runtime.to_owned(),
            rig: Rig::start(runtime),
            chance: Chance::new(seed),
            shots: Vec::new(),
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
            Scene::Interrupt => self.interrupt(scene),
            Scene::Rejected => self.rejected(scene),
            Scene::Gone => self.gone(scene),
            Scene::Ended => return self.ended(scene),
        }
        self.settle();
    }

    /// The last look at everything, for messages that arrived late.
    pub fn close(mut self) -> Vec<Shot> {
        for at in 0..self.shots.len() {
            self.hold_against_truth(at);
        }
        self.shots
    }

    // ---- sending -------------------------------------------------------------------------------------

    fn message(&mut self, shape: Shape, wish: &str) -> (String, String) {
        let token = self.chance.token();
        (text(&mut self.chance, shape, &token, wish), token)
    }

    fn how(&mut self, busy: Option<&'static str>) -> How {
        How {
            preamble: self.chance.one_in(2),
            busy,
            ..How::default()
        }
    }

    /// Sends one message while `meanwhile` happens on another thread.
    fn shoot_while(
        &mut self,
        scene: Scene,
        (text, token): (String, String),
        how: &How,
        allowed: &'static [&'static str],
        meanwhile: impl FnOnce(&Rig) + Send,
    ) {
        let rig = &self.rig;
        let receipt = std::thread::scope(|scope| {
            scope.spawn(|| meanwhile(rig));
            rig.send(&text, how)
        });
        let mut shot = Shot {
            scene,
            token,
            text,
            receipt,
            allowed,
            reached: false,
            asked_ms: None,
            faults: Vec::new(),
            screen: String::new(),
        };
        let screen = self.rig.screen();
        if !shot.expected() {
            shot.blame(Fault::Verdict, &screen);
        }
        if !shot.receipt.typed && squeezed(&screen).contains(&shot.token) {
            shot.blame(Fault::Typed, &screen);
        }
        self.shots.push(shot);
    }

    fn shoot(&mut self, scene: Scene, shape: Shape, how: &How, allowed: &'static [&'static str]) {
        let message = self.message(shape, "");
        self.shoot_while(scene, message, how, allowed, |_| {});
    }

    /// Begins a turn with a message that makes the stub do something.
    fn open_turn(&mut self, scene: Scene, wish: &str) {
        let message = self.message(Shape::Line, wish);
        let how = self.how(None);
        self.shoot_while(scene, message, &how, &["accepted"], |_| {});
    }

    /// A part of the scene, not a wait for something.
    fn pause(&mut self, from_ms: u64, to_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.chance.within(from_ms, to_ms)));
    }

    fn blame_last(&mut self, fault: Fault) {
        let screen = self.rig.screen();
        if let Some(shot) = self.shots.last_mut() {
            shot.blame(fault, &screen);
        }
    }

    // ---- the scenes ----------------------------------------------------------------------------------

    fn ready(&mut self, scene: Scene, shape: Shape) {
        self.pause(0, 400);
        let how = self.how(None);
        self.shoot(scene, shape, &how, &["accepted"]);
    }

    fn during_turn(
        &mut self,
        scene: Scene,
        busy: Option<&'static str>,
        allowed: &'static [&'static str],
    ) {
        self.open_turn(scene, "slow=2");
        self.pause(0, 600);
        let (how, shape) = (self.how(busy), self.chance.pick(&SHAPES));
        self.shoot(scene, shape, &how, allowed);
    }

    fn typed_into_turn(&mut self, scene: Scene) {
        self.open_turn(scene, "slow=3");
        for _ in 0..self.chance.within(1, 4) {
            self.pause(0, 700);
            let (how, shape) = (self.how(Some("type")), self.chance.pick(&SHAPES));
            self.shoot(scene, shape, &how, &["accepted", "queued"]);
        }
    }

    fn parallel(&mut self, scene: Scene) {
        let others = [0, 1].map(|_| (self.message(Shape::Line, ""), self.how(None)));
        let (mine, how) = (self.message(Shape::Line, ""), self.how(None));
        let receipts = std::sync::Mutex::new(Vec::new());
        self.shoot_while(scene, mine, &how, &["accepted"], |rig| {
            std::thread::scope(|scope| {
                for ((text, token), how) in &others {
                    let receipts = &receipts;
                    scope.spawn(move || {
                        let receipt = rig.send(text, how);
                        receipts
                            .lock()
                            .expect("no panic")
                            .push((text, token, receipt));
                    });
                }
            });
        });
        let model = self.shots[self.shots.len() - 1].clone();
        for (text, token, receipt) in receipts.into_inner().expect("no panic") {
            let mut shot = Shot {
                text: text.clone(),
                token: token.clone(),
                receipt,
                faults: Vec::new(),
                ..model.clone()
            };
            if !shot.expected() {
                shot.blame(Fault::Verdict, &self.rig.screen());
            }
            self.shots.push(shot);
        }
    }

    fn draft(&mut self, scene: Scene) {
        let draft = format!("half a thought {}", self.chance.token());
        self.rig.type_text(&draft);
        assert!(
            wait_until(Duration::from_secs(5), || self.rig.shows(&draft)),
            "{} does not show what is typed:\n{}",
            self.runtime,
            self.rig.screen()
        );
        let how = How {
            timeout: "2",
            ..self.how(None)
        };
        let shape = self.chance.pick(&SHAPES);
        self.shoot(scene, shape, &how, &["occupied"]);
        self.person_keeps(&draft);
        self.rig.clear_composer();
    }

    fn typing(&mut self, scene: Scene) {
        self.by_hand = true;
        let typed = self.chance.token();
        let keys: Vec<(String, u64)> = typed
            .chars()
            .map(|c| (c.to_string(), self.chance.within(0, 50)))
            .collect();
        let message = self.message(Shape::Line, "");
        let how = How {
            timeout: "4",
            ..self.how(None)
        };
        // The keys of the scene before must be forgotten, or nothing would be typed at all.
        self.pause(450, 600);
        self.shoot_while(scene, message, &how, ANY, |rig| {
            for (key, pause) in &keys {
                std::thread::sleep(Duration::from_millis(*pause));
                rig.type_text(key);
            }
        });
        self.person_keeps(&typed);
        self.rig.clear_composer();
    }

    /// The person's text stands on the screen and never got to the model. Where ours fell into the middle
    /// of it and was not submitted, it stands there in two pieces.
    fn person_keeps(&mut self, typed: &str) {
        let wanted = squeezed(typed);
        let ours = self
            .shots
            .last()
            .map(|s| squeezed(&s.text))
            .unwrap_or_default();
        let stands = wait_until(Duration::from_secs(3), || {
            let shown = squeezed(&self.rig.screen());
            shown.contains(&wanted) || shown.replace(&ours, "").contains(&wanted)
        });
        if !stands || self.rig.stub.got(typed).is_some() {
            self.blame_last(Fault::Draft);
        }
    }

    /// Makes the runtime ask for permission; the file that the tool would make.
    fn ask_permission(&mut self, scene: Scene, when: &str) -> std::path::PathBuf {
        let file = format!("made-by-{}", self.chance.token());
        self.open_turn(scene, &format!("{when} tool=touch_{file}"));
        self.rig.project().join(file)
    }

    fn dialog_is_open(&self) -> bool {
        let screen = self.rig.screen();
        ["Do you want to", "Would you like to", "Permission required"]
            .iter()
            .any(|w| screen.contains(w))
    }

    fn dialog_opens(&self) -> bool {
        wait_until(Duration::from_secs(8), || self.dialog_is_open())
    }

    fn dialog(&mut self, scene: Scene) {
        let made = self.ask_permission(scene, "");
        assert!(self.dialog_opens(), "no dialog:\n{}", self.rig.screen());
        self.pause(0, 500);
        let (how, shape) = (self.how(None), self.chance.pick(&SHAPES));
        self.shoot(scene, shape, &how, &["blocked"]);
        if made.exists() || !self.dialog_is_open() {
            self.blame_last(Fault::Dialog);
        }
        let yes = self.chance.one_in(2);
        self.answer_dialog(if yes { "Enter" } else { "Escape" });
        let done = wait_until(Duration::from_secs(8), || made.exists() == yes);
        assert!(done, "the dialog was not answered:\n{}", self.rig.screen());
    }

    fn answer_dialog(&mut self, key: &str) {
        self.rig.press(&[key]);
        wait_until(Duration::from_secs(5), || !self.dialog_is_open());
    }

    fn dialog_race(&mut self, scene: Scene, busy: Option<&'static str>) {
        let first = self.chance.within(0, 500);
        let made = self.ask_permission(scene, &format!("first=0.{first:03}"));
        self.pause(0, 600);
        let how = self.how(busy);
        self.shoot(scene, Shape::Line, &how, ANY);
        // A message that was steered into the turn may have called the tool off.
        let open = self.dialog_opens();
        if made.exists() {
            self.blame_last(Fault::Dialog);
        }
        if open {
            self.answer_dialog("Escape");
        }
    }

    fn stopped(&mut self, scene: Scene, since_ms: u64) {
        self.rig.signal(libc::SIGSTOP);
        self.pause(since_ms, since_ms + 1);
        let how = How {
            timeout: "2",
            ..self.how(None)
        };
        let shape = self.chance.pick(&SHAPES);
        self.shoot(scene, shape, &how, &["unready"]);
        self.rig.signal(libc::SIGCONT);
        // What was typed after all is read only now.
        if self.shots.last().is_some_and(|s| s.receipt.typed) {
            wait_until(Duration::from_secs(5), || self.rig.holds_draft());
        }
    }

    fn freeze(&mut self, scene: Scene) {
        let (message, how) = (self.message(Shape::Line, ""), self.how(None));
        let (after, lasts) = (self.chance.within(0, 120), self.chance.within(300, 6_000));
        self.shoot_while(scene, message, &how, ANY, |rig| {
            std::thread::sleep(Duration::from_millis(after));
            rig.signal(libc::SIGSTOP);
            std::thread::sleep(Duration::from_millis(lasts));
            rig.signal(libc::SIGCONT);
        });
    }

    fn fails(&mut self, scene: Scene) {
        self.open_turn(scene, "fail=500");
        let token = self.shots[self.shots.len() - 1].token.clone();
        wait_until(ARRIVES, || self.rig.stub.got(&token).is_some());
        // Retries go on for minutes on claude; a person ends them, and gets the message back there.
        self.by_hand = true;
        self.pause(0, 1_500);
        if self.rig.state() == "busy" {
            self.rig.press(&["Escape"]);
        }
    }

    fn resize(&mut self, scene: Scene) {
        let (shape, how) = (self.chance.pick(&SHAPES), self.how(None));
        let message = self.message(shape, "");
        let pauses = [0; 3].map(|_| self.chance.within(0, 120));
        self.shoot_while(scene, message, &how, &["accepted"], |rig| {
            for (pause, (cols, rows)) in pauses.iter().zip([(90, 30), (70, 44), (120, 40)]) {
                std::thread::sleep(Duration::from_millis(*pause));
                rig.resize(cols, rows);
            }
        });
    }

    fn interrupt(&mut self, scene: Scene) {
        self.open_turn(scene, "slow=3");
        let token = self.shots[self.shots.len() - 1].token.clone();
        wait_until(ARRIVES, || self.rig.stub.got(&token).is_some());
        self.by_hand = true;
        let (message, how) = (self.message(Shape::Line, ""), self.how(None));
        let after = self.chance.within(0, 800);
        self.shoot_while(scene, message, &how, ANY, |rig| {
            std::thread::sleep(Duration::from_millis(after));
            rig.press(&["Escape"]);
        });
    }

    fn rejected(&mut self, scene: Scene) {
        let (text, token) = self.message(Shape::Line, "");
        let how = How {
            preamble: false,
            ..How::default()
        };
        let bad = self.chance.pick(&["!", "/", "\u{1b}[201~", "\u{7}"]);
        self.shoot_while(
            scene,
            (format!("{bad}{text}"), token),
            &how,
            &["rejected"],
            |_| {},
        );
    }

    fn gone(&mut self, scene: Scene) {
        let how = How {
            to: Some("nobody"),
            ..How::default()
        };
        self.shoot(scene, Shape::Line, &how, &["gone"]);
    }

    fn ended(&mut self, scene: Scene) {
        self.rig.signal(libc::SIGKILL);
        wait_until(Duration::from_secs(5), || self.rig.state().is_empty());
        self.shoot(scene, Shape::Line, &How::default(), &["gone"]);
    }

    // ---- judging -------------------------------------------------------------------------------------

    /// Waits for what was promised, brings the agent back to an empty composer, and judges the shots.
    fn settle(&mut self) {
        let new = self.settled..self.shots.len();
        self.settled = self.shots.len();
        for at in new.clone().filter(|at| self.shots[*at].promised()) {
            let token = self.shots[at].token.clone();
            wait_until(ARRIVES, || self.rig.stub.got(&token).is_some());
        }
        let admitted = |s: &Shot| matches!(s.receipt.verdict.as_str(), "draft" | "unknown");
        let may_hold = self.by_hand || new.clone().any(|at| admitted(&self.shots[at]));
        self.quieten(may_hold);
        for at in new {
            self.hold_against_truth(at);
        }
    }

    /// An idle agent with an empty composer, by force if need be.
    fn quieten(&mut self, may_hold: bool) {
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
                ("busy", _) if looks % LONG == 0 => self.rig.press(&["Escape"]),
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
    fn unblock(&mut self) {
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

    fn hold_against_truth(&mut self, at: usize) {
        let shot = &mut self.shots[at];
        let stub = &self.rig.stub;
        let got = stub.got(&shot.token);
        shot.reached = got.is_some();
        shot.asked_ms = got.as_ref().map(|(at, _)| *at);
        let fault = match (shot.promised(), shot.reached) {
            (true, false) => Some(Fault::FalseAccepted),
            (false, true) if !shot.receipt.typed => Some(Fault::Typed),
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
