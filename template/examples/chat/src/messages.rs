//! Messages and the chunks that answers come in, as the AI SDK of Vercel has them: `UIMessage` and
//! `UIMessageChunk`. Nothing here knows of workers or of streams, so all of it runs in `cargo test`.
//!
//! The stream of a chat holds messages; what comes later of the same id takes the place of what was
//! there. The stream of an answer holds chunks, and is closed behind the last one.

use serde::{Deserialize, Serialize};

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Unique in the chat.
    pub id: String,
    /// Whose it is.
    pub role: Role,
    /// What is in it.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Of an answer: where it is written, and how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Progress>,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person.
    User,
    /// The model.
    Assistant,
    /// Whoever tells the model how to behave.
    System,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Part {
    /// Text.
    Text {
        /// All of it.
        text: String,
    },
    /// What this chat does not know: files, tools, and so on.
    #[serde(other)]
    Other,
}

/// Where an answer is written, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The name of its stream, below the chat's.
    pub stream: String,
    /// How far it is.
    pub state: State,
    /// Why it broke off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is in its stream, as far as it is there.
    Streaming,
    /// It is whole.
    Done,
    /// Somebody has stopped it.
    Stopped,
    /// It broke off.
    Failed,
}

impl Message {
    /// A message of one text.
    pub fn new(id: &str, role: Role, text: String) -> Self {
        Self {
            id: id.to_owned(),
            role,
            parts: vec![Part::Text { text }],
            metadata: None,
        }
    }

    /// An answer that is to come in a stream.
    pub fn coming(id: &str, stream: &str) -> Self {
        Self {
            id: id.to_owned(),
            role: Role::Assistant,
            parts: Vec::new(),
            metadata: Some(Progress {
                stream: stream.to_owned(),
                state: State::Streaming,
                error: None,
            }),
        }
    }

    /// Whether it says how an answer ended in whose place there is another one by now.
    fn is_late_for(&self, known: &Self) -> bool {
        let (Some(own), Some(known)) = (&self.metadata, &known.metadata) else {
            return false;
        };
        own.state != State::Streaming && own.stream != known.stream
    }

    /// The stream of an answer that may not be over.
    pub fn streaming(&self) -> Option<&str> {
        let progress = self.metadata.as_ref()?;
        (progress.state == State::Streaming).then_some(progress.stream.as_str())
    }

    /// The same answer with what has come in its stream, which is closed.
    pub fn settled(&self, chunks: &[Chunk]) -> Self {
        let (mut text, mut state) = (String::new(), State::Failed);
        let mut error = None;
        for chunk in chunks {
            match chunk {
                Chunk::TextDelta { delta, .. } => text.push_str(delta),
                Chunk::Finish { .. } => state = State::Done,
                Chunk::Abort => state = State::Stopped,
                Chunk::Error { error_text } => error = Some(error_text.clone()),
                _ => {}
            }
        }
        let stream = self.metadata.as_ref().map(|known| known.stream.clone());
        Self {
            metadata: Some(Progress {
                stream: stream.unwrap_or_default(),
                state,
                error,
            }),
            ..Self::new(&self.id, self.role, text)
        }
    }

    /// All of its text.
    pub fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            Part::Other => None,
        });
        texts.collect()
    }
}

/// The messages of a chat, in order, from all that its stream holds.
pub fn latest(all: Vec<Message>) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for message in all {
        match messages.iter_mut().find(|known| known.id == message.id) {
            Some(known) if message.is_late_for(known) => {}
            Some(known) => *known = message,
            None => messages.push(message),
        }
    }
    messages
}

/// What there is to do for who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The answer is there already, or on its way, in the stream of this name: who asks did not hear so.
    Follow(String),
    /// A new answer, in place of the one of this id where there is one.
    Answer {
        /// The question, unless it is in the chat.
        question: Option<Message>,
        /// The answer that takes its place.
        instead_of: Option<String>,
    },
    /// Nothing before the answer that is on its way is over.
    Wait,
    /// Nothing: only the last question can be answered once more.
    Refuse,
}

