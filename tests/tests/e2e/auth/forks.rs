//! Forks read their sources, and so must their creators be allowed to.

use anyhow::Result;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::{stream_token, token};
use ureq::http::Method;

use super::{OTHER_SECRET, SECRET, shared, with, writer};
use crate::JSON;

#[test]
fn a_fork_stays_within_its_project_and_its_token() -> Result<()> {
    let client = shared()?;
    let source = Stream::create(&writer(&client), "p/source", JSON)?;
    source.append("1")?;
    let other = Stream::create(
        &with(&client, &token(OTHER_SECRET, "other", "write")),
        "other/source",
        JSON,
    )?;
    let public = client.call(Method::PUT, "/v1/stream/p/for-all?public=true");
    let public = public.header(
        "authorization",
        format!("Bearer {}", token(SECRET, "p", "write")),
    );
    public.header("content-type", JSON).send()?.expect(201)?;
    let open = with(&client, &token(SECRET, "open", "write"));
    Stream::create(&open, "open/source", JSON)?;

    let fork = |token: &str, source: &str| {
        let fork = Stream::named(&with(&client, token), "p/a-fork", JSON);
        let made = fork.put().header("stream-forked-from", source).send()?;
        let code = (made.status >= 300).then(|| made.refusal()).transpose()?;
        // Whatever it was, nothing is left of it.
        let deleted = fork
            .on(&writer(&client))
            .call(Method::DELETE)
            .send()?
            .status;
        assert_eq!(deleted == 204, code.is_none(), "{source}: {made:?}");
        anyhow::Ok((made.status, code.map(|refusal| refusal.message)))
    };
    let whole = token(SECRET, "p", "write");
    let this = stream_token(SECRET, "p", "write", "a-fork");
    let absent = "/v1/stream/p/absent";
    for same in [
        source.path(),
        "/v1/streams/p/source",
        "/v1/stream/p%2Fsource",
    ] {
        assert_eq!(fork(&whole, same)?, (201, None), "{same}");
        let (status, message) = fork(&this, same)?;
        assert_eq!(status, 403, "{same}");
        // One that is not there is refused in the same words.
        assert_eq!(fork(&this, absent)?, (403, message));
    }
    assert_eq!(fork(&whole, absent)?.0, 404);
    for elsewhere in [
        other.path(),
        "/v1/stream/other/absent",
        "/v1/stream/open/source",
    ] {
        assert_eq!(fork(&whole, elsewhere)?.0, 403, "{elsewhere}");
    }
    // Everyone may read it, but only its object knows that it is still public.
    assert_eq!(fork(&this, "/v1/stream/p/for-all")?.0, 403);
    assert_eq!(fork(&whole, "/v1/stream/p/for-all")?.0, 201);
    assert_eq!(fork(&token(SECRET, "p", "read"), source.path())?.0, 403);
    Ok(())
}
