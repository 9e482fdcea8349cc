//! Every reply over HTTP is as the contract says: status, fields, formats.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Finding, frames, pages};
use crate::contract::{FOREIGN_ORIGIN, is_id, milliseconds_of};
use crate::history::{History, What};

/// The errors of HTTP, as statuses and their names.
const ERRORS: [(u16, &str); 8] = [
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (409, "Conflict"),
    (429, "Too Many Requests"),
    (503, "Service Unavailable"),
];

/// The contract's words for who shows no good token.
const NOT_AUTHENTICATED: &str = "Not authenticated";

/// `origins_are_closed`: no page of another origin may read a reply.
pub(super) fn replies(history: &History, origins_are_closed: bool, findings: &mut Vec<Finding>) {
    for entry in history.entries() {
        let What::Called { user, gateway, is_admin, call, status, reply, headers, .. } =
            &entry.what
        else {
            continue;
        };
        // 0: there was no answer.
        let Some((verb, path)) = call.split_once(' ').filter(|_| *status != 0) else { continue };
        let judged = if *is_admin {
            let is_worker = gateway.as_ref().is_some_and(|asked| asked.starts_with("worker"));
            pages::page(verb, path, *status, reply, is_worker)
        } else {
            judge(user, verb, path, *status, reply)
                .and_then(|()| judge_headers(path, *status, reply, headers))
                .and_then(|()| if origins_are_closed { judge_origin(headers) } else { Ok(()) })
        };
        if let Err(reason) = judged {
            let user = history.name(user);
            let text = format!("`{call}` of {user} was answered {status} with {reason}");
            findings.push(Finding { invariant: "replies", at: entry.at, text });
        }
    }
}

/// What is wrong with the headers of a reply of the API.
fn judge_headers(
    path: &str,
    status: u16,
    reply: &Value,
    headers: &BTreeMap<String, String>,
) -> Result<(), String> {
    if !["/rooms", "/users"].iter().any(|api| path.starts_with(api)) {
        return Ok(());
    }
    let kind = headers.get("content-type").map_or("", String::as_str);
    if !reply.is_null() && !kind.starts_with("application/json") {
        return Err(format!("the `Content-Type` `{kind}`"));
    }
    if status == 503 && !headers.contains_key("retry-after") {
        return Err("no `Retry-After`".to_owned());
    }
    Ok(())
}

/// Whether a page of another origin may read a reply, which only `dev` lets it unless `CORS_ORIGINS` names it.
fn judge_origin(headers: &BTreeMap<String, String>) -> Result<(), String> {
    match headers.get("access-control-allow-origin").map(String::as_str) {
        Some(allowed) if ["*", FOREIGN_ORIGIN].contains(&allowed) => {
            Err(format!("`Access-Control-Allow-Origin: {allowed}`, and nobody allowed that"))
        }
        _ => Ok(()),
    }
}

/// What is wrong with a body.
type Shape = fn(&Value) -> Result<(), String>;

/// What is wrong with a reply to this request of a user.
fn judge(user: &str, verb: &str, path: &str, status: u16, reply: &Value) -> Result<(), String> {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if status >= 400 {
        // Probes and handshakes say in their own words what is wrong.
        let is_theirs = matches!(parts[..], ["socket.io", ..] | ["livez" | "readyz"]);
        return if is_theirs { Ok(()) } else { error(status, reply) };
    }
    let (wanted, shape): (u16, Shape) = match (verb, &parts[..]) {
        ("POST", ["rooms"]) => (201, room),
        ("GET", ["rooms"]) => (200, |reply| all(reply, room)),
        ("POST", ["rooms", _, "join"]) => (201, |reply| {
            exactly(reply, &["joinedAt", "roomId", "userId"])?;
            id(reply, "roomId")?;
            member(reply)
        }),
        ("POST", ["rooms", _, "leave"]) => (204, nothing),
        ("GET", ["rooms", _, "members"]) => (200, |reply| {
            all(reply, |member_of| {
                exactly(member_of, &["joinedAt", "userId"])?;
                member(member_of)
            })
        }),
        ("GET", ["rooms", _, "messages"]) => (200, |reply| {
            all(reply, |message| {
                frames::message(message).map_err(|reason| format!("a message that {reason}"))
            })?;
            ascending(reply)
        }),
        ("GET", ["users", _, "presence"]) => (200, presence),
        _ => return Ok(()),
    };
    if status != wanted {
        return Err(format!("a status that is not {wanted}"));
    }
    shape(reply)?;
    if let ["rooms", room, "join"] = parts[..] {
        is_of(reply, "roomId", room)?;
        is_of(reply, "userId", user)?;
    }
    Ok(())
}

