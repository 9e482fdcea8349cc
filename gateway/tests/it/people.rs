//! Users with tokens, and what they do over HTTP.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::process::{Process, SECRET};

/// Somebody with a good token.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    http: reqwest::Client,
}

impl Person {
    pub(crate) fn new() -> Self {
        let id = Uuid::new_v4();
        let user = gateway::chat::UserId(id);
        let token =
            gateway::authenticate::mint(&SECRET.to_owned().into(), user, Some("a@b.c"), 3_600);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { id: id.to_string(), token: token.unwrap(), http }
    }

    pub(crate) async fn get(&self, gateway: &Process, path: &str) -> Response {
        self.http.get(gateway.url(path)).bearer_auth(&self.token).send().await.unwrap()
    }

    pub(crate) async fn post(&self, gateway: &Process, path: &str, body: &Value) -> Response {
        let request = self.http.post(gateway.url(path)).bearer_auth(&self.token);
        request.json(body).send().await.unwrap()
    }

    /// Makes a room and returns its id.
    pub(crate) async fn create_room(&self, gateway: &Process) -> String {
        let response = self.post(gateway, "/rooms", &json!({"name": "a room"})).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let room: Value = response.json().await.unwrap();
        room["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn join_room(&self, gateway: &Process, room: &str) {
        let response = self.post(gateway, &format!("/rooms/{room}/join"), &json!({})).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }

    pub(crate) async fn leave_room(&self, gateway: &Process, room: &str) {
        let response = self.post(gateway, &format!("/rooms/{room}/leave"), &json!({})).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }

    /// The whole history of a room, page by page.
    pub(crate) async fn history(&self, gateway: &Process, room: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut after = "00000000-0000-7000-8000-000000000000".to_owned();
        loop {
            let path = format!("/rooms/{room}/messages?limit=100&after={after}");
            let page: Vec<Value> = self.get(gateway, &path).await.json().await.unwrap();
            let Some(last) = page.last() else { return all };
            last["messageId"].as_str().unwrap().clone_into(&mut after);
            all.extend(page);
        }
    }
}

/// What the messages say.
pub(crate) fn contents(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

/// A `sendMessage` payload with an id of its own.
pub(crate) fn message(room: &str, content: &str) -> Value {
    let id = Uuid::new_v4();
    json!({"roomId": room, "clientMsgId": id, "type": "TEXT", "content": content})
}
