//! `reset`, performed by `mosaic-fleet`: looks at the agent, types what `pure::reset` says, and tells how it ended.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::ask::{self, NoAnswer};
use super::place::Place;
use super::{records, run};
use crate::cli::reset::Options;
use crate::cli::tell::Tell;
use crate::failure::{Doing, Failure, exit};
use crate::os::{files, process};
use crate::pure::profile::{Profile, Profiles};
use crate::pure::record::Subject;
use crate::pure::reset::{
    self, Next, Place as Where, Reset, ResetLine, ResetRule, Seen, Shown, Verdict, typed_text,
};
use crate::pure::wire::{Request, Status};
use crate::units::AgentName;

/// A sidecar that does not answer a plain question within this time is not answering.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks, if nothing is printed before: not everything that proves a reset is on the screen.
const LOOK_EVERY_MS: u64 = 100;

/// While something stands in the way that a look cannot change, if the state stays the same.
const WAIT_EVERY_MS: u64 = 1_000;

/// The parts of a screen's answer that are looked at.
#[derive(Deserialize)]
struct Screen {
    tenant_id: String,
    host: String,
    lines: Vec<String>,
    hash: String,
    revision: u64,
}

/// The parts of an explanation that are looked at.
#[derive(Deserialize)]
struct Explained {
    composer: Option<InputBox>,
}

#[derive(Deserialize)]
struct InputBox {
    top: usize,
    bottom: usize,
    text: String,
    free: bool,
}

/// Where an agent is looked at, and with which eyes.
struct Eyes<'a> {
    place: &'a Place,
    name: &'a AgentName,
    profile: &'a Profile,
    rule: &'a ResetRule,
    /// The runtime's own process, whose records are read.
    runtime: Option<i32>,
}

/// Resets an agent and tells how it went; 0 if that is proven, 7 if not, 75 if nothing was typed.
///
/// # Errors
/// No such agent (3), not permitted (77), no reset known for its runtime (78), or its sidecar does not answer (75).
pub fn reset(options: &Options) -> Result<u8, Failure> {
    let place = Place::here()?;
    let name = &options.name;
    let failed = |e| failure(name, e);
    let status = ask::status(&place, name, PATIENCE).map_err(failed)?;
    let overrides = files::profile_files(&place.settings.profile_dir);
    let profiles = Profiles::with(&overrides);
    let (profile, rule) = rule_for(name, &status, &profiles, &overrides)?;
    let rule = &rule;
    let eyes = Eyes {
        place: &place,
        name,
        profile,
        rule,
        runtime: own_process(&profiles, status.pid),
    };
    let Screen {
        tenant_id, host, ..
    } = eyes.screen().map_err(failed)?;
    let since = Instant::now();
    let mut machine = Reset::new(rule, &profile.send, options.wait, since);
    eyes.follow(&mut machine)?;
    let (verdict, reason) = machine.verdict();
    let line = ResetLine {
        schema: "mosaic.reset/1",
        tenant_id,
        host,
        agent: name.to_string(),
        runtime: profile.name.clone(),
        command: rule.command.clone(),
        verdict,
        reason: reason.to_owned(),
        submitted: machine.submitted(),
        removed: machine.removed,
        evidence: machine.evidence.clone(),
        steps: machine.steps.clone(),
        ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    tell(&line, options.tell)
}

/// Tells how it ended.
fn tell(line: &ResetLine, tell: Tell) -> Result<u8, Failure> {
    let code = match line.verdict {
        Verdict::Proven => exit::OK,
        Verdict::Unproven => exit::UNKNOWN,
        Verdict::Refused => exit::LATER,
    };
    if tell == Tell::Json {
        let text = serde_json::to_string(line).doing(|| "writing the answer".into())?;
        super::print(&format!("{text}\n"));
        return Ok(code);
    }
    let name = &line.agent;
    let doing = format!("resetting {name}");
    match line.verdict {
        Verdict::Proven => {
            if tell == Tell::Words {
                let proof = line.evidence.join("; ");
                super::print(&format!(
                    "reset {name} after {} ms: {} ({proof})\n",
                    line.ms, line.reason
                ));
            }
            Ok(code)
        }
        Verdict::Unproven => Err(
            Failure::new(code, doing, format!("not proven: {}", line.reason)).hint(format!(
                "`mosaic-fleet screen {name}` shows what is there now"
            )),
        ),
        Verdict::Refused => Err(
            Failure::new(code, doing, format!("not reset: {}", line.reason))
                .hint("nothing is left of it; try later, or --wait SECONDS for the end of a turn"),
        ),
    }
}

fn failure(name: &AgentName, e: NoAnswer) -> Failure {
    let doing = format!("resetting {name}");
    match e {
        NoAnswer::Gone(why) => {
            Failure::new(exit::GONE, "", why).hint("`mosaic-fleet ps` shows the agents there are")
        }
        NoAnswer::Silent(why) => Failure::new(exit::LATER, doing, why),
        NoAnswer::Refused(_, why, code) => Failure::new(code, doing, why),
        NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing, why),
    }
}

