//! What can be done to an agent while messages are sent to it.

use super::chance::{SHAPES, Shape};

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
        scenes.push(Hazard);
    }
    scenes
}
