//! Reading a profile from its TOML file, key by key.
//!
//! It decides which keys there are, what may stand in them and which may not be missing. What is found wrong
//! is said with file, line and key. What a key means is said where its field is.

use super::{
    ComposerRule, Dialog, HookRule, Identity, Key, Profile, RecordRule, Region, SendRule, Shape,
    Sign,
};
use crate::pure::table::{Source, Table};

impl Profile {
    /// Reads one profile.
    ///
    /// # Errors
    /// One line that names the file, the line and the key that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Profile, String> {
        let source = Source::new(file, text);
        let document = source.parse()?;
        let root = Table::root(&source, &document);
        let missing = |key: &str| format!("{file}:1: [{key}]: is missing");
        let profile = Profile {
            name: root.required("name")?,
            verified: root.texts("verified")?,
            identity: root
                .table("match", Identity::read)?
                .ok_or_else(|| missing("match"))?,
            composer: root
                .table("composer", ComposerRule::read)?
                .ok_or_else(|| missing("composer"))?,
            busy: root.tables("busy", Sign::read)?,
            queue: root.tables("queue", Sign::read)?,
            refusal: root.tables("refusal", Sign::read)?,
            dialog: root.tables("dialog", Dialog::read)?,
            record: root.tables("record", RecordRule::read)?,
            send: root.table("send", SendRule::read)?.unwrap_or_default(),
            hooks: root.table("hooks", HookRule::read)?.unwrap_or_default(),
            quit: root.texts("quit")?,
            shells: root.texts("shells")?,
        };
        // Read by whoever resets an agent (`reset::rule`), which its sidecar does not.
        root.skip("reset");
        root.finish()?;
        let composer = &profile.composer;
        match (composer.shape, composer.rule, composer.prompt) {
            (Shape::Ruled | Shape::Bar, None, _) => Err(format!(
                "{file}:1: composer.rule: this shape needs the glyph of its rules or bar"
            )),
            (Shape::Bar, ..) if composer.end.is_none() => Err(format!(
                "{file}:1: composer.end: a bar needs the glyph that ends it"
            )),
            (Shape::Open, _, None) => Err(format!(
                "{file}:1: composer.prompt: an open composer needs a prompt glyph"
            )),
            _ => Ok(profile),
        }
    }
}

impl Identity {
    fn read(table: &Table<'_, '_>) -> Result<Identity, String> {
        Ok(Identity {
            exe: table.texts("exe")?,
            argv: table.texts("argv")?,
            with_arg: table.text("with_arg")?,
            without_arg: table.texts("without_arg")?,
            path: table.texts("path")?,
        })
    }
}

impl ComposerRule {
    fn read(table: &Table<'_, '_>) -> Result<ComposerRule, String> {
        let shapes = [
            ("ruled", Shape::Ruled),
            ("open", Shape::Open),
            ("bar", Shape::Bar),
            ("found", Shape::Found),
        ];
        Ok(ComposerRule {
            shape: table.word("shape", &shapes)?,
            rule: table.glyph("rule")?,
            end: table.glyph("end")?,
            rows_below: small(table.number("rows_below", 0, 20)?.unwrap_or(0)),
            prompt: table.glyph("prompt")?,
            prompt_bold: table.flag("prompt_bold")?,
            indent: small(table.number("indent", 0, 100)?.unwrap_or(0)),
            cursor_visible: table.flag("cursor_visible")?,
            not_after_prompt: table.texts("not_after_prompt")?,
            ghost: table.texts("ghost")?,
            placeholder: table.texts("placeholder")?,
        })
    }
}

impl Sign {
    fn read(table: &Table<'_, '_>) -> Result<Sign, String> {
        let regions = [
            ("above", Region::Above),
            ("below", Region::Below),
            ("title", Region::Title),
        ];
        Ok(Sign {
            name: table.required("name")?,
            region: table.word("in", &regions)?,
            within: small(table.number("within", 1, 1_000)?.unwrap_or(1_000)),
            glyphs: table.text("glyphs")?.unwrap_or_default(),
            text: table.text("text")?.unwrap_or_default(),
        })
    }
}

impl Dialog {
    fn read(table: &Table<'_, '_>) -> Result<Dialog, String> {
        Ok(Dialog {
            name: table.required("name")?,
            all: table.texts("all")?,
            not: table.texts("not")?,
        })
    }
}

impl SendRule {
    fn read(table: &Table<'_, '_>) -> Result<SendRule, String> {
        let usual = SendRule::default();
        let ms = |key, usual| Ok::<u64, String>(table.number(key, 0, 600_000)?.unwrap_or(usual));
        Ok(SendRule {
            special_first: table.text("special_first")?.unwrap_or(usual.special_first),
            clear: match table.text("clear")? {
                None => usual.clear,
                Some(_) => table.word("clear", &[("ctrl-u", Key::CtrlU)])?,
            },
            echo_ms: ms("echo_ms", usual.echo_ms)?,
            enter_pause_ms: ms("enter_pause_ms", usual.enter_pause_ms)?,
            enter_again_ms: ms("enter_again_ms", usual.enter_again_ms)?,
            judge_ms: ms("judge_ms", usual.judge_ms)?,
            record_ms: ms("record_ms", usual.record_ms)?,
            settle_ms: ms("settle_ms", usual.settle_ms)?,
            signs: table.number("signs", 1, 2)?.unwrap_or(usual.signs),
        })
    }
}

/// A number that was checked to be small.
fn small(n: u64) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
