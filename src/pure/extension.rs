//! Files of our own that a runtime loads: pi's extension, opencode's plugin.
//!
//! Their first line says what they are, what was made for them, and the checksum of the rest: a file that
//! somebody has changed by hand is not ours to replace or remove.

use super::hookfile::{MARK, Made, State};

/// The files' text, by runtime.
const BODIES: [(&str, &str); 2] = [
    ("pi", include_str!("extensions/pi.js")),
    ("opencode", include_str!("extensions/opencode.js")),
];

/// A file of ours, whole, for this runtime; none if it has none. `dirs`: how many directories are made for it.
pub fn text(runtime: &str, dirs: u8) -> Option<String> {
    let (_, body) = BODIES.iter().find(|(name, _)| *name == runtime)?;
    let sum = checksum(body);
    Some(format!("// {sum} {MARK} file+{dirs}\n{body}"))
}

/// What a file in our place is, and what was made for it.
///
/// # Errors
/// It is not ours, or not as we wrote it: line and reason.
pub fn inspect(runtime: &str, found: &str) -> Result<(State, Made), String> {
    let (first, body) = found.split_once('\n').unwrap_or((found, ""));
    let Some(made) = Made::read(first) else {
        return Err("1: another file of this name, not written by us".into());
    };
    let sum = first.split_whitespace().nth(1).unwrap_or_default();
    if sum != checksum(body) {
        return Err("1: this file of ours was changed by hand".into());
    }
    let state = match text(runtime, made.file.unwrap_or(0)) {
        Some(wanted) if wanted == found => State::Installed,
        _ => State::Outdated,
    };
    Ok((state, made))
}

/// FNV-1a with 64 bits (its published constants): against an accident, not against an enemy.
fn checksum(text: &str) -> String {
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
