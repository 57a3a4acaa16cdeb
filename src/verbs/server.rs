//! The ack socket, served: connections in, requests out, one answer each, everything bounded.
//!
//! Every connection is a task that reads one line at a time and waits for its answer before it reads
//! the next; what is asked is decided elsewhere ([`super::run`]). A slow or dead client costs itself its
//! connection and nobody else anything.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use super::documents;
use crate::failure::exit;
use crate::os::replace;
use crate::os::socket::{self, Peer};
use crate::pure::handover::CarriedClient;
use crate::pure::harness::Asker;
use crate::pure::wire::{self, LINE_MAX, Origin, Request};

/// Most connections at once.
const CLIENTS_MAX: usize = 1_100;

/// Most bytes of unfinished requests held for all clients together.
const HELD_MAX: usize = 8 * 1024 * 1024;

/// A request line that has begun must end within this time.
const LINE_LASTS: Duration = Duration::from_secs(10);

/// A connection on which nothing is asked is closed after this time.
const IDLE_LASTS: Duration = Duration::from_secs(120);

/// An answer that is not taken within this time is given up with its connection.
const ANSWER_LASTS: Duration = Duration::from_secs(10);

/// Accepting fails for want of descriptors: pause instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

/// What came in.
pub enum Heard {
    /// A request.
    Request {
        /// Where the answer goes.
        client: ClientId,
        /// A number of its own for this request.
        asker: Asker,
        /// Who asks.
        peer: Peer,
        /// What.
        request: Box<Request>,
    },
    /// The connection of a request that was not answered yet is gone.
    Gone {
        /// That request.
        asker: Asker,
    },
}

type Answers = Rc<RefCell<HashMap<ClientId, mpsc::Sender<Vec<u8>>>>>;

/// A connection that is handed over: what is known of it, and its descriptor.
pub type Handed = (CarriedClient, OwnedFd);

/// Where connections go when they are to be handed over.
#[derive(Default)]
struct Handing {
    now: Cell<bool>,
    told: Notify,
    handed: RefCell<Vec<Handed>>,
}

/// What all connections share.
#[derive(Clone)]
struct Shared {
    ask: mpsc::Sender<Heard>,
    answers: Answers,
    count: Rc<Cell<usize>>,
    /// Bytes of unfinished requests of all clients.
    held: Rc<Cell<usize>>,
    handing: Rc<Handing>,
    /// The number of the last connection.
    last: Rc<Cell<u64>>,
    /// The connection that is not closed for being silent.
    patient: Rc<Cell<Option<ClientId>>>,
    /// Who speaks, in what is said here.
    origin: Rc<Origin>,
}

impl Shared {
    /// What is said to a line that is no request, or that is not taken.
    fn refusal(&self, word: &str, message: &str) -> Vec<u8> {
        let code = match word {
            "overloaded" => exit::LATER,
            _ => exit::USAGE,
        };
        documents::error_line((*self.origin).clone(), word, message, code)
    }
}

/// The connections.
pub struct Clients {
    shared: Shared,
    accepting: JoinHandle<()>,
}

impl Clients {
    /// Starts accepting in the name of `origin`, and goes on with the connections that were handed over. Requests
    /// are sent to `ask`.
    ///
    /// # Errors
    /// The listener cannot be watched.
    pub fn serve(
        listener: std::os::unix::net::UnixListener,
        ask: mpsc::Sender<Heard>,
        (handed, last): (Vec<Handed>, u64),
        origin: Origin,
    ) -> io::Result<Clients> {
        let listener = UnixListener::from_std(listener)?;
        let shared = Shared {
            ask,
            answers: Answers::default(),
            count: Rc::default(),
            held: Rc::default(),
            handing: Rc::default(),
            last: Rc::new(Cell::new(last)),
            patient: Rc::default(),
            origin: Rc::new(origin),
        };
        for (carried, fd) in handed {
            let stream = std::os::unix::net::UnixStream::from(fd);
            let Ok(stream) = UnixStream::from_std(stream) else {
                continue;
            };
            let Ok(peer) = socket::peer(&stream) else {
                continue;
            };
            let mut client = Connection::new(&shared, ClientId(carried.id), peer);
            client.asked = carried.asked;
            client.buffer = carried.unread;
            client.account();
            spawn_local(client.serve(stream, Vec::new(), carried.waits));
        }
        let accepting = spawn_local(accept(listener, shared.clone()));
        Ok(Clients { shared, accepting })
    }

