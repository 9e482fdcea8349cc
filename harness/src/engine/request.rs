//! The step that asks over HTTP.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    expect::{LATE_LIMIT, LOOK_SLACK, POLL},
    looks::{by_gateway, contains},
    steps::{Aside, Running, StepResult, wrong},
    talk::about,
    world::Answer,
};
use crate::{
    history::{What, shown},
    scenario::{Port, Request, Spanned},
    verdict::{Failure, Margin},
};

impl Running<'_> {
    /// Asks once, or until the answer is the one that is wanted.
    pub(super) async fn request(&self, request: &Request) -> StepResult {
        let Some(within) = &request.within else {
            return self.ask(request).await.map(|()| None);
        };
        let limit = self.world.length(within);
        let began = Instant::now();
        let mut missed: Option<Failure> = None;
        loop {
            let used = began.elapsed();
            let answer = self.ask(request).await;
            let late = began.elapsed().saturating_sub(limit);
            match answer {
                // Who has asked in time may be answered a breath later.
                Ok(()) if used <= limit && late <= LOOK_SLACK => {
                    return Ok(Some(Aside::Margin(Margin { used, limit })));
                }
                Ok(()) => {
                    let failure = missed.unwrap_or_else(|| wrong("this answer", "it came later"));
                    return Err(Failure { late: Some(late), ..in_time(failure, limit) });
                }
                Err(failure) if used > limit + LATE_LIMIT => {
                    return Err(in_time(missed.unwrap_or(failure), limit));
                }
                Err(failure) if used <= limit => missed = Some(failure),
                Err(_) => {}
            }
            sleep(POLL).await;
        }
    }

    async fn ask(&self, request: &Request) -> Result<(), Failure> {
        let fill = |text: &str| self.world.fill(text).map_err(|why| wrong("a request", why));
        let written = request.body.as_ref().map(|body| body.value.to_string());
        let written = written.or(request.raw_body.as_ref().map(|body| body.value.clone()));
        self.world
            .wait_for_ids(&format!("{}{}", request.call.value, written.unwrap_or_default()))
            .await;
        let call = fill(&request.call.value)?;
        let (verb, path) = call.split_once(' ').unwrap_or(("GET", &call));
        let body = match (&request.body, &request.raw_body) {
            (Some(body), _) => {
                let body = self.world.fill_json(&body.value, "");
                Some(body.map_err(|why| wrong("a body", why))?.to_string())
            }
            (None, Some(body)) => Some(fill(&body.value)?),
            (None, None) => None,
        };
        let user = self.world.user(&request.by.value).map_err(|why| wrong("an actor", why))?;
        let token = self.world.site.signer.token(request.token, user);
        let token = token
            .as_ref()
            .map(|token| token.as_str().map_or_else(|| token.to_string(), str::to_owned));
        let gateway = self.world.asked(request.to.as_ref().map(|to| to.value.as_str()));
        let began = self.world.recorder.now();
        let to = match request.port {
            Port::Public => self.world.gateway(gateway.as_deref()),
            Port::Admin => gateway.as_ref().and_then(|to| self.world.site.admin.get(to).copied()),
        };
        let answered = self.world.call_with(token.as_deref(), verb, path, body, to).await;
        let Answer { status, body: reply, headers } = answered.clone().unwrap_or_default();
        self.world.recorder.push(What::Called {
            user: user.to_owned(),
            gateway,
            is_admin: request.port == Port::Admin,
            call: call.clone(),
            began,
            status,
            reply,
            headers,
        });
        let by = &request.by.value;
        let Answer { status, body: reply, .. } = answered
            .map_err(|why| about(wrong(format!("`{call}` of {by} is answered"), why), by))?;

        if let Some(wanted) = &request.status {
            self.judge();
            if wanted.value != status {
                let expected = format!("`{call}` of {by} is answered {}", wanted.value);
                return Err(about(wrong(expected, format!("{status} {reply}")), by));
            }
        } else if status < 400 {
            self.judge();
        } else {
            let expected = format!("`{call}` of {by} succeeds");
            return Err(about(wrong(expected, format!("{status} {reply}")), by));
        }
        if let Some(wanted) = &request.reply {
            self.judge();
            let wanted =
                self.world.fill_json(&wanted.value, "").map_err(|why| wrong("a reply", why))?;
            if !contains(&reply, &wanted) && !contains(&by_gateway(&reply), &wanted) {
                let expected = format!("the reply to `{call}` of {by} has {wanted}");
                return Err(about(wrong(expected, reply.to_string()), by));
            }
        }
        self.keep(request, &call, &reply)
    }

    /// Keeps the parts of a reply that the request names.
    fn keep(&self, request: &Request, call: &str, reply: &Value) -> Result<(), Failure> {
        let by = &request.by.value;
        let room = Spanned::nowhere("id".to_owned());
        let room = request.name.iter().map(|name| (&name.value, &room));
        for (name, pointer) in request.capture.iter().chain(room) {
            let value =
                pointer.value.split('.').fold(reply, |value, part| match part.parse::<usize>() {
                    Ok(index) if value.is_array() => &value[index],
                    _ => &value[part],
                });
            let Some(value) = value.as_str() else {
                let expected = format!("the reply to `{call}` has a text at `{}`", pointer.value);
                return Err(about(wrong(expected, reply.to_string()), by));
            };
            let is_room = call == "POST /rooms" && pointer.value == "id";
            self.world.capture(name, value, is_room);
        }
        Ok(())
    }
}

/// What was wrong with the last answer that came in time.
fn in_time(failure: Failure, limit: Duration) -> Failure {
    let expected = format!("{} within {}", failure.expected, shown(limit));
    Failure { expected, limit: Some(limit), ..failure }
}
