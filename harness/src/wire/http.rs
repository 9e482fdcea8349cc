//! HTTP/1.1 messages, one direction of a connection, in whatever pieces they come.

/// Longest head that is read, in bytes, and most headers in it.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;

/// A request or a response, whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// `GET`; empty in a response.
    pub(super) method: String,
    pub(super) target: String,
    /// 0 in a request.
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// How far a message is read.
#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are missing.
    Body(Message, usize),
    Chunks(Message),
    /// No HTTP, or an end that only the connection's end tells.
    Foreign,
}

/// Reads messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    waiting: Vec<u8>,
    state: State,
}

impl Messages {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Foreign) {
            self.waiting.extend_from_slice(bytes);
        }
    }

    /// What has come after the last whole message, for who goes on in another protocol.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }

    /// The next whole message. `is_request`: which of the two is read here.
    pub(super) fn next(&mut self, is_request: bool) -> Option<Message> {
        loop {
            match std::mem::take(&mut self.state) {
                State::Foreign => {
                    self.state = State::Foreign;
                    return None;
                }
                State::Head => self.state = self.head(is_request)?,
                State::Body(mut message, missing) => {
                    let here = missing.min(self.waiting.len());
                    message.body.extend(self.waiting.drain(..here));
                    if here == missing {
                        return Some(message);
                    }
                    self.state = State::Body(message, missing - here);
                    return None;
                }
                State::Chunks(mut message) => {
                    let Some((is_last, used)) = chunk(&self.waiting, &mut message.body) else {
                        self.state = State::Chunks(message);
                        return None;
                    };
                    self.waiting.drain(..used);
                    if is_last {
                        return Some(message);
                    }
                    self.state = State::Chunks(message);
                }
            }
        }
    }

    /// What follows a head, once all of it is there.
    fn head(&mut self, is_request: bool) -> Option<State> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut message = Message::default();
        let (parsed, headers) = if is_request {
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(&self.waiting);
            request.method.unwrap_or_default().clone_into(&mut message.method);
            request.path.unwrap_or_default().clone_into(&mut message.target);
            (parsed, request.headers)
        } else {
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(&self.waiting);
            message.status = response.code.unwrap_or_default();
            (parsed, response.headers)
        };
        let used = match parsed {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) if self.waiting.len() <= HEAD_BYTES_MAX => return None,
            Ok(httparse::Status::Partial) | Err(_) => return Some(State::Foreign),
        };
        let value = |name: &str| {
            let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let length = value("content-length").and_then(|text| text.trim().parse::<usize>().ok());
        let is_chunked = value("transfer-encoding")
            .is_some_and(|encoding| encoding.to_ascii_lowercase().contains("chunked"));
        let is_bodiless = is_request || matches!(message.status, 100..200 | 204 | 304);
        let next = match (is_chunked, length) {
            (true, _) => State::Chunks(message),
            (false, Some(length)) => State::Body(message, length),
            (false, None) if is_bodiless => State::Body(message, 0),
            (false, None) => State::Foreign,
        };
        self.waiting.drain(..used);
        Some(next)
    }
}

/// Appends the first whole chunk to `body`: whether it was the last one, and its length with all around it.
fn chunk(bytes: &[u8], body: &mut Vec<u8>) -> Option<(bool, usize)> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let size = std::str::from_utf8(&bytes[..line]).ok()?;
    let size = size.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).ok()?;
    let begin = line + 2;
    let end = begin.checked_add(size)?.checked_add(2)?;
    body.extend_from_slice(bytes.get(begin..end)?.get(..size)?);
    Some((size == 0, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_in_any_pieces() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\nHTTP/1.1 101 Switching\r\n\r\nrest";
        for piece in [1, 3, 20, 1_000] {
            let mut messages = Messages::default();
            let mut seen = Vec::new();
            for bytes in bytes.chunks(piece) {
                messages.push(bytes);
                while !seen.iter().any(|(status, _)| *status == 101) {
                    let Some(message) = messages.next(false) else { break };
                    seen.push((message.status, String::from_utf8(message.body).unwrap()));
                }
            }
            let expect = [(200, "hello"), (200, "abcd"), (101, "")];
            assert_eq!(seen, expect.map(|(status, body)| (status, body.to_owned())), "{piece}");
            assert_eq!(messages.rest(), b"rest");
        }
        let mut messages = Messages::default();
        messages.push(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n");
        let request = messages.next(true).unwrap();
        assert_eq!((&*request.method, &*request.target), ("GET", "/socket.io/?EIO=4"));
        messages.push(b"\0\0\r\n\r\n");
        assert_eq!(messages.next(true), None);
    }
}
