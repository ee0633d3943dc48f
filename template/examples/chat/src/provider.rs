//! The provider of the model: what it is asked, and what its events say. Nothing here knows of workers
//! or of streams, so all of it runs in `cargo test`.

use std::fmt::Display;

use futures_util::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};

use super::messages::{Chunk, Turn};

/// How many tokens an answer has at most, for providers that have to be told.
const MAX_TOKENS: u32 = 4096;

/// What is said of a provider that ends without having said that the answer is whole.
pub const BROKE_OFF: &str = "The provider broke off in the middle of the answer.";

/// In which format a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenAI's Chat Completions, which most other providers and local models speak, too.
    ChatCompletions,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

impl Format {
    /// The format that is spoken at a URL: its path tells.
    pub fn of(url: &str) -> Option<Self> {
        let path = url.split(['?', '#']).next()?.trim_end_matches('/');
        [
            ("/chat/completions", Self::ChatCompletions),
            ("/responses", Self::Responses),
            ("/messages", Self::Messages),
        ]
        .into_iter()
        .find_map(|(end, format)| path.ends_with(end).then_some(format))
    }

    /// What a request says of who asks.
    pub fn headers(self, key: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Messages => vec![
                ("x-api-key", key.to_owned()),
                ("anthropic-version", "2023-06-01".to_owned()),
            ],
            _ if key.is_empty() => Vec::new(),
            _ => vec![("authorization", format!("Bearer {key}"))],
        }
    }

    /// The body of a request for the next message of a conversation.
    pub fn body(self, model: &str, conversation: &[Turn]) -> Value {
        let mut body = json!({ "model": model, "stream": true });
        match self {
            Self::ChatCompletions => body["messages"] = json!(conversation),
            Self::Responses => body["input"] = json!(conversation),
            Self::Messages => {
                body["messages"] = json!(conversation);
                body["max_tokens"] = json!(MAX_TOKENS);
            }
        }
        body
    }

    /// What the data of an event says.
    pub fn said(self, data: &str) -> Said {
        if data == "[DONE]" {
            return Said::end("stop");
        }
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return Said::failed("The provider sent something that is no JSON.");
        };
        match self {
            Self::ChatCompletions => of_chat_completions(&event),
            Self::Responses => of_responses(&event),
            Self::Messages => of_messages(&event),
        }
    }
}

/// What an event says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// More of the answer.
    pub text: String,
    /// That it is over.
    pub end: Option<End>,
}

/// How an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As the model wanted, or at a limit; the AI SDK has names for it.
    Whole(&'static str),
    /// It broke off, for this reason.
    Failed(String),
}

impl Said {
    fn text(text: &Value) -> Self {
        Self {
            text: text.as_str().unwrap_or_default().to_owned(),
            end: None,
        }
    }

    fn end(reason: &'static str) -> Self {
        Self {
            end: Some(End::Whole(reason)),
            ..Self::default()
        }
    }

    /// That nothing more comes, though the answer is not whole.
    pub fn failed(reason: &str) -> Self {
        Self {
            end: Some(End::Failed(reason.to_owned())),
            ..Self::default()
        }
    }

    /// An error as providers write it.
    fn error(error: &Value) -> Self {
        let message = error["message"].as_str();
        Self::failed(message.unwrap_or("The provider says that it failed, and not why."))
    }

    /// The same for a page.
    fn chunks(self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        if !self.text.is_empty() {
            chunks.push(Chunk::delta(self.text));
        }
        match self.end {
            None => {}
            Some(End::Whole(reason)) => chunks.extend(Chunk::finish(reason)),
            Some(End::Failed(reason)) => chunks.push(Chunk::error(reason)),
        }
        chunks
    }
}

fn of_chat_completions(event: &Value) -> Said {
    if event["error"].is_object() {
        return Said::error(&event["error"]);
    }
    let choice = &event["choices"][0];
    // The last piece of text may come with the reason to end.
    let end = choice["finish_reason"].as_str().map(|reason| match reason {
        "length" => End::Whole("length"),
        "content_filter" => End::Whole("content-filter"),
        _ => End::Whole("stop"),
    });
    Said {
        end,
        ..Said::text(&choice["delta"]["content"])
    }
}

