//! WebSocket frames to messages, one direction of a connection, in whatever pieces it comes.

/// Longest message that is kept, in bytes; of a longer one the beginning.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

/// What a peer said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A packet; of a binary frame, which nothing in the contract is, a text that is none.
    Text(String),
    Close,
}

/// Reads frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    waiting: Vec<u8>,
    message: Vec<u8>,
    is_text: bool,
}

impl Frames {
    /// Takes the next bytes; returns the messages that they complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.waiting.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut used = 0;
        while let Some((frame, len)) = frame(&self.waiting[used..]) {
            used += len;
            messages.extend(self.read(&frame));
        }
        self.waiting.drain(..used);
        messages
    }

    fn read(&mut self, frame: &Frame) -> Option<Message> {
        match frame.opcode {
            TEXT | BINARY => {
                self.message.clear();
                self.is_text = frame.opcode == TEXT;
            }
            CONTINUATION => {}
            CLOSE => return Some(Message::Close),
            _ => return None,
        }
        let room = MESSAGE_BYTES_MAX.saturating_sub(self.message.len());
        self.message.extend_from_slice(&frame.payload[..frame.payload.len().min(room)]);
        if !frame.is_last {
            return None;
        }
        let message = std::mem::take(&mut self.message);
        Some(Message::Text(if self.is_text {
            String::from_utf8_lossy(&message).into_owned()
        } else {
            format!("a binary frame of {} bytes", message.len())
        }))
    }
}

struct Frame {
    opcode: u8,
    is_last: bool,
    payload: Vec<u8>,
}

/// The first whole frame and its length in bytes.
fn frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [first, second] = *bytes.first_chunk::<2>()?;
    let (len, mut at) = match second & 0x7f {
        0x7e => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        0x7f => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
        len => (u64::from(len), 2),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        mask = *bytes.get(at..)?.first_chunk()?;
        at += mask.len();
    }
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    let payload = bytes.get(at..end)?.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
    let frame =
        Frame { opcode: first & 0x0f, is_last: first & 0x80 != 0, payload: payload.collect() };
    Some((frame, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_in_any_pieces() {
        let mut bytes = vec![0x01, 0x83, 1, 2, 3, 4, b'4' ^ 1, b'2' ^ 2, b'[' ^ 3];
        bytes.extend([0x89, 0x00, 0x80, 0x01, b']']);
        bytes.extend([0x81, 0x7e, 0x01, 0x2c]);
        bytes.extend([b'x'; 300]);
        bytes.extend([0x82, 0x02, 4, 2]);
        bytes.extend([0x88, 0x00]);
        for piece in [1, 2, 7, 1_000] {
            let mut frames = Frames::default();
            let messages: Vec<_> = bytes.chunks(piece).flat_map(|it| frames.take(it)).collect();
            let texts = ["42[]", &"x".repeat(300), "a binary frame of 2 bytes"];
            let texts = texts.map(|text| Message::Text(text.to_owned()));
            let expect: Vec<_> = texts.into_iter().chain([Message::Close]).collect();
            assert_eq!(messages, expect, "{piece}");
        }
    }
}
