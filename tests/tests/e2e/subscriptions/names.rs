//! What the files of `tests/clients` check, by name.

pub const SUBSCRIPTIONS: [&str; 13] = [
    "a subscription says how its deliveries are signed",
    "a delivery is what the protocol says, and signed by a published key",
    "a receiver refuses another key, a changed body, an unknown key, and an old delivery",
    "an answer that says done acks what was sent",
    "what comes while a receiver works wakes it again",
    "a callback acks, and is fenced when it comes again",
    "a callback that leaves some undone brings the next wake",
    "callbacks without done keep a lease for as long as it takes",
    "a lease that ends fences its token and wakes again",
    "a delivery that fails is tried again, signed anew",
    "an answer that is no JSON is an answer",
    "only new data wakes",
    "a deleted subscription delivers nothing, and its tokens are void",
];

pub const PULL_WAKE: [&str; 12] = [
    "an event is written, claimed, and acked",
    "of workers that race, one has it, and the others are told who",
    "what was appended can be claimed at once",
    "a part can be acked, and the rest is the next wake's",
    "an ack that is wrong in one place changes nothing",
    "acks keep a lease, and one that ends is fenced and goes to another",
    "what is released is somebody's again",
    "appends while a wake waits make no other event",
    "a deleted subscription fences its worker",
    "a token is for one subscription",
    "a wake can be claimed though there is no stream for its event",
    "workers that follow the events process all messages, in order",
];

pub const SUBSCRIPTION_LINKS: [&str; 8] = [
    "a pattern has the streams it matches, whether they were there or come",
    "streams that are there are linked at their tail, later ones before their first message",
    "streams by name are linked at their tail, and from the start where there is none",
    "streams are added and taken away any number of times",
    "what is linked by name and by pattern is there by name, and stays by pattern",
    "a stream that takes the name of a deleted one is another, from its start",
    "the same configuration is the same subscription, and another one is refused",
    "ids may have any characters",
];

pub const SUBSCRIPTION_REFUSALS: [&str; 6] = [
    "a configuration that is none is refused",
    "URLs of this network and of no web server are rejected",
    "who is not there cannot be asked",
    "a body that is none is refused, and changes nothing",
    "what is for workers is not for webhooks",
    "streams below __ds are nobody's",
];

pub const AGENTS_SUBSCRIPTIONS: [&str; 5] = [
    "a runner is woken for its entities, works, and is woken again",
    "entities come and go, by names in any encoding",
    "a webhook for a type of entities is verified, answered, and called back",
    "a fork of an entity is woken for what is its own",
    "offsets sort as their text, padded to 24 characters",
];

pub const SUBSCRIPTION_ADDITIONS: [&str; 12] = [
    "a subscription shows what it is at",
    "a failing webhook shows why, and is tried again when told to",
    "a redirect is a failure, and leads nowhere",
    "a receiver that never answers is asked again",
    "a token of a deleted subscription is none of the next one's",
    "keys are changed with both published, and at once when told to",
    "an event that nobody claims is repeated",
    "a missing stream for events is told, and filled when it comes",
    "a pattern that matches the stream for events does not wake for them",
    "a stream linked by name stays linked when it is deleted",
    "a stream that expires is one that ended",
    "a subscription with many streams is read in pages",
];

pub const SUBSCRIPTION_BOUNDS: [&str; 8] = [
    "more URLs are rejected",
    "a field that there is not is named",
    "what workers say beside is passed over",
    "what receivers say beside is passed over",
    "a wrong field is named, with what would be right",
    "nothing is longer than it may be",
    "there are 10,000 streams by name at most",
    "lists are of a thousand at most",
];

pub const DIRECTORY: [&str; 5] = [
    "streams are listed with what they are",
    "a prefix is of bytes, and the order, too",
    "pages have each stream once, whatever their length",
    "what is deleted is listed no more, and what takes its name is",
    "subscriptions are listed in pages",
];