fn of_responses(event: &Value) -> Said {
    let response = &event["response"];
    match event["type"].as_str().unwrap_or_default() {
        "response.output_text.delta" | "response.refusal.delta" => Said::text(&event["delta"]),
        "response.completed" => Said::end("stop"),
        "response.incomplete" => match response["incomplete_details"]["reason"].as_str() {
            Some("content_filter") => Said::end("content-filter"),
            _ => Said::end("length"),
        },
        "response.failed" => Said::error(&response["error"]),
        "error" => Said::error(event),
        _ => Said::default(),
    }
}

fn of_messages(event: &Value) -> Said {
    match event["type"].as_str().unwrap_or_default() {
        // Other deltas are of tools, and of what the model thinks.
        "content_block_delta" => Said::text(&event["delta"]["text"]),
        "message_delta" => match event["delta"]["stop_reason"].as_str() {
            Some("max_tokens") => Said::end("length"),
            Some("refusal") => Said::end("content-filter"),
            Some(_) => Said::end("stop"),
            None => Said::default(),
        },
        "message_stop" => Said::end("stop"),
        "error" => Said::error(&event["error"]),
        _ => Said::default(),
    }
}

/// Why there is no answer, from a response of the provider that is none.
pub fn refusal(status: u16, body: &str) -> String {
    let document: Value = serde_json::from_str(body).unwrap_or_default();
    match document["error"]["message"].as_str() {
        Some(message) => format!("The provider refuses ({status}): {message}"),
        None => format!("The provider refuses ({status})."),
    }
}

