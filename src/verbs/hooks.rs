//! `mosaic-fleet hooks install|remove|status`: the runtimes' own configuration, changed with care.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::place::Place;
use crate::cli::fleet::Setup;
use crate::failure::{Failure, exit};
use crate::os::{files, pty, rewrite};
use crate::pure::extension;
use crate::pure::hook::HookRule;
use crate::pure::hookfile::{self, State, Wanted};
use crate::pure::profile::{Profile, Profiles};

/// Longest configuration file that is read. Real ones have a few KiB.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// One runtime's hooks.
#[derive(Serialize)]
struct Row {
    runtime: String,
    file: String,
    state: &'static str,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    tenant_id: String,
    host: String,
    runtimes: Vec<Row>,
}

/// The hooks of one runtime, on this machine.
struct Target<'a> {
    runtime: &'a str,
    rule: &'a HookRule,
    dir: PathBuf,
    file: PathBuf,
    agent: &'a str,
}

/// Does it for one runtime, or for all.
///
/// # Errors
/// 2 for an unknown runtime, 78 for a file that cannot be read or changed; the others are done all the same.
pub fn hooks(verb: Setup, only: Option<&str>, json: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let profiles = Profiles::with(&files::profile_files(&place.settings.profile_dir));
    let known: Vec<&Profile> = profiles
        .all()
        .filter(|p| !p.hooks.file.is_empty())
        .collect();
    let asked: Vec<&&Profile> = known
        .iter()
        .filter(|p| only.is_none_or(|name| p.name == name))
        .collect();
    if let (Some(name), true) = (only, asked.is_empty()) {
        let names: Vec<&str> = known.iter().map(|p| p.name.as_str()).collect();
        let said = format!("no hooks are known for {name:?}");
        return Err(Failure::new(exit::USAGE, "", said)
            .hint(format!("there are hooks for {}", names.join(", "))));
    }
    let agent = agent()?;
    let mut rows = Vec::new();
    for profile in asked {
        let target = target(profile, &place, &agent)?;
        // Asked for all of them, a runtime that was never used here is left alone.
        if only.is_some() || verb != Setup::Install || target.dir.is_dir() {
            rows.push(target.perform(verb));
        }
    }
    let failed = rows.iter().any(|row| row.problem.is_some());
    if json {
        let document = Document {
            schema: "mosaic.hooks/1",
            tenant_id: place.tenant().to_owned(),
            host: place.host.clone(),
            runtimes: rows,
        };
        let line = serde_json::to_string(&document);
        super::print(&format!("{}\n", line.unwrap_or_default()));
    } else {
        for row in &rows {
            show(row);
        }
        if rows.is_empty() {
            super::complain(format_args!(
                "mosaic-fleet: no runtime was used here yet; name the one to come: mosaic-fleet hooks install claude"
            ));
        }
    }
    Ok(if failed && verb != Setup::Status {
        exit::CONFIG
    } else {
        exit::OK
    })
}

fn target<'a>(profile: &'a Profile, place: &Place, agent: &'a str) -> Result<Target<'a>, Failure> {
    let dir = directory(&profile.hooks, place)?;
    Ok(Target {
        runtime: &profile.name,
        rule: &profile.hooks,
        file: dir.join(&profile.hooks.file),
        dir,
        agent,
    })
}

/// The hooks of a runtime: its name, and what they are or what is wrong with its configuration.
type Found = (String, Result<State, String>);

/// What stands in the configuration of every runtime that was used here.
///
/// # Errors
/// There is no `mosaic-agent`, or a variable names no directory.
pub(super) fn states(place: &Place, profiles: &Profiles) -> Result<Vec<Found>, Failure> {
    let agent = agent()?;
    let mut states = Vec::new();
    for profile in profiles.all().filter(|p| !p.hooks.file.is_empty()) {
        let target = target(profile, place, &agent)?;
        if target.dir.is_dir() {
            states.push((profile.name.clone(), target.state()));
        }
    }
    Ok(states)
}

fn show(row: &Row) {
    let changed = if row.changed {
        " (changed just now)"
    } else {
        ""
    };
    super::print(&format!(
        "{:<9} {:<10} {}{changed}\n",
        row.runtime, row.state, row.file
    ));
    for (what, text) in [("problem", &row.problem), ("note", &row.note)] {
        if let Some(text) = text {
            super::print(&format!("  {what}: {text}\n"));
        }
    }
}

/// A runtime's configuration directory.
fn directory(rule: &HookRule, place: &Place) -> Result<PathBuf, Failure> {
    let home = &place.settings.home;
    let named = std::env::var(&rule.dir_var).ok().filter(|v| !v.is_empty());
    let Some(named) = named else {
        return Ok(home.join(&rule.dir));
    };
    let dir = match named.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(&named),
    };
    if dir.is_absolute() {
        return Ok(dir.join(&rule.under_var));
    }
    let said = format!("{named:?} is no absolute path");
    Err(Failure::new(
        exit::CONFIG,
        format!("reading {}", rule.dir_var),
        said,
    ))
}

