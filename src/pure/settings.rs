//! The environment an agent is launched in (`docs/operating.md`, "Starting"), as values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::units::TermSize;

/// Beats per interval unless told otherwise.
const INTERVAL_S: u64 = 15;

/// What an agent is and where its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The user's home.
    pub home: PathBuf,
    /// The tmux socket's name; empty for tmux's default.
    pub tmux_socket: String,
    /// The runtime's name as asked for.
    pub runtime: String,
    /// Somebody asked for it: it is not the default beside a command of their own.
    pub runtime_asked: bool,
    /// The model as asked for; empty if none was.
    pub model: String,
    /// Where the runtime works.
    pub workdir: PathBuf,
    /// The runtime's command line.
    pub command: String,
    /// A directory to look for the runtime in first.
    pub runtime_bin: Option<PathBuf>,
    /// Where heartbeats are.
    pub run_dir: PathBuf,
    /// `$XDG_RUNTIME_DIR/mosaic`, if the variable is set; the sockets' place if it is usable.
    pub runtime_dir: Option<PathBuf>,
    /// Where the user's profiles are.
    pub profile_dir: PathBuf,
    /// The size of a terminal of our own, where there is no other.
    pub size: TermSize,
    /// Time between beats.
    pub interval: Duration,
    /// Where the terminal is recorded to, if that was said: a file, or a directory.
    pub record: Option<PathBuf>,
    /// Whose fleet, if that was said; else the user's name.
    pub tenant_id: Option<String>,
}

/// The runtime where none was asked for.
const DEFAULT: &str = "pi";

impl Settings {
    /// Reads the environment. An empty variable counts as not set, except for the tmux socket, where
    /// empty and unset mean the same anyway: tmux's default.
    ///
    /// # Errors
    /// One line that names the variable and what is wrong with it.
    pub fn read(
        env: impl Fn(&str) -> Option<String>,
        home_of_user: impl FnOnce() -> Option<PathBuf>,
    ) -> Result<Settings, String> {
        let get = |name: &str| env(name).filter(|v| !v.is_empty());
        let home = get("HOME")
            .map(PathBuf::from)
            .or_else(home_of_user)
            .ok_or("HOME is not set and the user has no home directory")?;
        // `launch` and the `run` it starts stand in different directories: a relative path would mean two.
        let dir = |name: &str| match get(name).map(PathBuf::from) {
            Some(dir) if !dir.is_absolute() => Err(format!(
                "{name} is {}; it takes an absolute path",
                dir.display()
            )),
            dir => Ok(dir),
        };
        let config = dir("MOSAIC_HOME")?.unwrap_or_else(|| home.join(".config/mosaic"));
        let asked = get("MOSAIC_AGENT_RUNTIME");
        // The runtime of every agent finds the default in its environment, and `restart` starts with that.
        let own_command = get("MOSAIC_AGENT_COMMAND").is_some();
        let runtime_asked = asked
            .as_ref()
            .is_some_and(|name| name != DEFAULT || !own_command);
        let runtime = asked.unwrap_or_else(|| DEFAULT.into());
        let model = get("MOSAIC_AGENT_MODEL").unwrap_or_default();
        let command = get("MOSAIC_AGENT_COMMAND").unwrap_or_else(|| {
            let mut command = format!("mosaic yolo {}", quoted(&runtime));
            if !model.is_empty() {
                command.push_str(" --model ");
                command.push_str(&quoted(&model));
            }
            command
        });
        let interval = match get("MOSAIC_HEARTBEAT_INTERVAL") {
            None => INTERVAL_S,
            Some(text) => match text.trim().parse::<u64>() {
                Ok(s @ 1..=3_600) => s,
                _ => {
                    return Err(format!(
                        "MOSAIC_HEARTBEAT_INTERVAL is {text:?}; it takes whole seconds from 1 to 3600"
                    ));
                }
            },
        };
        let size = match get("MOSAIC_AGENT_SIZE") {
            None => TermSize::DEFAULT,
            Some(text) => TermSize::parse(&text).map_err(|e| format!("MOSAIC_AGENT_SIZE: {e}"))?,
        };
        let tmux_socket = get("MOSAIC_TMUX_SOCKET").unwrap_or_default();
        // tmux itself ends without a word then.
        if tmux_socket.contains('/') {
            return Err(format!(
                "MOSAIC_TMUX_SOCKET is {tmux_socket}; it takes a name as `tmux -L` does, no path"
            ));
        }
        Ok(Settings {
            runtime_asked,
            size,
            tmux_socket,
            workdir: dir("MOSAIC_AGENT_WORKDIR")?.unwrap_or_else(|| home.clone()),
            runtime_bin: dir("MOSAIC_RUNTIME_BIN")?,
            run_dir: dir("MOSAIC_HEARTBEAT_RUN_DIR")?.unwrap_or_else(|| config.join("fleet/run")),
            // The XDG rule for both: a relative path is to be ignored.
            runtime_dir: dir("XDG_RUNTIME_DIR")
                .ok()
                .flatten()
                .map(|d| d.join("mosaic")),
            profile_dir: dir("XDG_CONFIG_HOME")
                .ok()
                .flatten()
                .unwrap_or_else(|| home.join(".config"))
                .join("mosaic/agent/profiles"),
            interval: Duration::from_secs(interval),
            record: dir("MOSAIC_AGENT_RECORD")?,
            tenant_id: get("MOSAIC_TENANT_ID"),
            home,
            runtime,
            model,
            command,
        })
    }

