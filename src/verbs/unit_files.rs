//! `units install|remove|status`, performed by `mosaic-fleet`: our unit files in the user's directory.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::launch::find_tmux;
use super::place::Place;
use crate::cli::fleet::Setup;
use crate::failure::{Doing, Failure, exit};
use crate::os::tmux::Tmux;
use crate::os::{files, process, systemd};
use crate::pure::unit_file::{ALL, HOLDER, Standing, UnitFile};

/// Largest unit file looked at; ours have 2 KB.
const READ_MAX: usize = 256 * 1024;

/// The answer of all three.
#[derive(Serialize)]
struct Units {
    schema: &'static str,
    tenant_id: String,
    host: String,
    /// Where they belong.
    directory: String,
    units: Vec<Row>,
    /// Whether the user's service manager answers.
    manager: bool,
    /// Whether it runs while nobody is logged in; absent where that cannot be said.
    linger: Option<bool>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    unit: &'static str,
    /// `installed`, `outdated`, `foreign` or `missing`.
    file: &'static str,
    /// What was done with it: `written`, `kept`, `removed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<&'static str>,
    /// The user's own additions; never touched.
    drop_ins: Vec<String>,
}

/// Performs one of the three.
///
/// # Errors
/// A file cannot be read or written (78), or somebody else's stands there.
pub fn units(verb: Setup, force: bool, json: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let dir = directory(&place);
    let exe = std::env::current_exe().doing(|| "finding our own executable".into())?;
    let bin = exe.parent().unwrap_or(Path::new("/usr/bin"));
    let bin = bin.to_str().ok_or_else(|| {
        Failure::new(
            exit::CONFIG,
            "installing units",
            "the path of our binary is not UTF-8",
        )
    })?;
    let mut warnings = Vec::new();
    let done: Vec<Option<&'static str>> = match verb {
        Setup::Status => ALL.map(|_| None).to_vec(),
        Setup::Install => install(&dir, bin, force)?,
        Setup::Remove => remove(&dir, bin, &mut warnings)?,
    };
    let manager = systemd::systemctl(&["show-environment"]).is_ok_and(|o| o.status.success());
    if done.iter().flatten().any(|what| *what != "kept") && manager {
        let reload = systemd::systemctl(&["daemon-reload"]).doing(|| "daemon-reload".into())?;
        if !reload.status.success() {
            warnings.push(format!(
                "systemctl --user daemon-reload: {}",
                String::from_utf8_lossy(&reload.stderr).trim()
            ));
        }
    }
    if !manager {
        warnings.push(
            "no service manager of this user answers; the units are read when it starts \
             (at the next login, or: sudo systemctl start user@$(id -u))"
                .into(),
        );
    }
    if verb != Setup::Remove {
        warnings.extend(taken_socket(&place));
    }
    let linger = systemd::lingers(&process::user_name());
    if linger == Some(false) && verb != Setup::Remove {
        warnings.push(format!(
            "the agents end when you log out, and do not start with the machine: loginctl enable-linger {}",
            process::user_name()
        ));
    }
    let mut units = Vec::new();
    for (unit, done) in ALL.iter().zip(done) {
        units.push(Row {
            unit: unit.name,
            file: standing(unit, &dir, bin)?.word(),
            done,
            drop_ins: drop_ins(&dir, unit),
        });
    }
    let answer = Units {
        schema: "mosaic.units/1",
        tenant_id: place.tenant().to_owned(),
        host: place.host.clone(),
        directory: dir.display().to_string(),
        units,
        manager,
        linger,
        warnings,
    };
    show(&answer, verb, json);
    Ok(exit::OK)
}

fn show(answer: &Units, verb: Setup, json: bool) {
    if json {
        super::print(&String::from_utf8_lossy(&crate::pure::wire::line(answer)));
        return;
    }
    let mut text = format!("{}\n", answer.directory);
    for row in &answer.units {
        text.push_str(&format!("  {:<28} {}", row.unit, row.file));
        if let Some(done) = row.done {
            text.push_str(&format!(" ({done})"));
        }
        for drop_in in &row.drop_ins {
            text.push_str(&format!("\n    + {drop_in}"));
        }
        text.push('\n');
    }
    if verb == Setup::Install {
        text.push_str("next: systemctl --user enable --now mosaic-agent@NAME\n");
    }
    super::print(&text);
    for warning in &answer.warnings {
        super::complain(format_args!("mosaic-fleet: {warning}"));
    }
}

/// Where the user's own units are.
pub(super) fn directory(place: &Place) -> PathBuf {
    std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| place.settings.home.join(".config"))
        .join("systemd/user")
}

/// What stands where a unit of ours belongs.
pub(super) fn standing(unit: &UnitFile, dir: &Path, bin: &str) -> Result<Standing, Failure> {
    let path = dir.join(unit.name);
    // Also a link, and a file that cannot be read, is somebody's.
    if fs::symlink_metadata(&path).is_err() {
        return Ok(Standing::Missing);
    }
    let Ok(bytes) = files::read_small(&path, READ_MAX) else {
        return Ok(Standing::Foreign);
    };
    Ok(unit.standing(Some(&String::from_utf8_lossy(&bytes)), bin))
}

