//! `request`: whether there is such a call, and whether anybody is there who answers it.

use super::{Linter, people::numbered};
use crate::scenario::{Backends, Place, Port, Request, closest};

const VERBS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// The paths of the contract without an id in them, and those of the probes.
const PATHS: [&str; 6] = ["rooms", "livez", "readyz", "health", "metrics", "socket.io"];

/// Those with an id between two words.
const PATHS_OF_ONE: [(&str, &str); 5] = [
    ("rooms", "join"),
    ("rooms", "leave"),
    ("rooms", "members"),
    ("rooms", "messages"),
    ("users", "presence"),
];

impl Linter<'_> {
    pub(super) fn request(&mut self, request: &Request) {
        let Request { by, call, to, capture, name, .. } = request;
        self.actor(&by.value, by.into());
        if let Some(to) = to {
            // Workers have no other port.
            let stack = &self.scenario.stack;
            let workers = numbered("worker", stack.workers.value);
            let is_worker = workers.contains(&to.value) && stack.backends != Backends::Embedded;
            if is_worker && request.port == Port::Public {
                let problem = self.problem(to, format!("`{}` has no port for everybody", to.value));
                self.report(problem.with_help("write `port: admin` beside it"));
            } else if !is_worker {
                self.gateway(&to.value, to.into());
            }
        }
        self.must_reply(request);
        self.times([&request.within]);
        let is_call = call.value.split_once(' ').is_some_and(|(verb, path)| {
            VERBS.contains(&verb) && (path.starts_with('/') || path.starts_with("${"))
        });
        if is_call {
            self.path(request);
            if let Some(within) = request.within.as_ref().filter(|_| self.is_done_twice(request)) {
                let problem = self.problem(within, "asked again it would be done again");
                self.report(problem.with_help("only a `GET` can be repeated"));
            }
        } else {
            let problem = self.problem(call, format!("`{}` is no request", call.value));
            self.report(problem.with_help("write for example `call: POST /rooms`"));
        }
        if let Some(status) = request.status.as_ref().filter(|it| !(100..=599).contains(&it.value))
        {
            let text = format!("no answer has the status {}: they are 100 to 599", status.value);
            self.report(self.problem(status, text));
        }
        self.names(call);
        if let Some(body) = &request.raw_body {
            self.names(body);
            if body.value.contains("{{ any ") {
                let problem = self.problem(body, "nothing is made up within `raw_body`");
                self.report(problem.with_help("write `body:`, with `{{ any ... }}` as a value"));
            }
            if request.body.is_some() {
                let text = "`raw_body` replaces `body`: write one of them";
                self.report(self.problem(body, text));
            }
        }
        for value in request.body.iter().chain(&request.reply) {
            self.names_of(value);
        }
        if let Some(name) = name
            && call.value.split('?').next() != Some("POST /rooms")
        {
            let problem = self.problem(name, "`as` names the room that `POST /rooms` makes");
            self.report(problem.with_help("write `capture: { name: field }` for other replies"));
        }
        self.known.captured.extend(capture.keys().chain(name.iter().map(|it| &it.value)).cloned());
    }

    /// Whether a request that is made again until its answer is the wanted one may do more than it says.
    fn is_done_twice(&self, request: &Request) -> bool {
        let Request { by, call, status, .. } = request;
        if ["GET ", "HEAD ", "OPTIONS "].iter().any(|verb| call.value.starts_with(verb)) {
            return false;
        }
        let Some(status) = status.as_ref().filter(|status| status.value >= 400) else {
            return true;
        };
        // What is refused changes nothing, but what was done the first time may be refused the second time.
        let room = call.value.split_once("/rooms/${").and_then(|(_, rest)| rest.split_once('}'));
        let members = room.and_then(|(room, _)| self.scenario.rooms.get(room.trim()));
        let is_member = members.map(|all| all.value.iter().any(|member| member.value == by.value));
        match status.value {
            409 => call.value.ends_with("/join") && is_member == Some(false),
            404 => call.value.ends_with("/leave") && is_member == Some(true),
            _ => false,
        }
    }

    /// Whether there is such a path; a problem if not, unless it is to be answered so.
    fn path(&mut self, request: &Request) {
        let path = request.call.value.split_once(' ').map_or("", |(_, path)| path);
        let Err(meant) = known_path(path) else { return };
        let is_wanted = request.status.as_ref().is_some_and(|status| status.value >= 400);
        if is_wanted {
            return;
        }
        let problem = self.problem(&request.call, format!("no gateway has the path `{path}`"));
        let help = meant.map_or_else(
            || "write `status: 404`, or a path of the contract".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        self.report(problem.with_help(help));
    }

    /// Whether whoever is asked runs by then, and can say what is wanted; a problem if not.
    fn must_reply(&mut self, request: &Request) {
        let Request { call, to, status, token, .. } = request;
        match to {
            Some(to) => self.must_be_up(&to.value, to.into()),
            None => self.must_have_a_gateway(call.into()),
        }
        if status.as_ref().is_some_and(|status| status.value >= 400) {
            return;
        }
        let (verb, path) = call.value.split_once(' ').unwrap_or_default();
        let is_api = ["/rooms", "/users"].iter().any(|it| path.starts_with(it));
        // A preflight has no token.
        if is_api && !token.is_good() && verb != "OPTIONS" {
            let place: Place = status.as_ref().map_or(call.into(), Into::into);
            let problem = self.problem(place, "without a good token the answer is 401");
            self.report(problem.with_help("write `status: 401`, or leave `token` out"));
        }
        let is_kept = ["POST /rooms", "GET /rooms"].iter().any(|it| call.value.starts_with(it));
        if is_kept {
            self.must_be_up("postgres", call.into());
        }
        self.succeeds_so(request);
    }

    /// Whether what succeeds has this status, and succeeds for who asks; a problem if not.
    fn succeeds_so(&mut self, request: &Request) {
        let Request { by, call, status, .. } = request;
        let Some((verb, path)) = call.value.split_once(' ') else { return };
        let path = path.split('?').next().unwrap_or_default();
        let usual = match verb {
            "GET" => 200,
            "POST" if path.ends_with("/leave") => 204,
            "POST" => 201,
            _ => return,
        };
        let is_api = ["/rooms", "/users/"].iter().any(|it| path.starts_with(it));
        if let Some(status) = status.as_ref().filter(|status| is_api && status.value != usual) {
            let text = format!("what succeeds here is answered {usual}, not {}", status.value);
            self.report(self.problem(status, text));
        }
        let room = path.strip_prefix("/rooms/${").and_then(|rest| rest.split_once('}'));
        let Some((room, rest)) = room.filter(|_| verb == "GET") else { return };
        let room = room.split('|').next().unwrap_or_default().trim();
        if rest.len() > 1 && self.is_member_throughout(&by.value, room) == Some(false) {
            let text = format!("`{}` is no member of `{room}`: the answer is 403", by.value);
            let place: Place = status.as_ref().map_or(call.into(), Into::into);
            self.report(self.problem(place, text).with_help("write `status: 403`"));
        }
    }
}

