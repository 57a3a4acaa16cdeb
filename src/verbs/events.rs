//! `mosaic-fleet events`: what happens to agents, one JSON object a line.
//!
//! One thread per agent asks its sidecar and waits there; this one prints what they find, begins to follow agents that
//! are new (another thread looks out for them), and hands events to whoever is to be told. A sidecar that ends is waited for: its successor's events
//! follow, and `lost` says so.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::ask::{self, NoAnswer};
use super::lookout::{self, Lookout, News, RESCAN};
use super::place::Place;
use super::tell::{self, Teller};
use crate::cli::past::EventsOptions;
use crate::failure::{Failure, exit};
use crate::os::files;
use crate::pure::beat::{Found, READ_MAX, stamp};
use crate::pure::wire::Request;
use crate::units::AgentName;

/// How long a sidecar is asked to wait for the next event. A wait costs nothing but a connection.
const WAIT: Duration = Duration::from_secs(30);

/// How long an answer may take beyond that.
const PATIENCE: Duration = Duration::from_secs(5);

/// An event, as it is printed.
type Event = Map<String, Value>;

/// What a follower has to say.
enum Said {
    /// There is something to look at.
    News,
    Event(Event),
    /// The agent cannot be followed (any longer).
    Failed(Failure),
    /// Everything that was there has been said.
    Done,
}

/// Prints events until it is interrupted, or nobody reads them any more.
///
/// # Errors
/// No such agent (3), or it does not answer (75).
pub fn events(options: EventsOptions) -> Result<u8, Failure> {
    let place = Place::here()?;
    let teller = Teller::start(options.exec.clone(), options.notify);
    let (say, said) = channel();
    // Before the first look: what comes after that is told.
    let lookout = (!options.no_follow).then(|| {
        let say = say.clone();
        let there_is = move || say.send(Said::News).is_ok();
        Lookout::start(&place.settings.run_dir, there_is)
    });
    let mut watch = Watch {
        place,
        options,
        followed: BTreeMap::new(),
        say,
    };
    let mut open = watch.look_at_all(true)?;
    while open > 0 || !watch.options.no_follow {
        let Ok(said) = said.recv() else { break };
        match said {
            Said::News => {
                let news = lookout.as_ref().map(Lookout::take).unwrap_or_default();
                open += watch.look_at(news)?;
            }
            Said::Event(event) => {
                if watch.wants(&event) {
                    let line = Value::Object(event.clone());
                    if writeln!(std::io::stdout(), "{line}").is_err() {
                        break;
                    }
                    teller.tell(event);
                }
            }
            Said::Failed(failure) if watch.options.name.is_some() => return Err(failure),
            Said::Failed(failure) => {
                super::complain(format_args!("mosaic-fleet: {failure}"));
                open -= 1;
            }
            Said::Done => open -= 1,
        }
    }
    teller.finish();
    Ok(exit::OK)
}

struct Watch {
    place: Place,
    options: EventsOptions,
    /// The agents that are followed.
    followed: BTreeMap<AgentName, Followed>,
    say: Sender<Said>,
}

/// An agent that is followed.
struct Followed {
    /// The last beat seen.
    beat: Option<Found>,
    /// Tells its follower that there is another one.
    wake: SyncSender<()>,
}

impl Watch {
    fn wants(&self, event: &Event) -> bool {
        let kind = tell::word(event, "kind");
        match self.options.kinds.as_slice() {
            [] => kind != "beat",
            kinds => kinds.iter().any(|k| k == kind),
        }
    }

    /// Looks at every agent. Begins to follow those that are new; how many. `first`: they were there when we came.
    fn look_at_all(&mut self, first: bool) -> Result<usize, Failure> {
        let names = match &self.options.name {
            Some(name) => vec![name.clone()],
            None => files::names_in(&self.place.settings.run_dir, usize::MAX)
                .iter()
                .filter_map(|file| lookout::agent(file))
                .collect(),
        };
        let mut new = 0;
        for name in names {
            new += self.look_at_one(&name, first)?;
        }
        Ok(new)
    }

