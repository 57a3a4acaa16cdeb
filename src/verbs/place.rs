//! Where this user's agents live: settings, directories and identity, read from the real environment.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::failure::{Failure, exit};
use crate::os::{files, process};
use crate::pure::settings::Settings;
use crate::pure::wire::Origin;
use crate::units::AgentName;

/// Settings of the environment we were called in, and who and where we are.
pub struct Place {
    /// The settings.
    pub settings: Settings,
    /// This host's name.
    pub host: String,
    tenant: OnceLock<String>,
}

impl Place {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`exit::CONFIG`] with the variable that is wrong.
    pub fn here() -> Result<Place, Failure> {
        let env = |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
        let settings = Settings::read(env, process::home_of_user)
            .map_err(|e| Failure::new(exit::CONFIG, "reading the environment", e))?;
        Ok(Place {
            settings,
            host: process::host_name(),
            tenant: OnceLock::new(),
        })
    }

    /// Whose fleet this is. The user's name is looked up when it is first needed: with a directory
    /// service behind it that can take longer than starting the runtime.
    pub fn tenant(&self) -> &str {
        self.tenant.get_or_init(|| {
            self.settings
                .tenant_id
                .clone()
                .unwrap_or_else(process::user_name)
        })
    }

    /// Who speaks for this agent in a document.
    pub fn origin(&self, agent: &AgentName) -> Origin {
        Origin {
            tenant_id: self.tenant().to_owned(),
            host: self.host.clone(),
            agent: agent.to_string(),
        }
    }

    /// The heartbeat's path.
    pub fn heartbeat(&self, agent: &AgentName) -> PathBuf {
        self.settings.run_dir.join(format!("{agent}.hb"))
    }

    /// The usual directory for recordings.
    pub fn recordings(&self) -> PathBuf {
        self.settings.run_dir.join("recordings")
    }

    /// The journal's path.
    pub fn journal(&self, agent: &AgentName) -> PathBuf {
        self.settings.run_dir.join(format!("{agent}.journal"))
    }

    /// The directory for sockets: `$XDG_RUNTIME_DIR/mosaic` if that is ours, else the run directory.
    /// Only looks; [`Place::prepare`] makes it.
    pub fn socket_dir(&self) -> PathBuf {
        let me = nix::unistd::geteuid().as_raw();
        self.settings
            .runtime_dir
            .as_ref()
            .filter(|dir| {
                dir.parent()
                    .and_then(|parent| parent.metadata().ok())
                    .is_some_and(|m| m.is_dir() && m.uid() == me)
            })
            .unwrap_or(&self.settings.run_dir)
            .clone()
    }

    /// Where the agent's socket is or would be.
    pub fn socket(&self, agent: &AgentName) -> PathBuf {
        self.socket_dir().join(format!("{agent}.sock"))
    }

    /// Makes the directories and checks that they are ours alone.
    ///
    /// # Errors
    /// [`exit::CONFIG`] for a link or somebody else's directory.
    pub fn prepare(&self) -> Result<(), Failure> {
        files::private_dir(&self.settings.run_dir)?;
        files::private_dir(&self.socket_dir())
    }
}

/// The agent named by `MOSAIC_AGENT_NAME`, for a verb called without a name.
///
/// # Errors
/// [`exit::USAGE`]: it is not set, or no name.
pub fn name_from_environment(verb: &str) -> Result<AgentName, Failure> {
    let name = std::env::var("MOSAIC_AGENT_NAME").map_err(|_| {
        Failure::new(
            exit::USAGE,
            "",
            format!("which agent? `mosaic-agent {verb} NAME`"),
        )
    })?;
    AgentName::new(&name).map_err(|e| Failure::new(exit::USAGE, "reading MOSAIC_AGENT_NAME", e))
}