/// Whether a gateway has this path; if not, what was probably meant. A name may stand for any part of it.
fn known_path(path: &str) -> Result<(), Option<String>> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let near = |word: &str, known: &[&'static str]| {
        if word.contains("${") { None } else { closest(word, known) }
    };
    let of_one = |first: &str| -> Vec<&str> {
        PATHS_OF_ONE.iter().filter(|(known, _)| *known == first).map(|(_, last)| *last).collect()
    };
    let meant = match parts[..] {
        ["socket.io", ..] => return Ok(()),
        [word] => near(word, &PATHS).map(|word| format!("/{word}")),
        [first, id, last] => near(first, &["rooms", "users"])
            .and_then(|first| Some((first, near(last, &of_one(first))?)))
            .map(|(first, last)| format!("/{first}/{id}/{last}")),
        _ => None,
    };
    let is_open = parts.iter().step_by(2).any(|part| part.contains("${"));
    if is_open || meant.as_deref() == Some(path) {
        return Ok(());
    }
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    Err(meant.map(|meant| meant + &query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_or_what_was_meant_is() {
        for path in ["/rooms", "/rooms/${a}/join", "/users/x/presence", "/livez", "/socket.io/?a"] {
            assert_eq!(known_path(path), Ok(()), "{path}");
        }
        assert_eq!(known_path("/${rooms}"), Ok(()));
        assert_eq!(known_path("/rooms/x/messages?limit=2"), Ok(()));
        let meant = |path| known_path(path).unwrap_err();
        assert_eq!(meant("/roms").as_deref(), Some("/rooms"));
        assert_eq!(
            meant("/rooms/${a}/mesages?limit=2").as_deref(),
            Some("/rooms/${a}/messages?limit=2")
        );
        assert_eq!(meant("/nothing"), None);
        assert_eq!(meant("/rooms/x/kick"), None);
        assert_eq!(meant("/rooms/x"), None);
    }
}
