//! Takes the escapes out of the names of events before the library sees them.
//!
//! socketioxide reads a name as a borrowed string, which one with an escape (`"say \"hi\""`, `"h\u00e9llo"`) cannot be, and
//! ends the connection. No event of ours has such a name, so its escapes are overwritten with `_`, byte for byte: the
//! event stays unknown, and is ignored as the contract says. Nothing but names is touched.

/// Reads one Engine.IO packet, byte for byte, as it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Packet {
    #[default]
    Start,
    /// After the `4` of a message.
    Kind,
    /// Between the `2` or `5` of an event and its `[`: attachments, namespace, ack id.
    Head,
    /// After the `[`.
    Array,
    Name,
    /// After a `\` in the name.
    Escape,
    /// Nothing more to be done.
    Rest,
}

impl Packet {
    /// Takes the next byte; returns it, or what stands in its place.
    fn take(&mut self, byte: u8) -> u8 {
        let (next, byte) = match (*self, byte) {
            (Self::Start, b'4') => (Self::Kind, byte),
            (Self::Head, b'[') | (Self::Array, b' ' | b'\t' | b'\r' | b'\n') => (Self::Array, byte),
            (Self::Head, b'"' | b'{') => (Self::Rest, byte),
            (Self::Kind, b'2' | b'5') | (Self::Head, _) => (Self::Head, byte),
            (Self::Array, b'"') | (Self::Name, 0..=b'!' | b'#'..=b'[' | b']'..) => {
                (Self::Name, byte)
            }
            (Self::Name, b'\\') => (Self::Escape, b'_'),
            (Self::Escape, 0..=0x7f) => (Self::Name, b'_'),
            // Half a character must not be overwritten; it is no JSON anyway.
            (Self::Escape, _) => (Self::Name, byte),
            (Self::Start | Self::Kind | Self::Array | Self::Name | Self::Rest, _) => {
                (Self::Rest, byte)
            }
        };
        *self = next;
        byte
    }
}

/// Overwrites the escapes in the names of a long-polling body: packets with a separator between them.
pub(super) fn defuse_body(body: &mut [u8]) {
    const SEPARATOR: u8 = 0x1e;
    let mut packet = Packet::default();
    for byte in body {
        *byte = packet.take(*byte);
        if *byte == SEPARATOR {
            packet = Packet::default();
        }
    }
}

/// The same for the frames that a client sends over a WebSocket, in pieces as they come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    state: Frame,
    packet: Packet,
}

#[derive(Debug)]
enum Frame {
    /// What has come of a header.
    Header {
        bytes: [u8; HEADER_BYTES_MAX],
        len: usize,
    },
    Payload {
        left: u64,
        mask: [u8; 4],
        at: usize,
        is_text: bool,
    },
    /// Not what a client may send: the library will say so.
    Foreign,
}

/// Two bytes, a length of eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

impl Default for Frame {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_BYTES_MAX], len: 0 }
    }
}

