//! The corridor: the only code that sees both what decides and what touches the system.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::supervise::Options;
use crate::cli::{agent, agent_help, fleet, past, send as sending, show as shown, viewing};
use crate::demo;
use crate::failure::{Failure, exit};

mod about;
pub mod ask;
mod attach;
mod beside;
mod doctor;
mod documents;
mod events;
mod far;
mod handoff;
mod hold;
mod hook;
mod hooks;
mod journal;
mod keys;
pub mod launch;
mod log;
mod lookout;
mod mcp;
pub mod place;
mod program;
mod ps;
mod record;
mod recording;
mod records;
mod replay;
mod reset;
pub mod run;
mod scope;
mod screen;
mod send;
mod server;
mod setup;
mod show;
mod stop;
mod supervise;
mod tail;
mod tell;
mod unit_files;
mod upgrade;
mod viewer;

/// Does what the command line asks for; returns the exit code.
///
/// # Errors
/// What a person has to mend.
pub fn perform(verb: agent::Verb) -> Result<u8, Failure> {
    match verb {
        agent::Verb::Help(text) => {
            print(&text);
            Ok(exit::OK)
        }
        agent::Verb::Page(line) => Ok(help(&[crate::cli::help::verb(line)], line)),
        agent::Verb::Overview => Ok(help(&[], &agent_help::lines())),
        agent::Verb::Run(options) => run::run(options),
        agent::Verb::Hook(args) => Ok(hook::hook(&args)),
        agent::Verb::OfFleet(args) => Err(beside::become_fleet(args)),
    }
}

/// Does what `mosaic-monitor` was asked for; returns the exit code.
///
/// # Errors
/// What a person has to mend.
pub fn perform_monitor(options: Option<Options>) -> Result<u8, Failure> {
    match options {
        Some(options) => monitor(options),
        None => {
            print(concat!("mosaic-monitor ", env!("CARGO_PKG_VERSION"), "\n"));
            complain(format_args!(
                "the main process of an agent's unit; `mosaic-agent launch --supervise NAME` becomes it"
            ));
            Ok(exit::OK)
        }
    }
}

fn monitor(options: Options) -> Result<u8, Failure> {
    log::to_stderr();
    match options {
        Options::Begin(name) => supervise::supervise(&name, None),
        Options::TakeOver(name, held) => supervise::supervise(&name, Some(held)),
        Options::CanTakeOver(name) => supervise::can_take_over(&name),
    }
}

/// Becomes `mosaic-fleet`, which has our help. Who has none gets the lines that we have ourselves.
fn help(verb: &[&str], lines: &str) -> u8 {
    let words = ["help", "mosaic-agent"].iter().chain(verb);
    let failure = beside::become_fleet(words);
    print(&format!("{lines}\n\nMore: {failure}\n"));
    exit::OK
}

/// Prints data; a reader that has gone away (`| head`) is no failure.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Complains on standard error; where that is gone (a pipe nobody reads, a journal that was restarted), the exit code
/// has to say it alone.
pub fn complain(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{what}");
}