/// What a page is told while the provider's events come, given the data of each, up to the end of the
/// answer. Who breaks off has not said that the answer is whole, and a page is told so.
pub fn chunks<E: Display>(
    format: Format,
    events: impl Stream<Item = Result<String, E>>,
) -> impl Stream<Item = Chunk> {
    stream::unfold(Some(Box::pin(events)), move |events| async move {
        let mut events = events?;
        let said = match events.next().await {
            Some(Ok(data)) => format.said(&data),
            Some(Err(error)) => Said::failed(&error.to_string()),
            None => Said::failed(BROKE_OFF),
        };
        // What comes behind the end is not waited for.
        let rest = said.end.is_none().then_some(events);
        Some((stream::iter(said.chunks()), rest))
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// The chunks of an answer whose events are all there, as JSON.
    fn chunks_of(format: Format, events: &[&str]) -> Vec<String> {
        let events = events.iter().map(|data| Ok::<_, String>(data.to_string()));
        let chunks = chunks(format, stream::iter(events.collect::<Vec<_>>()));
        let chunks = chunks.map(|chunk| serde_json::to_string(&chunk).unwrap());
        chunks.collect().now_or_never().unwrap()
    }

    const HEL: &str = r#"{"type":"text-delta","id":"text","delta":"Hel"}"#;
    const LO: &str = r#"{"type":"text-delta","id":"text","delta":"lo"}"#;
    const END: &str = r#"{"type":"text-end","id":"text"}"#;
    const STOP: &str = r#"{"type":"finish","finishReason":"stop"}"#;
    const LENGTH: &str = r#"{"type":"finish","finishReason":"length"}"#;

    fn error(text: &str) -> String {
        format!(r#"{{"type":"error","errorText":"{text}"}}"#)
    }

    #[test]
    fn the_format_is_told_by_the_url() {
        let of = |url| Format::of(url);
        assert_eq!(
            of("https://api.openai.com/v1/chat/completions"),
            Some(Format::ChatCompletions)
        );
        assert_eq!(
            of("http://127.0.0.1:11434/v1/responses/?a=b"),
            Some(Format::Responses)
        );
        assert_eq!(
            of("https://api.anthropic.com/v1/messages"),
            Some(Format::Messages)
        );
        assert_eq!(of("https://api.openai.com/v1"), None);
    }

    #[test]
    fn each_format_is_asked_as_it_wants_to_be() {
        let turns = [Turn::user("Hi")];
        let hi = json!([{ "role": "user", "content": "Hi" }]);
        let stream = true;
        assert_eq!(
            Format::ChatCompletions.body("m", &turns),
            json!({ "model": "m", "stream": stream, "messages": hi })
        );
        assert_eq!(
            Format::Responses.body("m", &turns),
            json!({ "model": "m", "stream": stream, "input": hi })
        );
        assert_eq!(
            Format::Messages.body("m", &turns),
            json!({ "model": "m", "stream": stream, "messages": hi, "max_tokens": 4096 })
        );
        let bearer = vec![("authorization", "Bearer k".to_owned())];
        assert_eq!(Format::Responses.headers("k"), bearer);
        assert_eq!(Format::ChatCompletions.headers(""), []);
        assert_eq!(
            Format::Messages.headers("k")[0],
            ("x-api-key", "k".to_owned())
        );
    }

    #[test]
    fn chat_completions_are_read() {
        let events = [
            r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":"Hel"},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":"lo"},"finish_reason":"length"}]}"#,
            r#"{"choices":[],"usage":{"total_tokens":3}}"#,
            "[DONE]",
        ];
        let expected = [HEL, LO, END, LENGTH];
        assert_eq!(chunks_of(Format::ChatCompletions, &events), expected);
        let failing = [r#"{"error":{"message":"overloaded"}}"#];
        let expected = [error("overloaded")];
        assert_eq!(chunks_of(Format::ChatCompletions, &failing), expected);
    }

    #[test]
    fn responses_are_read() {
        let events = [
            r#"{"type":"response.created","response":{}}"#,
            r#"{"type":"response.output_text.delta","delta":"Hel"}"#,
            r#"{"type":"response.output_text.delta","delta":"lo"}"#,
            r#"{"type":"response.output_text.done","text":"Hello"}"#,
            r#"{"type":"response.completed","response":{}}"#,
        ];
        assert_eq!(chunks_of(Format::Responses, &events), [HEL, LO, END, STOP]);
        let full = [r#"{"type":"response.incomplete","response":{}}"#];
        assert_eq!(chunks_of(Format::Responses, &full), [END, LENGTH]);
        let failing = [r#"{"type":"response.failed","response":{"error":{"message":"no"}}}"#];
        assert_eq!(chunks_of(Format::Responses, &failing), [error("no")]);
        let failing = [r#"{"type":"error","message":"busy"}"#];
        assert_eq!(chunks_of(Format::Responses, &failing), [error("busy")]);
    }

    #[test]
    fn messages_are_read() {
        let events = [
            r#"{"type":"message_start","message":{}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"Hm"}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"Hel"}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"lo"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}}"#,
            r#"{"type":"message_stop"}"#,
        ];
        assert_eq!(chunks_of(Format::Messages, &events), [HEL, LO, END, STOP]);
        let failing = [r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#];
        assert_eq!(chunks_of(Format::Messages, &failing), [error("busy")]);
    }

    #[test]
    fn what_breaks_off_is_not_taken_for_whole() {
        let half = [r#"{"type":"content_block_delta","delta":{"text":"Hel"}}"#];
        let broke_off = error("The provider broke off in the middle of the answer.");
        assert_eq!(
            chunks_of(Format::Messages, &half),
            [HEL, broke_off.as_str()]
        );
        let torn = error("The provider sent something that is no JSON.");
        assert_eq!(chunks_of(Format::Responses, &["{"]), [torn]);
        let lost = stream::iter([Err::<String, _>("the connection is lost")]);
        let chunks: Vec<_> = chunks(Format::Messages, lost)
            .collect()
            .now_or_never()
            .unwrap();
        assert_eq!(chunks, [Chunk::error("the connection is lost".to_owned())]);
    }

    #[test]
    fn a_refusal_says_what_the_provider_says() {
        let body = r#"{"error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
        assert_eq!(
            refusal(401, body),
            "The provider refuses (401): invalid x-api-key"
        );
        assert_eq!(refusal(502, "<html>"), "The provider refuses (502).");
    }

    #[test]
    fn nothing_is_waited_for_behind_the_end() {
        let events = [r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#];
        let events = stream::iter(events.map(|data| Ok::<_, String>(data.to_owned())));
        let chunks = chunks(Format::ChatCompletions, events.chain(stream::pending()));
        assert_eq!(chunks.count().now_or_never(), Some(2));
    }
}