/// Whether a field is the id of who or what was asked about.
fn is_of(reply: &Value, field: &str, id: &str) -> Result<(), String> {
    let is_right = reply[field].as_str().is_some_and(|it| it.eq_ignore_ascii_case(id));
    is_right.then_some(()).ok_or_else(|| format!("the `{field}` {}, not `{id}`", reply[field]))
}

fn error(status: u16, reply: &Value) -> Result<(), String> {
    exactly(reply, &["error", "message", "statusCode"])?;
    if reply["statusCode"] != status {
        return Err(format!("the `statusCode` {}", reply["statusCode"]));
    }
    let name = ERRORS.iter().find(|(known, _)| *known == status).map(|(_, name)| *name);
    if name.is_some_and(|name| reply["error"] != name) {
        return Err(format!("the `error` {}", reply["error"]));
    }
    let message = reply["message"].as_str().unwrap_or_default();
    if message.is_empty() || status == 401 && message != NOT_AUTHENTICATED {
        return Err(format!("the `message` {}", reply["message"]));
    }
    Ok(())
}

fn nothing(reply: &Value) -> Result<(), String> {
    if reply.is_null() { Ok(()) } else { Err(format!("the body {reply}")) }
}

fn room(reply: &Value) -> Result<(), String> {
    exactly(reply, &["createdAt", "id", "name"])?;
    id(reply, "id")?;
    time(reply, "createdAt")?;
    reply["name"].is_string().then_some(()).ok_or_else(|| format!("the `name` {}", reply["name"]))
}

fn member(reply: &Value) -> Result<(), String> {
    id(reply, "userId")?;
    time(reply, "joinedAt")
}

/// The answer to `GET /users/:userId/presence`.
fn presence(reply: &Value) -> Result<(), String> {
    exactly(reply, &["online", "sockets"])?;
    let mut known = std::collections::BTreeSet::new();
    all(&reply["sockets"], |socket| {
        exactly(socket, &["connectedAt", "serverId", "socketId"])?;
        time(socket, "connectedAt")?;
        for field in ["serverId", "socketId"] {
            if socket[field].as_str().is_none_or(str::is_empty) {
                return Err(format!("the `{field}` {}", socket[field]));
            }
        }
        Ok(())
    })?;
    let sockets = reply["sockets"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(twice) = sockets.iter().find(|it| !known.insert(it["socketId"].to_string())) {
        return Err(format!("the socket {} twice", twice["socketId"]));
    }
    if reply["online"] != Value::Bool(!sockets.is_empty()) {
        return Err(format!("`online` {} and {} sockets", reply["online"], sockets.len()));
    }
    Ok(())
}

fn ascending(page: &Value) -> Result<(), String> {
    let messages = page.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<_> = messages.iter().map(|message| message["messageId"].as_str()).collect();
    if ids.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err("a page that does not ascend".to_owned())
    }
}

fn all(reply: &Value, judge: impl Fn(&Value) -> Result<(), String>) -> Result<(), String> {
    let list = reply.as_array().ok_or_else(|| format!("{reply}, which is no list"))?;
    list.iter().try_for_each(judge)
}

/// These fields and no others; `names` in the order of the alphabet.
fn exactly(reply: &Value, names: &[&str]) -> Result<(), String> {
    let mut seen: Vec<&str> =
        reply.as_object().into_iter().flatten().map(|it| it.0.as_str()).collect();
    seen.sort_unstable();
    if seen == names {
        return Ok(());
    }
    Err(format!("{reply}, which has not the fields {}", names.join(", ")))
}

fn id(reply: &Value, field: &str) -> Result<(), String> {
    let text = reply[field].as_str().unwrap_or_default();
    let is_right = is_id(text) && text == text.to_lowercase();
    is_right.then_some(()).ok_or_else(|| format!("the `{field}` {}", reply[field]))
}

fn time(reply: &Value, field: &str) -> Result<(), String> {
    let is_time = reply[field].as_str().is_some_and(|it| milliseconds_of(it).is_some());
    is_time.then_some(()).ok_or_else(|| format!("the `{field}` {}", reply[field]))
}
