//! Texts that several people write at once: `yjs` keeps documents of Yjs in streams, and the page is
//! one that shows and changes them.

mod page;
mod yjs;

use durable_streams_cloudflare::{Answer, ProjectJwt, StreamWorker};
use worker::web_sys::Request;
use worker::{Context, Env, Result, Url, event};

pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};

#[event(fetch)]
async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Answer> {
    let url = Url::parse(&req.url())?;
    if let Some(file) = page::file(url.path()) {
        return Ok(file?.into());
    }
    if let Some(document) = url.path().strip_prefix("/yjs/docs/") {
        return yjs::serve(&req, &url, document, env, ctx).await;
    }
    StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(req, env, ctx)
        .await
}

/// Who may read and change a document: here everybody, because an example has no users. Look at the
/// session of yours instead. A `DELETE`, which no page of this example sends, may be for fewer.
fn may(_request: &Request, _document: &str) -> bool {
    true
}
