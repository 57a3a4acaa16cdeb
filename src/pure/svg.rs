//! A screen as a picture: an SVG that any browser draws, made from cells.

use std::fmt::Write;

use super::mirror::{Colour, Look, Mirror};

/// One cell, in pixels: the usual shape of a monospaced font of 14 pixels.
const CELL: (f64, f64) = (8.4, 18.0);

/// Around the cells.
const MARGIN: f64 = 12.0;

/// The bar with the title.
const BAR: f64 = 30.0;

/// Text and ground where a program leaves that to the terminal.
const TEXT: (u8, u8, u8) = (0xd8, 0xde, 0xe9);
const GROUND: (u8, u8, u8) = (0x16, 0x1b, 0x22);

/// The first sixteen of the palette: every terminal has its own, these are readable on [`GROUND`].
const PALETTE: [(u8, u8, u8); 16] = [
    (0x2e, 0x34, 0x40),
    (0xe0, 0x6c, 0x75),
    (0x98, 0xc3, 0x79),
    (0xe5, 0xc0, 0x7b),
    (0x61, 0xaf, 0xef),
    (0xc6, 0x78, 0xdd),
    (0x56, 0xb6, 0xc2),
    (0xc8, 0xcc, 0xd4),
    (0x5c, 0x63, 0x70),
    (0xff, 0x7b, 0x85),
    (0xb5, 0xe8, 0x90),
    (0xff, 0xd6, 0x8a),
    (0x7c, 0xc4, 0xff),
    (0xda, 0x90, 0xf0),
    (0x6f, 0xd6, 0xe3),
    (0xff, 0xff, 0xff),
];

/// The picture.
pub fn svg(mirror: &Mirror, title: &str) -> String {
    let width = f64::from(mirror.cols) * CELL.0 + 2.0 * MARGIN;
    let rows = u16::try_from(mirror.rows.len()).unwrap_or(u16::MAX);
    let height = f64::from(rows) * CELL.1 + BAR + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.1} {height:.1}\" font-size=\"14\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
        hex(GROUND)
    );
    for (at, dot) in [(18, "#ff5f56"), (36, "#ffbd2e"), (54, "#27c93f")] {
        let _ = writeln!(
            out,
            "<circle cx=\"{at}\" cy=\"15\" r=\"5.5\" fill=\"{dot}\"/>"
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"20\" text-anchor=\"middle\" fill=\"#8b949e\">{}</text>",
        width / 2.0,
        escaped(title)
    );
    for (row, runs) in (0..rows).zip(&mirror.rows) {
        for run in runs {
            let cols = run
                .alone
                .map_or_else(|| run.text.chars().count(), usize::from);
            piece(&mut out, row, run.col, cols, &run.text, run.look);
        }
    }
    if let (row, col, true) = mirror.cursor {
        let (x, y) = place(row, col);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\" opacity=\"0.6\"/>",
            CELL.0,
            CELL.1,
            hex(TEXT)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn place(row: u16, col: u16) -> (f64, f64) {
    let (x, y) = (f64::from(col) * CELL.0, f64::from(row) * CELL.1);
    (x + MARGIN, y + BAR)
}

fn piece(out: &mut String, row: u16, col: u16, cols: usize, text: &str, look: Look) {
    let (x, y) = place(row, col);
    let width = f64::from(u16::try_from(cols).unwrap_or(u16::MAX)) * CELL.0;
    let (mut fg, mut bg) = (rgb(look.fg, TEXT), rgb(look.bg, GROUND));
    if look.inverse {
        (fg, bg) = (bg, fg);
    }
    if bg != GROUND {
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            CELL.1,
            hex(bg)
        );
    }
    if text.trim().is_empty() && !look.underline {
        return;
    }
    // The length makes up for a font that is not as wide as a cell.
    let _ = write!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\" fill=\"{}\"",
        y + CELL.1 * 0.75,
        hex(fg)
    );
    for (is_so, attribute) in [
        (look.bold, " font-weight=\"bold\""),
        (look.dim, " opacity=\"0.6\""),
        (look.italic, " font-style=\"italic\""),
        (look.underline, " text-decoration=\"underline\""),
    ] {
        if is_so {
            out.push_str(attribute);
        }
    }
    let _ = writeln!(out, ">{}</text>", escaped(text));
}

fn rgb(colour: Colour, default: (u8, u8, u8)) -> (u8, u8, u8) {
    match colour {
        Colour::Default => default,
        Colour::Rgb(r, g, b) => (r, g, b),
        Colour::Index(i @ 0..16) => PALETTE[usize::from(i)],
        // The cube of 6x6x6 and the greys of xterm.
        Colour::Index(i @ 16..232) => {
            let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            (step(i / 36), step(i / 6 % 6), step(i % 6))
        }
        Colour::Index(i) => {
            let grey = 8 + 10 * (i - 232);
            (grey, grey, grey)
        }
    }
}

fn hex((r, g, b): (u8, u8, u8)) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::mirror::Run;

    #[test]
    fn text_is_escaped_and_stands_in_its_cells() {
        let look = Look {
            fg: Colour::Index(196),
            inverse: true,
            bold: true,
            ..Look::default()
        };
        let run = Run {
            col: 2,
            text: "<b>&".into(),
            alone: None,
            look,
        };
        let mirror = Mirror {
            cols: 10,
            rows: vec![Vec::new(), vec![run]],
            ..Mirror::default()
        };
        let svg = svg(&mirror, "a & b");
        assert!(
            svg.contains(
                "<rect x=\"28.8\" y=\"48.0\" width=\"33.6\" height=\"18.0\" fill=\"#ff0000\"/>"
            ),
            "{svg}"
        );
        assert!(
            svg.contains("font-weight=\"bold\">&lt;b&gt;&amp;</text>"),
            "{svg}"
        );
        assert!(svg.contains(">a &amp; b</text>"), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }
}