    /// Looks at the agents there is news of, as [`Watch::look_at_all`].
    fn look_at(&mut self, news: News) -> Result<usize, Failure> {
        let mut new = 0;
        if news.all {
            new += self.look_at_all(false)?;
        }
        for name in news.of {
            if self.options.name.as_ref().is_none_or(|one| *one == name) {
                new += self.look_at_one(&name, false)?;
            }
        }
        Ok(new)
    }

    fn look_at_one(&mut self, name: &AgentName, first: bool) -> Result<usize, Failure> {
        if let Some(followed) = self.followed.get(name) {
            // One that does not wait has no need of it, and one that was woken needs it once.
            let _ = followed.wake.try_send(());
            self.look_at_beat(name);
            return Ok(0);
        }
        let (wake, woken) = sync_channel(1);
        let followed = Followed { beat: None, wake };
        self.followed.insert(name.clone(), followed);
        self.look_at_beat(name);
        let follower = Follower {
            place: Place::here()?,
            must_be: self.options.name.is_some(),
            follow: !self.options.no_follow,
            cursor: self.options.after.clone(),
            // An agent that comes later has nothing that was there before us.
            skip: first
                && !self.options.since_start
                && !self.options.no_follow
                && self.options.after.is_none(),
            over: false,
            say: self.say.clone(),
            name: name.clone(),
            woken,
        };
        thread::spawn(move || follower.run());
        Ok(1)
    }

    /// Tells a heartbeat that is new.
    fn look_at_beat(&mut self, name: &AgentName) {
        if !self.options.kinds.iter().any(|k| k == "beat") {
            return;
        }
        let path = self.place.heartbeat(name);
        let Ok(bytes) = files::read_small(&path, READ_MAX) else {
            return;
        };
        let found = Found::parse(&bytes);
        if let Some(followed) = self.followed.get_mut(name) {
            if followed.beat.as_ref() == Some(&found) {
                return;
            }
            followed.beat = Some(found.clone());
        }
        let mut event = event(&self.place, name, "beat");
        let at = found.get("written").or(found.get("ts")).unwrap_or_default();
        event.insert("ts".into(), at.into());
        for key in [
            "state", "status", "seq", "pid", "sidecar", "idle", "interval", "exit",
        ] {
            if let Some(value) = found.get(key) {
                let number = value.parse::<u64>().map(Value::from);
                event.insert(key.into(), number.unwrap_or_else(|_| value.into()));
            }
        }
        let alive = found.get("ts").unwrap_or_default();
        event.insert("alive".into(), alive.into());
        let _ = self.say.send(Said::Event(event));
    }
}