/// What there is to do for who asks `question`, or wants another answer to it.
pub fn next(messages: &[Message], question: Message, again: bool) -> Next {
    let place = messages.iter().position(|known| known.id == question.id);
    let answer = messages.last().filter(|last| last.role == Role::Assistant);
    let streaming = answer.and_then(Message::streaming);
    match (place, streaming) {
        (Some(place), _) if !again => {
            let answer = messages
                .iter()
                .skip(place)
                .find_map(|message| message.metadata.as_ref());
            answer.map_or(Next::Refuse, |known| Next::Follow(known.stream.clone()))
        }
        (_, Some(_)) => Next::Wait,
        (None, None) if !again => Next::Answer {
            question: Some(question),
            instead_of: None,
        },
        (Some(place), None)
            if messages
                .iter()
                .skip(place)
                .all(|it| it.id == question.id || Some(it) == answer) =>
        {
            Next::Answer {
                question: None,
                instead_of: answer.map(|answer| answer.id.clone()),
            }
        }
        _ => Next::Refuse,
    }
}

/// What a model is told of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    role: Role,
    content: String,
}

impl Turn {
    /// Something that a person says.
    #[cfg(test)]
    pub fn user(text: &str) -> Self {
        Self {
            role: Role::User,
            content: text.to_owned(),
        }
    }
}

