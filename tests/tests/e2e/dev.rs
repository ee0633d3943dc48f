//! `durable-streams dev` as a person uses it.

use anyhow::Result;
use durable_streams_tests::dev::Dev;
use durable_streams_tests::project::{Auth, Project};
use durable_streams_tests::stream::Stream;
use serde_json::json;

use crate::JSON;
use crate::session::try_it;

#[test]
fn ctrl_c_ends_it_whole_and_the_next_run_has_all_data() -> Result<()> {
    let project = Project::take(Auth::None)?;
    project.forget_data()?;

    let dev = Dev::start(&project)?;
    let document = dev.document();
    assert_eq!(document.url, format!("http://127.0.0.1:{}", document.port));
    let client = dev.client();
    try_it(&client, "my-stream")?;
    let stream = Stream::create(&client, "kept", JSON)?;
    stream
        .post_as("p", 0, 0)
        .send_bytes(b"[1,2]")?
        .expect(200)?;
    let status = dev.interrupt()?;
    assert_ne!(
        status.code(),
        None,
        "it was killed instead of ending: {status}"
    );

    let dev = Dev::start(&project)?;
    let stream = stream.on(&dev.client());
    stream
        .post_as("p", 0, 0)
        .send_bytes(b"[1,2]")?
        .expect(204)?;
    stream.append("3")?;
    assert_eq!(stream.read()?.messages()?, [json!(1), json!(2), json!(3)]);
    dev.interrupt()?;
    Ok(())
}