/// The absolute path of `mosaic-agent`: the one beside us, by the name under which it is on PATH if it is
/// the same file, since an upgrade may move what stands behind that.
fn agent() -> Result<String, Failure> {
    let doing = "looking for mosaic-agent, which the hooks call";
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = pty::find_program("mosaic-agent", &path, Path::new("/"));
    let beside = std::env::current_exe()
        .ok()
        .map(|exe| exe.with_file_name("mosaic-agent"))
        .filter(|file| file.is_file());
    let found = match (beside, on_path) {
        (None, on_path) => on_path.map_err(|e| {
            Failure::new(exit::MISSING, doing, e).hint("install it beside mosaic-fleet")
        })?,
        (Some(beside), Ok(on_path)) if same_file(&beside, &on_path) => on_path,
        (Some(beside), _) => beside,
    };
    match found.to_str() {
        Some(text) if found.is_absolute() && !text.contains(char::is_control) => {
            Ok(text.to_owned())
        }
        _ => Err(Failure::new(
            exit::CONFIG,
            doing,
            format!("{found:?} cannot be written into a configuration"),
        )
        .hint("install mosaic-agent under a plain absolute path")),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

impl Target<'_> {
    fn perform(&self, verb: Setup) -> Row {
        let done = match verb {
            Setup::Install => self.install(),
            Setup::Remove => self.remove(),
            Setup::Status => Ok(false),
        };
        let state = self.state();
        let note = Some(&self.rule.note).filter(|n| !n.is_empty() && matches!(done, Ok(true)));
        Row {
            runtime: self.runtime.to_owned(),
            file: self.file.display().to_string(),
            state: match state {
                Ok(State::Installed) => "installed",
                Ok(State::Outdated) => "outdated",
                Ok(State::Absent) => "absent",
                Err(_) => "unknown",
            },
            changed: matches!(done, Ok(true)),
            note: note.filter(|_| verb == Setup::Install).cloned(),
            problem: done.err().or(state.err()),
        }
    }

    /// The file behind its links, and its text; none if it is not there.
    fn read(&self) -> Result<(PathBuf, Option<String>), String> {
        let wrong = |e: &dyn std::fmt::Display| {
            format!("{}: {e}; nothing was changed", self.file.display())
        };
        let file = rewrite::behind_links(&self.file).map_err(|e| wrong(&e))?;
        let text = match rewrite::read(&file, FILE_MAX).map_err(|e| wrong(&e))? {
            None => None,
            Some(bytes) => Some(String::from_utf8(bytes).map_err(|_| wrong(&"it is not UTF-8"))?),
        };
        Ok((file, text))
    }

    /// A message about a line of the file.
    fn wrong(&self, line_and_reason: &str) -> String {
        format!(
            "{}:{line_and_reason}; nothing was changed",
            self.file.display()
        )
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            events: &self.rule.events,
            agent: self.agent,
        }
    }

    /// Whether the file is one of our own, not a settings file with entries of ours.
    fn is_own(&self) -> bool {
        self.rule.events.is_empty()
    }

    fn state(&self) -> Result<State, String> {
        let (_, Some(text)) = self.read()? else {
            return Ok(State::Absent);
        };
        if self.is_own() {
            let found = extension::inspect(self.runtime, &text).map(|(state, _)| state);
            return found.map_err(|e| self.wrong(&e));
        }
        hookfile::inspect(&text, self.wanted()).map_err(|e| self.wrong(&e))
    }

    fn install(&self) -> Result<bool, String> {
        if self.state()? == State::Installed {
            return Ok(false);
        }
        let lacking = self.rule.needs.iter().find(|n| !self.dir.join(n).exists());
        if let Some(lacking) = lacking {
            return Err(format!(
                "{} is not there; until {} has fetched it, its screen would stay blank with a plugin. Start {} once with a network, then install again; nothing was changed",
                self.dir.join(lacking).display(),
                self.runtime,
                self.runtime
            ));
        }
        let (file, old) = self.read()?;
        let above = file.parent().unwrap_or(Path::new("/")).to_owned();
        let missing = rewrite::missing(&above);
        let new = if self.is_own() {
            let made = old.as_deref().map(|t| extension::inspect(self.runtime, t));
            let made = made.transpose().map_err(|e| self.wrong(&e))?;
            let dirs = made.and_then(|(_, m)| m.file).unwrap_or(missing);
            extension::text(self.runtime, dirs)
                .ok_or("no extension for it is known to this version")?
        } else {
            let text = old.as_deref().ok_or(missing);
            hookfile::install(text, self.wanted()).map_err(|e| self.wrong(&e))?
        };
        rewrite::make_dirs(&above)
            .and_then(|()| {
                rewrite::replace(&file, old.as_deref().map(str::as_bytes), new.as_bytes())
            })
            .map_err(|e| {
                rewrite::remove_dirs(&above, missing);
                format!("writing {}: {e}", file.display())
            })?;
        Ok(true)
    }

    fn remove(&self) -> Result<bool, String> {
        let (file, Some(old)) = self.read()? else {
            return Ok(false);
        };
        if self.state()? == State::Absent {
            return Ok(false);
        }
        let left = if self.is_own() {
            let (_, made) = extension::inspect(self.runtime, &old).map_err(|e| self.wrong(&e))?;
            hookfile::Removed {
                text: None,
                dirs: made.file.unwrap_or(0),
            }
        } else {
            hookfile::remove(&old).map_err(|e| self.wrong(&e))?
        };
        let done = match &left.text {
            Some(text) => rewrite::replace(&file, Some(old.as_bytes()), text.as_bytes()),
            None => rewrite::remove(&file, old.as_bytes()),
        };
        done.map_err(|e| format!("writing {}: {e}", file.display()))?;
        if let Some(above) = file.parent() {
            rewrite::remove_dirs(above, left.dirs);
        }
        Ok(true)
    }
}
