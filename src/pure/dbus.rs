//! As much of the D-Bus wire format as it takes to ask a service manager a few questions at once.
//!
//! `systemctl show` fetches every property of every unit, which costs the manager 1 to 4 ms each; what `ps` needs of a
//! hundred units are two hundred small values. The format is that of the D-Bus specification, little-endian.

/// The longest reply read: the list of a thousand units has 300 KB.
pub const REPLIES_MAX: usize = 4 * 1024 * 1024;

/// The longest message the specification allows, header and body each.
const LENGTH_MAX: usize = 128 * 1024 * 1024;

/// A method call. Its arguments are strings and lists of strings: all that is needed here.
pub struct Call<'a> {
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
    /// The arguments.
    pub arguments: Vec<Argument<'a>>,
}

/// One argument.
pub enum Argument<'a> {
    /// `s`
    Text(&'a str),
    /// `as`
    Texts(&'a [&'a str]),
}

/// What a connection begins with: the user by whom it is opened, as the peer's credentials prove it. Two lines come
/// back, the first of them `OK`.
///
/// Whole, and the messages only after its answer: systemd reads what comes together with `BEGIN`, and then waits for
/// more before it looks at it. Nobody wants to pass descriptors; the question is there for its answer.
pub fn greeting(uid: u32) -> Vec<u8> {
    let hex: String = uid
        .to_string()
        .bytes()
        .map(|digit| format!("{digit:02x}"))
        .collect();
    format!("\0AUTH EXTERNAL {hex}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n").into_bytes()
}

/// Bytes of a message being written.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, n: usize) {
        self.align(4);
        // No message of ours comes near 4 GB.
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0
            .push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(signature.as_bytes());
        self.0.push(0);
    }

    /// A list whose elements are aligned to 4 or less.
    fn list(&mut self, texts: &[&str]) {
        let mut inner = Writer::default();
        for text in texts {
            inner.text(text);
        }
        self.number(inner.0.len());
        self.0.extend_from_slice(&inner.0);
    }
}

impl Call<'_> {
    /// The message; its answer names the same serial number, which is not 0.
    pub fn message(&self, serial: u32) -> Vec<u8> {
        let (mut body, mut signature) = (Writer::default(), String::new());
        for argument in &self.arguments {
            match argument {
                Argument::Text(text) => {
                    signature.push('s');
                    body.text(text);
                }
                Argument::Texts(texts) => {
                    signature.push_str("as");
                    body.list(texts);
                }
            }
        }
        let mut fields = Writer::default();
        for (code, kind, value) in [
            (1, "o", self.path),
            (2, "s", self.interface),
            (3, "s", self.member),
        ] {
            fields.align(8);
            fields.0.push(code);
            fields.signature(kind);
            fields.text(value);
        }
        fields.align(8);
        fields.0.push(8);
        fields.signature("g");
        fields.signature(&signature);
        // Little-endian, a method call without flags, version 1 of the protocol.
        let mut message = Writer(vec![b'l', 1, 0, 1]);
        message.number(body.0.len());
        message.0.extend_from_slice(&serial.to_le_bytes());
        message.number(fields.0.len());
        message.0.extend_from_slice(&fields.0);
        message.align(8);
        message.0.extend_from_slice(&body.0);
        message.0
    }
}

/// Bytes of a message being read. Whatever they are, reading ends in `None` and never outside of them.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn of(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    /// `u`
    pub fn number(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    /// `s` or `o`
    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        self.take(1)?;
        Some(text)
    }

    /// `g`, and what stands before the value of a variant.
    pub fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        self.take(1)?;
        Some(text)
    }

    /// An array of structures: reads each with `one`, to the end of the array.
    pub fn structures<T>(
        &mut self,
        mut one: impl FnMut(&mut Reader<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let length = usize::try_from(self.number()?).ok()?;
        self.align(8);
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())?;
        let mut all = Vec::new();
        while self.at < end {
            all.push(one(self)?);
            // The last one is not padded.
            if self.at < end {
                self.align(8);
            }
        }
        Some(all)
    }
}

/// The answer to one call.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The serial number of the call.
    pub to: u32,
    /// What it says; none for an error.
    pub body: Option<Reader<'a>>,
}

/// How many bytes the message at the beginning of these has; none while its header is not complete.
///
/// # Errors
/// These are no messages in our byte order.
fn length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(header) = bytes.get(..16) else {
        return Ok(None);
    };
    if header[0] != b'l' || header[3] != 1 {
        return Err("it does not speak little-endian D-Bus".into());
    }
    let number = |at: usize| {
        let four = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        usize::try_from(u32::from_le_bytes(four)).unwrap_or(usize::MAX)
    };
    let (body, fields) = (number(4), number(12));
    if body > LENGTH_MAX || fields > LENGTH_MAX {
        return Err("its message is longer than any may be".into());
    }
    Ok(Some((16 + fields).next_multiple_of(8) + body))
}

