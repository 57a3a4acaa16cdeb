//! What only mosaic-agent does: `launch`, and answering on the ack socket.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::candidates::{Candidate, Server, Workshop, complete};
use crate::figures::{Limit, Row, Samples, quantile};
use crate::inner::monotonic;
use crate::measure::{Pauses, Plan, READY_WITHIN, Rows, finish, ready, rotated};
use crate::procfs;

/// Clients that are connected and ask nothing.
const CROWD: usize = 1_000;

/// A session in a tmux server that runs already: until the inner program says that it is ready, if tmux
/// makes it; until `launch` returns, if that does.
pub fn launch(shop: &Workshop, plan: &Plan) -> Rows {
    let server = shop.tmux_server()?;
    let path = shop.file("ready");
    let told = UnixDatagram::bind(&path)?;
    told.set_read_timeout(Some(READY_WITHIN))?;
    let inner = ["tell", &path.to_string_lossy()];
    let mut samples = Samples::default();
    for round in 0..plan.rounds {
        let mut times: BTreeMap<Candidate, Vec<f64>> = BTreeMap::new();
        for turn in 0..plan.starts {
            for candidate in rotated(&[Candidate::Direct, Candidate::Agent], round + turn) {
                let name = format!("{}-{round}-{turn}", candidate.name());
                let maker = shop.session_maker(candidate, &server, &name, &inner);
                let begun = monotonic()?;
                complete(maker)?;
                let returned = monotonic()?;
                let ready = moment(&told)?;
                end_session(shop, &server, &name)?;
                let until = match candidate {
                    Candidate::Agent => returned,
                    _ => ready,
                };
                let time = until.saturating_sub(begun).as_secs_f64() * 1e3;
                times.entry(candidate).or_default().push(time);
            }
        }
        for (candidate, times) in times {
            samples.add(candidate, quantile(&times, 0.5).unwrap_or(f64::NAN));
        }
    }
    complete(shop.tmux(&server, &["kill-server"]))?;
    let added = samples.added_to(Candidate::Direct);
    Ok(vec![
        Row::new("launch until ready, ms", samples, Limit::None).against(Candidate::Direct),
        // One figure, floor and goal alike.
        Row::new(
            "launch until ready, added to the runtime's own start, ms",
            added,
            Limit::Value(50.0, 50.0),
        ),
    ])
}

/// When the inner program was ready, as it tells itself.
fn moment(told: &UnixDatagram) -> io::Result<Duration> {
    let mut buffer = [0; 32];
    let got = told.recv(&mut buffer)?;
    String::from_utf8_lossy(&buffer[..got])
        .parse()
        .map(Duration::from_nanos)
        .map_err(io::Error::other)
}

/// Ends a session, and waits until nothing of it takes CPU from the next one.
fn end_session(shop: &Workshop, server: &Server, name: &str) -> io::Result<()> {
    complete(shop.tmux(server, &["kill-session", "-t", &format!("={name}")]))?;
    let deadline = Instant::now() + READY_WITHIN;
    // We and the tmux server.
    while procfs::tree(std::process::id() as i32, None).len() > 2 {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("the session {name} does not end")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How soon `status` is answered while [`CROWD`] others are connected.
pub fn status(shop: &Workshop, plan: &Plan) -> Rows {
    let (mut p50, mut p99) = (Samples::default(), Samples::default());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    for round in 0..plan.rounds {
        let terminal = ready(shop.start(Candidate::Agent, &["idle"])?)?;
        // Not before: the agent has to raise its own limit itself.
        setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(4_096)), hard)?;
        let socket = shop.ack_socket();
        let crowd: Vec<Asker> = (0..CROWD)
            .map(|_| Asker::connect(&socket))
            .collect::<io::Result<_>>()?;
        let mut asker = Asker::connect(&socket)?;
        let mut pauses = Pauses(round as u64 + 1);
        let mut times = Vec::new();
        for _ in 0..plan.keys {
            std::thread::sleep(pauses.next());
            times.push(asker.ask()?.as_secs_f64() * 1e3);
        }
        if procfs::costs(&shop.wrapper(&terminal)).fds < CROWD as f64 {
            return Err(io::Error::other("the agent has dropped idle clients"));
        }
        drop((asker, crowd));
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
        finish(terminal);
        p50.add(Candidate::Agent, quantile(&times, 0.5).unwrap_or(f64::NAN));
        p99.add(Candidate::Agent, quantile(&times, 0.99).unwrap_or(f64::NAN));
    }
    let what = |part: &str| format!("status beside {CROWD} idle clients, {part}, ms");
    Ok(vec![
        Row::new(what("p50"), p50, Limit::None),
        Row::new(what("p99"), p99, Limit::Value(50.0, 5.0)),
    ])
}

/// A connection to the ack socket.
struct Asker(BufReader<UnixStream>);

impl Asker {
    /// Connects and takes the greeting, which proves that the agent has accepted.
    fn connect(socket: &Path) -> io::Result<Asker> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        let mut asker = Asker(BufReader::with_capacity(4_096, stream));
        asker.expect("mosaic.hello/1")?;
        Ok(asker)
    }

    fn ask(&mut self) -> io::Result<Duration> {
        let asked = Instant::now();
        self.0.get_mut().write_all(b"{\"op\":\"status\"}\n")?;
        self.expect("mosaic.status/1")?;
        Ok(asked.elapsed())
    }

    /// Reads a line, which must be of this schema.
    fn expect(&mut self, schema: &str) -> io::Result<()> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.contains(schema) {
            true => Ok(()),
            false => Err(io::Error::other(format!("no {schema}: {line:?}"))),
        }
    }
}