/// An event that is told from here, and not by a sidecar.
fn event(place: &Place, name: &AgentName, kind: &str) -> Event {
    let fields = json!({
        "schema": "mosaic.event/1",
        "tenant_id": place.tenant(),
        "host": place.host,
        "agent": name.to_string(),
        "kind": kind,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Event::new(),
    }
}

/// Follows one agent.
struct Follower {
    place: Place,
    name: AgentName,
    /// It is an error if it is not there when we come.
    must_be: bool,
    /// Wait for what comes, and for the next sidecar.
    follow: bool,
    cursor: Option<String>,
    /// What is there when we come is not told.
    skip: bool,
    /// The runtime has ended.
    over: bool,
    say: Sender<Said>,
    /// Its heartbeat is another one.
    woken: Receiver<()>,
}

impl Follower {
    fn run(mut self) {
        // Nobody listens any more: then there is nothing to be done either.
        let _ = match self.follow() {
            Ok(()) => self.say.send(Said::Done),
            Err(failure) => self.say.send(Said::Failed(failure)),
        };
    }

    fn follow(&mut self) -> Result<(), Failure> {
        let mut here = false;
        let mut been_here = false;
        loop {
            let answer = match self.ask(here) {
                Ok(answer) => answer,
                Err(NoAnswer::Refused(word, why, code)) => {
                    return Err(self.refused(&word, why, code));
                }
                Err(why) => {
                    let why = self.no_answer(why);
                    if !been_here && self.must_be || !self.follow {
                        return Err(why);
                    }
                    if std::mem::take(&mut here) {
                        self.tell("gone", &why.said);
                    }
                    // The next sidecar's events are all new to us.
                    self.skip &= !been_here && self.must_be;
                    self.over = false;
                    self.wait();
                    continue;
                }
            };
            if !here && been_here {
                self.tell("back", "a sidecar answers again");
            }
            (here, been_here) = (true, true);
            self.take(&answer);
            if !self.follow {
                return Ok(());
            }
            if self.over {
                // It answers at once from now on, and is gone in a moment.
                self.wait();
            }
        }
    }

    /// Waits for another heartbeat, or until it is time to try again.
    fn wait(&self) {
        let _ = self.woken.recv_timeout(RESCAN);
    }

    /// Asks for what is new; the first question is answered at once.
    fn ask(&self, wait: bool) -> Result<Value, NoAnswer> {
        let wait = if wait { WAIT } else { Duration::ZERO };
        let request = Request {
            op: "events".into(),
            cursor: self.cursor.clone(),
            wait_ms: u64::try_from(wait.as_millis()).ok(),
            ..Request::default()
        };
        let answer = ask::ask(&self.place, &self.name, &request, wait + PATIENCE)?;
        serde_json::from_slice(&answer).map_err(|e| NoAnswer::Broken(e.to_string()))
    }

    /// Tells what an answer holds.
    fn take(&mut self, answer: &Value) {
        let next = answer["next"].as_str().unwrap_or_default();
        let tag = next.rsplit_once(':').map_or("", |(tag, _)| tag);
        if answer["lost"] == true {
            self.over = false;
            self.tell(
                "lost",
                "the cursor is of another sidecar, or older than what this one remembers",
            );
        }
        let skip = std::mem::take(&mut self.skip);
        for told in answer["events"].as_array().into_iter().flatten() {
            let Value::Object(told) = told else { continue };
            self.over |= told.get("kind").is_some_and(|kind| kind == "exit");
            if skip {
                continue;
            }
            let mut event = event(&self.place, &self.name, "");
            event.extend(told.clone());
            let at_ms = told.get("at_ms").and_then(Value::as_u64).unwrap_or(0);
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms);
            event.insert("ts".into(), stamp(at).into());
            let seq = told.get("seq").and_then(Value::as_u64).unwrap_or(0);
            event.insert("cursor".into(), format!("{tag}:{seq}").into());
            let _ = self.say.send(Said::Event(event));
        }
        self.cursor = Some(next.to_owned());
    }

    fn tell(&self, kind: &str, why: &str) {
        let mut event = event(&self.place, &self.name, kind);
        event.insert("ts".into(), stamp(SystemTime::now()).into());
        event.insert("why".into(), why.into());
        let _ = self.say.send(Said::Event(event));
    }

    fn refused(&self, word: &str, why: String, code: u8) -> Failure {
        let failure = Failure::new(code, format!("following {}", self.name), why);
        match word {
            "unknown_op" => failure.hint(format!(
                "its sidecar is older than this program: `mosaic-agent restart {}`",
                self.name
            )),
            _ => failure,
        }
    }

    fn no_answer(&self, why: NoAnswer) -> Failure {
        let doing = format!("following {}", self.name);
        match why {
            NoAnswer::Gone(why) => Failure::new(exit::GONE, "", why)
                .hint("`mosaic-fleet ps` shows the agents there are"),
            NoAnswer::Silent(why) => Failure::new(exit::LATER, doing, why),
            NoAnswer::Refused(_, why, code) => Failure::new(code, doing, why),
            NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing, why),
        }
    }
}