/// How what runs there is reset.
fn rule_for<'p>(
    name: &AgentName,
    status: &Status,
    profiles: &'p Profiles,
    overrides: &[(String, String)],
) -> Result<(&'p Profile, ResetRule), Failure> {
    let doing = || format!("resetting {name}");
    if status.runtime.is_empty() {
        let why = "what runs there is not known yet";
        return Err(Failure::new(exit::LATER, doing(), why).hint(format!(
            "nothing was typed; `mosaic-agent explain {name}` says what is seen"
        )));
    }
    let profile = profiles.named(&status.runtime);
    let rule = reset::rule(&status.runtime, overrides).map_err(|e| {
        Failure::new(exit::CONFIG, doing(), e).hint("nothing was typed; mend the file")
    })?;
    profile.zip(rule).ok_or_else(|| {
        let why = format!("no reset is known for {}", status.runtime);
        Failure::new(exit::CONFIG, doing(), why)
            .hint("a profile with a [reset] table says how (docs/profiles.md)")
    })
}

/// The process that is the runtime itself, behind its wrappers.
fn own_process(profiles: &Profiles, outermost: i32) -> Option<i32> {
    let family = run::facts(process::family(outermost));
    profiles.identify(&family).map(|(_, found)| found.pid)
}

impl Eyes<'_> {
    /// Looks and types until it is over.
    fn follow(&self, machine: &mut Reset) -> Result<(), Failure> {
        loop {
            let (seen, revision) = match self.look() {
                Ok(seen) => seen,
                Err(e) => return self.blind(machine, e),
            };
            match machine.next(&seen, Instant::now()) {
                Next::Over => return Ok(()),
                next @ (Next::Look | Next::Wait) => {
                    let waited = match next {
                        Next::Look => self.wait(revision, LOOK_EVERY_MS),
                        // No screen is newer than this: only another state is news.
                        _ => self.wait(u64::MAX, WAIT_EVERY_MS),
                    };
                    if let Err(e) = waited {
                        return self.blind(machine, e);
                    }
                }
                Next::Type(keys, expect) => match self.press(keys, expect) {
                    Ok(()) => machine.typed(Instant::now()),
                    Err(NoAnswer::Refused(word, ..)) if word == "changed" => {
                        machine.changed(Instant::now());
                    }
                    // Whether they were typed is not known.
                    Err(NoAnswer::Silent(why)) => {
                        machine.lost(&why);
                        return Ok(());
                    }
                    Err(e) => return self.blind(machine, e),
                },
            }
        }
    }

    /// The agent cannot be seen any more.
    fn blind(&self, machine: &mut Reset, e: NoAnswer) -> Result<(), Failure> {
        match e {
            NoAnswer::Silent(why) | NoAnswer::Broken(why) | NoAnswer::Refused(_, why, _)
                if machine.has_typed() =>
            {
                machine.lost(&why);
                Ok(())
            }
            e => Err(failure(self.name, e)),
        }
    }

    fn ask(&self, request: &Request) -> Result<Vec<u8>, NoAnswer> {
        ask::ask(self.place, self.name, request, PATIENCE)
    }

    fn press(&self, keys: Vec<String>, expect: String) -> Result<(), NoAnswer> {
        let request = Request {
            op: "keys".into(),
            keys: Some(keys),
            expect: Some(expect),
            ..Request::default()
        };
        self.ask(&request).map(|_| ())
    }

    /// The screen as it is now.
    fn screen(&self) -> Result<Screen, NoAnswer> {
        let request = Request {
            op: "screen".into(),
            ..Request::default()
        };
        read(&self.ask(&request)?)
    }

    /// Waits until the screen is newer than that or the state another one, or for that long.
    fn wait(&self, after: u64, wait_ms: u64) -> Result<(), NoAnswer> {
        let request = Request {
            op: "screen".into(),
            after: Some(after),
            wait_ms: Some(wait_ms),
            ..Request::default()
        };
        self.ask(&request).map(|_| ())
    }

    /// One look: what the sidecar tells between two answers about the same screen belongs together.
    fn look(&self) -> Result<(Seen, u64), NoAnswer> {
        let explain = Request {
            op: "explain".into(),
            ..Request::default()
        };
        let before = self.screen()?;
        let explained: Explained = read(&self.ask(&explain)?)?;
        let status = ask::status(self.place, self.name, PATIENCE)?;
        let session = self.session();
        let after = self.screen()?;
        let steady = before.revision == after.revision;
        let seen = self.seen(before, explained, &status, session, steady);
        Ok((seen, after.revision))
    }

    fn seen(
        &self,
        screen: Screen,
        explained: Explained,
        status: &Status,
        session: Vec<String>,
        steady: bool,
    ) -> Seen {
        let composer = explained.composer;
        let (top, bottom) = composer.as_ref().map_or((0, 0), |c| (c.top, c.bottom));
        let shown = Shown {
            lines: screen.lines,
            top,
            bottom,
        };
        // Without a composer there is neither above nor below.
        let fresh = composer.as_ref().and_then(|_| self.rule.fresh(&shown));
        Seen {
            steady,
            hash: screen.hash,
            state: status.state,
            why: status.why.clone(),
            free: composer.as_ref().is_some_and(|c| c.free),
            composer: composer.map(|c| typed_text(&self.profile.composer, &c.text)),
            offered: self.rule.is_offered(&shown),
            fresh: fresh.map(|sign| sign.name.clone()),
            sure: fresh.is_some_and(|sign| sign.place == Where::Inside),
            session,
            held: status.held,
            attached: status.attached_pid,
        }
    }

    /// What names the session in the runtime's own record.
    fn session(&self) -> Vec<String> {
        let found = self.runtime.and_then(|pid| {
            let record = self.profile.record.first()?;
            let root = record.root.iter().find_map(|r| records::expand(r, pid))?;
            Some((pid, record, root))
        });
        let Some((pid, record, root)) = found else {
            return Vec::new();
        };
        if !self.rule.open.is_empty() {
            let open = process::open_below(pid, &root.join(&self.rule.open));
            return open.iter().filter_map(|file| stem(file)).collect();
        }
        let subject = Subject {
            pid,
            ..Subject::default()
        };
        let session = records::session(record, &root, &subject);
        session.into_iter().collect()
    }
}

/// A file's name without its extension.
fn stem(file: &Path) -> Option<String> {
    Some(file.file_stem()?.to_string_lossy().into_owned())
}

fn read<T: for<'a> Deserialize<'a>>(answer: &[u8]) -> Result<T, NoAnswer> {
    serde_json::from_slice(answer).map_err(|e| NoAnswer::Broken(e.to_string()))
}
