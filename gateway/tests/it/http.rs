//! Contract, section 2: every route, its statuses and its bodies.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::Transport,
    people::{Person, message},
    process::Settings,
    world::{Backends, World, eventually},
};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(15);

async fn body(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

fn error(status: u16, reason: &str, message: &str) -> (u16, Value) {
    (status, json!({"statusCode": status, "error": reason, "message": message}))
}

async fn rooms_and_members(backends: Backends) {
    let world = World::start(backends).await;
    let gateway = world.gateway();
    let (alice, bob) = (Person::new(), Person::new());

    let (status, room) = body(alice.post(gateway, "/rooms", &json!({"name": "é"})).await).await;
    assert_eq!((status, &room["name"]), (201, &json!("é")));
    let keys: Vec<_> = room.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["createdAt", "id", "name"]);
    let id = room["id"].as_str().unwrap();
    for name in [json!(""), json!("x".repeat(101)), json!(7), json!("a\u{0}b")] {
        let (status, _) = body(alice.post(gateway, "/rooms", &json!({"name": name})).await).await;
        assert_eq!(status, 400, "{name}");
    }
    assert_eq!(body(alice.post(gateway, "/rooms", &json!([])).await).await.0, 400);

    assert_eq!(body(alice.get(gateway, "/rooms").await).await, (200, json!([room])));
    assert_eq!(body(bob.get(gateway, "/rooms").await).await, (200, json!([])));

    let join = format!("/rooms/{}/join", id.to_uppercase());
    let (status, joined) = body(bob.post(gateway, &join, &json!({})).await).await;
    assert_eq!(status, 201);
    assert_eq!((&joined["roomId"], &joined["userId"]), (&json!(id), &json!(bob.id)));
    assert_eq!(
        body(bob.post(gateway, &join, &json!({})).await).await,
        error(409, "Conflict", "Already a member of this room")
    );
    let nowhere = format!("/rooms/{}/join", Uuid::new_v4());
    assert_eq!(
        body(bob.post(gateway, &nowhere, &json!({})).await).await,
        error(404, "Not Found", "Room not found")
    );
    assert_eq!(body(bob.post(gateway, "/rooms/x/join", &json!({})).await).await.0, 400);

    let (status, members) = body(alice.get(gateway, &format!("/rooms/{id}/members")).await).await;
    assert_eq!(status, 200);
    let users: Vec<_> = members.as_array().unwrap().iter().map(|m| m["userId"].clone()).collect();
    assert_eq!(users, [json!(alice.id), json!(bob.id)]);
    assert_eq!(members[1]["joinedAt"], joined["joinedAt"]);
    let stranger = Person::new();
    let forbidden = error(403, "Forbidden", "Not a member of this room");
    for path in ["members", "messages"] {
        let path = format!("/rooms/{id}/{path}");
        assert_eq!(body(stranger.get(gateway, &path).await).await, forbidden);
    }

    bob.leave_room(gateway, id).await;
    let leave = format!("/rooms/{id}/leave");
    assert_eq!(body(bob.post(gateway, &leave, &json!({})).await).await.0, 404);
    assert_eq!(body(bob.get(gateway, "/rooms").await).await, (200, json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_members_on_real_servers() {
    rooms_and_members(Backends::Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_members_on_embedded_backends() {
    rooms_and_members(Backends::Embedded).await;
}

async fn history(backends: Backends) {
    let world = World::start(backends).await;
    let gateway = world.gateway();
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    for n in 0..120 {
        client.emit("sendMessage", &message(&room, &n.to_string())).await;
    }
    let page = async |query: String| {
        body(alice.get(gateway, &format!("/rooms/{room}/messages{query}")).await).await
    };
    let contents = |page: &(u16, Value)| -> Vec<usize> {
        assert_eq!(page.0, 200, "{}", page.1);
        let messages = page.1.as_array().unwrap().iter();
        messages.map(|m| m["content"].as_str().unwrap().parse().unwrap()).collect()
    };
    let range = |from: usize, to: usize| (from..to).collect::<Vec<_>>();
    eventually("120 messages", LIMIT, async || {
        contents(&page("?limit=1".to_owned()).await) == [119]
    })
    .await;
    let newest = page(String::new()).await;
    assert_eq!(contents(&newest), range(70, 120), "the newest page, ascending, 50 by default");
    let id = |page: &(u16, Value), at: usize| page.1[at]["messageId"].as_str().unwrap().to_owned();
    let (first, last) = (id(&newest, 0), id(&newest, 49));
    assert_eq!(contents(&page(format!("?before={first}&limit=100")).await), range(0, 70));
    assert_eq!(contents(&page(format!("?before={first}&limit=10")).await), range(60, 70));
    assert_eq!(contents(&page(format!("?after={first}&limit=10")).await), range(71, 81));
    assert_eq!(contents(&page(format!("?after={last}")).await), range(0, 0));
    assert_eq!(contents(&page(format!("?after={first}&before={last}")).await), range(71, 119));
    for query in ["limit=0", "limit=101", "limit=x", "limit=-1", "limit=", "before=x", "after=7"] {
        let (status, error) = page(format!("?{query}")).await;
        assert_eq!((status, &error["statusCode"]), (400, &json!(400)), "{query}");
        let name = query.split('=').next().unwrap();
        assert!(error["message"].as_str().unwrap().starts_with(name), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_on_real_servers() {
    history(Backends::Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_on_embedded_backends() {
    history(Backends::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nothing_is_told() {
    let world = World::start(Backends::Embedded).await;
    let gateway = world.gateway();
    let mut nobody = Person::new();
    nobody.token = "nonsense".to_owned();
    let expect = error(401, "Unauthorized", "Not authenticated");
    let id = Uuid::new_v4();
    for path in
        ["/rooms".to_owned(), format!("/rooms/{id}/members"), format!("/users/{id}/presence")]
    {
        assert_eq!(body(nobody.get(gateway, &path).await).await, expect, "{path}");
    }
    assert_eq!(body(nobody.post(gateway, "/rooms", &json!({"name": "x"})).await).await, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_a_clear_answer_and_hurt_nobody() {
    let world = World::start(Backends::Embedded).await;
    let gateway = world.gateway();
    let alice = Person::new();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |body: String| {
        let request = http.post(gateway.url("/rooms")).bearer_auth(&alice.token).body(body);
        request.send().await.map(|response| response.status())
    };
    let deep = format!(r#"{{"name":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    for body in ["", "{", "null", r#"["x"]"#, r#"{"name":"\ud800"}"#, deep.as_str()] {
        assert_eq!(post(body.to_owned()).await.unwrap(), StatusCode::BAD_REQUEST);
    }
    // The answer may come before the body is sent whole, which breaks the connection.
    let large = post(format!(r#"{{"name":"{}"}}"#, "x".repeat(10_000_000))).await;
    assert!(large.is_err() || large.is_ok_and(|status| status == StatusCode::PAYLOAD_TOO_LARGE));
    let missing = error(404, "Not Found", "No such route");
    assert_eq!(body(alice.get(gateway, "/nowhere").await).await, missing);
    assert_eq!(body(alice.get(gateway, "/rooms/x/join").await).await.0, 405);
    assert_eq!(post(r#"{"name":"still here"}"#.to_owned()).await.unwrap(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_says_who_is_online_on_which_sockets() {
    let world = World::start(Backends::Real).await;
    let gateway = world.gateway();
    let (alice, bob) = (Person::new(), Person::new());
    let path = format!("/users/{}/presence", alice.id);
    let read = async || body(bob.get(gateway, &path).await).await;
    assert_eq!(read().await, (200, json!({"online": false, "sockets": []})));
    let phone = world.connect(Transport::WebSocket, &alice).await;
    let laptop = world.connect(Transport::Polling, &alice).await;
    eventually("both sockets", LIMIT, async || {
        read().await.1["sockets"].as_array().unwrap().len() == 2
    })
    .await;
    let (status, presence) = read().await;
    assert_eq!((status, &presence["online"]), (200, &json!(true)));
    let mut sids: Vec<_> = [&phone.socket_id, &laptop.socket_id].map(|sid| json!(sid)).into();
    let mut seen: Vec<_> =
        presence["sockets"].as_array().unwrap().iter().map(|s| s["socketId"].clone()).collect();
    sids.sort_by_key(ToString::to_string);
    seen.sort_by_key(ToString::to_string);
    assert_eq!(seen, sids);
    drop(phone);
    eventually("one socket", LIMIT, async || {
        read().await.1["sockets"].as_array().unwrap().len() == 1
    })
    .await;
    assert_eq!(body(bob.get(gateway, "/users/x/presence").await).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_health_and_metrics_answer_on_their_ports() {
    let world = World::start(Backends::Real).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |url: String| http.get(url).send().await.unwrap();
    let gateway = world.gateway();
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(gateway.url(path)).await.status(), 200);
        assert_eq!(get(gateway.admin_url(path)).await.status(), 200);
        assert_eq!(get(world.workers[0].admin_url(path)).await.status(), 200);
    }
    for path in ["/health", "/metrics"] {
        assert_eq!(get(gateway.url(path)).await.status(), 404, "{path} is never public");
    }
    let (status, health) = body(get(gateway.admin_url("/health")).await).await;
    assert_eq!((status, &health["status"]), (200, &json!("up")));
    for name in ["kafka", "postgres", "redis"] {
        let one = &health["dependencies"][name];
        assert!(one["status"] == "up" && one["latencyMs"].is_number(), "{name}: {health}");
    }
    let _client = world.connect(Transport::WebSocket, &Person::new()).await;
    // The client is told that it is connected a moment before it is counted.
    eventually("it is counted", LIMIT, async || {
        let metrics = get(gateway.admin_url("/metrics")).await.text().await.unwrap();
        metrics.contains("\nsockets 1\n")
            && metrics.contains("connects_total{outcome=\"accepted\"} 1")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_come_from_the_origins_that_are_named_and_from_no_other() {
    let ours = "https://app.example.org";
    let world = World::with(Backends::Embedded, Settings::new().with("CORS_ORIGINS", ours)).await;
    let closed = World::start(Backends::Embedded).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let allowed = async |world: &World, path: &str, method: Method, origin: &str| {
        let request = http.request(method, world.gateway().url(path)).header("origin", origin);
        let request = request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let response = request.send().await.unwrap();
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        (header("access-control-allow-origin"), header("access-control-allow-credentials"))
    };
    for path in ["/rooms", "/socket.io/?EIO=4&transport=polling"] {
        for method in [Method::OPTIONS, Method::GET] {
            let (origin, credentials) = allowed(&world, path, method.clone(), ours).await;
            assert_eq!(origin.as_deref(), Some(ours), "{method} {path}");
            assert_eq!(credentials.as_deref(), Some("true"));
            let (origin, _) = allowed(&world, path, method.clone(), "https://evil.example").await;
            assert_eq!(origin, None, "{method} {path}");
            let (origin, _) = allowed(&closed, path, method, ours).await;
            assert_eq!(origin, None, "{path}: no origin is named");
        }
    }
}
