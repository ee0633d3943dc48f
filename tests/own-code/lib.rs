//! A worker with code of its own: routes before and after those of the streams, a scheduled and a queue
//! handler, all of which use streams without HTTP and without a token. Each route below `/own/` does
//! one thing to the stream that the parameter `path` names, or to the subscription `id` of the project
//! `p`, with what the body says.

mod pipe;

use std::time::Duration;

use durable_streams_cloudflare::protocol::offset::Offset;
use durable_streams_cloudflare::streams::{
    Append, Appended, Create, Created, Error, Fork, List, Page, Subscribe, Subscriptions,
};
use durable_streams_cloudflare::{Answer, Platform, ProjectJwt, StreamWorker, Streams};
use serde_json::{Value, json};
use worker::{
    Context, Env, MessageBatch, MessageExt, Request, Response, Result, ScheduleContext,
    ScheduledEvent, Url, console_error, event, web_sys,
};

pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};

#[event(fetch)]
async fn fetch(req: web_sys::Request, env: Env, ctx: Context) -> Result<Answer> {
    let url = Url::parse(&req.url())?;
    if let Some(verb) = url.path().strip_prefix("/own/") {
        let body = Request::from(req).text().await?;
        if verb == "enqueue" {
            env.queue("JOBS")?.send(&body).await?;
            return Ok(Response::ok("on its way")?.into());
        }
        let asked = Asked::new(&env, &url, body);
        return Ok(match asked.answer(verb).await {
            Ok(document) => Response::from_json(&document)?.into(),
            Err(error) => error.into(),
        });
    }
    if let Some(verb) = url.path().strip_prefix("/pipe/") {
        return pipe::answer(verb, &url, &env, &ctx).await;
    }
    let answer = StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(req, env, ctx)
        .await?;
    // What is no stream's is ours.
    if url.path().starts_with("/v1/stream") {
        return Ok(answer);
    }
    let response = answer.response().await?;
    match response.status() {
        404 => Ok(Response::ok("nothing but us")?.into()),
        _ => Ok(response.into()),
    }
}

#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _ctx: ScheduleContext) {
    let tick = json!({ "cron": event.cron() });
    let outcome = async { Streams::new(&env).stream("p/ticks")?.append(&tick).await };
    if let Err(error) = outcome.await {
        console_error!("no tick: {error}");
    }
}

/// A message may be delivered twice, and is appended once: its producer has the message's id.
#[event(queue)]
async fn queue(batch: MessageBatch<String>, env: Env, _ctx: Context) -> Result<()> {
    let jobs = Streams::new(&env).stream("p/jobs")?;
    for message in batch.messages()? {
        let append = Append::message(message.body())?;
        match jobs.producer(message.id(), 0).send(append).await {
            Ok(_) => message.ack(),
            Err(error) => {
                console_error!("no job: {error}");
                message.retry();
            }
        }
    }
    Ok(())
}

/// A request to a route of ours.
struct Asked<'a> {
    streams: Streams,
    url: &'a Url,
    body: String,
}

