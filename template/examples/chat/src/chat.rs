//! How a question becomes an answer that everyone can follow.
//!
//! A chat is a stream of messages. An answer is a stream of its own, which the chat points to while it is
//! written, and which is closed behind its end; then the chat is told all of it.

use std::time::Duration;

use durable_streams_cloudflare::protocol::offset::Offset;
use durable_streams_cloudflare::streams::{Append, Create, Error, Pipe, Stream, Will, events};
use durable_streams_cloudflare::{Platform, Streams};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream};
use serde::Deserialize;
use worker::js_sys::Math;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{Context, Date, Env, Fetch, Headers, Method, Request, RequestInit, Response};

use crate::CHATS;
use crate::messages::{self, Chunk, Message, Next, Role, Turn};
use crate::provider::{self, Format};

/// The longest question, in bytes.
const MAX_QUESTION: usize = 32 << 10;
/// How often it is tried to ask when others ask at the same time.
const ATTEMPTS: usize = 3;
/// How much longer than the worker its answer's stream waits before it carries out its will.
const GRACE: Duration = Duration::from_secs(15);
/// What is said of an answer whose writer is gone.
const BROKE_OFF: &str = "The answer broke off.";

/// Why a request is not served.
#[derive(Debug)]
pub struct Refusal {
    /// The status of the response.
    pub status: u16,
    /// What is wrong, for a person to read.
    pub text: String,
}

impl Refusal {
    /// What a response of this status says.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, text }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        Self::new(500, error.to_string())
    }
}

/// A question, as the transports of the AI SDK send it.
#[derive(Deserialize)]
struct Asked {
    /// The chat's id.
    id: String,
    /// What the page knows of the chat. Only the last question of it is taken: the rest is in the stream.
    messages: Vec<Message>,
    /// `regenerate-message` for another answer.
    #[serde(default)]
    trigger: String,
}

impl Asked {
    async fn read(request: &mut Request) -> Result<Self, Refusal> {
        let media_type = request.headers().get("Content-Type")?.unwrap_or_default();
        // A page of another site cannot send this in the name of who looks at it.
        if !media_type.starts_with("application/json") {
            return Err(Refusal::new(415, "A question has to be application/json."));
        }
        let wrong =
            |error| Refusal::new(400, format!("The question is not as it should be: {error}"));
        request.json().await.map_err(wrong)
    }

    /// The question itself.
    fn question(&self) -> Result<Message, Refusal> {
        let mut questions = self.messages.iter().rev();
        let question = questions.find(|message| message.role == Role::User);
        let question = question.ok_or_else(|| Refusal::new(400, "`messages` has no question."))?;
        let text = question.text();
        if text.trim().is_empty() || text.len() > MAX_QUESTION {
            let what = format!("A question has to be text, {MAX_QUESTION} bytes at most.");
            return Err(Refusal::new(400, what));
        }
        Ok(Message::new(&question.id, Role::User, text))
    }
}

/// Takes a question, and answers where its answer is. The response goes on until the answer is whole:
/// while somebody waits for it, the worker may take as long as it wants. When nobody does, it has 30
/// seconds more.
pub async fn ask(mut request: Request, env: &Env, ctx: &Context) -> Result<Response, Refusal> {
    let asked = Asked::read(&mut request).await?;
    let question = asked.question()?;
    let again = asked.trigger == "regenerate-message";
    let provider = Provider::of(env)?;
    let chat = Chat::of(env, &asked.id)?;
    for _ in 0..ATTEMPTS {
        let known = chat.known().await?;
        let (question, instead_of) = match messages::next(&known.messages, question.clone(), again)
        {
            Next::Answer {
                question,
                instead_of,
            } => (question, instead_of),
            Next::Follow(name) => return location(&chat.url(&name), 200),
            Next::Wait => return Err(Refusal::new(409, "The last answer is not over yet.")),
            Next::Refuse => {
                let what = "Only the last question can be answered again.";
                return Err(Refusal::new(409, what));
            }
        };
        let name = new_name();
        let coming = Message::coming(instead_of.as_deref().unwrap_or(&name), &name);
        let pipe = provider.pipe()?;
        let start = pipe.create().messages(&Chunk::start(&coming.id))?;
        let created = chat.answer(&name)?.create(start).await?;
        let new: Vec<Message> = question.into_iter().chain([coming.clone()]).collect();
        if !chat.say(&new, known.tail).await? {
            // Somebody else has asked meanwhile.
            chat.answer(&name)?.delete().await?;
            continue;
        }
        let told = messages::latest([known.messages, new].concat());
        let conversation = messages::conversation(&told);
        let url = chat.url(&name);
        let answering = chat.write(provider, conversation, coming, pipe.behind(created.tail));
        // A promise, unlike a future, can be waited for in two places.
        let answering = future_to_promise(answering.map(|()| Ok(JsValue::UNDEFINED)));
        ctx.wait_until(JsFuture::from(answering.clone()).map(drop));
        return held(&url, JsFuture::from(answering).map(drop));
    }
    Err(Refusal::new(409, "Others are asking at the same time."))
}

