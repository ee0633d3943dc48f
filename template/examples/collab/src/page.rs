//! The page.

use worker::{Headers, Response, Result};

const SCRIPT: &str = "text/javascript";
/// What it is made of, and where that is.
const FILES: [(&str, &str, &str); 5] = [
    ("/", "text/html", include_str!("../page/index.html")),
    ("/page.js", SCRIPT, include_str!("../page/page.js")),
    ("/session.js", SCRIPT, include_str!("../page/session.js")),
    ("/textarea.js", SCRIPT, include_str!("../page/textarea.js")),
    (
        "/libraries.js",
        SCRIPT,
        include_str!("../page/libraries.js"),
    ),
];

/// The file of the page that is at this path.
pub fn file(path: &str) -> Option<Result<Response>> {
    let (_, media_type, content) = FILES.iter().find(|(place, ..)| *place == path)?;
    Some(answer(media_type, content))
}

fn answer(media_type: &str, content: &str) -> Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", &format!("{media_type}; charset=utf-8"))?;
    // A new version is there with the next load.
    headers.set("Cache-Control", "no-cache")?;
    Ok(Response::ok(content)?.with_headers(headers))
}