impl<'a> Asked<'a> {
    fn new(env: &Env, url: &'a Url, body: String) -> Self {
        let streams = Streams::new(env);
        Self { streams, url, body }
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    fn text(&self, name: &str) -> String {
        self.parameter(name).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    fn offset(&self, name: &str) -> Offset {
        self.text(name).parse().unwrap_or(Offset::START)
    }

    fn subscriptions(&self) -> Subscriptions<Platform> {
        self.streams
            .subscriptions("p")
            .at(&self.url.origin().ascii_serialization())
    }

    fn create(&self) -> Result<Create, Error> {
        let mut create = Create::new();
        if self.has("ttl") {
            create = create.ttl(Duration::from_secs(self.number("ttl")));
        }
        if self.has("public") {
            create = create.public();
        }
        if self.has("closed") {
            create = create.closed();
        }
        Ok(match self.body.is_empty() {
            true => create,
            false => create.messages(&self.messages()?)?,
        })
    }

    fn messages(&self) -> Result<Vec<Value>, Error> {
        Ok(serde_json::from_str(&self.body)?)
    }

    async fn answer(&self, verb: &str) -> Result<Value, Error> {
        if matches!(
            verb,
            "subscribe"
                | "subscription"
                | "add"
                | "remove"
                | "unsubscribe"
                | "ids"
                | "work"
                | "let-go"
        ) {
            return self.answer_subscription(verb, &self.text("id")).await;
        }
        if verb == "list" {
            let mut list = List::of(self.text("path")).limit(2);
            if let Some(after) = self.parameter("after") {
                list = list.after(after);
            }
            let page = self.streams.list(list).await?;
            let paths: Vec<_> = page.streams.iter().map(|entry| &entry.path).collect();
            return Ok(json!({ "paths": paths, "next": page.next }));
        }
        let streams = match self.has("within") {
            true => self
                .streams
                .clone()
                .within(Duration::from_millis(self.number("within"))),
            false => self.streams.clone(),
        };
        let stream = streams.stream(&self.text("path"))?;
        let stream = match self.parameter("type") {
            Some(content_type) => stream.of(&content_type),
            None => stream,
        };
        Ok(match verb {
            "create" => created(stream.create(self.create()?).await?),
            "append" => appended(
                stream
                    .append(&serde_json::from_str::<Value>(&self.body)?)
                    .await?,
            ),
            "append-all" => appended(stream.append_all(&self.messages()?).await?),
            "append-bytes" => appended(stream.append_bytes(&*self.body).await?),
            "send" => {
                let mut append = Append::bytes(&*self.body).if_match(self.offset("if-match"));
                if self.has("close") {
                    append = append.close();
                }
                appended(stream.send(append).await?)
            }
            "produce" => {
                let producer = stream.producer(self.text("producer"), self.number("epoch"));
                let mut producer = producer.from(self.number("seq"));
                appended(producer.send(Append::bytes(&*self.body)).await?)
            }
            "succeed" => {
                let mut producer = stream.successor(self.text("producer"));
                appended(producer.send(Append::bytes(&*self.body)).await?)
            }
            "read" => page(&stream.read(self.offset("offset")).await?)?,
            // Until the stream ends.
            "follow" => {
                let mut follow = stream.follow(self.offset("offset"));
                let mut messages = Vec::new();
                while let Some(page) = follow.next().await? {
                    messages.extend(page.messages::<Value>()?);
                }
                json!(messages)
            }
            "head" => {
                let head = stream.head().await?;
                json!({
                    "type": head.content_type,
                    "tail": head.tail.to_string(),
                    "earliest": head.earliest.to_string(),
                    "closed": head.closed,
                })
            }
            "close" => appended(stream.close().await?),
            "delete" => json!(stream.delete().await?),
            "truncate" => json!(stream.truncate(self.offset("offset")).await?),
            "fork" => {
                let source = self.streams.stream(&self.text("source"))?;
                let at = self.has("at").then(|| self.offset("at"));
                created(stream.fork(&source, Fork { at }, self.create()?).await?)
            }
            _ => return Err(Error::NotFound),
        })
    }

    async fn answer_subscription(&self, verb: &str, id: &str) -> Result<Value, Error> {
        let subscriptions = self.subscriptions();
        let path = self.text("path");
        Ok(match verb {
            "subscribe" => {
                let to = self.text("to");
                let subscribe = match &*self.text("type") {
                    "webhook" => Subscribe::webhook(to),
                    "copy" => Subscribe::copy(to).from_start(),
                    _ => Subscribe::pull_wake(to).lease(Duration::from_secs(5)),
                };
                let made = subscriptions.create(id, &subscribe.pattern(path)).await?;
                json!({ "isNew": made.is_new, "type": made.subscription.kind })
            }
            "subscription" => {
                let found = subscriptions.get(id).await?;
                let paths: Vec<_> = found.streams.iter().map(|link| &link.path).collect();
                json!({ "paths": paths, "pending": found.pending, "phase": found.phase })
            }
            "add" => json!(subscriptions.add(id, &[&path]).await?),
            "remove" => json!(subscriptions.remove(id, &path).await?),
            "unsubscribe" => json!(subscriptions.delete(id).await?),
            "ids" => json!(subscriptions.ids(None).await?.ids),
            "let-go" => {
                let Some(wake) = subscriptions.claim(id, "own code").await? else {
                    return Ok(Value::Null);
                };
                wake.release().await?;
                json!(wake.id())
            }
            // Does what is to be done, and says what that was.
            _ => {
                let Some(wake) = subscriptions.claim(id, "own code").await? else {
                    return Ok(Value::Null);
                };
                let mut done = Vec::new();
                for pending in wake.streams().iter().filter(|pending| pending.has_pending) {
                    let stream = subscriptions.stream(&pending.path)?;
                    let page = stream.read(pending.acked).await?;
                    done.extend(page.messages::<Value>()?);
                    wake.ack(&[(&pending.path, page.next)]).await?;
                }
                json!({ "done": done, "more": wake.done(&[]).await? })
            }
        })
    }
}

fn created(created: Created) -> Value {
    json!({
        "isNew": created.is_new,
        "tail": created.tail.to_string(),
        "closed": created.closed,
    })
}

fn appended(appended: Appended) -> Value {
    json!({
        "tail": appended.tail.to_string(),
        "closed": appended.closed,
        "wasThere": appended.was_there,
    })
}

fn page(page: &Page) -> Result<Value, Error> {
    let content: Value = match page.content_type.contains("json") {
        true => json!(page.messages::<Value>()?),
        false => json!(page.text()),
    };
    Ok(json!({
        "content": content,
        "next": page.next.to_string(),
        "upToDate": page.up_to_date,
        "closed": page.closed,
    }))
}
