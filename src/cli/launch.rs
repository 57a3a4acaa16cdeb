//! Arguments of `launch`.

use lexopt::prelude::*;

use crate::units::AgentName;

/// What `launch` was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The agent; `MOSAIC_AGENT_NAME` says if not given.
    pub name: Option<AgentName>,
    /// Say nothing that is no error.
    pub quiet: bool,
    /// Stay as the main process of its unit.
    pub supervise: bool,
}

/// Reads them; none if help was asked for.
pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quiet") | Short('q') => options.quiet = true,
            Long("supervise") => options.supervise = true,
            Long("help") | Short('h') => return Ok(None),
            Value(name) if options.name.is_none() => {
                options.name = Some(AgentName::new(&name.string()?)?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}
