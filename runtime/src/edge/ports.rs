//! What the edge needs of the world. The platform stands behind it in a worker, and a simulation in
//! tests. Whatever is asked for may fail, come late, or never be answered, unless it says
//! otherwise; what was asked of an object may have been done all the same. No future has to move to
//! another thread. One that is dropped is not waited for any longer, which undoes nothing.

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use super::live::Poll;
use super::room::Room;
use super::settings::Settings;
use crate::machine::Peer;
use crate::object::ports::Listed;
use crate::protocol::error::Error;
use crate::protocol::part::Part;
use crate::protocol::reply::Reply;

/// A request, as it came.
pub trait Incoming {
    /// Its method, in upper case.
    fn method(&self) -> String;

    /// Its URL, as sent.
    fn url(&self) -> String;

    /// The value of a header; several values are joined by `, `. Each look may cost something.
    fn header(&self, name: &str) -> Option<String>;
}

/// A response that goes out or came from an object.
pub trait Outgoing {
    /// Its status.
    fn status(&self) -> u16;

    /// The value of a header.
    fn header(&self, name: &str) -> Option<String>;
}

/// A header to set, or, without a value, to take away.
pub type HeaderChange = (&'static str, Option<String>);

/// All that the edge needs. One for each request; its clones are for what goes on after the answer.
pub trait Ports: Clone + 'static {
    /// Where those who decide who may do what look things up.
    type Env;
    /// A request. A clone is the same one, for whoever looks at its head later.
    type Request: Incoming + Clone + 'static;
    /// A response.
    type Response: Outgoing;
    /// A response that comes without anybody at the edge. It always does: what goes wrong on the
    /// way is answered as [`refusal`](super::refusal) says.
    type Later: IntoFuture<Output = Result<Self::Response, Error>>;
    /// The way to a stream's object.
    type Object;
    /// The edge's end of the socket of a live reader. Dropping it closes it sooner or later.
    type Socket;
    /// Where the body of a response of events is written to.
    type Sink;
    /// A piece of an answer: some bytes, or a range of an object that still lies in the bucket.
    type Piece;

    /// Where those who decide who may do what look things up.
    fn env(&self) -> &Self::Env;

    /// What the variables say.
    fn settings(&self) -> Settings;

    /// Milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Milliseconds since some instant, for `Server-Timing`; nothing unless somebody wants to know.
    fn tick(&self) -> Option<f64>;

    /// Any number below 2^32.
    fn random(&self) -> u64;

    /// Is done after so many milliseconds.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static;

    /// Goes on with something for as long as somebody reads the response of the request.
    fn spawn(&self, work: impl Future<Output = ()> + 'static);

    /// Tells those who run the server what went wrong.
    fn log(&self, text: fmt::Arguments<'_>);

    /// Reads what came with a request that nobody wants, and throws it away, so that its client gets
    /// to see the answer. It takes a while, but never for ever.
    fn drain(&self, request: &Self::Request) -> impl Future<Output = ()>;

    /// A request of the worker's own.
    ///
    /// # Errors
    ///
    /// When a header's value is none that HTTP can carry.
    fn request(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&'static str, String)],
        body: &[u8],
    ) -> Result<Self::Request, Error>;

    /// The same request for another URL, if there is one, and with this header set to `true`, if
    /// there is one. Its body moves over.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    fn changed(
        &self,
        request: &Self::Request,
        url: Option<&str>,
        mark: Option<&'static str>,
    ) -> Result<Self::Request, Error>;

    /// Makes a response.
    ///
    /// # Errors
    ///
    /// When a header's value is none that HTTP can carry.
    fn respond(&self, reply: Reply) -> Result<Self::Response, Error>;

    /// The same response with other headers.
    ///
    /// # Errors
    ///
    /// When a header's value is none that HTTP can carry.
    fn with_headers(
        &self,
        response: Self::Response,
        changes: &[HeaderChange],
    ) -> Result<Self::Response, Error>;

    /// The way to the object of the stream at a path. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] where there are no objects, [`Error::Unavailable`].
    fn object(&self, path: &str) -> Result<Self::Object, Error>;

    /// Asks an object what only the edge and other objects can. Gives the status and the body of its
    /// answer.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it does not answer: then nobody knows whether it has heard;
    /// [`Error::Misconfigured`] where there are no such objects.
    fn question(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> impl Future<Output = Result<(u16, Vec<u8>), Error>>;

    /// Reads what came with a request, `limit` bytes of it at most. Of what is refused, the rest is
    /// thrown away.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], and whatever else can be wrong with a body.
    fn read_body(
        &self,
        request: &Self::Request,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<u8>, Error>>;

    /// Hands a request on as it is. It is on its way when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there is no way to the object. One that does not answer is no
    /// error here; see [`Later`](Self::Later).
    fn pass_on(&self, object: &Self::Object, request: &Self::Request)
    -> Result<Self::Later, Error>;

    /// Hands a request on as it is, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the object does not answer.
    fn forward(
        &self,
        object: &Self::Object,
        request: &Self::Request,
    ) -> impl Future<Output = Result<Self::Response, Error>>;

    /// Asks an object for what comes at a URL or a socket on which it will come, in a request with
    /// this header set to `true`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the object does not answer.
    fn ask(
        &self,
        object: &Self::Object,
        url: &str,
        mark: Option<&'static str>,
    ) -> impl Future<Output = Result<(Self::Response, Option<Self::Socket>), Error>>;

    /// Reads the body of an object's response, once: the first `start` bytes, and the rest.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it breaks off.
    fn body(
        &self,
        response: &Self::Response,
        start: usize,
    ) -> impl Future<Output = Result<Body<Self::Piece>, Error>>;

    /// Some bytes as a piece.
    fn piece(&self, bytes: &[u8]) -> Self::Piece;

    /// Opens the range of an object in the bucket, once it is certain that it is the object that was
    /// stored.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] without a bucket, [`Error::Unavailable`] when the object cannot be
    /// had, [`Error::Storage`] when it is another.
    fn open(&self, part: &Part) -> impl Future<Output = Result<Self::Piece, Error>>;

    /// The keys of objects in the bucket that start with a prefix, in order, behind one of them if
    /// it is given, and so many at most. The cursor is the last of them if there are more.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] without a bucket, [`Error::Unavailable`].
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Listed, Error>>;

    /// Reads a piece to its end, once.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it breaks off.
    fn read(&self, piece: &Self::Piece) -> impl Future<Output = Result<Vec<u8>, Error>>;

    /// The response with changed headers and another body: these pieces, of so many bytes together.
    /// They are moved behind the response. A body that is not complete is broken off, which whoever
    /// reads it notices.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    fn assemble(
        &self,
        response: &Self::Response,
        changes: &[HeaderChange],
        pieces: Vec<Self::Piece>,
        length: u64,
    ) -> Result<Self::Response, Error>;

    /// Accepts the socket of a long-poll, and waits for its first message, its end, or so many
    /// milliseconds, whichever is first. The answer has the status and the headers that
    /// [`Poll::answer`] makes of the message's head, and the message's body. The socket is of no use
    /// any more then, or as soon as whoever has sent the request is known to be gone.
    fn await_frame(
        &self,
        request: &Self::Request,
        socket: Self::Socket,
        millis: u64,
        poll: Poll,
    ) -> Self::Later;

    /// Room for what waits for readers of events, which all that this machine serves share.
    fn room(&self) -> Rc<Room>;

    /// A response of events to a request, and where they are written to. A [heartbeat] is written
    /// whenever nothing was for `beat` milliseconds, and never within an event.
    ///
    /// [heartbeat]: crate::protocol::sse::HEARTBEAT
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    fn events(
        &self,
        request: &Self::Request,
        reply: Reply,
        beat: u64,
    ) -> Result<(Self::Response, Self::Sink), Error>;

    /// Writes to a response. It is done when the reader has taken it, which may be never.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the reader is.
    fn write(&self, sink: &Self::Sink, bytes: Vec<u8>) -> impl Future<Output = Result<(), Gone>>;

    /// Ends a response regularly. It is done when the reader has taken what was written.
    fn close(&self, sink: &Self::Sink) -> impl Future<Output = ()>;

    /// Breaks a response off: its reader does not take it for complete. Nothing that was written
    /// waits for it any longer.
    fn abort(&self, sink: &Self::Sink);

    /// Accepts a socket and writes the messages that come over it to a response, one after the
    /// other, each as a whole. It is done when the reader has taken all that was begun, and the
    /// socket is closed by then.
    fn copy(
        &self,
        socket: Self::Socket,
        sink: &Self::Sink,
        bounds: Bounds,
    ) -> impl Future<Output = Copied>;

    /// Lets [`copy`](Self::copy) to a response go on as if its time were over now.
    fn stop(&self, sink: &Self::Sink);
}

/// The body of a response in two parts.
#[derive(Clone, Debug)]
pub struct Body<Piece> {
    /// Its start.
    pub start: Vec<u8>,
    /// The rest.
    pub rest: Piece,
    /// How many bytes that is.
    pub rest_length: u64,
}

/// The reader of a response does not take anything any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// How much [`Ports::copy`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A message that comes while more than so many bytes wait to be taken is not kept, and none
    /// is begun any more.
    pub backlog: u64,
    /// After so many milliseconds, no message is begun any more.
    pub millis: u64,
    /// So many milliseconds later, the reader is not waited for any longer.
    pub grace: u64,
    /// A message for which there is no room, when no more than so many bytes may wait to be taken
    /// by all who follow together, is not kept either.
    pub room: u64,
}

/// How [`Ports::copy`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The reader's time is over, or it has all that came until the object closed the socket, or
    /// the socket broke.
    Over,
    /// There is more, which has to be asked for: the reader lagged, or the object has closed the
    /// socket with [`Close::ComeAgain`]. This is the end of the last message that was written, at
    /// least [`END_BYTES`] of it if it has so many; nothing if there was none.
    ///
    /// [`Close::ComeAgain`]: crate::object::ports::Close::ComeAgain
    /// [`END_BYTES`]: crate::protocol::sse::END_BYTES
    Behind(Option<Vec<u8>>),
    /// The reader is gone, or has not taken in time what was begun.
    Stuck,
}
