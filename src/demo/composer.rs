//! The text under edit: characters and pasted blocks, with a cursor between them. Pure.

use super::width::width;

/// A paste with more lines than this is kept as one block.
const PASTE_LINES: usize = 6;
/// A paste with more characters than this is kept as one block.
const PASTE_CHARS: usize = 1000;

/// One unit of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A character, `\n` included.
    Char(char),
    /// A large paste, shown as a placeholder and sent in full.
    Paste(String),
}

impl Item {
    /// What stands on the screen for a pasted block; `None` for a character.
    pub fn placeholder(&self) -> Option<String> {
        match self {
            Self::Char(_) => None,
            Self::Paste(text) => Some(format!("[pasted {} lines]", text.lines().count())),
        }
    }

    fn is_newline(&self) -> bool {
        *self == Self::Char('\n')
    }

    /// Whether this is drawn on top of the one before it.
    fn is_mark(&self) -> bool {
        matches!(self, Self::Char(c) if width(*c) == 0)
    }
}

/// The composer's text and cursor.
#[derive(Debug, Default)]
pub struct Composer {
    items: Vec<Item>,
    cursor: usize,
}

impl Composer {
    /// The units, in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The index of the unit that the cursor stands before.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The whole text, pasted blocks expanded.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            match item {
                Item::Char(c) => text.push(*c),
                Item::Paste(pasted) => text.push_str(pasted),
            }
        }
        text
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Inserts one character at the cursor.
    pub fn insert(&mut self, c: char) {
        self.items.insert(self.cursor, Item::Char(c));
        self.cursor += 1;
    }

    /// Inserts a paste at the cursor: literally, or as one block when it is large.
    pub fn paste(&mut self, text: String) {
        let large = text.lines().count() > PASTE_LINES || text.chars().count() > PASTE_CHARS;
        let before = self.items.len();
        let at = self.cursor..self.cursor;
        if large {
            self.items.splice(at, [Item::Paste(text)]);
        } else {
            self.items.splice(at, text.chars().map(Item::Char));
        }
        self.cursor += self.items.len() - before;
    }

    /// Deletes what stands before the cursor.
    pub fn backspace(&mut self) {
        let end = self.cursor;
        self.left();
        self.items.drain(self.cursor..end);
    }

    /// Deletes what stands after the cursor.
    pub fn delete(&mut self) {
        let start = self.cursor;
        self.right();
        self.items.drain(start..self.cursor);
        self.cursor = start;
    }

    /// Deletes from the start of the line to the cursor; at the start, the line break before it.
    pub fn kill_to_start(&mut self) {
        let start = self.line_start();
        if start == self.cursor {
            self.backspace();
        } else {
            self.items.drain(start..self.cursor);
            self.cursor = start;
        }
    }

    /// One unit to the left, with the marks on it.
    pub fn left(&mut self) {
        while let Some(at) = self.cursor.checked_sub(1) {
            self.cursor = at;
            if !self.is_mark(at) {
                break;
            }
        }
    }

    /// One unit to the right, with the marks on it.
    pub fn right(&mut self) {
        if self.cursor < self.items.len() {
            self.cursor += 1;
        }
        while self.is_mark(self.cursor) {
            self.cursor += 1;
        }
    }

    /// To the start of the line.
    pub fn home(&mut self) {
        self.cursor = self.line_start();
    }

    /// To the end of the line.
    pub fn end(&mut self) {
        let rest = self.items.iter().skip(self.cursor);
        self.cursor += rest.take_while(|item| !item.is_newline()).count();
    }

    fn line_start(&self) -> usize {
        let before = self.items.iter().take(self.cursor);
        let line = before.rev().take_while(|item| !item.is_newline()).count();
        self.cursor - line
    }

    fn is_mark(&self, at: usize) -> bool {
        self.items.get(at).is_some_and(Item::is_mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composer(text: &str) -> Composer {
        let mut composer = Composer::default();
        text.chars().for_each(|c| composer.insert(c));
        composer
    }

    #[test]
    fn a_large_paste_is_one_unit_and_its_text_is_kept() {
        let mut it = composer("ab");
        it.left();
        it.paste("1\n2\n3\n4\n5\n6\n7\n".into());
        assert_eq!(it.items().len(), 3);
        assert_eq!(it.items()[1].placeholder().unwrap(), "[pasted 7 lines]");
        assert_eq!(it.text(), "a1\n2\n3\n4\n5\n6\n7\nb");
        it.backspace();
        assert_eq!(it.text(), "ab");
    }

    #[test]
    fn a_small_paste_is_plain_text() {
        let mut it = composer("");
        it.paste("1\n2\n3\n4\n5\n6".into());
        assert_eq!(it.items().len(), 11);
        it.backspace();
        assert_eq!(it.text(), "1\n2\n3\n4\n5\n");
    }

    #[test]
    fn killing_deletes_the_line_and_then_joins_it() {
        let mut it = composer("one\ntwo");
        it.kill_to_start();
        assert_eq!(it.text(), "one\n");
        it.kill_to_start();
        assert_eq!(it.text(), "one");
        it.kill_to_start();
        it.kill_to_start();
        assert!(it.is_empty());
    }

    #[test]
    fn the_cursor_never_stands_between_a_letter_and_its_mark() {
        let mut it = composer("ae\u{301}");
        it.left();
        assert_eq!(it.cursor(), 1);
        it.delete();
        assert_eq!(it.text(), "a");
    }

    #[test]
    fn home_and_end_stay_on_the_line() {
        let mut it = composer("one\ntwo\nsix");
        it.home();
        it.left();
        it.home();
        assert_eq!(it.cursor(), 4);
        it.end();
        assert_eq!(it.cursor(), 7);
    }
}
