//! Arguments of `keys`.

use lexopt::prelude::*;

use crate::units::AgentName;

/// What `keys` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The agent.
    pub name: AgentName,
    /// The keys, by name or as they are.
    pub keys: Vec<String>,
    /// The hash of the screen that the caller has seen.
    pub expect: Option<String>,
    /// As JSON.
    pub json: bool,
}

/// The page of `keys`.
pub const PAGE: &str = "mosaic-fleet keys NAME KEY...: deliberate keys: answer a dialog, interrupt a turn

KEY is a character or a name: Enter Tab Escape Space Backspace Up Down Right Left Home End Insert Delete PageUp PageDown
F1 to F12, with C- (control), M- (alt), S- (shift) in front, in this order: C-c, M-Enter, S-Tab. A text is a message:
`send` delivers it. Behind --, a key may begin with a dash.

Options
  --expect HASH       only if the screen is what `screen --json` has shown with this `hash`
  --json              as JSON

Examples
  mosaic-fleet keys coder0 Escape
  mosaic-fleet keys coder0 --expect \"$(mosaic-fleet screen coder0 --json | jq -r .hash)\" 1 Enter
";

/// Reads them; none if help was asked for.
pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut name, mut keys, mut expect, mut json) = (None, Vec::new(), None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("expect") => expect = Some(parser.value()?.string()?),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            Value(key) => keys.push(key.string()?),
            other => return Err(other.unexpected()),
        }
    }
    if keys.is_empty() {
        return Err("which keys? None is given".into());
    }
    Ok(Some(Options {
        name: name.ok_or("which agent? A name is missing")?,
        keys,
        expect,
        json,
    }))
}
