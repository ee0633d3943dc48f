//! Lines to paste into a shell to try a server: what is long is said once, and has a name from there on.

use std::fmt;

use anyhow::{Context, Result};
use handlebars::Handlebars;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::auth::Access;

const TEMPLATE: &str = include_str!("../assets/snippets.hbs");
/// Where the streams are.
const URL: &str = "URL";
/// A token to read.
const READ: &str = "READ";
/// A token to write and to read.
const WRITE: &str = "WRITE";

/// What there is to try a server with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippets {
    /// Variables of the shell, and what they are set to: texts that no shell takes for anything else.
    variables: Vec<(&'static str, String)>,
    /// The lines, in the order to try them.
    lines: Vec<Snippet>,
}

/// A command line and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// What it does.
    pub title: String,
    /// The line to paste.
    pub command: String,
}

impl Snippets {
    /// Those for a server, with tokens where they are needed.
    pub fn new(url: &str, access: Option<&Access>) -> Result<Self> {
        let variables = match access {
            None => vec![(URL, format!("{url}/v1/stream"))],
            Some(access) => vec![
                (URL, format!("{url}/v1/stream/{}", access.project)),
                (READ, access.read_token.clone()),
                (WRITE, access.write_token.clone()),
            ],
        };
        let bearer = |token: &str| match access {
            None => String::new(),
            Some(_) => format!(r#" -H "Authorization: Bearer ${token}""#),
        };
        let mut handlebars = Handlebars::new();
        handlebars.set_strict_mode(true);
        // The result is for a shell, not for a page.
        handlebars.register_escape_fn(handlebars::no_escape);
        let values = json!({ "read": bearer(READ), "write": bearer(WRITE) });
        let text = handlebars
            .render_template(TEMPLATE, &values)
            .context("cannot fill in the snippets")?;
        Ok(Self {
            variables,
            lines: text.trim().split("\n\n").filter_map(paragraph).collect(),
        })
    }

    /// Where the streams are, and no more: what a request needs is not known here.
    pub fn address(url: &str) -> Self {
        Self {
            variables: vec![(URL, format!("{url}/v1/stream"))],
            lines: Vec::new(),
        }
    }

    /// The variables, for a program.
    pub fn variables(&self) -> Value {
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), json!(value)));
        Value::Object(variables.collect::<Map<_, _>>())
    }

    /// The lines, in the order to try them.
    pub fn lines(&self) -> &[Snippet] {
        &self.lines
    }
}

/// All of it, ready to be pasted.
impl fmt::Display for Snippets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            writeln!(f, "{name}={value}")?;
        }
        for Snippet { title, command } in &self.lines {
            write!(f, "\n# {title}\n{command}\n")?;
        }
        Ok(())
    }
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
    fn without_tokens_only_the_url_has_a_name() {
        let snippets = Snippets::new("http://127.0.0.1:4437", None).unwrap();
        assert_eq!(
            snippets.variables(),
            json!({ "URL": "http://127.0.0.1:4437/v1/stream" })
        );
        let text = snippets.to_string();
        assert!(
            text.starts_with("URL=http://127.0.0.1:4437/v1/stream\n\n# Create a stream\ncurl -i -X PUT -H 'Content"),
            "{text}"
        );
        assert!(!text.contains("Authorization"), "{text}");
    }

    #[test]
    fn tokens_are_said_once_by_their_names() {
        let access = Access {
            project: "p".into(),
            write_token: "w.w.w".into(),
            read_token: "r.r.r".into(),
            expires_at: 0,
        };
        let snippets = Snippets::new("https://x.example", Some(&access)).unwrap();
        let text = snippets.to_string();
        let head = "URL=https://x.example/v1/stream/p\nREAD=r.r.r\nWRITE=w.w.w\n\n# Create";
        assert!(text.starts_with(head), "{text}");
        for once in ["r.r.r", "w.w.w", "https://"] {
            assert_eq!(text.matches(once).count(), 1, "{text}");
        }
        assert!(text.lines().all(|line| line.len() < 160), "{text}");
        let commands: Vec<&str> = snippets
            .lines()
            .iter()
            .map(|s| s.command.as_str())
            .collect();
        assert_eq!(
            commands,
            [
                r#"curl -i -X PUT -H "Authorization: Bearer $WRITE" -H 'Content-Type: application/json' "$URL/my-stream""#,
                r#"curl -i -X POST -H "Authorization: Bearer $WRITE" -H 'Content-Type: application/json' -d '{"op":"insert","text":"hello"}' "$URL/my-stream""#,
                r#"curl -w '\n' -H "Authorization: Bearer $READ" "$URL/my-stream?offset=-1""#,
                r#"curl -N -H "Authorization: Bearer $READ" "$URL/my-stream?offset=-1&live=sse""#,
            ]
        );
        assert!(snippets.lines().iter().all(|s| !s.title.is_empty()));
    }
}