    /// The directories that must stand first on the runtime's PATH if they exist, in this order.
    pub fn path_prefix(&self, npm_prefix: Option<&Path>) -> Vec<PathBuf> {
        let mut dirs = Vec::new();
        dirs.extend(self.runtime_bin.clone());
        dirs.extend(npm_prefix.map(|p| p.join("bin")));
        dirs.push(self.home.join(".npm-global/bin"));
        dirs.push(self.home.join(".local/bin"));
        dirs
    }
}

/// Joins a PATH: the prefix directories first, whether or not the old PATH has them, each directory once.
pub fn join_path(prefix: &[PathBuf], old: &str) -> String {
    let mut dirs: Vec<String> = Vec::new();
    let old = if old.is_empty() {
        "/usr/local/bin:/usr/bin:/bin"
    } else {
        old
    };
    let prefix = prefix.iter().map(|p| p.to_string_lossy().into_owned());
    for dir in prefix.chain(old.split(':').map(str::to_owned)) {
        // As paths: `/a/` is `/a`.
        if !dir.is_empty() && !dirs.iter().any(|known| Path::new(known) == Path::new(&dir)) {
            dirs.push(dir);
        }
    }
    dirs.join(":")
}

/// A word as a shell would take it whole.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Settings, String> {
        let vars: Vec<(String, String)> = vars
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let env = move |name: &str| vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
        Settings::read(env, || Some("/home/u".into()))
    }

    #[test]
    fn the_defaults_are_those_of_the_old_script() {
        let s = read(&[]);
        let Ok(s) = s else { panic!("{s:?}") };
        assert_eq!(s.command, "mosaic yolo pi");
        assert_eq!(s.workdir, PathBuf::from("/home/u"));
        assert_eq!(s.run_dir, PathBuf::from("/home/u/.config/mosaic/fleet/run"));
        assert_eq!(s.interval, Duration::from_secs(15));
        assert_eq!((s.tmux_socket.as_str(), s.tenant_id), ("", None));
    }

    #[test]
    fn a_model_becomes_a_flag_of_the_default_command_only() {
        let model = ("MOSAIC_AGENT_MODEL", "a b'c");
        let s = read(&[model]).map(|s| s.command);
        assert_eq!(s, Ok(r"mosaic yolo pi --model 'a b'\''c'".into()));
        let s = read(&[model, ("MOSAIC_AGENT_COMMAND", "pi -x")]).map(|s| s.command);
        assert_eq!(s, Ok("pi -x".into()));
    }

    #[test]
    fn mosaic_home_moves_the_run_directory_and_a_bad_interval_is_named() {
        let s = read(&[("MOSAIC_HOME", "/m")]).map(|s| s.run_dir);
        assert_eq!(s, Ok(PathBuf::from("/m/fleet/run")));
        let e = read(&[("MOSAIC_HEARTBEAT_INTERVAL", "soon")]);
        assert!(e.is_err_and(|e| e.contains("MOSAIC_HEARTBEAT_INTERVAL") && e.contains("soon")));
    }

    #[test]
    fn the_default_beside_a_command_of_your_own_was_not_asked_for() {
        let asked = |vars: &[(&str, &str)]| read(vars).map(|s| s.runtime_asked);
        let (pi, demo) = (
            ("MOSAIC_AGENT_RUNTIME", "pi"),
            ("MOSAIC_AGENT_RUNTIME", "demo"),
        );
        let own = ("MOSAIC_AGENT_COMMAND", "x");
        assert_eq!(asked(&[]), Ok(false));
        assert_eq!(asked(&[pi]), Ok(true));
        assert_eq!(asked(&[pi, own]), Ok(false));
        assert_eq!(asked(&[demo, own]), Ok(true));
    }

    #[test]
    fn a_relative_directory_and_a_path_for_a_socket_name_are_refused_by_name() {
        let e = read(&[("MOSAIC_HEARTBEAT_RUN_DIR", "run")]);
        assert!(e.is_err_and(|e| e.starts_with("MOSAIC_HEARTBEAT_RUN_DIR is run")));
        let e = read(&[("MOSAIC_TMUX_SOCKET", "/tmp/tmux-0/a")]);
        assert!(e.is_err_and(|e| e.starts_with("MOSAIC_TMUX_SOCKET is /tmp/tmux-0/a")));
        assert!(read(&[("XDG_RUNTIME_DIR", "run")]).is_ok_and(|s| s.runtime_dir.is_none()));
    }

    #[test]
    fn the_prefix_stands_first_even_if_the_old_path_has_it_and_nothing_twice() {
        let prefix = [PathBuf::from("/a"), PathBuf::from("/b")];
        assert_eq!(
            join_path(&prefix, "/usr/bin:/b:/a/:/usr/bin"),
            "/a:/b:/usr/bin"
        );
        assert_eq!(join_path(&[], ""), "/usr/local/bin:/usr/bin:/bin");
    }
}