impl Frames {
    /// Overwrites the escapes in the names of this piece.
    pub(super) fn defuse(&mut self, mut piece: &mut [u8]) {
        while !piece.is_empty() {
            match &mut self.state {
                Frame::Foreign => return,
                Frame::Header { bytes, len } => {
                    bytes[*len] = piece[0];
                    *len += 1;
                    piece = &mut piece[1..];
                    if let Some(next) = self.header_is_read() {
                        self.state = next;
                    }
                }
                Frame::Payload { left, mask, at, is_text } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                    let (now, rest) = piece.split_at_mut(here);
                    if *is_text && self.packet != Packet::Rest {
                        for byte in now {
                            let key = mask[*at % mask.len()];
                            *byte = self.packet.take(*byte ^ key) ^ key;
                            *at += 1;
                        }
                    } else {
                        *at += here;
                    }
                    *left -= here as u64;
                    piece = rest;
                    if *left == 0 {
                        self.state = Frame::default();
                    }
                }
            }
        }
    }

    /// What follows a header, once all of it has come.
    fn header_is_read(&mut self) -> Option<Frame> {
        let Frame::Header { bytes, len } = &self.state else { return None };
        let [first, second] = [bytes[0], bytes[1]];
        if *len < 2 {
            return None;
        }
        if second & 0x80 == 0 {
            return Some(Frame::Foreign); // A client masks every frame.
        }
        let length_bytes = match second & 0x7f {
            0x7e => 2,
            0x7f => 8,
            _ => 0,
        };
        if *len < 2 + length_bytes + 4 {
            return None;
        }
        let left = if length_bytes == 0 {
            u64::from(second & 0x7f)
        } else {
            bytes[2..2 + length_bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let mut mask = [0; 4];
        mask.copy_from_slice(&bytes[2 + length_bytes..2 + length_bytes + 4]);
        let opcode = first & 0x0f;
        match opcode {
            TEXT => self.packet = Packet::default(),
            BINARY => self.packet = Packet::Rest,
            _ => {}
        }
        if left == 0 {
            return Some(Frame::default());
        }
        // Control frames come in between and change nothing.
        let is_text = matches!(opcode, TEXT | CONTINUATION);
        Some(Frame::Payload { left, mask, at: 0, is_text })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    fn defused(packet: &str) -> String {
        let mut bytes = packet.as_bytes().to_vec();
        defuse_body(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    /// One frame of a client.
    fn frame(opcode: u8, is_last: bool, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![if is_last { 0x80 } else { 0 } | opcode];
        match u16::try_from(payload.len()) {
            Ok(len) if len < 126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
            Ok(len) => {
                bytes.push(0x80 | 0x7e);
                bytes.extend(len.to_be_bytes());
            }
            Err(_) => {
                bytes.push(0x80 | 0x7f);
                bytes.extend((payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    #[test]
    fn only_the_escapes_of_a_name_are_overwritten() {
        let check = |packet: &str, expect: &str| assert_eq!(defused(packet), expect);
        check(r#"42["say \"hi\"","a\"b"]"#, r#"42["say __hi__","a\"b"]"#);
        check(r#"42["h\u00e9llo",{"a\"b":1}]"#, r#"42["h__00e9llo",{"a\"b":1}]"#);
        check(r#"427[ "a\\",1]"#, r#"427[ "a__",1]"#);
        check(r#"42/chat,7["a\nb"]"#, r#"42/chat,7["a__b"]"#);
        check(r#"451-["a\/b",{"_placeholder":true}]"#, r#"451-["a__b",{"_placeholder":true}]"#);
        for packet in [
            r#"42["sendMessage",{"content":"a\"b\\c\n"}]"#,
            r#"4217["sendMessage",{"content":"\u0000"}]"#,
            r#"40{"token":"a\"b"}"#,
            r#"431[{"a":"\n"}]"#,
            r#"42["héllo"]"#,
            r#"42[7,"a\n"]"#,
            r#"42{"a\n":1}"#,
            r#"["a\n"]"#,
            "3",
            "",
        ] {
            check(packet, packet);
        }
        check("42[\"a\\n\"]\u{1e}2\u{1e}42[\"b\\n\"]", "42[\"a__\"]\u{1e}2\u{1e}42[\"b__\"]");
    }

    proptest! {
        #[test]
        fn frames_are_read_as_one_whole_whatever_their_pieces(
            packets in prop::collection::vec(r#"(4[0-5]{1,3}(\[|\{)? ?"?)?[a-z\\"\[\]é0-9]{0,200}"#, 1..5),
            masks in prop::collection::vec(any::<[u8; 4]>(), 5),
            cut in 0..50_usize,
            piece in 1..40_usize,
        ) {
            let (mut sent, mut expect) = (Vec::new(), Vec::new());
            for (packet, mask) in packets.iter().zip(masks) {
                // In two fragments, with a pong between them.
                let wanted = defused(packet);
                for (stream, text) in [(&mut sent, packet.as_bytes()), (&mut expect, wanted.as_bytes())] {
                    let (first, second) = text.split_at(cut.min(text.len()));
                    stream.extend(frame(TEXT, false, mask, first));
                    stream.extend(frame(10, true, mask, b"42[\"a\\n\"]"));
                    stream.extend(frame(CONTINUATION, true, mask, second));
                }
            }
            let mut frames = Frames::default();
            for piece in sent.chunks_mut(piece) {
                frames.defuse(piece);
            }
            prop_assert_eq!(sent, expect);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>, piece in 1..10_usize) {
            let mut frames = Frames::default();
            for piece in bytes.chunks_mut(piece) {
                frames.defuse(piece);
            }
            defuse_body(&mut bytes);
        }
    }
}
