//! What a runtime itself put down about a prompt: one word of its own, with the prompt's text.

/// A prompt as the runtime has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Who says so, as evidence names it: `hook UserPromptSubmit`.
    pub by: String,
    /// The whole prompt.
    pub text: String,
    /// The runtime has put it into its own queue; no turn has it yet.
    pub queued: bool,
}
