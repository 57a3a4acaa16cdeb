//! Lines whose only escape sequences are SGR, as the screen model makes them: shown with colours or without.

/// Hands every character that is drawn to `take`.
fn drawn(line: &str, mut take: impl FnMut(char)) {
    let mut in_sequence = false;
    for c in line.chars() {
        if c == '\x1b' || in_sequence {
            in_sequence = c != 'm';
        } else {
            take(c);
        }
    }
}

/// The characters of a line without blanks, frames and colours.
#[inline(never)]
pub fn bare(line: &str) -> String {
    let mut bare = String::with_capacity(line.len());
    drawn(line, |c| {
        if !c.is_whitespace() && !('\u{2500}'..='\u{259f}').contains(&c) {
            bare.push(c);
        }
    });
    bare
}

/// Whether nothing is to be seen of a line but, perhaps, its background.
pub fn is_blank(line: &str) -> bool {
    let mut blank = true;
    drawn(line, |c| blank &= c.is_whitespace());
    blank
}

/// A line for a terminal: with its colours, which end with it, or without any.
pub fn shown(line: &str, ansi: bool) -> String {
    match ansi {
        true if line.contains('\x1b') => format!("{}\x1b[m", line.trim_end()),
        true => line.trim_end().to_owned(),
        false => {
            let mut plain = String::with_capacity(line.len());
            drawn(line, |c| plain.push(c));
            plain.truncate(plain.trim_end().len());
            plain
        }
    }
}

/// A line cut to so many columns. A character that may be wide counts as two.
pub fn cropped(line: &str, cols: usize) -> String {
    let mut kept = String::with_capacity(line.len());
    let (mut used, mut in_sequence) = (0, false);
    for c in line.chars() {
        if c == '\x1b' || in_sequence {
            in_sequence = c != 'm';
            kept.push(c);
            continue;
        }
        used += if c < '\u{1100}' || ('\u{2000}'..'\u{2e80}').contains(&c) {
            1
        } else {
            2
        };
        if used <= cols {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_end_with_their_line_or_are_left_out() {
        assert_eq!(shown("\x1b[31mred", true), "\x1b[31mred\x1b[m");
        assert_eq!(shown("\x1b[31mred \x1b[m ", false), "red");
        assert_eq!(shown("plain", true), "plain");
    }

    #[test]
    fn a_cropped_line_keeps_its_colours_and_no_column_too_many() {
        assert_eq!(cropped("\x1b[31mabcdef\x1b[m", 3), "\x1b[31mabc\x1b[m");
        assert_eq!(cropped("漢字漢", 5), "漢字");
    }
}
