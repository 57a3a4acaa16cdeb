//! `screen`: what is on an agent's screen now, as text, as cells, or as a picture.

use std::time::{Duration, Instant};

use super::ask::{self, NoAnswer};
use super::place::Place;
use crate::failure::{Doing, Failure, exit};
use crate::pure::mirror::Mirror;
use crate::pure::svg;
use crate::pure::wire::Request;
use crate::units::AgentName;

/// A sidecar that does not answer a plain question within this time is not answering.
const PATIENCE: Duration = Duration::from_secs(5);

/// The shape in which a screen is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The characters.
    Text,
    /// The sidecar's answer, with cells.
    Json,
    /// A picture.
    Svg,
}

/// Prints the screen.
///
/// # Errors
/// No such agent (3), or it does not answer (75).
pub fn screen(name: &AgentName, shape: Shape) -> Result<u8, Failure> {
    let place = Place::here()?;
    let request = Request {
        op: "screen".into(),
        cells: Some(true),
        ..Request::default()
    };
    let doing = || format!("asking the sidecar of {name}");
    let line = ask::ask(&place, name, &request, PATIENCE).map_err(|e| match e {
        NoAnswer::Gone(why) => ask::gone(why),
        NoAnswer::Silent(why) => Failure::new(exit::LATER, doing(), why),
        NoAnswer::Refused(_, why, code) => Failure::new(code, doing(), why),
        NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing(), why),
    })?;
    if shape == Shape::Json {
        super::print(&String::from_utf8_lossy(&line));
        return Ok(exit::OK);
    }
    let mut mirror = Mirror::default();
    mirror
        .take(&line, Instant::now())
        .doing(|| format!("reading the answer of {name}"))?;
    super::print(&match shape {
        Shape::Svg => svg::svg(
            &mirror,
            match mirror.title.as_str() {
                "" => &mirror.agent,
                title => title,
            },
        ),
        Shape::Text | Shape::Json => format!("{}\n", mirror.text()),
    });
    Ok(exit::OK)
}
