//! Seeded chance, and the texts made with it.

/// A xorshift generator: the same seed gives the same trial.
pub struct Chance(u64);

impl Chance {
    /// Any seed will do.
    pub fn new(seed: u64) -> Chance {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            chance.next();
        }
        chance
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `from..to`.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let at = self.within(0, from.len() as u64);
        from[usize::try_from(at).unwrap_or(0)]
    }

    /// A word that nothing else contains: what a message is recognised by.
    pub fn token(&mut self) -> String {
        let letters = b"bcdfghjkmnpqrstvwxz";
        let word: String = (0..9).map(|_| char::from(self.pick(letters))).collect();
        format!("q{word}")
    }
}

/// The shapes a message can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Some five words.
    Line,
    /// That many lines.
    Lines(usize),
    /// 8 KB on one line.
    Big,
    /// 64 KB, on lines of 70 characters.
    Huge,
    /// Accents, CJK, emoji.
    Unicode,
    /// Letters with marks that no single character stands for.
    Marks,
    /// Written from right to left.
    Rtl,
    /// Emoji whose parts are joined: programs disagree about their width.
    Joined,
    /// `# …`
    Hash,
    /// `@word …`
    At,
    /// `/word …`, for sends with a preamble.
    Slash,
    /// `!word …`, for sends with a preamble.
    Bang,
    /// Begins and ends as every other text of this shape; only its middle is its own.
    Alike,
}

/// The shapes that any message may have.
pub const SHAPES: [Shape; 11] = [
    Shape::Line,
    Shape::Lines(3),
    Shape::Lines(5),
    Shape::Lines(60),
    Shape::Big,
    Shape::Unicode,
    Shape::Marks,
    Shape::Rtl,
    Shape::Hash,
    Shape::At,
    Shape::Alike,
];

const WORDS: [&str; 12] = [
    "check", "the", "parser", "once", "more", "before", "you", "report", "what", "failed", "and",
    "why",
];

fn words(chance: &mut Chance, n: usize) -> String {
    let picked: Vec<&str> = (0..n).map(|_| chance.pick(&WORDS)).collect();
    picked.join(" ")
}

/// A text of a shape that holds `token`, and `wish` (directives for the model stub) as words of it.
pub fn text(chance: &mut Chance, shape: Shape, token: &str, wish: &str) -> String {
    let wish = if wish.is_empty() {
        String::new()
    } else {
        format!("{wish} ")
    };
    match shape {
        Shape::Line => format!("{} {token} {wish}{}", words(chance, 2), words(chance, 2)),
        Shape::Lines(n) => {
            let lines: Vec<String> = (1..=n)
                .map(|i| format!("{i}. {}", words(chance, 7)))
                .collect();
            format!("{token} {wish}\n{}", lines.join("\n"))
        }
        Shape::Big => {
            let mut text = format!("{token} {wish}");
            while text.len() < 8_192 {
                text.push_str(&words(chance, 8));
                text.push(' ');
            }
            text.truncate(8_192);
            text.trim_end().to_owned()
        }
        Shape::Huge => {
            let mut text = format!("{token} {wish}\n");
            while text.len() < 65_536 {
                text.push_str(&words(chance, 12));
                text.push('\n');
            }
            text.truncate(65_536);
            text.trim_end().to_owned()
        }
        Shape::Marks => format!("x\u{302} q\u{323} m\u{304} {token} {wish}n\u{330} b\u{300}c d"),
        Shape::Rtl => format!("بدقة תבדוק {token} {wish}שוב مرة أخرى please"),
        Shape::Slash => format!("/tmp is full {token} {wish}look"),
        Shape::Bang => format!("!important {token} {wish}look"),
        Shape::Unicode => {
            format!("Überprüfe 漢字かな {token} {wish}naïve — 한국어 👍 e\u{301} “ok” ✓")
        }
        Shape::Joined => {
            format!("well done {token} {wish}👩\u{200d}💻 👍🏽 ❤\u{fe0f} 🇩🇪 and so on")
        }
        Shape::Hash => format!("# Heading {token} {wish}{}", words(chance, 3)),
        Shape::At => format!("@builder {token} {wish}{}", words(chance, 3)),
        Shape::Alike => format!(
            "please look at the same old thing again {token} {wish}and tell us what you think about it now"
        ),
    }
}
