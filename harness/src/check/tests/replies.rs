//! Replies over HTTP, right ones and wrong ones.

use std::time::Duration;

use serde_json::{Value, json};

use super::{TIMES, check, uuid};
use crate::history::{History, What};

/// One request in an otherwise empty run.
fn called(call: &str, status: u16, reply: Value) -> History {
    let mut history = History::default();
    let (user, call) = (uuid(2, 1), call.to_owned());
    let at = Duration::from_millis(1);
    let headers = [("content-type", "application/json"), ("retry-after", "1")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let (gateway, is_admin) = (None, ["GET /health", "GET /metrics"].contains(&&*call));
    let began = at;
    history.push(at, What::Called { user, gateway, is_admin, call, began, status, reply, headers });
    history
}

#[test]
fn replies_have_their_status_and_their_fields() {
    let (id, user) = (uuid(3, 1), uuid(2, 1));
    let join = format!("POST /rooms/{id}/join");
    let time = "2026-01-02T03:04:05.678Z";
    let good = [
        ("POST /rooms", 201, json!({"id": id, "name": "attic", "createdAt": time})),
        ("GET /rooms", 200, json!([{"id": id, "name": "attic", "createdAt": time}])),
        (&*join, 201, json!({"roomId": id, "userId": user, "joinedAt": time})),
        ("POST /rooms/x/leave", 204, Value::Null),
        ("GET /rooms/x/members", 200, json!([{"userId": id, "joinedAt": time}])),
        (
            "GET /users/x/presence",
            200,
            json!({"online": true, "sockets": [{"socketId": "a", "serverId": "b", "connectedAt": time}]}),
        ),
        (
            "GET /rooms/x/messages",
            403,
            json!({"statusCode": 403, "error": "Forbidden", "message": "no"}),
        ),
        ("GET /rooms", 401, refusal("Not authenticated")),
    ];
    for (call, status, reply) in good {
        assert_eq!(check(&called(call, status, reply.clone()), &[], TIMES), [], "{call}");
        let mut wrong =
            vec![if status < 400 { (status + 1, reply.clone()) } else { (status, json!({})) }];
        wrong.push((status, json!({"other": 1})));
        let object = if reply.is_array() { &reply[0] } else { &reply };
        for field in object.as_object().into_iter().flatten().map(|it| it.0) {
            let mut lacking = object.clone();
            lacking.as_object_mut().unwrap().remove(field);
            wrong.push((status, if reply.is_array() { json!([lacking]) } else { lacking }));
        }
        for (status, reply) in wrong {
            let findings = check(&called(call, status, reply.clone()), &[], TIMES);
            assert!(findings.iter().any(|it| it.invariant == "replies"), "{call} {status} {reply}");
        }
    }
}

fn refusal(message: &str) -> Value {
    json!({"statusCode": 401, "error": "Unauthorized", "message": message})
}

#[test]
fn replies_are_about_who_asks_and_what_is_asked() {
    let [room, user, time] = [uuid(3, 1), uuid(2, 1), "2026-01-02T03:04:05.678Z".to_owned()];
    let join = format!("POST /rooms/{}/join", room.to_uppercase());
    let said = |call: &str, status, reply| {
        check(&called(call, status, reply), &[], TIMES).into_iter().map(|it| it.text).next()
    };
    let joined = |room: &str, user: &str| json!({"roomId": room, "userId": user, "joinedAt": time});
    assert_eq!(said(&join, 201, joined(&room, &user)), None);
    for wrong in [joined(&user, &user), joined(&room, &room)] {
        assert!(said(&join, 201, wrong.clone()).is_some(), "{wrong}");
    }
    assert!(said("GET /rooms", 401, refusal("Not authenticated.")).is_some());
}

#[test]
fn replies_say_that_they_are_json_and_when_to_come_back() {
    let error =
        |status: u16, name: &str| json!({"statusCode": status, "error": name, "message": "x"});
    let history = called("GET /rooms", 503, error(503, "Service Unavailable"));
    let without = |name: &str| {
        let mut other = History::default();
        for entry in history.entries() {
            let mut what = entry.what.clone();
            if let What::Called { headers, .. } = &mut what {
                headers.remove(name);
            }
            other.push(entry.at, what);
        }
        check(&other, &[], TIMES).into_iter().map(|it| it.text).collect::<Vec<_>>()
    };
    assert_eq!(without("nothing"), [] as [&str; 0]);
    assert!(without("retry-after")[0].contains("no `Retry-After`"));
    assert!(without("content-type")[0].contains("`Content-Type`"));
}
