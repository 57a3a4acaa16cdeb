//! What the tiny binary says of itself: its verbs, one line each. All else that help says is in `mosaic-fleet`.

/// The verbs that this binary performs, one line each; their pages are in `agent_pages`, which only `mosaic-fleet` has.
pub const OWN: &[&str] = &[
    "mosaic-agent run NAME [-- CMD ARG...]: be the sidecar of CMD in this terminal, or without one",
    "mosaic-agent hook [EVENT] [JSON]: what a runtime's own hook calls: tells the sidecar, always silent, always 0",
];

/// The verbs that `mosaic-fleet` performs when this binary is asked: one line each, its page has the rest.
pub const OF_FLEET: &[&str] = &[
    "mosaic-agent launch NAME: make the tmux session that runs `run NAME`; idempotent",
    "mosaic-agent send NAME [-m TEXT | -f FILE | -]: type a message, tell what became of it",
    "mosaic-agent verify NAME (--id ID | --contains TEXT | -): the verdict of a message, whoever typed it",
    "mosaic-agent status NAME: what the agent is doing, and why we think so",
    "mosaic-agent probe NAME: the same, after a fresh look at its processes; also writes a heartbeat",
    "mosaic-agent explain (NAME | --cast FILE.cast): which rules fire on a screen, and why the state is what it is",
    "mosaic-agent tail NAME: the screen and what has left it, as text",
    "mosaic-agent events NAME: what happens to it, as JSON lines",
    "mosaic-agent record NAME start|stop|status: record its terminal, for asciinema and replay",
    "mosaic-agent watch NAME: its screen, live and read-only; never resizes it",
    "mosaic-agent attach NAME: take it over; one at a time",
    "mosaic-agent screen NAME: its screen now, as text, cells or a picture",
    "mosaic-agent keys NAME KEY...: deliberate keys: answer a dialog, interrupt a turn",
    "mosaic-agent reset NAME: the runtime's own reset command, and proof that it worked",
    "mosaic-agent upgrade (NAME | --all): replace the running sidecar by another binary; its runtime stays",
    "mosaic-agent stop NAME: end it in order: drain, the turn's end, its own way to quit, TERM, KILL",
    "mosaic-agent restart NAME: the same, and start it again",
    "mosaic-agent replay FILE.cast: run the engine over a recording: states, a verdict per message",
    "mosaic-agent hooks install|remove|status [RUNTIME]: let the runtimes themselves say what they took",
    "mosaic-agent units install|remove|status: the systemd units of a fleet, for this user",
    "mosaic-agent doctor: what is wrong with this installation, and what mends it",
    "mosaic-agent completions bash|zsh|fish: completions for a shell",
    "mosaic-agent man [PAGE]: the manual pages",
];

/// All of them.
pub fn lines() -> String {
    [OWN.join("\n"), OF_FLEET.join("\n")].join("\n")
}
