//! What can be done to an agent while messages are sent to it.

use super::chance::{SHAPES, Shape};

/// How somebody else types a message straight into the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Character by character, as a person does.
    Keys,
    /// The text and Enter in one write of so many bytes.
    OneWrite(usize),
    /// A bracketed paste, and Enter so many milliseconds later.
    Paste(u64),
}

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
    /// Several senders, turns and permission dialogs at random moments, and a person who answers the dialogs.
    Hazard,
    /// The message is typed by somebody else; its receipt is asked for by its text.
    By(Hand),
    /// A person left a draft of several lines.
    DraftLines,
    /// A person has typed `/`, and the menu of commands is open.
    Menu,
    /// The model picker is open.
    Picker,
    /// The transcript viewer is open.
    Transcript,
    /// The model answers with this HTTP status once, and then as ever.
    Recovers(u16),
    /// The message is typed into a turn, and then a person presses Escape.
    QueueEscape,
    /// The message is sent right after `launch`. This and the following begin a new session.
    Early,
    /// The runtime asks at its start whether the directory is to be trusted.
    Trust,
    /// The terminal has this size from the start.
    Size(u16, u16),
    /// The runtime is told to end just before the message is sent.
    Leaving,
    /// After the runtime's own command for a new conversation.
    Reset,
    /// The runtime has been started again with its last conversation.
    Resume,
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
    /// The sidecar is replaced by another binary while the message waits for a running turn, or is on its way.
    Upgrade,
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

    /// Whether all its messages go to an agent that is ready, by senders that do as they should.
    pub fn is_ready(self) -> bool {
        use Scene::*;
        matches!(
            self,
            Ready(_) | Parallel | Resize | Early | Size(..) | Reset | Resume
        )
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
        Upgrade,
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
        scenes.push(Hazard);
    }
    scenes.extend(HANDS.map(By));
    scenes.extend([DraftLines, Menu, Picker, Recovers(500), Recovers(429)]);
    scenes.extend([QueueEscape, Reset]);
    if has_viewer(runtime) {
        scenes.push(Transcript);
    }
    scenes
}

/// Every scenario, those with much chance in them more than once, in an order to be read; those that need a runtime
/// of their own last.
pub fn scenarios(runtime: &str) -> Vec<Scene> {
    use Scene::*;
    let asks = runtime != "pi";
    let mut scenes: Vec<Scene> = SHAPES.iter().map(|s| Ready(*s)).collect();
    scenes.extend([Shape::Huge, Shape::Joined, Shape::Slash, Shape::Bang].map(Ready));
    scenes.extend(HANDS.map(By));
    scenes.extend([Hold, Refuse, Type, QueueEscape, Interrupt, Parallel]);
    scenes.extend([Draft, DraftLines, Typing, Typing, Typing]);
    if asks {
        scenes.extend([Dialog, DialogOpens, DialogRace, Hazard]);
    }
    scenes.extend([Menu, Picker]);
    if has_viewer(runtime) {
        scenes.push(Transcript);
    }
    scenes.extend([Stopped, JustStopped, Freeze, Freeze, Freeze, Freeze, Resize]);
    scenes.extend([Fails, Recovers(500), Recovers(429), Rejected, Gone]);
    scenes.extend([Reset, Resume, Early]);
    if matches!(runtime, "claude" | "codex") {
        scenes.push(Trust);
    }
    scenes.extend([Size(80, 24), Size(200, 50), Size(0, 0)]);
    scenes.extend([Leaving; 3]);
    scenes
}

/// Ways of typing on which the runtimes differ.
const HANDS: [Hand; 9] = [
    Hand::Keys,
    Hand::OneWrite(63),
    Hand::OneWrite(64),
    Hand::OneWrite(146),
    Hand::Paste(0),
    Hand::Paste(50),
    Hand::Paste(100),
    Hand::Paste(300),
    Hand::Paste(600),
];

/// Whether a key shows the conversation in a viewer of its own.
fn has_viewer(runtime: &str) -> bool {
    matches!(runtime, "claude" | "codex")
}
