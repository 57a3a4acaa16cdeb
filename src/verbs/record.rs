//! `record`: has a sidecar record its agent's terminal, or no longer.

use std::path::PathBuf;
use std::time::Duration;

use super::ask::{self, NoAnswer};
use super::place::Place;
use crate::cli::past::{Record, RecordOptions};
use crate::failure::{Doing, Failure, exit};
use crate::os::files;
use crate::pure::wire::{Request, Status};

/// A sidecar that does not answer within this time is not answering.
const PATIENCE: Duration = Duration::from_secs(5);

/// Begins, ends or shows a recording.
///
/// # Errors
/// No such agent (3), it does not answer (75), this caller may not (77), or the file cannot be made (78).
pub fn record(options: &RecordOptions) -> Result<u8, Failure> {
    let place = Place::here()?;
    let name = &options.name;
    let mut request = Request {
        op: "record".into(),
        ..Request::default()
    };
    match options.what {
        Record::Status => request.op = "status".into(),
        Record::Stop => {}
        Record::Start => {
            let path = match &options.file {
                Some(file) => std::path::absolute(file)
                    .doing(|| format!("finding the place of {}", file.display()))?,
                None => usual(&place)?,
            };
            request.path = Some(path.display().to_string());
            request.input = Some(options.input);
            request.max_bytes = options.max;
        }
    }
    let line = ask::ask(&place, name, &request, PATIENCE).map_err(|e| {
        let doing = match &request.path {
            Some(path) => format!("recording {name} to {path}"),
            None => format!("asking the sidecar of {name} about its recording"),
        };
        match e {
            NoAnswer::Gone(why) => ask::gone(why),
            NoAnswer::Silent(why) => Failure::new(exit::LATER, doing, why),
            NoAnswer::Refused(_, why, code) => Failure::new(code, doing, why),
            NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing, why),
        }
    })?;
    if options.json {
        super::print(&String::from_utf8_lossy(&line));
        return Ok(exit::OK);
    }
    let status: Status = serde_json::from_slice(&line)
        .map_err(|e| Failure::new(exit::INTERNAL, format!("reading the answer of {name}"), e))?;
    super::print(&match status.recording {
        Some(recording) => format!(
            "{name}: recorded to {} ({} bytes{})\n",
            recording.file,
            recording.bytes,
            if recording.input {
                ", with what is typed"
            } else {
                ""
            }
        ),
        None => format!("{name}: not recorded\n"),
    });
    Ok(exit::OK)
}

/// The usual directory, made if it is not there.
fn usual(place: &Place) -> Result<PathBuf, Failure> {
    let dir = place.recordings();
    files::private_dir(&dir)?;
    Ok(dir)
}
