//! Another host, on this one: a sandbox of its own behind a real sshd, or behind a stand-in for ssh.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{AGENT, Sandbox};

/// Where Debian has it; not on everybody's PATH.
const SSHD: &str = "/usr/sbin/sshd";

/// Gives `here` an `ssh` that logs in to `there` through a real sshd, as the user of this process.
/// No port is opened: sshd speaks to ssh's `ProxyCommand`.
///
/// # Errors
/// Why there can be none here.
pub fn real(here: &mut Sandbox, there: &Sandbox) -> Result<(), String> {
    if !Path::new(SSHD).exists() {
        return Err("there is no sshd (Debian: openssh-server)".into());
    }
    if nix::unistd::geteuid().is_root() && !Path::new("/run/sshd").is_dir() {
        return Err("sshd wants a directory /run/sshd".into());
    }
    let (host_key, user_key) = (key(there, "host"), key(here, "user"));
    let public = fs::read_to_string(user_key.with_extension("pub")).expect("the public key");
    let authorized = there.path("authorized");
    fs::write(&authorized, public).expect("a file in the sandbox");
    let variables: Vec<String> = there
        .variables()
        .map(|(name, value)| format!("\"{name}={value}\""))
        .collect();
    let server = there.path("sshd_config");
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nLogLevel ERROR\nPidFile none\nSetEnv {}\n",
        host_key.display(),
        authorized.display(),
        variables.join(" "),
    );
    fs::write(&server, config).expect("a file in the sandbox");
    let client = here.path("ssh_config");
    let config = format!(
        "Host *\n ProxyCommand {SSHD} -i -f {}\n IdentityFile {}\n IdentitiesOnly yes\n StrictHostKeyChecking no\n \
         UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
        server.display(),
        user_key.display(),
    );
    fs::write(&client, config).expect("a file in the sandbox");
    let ssh = "/usr/bin/ssh";
    script(
        here,
        &format!("exec {ssh} -F {} \"$@\"\n", client.display()),
    );
    Ok(())
}

fn key(sandbox: &Sandbox, name: &str) -> PathBuf {
    let file = sandbox.path(name);
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&file);
    let made = command.output().expect("ssh-keygen runs");
    assert!(made.status.success(), "{made:?}");
    file
}

/// Gives `here` an `ssh` that does what sshd does with a command: gives it to the login shell, in an
/// environment of the other side. `before` is what the shell's startup files say.
pub fn pretended(here: &mut Sandbox, there: &Sandbox, shell: &str, before: &str) {
    let mut text = String::new();
    if !before.is_empty() {
        text.push_str(&format!("printf '%s\\n' '{before}'\n"));
    }
    text.push_str("for line; do :; done\nexec env -i");
    for (name, value) in there.variables() {
        text.push_str(&format!(" '{name}={value}'"));
    }
    text.push_str(&format!(" {shell} -c \"$line\"\n"));
    script(here, &text);
}

/// Gives `here` an `ssh` of this text, first on its PATH. It notes every call in `ssh.calls`.
pub fn script(here: &mut Sandbox, text: &str) {
    let calls = here.path("ssh.calls");
    let note = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >>{}\n{text}",
        calls.display()
    );
    let ssh = here.script("ssh/ssh", &note);
    let dir = ssh.parent().expect("a directory").display().to_string();
    let path = here.var("PATH").to_owned();
    if !path.starts_with(&dir) {
        here.env("PATH", format!("{dir}:{path}"));
    }
}

/// Every call of ssh so far, with all its words.
pub fn calls(here: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(here.path("ssh.calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The directory that the other side needs on its PATH.
pub fn with_agent_on_path(there: &mut Sandbox) {
    let dir = Path::new(AGENT).parent().expect("a directory").display();
    let path = format!("{dir}:{}", there.var("PATH"));
    there.env("PATH", path);
}