    /// Takes every connection from here: what is known of it, its descriptor, and the number of the last one. A
    /// connection that is in the middle of taking an answer stays, and ends with us.
    ///
    /// `take_asked` takes what they have asked: one that waits for room to ask could not leave.
    pub async fn hand_over(&self, take_asked: impl FnMut()) -> (Vec<Handed>, u64) {
        self.accepting.abort();
        let handing = &self.shared.handing;
        handing.now.set(true);
        handing.told.notify_waiters();
        self.idle(take_asked).await;
        (handing.handed.take(), self.shared.last.get())
    }

    /// Waits a moment for the connections to end, and does this meanwhile.
    async fn idle(&self, mut meanwhile: impl FnMut()) {
        for _ in 0..50 {
            meanwhile();
            if self.shared.count.get() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        meanwhile();
    }

    /// Answers a client; one that is gone does not matter.
    pub fn answer(&self, client: ClientId, line: &[u8]) {
        if let Some(sender) = self.shared.answers.borrow().get(&client) {
            let _ = sender.try_send(line.to_vec());
        }
    }

    /// This connection, and no other before it, is not closed for being silent.
    pub fn may_be_silent(&self, client: ClientId) {
        self.shared.patient.set(Some(client));
    }

    /// Whether a connection is still there.
    pub fn is_open(&self, client: ClientId) -> bool {
        self.shared.answers.borrow().contains_key(&client)
    }

    /// Closes every connection.
    pub fn drop_all(&self) {
        self.shared.answers.borrow_mut().clear();
    }

    /// Stops accepting and gives the last answers a moment to go out.
    pub async fn finish(&self) {
        self.accepting.abort();
        self.drop_all();
        self.idle(|| {}).await;
    }
}

async fn accept(listener: UnixListener, shared: Shared) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("accepting a connection: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(peer) = socket::peer(&stream) else {
            continue;
        };
        if !socket::is_us(peer) {
            tracing::warn!("refused a connection of uid {}", peer.uid);
            continue;
        }
        if shared.count.get() >= CLIENTS_MAX {
            // Told without waiting: a full client does not hold up the next one.
            let _ = stream.try_write(&shared.refusal("overloaded", "too many connections"));
            continue;
        }
        let id = shared.last.get() + 1;
        shared.last.set(id);
        let client = Connection::new(&shared, ClientId(id), peer);
        let hello = documents::hello_line((*shared.origin).clone());
        spawn_local(client.serve(stream, hello, false));
    }
}

struct Connection {
    id: ClientId,
    peer: Peer,
    shared: Shared,
    /// How many requests it has made.
    asked: u64,
    /// Bytes of its unfinished requests.
    mine: usize,
    buffer: Vec<u8>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.count.set(shared.count.get() - 1);
        shared.held.set(shared.held.get() - self.mine);
        // The map may be borrowed only if we are dropped by its own clearing, which holds no entry of ours then.
        if let Ok(mut answers) = shared.answers.try_borrow_mut() {
            answers.remove(&self.id);
        }
    }
}

/// How a wait of a connection ended.
enum Came<T> {
    This(T),
    /// It is to be handed over.
    Handing,
}

impl Connection {
    fn new(shared: &Shared, id: ClientId, peer: Peer) -> Connection {
        shared.count.set(shared.count.get() + 1);
        Connection {
            id,
            peer,
            shared: shared.clone(),
            asked: 0,
            mine: 0,
            buffer: Vec::new(),
        }
    }

    /// From now on answers for it are taken.
    fn listen(&self) -> mpsc::Receiver<Vec<u8>> {
        let (send, answer) = mpsc::channel(1);
        self.shared.answers.borrow_mut().insert(self.id, send);
        answer
    }

    /// The number of its last request.
    fn asker(&self) -> Asker {
        Asker((self.id.0 << 24) | self.asked)
    }

    /// Greets, asks and answers until the end; `waits`: the last request is not answered yet.
    fn serve(
        mut self,
        mut stream: UnixStream,
        hello: Vec<u8>,
        mut waits: bool,
    ) -> impl Future<Output = ()> {
        // Before it is first polled: an answer may be there at once.
        let mut answer = self.listen();
        async move {
            if !write(&mut stream, &hello).await {
                return;
            }
            loop {
                if !waits {
                    let line = match self.next_line(&mut stream).await {
                        Came::Handing => return self.hand_over(stream, false),
                        Came::This(Ok(Some(line))) => line,
                        Came::This(Ok(None)) => return,
                        Came::This(Err((word, message))) => {
                            let line = self.shared.refusal(word, &message);
                            let _ = write(&mut stream, &line).await;
                            return;
                        }
                    };
                    let request = match wire::parse(&line) {
                        Ok(request) => request,
                        Err((word, message)) => {
                            let line = self.shared.refusal(word, &message);
                            if !write(&mut stream, &line).await {
                                return;
                            }
                            continue;
                        }
                    };
                    drop(line);
                    self.asked += 1;
                    let heard = Heard::Request {
                        client: self.id,
                        asker: self.asker(),
                        peer: self.peer,
                        request: Box::new(request),
                    };
                    if self.shared.ask.send(heard).await.is_err() {
                        return;
                    }
                }
                waits = false;
                let line = match self.next_answer(&mut stream, &mut answer).await {
                    Came::Handing => return self.hand_over(stream, true),
                    Came::This(line) => line,
                };
                match line {
                    Some(line) if write(&mut stream, &line).await => {}
                    _ => return,
                }
            }
        }
    }