/// Where an answer is.
pub fn location(url: &str, status: u16) -> Result<Response, Refusal> {
    let body = serde_json::json!({ "streamUrl": url });
    let response = Response::from_json(&body)?.with_status(status);
    response.headers().set("Location", url)?;
    Ok(response)
}

/// The same, with a body that ends when the answer does.
fn held(url: &str, answering: impl Future<Output = ()> + 'static) -> Result<Response, Refusal> {
    let body = serde_json::json!({ "streamUrl": url }).to_string();
    let body = stream::once(answering.map(|()| Ok::<_, worker::Error>(body.into_bytes())));
    let response = Response::from_stream(body)?.with_status(201);
    response.headers().set("Content-Type", "application/json")?;
    response.headers().set("Location", url)?;
    Ok(response)
}

/// A name that no other answer has.
fn new_name() -> String {
    let random = (Math::random() * f64::from(u32::MAX)) as u32;
    format!("{:011x}{random:08x}", Date::now().as_millis())
}

/// One chat.
pub struct Chat {
    streams: Streams,
    id: String,
}

/// What is known of a chat.
struct Known {
    messages: Vec<Message>,
    /// Where its stream ends, if there is one.
    tail: Option<Offset>,
}

impl Chat {
    /// The chat of an id. It is a secret of those who use it, so it has to be a long one.
    pub fn of(env: &Env, id: &str) -> Result<Self, Refusal> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(12..=64).contains(&id.len()) || !id.bytes().all(is_plain) {
            let what = "The id of a chat is 12 to 64 letters, digits, `-` and `_`.";
            return Err(Refusal::new(400, what));
        }
        Ok(Self {
            streams: Streams::new(env),
            id: id.to_owned(),
        })
    }

    /// Its messages. Of an answer that is being written, nothing is there but where that is.
    pub async fn messages(&self) -> Result<Vec<Message>, Refusal> {
        Ok(self.known().await?.messages)
    }

    /// The URL of the answer that is being written.
    pub async fn streaming(&self) -> Result<Option<String>, Refusal> {
        let known = self.known().await?;
        let name = known.messages.last().and_then(Message::streaming);
        Ok(name.map(|name| self.url(name)))
    }

    /// Stops the answer that is being written. Who writes it finds its stream closed.
    pub async fn stop(&self) -> Result<(), Refusal> {
        let known = self.known().await?;
        let Some(last) = known.messages.last() else {
            return Ok(());
        };
        if let Some(name) = last.streaming() {
            let end = Append::message(&Chunk::Abort)?.close();
            match self.answer(name)?.send(end).await {
                Ok(_) | Err(Error::Closed { .. }) => drop(self.settle(last).await?),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn log(&self) -> Result<Stream<Platform>, Error> {
        self.streams.stream(&format!("{CHATS}/{}", self.id))
    }

    fn answer(&self, name: &str) -> Result<Stream<Platform>, Error> {
        self.streams.stream(&format!("{CHATS}/{}/{name}", self.id))
    }

    fn url(&self, answer: &str) -> String {
        format!("/v1/stream/{CHATS}/{}/{answer}", self.id)
    }

    /// All that is known. An answer that is over, and whose writer did not live to tell the chat, is
    /// told now.
    async fn known(&self) -> Result<Known, Error> {
        let (all, mut tail) = match read(&self.log()?).await {
            Ok(log) => (log.messages, Some(log.tail)),
            Err(Error::NotFound) => (Vec::new(), None),
            Err(error) => return Err(error),
        };
        let mut messages = messages::latest(all);
        if let Some(last) = messages.last_mut()
            && last.streaming().is_some()
            && let Some((settled, end)) = self.settle(last).await?
        {
            (*last, tail) = (settled, Some(end));
        }
        Ok(Known { messages, tail })
    }

    /// Appends messages, if nobody else has appended behind `tail`. Says whether it did.
    async fn say(&self, messages: &[Message], tail: Option<Offset>) -> Result<bool, Error> {
        let log = self.log()?;
        let Some(tail) = tail else {
            let create = Create::new().messages(messages)?;
            return match log.create(create).await {
                Ok(created) => Ok(created.is_new),
                Err(Error::Exists(_)) => Ok(false),
                Err(error) => Err(error),
            };
        };
        match log.send(Append::messages(messages)?.if_match(tail)).await {
            Ok(_) => Ok(true),
            Err(Error::Overtaken { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes an answer as it comes, to its end.
    async fn write(self, provider: Provider, conversation: Vec<Turn>, coming: Message, pipe: Pipe) {
        let written = async {
            let name = coming.streaming().unwrap_or_default();
            let chunks = provider.answer(conversation);
            let pieces = chunks.map(|chunk| serde_json::to_vec(&chunk));
            match self.answer(name)?.pipe(pieces, pipe).await {
                // Somebody has stopped it.
                Ok(_) | Err(Error::Closed { .. } | Error::Overtaken { .. }) => {}
                Err(error) => return Err(error),
            }
            self.settle(&coming).await.map(drop)
        };
        // Its stream's will says so to who follows it.
        if let Err(error) = written.await {
            worker::console_error!("an answer in chat {} broke off: {error}", self.id);
        }
    }

    /// Tells the chat all of an answer, and gives it with the chat's new tail, if it is over.
    async fn settle(&self, coming: &Message) -> Result<Option<(Message, Offset)>, Error> {
        let name = coming.streaming().unwrap_or_default();
        let chunks: Vec<Chunk> = match read(&self.answer(name)?).await {
            Ok(log) if log.closed => log.messages,
            Ok(_) => return Ok(None),
            Err(Error::NotFound) => Vec::new(),
            Err(error) => return Err(error),
        };
        let settled = coming.settled(&chunks);
        let appended = self.log()?.append(&settled).await?;
        Ok(Some((settled, appended.tail)))
    }
}

/// All that a stream holds.
struct Log<T> {
    messages: Vec<T>,
    tail: Offset,
    closed: bool,
}

async fn read<T: serde::de::DeserializeOwned>(stream: &Stream<Platform>) -> Result<Log<T>, Error> {
    let mut messages = Vec::new();
    let mut page = stream.read(Offset::START).await?;
    loop {
        messages.extend(page.messages()?);
        if page.up_to_date || page.closed {
            return Ok(Log {
                messages,
                tail: page.next,
                closed: page.closed,
            });
        }
        page = stream.read(page.next).await?;
    }
}

/// Who answers.
struct Provider {
    format: Format,
    url: String,
    key: String,
    model: String,
    patience: Duration,
}

impl Provider {
    fn of(env: &Env) -> Result<Self, Refusal> {
        let wrong = |text: &str| Refusal::new(500, text);
        let url = crate::secret(env, "PROVIDER_URL").unwrap_or_default();
        let format = Format::of(&url).ok_or_else(|| {
            wrong(
                "PROVIDER_URL in wrangler.toml has to end in /chat/completions, /responses or \
                 /messages: that says in which format the provider speaks.",
            )
        })?;
        let key = crate::secret(env, "PROVIDER_KEY");
        // A model on this machine wants no key.
        let key = match key {
            None if url.starts_with("https:") => {
                return Err(wrong(
                    "PROVIDER_KEY, the provider's API key, is not set. It goes into .dev.vars for \
                     `durable-streams dev`, and for the deployed worker `durable-streams secret put \
                     PROVIDER_KEY` sets it.",
                ));
            }
            key => key.unwrap_or_default(),
        };
        let model = crate::secret(env, "MODEL");
        let model = model.ok_or_else(|| wrong("MODEL in wrangler.toml is not set."))?;
        let patience = crate::secret(env, "PATIENCE").unwrap_or_else(|| "60".into());
        let patience = patience
            .parse()
            .map_err(|_| wrong("PATIENCE in wrangler.toml has to be a whole number of seconds."))?;
        Ok(Self {
            format,
            url,
            key,
            model,
            patience: Duration::from_secs(patience),
        })
    }

    /// How its answers are written: whatever happens to the provider, to the worker or to its machine,
    /// the stream says so and is closed.
    fn pipe(&self) -> Result<Pipe, Error> {
        let last_words = Chunk::error(BROKE_OFF.to_owned());
        let will = Will::after(self.patience + GRACE).message(&last_words)?;
        Ok(Pipe::new().patience(self.patience).will(will))
    }

    /// The chunks of an answer, as they come.
    fn answer(self, conversation: Vec<Turn>) -> impl stream::Stream<Item = Chunk> {
        let format = self.format;
        let asked = async move { self.ask(&conversation).await };
        let events =
            asked.map_ok(|response| events(response).map_err(|_| provider::BROKE_OFF.to_owned()));
        let data = events.try_flatten_stream().map_ok(|event| event.data);
        provider::chunks(format, data)
    }

    async fn ask(&self, conversation: &[Turn]) -> Result<Response, String> {
        let unreachable = |error: worker::Error| format!("The provider cannot be reached: {error}");
        let headers = Headers::new();
        let own = [("content-type", "application/json".to_owned())];
        for (name, value) in own.into_iter().chain(self.format.headers(&self.key)) {
            headers.set(name, &value).map_err(unreachable)?;
        }
        let body = self.format.body(&self.model, conversation).to_string();
        let mut init = RequestInit::new();
        init.with_method(Method::Post)
            .with_headers(headers)
            .with_body(Some(body.into()));
        let request = Request::new_with_init(&self.url, &init).map_err(unreachable)?;
        let mut response = Fetch::Request(request).send().await.map_err(unreachable)?;
        match response.status_code() {
            200 => Ok(response),
            status => Err(provider::refusal(
                status,
                &response.text().await.unwrap_or_default(),
            )),
        }
    }
}
