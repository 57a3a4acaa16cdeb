//! A client of the ack socket that says exactly what a test wants it to say.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// One connection.
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects; the greeting is still to be read.
    #[track_caller]
    pub fn connect(path: &Path) -> Client {
        match UnixStream::connect(path) {
            Ok(stream) => Client {
                reader: BufReader::new(stream),
            },
            Err(e) => panic!("{}: {e}", path.display()),
        }
    }

    /// Connects and reads the greeting.
    #[track_caller]
    pub fn greeted(path: &Path) -> Client {
        let mut client = Client::connect(path);
        let hello = client.line(super::SOON).expect("a greeting");
        assert_eq!(hello["schema"], "mosaic.hello/1", "{hello}");
        client
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        let sent = self.reader.get_mut().write_all(bytes);
        sent.expect("the connection takes bytes");
    }

    /// The next line as JSON; none if the connection is closed or silent that long.
    pub fn line(&mut self, within: Duration) -> Option<Value> {
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(within)).ok()?;
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Asks one question.
    #[track_caller]
    pub fn ask(&mut self, request: &Value) -> Value {
        self.send(format!("{request}\n").as_bytes());
        match self.line(super::LATER) {
            Some(answer) => answer,
            None => panic!("no answer to {request}"),
        }
    }
}