/// The answers in what has come so far. Signals, and whatever else is no answer, are skipped.
///
/// # Errors
/// These are no messages.
pub fn replies(mut bytes: &[u8]) -> Result<Vec<Reply<'_>>, String> {
    let mut found = Vec::new();
    while let Some(length) = length(bytes)? {
        let Some(message) = bytes.get(..length) else {
            break;
        };
        found.extend(reply(message));
        bytes = &bytes[length..];
    }
    Ok(found)
}

fn reply(message: &[u8]) -> Option<Reply<'_>> {
    // 2 is an answer, 3 an error.
    let kind = message[1];
    let mut header = Reader::of(message);
    header.at = 12;
    let mut to = None;
    header.structures(|field| {
        let code = field.byte()?;
        match field.signature()? {
            "u" => {
                let number = field.number()?;
                if code == 5 {
                    to = Some(number);
                }
            }
            "s" | "o" => _ = field.text()?,
            "g" => _ = field.signature()?,
            _ => return None,
        }
        Some(())
    })?;
    header.align(8);
    let body = message.get(header.at..)?;
    matches!(kind, 2 | 3).then_some(())?;
    Some(Reply {
        to: to?,
        body: (kind == 2).then(|| Reader::of(body)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as a service manager would write it.
    fn answer(kind: u8, to: u32, body: &[u8]) -> Vec<u8> {
        let mut fields = Writer::default();
        fields.0.push(5);
        fields.signature("u");
        fields.number(to as usize);
        fields.align(8);
        fields.0.push(7);
        fields.signature("s");
        fields.text(":1.0");
        let mut message = Writer(vec![b'l', kind, 0, 1]);
        message.number(body.len());
        message.number(9);
        message.number(fields.0.len());
        message.0.extend_from_slice(&fields.0);
        message.align(8);
        message.0.extend_from_slice(body);
        message.0
    }

    fn body() -> Vec<u8> {
        let mut body = Writer::default();
        // a(su) with two elements: each begins at a multiple of 8.
        let mut inner = Writer::default();
        for (name, n) in [("one", 1), ("twelve", 12)] {
            inner.align(8);
            inner.text(name);
            inner.number(n);
        }
        body.number(inner.0.len());
        body.align(8);
        body.0.extend_from_slice(&inner.0);
        body.0
    }

    fn read(reply: &Reply<'_>) -> Option<Vec<(String, u32)>> {
        let mut body = reply.body?;
        body.structures(|one| Some((one.text()?.to_owned(), one.number()?)))
    }

    #[test]
    fn a_call_is_written_as_the_specification_has_it() {
        let call = Call {
            path: "/a",
            interface: "b.c",
            member: "D",
            arguments: vec![
                Argument::Texts(&[]),
                Argument::Texts(&["x", "yz"]),
                Argument::Text("t"),
            ],
        };
        let message = call.message(7);
        assert_eq!(length(&message), Ok(Some(message.len())));
        assert_eq!(message[..12], [b'l', 1, 0, 1, 30, 0, 0, 0, 7, 0, 0, 0]);
        // as: 0 bytes; as: "x", padding, "yz"; s.
        let body = &message[message.len() - 30..];
        assert_eq!(body[..8], [0, 0, 0, 0, 15, 0, 0, 0]);
        assert_eq!(body[24..], [1, 0, 0, 0, b't', 0]);
    }

    #[test]
    fn answers_are_found_by_their_serial_numbers_and_others_are_skipped() {
        let mut bytes = answer(4, 1, &body());
        bytes.extend(answer(2, 2, &body()));
        bytes.extend(answer(3, 3, b""));
        let found = replies(&bytes).unwrap_or_default();
        assert_eq!(found.iter().map(|r| r.to).collect::<Vec<_>>(), [2, 3]);
        let expected = vec![("one".to_owned(), 1), ("twelve".to_owned(), 12)];
        assert_eq!(read(&found[0]), Some(expected));
        assert!(found[1].body.is_none());
    }

    #[test]
    fn any_cut_and_any_changed_byte_is_survived() {
        let whole = answer(2, 2, &body());
        for cut in 0..whole.len() {
            assert_eq!(
                replies(&whole[..cut]).map(|r| r.len()),
                Ok(0),
                "cut at {cut}"
            );
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                for reply in replies(&bytes).unwrap_or_default() {
                    let _ = read(&reply);
                }
            }
        }
        assert!(replies(&[b'B'; 64]).is_err());
    }

    #[test]
    fn the_greeting_names_the_user_in_hexadecimal_digits() {
        assert!(greeting(1000).starts_with(b"\0AUTH EXTERNAL 31303030\r\n"));
    }
}
