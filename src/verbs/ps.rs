//! `mosaic-fleet ps`: finds the agents, asks each of them at once, and shows one row per agent.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use serde::Serialize;

use super::place::Place;
use crate::cli::ps::{PsOptions, When};
use crate::failure::{Failure, exit};
use crate::os::{files, tty};
use crate::pure::profile::Profiles;
use crate::pure::roster::Row;
use crate::pure::roster::choice::{self, Filter, KEYS, Key};
use crate::pure::roster::table::{self, Look};
use gather::Fleet;

mod gather;
mod managers;
mod sidecars;
mod watch;

/// The document of `ps --json`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tenant_id: &'a str,
    host: &'a str,
    /// Whether a service manager of this user answers.
    manager: bool,
    /// Whether it runs while nobody is logged in; null where that cannot be said.
    linger: Option<bool>,
    agents: Vec<Row>,
}

/// What is looked at again and again by `--watch`.
struct Viewer {
    place: Place,
    profiles: Profiles,
    filter: Filter,
    sort: (Key, bool),
}

/// Shows the fleet of this user on this host.
///
/// # Errors
/// The settings are wrong, a name has no row, or `--watch` has no terminal. Anything wrong with an agent is in its
/// row.
pub fn ps(options: &PsOptions) -> Result<u8, Failure> {
    let place = Place::here()?;
    let viewer = Viewer {
        profiles: Profiles::with(&files::profile_files(&place.settings.profile_dir)),
        place,
        filter: filter(options),
        sort: options
            .sort
            .as_ref()
            .and_then(|(word, turned)| {
                let found = KEYS.iter().find(|(name, _)| name == word);
                found.map(|(_, key)| (*key, *turned))
            })
            .unwrap_or_default(),
    };
    if let Some(pause) = options.watch {
        return match options.json {
            true => watch::lines(&viewer, pause),
            false => watch::screen(&viewer, options, pause),
        };
    }
    let fleet = viewer.look();
    let missing = viewer.filter.missing(&fleet.rows).join(", ");
    let empty = fleet.rows.is_empty();
    let rows = viewer.choose(fleet.rows);
    if options.json {
        super::print(&viewer.document(rows, fleet.manager, fleet.linger));
    } else if empty {
        super::print(&format!(
            "no agents: there are no heartbeats in {}\n",
            viewer.place.settings.run_dir.display()
        ));
    } else if !rows.is_empty() || missing.is_empty() {
        let out = std::io::stdout();
        let width = out.is_terminal().then(|| width(out.as_fd()));
        let look = Look {
            width,
            colour: colours(options.colour, width.is_some()),
            bare: options.bare,
        };
        super::print(&table::text(&rows, look));
    }
    if missing.is_empty() {
        return Ok(exit::OK);
    }
    Err(Failure::new(exit::GONE, "", format!("no agent {missing}"))
        .hint("`mosaic-fleet ps` without a name shows all there are"))
}

impl Viewer {
    fn look(&self) -> Fleet {
        gather::gather(&self.place, &self.profiles)
    }

    /// The rows to be shown, in their order.
    fn choose(&self, mut rows: Vec<Row>) -> Vec<Row> {
        rows.retain(|row| self.filter.takes(row));
        choice::sort(&mut rows, self.sort.0, self.sort.1);
        rows
    }

    fn document(&self, agents: Vec<Row>, manager: bool, linger: Option<bool>) -> String {
        let document = Document {
            schema: "mosaic.ps/1",
            tenant_id: self.place.tenant(),
            host: &self.place.host,
            manager,
            linger,
            agents,
        };
        String::from_utf8_lossy(&crate::pure::wire::line(&document)).into_owned()
    }
}

fn filter(options: &PsOptions) -> Filter {
    let options = options.clone();
    Filter {
        names: options.names,
        states: options.states,
        healths: options.healths,
        runtimes: options.runtimes,
        tenants: options.tenants,
        hosts: options.hosts,
        flags: options.flags,
    }
}

/// The columns of a terminal; 80 for one that does not say.
fn width(fd: std::os::fd::BorrowedFd<'_>) -> usize {
    match tty::window(fd).0 {
        0 => 80,
        cols => cols.into(),
    }
}

/// Whether to use colours: <https://no-color.org> for the variable, which counts when it is not empty.
fn colours(when: When, terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let dumb = set("TERM").is_none_or(|term| term == "dumb");
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && !dumb && set("NO_COLOR").is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ps;
    use crate::pure::roster::flags::Flag;
    use crate::pure::wire::State;

    #[test]
    fn the_words_of_the_command_line_are_those_of_the_rows() {
        assert_eq!(ps::KEYS, KEYS.map(|(word, _)| word));
        assert_eq!(ps::FLAGS[..5], Flag::ALL.map(Flag::word));
        let (no_state, states) = ps::STATES.split_last().unwrap_or((&"", &[]));
        assert_eq!(*no_state, "unknown");
        assert!(states.iter().all(|word| State::from_word(word).is_some()));
        let words = ps::KEYS
            .iter()
            .chain(&ps::FLAGS)
            .chain(&ps::STATES)
            .chain(&ps::HEALTHS);
        for word in words {
            assert!(ps::PAGE.contains(word), "{word}");
        }
    }
}
