//! What ids are called: as the scenario names them, and what follows from that.

use std::{borrow::Cow, collections::BTreeMap};

use uuid::Uuid;

use super::{History, Story};

/// Ids are at least so long, in bytes: a captured `12` is no id, and would be found everywhere.
const ID_BYTES_MIN: usize = 12;

/// How much is shown of an id that nobody has named, in characters: its end, since ids that follow each other begin alike.
const UNNAMED_CHARS: usize = 8;

/// The names of all ids of a run: people, rooms and messages (`hi`, or `alice.phone.message3` without a name), the
/// `messageId` of a message (`hi.id`), and the newest socket of a device (`alice.phone.socket`, those before it
/// `alice.phone.socket1` and so on).
#[derive(Clone, Debug, Default)]
pub struct IdNames {
    /// By the id in lower case.
    known: BTreeMap<String, String>,
}

impl IdNames {
    pub fn new(history: &History, story: &Story) -> Self {
        let mut known = BTreeMap::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
        for connection in story.connections.values() {
            let Some(socket) = &connection.socket else { continue };
            let number = numbers.entry(&connection.device).or_default();
            *number += 1;
            newest.insert(&connection.device, socket);
            known.insert(socket.to_lowercase(), format!("{}.socket{number}", connection.device));
        }
        for (device, socket) in newest {
            known.insert(socket.to_lowercase(), format!("{device}.socket"));
        }
        known.extend(messages(story));
        // What the scenario says is the last word.
        known.extend(history.names().clone());
        let stored = story.stored.values().flatten();
        for message in stored.chain(story.deliveries.iter().map(|heard| &heard.message)) {
            let id = |field: &str| message[field].as_str().map(str::to_lowercase);
            if let (Some(id), Some(sent)) = (id("messageId"), id("clientMsgId"))
                && let Some(name) = known.get(&sent)
            {
                let name = format!("{name}.id");
                known.entry(id).or_insert(name);
            }
        }
        Self { known }
    }

    /// From here on `id` is called `name`, unless it has a name.
    pub fn call(&mut self, id: &str, name: &str) {
        self.known.entry(id.to_lowercase()).or_insert_with(|| name.to_owned());
    }

    pub fn of(&self, id: &str) -> Option<&str> {
        self.known.get(&id.to_lowercase()).map(String::as_str)
    }

    /// A text with names instead of the ids in it, in one walk: there may be thousands of names. A `serverId` is its gateway.
    pub fn in_text(&self, text: &str) -> String {
        self.walk(text, |id| Cow::Borrowed(id))
    }

    /// The same, and of an id that nobody has named its end, as `<id 3f2a91c0>`.
    pub fn in_words(&self, text: &str) -> String {
        self.walk(text, |id| match Uuid::try_parse(id) {
            Ok(_) if id.contains('-') => format!("<id {}>", &id[id.len() - UNNAMED_CHARS..]).into(),
            _ => Cow::Borrowed(id),
        })
    }

    fn walk(&self, text: &str, unnamed: impl Fn(&str) -> Cow<'_, str>) -> String {
        let is_of_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(|c| !is_of_id(c)).unwrap_or(rest.len());
            let (id, after) = rest.split_at(word);
            let known = if id.len() < ID_BYTES_MIN { None } else { self.of(id) };
            match known.or_else(|| gateway_of(id)) {
                Some(name) => {
                    shown.push_str(name);
                    shown.push_str(letter_case(id));
                }
                None => shown.push_str(&unnamed(id)),
            }
            let next = after.find(is_of_id).unwrap_or(after.len());
            shown.push_str(&after[..next]);
            rest = &after[next..];
        }
        shown
    }
}

/// What messages are called that nobody has named: `alice.phone.message3` is the third one that this device has sent,
/// `published2` the second record that a step has written.
fn messages(story: &Story) -> BTreeMap<String, String> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut known = BTreeMap::new();
    for sent in story.sent.iter().filter(|sent| sent.event == "sendMessage") {
        let device = story.device(sent.connection);
        let number = numbers.entry(device).or_default();
        *number += 1;
        if let Some(id) = sent.id("clientMsgId").filter(|id| Uuid::try_parse(id).is_ok()) {
            known.entry(id).or_insert_with(|| format!("{device}.message{number}"));
        }
    }
    for (number, (_, record)) in (1..).zip(&story.published) {
        let id = record["clientMsgId"].as_str().filter(|id| Uuid::try_parse(id).is_ok());
        if let Some(id) = id {
            known.entry(id.to_lowercase()).or_insert_with(|| format!("published{number}"));
        }
    }
    known
}

/// What is said of an id that is not in lower case, as ids are: `${hi|upper}` writes one in capitals.
pub fn letter_case(id: &str) -> &'static str {
    if Uuid::try_parse(id).is_err() || id == id.to_lowercase() {
        ""
    } else if id == id.to_uppercase() {
        "|upper"
    } else {
        "|mixed"
    }
}

/// `gw1` of a `serverId` of ours, which is that and a random end.
pub fn gateway_of(server_id: &str) -> Option<&str> {
    let (gateway, random) = server_id.split_once('-')?;
    let number = gateway.strip_prefix("gw")?;
    (number.parse::<usize>().is_ok() && Uuid::try_parse(random).is_ok()).then_some(gateway)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{ConnectionId, What},
        *,
    };

    const LETTERS: &str = "aaaaaaaa-2222-4333-8444-555555555555";
    const ID: &str = "11111111-2222-4333-8444-555555555555";

    #[test]
    fn messages_without_a_name_are_numbered() {
        let mut history = History::default();
        let [device, user, gateway] = ["alice.phone", "alice", "gw1"].map(str::to_owned);
        let (connection, at) = (ConnectionId(1), Duration::ZERO);
        history.push(at, What::Opened { connection, device, user, gateway, is_polling: false });
        for id in [LETTERS, ID, LETTERS] {
            let packet = format!(r#"42["sendMessage",{{"clientMsgId":"{id}"}}]"#);
            history.push(at, What::Sent { connection, packet });
        }
        let shown = |history: &History| {
            IdNames::new(history, &Story::read(history)).in_words(&format!("{LETTERS} {ID}"))
        };
        assert_eq!(shown(&history), "alice.phone.message1 alice.phone.message2");
        history.call(ID, "hi");
        assert_eq!(shown(&history), "alice.phone.message1 hi");
    }

    #[test]
    fn ids_in_a_text_are_named() {
        let mut names = IdNames::default();
        names.call(ID, "hi");
        names.call("aBcDeFgHiJkLmNoPqRsT", "alice.phone.socket");
        names.call("12", "too-short");
        names.call(LETTERS, "id");
        let check = |text: &str, shown: &str| assert_eq!(names.in_words(text), shown);
        check(&format!("é{ID}\"12/{ID}x"), &format!("éhi\"12/{ID}x"));
        check("{\"socketId\":\"aBcDeFgHiJkLmNoPqRsT\"}", "{\"socketId\":\"alice.phone.socket\"}");
        check(&format!("{ID} {}", LETTERS.to_uppercase()), "hi id|upper");
        check(&format!("gw2-{ID}"), "gw2");
        check("3f2a91c0-2222-4333-8444-5555333f91c0!", "<id 333f91c0>!");
        check("deadbeefdeadbeefdeadbeefdeadbeef", "deadbeefdeadbeefdeadbeefdeadbeef");
        let unnamed = "3f2a91c0-2222-4333-8444-555555555555";
        assert_eq!(names.in_text(unnamed), unnamed);
    }
}
