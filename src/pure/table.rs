//! Reads TOML tables key by key, so that every mistake names its file, line and key.
//!
//! By hand on the parsed document instead of through serde: the messages are better, and the generated
//! code of the latter weighs more than everything else in `pure` together.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file being read.
pub struct Source<'i> {
    file: &'i str,
    text: &'i str,
}

impl<'i> Source<'i> {
    /// A file's name (for messages) and text.
    pub fn new(file: &'i str, text: &'i str) -> Source<'i> {
        Source { file, text }
    }

    /// Parses it.
    ///
    /// # Errors
    /// `file:line: what is wrong`.
    pub fn parse(&self) -> Result<Spanned<DeTable<'i>>, String> {
        DeTable::parse(self.text)
            .map_err(|e| self.wrong(e.span().map_or(0, |s| s.start), "", e.message()))
    }

    fn wrong(&self, at: usize, key: &str, why: &str) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("{key}: ")
        };
        format!("{}:{line}: {key}{}", self.file, why.replace('\n', " "))
    }
}

/// A table of that file. Every key must be asked for; [`Table::finish`] complains of the others.
pub struct Table<'a, 'i> {
    source: &'a Source<'i>,
    path: String,
    at: usize,
    entries: &'a DeTable<'i>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a, 'i> Table<'a, 'i> {
    /// The whole document.
    pub fn root(source: &'a Source<'i>, document: &'a Spanned<DeTable<'i>>) -> Table<'a, 'i> {
        Table {
            source,
            path: String::new(),
            at: 0,
            entries: document.get_ref(),
            asked: RefCell::default(),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn wrong<T>(&self, at: usize, key: &str, why: &str) -> Result<T, String> {
        Err(self.source.wrong(at, &self.key(key), why))
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.asked.borrow_mut().push(key);
        self.entries
            .iter()
            .find(|(k, _)| k.get_ref().as_ref() == key)
            .map(|(_, v)| v)
    }

    /// A text.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, key: &'static str) -> Result<Option<String>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.get_ref() {
                DeValue::String(text) => Ok(Some(text.clone().into_owned())),
                _ => self.wrong(value.span().start, key, "must be a string"),
            },
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// It is not, or is something else.
    pub fn required(&self, key: &'static str) -> Result<String, String> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => self.wrong(self.at, key, "is missing"),
        }
    }

    /// One of some words.
    ///
    /// # Errors
    /// It is missing, or another word.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Result<T, String> {
        let text = self.required(key)?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let at = self.get(key).map_or(self.at, |v| v.span().start);
                let why = format!("{text:?} is none of {}", names.join(", "));
                self.wrong(at, key, &why)
            }
        }
    }

    /// A single character.
    ///
    /// # Errors
    /// It is something else.
    pub fn glyph(&self, key: &'static str) -> Result<Option<char>, String> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(glyph), None) => Ok(Some(glyph)),
            _ => {
                let at = self.get(key).map_or(self.at, |v| v.span().start);
                self.wrong(at, key, "must be one character")
            }
        }
    }

    /// Texts; none if the key is missing.
    ///
    /// # Errors
    /// It is something else.
    pub fn texts(&self, key: &'static str) -> Result<Vec<String>, String> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let at = value.span().start;
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong(at, key, "must be a list of strings");
        };
        items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.clone().into_owned()),
                _ => self.wrong(item.span().start, key, "must be a list of strings"),
            })
            .collect()
    }

    /// Conditions of the form `key=value`; none if the key is missing.
    ///
    /// # Errors
    /// It is something else.
    pub fn pairs(&self, key: &'static str) -> Result<Vec<(String, String)>, String> {
        let at = self.get(key).map_or(self.at, |value| value.span().start);
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => self.wrong(at, key, &format!("{text:?} has no `=`")),
        };
        self.texts(key)?.into_iter().map(pair).collect()
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// It is something else or outside.
    pub fn number(&self, key: &'static str, min: u64, max: u64) -> Result<Option<u64>, String> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = match value.get_ref() {
            DeValue::Integer(n) => u64::from_str_radix(n.as_str(), n.radix()).ok(),
            _ => None,
        };
        match number.filter(|n| (min..=max).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => {
                let why = format!("must be a whole number from {min} to {max}");
                self.wrong(value.span().start, key, &why)
            }
        }
    }

    /// A yes or no; no if the key is missing.
    ///
    /// # Errors
    /// It is something else.
    pub fn flag(&self, key: &'static str) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(false),
            Some(value) => match value.get_ref() {
                DeValue::Boolean(yes) => Ok(*yes),
                _ => self.wrong(value.span().start, key, "must be true or false"),
            },
        }
    }

    /// A table in this one, read by `read`.
    ///
    /// # Errors
    /// It is something else, or what `read` says.
    pub fn table<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Table<'a, 'i>) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => self.enter(key, value, read).map(Some),
        }
    }

    /// Tables in this one (`[[key]]`), each read by `read`.
    ///
    /// # Errors
    /// One is something else, or what `read` says.
    pub fn tables<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Table<'a, 'i>) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong(value.span().start, key, "must be tables");
        };
        items
            .iter()
            .map(|item| self.enter(key, item, &read))
            .collect()
    }

    fn enter<T>(
        &self,
        key: &'static str,
        value: &'a Spanned<DeValue<'i>>,
        read: impl FnOnce(&Table<'a, 'i>) -> Result<T, String>,
    ) -> Result<T, String> {
        let DeValue::Table(entries) = value.get_ref() else {
            return self.wrong(value.span().start, key, "must be a table");
        };
        let table = Table {
            source: self.source,
            path: self.key(key),
            at: value.span().start,
            entries,
            asked: RefCell::default(),
        };
        let read = read(&table)?;
        table.finish()?;
        Ok(read)
    }

    /// Leaves a key to somebody else.
    pub fn skip(&self, key: &'static str) {
        let _ = self.get(key);
    }

    /// What is wrong with the value of a key.
    pub fn mistake(&self, key: &'static str, why: &str) -> String {
        let at = self.get(key).map_or(self.at, |value| value.span().start);
        self.source.wrong(at, &self.key(key), why)
    }

    /// Complains of a key nobody asked for: a misspelt key must not be silently without effect.
    ///
    /// # Errors
    /// There is one.
    pub fn finish(&self) -> Result<(), String> {
        let asked = self.asked.borrow();
        let strange = self
            .entries
            .iter()
            .find(|(key, _)| !asked.contains(&key.get_ref().as_ref()));
        match strange {
            None => Ok(()),
            Some((key, _)) => self.wrong(key.span().start, key.get_ref(), "there is no such key"),
        }
    }
}