/// Does what the command line of `mosaic-fleet` asks for; returns the exit code.
///
/// # Errors
/// What a person has to mend.
pub fn perform_fleet(verb: fleet::Verb) -> Result<ExitCode, Failure> {
    match verb {
        fleet::Verb::Help(text) => {
            print(&text);
            Ok(ExitCode::SUCCESS)
        }
        fleet::Verb::Ps(options) => ps::ps(&options).map(ExitCode::from),
        fleet::Verb::Hooks {
            verb,
            runtime,
            json,
        } => hooks::hooks(verb, runtime.as_deref(), json).map(ExitCode::from),
        fleet::Verb::Replay {
            file,
            runtime,
            json,
        } => replay::replay(&file, runtime.as_deref(), json).map(ExitCode::from),
        fleet::Verb::Show(verb) => perform_show(verb).map(ExitCode::from),
        fleet::Verb::Units { verb, force, json } => {
            unit_files::units(verb, force, json).map(ExitCode::from)
        }
        fleet::Verb::Launch(options) => {
            log::to_stderr();
            let name = match options.name {
                Some(name) => name,
                None => place::name_from_environment("launch")?,
            };
            if !options.supervise {
                return launch::launch(&name, options.quiet).map(ExitCode::from);
            }
            let options = Options::Begin(name);
            supervise::become_monitor(&options);
            monitor(options).map(ExitCode::from)
        }
        fleet::Verb::Supervise(options) => {
            supervise::become_monitor(&options);
            monitor(options).map(ExitCode::from)
        }
        fleet::Verb::End(name) => supervise::end_what_is_left(&name).map(ExitCode::from),
        fleet::Verb::Enclose(name, pid) => scope::enclose(&name, pid).map(ExitCode::from),
        fleet::Verb::Stop { name, turn, tell } => stop::stop(&name, turn, tell).map(ExitCode::from),
        fleet::Verb::Restart { name, turn, tell } => {
            stop::restart(&name, turn, tell).map(ExitCode::from)
        }
        fleet::Verb::Past(past::Verb::Events(options)) => {
            events::events(options).map(ExitCode::from)
        }
        fleet::Verb::Past(past::Verb::Record(options)) => {
            record::record(&options).map(ExitCode::from)
        }
        fleet::Verb::Past(past::Verb::Tail(options)) => tail::tail(options).map(ExitCode::from),
        fleet::Verb::Keys(options) => keys::keys(options).map(ExitCode::from),
        fleet::Verb::Reset(options) => reset::reset(&options).map(ExitCode::from),
        fleet::Verb::Upgrade(options) => upgrade::upgrade(&options).map(ExitCode::from),
        fleet::Verb::View(verb) => view(verb).map(ExitCode::from),
        fleet::Verb::Send(verb) => perform_send(verb).map(ExitCode::from),
        fleet::Verb::Doctor { json } => doctor::doctor(json).map(ExitCode::from),
        fleet::Verb::Completions(wanted) => about::completions(wanted).map(ExitCode::from),
        fleet::Verb::Man { page, dir } => about::man(page, dir.as_deref()).map(ExitCode::from),
        fleet::Verb::Schema(thing) => about::schema(thing.as_deref()).map(ExitCode::from),
        fleet::Verb::Mcp => mcp::serve().map(ExitCode::from),
        fleet::Verb::Hold => hold::hold().map(ExitCode::from),
        fleet::Verb::DemoTui(args) => Ok(demo::main(args)),
    }
}

fn view(verb: viewing::Verb) -> Result<u8, Failure> {
    match verb {
        viewing::Verb::Watch(name) => viewer::watch(&name),
        viewing::Verb::Attach { name, steal } => attach::attach(&name, steal),
        viewing::Verb::Screen { name, json, svg } => screen::screen(
            &name,
            match (json, svg) {
                (true, _) => screen::Shape::Json,
                (_, true) => screen::Shape::Svg,
                _ => screen::Shape::Text,
            },
        ),
    }
}

fn perform_send(verb: sending::Verb) -> Result<u8, Failure> {
    match verb {
        sending::Verb::Send {
            options,
            json,
            quiet,
        } => far::send(&options, json, quiet),
        sending::Verb::Verify {
            options,
            json,
            quiet,
        } => far::verify(&options, json, quiet),
    }
}

fn perform_show(verb: shown::Verb) -> Result<u8, Failure> {
    match verb {
        shown::Verb::Status { name, probe, tell } => show::status(&name, probe, tell),
        shown::Verb::Explain { name, json } => show::explain(&name, json),
        shown::Verb::ExplainCast {
            file,
            runtime,
            at,
            json,
        } => replay::explain(&file, runtime.as_deref(), at, json),
    }
}
