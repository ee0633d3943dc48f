//! Lines to paste into a shell to try a server.

use anyhow::{Context, Result};
use handlebars::Handlebars;
use serde::Serialize;
use serde_json::json;

use crate::auth::Access;

const TEMPLATE: &str = include_str!("../assets/snippets.hbs");

/// A command line and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// What it does.
    pub title: String,
    /// The line to paste.
    pub command: String,
}

/// The snippets for a server, in the order to try them, with tokens where they are needed.
pub fn render(url: &str, access: Option<&Access>) -> Result<Vec<Snippet>> {
    let bearer = |token: &String| format!(" -H 'Authorization: Bearer {token}'");
    let (stream, write, read) = match access {
        None => ("my-stream".to_owned(), String::new(), String::new()),
        Some(access) => (
            format!("{}/my-stream", access.project),
            bearer(&access.write_token),
            bearer(&access.read_token),
        ),
    };
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(true);
    // The result is for a shell, not for a page.
    handlebars.register_escape_fn(handlebars::no_escape);
    let text = handlebars
        .render_template(
            TEMPLATE,
            &json!({ "url": url, "stream": stream, "write": write, "read": read }),
        )
        .context("cannot fill in the snippets")?;
    Ok(text.trim().split("\n\n").filter_map(paragraph).collect())
}

/// The snippets as one text, ready to be shown.
pub fn text(snippets: &[Snippet]) -> String {
    let paragraphs: Vec<String> = snippets
        .iter()
        .map(|snippet| format!("# {}\n{}", snippet.title, snippet.command))
        .collect();
    paragraphs.join("\n\n")
}

/// A paragraph of the template is a title behind `# ` and a command.
fn paragraph(text: &str) -> Option<Snippet> {
    let (title, command) = text.split_once('\n')?;
    Some(Snippet {
        title: title.trim_start_matches("# ").to_owned(),
        command: command.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snippets_create_append_and_read() {
        let snippets = render("http://127.0.0.1:4437", None).unwrap();
        let commands: Vec<&str> = snippets.iter().map(|s| s.command.as_str()).collect();
        assert_eq!(
            commands,
            [
                "curl -X PUT -H 'Content-Type: application/json' \
                 http://127.0.0.1:4437/v1/stream/my-stream",
                "curl -X POST -H 'Content-Type: application/json' \
                 -d '{\"op\":\"insert\",\"text\":\"hello\"}' \
                 http://127.0.0.1:4437/v1/stream/my-stream",
                "curl 'http://127.0.0.1:4437/v1/stream/my-stream\
                 ?offset=0000000000000000_0000000000000000'",
            ]
        );
        assert!(snippets.iter().all(|s| !s.title.is_empty()));
    }

    #[test]
    fn the_text_is_the_template_again() {
        let access = Access {
            project: "p".into(),
            write_token: "w".into(),
            read_token: "r".into(),
            expires_at: 0,
        };
        let snippets = render("{{url}}", Some(&access)).unwrap();
        let again = text(&snippets)
            .replace("p/my-stream", "{{stream}}")
            .replace(" -H 'Authorization: Bearer w'", "{{write}}")
            .replace(" -H 'Authorization: Bearer r'", "{{read}}");
        assert_eq!(again, TEMPLATE.trim());
    }
}
