//! Options of commands that ask a running server for something.

use clap::{Args, Subcommand, ValueEnum};

use super::PlaceFlags;

/// Which server, and which of its streams.
#[derive(Debug, Clone, Args)]
pub struct ServerFlags {
    /// The project whose streams it is about [default: that of the worker's name, or the only one;
    /// all streams, where there are no tokens]
    #[arg(long, short, value_name = "NAME")]
    pub project: Option<String>,
    /// Where the server is [default: where `dev` serves this folder; with --remote, where it is
    /// deployed]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Which registry, and which server.
    #[command(flatten)]
    pub place: PlaceFlags,
}

impl ServerFlags {
    /// The server at a URL, and the registry of local runs.
    pub fn at(url: String) -> Self {
        Self {
            project: None,
            url: Some(url),
            place: PlaceFlags {
                local: false,
                remote: false,
            },
        }
    }
}

/// What to do with subscriptions.
#[derive(Debug, Subcommand)]
pub enum Subscriptions {
    /// List all subscriptions, and how each is doing
    List {
        /// Which server.
        #[command(flatten)]
        server: ServerFlags,
    },
    /// Show a subscription, what it waits for, and how far it has come in its streams
    Show {
        /// The subscription
        id: String,
        /// Which server.
        #[command(flatten)]
        server: ServerFlags,
    },
    /// Make a subscription; to repeat it changes nothing
    Create(Box<CreateSubscription>),
    /// Let a subscription be about further streams
    Add(SomeStreams),
    /// Take streams away from a subscription; what its pattern is about stays
    Remove(SomeStreams),
    /// Delete a subscription; whoever works for it is turned away, and nothing more is copied
    Delete {
        /// The subscription
        id: String,
        /// Ask nothing
        #[arg(long, short)]
        yes: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerFlags,
    },
    /// Send what a subscription waits with at once, also if it was parked
    Retry {
        /// The subscription
        id: String,
        /// Which server.
        #[command(flatten)]
        server: ServerFlags,
    },
    /// Change the keys that sign what is sent to webhooks
    #[command(subcommand)]
    Keys(Keys),
}

/// Options of `subscriptions create`.
#[derive(Debug, Args)]
pub struct CreateSubscription {
    /// The subscription: a name of your choice
    pub id: String,
    /// What it does with what is appended to its streams
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Delivery,
    /// Where a webhook is sent
    #[arg(
        long,
        value_name = "URL",
        required_if_eq("kind", "webhook"),
        conflicts_with = "wake_stream"
    )]
    pub webhook_url: Option<String>,
    /// The JSON stream that tells workers to claim; it has to be there
    #[arg(long, value_name = "STREAM", required_if_eq("kind", "pull-wake"))]
    pub wake_stream: Option<String>,
    /// The stream that all is copied into; it has to be there
    #[arg(
        long,
        value_name = "STREAM",
        required_if_eq("kind", "copy"),
        conflicts_with_all = ["webhook_url", "wake_stream", "lease_ttl_ms"]
    )]
    pub target: Option<String>,
    /// From where on streams that are there are copied [default: now]
    #[arg(long, value_enum, value_name = "FROM", conflicts_with_all = ["webhook_url", "wake_stream"])]
    pub from: Option<Since>,
    /// Copy each message with the stream and the offset that it comes from; the target has to be JSON
    #[arg(long, conflicts_with_all = ["webhook_url", "wake_stream"])]
    pub envelope: bool,
    /// The streams it is about: `*` stands for a segment of a path, `**` for any number of them
    #[arg(long, value_name = "GLOB", required_unless_present = "stream")]
    pub pattern: Option<String>,
    /// A stream it is about; may be given several times
    #[arg(long, value_name = "STREAM")]
    pub stream: Vec<String>,
    /// For how long who was woken has it to themselves unless they are heard of, in milliseconds
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1000..=600_000))]
    pub lease_ttl_ms: Option<u32>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub server: ServerFlags,
}

/// What a subscription does with what is appended to its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Delivery {
    /// Wake a worker by a signed request to a URL
    Webhook,
    /// Wake workers by a message in a stream, after which they claim the work
    PullWake,
    /// Copy it into a stream
    Copy,
}

/// From where on streams that are there are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Since {
    /// What is appended from now on
    Now,
    /// All that they hold, too
    Start,
}

/// A subscription, and streams by name.
#[derive(Debug, Args)]
pub struct SomeStreams {
    /// The subscription
    pub id: String,
    /// The streams
    #[arg(required = true, value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Which server.
    #[command(flatten)]
    pub server: ServerFlags,
}

/// What to do with the keys that sign webhooks.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a new key; receivers that look up keys as they should notice nothing
    Rotate {
        /// Sign with the new key at once, and take the old one away: somebody else may have it
        #[arg(long)]
        now: bool,
        /// Ask nothing
        #[arg(long, short)]
        yes: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerFlags,
    },
}

/// What to do with the directory of streams.
#[derive(Debug, Subcommand)]
pub enum Directory {
    /// Find streams that are older than the directory, by what they have in the bucket
    Rebuild {
        /// Go on from here, as an earlier run has said
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// Which server.
        #[command(flatten)]
        server: ServerFlags,
    },
}

/// What becomes of the streams of a project that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Streams {
    /// They stay stored until they expire, and nobody gets to them
    Keep,
    /// They are removed, and the project's subscriptions with them
    Remove,
}