    async fn next_line(
        &mut self,
        stream: &mut UnixStream,
    ) -> Came<Result<Option<Vec<u8>>, (&'static str, String)>> {
        let handing = Rc::clone(&self.shared.handing);
        let told = handing.told.notified();
        if handing.now.get() {
            return Came::Handing;
        }
        tokio::select! {
            line = self.line(stream) => Came::This(line),
            () = told => Came::Handing,
        }
    }

    /// The answer to the last request; none if the other end is gone.
    async fn next_answer(
        &mut self,
        stream: &mut UnixStream,
        answer: &mut mpsc::Receiver<Vec<u8>>,
    ) -> Came<Option<Vec<u8>>> {
        let handing = Rc::clone(&self.shared.handing);
        loop {
            let told = handing.told.notified();
            if let Ok(line) = answer.try_recv() {
                return Came::This(Some(line));
            }
            if handing.now.get() {
                return Came::Handing;
            }
            tokio::select! {
                line = answer.recv() => return Came::This(line),
                () = told => {}
                // More requests may come before the answer: they wait. The end is what matters.
                open = self.more(stream) => {
                    if !open {
                        let asker = self.asker();
                        let _ = self.shared.ask.send(Heard::Gone { asker }).await;
                        return Came::This(None);
                    }
                }
            }
        }
    }

    /// Leaves its descriptor and what is known of it.
    fn hand_over(mut self, stream: UnixStream, waits: bool) {
        let Ok(stream) = stream.into_std() else {
            return;
        };
        let fd = OwnedFd::from(stream);
        let carried = CarriedClient {
            fd: replace::number(&fd),
            id: self.id.0,
            asked: self.asked,
            waits,
            unread: std::mem::take(&mut self.buffer),
        };
        self.shared.handing.handed.borrow_mut().push((carried, fd));
    }

    /// The next line, without its line feed; `None` at the end.
    async fn line(
        &mut self,
        stream: &mut UnixStream,
    ) -> Result<Option<Vec<u8>>, (&'static str, String)> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.account();
                line.pop();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_MAX {
                return Err((
                    "line_too_long",
                    format!("a request line has at most {LINE_MAX} bytes"),
                ));
            }
            let patience = if self.buffer.is_empty() && self.shared.patient.get() == Some(self.id) {
                Duration::MAX
            } else if self.buffer.is_empty() {
                IDLE_LASTS
            } else {
                LINE_LASTS
            };
            match timeout(patience, self.more(stream)).await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Ok(None),
            }
            if self.shared.held.get() > HELD_MAX {
                return Err(("overloaded", "too many large requests at once".into()));
            }
        }
    }

    /// Reads what is there into the buffer, up to the longest line; false at the end of the stream.
    async fn more(&mut self, stream: &mut UnixStream) -> bool {
        if self.buffer.len() > LINE_MAX {
            // Full: wait for nothing more than the end of the task.
            std::future::pending::<()>().await;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 4_096 {
            self.buffer = Vec::new();
        }
        // Readable first: an idle client holds no buffer.
        if stream.readable().await.is_err() {
            return false;
        }
        self.buffer.reserve(1_024);
        let open = match stream.try_read_buf(&mut self.buffer) {
            Ok(n) => n > 0,
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        };
        self.account();
        open
    }

    fn account(&mut self) {
        let held = &self.shared.held;
        held.set(held.get() - self.mine + self.buffer.len());
        self.mine = self.buffer.len();
    }
}

async fn write(stream: &mut UnixStream, bytes: &[u8]) -> bool {
    matches!(
        timeout(ANSWER_LASTS, stream.write_all(bytes)).await,
        Ok(Ok(()))
    )
}

/// Thousands of clients need descriptors; the runtime was started before and keeps its own limit.
pub fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(4_096);
        if soft < wanted {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
        }
    }
}
