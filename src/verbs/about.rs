//! `completions`, `man` and `--schema`: what this program says about itself.

use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use super::place::Place;
use crate::cli::catalog::Program;
use crate::cli::completions::{self, Known};
use crate::cli::fleet::{Manual, Wanted};
use crate::cli::man;
use crate::failure::{Failure, exit};
use crate::os::files;
use crate::pure::profile::Profiles;
use crate::pure::{beat, schemas};

/// More agents than anybody has on a host; a directory with more files is not read to its end for a key press.
const NAMES_MAX: usize = 4_096;

/// Prints completions for a shell, or the agents that one asks for.
///
/// # Errors
/// The settings are wrong.
pub fn completions(wanted: Wanted) -> Result<u8, Failure> {
    let place = Place::here()?;
    if wanted == Wanted::Agents {
        let names = files::names_in(&place.settings.run_dir, NAMES_MAX).into_iter();
        let mut agents: Vec<String> = names
            .filter_map(|name| Some(format!("{}\n", name.strip_suffix(".hb")?)))
            .collect();
        agents.sort();
        super::print(&agents.concat());
        return Ok(exit::OK);
    }
    let profiles = Profiles::with(&files::profile_files(&place.settings.profile_dir));
    let runtimes = profiles.all().map(|profile| profile.name.clone());
    let known = Known {
        runtimes: runtimes.filter(|name| name != "generic").collect(),
        schemas: schemas::ALL
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect(),
    };
    super::print(&match wanted {
        Wanted::Zsh => completions::zsh(&known),
        Wanted::Fish => completions::fish(&known),
        _ => completions::bash(&known),
    });
    Ok(exit::OK)
}

/// Prints a manual page, or writes all of them.
///
/// # Errors
/// A page cannot be written.
pub fn man(page: Manual, dir: Option<&Path>) -> Result<u8, Failure> {
    let [agent, fleet] = Program::both();
    let today = beat::stamp(SystemTime::now());
    let day = today.split('T').next().unwrap_or_default();
    let texts = [
        man::page(&agent, fleet.name, day),
        man::page(&fleet, agent.name, day),
    ];
    let Some(dir) = dir else {
        let [agent, fleet] = texts;
        super::print(match page {
            Manual::Agent => &agent,
            Manual::Fleet => &fleet,
        });
        return Ok(exit::OK);
    };
    let failed = |path: &Path, e: std::io::Error| {
        Failure::new(exit::CONFIG, format!("writing {}", path.display()), e)
    };
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    for (program, text) in [agent, fleet].iter().zip(&texts) {
        let path = dir.join(format!("{}.1", program.name));
        std::fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(exit::OK)
}

/// Prints the schema of a thing; without one, which there are.
///
/// # Errors
/// 2: there is no such thing.
pub fn schema(thing: Option<&str>) -> Result<u8, Failure> {
    let mut list = String::new();
    for (name, _) in schemas::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{name}");
    }
    let Some(thing) = thing else {
        super::print(&list);
        return Ok(exit::OK);
    };
    let text = schemas::find(thing).ok_or_else(|| {
        let said = format!("there is no schema {thing:?}");
        let names = list.trim_end().replace('\n', ", ");
        Failure::new(exit::USAGE, "", said).hint(format!("there are {names}"))
    })?;
    super::print(text);
    Ok(exit::OK)
}
