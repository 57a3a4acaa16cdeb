//! The rows as a table for people: aligned, coloured if asked to, and as wide as the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Row;

/// How the table is to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Columns of the terminal; without one nothing is left out or cut.
    pub width: Option<usize>,
    /// With colours.
    pub colour: bool,
    /// Without the line of titles.
    pub bare: bool,
}

/// One column.
struct Column {
    title: &'static str,
    /// The higher, the sooner it is left out on a narrow terminal; 0 never is.
    rank: u8,
    cell: fn(&Row) -> String,
}

const NONE: &str = "-";

/// In the order in which they are shown. The last one may be cut.
const COLUMNS: [Column; 18] = [
    Column {
        title: "AGENT",
        rank: 0,
        cell: |row| row.agent.clone(),
    },
    Column {
        title: "HEALTH",
        rank: 3,
        cell: |row| row.health.into(),
    },
    Column {
        title: "STATE",
        rank: 0,
        cell: |row| row.state.into(),
    },
    Column {
        title: "FOR",
        rank: 4,
        cell: |row| row.for_s.map_or(NONE.into(), span),
    },
    Column {
        title: "RUNTIME",
        rank: 6,
        cell: |row| or_none(&format!("{} {}", row.runtime, row.runtime_version)),
    },
    Column {
        title: "MODEL",
        rank: 14,
        cell: |row| or_none(&row.model),
    },
    Column {
        title: "PID",
        rank: 9,
        cell: |row| match row.pid {
            0 => NONE.into(),
            pid => pid.to_string(),
        },
    },
    Column {
        title: "IDLE",
        rank: 8,
        cell: |row| row.idle_s.map_or(NONE.into(), span),
    },
    Column {
        title: "BEAT",
        rank: 11,
        cell: |row| row.beat_s.map_or(NONE.into(), span),
    },
    Column {
        title: "PANE",
        rank: 7,
        cell: |row| row.pane.word().into(),
    },
    Column {
        title: "UNIT",
        rank: 5,
        cell: |row| {
            row.unit
                .as_ref()
                .map_or(NONE.into(), |u| or_none(&u.active))
        },
    },
    Column {
        title: "ENABLED",
        rank: 12,
        cell: |row| {
            row.unit
                .as_ref()
                .map_or(NONE.into(), |u| or_none(&u.enabled))
        },
    },
    Column {
        title: "RESTARTS",
        rank: 13,
        cell: |row| {
            row.unit
                .as_ref()
                .map_or(NONE.into(), |u| u.restarts.to_string())
        },
    },
    Column {
        title: "LAST",
        rank: 10,
        cell: |row| match &row.last_receipt {
            Some(last) => format!("{} {}", last.verdict, span(last.age_s)),
            None => NONE.into(),
        },
    },
    Column {
        title: "HOST",
        rank: 15,
        cell: |row| or_none(&row.host),
    },
    Column {
        title: "TENANT",
        rank: 16,
        cell: |row| or_none(&row.tenant_id),
    },
    Column {
        title: "FLAGS",
        rank: 1,
        cell: |row| {
            let flags: Vec<&str> = row.flags.iter().map(|f| f.word()).collect();
            or_none(&flags.join(","))
        },
    },
    Column {
        title: "WHY",
        rank: 2,
        cell: why,
    },
];

/// What is to be said of a row: its own reason, and those of its flags.
fn why(row: &Row) -> String {
    let mut all = vec![row.why.as_str()];
    all.extend(row.flagged.iter().map(|f| f.why.as_str()));
    all.retain(|why| !why.is_empty());
    all.dedup();
    all.join("; ")
}

/// A reason that is cut shorter than this says nothing.
const WHY_LEAST: usize = 16;

/// A name is cut to no less than this.
const NAME_LEAST: usize = 8;

/// Between two columns.
const GAP: usize = 2;

/// The lines of the table, without their ends.
pub fn lines(rows: &[Row], look: Look) -> Vec<String> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| COLUMNS.iter().map(|c| clean(&(c.cell)(row))).collect())
        .collect();
    let natural = |at: usize| {
        let title = if look.bare {
            0
        } else {
            COLUMNS[at].title.len()
        };
        let widest = cells.iter().map(|row| row[at].width()).max();
        widest.unwrap_or(0).max(title)
    };
    let mut shown: Vec<(usize, usize)> = (0..COLUMNS.len()).map(|at| (at, natural(at))).collect();
    if let Some(width) = look.width {
        fit(&mut shown, width, &cells);
    }
    let mut lines = Vec::new();
    if !look.bare {
        let titles: Vec<(&str, &str)> = shown
            .iter()
            .map(|(at, _)| (COLUMNS[*at].title, ""))
            .collect();
        lines.push(line(&titles, &shown, look, Some("1")));
    }
    for (row, cells) in rows.iter().zip(&cells) {
        let cells: Vec<(&str, &str)> = shown
            .iter()
            .map(|(at, _)| (cells[*at].as_str(), colour(COLUMNS[*at].title, row)))
            .collect();
        lines.push(line(&cells, &shown, look, None));
    }
    lines
}

