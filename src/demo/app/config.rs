//! The knobs of the demo: every way in which the command line can make it behave, and how it behaves without.

/// What the command line can change about the app. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a turn lasts.
    pub turn_ms: u64,
    /// Whether a running turn shows its line.
    pub busy_sign: bool,
    /// Whether the spinner moves even when idle.
    pub spin: bool,
    /// How many Enters on a non-empty composer do nothing.
    pub swallow_enter: u32,
    /// Within this time after a paste, Enter does nothing.
    pub paste_window_ms: u64,
    /// Within this time after a paste, Enter inserts a newline.
    pub newline_window_ms: u64,
    /// How many submissions clear the composer and go nowhere.
    pub lose: u32,
    /// Whether `/new` does nothing.
    pub ignore_new: bool,
    /// Whether pastes are ignored.
    pub drop_pastes: bool,
    /// Whether a paste opens the dialog.
    pub dialog_on_paste: bool,
    /// When the dialog opens by itself.
    pub dialog_after_ms: Option<u64>,
    /// When the program ends by itself.
    pub exit_after_ms: Option<u64>,
    /// The exit code of that end.
    pub exit_code: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            turn_ms: 800,
            busy_sign: true,
            spin: false,
            swallow_enter: 0,
            paste_window_ms: 0,
            newline_window_ms: 0,
            lose: 0,
            ignore_new: false,
            drop_pastes: false,
            dialog_on_paste: false,
            dialog_after_ms: None,
            exit_after_ms: None,
            exit_code: 0,
        }
    }
}
