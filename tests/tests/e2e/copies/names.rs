//! What the files of `tests/clients` check of copies, by name.

pub const COPIES: [&str; 16] = [
    "who subscribes late gets all that comes, from the first on",
    "making a subscription writes nothing into the target",
    "a stream that is created with content is copied with it",
    "an append that is refused leaves no gap",
    "what comes faster than it can be copied is all copied, in the order of each stream",
    "a stream with more subscriptions than are told at once brings them all up to date",
    "names may have any characters",
    "an envelope says which stream a message comes from, and where that goes on",
    "an envelope holds bytes as base64, however they come",
    "bytes and text are copied as they are into a stream of their type",
    "large messages and batches of ten thousand are copied whole",
    "from the start is from the beginning of what is there, of forks too",
    "what was truncated before it was copied is gone, and the rest is copied",
    "a stream that is added again goes on where it was, or at its tail",
    "copies wake who waits for the target, and who reads it hears of them at once",
    "several subscriptions copy into one stream, each what it is about",
];

pub const COPY_REFUSALS: [&str; 8] = [
    "a configuration that is none is refused, and the field is named",
    "a target that is missing or closed is refused",
    "a stream of another type is refused by name, and passed over by pattern",
    "nothing goes in circles",
    "what a pattern alone is about may become a target, and is copied no more",
    "the same configuration is the same subscription, and another one is refused",
    "nobody claims a copy, and nobody is woken by one",
    "who asks for too much or of none is told so",
];

pub const COPY_ENDS: [&str; 10] = [
    "a source that is closed is copied to its end, and stays",
    "a stream that takes the name of a deleted source is copied from its start",
    "a source that expires is let go, and the next of its name is copied",
    "a target that is closed parks what copies into it, and says so",
    "a target that is deleted takes what copies into it along, and sources stay",
    "a target that is made anew gets nothing of what the old one was for",
    "a target that nobody reads expires, though it is written to, and takes the subscription along",
    "a target that is read stays",
    "a target that was a target no more may be copied",
    "a subscription that is deleted copies nothing more, and its next one begins anew",
];