fn failed(path: &Path, e: impl std::fmt::Display) -> Failure {
    Failure::new(exit::CONFIG, format!("changing {}", path.display()), e)
}

fn install(dir: &Path, bin: &str, force: bool) -> Result<Vec<Option<&'static str>>, Failure> {
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let mut standings = Vec::new();
    // All are looked at before the first is written.
    for unit in &ALL {
        let standing = standing(unit, dir, bin)?;
        let path = dir.join(unit.name);
        if standing == Standing::Foreign && !force {
            return Err(failed(&path, "somebody else has written it").hint(
                "keep what you need of it as a drop-in and remove it, or: mosaic-agent units install --force \
                 (keeps it beside as .before-mosaic)",
            ));
        }
        standings.push(standing);
    }
    let mut done = Vec::new();
    for (unit, standing) in ALL.iter().zip(standings) {
        let path = dir.join(unit.name);
        if standing == Standing::Foreign {
            let mut kept = path.clone().into_os_string();
            kept.push(".before-mosaic");
            fs::rename(&path, kept).map_err(|e| failed(&path, e))?;
        }
        done.push(Some(if standing == Standing::Current {
            "kept"
        } else {
            files::replace(&path, unit.text(bin).as_bytes()).map_err(|e| failed(&path, e))?;
            "written"
        }));
    }
    Ok(done)
}

fn remove(
    dir: &Path,
    bin: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Option<&'static str>>, Failure> {
    let mut done = Vec::new();
    for unit in &ALL {
        let path = dir.join(unit.name);
        done.push(match standing(unit, dir, bin)? {
            Standing::Missing => None,
            Standing::Foreign => {
                warnings.push(format!("{} is not ours and stays", path.display()));
                Some("kept")
            }
            Standing::Current | Standing::Outdated => {
                fs::remove_file(&path).map_err(|e| failed(&path, e))?;
                remove_links(dir, unit)?;
                Some("removed")
            }
        });
    }
    if done.contains(&Some("removed")) {
        warnings.push("agents that run keep running; end them with: systemctl --user stop 'mosaic-agent@*' mosaic-tmux-holder".into());
    }
    Ok(done)
}

/// `enable` has left links to the file in `*.wants` directories; they would point nowhere.
fn remove_links(dir: &Path, unit: &UnitFile) -> Result<(), Failure> {
    let (stem, kind) = unit.name.split_once('.').unwrap_or((unit.name, ""));
    for wants in files::names_in(dir, 4_096) {
        if !wants.ends_with(".wants") && !wants.ends_with(".requires") {
            continue;
        }
        for name in files::names_in(&dir.join(&wants), 4_096) {
            let path = dir.join(&wants).join(&name);
            let ours = name == unit.name
                || (stem.ends_with('@') && name.starts_with(stem) && name.ends_with(kind));
            if ours && path.is_symlink() {
                fs::remove_file(&path).map_err(|e| failed(&path, e))?;
            }
        }
    }
    Ok(())
}

/// The user's additions to a unit, and to instances of it.
fn drop_ins(dir: &Path, unit: &UnitFile) -> Vec<String> {
    let (stem, kind) = unit.name.split_once('.').unwrap_or((unit.name, ""));
    let mut found: Vec<String> = files::names_in(dir, 4_096)
        .into_iter()
        .filter(|name| {
            name.strip_suffix(".d").is_some_and(|of| {
                of == unit.name
                    || (stem.ends_with('@') && of.starts_with(stem) && of.ends_with(kind))
            })
        })
        .flat_map(|sub| {
            files::names_in(&dir.join(&sub), 256)
                .into_iter()
                .filter(|name| name.ends_with(".conf"))
                .map(move |name| format!("{sub}/{name}"))
        })
        .collect();
    found.sort();
    found
}

/// A tmux server that is not the holder's and has the fleet's socket: the holder will not start.
pub(super) fn taken_socket(place: &Place) -> Option<String> {
    let config = place.settings.home.join(".config/mosaic/fleet/fleet.env");
    let text = files::read_small(&config, READ_MAX).unwrap_or_default();
    let socket = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("MOSAIC_TMUX_SOCKET="))
        .next_back()
        .map(|value| value.trim_matches(['"', '\'']).to_owned())
        .unwrap_or_default();
    let tmux = Tmux {
        socket,
        ..find_tmux(&place.settings).ok()?
    };
    let pid = tmux.server().ok().flatten()?.to_string();
    let holder = systemd::systemctl(&["show", "-p", "MainPID", "--value", HOLDER]).ok()?;
    if String::from_utf8_lossy(&holder.stdout).trim() == pid {
        return None;
    }
    let socket = match tmux.socket.as_str() {
        "" => "tmux's default socket".to_owned(),
        name => format!("the tmux socket {name:?}"),
    };
    Some(format!(
        "a server that is not the fleet's runs on {socket} (pid {pid}), so the holder will not start: \
         end it, or put MOSAIC_TMUX_SOCKET=mosaic into {}",
        config.display()
    ))
}