/// Leaves columns out and cuts until the rest has room.
fn fit(shown: &mut Vec<(usize, usize)>, width: usize, cells: &[Vec<String>]) {
    let total = |shown: &[(usize, usize)]| {
        shown
            .iter()
            .map(|(_, w)| w + GAP)
            .sum::<usize>()
            .saturating_sub(GAP)
    };
    let last = COLUMNS.len() - 1;
    let cut_to = |shown: &mut Vec<(usize, usize)>, column: usize, least: usize| {
        let over = total(shown).saturating_sub(width);
        if let Some((_, w)) = shown.iter_mut().find(|(at, _)| *at == column) {
            *w = (*w - over.min(*w)).max(least.min(*w));
        }
    };
    // A column in which nobody has anything goes first.
    let is_blank = |at: usize| {
        cells
            .iter()
            .all(|row| row[at].is_empty() || row[at] == NONE)
    };
    loop {
        let mut tried = shown.clone();
        cut_to(&mut tried, last, WHY_LEAST);
        if total(&tried) <= width {
            *shown = tried;
            return;
        }
        let next = shown
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| COLUMNS[*at].rank > 0)
            .max_by_key(|at| (is_blank(*at), COLUMNS[*at].rank));
        match next {
            Some(next) => shown.retain(|(at, _)| *at != next),
            None => break,
        }
    }
    cut_to(shown, 0, NAME_LEAST);
}

/// One line of cells and their colours.
fn line(cells: &[(&str, &str)], shown: &[(usize, usize)], look: Look, all: Option<&str>) -> String {
    let mut text = String::new();
    // Blanks at the end of a line would wrap on a narrow terminal.
    let end = cells
        .iter()
        .rposition(|(cell, _)| !cell.is_empty())
        .map_or(0, |at| at + 1);
    let mut left = look.width.unwrap_or(usize::MAX);
    for (n, ((cell, colour), (_, width))) in cells.iter().zip(shown).enumerate().take(end) {
        let cell = cut(cell, (*width).min(left));
        let used = cell.width();
        let colour = all.unwrap_or(colour);
        if look.colour && !colour.is_empty() && !cell.is_empty() {
            text.push_str(&format!("\x1b[{colour}m{cell}\x1b[m"));
        } else {
            text.push_str(&cell);
        }
        left = left.saturating_sub(width + GAP);
        if n + 1 < end && left > 0 {
            text.push_str(&" ".repeat(width.saturating_sub(used) + GAP));
        }
    }
    text
}

/// The colour of a cell, as SGR parameters: green is well, yellow waits for a person, red is broken. The 16 colours
/// of every terminal, in the palette its owner has chosen.
fn colour(title: &str, row: &Row) -> &'static str {
    match title {
        "STATE" => match row.state {
            "ready" => "32",
            "busy" => "36",
            "blocked" => "33",
            "wedged" => "1;31",
            "exited" | "unknown" => "31",
            _ => "",
        },
        "HEALTH" if row.health == "stale" => "31",
        "HEALTH" if row.health == "unknown" => "33",
        "PANE" if row.pane == super::Pane::Dead => "31",
        "UNIT" if row.unit.as_ref().is_some_and(|u| u.active == "failed") => "31",
        "FLAGS" if !row.flags.is_empty() => "35",
        "AGENT" => "1",
        "WHY" => "2",
        _ => "",
    }
}

/// Cuts a text to so many columns of the terminal; what is cut ends with `…`.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        // One column is for the sign.
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// What may be printed of a text that somebody else has written: nothing that moves the cursor, colours, or turns
/// the direction in which text runs.
pub fn clean(text: &str) -> String {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars()
        .map(|c| if is_harmful(c) { '?' } else { c })
        .collect()
}

fn or_none(text: &str) -> String {
    match text.trim() {
        "" => NONE.into(),
        text => text.to_owned(),
    }
}

/// Seconds in the unit a person would use.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The rows as text.
pub fn text(rows: &[Row], look: Look) -> String {
    lines(rows, look)
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}
