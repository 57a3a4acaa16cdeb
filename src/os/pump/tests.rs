use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;

/// A pump between two socket pairs: the terminal's end, the runtime's end.
fn pump() -> (Pump, UnixStream, UnixStream) {
    let pair = || {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        theirs.set_nonblocking(true).expect("a socket");
        ours.set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a socket");
        (ours, OwnedFd::from(theirs))
    };
    let (terminal, outer) = pair();
    let (runtime, master) = pair();
    let left = Leftover::default();
    let pump = Pump::start(Some(outer), master, left).expect("a pump");
    (pump, terminal, runtime)
}

/// Takes events until one of them satisfies `wanted`.
fn wait(pump: &Pump, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    let mut batch = Batch::default();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !seen.iter().any(&wanted) {
        assert!(Instant::now() < deadline, "only {seen:?}");
        let mut fds = [PollFd::new(pump.readable(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(100u8));
        pump.take(&mut batch);
        seen.append(&mut batch.events);
    }
    seen
}

#[test]
fn a_write_is_refused_if_the_terminal_has_sent_what_its_author_has_not_seen() {
    let (pump, mut terminal, mut runtime) = pump();
    terminal.write_all(b"x").expect("a terminal");
    let mut byte = [0];
    runtime.read_exact(&mut byte).expect("the key arrives");
    pump.inject(1, b"\r".to_vec(), 0, Some(0), None);
    let seen = wait(&pump, |e| matches!(e, Event::Refused(1)));
    assert!(seen.contains(&Event::Outer(1)), "{seen:?}");
    pump.inject(2, b"\r".to_vec(), 0, Some(1), None);
    wait(&pump, |e| matches!(e, Event::Written(2, _)));
    runtime.read_exact(&mut byte).expect("the write arrives");
    assert_eq!(byte, [b'\r']);
    pump.drain(Instant::now());
}

#[test]
fn a_pump_that_was_stopped_leaves_every_byte_to_the_one_that_goes_on() {
    let (mut pump, mut terminal, mut runtime) = pump();
    // More than the terminal takes: some of it waits in the pump when it is stopped.
    let printed: Vec<u8> = (0..=255).cycle().take(1024 * 1024).collect();
    let writer = std::thread::spawn({
        let (mut runtime, printed) = (runtime.try_clone().expect("a socket"), printed.clone());
        move || runtime.write_all(&printed).expect("it is taken")
    });
    wait(&pump, |e| matches!(e, Event::Output(_)));
    let mut shown = Vec::new();
    let mut batch = Batch::default();
    let mut chunk = [0; 8 * 1024];
    for _ in 0..20 {
        pump.stop();
        pump.take(&mut batch);
        pump.go_on().expect("a thread");
        let n = terminal.read(&mut chunk).expect("it goes on");
        shown.extend_from_slice(&chunk[..n]);
    }
    // Nobody takes any more: soon some of it waits in the pump.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        pump.stop();
        pump.take(&mut batch);
        if !pump.left().to_outer.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "the terminal takes all of it");
        pump.go_on().expect("a thread");
    }
    pump.inject(1, b"answer".to_vec(), 0, None, None);
    pump.inject(2, b"typed".to_vec(), 0, Some(0), None);
    let left = pump.left();
    assert_eq!(left.to_inner, b"answer");
    let worker = pump.stopped.take().expect("it stands still");
    let (outer, master) = (worker.outer, worker.master);
    let next = Pump::start(outer, master, left).expect("a pump");
    while shown.len() < printed.len() {
        next.take(&mut batch);
        let n = terminal.read(&mut chunk).expect("it goes on");
        shown.extend_from_slice(&chunk[..n]);
    }
    assert!(shown == printed, "the terminal has got something else");
    let mut answer = [0; 6];
    runtime.read_exact(&mut answer).expect("it is written");
    assert_eq!(&answer, b"answer");
    writer.join().expect("all of it was taken");
    next.drain(Instant::now());
}