/// What a model is told of a conversation. An answer of which nothing came is left out.
pub fn conversation(messages: &[Message]) -> Vec<Turn> {
    let turns = messages.iter().map(|message| Turn {
        role: message.role,
        content: message.text(),
    });
    turns.filter(|turn| !turn.content.is_empty()).collect()
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Chunk {
    /// The answer begins: the message it becomes.
    Start { message_id: String },
    /// A text begins.
    TextStart { id: String },
    /// More of it.
    TextDelta { id: String, delta: String },
    /// It is whole.
    TextEnd { id: String },
    /// The answer is whole.
    Finish { finish_reason: String },
    /// The answer broke off.
    Error { error_text: String },
    /// Somebody has stopped it.
    Abort,
    /// What this chat does not know.
    #[serde(other)]
    Other,
}

/// An answer is one text.
const TEXT: &str = "text";

impl Chunk {
    /// What each answer begins with.
    pub fn start(message_id: &str) -> [Self; 2] {
        let (message_id, id) = (message_id.to_owned(), TEXT.to_owned());
        [Self::Start { message_id }, Self::TextStart { id }]
    }

    /// More of the answer.
    pub fn delta(delta: String) -> Self {
        let id = TEXT.to_owned();
        Self::TextDelta { id, delta }
    }

    /// What each answer ends with that is whole.
    pub fn finish(reason: &str) -> [Self; 2] {
        let (id, finish_reason) = (TEXT.to_owned(), reason.to_owned());
        [Self::TextEnd { id }, Self::Finish { finish_reason }]
    }

    /// What an answer ends with that broke off.
    pub fn error(error_text: String) -> Self {
        Self::Error { error_text }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_later_of_a_message_takes_its_place() {
        let question = Message::new("q", Role::User, "Hi".into());
        let coming = Message::coming("a", "s");
        let settled = coming.settled(&[Chunk::delta("Hello".into())]);
        let all = vec![question.clone(), coming, settled.clone()];
        assert_eq!(latest(all), [question, settled]);
    }

    #[test]
    fn what_an_answer_came_to_is_not_heard_when_another_one_has_its_place() {
        let (first, second) = (Message::coming("a", "1"), Message::coming("a", "2"));
        let late = first.settled(&[Chunk::Abort]);
        assert_eq!(latest(vec![first, second.clone(), late]), [second]);
    }

    #[test]
    fn a_question_is_answered_once_however_often_it_is_asked() {
        let ask = |messages: &[Message], id: &str, again| {
            next(messages, Message::new(id, Role::User, id.into()), again)
        };
        let question = |id: &str| Message::new(id, Role::User, id.into());
        let new = |id: &str| Next::Answer {
            question: Some(question(id)),
            instead_of: None,
        };
        let again = Next::Answer {
            question: None,
            instead_of: Some("a".into()),
        };
        let follow = Next::Follow("s".into());
        let coming = [question("q"), Message::coming("a", "s")];
        let settled = [question("q"), coming[1].settled(&[])];

        assert_eq!(ask(&[], "q", false), new("q"));
        assert_eq!(ask(&[], "q", true), Next::Refuse);
        assert_eq!(ask(&coming, "q", false), follow);
        assert_eq!(ask(&coming, "q", true), Next::Wait);
        assert_eq!(ask(&coming, "r", false), Next::Wait);
        assert_eq!(ask(&settled, "q", false), follow);
        assert_eq!(ask(&settled, "q", true), again);
        assert_eq!(ask(&settled, "r", false), new("r"));
        assert_eq!(ask(&settled, "r", true), Next::Refuse);
        let longer = [
            &settled[..],
            &[question("r"), Message::coming("b", "t").settled(&[])],
        ]
        .concat();
        assert_eq!(ask(&longer, "q", true), Next::Refuse);
        assert_eq!(ask(&longer, "q", false), follow);
    }

    #[test]
    fn an_answer_is_what_has_come_of_it() {
        let coming = Message::coming("a", "s");
        assert_eq!(coming.streaming(), Some("s"));
        let mut chunks = Chunk::start("a").to_vec();
        chunks.push(Chunk::delta("Hel".into()));
        chunks.push(Chunk::delta("lo".into()));
        let broken = coming.settled(&chunks);
        let state = |message: &Message| message.metadata.as_ref().unwrap().state;
        assert_eq!(
            (broken.text().as_str(), state(&broken)),
            ("Hello", State::Failed)
        );
        assert_eq!(broken.streaming(), None);
        chunks.push(Chunk::Abort);
        assert_eq!(state(&coming.settled(&chunks)), State::Stopped);
        chunks.pop();
        chunks.extend(Chunk::finish("stop"));
        assert_eq!(state(&coming.settled(&chunks)), State::Done);
        let lost = coming.settled(&[Chunk::error("why".into())]);
        assert_eq!(lost.metadata.unwrap().error.as_deref(), Some("why"));
    }

    #[test]
    fn a_model_is_told_what_has_text() {
        let messages = [
            Message::new("1", Role::User, "Hi".into()),
            Message::coming("2", "s").settled(&[]),
            Message::new("3", Role::User, "Hello?".into()),
        ];
        let turns = [Turn::user("Hi"), Turn::user("Hello?")];
        assert_eq!(conversation(&messages), turns);
    }

    #[test]
    fn messages_and_chunks_are_those_of_the_sdk() {
        let sent = json!({ "id": "1", "role": "user", "parts": [
            { "type": "step-start" }, { "type": "text", "text": "Hi", "state": "done" },
        ] });
        let message: Message = serde_json::from_value(sent).unwrap();
        assert_eq!(message.text(), "Hi");
        let chunks = Chunk::start("a").into_iter().chain(Chunk::finish("stop"));
        let expected = json!([
            { "type": "start", "messageId": "a" },
            { "type": "text-start", "id": "text" },
            { "type": "text-end", "id": "text" },
            { "type": "finish", "finishReason": "stop" },
        ]);
        assert_eq!(json!(chunks.collect::<Vec<_>>()), expected);
        let unknown = json!({ "type": "tool-input-start", "toolCallId": "1" });
        let chunk: Chunk = serde_json::from_value(unknown).unwrap();
        assert_eq!(chunk, Chunk::Other);
        assert_eq!(
            json!(Chunk::error("x".into())),
            json!({ "type": "error", "errorText": "x" })
        );
    }
}
