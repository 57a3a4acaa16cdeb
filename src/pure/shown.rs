//! What the cells of a screen show, as text and as numbers that are compared.

/// The prime of FNV-1a with 64 bits.
const FNV_PRIME: u64 = 0x100_0000_01b3;

/// A step of FNV-1a over a word instead of a byte; what would stay in the high bits then is brought down.
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word.wrapping_add(1)).wrapping_mul(FNV_PRIME);
    hash ^ (hash >> 32)
}

/// Everything about a cell but its text, in one word.
pub(super) fn look_of(cell: &vt100::Cell) -> u64 {
    let colour = |colour| match colour {
        vt100::Color::Default => 0,
        vt100::Color::Idx(i) => 1 << 24 | u64::from(i),
        vt100::Color::Rgb(r, g, b) => 2 << 24 | u64::from(u32::from_be_bytes([0, r, g, b])),
    };
    let flags = [
        cell.bold(),
        cell.dim(),
        cell.italic(),
        cell.underline(),
        cell.inverse(),
    ];
    let flags = flags
        .iter()
        .fold(0, |all, flag| all << 1 | u64::from(*flag));
    colour(cell.fgcolor()) | colour(cell.bgcolor()) << 26 | flags << 52
}

/// What a cell shows, and in how many columns. Of a character without its second half only the narrow one it was made
/// from: the crate loses that half of one that is widened (U+FE0F) in the last column and scrolls the screen.
#[inline(never)]
pub(super) fn shown(screen: &vt100::Screen, row: u16, col: u16) -> Option<(&str, u16)> {
    let cell = screen.cell(row, col)?;
    let text = cell.contents();
    let next = || screen.cell(row, col + 1);
    Some(match cell.is_wide() {
        false => (text, 1),
        true if next().is_some_and(vt100::Cell::is_wide_continuation) => (text, 2),
        true => {
            let second = text.char_indices().nth(1);
            (second.map_or(text, |(end, _)| &text[..end]), 1)
        }
    })
}

/// See [`Screen::row_hash`](super::screen::Screen::row_hash).
pub(super) fn row_hash(screen: &vt100::Screen, row: u16) -> u64 {
    let mut hash = 0;
    for col in 0..screen.size().1.get() {
        let (Some(cell), Some((text, _))) = (screen.cell(row, col), shown(screen, row, col)) else {
            continue;
        };
        // A cell that was never drawn looks like one with a blank in it.
        let text = if text.is_empty() { " " } else { text };
        for c in text.chars() {
            hash = mix(hash, u64::from(c));
        }
        hash = mix(hash, look_of(cell));
    }
    hash
}

/// See [`Screen::hash`](super::screen::Screen::hash). Another way to count it is another format of the handover (`redraw::fingerprint`).
#[inline(never)]
pub(super) fn hash(screen: &vt100::Screen) -> u64 {
    let (row, col) = screen.cursor_position();
    let place = mix(u64::from(row), u64::from(col));
    (0..screen.size().0.get()).fold(place, |hash, row| mix(hash, row_hash(screen, row)))
}