#[test]
fn keys_that_come_another_way_count_and_wait_like_those_of_the_terminal() {
    let (pump, mut terminal, mut runtime) = pump();
    // Handed in before a write: its author has not seen them.
    assert!(pump.type_by_hand(b"x"));
    pump.inject(1, b"\r".to_vec(), 0, Some(0), None);
    // Told in either order: the pane's own path is served first.
    let seen = wait(&pump, |e| matches!(e, Event::Refused(1)));
    if !seen.contains(&Event::Outer(1)) {
        wait(&pump, |e| matches!(e, Event::Outer(1)));
    }
    // And behind one that asks for keys to wait.
    let long = Duration::from_secs(60);
    pump.inject(2, b"paste".to_vec(), 0, Some(1), Some(long));
    wait(&pump, |e| matches!(e, Event::Written(2, _)));
    assert!(pump.type_by_hand(b"keys"));
    terminal.write_all(b"more").expect("a terminal");
    pump.inject(3, b"\r".to_vec(), 0, Some(1), Some(Duration::ZERO));
    let mut typed = [0; 15];
    runtime.read_exact(&mut typed).expect("all of it arrives");
    assert_eq!(&typed, b"xpaste\rkeysmore");
    assert!(!pump.type_by_hand(&[b'x'; PENDING_MAX + 1]), "bounded");
    pump.drain(Instant::now());
}

#[test]
fn keys_that_come_after_a_paste_wait_for_the_enter_behind_it() {
    let (pump, mut terminal, mut runtime) = pump();
    let long = Duration::from_secs(60);
    pump.inject(1, b"paste".to_vec(), 0, Some(0), Some(long));
    wait(&pump, |e| matches!(e, Event::Written(1, _)));
    terminal.write_all(b"keys").expect("a terminal");
    pump.inject(2, b"\r".to_vec(), 0, Some(0), Some(Duration::ZERO));
    let mut typed = [0; 10];
    runtime.read_exact(&mut typed).expect("all of it arrives");
    assert_eq!(&typed, b"paste\rkeys");
    pump.drain(Instant::now());
}

#[test]
fn keys_do_not_wait_longer_than_they_were_asked_to() {
    let (pump, mut terminal, mut runtime) = pump();
    let short = Duration::from_millis(50);
    pump.inject(1, b"paste".to_vec(), 0, Some(0), Some(short));
    wait(&pump, |e| matches!(e, Event::Written(1, _)));
    let written = Instant::now();
    terminal.write_all(b"keys").expect("a terminal");
    let mut typed = [0; 9];
    runtime.read_exact(&mut typed).expect("all of it arrives");
    assert_eq!(&typed, b"pastekeys");
    assert!(written.elapsed() >= short / 2, "they did not wait at all");
    pump.drain(Instant::now());
}

#[test]
fn a_cancelled_write_still_ends_its_paste_and_holds_nobodys_keys_back() {
    let (pump, mut terminal, mut runtime) = pump();
    let body = [b"[".as_slice(), &[b'a'; 4 * 1024 * 1024], b"]"].concat();
    pump.inject(7, body, 1, None, None);
    let mut first = [0];
    runtime.read_exact(&mut first).expect("it begins");
    terminal.write_all(b"k").expect("a terminal");
    wait(&pump, |e| matches!(e, Event::Outer(1)));
    pump.cancel(7);
    let mut rest = Vec::new();
    while rest.last() != Some(&b'k') {
        let mut chunk = [0; 64 * 1024];
        let n = runtime.read(&mut chunk).expect("it goes on");
        rest.extend_from_slice(&chunk[..n]);
    }
    assert_eq!(&rest[rest.len() - 2..], b"]k");
    assert!(rest.len() < 4 * 1024 * 1024, "the rest was dropped");
    wait(&pump, |e| matches!(e, Event::Cancelled(7)));
    pump.drain(Instant::now());
}

#[test]
fn a_write_that_was_cut_by_a_stop_goes_on_where_it_was() {
    let (mut pump, _terminal, mut runtime) = pump();
    // More than the runtime's side takes before it reads.
    let body: Vec<u8> = (0..=250).cycle().take(4 * 1024 * 1024).collect();
    pump.inject(1, body.clone(), 0, None, None);
    let mut got = vec![0];
    runtime.read_exact(&mut got).expect("it begins");
    pump.stop();
    let left = pump.left().to_inner;
    assert!(!left.is_empty() && left.len() < body.len());
    assert!(body.ends_with(&left));
    // Going on in the same process it is written once, whole.
    pump.go_on().expect("a thread");
    let mut rest = vec![0; body.len() - 1];
    runtime.read_exact(&mut rest).expect("all of it arrives");
    assert!(rest == body[1..]);
    wait(&pump, |e| matches!(e, Event::Written(1, _)));
    pump.drain(Instant::now());
}
